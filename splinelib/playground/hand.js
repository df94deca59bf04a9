/** Mouse, pen, finger and keys on the picture of a figure. */

const STEPS = 50; // of an arrow key, across the square
const MOVES = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] };
/** How near one has to come to a thing to take it, in pixels. */
const REACH = { mouse: 8, pen: 10, touch: 18 };
/** A finger so near to the star takes it; elsewhere it scrolls the page. */
const STAR = 36;

export class Hand {
  /**
   * @param {HTMLCanvasElement} canvas
   * @param {Picture} picture
   * @param owner star: its place; moveStar(x, y, byKey); hovers: whether a mouse that only passes
   *   moves the star; grab(x, y, reach, touch): what else lies within reach, as {press(), move(x,
   *   y), release()}, or null
   */
  constructor(canvas, picture, owner) {
    Object.assign(this, { canvas, picture, owner, held: null });
    canvas.addEventListener("pointerdown", (event) => this._down(event));
    canvas.addEventListener("pointermove", (event) => this._move(event));
    canvas.addEventListener("pointerup", (event) => this._up(event));
    canvas.addEventListener("pointercancel", () => this._let());
    // A finger that moves something does not scroll the page; the pointer has gone down before.
    canvas.addEventListener(
      "touchstart",
      (event) => this.held?.thing && event.cancelable && event.preventDefault(),
      { passive: false },
    );
    canvas.addEventListener("keydown", (event) => this._key(event));
  }

  _at(event) {
    const box = this.canvas.getBoundingClientRect();
    return this.picture.toSquare(event.clientX - box.left, event.clientY - box.top);
  }

  _put(x, y, byKey = false) {
    const { low, high } = this.picture;
    const inside = (value) => Math.min(Math.max(value, low), high);
    this.owner.moveStar(inside(x), inside(y), byKey);
  }

  _unit() {
    return (this.picture.high - this.picture.low) / this.canvas.clientWidth;
  }

  /** What a press takes, or null. */
  _take([x, y], kind) {
    const touch = kind === "touch";
    const other = this.owner.grab(x, y, (REACH[kind] ?? REACH.mouse) * this._unit(), touch);
    if (other) return other;
    const [sx, sy] = this.owner.star;
    const near = Math.hypot(x - sx, y - sy) < STAR * this._unit();
    if (touch ? !near : this.owner.hovers) return null;
    const put = (...to) => this._put(...to);
    return { press: touch ? () => {} : put, move: put };
  }

  _down(event) {
    if (event.button > 0) return;
    const at = this._at(event);
    const thing = this._take(at, event.pointerType);
    this.held = { thing, from: [event.clientX, event.clientY] };
    if (!thing) return;
    this.canvas.setPointerCapture(event.pointerId);
    thing.press(...at);
  }

  _move(event) {
    const at = this._at(event);
    const { owner, held } = this;
    const mouse = event.pointerType === "mouse";
    if (held) {
      const [x, y] = held.from; // a press that hardly moves is a click
      held.moved ||= Math.hypot(event.clientX - x, event.clientY - y) > 2;
      if (held.moved) held.thing?.move(...at);
    } else if (mouse && owner.hovers) {
      const there = owner.grab(...at, this._unit() * REACH.mouse, false);
      this.canvas.style.cursor = there ? "grab" : "";
    }
    if (owner.hovers && mouse) this._put(...at);
  }

  _let() {
    this.held?.thing?.release?.();
    this.held = null;
  }

  _up(event) {
    const { held } = this;
    this._let();
    if (!held || held.thing || held.moved) return;
    const at = this._at(event); // a tap: it chooses what lies there, or puts the star there
    const thing = this.owner.grab(...at, this._unit() * REACH.touch, false);
    if (thing) thing.press(...at);
    else this._put(...at);
  }

  _key(event) {
    const direction = MOVES[event.key];
    if (!direction || event.ctrlKey || event.metaKey || event.altKey) return;
    const { low, high } = this.picture;
    const step = ((event.shiftKey ? 5 : 1) * (high - low)) / STEPS;
    const [x, y] = this.owner.star;
    this._put(x + step * direction[0], y + step * direction[1], true);
    event.preventDefault();
  }
}
