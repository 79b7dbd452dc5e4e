/**
 * Products of integers. A matrix of weights [N,K] is packed in panels of 32 columns, two consecutive k for each column:
 *
 *     panel p:  [K/2][32][2]   the weights of the columns 32p … 32p + 31; K is rounded up to a multiple of two, N of 32, with zeros
 *
 * One instruction, `i32x4.dot_i16x8_s`, multiplies four columns with two numbers of the input and adds the two products.
 */
import { WIDTH } from './layout';

/** Bytes of a pair of 16-bit rows of a panel. */
const LINE16 = 4 * WIDTH;

class sums {
  /** y = init + scale ⊙ sum, for four columns. It is rounded twice in every build, so that every build gives the same bits. */
  @inline static finish(y: usize, init: usize, scale: usize, sum: v128, offset: usize): void {
    const product = f32x4.mul(f32x4.convert_i32x4_s(sum), v128.load(scale + offset));
    v128.store(y + offset, f32x4.add(v128.load(init + offset), product));
  }

  /** Neighbouring lanes added: (a0 + a1, a2 + a3, b0 + b1, b2 + b3). */
  @inline static pairs(a: v128, b: v128): v128 {
    return i32x4.add(v128.shuffle<i32>(a, b, 0, 2, 4, 6), v128.shuffle<i32>(a, b, 1, 3, 5, 7));
  }

  /** sum + w · digits, four products a lane. */
  @inline static dot(w: v128, digits: v128, sum: v128): v128 {
    return ASC_FEATURE_RELAXED_SIMD ? i32x4.relaxed_dot_i8x16_i7x16_add_s(w, digits, sum) : sum;
  }

  /** 128·high + low + offset */
  @inline static digits(high: v128, low: v128, offsets: usize, offset: usize): v128 {
    return i32x4.add(i32x4.add(i32x4.shl(high, 7), low), v128.load(offsets + offset));
  }
}

/**
 * y [R,N] = init + scale ⊙ (q Wᵀ)
 *
 *     y      [R,N]  f32, overwritten; may be init
 *     init   [R,N]  f32, rows ldi bytes apart; 0: one row for all
 *     q      [R,K]  i16, rows ldq bytes apart, zero from K to the next multiple of two
 *     w             the panels
 *     scale  [N]    f32
 */
export function product16(
  y: usize,
  ldy: usize,
  init: usize,
  ldi: usize,
  q: usize,
  ldq: usize,
  w: usize,
  scale: usize,
  R: i32,
  panels: i32,
  K: i32,
): void {
  const bytes = <usize>((K + 1) >> 1) * LINE16;
  for (let p = 0; p < panels; p++) {
    let a = q;
    let from = init;
    let to = y;
    let r = 0;
    for (; r + 2 <= R; r += 2) {
      pair16(to, ldy, from, ldi, a, ldq, w, scale, bytes);
      pair16(to + 64, ldy, from + 64, ldi, a, ldq, w + 64, scale + 64, bytes);
      a += 2 * ldq;
      from += 2 * ldi;
      to += 2 * ldy;
    }
    if (r < R) row16(to, from, a, w, scale, bytes);
    y += LINE16;
    init += LINE16;
    scale += LINE16;
    w += bytes;
  }
}

/** One row, 32 columns. */
function row16(y: usize, init: usize, a: usize, w: usize, scale: usize, bytes: usize): void {
  let s0 = i32x4.splat(0),
    s1 = s0,
    s2 = s0,
    s3 = s0,
    s4 = s0,
    s5 = s0,
    s6 = s0,
    s7 = s0;
  const end = w + bytes;
  do {
    const x = v128.load32_splat(a);
    s0 = i32x4.add(s0, i32x4.dot_i16x8_s(x, v128.load(w)));
    s1 = i32x4.add(s1, i32x4.dot_i16x8_s(x, v128.load(w, 16)));
    s2 = i32x4.add(s2, i32x4.dot_i16x8_s(x, v128.load(w, 32)));
    s3 = i32x4.add(s3, i32x4.dot_i16x8_s(x, v128.load(w, 48)));
    s4 = i32x4.add(s4, i32x4.dot_i16x8_s(x, v128.load(w, 64)));
    s5 = i32x4.add(s5, i32x4.dot_i16x8_s(x, v128.load(w, 80)));
    s6 = i32x4.add(s6, i32x4.dot_i16x8_s(x, v128.load(w, 96)));
    s7 = i32x4.add(s7, i32x4.dot_i16x8_s(x, v128.load(w, 112)));
    a += 4;
    w += LINE16;
  } while (w !== end);
  sums.finish(y, init, scale, s0, 0);
  sums.finish(y, init, scale, s1, 16);
  sums.finish(y, init, scale, s2, 32);
  sums.finish(y, init, scale, s3, 48);
  sums.finish(y, init, scale, s4, 64);
  sums.finish(y, init, scale, s5, 80);
  sums.finish(y, init, scale, s6, 96);
  sums.finish(y, init, scale, s7, 112);
}

