/** A star that is moved in the square: by mouse, pen, finger and keys. */

const STEPS = 50; // of an arrow key, across the square
const MOVES = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] };
/** A finger so near to the star takes it, in pixels; elsewhere it scrolls the page. */
const REACH = 36;

export class StarHandle {
  /**
   * @param {HTMLCanvasElement} canvas
   * @param {Picture} picture
   * @param {() => [number, number]} place where the star is
   * @param {(x: number, y: number, byKey: boolean) => void} move
   */
  constructor(canvas, picture, place, move) {
    Object.assign(this, { canvas, picture, place, move, held: null });
    canvas.addEventListener("pointerdown", (event) => this._down(event));
    canvas.addEventListener("pointermove", (event) => this.held?.takes && this._follow(event));
    canvas.addEventListener("pointerup", (event) => this._up(event));
    canvas.addEventListener("pointercancel", () => (this.held = null));
    // A finger that moves the star does not scroll the page; the pointer has gone down before.
    canvas.addEventListener(
      "touchstart",
      (event) => this.held?.takes && event.cancelable && event.preventDefault(),
      { passive: false },
    );
    canvas.addEventListener("keydown", (event) => this._key(event));
  }

  _at(event) {
    const box = this.canvas.getBoundingClientRect();
    return this.picture.toSquare(event.clientX - box.left, event.clientY - box.top);
  }

  _put([x, y], byKey = false) {
    const { low, high } = this.picture;
    const inside = (value) => Math.min(Math.max(value, low), high);
    this.move(inside(x), inside(y), byKey);
  }

  _follow(event) {
    this._put(this._at(event));
  }

  _down(event) {
    if (event.button > 0) return;
    const { low, high } = this.picture;
    const [[x, y], [sx, sy]] = [this._at(event), this.place()];
    const pixels = (Math.hypot(x - sx, y - sy) * this.canvas.clientWidth) / (high - low);
    const takes = event.pointerType !== "touch" || pixels < REACH;
    this.held = { takes };
    if (!takes) return;
    this.canvas.setPointerCapture(event.pointerId);
    if (event.pointerType !== "touch") this._follow(event);
  }

  _up(event) {
    if (this.held && !this.held.takes) this._follow(event); // a tap: the star goes there
    this.held = null;
  }

  _key(event) {
    const direction = MOVES[event.key];
    if (!direction || event.ctrlKey || event.metaKey || event.altKey) return;
    const { low, high } = this.picture;
    const step = ((event.shiftKey ? 5 : 1) * (high - low)) / STEPS;
    const [x, y] = this.place();
    this._put([x + step * direction[0], y + step * direction[1]], true);
    event.preventDefault();
  }
}
