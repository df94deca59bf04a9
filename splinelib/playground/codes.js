/** Region codes of fixed probe points, how far they move, and when they have settled. */

import { LIMITS } from "./network.js";

/** The probes: a grid of points in the square, side by side points. */
export function probeGrid(side = 24) {
  const points = new Float64Array(2 * side * side);
  for (let i = 0; i < side * side; i++) {
    points[2 * i] = ((i % side) + 0.5) * (2 / side) - 1;
    points[2 * i + 1] = (Math.floor(i / side) + 0.5) * (2 / side) - 1;
  }
  return points;
}

/** Bit masks of all hidden layers at points: one Uint16Array for each layer. */
export function codesAt(network, points) {
  const count = points.length / 2;
  const hidden = network.slice(0, -1);
  const codes = hidden.map(() => new Uint16Array(count));
  let values = new Float64Array(LIMITS.width);
  let next = new Float64Array(LIMITS.width);
  for (let p = 0; p < count; p++) {
    values[0] = points[2 * p];
    values[1] = points[2 * p + 1];
    hidden.forEach(({ inputs, outputs, weight, bias }, l) => {
      let mask = 0;
      for (let u = 0; u < outputs; u++) {
        let z = bias[u];
        for (let k = 0; k < inputs; k++) z += weight[u * inputs + k] * values[k];
        if (z > 0) mask |= 1 << u;
        next[u] = z > 0 ? z : 0;
      }
      codes[l][p] = mask;
      [values, next] = [next, values];
    });
  }
  return { widths: hidden.map((layer) => layer.outputs), codes };
}

/** Normalised Hamming distance, the mean over the layers. */
export function codeDistance(one, two) {
  let sum = 0;
  one.codes.forEach((codes, l) => {
    let differing = 0;
    for (let p = 0; p < codes.length; p++) {
      for (let bits = codes[p] ^ two.codes[l][p]; bits; bits &= bits - 1) differing++;
    }
    sum += differing / (codes.length * one.widths[l]);
  });
  return sum / one.codes.length;
}

/**
 * What the rule of the early bird looks at: the largest of an epoch's distances to the last epochs
 * before it, the oldest first; NaN where there are fewer.
 */
export function largestOfLast(distances, lookback) {
  return distances.length < lookback ? NaN : Math.max(...distances.slice(-lookback));
}

/**
 * The rule of `splinelib.EarlyBird`: the first epoch whose codes are closer than a threshold to
 * those of each of the last epochs. A network that loses units starts anew.
 */
export class EarlyBird {
  constructor(threshold = 0.16, lookback = 3) {
    this.threshold = threshold;
    this.lookback = lookback;
    this.restart();
  }

  restart() {
    this.epoch = null;
    this.distances = [];
    this.recent = [];
  }

  /** Take the codes of one more epoch; true from the first that qualifies. */
  update(codes) {
    if (this.recent.length && String(this.recent[0].widths) !== String(codes.widths))
      this.restart();
    const distances = this.recent.map((earlier) => codeDistance(codes, earlier));
    const largest = largestOfLast(distances, this.lookback);
    this.distances.push(largest);
    this.recent.push(codes);
    if (this.recent.length > this.lookback) this.recent.shift();
    if (this.epoch === null && largest < this.threshold) this.epoch = this.distances.length - 1;
    return this.epoch !== null;
  }
}
