/**
 * One microkernel serves every matrix product.
 *
 * Operand B comes packed in panels of 16 columns, each a run of K cache lines, so that the kernel reads it front to back:
 *
 *     B [K,N]                            packed
 *     ┌────────16───────┬─…              panel 0: k=0 │0123456789abcdef│  k=1 │0123456789abcdef│ …  k=K-1
 *     │ k=0             │                panel 1: k=0 │0123456789abcdef│ …
 *     │ k=1             │
 *
 * A tile is two rows of A times one panel: eight accumulators of four floats. A single row takes two panels instead, for as many.
 * Both add the products in the order of k onto what C held before, so that a row's result does not depend on its neighbours.
 * Panels outside, rows inside: a panel stays in the first-level cache while the rows pass by.
 *
 * Weights are packed once per update. Gates are interleaved by four units, so that a cell finds all its gates side by side:
 *
 *     gates a b c, units 0…        │a0 a1 a2 a3│b0 b1 b2 b3│c0 c1 c2 c3│a4 a5 a6 a7│ │b4 b5 …
 *
 * The number of columns is rounded up to whole panels, the units to a multiple of four; what is added is zero. Strides are bytes.
 */
import { lines, panelsOf, slot } from './at';
import { GRAD_BLOCK, GRAD_PANELS } from './layout';
import { simd } from './simd';

/** Rows of A of one block: they stay in the second-level cache while all panels pass by. */
const BLOCK_BYTES: usize = 1 << 19;

class tile {
  /** Rows a0, a1 (their k-th float at + k·step) times the panel b: c0, c1 += */
  @inline static two(
    K: i32,
    a0: usize,
    a1: usize,
    step: usize,
    b: usize,
    i0: usize,
    i1: usize,
    c0: usize,
    c1: usize,
  ): void {
    let p0 = v128.load(i0),
      p1 = v128.load(i0, 16),
      p2 = v128.load(i0, 32),
      p3 = v128.load(i0, 48);
    let q0 = v128.load(i1),
      q1 = v128.load(i1, 16),
      q2 = v128.load(i1, 32),
      q3 = v128.load(i1, 48);
    const end = b + lines(K);
    // not unrolled: V8 hoists the loads of an unrolled body and spills
    do {
      const x = v128.load32_splat(a0),
        y = v128.load32_splat(a1);
      const b0 = v128.load(b);
      p0 = simd.fma(x, b0, p0);
      q0 = simd.fma(y, b0, q0);
      const b1 = v128.load(b, 16);
      p1 = simd.fma(x, b1, p1);
      q1 = simd.fma(y, b1, q1);
      const b2 = v128.load(b, 32);
      p2 = simd.fma(x, b2, p2);
      q2 = simd.fma(y, b2, q2);
      const b3 = v128.load(b, 48);
      p3 = simd.fma(x, b3, p3);
      q3 = simd.fma(y, b3, q3);
      b += 64;
      a0 += step;
      a1 += step;
    } while (b !== end);
    v128.store(c0, p0);
    v128.store(c0, p1, 16);
    v128.store(c0, p2, 32);
    v128.store(c0, p3, 48);
    v128.store(c1, q0);
    v128.store(c1, q1, 16);
    v128.store(c1, q2, 32);
    v128.store(c1, q3, 48);
  }

  /** One row times the panel b. */
  @inline static one(K: i32, a: usize, b: usize, i: usize, c: usize): void {
    let p0 = v128.load(i),
      p1 = v128.load(i, 16),
      p2 = v128.load(i, 32),
      p3 = v128.load(i, 48);
    const end = b + lines(K);
    do {
      const x = v128.load32_splat(a);
      p0 = simd.fma(x, v128.load(b), p0);
      p1 = simd.fma(x, v128.load(b, 16), p1);
      p2 = simd.fma(x, v128.load(b, 32), p2);
      p3 = simd.fma(x, v128.load(b, 48), p3);
      b += 64;
      a += 4;
    } while (b !== end);
    v128.store(c, p0);
    v128.store(c, p1, 16);
    v128.store(c, p2, 32);
    v128.store(c, p3, 48);
  }

