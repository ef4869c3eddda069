/** All photos, the newest first, of everywhere or of one folder. */

import { html, nothing, render } from '../../vendor/lit-html/lit-html.js';
import { get, Problem, remembered } from '../api.js';
import { doubtLine } from '../doubt.js';
import { Grid } from '../grid.js';
import { open } from '../keys.js';
import { met, onChange } from '../live.js';
import { announce } from '../main.js';
import { notice, problemNotice } from '../notices.js';
import { closeOverlays, copyPath, overlay, reveal } from '../overlay.js';
import { folderPanel, sizeSlider, timePanel } from '../panels.js';
import { push, replace, settled } from '../router.js';
import { monthName, say } from '../strings.js';
import { alike, format, parse } from '../url.js';

const AT_ONCE = 10_000;
const MOST = 100_000;
const HEIGHT = 168;
/** With fewer photos a month than this, a line for each month would be mostly lines. */
const CROWD = 12;

class Library {
  constructor() {
    this.question = parse(new URLSearchParams());
    /** @type {Grid | null} */
    this.grid = null;
    /** @type {any} */
    this.answer = null;
    /** @type {Problem | null} */
    this.problem = null;
    /** @type {import('../panels.js').Folder[]} */
    this.folders = [];
    /** @type {any[]} */
    this.months = [];
    this.sheet = '';
    this.path = '';
    this.isOld = false;
    this.asking = new AbortController();
    this.close = () => {};
  }

  /** @param {HTMLElement} host @param {URL} url @param {import('../router.js').Rest} again */
  enter(host, url, again) {
    this.host = host;
    this.question = parse(url.searchParams);
    document.title = say('library.document');
    this.draw();
    if (!this.grid) {
      const grid = new Grid(/** @type {HTMLElement} */ (host.querySelector('#grid')), say('library.label'), {
        href: (id) => format(alike(id)),
        pick: (id) => push(format(alike(id))),
      });
      this.grid = grid;
      const act = (/** @type {(id: string) => void} */ what) => () => grid.activeId && what(grid.activeId);
      const keys = {
        ...grid.moves,
        pick: act((id) => push(format(alike(id)))),
        view: act((id) => this.go({ photo: id })),
        copy: act(copyPath),
        reveal: act(reveal),
        folders: () => /** @type {HTMLElement | null} */ (document.querySelector('#folders input'))?.focus(),
        compare: () => this.go({ compare: [...grid.selected].slice(0, 4) }),
        close: () => [...grid.selected].forEach((id) => grid.select(id, false)),
      };
      const ends = [open(keys), onChange(() => this.answer?.basis, () => this.take({ isOld: true }))];
      this.close = () => ends.forEach((end) => end());
      get('folders').then(({ folders }) => this.take({ folders }), () => {});
    }
    this.load(again).then(() => this.over());
  }

  leave() {
    this.asking.abort();
    this.grid?.close();
    this.grid = null;
    closeOverlays();
    this.answer = null;
    this.path = '';
    this.close();
  }

  /** @param {Partial<Library>} news */
  take(news) {
    Object.assign(this, news);
    if (this.grid) this.draw();
  }

  /** @param {Partial<import('../url.js').Question>} change */
  go(change) {
    replace(format({ ...this.question, ...change }, '/library'));
  }

  /** Show other photos, from the newest of them on. @param {Partial<import('../url.js').Question>} change */
  narrow(change) {
    this.go({ ...change, after: '' });
  }

  /** @param {import('../router.js').Rest} again */
  async load(again) {
    const { folders, from, to, after } = this.question;
    const narrowed = [...folders.slice(0, 1).map((id) => ['in', id]), ...(from ? [['from', from]] : []), ...(to ? [['to', to]] : [])];
    const part = (/** @type {string} */ after) => `library?${new URLSearchParams([...narrowed, ...(after ? [['after', after]] : []), ['n', String(AT_ONCE)]])}`;
    const path = part(after);
    if (path === this.path && this.answer && again.scroll === undefined) return;
    this.path = path;
    this.asking.abort();
    this.asking = new AbortController();
    const { signal } = this.asking;
    try {
      const before = remembered(path);
      if (before) this.show(before, again);
      let answer = await get(path, signal);
      if (answer !== before) this.show(answer, before ? {} : again);
      else this.take({ isOld: false });
      while (answer.next && answer.photos.id.length < MOST) {
        const more = await get(part(answer.next), signal);
        answer = { ...more, basis: answer.basis, photos: joined(answer.photos, more.photos) };
        this.show(answer, {});
      }
      get(`timeline?${new URLSearchParams(narrowed.filter(([name]) => name === 'in'))}`).then(({ months }) => this.take({ months }), () => {});
    } catch (error) {
      if (!(error instanceof Problem) || signal.aborted) return;
      met(error);
      this.take({ problem: error.isAway ? null : error });
    }
    settled();
  }

