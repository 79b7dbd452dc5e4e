/** Attention by its formulas, sequence by sequence. */
import type { Graph, Matrix } from './autodiff.js';
import { type Sequences, stepsOf } from './pool.js';

interface Compared {
  /** [Tq·B,F] and [Tk·B,F], projected already. */
  query: Matrix;
  keys: Matrix;
  values: Matrix;
  score: 'dot' | 'additive';
  /** [1,F] */
  v?: Matrix | undefined;
  factor: number;
}

/** Context [Tq·B,Fv] and weights [Tq·B,Tk]; zero where a query or a key is past its end. */
export function attention(
  g: Graph,
  { query, keys, values, score, v, factor }: Compared,
  sizes: { B: number; query: Sequences; keys: Sequences },
): { context: Matrix; weights: Matrix } {
  const { B } = sizes;
  const { T: Tq } = sizes.query;
  const { T: Tk } = sizes.keys;
  // one row of zeros for everything past an end
  const contexts = [g.zeros(1, values.columns)];
  const weights = [g.zeros(1, Tk)];
  const rowOf = new Map<number, number>();
  let rows = 1;
  for (let b = 0; b < B; b++) {
    const [M, L] = [stepsOf(sizes.query, b), stepsOf(sizes.keys, b)];
    if (M === 0 || L === 0) continue;
    const own = (m: Matrix, steps: number) => g.pick(m, steps, m.columns, (t, f) => (t * B + b) * m.columns + f);
    const [q, k] = [own(query, M), own(keys, L)];
    let s: Matrix;
    if (score === 'dot') s = g.scale(g.product(q, k), factor);
    else {
      // all pairs, one under the other
      const F = q.columns;
      const left = g.pick(q, M * L, F, (i, f) => Math.floor(i / L) * F + f);
      const right = g.pick(k, M * L, F, (i, f) => (i % L) * F + f);
      const pairs = g.product(g.tanh(g.add(left, right)), v as Matrix);
      s = g.pick(pairs, M, L, (i, j) => i * L + j);
    }
    const w = g.exp(
      g.sub(
        s,
        g.pick(g.logSumExp(s), M, L, (i) => i),
      ),
    );
    contexts.push(g.product(w, g.transpose(own(values, L))));
    weights.push(g.pick(w, M, Tk, (i, j) => (j < L ? i * L + j : -1)));
    for (let t = 0; t < M; t++) rowOf.set(t * B + b, rows + t);
    rows += M;
  }
  const spread = (parts: Matrix[]) => {
    const all = g.stack(parts);
    return g.pick(all, Tq * B, all.columns, (r, f) => (rowOf.get(r) ?? 0) * all.columns + f);
  };
  return { context: spread(contexts), weights: spread(weights) };
}

export interface AttentionSettings {
  score: 'dot' | 'general' | 'additive';
  scaled?: boolean;
  /** Parameters by their names without the prefix. */
  weights: Record<string, Matrix | undefined>;
}

/** The whole layer: the projections, and Luong's output tanh(Wc [context; query]) where there is Wc. */
export function attentionLayer(
  g: Graph,
  rows: { query: Matrix; keys: Matrix; values: Matrix },
  { score, scaled = false, weights }: AttentionSettings,
  sizes: { B: number; query: Sequences; keys: Sequences },
): { context: Matrix; weights: Matrix; output?: Matrix } {
  const { Wa, Wq, Wk, b, v, Wc } = weights;
  let { query, keys } = rows;
  if (Wa) keys = g.product(keys, Wa);
  if (Wq && Wk && b) {
    query = g.product(query, Wq);
    keys = g.add(g.product(keys, Wk), b);
  }
  const factor = scaled ? 1 / Math.sqrt(query.columns) : 1;
  const kind = score === 'additive' ? score : 'dot';
  const result = attention(g, { query, keys, values: rows.values, score: kind, v, factor }, sizes);
  if (!Wc) return result;
  const { B } = sizes;
  const live = (r: number) => Math.floor(r / B) < stepsOf(sizes.query, r % B);
  const all = g.tanh(g.product(g.beside(result.context, rows.query), Wc));
  return { ...result, output: g.choose(live, all, g.zeros(all.rows, all.columns)) };
}
