/** What can be done with one unit: remove it, merge it, move and turn its line, cut its weights. */

import { nearestOnSameSide, strengthOf } from "./criteria.js";
import { button, element, short, slider } from "./element.js";
import { mergedInto, withoutUnits, withoutWeight } from "./pruning.js";

export class Inspector {
  /**
   * @param {Session} session
   * @param {{change: () => void, deselect: () => void}} page what to call when the network has
   *   changed, and when the unit is gone
   */
  constructor(session, page) {
    this.session = session;
    this.page = page;
    this.title = element("strong", {});
    this.remove = button("Remove", () => this._remove(), { class: "pg-remove" });
    this.merge = button("Merge", () => this._merge(), { class: "pg-merge" });
    this.close = button("×", () => page.deselect(), { class: "pg-close", "aria-label": "Done with this unit" });
    this.shift = slider(-1, 1, 0.01, (value) => this._shift(value), { class: "pg-shift", "aria-label": "Move the line" });
    this.turn = slider(-180, 180, 1, (value) => this._turn(value), { class: "pg-turn", "aria-label": "Turn the line" });
    for (const control of [this.shift, this.turn]) {
      control.addEventListener("pointerdown", () => session.remember());
      control.addEventListener("keydown", (event) => {
        if (event.key.startsWith("Arrow") && !event.repeat) session.remember();
      });
      control.addEventListener("change", () => this._centre());
    }
    this.turning = element("label", {}, "turn ", this.turn);
    this.weights = element("div", { class: "pg-weights" });
    this.root = element(
      "div",
      { class: "pg-inspector", hidden: true },
      element("div", { class: "pg-row" }, this.title, this.close),
      element("div", { class: "pg-row" }, this.remove, this.merge),
      element("div", { class: "pg-row" }, element("label", {}, "move ", this.shift), this.turning),
      this.weights,
    );
  }

  /** Show a unit, or nothing. */
  show(unit) {
    this.unit = unit;
    this.root.hidden = !unit;
    if (!unit) return;
    const [layer, at] = unit;
    const own = this.session.network[layer];
    this.title.textContent = `Unit ${at + 1}, layer ${layer + 1}`;
    this.partner = nearestOnSameSide(own, at);
    this.merge.disabled = this.partner < 0;
    this.merge.textContent = this.partner < 0 ? "No line to merge into" : `Merge into ${this.partner + 1}`;
    this.remove.disabled = own.outputs === 1;
    this.remove.title = own.outputs === 1 ? "A layer keeps its last unit" : "";
    this.merge.disabled ||= own.outputs === 1;
    this.turning.hidden = layer > 0;
    this._centre();
    this._listWeights();
  }

  /** Sliders start in the middle, whatever the unit is. */
  _centre() {
    const { weight, inputs, bias } = this.session.network[this.unit[0]];
    const at = this.unit[1];
    this.from = { row: weight.slice(at * inputs, (at + 1) * inputs), bias: bias[at] };
    this.shift.value = this.turn.value = 0;
  }

  _listWeights() {
    const [layer, at] = this.unit;
    const { inputs, weight } = this.session.network[layer];
    const names = layer ? (k) => `${k + 1}` : (k) => "xy"[k];
    this.weights.replaceChildren(
      element("span", { class: "pg-hint" }, "cut a weight"),
      ...Array.from({ length: inputs }, (_, k) => {
        const value = weight[at * inputs + k];
        return button("", () => this._cut(k), {
          class: "pg-weight",
          disabled: value === 0,
          "aria-label": value ? `Cut the weight ${short(value)} from ${names(k)}` : `The weight from ${names(k)} is cut`,
        });
      }),
    );
    this.weights.querySelectorAll("button").forEach((made, k) => {
      const value = weight[at * inputs + k];
      made.append(element("small", {}, names(k)), value ? short(value) : "cut");
    });
  }

  _remove() {
    const { session } = this;
    session.setNetwork(withoutUnits(session.network, [this.unit]));
    this.page.deselect();
  }

  _merge() {
    const { session } = this;
    session.setNetwork(mergedInto(session.network, ...this.unit, this.partner));
    this.page.deselect();
  }

  _cut(input) {
    const { session } = this;
    session.setNetwork(withoutWeight(session.network, ...this.unit, input));
    this.page.change();
    this.show(this.unit);
    this.weights.querySelectorAll("button:enabled")[0]?.focus();
  }

  /** Move the line along its normal, the slider's 1 being a unit of what the layer reads. */
  _shift(value) {
    const [layer, at] = this.unit;
    const { network } = this.session;
    network[layer].bias[at] = this.from.bias - value * (strengthOf(network[layer], at) || 1);
    this.page.change();
  }

  /** Turn the line around its point that is nearest to the centre. */
  _turn(degrees) {
    const [layer, at] = this.unit;
    const { row: [wx, wy], bias } = this.from;
    const size = wx * wx + wy * wy;
    if (!size) return;
    const [cos, sin] = [Math.cos((degrees * Math.PI) / 180), Math.sin((degrees * Math.PI) / 180)];
    const own = this.session.network[layer];
    const [nx, ny] = [cos * wx - sin * wy, sin * wx + cos * wy];
    own.weight[2 * at] = nx;
    own.weight[2 * at + 1] = ny;
    own.bias[at] = (bias * (nx * wx + ny * wy)) / size;
    this.page.change();
  }
}