  /** One row times the panels b and d. */
  @inline static wide(K: i32, a: usize, b: usize, d: usize, i: usize, c: usize): void {
    let p0 = v128.load(i),
      p1 = v128.load(i, 16),
      p2 = v128.load(i, 32),
      p3 = v128.load(i, 48);
    let q0 = v128.load(i, 64),
      q1 = v128.load(i, 80),
      q2 = v128.load(i, 96),
      q3 = v128.load(i, 112);
    const end = b + lines(K);
    do {
      const x = v128.load32_splat(a);
      p0 = simd.fma(x, v128.load(b), p0);
      p1 = simd.fma(x, v128.load(b, 16), p1);
      p2 = simd.fma(x, v128.load(b, 32), p2);
      p3 = simd.fma(x, v128.load(b, 48), p3);
      q0 = simd.fma(x, v128.load(d), q0);
      q1 = simd.fma(x, v128.load(d, 16), q1);
      q2 = simd.fma(x, v128.load(d, 32), q2);
      q3 = simd.fma(x, v128.load(d, 48), q3);
      b += 64;
      d += 64;
      a += 4;
    } while (b !== end);
    v128.store(c, p0);
    v128.store(c, p1, 16);
    v128.store(c, p2, 32);
    v128.store(c, p3, 48);
    v128.store(c, q0, 64);
    v128.store(c, q1, 80);
    v128.store(c, q2, 96);
    v128.store(c, q3, 112);
  }
}

/**
 * C = init + A·B
 *
 *     c     [M, 16·panels]  overwritten
 *     init  [M, 16·panels]  rows ldi apart: c itself accumulates, a bias has ldi = 0
 *     a     [M, K]
 *     b     panels of K cache lines, bPanel apart (K·64, or more where K is a part of a longer operand)
 */
export function gemm(
  c: usize,
  ldc: usize,
  init: usize,
  ldi: usize,
  a: usize,
  lda: usize,
  b: usize,
  bPanel: usize,
  M: i32,
  panels: i32,
  K: i32,
): void {
  assert(M > 0 && panels > 0 && K > 0 && bPanel >= lines(K));
  const pairs = M >> 1;
  const block = pairs ? max(1, <i32>(BLOCK_BYTES / (lda << 1))) : 0;
  for (let first = 0; first < pairs; first += block) {
    const count = min(block, pairs - first);
    const skip = (<usize>first) << 1;
    let bp = b;
    for (let p = 0; p < panels; p++) {
      const column = lines(p);
      let ap = a + skip * lda,
        cp = c + skip * ldc + column,
        ip = init + skip * ldi + column;
      for (let i = 0; i < count; i++) {
        tile.two(K, ap, ap + lda, 4, bp, ip, ip + ldi, cp, cp + ldc);
        ap += lda << 1;
        cp += ldc << 1;
        ip += ldi << 1;
      }
      bp += bPanel;
    }
  }
  if (M & 1) {
    const last = <usize>(M - 1);
    a += last * lda;
    c += last * ldc;
    init += last * ldi;
    for (let p = panels; p > 0; p -= 2) {
      if (p === 1) tile.one(K, a, b, init, c);
      else tile.wide(K, a, b, b + bPanel, init, c);
      b += bPanel << 1;
      c += 128;
      init += 128;
    }
  }
}

/**
 * dW += dZᵀ·X, the gradient of the weights in their own layout.
 *
 *     dw       [gates·H, F]  accumulated
 *     z        [R, …]        the gates interleaved by four units
 *     x        [R, F]
 *     scratch  weightGradScratch bytes
 */
export function weightGrad(
  dw: usize,
  lddw: usize,
  scratch: usize,
  z: usize,
  ldz: usize,
  x: usize,
  ldx: usize,
  R: i32,
  F: i32,
  H: i32,
  gates: i32,
): void {
  const spare = scratch; // two rows for what has no place in dw
  const zPanels = scratch + 128;
  const chunks = ((H + 3) >> 2) * gates;
  const xPanels = zPanels + lines(min(R, GRAD_BLOCK) * min((chunks + 3) >> 2, GRAD_PANELS));
  const fPanels = panelsOf(F),
    rest = F & 15;
  for (; R > 0; R -= GRAD_BLOCK) {
    const K = min(R, GRAD_BLOCK);
    const bytes = lines(K);
    packColumns(xPanels, x, ldx, K, F);
    for (let first = 0; first < chunks; first += 4) {
      const panel = (first >> 2) % GRAD_PANELS;
      if (panel === 0)
        packColumns(zPanels, z + ((<usize>first) << 4), ldz, K, min(4 * GRAD_PANELS, chunks - first) << 2);
      const zPanel = zPanels + <usize>panel * bytes;
      for (let f = 0; f < fPanels; f++) {
        const xp = xPanels + <usize>f * bytes;
        const whole = f + 1 < fPanels || rest === 0;
        for (let q = first; q < min(first + 4, chunks); q++) {
          const unit = (q / gates) << 2;
          for (let u = unit; u < min(unit + 4, H); u += 2) {
            const za = zPanel + ((<usize>((q - first) << 2) + <usize>(u - unit)) << 2);
            const c0 = dw + <usize>((q % gates) * H + u) * lddw + lines(f);
            const both = u + 1 < H;
            if (whole) {
              const c1 = both ? c0 + lddw : spare;
              tile.two(K, za, za + 4, 64, xp, c0, c1, c0, c1);
            } else {
              memory.copy(spare, c0, rest << 2);
              if (both) memory.copy(spare + 64, c0 + lddw, rest << 2);
              tile.two(K, za, za + 4, 64, xp, spare, spare + 64, spare, spare + 64);
              memory.copy(c0, spare, rest << 2);
              if (both) memory.copy(c0 + lddw, spare + 64, rest << 2);
            }
          }
        }
      }
    }
    z += <usize>GRAD_BLOCK * ldz;
    x += <usize>GRAD_BLOCK * ldx;
  }
}

