/** The picture of a partition on a canvas, in the colours of the page. */

import { affineMap } from "./network.js";
import { boundarySegments } from "./boundary.js";

const DEPTHS = 8;
const NAMES = [
  ...["ink", "muted", "grid", "surface", "boundary", "accent", "zero", "one"],
  // of curves, in figures of chapters
  ...["blue", "vermilion", "green", "purple", "grey", "ochre", "cyan", "indigo", "olive"],
  ...["brown", "pink", "crimson"],
  ...Array.from({ length: DEPTHS }, (_, i) => `depth${i}`),
];

/** The page's colours as the browser resolves them: name -> CSS colour. */
export function readColours(root) {
  const probe = root.ownerDocument.createElement("span");
  root.append(probe);
  const colours = {};
  for (const name of NAMES) {
    probe.style.color = `var(--sl-${name})`;
    colours[name] = getComputedStyle(probe).color;
  }
  probe.remove();
  return colours;
}

/** Name of the colour of a layer out of several: the strongest comes first. */
export function depthName(layer, layers) {
  return `depth${Math.round((layer * (DEPTHS - 1)) / Math.max(layers - 1, 1))}`;
}

/** Fit a canvas to its place on the page; gives its context, in CSS pixels. */
export function fitted(canvas) {
  const ratio = Math.min(window.devicePixelRatio || 1, 2);
  const [width, height] = [canvas.clientWidth, canvas.clientHeight];
  if (canvas.width !== Math.round(width * ratio) || canvas.height !== Math.round(height * ratio)) {
    canvas.width = Math.round(width * ratio);
    canvas.height = Math.round(height * ratio);
  }
  const context = canvas.getContext("2d");
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  context.clearRect(0, 0, width, height);
  context.lineJoin = context.lineCap = "round";
  return context;
}

/**
 * The colour of a direction, as `splinelib.plotting` has it: the hue says which way it points, the
 * strength how long it is beside the longest. For a region it is the slope of the function on it.
 */
export function colourOf(dx, dy, largest) {
  const turn = Math.round((Math.atan2(dy, dx) / (2 * Math.PI)) * 48) / 48;
  const strength = Math.min(Math.hypot(dx, dy) / (largest || 1), 1);
  return [`oklch(68% 0.14 ${360 * turn})`, 0.15 + 0.05 * Math.round(strength * 5)];
}

/** The steepest slope of a network on any region of its partition. */
export function steepestSlope(network, part) {
  let steepest = 0;
  for (let c = 0; c < part.cellCount; c++) {
    const [dx, dy] = affineMap(network, (l) => part.code(c, l));
    steepest = Math.max(steepest, Math.hypot(dx, dy));
  }
  return steepest;
}

/** Draws partitions of a square, the same range for both coordinates, on one canvas. */
export class Picture {
  constructor(canvas, [low, high] = [-1, 1]) {
    Object.assign(this, { canvas, low, high, segments: [] });
  }

  /** Pixels from the canvas's corner to coordinates of the square. */
  toSquare(px, py) {
    const unit = this.canvas.clientWidth / (this.high - this.low);
    return [this.low + px / unit, this.high - py / unit];
  }

  /**
   * @param {Partition} part
   * @param network that it belongs to
   * @param data points to draw on top
   * @param colours as `readColours` gives them
   * @param {{fill: string, boundary: ?boolean, cell: number, unit: ?number[], cross: ?number[],
   *   star: ?number[], hues: ?number[][][], widest: ?number}} show for codes the step of each
   *   unit's bit; the slope, or sum of steps, that the strength of colours is measured against
   */
  draw(part, network, data, colours, show) {
    const context = (this.context = fitted(this.canvas));
    this.part = part;
    this.half = this.canvas.clientWidth / (this.high - this.low); // pixels of one unit
    this.scale = Math.min(Math.max(this.canvas.clientWidth / 480, 0.6), 1);
    boundarySegments(part, this.segments);
    if (show.fill === "slope") this._fillSlopes(network, show.widest);
    else if (show.fill === "code") this._fillCodes(show.hues, show.widest);
    else if (show.fill === "class") this._fillSides(colours);
    if (show.cell >= 0 && show.cell < part.cellCount && !show.star) {
      context.beginPath();
      this._tracePolygon(show.cell);
      this._fill(colours.ink, 0.16);
    }
    this._drawLines(colours);
    if (show.boundary !== false) this._drawBoundary(colours);
    if (show.unit) this._drawUnit(show.unit, colours);
    if (show.star) this._drawOutline(show.cell, colours);
    this._drawPoints(data, colours);
    if (show.cross) this._drawCross(show.cross, colours);
    if (show.star) this._drawStar(show.star, colours);
  }

