/** The panels left of the photos: the question, how alike, where, when, and how one got here. */

import { html, nothing, svg } from '../vendor/lit-html/lit-html.js';
import { thumb } from './api.js';
import { captionOf, where } from './captions.js';
import { keepZoom, zoom } from './grid.js';
import { icon } from './icons.js';
import { hint } from './keys.js';
import { number, plain, say } from './strings.js';

/** @typedef {import('./url.js').Term} Term @typedef {import('./url.js').Question} Question */
/** @typedef {import('./router.js').Hop} Hop */

/** @param {string} id @returns {string} */
const nameOf = (id) => plain(captionOf(id)?.name || say('photo.unnamed'));

/** @param {boolean} minus */
const sign = (minus) =>
  html`<span class="sign ${minus ? 'neg' : ''}" aria-hidden="true">${icon(minus ? 'minus' : 'plus')}</span>`;

/**
 * @param {Question} question
 * @param {{open: string, lost: Set<string>, toggle: (id: string) => void, change: (term: Term) => void,
 *   remove: (id: string) => void, clear: () => void, choose: () => void, crop: (event: PointerEvent, term: Term) => void,
 *   forget: ((id: string) => void) | null}} on
 */
export function queryPanel(question, on) {
  const [first, ...others] = question.terms;
  if (!first) return nothing;
  const opened = question.terms.find((one) => one.id === on.open);
  const picture = (/** @type {Term} */ term, /** @type {'S' | 'M'} */ size) =>
    on.lost.has(term.id)
      ? html`<span class="lost">${say('query.lost')}</span>`
      : html`<img src=${thumb(term.id, size)} draggable="false" alt=${say(term.minus ? 'query.minus' : 'query.plus', { name: nameOf(term.id) })} />`;
  const one = (/** @type {Term} */ term, /** @type {boolean} */ hero) => html`<div class="${hero ? 'hero' : 'chip'} ${term.minus ? 'neg' : ''}">
    <button class="pick" aria-expanded=${on.open === term.id} title=${say('query.open')} @click=${() => on.toggle(term.id)}
      @pointerdown=${(/** @type {PointerEvent} */ event) => hero && on.crop(event, term)}>${picture(term, hero ? 'M' : 'S')}
      ${term.crop ? cropFrame(term.crop) : nothing}</button>
    ${sign(term.minus)}
    <button class="remove" aria-label=${say('query.remove', { name: nameOf(term.id) })} @click=${() => on.remove(term.id)}>${icon('x')}</button>
    ${hero ? html`<span class="figcaption"><bdi>${nameOf(term.id)}</bdi><bdi>${where(captionOf(term.id)?.folder ?? '')}</bdi></span>` : nothing}
  </div>`;
  return html`<section class="query" aria-labelledby="hq">
    <h2 id="hq">${say('query.title')} <button @click=${on.clear}>${say('query.clear')}</button></h2>
    <div class="row">${one(first, true)}
      <div class="chips">${others.map((term) => one(term, false))}
        <button class="add" @click=${on.choose}>${icon('plus')}${say('query.add')}</button></div></div>
    ${opened ? termTools(opened, question, on) : nothing}
  </section>`;
}

/** @param {string} crop */
function cropFrame(crop) {
  const [x, y, w, h] = crop.split(',').map((share) => Number(share) * 100);
  return html`<svg class="crop" viewBox="0 0 100 100" preserveAspectRatio="none" aria-hidden="true">
    <path fill-rule="evenodd" d="M0 0h100v100H0Z M${x} ${y}h${w}v${h}h${-w}Z"></path></svg>`;
}

const WEIGHTS = [0.25, 0.5, 1, 2, 4];
/** A part to begin with, for those who use no pointer: the middle. */
const MIDDLE = '0.25,0.25,0.5,0.5';

