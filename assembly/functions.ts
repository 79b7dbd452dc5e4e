/**
 * The module of gatewise/functions. It has no memory of its own: it works on the rows of a running core, whose memory it imports. Its
 * constants lie below those of the core (`memoryBase` in asconfig.json).
 *
 *     subtract   a - b             multiply   a·b            magnitude   √(a² + b²)
 *     scale      p·x + q           absolute   |x|            gelu        x·Φ(x), Φ the normal distribution
 */
import { rowBytes, slot } from './at';
import { FUNCTIONS_ABI, MapOf, PairOf } from './layout';
import { vmath } from './math';
import { ended, stepsOf, tailMask } from './rows';
import { simd } from './simd';
import { softmaxRow } from './softmax';

export { leastSquaresUpdate } from './recursive';

/** The version of this interface. */
export function abi(): i32 {
  return FUNCTIONS_ABI;
}

// Φ(-t) = e^(-t²/2)·P(s) with s = 1 / (1 + 0.3·t): minimax for the relative error on 0 ≤ t ≤ 9.5
const P0 = memory.data<f32>([0.3]);
const P1 = memory.data<f32>([0.119605035]);
const P2 = memory.data<f32>([0.12111128]);
const P3 = memory.data<f32>([0.09775568]);
const P4 = memory.data<f32>([0.13549753]);
const P5 = memory.data<f32>([-0.0665262565]);
const P6 = memory.data<f32>([0.220086977]);
const P7 = memory.data<f32>([-0.165078461]);
const P8 = memory.data<f32>([0.037548244]);
const MINUS_HALF = memory.data<f32>([-0.5]);
const DENSITY = memory.data<f32>([0.3989422804]); // 1 / √(2π)
const LOWEST = memory.data<f32>([-Infinity]);

class normal {
  /** e^(-x²/2) */
  @inline static bell(x: v128): v128 {
    return vmath.exp(f32x4.mul(f32x4.mul(simd.splat(MINUS_HALF), x), x));
  }

  /** Φ(x), from e^(-x²/2). */
  @inline static distribution(x: v128, bell: v128): v128 {
    const one = f32x4.splat(1);
    const s = f32x4.div(one, simd.fma(simd.splat(P0), f32x4.abs(x), one));
    let p = simd.splat(P8);
    p = simd.fma(p, s, simd.splat(P7));
    p = simd.fma(p, s, simd.splat(P6));
    p = simd.fma(p, s, simd.splat(P5));
    p = simd.fma(p, s, simd.splat(P4));
    p = simd.fma(p, s, simd.splat(P3));
    p = simd.fma(p, s, simd.splat(P2));
    p = simd.fma(p, s, simd.splat(P1));
    const tail = f32x4.mul(f32x4.mul(p, s), bell);
    return v128.bitselect(tail, f32x4.sub(one, tail), f32x4.lt(x, f32x4.splat(0)));
  }
}

class pair {
  @inline static value(f: i32, a: v128, b: v128): v128 {
    if (f === PairOf.subtract) return f32x4.sub(a, b);
    if (f === PairOf.multiply) return f32x4.mul(a, b);
    // high·√(1 + (low / high)²): no square overflows
    const u = f32x4.abs(a);
    const v = f32x4.abs(b);
    const high = f32x4.max(u, v);
    const ratio = f32x4.div(f32x4.min(u, v), high);
    const y = f32x4.mul(high, f32x4.sqrt(simd.fma(ratio, ratio, f32x4.splat(1))));
    return v128.andnot(y, f32x4.eq(high, f32x4.splat(0)));
  }

  /** ∂y/∂a, where `a` and `b` stand for each other in ∂y/∂b. */
  @inline static slope(f: i32, a: v128, b: v128, y: v128): v128 {
    if (f === PairOf.multiply) return b;
    return v128.andnot(f32x4.div(a, y), f32x4.eq(y, f32x4.splat(0)));
  }
}

class vector {
  /** Adds to a gradient. */
  @inline static add(to: usize, d: v128): void {
    v128.store(to, simd.flush(f32x4.add(v128.load(to), d)));
  }

  /** Where a mask is not 0: one of its own for each feature, or one for all. */
  @inline static kept(mask: usize, q: usize, wide: i32): v128 {
    return f32x4.ne(wide ? v128.load(mask + q) : v128.load32_splat(mask), f32x4.splat(0));
  }

