/** Float32 to integers: the inputs and states of products at every step, the weights once. */
import { slot } from '../at';
import { simd } from '../simd';
import { WIDTH } from './layout';

/** 1.5·2²³: adding it to a float within ±2²² rounds it to a whole number, ties to even, which is then in the low bits. */
const MAGIC = memory.data<f32>([12582912]);

export class integers {
  /** Eight 16-bit integers, round(a·factor) limited to ±limit. NaN gives a number that counts for nothing. */
  @inline static of(a: v128, b: v128, factor: v128, limit: v128): v128 {
    return i16x8.narrow_i32x4_s(integers.round(a, factor, limit), integers.round(b, factor, limit));
  }

  @inline static round(x: v128, factor: v128, limit: v128): v128 {
    const magic = simd.splat(MAGIC);
    const y = simd.clamp(f32x4.mul(x, factor), f32x4.neg(limit), limit);
    return i32x4.sub(f32x4.add(y, magic), magic);
  }
}

/**
 * q [R,K] = round(x·factor), limited to ±limit ≤ 32767, ties to even.
 *
 *     q  i16, rows ldq ≥ 2·K rounded up to 16 bytes apart; what follows a row's K numbers is anything, and meets weights of zero
 *     x  f32, rows ldx bytes apart, the last one followed by 32 readable bytes
 *
 * Returns the number of the first row that holds a NaN, or -1.
 */
export function quantizeRows(q: usize, ldq: usize, x: usize, ldx: usize, R: i32, K: i32, factor: f32, limit: f32): i32 {
  const f = f32x4.splat(factor);
  const l = f32x4.splat(limit);
  const whole = (<usize>(K & ~7)) << 2;
  for (let r = 0; r < R; r++, q += ldq, x += ldx) {
    let bad = f32x4.splat(0);
    for (let k: usize = 0; k < whole; k += 32) {
      const a = v128.load(x + k),
        b = v128.load(x + k, 16);
      bad = v128.or(bad, v128.or(f32x4.ne(a, a), f32x4.ne(b, b)));
      v128.store(q + (k >> 1), integers.of(a, b, f, l));
    }
    if (K & 7) {
      v128.store(q + (whole >> 1), integers.of(v128.load(x + whole), v128.load(x + whole, 16), f, l));
      for (let k = K & ~7; k < K; k++) {
        if ((load<u32>(slot(x, k)) & 0x7fffffff) > 0x7f800000) return r; // a NaN
      }
    }
    if (v128.any_true(bad)) return r;
  }
  return -1;
}

/**
 * Weights to integers, row by row: q [N,K] = round(w / scale), ties to even.
 *
 *     scale = max(max|w| / limit, Σ|w| / (most - K/2))
 *
 * Then no |q| is above `limit`, and in a row Σ|q| ≤ Σ|w| / scale + K/2 ≤ most: a number is rounded by at most 1/2. With inputs whose
 * magnitude is at most A ≤ (2³¹ - 1) / most, every partial sum of every product is within ±A·Σ|q| ≤ 2³¹ - 1, in any order: no sum in
 * 32 bits overflows. The scale is made larger by 2⁻²⁰, which covers the roundings of the scale itself and of the quotients (2⁻²⁴ each).
 *
 *     q      [N,K]  i16, or i8 with `bytes`, rows without gaps
 *     scale  [N]    f32; 0 for a row of zeros
 *     w      [N,K]  f32, finite
 */
export function quantizeWeights(
  q: usize,
  scale: usize,
  w: usize,
  N: i32,
  K: i32,
  limit: i32,
  most: f64,
  bytes: bool,
): void {
  const room = most - 0.5 * <f64>K;
  for (let n = 0; n < N; n++, scale += 4) {
    let largest: f64 = 0;
    let sum: f64 = 0;
    for (let k = 0; k < K; k++) {
      const a = <f64>Mathf.abs(load<f32>(slot(w, k)));
      largest = max(largest, a);
      sum += a;
    }
    const s = <f32>(max(largest / <f64>limit, sum / room) * (1 + 1 / <f64>1048576));
    store<f32>(scale, s);
    // rows so small that their scale is no normal number count as zero
    const inverse: f64 = s < 1.17549435e-38 ? 0 : 1 / <f64>s;
    if (inverse === 0) store<f32>(scale, 0);
    for (let k = 0; k < K; k++, w += 4) {
      const v = <i32>nearest(<f64>load<f32>(w) * inverse);
      if (bytes) {
        store<i8>(q, <i8>v);
        q += 1;
      } else {
        store<i16>(q, <i16>v);
        q += 2;
      }
    }
  }
}

/**
 * Rows of integers into the columns of panels, from number `column` on, or back out of them; see product.ts. The panels were zero.
 *
 *     q        [rows,K]  i16 or i8, rows without gaps
 *     offsets  [N]       i8 only: becomes -8192·Σq of each row
 */
export function packIntegers(
  panels: usize,
  offsets: usize,
  column: i32,
  q: usize,
  rows: i32,
  K: i32,
  bytes: bool,
  back: bool,
): void {
  // consecutive k of a column, and such groups in a panel
  const group: usize = bytes ? 4 : 2;
  const groups: usize = bytes ? <usize>((K + 7) >> 3) * 2 : <usize>((K + 1) >> 1);
  for (let r = 0; r < rows; r++) {
    const c = <usize>(column + r);
    let sum = 0;
    for (let k: usize = 0; k < <usize>K; k++) {
      const i = (((c >> 5) * groups + k / group) * WIDTH + (c & 31)) * group + (k % group);
      if (bytes) {
        const packed = panels + i;
        if (back) store<i8>(q, load<i8>(packed));
        else store<i8>(packed, load<i8>(q));
        sum += <i32>load<i8>(q);
        q += 1;
      } else {
        const packed = panels + (i << 1);
        if (back) store<i16>(q, load<i16>(packed));
        else store<i16>(packed, load<i16>(q));
        q += 2;
      }
    }
    if (bytes) store<i32>(slot(offsets, column + r), -8192 * sum);
  }
}

/** y [R,E] f32 = q[token] ⊙ scale[token]: rows of a table of i16, or of i8 with `bytes`, tokens in 0…V-1. */
export function lookUp(y: usize, q: usize, scale: usize, tokens: usize, R: i32, E: i32, bytes: bool): void {
  for (let r = 0; r < R; r++, tokens += 4) {
    const token = load<i32>(tokens);
    const s = load<f32>(slot(scale, token));
    const from = <usize>token * <usize>E;
    for (let k: usize = 0; k < <usize>E; k++, y += 4) {
      const v = bytes ? <i32>load<i8>(q + from + k) : <i32>load<i16>(q + ((from + k) << 1));
      store<f32>(y, <f32>v * s);
    }
  }
}
