/**
 * Rows: copying in and out. Rows of a sequence are time-major, row t·B + b is step t of sequence b; a row counts as padding where
 * `lengths` is given and lengths[b] ≤ t.
 */
import { slot } from './at';
import { simd } from './simd';
import { multiplyAdd } from './vector';

// lanes 0…n-1 of a vector, for n = 0…3
const LANES = memory.data<i32>([0, 0, 0, 0, -1, 0, 0, 0, -1, -1, 0, 0, -1, -1, -1, 0], 16);

/** The mask of the first F mod 4 lanes. */
export function tailMask(F: i32): usize {
  return LANES + ((<usize>(F & 3)) << 4);
}

/** Steps of sequence b. */
export function stepsOf(lengths: usize, b: i32, T: i32): i32 {
  return lengths ? min(load<i32>(slot(lengths, b)), T) : T;
}

/** Whether step t is past the end of sequence b. Without lengths, all sequences have all steps. */
export function ended(lengths: usize, b: i32, t: i32): bool {
  return lengths !== 0 && load<i32>(slot(lengths, b)) <= t;
}

/** One row of F packed floats to a padded one; magnitudes below 1e-20 become 0. */
export function padRow(to: usize, from: usize, F: i32): void {
  for (const end = from + ((<usize>(F & ~3)) << 2); from < end; from += 16, to += 16) {
    v128.store(to, simd.flush(v128.load(from)));
  }
  if (F & 3) {
    let v = f32x4.splat(load<f32>(from));
    if ((F & 3) > 1) v = f32x4.replace_lane(v, 1, load<f32>(from, 4));
    if ((F & 3) > 2) v = f32x4.replace_lane(v, 2, load<f32>(from, 8));
    v128.store(to, simd.flush(v128.and(v, v128.load(tailMask(F)))));
  }
}

/**
 * y [T,B,F] = x, padding set to zero.
 *
 *     x  step t of sequence b at x + t·xStep + b·xRow, F floats
 */
export function rowsIn(
  y: usize,
  ldy: usize,
  x: usize,
  xStep: usize,
  xRow: usize,
  lengths: usize,
  T: i32,
  B: i32,
  F: i32,
): void {
  for (let t = 0; t < T; t++, x += xStep) {
    for (let b = 0; b < B; b++, y += ldy) {
      if (ended(lengths, b, t)) memory.fill(y, 0, ldy);
      else padRow(y, x + <usize>b * xRow, F);
    }
  }
}

/** The inverse copy: y + t·yStep + b·yRow takes the F floats of row t·B + b. */
export function rowsOut(y: usize, yStep: usize, yRow: usize, x: usize, ldx: usize, T: i32, B: i32, F: i32): void {
  for (let t = 0; t < T; t++, y += yStep) {
    for (let b = 0; b < B; b++, x += ldx) memory.copy(y + <usize>b * yRow, x, (<usize>F) << 2);
  }
}

/** y [T,B,F]: padding becomes zero, whole rows. */
export function clearPadding(y: usize, ld: usize, lengths: usize, T: i32, B: i32): void {
  for (let t = 0; t < T; t++) {
    for (let b = 0; b < B; b++, y += ld) if (load<i32>(slot(lengths, b)) <= t) memory.fill(y, 0, ld);
  }
}

/** y [R,F] += x */
export function rowsAdd(y: usize, ldy: usize, x: usize, ldx: usize, R: i32, F: i32): void {
  for (let r = 0; r < R; r++, y += ldy, x += ldx) {
    for (let q: usize = 0; q < (<usize>F) << 2; q += 16)
      v128.store(y + q, f32x4.add(v128.load(y + q), v128.load(x + q)));
  }
}

/** y [R,F] = x ⊙ mask, whole rows; the mask [M,F] repeats after M rows, and R is a multiple of M. */
export function maskForward(y: usize, x: usize, ld: usize, mask: usize, M: i32, R: i32): void {
  const bytes = <usize>M * ld;
  for (const end = y + <usize>R * ld; y < end; y += bytes, x += bytes) {
    for (let q: usize = 0; q < bytes; q += 16) v128.store(y + q, f32x4.mul(v128.load(x + q), v128.load(mask + q)));
  }
}

/** dx += dy ⊙ mask */
export function maskBackward(dx: usize, dy: usize, ld: usize, mask: usize, M: i32, R: i32): void {
  const bytes = <usize>M * ld;
  for (const end = dx + <usize>R * ld; dx < end; dx += bytes, dy += bytes) multiplyAdd(dx, dy, mask, <i32>(bytes >> 2));
}
