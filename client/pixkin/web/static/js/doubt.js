/** One line under the headline: how many photos were searched, and which ones an answer may miss. */

import { html, nothing } from '../vendor/lit-html/lit-html.js';
import { icon } from './icons.js';
import { plain, say } from './strings.js';

/**
 * @param {{searched?: number, took_ms?: number, doubt?: {pending?: number, failed?: number, offline?: number, unwatched?: string[]}}} answer
 * @param {(() => void) | null} again  looks again, if the library has changed since: no photo moves under the pointer by itself
 */
export function doubtLine({ searched = 0, took_ms: took, doubt = {} }, again) {
  const { pending = 0, failed = 0, offline = 0, unwatched = [] } = doubt;
  const part = (/** @type {string} */ shape, /** @type {string} */ text) =>
    html`<span>${icon(shape)}<span class="num">${text}</span></span>`;
  const link = (/** @type {string} */ shape, /** @type {string} */ text) =>
    html`<a href="/status">${icon(shape)}<span class="num">${text}</span></a>`;
  return html`<p class="doubt" role="status">
    ${took === undefined ? nothing : part('bolt', say('doubt.searched', { n: searched, took: Math.max(1, Math.round(took)) }))}
    ${pending ? part('clock', say('doubt.pending', { n: pending })) : nothing}
    ${offline ? link('plug', say('doubt.offline', { n: offline })) : nothing}
    ${failed ? link('warn', say('doubt.failed', { n: failed })) : nothing}
    ${unwatched.map((root) => link('warn', say('doubt.unwatched', { root: plain(root) })))}
    ${again ? html`<button class="plain" @click=${again}>${say('changed')}</button>` : nothing}</p>`;
}