/** Two rows, the 16 columns of half a panel. */
function pair16(
  y: usize,
  ldy: usize,
  init: usize,
  ldi: usize,
  a: usize,
  ldq: usize,
  w: usize,
  scale: usize,
  bytes: usize,
): void {
  let s0 = i32x4.splat(0),
    s1 = s0,
    s2 = s0,
    s3 = s0,
    t0 = s0,
    t1 = s0,
    t2 = s0,
    t3 = s0;
  let b = a + ldq;
  const end = w + bytes;
  do {
    const x0 = v128.load32_splat(a),
      x1 = v128.load32_splat(b);
    const w0 = v128.load(w);
    s0 = i32x4.add(s0, i32x4.dot_i16x8_s(x0, w0));
    t0 = i32x4.add(t0, i32x4.dot_i16x8_s(x1, w0));
    const w1 = v128.load(w, 16);
    s1 = i32x4.add(s1, i32x4.dot_i16x8_s(x0, w1));
    t1 = i32x4.add(t1, i32x4.dot_i16x8_s(x1, w1));
    const w2 = v128.load(w, 32);
    s2 = i32x4.add(s2, i32x4.dot_i16x8_s(x0, w2));
    t2 = i32x4.add(t2, i32x4.dot_i16x8_s(x1, w2));
    const w3 = v128.load(w, 48);
    s3 = i32x4.add(s3, i32x4.dot_i16x8_s(x0, w3));
    t3 = i32x4.add(t3, i32x4.dot_i16x8_s(x1, w3));
    a += 4;
    b += 4;
    w += LINE16;
  } while (w !== end);
  sums.finish(y, init, scale, s0, 0);
  sums.finish(y, init, scale, s1, 16);
  sums.finish(y, init, scale, s2, 32);
  sums.finish(y, init, scale, s3, 48);
  sums.finish(y + ldy, init + ldi, scale, t0, 0);
  sums.finish(y + ldy, init + ldi, scale, t1, 16);
  sums.finish(y + ldy, init + ldi, scale, t2, 32);
  sums.finish(y + ldy, init + ldi, scale, t3, 48);
}

/** What is added to an input of eight-bit weights, so that it is in 0 … 2¹⁴ - 1: two digits of seven bits. */
const OFFSET = 8192;

/** Bytes of the lines of a panel of eight bits for eight numbers of the input. */
const LINE8 = 8 * WIDTH;

/**
 * The same with weights of eight bits, a quarter of the memory of float32.
 *
 *     panel p:  [K/4][32][4]   four consecutive k for each column, i8; K is rounded up to a multiple of eight, with zeros
 *     q         within ±8191; the second half of each row is room for its digits
 *     scale     [2,N]          f32, then -8192·Σw of each column, i32
 *
 * The simd build extends the weights to 16 bits. The relaxed build takes an input apart, q + 8192 = 128·high + low, and has
 *
 *     Σ q·w = 128·Σ high·w + Σ low·w - 8192·Σw        modulo 2³²
 *
 * The result of `relaxed_dot_i8x16_i7x16_add_s` depends on the processor only for digits that have the eighth bit, or where two
 * products exceed 16 bits; 2·127·127 does not. So both builds, on all processors, come to the same sums.
 */
export function product8(
  y: usize,
  ldy: usize,
  init: usize,
  ldi: usize,
  q: usize,
  ldq: usize,
  w: usize,
  scale: usize,
  R: i32,
  panels: i32,
  K: i32,
): void {
  const lines = <usize>((K + 7) >> 3);
  const bytes = lines * LINE8;
  const offsets = <usize>panels * LINE16;
  if (ASC_FEATURE_RELAXED_SIMD) for (let r: usize = 0; r < <usize>R; r++) digits(q + r * ldq, ldq >> 1, lines);
  for (let p = 0; p < panels; p++) {
    for (let r: usize = 0; r < <usize>R; r++) {
      const to = y + r * ldy,
        from = init + r * ldi,
        a = q + r * ldq;
      if (ASC_FEATURE_RELAXED_SIMD) {
        halfRelaxed(to, from, a + (ldq >> 1), w, scale, scale + offsets, bytes);
        halfRelaxed(to + 64, from + 64, a + (ldq >> 1), w + 64, scale + 64, scale + offsets + 64, bytes);
      } else {
        half8(to, from, a, w, scale, bytes);
        half8(to + 64, from + 64, a, w + 64, scale + 64, bytes);
      }
    }
    y += LINE16;
    init += LINE16;
    scale += LINE16;
    w += bytes;
  }
}

