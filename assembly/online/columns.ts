/** The columns of the gates: how many parameters each has, and what enters it. */
import { at, slot } from '../at';
import { Seq } from '../layout';
import { Column, Layer } from './layout';

/** Parameters of a column. */
export function sizeOf(l: usize, k: usize): i32 {
  const ones = at.i32(l, Layer.ones);
  return at.i32(k, Column.fromX) + at.i32(k, Column.fromH) + ones + i32(at.ptr(k, Column.peephole) !== 0);
}

/** What enters a column, in the order of its parameters. The last number is that of its peephole. */
export function features(l: usize, k: usize): usize {
  const I = at.i32(l, Layer.I);
  const fromX = at.i32(k, Column.fromX);
  const fromH = at.i32(k, Column.fromH);
  if (!fromH) return at.ptr(l, Layer.vx);
  const v = fromX ? at.ptr(l, Layer.v) : slot(at.ptr(l, Layer.v), I);
  if (at.ptr(k, Column.peephole)) {
    const s = at.ptr(l, Layer.seq);
    const c = at.ptr(s, Seq.c) + (at.i32(k, Column.after) ? at.ptr(s, Seq.ldc) : 0);
    store<f32>(slot(v, fromX + fromH + at.i32(l, Layer.ones)), load<f32>(slot(c, at.i32(k, Column.unit))));
  }
  return v;
}

/** The h of a layer after the step. */
export function stateOf(l: usize): usize {
  const s = at.ptr(l, Layer.seq);
  return at.ptr(s, Seq.h) + at.ptr(s, Seq.ldh);
}
