/** How far the lines of units are from each other. */

/** Weight of the offsets against the angles in the distance of two lines. */
const RHO = 0.1;

/** The weights that make a unit. */
export function row({ weight, inputs }, unit) {
  return weight.subarray(unit * inputs, (unit + 1) * inputs);
}

/** Euclidean length of the weights that make a unit. */
export function strengthOf(layer, unit) {
  return Math.sqrt(row(layer, unit).reduce((sum, w) => sum + w * w, 0));
}

/**
 * How far the lines of a layer's units are from coinciding, pair by pair, and whether the two
 * units of a pair are on at the same side: arrays (units * units). Offsets are measured in units
 * of their root mean square, as the criterion `spline` does.
 */
export function lineDistances(layer) {
  const n = layer.outputs;
  const lengths = Array.from({ length: n }, (_, u) => strengthOf(layer, u));
  const offsets = Array.from(layer.bias, (b, u) => (lengths[u] > 0 ? b / lengths[u] : 0));
  const spread = Math.sqrt(offsets.reduce((sum, o) => sum + o * o, 0) / n);
  const scaled = spread > 0 ? offsets.map((o) => o / spread) : offsets;
  const rows = Array.from({ length: n }, (_, u) => row(layer, u).map((w) => w / (lengths[u] || 1)));
  const distance = new Float64Array(n * n);
  const sameSide = new Uint8Array(n * n);
  for (let i = 0; i < n; i++) {
    for (let j = 0; j < n; j++) {
      if (!(lengths[i] > 0 && lengths[j] > 0)) continue; // draws nothing: redundant beside any
      let cosine = 0;
      for (let k = 0; k < layer.inputs; k++) cosine += rows[i][k] * rows[j][k];
      const same = Math.abs(scaled[i] - scaled[j]);
      const opposite = Math.abs(scaled[i] + scaled[j]);
      const shift = cosine > 0 ? same : cosine < 0 ? opposite : Math.min(same, opposite);
      distance[i * n + j] = Math.max(1 - Math.abs(cosine), 0) + RHO * shift;
      sameSide[i * n + j] = cosine > 0;
    }
  }
  return { distance, sameSide };
}

/** The unit of a layer whose line is nearest to a unit's and on at the same side; -1 for none. */
export function nearestOnSameSide(layer, unit) {
  const { distance, sameSide } = lineDistances(layer);
  const n = layer.outputs;
  let nearest = -1;
  for (let other = 0; other < n; other++) {
    if (other === unit || !sameSide[unit * n + other]) continue;
    if (nearest < 0 || distance[unit * n + other] < distance[unit * n + nearest]) nearest = other;
  }
  return nearest;
}
