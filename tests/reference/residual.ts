import type { CellReference } from './index.js';
import { products } from './lstm.js';

/** Residual recurrence: h' = h + tanh(W x + b + U u + b). */
// <reference>
export const residual: CellReference = {
  step: (g, x, u, h, c, w) => {
    const { fromX, fromU } = products(g, x, u, w);
    return { h: g.add(h, g.tanh(g.add(fromX, fromU))), c };
  },
  cases: [{ feedback: false }, { feedback: false, bidirectional: true, ragged: true }],
  longScale: 0.1,
};
// </reference>
