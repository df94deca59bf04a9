/** Two-class problems in the square, the same shapes as `splinelib.data.toy`, and circles. */

import { normal, uniform } from "./network.js";

/** Most points of one's own. */
export const MOST_POINTS = 400;
const COUNT = 240;

const SHAPES = {
  cross: (random) => {
    const [x, y] = [2 * random() - 1, 2 * random() - 1];
    return [x, y, Math.abs(x) > Math.abs(y) ? 1 : 0];
  },
  circles: (random, i) => {
    const angle = 2 * Math.PI * random();
    const radius = i % 2 ? 0.42 * Math.sqrt(random()) : 0.66 + 0.26 * random();
    return [radius * Math.cos(angle), radius * Math.sin(angle), i % 2];
  },
  spiral: (random, i) => {
    const turn = Math.sqrt(random());
    const angle = 3 * Math.PI * turn + Math.PI * (i % 2);
    return [0.95 * turn * Math.cos(angle), 0.95 * turn * Math.sin(angle), i % 2];
  },
  moons: (random, i) => {
    const label = i % 2;
    const angle = Math.PI * random();
    const side = 1 - 2 * label;
    const x = side * Math.cos(angle) + label - 0.5;
    return [x / 1.5, (side * (Math.sin(angle) - 0.25)) / 1.5, label];
  },
};

/** Names of the problems. */
export const DATA = Object.keys(SHAPES);

/**
 * Points of a problem.
 *
 * @returns {{x: Float64Array, y: Float64Array, label: Uint8Array}} label 0 or 1
 */
export function makeData(name, seed, noise = 0.03) {
  const random = uniform(seed);
  const points = Array.from({ length: COUNT }, (_, i) => {
    const [x, y, label] = SHAPES[name](random, i);
    return [x + noise * normal(random), y + noise * normal(random), label];
  });
  return fromPoints(points);
}

/** Points given as [x, y, label] each. */
export function fromPoints(points) {
  return {
    x: Float64Array.from(points, (p) => p[0]),
    y: Float64Array.from(points, (p) => p[1]),
    label: Uint8Array.from(points, (p) => p[2]),
  };
}
