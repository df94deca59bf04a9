/** Taking units and weights out of a network, with or without letting the others take over. */

import { impliedReads, inverted } from "./moments.js";
import { ridged } from "./criteria.js";
import { strengthOf } from "./distances.js";
import { copyNetwork, makeLayer, readAlso } from "./network.js";

/** Added to the kept units' covariances, as a share of each variance. */
const RIDGE = 1e-4;

/**
 * The order in which units go: lowest scores of the whole network first, equal ones by their
 * place, the best unit of each layer never (`splinelib.select` with scope "global").
 *
 * @param {ArrayLike<number>[]} scores one array for each hidden layer
 * @returns {[number, number][]} layer and unit of each
 */
export function removalOrder(scores) {
  const units = scores.flatMap((values, l) => Array.from(values, (score, u) => ({ score, l, u })));
  units.sort((a, b) => a.score - b.score); // stable
  const best = scores.map((_, l) => units.findLast((unit) => unit.l === l));
  return units.filter((unit) => !best.includes(unit)).map(({ l, u }) => [l, u]);
}

/**
 * A smaller network without some units.
 *
 * @param network left as it is
 * @param {[number, number][]} units layer and unit of each that goes
 * @param {boolean} takeOver whether those that stay take over what they can: the compensation
 *   "merge" of `splinelib`, by the moments that the weights imply
 */
export function withoutUnits(network, units, takeOver = false) {
  const kept = network.map((layer, l) => {
    const gone = new Set(units.filter(([at]) => at === l).map(([, unit]) => unit));
    return Array.from({ length: layer.outputs }, (_, u) => u).filter((u) => !gone.has(u));
  });
  const reads = takeOver && units.length ? impliedReads(network) : [];
  return network.map((layer, l) => {
    const inputs = l ? kept[l - 1] : [0, 1];
    const small = makeLayer(inputs.length, kept[l].length);
    kept[l].forEach((u, i) => {
      small.bias[i] = layer.bias[u];
      inputs.forEach((k, j) => {
        small.weight[i * inputs.length + j] = layer.weight[u * layer.inputs + k];
      });
    });
    if (l && reads.length && inputs.length < layer.inputs) {
      mergeInputs(layer, small, kept[l], inputs, reads[l - 1]);
    }
    return small;
  });
}

/** Fold the inputs that a layer lost into those that it kept, and what is left into its bias. */
function mergeInputs(layer, small, outputs, inputs, { mean, covariance }) {
  const all = layer.inputs;
  const n = inputs.length;
  const own = new Float64Array(n * n);
  inputs.forEach((a, i) => inputs.forEach((b, j) => (own[i * n + j] = covariance[a * all + b])));
  const inverse = inverted(ridged(own, n, RIDGE), n);
  for (let gone = 0; gone < all; gone++) {
    if (inputs.includes(gone)) continue;
    const step = inputs.map((_, i) =>
      inputs.reduce((sum, b, j) => sum + inverse[i * n + j] * covariance[b * all + gone], 0),
    );
    const constant = mean[gone] - step.reduce((sum, s, i) => sum + s * mean[inputs[i]], 0);
    outputs.forEach((u, o) => {
      const weight = layer.weight[u * all + gone];
      step.forEach((s, i) => (small.weight[o * n + i] += weight * s));
      small.bias[o] += weight * constant;
    });
  }
}

/**
 * A network in which one unit has merged into another that draws nearly the same line and is on
 * at the same side: what read it reads the other, as much longer as it was, relu(a z) = a relu(z).
 */
export function mergedInto(network, layer, unit, partner) {
  const share = strengthOf(network[layer], unit) / strengthOf(network[layer], partner);
  const merged = copyNetwork(network);
  readAlso(merged[layer + 1], unit, partner, share);
  return withoutUnits(merged, [[layer, unit]]);
}

/** A network in which one weight is cut. */
export function withoutWeight(network, layer, unit, input) {
  const cut = copyNetwork(network);
  cut[layer].weight[unit * cut[layer].inputs + input] = 0;
  return cut;
}