  /** The unit whose line is nearest to a point of the square, within some pixels; else null. */
  unitAt(x, y, reach) {
    const { part, half } = this;
    let best = reach / half;
    let found = null;
    for (let e = 0; e < part.edgeCount; e++) {
      if (part.edgeLayer[e] < 0) continue;
      const [a, b] = [part.origin[2 * e], part.origin[2 * e + 1]];
      const [dx, dy] = [part.x[b] - part.x[a], part.y[b] - part.y[a]];
      const length = dx * dx + dy * dy || 1;
      const along = ((x - part.x[a]) * dx + (y - part.y[a]) * dy) / length;
      const t = Math.min(Math.max(along, 0), 1);
      const distance = Math.hypot(part.x[a] + t * dx - x, part.y[a] + t * dy - y);
      if (distance < best) [best, found] = [distance, [part.edgeLayer[e], part.edgeUnit[e]]];
    }
    return found;
  }

  _fill(colour, opacity) {
    this.context.globalAlpha = opacity;
    this.context.fillStyle = colour;
    this.context.fill();
    this.context.globalAlpha = 1;
  }

  _px(x) {
    return (x - this.low) * this.half;
  }

  _py(y) {
    return (this.high - y) * this.half;
  }

  _tracePolygon(cell) {
    const { part, context } = this;
    const start = part.cellStart[cell];
    let h = start;
    do {
      const v = part.origin[h];
      const [x, y] = [this._px(part.x[v]), this._py(part.y[v])];
      if (h === start) context.moveTo(x, y);
      else context.lineTo(x, y);
      h = part.next[h];
    } while (h !== start);
    context.closePath();
  }

  _fillSlopes(network, steepest = steepestSlope(network, this.part)) {
    const { part, context } = this;
    for (let c = 0; c < part.cellCount; c++) {
      const [dx, dy] = affineMap(network, (l) => part.code(c, l));
      context.beginPath();
      this._tracePolygon(c);
      this._fill(...colourOf(dx, dy, steepest));
    }
  }

  /** Close codes in close hues: each bit that is on moves the colour by a step of its own. */
  _fillCodes(hues, widest) {
    const { part, context } = this;
    for (let c = 0; c < part.cellCount; c++) {
      let [dx, dy] = [0, 0];
      hues.forEach((units, l) =>
        units.forEach(([x, y], u) => {
          const side = (part.code(c, l) >> u) & 1 ? 0.5 : -0.5;
          dx += side * x;
          dy += side * y;
        }),
      );
      context.beginPath();
      this._tracePolygon(c);
      this._fill(...colourOf(dx, dy, widest));
    }
  }

  /** Both sides of the decision boundary: each region is cut where the output is zero. */
  _fillSides(colours) {
    const { part, context } = this;
    for (const [side, colour] of [
      [-1, colours.zero],
      [1, colours.one],
    ]) {
      context.beginPath();
      for (let c = 0; c < part.cellCount; c++) this._traceSide(c, side);
      this._fill(colour, 0.17);
    }
  }

  _traceSide(cell, side) {
    const { part, context } = this;
    let h = part.cellStart[cell];
    let open = false;
    const put = (x, y) => {
      if (open) context.lineTo(this._px(x), this._py(y));
      else context.moveTo(this._px(x), this._py(y));
      open = true;
    };
    do {
      const [a, b] = [part.origin[h], part.origin[h ^ 1]];
      const [from, to] = [side * part.output(a), side * part.output(b)];
      if (from >= 0) put(part.x[a], part.y[a]);
      if (from * to < 0) {
        const t = from / (from - to);
        put(part.x[a] + t * (part.x[b] - part.x[a]), part.y[a] + t * (part.y[b] - part.y[a]));
      }
      h = part.next[h];
    } while (h !== part.cellStart[cell]);
    if (open) context.closePath();
  }

