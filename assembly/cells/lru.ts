import { activationArray, activationBackward } from '../activation';
import { at, lines, own, panelsOf, rowBytes, slot } from '../at';
import { gemm } from '../gemm';
import { Seq } from '../layout';
import { expArray, tanhArray } from '../math';
import { simd } from '../simd';
import { Lru } from './layout';

const ONE = memory.data<f32>([1]);
const HALF = memory.data<f32>([0.5]);
const ZERO = memory.data<f32>([0]);
const SMALLEST = memory.data<f32>([1e-18]);
// adding it rounds to an integer, and leaves that in the low bits
const ROUND = memory.data<f32>([12582912]);
// 1/π, and π in three parts, whose first have few bits: their products with small integers are exact
const TURNS = memory.data<f32>([0.31830987]);
const PI = memory.data<f32>([3.140625, 0.0009675025939941406, 1.509957990978376e-7]);
const HALF_PI = memory.data<f32>([1.5708]);
// (sin t - t) / t³ on |t| ≤ π/2
const S = memory.data<f32>([-0.16666657, 8.333017e-3, -1.9806606e-4, 2.6000346e-6]);

/** sin x, or with `shift` ½ -cos x, from sin t with x = (n + shift) π + t. Of infinities NaN. */
function sine(x: v128, shift: usize): v128 {
  const half = simd.splat(shift);
  const rounded = f32x4.add(f32x4.sub(f32x4.mul(x, simd.splat(TURNS)), half), simd.splat(ROUND));
  const n = f32x4.add(f32x4.sub(rounded, simd.splat(ROUND)), half);
  let t = simd.fnma(n, simd.splat(PI), x);
  t = simd.fnma(n, simd.splat(PI + 4), t);
  t = simd.fnma(n, simd.splat(PI + 8), t);
  // where x is so large that nothing is left of its angle, it is still one
  t = simd.clamp(t, f32x4.neg(simd.splat(HALF_PI)), simd.splat(HALF_PI));
  const t2 = f32x4.mul(t, t);
  let p = simd.fma(simd.splat(S + 12), t2, simd.splat(S + 8));
  p = simd.fma(simd.fma(p, t2, simd.splat(S + 4)), t2, simd.splat(S));
  // the sign changes with every half turn
  return v128.xor(simd.fma(f32x4.mul(p, t2), t, t), i32x4.shl(rounded, 31));
}

/** (re, im) to (im, re), two numbers at once. */
function swapped(x: v128): v128 {
  return v128.shuffle<f32>(x, x, 1, 0, 3, 2);
}

/** sum += a ⊙ b */
function accumulate(sum: usize, a: v128, b: v128): void {
  v128.store(sum, simd.fma(a, b, v128.load(sum)));
}

/**
 * The numbers by which a state turns and fades, from their parameters, in rows of H floats. A complex number is two floats, (re, im).
 *
 *     λ = e^(-r + iφ), r = e^ν, φ = e^θ          γ = √(1 - |λ|²)
 *
 *     rows  in: (ν, θ); out: (r, φ), (Re λ, Re λ), (-Im λ, Im λ), (γ, γ)
 */
export function lruRows(rows: usize, ld: usize, H: i32): void {
  const width = rowBytes(H);
  const units = <i32>(width >> 2);
  const re = rows + ld;
  const im = re + ld;
  const gamma = im + ld;
  expArray(rows, rows, units);
  for (let q: usize = 0; q < width; q += 16) {
    const x = v128.load(rows + q);
    const r = v128.shuffle<f32>(x, x, 0, 0, 2, 2);
    v128.store(im + q, f32x4.neg(r));
    v128.store(gamma + q, r);
  }
  expArray(re, im, units);
  tanhArray(gamma, gamma, units);
  const one = simd.splat(ONE);
  for (let q: usize = 0; q < width; q += 16) {
    const x = v128.load(rows + q);
    const phase = v128.shuffle<f32>(x, x, 1, 1, 3, 3);
    const m = v128.load(re + q);
    // 1 - e⁻²ʳ = 2t / (1 + t) has no cancellation, t = tanh r
    const t = v128.load(gamma + q);
    v128.store(gamma + q, f32x4.sqrt(f32x4.div(f32x4.add(t, t), f32x4.add(one, t))));
    v128.store(re + q, f32x4.neg(f32x4.mul(m, sine(phase, HALF))));
    const y = f32x4.mul(m, sine(phase, ZERO));
    v128.store(im + q, v128.shuffle<f32>(f32x4.neg(y), y, 0, 5, 2, 7));
  }
}

