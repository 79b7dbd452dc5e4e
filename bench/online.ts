/** `node build/bench/online.js`: a step of online learning, by cell, size and rule; and a million of them at constant memory. */
import { estimate, type Method, ONLINE_CELLS, OnlineLearner, type OnlineOptions } from 'gatewise/online';
import { clock, median } from './clock.js';
import { numbers } from './numbers.js';
import { count, optionsOf, refuse } from './options.js';

const HELP = `node build/bench/online.js [--json] [--only TEXT] [--samples N] [--steps N]

Times steps with a target, update of the weights by Adam included: for each cell, H units that read H/2 numbers, by each rule.
GMAC/s: multiplications as \`estimate\` counts them, by the processor's time.

  --json        one object a line
  --only TEXT   rows whose id contains TEXT
  --samples N   samples a row, default 9; a row is the median
  --steps N     instead: N steps of a GRU of 16 units by each rule, say 1000000, and the memory ten times on the way.
                Exits with 1 where it has grown
`;
const METHODS: readonly Method[] = ['rtrl', 'snap1', 'immediate'];
const options = optionsOf(HELP, {
  json: { type: 'boolean', default: false },
  only: { type: 'string', default: '' },
  samples: { type: 'string', default: '9' },
  steps: { type: 'string' },
});
const samples = count('--samples', options.samples);

/** Inputs that repeat after 64 steps. */
function stepper(learner: OnlineLearner, I: number): () => void {
  const xs = Array.from({ length: 64 }, (_, t) => numbers(I, 1, t + 1));
  const output = new Float32Array(learner.config.outputSize);
  let t = 0;
  return () => {
    // some states, and their influence, grow without a limit
    if (t % 256 === 0) learner.reset();
    learner.step(xs[t % 64], t % 2, output);
    t++;
  };
}

function row(model: OnlineOptions, method: Method): void {
  const id = `${model.cell}-${model.hiddenSize}-${method}`;
  if (!id.includes(options.only)) return;
  using learner = OnlineLearner.createSync({ ...model, method });
  const step = stepper(learner, model.inputSize);
  const { multiplications, influenceBytes, bptt } = estimate(model, { method });
  const n = Math.max(10, Math.round(5e7 / multiplications));
  const time = () => {
    const began = clock();
    for (let i = 0; i < n; i++) step();
    return (clock() - began) / n;
  };
  time();
  const ms = median(Array.from({ length: samples }, time));
  const result = {
    id,
    microseconds: Number((1000 * ms).toFixed(2)),
    gmacs: Number((multiplications / ms / 1e6).toFixed(2)),
    multiplications,
    influenceBytes,
    bpttPerUpdate: bptt.multiplicationsPerUpdate,
  };
  console.log(
    options.json
      ? JSON.stringify(result)
      : `${id.padEnd(24)} ${result.microseconds.toFixed(1).padStart(10)} µs ${result.gmacs.toFixed(1).padStart(7)} GMAC/s ${influenceBytes.toLocaleString('en').padStart(12)} bytes of influence`,
  );
}

/** @returns whether the memory stayed as it was */
function endure(method: Method, steps: number): boolean {
  const model: OnlineOptions = {
    cell: 'gru',
    inputSize: 4,
    hiddenSize: 16,
    outputSize: 2,
    loss: 'crossEntropy',
    method,
  };
  using learner = OnlineLearner.createSync(model);
  const step = stepper(learner, 4);
  const before = JSON.stringify(learner.memory());
  const began = performance.now();
  for (let tenth = 1; tenth <= 10; tenth++) {
    while (learner.steps < (steps * tenth) / 10) step();
    const { bytesInUse, bytesReserved } = learner.memory();
    const { rss } = process.memoryUsage();
    console.log(
      `${method.padEnd(10)} step ${learner.steps.toLocaleString('en').padStart(11)}: ${bytesInUse.toLocaleString('en')} bytes in use, ${bytesReserved.toLocaleString('en')} of the instance, process ${(rss / 2 ** 20).toFixed(0)} MiB`,
    );
  }
  console.log(`${method.padEnd(10)} ${((1000 * (performance.now() - began)) / learner.steps).toFixed(1)} µs a step`);
  return JSON.stringify(learner.memory()) === before;
}

if (options.steps !== undefined) {
  const steps = count('--steps', options.steps);
  const grown = METHODS.filter((method) => !endure(method, steps));
  if (grown.length) refuse(`${grown.join(', ')}: the memory has grown`);
} else {
  for (const cell of ONLINE_CELLS) {
    for (const H of [8, 16, 32, 64]) {
      for (const method of METHODS) {
        row({ cell, inputSize: H / 2, hiddenSize: H, outputSize: 2, loss: 'crossEntropy' }, method);
      }
    }
  }
}