/** Bytes of scratch that `weightGrad` needs for R rows of dZ, of `panels` panels at most, and of X. */
export function weightGradScratch(R: i32, panels: i32, F: i32): usize {
  return lines(min(R, GRAD_BLOCK) * (min(panels, GRAD_PANELS) + panelsOf(F)) + 2);
}

/**
 * K rows as panels, the last one filled up with zeros; row by row, since neighbouring rows may lie in other pages. Reads up to a
 * multiple of four.
 */
function packColumns(panels: usize, rows: usize, ld: usize, K: i32, columns: i32): void {
  const zero = f32x4.splat(0);
  const bytes = lines(K);
  for (const end = panels + bytes; panels !== end; panels += 64, rows += ld) {
    let to = panels,
      from = rows;
    for (let left = columns; left > 0; left -= 16, to += bytes, from += 64) {
      v128.store(to, v128.load(from));
      v128.store(to, left > 4 ? v128.load(from, 16) : zero, 16);
      v128.store(to, left > 8 ? v128.load(from, 32) : zero, 32);
      v128.store(to, left > 12 ? v128.load(from, 48) : zero, 48);
    }
  }
}

/**
 * db += the sum of the rows of dZ, in the layout of the bias.
 *
 *     db1, db2  [gates·H]  accumulated; 0: not wanted
 *     z         [R, …]     the gates interleaved by four units
 */
export function biasGrad(db1: usize, db2: usize, z: usize, ldz: usize, R: i32, H: i32, gates: i32): void {
  const chunks = ((H + 3) >> 2) * gates;
  // a line of each row at a time; of the last one, chunks that do not count are read again
  for (let first = 0; first < chunks; first += 4) {
    const live = min(4, chunks - first);
    let row = z + ((<usize>first) << 4);
    const at1: usize = live > 1 ? 16 : 0,
      at2: usize = live > 2 ? 32 : 0,
      at3: usize = live > 3 ? 48 : 0;
    let s0 = f32x4.splat(0);
    let s1 = s0,
      s2 = s0,
      s3 = s0;
    for (let r = 0; r < R; r++, row += ldz) {
      s0 = f32x4.add(s0, v128.load(row));
      s1 = f32x4.add(s1, v128.load(row + at1));
      s2 = f32x4.add(s2, v128.load(row + at2));
      s3 = f32x4.add(s3, v128.load(row + at3));
    }
    for (let i = 0; i < live; i++, s0 = s1, s1 = s2, s2 = s3) {
      const q = first + i;
      const unit = (q / gates) << 2;
      const at = (q % gates) * H + unit;
      let sum = s0;
      for (let j = at; j < at + min(4, H - unit); j++, sum = v128.shuffle<f32>(sum, sum, 1, 2, 3, 0)) {
        const lane = f32x4.extract_lane(sum, 0);
        if (db1) store<f32>(slot(db1, j), load<f32>(slot(db1, j)) + lane);
        if (db2) store<f32>(slot(db2, j), load<f32>(slot(db2, j)) + lane);
      }
    }
  }
}

/**
 * Packs weights for `gemm`: columns are the gates interleaved by four units, k runs over the features.
 *
 *     panels  ⌈gates·⌈H/4⌉/4⌉ panels of F lines  overwritten
 *     w       [gates·H, F]
 */
