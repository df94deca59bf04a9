/** What figures draw on top of a partition: handles, numbers of lines, what has changed. */

import { element } from "./element.js";
import { between, endsInSquare } from "./line.js";
import { preActivations } from "./network.js";

/** Points along each side at which a change is looked at for its shade. */
const SHADES = 96;
/** Pixels of the disc behind a number, from its middle. */
const DISC = 9;

export class Overlay {
  /** @param {Picture} picture that has just drawn */
  constructor(picture) {
    this.picture = picture;
  }

  /** Pixels of a point of the square. */
  _place([x, y]) {
    const { low, high, half } = this.picture;
    return [(x - low) * half, (high - y) * half];
  }

  /** Dots by which a line is turned. */
  drawHandles(places, colours) {
    const { context } = this.picture;
    for (const place of places) {
      context.beginPath();
      context.arc(...this._place(place), 7, 0, 2 * Math.PI);
      context.fillStyle = colours.surface;
      context.fill();
      context.strokeStyle = colours.accent;
      context.lineWidth = 3;
      context.stroke();
    }
  }

  /** Segments x0, y0, x1, y1 as a dashed line. */
  drawDashes(segments, colours) {
    const { context } = this.picture;
    context.beginPath();
    for (let i = 0; i < segments.length; i += 4) {
      context.moveTo(...this._place(segments.slice(i, i + 2)));
      context.lineTo(...this._place(segments.slice(i + 2, i + 4)));
    }
    context.setLineDash([6, 5]);
    context.strokeStyle = colours.ink;
    context.lineWidth = 1.5;
    context.stroke();
    context.setLineDash([]);
  }

  /** The number of each first-layer unit on its line; those on one line stand one after another. */
  drawNumbers(layer, gone, colours) {
    const { context, low, high, canvas } = this.picture;
    context.font = "600 13px system-ui, sans-serif";
    context.textAlign = "center";
    context.textBaseline = "middle";
    const taken = [];
    for (let u = 0; u < layer.outputs; u++) {
      const ends = gone.has(String([0, u])) ? null : endsInSquare(layer, u, [low, high]);
      if (!ends) continue;
      const free = (at) => taken.every(([x, y]) => Math.hypot(x - at[0], y - at[1]) > 20);
      const inside = (at) => Math.min(Math.max(at, DISC), canvas.clientWidth - DISC);
      const shares = [0.08, 0.16, 0.24, 0.32, 0.92, 0.84];
      const places = shares.map((share) => this._place(between(...ends, share)).map(inside));
      const [x, y] = places.find(free) ?? places[0];
      taken.push([x, y]);
      context.fillStyle = colours.surface;
      context.beginPath();
      context.arc(x, y, DISC, 0, 2 * Math.PI);
      context.fill();
      context.fillStyle = colours.ink;
      context.fillText(u, x, y + 0.5);
    }
  }

  /** A shade where outputs have changed, full at a change of `most`. */
  drawChange(one, two, most, colours) {
    const { context, low, high, canvas } = this.picture;
    this.shade ??= element("canvas", { width: SHADES, height: SHADES });
    const pixels = this.shade.getContext("2d");
    const image = pixels.createImageData(SHADES, SHADES);
    const [red, green, blue] = colours.zero.match(/[\d.]+/g).map(Number);
    const step = (high - low) / SHADES;
    for (let i = 0; i < SHADES * SHADES; i++) {
      const x = low + ((i % SHADES) + 0.5) * step;
      const y = high - (Math.floor(i / SHADES) + 0.5) * step;
      const [before, after] = [one, two].map((layers) => preActivations(layers, x, y).at(-1));
      const change = Math.max(...before.map((value, o) => Math.abs(after[o] - value)));
      image.data.set([red, green, blue, 217 * Math.min(change / most, 1)], 4 * i);
    }
    pixels.putImageData(image, 0, 0);
    context.globalCompositeOperation = "destination-over"; // below the lines
    context.drawImage(this.shade, 0, 0, canvas.clientWidth, canvas.clientHeight);
    context.globalCompositeOperation = "source-over";
  }
}
