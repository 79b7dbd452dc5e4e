/**
 * exp, sigmoid, tanh, log and log1p on four floats. The bounds are held by tests/math.test.ts, in units of the last place over every
 * input whose exact result is a normal number.
 *
 * Constants are loaded from memory, a number for all lanes: V8 builds a v128 constant again at every use, which costs half the speed.
 */
import { simd } from './simd';

const ONE = memory.data<f32>([1]);
const TWO = memory.data<f32>([2]);
const MINUS_HALF = memory.data<f32>([-0.5]);

const LOG2E = memory.data<f32>([1.44269504]);
const MINUS_LOG2E = memory.data<f32>([-1.44269504]);
const TWO_LOG2E = memory.data<f32>([2.88539008]);
// ln 2 in two parts; the upper one has twelve bits, so that its product with an exponent is exact
const LN2_HIGH = memory.data<f32>([0.693145751953125]);
const LN2_LOW = memory.data<f32>([1.4286068e-6]);
// 1.5·2²³ + 127: adding it rounds to an integer n and leaves n + 127 in the low bits, so that a shift by 23 gives 2ⁿ
const MAGIC = memory.data<f32>([12583039]);

// (eᵗ - 1 - t) / t² on |t| ≤ ln 2 / 2: minimax for eᵗ
const E2 = memory.data<f32>([0.49999994]);
const E3 = memory.data<f32>([0.16666521]);
const E4 = memory.data<f32>([0.04166829]);
const E5 = memory.data<f32>([0.008368704]);
const E6 = memory.data<f32>([0.0013818939]);
// the same, minimax for eᵗ - 1
const M2 = memory.data<f32>([0.49999997]);
const M3 = memory.data<f32>([0.16666545]);
const M4 = memory.data<f32>([0.04166746]);
const M5 = memory.data<f32>([0.008366432]);
const M6 = memory.data<f32>([0.0013868435]);

// below the first, eˣ is denormal or zero; above the second it is infinite
const EXP_LOW = memory.data<f32>([-87.33654]);
const EXP_HIGH = memory.data<f32>([89]);
const SIGMOID_LOW = memory.data<f32>([-87.33654]);
const SIGMOID_HIGH = memory.data<f32>([87.33]);
// tanh rounds to 1 from 9.01 on
const TANH_LOW = memory.data<f32>([-9.1]);
const TANH_HIGH = memory.data<f32>([9.1]);

const MIN_NORMAL = memory.data<f32>([1.17549435e-38]);
const TWO_23 = memory.data<f32>([8388608]);
const INFINITY = memory.data<f32>([Infinity]);
const SQRT_HALF_BITS = memory.data<i32>([0x3f3504f3]);
const MANTISSA = memory.data<i32>([0x007fffff]);
// log(1 + f) = f - f²/2 + f³·L(f) on √½ - 1 ≤ f < √2 - 1: S. Moshier, Cephes, logf.c
const L0 = memory.data<f32>([3.3333331174e-1]);
const L1 = memory.data<f32>([-2.4999993993e-1]);
const L2 = memory.data<f32>([2.0000714765e-1]);
const L3 = memory.data<f32>([-1.6668057665e-1]);
const L4 = memory.data<f32>([1.4249322787e-1]);
const L5 = memory.data<f32>([-1.2420140846e-1]);
const L6 = memory.data<f32>([1.167699874e-1]);
const L7 = memory.data<f32>([-1.151461031e-1]);
const L8 = memory.data<f32>([7.0376836292e-2]);

