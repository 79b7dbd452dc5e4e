import { rowBytes } from './at';
import { simd } from './simd';

/** Σ a ⊙ b over whole vectors. */
function dot(a: usize, b: usize, bytes: usize): f32 {
  let s0 = f32x4.splat(0);
  let s1 = s0;
  let q: usize = 0;
  for (; q + 32 <= bytes; q += 32) {
    s0 = simd.fma(v128.load(a + q), v128.load(b + q), s0);
    s1 = simd.fma(v128.load(a + q, 16), v128.load(b + q, 16), s1);
  }
  if (q < bytes) s0 = simd.fma(v128.load(a + q), v128.load(b + q), s0);
  return simd.sum(f32x4.add(s0, s1));
}

/** y -= factor · x */
function subtract(y: usize, x: usize, factor: f32, bytes: usize): void {
  const f = f32x4.splat(factor);
  for (let q: usize = 0; q < bytes; q += 16) v128.store(y + q, simd.fnma(f, v128.load(x + q), v128.load(y + q)));
}

/**
 * K orthonormal rows of N ≥ K floats, from a matrix of normal numbers, by Householder's reflections; the signs are those that make
 * them uniform among all such (Mezzadri 2007, arXiv:math-ph/0609050v2).
 *
 *     q  [K,N]  padded rows, overwritten
 *     a  [K,N]  padded rows, the normal numbers; overwritten
 */
export function orthonormalRows(q: usize, a: usize, ld: usize, K: i32, N: i32): void {
  const width = rowBytes(N);
  memory.fill(q, 0, <usize>K * ld);
  // row i becomes the unit vector v of the reflection that makes all zero after the diagonal; q's diagonal keeps the sign
  for (let i: usize = 0; i < <usize>K; i++) {
    const row = a + i * ld;
    const from = (i << 2) & ~(<usize>15);
    for (let z: usize = from; z < i << 2; z += 4) store<f32>(row + z, 0);
    const v = row + from;
    const bytes = width - from;
    const norm = Mathf.sqrt(dot(v, v, bytes));
    const head = load<f32>(row + (i << 2));
    const sign: f32 = head < 0 ? -1 : 1;
    store<f32>(row + (i << 2), head + sign * norm);
    const length = Mathf.sqrt(dot(v, v, bytes));
    if (length > 0) {
      const scale = f32x4.splat(1 / length);
      for (let z: usize = 0; z < bytes; z += 16) v128.store(v + z, f32x4.mul(v128.load(v + z), scale));
    }
    for (let j = i + 1; j < <usize>K; j++) {
      const other = a + j * ld + from;
      subtract(other, v, 2 * dot(other, v, bytes), bytes);
    }
    store<f32>(q + i * ld + (i << 2), -sign);
  }
  for (let i = <isize>K - 1; i >= 0; i--) {
    const from = ((<usize>i) << 2) & ~(<usize>15);
    const v = a + <usize>i * ld + from;
    for (let j = <usize>i; j < <usize>K; j++) {
      const row = q + j * ld + from;
      subtract(row, v, 2 * dot(row, v, width - from), width - from);
    }
  }
}
