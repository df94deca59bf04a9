/** One picture on the page: the network as one criterion leaves it, its partition, its facts. */

import { CRITERIA } from "./criteria.js";
import { Picture } from "./drawing.js";
import { element, percent, regionsOf } from "./element.js";
import { affineMap, outputAt, preActivations, unitsOf } from "./network.js";
import { Partition } from "./partition.js";
import { removalOrder, withoutUnits } from "./pruning.js";
import { accuracyOn } from "./training.js";

/** Seed of the criterion "random": one of median fortune with the first network. */
const SEED = 2;

export class View {
  constructor() {
    this.canvas = element("canvas", {
      class: "pg-canvas",
      tabindex: 0,
      role: "application",
      "aria-label": "Partition",
    });
    this.title = element("span", { class: "pg-title" });
    this.facts = element("span", { class: "pg-facts" });
    const caption = element("figcaption", {}, this.title, this.facts);
    this.root = element("figure", { class: "pg-view" }, this.canvas, caption);
    this.picture = new Picture(this.canvas);
    this.partition = new Partition();
    this.gone = [];
  }

  /** Take a network, leave out what the criterion takes first, and cut the square anew. */
  update(base, criterion, count, takeOver, data) {
    this.gone = count ? removalOrder(CRITERIA[criterion](base, SEED)).slice(0, count) : [];
    this.network = count ? withoutUnits(base, this.gone, takeOver) : base;
    this.partition.compute(this.network);
    this.accuracy = accuracyOn(this.network, data);
    const right = data.x.length ? `${percent(this.accuracy)} right` : "no points";
    this._label(
      count ? criterion : "",
      `${right} · ${regionsOf(this.partition)} · ${unitsOf(this.network)} units`,
    );
  }

  _label(title, facts) {
    if (this.facts.textContent === facts && this.title.textContent === title) return;
    this.title.textContent = title;
    this.title.style.color = `var(--sl-${title})`;
    this.facts.textContent = facts;
    const label = `Partition of the square${title && `, by ${title}`}: ${facts}. `;
    this.canvas.setAttribute(
      "aria-label",
      `${label}Arrow keys move a cross, Enter chooses the nearest line.`,
    );
  }

  draw(data, colours, show) {
    const cell = show.point ? this.partition.locate(...show.point) : -1;
    const unit = show.selected && this.fromBase(show.selected);
    this.picture.draw(this.partition, this.network, data, colours, {
      fill: show.fill,
      cell,
      unit,
      cross: show.cross,
    });
  }

  /** The unit of the whole network that a unit of this one is. */
  toBase([layer, unit]) {
    for (let at = 0; ; at++) {
      if (this.gone.some(([l, u]) => l === layer && u === at)) continue;
      if (unit-- === 0) return [layer, at];
    }
  }

  /** The unit of this network that a unit of the whole one is; null if it has gone. */
  fromBase([layer, unit]) {
    if (this.gone.some(([l, u]) => l === layer && u === unit)) return null;
    return [layer, unit - this.gone.filter(([l, u]) => l === layer && u < unit).length];
  }

  /** The whole network's unit whose line is nearest to a point, within some pixels; else null. */
  unitAt(x, y, reach) {
    const found = this.picture.unitAt(x, y, reach);
    return found && this.toBase(found);
  }

  /** How far a unit's pre-activation is above 0 at a point. */
  heightOf(unit, x, y) {
    const [layer, at] = this.fromBase(unit) ?? [];
    return layer === undefined ? 0 : preActivations(this.network, x, y)[layer][at];
  }

  /** What there is to say of the region of a point. */
  regionAt(x, y) {
    return describe(this.network, x, y);
  }
}

/** Code bits, affine map and output of a network at a point. */
export function describe(network, x, y) {
  const before = preActivations(network, x, y).slice(0, -1);
  const masks = before.map((z) => z.reduce((mask, value, u) => mask | ((value > 0) << u), 0));
  return {
    bits: before.map((z) => z.map((value) => (value > 0 ? "1" : "0")).join("")),
    map: affineMap(network, (l) => masks[l]),
    output: outputAt(network, x, y),
  };
}
