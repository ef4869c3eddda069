/** The shapes of index.html. */

import { html } from '../vendor/lit-html/lit-html.js';

const SVG = 'http://www.w3.org/2000/svg';

/** @param {string} name */
export const icon = (name) =>
  html`<svg class="i" aria-hidden="true" viewBox="0 0 24 24"><use href="#${name}"></use></svg>`;

/** @param {string} name @returns {SVGSVGElement} the same without lit */
export function iconElement(name) {
  const svg = document.createElementNS(SVG, 'svg');
  svg.setAttribute('class', 'i');
  svg.setAttribute('aria-hidden', 'true');
  svg.setAttribute('viewBox', '0 0 24 24');
  const use = document.createElementNS(SVG, 'use');
  use.setAttribute('href', `#${name}`);
  svg.append(use);
  return svg;
}

/**
 * @param {string} tag @param {string} [className] @param {...(string | Node)} inside @returns {HTMLElement}
 */
export function make(tag, className = '', ...inside) {
  const element = document.createElement(tag);
  element.className = className;
  element.append(...inside);
  return element;
}
