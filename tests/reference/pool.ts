/** Pooling over the steps of each sequence of x [T·B,F]: [B,F]. */
import { attention } from './attention.js';
import type { Graph, Matrix } from './autodiff.js';

export interface Sequences {
  readonly T: number;
  readonly B: number;
  readonly lengths?: readonly number[] | undefined;
}

/** Steps of sequence b. */
export const stepsOf = ({ T, lengths }: Sequences, b: number) => Math.min(lengths?.[b] ?? T, T);

export function meanPool(g: Graph, x: Matrix, s: Sequences): Matrix {
  const rows = Array.from({ length: s.B }, (_, b) => {
    const L = stepsOf(s, b);
    const steps = Array.from({ length: L }, (_, t) => g.rows(x, t * s.B + b, t * s.B + b + 1));
    return g.scale(
      steps.reduce((sum, step) => g.add(sum, step), g.zeros(1, x.columns)),
      1 / Math.max(L, 1),
    );
  });
  return g.stack(rows);
}

/** The first of equals. */
export function maxPool(g: Graph, x: Matrix, s: Sequences): Matrix {
  return g.pick(x, s.B, x.columns, (b, f) => {
    const at = (t: number) => (t * s.B + b) * x.columns + f;
    let best = -1;
    for (let t = 0; t < stepsOf(s, b); t++) if (best < 0 || x.data[at(t)] > x.data[best]) best = at(t);
    return best;
  });
}

export function lastPool(g: Graph, x: Matrix, s: Sequences): Matrix {
  return g.pick(x, s.B, x.columns, (b, f) => {
    const L = stepsOf(s, b);
    return L ? ((L - 1) * s.B + b) * x.columns + f : -1;
  });
}

/** s_t = v·tanh(W h_t + b), the mean of h by softmax(s), and the weights [B,T]. */
export function attentionPool(g: Graph, x: Matrix, w: { W: Matrix; b: Matrix; v: Matrix }, s: Sequences) {
  const query = g.zeros(s.B, w.W.rows);
  const keys = g.add(g.product(x, w.W), w.b);
  const sizes = { B: s.B, query: { ...s, T: 1, lengths: undefined }, keys: s };
  return attention(g, { query, keys, values: x, score: 'additive', v: w.v, factor: 1 }, sizes);
}
