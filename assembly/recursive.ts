/**
 * Recursive least squares in double precision: after each row, the W that minimises Σ μ^(R-r) ‖Wᵀx_r - y_r‖² + μ^R λ ‖W - W₀‖², without
 * the rows before it. P is the inverse of Σ μ^(R-r) x xᵀ + μ^R λ I.
 *
 *     q = P x          d = μ + x·q          e = y - Wᵀx          W ← W + q eᵀ / d          P ← (P - q qᵀ / d) / μ
 *
 * Plackett 1950, doi:10.1093/biomet/37.1-2.149.
 */
import { dmath } from './double';
import { ended } from './rows';

/** Σ x·y of n doubles, a multiple of two. */
function dot(x: usize, y: usize, n: i32): f64 {
  let sum = f64x2.splat(0);
  for (const end = x + ((<usize>n) << 3); x < end; x += 16, y += 16) {
    sum = dmath.fma(v128.load(x), v128.load(y), sum);
  }
  return dmath.sum(sum);
}

/**
 * Rows of x [T,B,N] and y [T,B,M], one after the other; those past the end of a sequence are left out. Returns 0, or 1 + the number of
 * the first row at which something is not finite, or P no inverse any more; nothing has changed since the row before it.
 *
 *     p        [N,N]  doubles, symmetric, rows ldp bytes apart; N and M are multiples of four
 *     w        [N,M]  doubles, rows ldw bytes apart
 *     out      [T,B,M]  Wᵀx, with W before the row
 *     scratch  2·N + M doubles
 */
export function leastSquaresUpdate(
  p: usize,
  ldp: usize,
  w: usize,
  ldw: usize,
  x: usize,
  ldx: usize,
  y: usize,
  ldy: usize,
  out: usize,
  lengths: usize,
  T: i32,
  B: i32,
  N: i32,
  M: i32,
  mu: f64,
  scratch: usize,
): i32 {
  const v = scratch;
  const q = v + ((<usize>N) << 3);
  const e = q + ((<usize>N) << 3);
  const share = f64x2.splat(1 / mu);
  for (let r = 0; r < T * B; r++, x += ldx, y += ldy, out += ldy) {
    if (ended(lengths, r % B, r / B)) continue;
    for (let i = 0; i < N; i += 2) {
      v128.store(v + ((<usize>i) << 3), f64x2.promote_low_f32x4(v128.load64_zero(x + ((<usize>i) << 2))));
    }
    for (let i = 0; i < N; i++) store<f64>(q + ((<usize>i) << 3), dot(p + <usize>i * ldp, v, N));
    const d = mu + dot(v, q, N);
    let size: f64 = 0;
    for (let m: usize = 0; m < <usize>M; m += 2) {
      let sum = f64x2.splat(0);
      for (let i = 0; i < N; i++) {
        sum = dmath.fma(v128.load64_splat(v + ((<usize>i) << 3)), v128.load(w + <usize>i * ldw + (m << 3)), sum);
      }
      const want = f64x2.promote_low_f32x4(v128.load64_zero(y + (m << 2)));
      const error = f64x2.sub(want, sum);
      v128.store(e + (m << 3), f64x2.div(error, f64x2.splat(d)));
      store<i64>(out + (m << 2), i64x2.extract_lane(f32x4.demote_f64x2_zero(sum), 0));
      size += dmath.sum(f64x2.abs(error));
    }
    // not so for NaN either
    if (!(d > 0 && d + size < Infinity)) return r + 1;
    for (let i = 0; i < N; i++) {
      const own = v128.load64_splat(q + ((<usize>i) << 3));
      let to = w + <usize>i * ldw;
      for (let m: usize = 0; m < (<usize>M) << 3; m += 16, to += 16) {
        v128.store(to, dmath.fma(own, v128.load(e + m), v128.load(to)));
      }
    }
    // q / √d, so that P stays symmetric bit for bit
    const root = f64x2.splat(1 / sqrt(d));
    for (let i = q; i < e; i += 16) v128.store(i, f64x2.mul(v128.load(i), root));
    for (let i = 0; i < N; i++) {
      const own = v128.load64_splat(q + ((<usize>i) << 3));
      let to = p + <usize>i * ldp;
      for (let g = q; g < e; g += 16, to += 16) {
        v128.store(to, f64x2.mul(f64x2.sub(v128.load(to), f64x2.mul(own, v128.load(g))), share));
      }
    }
  }
  return 0;
}
