/** Two to four photos on one shared transform: side by side, flipped, wiped, or their difference. */

import { html, nothing, render } from '../vendor/lit-html/lit-html.js';
import { thumb } from './api.js';
import { caption, captionOf, where } from './captions.js';
import { icon } from './icons.js';
import { hint, open } from './keys.js';
import { plain, say } from './strings.js';

/** @typedef {'side' | 'flip' | 'wipe' | 'difference'} Mode */
const MODES = /** @type {Mode[]} */ (['side', 'flip', 'wipe', 'difference']);
const MOST = 4;

export class Comparison {
  /**
   * @param {HTMLElement} host @param {string[]} ids @param {(at: number) => unknown} under what stands under each photo
   * @param {() => void} [close]
   */
  constructor(host, ids, under, close) {
    this.host = host;
    this.all = ids;
    this.from = 0;
    this.under = under;
    this.close = close;
    /** @type {Mode} */
    this.mode = 'side';
    this.front = 1;
    this.wipe = 50;
    this.zoom = 1;
    this.x = 0;
    this.y = 0;
    host.classList.add('compare');
    this.draw();
  }

  get ids() {
    return this.all.slice(this.from, this.from + MOST);
  }

  /** Show the next photo in front, as long as the key is held, or for good. @param {KeyboardEvent} [event] */
  flip(event) {
    if (event?.repeat) return;
    const back = this.front;
    if (this.mode === 'side') this.mode = 'flip';
    this.front = (this.front + 1) % this.ids.length;
    this.draw();
    if (!event) return;
    addEventListener('keyup', () => {
      this.front = back;
      this.draw();
    }, { once: true });
  }

  /** @param {Mode} mode */
  use(mode) {
    this.mode = mode;
    if (this.front === 0 && mode !== 'flip') this.front = 1;
    this.draw();
  }

  /** @param {number} zoom @param {number} [x] @param {number} [y] */
  move(zoom, x = this.x, y = this.y) {
    this.zoom = Math.max(1, Math.min(16, zoom));
    this.x = this.zoom === 1 ? 0 : x;
    this.y = this.zoom === 1 ? 0 : y;
    this.place();
  }

  place() {
    const stage = /** @type {HTMLElement} */ (this.host.querySelector('.stage'));
    stage.style.setProperty('--z', String(this.zoom));
    stage.style.setProperty('--x', `${this.x}px`);
    stage.style.setProperty('--y', `${this.y}px`);
    stage.style.setProperty('--wipe', `${this.wipe}%`);
    const slider = /** @type {HTMLInputElement | null} */ (this.host.querySelector('.zoom input'));
    if (slider) slider.value = String(Math.log2(this.zoom));
  }

  /** @param {PointerEvent} down */
  drag(down) {
    const [x, y] = [this.x - down.clientX, this.y - down.clientY];
    const stage = /** @type {HTMLElement} */ (down.currentTarget);
    stage.setPointerCapture(down.pointerId);
    const move = (/** @type {PointerEvent} */ event) => this.move(this.zoom, x + event.clientX, y + event.clientY);
    stage.addEventListener('pointermove', move);
    stage.addEventListener('lostpointercapture', () => stage.removeEventListener('pointermove', move), { once: true });
  }

  /** @param {WheelEvent} event */
  wheel(event) {
    event.preventDefault();
    const zoom = Math.max(1, Math.min(16, this.zoom * 1.002 ** -event.deltaY));
    const grow = zoom / this.zoom;
    const pane = /** @type {Element} */ (event.target).closest('.pane') ?? /** @type {Element} */ (event.currentTarget);
    const box = pane.getBoundingClientRect();
    const [cx, cy] = [event.clientX - box.left - box.width / 2, event.clientY - box.top - box.height / 2];
    this.move(zoom, cx - (cx - this.x) * grow, cy - (cy - this.y) * grow);
  }

