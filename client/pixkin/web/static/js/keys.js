/** The keys of the page. This one table drives what they do, the tooltips and the sheet of all keys. */

import { say } from './strings.js';

/**
 * @typedef {(event: KeyboardEvent) => void} Action
 * @typedef {{act: string, keys: string[], show: string[], group: string}} Key
 */

/** @type {Key[]} `act` is what pages and dialogs register, and with `key.` before it the name of its text */
export const KEYS = [
  { act: 'previous', keys: ['ArrowLeft'], show: ['←'], group: 'move' },
  { act: 'next', keys: ['ArrowRight'], show: ['→'], group: 'move' },
  { act: 'up', keys: ['ArrowUp'], show: ['↑'], group: 'move' },
  { act: 'down', keys: ['ArrowDown'], show: ['↓'], group: 'move' },
  { act: 'first', keys: ['Home'], show: ['Home'], group: 'move' },
  { act: 'last', keys: ['End'], show: ['End'], group: 'move' },
  { act: 'pageup', keys: ['PageUp'], show: ['PgUp'], group: 'move' },
  { act: 'pagedown', keys: ['PageDown'], show: ['PgDn'], group: 'move' },
  { act: 'hop', keys: ['Backspace'], show: ['Backspace', 'Alt+←'], group: 'move' },
  { act: 'pick', keys: ['Enter'], show: ['Enter'], group: 'photo' },
  { act: 'view', keys: [' '], show: ['Space'], group: 'photo' },
  { act: 'more', keys: ['+', '='], show: ['+'], group: 'photo' },
  { act: 'less', keys: ['-', '\u2212'], show: ['−'], group: 'photo' },
  { act: 'select', keys: ['x'], show: ['x', 'Shift+→'], group: 'photo' },
  { act: 'compare', keys: ['c'], show: ['c'], group: 'photo' },
  { act: 'reveal', keys: ['f'], show: ['f'], group: 'photo' },
  { act: 'copy', keys: ['y'], show: ['y'], group: 'photo' },
  { act: 'zoom', keys: ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9'], show: ['0–9'], group: 'photo' },
  { act: 'lower', keys: ['['], show: ['['], group: 'question' },
  { act: 'raise', keys: [']'], show: [']'], group: 'question' },
  { act: 'folders', keys: ['/'], show: ['/'], group: 'question' },
  { act: 'watch', keys: ['w'], show: ['w'], group: 'question' },
  { act: 'keep', keys: ['1', '2', '3', '4', '5', '6', '7', '8', '9'], show: ['1–9'], group: 'dupes' },
  { act: 'proposed', keys: ['k'], show: ['k'], group: 'dupes' },
  { act: 'apart', keys: ['a'], show: ['a'], group: 'dupes' },
  { act: 'later', keys: ['s'], show: ['s'], group: 'dupes' },
  { act: 'flip', keys: [' '], show: ['Space'], group: 'dupes' },
  { act: 'undo', keys: ['u'], show: ['u'], group: 'dupes' },
  { act: 'close', keys: ['Escape'], show: ['Esc'], group: 'page' },
  { act: 'help', keys: ['?'], show: ['?'], group: 'page' },
];
export const GROUPS = ['move', 'photo', 'question', 'dupes', 'page'];
const LETTERS_OFF = 'pixkin.letters';
const MOVES = new Set(['PageUp', 'PageDown', 'Home', 'End', 'ArrowLeft', 'ArrowRight', 'ArrowUp', 'ArrowDown']);

/** What acts, the innermost last: the whole page, then a page, then a dialog over it. @type {Record<string, Action>[]} */
const scopes = [{}];

/** @param {Record<string, Action>} actions that work everywhere */
export const everywhere = (actions) => Object.assign(scopes[0], actions);

/** @param {Record<string, Action>} actions of what has opened @returns {() => void} call it when that closes */
export function open(actions) {
  scopes.push(actions);
  return () => {
    const at = scopes.indexOf(actions);
    if (at > 0) scopes.splice(at, 1);
  };
}

/** @returns {boolean} whether single letters do something */
export const letters = () => !localStorage.getItem(LETTERS_OFF);

/** @param {boolean} on */
export const useLetters = (on) => (on ? localStorage.removeItem(LETTERS_OFF) : localStorage.setItem(LETTERS_OFF, '1'));

/** @param {string} act @returns {string} what it does and its key, for a tooltip */
export function hint(act) {
  const key = KEYS.find((one) => one.act === act);
  return key ? say('key.hint', { what: say(`key.${act}`), key: key.show[0] }) : say(`key.${act}`);
}

/** @param {EventTarget | null} target */
const writes = (target) =>
  target instanceof HTMLElement && target.matches('input:not([type=checkbox],[type=radio],[type=range]),select,textarea');

/** @param {KeyboardEvent} event */
function pressed(event) {
  if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey || writes(event.target)) return;
  const target = /** @type {HTMLElement} */ (event.target);
  // A focused control has its own use for these keys.
  const owns = target.matches('button,summary,input,[role=menuitem],a:not(.t a)');
  if (owns && (event.key === ' ' || event.key === 'Enter')) return;
  if (target.matches('input[type=range],input[type=radio]') && MOVES.has(event.key)) return;
  if (event.key.length === 1 && event.key !== ' ' && event.key !== '?' && !letters()) return;
  const inner = scopes[scopes.length - 1];
  for (const { act, keys } of KEYS) {
    const action = inner[act] ?? (scopes.length <= 2 || act === 'help' ? scopes[0][act] : undefined);
    if (!action || !keys.includes(event.key)) continue;
    event.preventDefault();
    return action(event);
  }
}

addEventListener('keydown', pressed);
