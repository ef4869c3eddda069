/** A grid of thousands of photos, of which only those near the window are in the document. */

import { caption, captionOf, described, where } from './captions.js';
import { iconElement, make } from './icons.js';
import { hint } from './keys.js';
import { events } from './live.js';
import { giveUp, load } from './pictures.js';
import { rows } from './rows.js';
import { thumb, whyNoThumb } from './api.js';
import { day, number, plain, say } from './strings.js';

/**
 * @typedef {{id: string[], ar: number[], rgb: number[], flags: number[], score?: number[],
 *   more?: number[], taken?: number[]}} Photos columns, not rows
 * @typedef {{from: number, to: number, height: number, title: string, note: string, short?: boolean}} Band
 * @typedef {{href: (id: string) => string, pick: (id: string, tile: HTMLElement) => void,
 *   act?: (name: 'more' | 'less', id: string) => void, place?: (index: number) => string}} Wishes
 */

export const OFFLINE = 1;
const AHEAD = 800;
const HEAD = 30;
const HEADER = 70;
const ZOOM = 'pixkin.zoom';

/** @returns {number} how large the photos are wished, 100: as designed */
export const zoom = () => Number(localStorage.getItem(ZOOM)) || 100;

/** @param {number} percent */
export const keepZoom = (percent) => localStorage.setItem(ZOOM, String(percent));

export class Grid {
  /** @param {HTMLElement} host @param {string} label @param {Wishes} wishes */
  constructor(host, label, wishes) {
    this.host = host;
    this.list = make('ul');
    this.list.ariaLabel = label;
    host.replaceChildren(this.list);
    this.wishes = wishes;
    /** @type {Photos} */
    this.photos = { id: [], ar: [], rgb: [], flags: [] };
    /** @type {Band[]} */
    this.bands = [];
    /** @type {Map<number, HTMLElement>} */
    this.tiles = new Map();
    /** @type {Set<string>} */
    this.selected = new Set();
    this.boxes = new Float64Array(0);
    this.active = 0;
    this.width = 0;
    this.frame = 0;
    this.onScroll = () => (this.frame ||= requestAnimationFrame(() => this.paint()));
    addEventListener('scroll', this.onScroll, { passive: true });
    this.onGone = () => this.tiles.forEach((tile, i) => this.ifGone(tile, this.photos.id[i]));
    events.addEventListener('gone', this.onGone);
    this.sizes = new ResizeObserver(() => this.host.clientWidth !== this.width && this.layout());
    this.sizes.observe(host);
    host.addEventListener('click', (event) => this.clicked(event));
    host.addEventListener('focusin', (event) => this.entered(event));
    host.addEventListener('pointerover', (event) => this.hovered(event));
    host.addEventListener('dragstart', (event) => this.dragged(event));
  }

  close() {
    removeEventListener('scroll', this.onScroll);
    events.removeEventListener('gone', this.onGone);
    this.sizes.disconnect();
    cancelAnimationFrame(this.frame);
    this.clear();
  }

  get length() {
    return this.bands.at(-1)?.to ?? 0;
  }

  /** The photos that the bands show. @returns {Photos} */
  get shown() {
    const { length } = this;
    return /** @type {any} */ (Object.fromEntries(Object.entries(this.photos).map(([name, column]) => [name, column.slice(0, length)])));
  }

  /** @param {Photos} photos @param {Band[]} bands */
  show(photos, bands) {
    const focused = this.tiles.get(this.active)?.contains(document.activeElement);
    const id = this.photos.id[this.active];
    this.photos = photos;
    this.bands = bands.filter((band) => band.to > band.from);
    this.active = Math.max(0, photos.id.indexOf(id));
    this.layout();
    if (focused && this.length) this.focus(this.active);
  }

  layout() {
    const begun = performance.now();
    this.width = this.host.clientWidth;
    if (!this.width) return;
    this.clear();
    const scale = (zoom() / 100) * (this.width < 600 ? 0.62 : 1);
    this.boxes = new Float64Array(this.length * 4);
    let y = 0;
    for (const band of this.bands) {
      const below = band.title ? this.rule(band, y) : 0;
      y = rows(this.photos.ar, band.from, band.to, this.width, band.height * scale, y + below, this.boxes) + 14;
    }
    this.host.style.height = `${y}px`;
    performance.measure('layout', { start: begun });
    this.paint();
  }

