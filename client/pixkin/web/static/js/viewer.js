/** One photo large, over the page: PhotoSwipe's gestures in a native dialog, which keeps the focus and ends with Esc. */

import { html, nothing, render } from '../vendor/lit-html/lit-html.js';
import { get, thumb, whyNoThumb } from './api.js';
import { caption, captionOf, described, where } from './captions.js';
import { icon } from './icons.js';
import { hint, open } from './keys.js';
import { day, number, plain, say, size } from './strings.js';

const LONG = 2048;
/** @type {Promise<any> | null} */
let library = null;

function loaded() {
  library ??= new Promise((done, fail) => {
    const style = document.createElement('link');
    style.rel = 'stylesheet';
    style.href = new URL('../vendor/photoswipe/photoswipe.css', import.meta.url).href;
    style.addEventListener('load', () => import('../vendor/photoswipe/photoswipe.esm.min.js').then((it) => done(it.default), fail));
    document.head.append(style);
  });
  return library;
}

/**
 * @typedef {{changed: (id: string) => void, closed: (id: string) => void, pick: (id: string) => void,
 *   act?: (name: 'more' | 'less', id: string) => void, copy: (id: string) => void, reveal: (id: string) => void}} Wishes
 * @param {import('./grid.js').Photos} photos @param {string} first @param {Wishes} wishes
 */
export async function openViewer(photos, first, wishes) {
  if (document.querySelector('dialog.viewer')) return;
  const dialog = document.createElement('dialog');
  dialog.className = 'viewer';
  dialog.setAttribute('aria-label', say('viewer.label'));
  document.body.append(dialog);
  dialog.showModal();
  const [PhotoSwipe] = await Promise.all([loaded(), caption(first)]);
  if (!dialog.open) return;
  new Viewer(dialog, PhotoSwipe, photos, first, wishes);
}

class Viewer {
  /** @param {HTMLDialogElement} dialog @param {any} PhotoSwipe @param {import('./grid.js').Photos} photos @param {string} first @param {Wishes} wishes */
  constructor(dialog, PhotoSwipe, photos, first, wishes) {
    this.dialog = dialog;
    this.photos = photos;
    this.wishes = wishes;
    this.why = '';
    /** @type {any} */
    this.facts = null;
    const stage = document.createElement('div');
    this.chrome = document.createElement('div');
    this.chrome.className = 'chrome';
    dialog.append(stage, this.chrome);
    const calm = matchMedia('(prefers-reduced-motion: reduce)').matches;
    this.swipe = new PhotoSwipe({
      dataSource: photos.id.map((id) => ({ id })),
      index: Math.max(0, photos.id.indexOf(first)),
      appendToEl: stage,
      // Its own buttons are written with innerHTML, which the page forbids; ours are better named anyway.
      ...{ close: false, zoom: false, arrowPrev: false, arrowNext: false, counter: false, preloader: false },
      ...{ escKey: false, arrowKeys: false, trapFocus: false, returnFocus: false, loop: false, bgOpacity: 1 },
      ...{ showHideAnimationType: 'none', zoomAnimationDuration: calm ? 0 : 250, wheelToZoom: true, clickToCloseNonZoomable: false },
      ...{ secondaryZoomLevel: 1, maxZoomLevel: 9, bgClickAction: 'close', tapAction: 'toggle-controls', errorMsg: say('viewer.error') },
    });
    this.swipe.addFilter('itemData', (/** @type {any} */ _, /** @type {number} */ at) => this.slide(at));
    this.swipe.on('change', () => this.changed());
    this.swipe.on('loadError', () => this.failed());
    // The keys are those of the page's own table, but up and down move a photo that is zoomed.
    this.swipe.on('keydown', (/** @type {any} */ event) => {
      if (!['ArrowUp', 'ArrowDown'].includes(event.originalEvent.key)) event.preventDefault();
    });
    this.swipe.on('destroy', () => this.end());
    this.isOver = false;
    this.release = open(this.actions());
    dialog.addEventListener('close', () => this.end());
    this.swipe.init();
    // The dialog around it is the dialog.
    this.swipe.element?.setAttribute('role', 'group');
    this.swipe.element?.setAttribute('aria-label', say('viewer.label'));
    this.changed();
  }

  get id() {
    return this.photos.id[this.swipe.currIndex];
  }

  /** @param {number} at */
  slide(at) {
    const id = this.photos.id[at];
    const known = captionOf(id);
    const ar = known?.w && known.h ? known.w / known.h : this.photos.ar[at];
    const long = Math.max(known?.w ?? 0, known?.h ?? 0) || LONG;
    const [w, h] = ar >= 1 ? [long, long / ar] : [long * ar, long];
    const shown = Math.round((w * LONG) / long);
    const large = long > LONG ? { srcset: `${thumb(id, 'L')} ${shown}w, ${thumb(id, 'X')} ${Math.round(w)}w` } : {};
    const alt = known ? described(known) : say('photo.nth', { n: at + 1 });
    return { src: thumb(id, 'L'), msrc: thumb(id, 'S'), width: Math.round(w), height: Math.round(h), alt, ...large };
  }

