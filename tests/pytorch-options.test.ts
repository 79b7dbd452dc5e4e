/** The references against PyTorch in double precision, for options that no golden case has; see tests/golden/options.py. */
import { readFileSync } from 'node:fs';
import type { OptimizerOptions } from 'gatewise';
import { test } from 'uvu';
import { exact, Graph } from './reference/autodiff.js';
import { crossEntropy, type Kind, type LossSettings, losses } from './reference/losses.js';
import { steps } from './reference/optimizer.js';
import { close } from './support/numbers.js';

interface LossCase {
  kind: Kind | 'crossEntropy';
  settings: LossSettings & { labelSmoothing?: number; weights?: number[] };
  reduction: 'mean' | 'sum' | 'none';
  rows: number;
  columns: number;
  x: number[];
  target: number[];
  upstream: number[];
  loss: number[];
  dx: number[];
}

const golden: {
  torch: string;
  losses: LossCase[];
  start: number[];
  slopes: number[][];
  optimizers: { settings: OptimizerOptions; path: number[][] }[];
} = JSON.parse(readFileSync(new URL('../../tests/golden/options.json', import.meta.url), 'utf8'));

const BOUND = 1e-13;
console.log(`  ${golden.losses.length} losses, ${golden.optimizers.length} optimizers of PyTorch ${golden.torch}`);

for (const { kind, settings, reduction, rows, columns, x, target, upstream, loss, dx } of golden.losses) {
  test(`reference: ${kind} ${JSON.stringify(settings)}, ${reduction}: PyTorch's to 1e-13`, () => {
    const g = new Graph(exact);
    const input = g.matrix(rows, columns, x);
    let elements: ReturnType<typeof losses>;
    let count: number;
    if (kind === 'crossEntropy') {
      const live = target.flatMap((y, r) => (y >= 0 ? [r] : []));
      const classes = live.map((r) => target[r]);
      const { rows: own, total } = crossEntropy(g, g.gather(input, live), classes, settings);
      elements = g.pick(own, rows, 1, (r) => live.indexOf(r));
      count = total;
    } else {
      elements = losses(g, kind, input, g.matrix(rows, columns, target), settings);
      count = rows * columns;
    }
    const out = reduction === 'none' ? elements : g.scale(g.sum(elements), reduction === 'mean' ? 1 / count : 1);
    g.backward([[out, reduction === 'none' ? upstream : [1]]]);
    close(out.data, loss, BOUND, 'loss');
    close(input.grad, dx, BOUND, 'gradient');
  });
}

for (const { settings, path } of golden.optimizers) {
  test(`reference: ${JSON.stringify(settings)}: PyTorch's steps to 1e-13`, () => {
    steps(settings, golden.start, golden.slopes).forEach((weights, n) => {
      close(weights, path[n], BOUND, `step ${n + 1}`);
    });
  });
}

test.run();
