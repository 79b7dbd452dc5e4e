/**
 * Functions of one number, each described by the fields of a `Fn`; their slopes are taken from the result.
 *
 *     softsign x / (1 + |x|)          softplus ln(1 + eˣ)          hardSigmoid αx + β within [0, 1]          affine αx + β
 *     elu x, below 0 α(eˣ - 1)        leakyRelu x, below 0 αx      thresholdedRelu x above α, else 0         scaledTanh α tanh(βx)
 *
 * onnx/docs/Operators.md, opset 22, under RNN. Before the function, the input is clamped to ± the limit, if there is one.
 */
import { rowBytes } from './at';
import { Activation, Fn } from './layout';
import { sigmoid, sigmoidArray, tanh, tanhArray } from './math';
import { tailMask } from './rows';
import { simd } from './simd';

const ONE = memory.data<f32>([1]);

export class activation {
  /** Which `Activation` it is, or -1 where its input is limited. */
  @inline static plain(f: usize): i32 {
    return load<i32>(f, Fn.limit << 2) ? -1 : load<i32>(f);
  }

  /** f'(x), from y = f(x). `plain`: what `plain` says of f */
  @inline static slope(plain: i32, f: usize, y: v128): v128 {
    const one = simd.splat(ONE);
    if (plain === Activation.tanh) return simd.fnma(y, y, one);
    if (plain === Activation.sigmoid) return f32x4.mul(y, f32x4.sub(one, y));
    if (plain === Activation.relu) return v128.and(one, f32x4.gt(y, f32x4.splat(0)));
    return slopeOf(f, y);
  }

  /** The same of a function that is σ, or tanh, in all but rare cases. */
  @inline static gateSlope(tanh: bool, usual: bool, f: usize, y: v128): v128 {
    if (!usual) return slopeOf(f, y);
    const one = simd.splat(ONE);
    return tanh ? simd.fnma(y, y, one) : f32x4.mul(y, f32x4.sub(one, y));
  }
}

/** eˣ - 1 for x ≤ 0, as 2t / (1 - t) with t = tanh(x/2), which is exact next to 0 as well. */
function growth(x: v128): v128 {
  const t = tanh(f32x4.mul(x, f32x4.splat(0.5)));
  return f32x4.div(f32x4.add(t, t), f32x4.sub(simd.splat(ONE), t));
}

/** f(x) */
export function activated(f: usize, x: v128): v128 {
  const kind = load<i32>(f);
  const alpha = v128.load32_splat(f, Fn.alpha << 2);
  const beta = v128.load32_splat(f, Fn.beta << 2);
  const limit = v128.load32_splat(f, Fn.limit << 2);
  const one = simd.splat(ONE);
  const zero = f32x4.splat(0);
  if (load<i32>(f, Fn.limit << 2)) x = simd.clamp(x, f32x4.neg(limit), limit);
  switch (kind) {
    case Activation.tanh:
      return tanh(x);
    case Activation.sigmoid:
      return sigmoid(x);
    case Activation.identity:
      return x;
    case Activation.softsign:
      return f32x4.div(x, f32x4.add(one, f32x4.abs(x)));
    case Activation.softplus: {
      // x, or 0 below it, and ln(1 + e) with e = exp(-|x|): 2 artanh s with s = e / (2 + e) = σ / (2 - σ) ≤ ⅓
      const p = sigmoid(f32x4.neg(f32x4.abs(x)));
      const s = f32x4.div(p, f32x4.sub(f32x4.splat(2), p));
      const s2 = f32x4.mul(s, s);
      let sum = zero;
      for (let n: f32 = 15; n > 0; n -= 2) sum = f32x4.add(f32x4.mul(sum, s2), f32x4.splat(2 / n));
      return f32x4.add(f32x4.max(x, zero), f32x4.mul(s, sum));
    }
    case Activation.hardSigmoid:
      return simd.clamp(simd.fma(alpha, x, beta), zero, one);
    case Activation.affine:
      return simd.fma(alpha, x, beta);
    case Activation.scaledTanh:
      return f32x4.mul(alpha, tanh(f32x4.mul(beta, x)));
  }
  // zero below a threshold, or what continues there
  const above = kind === Activation.thresholdedRelu ? alpha : zero;
  let low = zero;
  if (kind === Activation.leakyRelu) low = f32x4.mul(alpha, x);
  if (kind === Activation.elu) low = f32x4.mul(alpha, growth(f32x4.min(x, zero)));
  // NaN stays
  return v128.bitselect(low, x, f32x4.le(x, above));
}

