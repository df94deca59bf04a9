/**
 * The exact partition that a network draws on a square, as half-edges.
 *
 * The square is cut unit by unit, layer by layer. As in `splinelib.geometry`, nothing is decided
 * twice: a unit has one sign at a vertex, 0 where its line passes within rounding; both cells
 * beside an edge share the vertex at which a line crosses it. Lines that meet in one point or
 * coincide, dead units, twins and mirror images therefore make no slivers.
 *
 * All arrays are kept from one frame to the next; they grow when a partition needs more room.
 */

import { LIMITS } from "./network.js";

const EPSILON = 2 ** -52;
/** A pre-activation is zero within so many units in the last place of the terms that it sums. */
const ULPS = 16;
/** Farther from zero than so many tolerances, no vertex is uncertain enough to matter. */
const NEAR = 2 ** 14;
const SHAKY = 2 ** -40;
const W = LIMITS.width;

export class Partition {
  constructor() {
    this.vertexRoom = this.edgeRoom = this.cellRoom = 0;
    this.tolerance = new Float64Array(W);
    this._reserve(1024, 2048, 1024);
  }

  /**
   * Cut the square anew.
   *
   * @param network as in network.js
   * @param {number} low lower bound of both coordinates
   * @param {number} high upper bound
   * @returns {Partition} itself, with
   *   vertices: x, y, output of each;
   *   edges: origin[2 e] and origin[2 e + 1] are the ends of edge e, drawn by unit `edgeUnit[e]` of
   *   layer `edgeLayer[e]`, or by a side of the square where the layer is -1;
   *   cells: half-edges from `cellStart[c]` along `next`, counter-clockwise; `left[h]` is the cell
   *   of a half-edge; code(c, layer) are its bits;
   *   undecided: how often float64 could not tell how lines meet.
   */
  compute(network, low = -1, high = 1) {
    this.layers = network.length - 1;
    this.undecided = 0;
    this._square(low, high);
    for (let l = 0; l < network.length; l++) {
      const last = l === this.layers;
      this._enterLayer(network[l], l === 0);
      if (last) break;
      for (let u = 0; u < network[l].outputs; u++) this._cut(l, u, network[l].outputs);
      this._rectify(network[l].outputs);
    }
    return this;
  }

  /** Bit mask of a cell's units in a hidden layer: 1 where the pre-activation is positive. */
  code(cell, layer) {
    return this.codes[cell * LIMITS.depth + layer];
  }

  /** Output at a vertex, 0 within rounding. */
  output(vertex) {
    return this.values[vertex * W];
  }

  /** The cell that holds a point, -1 outside the square. */
  locate(px, py) {
    for (let c = 0; c < this.cellCount; c++) {
      let h = this.cellStart[c];
      const start = h;
      let inside = true;
      do {
        const a = this.origin[h];
        const b = this.origin[h ^ 1];
        const dx = this.x[b] - this.x[a];
        const dy = this.y[b] - this.y[a];
        inside = dx * (py - this.y[a]) - dy * (px - this.x[a]) >= 0;
        h = this.next[h];
      } while (inside && h !== start);
      if (inside) return c;
    }
    return -1;
  }

  /** Corners of a cell, counter-clockwise, as vertex numbers. */
  corners(cell) {
    const found = [];
    let h = this.cellStart[cell];
    do {
      found.push(this.origin[h]);
      h = this.next[h];
    } while (h !== this.cellStart[cell]);
    return found;
  }

  _square(low, high) {
    this.vertexCount = this.edgeCount = 4;
    this.cellCount = 1;
    for (let i = 0; i < 4; i++) {
      const to = (i + 1) % 4;
      const before = (i + 3) % 4;
      this.x[i] = i === 1 || i === 2 ? high : low;
      this.y[i] = i >= 2 ? high : low;
      this.slack[i] = 0;
      this.origin[2 * i] = i;
      this.origin[2 * i + 1] = to;
      this.next[2 * i] = 2 * to;
      this.previous[2 * i] = 2 * before;
      this.next[2 * i + 1] = 2 * before + 1;
      this.previous[2 * i + 1] = 2 * to + 1;
      this.left[2 * i] = 0;
      this.left[2 * i + 1] = -1;
      this.edgeLayer[i] = -1;
      this.edgeUnit[i] = i;
    }
    this.cellStart[0] = 0;
    this.codes.fill(0, 0, LIMITS.depth);
  }

