/** A figure of a chapter: the early bird of a run, at any threshold and look-back. */

import { Axes, ticksOf } from "./axes.js";
import { largestOfLast } from "./codes.js";
import { element, keyOf } from "./element.js";
import { dragLevel } from "./level.js";
import { Player } from "./player.js";
import { redrawn } from "./redraw.js";

/** Milliseconds from one threshold to the next while it plays. */
const STEP = 150;
/** Width of the strip of colours along the axis of distances, in pixels. */
const STRIP = 9;
const FAINTEST = 0.06;

export class Settling {
  /**
   * @param {HTMLElement} root made by `splinelib.plotting.early_bird`
   * @param {{rows: number[][], values: string[], start: number, lookback: number,
   *   lookbacks: number, chance: ?number, top: number, falls: number[], colours: Object}} given
   *   for each epoch its distances to those before it; the thresholds of the slider; after which
   *   epochs the rate fell; names of the colours of both curves
   */
  constructor(root, given) {
    Object.assign(this, given);
    this.epochs = this.rows.length;
    this.toLast = this.rows.map((_, t) => this._between(t, this.epochs - 1));
    const plots = [...root.querySelectorAll(".sl-plot")];
    this.canvases = plots.map((plot, i) => {
      const role = { class: "sl-canvas", role: "img" };
      const canvas = element("canvas", i ? { ...role, class: "sl-canvas sl-level" } : role);
      plot.append(canvas);
      return canvas;
    });
    this._addAxes();
    const { threshold, lookback } = this._players();
    this.facts = element("p", { class: "sl-facts", role: "status" });
    const side = root.querySelector(".sl-side");
    const told = element("div", { class: "sl-still" }, ...side.childNodes); // for print
    const pair = element("div", { class: "sl-pair" }, threshold.root, lookback.root);
    side.replaceChildren(told, pair, this.facts);
    const { pace, place } = this.colours;
    plots[0].after(keyOf({ accent: "closer than the threshold", muted: "farther" }));
    plots[1].after(
      keyOf({ [pace]: "pace: to the epochs looked back at", [place]: "place: to the last epoch" }),
    );
    this.refresh = redrawn(root, this.canvases, (colours) => this._draw(colours));
    const where = () => this.paceAxes.py?.(this.threshold) ?? 0;
    dragLevel(this.canvases[1], where, (pixels) => threshold.put(this._nearest(pixels)));
  }

  _players() {
    const { values, start, lookback, lookbacks } = this;
    const threshold = new Player("threshold", values, start, (at) => this._set({ at }), {
      step: STEP,
    });
    const counts = Array.from({ length: lookbacks }, (_, i) => String(i + 1));
    const epochs = new Player(
      "epochs looked back",
      counts,
      lookback - 1,
      (at) => this._set({ lookback: at + 1 }),
      { plays: false },
    );
    return { threshold, lookback: epochs };
  }

  _set(change) {
    Object.assign(this, change);
    this.at ??= this.start;
    this.threshold = Number(this.values[this.at]);
    this.looked = this.rows.map((row) => largestOfLast(row, this.lookback));
    this.epoch = this.looked.findIndex((distance) => distance < this.threshold); // NaN is not
    this.refresh?.();
  }

  /** The position of the slider that is nearest to a place on the axis. */
  _nearest(pixels) {
    const wanted = this.paceAxes.valueAt(pixels);
    const away = this.values.map((value) => Math.abs(Number(value) - wanted));
    return away.indexOf(Math.min(...away));
  }

  _between(one, two) {
    return one === two ? 0 : this.rows[Math.max(one, two)][Math.min(one, two)];
  }

  _addAxes() {
    const range = [0.5, this.epochs + 0.5];
    const ticks = [1, ...ticksOf(range, 4).filter((value) => value > 1)].filter(Number.isInteger);
    const x = { name: "epoch", range, ticks };
    const y = { name: "epoch", range: [range[1], range[0]], ticks };
    const high = [0, 1.08 * this.top];
    const distance = { name: "distance", range: high, ticks: ticksOf(high, 6) };
    this.cells = new Axes(this.canvases[0], { x, y, grid: false });
    this.paceAxes = new Axes(this.canvases[1], { x, y: distance });
  }

