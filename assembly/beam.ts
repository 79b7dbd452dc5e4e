/** Beam search: the best continuations. */
import { slot } from './at';
import { vmath } from './math';
import { softmaxRow } from './softmax';

/**
 * The K best of W·V continuations: hypothesis w with class v scores before[w] + ln p(v | w). Of equals the first w, then the first v.
 *
 *     parents, classes  [K] i32  overwritten, best first
 *     scores            [K] f64  overwritten
 *     before            [W] f64
 *     x                 [W,V]    logits
 *     scratch           [V]      padded row
 *
 * Returns how many there are: K, or W·V if that is less.
 */
export function beamStep(
  parents: usize,
  classes: usize,
  scores: usize,
  before: usize,
  x: usize,
  ld: usize,
  scratch: usize,
  W: i32,
  V: i32,
  K: i32,
): i32 {
  let n = 0;
  for (let w = 0; w < W; w++, x += ld) {
    const base = load<f64>(before + ((<usize>w) << 3)) - softmaxRow(scratch, x, V);
    for (let v = 0; v < V; v++) {
      const score = base + <f64>load<f32>(slot(x, v));
      let i = n < K ? n++ : K;
      if (i === K) {
        if (!(score > load<f64>(scores + ((<usize>(K - 1)) << 3)))) continue;
        i = K - 1;
      }
      for (; i > 0; i--) {
        const above = scores + ((<usize>(i - 1)) << 3);
        if (!(score > load<f64>(above))) break;
        store<f64>(above, load<f64>(above), 8);
        store<i32>(slot(parents, i), load<i32>(slot(parents, i - 1)));
        store<i32>(slot(classes, i), load<i32>(slot(classes, i - 1)));
      }
      store<f64>(scores + ((<usize>i) << 3), score);
      store<i32>(slot(parents, i), w);
      store<i32>(slot(classes, i), v);
    }
  }
  return n;
}

/** score / lengthᵅ, by which hypotheses of different lengths are compared (Wu et al. 2016, arXiv:1609.08144v2, without its offset). */
export function lengthNormalized(score: f64, length: i32, alpha: f32): f64 {
  const log = vmath.log(f32x4.splat(<f32>length));
  return score / <f64>f32x4.extract_lane(vmath.exp(f32x4.mul(f32x4.splat(alpha), log)), 0);
}