  /** The gradient of softmax or of its logarithm, from the result y and Σ dy·y or Σ dy. */
  @inline static slope(d: v128, y: v128, total: v128, logarithm: i32): v128 {
    return logarithm ? simd.fnma(vmath.exp(y), total, d) : f32x4.mul(y, f32x4.sub(d, total));
  }
}

/** y [R,F] = f(a, b) */
export function pairForward(y: usize, a: usize, b: usize, ld: usize, R: i32, F: i32, f: i32): void {
  const width = rowBytes(F);
  for (let r = 0; r < R; r++, y += ld, a += ld, b += ld) {
    for (let q: usize = 0; q < width; q += 16) v128.store(y + q, pair.value(f, v128.load(a + q), v128.load(b + q)));
  }
}

/**
 * da, db [R,F] += their gradients; either may be 0: not wanted.
 *
 *     y  what the forward pass wrote
 */
export function pairBackward(
  da: usize,
  db: usize,
  dy: usize,
  a: usize,
  b: usize,
  y: usize,
  ld: usize,
  R: i32,
  F: i32,
  f: i32,
): void {
  const width = rowBytes(F);
  for (let r = 0; r < R; r++, dy += ld, a += ld, b += ld, y += ld) {
    for (let q: usize = 0; q < width; q += 16) {
      const d = v128.load(dy + q);
      if (f === PairOf.subtract) {
        if (da) vector.add(da + q, d);
        if (db) vector.add(db + q, f32x4.neg(d));
        continue;
      }
      const u = v128.load(a + q);
      const v = v128.load(b + q);
      const w = v128.load(y + q);
      if (da) vector.add(da + q, f32x4.mul(d, pair.slope(f, u, v, w)));
      if (db) vector.add(db + q, f32x4.mul(d, pair.slope(f, v, u, w)));
    }
    if (da) da += ld;
    if (db) db += ld;
  }
}

/** y [R,F] = f(x), with numbers p and q. */
export function mapForward(y: usize, x: usize, ld: usize, R: i32, F: i32, f: i32, p: f32, q: f32): void {
  const width = rowBytes(F);
  const last = width - 16;
  const mask = v128.load(tailMask(F));
  const factor = f32x4.splat(p);
  const offset = f32x4.splat(q);
  for (let r = 0; r < R; r++, y += ld, x += ld) {
    for (let i: usize = 0; i < width; i += 16) {
      const v = v128.load(x + i);
      if (f === MapOf.scale) v128.store(y + i, simd.fma(v, factor, offset));
      else if (f === MapOf.absolute) v128.store(y + i, f32x4.abs(v));
      else v128.store(y + i, f32x4.mul(v, normal.distribution(v, normal.bell(v))));
    }
    if (F & 3) v128.store(y + last, v128.and(v128.load(y + last), mask));
  }
}

/** dx [R,F] += dy ⊙ f'(x) */
export function mapBackward(dx: usize, dy: usize, x: usize, ld: usize, R: i32, F: i32, f: i32, p: f32): void {
  const width = rowBytes(F);
  const factor = f32x4.splat(p);
  const one = f32x4.splat(1);
  const zero = f32x4.splat(0);
  for (let r = 0; r < R; r++, dx += ld, dy += ld, x += ld) {
    for (let i: usize = 0; i < width; i += 16) {
      const v = v128.load(x + i);
      let slope = factor;
      if (f === MapOf.absolute) slope = f32x4.sub(v128.and(one, f32x4.gt(v, zero)), v128.and(one, f32x4.lt(v, zero)));
      else if (f === MapOf.gelu) {
        const bell = normal.bell(v);
        slope = simd.fma(f32x4.mul(v, simd.splat(DENSITY)), bell, normal.distribution(v, bell));
      }
      vector.add(dx + i, f32x4.mul(v128.load(dy + i), slope));
    }
  }
}

/**
 * y [R,F] = x where the mask is not 0, elsewhere `value`.
 *
 *     mask  [R,F], ldm bytes apart; with `wide` 0 [R,1]: for the whole row
 */
export function keepForward(
  y: usize,
  x: usize,
  ld: usize,
  mask: usize,
  ldm: usize,
  R: i32,
  F: i32,
  wide: i32,
  value: f32,
): void {
  const width = rowBytes(F);
  const last = width - 16;
  const tail = v128.load(tailMask(F));
  const other = f32x4.splat(value);
  for (let r = 0; r < R; r++, y += ld, x += ld, mask += ldm) {
    for (let q: usize = 0; q < width; q += 16) {
      v128.store(y + q, v128.bitselect(v128.load(x + q), other, vector.kept(mask, q, wide)));
    }
    if (F & 3) v128.store(y + last, v128.and(v128.load(y + last), tail));
  }
}

