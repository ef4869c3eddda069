/** What the daemon does: folders, progress, and what failed, each with the command that mends it. */

import { html, nothing, render } from '../../vendor/lit-html/lit-html.js';
import { get, send } from '../api.js';
import { icon } from '../icons.js';
import { open } from '../keys.js';
import { events, look, shownProblem } from '../live.js';
import { copyable, problemNotice } from '../notices.js';
import { settled } from '../router.js';
import { duration, number, plain, say } from '../strings.js';
import { toast } from '../toast.js';

const SHAPES = /** @type {Record<string, string>} */ ({ online: 'check', scanning: 'clock', offline: 'plug', paused: 'clock' });

class StatusPage {
  constructor() {
    /** @type {any} */
    this.now = null;
    /** @type {import('../api.js').Problem | null} */
    this.problem = null;
    this.close = () => {};
    this.onStatus = (/** @type {any} */ { detail }) => {
      if (!this.now) return;
      this.now = { ...this.now, ...detail };
      this.draw();
    };
  }

  /** @param {HTMLElement} host */
  enter(host) {
    document.title = say('status.document');
    if (!this.host) {
      this.host = host;
      this.close = open({});
      events.addEventListener('status', this.onStatus);
    }
    this.load();
  }

  leave() {
    this.host = undefined;
    this.close();
    events.removeEventListener('status', this.onStatus);
  }

  async load() {
    try {
      this.now = await get('status');
      this.problem = null;
    } catch (error) {
      this.problem = shownProblem(error);
    }
    this.draw();
    settled();
  }

  /** @param {'pause' | 'resume'} what */
  async control(what) {
    await send('POST', what, what === 'pause' ? {} : undefined).catch((problem) => toast({ title: problem.detail }));
    await look();
    await this.load();
  }

  draw() {
    if (!this.host) return;
    const { now } = this;
    render(
      html`<main id="results" tabindex="-1" class="page"><div class="bar"><h1>${say('status.title')}</h1></div>
        ${this.problem ? problemNotice(this.problem, () => this.load()) : nothing}
        ${now ? html`${this.progress(now)}${folders(now)}${failures(now)}${formats(now)}${about(now)}` : nothing}</main>`,
      this.host,
    );
  }

  /** @param {any} now */
  progress(now) {
    const { indexed, waiting, failed, offline } = now.counts;
    const facts = [
      [indexed, say('status.indexed')],
      [waiting, say('status.waiting')],
      [failed, say('status.failed')],
      [offline, say('status.offline')],
    ];
    const speed = now.eta_s ? say('live.left', { rate: number(Math.round(now.rate)), left: duration(now.eta_s) }) : '';
    return html`<section class="card"><dl class="facts">${facts.map(([n, what]) => html`<div><dt>${what}</dt><dd class="num">${number(Number(n))}</dd></div>`)}</dl>
      <p>${now.paused_by ? say(`paused.${now.paused_by}`) : plain(now.doing ?? '')} ${speed}</p>
      <p>${
        now.paused_by
          ? html`<button class="plain strong" @click=${() => this.control('resume')}>${say('status.resume')}</button>`
          : html`<button class="plain" @click=${() => this.control('pause')}>${say('status.pause')}</button>`
      }</p></section>`;
  }
}

/** @param {any} now */
const folders = (now) => html`<section class="card"><h2>${say('status.folders')}</h2><ul class="list">${now.roots.map(
  (/** @type {any} */ root) => html`<li class=${root.state === 'online' ? '' : 'warn'}>${icon(SHAPES[root.state] ?? 'warn')}
    <div><bdi>${plain(root.path)}</bdi> <span class="mute">${say(`root.${root.state}`)}</span>
    ${root.reason ? html`<p>${plain(root.reason)}</p>` : nothing}${root.hint ? html`<p>${plain(root.hint)}</p>` : nothing}</div>
    <span class="n num">${root.photos === undefined ? '' : number(root.photos)}</span></li>`,
)}</ul></section>`;

/** @param {any} now */
const failures = (now) =>
  now.failures?.length
    ? html`<section class="card"><h2>${say('status.failures')} <span class="num">${number(now.counts.failed)}</span></h2><ul class="list">${now.failures.map(
        (/** @type {any} */ one) => html`<li class="warn">${icon('warn')}<div><bdi>${plain(one.path)}</bdi><p>${plain(one.reason)}</p></div></li>`,
      )}</ul>${copyable('pixkin status --failed')}</section>`
    : nothing;

/** @param {any} now */
const formats = (now) => {
  const live = (now.formats ?? []).filter((/** @type {any} */ one) => one.live);
  const missing = (now.formats ?? []).filter((/** @type {any} */ one) => !one.live);
  if (!live.length) return nothing;
  return html`<section class="card"><h2>${say('status.formats')}</h2><p>${live.map((/** @type {any} */ one) => one.name).join(', ')}</p>
    ${missing.map((/** @type {any} */ one) => html`<p class="mute">${say('refused.missing', { name: one.name, why: plain(one.why) })}</p>`)}</section>`;
};

/** @param {any} now */
const about = (now) => html`<p class="mute">${say('status.version', { version: now.daemon?.version ?? '' })}</p>`;

export const page = new StatusPage();
