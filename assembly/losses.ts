/**
 * Losses of one number and its target, chosen by a `Loss`. d = x - y, σ the sigmoid; the semantics are PyTorch's.
 *
 *     square      d²                                             2 d
 *     absolute    |d|                                            sign d, 0 at 0
 *     huber       g·m·(|d| - m/2), m = min(|d|, a)               g·d clamped to ± a           Huber 1964
 *     quantile    max(-p d, (1 - p) d)                           -p below y, 1 - p above, 0 at y   Koenker & Bassett 1978
 *     logits      p y ln(1 + e⁻ˣ) + (1 - y) ln(1 + eˣ)           (1 - y) σ(x) - p y σ(-x)
 *
 * a and g are numbers, p belongs to the column. PyTorch's huber has g = 1 and a = delta, its smooth_l1 a = beta and g = 1/beta.
 */
import { rowBytes, slot } from './at';
import { Loss } from './layout';
import { vmath } from './math';
import { ended, tailMask } from './rows';
import { simd } from './simd';
import { softmaxRow } from './softmax';

class term {
  @inline static loss(kind: i32, x: v128, y: v128, p: v128, a: v128, g: v128): v128 {
    const d = f32x4.sub(x, y);
    if (kind === Loss.square) return f32x4.mul(d, d);
    if (kind === Loss.absolute) return f32x4.abs(d);
    if (kind === Loss.huber) {
      const size = f32x4.abs(d);
      const m = f32x4.pmin(size, a);
      return f32x4.mul(g, f32x4.mul(m, f32x4.sub(size, f32x4.mul(m, f32x4.splat(0.5)))));
    }
    const one = f32x4.splat(1);
    if (kind === Loss.quantile) return f32x4.pmax(f32x4.neg(f32x4.mul(p, d)), f32x4.mul(f32x4.sub(one, p), d));
    // ln(1 + eˣ) = max(x, 0) + ln(1 + e^-|x|)
    const rest = vmath.log1p(vmath.exp(f32x4.neg(f32x4.abs(x))));
    const zero = f32x4.splat(0);
    const above = f32x4.add(f32x4.pmax(x, zero), rest);
    const below = f32x4.add(f32x4.pmax(f32x4.neg(x), zero), rest);
    return simd.fma(f32x4.mul(p, y), below, f32x4.mul(f32x4.sub(one, y), above));
  }

  @inline static slope(kind: i32, x: v128, y: v128, p: v128, a: v128, g: v128): v128 {
    const d = f32x4.sub(x, y);
    if (kind === Loss.square) return f32x4.add(d, d);
    if (kind === Loss.huber) return f32x4.mul(g, simd.clamp(d, f32x4.neg(a), a));
    const one = f32x4.splat(1);
    if (kind === Loss.logits) {
      const e = vmath.exp(f32x4.neg(f32x4.abs(x)));
      const high = f32x4.div(one, f32x4.add(one, e));
      const low = f32x4.mul(e, high);
      const negative = f32x4.lt(x, f32x4.splat(0));
      const above = v128.bitselect(low, high, negative);
      const below = v128.bitselect(high, low, negative);
      return simd.fnma(f32x4.mul(p, y), below, f32x4.mul(f32x4.sub(one, y), above));
    }
    const up = kind === Loss.quantile ? f32x4.sub(one, p) : one;
    const down = kind === Loss.quantile ? p : one;
    const zero = f32x4.splat(0);
    return f32x4.sub(v128.and(up, f32x4.gt(d, zero)), v128.and(down, f32x4.lt(d, zero)));
  }
}

/**
 * Returns Σ u·loss over the rows before each sequence's end, in double precision, in order.
 *
 *     values  [T,B,F]  overwritten with the losses, 0 for padding; 0: not wanted
 *     x, y    [T,B,F]  predictions, targets
 *     u       [T,B,F]  weight of each loss, or 0: 1
 *     p       [F]      padded row, for the kinds that have one
 *
 * All rows are ld bytes apart.
 */
