import { activated } from './activation.js';
import type { CellReference } from './index.js';
import { products } from './lstm.js';

/** Elman's network: h' = f(W x + b + U u + b). */
export const rnn: CellReference = {
  step: (g, x, u, _h, c, w, settings) => {
    const { fromX, fromU } = products(g, x, u, w);
    const a = g.add(fromX, fromU);
    return { h: activated(g, settings.activation, a, settings.activationClip), c };
  },
  cases: [
    { activation: 'sigmoid' },
    { activation: 'relu' },
    { activation: 'identity' },
    { activation: 'softsign' },
    { activation: 'softplus' },
    { activation: 'hardSigmoid' },
    { activation: { kind: 'hardSigmoid', alpha: 0.2, beta: 0.4 }, ragged: true },
    { activation: { kind: 'affine', alpha: -0.7, beta: 0.1 } },
    { activation: { kind: 'scaledTanh', alpha: 1.2, beta: -0.6 } },
    { activation: 'elu' },
    { activation: { kind: 'elu', alpha: 0.4 } },
    { activation: { kind: 'leakyRelu', alpha: 0.2 }, H: 17 },
    { activation: { kind: 'thresholdedRelu', alpha: 0.1 } },
    { activationClip: 0.4 },
    { activation: { kind: 'affine', alpha: -0.7, beta: 0.1 }, activationClip: 0.5 },
    { activation: { kind: 'elu', alpha: 0.4 }, activationClip: 0.5, ragged: true },
    { activation: ['softsign', { kind: 'leakyRelu', alpha: 0.3 }], bidirectional: true, ragged: true },
  ],
};