/**
 * Linear recurrent unit, one step of `rows` sequences. The state c is complex, H/2 numbers as pairs (re, im).
 *
 *     c₁ = λ ⊙ c₀ + γ ⊙ (x Bᵀ + b)
 *
 * Orvieto et al. 2023, arXiv:2303.06349; λ and γ are made by `lruRows`.
 *
 *     z  [rows, b d]  in: the net inputs of c and of the output; out, unless all states are kept: c₁ for that of c
 */
export function lruStep(s: usize, rows: i32, z: usize, c0: usize, c1: usize): void {
  const ldz = at.ptr(s, Seq.ldz);
  const ldc = at.ptr(s, Seq.ldc);
  const keep = at.i32(s, Seq.keep) !== 0;
  const re = own.ptr(s, Lru.rows) + ldc;
  const width = rowBytes(at.i32(s, Seq.H));
  for (; rows > 0; rows--, z += ldz, c0 += ldc, c1 += ldc) {
    for (let q: usize = 0, l = re; q < width; q += 16, l += 16) {
      const c = v128.load(c0 + q);
      let y = f32x4.mul(v128.load(l + 2 * ldc), v128.load(z + q));
      y = simd.fma(v128.load(l + ldc), swapped(c), y);
      y = simd.flush(simd.fma(v128.load(l), c, y));
      v128.store(c1 + q, y);
      if (!keep) v128.store(z + q, y);
    }
  }
}

/**
 *     dc += what the outputs say, in e          da_b = γ ⊙ dc          dc₀ = λ* ⊙ dc
 *     dλ, dγ: sums of dc ⊙ c₀, dc ⊙ (im, re of c₀) and dc ⊙ a_b, of which `lruFinish` makes gradients of ν and θ
 *
 *     z   out: da_b
 *     dc  in: gradient of c₁; out: of c₀
 */
export function lruStepBackward(s: usize, rows: i32, z: usize, c0: usize, e: usize, dc: usize): void {
  const ldz = at.ptr(s, Seq.ldz);
  const ldc = at.ptr(s, Seq.ldc);
  const lde = at.ptr(s, Seq.ldextra);
  const re = own.ptr(s, Lru.rows) + ldc;
  const sums = own.ptr(s, Lru.drows) + ldc;
  const width = rowBytes(at.i32(s, Seq.H));
  for (; rows > 0; rows--, z += ldz, c0 += ldc, dc += ldc, e += lde) {
    for (let q: usize = 0, l = re, sum = sums; q < width; q += 16, l += 16, sum += 16) {
      const d = f32x4.add(v128.load(dc + q), v128.load(e + q));
      const c = v128.load(c0 + q);
      accumulate(sum, d, c);
      accumulate(sum + ldc, d, swapped(c));
      accumulate(sum + 2 * ldc, d, v128.load(z + q));
      v128.store(z + q, simd.flush(f32x4.mul(v128.load(l + 2 * ldc), d)));
      const turned = f32x4.mul(v128.load(l + ldc), swapped(d));
      v128.store(dc + q, simd.flush(f32x4.sub(f32x4.mul(v128.load(l), d), turned)));
    }
  }
}

/**
 * Gradients of ν and θ, from the sums of all steps.
 *
 *     dν = r (dγ |λ|² / γ - dRe λ Re λ - dIm λ Im λ)          dθ = φ (dIm λ Re λ - dRe λ Im λ)
 */
export function lruFinish(s: usize): void {
  const ld = at.ptr(s, Seq.ldc);
  const end = rowBytes(at.i32(s, Seq.H));
  let rows = own.ptr(s, Lru.rows);
  let to = own.ptr(s, Lru.drows);
  for (const last = rows + end; rows < last; rows += 16, to += 16) {
    const re = v128.load(rows + ld);
    const im = v128.load(rows + 2 * ld);
    const g = v128.load(rows + 3 * ld);
    const dim = v128.load(to + 2 * ld);
    // each for both floats of a pair: dRe λ, dIm λ; and for the first dγ |λ|² / γ
    const dre = f32x4.add(v128.load(to + ld), swapped(v128.load(to + ld)));
    const turn = f32x4.sub(v128.shuffle<f32>(dim, dim, 1, 1, 3, 3), v128.shuffle<f32>(dim, dim, 0, 0, 2, 2));
    const dg = f32x4.add(v128.load(to + 3 * ld), swapped(v128.load(to + 3 * ld)));
    const fade = f32x4.div(f32x4.mul(dg, simd.fma(re, re, f32x4.mul(im, im))), f32x4.pmax(g, simd.splat(SMALLEST)));
    let d = v128.shuffle<f32>(fade, f32x4.splat(0), 0, 5, 2, 7);
    d = simd.fnma(dre, v128.shuffle<f32>(re, im, 0, 5, 2, 7), d);
    d = simd.fma(turn, v128.shuffle<f32>(im, re, 0, 5, 2, 7), d);
    v128.store(to, f32x4.mul(v128.load(rows), d));
  }
}

