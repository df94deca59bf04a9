/**
 * What each layer reads, as the weights imply it without an input: means and covariances.
 *
 * As `splinelib.calibration`: inputs uncorrelated and of variance 1, pre-activations taken to be
 * jointly Gaussian, ReLUs passed by Mehler's series. Matrices are row-major Float64Arrays.
 */

const TERMS = 40;
const TINY = 1e-200;
const FAR = 30;

/** Standard normal distribution function, to the last places of float64. */
export function normalDistribution(t) {
  const x = Math.abs(t) / Math.SQRT2;
  let tail; // erfc(x) / 2
  if (x < 3) {
    let term = x;
    let sum = x;
    for (let n = 1; term > sum * 1e-18; n++) sum += term *= (2 * x * x) / (2 * n + 1);
    tail = 0.5 - (sum * Math.exp(-x * x)) / Math.sqrt(Math.PI);
  } else {
    let fraction = x;
    for (let n = 60; n > 0; n--) fraction = x + n / 2 / fraction;
    tail = Math.exp(-x * x) / fraction / Math.sqrt(Math.PI) / 2;
  }
  return t > 0 ? 1 - tail : tail;
}

const density = (t) => Math.exp((-t * t) / 2) / Math.sqrt(2 * Math.PI);

/** Moments behind a ReLU of jointly Gaussian values of a mean and a covariance. */
export function afterRelu(mean, covariance) {
  const n = mean.length;
  const first = new Float64Array(n);
  const variance = new Float64Array(n);
  const deviation = new Float64Array(n);
  const series = new Float64Array(n * TERMS); // row i: coefficients of degree 1 to TERMS
  for (let i = 0; i < n; i++) {
    const d = (deviation[i] = Math.sqrt(Math.max(covariance[i * n + i], TINY)));
    const t = -mean[i] / d;
    const mass = 1 - normalDistribution(t);
    first[i] = mean[i] * mass + d * density(t);
    const second =
      mean[i] ** 2 * mass + 2 * mean[i] * d * density(t) + d * d * (mass + t * density(t));
    variance[i] = second - first[i] ** 2;
    series[i * TERMS] = d * mass;
    putHermite(series, i * TERMS, d, Math.min(Math.max(t, -FAR), FAR));
  }
  const result = new Float64Array(n * n);
  const rest = new Float64Array(n);
  const put = (i, j) => {
    const alike = covariance[i * n + j] / (deviation[i] * deviation[j]);
    const share = Math.min(Math.max(alike, -1), 1);
    let power = 1;
    let sum = 0;
    for (let k = 0; k < TERMS; k++) {
      power *= share;
      sum += series[i * TERMS + k] * series[j * TERMS + k] * power;
    }
    if (i === j) rest[i] = Math.sqrt(Math.max(variance[i] - sum, 0));
    result[i * n + j] = result[j * n + i] = sum + rest[i] * rest[j] * power * share;
  };
  for (let i = 0; i < n; i++) put(i, i); // what the series leaves of each variance comes first
  for (let i = 0; i < n; i++) for (let j = 0; j < i; j++) put(i, j);
  return { mean: first, covariance: result };
}

/** Coefficients from degree 2 on: deviation times phi(t) He_{k-2}(t) / sqrt(k!). */
function putHermite(series, at, deviation, t) {
  const scale = deviation * density(t);
  let before = 0;
  let now = 1;
  for (let k = 2; k <= TERMS; k++) {
    series[at + k - 1] = (scale * now) / Math.sqrt(k * (k - 1));
    const next = (t * now - Math.sqrt(k - 2) * before) / Math.sqrt(k - 1);
    before = now;
    now = next;
  }
}

/** W C W^T for the weight W (outputs, inputs) of a layer and a symmetric C. */
function carried({ inputs, outputs, weight }, covariance) {
  const half = new Float64Array(outputs * inputs);
  const result = new Float64Array(outputs * outputs);
  for (let o = 0; o < outputs; o++) {
    for (let c = 0; c < inputs; c++) {
      for (let d = 0; d < inputs; d++) {
        half[o * inputs + d] += weight[o * inputs + c] * covariance[c * inputs + d];
      }
    }
    for (let p = 0; p < outputs; p++) {
      for (let d = 0; d < inputs; d++) {
        result[o * outputs + p] += half[o * inputs + d] * weight[p * inputs + d];
      }
    }
  }
  return result;
}

/** For each hidden layer the moments of its units, as the layer that reads them sees them. */
export function impliedReads(network) {
  let mean = [0, 0];
  let covariance = Float64Array.of(1, 0, 0, 1);
  return network.slice(0, -1).map((layer) => {
    const before = Float64Array.from(layer.bias);
    for (let u = 0; u < layer.outputs; u++) {
      for (let k = 0; k < layer.inputs; k++) {
        before[u] += layer.weight[u * layer.inputs + k] * mean[k];
      }
    }
    ({ mean, covariance } = afterRelu(before, carried(layer, covariance)));
    return { mean, covariance };
  });
}

/** The inverse of a symmetric positive matrix (n, n), by Cholesky's factors. */
export function inverted(matrix, n) {
  const lower = new Float64Array(n * n);
  for (let i = 0; i < n; i++) {
    for (let j = 0; j <= i; j++) {
      let sum = matrix[i * n + j];
      for (let k = 0; k < j; k++) sum -= lower[i * n + k] * lower[j * n + k];
      lower[i * n + j] =
        i === j ? Math.sqrt(Math.max(sum, Number.MIN_VALUE)) : sum / lower[j * n + j];
    }
  }
  const inverse = new Float64Array(n * n);
  const column = new Float64Array(n);
  for (let c = 0; c < n; c++) {
    for (let i = 0; i < n; i++) {
      let sum = i === c ? 1 : 0;
      for (let k = 0; k < i; k++) sum -= lower[i * n + k] * column[k];
      column[i] = sum / lower[i * n + i];
    }
    for (let i = n - 1; i >= 0; i--) {
      let sum = column[i];
      for (let k = i + 1; k < n; k++) sum -= lower[k * n + i] * column[k];
      column[i] = sum / lower[i * n + i];
    }
    for (let i = 0; i < n; i++) inverse[i * n + c] = column[i];
  }
  return inverse;
}
