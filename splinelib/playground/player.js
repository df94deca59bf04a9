/** A slider with a button that moves it by itself, step by step. */

import { button, element, slider } from "./element.js";

/** Milliseconds of a step, unless told. */
const STEP = 600;
let players = 0;

export class Player {
  /**
   * @param {string} label what the slider changes
   * @param {string[]} values what stands beside it at each position
   * @param {number} start
   * @param {(at: number) => void} change
   * @param {{step: ?number, plays: ?boolean}} how milliseconds of a step; whether there is a button
   */
  constructor(label, values, start, change, { step = STEP, plays = true } = {}) {
    Object.assign(this, { values, change, step });
    const id = `sl-player-${++players}`;
    this.output = element("output", { for: id });
    const last = values.length - 1;
    this.input = slider(0, last, 1, (at) => this.put(at), { id, autocomplete: "off" });
    // Whoever asks for less motion moves the slider by hand; the stylesheet hides the button.
    const toggle = () => (this.timer ? this.pause() : this._run());
    this.play = button("Play", toggle, { class: "sl-play" });
    const name = element("label", { for: id }, label);
    const first = element("span", { class: "sl-still" }, values[start]); // for print
    const controls = [this.input, this.output, first, ...(plays ? [this.play] : [])];
    this.root = element("div", { class: "sl-control" }, name, ...controls);
    this._go(start);
  }

  /** Go to a position, and stop there. */
  put(at) {
    this.pause();
    this._go(at);
  }

  pause() {
    clearInterval(this.timer);
    this.timer = null;
    this.play.textContent = "Play";
  }

  _run() {
    if (this.at === this.values.length - 1) this._go(0);
    this.play.textContent = "Pause";
    this.timer = setInterval(() => {
      this._go(this.at + 1);
      if (this.at === this.values.length - 1) this.pause();
    }, this.step);
  }

  _go(at) {
    this.at = at;
    this.input.value = at;
    this.output.textContent = this.values[at];
    this.input.setAttribute("aria-valuetext", this.values[at]);
    this.change(at);
  }
}