export function lossForward(
  values: usize,
  x: usize,
  y: usize,
  u: usize,
  ld: usize,
  p: usize,
  lengths: usize,
  T: i32,
  B: i32,
  F: i32,
  kind: i32,
  limit: f32,
  gain: f32,
): f64 {
  const width = rowBytes(F);
  const last = F & 3 ? width - 16 : width;
  const mask = v128.load(tailMask(F));
  const a = f32x4.splat(limit);
  const g = f32x4.splat(gain);
  const one = f32x4.splat(1);
  let low = f64x2.splat(0);
  let high = f64x2.splat(0);
  for (let t = 0; t < T; t++) {
    for (let b = 0; b < B; b++, x += ld, y += ld) {
      if (ended(lengths, b, t)) {
        if (values) memory.fill(values, 0, ld);
      } else {
        for (let q: usize = 0; q < width; q += 16) {
          let v = term.loss(kind, v128.load(x + q), v128.load(y + q), p ? v128.load(p + q) : one, a, g);
          if (q === last) v = v128.and(v, mask);
          if (values) v128.store(values + q, v);
          if (u) v = f32x4.mul(v, v128.load(u + q));
          low = f64x2.add(low, f64x2.promote_low_f32x4(v));
          high = f64x2.add(high, f64x2.promote_low_f32x4(v128.shuffle<f32>(v, v, 2, 3, 0, 1)));
        }
      }
      if (values) values += ld;
      if (u) u += ld;
    }
  }
  const total = f64x2.add(low, high);
  return f64x2.extract_lane(total, 0) + f64x2.extract_lane(total, 1);
}

/** dx [T,B,F] += scale·u·slope; that of padding stays as it is. */
export function lossBackward(
  dx: usize,
  x: usize,
  y: usize,
  u: usize,
  ld: usize,
  p: usize,
  lengths: usize,
  T: i32,
  B: i32,
  F: i32,
  kind: i32,
  limit: f32,
  gain: f32,
  scale: f32,
): void {
  const width = rowBytes(F);
  const last = F & 3 ? width - 16 : width;
  const mask = v128.load(tailMask(F));
  const a = f32x4.splat(limit);
  const g = f32x4.splat(gain);
  const one = f32x4.splat(1);
  const s = f32x4.splat(scale);
  for (let t = 0; t < T; t++) {
    for (let b = 0; b < B; b++, x += ld, y += ld, dx += ld) {
      if (!ended(lengths, b, t)) {
        for (let q: usize = 0; q < width; q += 16) {
          let d = term.slope(kind, v128.load(x + q), v128.load(y + q), p ? v128.load(p + q) : one, a, g);
          if (q === last) d = v128.and(d, mask);
          d = f32x4.mul(d, u ? f32x4.mul(s, v128.load(u + q)) : s);
          v128.store(dx + q, simd.flush(f32x4.add(v128.load(dx + q), d)));
        }
      }
      if (u) u += ld;
    }
  }
}

/** y [R, F·n]: each of the F numbers of x [R,F], n times. Overwritten. */
export function spreadRows(y: usize, ldy: usize, x: usize, ldx: usize, R: i32, F: i32, n: i32): void {
  for (let r = 0; r < R; r++, y += ldy, x += ldx) {
    let to = y;
    for (let f = 0; f < F; f++) {
      const v = load<f32>(slot(x, f));
      for (let i = 0; i < n; i++, to += 4) store<f32>(to, v);
    }
    memory.fill(to, 0, (0 - to) & 15);
  }
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
    // with smoothing the lanes past V were written
    if (smoothing > 0 && V & 3) {
      const last = dx + ((<usize>(V & ~3)) << 2);
      v128.store(last, v128.and(v128.load(last), v128.load(tailMask(V))));
    }
  }
}
