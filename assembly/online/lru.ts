/**
 * The linear recurrent unit. Each complex number of its state is fed by itself alone, so of the influence there is no more than one complex
 * number for each parameter, and carrying them is exact in one layer. Zucchet et al. 2023, arXiv:2305.15947.
 *
 *     E_λ ← λ E_λ + c₀          E_γ ← λ E_γ + a          E_B ← λ E_B + γ [x, 1]          a = B x + b
 *     da = δ ⊙ f'(h)            dc = da C                gradients: those of dc ⊙ E; of C and D at once, da ⊗ c and da ⊗ [x, 1]
 *
 * A complex number is two floats (re, im), and so is its gradient. The trace of row Re B of a number is E_B, that of row Im B is i E_B.
 * Between the layers of one step, gradients go backward as usual. Without an influence λ in these formulas counts as 0.
 */
import { activationBackward } from '../activation';
import { at, own, rowBytes, slot } from '../at';
import { Lru } from '../cells/layout';
import { lruFinish } from '../cells/lru';
import { Seq } from '../layout';
import { simd } from '../simd';
import { addScaled } from '../vector';
import { stateOf } from './columns';
import { Layer } from './layout';

/** (re, im) to (im, re), two numbers at once. */
function swapped(x: v128): v128 {
  return v128.shuffle<f32>(x, x, 1, 0, 3, 2);
}

/** e ← λ e + x, H floats. @param l row Re λ, the row of ∓Im λ is `ld` after it */
function turn(e: usize, x: usize, l: usize, ld: usize, H: i32): void {
  for (const end = e + rowBytes(H); e < end; e += 16, x += 16, l += 16) {
    const old = v128.load(e);
    const y = simd.fma(v128.load(l + ld), swapped(old), v128.load(x));
    v128.store(e, simd.flush(simd.fma(v128.load(l), old, y)));
  }
}

/** to = factor · x, n floats and no more. */
function scaled(to: usize, x: usize, n: i32, factor: f32): void {
  const f = f32x4.splat(factor);
  const end = slot(to, n);
  for (; to + 16 <= end; to += 16, x += 16) v128.store(to, f32x4.mul(f, v128.load(x)));
  for (; to < end; to += 4, x += 4) store<f32>(to, factor * load<f32>(x));
}

/** The traces M: E_λ [H], E_γ [H], E_B [H, x 1], the rows of a number one after the other. */
export function lruCarry(l: usize): void {
  const s = at.ptr(l, Layer.seq);
  const H = at.i32(l, Layer.H);
  const ld = at.ptr(s, Seq.ldc);
  const re = own.ptr(s, Lru.rows) + ld;
  const row = rowBytes(H);
  let e = at.ptr(l, Layer.M);
  turn(e, at.ptr(s, Seq.c), re, ld, H);
  turn(e + row, at.ptr(s, Seq.z), re, ld, H);
  e += 2 * row;
  const width = rowBytes(at.i32(l, Layer.I) + at.i32(l, Layer.ones));
  const x = at.ptr(l, Layer.vx);
  for (let k = 0; k < H; k += 2, e += width) {
    const from = slot(re, k);
    const a = v128.load32_splat(from);
    const b = v128.load32_splat(from + ld + 4);
    const gamma = v128.load32_splat(from + 2 * ld);
    for (let q: usize = 0; q < width; q += 16, e += 16) {
      const u = v128.load(e);
      const v = v128.load(e + width);
      const fed = f32x4.mul(gamma, v128.load(x + q));
      v128.store(e, simd.flush(simd.fma(a, u, simd.fnma(b, v, fed))));
      v128.store(e + width, simd.flush(simd.fma(a, v, f32x4.mul(b, u))));
    }
  }
}

