/** The photos that are like the question. */

import { html, nothing, render } from '../../vendor/lit-html/lit-html.js';
import { get, Problem, remembered, send } from '../api.js';
import { caption, captionOf } from '../captions.js';
import { doubtLine } from '../doubt.js';
import { choose } from '../drops.js';
import { Grid } from '../grid.js';
import { icon } from '../icons.js';
import { open } from '../keys.js';
import { met, onChange } from '../live.js';
import { announce } from '../main.js';
import { notice, problemNotice } from '../notices.js';
import { add, back, push, replace, rest, settled, trailOn } from '../router.js';
import { number, plain, say } from '../strings.js';
import { toast } from '../toast.js';
import { alike, asked, asTerms, format, parse } from '../url.js';

/** @typedef {import('../url.js').Question} Question @typedef {import('../panels.js').Folder} Folder */

const HEIGHTS = { closest: 232, alike: 178, further: 138, short: 104 };
const MOST = 1000;
const NEAREST = 12;
// Photos first: these are loaded beside them.
const loading = import('../panels.js');
const overlays = () => import('../overlay.js');
const SETTLE_MS = 120;
/** Where a picture of the page takes longer than that, as without a graphics card, no photo flies. */
const FLIGHT_MS = 50;

/** @param {Question} question @returns {string} what the server is asked */
const pathOf = (question) => `similar?${new URLSearchParams([...asked(question), ['n', String(MOST)]])}`;

class Similar {
  constructor() {
    /** @type {Question} */
    this.question = parse(new URLSearchParams());
    /** @type {any} */
    this.answer = null;
    /** @type {Problem | null} */
    this.problem = null;
    /** @type {Folder[] | null} null: not known yet, as below */
    this.folders = null;
    /** @type {any[] | null} */
    this.months = null;
    /** @type {{path: string}[] | null} of the first photo of the question */
    this.copies = null;
    this.lost = new Set();
    this.pasted = new Set();
    this.tool = '';
    this.sheet = '';
    /** Whether the library has changed since the answer; it is not renewed under the pointer. */
    this.isOld = false;
    this.isBusy = false;
    this.isSlow = false;
    /** @type {{path: string, answer: Promise<any>} | null} what was asked before its address was shown */
    this.early = null;
    this.path = '';
    this.timer = 0;
    /** @type {Grid | null} */
    this.grid = null;
    /** @type {() => void} */
    this.close = () => {};
    this.asking = new AbortController();
    /** @type {typeof import('../panels.js') | null} */
    this.panels = null;
    loading.then((panels) => this.take({ panels }));
  }

  /** @param {HTMLElement} host @param {URL} url @param {import('../router.js').Rest} again */
  enter(host, url, again) {
    const isFirst = !this.grid;
    this.host = host;
    const before = this.question.terms[0]?.id;
    this.question = parse(url.searchParams);
    if (this.question.terms[0]?.id !== before) this.copies = null;
    document.title = say('similar.document');
    this.draw();
    if (isFirst) {
      const wishes = {
        href: (/** @type {string} */ id) => format(alike(id)),
        pick: (/** @type {string} */ id, /** @type {HTMLElement} */ tile) => this.hop(id, tile),
        act: (/** @type {'more' | 'less'} */ name, /** @type {string} */ id) => add(id, name === 'less'),
        place: (/** @type {number} */ i) => this.place(i),
      };
      this.grid = new Grid(/** @type {HTMLElement} */ (host.querySelector('#grid')), say('grid.label'), wishes);
      const ends = [open(this.actions()), onChange(() => this.answer?.basis, () => this.take({ isOld: true }))];
      this.close = () => ends.forEach((end) => end());
      get('folders').then((found) => this.take({ folders: found.folders }), () => this.take({ folders: [] }));
    }
    this.search(again).then(() => this.over());
  }

