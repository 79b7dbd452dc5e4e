/**
 * Optimizers over one contiguous run of n floats, n a multiple of four. The semantics, and the order of the operations, are
 * PyTorch's; what depends on the number of the step is computed outside. Hyperparameters are rounded to single precision where
 * PyTorch rounds them: after 1 - β. w and the moments are in/out, g is read.
 */
import { simd } from './simd';

/** x clamped to ±limit; NaN stays. */
export function clipValue(x: usize, n: i32, limit: f32): void {
  const high = f32x4.splat(limit);
  const low = f32x4.splat(-limit);
  for (const end = x + ((<usize>n) << 2); x < end; x += 16) v128.store(x, simd.clamp(v128.load(x), low, high));
}

/** g += l1·sign(w) + l2·w: the gradient of l1·|w| + l2/2·w². */
export function addDecay(g: usize, w: usize, n: i32, l1: f32, l2: f32): void {
  const a = f32x4.splat(l1);
  const b = f32x4.splat(l2);
  const zero = f32x4.splat(0);
  for (const end = g + ((<usize>n) << 2); g < end; g += 16, w += 16) {
    const x = v128.load(w);
    const up = v128.and(a, f32x4.gt(x, zero));
    const down = v128.and(a, f32x4.lt(x, zero));
    v128.store(g, f32x4.add(simd.fma(b, x, v128.load(g)), f32x4.sub(up, down)));
  }
}

/**
 * Stochastic gradient descent with momentum.
 *
 *     v = μ·v + (1 - τ)·g            w -= η·v            Nesterov: w -= η·(g + μ·v)
 *
 * Sutskever et al. 2013, https://proceedings.mlr.press/v28/sutskever13.html. `momentum` 0: v is not touched.
 */
export function sgd(
  w: usize,
  v: usize,
  g: usize,
  n: i32,
  rate: f64,
  momentum: f64,
  dampening: f64,
  nesterov: i32,
): void {
  const eta = f32x4.splat(<f32>rate);
  const mu = f32x4.splat(<f32>momentum);
  const keep = f32x4.splat(<f32>(1 - dampening));
  for (const end = w + ((<usize>n) << 2); w < end; w += 16, v += 16, g += 16) {
    let d = v128.load(g);
    if (momentum !== 0) {
      const next = simd.flush(simd.fma(mu, v128.load(v), f32x4.mul(keep, d)));
      v128.store(v, next);
      d = nesterov ? simd.fma(mu, next, d) : next;
    }
    v128.store(w, simd.fnma(eta, d, v128.load(w)));
  }
}

/**
 * RMSprop (Hinton 2012, lecture 6e), with PyTorch's place for ε.
 *
 *     s = α·s + (1 - α)·g²           d = g / (√s + ε)            w -= η·d
 *     centred: m = α·m + (1 - α)·g, √(s - m²) for √s             momentum: v = μ·v + d, w -= η·v
 *
 * `mean` 0: not centred; `momentum` 0: v is not touched.
 */
export function rmsprop(
  w: usize,
  s: usize,
  mean: usize,
  v: usize,
  g: usize,
  n: i32,
  rate: f64,
  alpha: f64,
  epsilon: f64,
  momentum: f64,
): void {
  const eta = f32x4.splat(<f32>rate);
  const a = f32x4.splat(<f32>alpha);
  const b = f32x4.splat(<f32>(1 - alpha));
  const eps = f32x4.splat(<f32>epsilon);
  const mu = f32x4.splat(<f32>momentum);
  for (const end = w + ((<usize>n) << 2); w < end; w += 16, s += 16, g += 16, v += 16) {
    const d = v128.load(g);
    const square = flushSquare(simd.fma(f32x4.mul(b, d), d, f32x4.mul(a, v128.load(s))));
    v128.store(s, square);
    let variance = square;
    if (mean) {
      const m = simd.flush(simd.fma(b, d, f32x4.mul(a, v128.load(mean))));
      v128.store(mean, m);
      variance = simd.fnma(m, m, square);
      mean += 16;
    }
    let step = f32x4.div(d, f32x4.add(f32x4.sqrt(variance), eps));
    if (momentum !== 0) {
      step = simd.fma(mu, v128.load(v), step);
      v128.store(v, step);
    }
    v128.store(w, simd.fnma(eta, step, v128.load(w)));
  }
}

/**
 * Adam (Kingma & Ba 2015, arXiv:1412.6980v9), AMSGrad (Reddi et al. 2018, arXiv:1904.09237v1), decoupled decay as in AdamW
 * (Loshchilov & Hutter 2019, arXiv:1711.05101v3).
 *
 *     w *= 1 - η·λ          m = β₁·m + (1 - β₁)·g          s = β₂·s + (1 - β₂)·g²          w -= rate·m / (√s·root + ε)
 *
 *     rate  η / (1 - β₁ᵗ)          root  1 / √(1 - β₂ᵗ)          shrink  1 - η·λ
 *     max   [n] in/out the largest s so far, used in its place; 0: not wanted
 */
export function adam(
  w: usize,
  m: usize,
  s: usize,
  max: usize,
  g: usize,
  n: i32,
  rate: f64,
  root: f64,
  shrink: f64,
  beta1: f64,
  beta2: f64,
  epsilon: f64,
): void {
  const eta = f32x4.splat(<f32>rate);
  const r = f32x4.splat(<f32>root);
  const c = f32x4.splat(<f32>shrink);
  const b1 = f32x4.splat(<f32>beta1);
  const a1 = f32x4.splat(<f32>(1 - beta1));
  const b2 = f32x4.splat(<f32>beta2);
  const a2 = f32x4.splat(<f32>(1 - beta2));
  const eps = f32x4.splat(<f32>epsilon);
  for (const end = w + ((<usize>n) << 2); w < end; w += 16, m += 16, s += 16, g += 16) {
    const d = v128.load(g);
    const mean = simd.flush(simd.fma(a1, d, f32x4.mul(b1, v128.load(m))));
    let square = flushSquare(simd.fma(f32x4.mul(a2, d), d, f32x4.mul(b2, v128.load(s))));
    v128.store(m, mean);
    v128.store(s, square);
    if (max) {
      square = f32x4.pmax(v128.load(max), square);
      v128.store(max, square);
      max += 16;
    }
    const step = f32x4.div(mean, simd.fma(f32x4.sqrt(square), r, eps));
    v128.store(w, simd.fnma(eta, step, f32x4.mul(v128.load(w), c)));
  }
}

/**
 * Adagrad (Duchi et al. 2011, https://jmlr.org/papers/v12/duchi11a.html).
 *
 *     s += g²          w -= rate·g / (√s + ε)
 */
export function adagrad(w: usize, s: usize, g: usize, n: i32, rate: f64, epsilon: f64): void {
  const eta = f32x4.splat(<f32>rate);
  const eps = f32x4.splat(<f32>epsilon);
  for (const end = w + ((<usize>n) << 2); w < end; w += 16, s += 16, g += 16) {
    const d = v128.load(g);
    const square = flushSquare(simd.fma(d, d, v128.load(s)));
    v128.store(s, square);
    v128.store(w, simd.fnma(eta, f32x4.div(d, f32x4.add(f32x4.sqrt(square), eps)), v128.load(w)));
  }
}

/** Squares below the normal numbers become 0. */
function flushSquare(x: v128): v128 {
  return v128.andnot(x, f32x4.lt(x, f32x4.splat(1.17549435e-38)));
}
