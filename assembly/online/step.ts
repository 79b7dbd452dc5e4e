/**
 * One step of a stack of recurrent layers, with its derivatives. The cells are those of ../cells, forward and backward.
 *
 * For a cell whose unit u sees of the gates only its own, the backward pass of one step, started with ones, gives the derivative of each
 * state by the net input of each of its gates: D [kinds,…] in the layout of z. From it and the weights follow
 *
 *     J[a u, j] = Σ D[a, column] Wh[column, j]  over the columns of unit u, + ∂a_u/∂h_u where j = u           a: h or c
 *     X[a u, i] = Σ D[a, column] Wx[column, i]
 */
import { at, rowBytes, slot } from '../at';
import { hasOutput, stepBackward } from '../cells/index';
import { gemm } from '../gemm';
import { Seq } from '../layout';
import { sigmoidArray } from '../math';
import { recurrentForward } from '../recurrent';
import { padRow } from '../rows';
import { simd } from '../simd';
import { softmaxRow } from '../softmax';
import { addScaled } from '../vector';
import { stateOf } from './columns';
import { influence } from './influence';
import { Column, Layer, Learn, Rule, Target } from './layout';
import { lruCarry } from './lru';
import { carry } from './snap';

/** The state moves on by the step that `given` holds, and so does the influence; `output` becomes the prediction. */
export function onlineStep(b: usize): void {
  const rule = at.i32(b, Learn.rule);
  const layers = at.i32(b, Learn.layers);
  const blocks = at.ptr(b, Learn.blocks);
  const first = load<usize>(blocks);
  padRow(at.ptr(first, Layer.x), at.ptr(b, Learn.given), at.i32(first, Layer.I));
  for (let n = 0; n < layers; n++) {
    const l = load<usize>(slot(blocks, n));
    forward(l);
    if (hasOutput(at.i32(at.ptr(l, Layer.seq), Seq.cell))) {
      if (at.ptr(l, Layer.M)) lruCarry(l);
      continue;
    }
    derivatives(l);
    if (rule === Rule.rtrl) jacobian(l);
    else if (rule === Rule.snap1) {
      diagonal(l);
      carry(l);
    }
  }
  if (rule === Rule.rtrl) influence(b);
  predict(b);
}

/** h and c move on, and what enters the columns is laid out. */
function forward(l: usize): void {
  const s = at.ptr(l, Layer.seq);
  const h = at.ptr(s, Seq.h);
  const c = at.ptr(s, Seq.c);
  const ldh = at.ptr(s, Seq.ldh);
  const ldc = at.ptr(s, Seq.ldc);
  memory.copy(h, h + ldh, ldh);
  if (c) memory.copy(c, c + ldc, ldc);
  recurrentForward(s);

  const I = (<usize>at.i32(l, Layer.I)) << 2;
  const H = (<usize>at.i32(l, Layer.H)) << 2;
  const x = at.ptr(l, Layer.x);
  const v = at.ptr(l, Layer.v);
  const vx = at.ptr(l, Layer.vx);
  const ones = at.i32(l, Layer.ones);
  memory.copy(vx, x, I);
  if (ones) store<f32>(vx + I, 1);
  if (!v) return;
  memory.copy(v, x, I);
  memory.copy(v + I, h, H);
  if (ones) store<f32>(v + I + H, 1);
}

/** D in `z`, and in `dh` and `dc` the derivatives by the state of the same unit, as far as they do not go through the product. */
function derivatives(l: usize): void {
  const s = at.ptr(l, Layer.seq);
  const kinds = at.i32(l, Layer.kinds);
  const z = at.ptr(l, Layer.z);
  const h = at.ptr(l, Layer.h);
  const c = at.ptr(l, Layer.c);
  const e = at.ptr(l, Layer.extra);
  const dh = at.ptr(l, Layer.dh);
  const dc = at.ptr(l, Layer.dc);
  const ldz = at.ptr(s, Seq.ldz);
  const ldh = at.ptr(s, Seq.ldh);
  const ldc = at.ptr(s, Seq.ldc);
  const lde = at.ptr(s, Seq.ldextra);
  const zero = f32x4.splat(0);
  const one = f32x4.splat(1);
  for (let a: usize = 0; a < <usize>kinds; a++) {
    memory.copy(z + a * ldz, at.ptr(s, Seq.z), ldz);
    memory.copy(h + a * ldh, at.ptr(s, Seq.h), ldh);
    if (lde) memory.copy(e + a * lde, at.ptr(s, Seq.extra), lde);
    if (c) memory.copy(c + a * ldc, at.ptr(s, Seq.c), ldc);
    for (let q: usize = 0; q < ldh; q += 16) {
      v128.store(dh + a * ldh + q, a === 0 ? one : zero);
      if (c) v128.store(dc + a * ldc + q, a === 0 ? zero : one);
    }
  }
  const peepholes = at.ptr(l, Layer.peepholes);
  if (peepholes) memory.fill(peepholes, 0, 3 * ldc);
  stepBackward(at.i32(s, Seq.cell), s, kinds, z, h, h, c, e, 0, dh, dh, dc);
}

