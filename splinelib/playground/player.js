/** A slider with a button that moves it by itself, step by step. */

import { button, element, slider } from "./element.js";

/** Milliseconds of a step. */
const STEP = 600;
let players = 0;

export class Player {
  /**
   * @param {string} label what the slider changes
   * @param {string[]} values what stands beside it at each position
   * @param {number} start
   * @param {(at: number) => void} change
   */
  constructor(label, values, start, change) {
    Object.assign(this, { values, change });
    const id = `sl-player-${++players}`;
    this.output = element("output", { for: id });
    const put = (at) => {
      this.pause();
      this._go(at);
    };
    const last = values.length - 1;
    this.input = slider(0, last, 1, put, { id, autocomplete: "off" });
    // Whoever asks for less motion moves the slider by hand; the stylesheet hides the button.
    const toggle = () => (this.timer ? this.pause() : this._run());
    this.play = button("Play", toggle, { class: "sl-play" });
    const name = element("label", { for: id }, label);
    const first = element("span", { class: "sl-still" }, values[start]); // for print
    const controls = [this.input, this.output, first, this.play];
    this.root = element("div", { class: "sl-control" }, name, ...controls);
    this._go(start);
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
    }, STEP);
  }

  _go(at) {
    this.at = at;
    this.input.value = at;
    this.output.textContent = this.values[at];
    this.input.setAttribute("aria-valuetext", this.values[at]);
    this.change(at);
  }
}
