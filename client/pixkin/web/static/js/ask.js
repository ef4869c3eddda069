/** Asks with pictures that come from outside: each is uploaded, and becomes a photo of the question. */

import { html, render } from '../vendor/lit-html/lit-html.js';
import { get, upload } from './api.js';
import { keepCaption } from './captions.js';
import { notice } from './notices.js';
import { warm } from './drops.js';
import { push, rest, trailOn } from './router.js';
import { plain, say } from './strings.js';
import { alike, format, MAX_TERMS, parse, withTerm } from './url.js';

/** @typedef {import('./api.js').Problem} Problem */

/** @param {string} text @param {unknown} [more] what the upper edge of the page says; empty: nothing */
function tell(text, more = '') {
  const host = /** @type {HTMLElement} */ (document.getElementById('asking'));
  render(text ? html`<div class="asking" role="status"><span class="dots" aria-hidden="true"></span>${text}</div>` : more, host);
}

/**
 * Ask with pictures: a new question, or more photos of the one on the screen.
 * @param {File[]} files @param {'new' | 'plus' | 'minus'} how
 */
export async function ask(files, how = 'new') {
  const some = files.slice(0, MAX_TERMS);
  if (!some.length) return;
  tell(say('asking', { n: some.length }));
  const waking = setTimeout(() => tell(say('asking.waking')), 1200);
  const asked = [];
  const refused = [];
  for (const file of some) {
    try {
      const { id, known, w, h } = await upload(file);
      if (!known.length) keepCaption(pasted(id, file.name, w, h));
      asked.push(id);
    } catch (error) {
      refused.push({ file, problem: /** @type {Problem} */ (error) });
    }
  }
  clearTimeout(waking);
  tell('', refused.length ? await refusal(refused) : '');
  if (!asked.length) return;
  const here = parse(new URLSearchParams(location.search));
  const isHere = how !== 'new' && location.pathname === '/like';
  let question = isHere ? here : alike(asked[0]);
  for (const id of asked) question = withTerm(question, id, how === 'minus');
  await push(format(question), isHere ? rest().trail : trailOn());
}

/** @param {string} id @param {string} name @param {number} w @param {number} h */
const pasted = (id, name, w, h) =>
  ({ id, name, folder: '', path: '', taken_s: 0, copies: 0, offline: false, gone: false, w, h });

/** @param {{file: File, problem: Problem}[]} refused */
async function refusal(refused) {
  const [{ file, problem }] = refused;
  /** @type {any} */
  const status = problem.daemon === 'unreadable' ? await formats() : null;
  const missing = (status ?? []).filter((/** @type {any} */ one) => !one.live);
  const more = html`${status ? html`<p>${say('refused.formats', { formats: status.filter((/** @type {any} */ one) => one.live).map((/** @type {any} */ one) => one.name).join(', ') })}</p>` : ''}
    ${missing.map((/** @type {any} */ one) => html`<p>${say('refused.missing', { name: one.name, why: plain(one.why) })}</p>`)}
    <button class="plain" @click=${() => tell('')}>${say('dismiss')}</button>`;
  const title = say(problem.status === 413 ? 'refused.large' : 'refused.title', { name: plain(file.name) });
  return notice({ title, detail: [problem.detail, problem.hint].filter(Boolean).join('. '), shape: 'warn', more });
}

async function formats() {
  return (await get('status').catch(() => ({}))).formats ?? null;
}

/** Let people choose files. @param {'new' | 'plus'} [how] */
export function choose(how = 'new') {
  warm();
  const input = document.createElement('input');
  Object.assign(input, { type: 'file', accept: 'image/*,.heic,.avif,.jxl,.nef,.cr2,.cr3,.arw,.dng,.raf,.orf,.rw2', multiple: true });
  input.addEventListener('change', () => ask([...(input.files ?? [])], how));
  input.click();
}

