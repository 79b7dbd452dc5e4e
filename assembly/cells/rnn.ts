import { activation, activationArray } from '../activation';
import { at, own, rowBytes } from '../at';
import { Seq } from '../layout';
import { simd } from '../simd';
import { Rnn } from './layout';

/**
 * Elman's network, one step of `rows` sequences.
 *
 *     a = x Wxᵀ + u Whᵀ + b          h₁ = f(a)          f: an `Activation`
 *
 * Elman 1990, https://doi.org/10.1207/s15516709cog1402_1.
 *
 *     z  [rows, H]  in: a; out: h₁
 */
export function rnnStep(s: usize, rows: i32, z: usize, h1: usize): void {
  const f = own.at(s, Rnn.activation);
  const ldz = at.ptr(s, Seq.ldz);
  const ldh = at.ptr(s, Seq.ldh);
  const width = rowBytes(at.i32(s, Seq.H));
  for (let row: usize = 0; row < <usize>rows; row++) {
    const a = z + row * ldz;
    const h = h1 + row * ldh;
    activationArray(f, a, a, <i32>(width >> 2));
    for (let q: usize = 0; q < width; q += 16) {
      const y = simd.flush(v128.load(a + q));
      v128.store(a + q, y);
      v128.store(h + q, y);
    }
  }
}

/**
 *     da = (dy + dh) ⊙ f'(a)
 *
 *     z   in: h₁; out: da
 *     dh  out: 0
 */
export function rnnStepBackward(s: usize, rows: i32, z: usize, dy: usize, dh: usize): void {
  const f = own.at(s, Rnn.activation);
  const ldz = at.ptr(s, Seq.ldz);
  const ldh = at.ptr(s, Seq.ldh);
  const lddy = at.ptr(s, Seq.lddy);
  const width = rowBytes(at.i32(s, Seq.H));
  const plain = activation.plain(f);
  for (let row: usize = 0; row < <usize>rows; row++) {
    const a = z + row * ldz;
    const dhr = dh + row * ldh;
    const dyr = dy + row * lddy;
    for (let q: usize = 0; q < width; q += 16) {
      let d = v128.load(dhr + q);
      if (dy) d = f32x4.add(d, simd.flush(v128.load(dyr + q)));
      v128.store(a + q, simd.flush(f32x4.mul(d, activation.slope(plain, f, v128.load(a + q)))));
      v128.store(dhr + q, f32x4.splat(0));
    }
  }
}
