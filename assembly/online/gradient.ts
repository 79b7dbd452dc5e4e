/** The loss of a prediction, and the gradients of all parameters, in the layout of the parameters. */
import { at, rowBytes, slot } from '../at';
import { hasOutput } from '../cells/index';
import { Loss, Seq } from '../layout';
import { lossBackward, lossForward } from '../losses';
import { simd } from '../simd';
import { softmaxRow } from '../softmax';
import { sizeOf, stateOf } from './columns';
import { exactGradient } from './influence';
import { Column, Layer, Learn, Rule, Target } from './layout';
import { lruGradient, lruInputGradient } from './lru';
import { inputGradient, localGradient } from './snap';

/** Returns the loss of the last prediction against `wanted`; the gradients of all parameters are overwritten. */
export function onlineGradient(b: usize): f64 {
  const layers = at.i32(b, Learn.layers);
  const blocks = at.ptr(b, Learn.blocks);
  const to = at.ptr(b, Learn.gradients);
  const loss = lossGradient(b);
  const last = load<usize>(slot(blocks, layers - 1));
  headGradient(b, last);
  const exact = at.i32(b, Learn.rule) === Rule.rtrl;
  for (let n = layers - 1; n >= 0; n--) {
    const l = load<usize>(slot(blocks, n));
    const linear = hasOutput(at.i32(at.ptr(l, Layer.seq), Seq.cell));
    if (exact) exactGradient(b, n);
    else {
      if (linear) lruGradient(l, to);
      else localGradient(l);
      if (n > 0) {
        const delta = at.ptr(load<usize>(slot(blocks, n - 1)), Layer.delta);
        memory.fill(delta, 0, rowBytes(at.i32(l, Layer.I)));
        if (linear) lruInputGradient(l, delta);
        else inputGradient(l, delta);
      }
    }
    if (!linear) scatter(l, to);
  }
  return loss;
}

/** The loss, mean over the outputs, and its gradient in `dlogits`. */
function lossGradient(b: usize): f64 {
  const O = at.i32(b, Learn.O);
  const logits = at.ptr(b, Learn.logits);
  const dlogits = at.ptr(b, Learn.dlogits);
  const wanted = at.ptr(b, Learn.wanted);
  const target = at.i32(b, Learn.target);
  const ld = (<usize>((O + 15) & ~15)) << 2;
  if (target === Target.crossEntropy) {
    const k = load<i32>(wanted);
    const all = softmaxRow(dlogits, logits, O);
    const own = slot(dlogits, k);
    store<f32>(own, load<f32>(own) - 1);
    return all - <f64>load<f32>(slot(logits, k));
  }
  const kind = target === Target.mse ? Loss.square : Loss.logits;
  memory.fill(dlogits, 0, ld);
  lossBackward(dlogits, logits, wanted, 0, ld, 0, 0, 1, 1, O, kind, 0, 0, 1 / <f32>O);
  return lossForward(0, logits, wanted, 0, ld, 0, 0, 1, 1, O, kind, 0, 0) / <f64>O;
}

/** dW = d ⊗ h, db = d, δ = Σ d W */
function headGradient(b: usize, l: usize): void {
  const O = at.i32(b, Learn.O);
  const H = at.i32(l, Layer.H);
  const to = at.ptr(b, Learn.gradients);
  const w = at.ptr(b, Learn.headWeight);
  const bias = at.ptr(b, Learn.headBias);
  const h = stateOf(l);
  const delta = at.ptr(l, Layer.delta);
  memory.fill(delta, 0, rowBytes(H));
  for (let o = 0; o < O; o++) {
    const d = load<f32>(slot(at.ptr(b, Learn.dlogits), o));
    const row = w + <usize>o * ((<usize>H) << 2);
    if (bias) store<f32>(slot(bias + to, o), d);
    for (let u = 0; u < H; u++) {
      store<f32>(slot(row + to, u), d * load<f32>(slot(h, u)));
      store<f32>(slot(delta, u), load<f32>(slot(delta, u)) + d * load<f32>(slot(row, u)));
    }
  }
  for (let q: usize = 0; q < rowBytes(H); q += 16) v128.store(delta + q, simd.flush(v128.load(delta + q)));
}

/** g, in the order of the columns, to the gradients of the parameters, `to` bytes after them. */
function scatter(l: usize, to: usize): void {
  const g = at.ptr(l, Layer.g);
  const ones = at.i32(l, Layer.ones);
  for (let n = at.i32(l, Layer.count), k = at.ptr(l, Layer.columns); n > 0; n--, k += Column.fields << 2) {
    const fromX = at.i32(k, Column.fromX);
    const fromH = at.i32(k, Column.fromH);
    let from = slot(g, at.i32(k, Column.lane));
    const end = slot(from, sizeOf(l, k));
    if (fromX) memory.copy(at.ptr(k, Column.wx) + to, from, (<usize>fromX) << 2);
    from = slot(from, fromX);
    if (fromH) memory.copy(at.ptr(k, Column.wh) + to, from, (<usize>fromH) << 2);
    from = slot(from, fromH);
    if (ones) {
      const d = load<f32>(from);
      if (at.ptr(k, Column.bx)) store<f32>(at.ptr(k, Column.bx) + to, d);
      if (at.ptr(k, Column.bh)) store<f32>(at.ptr(k, Column.bh) + to, d);
    }
    if (at.ptr(k, Column.peephole)) store<f32>(at.ptr(k, Column.peephole) + to, load<f32>(end - 4));
  }
}
