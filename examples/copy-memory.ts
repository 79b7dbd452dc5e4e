/** An external memory: copying sequences twice as long as those of the training, next to an LSTM of as many parameters. */
import {
  bceWithLogitsLoss,
  input,
  Linear,
  Model,
  Optimizer,
  Recurrent,
  type Rows,
  Runtime,
  read,
  slice,
  type Tape,
  train,
} from 'gatewise';
import { heatMap } from 'gatewise/dynamics';
import { MemoryNetwork } from 'gatewise/memory';
import { Chance } from './support/chance.js';
import type { Example, Stage } from './support/stage.js';

/** Bits of a vector, vectors of a sequence in training at most, and sequences of a batch. */
const [BITS, LONGEST, B] = [4, 8, 16];
const F = BITS + 2;
const STEPS = 4000;

interface Task {
  readonly T: number;
  readonly length: number;
  /** [T,B,F]: a mark, the vectors, another mark, nothing. */
  readonly x: Float32Array;
  /** [length,B,BITS] */
  readonly y: Float32Array;
}

function draw(chance: Chance, length: number): Task {
  const T = 2 * length + 2;
  const x = new Float32Array(T * B * F);
  const y = new Float32Array(length * B * BITS);
  for (let b = 0; b < B; b++) {
    x[b * F + BITS] = 1;
    x[((length + 1) * B + b) * F + BITS + 1] = 1;
    for (let t = 0; t < length; t++) {
      for (let i = 0; i < BITS; i++) {
        const bit = chance.below(2);
        x[((t + 1) * B + b) * F + i] = bit;
        y[(t * B + b) * BITS + i] = bit;
      }
    }
  }
  return { T, length, x, y };
}

/** A network, and what it says: logits [T,B,BITS]. */
interface Network<L> {
  readonly model: Model<L>;
  run(tape: Tape, layers: L, x: Rows): Rows;
}

const memorySizes = { inputSize: F, outputSize: BITS, hiddenSize: 32, slots: 24, width: 8 };

function memoryNetwork(runtime: Runtime, seed: number): Network<MemoryNetwork> {
  const model = new Model(runtime, seed, (b) => new MemoryNetwork(b, 'ntm', memorySizes));
  return { model, run: (tape, ntm, x) => ntm.forward(tape, x).output };
}

interface Plain {
  readonly rnn: Recurrent;
  readonly head: Linear;
}

const count = (model: Model<unknown>) => model.parameters.reduce((n, { size }) => n + size, 0);

/** The smallest LSTM with at least that number of parameters. */
function lstm(runtime: Runtime, seed: number, least: number): Network<Plain> {
  for (let hiddenSize = 8; ; hiddenSize++) {
    const model = new Model(runtime, seed, (b) => ({
      rnn: new Recurrent(b, 'rnn', { cell: 'lstm', inputSize: F, hiddenSize, forgetBias: 1 }),
      head: new Linear(b, 'head', { inputSize: hiddenSize, outputSize: BITS }),
    }));
    if (count(model) >= least)
      return { model, run: (tape, { rnn, head }, x) => head.forward(tape, rnn.forward(tape, x).output) };
    model.dispose();
  }
}

const answers = <L>({ run }: Network<L>, tape: Tape, layers: L, { T, length, x }: Task) =>
  slice(tape, run(tape, layers, input(tape, x, { T, B, F })), T - length, T);

async function learn<L>(stage: Stage, network: Network<L>, seed: number, name: string): Promise<number[]> {
  const chance = new Chance(1000 + seed);
  const losses: number[] = [];
  const rates = { optimizer: 'adam', learningRate: 5e-3 } as const;
  const optimizer = new Optimizer(network.model, rates);
  const next = () => {
    const task = draw(chance, 1 + chance.below(LONGEST));
    return { loss: (tape: Tape, layers: L) => bceWithLogitsLoss(tape, answers(network, tape, layers, task), task.y) };
  };
  const options = { ...rates, steps: STEPS, clipNorm: 1, signal: stage.signal };
  for await (const p of train(network.model, optimizer, options, next)) {
    losses.push(p.loss);
    if (p.step % 20 === 0)
      stage.progress(
        p.step,
        STEPS,
        `${name}, seed ${seed}: loss ${p.loss.toFixed(4)}, ${p.secondsLeft.toFixed(0)} s left`,
      );
  }
  return losses;
}

