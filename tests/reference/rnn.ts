import type { CellReference } from './index.js';
import { products } from './lstm.js';

/** Elman's network: h' = f(W x + b + U u + b). */
export const rnn: CellReference = {
  step: (g, x, u, _h, c, w, settings) => {
    const { fromX, fromU } = products(g, x, u, w);
    const a = g.add(fromX, fromU);
    const f = { tanh: g.tanh, sigmoid: g.sigmoid, relu: g.relu, identity: (m: typeof a) => m }[
      settings.activation ?? 'tanh'
    ];
    return { h: f(a), c };
  },
  cases: [{ activation: 'sigmoid' }, { activation: 'relu' }, { activation: 'identity' }],
};
