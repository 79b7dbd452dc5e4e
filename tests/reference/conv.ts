/** A convolution over time by its definition. */
import type { Graph, Matrix } from './autodiff.js';
import type { Sequences } from './pool.js';

export interface Convolution {
  readonly kernelSize: number;
  readonly stride: number;
  readonly dilation: number;
  readonly before: number;
  readonly after: number;
}

/** Steps of the output of n steps. */
export const outputSteps = (n: number, { kernelSize, stride, dilation, before, after }: Convolution) =>
  n > 0 ? Math.max(0, Math.floor((n + before + after - dilation * (kernelSize - 1) - 1) / stride) + 1) : 0;

/** y [T'·B,O] of x [T·B,I], a weight [O,I·K] and a bias [1,O]; zeros past the ends. */
export function conv1d(
  g: Graph,
  x: Matrix,
  weight: Matrix,
  bias: Matrix | undefined,
  c: Convolution,
  { T, B, lengths }: Sequences,
): Matrix {
  const I = x.columns;
  const [steps, K] = [outputSteps(T, c), c.kernelSize];
  let y = g.zeros(steps * B, weight.rows);
  for (let k = 0; k < K; k++) {
    const seen = g.pick(x, steps * B, I, (r, i) => {
      const [t, b] = [Math.floor(r / B) * c.stride + k * c.dilation - c.before, r % B];
      return t >= 0 && t < Math.min(lengths?.[b] ?? T, T) ? (t * B + b) * I + i : -1;
    });
    const tap = g.pick(weight, weight.rows, I, (o, i) => o * I * K + i * K + k);
    y = g.add(y, g.product(seen, tap));
  }
  if (bias) y = g.add(y, bias);
  const live = (r: number) => Math.floor(r / B) < outputSteps(lengths?.[r % B] ?? T, c);
  return g.choose(live, y, g.zeros(steps * B, weight.rows));
}
