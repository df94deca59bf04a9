/**
 * What one sees as the fragment of an address, and back.
 *
 *   #playground=1&data=cross&seed=1&epoch=120&rate=0.01&fill=class&criteria=spline.magnitude
 *    &gone=8&merge=1&widths=16-16&weights=BASE64&points=BASE64
 *
 * Weights are float32, layer by layer, each its weight and then its bias; points of one's own are
 * three 16-bit numbers each: both coordinates times 20000, and the class.
 */

import { CRITERIA } from "./criteria.js";
import { DATA, MOST_POINTS } from "./data.js";
import { LIMITS, hasFiniteWeights, makeLayer } from "./network.js";

const VERSION = "1";
const SCALE = 20000;
/** Longer fragments are refused unread. */
const LONGEST = 20000;
export const FILLS = ["class", "slope", "none"];
export const RATES = [0.001, 0.003, 0.01, 0.03, 0.1];

/** Whether a fragment is meant for the playground. */
export const isState = (fragment) => /^#?playground=/.test(fragment);

/** The fragment of a state, without "#". */
export function encodeState(state) {
  const { data, network, criteria } = state;
  const weights = network.flatMap((layer) => [...layer.weight, ...layer.bias]);
  const entries = {
    playground: VERSION,
    data: data.name,
    seed: data.seed,
    epoch: state.epoch,
    rate: state.rate,
    fill: state.fill,
    criteria: criteria.join("."),
    gone: state.gone,
    merge: Number(state.takeOver),
    widths: network
      .slice(0, -1)
      .map((layer) => layer.outputs)
      .join("-"),
    weights: toBase64(new Float32Array(weights)),
  };
  if (data.name === "own") {
    const points = data.points.flatMap(([x, y, label]) => [x * SCALE, y * SCALE, label]);
    entries.points = toBase64(Int16Array.from(points, Math.round));
  }
  return new URLSearchParams(entries).toString();
}

/**
 * The state of a fragment.
 *
 * @throws {Error} a sentence for people, if anything in it is broken, too large, or not ours
 */
export function decodeState(fragment) {
  if (fragment.length > LONGEST)
    throw new Error("This link is too long to be one of the playground.");
  const entries = new URLSearchParams(fragment.replace(/^#/, ""));
  const get = (name) => {
    const value = entries.get(name);
    if (value === null) throw new Error(`This link is broken: it lacks "${name}".`);
    return value;
  };
  if (get("playground") !== VERSION) {
    throw new Error(`This link is of another version of the playground: ${get("playground")}.`);
  }
  const network = decodeNetwork(get("widths"), get("weights"));
  const units = network.slice(0, -1).reduce((sum, layer) => sum + layer.outputs - 1, 0);
  const criteria = get("criteria").split(".");
  if (criteria.length > 2) throw new Error("This link is broken: it names too many criteria.");
  criteria.forEach((name) => choice("criteria", name, Object.keys(CRITERIA)));
  const name = choice("data", get("data"), [...DATA, "own"]);
  return {
    data: {
      name,
      seed: whole("seed", get("seed"), 2 ** 31),
      points: name === "own" ? decodePoints(get("points")) : [],
    },
    network,
    epoch: whole("epoch", get("epoch"), 1e9),
    rate: choice("rate", Number(get("rate")), RATES),
    fill: choice("fill", get("fill"), FILLS),
    criteria,
    gone: whole("gone", get("gone"), units),
    takeOver: choice("merge", get("merge"), ["0", "1"]) === "1",
  };
}

function decodeNetwork(text, weights) {
  if (!/^\d+(-\d+)*$/.test(text))
    throw new Error("This link is broken: its widths are no numbers.");
  const widths = text.split("-").map(Number);
  const { depth, width } = LIMITS;
  if (widths.length > depth || widths.some((w) => w < 1 || w > width)) {
    throw new Error(
      `The network of this link is too large or empty: up to ${depth} layers of 1 to ${width} units fit.`,
    );
  }
  const sizes = [2, ...widths, 1];
  const numbers = new Float32Array(fromBase64("weights", weights, 4));
  const network = sizes.slice(1).map((outputs, l) => makeLayer(sizes[l], outputs));
  const expected = network.reduce((sum, layer) => sum + layer.weight.length + layer.outputs, 0);
  if (numbers.length !== expected) {
    throw new Error(
      `This link is broken: it holds ${numbers.length} weights where ${expected} belong.`,
    );
  }
  let at = 0;
  for (const layer of network) {
    for (const values of [layer.weight, layer.bias]) {
      values.set(numbers.subarray(at, (at += values.length)));
    }
  }
  if (!hasFiniteWeights(network))
    throw new Error("This link is broken: some weights are not finite.");
  return network;
}

function decodePoints(text) {
  const numbers = new Int16Array(fromBase64("points", text, 6));
  const count = numbers.length / 3;
  if (count > MOST_POINTS)
    throw new Error(`This link holds ${count} points; up to ${MOST_POINTS} fit.`);
  return Array.from({ length: count }, (_, i) => {
    const [x, y, label] = numbers.subarray(3 * i, 3 * i + 3);
    return [x / SCALE, y / SCALE, label ? 1 : 0];
  });
}

function choice(name, value, known) {
  if (!known.includes(value)) throw new Error(`This link is broken: "${name}" cannot be ${value}.`);
  return value;
}

function whole(name, text, most) {
  const value = Number(text);
  if (!/^\d+$/.test(text) || value > most) {
    throw new Error(`This link is broken: "${name}" should be a whole number up to ${most}.`);
  }
  return value;
}

function toBase64(values) {
  let bytes = "";
  for (const byte of new Uint8Array(values.buffer)) bytes += String.fromCharCode(byte);
  return btoa(bytes).replace(/\+/g, "-").replace(/\//g, "_").replace(/=+$/, "");
}

function fromBase64(name, text, size) {
  let bytes;
  try {
    bytes = atob(text.replace(/-/g, "+").replace(/_/g, "/"));
  } catch {
    throw new Error(`This link is broken: "${name}" cannot be read.`);
  }
  if (bytes.length % size) throw new Error(`This link is broken: "${name}" ends too early.`);
  return Uint8Array.from(bytes, (c) => c.charCodeAt(0)).buffer;
}