  leave() {
    this.asking.abort();
    this.grid?.close();
    this.grid = null;
    if (document.querySelector('dialog')) overlays().then((them) => them.closeOverlays());
    this.answer = null;
    this.close();
  }

  /** @param {Partial<Similar>} news */
  take(news) {
    Object.assign(this, news);
    if (this.grid) this.draw();
  }

  /** Ask, and show what was the answer before in the meantime. @param {import('../router.js').Rest} again */
  async search(again) {
    const path = pathOf(this.kept);
    const early = this.early?.path === path ? this.early.answer : null;
    this.early = null;
    if (path === this.path && this.answer && again.scroll === undefined) return;
    this.path = path;
    this.take({ isBusy: true });
    this.asking.abort();
    this.asking = new AbortController();
    const { signal } = this.asking;
    const before = remembered(path);
    if (before) this.show(before, again);
    try {
      const answer = await (early ?? this.patient(path, signal));
      if (signal.aborted) return;
      if (answer !== before) this.show(answer, before ? {} : again);
      else this.take({ problem: null, isOld: false, isBusy: false });
    } catch (error) {
      if (!(error instanceof Problem) || signal.aborted) return;
      met(error);
      this.failed(error);
    }
    settled();
    this.context();
  }

  /** A busy daemon is asked once more, before people hear of it. @param {string} path @param {AbortSignal} [signal] */
  async patient(path, signal) {
    try {
      return await get(path, signal);
    } catch (error) {
      if (!(error instanceof Problem) || error.daemon !== 'busy') throw error;
      await new Promise((done) => setTimeout(done, 700));
      return get(path, signal);
    }
  }

  /** @param {Problem} problem */
  failed(problem) {
    if (problem.isAway && this.answer) return this.take({ isBusy: false });
    if (problem.status === 404) this.without();
    this.take({ problem, isBusy: false });
    if (!this.answer) this.grid?.show({ id: [], ar: [], rgb: [], flags: [] }, []);
  }

  /** A photo of the question is not kept any more: the others go on without it. */
  async without() {
    const terms = this.question.terms.filter((term) => !this.lost.has(term.id));
    const found = await Promise.all(terms.map((term) => get(`photos/${term.id}`).catch(() => null)));
    const lost = terms.filter((_, at) => !found[at] || found[at].state === 'gone');
    lost.forEach((term) => this.lost.add(term.id));
    if (lost.length && this.kept.terms.some((term) => !term.minus)) this.search({ scroll: scrollY });
    else this.draw();
  }

  /** The question without the photos that are lost. @returns {Question} */
  get kept() {
    return { ...this.question, terms: this.question.terms.filter((term) => !this.lost.has(term.id)) };
  }

  /** @param {any} answer @param {import('../router.js').Rest} again */
  show(answer, again) {
    this.take({ answer, problem: null, isOld: false, isBusy: false });
    this.grid?.show(answer.photos, this.bands());
    if (again.scroll !== undefined) scrollTo(0, again.scroll);
    if (again.focus) this.grid?.focusOn(again.focus);
    announce(this.headline());
  }

  /** What stands beside the answer: names, copies of the question's photo, months. */
  async context() {
    await Promise.all(this.question.terms.map((term) => captionOf(term.id) ?? caption(term.id)));
    this.draw();
    const photos = await Promise.all(this.question.terms.map((term) => get(`photos/${term.id}`).catch(() => null)));
    for (const photo of photos) if (photo?.state === 'pasted') this.pasted.add(photo.id);
    this.take({ copies: photos[0]?.files ?? null });
    const months = await get(`timeline?${new URLSearchParams(this.question.folders.slice(0, 1).map((id) => ['in', id]))}`).catch(() => null);
    this.take({ months: months?.months ?? this.months ?? [] });
  }

