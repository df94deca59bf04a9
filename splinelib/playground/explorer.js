/** A figure of a chapter: one network, its partition, and what can be done with it. */

import { boundarySegments } from "./boundary.js";
import { handedOver, largestChange, silenced } from "./change.js";
import { Picture } from "./drawing.js";
import { element, regionsOf } from "./element.js";
import { layersOf, withOneOutput } from "./file.js";
import { Hand } from "./hand.js";
import { between, endsInSquare, layThrough, moveThrough, sideOf } from "./line.js";
import { copyNetwork } from "./network.js";
import { Overlay } from "./overlay.js";
import { UnitPanel, nameOf } from "./panel.js";
import { Partition } from "./partition.js";
import { Reading, differingUnits, readingAt, sameMap, spoken } from "./reading.js";
import { followTheme } from "./theme.js";

const NOTHING = { x: [], y: [], label: [] };
/** Milliseconds of rest after a key before the place is read out. */
const REST = 300;
/** Where on its line a unit has the two handles that turn it. */
const HANDLES = [0.2, 0.8];
const HINTS = {
  star: "Drag the star, or click where it should go. By keyboard: the arrow keys.",
  lines:
    "Drag a line to move it. The line that is chosen has two handles: drag one to turn it. " +
    "Point at a region to read it.",
  units: "Choose a unit by its line, or in the list. Remove it, or merge it into another.",
};

export class Explorer {
  /**
   * @param {HTMLElement} root made by `splinelib.plotting.explorer`
   * @param {{network: Object, square: [number, number], star: [number, number], fill: string,
   *   hues: ?number[][][], widest: ?number, boundary: boolean, lines: boolean, units: boolean,
   *   chosen: number[]}} given
   */
  constructor(root, given) {
    const { network, square, star, fill, hues, widest, lines, units, chosen } = given;
    this.layers = layersOf(JSON.stringify(network));
    this.first = copyNetwork(this.layers);
    this.partition = new Partition();
    Object.assign(this, { root, square, fill, star, hues, widest, chosen, lines, units });
    this.bounded = given.boundary;
    this.hovers = lines || units;
    this.mode = units ? "units" : lines ? "lines" : "star";
    Object.assign(this, { pointed: null, changes: [], gone: new Set(), touched: false });
    this.cut();
    this.boundary = boundarySegments(this.partition);
    this._build();
    this._tell(HINTS[this.mode]);
    new Hand(this.canvas, this.picture, this);
    followTheme(root, (colours) => {
      this.colours = colours;
      this.refresh();
    });
    new ResizeObserver(() => this.refresh()).observe(this.canvas);
  }

  _build() {
    this.canvas = element("canvas", { class: "sl-canvas", tabindex: 0, role: "application" });
    this.picture = new Picture(this.canvas, this.square);
    this.overlay = new Overlay(this.picture);
    this.table = new Reading((unit) => {
      this.pointed = unit;
      this.refresh();
    });
    this.facts = element("p", { class: "sl-facts", role: "status" });
    this.news = element("p", { class: "sl-news" });
    this.live = element("span", { class: "sl-unseen", "aria-live": "polite" });
    this.panel = this.hovers && new UnitPanel(this, this);
    this.root.querySelector(".sl-picture").append(this.canvas);
    const given = this.root.querySelector(".sl-side");
    // In print the still picture stands there, and what was written beside it.
    const told = element("div", { class: "sl-still" }, ...given.childNodes);
    const side = this.panel ? [this.facts, this.panel.root] : [];
    given.replaceChildren(told, ...side, this.table.root, this.news, this.live);
  }

  /** Put the star somewhere, and say what has changed if it left its region. */
  moveStar(x, y, byKey = false) {
    const before = this.reading;
    this.star = [x, y];
    this.reading = readingAt(this.layers, x, y);
    this.starSeen = byKey || !this.hovers;
    const crossed = differingUnits(before, this.reading);
    if (crossed.length) this.changes = crossed;
    if (crossed.length && this.mode === "star")
      this._tell(crossing(crossed, sameMap(before, this.reading)));
    clearTimeout(this.timer);
    if (byKey) this.timer = setTimeout(() => this._speak(), REST);
    this.refresh();
  }

  /** Make a unit the one that the panel is about. */
  choose(unit) {
    this.chosen = unit;
    this.refresh();
  }

  /** What can be taken within reach of a place: a handle, or a line. */
  grab(x, y, reach, touch) {
    if (!this.hovers) return null;
    const near = (at) => Math.hypot(at[0] - x, at[1] - y) < 2 * reach;
    const handle = this.lines && this._handles().find(near);
    if (handle) return this._turning(handle);
    const unit = this.picture.unitAt(x, y, reach * this.picture.half);
    if (!unit || (touch && String(unit) !== String(this.chosen))) return null;
    const move = (...to) => {
      moveThrough(this.layers, unit, ...to);
      this.changed();
    };
    return { press: () => this.choose(unit), move: this.lines ? move : () => {} };
  }

