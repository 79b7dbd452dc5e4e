import { activated } from './activation.js';
import type { Matrix } from './autodiff.js';
import type { CellReference } from './index.js';
import { products } from './lstm.js';

/**
 * Gated recurrent unit. Gates in rows r z n:
 *
 *     r, z = σ(W x + b + U u + b)          h' = (1 - z) n + z h
 *     n = f(W x + b + r (U u + b)), or with the reset before the product n = f(W x + b + U (r u) + b)
 */
export const gru: CellReference = {
  step: (g, x, u, h, c, w, settings) => {
    const H = h.columns;
    const { fromX, fromU } = products(g, x, u, w);
    const part = (m: Matrix, n: number) => g.columns(m, n * H, (n + 1) * H);
    const { activation, gateActivation = 'sigmoid', activationClip: limit } = settings;
    const r = activated(g, gateActivation, g.add(part(fromX, 0), part(fromU, 0)), limit);
    const z = activated(g, gateActivation, g.add(part(fromX, 1), part(fromU, 1)), limit);
    let candidate = g.mul(r, part(fromU, 2));
    if (settings.reset === 'before') {
      candidate = g.product(g.mul(r, u), g.rows(w.weight_hh as Matrix, 2 * H, 3 * H));
      if (w.bias_hh) candidate = g.add(candidate, part(w.bias_hh, 2));
    }
    const net = g.add(part(fromX, 2), candidate);
    const n = activated(g, activation, net, limit);
    return { h: g.add(n, g.mul(z, g.sub(h, n))), c };
  },
  cases: [
    { activation: 'relu' },
    { reset: 'before' },
    { reset: 'before', activation: 'relu' },
    { reset: 'before', variationalDropout: 0.3 },
    { reset: 'before', weightDrop: 0.3 },
    { reset: 'before', numLayers: 2, bidirectional: true },
    { reset: 'before', bidirectional: true, ragged: true },
    { reset: 'before', H: 33, B: 4 },
    { gateActivation: 'hardSigmoid', activation: 'softsign' },
    { gateActivation: { kind: 'hardSigmoid', alpha: 0.2 }, activation: 'elu', reset: 'before', ragged: true },
    { activationClip: 0.4 },
    { activationClip: 0.3, reset: 'before', gateActivation: 'softsign', activation: 'affine', H: 17 },
    { gateActivation: ['sigmoid', 'hardSigmoid'], activation: ['scaledTanh', 'tanh'], bidirectional: true },
  ],
};
