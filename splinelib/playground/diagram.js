/** The network as a diagram: a button for each unit, its weights as lines behind. */

import { depthName, fitted } from "./drawing.js";
import { button, element } from "./element.js";
import { widthsOf } from "./network.js";

/** Pixels from one unit to the next, and how near to a line counts as on it. */
const ROW = 19;
const REACH = 7;

export class Diagram {
  /**
   * @param {(layer: number, unit: number) => void} select called when a unit is chosen
   * @param {(input: number) => void} cut called when a line into the chosen unit is clicked
   */
  constructor(select, cut) {
    this.select = select;
    this.canvas = element("canvas", {
      "aria-hidden": "true",
      click: (event) => {
        const input = this._inputAt(event.offsetX, event.offsetY);
        if (input !== null) cut(input);
      },
      pointermove: (event) => {
        const there = this._inputAt(event.offsetX, event.offsetY) !== null;
        this.canvas.style.cursor = there ? "pointer" : "";
      },
    });
    this.units = element("div", { class: "pg-units" });
    this.root = element("div", { class: "pg-diagram" }, this.canvas, this.units);
    this.widths = "";
  }

  /**
   * @param network
   * @param colours as `readColours` gives them
   * @param {[number, number][][]} gone units that each picture leaves out
   * @param {?number[]} selected layer and unit
   */
  draw(network, colours, gone, selected) {
    const widths = widthsOf(network);
    if (String(widths) !== this.widths) this._build(widths);
    Object.assign(this, { network, selected });
    const out = gone.map((units) => new Set(units.map(String)));
    this.buttons.forEach((made, key) => {
      const [layer] = made.place;
      const state = out.map((units) => (units.has(key) ? "0" : "1")).join("");
      const chosen = selected !== null && String(selected) === key;
      if (made.state === state && made.chosen === chosen) return;
      Object.assign(made, { state, chosen });
      made.style.setProperty("--unit", `var(--sl-${depthName(layer, widths.length)})`);
      made.dataset.kept = state;
      made.setAttribute("aria-pressed", chosen);
    });
    this._drawWeights(network, colours, selected);
  }

  /** The button of a unit, if there is one. */
  buttonOf(unit) {
    return this.buttons.get(String(unit));
  }

  _build(widths) {
    this.widths = String(widths);
    this.rows = Math.max(...widths, 4);
    this.root.style.height = `${this.rows * ROW}px`;
    this.buttons = new Map();
    this.units.replaceChildren(
      ...["x", "y"].map((name, i) =>
        this._place(element("span", { class: "pg-input" }, name), 0, i, 2),
      ),
      this._place(element("span", { class: "pg-input" }, "f"), widths.length + 1, 0, 1),
    );
    widths.forEach((width, layer) => {
      for (let unit = 0; unit < width; unit++) {
        const made = button("", () => this.select(layer, unit), {
          class: "pg-unit",
          title: `Unit ${unit} of layer ${layer + 1}`,
          "aria-label": `Unit ${unit} of layer ${layer + 1}`,
        });
        made.place = [layer, unit];
        this.buttons.set(String([layer, unit]), made);
        this.units.append(this._place(made, layer + 1, unit, width));
      }
    });
  }

  _where(column, index, count, columns) {
    const spread = Math.min(this.rows / count, 2.2);
    return [(column + 0.35) / (columns - 0.3), this.rows / 2 + (index - (count - 1) / 2) * spread];
  }

  _place(made, column, index, count) {
    const columns = this.widths.split(",").length + 2;
    const [x, row] = this._where(column, index, count, columns);
    made.style.left = `${100 * x}%`;
    made.style.top = `${row * ROW}px`;
    return made;
  }

  /** The input whose line into the chosen unit is nearest to a place, if one is near; else null. */
  _inputAt(px, py) {
    if (!this.selected) return null;
    const [layer, unit] = this.selected;
    const { inputs, outputs, weight } = this.network[layer];
    const [columns, side] = [this.network.length + 1, this.canvas.clientWidth];
    const place = (...where) => {
      const [x, row] = this._where(...where, columns);
      return [x * side, row * ROW];
    };
    let [best, found] = [REACH, null];
    for (let k = 0; k < inputs; k++) {
      if (weight[unit * inputs + k] === 0) continue;
      const [[x0, y0], [x1, y1]] = [place(layer, k, inputs), place(layer + 1, unit, outputs)];
      const share = Math.min(Math.max((px - x0) / (x1 - x0), 0), 1);
      const distance = Math.hypot(x0 + share * (x1 - x0) - px, y0 + share * (y1 - y0) - py);
      if (distance < best) [best, found] = [distance, k];
    }
    return found;
  }

  _drawWeights(network, colours, selected) {
    const context = fitted(this.canvas);
    const side = this.canvas.clientWidth;
    const columns = network.length + 1;
    network.forEach(({ inputs, outputs, weight }, layer) => {
      const largest = weight.reduce((most, w) => Math.max(most, Math.abs(w)), 1e-9);
      for (let u = 0; u < outputs; u++) {
        const chosen = selected && selected[0] === layer && selected[1] === u;
        for (let k = 0; k < inputs; k++) {
          const share = Math.abs(weight[u * inputs + k]) / largest;
          if (share < 0.04) continue;
          const [x0, y0] = this._where(layer, k, inputs, columns);
          const [x1, y1] = this._where(layer + 1, u, outputs, columns);
          context.beginPath();
          context.moveTo(x0 * side, y0 * ROW);
          context.lineTo(x1 * side, y1 * ROW);
          const colour = weight[u * inputs + k] > 0 ? colours.one : colours.zero;
          context.strokeStyle = colour;
          context.globalAlpha = chosen ? 0.95 : (selected ? 0.25 : 0.55) * share;
          context.lineWidth = chosen ? 1 + 2 * share : 0.5 + 1.2 * share;
          context.stroke();
        }
      }
    });
    context.globalAlpha = 1;
  }
}