  async changed() {
    const { id } = this;
    this.why = '';
    this.wishes.changed(id);
    this.draw();
    await caption(id);
    if (this.facts) this.facts = await get(`photos/${id}`).catch(() => null);
    if (this.dialog.open) this.draw();
  }

  async failed() {
    const { id } = this;
    const problem = await whyNoThumb(id, 'L');
    if (id !== this.id || !problem) return;
    this.why = problem.daemon === 'offline' ? say('viewer.offline') : problem.detail;
    this.draw();
  }

  end() {
    if (this.isOver) return;
    this.isOver = true;
    const { id } = this;
    this.release();
    this.dialog.close();
    this.dialog.remove();
    this.swipe.destroy();
    this.wishes.closed(id);
  }

  /** @param {number} level 0: fit; 1: 100 %; … */
  zoom(level) {
    const slide = this.swipe.currSlide;
    slide?.zoomTo(level || slide.zoomLevels.fit, undefined, 200);
  }

  async toggleFacts() {
    this.facts = this.facts ? null : await get(`photos/${this.id}`).catch(() => null);
    this.draw();
  }

  actions() {
    const leave = (/** @type {(id: string) => void} */ then) => () => {
      const { id } = this;
      this.end();
      then(id);
    };
    return {
      next: () => this.swipe.next(),
      previous: () => this.swipe.prev(),
      first: () => this.swipe.goTo(0),
      last: () => this.swipe.goTo(this.photos.id.length - 1),
      view: () => this.end(),
      close: () => this.end(),
      pick: leave((id) => this.wishes.pick(id)),
      more: leave((id) => this.wishes.act?.('more', id)),
      less: leave((id) => this.wishes.act?.('less', id)),
      copy: () => this.wishes.copy(this.id),
      reveal: () => this.wishes.reveal(this.id),
      zoom: (/** @type {KeyboardEvent} */ event) => this.zoom(Number(event.key)),
    };
  }

  draw() {
    const one = captionOf(this.id);
    const at = this.swipe.currIndex;
    const actions = this.actions();
    const button = (/** @type {keyof ReturnType<Viewer['actions']>} */ act, /** @type {string} */ shape, kind = '') =>
      html`<button class="icon ${kind}" aria-label=${say(`key.${act}`)} title=${hint(act)} @click=${actions[act]}>${icon(shape)}</button>`;
    render(
      html`<div class="top"><div><b><bdi>${plain(one?.name ?? '')}</bdi></b>
          <span><bdi>${where(one?.folder ?? '')}</bdi>${one?.taken_s ? ` · ${day(one.taken_s)}` : ''}</span></div>
        <span class="num">${say('viewer.place', { n: at + 1, of: this.photos.id.length })}</span>
        <button class="plain" title=${hint('pick')} @click=${actions.pick}>${say('viewer.pick')}</button>
        ${button('reveal', 'folder')}
        <button class="icon" aria-label=${say('viewer.facts')} title=${say('viewer.facts')} aria-expanded=${Boolean(this.facts)} @click=${() => this.toggleFacts()}>${icon('info')}</button>
        ${button('close', 'x')}</div>
      ${at > 0 ? button('previous', 'left', 'prev') : nothing}
      ${at < this.photos.id.length - 1 ? button('next', 'right', 'next') : nothing}
      ${this.why ? html`<p class="why" role="alert">${icon('plug')}${plain(this.why)}</p>` : nothing}
      ${this.facts ? factsPanel(this.facts, this.photos.score?.[at]) : nothing}`,
      this.chrome,
    );
  }
}

/** @param {any} photo @param {number} [score] */
const factsPanel = (photo, score) => html`<aside class="details" aria-label=${say('viewer.facts')}><dl>
  ${[
    [say('fact.pixels'), photo.w ? say('photo.pixels', { w: photo.w, h: photo.h }) : ''],
    [say('fact.taken'), photo.taken_s ? (photo.by_name ? say('fact.by_name', { day: day(photo.taken_s) }) : day(photo.taken_s)) : ''],
    [say('fact.camera'), plain(photo.camera)],
    [say('fact.score'), score === undefined ? '' : number(score)],
  ].map(([name, value]) => (value ? html`<div><dt>${name}</dt><dd>${value}</dd></div>` : nothing))}</dl>
  <ul class="list">${photo.files.map((/** @type {any} */ file) => html`<li><div><bdi>${plain(file.path)}</bdi><p>${size(file.size)}${file.offline ? `, ${say('photo.offline')}` : ''}</p></div></li>`)}</ul></aside>`;
