/**
 * Learning while a stream runs: what gradients that are carried forward in time find, and what the cheaper rules miss. The task has known
 * floors: y_t is 1 with probability 0.5 + 0.5 x_{t-5} - 0.25 x_{t-9}, x_t is a coin.
 */
import { type Method, ONLINE_CELLS, OnlineLearner, type OnlineOptions } from 'gatewise/online';
import { Chance } from './support/chance.js';
import type { Example, Stage } from './support/stage.js';

const LAGS = [5, 9] as const;

/** The probability that y is 1, from both past numbers. */
function probability(a: number, b: number): number {
  return 0.5 + 0.5 * a - 0.25 * b;
}

/** In nats. */
function entropy(p: number): number {
  return p === 0 || p === 1 ? 0 : -p * Math.log(p) - (1 - p) * Math.log(1 - p);
}

const BITS = [0, 1];
const mean = (values: readonly number[]) => values.reduce((sum, v) => sum + v, 0) / values.length;
const givenBoth = BITS.flatMap((a) => BITS.map((b) => probability(a, b)));
const givenOne = BITS.map((a) => mean(BITS.map((b) => probability(a, b))));
/** The smallest losses that are possible: knowing nothing, x_{t-5}, both. */
const FLOORS = {
  nothing: entropy(mean(givenBoth)),
  one: mean(givenOne.map(entropy)),
  both: mean(givenBoth.map(entropy)),
};

/** How far the expected loss of a prediction q is above the smallest one, where y is 1 with probability p. */
function above(p: number, q: number): number {
  return -entropy(p) - p * Math.log(q) - (p < 1 ? (1 - p) * Math.log(1 - q) : 0);
}

/** What follows one another in the stream. */
function* stream(seed: number): Generator<{ x: number; p: number; y: number }> {
  const chance = new Chance(seed);
  const past: number[] = new Array(LAGS[1] + 1).fill(0);
  for (;;) {
    past.unshift(chance.below(2));
    past.pop();
    const p = probability(past[LAGS[0]], past[LAGS[1]]);
    yield { x: past[0], p, y: chance.next() < p ? 1 : 0 };
  }
}

/** Learning rates, and for how many steps. */
type Schedule = readonly (readonly [rate: number, steps: number])[];

interface Contestant {
  readonly name: string;
  readonly options: Partial<OnlineOptions> & { method: Method };
  readonly schedule: Schedule;
}

const SLOWER: Schedule = [
  [2e-3, 300_000],
  [5e-4, 100_000],
  [1e-4, 100_000],
];
const CONTESTANTS: readonly Contestant[] = [
  { name: 'exact (RTRL), GRU 16', options: { method: 'rtrl' }, schedule: SLOWER },
  { name: 'SnAp-1, GRU 16', options: { method: 'snap1' }, schedule: SLOWER },
  { name: 'one step, GRU 16, RMSprop', options: { method: 'immediate', optimizer: 'rmsprop' }, schedule: SLOWER },
  {
    name: 'one step, RNN 64, RMSprop',
    options: { cell: 'rnn', hiddenSize: 64, method: 'immediate', optimizer: 'rmsprop' },
    schedule: [
      [5e-4, 150_000],
      [2e-4, 100_000],
      [1e-4, 100_000],
    ],
  },
];

const BASE: OnlineOptions = { cell: 'gru', inputSize: 1, hiddenSize: 16, outputSize: 1, loss: 'bceWithLogits' };
/** Steps of one point of the curve. */
const POINT = 10_000;

/** Lets others run: a signal arrives then. */
const pause = () => new Promise((resolve) => setImmediate(resolve));

/** Trains, and returns the curve and the mean of the last 50,000 steps. */
async function run(stage: Stage, contestant: Contestant, begun: number, all: number) {
  const { name, options, schedule } = contestant;
  const learner = await OnlineLearner.create({ ...BASE, ...options, learningRate: schedule[0][0], seed: stage.seed });
  const source = stream(stage.seed);
  const curve: { step: number; loss: number; name: string }[] = [];
  const began = performance.now();
  let sum = 0;
  for (const [rate, steps] of schedule) {
    learner.learningRate = rate;
    for (let i = 0; i < steps; i++) {
      const { x, p, y } = source.next().value;
      const q = learner.step([x], y).output[0];
      sum += FLOORS.both + above(p, q);
      if (learner.steps % POINT) continue;
      curve.push({ step: learner.steps, loss: sum / POINT, name });
      stage.progress(begun + learner.steps, all, `${name}: loss ${(sum / POINT).toFixed(4)}`);
      sum = 0;
      await pause();
      stage.signal.throwIfAborted();
    }
  }
  const microseconds = (1000 * (performance.now() - began)) / learner.steps;
  return { learner, curve, loss: mean(curve.slice(-5).map(({ loss }) => loss)), microseconds };
}

/** The baseline: for each window of ten numbers, how often y was 1. It is told how far back to look. */
function counted(seed: number, steps: number): number {
  const size = 2 ** (LAGS[1] + 1);
  const [ones, all] = [new Float64Array(size), new Float64Array(size)];
  const source = stream(seed);
  let window = 0;
  let sum = 0;
  for (let t = 0; t < steps; t++) {
    const { x, p, y } = source.next().value;
    window = (2 * window + x) % size;
    const q = (ones[window] + 0.5) / (all[window] + 1);
    if (t >= steps - 5 * POINT) sum += above(p, q);
    ones[window] += y;
    all[window]++;
  }
  return FLOORS.both + sum / (5 * POINT);
}

