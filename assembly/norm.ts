/** Layer normalisation (Ba et al. 2016, arXiv:1607.06450v1): over the features of a row, then a gain and a bias. */
import { rowBytes, slot } from './at';
import { simd } from './simd';

/** Epsilon of the recurrent layers. */
const EPSILON: f32 = 1e-5;

/**
 * y = (x - mean) / σ over the columns where `mask` holds ones, 0 elsewhere; returns 1/σ, σ² the mean square plus epsilon.
 * x is 0 where the mask is. y may be x.
 *
 *     n      columns that count
 *     bytes  of a row, whole vectors
 */
export function normalizeRow(y: usize, x: usize, mask: usize, n: i32, bytes: usize, epsilon: f32 = EPSILON): f32 {
  let sum = f32x4.splat(0);
  for (let q: usize = 0; q < bytes; q += 16) sum = f32x4.add(sum, v128.load(x + q));
  const mean = f32x4.splat(simd.sum(sum) / <f32>n);
  let squares = f32x4.splat(0);
  for (let q: usize = 0; q < bytes; q += 16) {
    const d = f32x4.mul(f32x4.sub(v128.load(x + q), mean), v128.load(mask + q));
    v128.store(y + q, d);
    squares = simd.fma(d, d, squares);
  }
  const root = <f32>1 / Mathf.sqrt(simd.sum(squares) / <f32>n + epsilon);
  const r = f32x4.splat(root);
  for (let q: usize = 0; q < bytes; q += 16) v128.store(y + q, f32x4.mul(v128.load(y + q), r));
  return root;
}

/**
 * The backward pass of y = normalised ⊙ gain + bias:
 *
 *     dgain += dy ⊙ y'          g = dy ⊙ gain          dx = (g - mean(g) - y' ⊙ mean(g ⊙ y')) / σ
 *
 *     dx     overwritten; may be y', may be dy
 *     y      the normalised row
 */
export function normalizeRowBackward(
  dx: usize,
  dgain: usize,
  dy: usize,
  y: usize,
  gain: usize,
  mask: usize,
  root: f32,
  n: i32,
  bytes: usize,
): void {
  let a = f32x4.splat(0);
  let b = f32x4.splat(0);
  for (let q: usize = 0; q < bytes; q += 16) {
    const d = v128.load(dy + q);
    const v = v128.load(y + q);
    v128.store(dgain + q, simd.fma(d, v, v128.load(dgain + q)));
    const g = f32x4.mul(f32x4.mul(d, v128.load(gain + q)), v128.load(mask + q));
    a = f32x4.add(a, g);
    b = simd.fma(g, v, b);
  }
  const meanA = f32x4.splat(simd.sum(a) / <f32>n);
  const meanB = f32x4.splat(simd.sum(b) / <f32>n);
  const r = f32x4.splat(root);
  for (let q: usize = 0; q < bytes; q += 16) {
    const m = v128.load(mask + q);
    const g = f32x4.mul(f32x4.mul(v128.load(dy + q), v128.load(gain + q)), m);
    const d = f32x4.sub(f32x4.sub(g, meanA), f32x4.mul(v128.load(y + q), meanB));
    v128.store(dx + q, simd.flush(f32x4.mul(f32x4.mul(d, m), r)));
  }
}

/**
 * y [R,F] = normalised x ⊙ gain + bias.
 *
 *     y, hat      [R,F]  overwritten; hat is kept for the backward pass
 *     roots       [R]    overwritten
 *     gain, bias, mask   [F] padded rows
 */
export function layerNormForward(
  y: usize,
  hat: usize,
  roots: usize,
  x: usize,
  ld: usize,
  gain: usize,
  bias: usize,
  mask: usize,
  R: i32,
  F: i32,
  epsilon: f32,
): void {
  const bytes = rowBytes(F);
  for (let r = 0; r < R; r++, y += ld, hat += ld, x += ld) {
    store<f32>(slot(roots, r), normalizeRow(hat, x, mask, F, bytes, epsilon));
    for (let q: usize = 0; q < bytes; q += 16) {
      v128.store(y + q, simd.fma(v128.load(hat + q), v128.load(gain + q), v128.load(bias + q)));
    }
  }
}

/**
 * The backward pass.
 *
 *     dx            [R,F]  accumulated; 0: not wanted
 *     dgain, dbias  [F]    padded rows, accumulated
 *     hat           [R,F]  overwritten
 */
export function layerNormBackward(
  dx: usize,
  dgain: usize,
  dbias: usize,
  dy: usize,
  hat: usize,
  roots: usize,
  ld: usize,
  gain: usize,
  mask: usize,
  R: i32,
  F: i32,
): void {
  const bytes = rowBytes(F);
  const wanted = dx !== 0;
  for (let r = 0; r < R; r++, dy += ld, hat += ld, dx += ld) {
    for (let q: usize = 0; q < bytes; q += 16) {
      v128.store(dbias + q, f32x4.add(v128.load(dbias + q), v128.load(dy + q)));
    }
    normalizeRowBackward(hat, dgain, dy, hat, gain, mask, load<f32>(slot(roots, r)), F, bytes);
    if (!wanted) continue;
    for (let q: usize = 0; q < bytes; q += 16) v128.store(dx + q, f32x4.add(v128.load(dx + q), v128.load(hat + q)));
  }
}