  bands() {
    const { answer, question } = this;
    if (question.byDate) return [{ from: 0, to: answer.photos.id.length, height: HEIGHTS.alike, title: '', note: '' }];
    return answer.bands.map((/** @type {{name: keyof typeof HEIGHTS, from: number, n: number}} */ { name, from, n }) => {
      const short = name === 'short';
      const note = name === 'closest' || short ? say(`band.${name}.note`) : '';
      return { from, to: from + (short ? Math.min(n, NEAREST) : n), height: HEIGHTS[name], title: say(`band.${name}`), note, short };
    });
  }

  /** @param {number} i @returns {string} how near a photo is among all of the library */
  place(i) {
    const { searched } = this.answer;
    const share = (100 * (i + 1)) / Math.max(1, searched);
    return searched > 50 ? say('photo.top', { share: number(Number(share.toPrecision(share < 1 ? 1 : 2))) }) : say('photo.place', { n: i + 1 });
  }

  headline() {
    const { answer } = this;
    if (answer.cut >= MOST) return say('similar.most', { n: answer.cut });
    if (!answer.n) return say('similar.nothing');
    return answer.cut ? say('similar.count', { n: answer.cut }) : say('similar.none', { n: Math.min(NEAREST, answer.n) });
  }

  /** Go on from a photo. @param {string} id @param {HTMLElement} [tile] flies into the question */
  hop(id, tile) {
    const go = () => push(format(alike(id)), trailOn());
    const img = tile?.querySelector('img');
    if (!img || this.isSlow || !document.startViewTransition || matchMedia('(prefers-reduced-motion: reduce)').matches) return go();
    const path = pathOf(alike(id));
    const answer = this.patient(path);
    answer.catch(() => {}); // whoever waits for it hears why
    this.early = { path, answer };
    const begun = performance.now();
    img.classList.add('flies');
    document.startViewTransition(async () => {
      img.classList.remove('flies');
      this.isSlow = performance.now() - begun > FLIGHT_MS;
      await go();
    });
  }

  /** @param {Partial<Question>} change of what narrows the answer */
  narrow(change) {
    replace(format({ ...this.question, ...change }));
  }

  /** @param {number} min @param {boolean} isDone */
  line(min, isDone) {
    clearTimeout(this.timer);
    const go = () => this.narrow({ min: Math.round(min * 1e5) / 1e5 });
    if (isDone) go();
    else this.timer = setTimeout(go, SETTLE_MS);
  }

  /** Move the line over one photo. @param {1 | -1} step */
  step(step) {
    const { score } = this.answer.photos;
    let kept = this.answer.cut - step;
    // Between two photos of one score there is no line.
    while (kept > 0 && kept < score.length && score[kept - 1] === score[kept]) kept -= step;
    if (kept < 0 || kept > score.length) return;
    const [above, below] = [score[kept - 1] ?? score[kept] + 0.002, score[kept] ?? score[kept - 1] - 0.002];
    this.line((above + below) / 2, true);
  }

  get min() {
    return this.question.min ?? this.answer?.line ?? -1;
  }

  actions() {
    const grid = /** @type {Grid} */ (this.grid);
    const act = (/** @type {(id: string) => void} */ what) => () => grid.activeId && what(grid.activeId);
    return {
      ...grid.moves,
      pick: act((id) => this.hop(id)),
      more: act((id) => add(id, false)),
      less: act((id) => add(id, true)),
      view: act((id) => this.narrow({ photo: id })),
      compare: () => this.compare(),
      copy: act(async (id) => (await overlays()).copyPath(id)),
      reveal: act(async (id) => (await overlays()).reveal(id)),
      lower: () => this.step(-1),
      raise: () => this.step(1),
      folders: () => /** @type {HTMLElement | null} */ (document.querySelector('#folders input'))?.focus(),
      watch: () => this.watch(),
      close: () => [...grid.selected].forEach((id) => grid.select(id, false)),
    };
  }

  /** @param {string} id of a pasted photo */
  async forget(id) {
    await send('DELETE', `queries/${id}`).catch((problem) => toast({ title: problem.detail }));
    this.queryActions().remove(id);
  }