/** dx [R,F] += dy where the mask is not 0 */
export function keepBackward(
  dx: usize,
  dy: usize,
  ld: usize,
  mask: usize,
  ldm: usize,
  R: i32,
  F: i32,
  wide: i32,
): void {
  const width = rowBytes(F);
  for (let r = 0; r < R; r++, dx += ld, dy += ld, mask += ldm) {
    for (let q: usize = 0; q < width; q += 16)
      vector.add(dx + q, v128.and(v128.load(dy + q), vector.kept(mask, q, wide)));
  }
}

/** y [T,B,F] = softmax(x) over the features of each row, or its logarithm; rows of padding are not written. */
export function softmaxForward(
  y: usize,
  x: usize,
  ld: usize,
  lengths: usize,
  T: i32,
  B: i32,
  F: i32,
  logarithm: i32,
): void {
  const width = rowBytes(F);
  const last = width - 16;
  const mask = v128.load(tailMask(F));
  for (let t = 0; t < T; t++) {
    for (let b = 0; b < B; b++, y += ld, x += ld) {
      if (ended(lengths, b, t)) continue;
      const log = softmaxRow(y, x, F);
      if (!logarithm) continue;
      const high = f32x4.splat(<f32>log);
      const low = f32x4.splat(<f32>(log - <f64>(<f32>log)));
      for (let q: usize = 0; q < width; q += 16) {
        v128.store(y + q, f32x4.sub(f32x4.sub(v128.load(x + q), high), low));
      }
      if (F & 3) v128.store(y + last, v128.and(v128.load(y + last), mask));
    }
  }
}

/** dx [T,B,F] += y ⊙ (dy - Σ dy·y), or dy - eʸ·Σ dy for the logarithm: y is what the forward pass wrote. */
export function softmaxBackward(
  dx: usize,
  dy: usize,
  y: usize,
  ld: usize,
  lengths: usize,
  T: i32,
  B: i32,
  F: i32,
  logarithm: i32,
): void {
  const width = rowBytes(F);
  const last = F & 3 ? width - 16 : width;
  const mask = v128.load(tailMask(F));
  for (let t = 0; t < T; t++) {
    for (let b = 0; b < B; b++, dx += ld, dy += ld, y += ld) {
      if (ended(lengths, b, t)) continue;
      let sum = f32x4.splat(0);
      for (let q: usize = 0; q < width; q += 16) {
        const d = v128.load(dy + q);
        sum = logarithm ? f32x4.add(sum, d) : simd.fma(d, v128.load(y + q), sum);
      }
      const total = f32x4.splat(simd.sum(sum));
      for (let q: usize = 0; q < width; q += 16) {
        const d = vector.slope(v128.load(dy + q), v128.load(y + q), total, logarithm);
        vector.add(dx + q, q === last ? v128.and(d, mask) : d);
      }
    }
  }
}

/** The same over the steps of each sequence, for each feature. */
export function softmaxTimeForward(
  y: usize,
  x: usize,
  ld: usize,
  lengths: usize,
  T: i32,
  B: i32,
  F: i32,
  logarithm: i32,
): void {
  const width = rowBytes(F);
  const step = <usize>B * ld;
  for (let b = 0; b < B; b++, y += ld, x += ld) {
    const bytes = <usize>stepsOf(lengths, b, T) * step;
    for (let q: usize = 0; q < width; q += 16) {
      const lanes = q + 16 === width && F & 3 ? v128.load(tailMask(F)) : i32x4.splat(-1);
      let high = simd.splat(LOWEST);
      for (let t: usize = q; t < bytes; t += step) high = f32x4.pmax(high, v128.load(x + t));
      let sum = f32x4.splat(0);
      for (let t: usize = q; t < bytes; t += step) {
        const e = vmath.exp(f32x4.sub(v128.load(x + t), high));
        v128.store(y + t, e);
        sum = f32x4.add(sum, e);
      }
      const scale = logarithm ? vmath.log(sum) : f32x4.div(f32x4.splat(1), sum);
      for (let t: usize = q; t < bytes; t += step) {
        const v = logarithm ? f32x4.sub(f32x4.sub(v128.load(x + t), high), scale) : f32x4.mul(v128.load(y + t), scale);
        v128.store(y + t, v128.and(v, lanes));
      }
    }
  }
}