/** @param {Term} term @param {Question} question @param {Parameters<typeof queryPanel>[1]} on */
function termTools(term, question, on) {
  const pluses = question.terms.filter((one) => !one.minus).length;
  return html`<div class="tools" role="group" aria-label=${say('query.tools', { name: nameOf(term.id) })}>
    <button class="plain" ?disabled=${!term.minus && pluses < 2} @click=${() => on.change({ ...term, minus: !term.minus })}>
      ${icon(term.minus ? 'plus' : 'minus')}${say(term.minus ? 'query.make_plus' : 'query.make_minus')}</button>
    <label>${say('query.weight')} <select @change=${(/** @type {any} */ event) => on.change({ ...term, weight: Number(event.target.value) })}>
      ${WEIGHTS.map((weight) => html`<option value=${weight} ?selected=${weight === term.weight}>${number(weight)}×</option>`)}</select></label>
    <button class="plain" @click=${() => on.change({ ...term, crop: term.crop ? '' : MIDDLE })}>
      ${say(term.crop ? 'query.whole' : 'query.part')}</button>
    ${term.crop ? cropTools(term, on.change) : nothing}
    ${on.forget ? html`<button class="plain" @click=${() => on.forget?.(term.id)}>${say('query.forget')}</button>` : nothing}
  </div>`;
}

/** @param {Term} term @param {(term: Term) => void} change */
function cropTools(term, change) {
  const names = ['x', 'y', 'w', 'h'];
  const parts = term.crop.split(',').map(Number);
  const edit = (/** @type {number} */ at, /** @type {string} */ value) => {
    const next = [...parts];
    next[at] = Number(value) / 100;
    next[at % 2 ? 3 : 2] = Math.min(next[at % 2 ? 3 : 2], 1 - next[at % 2]);
    change({ ...term, crop: next.map((one) => Math.round(one * 1000) / 1000).join(',') });
  };
  return html`<span class="crops">${names.map(
    (name, at) => html`<label>${say(`crop.${name}`)}
      <input type="number" min=${at < 2 ? 0 : 5} max=${at < 2 ? 95 : 100} .value=${String(Math.round(parts[at] * 100))}
        @change=${(/** @type {any} */ event) => edit(at, event.target.value)} /></label>`,
  )}</span>`;
}

/**
 * @param {{bins: number[], lo: number, hi: number}} histogram @param {number} min @param {string} cut what is in, in words
 * @param {(min: number, done: boolean) => void} change
 */
export function likenessPanel(histogram, min, cut, change) {
  const { bins, lo, hi } = histogram;
  const most = Math.max(1, ...bins);
  const step = (hi - lo) / bins.length || 1;
  const value = Math.max(0, Math.min(bins.length, (min - lo) / step));
  const bar = (/** @type {number} */ count, /** @type {number} */ k) => {
    const height = count ? 6 + 94 * Math.sqrt(count / most) : 3;
    return svg`<rect x=${k * 8} width="6.4" y=${100 - height} height=${height} class=${k >= value - 0.5 ? 'in' : ''}></rect>`;
  };
  const moved = (/** @type {boolean} */ done) => (/** @type {any} */ event) => {
    const at = Number(event.target.value);
    change(at <= 0 ? -1 : lo + at * step, done);
  };
  return html`<section aria-labelledby="ht"><h2 id="ht">${say('likeness.title')} <span class="num">${cut}</span></h2>
    <svg class="hist" viewBox="0 0 ${bins.length * 8} 100" preserveAspectRatio="none" aria-hidden="true">${bins.map(bar)}</svg>
    <input class="range" type="range" min="0" max=${bins.length} step="0.25" .value=${String(value)} aria-label=${say('likeness.least')}
      aria-valuetext=${cut} title=${`${hint('lower')}, ${hint('raise')}`} @input=${moved(false)} @change=${moved(true)} />
    <div class="ends"><span>${say('likeness.loosely')}</span><span>${say('likeness.same')}</span></div></section>`;
}

/**
 * @typedef {{id: string, name: string, count: number, more: boolean, state: string, children?: Folder[]}} Folder
 * @param {Folder[]} folders @param {Question} question
 * @param {{toggle: (id: string) => void, all: () => void, more: (folder: Folder) => void, online: () => void}} on
 * @param {boolean} [many] whether several may be chosen; then none chosen is all chosen
 */