  _draw(colours) {
    this._drawCells(colours);
    this._drawPace(colours);
    const told = this._told();
    if (this.facts.textContent !== told) this.facts.textContent = told;
    const of = `Threshold ${this.values[this.at]}, look-back ${this.lookback}. ${told}`;
    this.canvases[0].setAttribute("aria-label", `Distances of every two epochs. ${of}`);
    this.canvases[1].setAttribute("aria-label", `Pace and place after every epoch. ${of}`);
  }

  _told() {
    const { epoch, epochs, lookback, toLast } = this;
    const others = lookback === 1 ? "the one before it" : `each of the ${lookback} before it`;
    if (epoch < 0) return `Never: no epoch is that close to ${others}, so no ticket is drawn.`;
    const way = toLast[0] > 0 ? toLast[epoch] / toLast[0] : 0;
    return (
      `The ticket is drawn after epoch ${epoch + 1} of ${epochs}. ` +
      `${(100 * way).toFixed(0)} % of the way to the last epoch is then still to go.`
    );
  }

  /** The matrix: settled cells in one colour, the others in another, close ones strong. */
  _drawCells(colours) {
    const { cells, epochs, threshold } = this;
    const context = cells.begin(colours);
    const picture = new OffscreenCanvas(epochs, epochs);
    const image = new ImageData(epochs, epochs);
    const [close, far] = [colours.accent, colours.muted].map(partsOf);
    for (let t = 0; t < epochs; t++) {
      for (let s = 0; s < epochs; s++) {
        const distance = this._between(t, s);
        const colour = distance < threshold ? close : far;
        image.data.set([...colour, 255 * this._strength(distance)], 4 * (t * epochs + s));
      }
    }
    picture.getContext("2d").putImageData(image, 0, 0);
    context.imageSmoothingEnabled = false;
    const { left, top, right, bottom } = cells;
    context.drawImage(picture, left, top, right - left, bottom - top);
    if (this.epoch < 0) return;
    const at = this.epoch + 1;
    cells.upright(colours.boundary, at, 1.5, [6, 4]);
    cells.level(colours.boundary, at, 1.5, [6, 4]);
  }

  _strength(distance) {
    return Math.max(1 - distance / this.top, FAINTEST);
  }

  /** What the rule looks at, and how far it is to the last epoch. */
  _drawPace(colours) {
    const { paceAxes: axes, epoch, epochs, threshold, chance, falls } = this;
    const context = axes.begin(colours);
    const [first, last] = axes.x.range;
    for (let pixel = axes.top; pixel < axes.bottom; pixel++) {
      const distance = axes.valueAt(pixel + 0.5);
      context.globalAlpha = this._strength(distance);
      context.fillStyle = distance < threshold ? colours.accent : colours.muted;
      context.fillRect(axes.left, pixel, STRIP, 1);
    }
    context.globalAlpha = 1;
    axes.shade(colours.accent, [first, threshold], [last, 0]);
    falls.forEach((fall, i) => {
      axes.upright(colours.muted, fall + 0.5, 1, [2, 3]);
      if (i === 0) axes.write("rate falls", axes.px(fall + 0.5) + 4, axes.py(0) - 6);
    });
    if (chance !== null) {
      axes.level(colours.muted, chance, 1.2, [2, 3]);
      axes.write("two seeds (chance)", axes.right, axes.py(chance) + 15, { align: "right" });
    }
    const numbered = (values) => values.map((value, t) => [t + 1, value]);
    axes.stroke(colours[this.colours.place], numbered(this.toLast));
    const paces = numbered(this.looked).filter(([, distance]) => !Number.isNaN(distance));
    axes.stroke(colours[this.colours.pace], paces);
    axes.level(colours.accent, threshold, 1.5);
    axes.dot(colours.accent, last, threshold, 7);
    if (epoch < 0) return;
    axes.upright(colours.boundary, epoch + 1, 1.5, [6, 4]);
    axes.dot(colours.boundary, epoch + 1, this.looked[epoch], 5);
    const [align, beside] = epoch < epochs / 2 ? ["left", 6] : ["right", -6];
    const place = [axes.px(epoch + 1) + beside, axes.top + 12];
    axes.write(`epoch ${epoch + 1}`, ...place, { align, colour: colours.boundary });
  }
}

/** Red, green and blue of a colour as the browser writes it. */
function partsOf(colour) {
  return colour.match(/[\d.]+/g).slice(0, 3).map(Number);
}
