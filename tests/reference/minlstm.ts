import type { Graph, Matrix } from './autodiff.js';
import type { CellReference } from './index.js';
import { products } from './lstm.js';
import { candidate, mingru } from './mingru.js';

/** ln σ(x). */
function logSigmoid(g: Graph, x: Matrix): Matrix {
  return g.map(
    x,
    (v) => Math.min(v, 0) - Math.log1p(Math.exp(-Math.abs(v))),
    (v) => 1 / (1 + Math.exp(v)),
  );
}

/** minLSTM. Gates in rows f i n: h' = f / (f + i) h + i / (f + i) n, f, i = σ(W x + b), n = W x + b. */
export const minlstm: CellReference = {
  step: (g, x, u, h, c, w, settings) => {
    const H = h.columns;
    const { fromX } = products(g, x, u, w);
    // f / (f + i) = σ(ln f - ln i): no division of two numbers that are both too small
    const [f, i] = [logSigmoid(g, g.columns(fromX, 0, H)), logSigmoid(g, g.columns(fromX, H, 2 * H))];
    const n = candidate(g, g.columns(fromX, 2 * H, 3 * H), settings.positive);
    return { h: g.add(g.mul(g.sigmoid(g.sub(f, i)), h), g.mul(g.sigmoid(g.sub(i, f)), n)), c };
  },
  cases: mingru.cases,
};
