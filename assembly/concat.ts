/** Rows put together and taken apart: added, side by side, some columns, repeated. */
import { rowBytes, slot } from './at';
import { Merge } from './layout';
import { ended } from './rows';
import { simd } from './simd';

/** y [R,F] = a + b */
export function addForward(y: usize, a: usize, b: usize, ld: usize, R: i32, F: i32): void {
  const width = (<usize>F) << 2;
  for (let r = 0; r < R; r++, y += ld, a += ld, b += ld) {
    for (let q: usize = 0; q < width; q += 16) v128.store(y + q, f32x4.add(v128.load(a + q), v128.load(b + q)));
  }
}

/**
 * One part of rows side by side: F floats of x to column `column` of y. What follows up to the next multiple of four becomes zero, so
 * that parts written from left to right leave no lane undefined.
 *
 *     y  [R, column + F …]  F floats and up to three more overwritten
 *     x  [R,F]
 */
export function concatForward(y: usize, ldy: usize, x: usize, ldx: usize, R: i32, column: i32, F: i32): void {
  const bytes = (<usize>F) << 2;
  const rest = (0 - ((<usize>(column + F)) << 2)) & 15;
  y = slot(y, column);
  for (let r = 0; r < R; r++, y += ldy, x += ldx) {
    memory.copy(y, x, bytes);
    memory.fill(y + bytes, 0, rest);
  }
}

/** dx [R,F] += F columns of dy from `column` on. */
export function concatBackward(dx: usize, lddx: usize, dy: usize, lddy: usize, R: i32, column: i32, F: i32): void {
  const whole = (<usize>(F & ~3)) << 2;
  const bytes = (<usize>F) << 2;
  dy = slot(dy, column);
  for (let r = 0; r < R; r++, dx += lddx, dy += lddy) {
    let q: usize = 0;
    for (; q < whole; q += 16) v128.store(dx + q, simd.flush(f32x4.add(v128.load(dx + q), v128.load(dy + q))));
    for (; q < bytes; q += 4) store<f32>(dx + q, load<f32>(dx + q) + load<f32>(dy + q));
  }
}

/**
 * Some columns of rows, in any order.
 *
 *     y        [R,N]  overwritten, up to the next multiple of four
 *     x        [R,F]
 *     columns  [N] i32, below F
 */
export function selectForward(y: usize, ldy: usize, x: usize, ldx: usize, columns: usize, R: i32, N: i32): void {
  for (let r = 0; r < R; r++, y += ldy, x += ldx) {
    for (let j = 0; j < N; j++) store<f32>(slot(y, j), load<f32>(slot(x, load<i32>(slot(columns, j)))));
    for (let j = N; j & 3; j++) store<f32>(slot(y, j), 0);
  }
}

/** dx [R,F] += dy [R,N], each column to where it came from */
export function selectBackward(dx: usize, lddx: usize, dy: usize, lddy: usize, columns: usize, R: i32, N: i32): void {
  for (let r = 0; r < R; r++, dx += lddx, dy += lddy) {
    for (let j = 0; j < N; j++) {
      const at = slot(dx, load<i32>(slot(columns, j)));
      store<f32>(at, load<f32>(at) + load<f32>(slot(dy, j)));
    }
  }
}

/** y [T,B,F]: every step is x [B,F]. */
export function expandForward(y: usize, x: usize, ld: usize, T: i32, B: i32): void {
  const bytes = <usize>B * ld;
  for (let t = 0; t < T; t++, y += bytes) memory.copy(y, x, bytes);
}

/** dx [B,F] += Σₜ dy_t, in the order of t */
export function expandBackward(dx: usize, dy: usize, ld: usize, T: i32, B: i32, F: i32): void {
  const width = (<usize>F) << 2;
  const step = <usize>B * ld;
  for (let b = 0; b < B; b++, dx += ld, dy += ld) {
    for (let q: usize = 0; q < width; q += 16) {
      let sum = v128.load(dx + q);
      let from = dy + q;
      for (let t = 0; t < T; t++, from += step) sum = f32x4.add(sum, v128.load(from));
      v128.store(dx + q, simd.flush(sum));
    }
  }
}

/**
 * y = a and b, [T,B,P] each: side by side [T,B,2P], or added, averaged, multiplied [T,B,P]. Padding becomes zero, whatever stood there.
 * Without b: y = a.
 */
export function mergeForward(
  y: usize,
  ldy: usize,
  a: usize,
  b: usize,
  ld: usize,
  lengths: usize,
  T: i32,
  B: i32,
  P: i32,
  how: i32,
): void {
  const bytes = rowBytes(P);
  const part = (<usize>P) << 2;
  const half = f32x4.splat(0.5);
  const both = b !== 0;
  for (let t = 0; t < T; t++) {
    for (let i = 0; i < B; i++, y += ldy, a += ld, b += ld) {
      if (ended(lengths, i, t)) memory.fill(y, 0, ldy);
      else if (how === Merge.concat || !both) {
        memory.copy(y, a, bytes);
        if (!both) continue;
        memory.copy(y + part, b, part);
        // the lanes up to the next vector
        memory.fill(y + 2 * part, 0, (0 - 2 * part) & <usize>15);
      } else {
        for (let q: usize = 0; q < bytes; q += 16) {
          const u = v128.load(a + q);
          const v = v128.load(b + q);
          let r = how === Merge.mul ? f32x4.mul(u, v) : f32x4.add(u, v);
          if (how === Merge.mean) r = f32x4.mul(r, half);
          v128.store(y + q, r);
        }
      }
    }
  }
}

/** da, db [T,B,P] overwritten with their gradients; those of padding are zero. */
export function mergeBackward(
  da: usize,
  db: usize,
  dy: usize,
  lddy: usize,
  a: usize,
  b: usize,
  ld: usize,
  lengths: usize,
  T: i32,
  B: i32,
  P: i32,
  how: i32,
): void {
  const bytes = rowBytes(P);
  const part = (<usize>P) << 2;
  const half = f32x4.splat(0.5);
  for (let t = 0; t < T; t++) {
    for (let i = 0; i < B; i++, dy += lddy, a += ld, b += ld, da += ld, db += ld) {
      memory.fill(da, 0, ld);
      memory.fill(db, 0, ld);
      if (ended(lengths, i, t)) continue;
      if (how === Merge.concat) {
        memory.copy(da, dy, part);
        memory.copy(db, dy + part, part);
        continue;
      }
      for (let q: usize = 0; q < bytes; q += 16) {
        let d = v128.load(dy + q);
        if (how === Merge.mean) d = f32x4.mul(d, half);
        v128.store(da + q, how === Merge.mul ? f32x4.mul(d, v128.load(b + q)) : d);
        v128.store(db + q, how === Merge.mul ? f32x4.mul(d, v128.load(a + q)) : d);
      }
    }
  }
}
