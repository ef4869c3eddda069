/** What the page asks of its server: JSON, problems as exceptions, answers that a matching ETag confirms. */

/** @typedef {{type?: string, title?: string, detail?: string, hint?: string, daemon?: string}} ProblemBody */

/** An answer other than 2xx (RFC 9457), or none: then its status is 0. */
export class Problem extends Error {
  /** @param {number} status @param {ProblemBody} body */
  constructor(status, body) {
    super(body.detail || body.title || String(status));
    this.status = status;
    this.detail = body.detail || body.title || '';
    this.hint = body.hint ?? '';
    this.daemon = body.daemon ?? '';
  }

  /** Whether no daemon answers, or no web server. */
  get isAway() {
    return this.status === 0 || ['absent', 'versions'].includes(this.daemon);
  }
}

const BASE = '/api/v1/';
const KEPT = 12;
/** @type {Map<string, {etag: string, data: any}>} the last answers, so that Back shows its photos at once */
const kept = new Map();

/** @param {string} path @param {RequestInit} [init] @returns {Promise<Response>} */
async function ask(path, init) {
  let response;
  try {
    response = await fetch(BASE + path, { credentials: 'same-origin', ...init });
  } catch (error) {
    if (/** @type {Error} */ (error).name === 'AbortError') throw error;
    throw new Problem(0, {});
  }
  if (response.ok || response.status === 304) return response;
  const body = await response.json().catch(() => ({}));
  if (response.status === 401) dispatchEvent(new Event('signedout'));
  throw new Problem(response.status, body);
}

/** @param {string} path @returns {string} the ETag of its last answer */
export const tagOf = (path) => kept.get(path)?.etag ?? '';

/** @param {string} path @returns {any} the answer of before, if there is one */
export const remembered = (path) => kept.get(path)?.data;

/** @param {string} path @param {AbortSignal} [signal] @returns {Promise<any>} */
export async function get(path, signal) {
  const before = kept.get(path);
  const response = await ask(path, { signal, headers: before ? { 'If-None-Match': before.etag } : {} });
  if (before && response.status === 304) return before.data;
  const data = await response.json();
  const etag = response.headers.get('ETag');
  kept.delete(path);
  if (etag) kept.set(path, { etag, data });
  if (kept.size > KEPT) kept.delete(/** @type {string} */ (kept.keys().next().value));
  return data;
}

/**
 * @param {'POST' | 'PUT' | 'DELETE'} method @param {string} path @param {unknown} [body] JSON @param {HeadersInit} [headers]
 * @returns {Promise<any>}
 */
export async function send(method, path, body, headers = {}) {
  const init = { method, headers: /** @type {Record<string, string>} */ ({ ...headers }) };
  if (body !== undefined) {
    Object.assign(init, { body: JSON.stringify(body) });
    init.headers['Content-Type'] = 'application/json';
  }
  const response = await ask(path, init);
  return response.status === 204 || response.status === 202 ? null : response.json();
}

/** @param {Blob} file @returns {Promise<{id: string, known: any[], w: number, h: number}>} */
export async function upload(file) {
  const type = file.type.startsWith('image/') ? file.type : 'application/octet-stream';
  return (await ask('queries', { method: 'POST', body: file, headers: { 'Content-Type': type } })).json();
}

/** @param {string} id @param {'S' | 'M' | 'L' | 'X'} size @returns {string} */
export const thumb = (id, size) => `/t/${id}/${size}.jpg`;

/** @param {string} id @param {'S' | 'L'} [size] @returns {Promise<Problem | null>} why a thumbnail does not come */
export async function whyNoThumb(id, size = 'S') {
  const response = await fetch(thumb(id, size)).catch(() => null);
  if (response?.ok) return null;
  return new Problem(response?.status ?? 0, response ? await response.json().catch(() => ({})) : {});
}
