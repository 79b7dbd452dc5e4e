import type { CellReference } from './index.js';
import { products } from './lstm.js';

/** Residual recurrence: h' = h + tanh(W x + b + U u + b). */
export const residual: CellReference = (g, x, u, h, c, w) => {
  const { fromX, fromU } = products(g, x, u, w);
  return { h: g.add(h, g.tanh(g.add(fromX, fromU))), c };
};
