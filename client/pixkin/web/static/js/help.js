/** The sheet of all keys, made of the table that drives them. */

import { html, render } from '../vendor/lit-html/lit-html.js';
import { GROUPS, KEYS, letters, open, useLetters } from './keys.js';
import { icon } from './icons.js';
import { say } from './strings.js';

export function openHelp() {
  if (document.querySelector('dialog.help')) return;
  const dialog = document.createElement('dialog');
  dialog.className = 'help';
  dialog.setAttribute('aria-labelledby', 'help-title');
  const group = (/** @type {string} */ name) => html`<section><h3>${say(`keys.${name}`)}</h3><dl>${KEYS.filter((key) => key.group === name).map(
    (key) => html`<div data-act=${key.act}><dt>${key.show.map((one) => html`<kbd>${one}</kbd>`)}</dt><dd>${say(`key.${key.act}`)}</dd></div>`,
  )}</dl></section>`;
  render(
    html`<div class="bar"><h2 id="help-title">${say('key.help')}</h2>
        <button class="icon" aria-label=${say('key.close')} @click=${() => dialog.close()}>${icon('x')}</button></div>
      <div class="sheets">${GROUPS.map(group)}</div>
      <label class="check"><input type="checkbox" .checked=${letters()} @change=${(/** @type {any} */ event) => useLetters(event.target.checked)} />
        ${say('keys.letters')}</label>`,
    dialog,
  );
  document.body.append(dialog);
  const close = open({ close: () => dialog.close() });
  dialog.addEventListener('close', () => {
    close();
    dialog.remove();
  });
  dialog.addEventListener('click', (event) => event.target === dialog && dialog.close());
  dialog.showModal();
}
