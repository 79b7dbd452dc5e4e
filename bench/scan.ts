/** `npm run bench:scan`: cells without recurrent weights next to the matrix products that they are made of. */
import { CELL_NAMES, type CellName, input, Model, Recurrent } from 'gatewise';
import { gatesOf, hasRecurrentWeights } from '#dist/bindings/cells/index.js';
import { type Build, builds, runtimeOf } from './builds.js';
import { clock, median, round } from './clock.js';
import { engine } from './machine.js';
import { numbers } from './numbers.js';
import { count, optionsOf, refuse } from './options.js';

const HELP = `npm run bench:scan -- [--json] [--build simd|relaxed] [--samples N] [-T N] [-H N]

Alternates samples of a layer (B = 1, I = H) with samples of its matrix products alone, the same kernels called on the same shapes, in one
process. Times are CPU times; the ratio is products ÷ layer, its median over the samples. The products of training are those of the layer's
output, of the gradient of x and of the gradients of the weights.

  --json         one object per line
  --build NAME   one build; default: all that this engine runs
  --samples N    pairs of samples per row, default 25
  -T N           steps, default 100
  -H N           units, default 512
`;

const values = optionsOf(HELP, {
  json: { type: 'boolean', default: false },
  build: { type: 'string' },
  samples: { type: 'string', default: '25' },
  steps: { type: 'string', short: 'T', default: '100' },
  units: { type: 'string', short: 'H', default: '512' },
});
const samples = count('--samples', values.samples);
const T = count('-T', values.steps);
const H = count('-H', values.units);
const chosen = builds.filter((build) => !values.build || build === values.build);
if (chosen.length === 0) refuse(`--build ${values.build}: this engine runs ${builds.join(' and ')}`);

/** The products of a map of n numbers to m, over T rows: forward, for the gradient of what went in, for that of the weights. */
function productsOf(build: Build, maps: readonly { from: number; to: number }[]) {
  const runtime = runtimeOf(build);
  const { core } = runtime;
  const room = (rows: number, columns: number) => {
    const at = runtime.alloc(4 * rows * columns, 'a matrix');
    runtime.write(at, numbers(rows * columns));
    return at;
  };
  const wide = (n: number) => 16 * Math.ceil(n / 16);
  const made = maps.map(({ from, to }) => ({
    from,
    to,
    x: room(T, wide(from)),
    z: room(T, wide(to)),
    bias: room(1, wide(to)),
    w: room(from, wide(to)),
    wT: room(wide(to), wide(from)),
    dw: room(to, from),
    scratch: runtime.alloc(core.weightGradScratch(T, wide(to) / 16, from), 'scratch'),
  }));
  const forward = () => {
    for (const { from, to, x, z, bias, w } of made) {
      core.gemm(z, 4 * wide(to), bias, 0, x, 4 * wide(from), w, 64 * from, T, wide(to) / 16, from);
    }
  };
  const backward = () => {
    for (const { from, to, x, z, wT, dw, scratch } of made) {
      const [ldx, ldz] = [4 * wide(from), 4 * wide(to)];
      core.gemm(x, ldx, x, ldx, z, ldz, wT, 64 * wide(to), T, wide(from) / 16, wide(to));
      core.weightGrad(dw, 4 * from, scratch, z, ldz, x, ldx, T, from, to, 1);
    }
    // sums over many runs must not grow
    for (const { from, x, z, to } of made) {
      runtime.f32.fill(0.1, x / 4, x / 4 + T * wide(from));
      runtime.f32.fill(0.1, z / 4, z / 4 + T * wide(to));
    }
  };
  const train = () => {
    forward();
    backward();
  };
  return { forward, train, end: () => runtime.dispose() };
}

/** A layer, forward alone or with its gradients. */
function layerOf(build: Build, cell: CellName) {
  const runtime = runtimeOf(build);
  const model = new Model(runtime, 1, (b) => new Recurrent(b, 'rnn', { cell, inputSize: H, hiddenSize: H }));
  const x = numbers(T * H);
  return {
    forward: () => {
      model.forward((tape, rnn) => {
        rnn.forward(tape, input(tape, x, { T, B: 1, F: H }));
      });
    },
    train: () => {
      model.valueAndGrad((tape, rnn) => {
        const { output } = rnn.forward(tape, input(tape, x, { T, B: 1, F: H }, { gradient: true }));
        const from = output.grad >>> 2;
        return { value: 0, addGradient: () => tape.runtime.f32.fill(1, from, from + (T * output.ld) / 4) };
      });
    },
    end: () => runtime.dispose(),
  };
}

/** Medians of runs that take turns: milliseconds of both, and the ratio of the second to the first. */
function inTurns(first: () => void, second: () => void) {
  const warm = clock() + 400;
  while (clock() < warm) {
    first();
    second();
  }
  const time = (run: () => void) => {
    const began = clock();
    let runs = 0;
    for (; runs === 0 || clock() - began < 8; runs++) run();
    return (clock() - began) / runs;
  };
  const pairs = Array.from({ length: samples }, () => [time(first), time(second)]);
  return {
    ms: round(median(pairs.map(([a]) => a)), 3),
    products: round(median(pairs.map(([, b]) => b)), 3),
    ratio: round(median(pairs.map(([a, b]) => b / a)), 3),
  };
}

for (const build of chosen) {
  for (const cell of CELL_NAMES.filter((name) => !hasRecurrentWeights(name))) {
    const maps = [{ from: H, to: gatesOf(cell).length * H }, ...(cell === 'lru' ? [{ from: H, to: H }] : [])];
    const [layer, products] = [layerOf(build, cell), productsOf(build, maps)];
    for (const work of ['forward', 'train'] as const) {
      const row = { cell, work, build, engine, T, B: 1, H, ...inTurns(layer[work], products[work]) };
      console.log(
        values.json
          ? JSON.stringify(row)
          : `${`${cell} ${work}`.padEnd(16)} ${build.padEnd(8)} layer ${row.ms} ms, its products ${row.products} ms, ratio ${row.ratio}`,
      );
    }
    layer.end();
    products.end();
  }
}
