/**
 * Random numbers by counter: a block of four words is a pure function of (seed, stream, block), so that a checkpoint has to
 * keep no more than the number of the next block. Seeds and blocks are whole numbers below 2⁵³, carried as f64.
 *
 * Philox4x32-10: J. Salmon, M. Moraes, R. Dror, D. Shaw, Parallel random numbers: as easy as 1, 2, 3, SC 2011,
 * https://doi.org/10.1145/2063384.2063405
 */
import { slot } from './at';
import { vmath } from './math';

const BLOCK = memory.data(16, 16);

/** Four random words for key and counter, left at the address returned. */
export function philox(key0: u32, key1: u32, c0: u32, c1: u32, c2: u32, c3: u32): usize {
  for (let round = 0; round < 10; round++) {
    const p0 = <u64>0xd2511f53 * <u64>c0;
    const p1 = <u64>0xcd9e8d57 * <u64>c2;
    c0 = <u32>(p1 >> 32) ^ c1 ^ key0;
    c2 = <u32>(p0 >> 32) ^ c3 ^ key1;
    c1 = <u32>p1;
    c3 = <u32>p0;
    key0 += 0x9e3779b9;
    key1 += 0xbb67ae85;
  }
  store<u32>(BLOCK, c0);
  store<u32>(BLOCK, c1, 4);
  store<u32>(BLOCK, c2, 8);
  store<u32>(BLOCK, c3, 12);
  return BLOCK;
}

function draw(seed: f64, stream: u32, block: f64): usize {
  const s = <u64>seed;
  const b = <u64>block;
  return philox(<u32>s, <u32>(s >> 32), <u32>b, <u32>(b >> 32), stream, 0);
}

/** A word as a number in [0, 1), a multiple of 2⁻²⁴. */
export function unit(word: u32): f32 {
  return <f32>(word >> 8) * <f32>5.9604644775390625e-8;
}

/** One number in [0, 1): the first word of a block. */
export function uniform(seed: f64, stream: u32, block: f64): f32 {
  return unit(load<u32>(draw(seed, stream, block)));
}

/** out[0…n) uniform in [low, high), four to a block. Returns the next block. */
export function fillUniform(out: usize, n: i32, low: f32, high: f32, seed: f64, stream: u32, block: f64): f64 {
  const range = high - low;
  for (let i = 0; i < n; i++, out += 4) {
    if ((i & 3) === 0) draw(seed, stream, block++);
    store<f32>(out, low + range * unit(load<u32>(slot(BLOCK, i & 3))));
  }
  return block;
}

/** out [R,F] 0 with probability p, else `value`; what pads a row is 0. Returns the next block. */
export function fillMask(
  out: usize,
  ld: usize,
  R: i32,
  F: i32,
  p: f32,
  value: f32,
  seed: f64,
  stream: u32,
  block: f64,
): f64 {
  for (let r = 0; r < R; r++, out += ld) {
    for (let f = 0; f < <i32>(ld >> 2); f++) {
      if (f < F && (f & 3) === 0) draw(seed, stream, block++);
      const keep = f < F && unit(load<u32>(slot(BLOCK, f & 3))) >= p;
      store<f32>(slot(out, f), keep ? value : 0);
    }
  }
  return block;
}

/** out[0…n) normal, by Marsaglia's polar method: two from each pair of uniform numbers inside the circle. Returns the next block. */
export function fillNormal(out: usize, n: i32, mean: f32, deviation: f32, seed: f64, stream: u32, block: f64): f64 {
  let i = 0;
  while (i < n) {
    draw(seed, stream, block++);
    for (let pair = 0; pair < 16 && i < n; pair += 8) {
      const u = unit(load<u32>(BLOCK + pair)) * 2 - 1;
      const v = unit(load<u32>(BLOCK + pair, 4)) * 2 - 1;
      const s = u * u + v * v;
      if (s >= 1 || s === 0) continue;
      const log = f32x4.extract_lane(vmath.log(f32x4.splat(s)), 0);
      const r = deviation * Mathf.sqrt((-2 * log) / s);
      store<f32>(slot(out, i++), mean + r * u);
      if (i < n) store<f32>(slot(out, i++), mean + r * v);
    }
  }
  return block;
}

/** out[0…n) a random order of 0…n-1 (Fisher and Yates). Returns the next block. */
export function fillPermutation(out: usize, n: i32, seed: f64, stream: u32, block: f64): f64 {
  for (let i = 0; i < n; i++) store<i32>(slot(out, i), i);
  for (let i = n - 1; i > 0; i--) {
    const word = load<u32>(draw(seed, stream, block++));
    const j = <i32>((<u64>word * <u64>(i + 1)) >> 32);
    const a = slot(out, i);
    const b = slot(out, j);
    const keep = load<i32>(a);
    store<i32>(a, load<i32>(b));
    store<i32>(b, keep);
  }
  return block;
}