export function folderPanel(folders, question, on, many = true) {
  /** @param {Folder} folder @param {boolean} within @returns {unknown} */
  const row = (folder, within) => {
    const isIn = within || question.folders.includes(folder.id);
    return html`<li><div class="folder"><label><input type="checkbox" .checked=${isIn} @change=${() => on.toggle(folder.id)} />
        <bdi>${plain(folder.name)}</bdi>${isAway(folder) ? html` <span class="off">${icon('plug')}${say('photo.offline')}</span>` : nothing}
        <span class="n num">${number(folder.count)}</span></label>
        ${folder.more ? html`<button class="twist" aria-expanded=${Boolean(folder.children)} aria-label=${say('folders.open', { name: plain(folder.name) })}
          @click=${() => on.more(folder)}>${icon('right')}</button>` : html`<span class="twist"></span>`}</div>
      ${folder.children ? html`<ul class="tree">${folder.children.map((child) => row(child, isIn))}</ul>` : nothing}</li>`;
  };
  return html`<section aria-labelledby="hf"><h2 id="hf">${say('folders.title')} <button @click=${on.all}>${say('folders.all')}</button></h2>
    <ul class="tree" id="folders">${folders.map((folder) => row(folder, many && question.folders.length === 0))}</ul>
    ${many && (folders.some(isAway) || question.online)
      ? html`<label class="check"><input type="checkbox" .checked=${question.online} @change=${on.online} />${say('folders.online')}</label>`
      : nothing}</section>`;
}

/** @param {Folder} folder */
const isAway = (folder) => folder.state === 'offline';

/**
 * @param {{month: string, n: number}[]} months @param {Question} question
 * @param {(from: string, to: string) => void} change
 */
export function timePanel(months, question, change) {
  /** @type {Map<number, number>} */
  const counts = new Map();
  for (const { month, n } of months) counts.set(Number(month.slice(0, 4)), (counts.get(Number(month.slice(0, 4))) ?? 0) + n);
  if (!counts.size) return nothing;
  const [least, last] = [Math.min(...counts.keys()), Math.max(...counts.keys())];
  const years = Array.from({ length: last - least + 1 }, (_, k) => least + k);
  const from = Number(question.from.slice(0, 4)) || least;
  const to = Number(question.to.slice(0, 4)) || last;
  const most = Math.max(...counts.values());
  const bar = (/** @type {number} */ year, /** @type {number} */ k) => {
    const height = Math.max(4, (100 * (counts.get(year) ?? 0)) / most);
    return svg`<rect x=${k * 10} width="8" y=${100 - height} height=${height} class=${year >= from && year <= to ? 'in' : ''}></rect>`;
  };
  const choose = (/** @type {string} */ label, /** @type {number} */ at, /** @type {(year: number) => void} */ set) =>
    html`<select aria-label=${label} @change=${(/** @type {any} */ event) => set(Number(event.target.value))}>
      ${years.map((year) => html`<option value=${year} .selected=${year === at}>${year}</option>`)}</select>`;
  const put = (/** @type {number} */ a, /** @type {number} */ b) => {
    const [low, high] = [Math.min(a, b), Math.max(a, b)];
    change(low > least ? String(low) : '', high < last ? String(high) : '');
  };
  return html`<section aria-labelledby="hw"><h2 id="hw">${say('time.title')}</h2>
    <svg class="years" viewBox="0 0 ${years.length * 10} 100" preserveAspectRatio="none" aria-hidden="true">${years.map(bar)}</svg>
    <div class="ends">${choose(say('time.from'), from, (year) => put(year, Math.max(to, year)))}
      ${choose(say('time.to'), to, (year) => put(Math.min(from, year), year))}</div></section>`;
}

/** @param {Hop[]} trail @param {string} now the photo of the question @param {(hop: Hop) => void} back */
export function trailPanel(trail, now, back) {
  if (!trail.length) return nothing;
  const go = (/** @type {MouseEvent} */ event, /** @type {Hop} */ hop) => {
    if (event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    back(hop);
  };
  return html`<section aria-labelledby="hr" class="trails"><h2 id="hr">${say('trail.title')}</h2><div class="trail">
    ${trail.slice(-5).map(
      (hop) => html`<a href=${hop.url} @click=${(/** @type {MouseEvent} */ event) => go(event, hop)}><img src=${thumb(hop.id, 'S')}
        alt=${say('trail.back', { name: nameOf(hop.id) })} /></a><s></s>`,
    )}<b aria-current="step"><img src=${thumb(now, 'S')} alt=${say('trail.now', { name: nameOf(now) })} /></b></div></section>`;
}

/** @param {() => void} changed */
export const sizeSlider = (changed) => html`<label class="size">${icon('sm')}<span class="vh">${say('size')}</span>
  <input type="range" min="70" max="150" .value=${String(zoom())} @input=${(/** @type {any} */ event) => {
    keepZoom(event.target.value);
    changed();
  }} />${icon('lg')}</label>`;
