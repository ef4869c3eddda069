/** What happens in the library, as it happens: one stream of events for all tabs. */

import { get, Problem } from './api.js';

const NAMES = ['status', 'root', 'indexed', 'match', 'gone', 'generation', 'bye'];
const HIDDEN_MS = 60_000;
const LONGEST_S = 15;
const channel = new BroadcastChannel('pixkin-events');

/** Events of the library, by name; `detail` is what they say. `daemon` says whether there is one. */
export const events = new EventTarget();

/** @type {any} */
let latest = null;
/** @type {Problem | null} */
let away = null;
/** @type {() => void} */
let letGo = () => {};
let isHeld = false;
let wait = 1;
let timer = 0;

/** @returns {any} the last status, or null */
export const status = () => latest;

/** @returns {Problem | null} why there is no daemon */
export const daemonAway = () => away;

/** @param {string} name @param {any} detail */
const tell = (name, detail) => events.dispatchEvent(new CustomEvent(name, { detail }));

/** @param {string} name @param {any} detail */
function took(name, detail) {
  if (name === 'generation') {
    const before = latest?.generation;
    latest = { ...latest, ...detail };
    // The stream begins with the generation that the status has told already.
    if (before === undefined || before === detail.generation) return;
  }
  // An event says only what changes. Before the whole status has come, the ring has this much to show.
  if (name === 'status') latest = { ...latest, ...detail };
  if (name === 'root') latest = { ...latest, roots: latest?.roots?.map((/** @type {any} */ one) => (one.id === detail.id ? detail : one)) };
  tell(name, detail);
}

/** Ask for the status, and until it comes ask again: after 1, 2, 4 … 15 s. */
export async function look() {
  clearTimeout(timer);
  try {
    latest = await get('status');
    const wasAway = away !== null;
    away = null;
    wait = 1;
    tell('status', latest);
    if (wasAway) tell('daemon', true);
  } catch (error) {
    const problem = /** @type {Problem} */ (error);
    if (problem.status === 401) return;
    // A daemon that is busy may be in its last moment: then nothing else tells that it has gone.
    if (problem.isAway) {
      away = problem;
      tell('daemon', false);
    }
    clearTimeout(timer);
    timer = setTimeout(look, wait * 1000);
    wait = Math.min(LONGEST_S, wait * 2);
  }
}

/** @param {Problem} problem that a request has met: what it says of the daemon holds for all */
export function met(problem) {
  if (problem.isAway && away === null) look();
}

/**
 * What a page shows of an error that a request has met. That there is no daemon, the frame of all pages says.
 * @param {unknown} error @returns {Problem | null}
 */
export function shownProblem(error) {
  if (!(error instanceof Problem)) throw error;
  met(error);
  return error.isAway ? null : error;
}

/**
 * Tell when an answer may be old: photos came or went since, or a drive did.
 * @param {() => string | undefined} basis of the answer @param {() => void} changed @returns {() => void} which stops that
 */
export function onChange(basis, changed) {
  const names = ['generation', 'root', 'status'];
  // A status says it too: what changes before the stream of events has begun, no event tells.
  const told = (/** @type {Event} */ { type }) => (type !== 'status' || isOld(basis())) && changed();
  names.forEach((name) => events.addEventListener(name, told));
  return () => names.forEach((name) => events.removeEventListener(name, told));
}

/** @param {string | undefined} basis */
const isOld = (basis) => Boolean(basis && latest?.basis && basis !== latest.basis);

function hold() {
  if (isHeld) return;
  isHeld = true;
  // The tab that gets the lock has the stream; the next one gets it when that tab goes.
  navigator.locks.request('pixkin-events', () => new Promise((done) => {
    if (!isHeld) return done(undefined);
    const source = new EventSource('/api/v1/events');
    for (const name of NAMES) {
      source.addEventListener(name, (event) => {
        const detail = event.data ? JSON.parse(event.data) : null;
        took(name, detail);
        channel.postMessage({ name, detail });
      });
    }
    // The server tells a status first, and from then on misses nothing.
    source.addEventListener('status', () => performance.mark('listening'), { once: true });
    // A stream ends with its daemon, which may have answered once more in its last moment: ask again on the next stream.
    source.addEventListener('open', () => look());
    source.addEventListener('error', () => {
      look();
      if (source.readyState !== EventSource.CLOSED) return;
      // The browser tries again by itself, but not after an answer that is no stream.
      letGo();
      isHeld = false;
      setTimeout(hold, LONGEST_S * 1000);
    });
    letGo = () => {
      source.close();
      letGo = () => {};
      done(undefined);
    };
  }));
}

/** Begin to listen. A tab that nobody sees for a minute stops. */
export function listen() {
  channel.addEventListener('message', (event) => took(event.data.name, event.data.detail));
  let hidden = 0;
  document.addEventListener('visibilitychange', () => {
    clearTimeout(hidden);
    if (document.hidden) {
      hidden = setTimeout(() => {
        isHeld = false;
        letGo();
      }, HIDDEN_MS);
    } else {
      hold();
      look();
    }
  });
  hold();
  return look();
}
