/** What stands in the place of photos when there are none to show: each state has a sentence and the next step. */

import { html, nothing } from '../vendor/lit-html/lit-html.js';
import { icon } from './icons.js';
import { plain, say } from './strings.js';
import { toast } from './toast.js';

/** @param {string} text @returns {Promise<void>} */
export async function copy(text) {
  await navigator.clipboard.writeText(text);
  toast({ title: say('copied'), detail: text });
}

/** @param {string} command */
export const copyable = (command) =>
  html`<span class="command"><code>${command}</code><button class="plain" @click=${() => copy(command)}>${say('copy')}</button></span>`;

/**
 * @param {{title: string, detail?: string, commands?: string[], shape?: string, more?: unknown, kind?: string}} what
 */
export const notice = ({ title, detail = '', commands = [], shape = 'info', more = nothing, kind = '' }) =>
  html`<div class="notice ${kind}" role="alert">${icon(shape)}<div><b>${title}</b>${detail ? html`<p>${plain(detail)}</p>` : nothing}
    ${commands.map(copyable)}${more}</div></div>`;

/** @param {import('./api.js').Problem} problem @param {() => void} [again] */
export const problemNotice = (problem, again) =>
  notice({
    title: problem.detail || say('problem.title'),
    detail: problem.hint,
    shape: 'warn',
    more: again ? html`<button class="plain" @click=${again}>${say('again')}</button>` : nothing,
  });
