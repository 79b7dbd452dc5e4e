/**
 * Pooling over time: y [B,F] of x [T,B,F], over the steps before each sequence's end. A sequence without steps gives zeros.
 *
 * Both have rows `ld` bytes apart; forward y is overwritten, backward dx is accumulated. `lengths` is 0 where all have T steps.
 */
import { slot } from './at';
import { stepsOf } from './rows';
import { simd } from './simd';

/** y = 1/L Σₜ x_t, in the order of t */
export function meanForward(y: usize, x: usize, ld: usize, lengths: usize, T: i32, B: i32, F: i32): void {
  const width = (<usize>F) << 2;
  const step = <usize>B * ld;
  for (let b = 0; b < B; b++, y += ld, x += ld) {
    const L = stepsOf(lengths, b, T);
    const count = f32x4.splat(<f32>max(L, 1));
    for (let q: usize = 0; q < width; q += 16) {
      let sum = f32x4.splat(0);
      let from = x + q;
      for (let t = 0; t < L; t++, from += step) sum = f32x4.add(sum, v128.load(from));
      v128.store(y + q, f32x4.div(sum, count));
    }
  }
}

/** dx_t += dy / L */
export function meanBackward(dx: usize, dy: usize, ld: usize, lengths: usize, T: i32, B: i32, F: i32): void {
  const width = (<usize>F) << 2;
  const step = <usize>B * ld;
  for (let b = 0; b < B; b++, dy += ld, dx += ld) {
    const L = stepsOf(lengths, b, T);
    const count = f32x4.splat(<f32>max(L, 1));
    for (let q: usize = 0; q < width; q += 16) {
      const d = simd.flush(f32x4.div(v128.load(dy + q), count));
      let to = dx + q;
      for (let t = 0; t < L; t++, to += step) v128.store(to, f32x4.add(v128.load(to), d));
    }
  }
}

/**
 * y = maxₜ x_t; NaN stays.
 *
 *     steps  [B,F] i32, rows like y's  overwritten with the step of the first maximum, -1 without one
 */
export function maxForward(y: usize, steps: usize, x: usize, ld: usize, lengths: usize, T: i32, B: i32, F: i32): void {
  const width = (<usize>F) << 2;
  const step = <usize>B * ld;
  for (let b = 0; b < B; b++, y += ld, x += ld, steps += ld) {
    const L = stepsOf(lengths, b, T);
    for (let q: usize = 0; q < width; q += 16) {
      let from = x + q;
      let high = f32x4.splat(0);
      let first = i32x4.splat(-1);
      if (L > 0) {
        high = v128.load(from);
        first = i32x4.splat(0);
        for (let t = 1; t < L; t++) {
          from += step;
          const v = v128.load(from);
          const above = v128.or(f32x4.gt(v, high), f32x4.ne(v, v));
          high = v128.bitselect(v, high, above);
          first = v128.bitselect(i32x4.splat(t), first, above);
        }
      }
      v128.store(y + q, high);
      v128.store(steps + q, first);
    }
  }
}

/** dx += dy at the step of the maximum. */
export function maxBackward(dx: usize, dy: usize, steps: usize, ld: usize, B: i32, F: i32): void {
  const step = <usize>B * ld;
  for (let b = 0; b < B; b++, dy += ld, dx += ld, steps += ld) {
    for (let f = 0; f < F; f++) {
      const t = load<i32>(slot(steps, f));
      if (t < 0) continue;
      const to = slot(dx, f) + <usize>t * step;
      store<f32>(to, load<f32>(to) + load<f32>(slot(dy, f)));
    }
  }
}

/** y = x_{L-1} */
export function lastForward(y: usize, x: usize, ld: usize, lengths: usize, T: i32, B: i32): void {
  const step = <usize>B * ld;
  for (let b = 0; b < B; b++, y += ld, x += ld) {
    const L = stepsOf(lengths, b, T);
    if (L > 0) memory.copy(y, x + <usize>(L - 1) * step, ld);
    else memory.fill(y, 0, ld);
  }
}

/** dx_{L-1} += dy */
export function lastBackward(dx: usize, dy: usize, ld: usize, lengths: usize, T: i32, B: i32, F: i32): void {
  const width = (<usize>F) << 2;
  const step = <usize>B * ld;
  for (let b = 0; b < B; b++, dy += ld, dx += ld) {
    const L = stepsOf(lengths, b, T);
    if (L === 0) continue;
    const to = dx + <usize>(L - 1) * step;
    for (let q: usize = 0; q < width; q += 16) v128.store(to + q, f32x4.add(v128.load(to + q), v128.load(dy + q)));
  }
}
