/** A figure of a chapter: what tickets reach, cost and keep, and what they can save at most. */

import { Axes, ticksOf } from "./axes.js";
import { choiceOf, element, keyOf, percent } from "./element.js";
import { Player } from "./player.js";
import { redrawn } from "./redraw.js";

const MULTIPLICATIONS = "multiplications";
/** Shares of multiplications at which the bounds are drawn. */
const SHARES = Array.from({ length: 120 }, (_, i) => (i + 1) / 120);
/** What a factor is a factor of: its name, its bound, and what the baseline costs. */
const BASELINES = {
  dense: { name: "the dense run", bound: "1/m", cost: () => 1 },
  lottery: { name: "a one-shot lottery", bound: "(1 + m)/m", cost: (m) => 1 + m },
};

export class Tickets {
  /**
   * @param {HTMLElement} root made by `splinelib.plotting.tickets`
   * @param {{tickets: Object[], dense: Object[], ratios: number[], values: string[], start: number,
   *   level: ?{name: string, value: number}, colours: Object, reached: [number, number],
   *   spent: number, least: number, most: number}} given a ticket has a name, a ratio, and for each seed `cost`,
   *   `accuracy` and what is `left`; a late one was drawn at the end
   */
  constructor(root, given) {
    Object.assign(this, given);
    this.names = [...new Set(this.tickets.map(({ name }) => name))];
    this.baseline = BASELINES.dense;
    const plots = [...root.querySelectorAll(".sl-plot")];
    const canvases = plots.map((plot) => {
      const canvas = element("canvas", { class: "sl-canvas", role: "img" });
      plot.append(canvas);
      return canvas;
    });
    this.canvases = canvases;
    this._addAxes();
    const player = new Player("units removed", this.values, this.start, (at) => {
      this.ratio = this.ratios[at];
      this.refresh?.();
    });
    const pairs = Object.entries(BASELINES).map(([key, { name }]) => [key, name]);
    const choice = choiceOf(pairs, (key) => {
      this.baseline = BASELINES[key];
      this.refresh();
    });
    this.facts = element("p", { class: "sl-facts", role: "status" });
    const side = root.querySelector(".sl-side");
    const told = element("div", { class: "sl-still" }, ...side.childNodes); // for print
    const row = element("label", { class: "sl-row" }, "factor against ", choice);
    side.replaceChildren(told, element("div", { class: "sl-pair" }, player.root, row), this.facts);
    this.table = element("table", { class: "sl-shares sl-now" });
    root.querySelector(".sl-views").after(this.table);
    const [ours, ...others] = this.names;
    plots[0].after(
      keyOf({
        ink: "dense, by its epochs",
        ...Object.fromEntries(others.map((name) => [this.colours[name], name])),
        [this.colours[ours]]: `${ours}; shaded: better for less`,
      }),
    );
    this.refresh = redrawn(root, canvases, (colours) => this._draw(colours));
  }

  _addAxes() {
    const [reached, saved] = this.canvases;
    const [spent, reach] = [[0, this.spent], this.reached];
    const inPercent = (value) => `${value} %`;
    this.left = new Axes(reached, {
      x: { name: "training FLOPs, dense run = 1", range: spent, ticks: ticksOf(spent, 5) },
      y: { name: "accuracy", range: reach, ticks: ticksOf(reach), written: inPercent },
    });
    const [shares, factors] = [[0, 1], [this.least, this.most]];
    this.right = new Axes(saved, {
      x: { name: "multiplications left, m", range: shares, ticks: ticksOf(shares, 5) },
      y: { name: "", range: factors, ticks: ticksOf(factors, 6) },
    });
  }

  /** All tickets, those of other ratios first, and that which the words are about last. */
  _onTopLast() {
    const others = this.tickets.filter(({ ratio }) => ratio !== this.ratio);
    return [...others, ...this._here().reverse()];
  }

  /** Tickets of the ratio at hand. */
  _here() {
    return this.tickets.filter(({ ratio }) => ratio === this.ratio);
  }

  /** The ticket that the words are about: of the first name. */
  _ours() {
    return this._here().find(({ name }) => name === this.names[0]);
  }

  _draw(colours) {
    this._drawReached(colours);
    this._drawSaved(colours);
    this._fillTable();
    const [told, saved] = [this._told(), this._toldSaved()];
    const text = `${told} ${saved}`;
    if (this.facts.textContent !== text) this.facts.textContent = text;
    this.canvases[0].setAttribute("aria-label", `Accuracy against training FLOPs. ${told}`);
    this.canvases[1].setAttribute("aria-label", `Savings and their bounds. ${saved}`);
  }

  /** Everything else that is recorded and both more accurate and cheaper, by name. */
  _better(ours) {
    return [...this.dense, ...this._here()]
      .filter((one) => mean(one.accuracy) > mean(ours.accuracy) && mean(one.cost) < mean(ours.cost))
      .map((one) => (this.dense.includes(one) ? `dense, ${one.name}` : one.name));
  }

