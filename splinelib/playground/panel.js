/** What can be done with one unit of a figure: move and turn its line, remove it, merge it. */

import { nearestOnSameSide } from "./distances.js";
import { button, choiceOf, element, short, slider } from "./element.js";
import { angleOf, offsetOf, setAngle, setOffset } from "./line.js";

let panels = 0;

/** A name for a unit, its number as the library's: from 0. */
export function nameOf([layer, unit], layers) {
  return layers > 1 ? `unit ${unit} of layer ${layer + 1}` : `unit ${unit}`;
}

export class UnitPanel {
  /**
   * @param explorer layers, chosen, gone; choose(unit), changed(), putBack(), remove(), merge(heir)
   * @param {{lines: boolean, units: boolean}} allowed
   */
  constructor(explorer, { lines, units }) {
    Object.assign(this, { explorer, allowed: { lines, units } });
    const hidden = explorer.layers.slice(0, -1);
    const all = hidden.flatMap((layer, l) =>
      Array.from({ length: layer.outputs }, (_, u) => {
        return [String([l, u]), nameOf([l, u], hidden.length)];
      }),
    );
    this.choice = choiceOf(all, (value) => explorer.choose(value.split(",").map(Number)));
    this.facts = element("p", { class: "sl-facts", role: "status" });
    const [low, high] = explorer.square;
    const far = 0.8 * (high - low);
    this.offset = this._slider("offset", -far, far, (high - low) / 100, (value) =>
      setOffset(...this._own(), value),
    );
    this.angle = this._slider("angle", -180, 180, 2, (value) => setAngle(...this._own(), value));
    this.removal = button("Remove it", () => explorer.remove(), { class: "sl-remove" });
    this.heir = choiceOf(all, () => this.show(), { "aria-label": "into" });
    this.merge = button("Merge it into", () => explorer.merge(this._heir()), { class: "sl-merge" });
    this.back = button("Put all back", () => explorer.putBack(), { class: "sl-back" });
    this.root = element(
      "div",
      { class: "sl-panel" },
      element("label", { class: "sl-row" }, "chosen: ", this.choice),
      ...(lines ? [this.offset.root, this.angle.root] : []),
      ...(units
        ? [this.removal, element("span", { class: "sl-row" }, this.merge, this.heir)]
        : []),
      this.back,
    );
  }

  /** Bring all controls up to date; a button that is not to be pressed again hands on the focus. */
  show() {
    const buttons = [this.removal, this.merge, this.back];
    const pressed = buttons.find((made) => made === document.activeElement);
    this._show();
    if (pressed?.disabled) this.choice.focus({ preventScroll: true });
  }

  /** A unit newly chosen names the heir that lies nearest. */
  _show() {
    const { layers, chosen, gone, touched } = this.explorer;
    const [layer, unit] = chosen;
    this.choice.value = String(chosen);
    this.offset.put(offsetOf(layers[layer], unit));
    this.angle.root.hidden = layer > 0;
    if (layer === 0) this.angle.put(angleOf(layers[layer], unit));
    this.back.disabled = !touched;
    if (!this.allowed.units) return;
    for (const option of this.heir.options) {
      const [l] = option.value.split(",").map(Number);
      option.disabled = l !== layer || option.value === String(chosen) || gone.has(option.value);
    }
    if (this.shown !== String(chosen) || this.heir.selectedOptions[0]?.disabled) this._nearest();
    this.shown = String(chosen);
    this.removal.disabled = gone.has(String(chosen));
    this.merge.disabled = this.removal.disabled || this.heir.selectedIndex < 0;
  }

  _nearest() {
    const { layers, chosen } = this.explorer;
    const nearest = nearestOnSameSide(layers[chosen[0]], chosen[1]);
    const wanted = [...this.heir.options].find(
      (option) => option.value === String([chosen[0], nearest]) && !option.disabled,
    );
    const other = wanted ?? [...this.heir.options].find((option) => !option.disabled);
    this.heir.value = other?.value ?? "";
  }

  _heir() {
    return Number(this.heir.value.split(",")[1]);
  }

  _own() {
    const { layers, chosen } = this.explorer;
    return [layers[chosen[0]], chosen[1]];
  }

  _slider(name, min, max, step, set) {
    const id = `sl-panel-${++panels}`;
    const output = element("output", { for: id });
    const write = (value) => {
      output.textContent = name === "angle" ? `${Math.round(value)}°` : short(value);
      input.setAttribute("aria-valuetext", output.textContent);
    };
    const input = slider(
      min,
      max,
      step,
      (value) => {
        set(value);
        this.explorer.changed();
      },
      { id, autocomplete: "off" },
    );
    const label = element("label", { for: id }, name);
    const root = element("div", { class: "sl-control" }, label, input, output);
    const put = (value) => {
      if (Math.abs(Number(input.value) - value) > step / 2) input.value = value;
      write(value);
    };
    return { root, put };
  }
}