export function packWeights(panels: usize, w: usize, ldw: usize, F: i32, H: i32, gates: i32): void {
  const chunks = ((H + 3) >> 2) * gates;
  const zero = f32x4.splat(0);
  for (let q = 0; q < ((chunks + 3) & ~3); q++) {
    let to = panels + <usize>(q >> 2) * lines(F) + ((<usize>(q & 3)) << 4);
    const unit = (q / gates) << 2;
    const lanes = q < chunks ? min(4, H - unit) : 0;
    let r0 = w + <usize>((q % gates) * H + unit) * ldw;
    const r1 = lanes > 1 ? ldw : 0,
      r2 = lanes > 2 ? ldw << 1 : 0,
      r3 = lanes > 3 ? ldw * 3 : 0;
    let k = 0;
    if (lanes === 4) {
      for (; k + 4 <= F; k += 4, r0 += 16, to += 256) {
        const a = simd.flush(v128.load(r0)),
          b = simd.flush(v128.load(r0 + r1));
        const c = simd.flush(v128.load(r0 + r2)),
          d = simd.flush(v128.load(r0 + r3));
        const ab = v128.shuffle<f32>(a, b, 0, 4, 1, 5),
          cd = v128.shuffle<f32>(c, d, 0, 4, 1, 5);
        const AB = v128.shuffle<f32>(a, b, 2, 6, 3, 7),
          CD = v128.shuffle<f32>(c, d, 2, 6, 3, 7);
        v128.store(to, v128.shuffle<f32>(ab, cd, 0, 1, 4, 5));
        v128.store(to, v128.shuffle<f32>(ab, cd, 2, 3, 6, 7), 64);
        v128.store(to, v128.shuffle<f32>(AB, CD, 0, 1, 4, 5), 128);
        v128.store(to, v128.shuffle<f32>(AB, CD, 2, 3, 6, 7), 192);
      }
    }
    for (; k < F; k++, r0 += 4, to += 64) {
      let v = zero;
      if (lanes > 0) v = f32x4.replace_lane(v, 0, load<f32>(r0));
      if (lanes > 1) v = f32x4.replace_lane(v, 1, load<f32>(r0 + r1));
      if (lanes > 2) v = f32x4.replace_lane(v, 2, load<f32>(r0 + r2));
      if (lanes > 3) v = f32x4.replace_lane(v, 3, load<f32>(r0 + r3));
      v128.store(to, simd.flush(v));
    }
  }
}

/**
 * Packs the same weights for the product with dZ: columns are the features, k runs over the gates' columns.
 *
 *     panels  ⌈F/16⌉ panels, panelBytes apart, of 16·⌈gates·⌈H/4⌉/4⌉ lines  overwritten
 */
export function packTransposed(
  panels: usize,
  panelBytes: usize,
  w: usize,
  ldw: usize,
  F: i32,
  H: i32,
  gates: i32,
): void {
  const chunks = ((H + 3) >> 2) * gates;
  for (let q = 0; q < ((chunks + 3) & ~3); q++) {
    const unit = (q / gates) << 2;
    for (let lane = 0; lane < 4; lane++, panels += 64) {
      let from = w + <usize>((q % gates) * H + unit + lane) * ldw;
      const live = q < chunks && unit + lane < H;
      let to = panels;
      for (let f = 0; f < F; f += 16, to += panelBytes, from += 64) {
        if (live && f + 16 <= F) {
          v128.store(to, simd.flush(v128.load(from)));
          v128.store(to, simd.flush(v128.load(from, 16)), 16);
          v128.store(to, simd.flush(v128.load(from, 32)), 32);
          v128.store(to, simd.flush(v128.load(from, 48)), 48);
        } else {
          memory.fill(to, 0, 64);
          if (live) memory.copy(to, from, (F - f) << 2);
          for (let i = 0; i < 64; i += 16) v128.store(to + i, simd.flush(v128.load(to + i)));
        }
      }
    }
  }
}

/**
 * Packs a bias, or the sum of two.
 *
 *     row     [16·⌈gates·⌈H/4⌉/4⌉]  overwritten
 *     b1, b2  [gates·H], or 0
 */
export function packBias(row: usize, b1: usize, b2: usize, H: i32, gates: i32): void {
  const chunks = ((H + 3) >> 2) * gates;
  for (let q = 0; q < ((chunks + 3) & ~3); q++, row += 16) {
    const unit = (q / gates) << 2;
    for (let lane = 0; lane < 4; lane++) {
      const i = (q % gates) * H + unit + lane;
      let sum: f32 = 0;
      if (q < chunks && unit + lane < H) {
        if (b1) sum += load<f32>(slot(b1, i));
        if (b2) sum += load<f32>(slot(b2, i));
      }
      store<f32>(slot(row, lane), sum);
    }
    v128.store(row, simd.flush(v128.load(row)));
  }
}
