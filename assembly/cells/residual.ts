import { at, rowBytes } from '../at';
import { Seq } from '../layout';
import { tanhArray } from '../math';
import { simd } from '../simd';

// <step>
/**
 * Residual recurrence, one step of `rows` sequences. Gradients do not vanish, because h₁ depends on h₀ with slope one.
 *
 *     a = x Wxᵀ + u Whᵀ + b          h₁ = h₀ + tanh(a)          without feedback: a = x Wxᵀ + b
 *
 * He et al. 2016, arXiv:1512.03385v1, over time instead of depth.
 *
 *     z  [rows, H]  in: a; out: tanh(a)
 */
export function residualStep(s: usize, rows: i32, z: usize, h0: usize, h1: usize): void {
  const ldz = at.ptr(s, Seq.ldz);
  const ldh = at.ptr(s, Seq.ldh);
  const width = rowBytes(at.i32(s, Seq.H));
  for (let row: usize = 0; row < <usize>rows; row++) {
    const a = z + row * ldz;
    const from = h0 + row * ldh;
    const to = h1 + row * ldh;
    tanhArray(a, a, <i32>(width >> 2));
    for (let q: usize = 0; q < width; q += 16) {
      v128.store(to + q, simd.flush(f32x4.add(v128.load(from + q), v128.load(a + q))));
    }
  }
}
// </step>

// <backward>
/**
 *     d = dy + dh          da = d ⊙ (1 - g²)          dh₀ = d
 *
 *     z   in: g = tanh(a); out: da
 *     dh  out: d
 */
export function residualStepBackward(s: usize, rows: i32, z: usize, dy: usize, dh: usize): void {
  const ldz = at.ptr(s, Seq.ldz);
  const ldh = at.ptr(s, Seq.ldh);
  const lddy = at.ptr(s, Seq.lddy);
  const width = rowBytes(at.i32(s, Seq.H));
  for (let row: usize = 0; row < <usize>rows; row++) {
    const a = z + row * ldz;
    const dhr = dh + row * ldh;
    const dyr = dy + row * lddy;
    for (let q: usize = 0; q < width; q += 16) {
      let d = v128.load(dhr + q);
      if (dy) d = f32x4.add(d, simd.flush(v128.load(dyr + q)));
      const g = v128.load(a + q);
      v128.store(a + q, simd.flush(f32x4.mul(d, simd.fnma(g, g, f32x4.splat(1)))));
      v128.store(dhr + q, d);
    }
  }
}
// </backward>
