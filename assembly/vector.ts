/** Whole vectors of n floats: sums, products, multiples. n is a multiple of four but where sums are made in order. */
import { simd } from './simd';

/** Σ of n floats in double precision, in order. */
export function sum(x: usize, n: i32): f64 {
  let total: f64 = 0;
  for (const end = x + ((<usize>n) << 2); x < end; x += 4) total += <f64>load<f32>(x);
  return total;
}

/** Σ x², in double precision. */
export function sumSquares(x: usize, n: i32): f64 {
  let a = f64x2.splat(0);
  let b = f64x2.splat(0);
  for (const end = x + ((<usize>n) << 2); x < end; x += 16) {
    const v = v128.load(x);
    const low = f64x2.promote_low_f32x4(v);
    const high = f64x2.promote_low_f32x4(v128.shuffle<f32>(v, v, 2, 3, 0, 1));
    a = f64x2.add(a, f64x2.mul(low, low));
    b = f64x2.add(b, f64x2.mul(high, high));
  }
  a = f64x2.add(a, b);
  return f64x2.extract_lane(a, 0) + f64x2.extract_lane(a, 1);
}

/** Σ x·y, in double precision. */
export function dot(x: usize, y: usize, n: i32): f64 {
  let sum: f64 = 0;
  for (const end = x + ((<usize>n) << 2); x < end; x += 4, y += 4) sum += <f64>load<f32>(x) * <f64>load<f32>(y);
  return sum;
}

/** y += factor · x */
export function addScaled(y: usize, x: usize, n: i32, factor: f32): void {
  const f = f32x4.splat(factor);
  for (const end = y + ((<usize>n) << 2); y < end; y += 16, x += 16) {
    v128.store(y, simd.fma(f, v128.load(x), v128.load(y)));
  }
}

/** x *= factor */
export function scale(x: usize, n: i32, factor: f32): void {
  const f = f32x4.splat(factor);
  for (const end = x + ((<usize>n) << 2); x < end; x += 16) v128.store(x, f32x4.mul(v128.load(x), f));
}

/** y += a ⊙ b over n floats, a multiple of four. */
export function multiplyAdd(y: usize, a: usize, b: usize, n: i32): void {
  for (const end = y + ((<usize>n) << 2); y < end; y += 16, a += 16, b += 16) {
    v128.store(y, simd.fma(v128.load(a), v128.load(b), v128.load(y)));
  }
}
