/**
 * The steps of the quantized cells: rows of float32 sums become the next state, in float32 and in integers. The formulas are those of
 * ../cells, where their sources are; the gates are blocks of H columns here, H a multiple of eight, those with σ first.
 */
import { sigmoidArray, tanhArray } from '../math';
import { simd } from '../simd';
import { integers } from './integers';

/** z [i f o g | 4H] → c, y, q: c ← f ⊙ c + i ⊙ g, h ← o ⊙ tanh c */
export function lstmRow(z: usize, c: usize, y: usize, q: usize, H: i32, factor: f32): void {
  const width = (<usize>H) << 2;
  const zf = z + width,
    zo = zf + width,
    zg = zo + width;
  sigmoidArray(z, z, 3 * H);
  tanhArray(zg, zg, H);
  for (let k: usize = 0; k < width; k += 16) {
    const i = v128.load(z + k),
      f = v128.load(zf + k),
      g = v128.load(zg + k);
    v128.store(c + k, simd.flush(simd.fma(f, v128.load(c + k), f32x4.mul(i, g))));
  }
  tanhArray(zg, c, H);
  const scale = f32x4.splat(factor);
  for (let k: usize = 0; k < width; k += 32, q += 16) {
    const a = f32x4.mul(v128.load(zo + k), v128.load(zg + k)),
      b = f32x4.mul(v128.load(zo + k, 16), v128.load(zg + k, 16));
    v128.store(y + k, simd.flush(a));
    v128.store(y + k, simd.flush(b), 16);
    v128.store(q, integers.of(a, b, scale, scale));
  }
}

/**
 * z [r u n | 3H] from x, g the same from the state → y, q: n = tanh(z + r ⊙ g), h ← (1 - u) ⊙ n + u ⊙ h; the reset acts after the
 * product.
 */
export function gruRow(z: usize, g: usize, h: usize, y: usize, q: usize, H: i32, factor: f32): void {
  const width = (<usize>H) << 2;
  const zu = z + width,
    zn = zu + width;
  for (let k: usize = 0; k < 2 * width; k += 16) v128.store(z + k, f32x4.add(v128.load(z + k), v128.load(g + k)));
  sigmoidArray(z, z, 2 * H);
  g += 2 * width;
  for (let k: usize = 0; k < width; k += 16)
    v128.store(zn + k, simd.fma(v128.load(z + k), v128.load(g + k), v128.load(zn + k)));
  tanhArray(zn, zn, H);
  const scale = f32x4.splat(factor);
  for (let k: usize = 0; k < width; k += 32, q += 16) {
    const m = v128.load(zn + k),
      n = v128.load(zn + k, 16);
    const a = simd.fma(v128.load(zu + k), f32x4.sub(v128.load(h + k), m), m),
      b = simd.fma(v128.load(zu + k, 16), f32x4.sub(v128.load(h + k, 16), n), n);
    v128.store(y + k, simd.flush(a));
    v128.store(y + k, simd.flush(b), 16);
    v128.store(q, integers.of(a, b, scale, scale));
  }
}

/** z [H] → y, q: h ← tanh z */
export function rnnRow(z: usize, y: usize, q: usize, H: i32, factor: f32): void {
  const width = (<usize>H) << 2;
  tanhArray(z, z, H);
  const scale = f32x4.splat(factor);
  for (let k: usize = 0; k < width; k += 32, q += 16) {
    const a = v128.load(z + k),
      b = v128.load(z + k, 16);
    v128.store(y + k, simd.flush(a));
    v128.store(y + k, simd.flush(b), 16);
    v128.store(q, integers.of(a, b, scale, scale));
  }
}
