/**
 * A recurrent layer in one direction over a whole sequence: what all cells share. The products with x, which do not depend on the
 * state, are computed for many steps at once; then, step by step, the product with the state, and the cell's own arithmetic.
 *
 * Sequences that have ended are left out of a step: their state is carried through, so that the last slot holds every sequence's
 * own final state, and backward their gradients pass unchanged and their rows of dz are zero.
 */
import { at, lines, panelsOf, rowBytes, slot } from './at';
import { finish, hasOutput, output, outputBackward, step, stepBackward } from './cells/index';
import { gemm } from './gemm';
import { Seq } from './layout';
import { normalizeRow, normalizeRowBackward } from './norm';
import { rowsAdd } from './rows';
import { simd } from './simd';

/** First row from `row` on whose sequence has not ended before step t, or B. */
function firstLive(lengths: usize, t: i32, row: i32, B: i32): i32 {
  if (lengths) while (row < B && load<i32>(slot(lengths, row)) <= t) row++;
  return row;
}

/** First row from `row` on whose sequence has ended before step t, or B. */
function firstEnded(lengths: usize, t: i32, row: i32, B: i32): i32 {
  if (!lengths) return B;
  while (row < B && load<i32>(slot(lengths, row)) > t) row++;
  return row;
}

/** h, c and z for all steps, from x and the initial state's slot. */
export function recurrentForward(s: usize): void {
  const T = at.i32(s, Seq.T);
  const B = at.i32(s, Seq.B);
  const reverse = at.i32(s, Seq.reverse) !== 0;
  const keep: usize = at.i32(s, Seq.keep) !== 0 ? 1 : 0;
  const ahead = at.i32(s, Seq.chunk);
  const fresh = at.i32(s, Seq.zeroStart) !== 0;
  const hPanels = at.i32(s, Seq.hPanels);
  const lengths = at.ptr(s, Seq.lengths);
  const h = at.ptr(s, Seq.h);
  const c = at.ptr(s, Seq.c);
  const ldh = at.ptr(s, Seq.ldh);
  const ldc = at.ptr(s, Seq.ldc);
  const later = hasOutput(at.i32(s, Seq.cell));
  assert(T > 0 && B > 0 && ahead > 0 && (keep === 0 || ahead === T));

  let base = 0; // the step that has the first rows of z
  for (let n = 0; n < T; n++) {
    const t = reverse ? T - 1 - n : n;
    if (n % ahead === 0) {
      const steps = min(ahead, T - n);
      base = reverse ? t + 1 - steps : t;
      if (at.ptr(s, Seq.x)) inputProduct(s, base * B, steps * B);
    }
    const panels = n === 0 && fresh ? 0 : hPanels;
    const before = <usize>(reverse ? t + 1 : t) * <usize>B;
    const after = <usize>(reverse ? t : t + 1) * <usize>B;
    for (let row = 0; row < B; ) {
      const live = firstLive(lengths, t, row, B);
      if (live > row) {
        const r = <usize>row;
        const count = <usize>(live - row);
        memory.copy(h + (after + r) * ldh, h + (before + r) * ldh, count * ldh);
        if (c && keep) memory.copy(c + (after + r) * ldc, c + (before + r) * ldc, count * ldc);
      }
      row = firstEnded(lengths, t, live, B);
      if (row === live) continue;
      const r = <usize>live;
      const h0 = h + (before + r) * ldh;
      const h1 = h + (after + r) * ldh;
      const c0 = c ? c + (before * keep + r) * ldc : 0;
      const c1 = c ? c + (after * keep + r) * ldc : 0;
      forwardRows(s, row - live, panels, r, <usize>((t - base) * B + live), r + <usize>(t * B) * keep, h0, h1, c0, c1);
    }
    if (later && (n === T - 1 || (n + 1) % ahead === 0)) output(s, base, (n % ahead) + 1);
  }
}

