/** What the formulas say of a training step of an LSTM: operations and bytes. */
import { GRAD_BLOCK, GRAD_PANELS, PANEL } from '#dist/assembly/layout.js';

export interface Shape {
  readonly T: number;
  readonly B: number;
  readonly I: number;
  readonly H: number;
  readonly L: number;
}

function inputsOf({ I, H, L }: Shape): number[] {
  return Array.from({ length: L }, (_, l) => (l === 0 ? I : H));
}

/** Operations of the matrix products: forward, for the gradients of x and h, for those of the weights; none with the state of zeros. */
export function flopsOf(shape: Shape): number {
  const { T, B, H } = shape;
  return inputsOf(shape).reduce((flops, I) => flops + 3 * 2 * B * 4 * H * (T * I + (T - 1) * H), 0);
}

/** Bytes in use while training with Adam: the formula in docs/memory.md. */
export function bytesOf(shape: Shape): number {
  const { T, B, I, H, L } = shape;
  const inputs = inputsOf(shape);
  const weights = inputs.reduce((n, I) => n + 4 * H * (I + H + 2), 0);
  const activations = T * B * (2 * I + 8 * H * L);
  const blocks = inputs.reduce(
    (n, I) => n + Math.min(T * B, GRAD_BLOCK) * (Math.min(4 * H, GRAD_PANELS * PANEL) + Math.max(I, H)),
    0,
  );
  return 4 * (6 * weights + activations + blocks);
}

/** Slope of the straight line through points with logarithmic axes, by least squares. */
export function slope(points: readonly (readonly [number, number])[]): number {
  const logs = points.map(([x, y]) => [Math.log(x), Math.log(y)]);
  const mean = (i: 0 | 1) => logs.reduce((sum, point) => sum + point[i], 0) / logs.length;
  const [mx, my] = [mean(0), mean(1)];
  const of = (f: (x: number, y: number) => number) => logs.reduce((sum, [x, y]) => sum + f(x - mx, y - my), 0);
  return of((x, y) => x * y) / of((x) => x * x);
}
