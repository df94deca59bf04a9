/**
 * What can be done with one unit: remove it, merge it, move and turn its line, cut its weights. Units
 * have the numbers that they have in the library, from 0.
 */

import { nearestOnSameSide, strengthOf } from "./distances.js";
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
    this.removal = button("Remove", () => this.remove(), { class: "pg-remove" });
    this.merge = button("Merge", () => this._merge(), { class: "pg-merge" });
    this.close = button("×", () => page.deselect(), {
      class: "pg-close",
      "aria-label": "Done with this unit",
    });
    this.shift = slider(-1, 1, 0.01, (value) => this._shift(value), {
      class: "pg-shift",
      "aria-label": "Move the line",
    });
    this.turn = slider(-180, 180, 1, (value) => this._turn(value), {
      class: "pg-turn",
      "aria-label": "Turn the line",
    });
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
      element("div", { class: "pg-row" }, this.removal, this.merge),
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
    this.title.textContent = `Unit ${at}, layer ${layer + 1}`;
    this.partner = nearestOnSameSide(own, at);
    this.merge.disabled = this.partner < 0;
    this.merge.textContent =
      this.partner < 0 ? "No line to merge into" : `Merge into ${this.partner}`;
    this.removal.disabled = own.outputs === 1;
    this.removal.title = own.outputs === 1 ? "A layer keeps its last unit" : "";
    this.merge.disabled ||= own.outputs === 1;
    this.turning.hidden = layer > 0;
    this._centre();
    this._listWeights();
  }

  /** Sliders start in the middle, whatever the unit is. */
  _centre() {
    this.shift.value = this.turn.value = this.shifted = this.turned = 0;
  }

  _listWeights() {
    const [layer] = this.unit;
    const { inputs } = this.session.network[layer];
    this.names = Array.from({ length: inputs }, (_, k) => (layer ? `${k}` : "xy"[k]));
    this.cuts = this.names.map((name, k) => button("", () => this.cut(k), { class: "pg-weight" }));
    this.values = this.cuts.map((made, k) => {
      const value = element("span", {});
      made.append(element("small", {}, this.names[k]), value);
      return value;
    });
    const hint = element("span", { class: "pg-hint" }, "cut a weight");
    this.weights.replaceChildren(hint, ...this.cuts);
    this.refresh();
  }

  /** Write down the weights as they are now. */
  refresh() {
    const { weight, inputs } = this.session.network[this.unit[0]];
    this.cuts.forEach((made, k) => {
      const value = weight[this.unit[1] * inputs + k];
      const text = value ? short(value) : "cut";
      if (this.values[k].textContent === text) return;
      this.values[k].textContent = text;
      made.disabled = value === 0;
      const name = `the weight ${short(value)} from ${this.names[k]}`;
      made.setAttribute("aria-label", value ? `Cut ${name}` : `${name} is cut`);
    });
  }

  /** Take the unit out, unless it is the last of its layer. */
  remove() {
    const { session } = this;
    if (this.removal.disabled) return;
    session.setNetwork(withoutUnits(session.network, [this.unit]));
    this.page.deselect();
  }

  _merge() {
    const { session } = this;
    session.setNetwork(mergedInto(session.network, ...this.unit, this.partner));
    this.page.deselect();
  }

  /** Cut the weight of one input. */
  cut(input) {
    const { session } = this;
    session.setNetwork(withoutWeight(session.network, ...this.unit, input));
    this.page.change();
    this.refresh();
    this.cuts.find((made) => !made.disabled)?.focus();
  }

  /** Move the line along its normal, the slider's 1 being a unit of what the layer reads. */
  _shift(value) {
    const [layer, at] = this.unit;
    const own = this.session.network[layer];
    own.bias[at] -= (value - this.shifted) * (strengthOf(own, at) || 1);
    this.shifted = value;
    this.page.change();
  }

  /** Turn the line around its point that is nearest to the centre. */
  _turn(degrees) {
    const at = this.unit[1];
    const { weight, bias } = this.session.network[0];
    const [x, y] = [weight[2 * at], weight[2 * at + 1]];
    const size = x * x + y * y || 1;
    if (this.turned === 0) this.pivot = [(-bias[at] * x) / size, (-bias[at] * y) / size];
    const angle = ((degrees - this.turned) * Math.PI) / 180;
    weight[2 * at] = Math.cos(angle) * x - Math.sin(angle) * y;
    weight[2 * at + 1] = Math.sin(angle) * x + Math.cos(angle) * y;
    bias[at] = -weight[2 * at] * this.pivot[0] - weight[2 * at + 1] * this.pivot[1];
    this.turned = degrees;
    this.page.change();
  }
}
