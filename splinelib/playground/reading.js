/** What a network says at a point, and the table that shows it: code, A and b. */

import { depthName } from "./drawing.js";
import { element, short } from "./element.js";
import { affineMap, preActivations } from "./network.js";

/**
 * Code and affine map of a network at a point, as `splinelib.region_codes` and
 * `splinelib.affine_map` give them.
 *
 * @param layers of a network with one output or several
 * @returns {{bits: number[][], A: number[][], b: number[]}} a row of A for each output
 */
export function readingAt(layers, x, y) {
  const bits = preActivations(layers, x, y)
    .slice(0, -1)
    .map((before) => before.map((z) => (z > 0 ? 1 : 0)));
  const masks = bits.map((row) => row.reduce((mask, bit, u) => mask | (bit << u), 0));
  const maps = Array.from({ length: layers.at(-1).outputs }, (_, o) =>
    affineMap(layers, (l) => masks[l], layers.length - 1, o),
  );
  return { bits, A: maps.map(([dx, dy]) => [dx, dy]), b: maps.map((map) => map[2]) };
}

/** Units on whose side two readings of one network differ: [layer, unit] of each. */
export function differingUnits(one, two) {
  return one.bits.flatMap((row, l) =>
    row.flatMap((bit, u) => (bit === two.bits[l][u] ? [] : [[l, u]])),
  );
}

/** Whether two readings have the same affine map, to rounding. */
export function sameMap(one, two) {
  const [a, b] = [one, two].map(({ A, b }) => [...A.flat(), ...b]);
  const size = Math.max(...a.map(Math.abs), ...b.map(Math.abs));
  return a.every((value, i) => Math.abs(value - b[i]) <= 1e-12 * size);
}

/** The reading as one sentence, for those who hear it. */
export function spoken([x, y], { bits, A, b }) {
  const code = bits.map((row, l) => `layer ${l + 1} ${row.join("")}`).join(", ");
  const rows = A.map((row) => row.map(short).join(", ")).join("; ");
  return `At ${short(x)}, ${short(y)}: code ${code}; A ${rows}; b ${b.map(short).join(", ")}`;
}

/** Place, code, A and b on the page, in an element of their own. */
export class Reading {
  /** @param {(unit: ?[number, number]) => void} point called with the unit of a bit pointed at */
  constructor(point) {
    this.point = point;
    this.place = element("span", { class: "sl-value sl-place" });
    this.codes = element("div", { class: "sl-codes" });
    this.maps = element("div", { class: "sl-maps" });
    this.root = element(
      "div",
      { class: "sl-table-of-map" },
      element("p", {}, element("i", {}, "x"), " = ", this.place),
      this.codes,
      this.maps,
    );
  }

  /**
   * @param {[number, number]} star
   * @param reading as `readingAt` gives it
   * @param {[number, number][]} changed units whose bits are marked
   */
  show([x, y], reading, changed) {
    this.place.textContent = `(${short(x)}, ${short(y)})`;
    const shape = String(reading.bits.map((row) => row.length));
    if (this.shape !== shape) this._build(reading, shape);
    const marked = new Set(changed.map(String));
    reading.bits.forEach((row, l) =>
      row.forEach((bit, u) => {
        const cell = this.cells[l][u];
        if (cell.textContent !== String(bit)) cell.textContent = bit;
        cell.classList.toggle("sl-on-side", bit === 1);
        cell.classList.toggle("sl-changed", marked.has(String([l, u])));
      }),
    );
    const values = [...reading.A.flat(), ...reading.b];
    values.forEach((value, i) => {
      if (this.numbers[i].textContent !== short(value)) this.numbers[i].textContent = short(value);
    });
  }

  _build({ bits, A, b }, shape) {
    this.shape = shape;
    this.cells = bits.map((row, l) =>
      row.map((_, u) =>
        element("span", {
          class: "sl-bit",
          title: `unit ${u} of layer ${l + 1}`,
          pointerenter: () => this.point([l, u]),
          pointerleave: () => this.point(null),
        }),
      ),
    );
    this.codes.replaceChildren(
      ...this.cells.map((cells, l) =>
        element(
          "p",
          { style: `--depth: var(--sl-${depthName(l, bits.length)})` },
          element("span", { class: "sl-name" }, bits.length > 1 ? `code, layer ${l + 1}` : "code"),
          element("span", { class: "sl-bits" }, ...cells),
        ),
      ),
    );
    const matrix = (rows, columns) =>
      element(
        "span",
        { class: "sl-matrix", style: `--columns: ${columns}` },
        ...rows.map(() => element("span", { class: "sl-value" })),
      );
    const [slopes, constants] = [matrix(A.flat(), 2), matrix(b, 1)];
    this.numbers = [...slopes.children, ...constants.children];
    this.maps.replaceChildren(
      element("p", {}, element("i", {}, "A"), " = ", slopes),
      element("p", {}, element("i", {}, "b"), " = ", constants),
    );
  }
}