export function softmaxTimeBackward(
  dx: usize,
  dy: usize,
  y: usize,
  ld: usize,
  lengths: usize,
  T: i32,
  B: i32,
  F: i32,
  logarithm: i32,
): void {
  const width = rowBytes(F);
  const step = <usize>B * ld;
  for (let b = 0; b < B; b++, dx += ld, dy += ld, y += ld) {
    const bytes = <usize>stepsOf(lengths, b, T) * step;
    for (let q: usize = 0; q < width; q += 16) {
      const lanes = q + 16 === width && F & 3 ? v128.load(tailMask(F)) : i32x4.splat(-1);
      let total = f32x4.splat(0);
      for (let t: usize = q; t < bytes; t += step) {
        const d = v128.load(dy + t);
        total = logarithm ? f32x4.add(total, d) : simd.fma(d, v128.load(y + t), total);
      }
      for (let t: usize = q; t < bytes; t += step) {
        vector.add(dx + t, v128.and(vector.slope(v128.load(dy + t), v128.load(y + t), total, logarithm), lanes));
      }
    }
  }
}

/** y [R,1] = factor·Σ of the features of x [R,F] */
export function sumForward(y: usize, ldy: usize, x: usize, ldx: usize, R: i32, F: i32, factor: f32): void {
  const width = rowBytes(F);
  for (let r = 0; r < R; r++, y += ldy, x += ldx) {
    let sum = f32x4.splat(0);
    for (let q: usize = 0; q < width; q += 16) sum = f32x4.add(sum, v128.load(x + q));
    v128.store(y, f32x4.replace_lane(f32x4.splat(0), 0, factor * simd.sum(sum)));
  }
}

/** dx [R,F] += factor·dy [R,1] */
export function sumBackward(dx: usize, lddx: usize, dy: usize, lddy: usize, R: i32, F: i32, factor: f32): void {
  const width = rowBytes(F);
  const last = F & 3 ? width - 16 : width;
  const mask = v128.load(tailMask(F));
  for (let r = 0; r < R; r++, dx += lddx, dy += lddy) {
    const d = f32x4.splat(factor * load<f32>(dy));
    for (let q: usize = 0; q < width; q += 16) vector.add(dx + q, q === last ? v128.and(d, mask) : d);
  }
}

/** y [B,F] = Σₜ x_t over the steps of each sequence, in the order of t */
export function sumTimeForward(y: usize, x: usize, ld: usize, lengths: usize, T: i32, B: i32, F: i32): void {
  const width = rowBytes(F);
  const step = <usize>B * ld;
  for (let b = 0; b < B; b++, y += ld, x += ld) {
    const bytes = <usize>stepsOf(lengths, b, T) * step;
    for (let q: usize = 0; q < width; q += 16) {
      let sum = f32x4.splat(0);
      for (let t: usize = q; t < bytes; t += step) sum = f32x4.add(sum, v128.load(x + t));
      v128.store(y + q, sum);
    }
  }
}

/** dx_t += dy */
export function sumTimeBackward(dx: usize, dy: usize, ld: usize, lengths: usize, T: i32, B: i32, F: i32): void {
  const width = rowBytes(F);
  const step = <usize>B * ld;
  for (let b = 0; b < B; b++, dx += ld, dy += ld) {
    const bytes = <usize>stepsOf(lengths, b, T) * step;
    for (let q: usize = 0; q < width; q += 16) {
      const d = v128.load(dy + q);
      for (let t: usize = q; t < bytes; t += step) vector.add(dx + t, d);
    }
  }
}

/**
 * The steps of each sequence of x [T,B,F] go to y from step starts[b] on, or come back from there: `back` 0 copies rows of x to y, 1
 * adds those of y to x. Steps past the end of a sequence are left out.
 *
 *     starts  [B] i32
 */
export function joinSteps(
  y: usize,
  x: usize,
  ld: usize,
  starts: usize,
  lengths: usize,
  T: i32,
  B: i32,
  F: i32,
  back: i32,
): void {
  const width = rowBytes(F);
  const step = <usize>B * ld;
  for (let b = 0; b < B; b++, y += ld, x += ld) {
    const bytes = <usize>stepsOf(lengths, b, T) * step;
    const to = y + <usize>load<i32>(slot(starts, b)) * step;
    for (let t: usize = 0; t < bytes; t += step) {
      if (!back) memory.copy(to + t, x + t, width);
      else for (let q: usize = 0; q < width; q += 16) vector.add(x + t + q, v128.load(to + t + q));
    }
  }
}
