/**
 * Real-time recurrent learning (Williams & Zipser 1989, doi:10.1162/neco.1989.1.2.270): the influence M = ds/dθ of every parameter on
 * every state, carried along with the state.
 *
 *     M ← J M + ∂s/∂θ                   J = ∂s/∂s₀, both with the state before the step fixed
 *     layers above the parameter's:     M₂ ← J₂ M₂ + X₂ M₁, with the new M₁
 *     gradient                          dL/dθ = Σ dL/dh · M
 *
 * The parameters are in panels of 16, as the second operand of the product in ../gemm.ts is: a panel has a line for each state. So one step
 * reads and writes M once, and the lines of a panel stay in the first-level cache while its products are made.
 */
import { at, lines, slot } from '../at';
import { gemm } from '../gemm';
import { Seq } from '../layout';
import { simd } from '../simd';
import { features, sizeOf } from './columns';
import { Column, Layer, Learn } from './layout';

/** M of all parameters, after the derivatives of this step have been made. */
export function influence(b: usize): void {
  const layers = at.i32(b, Learn.layers);
  const blocks = at.ptr(b, Learn.blocks);
  const scratch = at.ptr(b, Learn.scratch);
  for (let n = 0; n < layers; n++) {
    const l = load<usize>(slot(blocks, n));
    const bytes = lines(at.i32(l, Layer.lines));
    const panels = at.i32(l, Layer.panels);
    let to = at.ptr(l, Layer.M);
    let below: usize = 0;
    for (let m = n; m < layers; m++) {
      const k = load<usize>(slot(blocks, m));
      for (let p: usize = 0; p < <usize>panels; p++)
        carryPanel(k, to + p * bytes, scratch, below ? below + p * bytes : 0);
      // the layers above read the lines of this one, complete
      if (m === n) addImmediate(l, bytes);
      below = to;
      to += lines(at.i32(k, Layer.kinds) * at.i32(k, Layer.H));
    }
  }
}

/** The lines of one layer: M ← J M + X M₁, where `below` are the new lines of the layer under it, or 0. */
function carryPanel(l: usize, to: usize, old: usize, below: usize): void {
  const s = at.ptr(l, Layer.seq);
  const H = at.i32(l, Layer.H);
  const kinds = at.i32(l, Layer.kinds);
  const S = kinds * H;
  const half = lines(H);
  for (let q: usize = 0; q < lines(S); q += 16) v128.store(old + q, simd.flush(v128.load(to + q)));
  if (kinds === 1) memory.fill(to, 0, half);
  else {
    // a state depends of c on that of its own unit only
    const dc = at.ptr(l, Layer.dc);
    const ldc = at.ptr(s, Seq.ldc);
    for (let u = 0; u < H; u++) {
      const ofH = f32x4.splat(load<f32>(slot(dc, u)));
      const ofC = f32x4.splat(load<f32>(slot(dc + ldc, u)));
      const line = lines(u);
      for (let q = line; q < line + 64; q += 16) {
        const c = v128.load(old + half + q);
        v128.store(to + q, f32x4.mul(ofH, c));
        v128.store(to + half + q, f32x4.mul(ofC, c));
      }
    }
  }
  gemm(to, 64, to, 64, at.ptr(l, Layer.J), at.ptr(l, Layer.ldj), old, half, S, 1, H);
  if (!below) return;
  const I = at.i32(l, Layer.I);
  gemm(to, 64, to, 64, at.ptr(l, Layer.X), at.ptr(l, Layer.ldx), below, lines(I), S, 1, I);
}

/** M += ∂s/∂θ: a parameter enters the states of one unit. @param bytes of a panel */
function addImmediate(l: usize, bytes: usize): void {
  const s = at.ptr(l, Layer.seq);
  const H = at.i32(l, Layer.H);
  const kinds = at.i32(l, Layer.kinds);
  const M = at.ptr(l, Layer.M);
  for (let n = at.i32(l, Layer.count), k = at.ptr(l, Layer.columns); n > 0; n--, k += Column.fields << 2) {
    const v = features(l, k);
    const first = at.i32(k, Column.lane);
    const size = sizeOf(l, k);
    for (let a = 0; a < kinds; a++) {
      const d = load<f32>(at.ptr(l, Layer.z) + <usize>a * at.ptr(s, Seq.ldz) + at.ptr(k, Column.z));
      if (d === 0) continue;
      const line = M + lines(a * H + at.i32(k, Column.unit));
      for (let i = 0; i < size; i++) {
        const lane = first + i;
        const to = slot(line + <usize>(lane >> 4) * bytes, lane & 15);
        store<f32>(to, load<f32>(to) + d * load<f32>(slot(v, i)));
      }
    }
  }
}

/** g = Σ δ · M over the h of the last layer. */
export function exactGradient(b: usize, n: i32): void {
  const layers = at.i32(b, Learn.layers);
  const blocks = at.ptr(b, Learn.blocks);
  const l = load<usize>(slot(blocks, n));
  const last = load<usize>(slot(blocks, layers - 1));
  const H = at.i32(last, Layer.H);
  const total = at.i32(l, Layer.lines);
  const g = at.ptr(l, Layer.g);
  const bytes = lines(total);
  let panel = at.ptr(l, Layer.M) + lines(total - at.i32(last, Layer.kinds) * H);
  const panels = at.i32(l, Layer.panels);
  memory.fill(g, 0, lines(panels));
  for (let p = 0; p < panels; p++, panel += bytes) {
    const to = g + lines(p);
    gemm(to, 64, to, 64, at.ptr(last, Layer.delta), 0, panel, lines(H), 1, 1, H);
  }
}
