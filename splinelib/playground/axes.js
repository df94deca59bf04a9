/** Axes of a chart on a canvas, in the units of the data. */

import { fitted } from "./drawing.js";

const FONT = '12px system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", sans-serif';
/** Room for numbers and names around the box, in pixels. */
const ROOM = { left: 40, right: 14, top: 26, bottom: 36 };

/** A straight line on a canvas. */
export function line(context, x0, y0, x1, y1) {
  context.beginPath();
  context.moveTo(x0, y0);
  context.lineTo(x1, y1);
  context.stroke();
}

export class Axes {
  /**
   * @param {HTMLCanvasElement} canvas
   * @param {{x: Object, y: Object}} given for each axis its `name`, the `range` from left to right
   *   or from the bottom to the top, the `ticks` with numbers, and how they are `written`; whether
   *   there are lines at the ticks
   */
  constructor(canvas, { x, y, grid = true }) {
    Object.assign(this, { canvas, x, y, grid });
  }

  /** Clear the canvas, and draw box, numbers and names. */
  begin(colours) {
    const context = (this.context = fitted(this.canvas));
    const { clientWidth, clientHeight } = this.canvas;
    const [right, bottom] = [clientWidth - ROOM.right, clientHeight - ROOM.bottom];
    Object.assign(this, { left: ROOM.left, top: ROOM.top, right, bottom, colours });
    context.font = FONT;
    for (const value of this.x.ticks) {
      if (this.grid) this.upright(colours.grid, value, 1);
      this.write(written(this.x, value), this.px(value), bottom + 15, { align: "center" });
    }
    for (const value of this.y.ticks) {
      if (this.grid) this.level(colours.grid, value, 1);
      this.write(written(this.y, value), this.left - 6, this.py(value) + 4, { align: "right" });
    }
    this.write(this.x.name, (this.left + right) / 2, bottom + 31, { align: "center" });
    this.write(this.y.name, 0, 13);
    return context;
  }

  px(value) {
    return this.left + (this.right - this.left) * shareOf(value, this.x.range);
  }

  py(value) {
    return this.bottom - (this.bottom - this.top) * shareOf(value, this.y.range);
  }

  /** The value of the upright axis at so many pixels from the top of the canvas. */
  valueAt(pixels) {
    const [low, high] = this.y.range;
    return low + ((high - low) * (this.bottom - pixels)) / (this.bottom - this.top);
  }

  /** A line through points of the data, cut off at the box. */
  stroke(colour, points, width = 1.8, dashes = []) {
    const { context } = this;
    this._inside(() => {
      context.strokeStyle = colour;
      context.lineWidth = width;
      context.setLineDash(dashes);
      context.beginPath();
      for (const [x, y] of points) context.lineTo(this.px(x), this.py(y));
      context.stroke();
    });
  }

  /** A line from the bottom to the top. */
  upright(colour, x, ...how) {
    this.stroke(colour, this.y.range.map((y) => [x, y]), ...how);
  }

  /** A line from left to right. */
  level(colour, y, ...how) {
    this.stroke(colour, this.x.range.map((x) => [x, y]), ...how);
  }

  /** A rectangle between two corners, in pale colour. */
  shade(colour, [x0, y0], [x1, y1], strength = 0.14) {
    const { context } = this;
    this._inside(() => {
      context.globalAlpha = strength;
      context.fillStyle = colour;
      const [left, top] = [this.px(x0), this.py(y0)];
      context.fillRect(left, top, this.px(x1) - left, this.py(y1) - top);
    });
  }

  /** A dot with a rim; a hollow one is a ring. */
  dot(colour, x, y, radius = 6, hollow = false) {
    const { context, colours } = this;
    context.beginPath();
    context.arc(this.px(x), this.py(y), radius, 0, 2 * Math.PI);
    context.fillStyle = hollow ? colours.surface : colour;
    context.strokeStyle = hollow ? colour : colours.surface;
    context.lineWidth = hollow ? 2 : 1.5;
    context.fill();
    context.stroke();
  }

  /** Text at a place in pixels, with a rim that sets it off from lines below; moved if it is cut. */
  write(text, x, y, { align = "left", colour = this.colours.muted } = {}) {
    const { context } = this;
    const { width } = context.measureText(text);
    const start = x - width * { left: 0, center: 0.5, right: 1 }[align];
    x = Math.max(0, Math.min(start, this.canvas.clientWidth - width));
    context.textAlign = "left";
    context.lineWidth = 3;
    context.strokeStyle = this.colours.surface;
    context.strokeText(text, x, y);
    context.fillStyle = colour;
    context.fillText(text, x, y);
  }

  _inside(draw) {
    const { context } = this;
    context.save();
    context.beginPath();
    context.rect(this.left, this.top, this.right - this.left, this.bottom - this.top);
    context.clip();
    draw();
    context.restore();
  }
}

function shareOf(value, [low, high]) {
  return (value - low) / (high - low);
}

function written(axis, value) {
  return axis.written ? axis.written(value) : String(value);
}

/** Round numbers within a range, about `count` of them. */
export function ticksOf([low, high], count = 5) {
  const rough = (high - low) / count;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = power * [1, 2, 4, 5, 10].find((factor) => factor * power >= rough);
  const first = Math.ceil(low / step);
  const ticks = [];
  for (let i = first; i * step <= high + 1e-9 * step; i++) {
    ticks.push(Number((i * step).toFixed(9)));
  }
  return ticks;
}