  compare() {
    const chosen = [...(this.grid?.selected ?? [])].slice(0, 4);
    if (chosen.length < 2) toast({ title: say('compare.few') });
    else this.narrow({ compare: chosen });
  }

  async watch() {
    const [term] = this.question.terms;
    const { folders, from, to, online } = this.question;
    const detail = folders.length || from || to || online ? say('watch.wide') : '';
    try {
      await send('POST', 'watches', { question: asTerms(this.question), min: this.min });
      toast({ title: say('watch.begun'), detail, photos: [term.id], label: say('show'), act: () => push('/watches') });
    } catch (error) {
      toast({ title: /** @type {Problem} */ (error).detail });
    }
  }

  /** Open what the address has on top. */
  async over() {
    const { photo, compare } = this.question;
    if (this.grid && (photo || compare.length || document.querySelector('dialog'))) (await overlays()).overlay(this, '/like', { pick: (id) => this.hop(id), act: (name, id) => add(id, name === 'less') });
  }

  folderActions() {
    const { question } = this;
    const roots = (this.folders ?? []).map((one) => one.id);
    return {
      all: () => this.narrow({ folders: [] }),
      online: () => this.narrow({ online: !question.online }),
      toggle: (/** @type {string} */ id) => {
        const inNow = question.folders.length ? question.folders : roots;
        const isRoot = roots.includes(id);
        // A folder within one that is chosen narrows the choice to itself.
        const next = inNow.includes(id) ? inNow.filter((one) => one !== id) : isRoot ? [...inNow, id] : [...question.folders, id];
        this.narrow({ folders: roots.every((one) => next.includes(one)) ? [] : next });
      },
      more: async (/** @type {Folder} */ folder) => {
        folder.children = folder.children ? undefined : (await get(`folders?parent=${encodeURIComponent(folder.id)}`)).folders;
        this.draw();
      },
    };
  }

  queryActions() {
    const { question } = this;
    return {
      open: this.tool,
      lost: this.lost,
      toggle: (/** @type {string} */ id) => this.take({ tool: this.tool === id ? '' : id }),
      change: (/** @type {import('../url.js').Term} */ term) => {
        const terms = question.terms.map((one) => (one.id === term.id ? term : one));
        this.narrow({ terms: [...terms.filter((one) => !one.minus), ...terms.filter((one) => one.minus)], min: null });
      },
      remove: (/** @type {string} */ id) => {
        const terms = question.terms.filter((one) => one.id !== id);
        if (terms.some((one) => !one.minus)) push(format({ ...question, terms, min: null }), rest().trail);
        else push('/');
      },
      clear: () => push('/'),
      choose: () => choose('plus'),
      crop: (/** @type {PointerEvent} */ event, /** @type {import('../url.js').Term} */ term) => this.crop(event, term),
      forget: this.pasted.has(this.tool) ? (/** @type {string} */ id) => this.forget(id) : null,
    };
  }

  /** Drag on the photo of the question: search by that part. @param {PointerEvent} down @param {import('../url.js').Term} term */
  crop(down, term) {
    const frame = /** @type {HTMLElement} */ (down.currentTarget);
    const box = frame.getBoundingClientRect();
    const share = (/** @type {PointerEvent} */ event) => [
      Math.max(0, Math.min(1, (event.clientX - box.left) / box.width)),
      Math.max(0, Math.min(1, (event.clientY - box.top) / box.height)),
    ];
    const from = share(down);
    const up = (/** @type {PointerEvent} */ event) => {
      removeEventListener('pointerup', up);
      const to = share(event);
      const crop = [Math.min(from[0], to[0]), Math.min(from[1], to[1]), Math.abs(from[0] - to[0]), Math.abs(from[1] - to[1])];
      if (crop[2] < 0.08 || crop[3] < 0.08) return;
      frame.addEventListener('click', (click) => click.stopImmediatePropagation(), { once: true, capture: true });
      this.queryActions().change({ ...term, crop: crop.map((one) => Math.round(one * 1000) / 1000).join(',') });
    };
    addEventListener('pointerup', up);
  }

