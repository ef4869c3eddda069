/** The names of photos: those in sight are asked for together, each once. */

import { send } from './api.js';
import { day, plain } from './strings.js';

/**
 * @typedef {{id: string, name: string, folder: string, path: string, taken_s: number, copies: number,
 *   offline: boolean, gone: boolean, w: number, h: number}} Caption
 */

/** @type {Map<string, Caption>} */
const captions = new Map();
/** @type {Map<string, ((caption: Caption) => void)[]>} */
let wanted = new Map();
const AT_ONCE = 200;

/** @param {string} id @returns {Caption | undefined} */
export const captionOf = (id) => captions.get(id);

/** @param {Caption} caption */
export const keepCaption = (caption) => captions.set(caption.id, caption);

/** @param {string} id @param {boolean} [again] ask even if it is known @returns {Promise<Caption>} */
export function caption(id, again = false) {
  const known = again ? undefined : captions.get(id);
  if (known) return Promise.resolve(known);
  if (wanted.size === 0) setTimeout(resolveAll, 60);
  return new Promise((resolve) => wanted.set(id, [...(wanted.get(id) ?? []), resolve]));
}

async function resolveAll() {
  const asked = wanted;
  wanted = new Map();
  const ids = [...asked.keys()];
  for (let from = 0; from < ids.length; from += AT_ONCE) {
    const some = ids.slice(from, from + AT_ONCE);
    const { photos } = await send('POST', 'photos/resolve', { ids: some }).catch(() => ({ photos: [] }));
    for (const photo of photos) {
      captions.set(photo.id, photo);
      asked.get(photo.id)?.forEach((tell) => tell(photo));
    }
  }
}

/** @param {string} folder @returns {string} its last two names: a whole path is too long for a caption */
export const where = (folder) => plain(folder.split('/').filter(Boolean).slice(-2).join('/'));

/** @param {Caption} one @returns {string} name, folder and date: what is in a photo we do not know, and do not claim */
export const described = (one) =>
  [plain(one.name), where(one.folder), one.taken_s ? day(one.taken_s) : ''].filter(Boolean).join(', ');
