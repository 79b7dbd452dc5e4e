/** Predictions from logits: probabilities, the best class, the k best classes. Padding has none. */
import { slot } from './at';
import { ended, tailMask } from './rows';
import { simd } from './simd';
import { softmaxRow } from './softmax';

const LOWEST = memory.data<f32>([-Infinity]);

/** p [T,B,V] = softmax(x), overwritten; rows of padding are zero. */
export function softmaxRows(p: usize, x: usize, ld: usize, lengths: usize, T: i32, B: i32, V: i32): void {
  for (let t = 0; t < T; t++) {
    for (let b = 0; b < B; b++, p += ld, x += ld) {
      if (ended(lengths, b, t)) memory.fill(p, 0, ld);
      else softmaxRow(p, x, V);
    }
  }
}

/** classes [T,B] i32: where each row of x [T,B,V] is largest, the first of equals; -1 for padding. */
export function argmaxRows(classes: usize, x: usize, ld: usize, lengths: usize, T: i32, B: i32, V: i32): void {
  const whole = V & ~3;
  const mask = v128.load(tailMask(V));
  for (let t = 0; t < T; t++) {
    for (let b = 0; b < B; b++, x += ld, classes += 4) {
      let best = -1;
      if (!ended(lengths, b, t)) {
        let high = simd.splat(LOWEST);
        for (let j = 0; j < whole; j += 4) high = f32x4.pmax(high, v128.load(slot(x, j)));
        if (V & 3) high = f32x4.pmax(high, v128.bitselect(v128.load(slot(x, whole)), simd.splat(LOWEST), mask));
        const max = f32x4.splat(simd.max(high));
        best = 0; // also where all are NaN
        for (let j = 0; j < V; j += 4) {
          const found = i32x4.bitmask(f32x4.eq(v128.load(slot(x, j)), max));
          if (!found) continue;
          best = j + ctz(found);
          break;
        }
      }
      store<i32>(classes, best);
    }
  }
}

/**
 * The k largest of each row, best first; of equals the lower class.
 *
 *     classes  [T,B,k] i32  overwritten; -1 for padding
 *     logs     [T,B,k]      overwritten with x_j - ln Σ eˣ; 0 for padding
 *     scratch  [V]          padded row
 *     x        [T,B,V]
 */
export function topKRows(
  classes: usize,
  logs: usize,
  scratch: usize,
  x: usize,
  ld: usize,
  lengths: usize,
  T: i32,
  B: i32,
  V: i32,
  k: i32,
): void {
  assert(k > 0 && k <= V);
  const bytes = (<usize>k) << 2;
  for (let t = 0; t < T; t++) {
    for (let b = 0; b < B; b++, x += ld, classes += bytes, logs += bytes) {
      if (ended(lengths, b, t)) {
        memory.fill(classes, 0xff, bytes);
        memory.fill(logs, 0, bytes);
        continue;
      }
      let n = 0;
      for (let j = 0; j < V; j++) {
        if (n === k) {
          const worst = f32x4.splat(load<f32>(slot(logs, k - 1)));
          while (j + 4 <= V && !v128.any_true(f32x4.gt(v128.load(slot(x, j)), worst))) j += 4;
          if (j === V) break;
        }
        n = insert(classes, logs, n, k, j, load<f32>(slot(x, j)));
      }
      const sum = softmaxRow(scratch, x, V);
      for (let i = 0; i < k; i++) store<f32>(slot(logs, i), <f32>(<f64>load<f32>(slot(logs, i)) - sum));
    }
  }
}

/** Class j to its place among the n best so far, after those that are equal, if it is one of the k best. Returns how many there are then. */
function insert(classes: usize, values: usize, n: i32, k: i32, j: i32, value: f32): i32 {
  let i = n;
  if (n === k) {
    if (!(value > load<f32>(slot(values, k - 1)))) return n;
    i = k - 1;
  }
  for (; i > 0 && value > load<f32>(slot(values, i - 1)); i--) {
    store<i32>(slot(classes, i), load<i32>(slot(classes, i - 1)));
    store<f32>(slot(values, i), load<f32>(slot(values, i - 1)));
  }
  store<i32>(slot(classes, i), j);
  store<f32>(slot(values, i), value);
  return min(n + 1, k);
}