  draw() {
    const { question, answer, problem, panels } = this;
    const cut = answer ? (answer.cut >= answer.n ? say('likeness.all') : say('likeness.closest', { n: answer.cut })) : '';
    const order = (/** @type {boolean} */ byDate) => html`<button aria-pressed=${question.byDate === byDate}
      @click=${() => this.narrow({ byDate })}>${say(byDate ? 'order.date' : 'order.likeness')}</button>`;
    const sheets = /** @type {const} */ (['ht', 'hf', 'hw']);
    render(
      html`<aside aria-label=${say('question')} data-sheet=${this.sheet || nothing}>
        ${panels?.queryPanel(question, this.queryActions())}
        ${answer ? panels?.likenessPanel(answer.histogram, this.min, cut, (min, isDone) => this.line(min, isDone)) : nothing}
        ${this.folders && this.months ? this.lower(this.folders, this.months) : nothing}
      </aside>
      <main id="results" tabindex="-1" aria-busy=${this.isBusy}>
        <div class="bar"><h1>${answer ? this.headline() : say('similar.looking')}</h1>
          <div class="seg" role="group" aria-label=${say('order')}>${order(false)}${order(true)}</div>${panels?.sizeSlider(() => this.grid?.layout()) ?? html`<span class="size"></span>`}</div>
        ${answer ? doubtLine(answer, this.isOld ? () => this.search({ scroll: scrollY }) : null) : nothing}
        ${answer ? knownLine(this.copies) : nothing}
        <div class="mob">${sheets.map((id) => html`<button class=${this.sheet === id ? 'on' : ''} aria-expanded=${this.sheet === id}
          @click=${() => this.take({ sheet: this.sheet === id ? '' : id })}>${(id === 'ht' && cut) || say(`sheet.${id}`)}</button>`)}
          <button @click=${() => this.narrow({ byDate: !question.byDate })}>${say(question.byDate ? 'order.likeness' : 'order.date')}</button></div>
        ${problem ? this.trouble(problem) : nothing}
        ${answer && !answer.n ? this.nothingFound() : nothing}
        <div id="grid"></div>
      </main>`,
      /** @type {HTMLElement} */ (this.host),
    );
  }

  /** The panels whose data come beside the answer. They appear together, so that none moves. @param {Folder[]} folders @param {any[]} months */
  lower(folders, months) {
    const { question, panels } = this;
    const [first] = question.terms;
    return html`${folders.length ? panels?.folderPanel(folders, question, this.folderActions()) : nothing}
      ${panels?.timePanel(months, question, (from, to) => this.narrow({ from, to }))}
      ${first ? panels?.trailPanel(rest().trail ?? [], first.id, back) : nothing}`;
  }

  nothingFound() {
    const all = { folders: [], from: '', to: '', online: false };
    const more = html`<button class="plain" @click=${() => this.narrow(all)}>${say('similar.unfiltered')}</button>`;
    return notice({ title: say('similar.nothing'), detail: say('similar.filters'), more });
  }

  /** @param {Problem} problem */
  trouble(problem) {
    if (problem.daemon === 'busy') return notice({ title: problem.detail, detail: say('busy.detail'), shape: 'clock' });
    if (problem.isAway) return nothing;
    return problemNotice(problem, () => this.search({ scroll: scrollY }));
  }
}

/** Whether the library has the first photo of the question. @param {{path: string}[] | null} paths */
function knownLine(paths) {
  if (!paths?.length) return html`<p class="known mute">${paths ? say('similar.havenot') : nothing}</p>`;
  return html`<p class="known">${icon('check')}<span>${say('similar.have', { n: paths.length })} <bdi>${plain(paths[0].path)}</bdi></span></p>`;
}

export const page = new Similar();
