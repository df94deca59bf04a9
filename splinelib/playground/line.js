/** The line of one unit: where it lies in the square, and how it is moved and turned. */

import { strengthOf } from "./distances.js";
import { preActivations } from "./network.js";

/** Distance of a unit's hyperplane from the origin, positive on the side that its weights show. */
export function offsetOf(layer, unit) {
  return -layer.bias[unit] / (strengthOf(layer, unit) || 1);
}

export function setOffset(layer, unit, offset) {
  layer.bias[unit] = -offset * strengthOf(layer, unit);
}

/** Direction in degrees of the weights of a unit that reads the inputs. */
export function angleOf({ weight }, unit) {
  return (Math.atan2(weight[2 * unit + 1], weight[2 * unit]) * 180) / Math.PI;
}

/** Turn the line of a unit that reads the inputs around its point nearest to the origin. */
export function setAngle(layer, unit, degrees) {
  const offset = offsetOf(layer, unit);
  const length = strengthOf(layer, unit);
  const angle = (degrees * Math.PI) / 180;
  layer.weight[2 * unit] = length * Math.cos(angle);
  layer.weight[2 * unit + 1] = length * Math.sin(angle);
  setOffset(layer, unit, offset);
}

/** Move a unit's line through a point, parallel to where it was. */
export function moveThrough(layers, [layer, unit], x, y) {
  layers[layer].bias[unit] -= preActivations(layers, x, y)[layer][unit];
}

/** Where a unit is on, seen along its line from one point to another: 1 is left, -1 is right. */
export function sideOf({ weight }, unit, from, to) {
  const [nx, ny] = leftOf(from, to);
  return nx * weight[2 * unit] + ny * weight[2 * unit + 1] >= 0 ? 1 : -1;
}

/**
 * Lay the line of a unit that reads the inputs through two points; it stays as steep.
 *
 * @param {number} side on which it is on, as `sideOf` says it. It is kept while a hand swings one of
 *   the points around the other, so that half a turn in one step ends as many small ones do.
 */
export function layThrough(layer, unit, from, to, side) {
  const { weight, bias } = layer;
  if (from[0] === to[0] && from[1] === to[1]) return;
  const length = strengthOf(layer, unit);
  const [nx, ny] = leftOf(from, to);
  weight[2 * unit] = side * length * nx;
  weight[2 * unit + 1] = side * length * ny;
  bias[unit] = -weight[2 * unit] * from[0] - weight[2 * unit + 1] * from[1];
}

/** The direction to the left of the way from one point to another, of length 1. */
function leftOf([x0, y0], [x1, y1]) {
  const long = Math.hypot(x1 - x0, y1 - y0);
  return [(y0 - y1) / long, (x1 - x0) / long];
}

/**
 * The two ends of the line of a unit that reads the inputs, in a square.
 *
 * @returns {?[number, number][]} null where it misses the square
 */
export function endsInSquare({ weight, bias }, unit, [low, high]) {
  const [a, b, c] = [weight[2 * unit], weight[2 * unit + 1], bias[unit]];
  const length = Math.hypot(a, b);
  if (!length) return null;
  const [px, py] = [(-c * a) / length ** 2, (-c * b) / length ** 2];
  const [dx, dy] = [-b / length, a / length];
  let [from, to] = [-Infinity, Infinity];
  for (const [p, d] of [
    [px, dx],
    [py, dy],
  ]) {
    if (Math.abs(d) < 1e-12) {
      if (p < low || p > high) return null;
      continue;
    }
    const [s, t] = [(low - p) / d, (high - p) / d];
    [from, to] = [Math.max(from, Math.min(s, t)), Math.min(to, Math.max(s, t))];
  }
  if (from >= to) return null;
  return [from, to].map((t) => [px + t * dx, py + t * dy]);
}

/** The point that is a share of the way between two. */
export function between([x0, y0], [x1, y1], share) {
  return [x0 + share * (x1 - x0), y0 + share * (y1 - y0)];
}
