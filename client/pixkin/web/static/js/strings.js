/** The words of the page: all of them stand in strings/en.json, numbers and dates are Intl's. */

/** @type {Record<string, string | Record<string, string>>} */
const WORDS = await (await fetch(new URL('../strings/en.json', import.meta.url))).json();
const LANG = document.documentElement.lang;
const plural = new Intl.PluralRules(LANG);
const numbers = new Intl.NumberFormat(LANG);
const days = new Intl.DateTimeFormat(LANG, { day: 'numeric', month: 'short', year: 'numeric', timeZone: 'UTC' });
const moments = new Intl.DateTimeFormat(LANG, { dateStyle: 'medium', timeStyle: 'short' });

/**
 * Return a text. `values.n` chooses between its forms; numbers are written as the language writes them.
 * @param {string} key
 * @param {Record<string, string | number>} [values]
 * @returns {string}
 */
export function say(key, values = {}) {
  const entry = WORDS[key];
  if (entry === undefined) throw new Error(`no text: ${key}`);
  const form = typeof entry === 'string' ? entry : entry[plural.select(Number(values.n))] ?? entry.other;
  return form.replace(/\{(\w+)\}/g, (_, name) => {
    const value = values[name] ?? '';
    return typeof value === 'number' ? numbers.format(value) : value;
  });
}

/** @param {string} key @returns {boolean} whether there is such a text */
export const known = (key) => key in WORDS;

/** @param {number} value */
export const number = (value) => numbers.format(value);

/** @param {number} seconds since the epoch, by the camera's clock */
export const day = (seconds) => days.format(seconds * 1000);

/** @param {number} seconds since the epoch */
export const moment = (seconds) => moments.format(seconds * 1000);

/** @param {string} month as in 2011-04 */
export const monthName = (month) =>
  new Intl.DateTimeFormat(LANG, { month: 'long', year: 'numeric', timeZone: 'UTC' }).format(new Date(`${month}-01`));

/** @param {number} bytes @returns {string} such as 4.2 MB */
export function size(bytes) {
  const step = Math.min(4, Math.floor(Math.log10(Math.max(1, bytes)) / 3));
  const unit = ['byte', 'kilobyte', 'megabyte', 'gigabyte', 'terabyte'][step];
  const digits = step && bytes < 10 * 1000 ** step ? 1 : 0;
  return new Intl.NumberFormat(LANG, { style: 'unit', unit, maximumFractionDigits: digits }).format(bytes / 1000 ** step);
}

/** @param {number} seconds @returns {string} such as 6 min */
export function duration(seconds) {
  const [count, unit] =
    seconds < 90 ? [seconds, 'second'] : seconds < 5400 ? [seconds / 60, 'minute'] : [seconds / 3600, 'hour'];
  return new Intl.NumberFormat(LANG, { style: 'unit', unit, maximumFractionDigits: 0 }).format(Math.max(1, count));
}

/**
 * Return a file name or path that shows what it holds: control and bidi characters become escapes.
 * @param {string} name
 */
export const plain = (name) =>
  name.replace(
    /[\u0000-\u001f\u007f-\u009f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]/g,
    (one) => `\\u${one.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
