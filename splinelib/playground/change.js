/** How far the outputs of two networks are apart in a square, exactly: `splinelib.difference`. */

import { strengthOf } from "./distances.js";
import { LIMITS, copyNetwork, makeLayer, readAlso } from "./network.js";
import { Partition } from "./partition.js";

const joint = new Partition();

/**
 * The largest difference of an output anywhere in a square.
 *
 * Both networks run side by side as one. On each of its regions the difference is affine, so it
 * is largest at a corner.
 *
 * @returns {?number} null where both together are too wide
 */
export function largestChange(one, two, square) {
  const wide = one.slice(0, -1).some((layer, l) => layer.outputs + two[l].outputs > LIMITS.width);
  if (wide) return null;
  const outputs = one.at(-1).outputs;
  joint.compute(besideEachOther(one, two), ...square);
  let largest = 0;
  for (let v = 0; v < joint.vertexCount; v++) {
    for (let o = 0; o < outputs; o++) {
      largest = Math.max(largest, Math.abs(joint.values[v * LIMITS.width + o]));
    }
  }
  return largest;
}

/** One network whose outputs are those of the second less those of the first. */
function besideEachOther(one, two) {
  return one.map((first, l) => {
    const second = two[l];
    const last = l === one.length - 1;
    const inputs = l ? first.inputs + second.inputs : 2;
    const layer = makeLayer(inputs, last ? first.outputs : first.outputs + second.outputs);
    const put = (from, row, column, sign) => {
      for (let u = 0; u < from.outputs; u++) {
        for (let k = 0; k < from.inputs; k++) {
          layer.weight[(row + u) * inputs + column + k] = sign * from.weight[u * from.inputs + k];
        }
        layer.bias[row + u] += sign * from.bias[u];
      }
    };
    put(first, 0, 0, last ? -1 : 1);
    put(second, last ? 0 : first.outputs, l ? first.inputs : 0, 1);
    return layer;
  });
}

/** A copy of a network with one unit silent: no line, and nothing that is read from it. */
export function silenced(layers, [layer, unit]) {
  const copy = copyNetwork(layers);
  const [own, reader] = [copy[layer], copy[layer + 1]];
  own.weight.fill(0, unit * own.inputs, (unit + 1) * own.inputs);
  own.bias[unit] = 0;
  for (let o = 0; o < reader.outputs; o++) reader.weight[o * reader.inputs + unit] = 0;
  return copy;
}

/**
 * A copy in which a unit is silent and its heir has taken over its outgoing weights, times how much
 * longer its row was, bias included.
 */
export function handedOver(layers, [layer, unit], heir) {
  const long = (u) => Math.hypot(strengthOf(layers[layer], u), layers[layer].bias[u]);
  const share = long(heir) > 0 ? long(unit) / long(heir) : 0; // a unit of zeros says nothing
  const copy = copyNetwork(layers);
  readAlso(copy[layer + 1], unit, heir, share);
  return silenced(copy, [layer, unit]);
}
