/** Which thumbnail loads next: four at a time, the newest wish first; one that nobody sees any more is given up. */

const AT_ONCE = 4;
/** @type {{img: HTMLImageElement, src: string}[]} */
const waiting = [];
/** @type {Set<HTMLImageElement>} */
const loading = new Set();

function next() {
  while (loading.size < AT_ONCE) {
    const one = waiting.pop();
    if (!one) return;
    loading.add(one.img);
    const done = () => {
      loading.delete(one.img);
      next();
    };
    one.img.addEventListener('load', done, { once: true });
    one.img.addEventListener('error', done, { once: true });
    one.img.src = one.src;
  }
}

/** @param {HTMLImageElement} img @param {string} src */
export function load(img, src) {
  waiting.push({ img, src });
  queueMicrotask(next);
}

/** @param {HTMLImageElement} img that left the page */
export function giveUp(img) {
  const at = waiting.findIndex((one) => one.img === img);
  if (at >= 0) waiting.splice(at, 1);
  if (!loading.delete(img)) return;
  img.removeAttribute('src');
  queueMicrotask(next);
}
