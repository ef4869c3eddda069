/** The question in the address: `/like?q=ID&not=ID&w=ID:0.5&…`. The address is the whole state. */

/**
 * @typedef {{id: string, minus: boolean, weight: number, crop: string}} Term one photo of the question
 * @typedef {{terms: Term[], min: number | null, folders: string[], from: string, to: string, byDate: boolean,
 *   online: boolean, after: string, photo: string, compare: string[]}} Question `after`: from where on the library is shown
 */

export const MAX_TERMS = 8;

/** @param {URLSearchParams} query @returns {Question} */
export function parse(query) {
  const weights = new Map(query.getAll('w').map((one) => /** @type {[string, string]} */ (one.split(':'))));
  const crops = new Map(query.getAll('crop').map((one) => /** @type {[string, string]} */ (one.split(':'))));
  const term = (/** @type {boolean} */ minus) => (/** @type {string} */ id) =>
    ({ id, minus, weight: Number(weights.get(id) ?? 1) || 1, crop: crops.get(id) ?? '' });
  const min = query.get('min');
  return {
    terms: [...query.getAll('q').map(term(false)), ...query.getAll('not').map(term(true))],
    min: min === null || Number.isNaN(Number(min)) ? null : Number(min),
    folders: query.getAll('in'),
    from: query.get('from') ?? '',
    to: query.get('to') ?? '',
    byDate: query.get('sort') === 'date',
    online: query.get('online') === '1',
    after: query.get('after') ?? '',
    photo: query.get('photo') ?? '',
    compare: query.getAll('compare').slice(0, 4),
  };
}

/** @param {Question} question @returns {string} its photos alone, as the address has them */
export const asTerms = ({ terms }) => format({ ...parse(new URLSearchParams()), terms }).split('?')[1] ?? '';

/** @param {Question} question @returns {string[][]} what the server is asked: all but what is open on top */
export function asked(question) {
  const { terms } = question;
  return [
    ...terms.filter((one) => !one.minus).map((one) => ['q', one.id]),
    ...terms.filter((one) => one.minus).map((one) => ['not', one.id]),
    ...terms.filter((one) => one.weight !== 1).map((one) => ['w', `${one.id}:${one.weight}`]),
    ...terms.filter((one) => one.crop).map((one) => ['crop', `${one.id}:${one.crop}`]),
    ...(question.min === null ? [] : [['min', String(question.min)]]),
    ...question.folders.map((id) => ['in', id]),
    ...(question.from ? [['from', question.from]] : []),
    ...(question.to ? [['to', question.to]] : []),
    ...(question.byDate ? [['sort', 'date']] : []),
    ...(question.online ? [['online', '1']] : []),
  ];
}

/** @param {Question} question @param {string} [page] @returns {string} */
export function format(question, page = '/like') {
  const { after, photo, compare } = question;
  const open = [...(photo ? [['photo', photo]] : []), ...compare.map((id) => ['compare', id])];
  const pairs = [...asked(question), ...(after ? [['after', after]] : []), ...open];
  // Colons and commas need no escape in a query, and an address that people can read is a better one.
  const text = new URLSearchParams(pairs).toString().replaceAll('%3A', ':').replaceAll('%2C', ',');
  return text ? `${page}?${text}` : page;
}

/** @param {string} id @returns {Question} the question that asks for photos like one */
export const alike = (id) => ({ ...parse(new URLSearchParams()), terms: [{ id, minus: false, weight: 1, crop: '' }] });

/**
 * Add a photo to a question, or change its sign.
 * @param {Question} question @param {string} id @param {boolean} minus @returns {Question}
 */
export function withTerm(question, id, minus) {
  const terms = question.terms.filter((one) => one.id !== id);
  return { ...question, min: null, photo: '', terms: [...terms, { id, minus, weight: 1, crop: '' }].slice(-MAX_TERMS) };
}