/** Share of wrong bits. */
function errors<L>(network: Network<L>, length: number): number {
  let [wrong, all] = [0, 0];
  const chance = new Chance(7);
  for (let n = 0; n < 8; n++) {
    const task = draw(chance, length);
    const said = network.model.forward((tape, layers) => read(tape, answers(network, tape, layers, task)));
    said.forEach((logit, i) => {
      if (logit > 0 !== task.y[i] > 0.5) wrong++;
    });
    all += said.length;
  }
  return wrong / all;
}

/** Where the heads write and read while one sequence is copied. */
async function draws(stage: Stage, { model }: Network<MemoryNetwork>, length: number): Promise<void> {
  const { slots: N } = memorySizes;
  const task = draw(new Chance(7), length);
  const [reading, writing] = model.forward((tape, ntm) => {
    const { readWeights, writeWeights } = ntm.forward(tape, input(tape, task.x, { T: task.T, B, F }));
    return [readWeights, writeWeights].map((rows) => read(tape, rows));
  });
  for (const [name, weights] of [
    ['writing', writing],
    ['reading', reading],
  ] as const) {
    const rows = Array.from({ length: N }, (_, i) => ({
      name: String(i),
      values: Array.from({ length: task.T }, (_, t) => weights[t * B * N + i]),
    }));
    const title = `Where the head is ${name}: ${length} vectors in, ${length} out`;
    const svg = heatMap(rows, { title, x: { name: 'step t' }, y: 'place', unit: 'weight', from: 0, to: 1 });
    await stage.write(`${name}-${length}.svg`, new TextEncoder().encode(svg));
  }
}

export const example: Example = {
  title: 'an external memory copies sequences twice as long as those of its training; an LSTM does not',
  async run(stage) {
    const results: { name: string; seed: number; short: number; long: number }[] = [];
    for (const seed of [stage.seed, stage.seed + 1, stage.seed + 2]) {
      const runtime = await Runtime.create();
      const ntm = memoryNetwork(runtime, seed);
      const plain = lstm(runtime, seed, count(ntm.model));
      if (seed === stage.seed) {
        stage.log(
          `  parameters: memory network ${count(ntm.model).toLocaleString('en')}, LSTM ${count(plain.model).toLocaleString('en')}`,
        );
        stage.log(
          `  training: 1 to ${LONGEST} vectors of ${BITS} bits, ${STEPS.toLocaleString('en')} updates of ${B} sequences`,
        );
      }
      for (const [name, network] of [
        ['memory network', ntm],
        ['LSTM', plain],
      ] as const) {
        await learn(stage, network as Network<unknown>, seed, name);
        const [short, long] = [LONGEST, 2 * LONGEST].map((length) => errors(network as Network<unknown>, length));
        results.push({ name, seed, short, long });
        stage.log(
          `  seed ${seed}, ${name.padEnd(14)}: wrong bits of ${LONGEST} vectors ${(100 * short).toFixed(2)} %, of ${2 * LONGEST} ${(100 * long).toFixed(2)} %`,
        );
      }
      if (seed === stage.seed) await draws(stage, ntm, 2 * LONGEST);
      runtime.dispose();
    }
    const mean = (name: string, of: 'short' | 'long') => {
      const own = results.filter((row) => row.name === name);
      return own.reduce((sum, row) => sum + row[of], 0) / own.length;
    };
    stage.metric('guessing, wrong bits', 0.5, '%');
    stage.metric(`LSTM, ${2 * LONGEST} vectors, mean of three seeds`, mean('LSTM', 'long'), '%');
    stage.metric(`memory network, ${LONGEST} vectors, mean of three seeds`, mean('memory network', 'short'), '%');
    stage.metric(`memory network, ${2 * LONGEST} vectors, mean of three seeds`, mean('memory network', 'long'), '%', {
      atMost: 0.5 * mean('LSTM', 'long'),
    });
  },
};
