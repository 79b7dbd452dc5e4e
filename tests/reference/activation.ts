/** Functions of one number: the formulas of onnx/docs/Operators.md under RNN, their numbers and the limit of their input. */
import type { ActivationOption, Activations } from 'gatewise';
import type { Graph, Matrix } from './autodiff.js';

interface OneNumber {
  readonly f: (x: number) => number;
  /** The derivative, from x and f(x). */
  readonly slope: (x: number, y: number) => number;
}

/** Defaults are those of ONNX, but α = 1/6 of hardSigmoid. */
export function oneNumber(option: ActivationOption): OneNumber {
  const { kind, alpha, beta } =
    typeof option === 'string' ? { kind: option, alpha: undefined, beta: undefined } : option;
  const f32 = Math.fround;
  const step = (x: number) => (x > 0 ? 1 : 0);
  const [a = 1, b = 0] = [alpha, beta];
  switch (kind) {
    case 'tanh':
      return { f: Math.tanh, slope: (_, y) => 1 - y * y };
    case 'sigmoid':
      return { f: (x) => 1 / (1 + Math.exp(-x)), slope: (_, y) => y * (1 - y) };
    case 'relu':
      return { f: (x) => Math.max(x, 0), slope: step };
    case 'identity':
      return { f: (x) => x, slope: () => 1 };
    case 'softsign':
      return { f: (x) => x / (1 + Math.abs(x)), slope: (x) => 1 / (1 + Math.abs(x)) ** 2 };
    case 'softplus':
      return {
        f: (x) => Math.max(x, 0) + Math.log1p(Math.exp(-Math.abs(x))),
        slope: (x) => 1 / (1 + Math.exp(-x)),
      };
    case 'hardSigmoid': {
      const [s, t] = [f32(alpha ?? 1 / 6), f32(beta ?? 0.5)];
      const line = (x: number) => s * x + t;
      return { f: (x) => Math.min(Math.max(line(x), 0), 1), slope: (x) => (line(x) > 0 && line(x) < 1 ? s : 0) };
    }
    case 'affine':
      return { f: (x) => f32(a) * x + f32(b), slope: () => f32(a) };
    case 'scaledTanh': {
      const [s, t] = [f32(a), f32(beta ?? 1)];
      return { f: (x) => s * Math.tanh(t * x), slope: (_, y) => t * (s - (y * y) / s) };
    }
    case 'elu':
      return { f: (x) => (x > 0 ? x : f32(a) * Math.expm1(x)), slope: (x) => (x > 0 ? 1 : f32(a) * Math.exp(x)) };
    case 'leakyRelu': {
      const s = f32(alpha ?? 0.01);
      return { f: (x) => (x > 0 ? x : s * x), slope: (x) => (x > 0 ? 1 : s) };
    }
    case 'thresholdedRelu':
      return { f: (x) => (x > f32(a) ? x : 0), slope: (x) => (x > f32(a) ? 1 : 0) };
  }
}

/** f(x), of x clamped to ± the limit if there is one. `f`: of this direction, or 'tanh' */
export function activated(g: Graph, f: Activations | undefined, x: Matrix, limit = 0): Matrix {
  const { f: of, slope } = oneNumber((f ?? 'tanh') as ActivationOption);
  return g.map(limit ? g.clamp(x, limit) : x, of, slope);
}

/** The options of direction `d`: its half of each pair. */
export function ofDirection<T extends object>(options: T, d: number): T {
  const own = Object.entries(options).map(([key, value]) => {
    const pair = /Activation$|^activation$/.test(key) && Array.isArray(value);
    return [key, pair ? value[d] : value];
  });
  return Object.fromEntries(own) as T;
}
