import type { Graph, Matrix } from './autodiff.js';

/**
 * One step of an LSTM.
 *
 *     i f g o = x Wxᵀ + bx + h Whᵀ + bh, gate by gate H columns
 *     c' = σ(f) ⊙ c + σ(i) ⊙ tanh(g)          h' = σ(o) ⊙ tanh(c')
 */
export function lstm(
  graph: Graph,
  x: Matrix,
  h: Matrix,
  c: Matrix,
  { weight_ih: wx, weight_hh: wh, bias_ih: bx, bias_hh: bh }: Record<string, Matrix>,
): { h: Matrix; c: Matrix } {
  const g = graph;
  const H = c.columns;
  const a = g.add(g.add(g.add(g.product(x, wx as Matrix), bx as Matrix), g.product(h, wh as Matrix)), bh as Matrix);
  const gate = (n: number) => g.columns(a, n * H, (n + 1) * H);
  const next = g.add(g.mul(g.sigmoid(gate(1)), c), g.mul(g.sigmoid(gate(0)), g.tanh(gate(2))));
  return { h: g.mul(g.sigmoid(gate(3)), g.tanh(next)), c: next };
}