/** The cosine of two gradients. */
function cosine(a: Float32Array, b: Float32Array): number {
  let [ab, aa, bb] = [0, 0, 0];
  for (let i = 0; i < a.length; i++) {
    ab += a[i] * b[i];
    aa += a[i] * a[i];
    bb += b[i] * b[i];
  }
  return aa > 0 && bb > 0 ? ab / Math.sqrt(aa * bb) : Number.NaN;
}

/** All gradients of the recurrent layers; those of the output layer are the same with every rule. */
function gradients(learner: OnlineLearner): Float32Array {
  const names = learner.parameters.map(({ name }) => name).filter((name) => name.startsWith('rnn.'));
  return Float32Array.from(names.flatMap((name) => [...learner.gradient(name)]));
}

/** Steps of a sequence whose gradients are compared. */
const LENGTH = 50;

/** Mean cosine between the gradient of a step by each rule and the exact one, with fixed weights. */
function cosines(options: OnlineOptions, weights: Uint8Array | null): Record<'snap1' | 'immediate', number> {
  const fixed = { ...options, learningRate: 0, optimizer: 'sgd' } as const;
  const make = (method: Method) => {
    const learner = OnlineLearner.createSync({ ...fixed, method });
    if (weights) learner.loadWeights(weights);
    return learner;
  };
  const exact = make('rtrl');
  const compared = { snap1: make('snap1'), immediate: make('immediate') };
  const source = stream(2);
  const found = { snap1: [] as number[], immediate: [] as number[] };
  for (let t = 0; t < 20 * LENGTH; t++) {
    const { x, y } = source.next().value;
    for (const learner of [exact, ...Object.values(compared)]) {
      if (t % LENGTH === 0) learner.reset();
      learner.step([x], y);
    }
    if (t % LENGTH < LAGS[1]) continue;
    const want = gradients(exact);
    for (const rule of ['snap1', 'immediate'] as const) found[rule].push(cosine(gradients(compared[rule]), want));
  }
  for (const learner of [exact, ...Object.values(compared)]) learner.dispose();
  return { snap1: mean(found.snap1), immediate: mean(found.immediate) };
}

export const example: Example = {
  title: 'learning while a stream runs: exact gradients carried forward, and cheaper rules',
  async run(stage) {
    const { nothing, one, both } = FLOORS;
    const words = [nothing, one, both].map((loss) => loss.toFixed(4));
    stage.log(`  the smallest losses: ${words[0]} knowing nothing, ${words[1]} one lag, ${words[2]} both lags`);
    const steps = (schedule: Schedule) => schedule.reduce((sum, [, n]) => sum + n, 0);
    const all = CONTESTANTS.reduce((sum, { schedule }) => sum + steps(schedule), 0);
    const curves: object[] = [];
    const lines: string[] = [];
    let begun = 0;
    let trained: Uint8Array | null = null;
    for (const contestant of CONTESTANTS) {
      const { learner, curve, loss, microseconds } = await run(stage, contestant, begun, all);
      begun += learner.steps;
      curves.push(...curve);
      const exact = contestant.options.method === 'rtrl';
      stage.metric(contestant.name, loss, 'nats', exact ? { atMost: both + 0.01 } : undefined);
      lines.push(
        `  ${contestant.name.padEnd(28)} ${microseconds.toFixed(1)} µs a step, ${learner.memory().bytesInUse} bytes`,
      );
      if (exact) trained = learner.saveWeights();
      learner.dispose();
    }
    stage.metric('counting windows of the last 10 numbers', counted(stage.seed, steps(SLOWER)), 'nats');
    for (const line of lines) stage.log(line);

    stage.log(`  ${'cosine to the exact gradient of a step, mean'.padEnd(52)} SnAp-1   one step`);
    const row = (what: string, { snap1, immediate }: ReturnType<typeof cosines>) =>
      stage.log(`    ${what.padEnd(49)} ${snap1.toFixed(3).padStart(7)} ${immediate.toFixed(3).padStart(10)}`);
    for (const cell of ONLINE_CELLS) {
      row(`${cell} 16, initial weights`, cosines({ ...BASE, cell, seed: stage.seed }, null));
    }
    row('gru 16, trained exactly', cosines(BASE, trained));

    const rules = Object.entries({ 'knowing nothing': nothing, 'one lag': one, 'both lags': both }).map(
      ([text, loss]) => ({ text: `${text}: ${loss.toFixed(4)}`, loss }),
    );
    await stage.picture('learning', {
      title: 'y is 1 with probability 0.5 + 0.5 x[t-5] - 0.25 x[t-9]',
      width: 640,
      height: 340,
      encoding: { y: { field: 'loss', type: 'quantitative', title: 'loss, nats', scale: { domain: [0.44, 0.68] } } },
      layer: [
        { data: { values: rules }, mark: { type: 'rule', strokeDash: [4, 4], color: '#888' } },
        {
          data: { values: rules },
          mark: { type: 'text', align: 'right', dx: -4, dy: 9, color: '#555' },
          encoding: { x: { value: 640 }, text: { field: 'text' } },
        },
        {
          data: { values: curves },
          mark: { type: 'line', strokeWidth: 2 },
          encoding: {
            x: { field: 'step', type: 'quantitative', title: 'steps of the stream' },
            color: {
              field: 'name',
              type: 'nominal',
              title: null,
              sort: CONTESTANTS.map(({ name }) => name),
              legend: { labelLimit: 240 },
            },
          },
        },
      ],
    });
  },
};
