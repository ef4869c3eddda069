/** Standing questions, and what has arrived for each. */

import { html, nothing, render } from '../../vendor/lit-html/lit-html.js';
import { get, send, thumb } from '../api.js';
import { icon } from '../icons.js';
import { open } from '../keys.js';
import { events, look, shownProblem } from '../live.js';
import { notice, problemNotice } from '../notices.js';
import { settled } from '../router.js';
import { moment, plain, say } from '../strings.js';
import { toast } from '../toast.js';
import { alike, format } from '../url.js';

const SHOWN = 24;

class Watches {
  constructor() {
    /** @type {any[] | null} */
    this.watches = null;
    /** @type {Map<number, any[]>} */
    this.arrivals = new Map();
    /** @type {import('../api.js').Problem | null} */
    this.problem = null;
    this.close = () => {};
    this.onMatch = () => this.load();
  }

  /** @param {HTMLElement} host */
  enter(host) {
    document.title = say('watches.document');
    if (!this.host) {
      this.host = host;
      this.close = open({});
      events.addEventListener('match', this.onMatch);
      this.draw();
    }
    this.load();
  }

  leave() {
    this.host = undefined;
    this.close();
    events.removeEventListener('match', this.onMatch);
  }

  async load() {
    try {
      this.watches = (await get('watches')).watches;
      this.problem = null;
      this.draw();
      const all = await Promise.all((this.watches ?? []).map(({ id }) => get(`watches/${id}/arrivals`)));
      this.watches?.forEach(({ id }, at) => this.arrivals.set(id, all[at].arrivals.slice(-SHOWN).reverse()));
      look();
    } catch (error) {
      this.problem = shownProblem(error);
    }
    this.draw();
    settled();
  }

  /** @param {number} id */
  async end(id) {
    await send('DELETE', `watches/${id}`).catch((problem) => toast({ title: problem.detail }));
    this.load();
  }

  draw() {
    if (!this.host) return;
    const { watches } = this;
    render(
      html`<main id="results" tabindex="-1" class="wide"><div class="bar"><h1>${watches ? say('watches.count', { n: watches.length }) : say('similar.looking')}</h1></div>
        ${this.problem ? problemNotice(this.problem, () => this.load()) : nothing}
        ${watches?.length === 0 ? notice({ title: say('watches.none'), detail: say('watches.how'), shape: 'bell' }) : nothing}
        ${(watches ?? []).map((watch) => this.card(watch))}</main>`,
      this.host,
    );
  }

  /** @param {any} watch */
  card(watch) {
    const arrivals = this.arrivals.get(watch.id) ?? [];
    const name = plain(watch.name || say('watches.unnamed'));
    return html`<section class="card watch" aria-label=${name}>
      <div class="asked">${watch.photos.map((/** @type {string} */ id) => html`<a href=${format(alike(id))}><img src=${thumb(id, 'S')} alt=${say('watches.photo', { name })} /></a>`)}
        <div><h2><bdi>${name}</bdi> ${watch.new ? html`<span class="badge num">${say('watches.new', { n: watch.new })}</span>` : nothing}</h2>
          <p class="mute">${watch.min === null || watch.min === undefined ? say('watches.band', { band: watch.band ?? '' }) : say('watches.line', { min: watch.min })}</p></div>
        <button class="plain" @click=${() => this.end(watch.id)}>${icon('x')}${say('watches.end')}</button></div>
      ${arrivals.length ? html`<ul class="arrivals">${arrivals.map((one, at) => html`<li class=${at < watch.new ? 'new' : ''}><a href=${format(alike(one.photo))} title="${plain(one.path)}, ${moment(one.at_s)}">
        <img src=${thumb(one.photo, 'S')} alt=${plain(one.path.split('/').at(-1) ?? '')} width=${Math.round(110 * one.ar)} height="110" loading="lazy" /></a></li>`)}</ul>` : html`<p class="mute">${say('watches.nothing')}</p>`}</section>`;
  }
}

export const page = new Watches();