/** y += factor · x over n floats; reads and writes up to a multiple of four. */
function add(y: usize, x: usize, n: i32, factor: f32): void {
  if (factor !== 0) addScaled(y, x, (n + 3) & ~3, factor);
}

/** Magnitudes below 1e-20 become 0. */
function flushRows(x: usize, bytes: usize): void {
  for (const end = x + bytes; x < end; x += 16) v128.store(x, simd.flush(v128.load(x)));
}

/** J and X. */
function jacobian(l: usize): void {
  const s = at.ptr(l, Layer.seq);
  const kinds = at.i32(l, Layer.kinds);
  const I = at.i32(l, Layer.I);
  const H = at.i32(l, Layer.H);
  const J = at.ptr(l, Layer.J);
  const X = at.ptr(l, Layer.X);
  const ldj = at.ptr(l, Layer.ldj);
  const ldx = at.ptr(l, Layer.ldx);
  const S = <usize>(kinds * H);
  memory.fill(J, 0, S * ldj);
  if (X) memory.fill(X, 0, S * ldx);
  for (let n = at.i32(l, Layer.count), k = at.ptr(l, Layer.columns); n > 0; n--, k += Column.fields << 2) {
    for (let a = 0; a < kinds; a++) {
      const d = load<f32>(at.ptr(l, Layer.z) + <usize>a * at.ptr(s, Seq.ldz) + at.ptr(k, Column.z));
      const row = <usize>(a * H + at.i32(k, Column.unit));
      if (at.i32(k, Column.fromH)) add(J + row * ldj, at.ptr(k, Column.wh), H, d);
      if (X && at.i32(k, Column.fromX)) add(X + row * ldx, at.ptr(k, Column.wx), I, d);
    }
  }
  for (let a = 0; a < kinds; a++) {
    const direct = at.ptr(l, Layer.dh) + <usize>a * at.ptr(s, Seq.ldh);
    for (let u = 0; u < H; u++) {
      const own = slot(J + <usize>(a * H + u) * ldj, u);
      store<f32>(own, load<f32>(own) + load<f32>(slot(direct, u)));
    }
  }
  flushRows(J, S * ldj);
  if (X) flushRows(X, S * ldx);
}

/** Of J the derivatives within each unit, [kinds,H]. */
function diagonal(l: usize): void {
  const s = at.ptr(l, Layer.seq);
  const kinds = at.i32(l, Layer.kinds);
  const J = at.ptr(l, Layer.J);
  const ldj = at.ptr(l, Layer.ldj);
  const ldh = at.ptr(s, Seq.ldh);
  for (let a: usize = 0; a < <usize>kinds; a++) memory.copy(J + a * ldj, at.ptr(l, Layer.dh) + a * ldh, ldj);
  for (let n = at.i32(l, Layer.count), k = at.ptr(l, Layer.columns); n > 0; n--, k += Column.fields << 2) {
    if (!at.i32(k, Column.fromH)) continue;
    const u = at.i32(k, Column.unit);
    const w = load<f32>(slot(at.ptr(k, Column.wh), u));
    for (let a: usize = 0; a < <usize>kinds; a++) {
      const d = load<f32>(at.ptr(l, Layer.z) + a * at.ptr(s, Seq.ldz) + at.ptr(k, Column.z));
      const to = slot(J + a * ldj, u);
      store<f32>(to, load<f32>(to) + d * w);
    }
  }
}

/** The output layer, and what its outputs mean. */
function predict(b: usize): void {
  const l = load<usize>(slot(at.ptr(b, Learn.blocks), at.i32(b, Learn.layers) - 1));
  const O = at.i32(b, Learn.O);
  const H = at.i32(l, Layer.H);
  const logits = at.ptr(b, Learn.logits);
  const output = at.ptr(b, Learn.output);
  const bytes = (<usize>((O + 15) & ~15)) << 2;
  gemm(
    logits,
    bytes,
    at.ptr(b, Learn.bias),
    0,
    stateOf(l),
    0,
    at.ptr(b, Learn.weight),
    (<usize>H) << 6,
    1,
    (O + 15) >> 4,
    H,
  );
  const target = at.i32(b, Learn.target);
  if (target === Target.crossEntropy) softmaxRow(output, logits, O);
  else if (target === Target.mse) memory.copy(output, logits, bytes);
  else sigmoidArray(output, logits, <i32>(rowBytes(O) >> 2));
}