  /** Replace the values at all vertices by the pre-activations of a layer, and find their signs. */
  _enterLayer(layer, first) {
    const { values, signs, tolerance, scratch } = this;
    const { inputs, outputs, weight, bias } = layer;
    const largest = this.largest;
    largest.fill(0);
    for (let v = 0; v < this.vertexCount; v++) {
      if (first) {
        values[v * W] = this.x[v];
        values[v * W + 1] = this.y[v];
      }
      for (let k = 0; k < inputs; k++) {
        const size = Math.abs(values[v * W + k]);
        if (size > largest[k]) largest[k] = size;
      }
    }
    for (let u = 0; u < outputs; u++) {
      let size = Math.abs(bias[u]);
      for (let k = 0; k < inputs; k++) size += Math.abs(weight[u * inputs + k]) * largest[k];
      tolerance[u] = ULPS * EPSILON * size;
    }
    for (let v = 0; v < this.vertexCount; v++) {
      const at = v * W;
      for (let u = 0; u < outputs; u++) {
        let z = bias[u];
        const row = u * inputs;
        for (let k = 0; k < inputs; k++) z += weight[row + k] * values[at + k];
        scratch[u] = z;
      }
      for (let u = 0; u < outputs; u++) values[at + u] = scratch[u];
    }
    for (let v = 0; v < this.vertexCount; v++) {
      for (let u = 0; u < outputs; u++) {
        const z = values[v * W + u];
        let allowed = tolerance[u];
        if (this.slack[v] > 0 && (Math.abs(z) <= NEAR * allowed || this.slack[v] > SHAKY)) {
          allowed += this._drift(v, u);
        }
        signs[v * W + u] = z > allowed ? 1 : z < -allowed ? -1 : 0;
      }
    }
    for (let v = 0; v < this.vertexCount; v++) {
      for (let u = 0; u < outputs; u++) if (signs[v * W + u] === 0) values[v * W + u] = 0;
    }
  }

  /** How much a unit may change because a vertex is not exactly where its lines meet. */
  _drift(v, u) {
    const a = this.parents[2 * v];
    const b = this.parents[2 * v + 1];
    const t = this.place[v];
    const here = this.values[v * W + u];
    const before = Math.abs(here - this.values[a * W + u]) / t;
    const behind = Math.abs(here - this.values[b * W + u]) / (1 - t);
    return this.slack[v] * Math.max(before, behind);
  }

  _rectify(units) {
    for (let v = 0; v < this.vertexCount; v++) {
      for (let u = 0; u < units; u++) {
        if (this.values[v * W + u] < 0) this.values[v * W + u] = 0;
      }
    }
  }

  /** Cut every cell along the line of one unit, and set the unit's bit in all codes. */
  _cut(layer, unit, units) {
    const edges = this.edgeCount;
    this._reserve(this.vertexCount + edges, 2 * edges, 0);
    const { origin, signs } = this;
    for (let e = 0; e < edges; e++) {
      if (signs[origin[2 * e] * W + unit] * signs[origin[2 * e + 1] * W + unit] < 0) {
        this._splitEdge(e, unit, units);
      }
    }
    this._cutCells(layer, unit);
  }

  /** Put a vertex where a unit's line crosses an edge. */
  _splitEdge(edge, unit, units) {
    const { origin, next, previous, left, values, signs, tolerance } = this;
    const h = 2 * edge;
    const a = origin[h];
    const b = origin[h + 1];
    const v = this.vertexCount++;
    const change = values[a * W + unit] - values[b * W + unit];
    const t = values[a * W + unit] / change;
    const slack = tolerance[unit] / Math.abs(change);
    this.x[v] = this.x[a] + t * (this.x[b] - this.x[a]);
    this.y[v] = this.y[a] + t * (this.y[b] - this.y[a]);
    this.parents[2 * v] = a;
    this.parents[2 * v + 1] = b;
    this.place[v] = t;
    this.slack[v] = slack;
    for (let u = 0; u < units; u++) {
      const start = values[a * W + u];
      const step = values[b * W + u] - start;
      let z = start + t * step;
      let sign = signs[a * W + u] || signs[b * W + u];
      if (u === unit) sign = 0;
      else if (signs[a * W + u] * signs[b * W + u] < 0) {
        const allowed = tolerance[u] + slack * Math.abs(step);
        sign = z > allowed ? 1 : z < -allowed ? -1 : 0;
      }
      if (sign === 0) z = 0;
      values[v * W + u] = z;
      signs[v * W + u] = sign;
    }
    const e = this.edgeCount++;
    const g = 2 * e;
    this.edgeLayer[e] = this.edgeLayer[edge];
    this.edgeUnit[e] = this.edgeUnit[edge];
    // h runs from a to v and g from v to b; against them g + 1 from b to v and h + 1 from v to a.
    origin[g] = origin[h + 1] = v;
    origin[g + 1] = b;
    this._link(g, next[h]);
    this._link(h, g);
    this._link(previous[h + 1], g + 1);
    this._link(g + 1, h + 1);
    left[g] = left[h];
    left[g + 1] = left[h + 1];
  }