/** The gradients of a layer, `to` bytes after its parameters, from δ; da and dc are kept in `dh` and `dc`. */
export function lruGradient(l: usize, to: usize): void {
  const s = at.ptr(l, Layer.seq);
  const H = at.i32(l, Layer.H);
  const I = at.i32(l, Layer.I);
  const ld = at.ptr(s, Seq.ldc);
  const row = rowBytes(H);
  const da = at.ptr(l, Layer.dh);
  const dc = at.ptr(l, Layer.dc);
  memory.fill(da, 0, row);
  activationBackward(da, at.ptr(l, Layer.delta), stateOf(l), 0, 1, H, own.at(s, Lru.activation));

  // C, and what the outputs say of c
  const c = at.ptr(s, Seq.c) + ld;
  const map = at.ptr(l, Layer.map);
  memory.fill(dc, 0, row);
  for (let u = 0; u < H; u++) {
    const d = load<f32>(slot(da, u));
    const weights = map + <usize>u * ((<usize>H) << 2);
    scaled(weights + to, c, H, d);
    addScaled(dc, weights, (H + 3) & ~3, d);
  }

  // λ and γ, and of these ν and θ
  const M = at.ptr(l, Layer.M);
  const kept = M ? M : at.ptr(s, Seq.c);
  const fed = M ? M + row : at.ptr(s, Seq.z);
  const sums = own.ptr(s, Lru.drows);
  for (let q: usize = 0; q < row; q += 16) {
    const d = v128.load(dc + q);
    const e = v128.load(kept + q);
    v128.store(sums + ld + q, f32x4.mul(d, e));
    v128.store(sums + 2 * ld + q, f32x4.mul(d, swapped(e)));
    v128.store(sums + 3 * ld + q, f32x4.mul(d, v128.load(fed + q)));
  }
  lruFinish(s);
  memory.copy(at.ptr(l, Layer.lambda) + to, sums, (<usize>H) << 2);

  // B and D with their biases
  const wx = at.ptr(l, Layer.wx) + to;
  const bx = at.ptr(l, Layer.bx);
  const g = at.ptr(l, Layer.g);
  const x = at.ptr(l, Layer.vx);
  const gamma = own.ptr(s, Lru.rows) + 3 * ld;
  const width = rowBytes(I + at.i32(l, Layer.ones));
  const line = (<usize>I) << 2;
  for (let u = 0; u < 2 * H; u++) {
    if (u >= H) scaled(g, x, <i32>(width >> 2), load<f32>(slot(da, u - H)));
    else if (!M) scaled(g, x, <i32>(width >> 2), load<f32>(slot(dc, u)) * load<f32>(slot(gamma, u)));
    else {
      // Re: dre E_re + dim E_im; Im: dim E_re - dre E_im
      const same = f32x4.splat(load<f32>(slot(dc, u)));
      const other = f32x4.splat(u & 1 ? -load<f32>(slot(dc, u - 1)) : load<f32>(slot(dc, u + 1)));
      const e = M + 2 * row + <usize>(u & ~1) * width;
      for (let q: usize = 0; q < width; q += 16) {
        const sum = f32x4.mul(other, v128.load(e + width + q));
        v128.store(g + q, simd.fma(same, v128.load(e + q), sum));
      }
    }
    memory.copy(wx + <usize>u * line, g, line);
    if (bx) store<f32>(slot(bx + to, u), load<f32>(g + line));
  }
}

/** The gradient of x, added to dx: through this step alone. */
export function lruInputGradient(l: usize, dx: usize): void {
  const s = at.ptr(l, Layer.seq);
  const H = at.i32(l, Layer.H);
  const I = at.i32(l, Layer.I);
  const gamma = own.ptr(s, Lru.rows) + 3 * at.ptr(s, Seq.ldc);
  const da = at.ptr(l, Layer.dh);
  const dc = at.ptr(l, Layer.dc);
  let w = at.ptr(l, Layer.wx);
  for (let u = 0; u < 2 * H; u++, w += (<usize>I) << 2) {
    const d = u < H ? load<f32>(slot(dc, u)) * load<f32>(slot(gamma, u)) : load<f32>(slot(da, u - H));
    addScaled(dx, w, (I + 3) & ~3, d);
  }
}