/** f'(x), from y = f(x); 0 where x was at its limit. α may not be negative where the function changes at 0. */
export function slopeOf(f: usize, y: v128): v128 {
  const kind = load<i32>(f);
  const alpha = v128.load32_splat(f, Fn.alpha << 2);
  const limit = v128.load32_splat(f, Fn.limit << 2);
  const one = simd.splat(ONE);
  const zero = f32x4.splat(0);
  const positive = f32x4.gt(y, zero);
  let slope = one;
  switch (kind) {
    case Activation.tanh:
      slope = simd.fnma(y, y, one);
      break;
    case Activation.sigmoid:
      slope = f32x4.mul(y, f32x4.sub(one, y));
      break;
    case Activation.relu:
    case Activation.thresholdedRelu:
      slope = v128.and(one, positive);
      break;
    case Activation.softsign:
      slope = f32x4.sub(one, f32x4.abs(y));
      slope = f32x4.mul(slope, slope);
      break;
    case Activation.softplus:
      slope = f32x4.neg(growth(f32x4.neg(y)));
      break;
    case Activation.hardSigmoid:
      slope = v128.and(alpha, v128.and(positive, f32x4.lt(y, one)));
      break;
    case Activation.affine:
      slope = alpha;
      break;
    case Activation.scaledTanh:
      slope = f32x4.mul(v128.load32_splat(f, Fn.beta << 2), f32x4.sub(alpha, f32x4.div(f32x4.mul(y, y), alpha)));
      break;
    case Activation.elu:
      slope = v128.bitselect(one, f32x4.add(y, alpha), positive);
      break;
    case Activation.leakyRelu:
      slope = v128.bitselect(one, alpha, positive);
      break;
  }
  if (!load<i32>(f, Fn.limit << 2)) return slope;
  // rising or falling: between its values at the limits
  const a = activated(f, limit);
  const b = activated(f, f32x4.neg(limit));
  return v128.and(slope, v128.and(f32x4.lt(y, f32x4.max(a, b)), f32x4.gt(y, f32x4.min(a, b))));
}

/** y[i] = f(x[i]) over n floats, n a multiple of four; y may be x. */
export function activationArray(f: usize, y: usize, x: usize, n: i32): void {
  const plain = activation.plain(f);
  if (plain === Activation.tanh) return tanhArray(y, x, n);
  if (plain === Activation.sigmoid) return sigmoidArray(y, x, n);
  const end = y + ((<usize>n) << 2);
  if (plain === Activation.relu) {
    // x > 0 ? x : 0, where NaN stays
    for (; y < end; y += 16, x += 16) {
      const v = v128.load(x);
      v128.store(y, v128.andnot(v, f32x4.le(v, f32x4.splat(0))));
    }
    return;
  }
  for (; y < end; y += 16, x += 16) v128.store(y, activated(f, v128.load(x)));
}

/** y [R,F] = f(x); y may be x. */
export function activationForward(y: usize, x: usize, ld: usize, R: i32, F: i32, f: usize): void {
  const width = rowBytes(F);
  const last = width - 16;
  const mask = v128.load(tailMask(F));
  for (let r = 0; r < R; r++, y += ld, x += ld) {
    activationArray(f, y, x, <i32>(width >> 2));
    // σ(0) is not 0
    if (F & 3) v128.store(y + last, v128.and(v128.load(y + last), mask));
  }
}

/** dx [R,F] += dy ⊙ f'(x), from y. */
export function activationBackward(dx: usize, dy: usize, y: usize, ld: usize, R: i32, F: i32, f: usize): void {
  const width = rowBytes(F);
  const plain = activation.plain(f);
  for (let r = 0; r < R; r++, dx += ld, dy += ld, y += ld) {
    for (let q: usize = 0; q < width; q += 16) {
      const d = f32x4.mul(v128.load(dy + q), activation.slope(plain, f, v128.load(y + q)));
      v128.store(dx + q, simd.flush(f32x4.add(v128.load(dx + q), d)));
    }
  }
}
