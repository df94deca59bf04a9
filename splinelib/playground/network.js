/**
 * Small ReLU networks in float64: two inputs, one to three hidden layers, one output.
 *
 * A network is a list of layers; each maps `inputs` numbers to `outputs`, row-major weights first.
 * A weight that is exactly 0 is cut: training leaves it at 0.
 */

/** The largest network that the playground takes. */
export const LIMITS = { depth: 3, width: 16 };

/** Repeatable uniform numbers in [0, 1): mulberry32. */
export function uniform(seed) {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296;
  };
}

/** Repeatable standard normal numbers, from a function that gives uniform ones. */
export function normal(random) {
  const radius = Math.sqrt(-2 * Math.log(1 - random()));
  return radius * Math.cos(2 * Math.PI * random());
}

/** An empty layer. */
export function makeLayer(inputs, outputs) {
  const weight = new Float64Array(inputs * outputs);
  return { inputs, outputs, weight, bias: new Float64Array(outputs) };
}

/** Weights and biases uniform in +-1/sqrt(inputs), as torch.nn.Linear draws them. */
export function randomNetwork(widths, seed) {
  const random = uniform(seed);
  const sizes = [2, ...widths, 1];
  return sizes.slice(1).map((outputs, i) => {
    const layer = makeLayer(sizes[i], outputs);
    const bound = 1 / Math.sqrt(sizes[i]);
    for (const values of [layer.weight, layer.bias]) {
      for (let k = 0; k < values.length; k++) values[k] = bound * (2 * random() - 1) || bound;
    }
    return layer;
  });
}

/** A copy that shares nothing. */
export function copyNetwork(network) {
  return network.map((layer) => ({
    ...layer,
    weight: layer.weight.slice(),
    bias: layer.bias.slice(),
  }));
}

/** Units of each hidden layer. */
export function widthsOf(network) {
  return network.slice(0, -1).map((layer) => layer.outputs);
}

/** Number of hidden units. */
export function unitsOf(network) {
  return widthsOf(network).reduce((sum, width) => sum + width, 0);
}

/** Whether every weight and bias is a finite number. */
export function hasFiniteWeights(network) {
  const finite = (values) => values.every(Number.isFinite);
  return network.every((layer) => finite(layer.weight) && finite(layer.bias));
}

/** Pre-activations of every layer at a point, one array for each, the output last. */
export function preActivations(network, x, y) {
  let values = [x, y];
  return network.map((layer) => {
    const before = Array.from(layer.bias);
    for (let u = 0; u < layer.outputs; u++) {
      for (let k = 0; k < layer.inputs; k++) {
        before[u] += layer.weight[u * layer.inputs + k] * values[k];
      }
    }
    values = before.map((z) => Math.max(z, 0));
    return before;
  });
}

/** Let a layer read from an heir, times a share, also what it reads from a unit; in place. */
export function readAlso(reader, unit, heir, share) {
  for (let o = 0; o < reader.outputs; o++) {
    const at = o * reader.inputs;
    reader.weight[at + heir] += share * reader.weight[at + unit];
  }
}

const scratch = [new Float64Array(LIMITS.width), new Float64Array(LIMITS.width)];

/** The network's output at a point; allocates nothing. */
export function outputAt(network, x, y) {
  let [values, next] = scratch;
  values[0] = x;
  values[1] = y;
  for (let l = 0; l < network.length; l++) {
    const { inputs, outputs, weight, bias } = network[l];
    for (let u = 0; u < outputs; u++) {
      let z = bias[u];
      for (let k = 0; k < inputs; k++) z += weight[u * inputs + k] * values[k];
      next[u] = l < network.length - 1 && z < 0 ? 0 : z;
    }
    [values, next] = [next, values];
  }
  return values[0];
}

/**
 * The affine map of one unit on the region of a code.
 *
 * @param network
 * @param {(layer: number) => number} code bit mask of a hidden layer
 * @param {number} depth the layer of the unit; the last layer is the output
 * @param {number} unit
 * @returns {[number, number, number]} slopes along x and y, and the constant
 */
export function affineMap(network, code, depth = network.length - 1, unit = 0) {
  let maps = [1, 0, 0, 0, 1, 0];
  for (let l = 0; l <= depth; l++) {
    const layer = network[l];
    const bits = l < depth ? code(l) : 0;
    const next = new Array(3 * layer.outputs).fill(0);
    for (let u = 0; u < layer.outputs; u++) {
      if (l === depth ? u !== unit : !((bits >> u) & 1)) continue;
      next[3 * u + 2] = layer.bias[u];
      for (let k = 0; k < layer.inputs; k++) {
        const weight = layer.weight[u * layer.inputs + k];
        for (let i = 0; i < 3; i++) next[3 * u + i] += weight * maps[3 * k + i];
      }
    }
    maps = next;
  }
  return maps.slice(3 * unit, 3 * unit + 3);
}
