import { vmath } from './math';
import { tailMask } from './rows';
import { simd } from './simd';

const LOWEST = memory.data<f32>([-Infinity]);

/**
 * p = softmax(x) over V floats, both padded rows; p may be x. Lanes of p past V become 0. Returns ln Σ eˣ in double precision, so that
 * a logarithm of probability loses nothing where x is large.
 */
export function softmaxRow(p: usize, x: usize, V: i32): f64 {
  const whole = (<usize>(V & ~3)) << 2;
  const mask = v128.load(tailMask(V));
  let high = simd.splat(LOWEST);
  for (let q: usize = 0; q < whole; q += 16) high = f32x4.pmax(high, v128.load(x + q));
  if (V & 3) high = f32x4.pmax(high, v128.bitselect(v128.load(x + whole), simd.splat(LOWEST), mask));
  const max = simd.max(high);
  const shift = f32x4.splat(max);
  let sum = f32x4.splat(0);
  for (let q: usize = 0; q < whole; q += 16) {
    const e = vmath.exp(f32x4.sub(v128.load(x + q), shift));
    v128.store(p + q, e);
    sum = f32x4.add(sum, e);
  }
  if (V & 3) {
    const e = v128.and(vmath.exp(f32x4.sub(v128.load(x + whole), shift)), mask);
    v128.store(p + whole, e);
    sum = f32x4.add(sum, e);
  }
  const total = f32x4.splat(simd.sum(sum));
  const scale = f32x4.div(f32x4.splat(1), total);
  for (let q: usize = 0; q < (<usize>V) << 2; q += 16) v128.store(p + q, f32x4.mul(v128.load(p + q), scale));
  return <f64>max + <f64>f32x4.extract_lane(vmath.log(total), 0);
}
