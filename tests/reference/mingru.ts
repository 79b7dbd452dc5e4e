import type { Graph, Matrix } from './autodiff.js';
import type { CellReference } from './index.js';
import { products } from './lstm.js';

/** x, or g(x) = x + ½ where x ≥ 0 and σ(x) elsewhere. */
export function candidate(g: Graph, x: Matrix, positive: boolean | undefined): Matrix {
  if (!positive) return x;
  const sigmoid = (v: number) => 1 / (1 + Math.exp(-v));
  return g.map(
    x,
    (v) => (v >= 0 ? v + 0.5 : sigmoid(v)),
    (v, y) => (v >= 0 ? 1 : y * (1 - y)),
  );
}

/** minGRU. Gates in rows z n: h' = (1 - z) h + z n, z = σ(W x + b), n = W x + b. */
// <reference>
export const mingru: CellReference = {
  step: (g, x, u, h, c, w, settings) => {
    const H = h.columns;
    const { fromX } = products(g, x, u, w);
    const z = g.sigmoid(g.columns(fromX, 0, H));
    const n = candidate(g, g.columns(fromX, H, 2 * H), settings.positive);
    return { h: g.add(g.mul(g.shift(g.scale(z, -1), 1), h), g.mul(z, n)), c };
  },
  cases: [
    { positive: true },
    { positive: true, bidirectional: true, ragged: true },
    { positive: true, numLayers: 2, layerNorm: true, zoneoutHidden: 0.2 },
  ],
};
// </reference>
