/** The page: its frame, who may see it, and which page an address shows. */

import { html, nothing, render } from '../vendor/lit-html/lit-html.js';
import { send } from './api.js';
import { choose, takePictures } from './drops.js';
import { icon } from './icons.js';
import { everywhere, hint } from './keys.js';
import { daemonAway, events, listen, status } from './live.js';
import { copyable, notice } from './notices.js';
import { again, instead, push, rest, route, start, within } from './router.js';
import { duration, number, plain, say } from './strings.js';
import { hideToast, toast } from './toast.js';

const THEME = 'pixkin.theme';
const LINKS = [
  { page: 'similar', path: '/' },
  { page: 'dupes', path: '/dupes' },
  { page: 'library', path: '/library' },
  { page: 'watches', path: '/watches' },
];
let isSignedOut = false;

route(/^\/$/, () => import('./pages/start.js'));
route(/^\/like$/, () => import('./pages/similar.js'));
route(/^\/dupes$/, () => import('./pages/dupes.js'));
route(/^\/dupes\/[^/]+$/, () => import('./pages/group.js'));
route(/^\/library$/, () => import('./pages/library.js'));
route(/^\/watches$/, () => import('./pages/watches.js'));
route(/^\/status$/, () => import('./pages/status.js'));

function theme() {
  const root = document.documentElement;
  const isDark = getComputedStyle(root).colorScheme === 'dark' ||
    (!root.dataset.theme && matchMedia('(prefers-color-scheme: dark)').matches);
  root.dataset.theme = isDark ? 'light' : 'dark';
  localStorage.setItem(THEME, root.dataset.theme);
}

/** @param {string} page @returns {boolean} */
const isHere = (page) =>
  page === 'similar' ? ['/', '/like'].includes(location.pathname) : location.pathname.startsWith(`/${page}`);

/** What the ring says: how far indexing is, or why it stands still. */
function live() {
  const now = status();
  if (daemonAway()) return { share: 0, title: say('live.away'), detail: '', kind: 'warn' };
  if (!now) return { share: 0, title: '', detail: '', kind: '' };
  const { indexed, waiting } = now.counts;
  const share = indexed + waiting ? indexed / (indexed + waiting) : 1;
  if (now.paused_by) return { share, title: say('live.paused'), detail: say('live.waiting', { n: waiting }), kind: 'warn' };
  if (!waiting) return { share: 1, title: say('live.photos', { n: indexed }), detail: say('live.done'), kind: '' };
  const left = now.eta_s ? say('live.left', { rate: number(Math.round(now.rate)), left: duration(now.eta_s) }) : '';
  return { share, title: say('live.indexing', { n: indexed }), detail: left || say('live.waiting', { n: waiting }), kind: '' };
}

function ring() {
  const now = live();
  const label = [say('live.label'), now.title, now.detail].filter(Boolean).join(', ');
  return html`<a class="live ${now.kind}" href="/status" aria-label=${label} aria-current=${isHere('status') ? 'page' : nothing}>
    <svg class="ring" viewBox="0 0 26 26" aria-hidden="true"><circle cx="13" cy="13" r="11"></circle>
      <circle class="v" cx="13" cy="13" r="11" pathLength="100" stroke-dasharray="${Math.round(now.share * 100)} 100"></circle></svg>
    <div><b class="num">${now.title}</b><small class="num">${now.detail}</small></div></a>`;
}