/** z = x Wxᵀ + b for R rows of x from number `first` on; in columns that x does not feed, the bias alone. */
function inputProduct(s: usize, first: i32, R: i32): void {
  const I = at.i32(s, Seq.I);
  const z = at.ptr(s, Seq.z);
  const ldz = at.ptr(s, Seq.ldz);
  const ldx = at.ptr(s, Seq.ldx);
  const x = at.ptr(s, Seq.x) + <usize>first * ldx;
  const wx = at.ptr(s, Seq.wx);
  const bias = at.ptr(s, Seq.bias);
  const panels = at.i32(s, Seq.xPanels);
  const bytes = lines(panels);
  const line = lines(I);
  const gain = at.ptr(s, Seq.gainX);
  if (gain) {
    const raw = at.ptr(s, Seq.normX);
    memory.fill(raw, 0, <usize>R * bytes);
    gemm(raw, bytes, raw, bytes, x, ldx, wx, line, R, panels, I);
    normalize(z, ldz, raw, at.ptr(s, Seq.rootX), gain, bias, at.ptr(s, Seq.maskX), at.i32(s, Seq.columns), R, bytes);
  } else gemm(z, ldz, bias, 0, x, ldx, wx, line, R, panels, I);
  const rest = lines(at.i32(s, Seq.zPanels)) - bytes;
  if (rest) for (let r = 0; r < R; r++) memory.copy(z + <usize>r * ldz + bytes, bias + bytes, rest);
}

/** Rows of raw are normalised in place; to = raw ⊙ gain + bias, or without a bias to += raw ⊙ gain. */
function normalize(
  to: usize,
  ld: usize,
  raw: usize,
  roots: usize,
  gain: usize,
  bias: usize,
  mask: usize,
  n: i32,
  rows: i32,
  bytes: usize,
): void {
  for (let r = 0; r < rows; r++, to += ld, raw += bytes) {
    store<f32>(slot(roots, r), normalizeRow(raw, raw, mask, n, bytes));
    for (let q: usize = 0; q < bytes; q += 16) {
      const before = v128.load((bias ? bias : to) + q);
      v128.store(to + q, simd.fma(v128.load(raw + q), v128.load(gain + q), before));
    }
  }
}

/** y = a ⊙ b */
function multiply(y: usize, a: usize, b: usize, bytes: usize): void {
  for (let q: usize = 0; q < bytes; q += 16) v128.store(y + q, f32x4.mul(v128.load(a + q), v128.load(b + q)));
}

/** Zoneout (Krueger et al. 2017, arXiv:1606.01305v4): after += m ⊙ (before - after), m the mask, or its expectation without one. */
function zone(after: usize, before: usize, rate: f32, mask: usize, bytes: usize): void {
  let m = f32x4.splat(rate);
  for (let q: usize = 0; q < bytes; q += 16) {
    if (mask) m = v128.load(mask + q);
    const x = v128.load(after + q);
    v128.store(after + q, simd.fma(m, f32x4.sub(v128.load(before + q), x), x));
  }
}

/** Backward: the part m ⊙ d that bypasses the cell, kept for later, and the rest (1 - m) ⊙ d. */
function zoneBackward(kept: usize, d: usize, mask: usize, bytes: usize): void {
  for (let q: usize = 0; q < bytes; q += 16) {
    const x = v128.load(d + q);
    const part = f32x4.mul(v128.load(mask + q), x);
    v128.store(kept + q, part);
    v128.store(d + q, f32x4.sub(x, part));
  }
}

/** y += x, whole rows */
function add(y: usize, x: usize, bytes: usize): void {
  for (let q: usize = 0; q < bytes; q += 16) v128.store(y + q, f32x4.add(v128.load(y + q), v128.load(x + q)));
}

/**
 * One step of `rows` adjacent sequences, from number `first` of the batch on.
 *
 *     panels  of the product with the state; 0: none is made
 *     row     the first of them in z
 *     held    the same in what has B rows unless all is kept
 */
