/** One group of near-duplicates: the photos large, what differs, what is proposed and why, and what you decide. */

import { html, nothing, render } from '../../vendor/lit-html/lit-html.js';
import { get, send, tagOf } from '../api.js';
import { keepCaption } from '../captions.js';
import { Comparison } from '../compare.js';
import { icon } from '../icons.js';
import { hint, open } from '../keys.js';
import { shownProblem } from '../live.js';
import { problemNotice } from '../notices.js';
import { push, settled } from '../router.js';
import { day, plain, say, size } from '../strings.js';
import { toast } from '../toast.js';
import { decide, undoLast } from './decisions.js';
import { decisionOf } from './dupes.js';

class Group {
  constructor() {
    /** @type {any} */
    this.group = null;
    /** @type {import('../api.js').Problem | null} */
    this.problem = null;
    /** @type {Comparison | null} */
    this.comparison = null;
    this.id = '';
    /** @type {Set<string>} the files that are to be set aside */
    this.aside = new Set();
    this.close = () => {};
  }

  /** @param {HTMLElement} host @param {URL} url */
  enter(host, url) {
    document.title = say('dupes.document');
    this.host = host;
    this.id = url.pathname.split('/')[2];
    this.comparison = null;
    this.close();
    this.close = open({
      keep: (event) => this.toggle(Number(event.key) - 1),
      proposed: () => this.decide(this.group.proposal.keep, this.group.proposal.aside),
      apart: () => this.decided({ apart: true }),
      later: () => this.decided({ later: true }),
      flip: (event) => this.comparison?.flip(event),
      undo: () => this.undo(),
      close: () => push('/dupes'),
      next: () => this.step(1),
      previous: () => this.step(-1),
    });
    render(html`<main id="results" tabindex="-1" class="comparing-page"><h1>${say('similar.looking')}</h1></main>`, host);
    this.load();
  }

  leave() {
    this.host = undefined;
    this.group = null;
    this.comparison = null;
    this.close();
  }

  async load() {
    try {
      this.take(await get(`dupes/${this.id}`));
    } catch (error) {
      this.problem = shownProblem(error);
      this.draw();
    }
    settled();
  }

  /** @param {any} group */
  take(group) {
    this.group = group;
    this.problem = null;
    for (const one of group.members) keepCaption({ ...one, copies: 1, gone: false });
    this.aside = new Set(group.decision?.aside ?? []);
    this.draw();
  }

  /** @param {number} at */
  toggle(at) {
    const one = this.group?.members[at];
    if (!one) return;
    this.aside[this.aside.has(one.file) ? 'delete' : 'add'](one.file);
    if (this.aside.size === this.group.members.length) {
      this.aside.delete(one.file);
      toast({ title: say('group.one') });
    }
    this.draw();
  }

  /** @param {string[]} keep @param {string[]} aside */
  decide(keep, aside) {
    if (!aside.length) return toast({ title: say('group.nothing') });
    return this.decided({ keep, aside });
  }

  /** @param {Parameters<typeof decide>[1]} decision */
  async decided(decision) {
    try {
      this.take(await decide(this.id, decision));
      toast({ title: decisionOf(this.group.decision), label: say('key.undo'), act: () => this.undo() });
    } catch (error) {
      toast({ title: /** @type {import('../api.js').Problem} */ (error).detail });
      this.load();
    }
  }

  async undo() {
    const group = await undoLast();
    if (group && group !== this.id) push(`/dupes/${group}`);
    else if (group) this.load();
  }

  /** Go on to the next group. @param {1 | -1} by */
  async step(by) {
    const { groups } = await get('dupes?n=200');
    const at = groups.findIndex((/** @type {any} */ one) => one.id === this.id) + by;
    if (groups[at]) push(`/dupes/${groups[at].id}`);
  }

  async trash() {
    try {
      await get(`dupes/${this.id}`);
      const { moved, stays } = await send('POST', `dupes/${this.id}/trash`, undefined, { 'If-Match': tagOf(`dupes/${this.id}`) });
      toast({ title: say('group.trashed', { n: moved.length }), detail: stays.map((/** @type {any} */ one) => `${one.path}: ${one.why}`).join(', '), label: say('key.undo'), act: () => this.restore(), stays: true });
      this.load();
    } catch (error) {
      toast({ title: /** @type {import('../api.js').Problem} */ (error).detail });
    }
  }