export class vmath {
  /**
   * eˣ = 2ⁿ·eᵗ with x = n·ln 2 + t. At most 1 ulp; 0 where the result is below the normal numbers, ∞ above 88.72.
   * The power of two is applied in two halves, so that results next to ∞ are reached.
   */
  @inline static exp(x: v128): v128 {
    const z = simd.clamp(x, simd.splat(EXP_LOW), simd.splat(EXP_HIGH));
    let n = simd.fma(z, simd.splat(LOG2E), simd.splat(MAGIC));
    const exponent = i32x4.sub(n, simd.splat(MAGIC));
    n = f32x4.sub(n, simd.splat(MAGIC));
    let t = simd.fnma(n, simd.splat(LN2_HIGH), z);
    t = simd.fnma(n, simd.splat(LN2_LOW), t);
    const t2 = f32x4.mul(t, t);
    let q = simd.fma(
      simd.fma(simd.splat(E6), t2, simd.fma(simd.splat(E5), t, simd.splat(E4))),
      t2,
      simd.fma(simd.splat(E3), t, simd.splat(E2)),
    );
    q = simd.fma(q, t2, t);
    const half = i32x4.shr_s(exponent, 1);
    const s1 = i32x4.add(simd.splat(ONE), i32x4.shl(half, 23));
    const s2 = i32x4.add(simd.splat(ONE), i32x4.shl(i32x4.sub(exponent, half), 23));
    return v128.andnot(f32x4.mul(simd.fma(q, s1, s1), s2), f32x4.lt(x, simd.splat(EXP_LOW)));
  }

  /** σ(x) = 1 / (1 + e⁻ˣ). At most 2.5 ulp; no result is denormal, NaN stays. */
  @inline static sigmoid(x: v128): v128 {
    const z = simd.clamp(x, simd.splat(SIGMOID_LOW), simd.splat(SIGMOID_HIGH));
    let n = simd.fma(z, simd.splat(MINUS_LOG2E), simd.splat(MAGIC));
    const s = i32x4.shl(n, 23);
    n = f32x4.sub(n, simd.splat(MAGIC));
    let t = simd.fma(n, simd.splat(LN2_HIGH), z); // minus the rest: -z = n·ln 2 - t
    t = simd.fma(n, simd.splat(LN2_LOW), t);
    const t2 = f32x4.mul(t, t);
    let q = simd.fma(
      simd.fma(simd.splat(E6), t2, simd.fnma(simd.splat(E5), t, simd.splat(E4))),
      t2,
      simd.fnma(simd.splat(E3), t, simd.splat(E2)),
    );
    q = f32x4.sub(f32x4.mul(q, t2), t);
    return f32x4.div(simd.splat(ONE), f32x4.add(simd.fma(q, s, s), simd.splat(ONE)));
  }

  /** tanh x = e / (e + 2) with e = e²ˣ - 1. At most 3 ulp, also next to 0; NaN stays. */
  @inline static tanh(x: v128): v128 {
    let z = simd.clamp(x, simd.splat(TANH_LOW), simd.splat(TANH_HIGH));
    let n = simd.fma(z, simd.splat(TWO_LOG2E), simd.splat(MAGIC));
    const s = i32x4.shl(n, 23);
    z = f32x4.add(z, z);
    n = f32x4.sub(n, simd.splat(MAGIC));
    let t = simd.fnma(n, simd.splat(LN2_HIGH), z);
    t = simd.fnma(n, simd.splat(LN2_LOW), t);
    const t2 = f32x4.mul(t, t);
    let q = simd.fma(
      simd.fma(simd.splat(M6), t2, simd.fma(simd.splat(M5), t, simd.splat(M4))),
      t2,
      simd.fma(simd.splat(M3), t, simd.splat(M2)),
    );
    q = simd.fma(q, t2, t);
    const e = simd.fma(q, s, f32x4.sub(s, simd.splat(ONE)));
    return f32x4.div(e, f32x4.add(e, simd.splat(TWO)));
  }

  /** What a gate does, known when it is compiled. */
  @inline static gate(tanh: bool, x: v128): v128 {
    return tanh ? vmath.tanh(x) : vmath.sigmoid(x);
  }

  /**
   * y[i] = σ(x[i]), or tanh, where the cells spend their time. Four vectors at once, all read before one is written: without a store
   * between them V8 weaves the functions into one another, and none waits for its own results. What n leaves over is made more than
   * once.
   */
  @inline static gates(tanh: bool, y: usize, x: usize, n: i32): void {
    const last = (<usize>(n - 4)) << 2;
    for (let q: usize = 0; q <= last; q += 64) {
      const q1 = min(q + 16, last),
        q2 = min(q + 32, last),
        q3 = min(q + 48, last);
      const a = vmath.gate(tanh, v128.load(x + q)),
        b = vmath.gate(tanh, v128.load(x + q1)),
        c = vmath.gate(tanh, v128.load(x + q2)),
        d = vmath.gate(tanh, v128.load(x + q3));
      v128.store(y + q, a);
      v128.store(y + q1, b);
      v128.store(y + q2, c);
      v128.store(y + q3, d);
    }
  }

