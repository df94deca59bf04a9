/** Mouse, pen, touch and keyboard on one picture. */

import { short } from "./element.js";

const STEP = 0.04;
const MOVES = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] };
/** How near to a line counts as on it, in pixels. */
const REACH = { mouse: 7, pen: 9, touch: 16 };

export class Pointing {
  /**
   * @param {Playground} app
   * @param {View} view
   */
  constructor(app, view) {
    Object.assign(this, { app, view, held: null });
    const { canvas } = view;
    canvas.addEventListener("pointermove", (event) => this._move(event));
    canvas.addEventListener("pointerdown", (event) => this._down(event));
    canvas.addEventListener("pointerup", (event) => this._up(event));
    canvas.addEventListener("pointercancel", () => (this.held = null));
    canvas.addEventListener(
      "pointerleave",
      (event) => event.pointerType === "mouse" && app.look(null),
    );
    // A finger that moves a line does not scroll the page; the pointer has gone down before.
    canvas.addEventListener(
      "touchstart",
      (event) => this.held?.moves && event.cancelable && event.preventDefault(),
      { passive: false },
    );
    canvas.addEventListener("keydown", (event) => this._key(event));
    canvas.addEventListener("blur", () => {
      app.cross = null;
      app.look(null);
    });
  }

  _at(event) {
    const box = this.view.canvas.getBoundingClientRect();
    return this.view.picture.toSquare(event.clientX - box.left, event.clientY - box.top);
  }

  _move(event) {
    const { app, view } = this;
    const [x, y] = this._at(event);
    if (this.held) this._drag(event, x, y);
    else {
      const near = !this._draws() && view.unitAt(x, y, REACH.mouse);
      view.canvas.style.cursor = this._draws() ? "copy" : near ? "grab" : "crosshair";
    }
    app.look([x, y], view);
  }

  _down(event) {
    const { app, view } = this;
    if (event.button > 0) return;
    const [x, y] = this._at(event);
    app.cross = null;
    const touch = event.pointerType === "touch";
    const skip = this._draws() || (touch && app.compact);
    const unit = skip ? null : view.unitAt(x, y, REACH[event.pointerType] ?? REACH.mouse);
    // A finger moves the line that was chosen before; else it scrolls the page.
    const moves = unit && (!touch || String(unit) === String(app.selected));
    this.held = { unit, moves, from: [event.clientX, event.clientY], moved: false };
    if (moves) view.canvas.setPointerCapture(event.pointerId);
    app.look([x, y], view);
  }

  _drag(event, x, y) {
    const { app, view, held } = this;
    const [px, py] = held.from;
    if (!held.moved && Math.hypot(event.clientX - px, event.clientY - py) < 3) return;
    if (!held.moved && held.moves) {
      app.session.remember();
      app.select(held.unit);
    }
    held.moved = true;
    if (!held.moves) return;
    view.canvas.style.cursor = "grabbing";
    const [layer, unit] = held.unit;
    app.session.network[layer].bias[unit] -= view.heightOf(held.unit, x, y);
    app.changed();
  }

  _up(event) {
    const { app, held } = this;
    this.held = null;
    if (!held) return;
    if (held.moved) {
      if (held.moves) app.select(held.unit);
      return;
    }
    const [x, y] = this._at(event);
    if (this._draws()) this._put(x, y);
    else app.select(held.unit);
  }

  _key(event) {
    const { app, view } = this;
    const move = MOVES[event.key];
    if (move) {
      const size = event.shiftKey ? 5 * STEP : STEP;
      const inside = (value) => Math.min(Math.max(value, -1), 1);
      const [x, y] = app.cross ?? [0, 0];
      app.cross = [inside(x + size * move[0]), inside(y + size * move[1])];
      app.look(app.cross, view);
      this._tell(...app.cross);
    } else if (event.key === "Enter" && app.cross) {
      if (this._draws()) this._put(...app.cross);
      else app.select(view.unitAt(...app.cross, 1e9));
    } else if (event.key === "Escape") {
      app.cross = null;
      app.look(null);
      app.select(null);
    } else return;
    event.preventDefault();
  }

  _tell(x, y) {
    const { bits, map } = this.view.regionAt(x, y);
    const values = map.map((value) => short(value)).join(", ");
    this.app.controls.live.textContent = `At ${short(x)}, ${short(y)}: code ${bits.join(" ")}; slopes and constant ${values}`;
  }

  _draws() {
    return this.app.session.data.name === "own" && !this.app.compact;
  }

  _put(x, y) {
    const { app } = this;
    const reach = 8 / this.view.picture.half;
    app.attempt(() => app.session.togglePoint(x, y, app.label, reach));
    app.changed();
  }
}
