/**
 * Least squares in double precision, by the normal equations: products of rows are summed into XᵀX and XᵀY, and
 * (XᵀX + λI) W = XᵀY is solved by Cholesky's factorisation.
 */
import { dmath } from './double';

/** Rows that are read again and again while they are in the cache. */
const BLOCK = 64;

/** A pivot that is not above this share of its diagonal element counts as zero. */
const SINGULAR: f64 = 1e-13;

/** Pairs of doubles. */
class pair {
  /** Two floats. */
  @inline static of(floats: usize): v128 {
    return f64x2.promote_low_f32x4(v128.load64_zero(floats));
  }

  @inline static add(sum: usize, x: v128): void {
    v128.store(sum, f64x2.add(v128.load(sum), x));
  }
}

/**
 * g [N,M] += XᵀY. Where y is x, what is right of the diagonal is not complete: `solve` does not read it.
 *
 *     g     [N,M]  doubles, rows ldg bytes apart; N and M are multiples of four
 *     x, y  [R,N], [R,M]  padded rows
 */
export function addProducts(
  g: usize,
  ldg: usize,
  x: usize,
  ldx: usize,
  y: usize,
  ldy: usize,
  R: i32,
  N: i32,
  M: i32,
): void {
  const half = x === y;
  for (let r = 0; r < R; r += BLOCK) {
    const rows = min(R - r, BLOCK);
    for (let i = 0; i < N; i += 2) {
      const last = half ? min(M, (i + 4) & ~3) : M;
      for (let j = 0; j < last; j += 4) {
        let a = x + ((<usize>i) << 2);
        let b = y + ((<usize>j) << 2);
        let p0 = f64x2.splat(0);
        let p1 = p0;
        let q0 = p0;
        let q1 = p0;
        for (let k = 0; k < rows; k++, a += ldx, b += ldy) {
          const left = pair.of(b);
          const right = pair.of(b + 8);
          const p = f64x2.splat(<f64>load<f32>(a));
          const q = f64x2.splat(<f64>load<f32>(a, 4));
          p0 = dmath.fma(p, left, p0);
          p1 = dmath.fma(p, right, p1);
          q0 = dmath.fma(q, left, q0);
          q1 = dmath.fma(q, right, q1);
        }
        const to = g + <usize>i * ldg + ((<usize>j) << 3);
        pair.add(to, p0);
        pair.add(to + 16, p1);
        pair.add(to + ldg, q0);
        pair.add(to + ldg + 16, q1);
      }
    }
    x += <usize>rows * ldx;
    y += <usize>rows * ldy;
  }
}

/** Σ x·y of n doubles. */
function dot(x: usize, y: usize, n: i32): f64 {
  let sum = f64x2.splat(0);
  let i = 0;
  for (; i + 2 <= n; i += 2, x += 16, y += 16) sum = dmath.fma(v128.load(x), v128.load(y), sum);
  const total = dmath.sum(sum);
  return i < n ? total + load<f64>(x) * load<f64>(y) : total;
}

/** y -= factor · x, over n doubles, a multiple of two. */
function subtract(y: usize, x: usize, factor: f64, n: i32): void {
  const f = f64x2.splat(factor);
  for (const end = y + ((<usize>n) << 3); y < end; y += 16, x += 16) {
    v128.store(y, f64x2.sub(v128.load(y), f64x2.mul(f, v128.load(x))));
  }
}

/** y /= divisor, over n doubles, a multiple of two. */
function divide(y: usize, divisor: f64, n: i32): void {
  const d = f64x2.splat(divisor);
  for (const end = y + ((<usize>n) << 3); y < end; y += 16) v128.store(y, f64x2.div(v128.load(y), d));
}

/**
 * b = (A + λI)⁻¹ b. Returns 0, or 1 + the number of the first row that depends on those before it; b is then undefined.
 *
 *     a  [N,N]  doubles, symmetric, rows lda bytes apart; the part below the diagonal and the diagonal are read, and overwritten
 *     b  [N,M]  doubles, rows ldb bytes apart, overwritten; M is a multiple of two
 *     P         λ is added to the first P elements of the diagonal
 */
export function solve(a: usize, lda: usize, b: usize, ldb: usize, N: i32, M: i32, lambda: f64, P: i32): i32 {
  for (let i = 0; i < N; i++) {
    const row = a + <usize>i * lda;
    const out = b + <usize>i * ldb;
    const diagonal = row + ((<usize>i) << 3);
    const own = load<f64>(diagonal) + (i < P ? lambda : 0);
    for (let j = 0; j < i; j++) {
      const other = a + <usize>j * lda;
      const at = row + ((<usize>j) << 3);
      const l = (load<f64>(at) - dot(row, other, j)) / load<f64>(other + ((<usize>j) << 3));
      store<f64>(at, l);
      subtract(out, b + <usize>j * ldb, l, M);
    }
    const pivot = own - dot(row, row, i);
    if (!(pivot > SINGULAR * own)) return i + 1;
    const root = sqrt(pivot);
    store<f64>(diagonal, root);
    divide(out, root, M);
  }
  for (let i = N - 1; i >= 0; i--) {
    const row = a + <usize>i * lda;
    const out = b + <usize>i * ldb;
    divide(out, load<f64>(row + ((<usize>i) << 3)), M);
    for (let j = 0; j < i; j++) subtract(b + <usize>j * ldb, out, load<f64>(row + ((<usize>j) << 3)), M);
  }
  return 0;
}
