/**
 * Cheaper rules. Both keep to the unit u that a parameter enters; between the layers of one step, gradients go backward as usual.
 *
 *     snap1      M_u ← J_uu M_u + ∂s_u/∂θ          SnAp-1, Menick et al. 2021, arXiv:2006.07232
 *     immediate  M_u = ∂s_u/∂θ                     what backpropagation truncated to one step gives
 */
import { at, slot } from '../at';
import { Seq } from '../layout';
import { simd } from '../simd';
import { features, sizeOf } from './columns';
import { Column, Layer } from './layout';

/** M [kinds,lanes] of all parameters of a layer; each column begins at a multiple of four. */
export function carry(l: usize): void {
  const s = at.ptr(l, Layer.seq);
  const ldz = at.ptr(s, Seq.ldz);
  const J = at.ptr(l, Layer.J);
  const ldj = at.ptr(l, Layer.ldj);
  const dc = at.ptr(l, Layer.dc);
  const ldc = at.ptr(s, Seq.ldc);
  const two = at.i32(l, Layer.kinds) === 2;
  const row = (<usize>at.i32(l, Layer.lanes)) << 2;
  for (let n = at.i32(l, Layer.count), k = at.ptr(l, Layer.columns); n > 0; n--, k += Column.fields << 2) {
    const u = at.i32(k, Column.unit);
    const z = at.ptr(l, Layer.z) + at.ptr(k, Column.z);
    let v = features(l, k);
    let m = slot(at.ptr(l, Layer.M), at.i32(k, Column.lane));
    const end = m + ((<usize>((sizeOf(l, k) + 3) & ~3)) << 2);
    const d = v128.load32_splat(z);
    const hh = v128.load32_splat(slot(J, u));
    if (!two) {
      for (; m < end; m += 16, v += 16)
        v128.store(m, simd.flush(simd.fma(hh, v128.load(m), f32x4.mul(d, v128.load(v)))));
      continue;
    }
    const e = v128.load32_splat(z + ldz);
    const ch = v128.load32_splat(slot(J + ldj, u));
    const hc = v128.load32_splat(slot(dc, u));
    const cc = v128.load32_splat(slot(dc + ldc, u));
    for (; m < end; m += 16, v += 16) {
      const x = v128.load(v);
      const h = v128.load(m);
      const c = v128.load(m + row);
      v128.store(m, simd.flush(simd.fma(hh, h, simd.fma(hc, c, f32x4.mul(d, x)))));
      v128.store(m + row, simd.flush(simd.fma(ch, h, simd.fma(cc, c, f32x4.mul(e, x)))));
    }
  }
}

/** g = δ_u · M_u, or without an influence δ_u · D v. */
export function localGradient(l: usize): void {
  const delta = at.ptr(l, Layer.delta);
  const M = at.ptr(l, Layer.M);
  for (let n = at.i32(l, Layer.count), k = at.ptr(l, Layer.columns); n > 0; n--, k += Column.fields << 2) {
    const lane = at.i32(k, Column.lane);
    let factor = load<f32>(slot(delta, at.i32(k, Column.unit)));
    if (!M) factor *= load<f32>(at.ptr(l, Layer.z) + at.ptr(k, Column.z));
    let from = M ? slot(M, lane) : features(l, k);
    const f = f32x4.splat(factor);
    let to = slot(at.ptr(l, Layer.g), lane);
    const end = to + ((<usize>((sizeOf(l, k) + 3) & ~3)) << 2);
    for (; to < end; to += 16, from += 16) v128.store(to, f32x4.mul(f, v128.load(from)));
  }
}

/** The gradient of x, added to dx: through the gates of this step alone. */
export function inputGradient(l: usize, dx: usize): void {
  const I = at.i32(l, Layer.I);
  const delta = at.ptr(l, Layer.delta);
  for (let n = at.i32(l, Layer.count), k = at.ptr(l, Layer.columns); n > 0; n--, k += Column.fields << 2) {
    if (!at.i32(k, Column.fromX)) continue;
    const f = load<f32>(slot(delta, at.i32(k, Column.unit))) * load<f32>(at.ptr(l, Layer.z) + at.ptr(k, Column.z));
    const w = at.ptr(k, Column.wx);
    for (let i = 0; i < I; i++) {
      const to = slot(dx, i);
      store<f32>(to, load<f32>(to) + f * load<f32>(slot(w, i)));
    }
  }
}