  _link(h, following) {
    this.next[h] = following;
    this.previous[following] = h;
  }

  _cutCells(layer, unit) {
    const cells = this.cellCount;
    const bit = 1 << unit;
    const D = LIMITS.depth;
    this._reserve(0, this.edgeCount + cells, 2 * cells);
    const { next, origin, signs } = this;
    for (let c = 0; c < cells; c++) {
      const start = this.cellStart[c];
      let h = start;
      let positive = false;
      let negative = false;
      let zeros = 0;
      let one = 0;
      let two = 0;
      do {
        const sign = signs[origin[h] * W + unit];
        if (sign > 0) positive = true;
        else if (sign < 0) negative = true;
        else {
          if (zeros === 0) one = h;
          else two = h;
          zeros++;
        }
        h = next[h];
      } while (h !== start);
      if (positive && negative) {
        if (zeros === 2) {
          const above = signs[origin[one ^ 1] * W + unit] > 0;
          const other = this._splitCell(c, one, two, layer, unit);
          this.codes[(above ? c : other) * D + layer] |= bit;
        } else this.undecided++;
      } else if (positive) this.codes[c * D + layer] |= bit;
    }
  }

  /** Draw a chord between the origins of two half-edges of a cell; gives the cell that is new. */
  _splitCell(cell, one, two, layer, unit) {
    const { origin, next, previous, left } = this;
    const e = this.edgeCount++;
    const g = 2 * e;
    const made = this.cellCount++;
    this.edgeLayer[e] = layer;
    this.edgeUnit[e] = unit;
    origin[g] = origin[one];
    origin[g + 1] = origin[two];
    const beforeOne = previous[one];
    const beforeTwo = previous[two];
    this._link(beforeTwo, g + 1);
    this._link(g + 1, one);
    this._link(beforeOne, g);
    this._link(g, two);
    this.cellStart[cell] = one;
    this.cellStart[made] = two;
    left[g + 1] = cell;
    let h = two;
    do {
      left[h] = made;
      h = next[h];
    } while (h !== two);
    const D = LIMITS.depth;
    for (let l = 0; l < D; l++) this.codes[made * D + l] = this.codes[cell * D + l];
    return made;
  }

  /** Make room for so many vertices, edges and cells. */
  _reserve(vertices, edges, cells) {
    const grow = (name, Type, length) => {
      const larger = new Type(length);
      if (this[name]) larger.set(this[name]);
      this[name] = larger;
    };
    if (vertices > this.vertexRoom) {
      const room = (this.vertexRoom = 2 * vertices);
      for (const name of ["x", "y", "slack", "place"]) grow(name, Float64Array, room);
      grow("values", Float64Array, W * room);
      grow("signs", Int8Array, W * room);
      grow("parents", Int32Array, 2 * room);
      this.scratch ??= new Float64Array(W);
      this.largest ??= new Float64Array(W);
    }
    if (edges > this.edgeRoom) {
      const room = (this.edgeRoom = 2 * edges);
      for (const name of ["origin", "next", "previous", "left"]) grow(name, Int32Array, 2 * room);
      for (const name of ["edgeLayer", "edgeUnit"]) grow(name, Int8Array, room);
    }
    if (cells > this.cellRoom) {
      const room = (this.cellRoom = 2 * cells);
      grow("cellStart", Int32Array, room);
      grow("codes", Uint16Array, LIMITS.depth * room);
    }
  }
}
