/** Groups of near-duplicates, the biggest saving first. */

import { html, nothing, render } from '../../vendor/lit-html/lit-html.js';
import { get, send, thumb } from '../api.js';
import { icon } from '../icons.js';
import { hint, open } from '../keys.js';
import { shownProblem } from '../live.js';
import { notice, problemNotice } from '../notices.js';
import { replace, settled } from '../router.js';
import { plain, say, size } from '../strings.js';
import { toast } from '../toast.js';
import { undoLast } from './decisions.js';

const BANDS = ['identical', 'same_shot', 'similar'];
const AT_ONCE = 50;
const AGAIN_MS = 700;
const FORMATS = ['paths', 'nul', 'json', 'sh'];

class Dupes {
  constructor() {
    /** @type {any} */
    this.found = null;
    /** @type {any[]} */
    this.groups = [];
    /** @type {import('../api.js').Problem | null} */
    this.problem = null;
    this.band = '';
    this.turn = 0;
    this.at = 0;
    this.close = () => {};
  }

  /** @param {HTMLElement} host @param {URL} url @param {import('../router.js').Rest} again */
  enter(host, url, again) {
    document.title = say('dupes.document');
    const band = url.searchParams.get('band') ?? '';
    if (!this.host) {
      this.host = host;
      this.close = open({
        undo: () => this.undo(),
        down: () => this.focus(this.at + 1),
        up: () => this.focus(this.at - 1),
        next: () => this.focus(this.at + 1),
        previous: () => this.focus(this.at - 1),
        first: () => this.focus(0),
        last: () => this.focus(this.groups.length - 1),
      });
    }
    if (band !== this.band) [this.groups, this.found] = [[], null];
    this.band = band;
    this.draw();
    this.load(again);
  }

  leave() {
    this.turn++;
    this.host = undefined;
    this.close();
  }

  /** @param {number} at */
  focus(at) {
    this.at = Math.max(0, Math.min(this.groups.length - 1, at));
    const links = /** @type {NodeListOf<HTMLElement>} */ (document.querySelectorAll('.group > a'));
    links[this.at]?.focus();
  }

  /** @param {number} [cursor] @returns {string} */
  path(cursor) {
    const band = this.band ? [['band', this.band]] : [];
    return `dupes?${new URLSearchParams([...band, ...(cursor ? [['cursor', String(cursor)]] : []), ['n', String(AT_ONCE)]])}`;
  }

  /** Ask until the search is done; what is known is shown. @param {import('../router.js').Rest} again */
  async load(again) {
    const mine = ++this.turn;
    try {
      for (;;) {
        const found = await get(this.path());
        if (mine !== this.turn) return;
        Object.assign(this, { found, groups: found.groups, problem: null });
        this.draw();
        if (again.scroll) scrollTo(0, again.scroll);
        settled();
        if (found.done) return;
        await new Promise((done) => setTimeout(done, AGAIN_MS));
        if (mine !== this.turn) return;
      }
    } catch (error) {
      this.problem = shownProblem(error);
      this.draw();
      settled();
    }
  }

  async more() {
    const found = await get(this.path(this.found.next));
    this.groups = [...this.groups, ...found.groups];
    this.found = found;
    this.draw();
  }

  async undo() {
    if (await undoLast()) this.load({});
  }

  async restore() {
    try {
      const { back, missing } = await send('POST', 'dupes/undo');
      toast({ title: say('dupes.back', { n: back }), detail: missing.join(', ') });
      this.load({});
    } catch (error) {
      toast({ title: /** @type {import('../api.js').Problem} */ (error).detail });
    }
  }

  draw() {
    if (!this.host) return;
    const { found, groups } = this;
    const chooser = (/** @type {string} */ band) => html`<button aria-pressed=${this.band === band}
      @click=${() => replace(band ? `/dupes?band=${band}` : '/dupes')}>${say(`dupes.band.${band || 'all'}`)}</button>`;
    const decided = groups.some((group) => group.decision?.aside?.length);
    render(
      html`<main id="results" tabindex="-1" class="wide">
        <div class="bar"><h1>${found ? say('dupes.count', { n: found.total }) : say('similar.looking')}</h1>
          <div class="seg" role="group" aria-label=${say('dupes.bands')}>${['', ...BANDS].map(chooser)}</div></div>
        ${found ? html`<p class="doubt" role="status"><span class="num">${say('dupes.saving', { size: size(found.saving) })}</span>
          ${found.done ? nothing : html`<span class="num">${icon('clock')}${say('dupes.comparing', { n: found.compared, of: found.pictures })}</span>`}
          ${found.left_out ? html`<a href="/status">${icon('warn')}${say('dupes.left', { n: found.left_out })}</a>` : nothing}</p>
        <p class="plan">${decided ? html`${say('dupes.plan')} ${FORMATS.map((format) => html`<a class="plain" download href="/api/v1/dupes/plan?format=${format}">${say(`plan.${format}`)}</a>`)}` : say('dupes.safe')}
          <button class="plain" title=${hint('undo')} @click=${() => this.undo()}>${say('dupes.undo')}</button>
          <button class="plain" @click=${() => this.restore()}>${say('dupes.restore')}</button></p>` : nothing}
        ${this.problem ? problemNotice(this.problem, () => this.load({})) : nothing}
        ${found?.done && !groups.length ? notice({ title: say('dupes.none'), shape: 'check' }) : nothing}
        <ul class="groups" aria-label=${say('page.dupes')}>${groups.map((group, at) => this.row(group, at))}</ul>
        ${found?.next ? html`<button class="plain" @click=${() => this.more()}>${say('dupes.more')}</button>` : nothing}</main>`,
      this.host,
    );
  }

  /** @param {any} group @param {number} at */
  row(group, at) {
    const state = decisionOf(group.decision);
    const text = [say(`dupes.band.${group.band}`), say('dupes.files', { n: group.members.length + group.more }), group.saving ? say('dupes.frees', { size: size(group.saving) }) : '', state].filter(Boolean);
    return html`<li class="group ${state ? 'decided' : ''}"><a href="/dupes/${group.id}" @focus=${() => (this.at = at)} aria-label=${[plain(group.members[0].name), ...text].join(', ')}>
      <span class="members">${group.members.slice(0, 6).map((/** @type {any} */ one) => html`<img src=${thumb(one.id, 'S')} alt="" loading="lazy" width=${Math.round(120 * one.ar)} height="120" />`)}</span>
      <span class="about"><b><bdi>${plain(group.members[0].name)}</bdi></b><span>${text.slice(0, 3).join(' · ')}</span>${state ? html`<span class="state">${icon('check')}${state}</span>` : nothing}</span></a></li>`;
  }
}

/** @param {any} decision @returns {string} */
export function decisionOf(decision) {
  if (!decision) return '';
  if (decision.apart) return say('decision.apart');
  if (decision.later) return say('decision.later');
  return decision.aside?.length ? say('decision.aside', { n: decision.aside.length }) : decision.keep?.length ? say('decision.keep') : '';
}

export const page = new Dupes();
