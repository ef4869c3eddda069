/** One short message at the lower edge; a new one takes the place of the old one. */

import { html, nothing, render } from '../vendor/lit-html/lit-html.js';
import { thumb } from './api.js';
import { icon } from './icons.js';
import { plain, say } from './strings.js';

const STAYS_MS = 8000;
let timer = 0;

/** @returns {HTMLElement} */
const host = () => /** @type {HTMLElement} */ (document.getElementById('toast'));

export function hideToast() {
  clearTimeout(timer);
  host().classList.remove('on');
  render(nothing, host());
}

/**
 * @param {{title: string, detail?: string, photos?: string[], label?: string, act?: () => void, stays?: boolean}} what
 */
export function toast({ title, detail = '', photos = [], label = '', act, stays = false }) {
  clearTimeout(timer);
  const done = () => {
    hideToast();
    act?.();
  };
  render(
    html`${photos.length ? html`<span class="pair">${photos.slice(0, 2).map((id) => html`<img src=${thumb(id, 'S')} alt="" />`)}</span>` : nothing}
      <span><b>${title}</b>${detail ? html`<small><bdi>${plain(detail)}</bdi></small>` : nothing}</span>
      ${label ? html`<button @click=${done}>${label}</button>` : nothing}
      <button class="x" aria-label=${say('dismiss')} @click=${hideToast}>${icon('x')}</button>`,
    host(),
  );
  host().classList.add('on');
  if (!stays) timer = setTimeout(hideToast, STAYS_MS);
}
