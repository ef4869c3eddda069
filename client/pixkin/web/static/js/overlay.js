/** What an address has open on top of its photos: the viewer, or a comparison. */

import { send } from './api.js';
import { caption } from './captions.js';
import { copy } from './notices.js';
import { note, replace } from './router.js';
import { toast } from './toast.js';
import { format } from './url.js';

/**
 * @typedef {{question: import('./url.js').Question, grid: import('./grid.js').Grid | null}} Owner
 * @typedef {{pick: (id: string) => void, act?: (name: 'more' | 'less', id: string) => void}} Wishes
 */

/** @param {string} id */
export async function copyPath(id) {
  const { path } = await caption(id);
  if (path) copy(path);
}

/** @param {string} id */
export async function reveal(id) {
  await send('POST', `photos/${id}/reveal`).catch((problem) => toast({ title: problem.detail }));
}

/** Close what is open, because the address has nothing on top any more. */
export function closeOverlays() {
  for (const dialog of document.querySelectorAll('dialog')) dialog.close();
}

/** @param {Owner} owner @param {string} path of its page @param {Wishes} wishes */
export async function overlay(owner, path, wishes) {
  const { photo, compare } = owner.question;
  const address = (/** @type {Partial<import('./url.js').Question>} */ change) => format({ ...owner.question, ...change }, path);
  if (photo) {
    const { openViewer } = await import('./viewer.js');
    const shown = owner.grid?.shown;
    const photos = shown?.id.includes(photo) ? shown : { id: [photo], ar: [1], rgb: [0], flags: [0] };
    openViewer(photos, photo, {
      ...wishes,
      changed: (id) => note(address({ photo: id })),
      closed: (id) => {
        if (!owner.grid) return;
        note(address({ photo: '' }));
        owner.question = { ...owner.question, photo: '' };
        owner.grid.focus(owner.grid.photos.id.indexOf(id));
      },
      copy: copyPath,
      reveal,
    });
  } else if (compare.length > 1) {
    const { openCompare } = await import('./compare.js');
    openCompare(compare, () => owner.grid && replace(address({ compare: [] })));
  } else closeOverlays();
}