  draw() {
    const { ids, mode, front } = this;
    const name = (/** @type {string} */ id) => plain(captionOf(id)?.name ?? '');
    const isOn = (/** @type {number} */ at) => mode === 'side' || (mode === 'flip' ? at === front : at === 0 || at === front);
    const shown = mode === 'flip' ? say('compare.shown', { name: name(ids[front]) }) : '';
    render(
      html`<div class="bar"><div class="seg" role="group" aria-label=${say('compare.mode')}>${MODES.map(
          (one) => html`<button aria-pressed=${one === mode} title=${one === 'flip' ? hint('flip') : nothing} @click=${() => this.use(one)}>${say(`compare.${one}`)}</button>`,
        )}</div>
        ${mode === 'flip' ? html`<button class="plain" @click=${() => this.flip()}>${say('compare.next')}</button><span role="status">${shown}</span>` : nothing}
        ${mode === 'wipe' ? html`<label class="check">${say('compare.wipe')}<input type="range" min="0" max="100" .value=${String(this.wipe)} @input=${(/** @type {any} */ event) => this.wiped(event)} /></label>` : nothing}
        ${ids.length > 2 && (mode === 'wipe' || mode === 'difference') ? this.chooser() : nothing}
        <label class="check zoom">${say('compare.zoom')}<input type="range" min="0" max="4" step="0.1" @input=${(/** @type {any} */ event) => this.move(2 ** Number(event.target.value))} /></label>
        ${this.all.length > MOST ? this.pager() : nothing}
        ${this.close ? html`<button class="icon" aria-label=${say('key.close')} @click=${this.close}>${icon('x')}</button>` : nothing}</div>
      <div class="stage ${mode}" @pointerdown=${(/** @type {PointerEvent} */ event) => this.drag(event)} @wheel=${(/** @type {WheelEvent} */ event) => this.wheel(event)}
        @dblclick=${() => this.move(1)}>${ids.map(
          (id, at) => html`<div class="pane ${at && at === front ? 'front' : ''}" ?hidden=${!isOn(at)}><img src=${thumb(id, 'L')} draggable="false" alt=${name(id)} /></div>`,
        )}</div>
      <div class="unders">${ids.map((_, at) => html`<div class="under">${this.under(this.from + at)}</div>`)}</div>`,
      this.host,
    );
    this.place();
  }

  /** @param {any} event */
  wiped(event) {
    this.wipe = Number(event.target.value);
    this.place();
  }

  chooser() {
    return html`<label class="check">${say('compare.with')}<select @change=${(/** @type {any} */ event) => {
      this.front = Number(event.target.value);
      this.draw();
    }}>${this.ids.slice(1).map((id, k) => html`<option value=${k + 1} .selected=${k + 1 === this.front}>${plain(captionOf(id)?.name ?? '')}</option>`)}</select></label>`;
  }

  pager() {
    const step = (/** @type {number} */ by) => () => {
      this.from += by;
      this.front = 1;
      this.draw();
    };
    return html`<button class="icon" aria-label=${say('compare.before')} ?disabled=${this.from === 0} @click=${step(-MOST)}>${icon('left')}</button>
      <button class="icon" aria-label=${say('compare.after')} ?disabled=${this.from + MOST >= this.all.length} @click=${step(MOST)}>${icon('right')}</button>`;
  }
}

/** Compare photos over the page. @param {string[]} ids @param {() => void} closed */
export async function openCompare(ids, closed) {
  if (document.querySelector('dialog.comparing')) return;
  await Promise.all(ids.map((id) => caption(id)));
  const dialog = document.createElement('dialog');
  dialog.className = 'comparing';
  dialog.setAttribute('aria-label', say('compare.label'));
  document.body.append(dialog);
  const under = (/** @type {number} */ at) => {
    const one = captionOf(ids[at]);
    return html`<b><bdi>${plain(one?.name ?? '')}</bdi></b><span class="mute"><bdi>${where(one?.folder ?? '')}</bdi> ${one?.w ? say('photo.pixels', { w: one.w, h: one.h }) : ''}</span>`;
  };
  const comparison = new Comparison(dialog, ids, under, () => dialog.close());
  const release = open({ close: () => dialog.close(), flip: (event) => comparison.flip(event) });
  dialog.addEventListener('close', () => {
    release();
    dialog.remove();
    closed();
  });
  dialog.showModal();
}