function forwardRows(
  s: usize,
  rows: i32,
  panels: i32,
  first: usize,
  row: usize,
  held: usize,
  h0: usize,
  h1: usize,
  c0: usize,
  c1: usize,
): void {
  const ldh = at.ptr(s, Seq.ldh);
  const ldc = at.ptr(s, Seq.ldc);
  const ldz = at.ptr(s, Seq.ldz);
  const P = at.i32(s, Seq.P);
  const z = at.ptr(s, Seq.z) + row * ldz;
  const e = at.ptr(s, Seq.extra) + held * at.ptr(s, Seq.ldextra);
  const mask = at.ptr(s, Seq.mask);
  let u = h0;
  if (mask) {
    u = at.ptr(s, Seq.masked) + held * ldh;
    multiply(u, h0, mask + first * ldh, <usize>rows * ldh);
  }
  if (panels) {
    const to = z + at.ptr(s, Seq.hColumn);
    const wh = at.ptr(s, Seq.wh);
    const line = lines(P);
    const gain = at.ptr(s, Seq.gainH);
    if (gain) {
      const bytes = lines(panels);
      const raw = at.ptr(s, Seq.normH) + held * bytes;
      memory.fill(raw, 0, <usize>rows * bytes);
      gemm(raw, bytes, raw, bytes, u, ldh, wh, line, rows, panels, P);
      const roots = at.ptr(s, Seq.rootH) + (held << 2);
      normalize(to, ldz, raw, roots, gain, 0, at.ptr(s, Seq.maskH), at.i32(s, Seq.columns), rows, bytes);
    } else gemm(to, ldz, to, ldz, u, ldh, wh, line, rows, panels, P);
  }

  const zoneH = at.f32(s, Seq.zoneH);
  const zoneC = at.f32(s, Seq.zoneC);
  let before = c0;
  if (zoneC && c0 === c1) {
    before = at.ptr(s, Seq.keptC);
    memory.copy(before, c0, <usize>rows * ldc);
  }
  step(at.i32(s, Seq.cell), s, rows, z, u, h0, h1, c0, c1, e);
  if (zoneH) {
    const m = at.ptr(s, Seq.zoneHMask);
    zone(h1, h0, zoneH, m ? m + row * ldh : 0, <usize>rows * ldh);
  }
  if (zoneC) {
    const m = at.ptr(s, Seq.zoneCMask);
    zone(c1, before, zoneC, m ? m + row * ldc : 0, <usize>rows * ldc);
  }
}

/** z becomes dz, dh and dc the gradients of the initial state, unless it is fresh; dx is accumulated. Needs a forward pass with `keep`. */
export function recurrentBackward(s: usize): void {
  const T = at.i32(s, Seq.T);
  const B = at.i32(s, Seq.B);
  const reverse = at.i32(s, Seq.reverse) !== 0;
  const fresh = at.i32(s, Seq.zeroStart) !== 0;
  const hPanels = at.i32(s, Seq.hPanels);
  const lengths = at.ptr(s, Seq.lengths);
  const z = at.ptr(s, Seq.z);
  const ldz = at.ptr(s, Seq.ldz);
  assert(at.i32(s, Seq.keep) !== 0);
  const later = hasOutput(at.i32(s, Seq.cell));
  if (later) outputBackward(s);

  for (let n = T - 1; n >= 0; n--) {
    const t = reverse ? T - 1 - n : n;
    const before = <usize>(reverse ? t + 1 : t) * <usize>B;
    for (let row = 0; row < B; ) {
      const live = firstLive(lengths, t, row, B);
      if (live > row) clearRows(s, <usize>(t * B + row), <usize>(live - row));
      row = firstEnded(lengths, t, live, B);
      if (row === live) continue;
      const panels = n === 0 && fresh ? 0 : hPanels;
      backwardRows(s, row - live, panels, <usize>live, <usize>(t * B + live), before + <usize>live);
    }
  }
  if (later) finish(s);

  let dz = z;
  let ld = ldz;
  const panels = at.i32(s, Seq.xPanels);
  const gain = at.ptr(s, Seq.gainX);
  if (gain) {
    dz = at.ptr(s, Seq.normX);
    ld = lines(panels);
    normalizeBackward(
      dz,
      at.ptr(s, Seq.dgainX),
      z,
      ldz,
      at.ptr(s, Seq.rootX),
      gain,
      at.ptr(s, Seq.maskX),
      at.i32(s, Seq.columns),
      T * B,
      ld,
    );
  }
  const dx = at.ptr(s, Seq.dx);
  if (!dx) return;
  const lddx = at.ptr(s, Seq.lddx);
  const K = panels << 4;
  gemm(dx, lddx, dx, lddx, dz, ld, at.ptr(s, Seq.wxT), lines(K), T * B, panelsOf(at.i32(s, Seq.I)), K);
}

/** Rows of dz of sequences that have ended are zero, and so is everything else that the gradients of the weights read. */
function clearRows(s: usize, row: usize, rows: usize): void {
  const ldz = at.ptr(s, Seq.ldz);
  const lde = at.ptr(s, Seq.ldextra);
  memory.fill(at.ptr(s, Seq.z) + row * ldz, 0, rows * ldz);
  if (lde) memory.fill(at.ptr(s, Seq.extra) + row * lde, 0, rows * lde);
  const bytes = lines(at.i32(s, Seq.hPanels));
  if (at.ptr(s, Seq.gainH)) memory.fill(at.ptr(s, Seq.normH) + row * bytes, 0, rows * bytes);
  const ldh = at.ptr(s, Seq.ldh);
  if (at.ptr(s, Seq.mask)) memory.fill(at.ptr(s, Seq.masked) + row * ldh, 0, rows * ldh);
}