/**
 * The outputs of `steps` steps from step `base` on, in one product, after the states have been computed.
 *
 *     h = f(Re(C c) + x Dᵀ + d)          `wr` is C as [H,H], columns Re C, -Im C in turn
 *
 * Outputs of sequences that have ended stay those of their last step.
 */
export function lruOutput(s: usize, base: i32, steps: i32): void {
  const B = at.i32(s, Seq.B);
  const H = at.i32(s, Seq.H);
  const f = own.at(s, Lru.activation);
  const ldz = at.ptr(s, Seq.ldz);
  const ldc = at.ptr(s, Seq.ldc);
  const ldh = at.ptr(s, Seq.ldh);
  const reverse = at.i32(s, Seq.reverse);
  const lengths = at.ptr(s, Seq.lengths);
  const h = at.ptr(s, Seq.h);
  const z = at.ptr(s, Seq.z);
  const panels = panelsOf(H);
  const d = z + lines(panels);
  // where not all states are kept, a copy of each is in z
  const keep = at.i32(s, Seq.keep) !== 0;
  const from = keep ? at.ptr(s, Seq.c) + <usize>((base + 1 - reverse) * B) * ldc : z;
  gemm(d, ldz, d, ldz, from, keep ? ldc : ldz, at.ptr(s, Seq.wr), lines(H), steps * B, panels, H);
  for (let n = 0; n < steps; n++) {
    const own = reverse ? steps - 1 - n : n;
    const t = base + own;
    for (let b = 0; b < B; b++) {
      const to = h + <usize>((t + 1 - reverse) * B + b) * ldh;
      if (lengths && load<i32>(slot(lengths, b)) <= t) {
        memory.copy(to, h + <usize>((t + reverse) * B + b) * ldh, ldh);
      } else activationArray(f, to, d + <usize>(own * B + b) * ldz, <i32>(rowBytes(H) >> 2));
    }
  }
}

/**
 *     da_d = (dy + dh) ⊙ f'          dc += da_d C, kept in e until its step is reached
 *
 *     dh  out: 0, the outputs are not fed back
 */
export function lruOutputBackward(s: usize): void {
  const B = at.i32(s, Seq.B);
  const H = at.i32(s, Seq.H);
  const R = at.i32(s, Seq.T) * B;
  const f = own.at(s, Lru.activation);
  const ldz = at.ptr(s, Seq.ldz);
  const ldh = at.ptr(s, Seq.ldh);
  const lde = at.ptr(s, Seq.ldextra);
  const reverse = at.i32(s, Seq.reverse);
  const lengths = at.ptr(s, Seq.lengths);
  const dy = at.ptr(s, Seq.dy);
  const e = at.ptr(s, Seq.extra);
  const panels = panelsOf(H);
  const width = rowBytes(H);
  const z = at.ptr(s, Seq.z) + lines(panels);
  for (let n = 0; n < R; n++) {
    // back in time
    const row = reverse ? n : R - 1 - n;
    const b = row % B;
    const to = z + <usize>row * ldz;
    memory.fill(to, 0, width);
    if (lengths && load<i32>(slot(lengths, b)) <= row / B) continue;
    const y = at.ptr(s, Seq.h) + <usize>(row + (1 - reverse) * B) * ldh;
    const dh = at.ptr(s, Seq.dh) + <usize>b * ldh;
    activationBackward(to, dh, y, 0, 1, H, f);
    activationBackward(to, dy + <usize>row * ldh, y, 0, 1, H, f);
    memory.fill(dh, 0, width);
  }
  memory.fill(e, 0, <usize>R * lde);
  gemm(e, lde, e, lde, z, ldz, at.ptr(s, Seq.wrT), panels << 10, R, panels, panels << 4);
}