  _traceEdges(take) {
    const { part, context } = this;
    context.beginPath();
    for (let e = 0; e < part.edgeCount; e++) {
      if (!take(part.edgeLayer[e], part.edgeUnit[e])) continue;
      const [a, b] = [part.origin[2 * e], part.origin[2 * e + 1]];
      context.moveTo(this._px(part.x[a]), this._py(part.y[a]));
      context.lineTo(this._px(part.x[b]), this._py(part.y[b]));
    }
  }

  _drawLines(colours) {
    const { part, context } = this;
    for (let layer = part.layers - 1; layer >= 0; layer--) {
      this._traceEdges((l) => l === layer);
      context.strokeStyle = colours[depthName(layer, part.layers)];
      context.lineWidth = this.scale * (1.5 - (0.8 * layer) / Math.max(part.layers - 1, 1));
      context.stroke();
    }
  }

  _drawBoundary(colours) {
    const { context, segments } = this;
    context.beginPath();
    for (let i = 0; i < segments.length; i += 4) {
      context.moveTo(this._px(segments[i]), this._py(segments[i + 1]));
      context.lineTo(this._px(segments[i + 2]), this._py(segments[i + 3]));
    }
    this._strokeTwice(colours.surface, 5 * this.scale, colours.boundary, 2.6 * this.scale);
  }

  /** A path in its colour, with a rim that sets it off from what lies below. */
  _strokeTwice(rim, wider, colour, width) {
    const { context } = this;
    for (const [style, across] of [[rim, wider], [colour, width]]) {
      context.strokeStyle = style;
      context.lineWidth = across;
      context.stroke();
    }
  }

  _drawUnit([layer, unit], colours) {
    this._traceEdges((l, u) => l === layer && u === unit);
    this._strokeTwice(colours.surface, 7, colours.accent, 3.5);
  }

  _drawOutline(cell, colours) {
    if (cell < 0) return;
    this.context.beginPath();
    this._tracePolygon(cell);
    this._strokeTwice(colours.surface, 6, colours.ink, 3);
  }

  _drawPoints(data, colours) {
    const { context } = this;
    const radius = Math.max(3 * this.scale, this.half / 100);
    for (const label of [0, 1]) {
      context.beginPath();
      for (let i = 0; i < data.x.length; i++) {
        if (data.label[i] !== label) continue;
        const [x, y] = [this._px(data.x[i]), this._py(data.y[i])];
        context.moveTo(x + radius, y);
        context.arc(x, y, radius, 0, 2 * Math.PI);
      }
      context.fillStyle = label ? colours.one : colours.zero;
      context.strokeStyle = colours.surface;
      context.lineWidth = 1.2 * this.scale;
      context.fill();
      context.stroke();
    }
  }

  _drawCross([x, y], colours) {
    const { context } = this;
    const [px, py] = [this._px(x), this._py(y)];
    context.beginPath();
    context.moveTo(px - 9, py);
    context.lineTo(px + 9, py);
    context.moveTo(px, py - 9);
    context.lineTo(px, py + 9);
    context.strokeStyle = colours.ink;
    context.lineWidth = 1.5;
    context.stroke();
  }
  _drawStar([x, y], colours) {
    const { context } = this;
    const [px, py] = [this._px(x), this._py(y)];
    context.beginPath();
    for (let i = 0; i < 10; i++) {
      const [radius, angle] = [i % 2 ? 4.6 : 11, (i * Math.PI) / 5 - Math.PI / 2];
      context.lineTo(px + radius * Math.cos(angle), py + radius * Math.sin(angle));
    }
    context.closePath();
    context.strokeStyle = colours.surface;
    context.lineWidth = 4;
    context.stroke();
    context.fillStyle = colours.ink;
    context.fill();
  }
}