function frame() {
  render(
    html`<a class="skip" href="#results">${say('skip')}</a>
    <header>
      <a class="logo" href="/" aria-label=${say('home')}><svg width="24" height="24" viewBox="0 0 24 24" aria-hidden="true">
        <rect class="far" x="9" y="9" width="13.5" height="13.5" rx="4.2"></rect><rect x="1.5" y="1.5" width="13.5" height="13.5" rx="4.2"></rect></svg><span>pixkin</span></a>
      <nav aria-label=${say('pages')}>${LINKS.map(
        ({ page, path }) => html`<a href=${path} aria-current=${isHere(page) ? 'page' : nothing}>${say(`page.${page}`)}${badge(page)}</a>`,
      )}</nav>
      <button class="ask" @click=${() => choose()}>${icon('img')}<span>${say('ask')}</span><kbd aria-hidden="true">${say('ask.key')}</kbd></button>
      <div class="right">${ring()}
        <button class="icon hide" aria-label=${say('key.help')} title=${hint('help')} @click=${help}>${icon('q')}</button>
        <button class="icon" aria-label=${say('theme')} title=${say('theme')} @click=${theme}>${icon('moon')}</button></div>
    </header>
    <div id="asking"></div>
    <div id="away">${daemonAway() && !isSignedOut ? awayNotice() : nothing}</div>
    <div class=${daemonAway() ? 'stale' : ''} id="pages"></div>
    <div class="toast" id="toast" role="status"></div>
    <div class="vh" id="said" role="status" aria-live="polite"></div>
    <div id="drop" aria-hidden="true"><div>${say('drop')}</div></div>`,
    /** @type {HTMLElement} */ (document.getElementById('root')),
  );
}

/** @param {string} page */
function badge(page) {
  const count = page === 'watches' ? (status()?.new ?? 0) : 0;
  return count ? html` <span class="badge num">${number(count)}</span>` : nothing;
}

function awayNotice() {
  const problem = daemonAway();
  if (problem?.daemon === 'versions') {
    return notice({ title: say('away.versions'), detail: [problem.detail, problem.hint].filter(Boolean).join('. '), shape: 'warn', kind: 'wide' });
  }
  if (problem?.status === 0) {
    return notice({ title: say('away.web'), commands: ['pixkin web'], shape: 'warn', kind: 'wide', detail: say('away.retry') });
  }
  return notice({ title: say('away.title'), commands: ['systemctl --user start pixkind'], shape: 'warn', kind: 'wide', detail: say('away.retry') });
}

async function help() {
  (await import('./help.js')).openHelp();
}

function signedOut() {
  if (isSignedOut) return;
  isSignedOut = true;
  frame();
  render(
    html`<main id="results" tabindex="-1" class="alone"><h1>${say('signedout.title')}</h1><p>${say('signedout.do')}</p>${copyable('pixkin web')}</main>`,
    instead(),
  );
}

/** A ticket in the fragment buys the cookie; then it leaves the address. */
async function session() {
  const ticket = new URLSearchParams(location.hash.slice(1)).get('ticket');
  if (!ticket) return;
  history.replaceState(history.state, '', location.pathname + location.search);
  await send('POST', 'session', { ticket }).catch(() => {});
}

let spoken = 0;
/** Say something to those who hear the page, at most once in 3 s. @param {string} text */
export function announce(text) {
  clearTimeout(spoken);
  spoken = setTimeout(() => {
    const said = document.getElementById('said');
    if (said) said.textContent = text;
  }, 600);
}

/** @param {any} match of a standing question */
function arrived({ name, photo, path }) {
  toast({
    title: say('arrived', { name: plain(name ?? '') }),
    detail: path ?? '',
    photos: photo ? [photo] : [],
    label: say('show'),
    act: () => push('/watches'),
  });
}

async function begin() {
  document.documentElement.dataset.theme = localStorage.getItem(THEME) ?? '';
  frame();
  within(/** @type {HTMLElement} */ (document.getElementById('pages')));
  addEventListener('signedout', signedOut);
  await session();
  takePictures(/** @type {HTMLElement} */ (document.getElementById('drop')));
  everywhere({ help, hop: () => rest().depth && history.back(), close: hideToast });
  events.addEventListener('status', frame);
  events.addEventListener('daemon', (event) => {
    frame();
    if (/** @type {CustomEvent} */ (event).detail) again();
  });
  events.addEventListener('match', (event) => arrived(/** @type {CustomEvent} */ (event).detail));
  listen();
  await start(frame);
}

begin();
