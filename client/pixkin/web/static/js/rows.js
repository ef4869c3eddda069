/** Rows of photos by least squares: the breaks that keep every row nearest its wished height, the last one too. */

export const GAP = 4;

/**
 * Lay out the photos `from` to `to` below `y`; write x, y, width and height of each into `out`.
 * @param {ArrayLike<number>} ar aspect ratios @param {number} from @param {number} to @param {number} width
 * @param {number} height the wished one @param {number} y @param {Float64Array} out
 * @returns {number} the lower edge
 */
export function rows(ar, from, to, width, height, y, out) {
  const n = to - from;
  const best = new Float64Array(n + 1).fill(Infinity);
  const before = new Int32Array(n + 1);
  best[0] = 0;
  for (let i = 0; i < n; i++) {
    let sum = 0;
    for (let j = i + 1; j <= n; j++) {
      sum += ar[from + j - 1];
      const h = (width - GAP * (j - i - 1)) / sum;
      const isTail = j === n && h > height;
      if (h > height * 2 && !isTail) continue;
      const off = h / height - 1;
      const cost = best[i] + off * off * (isTail ? 0.35 : h > height ? 1 : 1.4);
      if (cost < best[j]) {
        best[j] = cost;
        before[j] = i;
      }
      if (h < height * 0.55) break;
    }
  }
  const breaks = [];
  for (let j = n; j > 0; j = before[j]) breaks.push(j);
  let start = 0;
  for (const end of breaks.reverse()) {
    y = row(ar, from + start, from + end, width, height, y, out);
    start = end;
  }
  return y;
}

/**
 * @param {ArrayLike<number>} ar @param {number} from @param {number} to @param {number} width @param {number} height
 * @param {number} y @param {Float64Array} out @returns {number} where the next row begins
 */
function row(ar, from, to, width, height, y, out) {
  let sum = 0;
  for (let k = from; k < to; k++) sum += ar[k];
  const full = (width - GAP * (to - from - 1)) / sum;
  // A few photos do not become giants to fill their row.
  const isFull = full <= height * 1.5;
  const h = Math.round((isFull ? full : height) * 4) / 4;
  let x = 0;
  for (let k = from; k < to; k++) {
    const w = k === to - 1 && isFull ? width - x : ar[k] * h;
    out.set([x, y, w, h], k * 4);
    x += w + GAP;
  }
  return y + h + GAP;
}
