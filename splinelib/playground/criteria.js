/**
 * Criteria: what a unit is worth, by the names and with the numbers of `splinelib.scores`.
 *
 * Each gives one array of scores for every hidden layer; higher is kept longer.
 */

import { lineDistances, row, strengthOf } from "./distances.js";
import { uniform } from "./network.js";
import { impliedReads, inverted } from "./moments.js";

/** Ridge of the greedy removal, as a share of each unit's variance. */
const RIDGE = 1e-2;

/** name -> (network, seed) => scores */
export const CRITERIA = {
  bend: (network) => bendScores(network),
  spline: (network) => hidden(network).map(splineScores),
  magnitude: (network) => hidden(network).map(magnitudeScores),
  random: (network, seed) => {
    const random = uniform(seed);
    return hidden(network).map((layer) => Float64Array.from(layer.bias, random));
  },
};

const hidden = (network) => network.slice(0, -1);

/** L1 norm of a unit's incoming weights as a share of the layer's mean. */
function magnitudeScores(layer) {
  const sums = Float64Array.from({ length: layer.outputs }, (_, u) =>
    row(layer, u).reduce((sum, w) => sum + Math.abs(w), 0),
  );
  const mean = sums.reduce((sum, value) => sum + value, 0) / sums.length;
  return sums.map((value) => value / Math.max(mean, 2 ** -1022));
}

/** Distance at which each unit's line merges into another's, the weaker of a pair going first. */
function splineScores(layer) {
  const n = layer.outputs;
  const { distance } = lineDistances(layer);
  const power = Array.from({ length: n }, (_, u) => strengthOf(layer, u));
  const gone = new Uint8Array(n);
  const cost = new Float64Array(n);
  let latest = 0;
  for (let step = 0; step < n - 1; step++) {
    let one = -1;
    let two = -1;
    for (let i = 0; i < n; i++) {
      if (gone[i]) continue;
      for (let j = 0; j < n; j++) {
        if (i === j || gone[j]) continue;
        if (one >= 0 && distance[i * n + j] >= distance[one * n + two]) continue;
        one = i;
        two = j;
      }
    }
    const goes = power[one] < power[two] || (power[one] === power[two] && one > two) ? one : two;
    latest = cost[goes] = distance[one * n + two];
    gone[goes] = 1;
  }
  cost[gone.indexOf(0)] = nextUp(latest);
  return cost;
}

/** What the layer that reads a unit loses when it goes and the others take over what they can. */
function bendScores(network) {
  return impliedReads(network).map(({ covariance }, l) =>
    prices(removal(covariance, network[l + 1])),
  );
}

/** Remove one unit after the other, the one that the others can best stand in for. */
function removal(covariance, reader) {
  const n = reader.inputs;
  const inverse = inverted(ridged(covariance, n, RIDGE), n);
  const outgoing = new Float64Array(n * n);
  let energy = 0;
  for (let i = 0; i < n; i++) {
    for (let j = 0; j < n; j++) {
      let sum = 0;
      for (let o = 0; o < reader.outputs; o++) {
        sum += reader.weight[o * n + i] * reader.weight[o * n + j];
      }
      outgoing[i * n + j] = sum;
      energy += sum * covariance[i * n + j];
    }
  }
  const alive = new Uint8Array(n).fill(1);
  const order = [];
  const cost = [];
  let total = 0;
  for (let step = 0; step < n; step++) {
    let goes = -1;
    let least = Infinity;
    for (let u = 0; u < n; u++) {
      const residual = energy > 0 ? outgoing[u * n + u] / inverse[u * n + u] / energy : 0;
      if (alive[u] && residual < least) [goes, least] = [u, residual];
    }
    if (goes < 0) goes = alive.indexOf(1);
    total += Math.max(least === Infinity ? 0 : least, 0);
    order.push(goes);
    cost.push(total);
    alive[goes] = 0;
    takeOut(inverse, outgoing, goes, n);
  }
  return { order, cost };
}

/** A covariance with something added to its diagonal, so that it can be inverted. */
export function ridged(covariance, n, ridge) {
  const result = covariance.slice();
  let largest = 0;
  for (let i = 0; i < n; i++) largest = Math.max(largest, covariance[i * n + i]);
  largest ||= 1;
  for (let i = 0; i < n; i++) {
    result[i * n + i] += Math.max(ridge * covariance[i * n + i], 1e-12 * largest);
  }
  return result;
}

/** Bring the inverse and the outgoing weights up to date when a unit goes. */
function takeOut(inverse, outgoing, unit, n) {
  const at = unit * n;
  const rowBefore = inverse.slice(at, at + n);
  const step = rowBefore.map((value) => value / rowBefore[unit]);
  const own = outgoing[at + unit];
  const half = Float64Array.from(step, (value, j) => outgoing[at + j] - (own * value) / 2);
  for (let i = 0; i < n; i++) {
    for (let j = 0; j < n; j++) {
      outgoing[i * n + j] -= step[i] * half[j] + half[i] * step[j];
      inverse[i * n + j] -= step[i] * rowBefore[j];
    }
  }
  for (let i = 0; i < n; i++) {
    outgoing[at + i] = outgoing[i * n + unit] = inverse[at + i] = inverse[i * n + unit] = 0;
  }
  inverse[at + unit] = 1;
}

/** Slopes of the greatest convex function below the cumulative cost, by unit. */
function prices({ order, cost }) {
  const runs = [];
  cost.forEach((value, i) => {
    runs.push([value - (i ? cost[i - 1] : 0), 1]);
    while (runs.length > 1 && runs.at(-2)[0] * runs.at(-1)[1] >= runs.at(-1)[0] * runs.at(-2)[1]) {
      const [total, length] = runs.pop();
      runs[runs.length - 1] = [runs.at(-1)[0] + total, runs.at(-1)[1] + length];
    }
  });
  const rising = runs.flatMap(([total, length]) => new Array(length).fill(total / length));
  const result = new Float64Array(order.length);
  order.forEach((unit, i) => {
    if (i) rising[i] = Math.max(rising[i], nextUp(rising[i - 1]));
    result[unit] = rising[i];
  });
  return result;
}

/** The next larger float64 of a number that is not negative. */
function nextUp(value) {
  const bits = new BigInt64Array(new Float64Array([value]).buffer);
  bits[0] += 1n;
  return new Float64Array(bits.buffer)[0];
}
