/** The Neural Turing Machine in double precision: arXiv:1410.5401v2, equations 1 to 9, sequence by sequence. */
import type { Graph, Matrix } from './autodiff.js';
import { lstm } from './lstm.js';

export interface Sizes {
  readonly hiddenSize: number;
  readonly slots: number;
  readonly width: number;
  readonly shift: number;
}

const EPSILON = 1e-8;

function softmax(g: Graph, x: Matrix): Matrix {
  const lse = g.logSumExp(x);
  return g.exp(
    g.sub(
      x,
      g.pick(lse, 1, x.columns, () => 0),
    ),
  );
}

/** ln(1 + eˣ) as ln Σ of the two. */
const softplus = (g: Graph, x: Matrix) => g.logSumExp(g.beside(x, g.zeros(1, 1)));

/** Norms of rows [n,W] as one row [1,n]. */
const norms = (g: Graph, m: Matrix) => g.transpose(g.sqrt(g.shift(g.sumRows(g.mul(m, m)), EPSILON)));

/** Weights [1,N] of a head, from its raw numbers [1,W+3+C]. */
export function address(
  g: Graph,
  raw: Matrix,
  m: Matrix,
  before: Matrix,
  { width: W, shift, slots: N }: Sizes,
): Matrix {
  const one = (i: number) => g.columns(raw, W + i, W + i + 1);
  const k = g.tanh(g.columns(raw, 0, W));
  const beta = softplus(g, one(0));
  const gate = g.sigmoid(one(1));
  const gamma = g.shift(softplus(g, one(2)), 1);
  const s = softmax(g, g.columns(raw, W + 3, raw.columns));
  const cosine = g.div(g.product(k, m), g.mul(norms(g, m), norms(g, k)));
  const content = softmax(g, g.mul(cosine, beta));
  const v = g.add(g.mul(content, gate), g.mul(before, g.shift(g.scale(gate, -1), 1)));
  let u = g.shift(g.zeros(1, N), EPSILON);
  for (let j = -shift; j <= shift; j++) {
    const moved = g.pick(v, 1, N, (_, i) => (i - j + N) % N);
    u = g.add(u, g.mul(moved, g.columns(s, j + shift, j + shift + 1)));
  }
  return softmax(g, g.mul(g.log(u), gamma));
}

/** One step: the memory [N,W] and the weights after it, and what is read [1,W]. */
export function step(g: Graph, raw: Matrix, m: Matrix, r0: Matrix, w0: Matrix, sizes: Sizes) {
  const { width: W, shift, slots: N } = sizes;
  const size = W + 3 + 2 * shift + 1;
  const read = address(g, g.columns(raw, 0, size), m, r0, sizes);
  const write = address(g, g.columns(raw, size, 2 * size), m, w0, sizes);
  const e = g.sigmoid(g.columns(raw, 2 * size, 2 * size + W));
  const a = g.tanh(g.columns(raw, 2 * size + W, 2 * size + 2 * W));
  // outer products [N,W]
  const column = g.transpose(write);
  const outer = (x: Matrix) =>
    g.mul(
      g.pick(column, N, W, (i) => i),
      g.pick(x, N, W, (_, j) => j),
    );
  const after = g.add(g.mul(m, g.shift(g.scale(outer(e), -1), 1)), outer(a));
  return { memory: after, read, write, y: g.product(read, g.transpose(after)) };
}

/** Outputs [1,O] of all steps of one sequence, and the weights of both heads; weights by their names without the prefix. */
export function network(g: Graph, x: readonly Matrix[], w: Readonly<Record<string, Matrix>>, sizes: Sizes) {
  const { hiddenSize: H, slots: N, width: W } = sizes;
  const own = Object.fromEntries(
    ['weight_ih', 'weight_hh', 'bias_ih', 'bias_hh'].map((name) => [name, w[`controller.${name}_l0`]]),
  );
  const filled = (rows: number, columns: number, value: (i: number) => number) =>
    g.matrix(
      rows,
      columns,
      Float64Array.from({ length: rows * columns }, (_, i) => value(i)),
    );
  let m = filled(N, W, () => Math.fround(1e-6));
  let [r, write] = [filled(1, N, (i) => (i === 0 ? 1 : 0)), filled(1, N, (i) => (i === 0 ? 1 : 0))];
  let [h, c, y] = [g.zeros(1, H), g.zeros(1, H), g.zeros(1, W)];
  return x.map((input) => {
    ({ h, c } = lstm.step(g, g.beside(input, y), h, h, c, own, {}));
    const raw = g.add(g.product(h, w['heads.weight']), w['heads.bias']);
    const next = step(g, raw, m, r, write, sizes);
    [m, r, write, y] = [next.memory, next.read, next.write, next.y];
    return { output: g.add(g.product(g.beside(h, y), w['head.weight']), w['head.bias']), read: r, write };
  });
}
