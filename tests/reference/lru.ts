import { activated } from './activation.js';
import type { Matrix } from './autodiff.js';
import type { CellReference } from './index.js';
import { products } from './lstm.js';

/**
 * Linear recurrent unit. Numbers of c are complex, pairs of columns (re, im); gates in rows b d:
 *
 *     λ = exp(-exp(ν) + i exp(θ)), γ = √(1 - |λ|²)          c' = λ c + γ (W_b x + b)
 *     h' = f(Re(C c') + W_d x + b)                           weight_hr has columns Re C, -Im C in turn
 */
export const lru: CellReference = {
  step: (g, x, u, _h, c, w, settings) => {
    const { rows: B, columns: H } = c;
    const { fromX } = products(g, x, u, w);
    // ν and θ in turn
    const [r, phase] = [0, 1].map((n) => g.exp(g.pick(w.lambda as Matrix, 1, H / 2, (_, j) => 2 * j + n)));
    const m = g.exp(g.scale(r, -1));
    const turn = (f: (v: number) => number, slope: (v: number) => number) => g.mul(m, g.map(phase, f, slope));
    const re = turn(Math.cos, (v) => -Math.sin(v));
    const im = turn(Math.sin, Math.cos);
    const gamma = g.sqrt(g.shift(g.scale(g.mul(m, m), -1), 1));
    // one number for both floats of a pair; the pairs the other way round
    const wide = (a: Matrix) => g.pick(a, 1, H, (_, j) => j >> 1);
    const swapped = g.pick(c, B, H, (i, j) => i * H + (j ^ 1));
    const signs = g.matrix(
      1,
      H,
      Float64Array.from({ length: H }, (_, j) => (j % 2 ? 1 : -1)),
    );
    const turned = g.add(g.mul(c, wide(re)), g.mul(swapped, g.mul(wide(im), signs)));
    const next = g.add(turned, g.mul(g.columns(fromX, 0, H), wide(gamma)));
    const y = g.add(g.product(next, w.weight_hr as Matrix), g.columns(fromX, H, 2 * H));
    return { h: activated(g, settings.activation ?? 'identity', y), c: next };
  },
  cases: [
    { activation: 'tanh', numLayers: 2 },
    { activation: 'relu', bidirectional: true, ragged: true },
    { activation: 'sigmoid' },
    { activation: { kind: 'leakyRelu', alpha: 0.2 } },
    { layerNorm: true, activation: 'tanh', reverse: true, ragged: true },
    { activation: 'tanh', B: 4, H: 36 },
  ],
};