  async restore() {
    const { back } = await send('POST', 'dupes/undo').catch(() => ({ back: 0 }));
    toast({ title: say('dupes.back', { n: back }) });
    this.load();
  }

  draw() {
    const { group, host } = this;
    if (!host) return;
    if (!group) {
      render(html`<main id="results" tabindex="-1" class="comparing-page">${this.problem ? problemNotice(this.problem, () => this.load()) : nothing}</main>`, host);
      return;
    }
    const state = decisionOf(group.decision);
    const chosen = [...this.aside];
    const keep = group.members.map((/** @type {any} */ one) => one.file).filter((/** @type {string} */ file) => !this.aside.has(file));
    render(
      html`<main id="results" tabindex="-1" class="comparing-page">
        <div class="bar"><a class="icon" href="/dupes" aria-label=${say('group.back')} title=${say('group.back')}>${icon('left')}</a>
          <h1>${say(`dupes.band.${group.band}`)}, ${say('dupes.files', { n: group.members.length + group.more })}</h1>
          ${state ? html`<span class="state" role="status">${icon('check')}${state}</span>` : nothing}</div>
        <p class="proposal">${plain(group.proposal.reason)}</p>
        <div class="acts">
          <button class="plain strong" title=${hint('proposed')} ?disabled=${!group.proposal.aside.length} @click=${() => this.decide(group.proposal.keep, group.proposal.aside)}>${say('key.proposed')}</button>
          ${chosen.length ? html`<button class="plain" @click=${() => this.decide(keep, chosen)}>${say('group.mine', { n: chosen.length })}</button>` : nothing}
          <button class="plain" title=${hint('apart')} @click=${() => this.decided({ apart: true })}>${say('key.apart')}</button>
          <button class="plain" title=${hint('later')} @click=${() => this.decided({ later: true })}>${say('key.later')}</button>
          <button class="plain" title=${hint('undo')} @click=${() => this.undo()}>${say('key.undo')}</button>
          ${group.may_trash && group.decision?.aside?.length ? html`<button class="plain" @click=${() => this.trash()}>${say('group.trash')}</button>` : nothing}
          <span class="mute">${say(group.may_trash ? 'group.aside' : 'dupes.safe')}</span></div>
        <div id="comparison"></div></main>`,
      host,
    );
    if (this.comparison) this.comparison.draw();
    else this.comparison = new Comparison(/** @type {HTMLElement} */ (host.querySelector('#comparison')), group.members.map((/** @type {any} */ one) => one.id), (at) => this.under(at));
  }

  /** What stands under a photo: only what differs; the better value has a mark and a word. @param {number} at */
  under(at) {
    const { group } = this;
    const one = group.members[at];
    const isAside = this.aside.has(one.file);
    const fact = (/** @type {any} */ { fact: name, values, best }) => {
      const isBest = best.includes(at);
      const value = shown(name, values[at]);
      return value ? html`<div class=${isBest ? 'best' : ''}><dt>${say(`fact.${name}`)}</dt><dd><bdi>${value}</bdi>${isBest ? html` <span title=${say('group.better')} aria-label=${say('group.better')} role="img">▲</span>` : nothing}</dd></div>` : nothing;
    };
    return html`<div class="verdict"><b><bdi>${plain(one.name)}</bdi></b>
        <button class="keep ${isAside ? 'aside' : ''}" aria-pressed=${!isAside} title=${say('key.hint', { what: say('key.keep'), key: String(at + 1) })} @click=${() => this.toggle(at)}>
          ${icon(isAside ? 'x' : 'check')}${say(isAside ? 'group.set_aside' : 'group.keep')}</button></div>
      <dl class="differs">${group.differing.map(fact)}</dl>`;
  }
}

/** @param {string} fact @param {any} value @returns {string} */
function shown(fact, value) {
  if (value === null || value === undefined || value === '') return '';
  if (fact === 'size') return size(Number(value));
  if (fact === 'taken') return Number(value) ? day(Number(value)) : '';
  if (Array.isArray(value)) return fact === 'pixels' ? say('photo.pixels', { w: value[0], h: value[1] }) : value.map(String).map(plain).join(', ');
  return plain(String(value));
}

export const page = new Group();
