/**
 * The documented file of a small network, the same that `splinelib.models.to_json` writes:
 *
 *   {"format": "splinelib network", "version": 1, "activation": "relu",
 *    "layers": [{"weight": [[...], ...], "bias": [...]}, ...]}
 *
 * A ReLU stands between each two layers. Rows of `weight` are units.
 */

import { LIMITS, hasFiniteWeights, makeLayer } from "./network.js";

export const FORMAT = "splinelib network";
export const VERSION = 1;

/** The text of a network. */
export function toJson(network) {
  const layers = network.map(({ weight, bias, inputs, outputs }) => ({
    weight: Array.from({ length: outputs }, (_, u) =>
      Array.from(weight.subarray(u * inputs, (u + 1) * inputs)),
    ),
    bias: Array.from(bias),
  }));
  return JSON.stringify({ format: FORMAT, version: VERSION, activation: "relu", layers });
}

/**
 * The network of a text. Of one with two outputs the difference of the second and the first is
 * taken: it is zero where both are equal.
 *
 * @throws {Error} a sentence for people: what is wrong, and what the playground takes
 */
export function fromJson(text) {
  return withOneOutput(layersOf(text));
}

/** The layers of a text, with all outputs that the last one has. */
export function layersOf(text) {
  let file;
  try {
    file = JSON.parse(text);
  } catch {
    throw new Error("This is not a network file: it is not JSON.");
  }
  if (file?.format !== FORMAT) {
    throw new Error(`This is not a network file: its format should be "${FORMAT}".`);
  }
  if (file.version !== VERSION || file.activation !== "relu" || !Array.isArray(file.layers)) {
    throw new Error(
      `This network file cannot be read here: it should have version ${VERSION}, the activation "relu" and a list of layers.`,
    );
  }
  return file.layers.map(readLayer);
}

/** The network of some layers; of two outputs the difference. */
export function withOneOutput(layers) {
  const last = layers.at(-1);
  const network = last?.outputs === 2 ? [...layers.slice(0, -1), difference(last)] : layers;
  checkNetwork(network);
  return network;
}

function readLayer(entry, number) {
  const rows = entry?.weight;
  const bias = entry?.bias;
  const isRow = (row) => Array.isArray(row) && row.length > 0 && row.length === rows[0].length;
  const numbers = (values) => values.every((value) => typeof value === "number");
  if (!Array.isArray(rows) || !rows.length || !rows.every(isRow) || !rows.every(numbers)) {
    throw new Error(`Layer ${number + 1} of the file has no matrix of numbers as its weight.`);
  }
  if (!Array.isArray(bias) || bias.length !== rows.length || !numbers(bias)) {
    throw new Error(
      `Layer ${number + 1} of the file should have a bias of ${rows.length} numbers.`,
    );
  }
  const layer = makeLayer(rows[0].length, rows.length);
  layer.weight.set(rows.flat());
  layer.bias.set(bias);
  return layer;
}

function difference({ inputs, weight, bias }) {
  const layer = makeLayer(inputs, 1);
  for (let k = 0; k < inputs; k++) layer.weight[k] = weight[inputs + k] - weight[k];
  layer.bias[0] = bias[1] - bias[0];
  return layer;
}

/** @throws {Error} for a network that the playground does not take */
export function checkNetwork(network) {
  const { depth, width } = LIMITS;
  const hidden = network.length - 1;
  if (hidden < 1 || hidden > depth) {
    throw new Error(
      `The playground takes 1 to ${depth} hidden layers; this network has ${Math.max(hidden, 0)}.`,
    );
  }
  const widest = Math.max(...network.slice(0, -1).map((layer) => layer.outputs));
  if (widest > width) {
    throw new Error(
      `The playground takes up to ${width} units in a layer; this network has ${widest}.`,
    );
  }
  if (network[0].inputs !== 2) {
    throw new Error(
      `The playground takes networks of two inputs; this one has ${network[0].inputs}.`,
    );
  }
  if (network.at(-1).outputs !== 1) {
    throw new Error(
      `The playground takes one output, or two; this network has ${network.at(-1).outputs}.`,
    );
  }
  for (let l = 1; l < network.length; l++) {
    if (network[l].inputs !== network[l - 1].outputs) {
      throw new Error(
        `Layer ${l + 1} of the network reads ${network[l].inputs} units, but layer ${l} has ${network[l - 1].outputs}.`,
      );
    }
  }
  if (!hasFiniteWeights(network)) throw new Error("The network holds weights that are not finite.");
}
