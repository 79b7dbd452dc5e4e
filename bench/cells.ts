/** `npm run bench:cells`: what each cell learns in the same time with the same number of parameters. */
import { readFileSync } from 'node:fs';
import { type CellName, input, Linear, Model, mseLoss, Optimizer, Recurrent, Runtime, read } from 'gatewise';
import { LanguageModel } from 'gatewise/tasks';
import { mackeyGlass, normalizedError, standardised } from '../tests/support/chaos.js';
import { clock, round } from './clock.js';
import { count, optionsOf } from './options.js';

const HELP = `npm run bench:cells -- [--text FILE] [--seconds N] [--seed N] [--rates LIST] [--only CELL]

Trains stacks of two layers, one cell after the other, for the same seconds of processor and with the same number of parameters, as far as
the width allows: that of two LSTM layers of 128 units on a text, and of 32 units on a series.

Text: a character model, E = 64, windows of 64 steps of 16 sequences, Adam. Nats per character of the last 10 %, which are held out.
Series: Mackey-Glass (delay 17), ten steps ahead at every step, windows of 100 steps of 16 sequences, Adam. √(mean squared error / variance)
of the last half, which is held out.
With several learning rates, each cell's best counts, by what is held out, so all are a little too good.

  --text FILE    UTF-8, default: only the series
  --seconds N    of each training, default 60
  --seed N       default 1
  --rates LIST   learning rates, default 0.002,0.005
  --only CELL    one cell
`;

const values = optionsOf(HELP, {
  text: { type: 'string' },
  seconds: { type: 'string', default: '60' },
  seed: { type: 'string', default: '1' },
  rates: { type: 'string', default: '0.002,0.005' },
  only: { type: 'string' },
});
const seconds = count('--seconds', values.seconds);
const seed = count('--seed', values.seed);
const RATES = values.rates.split(',').map(Number);
const CELLS = (['lstm', 'gru', 'mingru', 'minlstm', 'lru'] as const).filter((c) => !values.only || c === values.only);
const own = (cell: CellName) => (cell === 'lru' ? ({ activation: 'tanh' } as const) : {});

/** The even width whose model has the number of parameters that is nearest to `most`. */
function widthOf(parametersOf: (H: number) => number, most: number): number {
  let H = 4;
  while (parametersOf(H + 2) <= most) H += 2;
  return most - parametersOf(H) <= parametersOf(H + 2) - most ? H : H + 2;
}

interface Result {
  readonly rate: number;
  readonly steps: number;
  readonly result: number;
}

function row(task: string, cell: string, H: number, parameters: number, results: readonly Result[]): void {
  const { result, rate, steps } = results.reduce((a, b) => (b.result < a.result ? b : a));
  const model = `${task.padEnd(6)} ${cell.padEnd(8)} H ${String(H).padEnd(4)} ${String(parameters).padEnd(7)} parameters`;
  console.log(`${model}  ${round(result, 4)}  learning rate ${rate}, ${steps} steps`);
}

const runtime = await Runtime.create();

if (values.text) {
  const text = readFileSync(values.text, 'utf8');
  const border = Math.floor(text.length * 0.9);
  const [training, heldOut] = [text.slice(0, border), text.slice(border)];
  const make = (cell: CellName, H: number) =>
    LanguageModel.createSync({ vocabulary: text, cell, hiddenSize: H, numLayers: 2, seed, runtime, ...own(cell) });
  const parametersOf = (cell: CellName, H: number) => {
    using lm = make(cell, H);
    return lm.model.parameters.reduce((n, { size }) => n + size, 0);
  };
  const most = parametersOf('lstm', 128);
  for (const cell of CELLS) {
    const H = widthOf((n) => parametersOf(cell, n), most);
    const results: Result[] = [];
    for (const rate of RATES) {
      using lm = make(cell, H);
      const end = clock() + 1000 * seconds;
      let steps = 0;
      for await (const { step } of lm.fit(training, { steps: 1e6, learningRate: rate, batchSize: 16, window: 64 })) {
        steps = step;
        if (clock() > end) break;
      }
      results.push({ rate, steps, result: (await lm.evaluate(heldOut)).loss });
    }
    row('text', cell, H, parametersOf(cell, H), results);
  }
}

const [T, B, AHEAD] = [100, 16, 10];
const series = standardised(mackeyGlass(4000), 2000).flat();
const network = (cell: CellName, H: number) =>
  new Model(runtime, seed, (b) => {
    const rnn = new Recurrent(b, 'rnn', { cell, inputSize: 1, hiddenSize: H, numLayers: 2, ...own(cell) });
    return { rnn, head: new Linear(b, 'head', { inputSize: rnn.outputSize, outputSize: 1 }) };
  });
const sizeOf = (cell: CellName, H: number) => {
  const model = network(cell, H);
  const size = model.parameters.reduce((n, parameter) => n + parameter.size, 0);
  model.dispose();
  return size;
};
const mostOfSeries = sizeOf('lstm', 32);
for (const cell of CELLS) {
  const H = widthOf((n) => sizeOf(cell, n), mostOfSeries);
  const results: Result[] = [];
  for (const rate of RATES) {
    const model = network(cell, H);
    const optimizer = new Optimizer(model, { optimizer: 'adam', learningRate: rate });
    const end = clock() + 1000 * seconds;
    let steps = 0;
    for (; clock() < end; steps++) {
      // windows at places that do not depend on the cell
      const from = Array.from({ length: B }, (_, b) => (7919 * (steps * B + b)) % (2000 - T - AHEAD));
      const rows = (shift: number) =>
        Float32Array.from({ length: T * B }, (_, i) => series[from[i % B] + Math.floor(i / B) + shift]);
      model.valueAndGrad((tape, { rnn, head }) => {
        const x = input(tape, rows(0), { T, B, F: 1 });
        return mseLoss(tape, head.forward(tape, rnn.forward(tape, x).output), rows(AHEAD));
      });
      model.clipGradNorm(1);
      optimizer.step();
    }
    const x = series.slice(0, -AHEAD);
    const y = model.forward((tape, { rnn, head }) => {
      const rows = input(tape, x, { T: x.length, B: 1, F: 1 });
      return read(tape, head.forward(tape, rnn.forward(tape, rows).output));
    });
    const want = series.slice(2000 + AHEAD).map((v) => [v]);
    results.push({ rate, steps, result: normalizedError(y.subarray(2000), want) });
    model.dispose();
  }
  row('series', cell, H, sizeOf(cell, H), results);
}
