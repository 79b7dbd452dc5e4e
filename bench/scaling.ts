/**
 * `npm run bench:scaling`: time and memory of a training step of an LSTM against T, B, H and L, over two orders of magnitude,
 * compared with the formulas.
 */
import { writeFileSync } from 'node:fs';
import { input, Model, Optimizer, Recurrent } from 'gatewise';
import { svgOf } from '../examples/support/picture.js';
import { builds, runtimeOf } from './builds.js';
import { type Curve, curvesChart } from './charts.js';
import { median, round } from './clock.js';
import { engine, machine } from './machine.js';
import { paired } from './measure.js';
import { numbers } from './numbers.js';
import { count, optionsOf } from './options.js';
import { peakOf } from './peak.js';
import { bytesOf, flopsOf, type Shape, slope } from './shapes.js';

const HELP = `npm run bench:scaling -- [--json] [--samples N]

Measures whole training steps of LSTMs (forward pass, backward pass, Adam) while one of T, B, H, L grows by a factor
of 100. Prints the slope of the time on logarithmic axes, and that of the number of operations: 4·H·(I + H)
multiply-adds for one step of a sequence, so the slope of H is not a whole number. Times are CPU times, scaled
to the best peak of this run. Memory is compared with the formula in docs/memory.md. Writes docs/scaling.svg.

  --json         one object per line
  --samples N    samples per point, default 9
`;

const values = optionsOf(HELP, {
  json: { type: 'boolean', default: false },
  samples: { type: 'string', default: '9' },
});
const samples = count('--samples', values.samples);
const build = builds[0];

const CURVES: Record<string, { base: Shape; at: readonly number[] }> = {
  T: { base: { T: 1, B: 16, I: 64, H: 128, L: 1 }, at: [8, 16, 32, 64, 128, 256, 512, 800] },
  B: { base: { T: 32, B: 1, I: 64, H: 128, L: 1 }, at: [2, 4, 8, 16, 32, 64, 128, 200] },
  H: { base: { T: 16, B: 16, I: 64, H: 1, L: 1 }, at: [16, 32, 64, 128, 256, 512, 1024, 1600] },
  L: { base: { T: 16, B: 16, I: 64, H: 64, L: 1 }, at: [1, 2, 4, 8, 16, 32, 64, 100] },
};

/** Milliseconds of a training step at the best peak seen, and the bytes that it needs in all. */
function measure(shape: Shape): { ms: number; bytes: number } {
  const { T, B, I, H, L } = shape;
  const runtime = runtimeOf(build);
  const options = { cell: 'lstm', inputSize: I, hiddenSize: H, numLayers: L } as const;
  const model = new Model(runtime, 1, (b) => new Recurrent(b, 'rnn', options));
  const optimizer = new Optimizer(model, { optimizer: 'adam', learningRate: 1e-4 });
  const x = numbers(T * B * I);
  let bytes = 0;
  const step = () => {
    model.valueAndGrad((tape, rnn) => {
      // recorded first, so it runs last in the backward pass, when the most memory is in use
      tape.record(() => {
        bytes = runtime.take(0);
      });
      const { output } = rnn.forward(tape, input(tape, x, { T, B, F: I }, { gradient: true }));
      const floats = (T * B * output.ld) >>> 2;
      return {
        value: 0,
        addGradient: () => {
          runtime.f32.fill(1 / floats, output.grad >>> 2, (output.grad >>> 2) + floats);
        },
      };
    });
    optimizer.step();
  };
  const { times, peaks } = paired(step, peak, { samples, warmMs: 150 });
  runtime.dispose();
  return { ms: median(times.map((ms, i) => ms * peaks[i])) / best, bytes };
}

const peak = peakOf(build).sample;
const best = Math.max(...Array.from({ length: 50 }, peak));

const curves: Curve[] = [];
for (const [letter, { base, at }] of Object.entries(CURVES)) {
  const { [letter as keyof Shape]: _, ...rest } = base;
  const fixed = Object.entries(rest).map(([name, value]) => `${name}=${value}`);
  const points = at.map((x) => {
    const shape = { ...base, [letter]: x };
    return { x, ...measure(shape), flops: flopsOf(shape), formula: bytesOf(shape) };
  });
  const got = slope(points.map(({ x, ms }) => [x, ms]));
  const want = slope(points.map(({ x, flops }) => [x, flops]));
  const holds = Math.abs(got - want) <= 0.1;
  // so that the line has the height of the dots
  const level = median(points.map(({ ms, flops }) => ms / flops));
  const sentence = `slope ${got.toFixed(2)}; number of operations ${want.toFixed(2)}`;
  curves.push({
    title: `Time against ${letter}`,
    note: `${fixed.join(' ')}: ${sentence}`,
    unit: 'ms',
    points: points.map(({ x, ms, flops }) => ({ x, measured: ms, expected: level * flops })),
  });
  curves.push({
    title: `Memory against ${letter}`,
    note: fixed.join(' '),
    unit: 'MB',
    points: points.map(({ x, bytes, formula }) => ({ x, measured: bytes / 1e6, expected: formula / 1e6 })),
  });
  const rows = points.map(({ x, ms, bytes, flops, formula }) => ({
    [letter]: x,
    ms: round(ms, 3),
    gflops: round(flops / ms / 1e6, 1),
    mb: round(bytes / 1e6, 2),
    ofFormula: round(bytes / formula, 3),
  }));
  if (values.json) {
    const slopes = { slope: round(got, 3), expected: round(want, 3), holds };
    console.log(JSON.stringify({ id: `scaling-${letter}`, build, engine, ...slopes, points: rows }));
  } else {
    console.log(`${letter}: ${fixed.join(' ')}: ${sentence}${holds ? '' : ': MISSED by more than 0.1'}`);
    console.table(rows);
  }
}
const title = 'A training step of an LSTM: measured (dots), predicted by the formulas (lines)';
writeFileSync(new URL('../../docs/scaling.svg', import.meta.url), await svgOf(curvesChart(title, curves, machine())));
if (!values.json) console.log('wrote docs/scaling.svg');