  /** A handle follows the hand, and the line turns around the other one. */
  _turning(handle) {
    const unit = this.chosen[1];
    const pivot = this._handles().find((at) => String(at) !== String(handle));
    const side = sideOf(this.layers[0], unit, pivot, handle);
    const move = (...to) => {
      this.held = [pivot, to];
      layThrough(this.layers[0], unit, pivot, to, side);
      this.changed();
    };
    const release = () => {
      this.held = null;
      this.refresh();
    };
    return { press: () => {}, move, release };
  }

  _handles() {
    const [layer, unit] = this.chosen;
    if (this.held) return this.held;
    const ends = layer === 0 && endsInSquare(this.layers[0], unit, this.square);
    return ends ? HANDLES.map((share) => between(...ends, share)) : [];
  }

  /** The network is another: cut the square anew. */
  changed() {
    const before = this.reading;
    this.touched = true;
    this.cut();
    const crossed = differingUnits(before, this.reading);
    if (crossed.length) this.changes = crossed;
    this.refresh();
  }

  cut() {
    this.network = withOneOutput(this.layers);
    this.partition.compute(this.network, ...this.square);
    this.reading = readingAt(this.layers, ...this.star);
  }

  putBack() {
    this.layers = copyNetwork(this.first);
    this.gone.clear();
    this.changed();
    Object.assign(this, { touched: false, changes: [] });
    this._tell(HINTS[this.mode]);
  }

  remove() {
    this._take(silenced(this.layers, this.chosen));
    this._tell(`Removed: ${this._name(this.chosen)}.`);
  }

  merge(heir) {
    this._take(handedOver(this.layers, this.chosen, heir));
    this._tell(`Merged: ${this._name(this.chosen)} into ${this._name([this.chosen[0], heir])}.`);
  }

  _take(layers) {
    this.layers = layers;
    this.gone.add(String(this.chosen));
    this.changed();
  }

  _name(unit) {
    return nameOf(unit, this.layers.length - 1);
  }

  /** Draw everything anew in the next frame. */
  refresh() {
    this.due ??= requestAnimationFrame(() => {
      this.due = null;
      this._draw();
    });
  }

  _tell(text) {
    this.news.textContent = text;
  }

  _speak() {
    this.live.textContent = spoken(this.star, this.reading);
  }

  _draw() {
    const { star, partition, fill, hues, widest, starSeen } = this;
    const cell = partition.locate(...star);
    const seen = starSeen ?? !this.hovers;
    const show = { fill, cell, star: seen && star, hues, widest };
    Object.assign(show, { unit: this._shown(), boundary: this.bounded });
    this.picture.draw(partition, this.network, NOTHING, this.colours, show);
    if (this.units) this._drawChange();
    if (this.lines) this.overlay.drawHandles(this._handles(), this.colours);
    this.table.show(star, this.reading, this.changes);
    this.panel?.show?.();
    this.facts.textContent = this._facts();
    this.canvas.setAttribute(
      "aria-label",
      `The square cut into ${regionsOf(this.partition)}. ${spoken(star, this.reading)}. ` +
        "Arrow keys move the star, with Shift five times as far.",
    );
  }

  /** The unit whose line is thick: that of a bit that one points at, else the chosen one. */
  _shown() {
    return this.pointed ?? (this.hovers ? this.chosen : null);
  }

  _drawChange() {
    const { overlay, colours, first, layers } = this;
    if (this.touched) overlay.drawChange(first, layers, this.largestOfAll(), colours);
    overlay.drawDashes(this.boundary, colours);
    overlay.drawNumbers(layers[0], this.gone, colours);
  }

  /** The largest change that the removal of one unit makes: what shades are measured against. */
  largestOfAll() {
    const { first, square } = this;
    this.most ??= Math.max(
      ...Array.from({ length: first[0].outputs }, (_, u) =>
        largestChange(first, silenced(first, [0, u]), square),
      ),
    );
    return this.most;
  }

  _facts() {
    if (!this.units) return regionsOf(this.partition);
    const change = this.touched ? largestChange(this.first, this.layers, this.square) : 0;
    return `Outputs change by up to ${change < 1e-9 ? 0 : change.toPrecision(3)} in the square.`;
  }
}

/** A sentence on the bits that have changed. */
export function crossing(units, same) {
  const [[layer, unit]] = units;
  const stay = same ? "A and b stay: none of this reaches the outputs here." : "";
  return units.length === 1
    ? `The star crossed the line of unit ${unit} of layer ${layer + 1}: one bit has changed. ` +
        (stay || "A and b have changed with it.")
    : `${units.length} bits have changed. ` + (stay || "A and b have changed with them.");
}