/** The digits of eight numbers at once, eight high ones and eight low ones, `half` bytes further on. */
function digits(q: usize, half: usize, lines: usize): void {
  const offset = i16x8.splat(<i16>OFFSET),
    low = i16x8.splat(127);
  for (let i: usize = 0; i < lines; i++, q += 16) {
    const u = i16x8.add(v128.load(q), offset);
    v128.store(q + half, i8x16.narrow_i16x8_u(i16x8.shr_u(u, 7), v128.and(u, low)));
  }
}

/** One row, the 16 columns of half a panel: an accumulator holds two columns, two sums each. */
function half8(y: usize, init: usize, a: usize, w: usize, scale: usize, bytes: usize): void {
  let s0 = i32x4.splat(0),
    s1 = s0,
    s2 = s0,
    s3 = s0,
    s4 = s0,
    s5 = s0,
    s6 = s0,
    s7 = s0;
  const end = w + bytes;
  do {
    const x = v128.load64_splat(a);
    s0 = i32x4.add(s0, i32x4.dot_i16x8_s(x, v128.load_ext<i8>(w)));
    s1 = i32x4.add(s1, i32x4.dot_i16x8_s(x, v128.load_ext<i8>(w, 8)));
    s2 = i32x4.add(s2, i32x4.dot_i16x8_s(x, v128.load_ext<i8>(w, 16)));
    s3 = i32x4.add(s3, i32x4.dot_i16x8_s(x, v128.load_ext<i8>(w, 24)));
    s4 = i32x4.add(s4, i32x4.dot_i16x8_s(x, v128.load_ext<i8>(w, 32)));
    s5 = i32x4.add(s5, i32x4.dot_i16x8_s(x, v128.load_ext<i8>(w, 40)));
    s6 = i32x4.add(s6, i32x4.dot_i16x8_s(x, v128.load_ext<i8>(w, 48)));
    s7 = i32x4.add(s7, i32x4.dot_i16x8_s(x, v128.load_ext<i8>(w, 56)));
    a += 8;
    w += LINE8 >> 1;
  } while (w !== end);
  sums.finish(y, init, scale, sums.pairs(s0, s1), 0);
  sums.finish(y, init, scale, sums.pairs(s2, s3), 16);
  sums.finish(y, init, scale, sums.pairs(s4, s5), 32);
  sums.finish(y, init, scale, sums.pairs(s6, s7), 48);
}

/** The same from digits. */
function halfRelaxed(y: usize, init: usize, a: usize, w: usize, scale: usize, offset: usize, bytes: usize): void {
  let s0 = i32x4.splat(0),
    s1 = s0,
    s2 = s0,
    s3 = s0,
    t0 = s0,
    t1 = s0,
    t2 = s0,
    t3 = s0;
  const end = w + bytes;
  do {
    let high = v128.load32_splat(a),
      low = v128.load32_splat(a, 8);
    let w0 = v128.load(w),
      w1 = v128.load(w, 16),
      w2 = v128.load(w, 32),
      w3 = v128.load(w, 48);
    s0 = sums.dot(w0, high, s0);
    t0 = sums.dot(w0, low, t0);
    s1 = sums.dot(w1, high, s1);
    t1 = sums.dot(w1, low, t1);
    s2 = sums.dot(w2, high, s2);
    t2 = sums.dot(w2, low, t2);
    s3 = sums.dot(w3, high, s3);
    t3 = sums.dot(w3, low, t3);
    high = v128.load32_splat(a, 4);
    low = v128.load32_splat(a, 12);
    w0 = v128.load(w, 128);
    w1 = v128.load(w, 144);
    w2 = v128.load(w, 160);
    w3 = v128.load(w, 176);
    s0 = sums.dot(w0, high, s0);
    t0 = sums.dot(w0, low, t0);
    s1 = sums.dot(w1, high, s1);
    t1 = sums.dot(w1, low, t1);
    s2 = sums.dot(w2, high, s2);
    t2 = sums.dot(w2, low, t2);
    s3 = sums.dot(w3, high, s3);
    t3 = sums.dot(w3, low, t3);
    a += 16;
    w += LINE8;
  } while (w !== end);
  sums.finish(y, init, scale, sums.digits(s0, t0, offset, 0), 0);
  sums.finish(y, init, scale, sums.digits(s1, t1, offset, 16), 16);
  sums.finish(y, init, scale, sums.digits(s2, t2, offset, 32), 32);
  sums.finish(y, init, scale, sums.digits(s3, t3, offset, 48), 48);
}
