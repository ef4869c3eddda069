/** Which page an address shows. Hops push a history entry, filters replace it, Back finds scroll and focus again. */

import { format, parse, withTerm } from './url.js';

/**
 * @typedef {{scroll?: number, focus?: string, depth?: number, trail?: Hop[]}} Rest what an entry remembers
 * @typedef {{url: string, id: string, depth: number}} Hop
 * @typedef {{enter: (host: HTMLElement, url: URL, rest: Rest) => void, leave: () => void}} Page
 * @typedef {() => Promise<{page: Page}>} Loader
 */

/** @type {{pattern: RegExp, load: Loader}[]} */
const routes = [];
/** @type {Page | null} */
let shown = null;
let turn = 0;
let timer = 0;
let isSettled = false;
/** @type {HTMLElement} */
let host;
/** @type {HTMLElement} */
let place;
let isClosed = false;
/** @type {() => void} */
let told = () => {};

/** @returns {Rest} */
export const rest = () => history.state ?? {};

/** @param {Rest} more what the current entry shall remember too */
export const remember = (more) => history.replaceState({ ...rest(), ...more }, '');

/** @param {RegExp} pattern @param {Loader} load */
export const route = (pattern, load) => routes.push({ pattern, load });

/** Go on to another address, as a click does. @param {string} url @param {Hop[]} [trail] how one got there */
export function push(url, trail = []) {
  keep();
  history.pushState({ depth: (rest().depth ?? 0) + 1, trail }, '', url);
  return show({ scroll: 0 });
}

/** Change the address of what is shown. @param {string} url */
export function replace(url) {
  history.replaceState(rest(), '', url);
  return show(null);
}

/** @param {string} url changes it and shows nothing new: what it says is on the screen already */
export const note = (url) => history.replaceState(rest(), '', url);

/** @param {Hop} hop @returns {void} */
export const back = (hop) => history.go(hop.depth - (rest().depth ?? 0));

/** A page has found again what it was told to: from now on its scroll and focus are kept. */
export function settled() {
  isSettled = true;
}

function keep() {
  clearTimeout(timer);
  // While the photos of an entry are on their way, the window says nothing about where it was.
  if (!isSettled) return;
  const tile = document.activeElement?.closest('.t');
  remember({ scroll: scrollY, focus: tile?.querySelector('a')?.dataset.id ?? rest().focus });
}

/** @param {Rest | null} again what to find again; null: stay */
async function show(again) {
  if (isClosed) return;
  const mine = ++turn;
  clearTimeout(timer);
  if (again) isSettled = false;
  const url = new URL(location.href);
  const found = routes.find((one) => one.pattern.test(url.pathname)) ?? routes[0];
  const { page } = await found.load();
  if (mine !== turn) return;
  if (page !== shown) fresh(page);
  page.enter(host, url, again ?? {});
  told();
}

/** Every page has an element of its own: what lit knows of the one before is gone with it. @param {Page | null} page */
function fresh(page) {
  shown?.leave();
  shown = page;
  host = document.createElement('div');
  host.className = 'app';
  place.replaceChildren(host);
}

/** Show something that is no page, whatever the address says. @returns {HTMLElement} where */
export function instead() {
  turn++;
  isClosed = true;
  fresh(null);
  return host;
}

/** @param {HTMLElement} where pages are shown */
export function within(where) {
  place = where;
}

/** @param {() => void} changed is called when another address is shown */
export function start(changed) {
  told = changed;
  history.scrollRestoration = 'manual';
  if (history.state === null) history.replaceState({ depth: 0, trail: [] }, '');
  addEventListener('popstate', () => show(rest()));
  addEventListener('pagehide', keep);
  const later = () => {
    clearTimeout(timer);
    timer = setTimeout(keep, 150);
  };
  addEventListener('scroll', later, { passive: true });
  addEventListener('focusin', later);
  document.addEventListener('click', (event) => {
    const link = /** @type {Element} */ (event.target).closest?.('a[href]');
    if (!(link instanceof HTMLAnchorElement) || event.defaultPrevented || event.button) return;
    if (event.ctrlKey || event.metaKey || event.shiftKey || event.altKey || link.download || link.target) return;
    if (link.origin !== location.origin || link.hash || link.pathname.startsWith('/api/')) return;
    event.preventDefault();
    push(link.href);
  });
  return show(rest());
}

/** @returns {Hop[]} the trail, with the question on the screen as its last hop */
export function trailOn() {
  const { trail = [], depth = 0 } = rest();
  const here = location.pathname === '/like' ? parse(new URLSearchParams(location.search)).terms[0] : undefined;
  return here ? [...trail, { url: location.pathname + location.search, id: here.id, depth }].slice(-12) : trail;
}

/** Go on with one more photo in the question. @param {string} id @param {boolean} minus */
export const add = (id, minus) =>
  push(format(withTerm(parse(new URLSearchParams(location.search)), id, minus)), rest().trail);

/** Show the current address again, as after a daemon has come back. */
export const again = () => show(null);
