/** minGRU and minLSTM against minGRU-pytorch in double precision: outputs and gradients, see tests/golden/mingru.py. */
import { readFileSync } from 'node:fs';
import { input, Recurrent } from 'gatewise';
import { test } from 'uvu';
import { exact, Graph } from './reference/autodiff.js';
import { cells } from './reference/index.js';
import { builds } from './support/builds.js';
import { close } from './support/numbers.js';
import { run } from './support/operation.js';

interface Case {
  readonly cell: 'mingru' | 'minlstm';
  readonly H: number;
  readonly T: number;
  readonly B: number;
  readonly x: number[];
  readonly upstream: number[];
  readonly start: number[] | null;
  readonly weight_ih: number[];
  readonly y: number[];
  readonly dx: number[];
  readonly dweight_ih: number[];
}

const golden: { 'minGRU-pytorch': string; cases: Case[] } = JSON.parse(
  readFileSync(new URL('../../tests/golden/mingru.json', import.meta.url), 'utf8'),
);
console.log(`  ${golden.cases.length} cases of minGRU-pytorch ${golden['minGRU-pytorch']}`);

golden.cases.forEach((c, n) => {
  const { cell, H, T, B } = c;
  const title = `${cell} H=${H} T=${T} B=${B}${c.start ? ', with a state' : ''} (${n})`;

  test(`reference: ${title}: minGRU-pytorch's to 1e-12`, () => {
    const g = new Graph(exact);
    const x = g.matrix(T * B, H, c.x);
    const weight_ih = g.matrix(c.weight_ih.length / H, H, c.weight_ih);
    let h = g.matrix(B, H, c.start ?? new Float64Array(B * H));
    const y = g.stack(
      Array.from({ length: T }, (_, t) => {
        const rows = g.rows(x, t * B, (t + 1) * B);
        h = cells[cell].step(g, rows, h, h, h, { weight_ih }, { positive: true }).h;
        return h;
      }),
    );
    g.backward([[y, c.upstream]]);
    close(y.data, c.y, 1e-12, 'outputs');
    close(x.grad, c.dx, 1e-12, 'gradient of x');
    close(weight_ih.grad, c.dweight_ih, 1e-12, 'gradient of the weights');
  });

  for (const build of builds) {
    test(`${build}: ${title}: minGRU-pytorch's to 1e-5`, () => {
      const { outputs, gradients } = run(
        build,
        (b) => new Recurrent(b, 'rnn', { cell, inputSize: H, hiddenSize: H, bias: false, positive: true }),
        { 'rnn.weight_ih_l0': Float32Array.from(c.weight_ih) },
        { y: Float32Array.from(c.upstream) },
        (tape, r) => {
          const x = input(tape, c.x, { T, B, F: H }, { gradient: true });
          const h = c.start ? [input(tape, c.start, { T: 1, B, F: H })] : undefined;
          const { output } = r.forward(tape, x, h && { h, c: [] });
          return { inputs: { x }, outputs: { y: output } };
        },
      );
      close(outputs.y, c.y, 1e-5, 'outputs');
      close(gradients.x, c.dx, 1e-5, 'gradient of x');
      close(gradients['rnn.weight_ih_l0'], c.dweight_ih, 1e-5, 'gradient of the weights');
    });
  }
});

test.run();
