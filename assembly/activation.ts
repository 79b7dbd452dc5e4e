/** Functions of one number, chosen by an `Activation`; their slopes are taken from the result. */
import { rowBytes } from './at';
import { Activation } from './layout';
import { sigmoidArray, tanhArray } from './math';
import { tailMask } from './rows';
import { simd } from './simd';

export class activation {
  /** f'(x), from y = f(x). */
  @inline static slope(f: i32, y: v128): v128 {
    const one = f32x4.splat(1);
    if (f === Activation.tanh) return simd.fnma(y, y, one);
    if (f === Activation.sigmoid) return f32x4.mul(y, f32x4.sub(one, y));
    if (f === Activation.relu) return v128.and(one, f32x4.gt(y, f32x4.splat(0)));
    return one;
  }
}

/** y[i] = f(x[i]) over n floats, n a multiple of four; y may be x. */
export function activationArray(f: i32, y: usize, x: usize, n: i32): void {
  if (f === Activation.tanh) return tanhArray(y, x, n);
  if (f === Activation.sigmoid) return sigmoidArray(y, x, n);
  const relu = f === Activation.relu ? f32x4.splat(0) : f32x4.splat(NaN);
  // x > 0 ? x : 0, where NaN stays
  for (const end = y + ((<usize>n) << 2); y < end; y += 16, x += 16) {
    const v = v128.load(x);
    v128.store(y, v128.andnot(v, f32x4.le(v, relu)));
  }
}

/** y [R,F] = f(x); y may be x. */
export function activationForward(y: usize, x: usize, ld: usize, R: i32, F: i32, f: i32): void {
  const width = rowBytes(F);
  const last = width - 16;
  const mask = v128.load(tailMask(F));
  for (let r = 0; r < R; r++, y += ld, x += ld) {
    activationArray(f, y, x, <i32>(width >> 2));
    // σ(0) is not 0
    if (F & 3) v128.store(y + last, v128.and(v128.load(y + last), mask));
  }
}

/** dx [R,F] += dy ⊙ f'(x), from y. */
export function activationBackward(dx: usize, dy: usize, y: usize, ld: usize, R: i32, F: i32, f: i32): void {
  const width = rowBytes(F);
  for (let r = 0; r < R; r++, dx += ld, dy += ld, y += ld) {
    for (let q: usize = 0; q < width; q += 16) {
      const d = f32x4.mul(v128.load(dy + q), activation.slope(f, v128.load(y + q)));
      v128.store(dx + q, simd.flush(f32x4.add(v128.load(dx + q), d)));
    }
  }
}
