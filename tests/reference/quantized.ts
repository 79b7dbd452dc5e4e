/**
 * Quantized layers in float64 and exact integers, written for clarity: sums of integers stay below 2⁵³, so that doubles hold them
 * exactly. Rounding to float32 where the core rounds is part of the definition of a product.
 */
import { amplitude, type Dtype, mostOf, weightLimit } from '../../bindings/quantized/describe.js';

/** The nearest whole number, ties to even. */
export function nearest(x: number): number {
  const low = Math.floor(x);
  const rest = x - low;
  if (rest !== 0.5) return rest < 0.5 ? low : low + 1;
  return low % 2 === 0 ? low : low + 1;
}

/** An input as an integer: limited, then rounded. */
export function toInteger(x: number, factor: number, limit: number): number {
  return nearest(Math.min(Math.max(Math.fround(Math.fround(x) * Math.fround(factor)), -limit), limit));
}

/** Rows of weights as integers, and the scale of each. */
export function quantizeRows(w: ArrayLike<number>, K: number, limit: number, most: number) {
  const N = w.length / K;
  const q = new Int32Array(w.length);
  const scale = new Float32Array(N);
  for (let n = 0; n < N; n++) {
    const row = Array.from({ length: K }, (_, k) => w[n * K + k]);
    const largest = Math.max(...row.map(Math.abs));
    const sum = row.reduce((s, v) => s + Math.abs(v), 0);
    scale[n] = Math.max(largest / limit, sum / (most - K / 2)) * (1 + 2 ** -20);
    if (scale[n] < 2 ** -126) scale[n] = 0;
    row.forEach((v, k) => {
      q[n * K + k] = scale[n] ? nearest(v / scale[n]) : 0;
    });
  }
  return { q, scale };
}

/** y [R,N] = init + scale ⊙ (x Wᵀ), rounded to float32 after the product with the scale and after the sum. */
export function product(
  x: ArrayLike<number>,
  w: ArrayLike<number>,
  K: number,
  scale: ArrayLike<number>,
  init: (r: number, n: number) => number,
): { y: Float32Array; largest: number } {
  const N = w.length / K;
  const R = x.length / K;
  const y = new Float32Array(R * N);
  let largest = 0;
  for (let r = 0; r < R; r++) {
    for (let n = 0; n < N; n++) {
      let sum = 0;
      for (let k = 0; k < K; k++) {
        sum += x[r * K + k] * w[n * K + k];
        largest = Math.max(largest, Math.abs(sum));
      }
      y[r * N + n] = init(r, n) + Math.fround(Math.fround(sum) * scale[n]);
    }
  }
  return { y, largest };
}

export interface Layer {
  readonly cell: 'rnn' | 'lstm' | 'gru';
  readonly I: number;
  readonly H: number;
  /** Largest magnitude of x. */
  readonly range: number;
  readonly reverse: boolean;
  readonly wih: ArrayLike<number>;
  readonly whh: ArrayLike<number>;
  /** Zeros where there are no biases. */
  readonly bih: ArrayLike<number>;
  readonly bhh: ArrayLike<number>;
}

const sigmoid = (x: number) => 1 / (1 + Math.exp(-x));

/**
 * One sequence x [T,I] through one layer in one direction: weights, inputs and states as integers, everything else in float64.
 *
 * @returns [T,H], and the final c
 */
export function recurrent(dtype: Dtype, layer: Layer, x: ArrayLike<number>, h0: ArrayLike<number>, c0: number[]) {
  const { cell, I, H, range, reverse, bih, bhh } = layer;
  const T = x.length / I;
  const Ax = amplitude(dtype, I);
  const Ah = amplitude(dtype, H);
  const wx = quantizeRows(layer.wih, I, weightLimit(dtype), mostOf(dtype, I));
  const wh = quantizeRows(layer.whh, H, weightLimit(dtype), mostOf(dtype, H));
  const G = wx.scale.length;
  const dot = (q: Int32Array, n: number, v: readonly number[]) =>
    v.reduce((s, value, k) => s + value * q[n * v.length + k], 0);
  const y = new Float64Array(T * H);
  let h = Array.from(h0);
  let c = [...c0];
  for (let step = 0; step < T; step++) {
    const t = reverse ? T - 1 - step : step;
    const qx = Array.from({ length: I }, (_, k) => toInteger(x[t * I + k], Ax / range, Ax));
    const qh = h.map((v) => toInteger(v, Ah, Ah));
    const fromX = Array.from({ length: G }, (_, n) => dot(wx.q, n, qx) * wx.scale[n] * (range / Ax) + bih[n]);
    const fromH = Array.from({ length: G }, (_, n) => (dot(wh.q, n, qh) * wh.scale[n]) / Ah + bhh[n]);
    const sum = (gate: number, j: number) => fromX[gate * H + j] + fromH[gate * H + j];
    const before = h;
    const cells = c;
    if (cell === 'rnn') h = before.map((_, j) => Math.tanh(sum(0, j)));
    else if (cell === 'lstm') {
      c = cells.map((v, j) => sigmoid(sum(1, j)) * v + sigmoid(sum(0, j)) * Math.tanh(sum(2, j)));
      h = c.map((v, j) => sigmoid(sum(3, j)) * Math.tanh(v));
    } else {
      h = before.map((v, j) => {
        const r = sigmoid(sum(0, j));
        const u = sigmoid(sum(1, j));
        const n = Math.tanh(fromX[2 * H + j] + r * fromH[2 * H + j]);
        return (1 - u) * n + u * v;
      });
    }
    y.set(h, t * H);
  }
  return { y, c };
}