  /** ln x. At most 2 ulp; -∞ at 0, NaN below, ∞ and NaN stay. Denormal inputs are exact. */
  @inline static log(x: v128): v128 {
    const denormal = f32x4.lt(x, simd.splat(MIN_NORMAL));
    const y = v128.bitselect(f32x4.mul(x, simd.splat(TWO_23)), x, denormal);
    // y = 2ᵏ·(1 + f) with √½ ≤ 1 + f < √2
    const bits = i32x4.add(y, i32x4.sub(simd.splat(ONE), simd.splat(SQRT_HALF_BITS)));
    let k = i32x4.sub(i32x4.shr_u(bits, 23), i32x4.splat(127));
    const f = f32x4.sub(i32x4.add(v128.and(bits, simd.splat(MANTISSA)), simd.splat(SQRT_HALF_BITS)), simd.splat(ONE));
    k = i32x4.sub(k, v128.and(denormal, i32x4.splat(23)));
    const n = f32x4.convert_i32x4_s(k);
    const f2 = f32x4.mul(f, f);
    const p01 = simd.fma(simd.splat(L1), f, simd.splat(L0));
    const p23 = simd.fma(simd.splat(L3), f, simd.splat(L2));
    const p45 = simd.fma(simd.splat(L5), f, simd.splat(L4));
    const p678 = simd.fma(simd.splat(L8), f2, simd.fma(simd.splat(L7), f, simd.splat(L6)));
    const f4 = f32x4.mul(f2, f2);
    const p = simd.fma(simd.fma(p678, f2, p45), f4, simd.fma(p23, f2, p01));
    let r = simd.fma(n, simd.splat(LN2_LOW), f32x4.mul(f32x4.mul(f, f2), p));
    r = simd.fma(f2, simd.splat(MINUS_HALF), r);
    r = simd.fma(n, simd.splat(LN2_HIGH), f32x4.add(f, r));
    // x ≤ 0, ∞ and NaN: the logarithm's own values
    const zero = f32x4.splat(0);
    r = v128.bitselect(f32x4.neg(simd.splat(INFINITY)), r, f32x4.eq(x, zero));
    r = v128.bitselect(f32x4.div(zero, zero), r, f32x4.lt(x, zero));
    return v128.bitselect(x, r, v128.or(f32x4.eq(x, simd.splat(INFINITY)), f32x4.ne(x, x)));
  }

  /** ln (1 + x), from the logarithm of the rounded sum, put right by what rounding took. At most 3 ulp; NaN stays. */
  @inline static log1p(x: v128): v128 {
    const one = simd.splat(ONE);
    const y = f32x4.add(one, x);
    const r = f32x4.mul(vmath.log(y), f32x4.div(x, f32x4.sub(y, one)));
    return v128.bitselect(x, r, v128.or(f32x4.eq(y, one), f32x4.eq(y, simd.splat(INFINITY))));
  }
}

/** σ and tanh as calls, where many are written or few are made. */
export function sigmoid(x: v128): v128 {
  return vmath.sigmoid(x);
}
export function tanh(x: v128): v128 {
  return vmath.tanh(x);
}

/** y[i] = eˣ⁽ⁱ⁾ and its kin over n floats, n a multiple of four; y may be x. */
export function expArray(y: usize, x: usize, n: i32): void {
  for (const end = y + ((<usize>n) << 2); y < end; y += 16, x += 16) v128.store(y, vmath.exp(v128.load(x)));
}
export function sigmoidArray(y: usize, x: usize, n: i32): void {
  vmath.gates(false, y, x, n);
}
export function tanhArray(y: usize, x: usize, n: i32): void {
  vmath.gates(true, y, x, n);
}
export function logArray(y: usize, x: usize, n: i32): void {
  for (const end = y + ((<usize>n) << 2); y < end; y += 16, x += 16) v128.store(y, vmath.log(v128.load(x)));
}
export function log1pArray(y: usize, x: usize, n: i32): void {
  for (const end = y + ((<usize>n) << 2); y < end; y += 16, x += 16) v128.store(y, vmath.log1p(v128.load(x)));
}
