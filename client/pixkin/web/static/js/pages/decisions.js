/** What people decide about duplicates. The server keeps it; here only the way back is remembered. */

import { get, send, tagOf } from '../api.js';
import { say } from '../strings.js';
import { toast } from '../toast.js';

/** @type {string[]} the groups that were decided on this page, the last one last */
const undoable = [];

/**
 * @param {string} group @param {{keep?: string[], aside?: string[], apart?: boolean, later?: boolean}} decision
 * @returns {Promise<any>} the group as it is now
 */
export async function decide(group, decision) {
  const path = `dupes/${group}`;
  const tag = tagOf(path);
  const now = await send('PUT', `${path}/decision`, decision, tag ? { 'If-Match': tag } : {});
  undoable.push(group);
  return now;
}

/** @returns {Promise<string>} the group whose decision is gone; empty: there was none */
export async function undoLast() {
  const group = undoable.pop();
  if (!group) {
    toast({ title: say('undo.none') });
    return '';
  }
  try {
    await get(`dupes/${group}`);
    await send('PUT', `dupes/${group}/decision`, {}, { 'If-Match': tagOf(`dupes/${group}`) });
    toast({ title: say('undo.done') });
  } catch (error) {
    toast({ title: /** @type {Error} */ (error).message });
  }
  return group;
}
