import { slot } from './at';
import { vmath } from './math';
import { tailMask } from './rows';
import { simd } from './simd';

const LOWEST = memory.data<f32>([-Infinity]);

/**
 * p = softmax(x) over V floats, both padded rows; p may be x. Lanes of p behind V become 0. Returns ln Σ eˣ in double precision, so that
 * a logarithm of probability loses nothing where x is large.
 */
export function softmaxRow(p: usize, x: usize, V: i32): f64 {
  const whole = (<usize>(V & ~3)) << 2;
  const mask = v128.load(tailMask(V));
  let high = simd.splat(LOWEST);
  for (let q: usize = 0; q < whole; q += 16) high = f32x4.pmax(high, v128.load(x + q));
  if (V & 3) high = f32x4.pmax(high, v128.bitselect(v128.load(x + whole), simd.splat(LOWEST), mask));
  const max = simd.max(high);
  const shift = f32x4.splat(max);
  let sum = f32x4.splat(0);
  for (let q: usize = 0; q < whole; q += 16) {
    const e = vmath.exp(f32x4.sub(v128.load(x + q), shift));
    v128.store(p + q, e);
    sum = f32x4.add(sum, e);
  }
  if (V & 3) {
    const e = v128.and(vmath.exp(f32x4.sub(v128.load(x + whole), shift)), mask);
    v128.store(p + whole, e);
    sum = f32x4.add(sum, e);
  }
  const total = f32x4.splat(simd.sum(sum));
  const scale = f32x4.div(f32x4.splat(1), total);
  for (let q: usize = 0; q < (<usize>V) << 2; q += 16) v128.store(p + q, f32x4.mul(v128.load(p + q), scale));
  return <f64>max + <f64>f32x4.extract_lane(vmath.log(total), 0);
}

/** Σⱼ wⱼ·(log - x_j) */
function restOf(x: usize, weights: usize, log: f64, V: i32): f32 {
  const last = (<usize>(V & ~3)) << 2;
  const mask = v128.load(tailMask(V));
  const high = f32x4.splat(<f32>log);
  const low = f32x4.splat(<f32>(log - <f64>(<f32>log)));
  let sum = f32x4.splat(0);
  for (let q: usize = 0; q < (<usize>V) << 2; q += 16) {
    let d = f32x4.add(f32x4.sub(high, v128.load(x + q)), low);
    if (weights) d = f32x4.mul(d, v128.load(weights + q));
    sum = f32x4.add(sum, q === last ? v128.and(d, mask) : d);
  }
  return simd.sum(sum);
}

/**
 * Cross-entropy of a softmax against class numbers.
 *
 *     nll_r = ln Σⱼ e^{x_rj} - x_{r,y}                 per row: w_y·(1-ε)·nll_r + ε/V·Σⱼ wⱼ·(ln Σ e^{x_r} - x_rj)
 *
 * ε is label smoothing (Szegedy et al. 2016, arXiv:1512.00567v3), w are class weights; the semantics are PyTorch's.
 *
 *     p        [R,V]  overwritten with the softmax, for the backward pass
 *     rowLoss  [R]    overwritten; 0 for rows that do not count
 *     x        [R,V]
 *     targets  [R]    i32 in 0…V-1; a negative target does not count
 *     weights  [V] padded row, or 0
 *
 * Returns Σ w_y over the rows that count.
 */
export function crossEntropyForward(
  p: usize,
  ldp: usize,
  rowLoss: usize,
  x: usize,
  ldx: usize,
  targets: usize,
  weights: usize,
  R: i32,
  V: i32,
  smoothing: f32,
): f64 {
  let total: f64 = 0;
  for (let r = 0; r < R; r++, p += ldp, x += ldx, targets += 4, rowLoss += 4) {
    const target = load<i32>(targets);
    let loss: f32 = 0;
    if (target >= 0) {
      const y = (<usize>target) << 2;
      const w = weights ? load<f32>(weights + y) : <f32>1;
      const log = softmaxRow(p, x, V);
      loss = w * <f32>(log - <f64>load<f32>(x + y));
      if (smoothing > 0) {
        loss = loss * (1 - smoothing) + (restOf(x, weights, log, V) * smoothing) / <f32>V;
      }
      total += w;
    }
    store<f32>(rowLoss, loss);
  }
  return total;
}

/**
 *     dx_rj += s_r·(a_r·p_rj - w_y·(1-ε)·[j = y] - ε/V·wⱼ)          a_r = w_y·(1-ε) + ε/V·Σ w
 *
 *     dx    [R,V]  accumulated
 *     rows  [R]    upstream gradient per row, or 0: 1
 */
export function crossEntropyBackward(
  dx: usize,
  lddx: usize,
  p: usize,
  ldp: usize,
  targets: usize,
  weights: usize,
  rows: usize,
  R: i32,
  V: i32,
  smoothing: f32,
  scale: f32,
): void {
  const even = smoothing / <f32>V;
  let sum: f32 = <f32>V;
  if (weights) {
    sum = 0;
    for (let j: usize = 0; j < (<usize>V) << 2; j += 4) sum += load<f32>(weights + j);
  }
  for (let r = 0; r < R; r++, dx += lddx, p += ldp, targets += 4) {
    const target = load<i32>(targets);
    if (target < 0) continue;
    const y = (<usize>target) << 2;
    const s = rows ? scale * load<f32>(slot(rows, r)) : scale;
    const own = (weights ? load<f32>(weights + y) : <f32>1) * (1 - smoothing);
    const a = f32x4.splat(s * (own + even * sum));
    const b = f32x4.splat(s * even);
    for (let q: usize = 0; q < (<usize>V) << 2; q += 16) {
      let d = simd.fma(v128.load(p + q), a, v128.load(dx + q));
      if (smoothing > 0) d = simd.fnma(b, weights ? v128.load(weights + q) : f32x4.splat(1), d);
      v128.store(dx + q, simd.flush(d));
    }
    store<f32>(dx + y, load<f32>(dx + y) - s * own);
    // with smoothing the lanes behind V were touched
    if (smoothing > 0 && V & 3) {
      const last = dx + ((<usize>(V & ~3)) << 2);
      v128.store(last, v128.and(v128.load(last), v128.load(tailMask(V))));
    }
  }
}

/** Σ of n floats in double precision, in order. */
export function sum(x: usize, n: i32): f64 {
  let total: f64 = 0;
  for (const end = x + ((<usize>n) << 2); x < end; x += 4) total += <f64>load<f32>(x);
  return total;
}
