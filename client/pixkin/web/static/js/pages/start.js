/** The first page: a place to drop a photo, over the newest photos of the library. */

import { html, nothing, render } from '../../vendor/lit-html/lit-html.js';
import { get, remembered } from '../api.js';
import { choose } from '../drops.js';
import { Grid } from '../grid.js';
import { icon } from '../icons.js';
import { open } from '../keys.js';
import { daemonAway, events, shownProblem, status } from '../live.js';
import { notice, problemNotice } from '../notices.js';
import { push, settled } from '../router.js';
import { plain, say } from '../strings.js';
import { alike, format } from '../url.js';

const NEWEST = 200;
const WALL = `library?n=${NEWEST}`;
const HEIGHT = 168;
// Between two looks for new photos, while they come: as long as there is room for them, and then.
const SHORT_MS = 1000;
const FULL_MS = 15_000;

class Start {
  constructor() {
    /** @type {Grid | null} */
    this.grid = null;
    /** @type {any} */
    this.wall = null;
    /** @type {import('../api.js').Problem | null} */
    this.problem = null;
    this.came = 0;
    this.loaded = -Infinity; // when, as of performance.now()
    this.timer = 0;
    this.close = () => {};
    /** @type {number | undefined} how many photos there were when the wall was drawn */
    this.seen = undefined;
    this.onStatus = () => {
      const indexed = status()?.counts.indexed;
      if (!this.wall || indexed === undefined) return this.draw();
      const before = this.seen ?? (this.wall.total ? indexed : 0);
      this.seen = indexed;
      if (indexed > before) this.news(indexed - before);
      else this.draw();
    };
  }

  /** @param {HTMLElement} host @param {URL} _ @param {import('../router.js').Rest} again */
  enter(host, _, again) {
    document.title = say('start.document');
    this.host = host;
    if (!this.grid) {
      this.draw();
      const pick = (/** @type {string} */ id) => push(format(alike(id)));
      const grid = new Grid(/** @type {HTMLElement} */ (host.querySelector('#grid')), say('start.wall'), {
        href: (id) => format(alike(id)),
        pick,
      });
      this.grid = grid;
      this.close = open({ ...grid.moves, pick: () => pick(grid.activeId) });
      events.addEventListener('status', this.onStatus);
    }
    this.load(again);
  }

  leave() {
    clearTimeout(this.timer);
    this.grid?.close();
    this.grid = null;
    this.close();
    events.removeEventListener('status', this.onStatus);
  }

  /** @param {import('../router.js').Rest} again */
  async load(again) {
    this.loaded = performance.now();
    const before = remembered(WALL);
    if (before) this.show(before, again);
    try {
      const wall = await get(WALL);
      if (wall !== before) this.show(wall, before ? {} : again);
    } catch (error) {
      this.problem = shownProblem(error) ?? this.problem;
      this.draw();
    }
    settled();
  }

  /** @param {any} wall @param {import('../router.js').Rest} again */
  show(wall, again) {
    if (!this.grid) return;
    this.wall = wall;
    this.problem = null;
    this.came = 0;
    this.seen = status()?.counts.indexed ?? this.seen;
    this.draw();
    this.grid.show(wall.photos, [{ from: 0, to: wall.photos.id.length, height: HEIGHT, title: '', note: '' }]);
    if (again.scroll !== undefined) scrollTo(0, again.scroll);
    if (again.focus) this.grid.focusOn(again.focus);
  }

  /** New photos: the wall fills by itself while it is short or nobody has scrolled, else on request. @param {number} count */
  news(count) {
    this.came += count;
    const isQuiet = scrollY < 40 && !document.activeElement?.closest('.t') && !document.querySelector('.t:hover');
    clearTimeout(this.timer);
    if (!isQuiet) return this.draw();
    // Each photo that comes into sight costs the worker a moment in which it could index.
    const isFull = this.grid && this.grid.host.clientHeight > innerHeight;
    const wait = this.loaded + (isFull ? FULL_MS : SHORT_MS) - performance.now();
    if (wait <= 0) this.load({});
    else this.timer = setTimeout(() => this.news(0), wait);
  }

  draw() {
    const now = status();
    const isEmpty = this.wall?.photos.id.length === 0 && now?.roots && !now.counts.waiting && !now.counts.indexed;
    render(
      html`<main id="results" tabindex="-1" class="start">
        <div class="hello"><h1>${say('start.title')}</h1>
          <button class="zone" @click=${() => choose()}>${icon('img')}<b>${say('start.drop')}</b><span>${say('start.or')}</span></button>
          <p class="doubt" role="status">${now && !isEmpty ? this.about(now) : nothing}</p></div>
        ${this.problem ? problemNotice(this.problem, () => this.load({})) : nothing}
        ${isEmpty ? emptyNotice(now) : nothing}
        ${this.came ? html`<p class="came"><button class="plain" @click=${() => this.load({})}>${say('start.came', { n: this.came })}</button></p>` : nothing}
        <div id="grid"></div></main>`,
      /** @type {HTMLElement} */ (this.host),
    );
  }

  /** @param {any} now */
  about(now) {
    if (daemonAway()) return nothing;
    const parts = [html`<span class="num">${say('doubt.photos', { n: now.counts.indexed })}</span>`];
    if (now.paused_by) parts.push(html`<a href="/status">${say(`paused.${now.paused_by}`)}</a>`);
    else if (now.counts.waiting) parts.push(html`<span class="num">${say('start.filling', { n: now.counts.waiting })}</span>`);
    return parts;
  }
}

/** @param {any} now */
const emptyNotice = (now) =>
  notice({
    title: say('empty.title'),
    detail: say('empty.detail', { file: plain(now.config ?? '') }),
    commands: ['[index]\nfolders = ["~/Pictures"]', 'systemctl --user reload pixkind'],
    shape: 'folder',
    kind: 'wide',
    more: html`${(now.roots ?? []).map((/** @type {any} */ root) => html`<p>${say('empty.root', { path: plain(root.path) })}</p>`)}`,
  });

export const page = new Start();
