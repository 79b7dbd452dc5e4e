import { activation, activationArray } from '../activation';
import { at, lines, own, panelsOf, rowBytes } from '../at';
import { gemm } from '../gemm';
import { Activation, Seq } from '../layout';
import { simd } from '../simd';
import { Gru } from './layout';

/** Bytes of the columns that `gates` interleaved gates of H units take. */
function columns(H: i32, gates: i32): usize {
  return lines((((H + 3) >> 2) * gates + 3) >> 2);
}

/**
 * Gated recurrent unit, one step of `rows` sequences.
 *
 *     r, y = σ(x Wᵣᵀ + u Uᵣᵀ + bᵣ), σ(x W_yᵀ + u U_yᵀ + b_y)          h₁ = (1 - y) ⊙ n + y ⊙ h₀
 *     reset after the product:   n = f(x Wₙᵀ + bₙ + r ⊙ m)             m = u Uₙᵀ + cₙ
 *     reset before the product:  n = f(x Wₙᵀ + bₙ + (r ⊙ u) Uₙᵀ + cₙ)
 *
 * σ and f may be any `Activation`; y is the update gate, z in the papers and in PyTorch. Cho et al. 2014: after the product as in
 * arXiv:1406.1078v1, cuDNN and PyTorch, before it as in arXiv:1406.1078v3, ONNX by default and Keras with reset_after=False.
 *
 *     z  [rows, n | r y | m]  in: n's part from x, the sums of r and y, m; out: n, r, y, m. Reset before: [rows, n | r y]
 *     e  [rows, H]            reset before: overwritten with r ⊙ u
 */
export function gruStep(s: usize, rows: i32, z: usize, u: usize, h0: usize, h1: usize, e: usize): void {
  const H = at.i32(s, Seq.H);
  const f = own.at(s, Gru.activation);
  const gate = own.at(s, Gru.gate);
  const before = own.i32(s, Gru.resetBefore) !== 0;
  const ldz = at.ptr(s, Seq.ldz);
  const ldh = at.ptr(s, Seq.ldh);
  const width = rowBytes(H);
  const gates = columns(H, 1);
  const candidate = gates + columns(H, 2);
  const units = <i32>(width >> 2);
  for (let row: usize = 0; row < <usize>rows; row++)
    activationArray(gate, z + row * ldz + gates, z + row * ldz + gates, 2 * units);
  if (before) {
    const lde = at.ptr(s, Seq.ldextra);
    for (let row: usize = 0; row < <usize>rows; row++) {
      const r = z + row * ldz + gates;
      const to = e + row * lde;
      const from = u + row * ldh;
      for (let q: usize = 0; q < width; q += 16)
        v128.store(to + q, f32x4.mul(v128.load(r + 2 * q), v128.load(from + q)));
    }
    const wn = at.ptr(s, Seq.wr);
    gemm(z, ldz, z, ldz, e, lde, wn, lines(H), rows, <i32>(gates >> 6), H);
  }
  for (let row: usize = 0; row < <usize>rows; row++) {
    const a = z + row * ldz;
    const g = a + gates;
    const m = a + candidate;
    const from = h0 + row * ldh;
    const to = h1 + row * ldh;
    if (!before) {
      for (let q: usize = 0; q < width; q += 16)
        v128.store(a + q, simd.fma(v128.load(g + 2 * q), v128.load(m + q), v128.load(a + q)));
    }
    activationArray(f, a, a, units);
    for (let q: usize = 0; q < width; q += 16) {
      const n = v128.load(a + q);
      const y = v128.load(g + 2 * q, 16);
      v128.store(to + q, simd.flush(simd.fma(y, f32x4.sub(v128.load(from + q), n), n)));
    }
  }
}

/**
 *     d = dy + dh          da_n = d ⊙ (1 - y) ⊙ f'          da_y = d ⊙ (h₀ - n) ⊙ y(1-y)          dh₀ = d ⊙ y
 *     after:   dm = da_n ⊙ r              da_r = da_n ⊙ m ⊙ r(1-r)
 *     before:  ds = da_n Uₙ, s = r ⊙ u    da_r = ds ⊙ u ⊙ r(1-r)         du += ds ⊙ r
 *
 *     z   out: da_n, da_r, da_y, dm
 *     dh  out: d ⊙ y
 *     du  accumulated, reset before only
 */
export function gruStepBackward(
  s: usize,
  rows: i32,
  z: usize,
  u: usize,
  h0: usize,
  e: usize,
  dy: usize,
  dh: usize,
  du: usize,
): void {
  const H = at.i32(s, Seq.H);
  const f = own.at(s, Gru.activation);
  const gate = own.at(s, Gru.gate);
  const before = own.i32(s, Gru.resetBefore) !== 0;
  const ldz = at.ptr(s, Seq.ldz);
  const ldh = at.ptr(s, Seq.ldh);
  const lddy = at.ptr(s, Seq.lddy);
  const width = rowBytes(H);
  const gates = columns(H, 1);
  const candidate = gates + columns(H, 2);
  const one = f32x4.splat(1);
  const plain = activation.plain(f);
  const usual = activation.plain(gate) === Activation.sigmoid;
  for (let row: usize = 0; row < <usize>rows; row++) {
    const a = z + row * ldz;
    const g = a + gates;
    const m = a + candidate;
    const dhr = dh + row * ldh;
    const dyr = dy + row * lddy;
    const from = h0 + row * ldh;
    for (let q: usize = 0; q < width; q += 16) {
      let d = v128.load(dhr + q);
      if (dy) d = f32x4.add(d, simd.flush(v128.load(dyr + q)));
      const n = v128.load(a + q);
      const y = v128.load(g + 2 * q, 16);
      const rest = f32x4.sub(one, y);
      const dan = simd.flush(f32x4.mul(f32x4.mul(d, rest), activation.slope(plain, f, n)));
      const day = f32x4.mul(
        f32x4.mul(d, f32x4.sub(v128.load(from + q), n)),
        activation.gateSlope(false, usual, gate, y),
      );
      if (!before) {
        const r = v128.load(g + 2 * q);
        const dar = f32x4.mul(f32x4.mul(dan, v128.load(m + q)), activation.gateSlope(false, usual, gate, r));
        v128.store(g + 2 * q, simd.flush(dar));
        v128.store(m + q, simd.flush(f32x4.mul(dan, r)));
      }
      v128.store(a + q, dan);
      v128.store(g + 2 * q, simd.flush(day), 16);
      v128.store(dhr + q, simd.flush(f32x4.mul(d, y)));
    }
  }
  if (!before) return;
  const ds = at.ptr(s, Seq.scratch);
  const K = <i32>(gates >> 2);
  memory.fill(ds, 0, <usize>rows * ldh);
  gemm(ds, ldh, ds, ldh, z, ldz, at.ptr(s, Seq.wrT), lines(K), rows, panelsOf(H), K);
  for (let row: usize = 0; row < <usize>rows; row++) {
    const g = z + row * ldz + gates;
    const o = row * ldh;
    for (let q: usize = 0; q < width; q += 16) {
      const r = v128.load(g + 2 * q);
      const d = v128.load(ds + o + q);
      const dar = f32x4.mul(f32x4.mul(d, v128.load(u + o + q)), activation.gateSlope(false, usual, gate, r));
      v128.store(g + 2 * q, simd.flush(dar));
      v128.store(du + o + q, simd.fma(d, r, v128.load(du + o + q)));
    }
  }
}
