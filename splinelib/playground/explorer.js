/** A figure of a chapter: one network, its partition, and a star to read it at. */

import { Picture, steepestSlope } from "./drawing.js";
import { element } from "./element.js";
import { layersOf, withOneOutput } from "./file.js";
import { Partition } from "./partition.js";
import { Reading, differingUnits, readingAt, sameMap, spoken } from "./reading.js";
import { StarHandle } from "./star.js";
import { followTheme } from "./theme.js";

const NOTHING = { x: [], y: [], label: [] };
/** Milliseconds of rest after a key before the place is read out. */
const REST = 300;

export class Explorer {
  /**
   * @param {HTMLElement} root made by `splinelib.plotting.explorer`
   * @param {{network: Object, square: [number, number], star: [number, number], fill: string}} given
   */
  constructor(root, { network, square, star, fill }) {
    this.layers = layersOf(JSON.stringify(network));
    this.network = withOneOutput(this.layers);
    this.square = square;
    this.partition = new Partition().compute(this.network, ...square);
    Object.assign(this, { root, fill, star, pointed: null, changed: [] });
    this.steepest = steepestSlope(this.network, this.partition);
    this.reading = readingAt(this.layers, ...star);
    this._build();
    this._tell("Drag the star, or click where it should go. By keyboard: the arrow keys.");
    new StarHandle(
      this.canvas,
      this.picture,
      () => this.star,
      (...to) => this.moveStar(...to),
    );
    followTheme(root, (colours) => {
      this.colours = colours;
      this.refresh();
    });
    new ResizeObserver(() => this.refresh()).observe(this.canvas);
  }

  _build() {
    this.canvas = element("canvas", { class: "sl-canvas", tabindex: 0, role: "application" });
    this.picture = new Picture(this.canvas, this.square);
    this.table = new Reading((unit) => {
      this.pointed = unit;
      this.refresh();
    });
    this.news = element("p", { class: "sl-news" });
    this.live = element("span", { class: "sl-unseen", "aria-live": "polite" });
    this.root.querySelector(".sl-picture").append(this.canvas);
    this.root.querySelector(".sl-side").replaceChildren(this.table.root, this.news, this.live);
  }

  /** Put the star somewhere, and say what has changed if it left its region. */
  moveStar(x, y, byKey = false) {
    const before = this.reading;
    this.star = [x, y];
    this.reading = readingAt(this.layers, x, y);
    const crossed = differingUnits(before, this.reading);
    if (crossed.length) {
      this.changed = crossed;
      this._tell(crossing(crossed, sameMap(before, this.reading)));
    }
    clearTimeout(this.timer);
    if (byKey) this.timer = setTimeout(() => this._speak(), REST);
    this.refresh();
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
    const { star, partition, fill, steepest, pointed } = this;
    const cell = partition.locate(...star);
    const show = { fill, cell, star, steepest, unit: pointed };
    this.picture.draw(partition, this.network, NOTHING, this.colours, show);
    this.table.show(star, this.reading, this.changed);
    const count = partition.cellCount.toLocaleString("en");
    this.canvas.setAttribute(
      "aria-label",
      `The square cut into ${count} regions. ${spoken(star, this.reading)}. ` +
        "Arrow keys move the star, with Shift five times as far.",
    );
  }
}

/** A sentence on the bits that have changed. */
export function crossing(units, same) {
  const [[layer, unit]] = units;
  const stay = same ? "A and b stay: none of this reaches the outputs here." : "";
  return units.length === 1
    ? `The star crossed the line of unit ${unit + 1} of layer ${layer + 1}: one bit is another. ` +
        (stay || "So are A and b.")
    : `${units.length} bits are others than before. ` + (stay || "So are A and b.");
}