  /** @param {any} answer @param {import('../router.js').Rest} again */
  show(answer, again) {
    this.take({ answer, problem: null, isOld: false });
    this.grid?.show(answer.photos, bands(answer.photos.taken));
    if (again.scroll !== undefined) scrollTo(0, again.scroll);
    if (again.focus) this.grid?.focusOn(again.focus);
    announce(say('live.photos', { n: answer.total }));
  }

  over() {
    if (this.grid) overlay(this, '/library', { pick: (id) => push(format(alike(id))) });
  }

  draw() {
    const { question, answer } = this;
    const on = {
      all: () => this.narrow({ folders: [] }),
      online: () => {},
      toggle: (/** @type {string} */ id) => this.narrow({ folders: question.folders.includes(id) ? [] : [id] }),
      more: async (/** @type {import('../panels.js').Folder} */ folder) => {
        folder.children = folder.children ? undefined : (await get(`folders?parent=${encodeURIComponent(folder.id)}`)).folders;
        this.draw();
      },
    };
    const sheets = /** @type {const} */ (['hf', 'hw']);
    render(
      html`<aside aria-label=${say('library.narrow')} data-sheet=${this.sheet || nothing}>
        ${this.folders.length ? folderPanel(this.folders, question, on, false) : nothing}
        ${timePanel(this.months, question, (from, to) => this.narrow({ from, to }))}</aside>
      <main id="results" tabindex="-1">
        <div class="bar"><h1>${answer ? say('live.photos', { n: answer.total }) : say('similar.looking')}</h1><span class="seg"></span>${sizeSlider(() => this.grid?.layout())}</div>
        ${answer ? doubtLine(answer, this.isOld ? () => this.load({ scroll: scrollY }) : null) : nothing}
        <div class="mob">${sheets.map((id) => html`<button class=${this.sheet === id ? 'on' : ''} aria-expanded=${this.sheet === id}
          @click=${() => this.take({ sheet: this.sheet === id ? '' : id })}>${say(`sheet.${id}`)}</button>`)}</div>
        ${this.problem ? problemNotice(this.problem, () => this.load({})) : nothing}
        ${answer && !answer.total ? notice({ title: say('library.none') }) : nothing}
        ${question.after ? html`<p><a class="plain" href=${format({ ...question, after: '' }, '/library')}>${say('library.newest')}</a></p>` : nothing}
        <div id="grid"></div>
        ${answer?.next && answer.photos.id.length >= MOST ? html`<p><a class="plain" href=${format({ ...question, after: answer.next, photo: '', compare: [] }, '/library')}>${say('library.older')}</a></p>` : nothing}</main>`,
      /** @type {HTMLElement} */ (this.host),
    );
  }
}

/** @param {any} a @param {any} b columns */
const joined = (a, b) => Object.fromEntries(Object.keys(a).map((name) => [name, [...a[name], ...b[name]]]));

/** Lines between months, or between years where months are thin. @param {number[]} taken @returns {import('../grid.js').Band[]} */
function bands(taken) {
  const months = runs(taken, 7);
  return months.length * CROWD > taken.length ? runs(taken, 4) : months;
}

/** @param {number[]} taken @param {4 | 7} letters of the date that make a run */
function runs(taken, letters) {
  /** @type {import('../grid.js').Band[]} */
  const found = [];
  let last = null;
  for (const [at, seconds] of taken.entries()) {
    const name = seconds ? new Date(seconds * 1000).toISOString().slice(0, letters) : '';
    if (name !== last) {
      const title = name.length === 7 ? monthName(name) : name || say('library.undated');
      found.push({ from: at, to: at, height: HEIGHT, title, note: '' });
    }
    last = name;
    found[found.length - 1].to = at + 1;
  }
  return found;
}

export const page = new Library();
