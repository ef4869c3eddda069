/** Notices pictures that come from outside, dropped anywhere or pasted. What asks with them is loaded when one comes. */

import { send } from './api.js';
import { add } from './router.js';

const DRAGGED = 'application/x-pixkin';
let warmed = 0;

/** Wake the encoder before it is needed. */
export function warm() {
  if (Date.now() - warmed < 30_000) return;
  warmed = Date.now();
  send('POST', 'warm').catch(() => {});
}

/** @param {DataTransfer | null} data @returns {File[]} */
const filesOf = (data) => [...(data?.files ?? [])];

/** Take pictures wherever on the page they come. @param {HTMLElement} veil is shown while a picture hangs over the page */
export function takePictures(veil) {
  let inside = 0;
  const isOurs = (/** @type {DragEvent} */ event) =>
    Boolean(event.dataTransfer?.types.includes('Files') || event.dataTransfer?.types.includes(DRAGGED));
  addEventListener('dragenter', (event) => {
    if (!isOurs(event)) return;
    inside++;
    warm();
    veil.classList.toggle('on', event.dataTransfer?.types.includes('Files') ?? false);
  });
  addEventListener('dragleave', (event) => {
    if (isOurs(event) && --inside <= 0) veil.classList.remove('on');
  });
  addEventListener('dragover', (event) => isOurs(event) && event.preventDefault());
  addEventListener('drop', (event) => {
    inside = 0;
    veil.classList.remove('on');
    if (!isOurs(event)) return;
    event.preventDefault();
    const onQuestion = Boolean(/** @type {Element} */ (event.target).closest?.('.query'));
    const how = event.shiftKey ? 'minus' : onQuestion ? 'plus' : 'new';
    const id = event.dataTransfer?.getData(DRAGGED);
    if (id && onQuestion) add(id, event.shiftKey);
    else if (!id) ask(filesOf(event.dataTransfer), how);
  });
  addEventListener('paste', (event) => {
    const files = filesOf(event.clipboardData);
    if (!files.length) return;
    event.preventDefault();
    ask(files);
  });
  addEventListener('focus', warm);
}

/** @param {File[]} files @param {'new' | 'plus' | 'minus'} [how] */
const ask = async (files, how) => (await import('./ask.js')).ask(files, how);

/** Let people choose files. @param {'new' | 'plus'} [how] */
export const choose = async (how) => (await import('./ask.js')).choose(how);
