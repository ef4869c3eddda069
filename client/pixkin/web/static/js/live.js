/** What happens in the library, as it happens: one stream of events for all tabs. */

import { get, Problem } from './api.js';

const NAMES = ['status', 'root', 'indexed', 'match', 'gone', 'generation', 'bye'];
const HIDDEN_MS = 60_000;
const LONGEST_S = 15;
const channel = new BroadcastChannel('pixkin-events');

/** Events of the library, by name; `detail` is what they say. `daemon` says whether there is one. */
export const events = new EventTarget();

/** @type {any} all of the status, or null: an event says only what changes, so it does not begin one */
let latest = null;
/** @type {Problem | null} */
let away = null;
/** @type {() => void} */
let letGo = () => {};
let isHeld = false;
/** Whether this tab has the stream, and whether that has told anything since it began. */
let hasStream = false;
let isTold = false;
/** By key of the status: the number of the last event that has told it, and its value as JSON. @type {Map<string, [number, string]>} */
const heard = new Map();
let count = 0;
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
  count += 1;
  if (name === 'status' || name === 'generation') {
    Object.entries(detail).forEach(([key, value]) => heard.set(key, [count, JSON.stringify(value)]));
  }
  if (name === 'root') heard.set('roots', [count, '']);
  if (name === 'generation') {
    const before = latest?.generation;
    latest &&= { ...latest, ...detail };
    // The stream begins with the generation that the status has told already.
    if (before === undefined || before === detail.generation) return;
  }
  if (name === 'status') latest &&= { ...latest, ...detail };
  if (name === 'root') latest &&= { ...latest, roots: latest.roots.map((/** @type {any} */ one) => (one.id === detail.id ? detail : one)) };
  tell(name, detail);
}

/**
 * Ask for the status, and ask again, after 1, 2, 4 … 15 s, until it comes and the stream tells what happens from then on.
 * A daemon that stops answers for a while: its stream has ended already, and nothing else would tell that it has gone.
 */
export async function look() {
  clearTimeout(timer);
  let isKnown = true;
  const before = count;
  try {
    const answer = await get('status');
    // What an event has told meanwhile may be newer than the answer. Nothing else would correct that in a library at rest.
    const isOvertaken = [...heard].some(
      ([key, [at, value]]) => at > before && key in answer && value !== JSON.stringify(answer[key]),
    );
    const wasAway = away !== null;
    away = null;
    isKnown = !isOvertaken;
    if (latest === null || !isOvertaken) latest = answer;
    tell('status', latest);
    if (wasAway) {
      tell('daemon', true);
      channel.postMessage({ name: 'look' });
    }
  } catch (error) {
    const problem = /** @type {Problem} */ (error);
    if (problem.status === 401) return;
    isKnown = false;
    if (problem.isAway) {
      const isNew = away === null;
      away = problem;
      tell('daemon', false);
      if (isNew) channel.postMessage({ name: 'look' });
    }
  }
  clearTimeout(timer);
  if (isKnown && (isTold || !hasStream)) {
    wait = 1;
    return;
  }
  timer = setTimeout(look, wait * 1000);
  wait = Math.min(LONGEST_S, wait * 2);
}

/** The stream tells how things stand: from now on nothing is missed. */
function listens() {
  performance.mark('listening');
  isTold = true;
  clearTimeout(timer);
  if (away) look();
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
    hasStream = true;
    const source = new EventSource('/api/v1/events');
    for (const name of NAMES) {
      source.addEventListener(name, (event) => {
        const detail = event.data ? JSON.parse(event.data) : null;
        took(name, detail);
        channel.postMessage({ name, detail });
      });
    }
    const asked = () => {
      isTold = false;
      performance.clearMarks('listening');
      look();
    };
    source.addEventListener('status', () => isTold || listens());
    source.addEventListener('open', asked);
    source.addEventListener('error', () => {
      asked();
      if (source.readyState !== EventSource.CLOSED) return;
      // The browser tries again by itself, but not after an answer that is no stream.
      letGo();
      isHeld = false;
      setTimeout(hold, LONGEST_S * 1000);
    });
    letGo = () => {
      source.close();
      hasStream = false;
      letGo = () => {};
      done(undefined);
    };
  }));
}

/** Begin to listen. A tab that nobody sees for a minute stops. */
export function listen() {
  channel.addEventListener('message', ({ data }) => (data.name === 'look' ? look() : took(data.name, data.detail)));
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
