/**
 * The recurrence of cells whose gates do not see the state: each unit has a state of its own, and there are no recurrent weights.
 *
 *     hₜ = aₜ ⊙ hₜ₋₁ + bₜ
 *
 * a and b depend on x alone, so all products are made before the first step. In minGRU and minLSTM b = p ⊙ n, where a and p are
 * shares that add up to one, and n is the candidate.
 */
import { at, own, rowBytes } from './at';
import { Minimal } from './cells/layout';
import { Seq } from './layout';
import { sigmoid } from './math';
import { simd } from './simd';

const ONE = memory.data<f32>([1]);
const HALF = memory.data<f32>([0.5]);
const LOWEST = memory.data<f32>([-20]);

/**
 * One step of `rows` sequences. The gates of four units are `next` bytes apart: p, n or f, i, n.
 *
 *     two gates    p = σ(a_p)                                              a = 1 - p
 *     three        p = i / (f + i), f, i = σ(a_f), σ(a_i)                  a = f / (f + i)
 *     h₁ = a ⊙ h₀ + p ⊙ n          n = a_n; positive: n = g(a_n), a_n + ½ where a_n ≥ 0, σ(a_n) elsewhere
 *
 *     z  in: the net inputs; out: p, n or f, i, n
 */
export function scanStep(s: usize, rows: i32, z: usize, h0: usize, h1: usize, next: usize): void {
  const positive = own.i32(s, Minimal.positive) !== 0;
  const ldz = at.ptr(s, Seq.ldz);
  const ldh = at.ptr(s, Seq.ldh);
  const width = rowBytes(at.i32(s, Seq.H));
  const one = simd.splat(ONE);
  for (let row: usize = 0; row < <usize>rows; row++) {
    let g = z + row * ldz;
    const from = h0 + row * ldh;
    const to = h1 + row * ldh;
    for (let q: usize = 0; q < width; q += 16, g += next) {
      const last = g + next - 16;
      let p = v128.load(g);
      let a: v128;
      if (next === 32) {
        p = sigmoid(p);
        a = f32x4.sub(one, p);
        v128.store(g, p);
      } else {
        // f / i does not change where both are shifted so low that σ(x) is eˣ, and then neither becomes zero
        const other = v128.load(g, 16);
        const shift = f32x4.max(f32x4.sub(simd.splat(LOWEST), f32x4.max(p, other)), f32x4.splat(0));
        const f = sigmoid(f32x4.add(p, shift));
        const i = sigmoid(f32x4.add(other, shift));
        const sum = f32x4.add(f, i);
        v128.store(g, f);
        v128.store(g, i, 16);
        a = f32x4.div(f, sum);
        p = f32x4.div(i, sum);
      }
      let n = v128.load(last);
      if (positive) {
        n = v128.bitselect(sigmoid(n), f32x4.add(n, simd.splat(HALF)), f32x4.lt(n, f32x4.splat(0)));
        v128.store(last, n);
      }
      v128.store(to + q, simd.flush(simd.fma(p, n, f32x4.mul(a, v128.load(from + q)))));
    }
  }
}

/**
 *     d = dy + dh          e = d ⊙ (n - h₀) ⊙ p(1-p)          da_n = d ⊙ p ⊙ g'          dh₀ = d ⊙ (1 - p)
 *     two gates    da_p = e
 *     three        da_f = -e ⊙ (1 - f)          da_i = e ⊙ (1 - i)
 *
 *     z   in: what the step left; out: the gradients of the net inputs
 *     dh  out: d ⊙ (1 - p)
 */
export function scanStepBackward(s: usize, rows: i32, z: usize, h0: usize, dy: usize, dh: usize, next: usize): void {
  const positive = own.i32(s, Minimal.positive) !== 0;
  const ldz = at.ptr(s, Seq.ldz);
  const ldh = at.ptr(s, Seq.ldh);
  const lddy = at.ptr(s, Seq.lddy);
  const width = rowBytes(at.i32(s, Seq.H));
  const one = simd.splat(ONE);
  for (let row: usize = 0; row < <usize>rows; row++) {
    let g = z + row * ldz;
    const from = h0 + row * ldh;
    const dhr = dh + row * ldh;
    const dyr = dy + row * lddy;
    for (let q: usize = 0; q < width; q += 16, g += next) {
      const last = g + next - 16;
      let d = v128.load(dhr + q);
      if (dy) d = f32x4.add(d, simd.flush(v128.load(dyr + q)));
      const n = v128.load(last);
      const f = v128.load(g);
      const i = v128.load(g, 16);
      const p = next === 32 ? f : f32x4.div(i, f32x4.add(f, i));
      const dn = f32x4.mul(d, p);
      const rest = f32x4.sub(d, dn);
      const e = f32x4.mul(f32x4.mul(rest, p), f32x4.sub(n, v128.load(from + q)));
      if (next !== 32) v128.store(g, simd.flush(simd.fma(e, f, f32x4.neg(e))));
      v128.store(last - 16, simd.flush(next === 32 ? e : simd.fnma(e, i, e)));
      const slope = v128.bitselect(f32x4.mul(n, f32x4.sub(one, n)), one, f32x4.lt(n, simd.splat(HALF)));
      v128.store(last, simd.flush(positive ? f32x4.mul(dn, slope) : dn));
      v128.store(dhr + q, simd.flush(rest));
    }
  }
}
