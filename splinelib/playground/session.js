/** What the playground works on, without the page: data, network, training, and what was before. */

import { EarlyBird, codesAt, probeGrid } from "./codes.js";
import { MOST_POINTS, fromPoints, makeData } from "./data.js";
import {
  copyNetwork,
  hasFiniteWeights,
  outputAt,
  randomNetwork,
  unitsOf,
  widthsOf,
} from "./network.js";
import { Trainer } from "./training.js";

/** The early bird's threshold: a network this small settles far below the library's 16 %. */
export const THRESHOLD = 0.01;
export const LOOKBACK = 3;
const MOST_STEPS_BACK = 100;
/** The points whose codes are watched. */
export const PROBES = probeGrid();

export class Session {
  constructor() {
    this.seed = 1;
    this.rate = 0.01;
    this.fill = "class";
    this.past = [];
    this.restore({
      data: { name: "cross", seed: 1, points: [] },
      network: randomNetwork([16, 16], this.seed),
      epoch: 0,
      criteria: ["bend"],
      gone: 0,
      takeOver: true,
    });
  }

  /** Take up a state, or those of its parts that are given, and train from there. */
  restore(state) {
    Object.assign(this, { bird: new EarlyBird(THRESHOLD, LOOKBACK) }, state);
    this._prepareData();
    this.sound = copyNetwork(this.network);
    this.trainer = new Trainer(this.network, this.epoch + 1);
  }

  /** Note where one could come back to, before something changes. */
  remember() {
    const { epoch, criteria, gone, takeOver } = this;
    const data = { ...this.data, points: this.data.points.slice() };
    const [network, bird] = [copyNetwork(this.network), copyBird(this.bird)];
    this.past.push({ data, network, bird, epoch, criteria, gone, takeOver });
    if (this.past.length > MOST_STEPS_BACK) this.past.shift();
  }

  /** Take up another state, as one step; one whose network cannot be drawn is refused. */
  replace(state) {
    checkSize(state.network);
    this.remember();
    this.restore(state);
  }

  /** Go one step back; false if there is none. */
  undo() {
    if (!this.past.length) return false;
    this.restore(this.past.pop());
    return true;
  }

  /** Epochs that had passed when the early bird began to look. */
  get firstEpoch() {
    return this.epoch - this.bird.distances.length;
  }

  /** How many units can go: each layer keeps one. */
  get mostGone() {
    return unitsOf(this.network) - widthsOf(this.network).length;
  }

  /** Put another network in place of this one, as one step. */
  setNetwork(network, { epoch = this.epoch, gone = this.gone } = {}) {
    this.replace({ network, epoch, gone: 0 });
    this.gone = Math.min(gone, this.mostGone);
  }

  /** New random weights. */
  startOver(widths = widthsOf(this.network)) {
    this.setNetwork(randomNetwork(widths, ++this.seed), { epoch: 0, gone: 0 });
  }

  /** Other data. Points of one's own start with none. */
  setData(name) {
    this.remember();
    this.data = { name, seed: this.data.seed + (name === this.data.name), points: [] };
    this._prepareData();
  }

  /**
   * Add a point of one's own, or take away the one that lies there.
   *
   * @throws {Error} if there are as many as fit
   */
  togglePoint(x, y, label, reach) {
    const there = this.data.points.findIndex(([px, py]) => Math.hypot(px - x, py - y) < reach);
    if (there < 0 && this.data.points.length >= MOST_POINTS) {
      throw new Error(`No more than ${MOST_POINTS} points fit: click on one to take it away.`);
    }
    this.remember();
    const { points } = this.data;
    if (there >= 0) points.splice(there, 1);
    else points.push([x, y, label]);
    this._prepareData();
  }

  /**
   * Train for some mini-batches.
   *
   * @returns {boolean} false if the weights left the finite numbers; those of the epoch before are
   *   back then
   */
  train(batches) {
    for (let i = 0; i < batches; i++) {
      const ended = this.trainer.batch(this.points, this.rate);
      if (!hasFiniteWeights(this.network)) {
        this.network = copyNetwork(this.sound);
        this.trainer = new Trainer(this.network, this.epoch);
        return false;
      }
      if (ended) this._endEpoch();
    }
    return true;
  }

  _endEpoch() {
    this.epoch++;
    this.sound = copyNetwork(this.network);
    this.bird.update(codesAt(this.network, PROBES));
  }

  _prepareData() {
    const { name, seed, points } = this.data;
    this.points = name === "own" ? fromPoints(points) : makeData(name, seed);
  }
}

function checkSize(network) {
  const corners = [-1, 1].flatMap((x) => [-1, 1].map((y) => outputAt(network, x, y)));
  if (!corners.every((value) => Math.abs(value) < 1e100)) {
    throw new Error("The weights of this network are too large to draw it.");
  }
}

function copyBird(bird) {
  const copy = Object.assign(new EarlyBird(bird.threshold, bird.lookback), bird);
  return Object.assign(copy, { distances: bird.distances.slice(), recent: bird.recent.slice() });
}
