/**
 * A recurrent layer in one direction over a whole sequence: what all cells share. The products with x, which do not wait for the
 * state, are made for all steps at once; the cell makes the rest, step by step.
 *
 * Sequences that have ended are left out of a step: their state is carried through, so that the last slot holds every sequence's
 * own final state, and backward their gradients pass unchanged and their rows of dz are zero.
 */

import { at, slot } from './at';
import { step, stepBackward } from './cells/index';
import { gemm } from './gemm';
import { Seq } from './layout';

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
export function forward(s: usize): void {
  const cell = at.i32(s, Seq.cell);
  const T = at.i32(s, Seq.T);
  const B = at.i32(s, Seq.B);
  const I = at.i32(s, Seq.I);
  const reverse = at.i32(s, Seq.reverse) !== 0;
  const keep = at.i32(s, Seq.keep) !== 0;
  const lengths = at.ptr(s, Seq.lengths);
  const h = at.ptr(s, Seq.h);
  const c = at.ptr(s, Seq.c);
  const z = at.ptr(s, Seq.z);
  const e = at.ptr(s, Seq.e);
  const ldh = at.ptr(s, Seq.ldh);
  const ldc = at.ptr(s, Seq.ldc);
  const ldz = at.ptr(s, Seq.ldz);
  const lde = at.ptr(s, Seq.lde);
  assert(T > 0 && B > 0 && I > 0);

  const x = at.ptr(s, Seq.x);
  const wx = at.ptr(s, Seq.wx);
  gemm(z, ldz, at.ptr(s, Seq.bias), 0, x, at.ptr(s, Seq.ldx), wx, (<usize>I) << 6, T * B, at.i32(s, Seq.xPanels), I);

  const hSlot = <usize>B * ldh;
  const cSlot = keep ? <usize>B * ldc : 0;
  for (let n = 0; n < T; n++) {
    const t = <usize>(reverse ? T - 1 - n : n);
    const before = reverse ? t + 1 : t;
    const after = reverse ? t : t + 1;
    const zt = z + t * <usize>B * ldz;
    const et = keep ? e + t * <usize>B * lde : e;
    const h0 = h + before * hSlot;
    const h1 = h + after * hSlot;
    const c0 = c + before * cSlot;
    const c1 = c + after * cSlot;
    for (let row = 0; row < B; ) {
      const live = firstLive(lengths, <i32>t, row, B);
      if (live > row) {
        const from = <usize>row;
        memory.copy(h1 + from * ldh, h0 + from * ldh, <usize>(live - row) * ldh);
        if (c && c0 !== c1) memory.copy(c1 + from * ldc, c0 + from * ldc, <usize>(live - row) * ldc);
      }
      row = firstEnded(lengths, <i32>t, live, B);
      if (row > live) {
        const r = <usize>live;
        const hr = h0 + r * ldh;
        step(cell, s, row - live, zt + r * ldz, hr, hr, h1 + r * ldh, c0 + r * ldc, c1 + r * ldc, et + r * lde);
      }
    }
  }
}

/** z becomes dz, dh and dc the gradients of the initial state; dx is accumulated. Needs a forward pass with `keep`. */
export function backward(s: usize): void {
  const cell = at.i32(s, Seq.cell);
  const T = at.i32(s, Seq.T);
  const B = at.i32(s, Seq.B);
  const reverse = at.i32(s, Seq.reverse) !== 0;
  const lengths = at.ptr(s, Seq.lengths);
  const h = at.ptr(s, Seq.h);
  const c = at.ptr(s, Seq.c);
  const z = at.ptr(s, Seq.z);
  const e = at.ptr(s, Seq.e);
  const dy = at.ptr(s, Seq.dy);
  const dh = at.ptr(s, Seq.dh);
  const dc = at.ptr(s, Seq.dc);
  const ldh = at.ptr(s, Seq.ldh);
  const ldc = at.ptr(s, Seq.ldc);
  const ldz = at.ptr(s, Seq.ldz);
  const lde = at.ptr(s, Seq.lde);
  const lddy = at.ptr(s, Seq.lddy);
  assert(at.i32(s, Seq.keep) !== 0);

  for (let n = T - 1; n >= 0; n--) {
    const t = <usize>(reverse ? T - 1 - n : n);
    const before = reverse ? t + 1 : t;
    const slot = <usize>B * before;
    const base = <usize>B * t;
    for (let row = 0; row < B; ) {
      const live = firstLive(lengths, <i32>t, row, B);
      if (live > row) memory.fill(z + (base + <usize>row) * ldz, 0, <usize>(live - row) * ldz);
      row = firstEnded(lengths, <i32>t, live, B);
      if (row > live) {
        const r = <usize>live;
        const dyr = dy ? dy + (base + r) * lddy : 0;
        const dhr = dh + r * ldh;
        const er = e + (base + r) * lde;
        const zr = z + (base + r) * ldz;
        stepBackward(
          cell,
          s,
          row - live,
          zr,
          h + (slot + r) * ldh,
          c + (slot + r) * ldc,
          er,
          dyr,
          dhr,
          dhr,
          dc + r * ldc,
        );
      }
    }
  }

  const dx = at.ptr(s, Seq.dx);
  if (!dx) return;
  const lddx = at.ptr(s, Seq.lddx);
  const K = at.i32(s, Seq.xPanels) << 4;
  gemm(dx, lddx, dx, lddx, z, ldz, at.ptr(s, Seq.wxT), (<usize>K) << 6, T * B, (at.i32(s, Seq.I) + 15) >> 4, K);
}
