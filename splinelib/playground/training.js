/** Training in place: mini-batches in a seeded order, logistic loss, Adam. */

import { LIMITS, outputAt, uniform } from "./network.js";

const BATCH = 24;
const DECAY = [0.9, 0.999];

/** Share of points on the right side. */
export function accuracyOn(network, data) {
  let right = 0;
  for (let i = 0; i < data.x.length; i++) {
    right += outputAt(network, data.x[i], data.y[i]) > 0 === data.label[i] > 0;
  }
  return right / data.x.length;
}

export class Trainer {
  /** @param network trained in place; weights that are exactly 0 stay so */
  constructor(network, seed = 0) {
    this.network = network;
    this.random = uniform(seed);
    this.steps = 0;
    this.state = network.map((layer) => ({
      weight: new Float64Array(layer.weight.length),
      bias: new Float64Array(layer.outputs),
      moments: ["weight", "bias"].map((name) => ({
        name,
        mean: new Float64Array(layer[name].length),
        square: new Float64Array(layer[name].length),
      })),
    }));
    this.values = network.map(() => new Float64Array(LIMITS.width));
    this.deltas = network.map(() => new Float64Array(LIMITS.width));
    this.input = new Float64Array(2);
    this.order = new Uint32Array(0);
    this.at = 0;
  }

  /**
   * One mini-batch, the next of the pass over the points.
   *
   * @returns {boolean} whether the pass has ended with it
   */
  batch(data, rate) {
    const count = data.x.length;
    if (this.order.length !== count || this.at >= count) this._shuffle(count);
    const stop = Math.min(this.at + BATCH, count);
    const size = stop - this.at;
    while (this.at < stop) this._accumulate(data, this.order[this.at++], size);
    this._step(rate);
    return this.at >= count;
  }

  _shuffle(count) {
    if (this.order.length !== count) this.order = Uint32Array.from({ length: count }, (_, i) => i);
    for (let i = count - 1; i > 0; i--) {
      const j = Math.floor(this.random() * (i + 1));
      [this.order[i], this.order[j]] = [this.order[j], this.order[i]];
    }
    this.at = 0;
  }

  _accumulate(data, i, batch) {
    const { network, values, deltas, state, input } = this;
    input[0] = data.x[i];
    input[1] = data.y[i];
    const last = network.length - 1;
    for (let l = 0; l <= last; l++) {
      const { inputs, outputs, weight, bias } = network[l];
      const from = l ? values[l - 1] : input;
      for (let u = 0; u < outputs; u++) {
        let z = bias[u];
        for (let k = 0; k < inputs; k++) z += weight[u * inputs + k] * from[k];
        values[l][u] = l < last && z < 0 ? 0 : z;
      }
    }
    const output = values[last][0];
    deltas[last][0] = (1 / (1 + Math.exp(-output)) - data.label[i]) / batch;
    for (let l = last; l >= 0; l--) {
      const { inputs, outputs, weight } = network[l];
      const from = l ? values[l - 1] : input;
      if (l) deltas[l - 1].fill(0);
      for (let u = 0; u < outputs; u++) {
        const delta = deltas[l][u];
        if (delta === 0) continue;
        state[l].bias[u] += delta;
        for (let k = 0; k < inputs; k++) {
          state[l].weight[u * inputs + k] += delta * from[k];
          if (l && from[k] > 0) deltas[l - 1][k] += delta * weight[u * inputs + k];
        }
      }
    }
  }

  _step(rate) {
    this.steps++;
    const correct = DECAY.map((decay) => 1 - decay ** this.steps);
    this.network.forEach((layer, l) => {
      for (const { name, mean, square } of this.state[l].moments) {
        const values = layer[name];
        const gradient = this.state[l][name];
        for (let i = 0; i < values.length; i++) {
          mean[i] += (1 - DECAY[0]) * (gradient[i] - mean[i]);
          square[i] += (1 - DECAY[1]) * (gradient[i] ** 2 - square[i]);
          if (name === "bias" || values[i] !== 0) {
            const size = Math.sqrt(square[i] / correct[1]) + 1e-8;
            values[i] -= (rate * (mean[i] / correct[0])) / size;
          }
          gradient[i] = 0;
        }
      }
    });
  }
}
