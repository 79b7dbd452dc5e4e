/** The way back from emissions to labels. */
import { slot } from './at';
import { addRow, addScores, rowOf, spread } from './crf';
import { cell } from './double';

/** to_j = maxᵢ fromᵢ + w_ij, and in back_j which i that is. */
function choose(to: usize, back: usize, from: usize, w: usize, K: i32): void {
  const row = rowOf(K);
  for (let q: usize = 0; q < row; q += 16) {
    let m = f64x2.add(v128.load64_splat(from), v128.load(w + q));
    let which = i64x2.splat(0);
    let wi = w + q + row;
    for (let i = 1; i < K; i++, wi += row) {
      const v = f64x2.add(v128.load64_splat(cell(from, i)), v128.load(wi));
      which = v128.bitselect(i64x2.splat(i), which, f64x2.gt(v, m));
      m = f64x2.pmax(m, v);
    }
    v128.store(to + q, m);
    v128.store64_lane(back + (q >> 1), v128.shuffle<i32>(which, which, 0, 2, 0, 2), 0);
  }
}

/**
 * The labels with the largest score (A. Viterbi 1967, https://doi.org/10.1109/TIT.1967.1054010); of equal ones the lowest label.
 *
 *     out     [T,B]  i32, overwritten with them; not behind an end
 *     scores  [B]    overwritten with their score
 *     w       [K + 2,K]  doubles, best [2,K] doubles, from [T,K] i32 with K rounded up to whole pairs: scratch
 */
export function crfDecode(
  out: usize,
  scores: usize,
  w: usize,
  best: usize,
  from: usize,
  x: usize,
  ld: usize,
  lengths: usize,
  transitions: usize,
  start: usize,
  end: usize,
  T: i32,
  B: i32,
  K: i32,
): void {
  spread(w, transitions, start, end, K);
  const row = rowOf(K);
  const first = w + <usize>K * row;
  for (let b = 0; b < B; b++, x += ld, out += 4) {
    const steps = lengths ? load<i32>(slot(lengths, b)) : T;
    let now = best;
    let next = best + row;
    let back = from;
    addScores(now, first, x, row);
    for (let t = 1; t < steps; t++, back += row >> 1) {
      choose(next, back, now, w, K);
      addScores(next, next, x + <usize>(t * B) * ld, row);
      const old = now;
      now = next;
      next = old;
    }
    addRow(now, first + row, 1, row);
    let tag = 0;
    for (let j = 1; j < K; j++) if (load<f64>(cell(now, j)) > load<f64>(cell(now, tag))) tag = j;
    store<f32>(slot(scores, b), <f32>load<f64>(cell(now, tag)));
    store<i32>(slot(out, (steps - 1) * B), tag);
    for (let t = steps - 2; t >= 0; t--) {
      back -= row >> 1;
      tag = load<i32>(slot(back, tag));
      store<i32>(slot(out, t * B), tag);
    }
  }
}
