/**
 * exp and log on two doubles, for sums over all paths through a sequence: what single precision loses at one step would add up over
 * a thousand. Good to 1e-12, of the result for exp, absolute for log.
 */

/** The value of ln 0 in such sums: finite, so that no difference of two of them is NaN. */
export const NEVER: f64 = -1e300;

const ONE = memory.data<f64>([1], 16);
const LOG2E = memory.data<f64>([1.4426950408889634], 8);
const LN2 = memory.data<f64>([0.6931471805599453], 8);
// below it, eˣ counts as 0
const EXP_LOW = memory.data<f64>([-708], 8);
// 1.5·2⁵² + 1023: adding it rounds to an integer n and leaves n + 1023 in the low bits, so that a shift by 52 gives 2ⁿ
const MAGIC = memory.data<f64>([6755399441056767], 8);
// 2⁵², into whose low bits an exponent goes, and the same with the bias of exponents
const TWO_52 = memory.data<f64>([4503599627370496], 8);
const BIASED = memory.data<f64>([4503599627371519], 8);
const SQRT_HALF_BITS = memory.data<i64>([0x3fe6a09e00000000], 8);
const MANTISSA = memory.data<i64>([0x000fffffffffffff], 8);
// 1/2! … 1/10!
const E = memory.data<f64>(
  [
    0.5, 0.16666666666666666, 0.041666666666666664, 0.008333333333333333, 0.001388888888888889, 0.0001984126984126984,
    0.0000248015873015873, 0.0000027557319223985893, 2.755731922398589e-7,
  ],
  16,
);
// 2/3, 2/5 … 2/13: ln((1 + s) / (1 - s)) = 2s + s³·L(s²)
const L = memory.data<f64>(
  [0.6666666666666666, 0.4, 0.2857142857142857, 0.2222222222222222, 0.18181818181818182, 0.15384615384615385],
  16,
);

export class dmath {
  /** a·b + c */
  @inline static fma(a: v128, b: v128, c: v128): v128 {
    return f64x2.add(f64x2.mul(a, b), c);
  }

  /** The two numbers at c as c₀ + c₁·x */
  @inline static line(c: usize, x: v128): v128 {
    return dmath.fma(v128.load64_splat(c, 8), x, v128.load64_splat(c));
  }

  /** eˣ of numbers up to 700; NaN stays. */
  static exp(x: v128): v128 {
    const z = f64x2.pmax(x, v128.load64_splat(EXP_LOW));
    let n = dmath.fma(z, v128.load64_splat(LOG2E), v128.load64_splat(MAGIC));
    const s = i64x2.shl(n, 52);
    n = f64x2.sub(n, v128.load64_splat(MAGIC));
    const t = f64x2.sub(z, f64x2.mul(n, v128.load64_splat(LN2)));
    const t2 = f64x2.mul(t, t);
    const t4 = f64x2.mul(t2, t2);
    const high = dmath.fma(v128.load64_splat(E, 64), t4, dmath.fma(dmath.line(E + 48, t), t2, dmath.line(E + 32, t)));
    const q = dmath.fma(high, t4, dmath.fma(dmath.line(E + 16, t), t2, dmath.line(E, t)));
    return v128.andnot(dmath.fma(dmath.fma(q, t2, t), s, s), f64x2.lt(x, v128.load64_splat(EXP_LOW)));
  }

  /** ln x of positive normal numbers; NaN stays. */
  static log(x: v128): v128 {
    const one = v128.load64_splat(ONE);
    const root = v128.load64_splat(SQRT_HALF_BITS);
    // x = 2ᵏ·m with √½ ≤ m < √2
    const bits = i64x2.add(x, i64x2.sub(one, root));
    const k = f64x2.sub(v128.or(i64x2.shr_u(bits, 52), v128.load64_splat(TWO_52)), v128.load64_splat(BIASED));
    const m = i64x2.add(v128.and(bits, v128.load64_splat(MANTISSA)), root);
    const s = f64x2.div(f64x2.sub(m, one), f64x2.add(m, one));
    const s2 = f64x2.mul(s, s);
    const s4 = f64x2.mul(s2, s2);
    const q = dmath.fma(dmath.fma(dmath.line(L + 32, s2), s4, dmath.line(L + 16, s2)), s4, dmath.line(L, s2));
    const r = dmath.fma(f64x2.mul(s, s2), q, f64x2.add(s, s));
    // x - x is 0, or NaN
    return f64x2.add(dmath.fma(k, v128.load64_splat(LN2), r), f64x2.sub(x, x));
  }

  static exp1(x: f64): f64 {
    return f64x2.extract_lane(dmath.exp(f64x2.splat(x)), 0);
  }

  static log1(x: f64): f64 {
    return f64x2.extract_lane(dmath.log(f64x2.splat(x)), 0);
  }

  /** Sum of the lanes. */
  @inline static sum(x: v128): f64 {
    return f64x2.extract_lane(x, 0) + f64x2.extract_lane(x, 1);
  }

  /** ln (eᵃ + eᵇ + eᶜ); a NaN may be lost. */
  static logSum(a: v128, b: v128, c: v128): v128 {
    const high = f64x2.pmax(a, b);
    const low = f64x2.pmin(a, b);
    const m = f64x2.pmax(high, c);
    const second = dmath.exp(f64x2.sub(f64x2.pmax(low, f64x2.pmin(high, c)), m));
    const third = dmath.exp(f64x2.sub(f64x2.pmin(low, c), m));
    return f64x2.add(m, dmath.log(f64x2.add(v128.load64_splat(ONE), f64x2.add(second, third))));
  }

  /** ln (eᵃ + eᵇ) */
  static logAdd(a: f64, b: f64): f64 {
    return max(a, b) + dmath.log1(1 + dmath.exp1(min(a, b) - max(a, b)));
  }
}

/** Address of element i of an array of doubles. */
export function cell(array: usize, i: i32): usize {
  return array + ((<usize>i) << 3);
}

export function addTo(at: usize, value: f64): void {
  store<f64>(at, load<f64>(at) + value);
}
