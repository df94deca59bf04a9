/** The decision boundary: segments on which the network's output is zero. */

import { LIMITS } from "./network.js";

const W = LIMITS.width;

/**
 * Segments of the decision boundary on a partition.
 *
 * One chord for each cell that has both signs, and the edges on which the output vanishes without
 * vanishing beside them, as in `splinelib.geometry.boundary`.
 *
 * @param {Partition} partition
 * @param {number[]} into emptied, then filled with x0, y0, x1, y1 of each segment
 * @returns {number[]} the same array
 */
export function boundarySegments(partition, into = []) {
  const { signs, origin, next, cellStart, cellCount } = partition;
  into.length = 0;
  for (let c = 0; c < cellCount; c++) {
    let h = cellStart[c];
    let seen = 0;
    do {
      seen |= signs[origin[h] * W] > 0 ? 1 : signs[origin[h] * W] < 0 ? 2 : 0;
      h = next[h];
    } while (h !== cellStart[c]);
    if (seen !== 3) continue;
    do {
      const from = signs[origin[h] * W];
      if (from === 0 || from * signs[origin[h ^ 1] * W] < 0) putCrossing(partition, h, into);
      h = next[h];
    } while (h !== cellStart[c]);
  }
  for (let e = 0; e < partition.edgeCount; e++) {
    const [a, b] = [origin[2 * e], origin[2 * e + 1]];
    if (signs[a * W] || signs[b * W]) continue;
    if (bends(partition, 2 * e) && bends(partition, 2 * e + 1)) {
      into.push(partition.x[a], partition.y[a], partition.x[b], partition.y[b]);
    }
  }
  return into;
}

/** Where the output is zero along a half-edge; the same from both sides. */
function putCrossing({ x, y, values, signs, origin }, h, into) {
  const start = origin[h];
  if (signs[start * W] === 0) {
    into.push(x[start], y[start]);
    return;
  }
  const a = origin[h & ~1];
  const b = origin[h | 1];
  const t = values[a * W] / (values[a * W] - values[b * W]);
  into.push(x[a] + t * (x[b] - x[a]), y[a] + t * (y[b] - y[a]));
}

/** Whether the output is not zero all over the cell of a half-edge, or there is no cell. */
function bends({ signs, origin, next, left }, h) {
  if (left[h] < 0) return true;
  let other = next[h];
  while (other !== h) {
    if (signs[origin[other] * W]) return true;
    other = next[other];
  }
  return false;
}