  /** @param {Band} band @param {number} y @returns {number} how high its line is */
  rule(band, y) {
    const line = make('h2', 'rule', make('b', '', band.title), make('span', 'num', number(band.to - band.from)));
    if (band.note) line.append(make('span', '', band.note));
    line.style.top = `${y}px`;
    this.list.before(line);
    return HEAD;
  }

  clear() {
    for (const tile of this.tiles.values()) this.drop(tile);
    this.tiles.clear();
    this.host.replaceChildren(this.list);
    this.list.replaceChildren();
  }

  /** @param {HTMLElement} tile */
  drop(tile) {
    const img = tile.querySelector('img');
    if (img) giveUp(img);
    tile.remove();
  }

  get top() {
    return this.host.getBoundingClientRect().top + scrollY;
  }

  paint() {
    this.frame = 0;
    const above = scrollY - this.top - AHEAD;
    const below = above + innerHeight + 2 * AHEAD;
    const { boxes } = this;
    let low = 0;
    let high = this.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (boxes[middle * 4 + 1] + boxes[middle * 4 + 3] < above) low = middle + 1;
      else high = middle;
    }
    const keep = new Set([this.active]);
    for (let i = low; i < this.length && boxes[i * 4 + 1] < below; i++) keep.add(i);
    for (const [i, tile] of this.tiles) {
      // The photo that has the focus stays, far away or not.
      if (!keep.has(i) || i >= this.length) {
        this.drop(tile);
        this.tiles.delete(i);
      }
    }
    // Last made, first loaded: from the end, so that the upper left one comes first.
    const fresh = [...keep].filter((i) => i < this.length && !this.tiles.has(i)).sort((a, b) => b - a);
    for (const i of fresh) {
      const tile = this.tile(i);
      this.list.insertBefore(tile, this.tiles.get(i + 1) ?? null);
      this.tiles.set(i, tile);
    }
  }

  /** @param {number} i */
  tile(i) {
    const id = this.photos.id[i];
    const tile = make('li', 't');
    const { boxes } = this;
    const [x, y, w, h] = boxes.subarray(i * 4, i * 4 + 4);
    Object.assign(tile.style, { transform: `translate(${x}px,${y}px)`, width: `${w}px`, height: `${h}px` });
    tile.style.setProperty('--c', `#${(this.photos.rgb[i] < 0 ? 0x808080 : this.photos.rgb[i]).toString(16).padStart(6, '0')}`);
    tile.dataset.i = String(i);
    tile.ariaSetSize = String(this.length);
    tile.ariaPosInSet = String(i + 1);
    tile.classList.toggle('short', this.bands.some((band) => band.short && i >= band.from && i < band.to));
    tile.classList.toggle('selected', this.selected.has(id));
    const link = /** @type {HTMLAnchorElement} */ (make('a'));
    link.href = this.wishes.href(id);
    link.dataset.id = id;
    link.tabIndex = i === this.active ? 0 : -1;
    const img = /** @type {HTMLImageElement} */ (make('img'));
    img.decoding = 'async';
    img.alt = say('photo.nth', { n: i + 1 });
    img.addEventListener('error', () => this.failed(tile, id));
    load(img, thumb(id, h * devicePixelRatio > 280 ? 'M' : 'S'));
    link.append(img);
    tile.append(link);
    if (this.photos.flags[i] & OFFLINE) tile.append(make('span', 'tag', iconElement('plug'), say('photo.offline')));
    else if (this.photos.more?.[i]) tile.append(make('span', 'tag', iconElement('stack'), say('photo.copies', { n: this.photos.more[i] + 1 })));
    tile.classList.toggle('off', Boolean(this.photos.flags[i] & OFFLINE));
    this.name(tile, id, img, i);
    return tile;
  }

  /** @param {HTMLElement} tile @param {string} id @param {HTMLImageElement} img @param {number} i */
  async name(tile, id, img, i) {
    const one = await caption(id);
    img.alt = described(one) + (this.selected.has(id) ? `, ${say('photo.selected')}` : '');
    if (one.gone) this.note(tile, say('photo.gone', { path: plain(one.path) }));
    const told = tile.querySelector('.cap');
    if (told) told.replaceWith(this.cap(id, i));
  }

  /** @param {HTMLElement} tile @param {string} text */
  note(tile, text) {
    tile.classList.add('failed');
    tile.querySelector('.note')?.remove();
    tile.querySelector('a')?.append(make('span', 'note', text));
  }

  /** Note the last path of a photo that has vanished. @param {HTMLElement} tile @param {string} id */
  async ifGone(tile, id) {
    const before = captionOf(id);
    const now = await caption(id, true);
    if (now.gone) this.note(tile, say('photo.gone', { path: plain(before?.path || now.path) }));
  }

  /** @param {HTMLElement} tile @param {string} id */
  async failed(tile, id) {
    this.note(tile, plain((await caption(id)).name));
    const why = await whyNoThumb(id);
    if (!why) return;
    tile.title = why.detail;
    if (why.status === 404) this.ifGone(tile, id);
  }

  /** @param {string} id @param {number} i */
  cap(id, i) {
    const one = captionOf(id);
    const folder = make('span', '', make('bdi', '', where(one?.folder ?? '')), this.photos.taken?.[i] ? ` · ${day(this.photos.taken[i])}` : '');
    const place = make('span', 'num', this.wishes.place?.(i) ?? '');
    return make('div', 'cap', make('b', '', make('bdi', '', plain(one?.name ?? ''))), make('span', '', folder, place));
  }

  /** Build the caption and the buttons of a tile, which nobody sees before. @param {Element} tile */
  dress(tile) {
    const i = Number(/** @type {HTMLElement} */ (tile).dataset.i);
    if (tile.querySelector('.cap')) return;
    const id = this.photos.id[i];
    tile.append(this.cap(id, i));
    if (!this.wishes.act) return;
    const actions = make('div', 'act');
    for (const [name, shape] of /** @type {['more' | 'less', string][]} */ ([['more', 'plus'], ['less', 'minus']])) {
      const button = /** @type {HTMLButtonElement} */ (make('button', name, iconElement(shape)));
      button.type = 'button';
      button.tabIndex = -1;
      button.dataset.act = name;
      button.title = hint(name);
      button.ariaLabel = say(`photo.${name}`, { name: plain(captionOf(id)?.name ?? String(i + 1)) });
      actions.append(button);
    }
    tile.append(actions);
  }

  /** @param {Event} event @returns {HTMLElement | null} */
  tileOf(event) {
    return /** @type {Element} */ (event.target).closest('.t');
  }

  /** @param {Event} event */
  hovered(event) {
    const tile = this.tileOf(event);
    if (tile) this.dress(tile);
  }

  /** @param {Event} event */
  entered(event) {
    const tile = this.tileOf(event);
    if (!tile) return;
    this.dress(tile);
    this.activate(Number(tile.dataset.i));
  }

  /** @param {DragEvent} event */
  dragged(event) {
    const tile = this.tileOf(event);
    if (tile) event.dataTransfer?.setData('application/x-pixkin', this.photos.id[Number(tile.dataset.i)]);
  }

  /** @param {MouseEvent} event */
  clicked(event) {
    const tile = this.tileOf(event);
    if (!tile || event.defaultPrevented) return;
    const id = this.photos.id[Number(tile.dataset.i)];
    const button = /** @type {HTMLElement | null} */ (/** @type {Element} */ (event.target).closest('[data-act]'));
    if (button) return this.wishes.act?.(/** @type {'more' | 'less'} */ (button.dataset.act), id);
    // With a modifier it is the browser's: a new tab, a new window, a download.
    if (event.button || event.ctrlKey || event.metaKey || event.shiftKey || event.altKey) return;
    if (!(/** @type {Element} */ (event.target).closest('a'))) return;
    event.preventDefault();
    this.wishes.pick(id, tile);
  }

  /** @param {number} i */
  activate(i) {
    if (i === this.active) return;
    const before = this.tiles.get(this.active)?.querySelector('a');
    if (before) before.tabIndex = -1;
    this.active = i;
    const now = this.tiles.get(i)?.querySelector('a');
    if (now) now.tabIndex = 0;
  }

  get activeId() {
    return this.photos.id[this.active] ?? '';
  }

  /** @param {number} i move the focus there, and the window so that the photo is seen */
  focus(i) {
    if (!this.length) return;
    const to = Math.max(0, Math.min(this.length - 1, i));
    const y = this.boxes[to * 4 + 1] + this.top;
    const h = this.boxes[to * 4 + 3];
    if (y < scrollY + HEADER) scrollTo(0, y - HEADER - 30);
    else if (y + h > scrollY + innerHeight - 20) scrollTo(0, y + h - innerHeight + 40);
    this.activate(to);
    this.paint();
    this.tiles.get(to)?.querySelector('a')?.focus({ preventScroll: true });
  }

  /** @param {string} id @returns {boolean} whether it is here */
  focusOn(id) {
    const i = this.photos.id.indexOf(id);
    if (i < 0) return false;
    this.activate(i);
    this.paint();
    this.tiles.get(i)?.querySelector('a')?.focus({ preventScroll: true });
    return true;
  }

  /** @param {-1 | 1} step @param {number} [from] @returns {number} the photo above or below, by geometry */
  vertical(step, from = this.active) {
    const { boxes } = this;
    const centre = boxes[from * 4] + boxes[from * 4 + 2] / 2;
    let best = from;
    let nearest = Infinity;
    let row = NaN;
    for (let k = from + step; k >= 0 && k < this.length; k += step) {
      const y = boxes[k * 4 + 1];
      if (y === boxes[from * 4 + 1]) continue;
      if (Number.isNaN(row)) row = y;
      if (y !== row) break;
      const off = Math.abs(boxes[k * 4] + boxes[k * 4 + 2] / 2 - centre);
      if (off < nearest) [nearest, best] = [off, k];
    }
    return best;
  }

  /** @param {-1 | 1} step @returns {number} the photo a window further */
  page(step) {
    const aim = this.boxes[this.active * 4 + 1] + step * (innerHeight - 200);
    let at = this.active;
    for (let next = this.vertical(step, at); next !== at; next = this.vertical(step, at)) {
      at = next;
      if (step > 0 ? this.boxes[at * 4 + 1] >= aim : this.boxes[at * 4 + 1] <= aim) break;
    }
    return at;
  }

  /** @param {string} id @param {boolean} [on] */
  select(id, on = !this.selected.has(id)) {
    this.selected[on ? 'add' : 'delete'](id);
    for (const [i, tile] of this.tiles) {
      if (this.photos.id[i] !== id) continue;
      tile.classList.toggle('selected', on);
      const img = tile.querySelector('img');
      if (img) this.name(tile, id, img, i);
    }
  }

  /** What the keys do in every grid. @returns {Record<string, (event: KeyboardEvent) => void>} */
  get moves() {
    /** @param {(event: KeyboardEvent) => number} aim */
    const to = (aim) => (/** @type {KeyboardEvent} */ event) => {
      const from = this.active;
      const goal = Math.max(0, Math.min(this.length - 1, aim(event)));
      this.focus(goal);
      if (event.shiftKey) for (let i = Math.min(from, goal); i <= Math.max(from, goal); i++) this.select(this.photos.id[i], true);
    };
    return {
      next: to(() => this.active + 1),
      previous: to(() => this.active - 1),
      down: to(() => this.vertical(1)),
      up: to(() => this.vertical(-1)),
      first: to(() => 0),
      last: to(() => this.length - 1),
      pagedown: to(() => this.page(1)),
      pageup: to(() => this.page(-1)),
      select: () => this.select(this.activeId),
    };
  }
}
