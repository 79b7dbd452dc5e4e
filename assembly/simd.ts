/**
 * The vector vocabulary. This is the only place that knows which build it is: every multiply-add goes through `fma`, which is one
 * instruction in the relaxed build and two, each rounded, in the simd build.
 */

/** Magnitudes below this count as zero: denormal numbers are a hundred times slower, and products of these become denormal. */
const TINY = memory.data<f32>([1e-20]);

export class simd {
  /** The constant at this address in all lanes. */
  @inline static splat(constant: usize): v128 {
    return v128.load32_splat(constant);
  }

  /** a·b + c */
  @inline static fma(a: v128, b: v128, c: v128): v128 {
    if (ASC_FEATURE_RELAXED_SIMD) return f32x4.relaxed_madd(a, b, c);
    return f32x4.add(f32x4.mul(a, b), c);
  }

  /** c - a·b */
  @inline static fnma(a: v128, b: v128, c: v128): v128 {
    if (ASC_FEATURE_RELAXED_SIMD) return f32x4.relaxed_nmadd(a, b, c);
    return f32x4.sub(c, f32x4.mul(a, b));
  }

  /** x where |x| ≥ 1e-20, else 0; NaN stays. */
  @inline static flush(x: v128): v128 {
    return v128.andnot(x, f32x4.lt(f32x4.abs(x), v128.load32_splat(TINY)));
  }

  /** x in [low, high]; NaN stays. This order of the arguments is a bare minps, maxps. */
  @inline static clamp(x: v128, low: v128, high: v128): v128 {
    return f32x4.pmax(f32x4.pmin(x, high), low);
  }

  /** Sum of the lanes, (0 + 2) + (1 + 3). */
  @inline static sum(x: v128): f32 {
    const y = f32x4.add(x, v128.shuffle<f32>(x, x, 2, 3, 0, 1));
    return f32x4.extract_lane(y, 0) + f32x4.extract_lane(y, 1);
  }

  /** Largest lane; a NaN may be lost. */
  @inline static max(x: v128): f32 {
    const y = f32x4.pmax(x, v128.shuffle<f32>(x, x, 2, 3, 0, 1));
    const z = f32x4.pmax(y, v128.shuffle<f32>(y, y, 1, 0, 3, 2));
    return f32x4.extract_lane(z, 0);
  }
}