  _told() {
    const ours = this._ours();
    const better = this._better(ours).join("; ") || "nothing here";
    const [reached, cost] = [percent(mean(ours.accuracy)), mean(ours.cost).toFixed(2)];
    return (
      `With ${this._value()} of the units removed ${ours.name} reaches ${reached} for ${cost} of ` +
      `the dense run. Better for less: ${better}.`
    );
  }

  _value() {
    return this.values[this.ratios.indexOf(this.ratio)];
  }

  _toldSaved() {
    const ours = this._ours();
    const m = mean(ours.left[MULTIPLICATIONS]);
    const most = this.baseline.cost(m) / m;
    const factor = savedBy(ours, this.baseline);
    const against = `${factor.toFixed(2)} times less training than ${this.baseline.name}`;
    return `${against}; the most is ${most.toFixed(2)}.`;
  }

  /** Networks in the shaded corner are better for less than the ticket at hand. */
  _drawReached(colours) {
    const { left: axes, dense, tickets, names, ratio } = this;
    axes.begin(colours);
    const ours = placeOf(this._ours());
    axes.shade(this._colour(names[0], colours), [0, axes.y.range[1]], ours, 0.12);
    axes.stroke(colours.ink, dense.map(placeOf), 1.2);
    const own = tickets.filter(({ name }) => name === names[0]);
    axes.stroke(this._colour(names[0], colours), own.map(placeOf), 1.2);
    for (const one of dense) {
      axes.dot(colours.ink, ...placeOf(one), 4);
      const [x, y] = placeOf(one);
      const align = x < this.spent / 5 ? "left" : "center"; // off the numbers of the axis
      axes.write(one.name, axes.px(x), axes.py(y) - 10, { align, colour: colours.ink });
    }
    for (const one of this._onTopLast()) {
      const radius = one.ratio === ratio ? 7 : 3;
      axes.dot(this._colour(one.name, colours), ...placeOf(one), radius);
    }
  }

  _drawSaved(colours) {
    const { right: axes, baseline, level, ratio } = this;
    axes.y.name = `times less training than ${baseline.name}`;
    const context = axes.begin(colours);
    const [, top] = axes.y.range;
    for (const { cost, bound } of Object.values(BASELINES)) {
      const chosen = bound === baseline.bound;
      context.globalAlpha = chosen ? 1 : 0.35;
      const colour = chosen ? colours.ink : colours.muted;
      axes.stroke(colour, SHARES.map((m) => [m, cost(m) / m]), chosen ? 2 : 1.2);
      context.globalAlpha = 1;
      const near = SHARES.find((m) => cost(m) / m < 0.9 * top);
      const [align, beside] = bound === "1/m" ? ["right", -6] : ["left", 8];
      axes.write(bound, axes.px(near) + beside, axes.py(0.9 * top), { align, colour });
    }
    if (level) {
      axes.level(colours.boundary, level.value, 1.5, [2, 3]);
      const how = { align: "right", colour: colours.boundary };
      axes.write(level.name, axes.right, axes.py(level.value) - 6, how);
    }
    for (const one of this._onTopLast().filter(({ late }) => !late)) {
      const here = one.ratio === ratio;
      const m = mean(one.left[MULTIPLICATIONS]);
      const factor = savedBy(one, baseline);
      const colour = this._colour(one.name, colours);
      if (here) axes.stroke(colour, [[m, factor], [m, baseline.cost(m) / m]], 2);
      axes.dot(colour, m, factor, here ? 7 : 3);
    }
  }

  _colour(name, colours) {
    return colours[this.colours[name]];
  }

  /** All of a network together: a column for each name, shares of the dense network's. */
  _fillTable() {
    const here = this.names.map((name) => this._here().find((one) => one.name === name));
    const heads = this.names.map((name) => {
      const patch = element("i", { style: `background: var(--sl-${this.colours[name]})` });
      return element("th", { scope: "col" }, patch, name);
    });
    const rows = [
      ["accuracy", ({ accuracy }) => accuracy],
      ["training FLOPs", ({ cost }) => cost],
      ...Object.keys(this.tickets[0].left).map((part) => [part, ({ left }) => left[part]]),
    ].map(([title, of]) => {
      const cells = here.map((one) => element("td", {}, ...(one ? cell(of(one)) : ["–"])));
      return element("tr", {}, element("th", { scope: "row" }, title), ...cells);
    });
    const head = element("tr", {}, element("td", {}, `${this._value()} removed`), ...heads);
    this.table.replaceChildren(element("thead", {}, head), element("tbody", {}, ...rows));
  }
}

/** The mean over seeds as a percentage, and from where to where it goes. */
function cell(values) {
  const ends = [Math.min(...values), Math.max(...values)];
  const [low, high] = ends.map((share) => (100 * share).toFixed(1));
  const range = low === high ? "" : `${low} to ${high}`;
  return [percent(mean(values)), " ", element("small", {}, range)];
}

/** How many times less a ticket's training costs than a baseline. */
function savedBy({ cost, left }, baseline) {
  return mean(cost.map((own, i) => baseline.cost(left[MULTIPLICATIONS][i]) / own));
}

function placeOf({ cost, accuracy }) {
  return [mean(cost), 100 * mean(accuracy)];
}

function mean(values) {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}