/** Rows of hat become the gradients of what was normalised. */
function normalizeBackward(
  hat: usize,
  dgain: usize,
  dy: usize,
  lddy: usize,
  roots: usize,
  gain: usize,
  mask: usize,
  n: i32,
  rows: i32,
  bytes: usize,
): void {
  for (let r = 0; r < rows; r++, hat += bytes, dy += lddy) {
    normalizeRowBackward(hat, dgain, dy, hat, gain, mask, load<f32>(slot(roots, r)), n, bytes);
  }
}

/** One step backward for `rows` adjacent sequences; `before`: the first of them among the rows of states. */
function backwardRows(s: usize, rows: i32, panels: i32, first: usize, row: usize, before: usize): void {
  const P = at.i32(s, Seq.P);
  const ldh = at.ptr(s, Seq.ldh);
  const ldc = at.ptr(s, Seq.ldc);
  const ldz = at.ptr(s, Seq.ldz);
  const lddy = at.ptr(s, Seq.lddy);
  const z = at.ptr(s, Seq.z) + row * ldz;
  const e = at.ptr(s, Seq.extra) + row * at.ptr(s, Seq.ldextra);
  const h0 = at.ptr(s, Seq.h) + before * ldh;
  const c0 = at.ptr(s, Seq.c) + before * ldc;
  const dh = at.ptr(s, Seq.dh) + first * ldh;
  const dc = at.ptr(s, Seq.dc) + first * ldc;
  const hBytes = <usize>rows * ldh;
  const cBytes = <usize>rows * ldc;
  let dy = at.ptr(s, Seq.dy);
  if (dy) dy += row * lddy;

  const flowH = at.ptr(s, Seq.flowH);
  if (flowH) {
    rowsAdd(flowH + row * ldh, ldh, dh, ldh, rows, P);
    if (dy) rowsAdd(flowH + row * ldh, ldh, dy, lddy, rows, P);
  }
  const flowC = at.ptr(s, Seq.flowC);
  if (flowC) rowsAdd(flowC + row * ldc, ldc, dc, ldc, rows, at.i32(s, Seq.H));

  const zoneH = at.ptr(s, Seq.zoneHMask);
  const keptH = at.ptr(s, Seq.keptH);
  if (zoneH) {
    if (dy) for (let r: usize = 0; r < <usize>rows; r++) add(dh + r * ldh, dy + r * lddy, rowBytes(P));
    dy = 0;
    zoneBackward(keptH, dh, zoneH + row * ldh, hBytes);
  }
  const zoneC = at.ptr(s, Seq.zoneCMask);
  const keptC = at.ptr(s, Seq.keptC);
  if (zoneC) zoneBackward(keptC, dc, zoneC + row * ldc, cBytes);

  const mask = at.ptr(s, Seq.mask);
  let u = h0;
  let du = dh;
  if (mask) {
    u = at.ptr(s, Seq.masked) + row * ldh;
    du = at.ptr(s, Seq.dmasked);
    memory.fill(du, 0, hBytes);
  }
  stepBackward(at.i32(s, Seq.cell), s, rows, z, u, h0, c0, e, dy, dh, du, dc);

  if (panels) {
    let dz = z + at.ptr(s, Seq.hColumn);
    let ld = ldz;
    const gain = at.ptr(s, Seq.gainH);
    if (gain) {
      ld = lines(panels);
      const hat = at.ptr(s, Seq.normH) + row * ld;
      const roots = at.ptr(s, Seq.rootH) + (row << 2);
      normalizeBackward(
        hat,
        at.ptr(s, Seq.dgainH),
        dz,
        ldz,
        roots,
        gain,
        at.ptr(s, Seq.maskH),
        at.i32(s, Seq.columns),
        rows,
        ld,
      );
      dz = hat;
    }
    const K = panels << 4;
    gemm(du, ldh, du, ldh, dz, ld, at.ptr(s, Seq.whT), lines(K), rows, panelsOf(P), K);
  }
  if (mask) {
    multiply(du, du, mask + first * ldh, hBytes);
    add(dh, du, hBytes);
  }
  if (zoneH) add(dh, keptH, hBytes);
  if (zoneC) add(dc, keptC, cBytes);
}
