/** Why recurrent networks are hard to train, and each remedy: what it costs to switch on, and its picture. */
import {
  crossEntropyLoss,
  input,
  Linear,
  Model,
  mseLoss,
  NonFiniteError,
  Optimizer,
  type OptimizerOptions,
  Recurrent,
  type RecurrentOptions,
  Runtime,
  type Tape,
  train,
} from 'gatewise';
import { type Flow, gradientFlow, heatMap, lagMap } from 'gatewise/dynamics';
import { Chance } from './support/chance.js';
import { ALL_SYMBOLS, adding, type Batch, copying } from './support/memory-tasks.js';
import type { Example, Stage } from './support/stage.js';

type Cell = Partial<RecurrentOptions>;
type Training = OptimizerOptions & { readonly clipNorm?: number };
interface Layers {
  readonly rnn: Recurrent;
  readonly head: Linear;
}
type Work = (tape: Tape, layers: Layers) => ReturnType<typeof mseLoss>;

/** Units, sequences of a batch, steps of the adding problem that is learned. */
const [H, B, T] = [32, 32, 60];

const plain: Cell = { cell: 'rnn' };
const large: Cell = { cell: 'rnn', initializers: { recurrent: { kind: 'normal', std: 0.4 } } };
const exploding: Training = { optimizer: 'sgd', learningRate: 0.03, clipNorm: 0 };

/** A remedy: the network that needs it, and the line that switches it on. */
interface Remedy {
  readonly name: string;
  readonly line: string;
  readonly before: readonly [Cell, Training];
  readonly after: readonly [Cell, Training];
}

const clipped: Training = { ...exploding, clipNorm: 1 };
const holds: Training = { learningRate: 5e-3, clipNorm: 1 };
/** For states that grow with every step: at 5e-3 their error is above 1. */
const slow: Training = { learningRate: 1e-3, clipNorm: 1 };
const REMEDIES: readonly Remedy[] = [
  { name: 'clipping', line: 'clipNorm: 1', before: [large, exploding], after: [large, clipped] },
  { name: 'l1', line: 'l1: 1e-2', before: [large, clipped], after: [large, { ...clipped, l1: 1e-2 }] },
  {
    name: 'l2',
    line: 'weightDecay: 0.02',
    before: [large, clipped],
    after: [large, { ...clipped, weightDecay: 0.02 }],
  },
  {
    name: 'identity',
    line: "activation: 'relu', initializers: { recurrent: { kind: 'identity' } }",
    before: [plain, holds],
    after: [{ cell: 'rnn', activation: 'relu', initializers: { recurrent: { kind: 'identity' } } }, holds],
  },
  {
    name: 'additive',
    line: "cell: 'residual', feedback: false          h_t = h_{t-1} + g(x_t)",
    before: [plain, slow],
    after: [{ cell: 'residual', feedback: false }, slow],
  },
  {
    name: 'residual',
    line: "cell: 'residual'                           h_t = h_{t-1} + g(x_t, h_{t-1})",
    before: [plain, slow],
    after: [{ cell: 'residual' }, slow],
  },
  { name: 'gating', line: "cell: 'gru'", before: [plain, holds], after: [{ cell: 'gru' }, holds] },
  {
    name: 'forget-bias',
    line: "cell: 'lstm', forgetBias: 3",
    before: [plain, holds],
    after: [{ cell: 'lstm', forgetBias: 3 }, holds],
  },
];

function build(runtime: Runtime, seed: number, options: Cell, F: number, outputs: number): Model<Layers> {
  return new Model(runtime, seed, (b) => ({
    rnn: new Recurrent(b, 'rnn', { cell: 'rnn', ...options, inputSize: F, hiddenSize: H }),
    head: new Linear(b, 'head', { inputSize: H, outputSize: outputs }),
  }));
}

const rowsOf = (tape: Tape, { x, T, B, F }: Batch) => input(tape, x, { T, B, F });

function sumLoss(batch: ReturnType<typeof adding>): Work {
  return (tape, { rnn, head }) =>
    mseLoss(tape, head.forward(tape, rnn.forward(tape, rowsOf(tape, batch)).h[0]), batch.targets);
}

function copyLoss(batch: ReturnType<typeof copying>): Work {
  return (tape, { rnn, head }) =>
    crossEntropyLoss(tape, head.forward(tape, rnn.forward(tape, rowsOf(tape, batch)).output), batch.targets);
}

const NETWORKS: Readonly<Record<string, Cell>> = {
  'tanh, small U': { initializers: { recurrent: { kind: 'orthogonal', gain: 0.5 } } },
  'tanh, large U': large,
  'ReLU, U = I': { activation: 'relu', initializers: { recurrent: { kind: 'identity' } } },
  'h + g(x)': { cell: 'residual', feedback: false },
  'h + g(x, h)': { cell: 'residual' },
  'GRU, z bias 5': { cell: 'gru' },
  LSTM: { cell: 'lstm' },
  'LSTM, f bias 5': { cell: 'lstm', forgetBias: 5 },
};

/** Untrained networks on two problems and four lags: γ next to the norm of its formula. */
async function measure(stage: Stage, runtime: Runtime): Promise<void> {
  const lags = [10, 50, 100, 200];
  for (const task of ['adding', 'copying'] as const) {
    stage.log(`\n  ${task}: γ measured at lags ${lags.join(', ')}; then ‖diag(f′)Uᵀ‖, mean and largest`);
    const longest: Record<string, Flow> = {};
    for (const [name, options] of Object.entries(NETWORKS)) {
      const flows = lags.map((lag) => {
        const chance = new Chance(stage.seed);
        const [F, outputs] = task === 'adding' ? [2, 1] : [ALL_SYMBOLS, ALL_SYMBOLS];
        const work = task === 'adding' ? sumLoss(adding(chance, lag, B)) : copyLoss(copying(chance, lag, B));
        const model = build(runtime, stage.seed, options, F, outputs);
        if (name.startsWith('GRU')) {
          const bias = model.get('rnn.bias_ih_l0');
          model.set('rnn.bias_ih_l0', bias.fill(5, H, 2 * H)); // z, which keeps the state
        }
        const flow = gradientFlow(model, work);
        model.dispose();
        return flow;
      });
      longest[name] = flows[lags.length - 1];
      const gammas = flows.map(({ layers: [{ gamma }] }) => (gamma === null ? '   - ' : gamma.toFixed(3))).join('  ');
      const { jacobian } = longest[name].layers[0];
      stage.log(
        `    ${name.padEnd(16)} ${gammas}   ${jacobian ? `${jacobian.mean.toFixed(2)} ${jacobian.max.toFixed(2)}` : ''}`,
      );
    }
    await write(stage, `${task}-200`, lagMap(longest, `${task}, lag 200, untrained`));
  }
}

/** What a training shows: means of the loss, gradients at some steps, and by batch their norm. */
interface Course {
  readonly losses: number[];
  readonly norms: number[];
  readonly flows: Record<string, Flow>;
  readonly overflow: number | null;
}

async function learn(
  stage: Stage,
  runtime: Runtime,
  [options, { clipNorm = 0, ...rates }]: readonly [Cell, Training],
  steps: number,
  label: string,
): Promise<Course> {
  const model = build(runtime, stage.seed, options, 2, 1);
  const optimizer = new Optimizer(model, rates);
  const chance = new Chance(stage.seed + 1);
  const probe = sumLoss(adding(new Chance(stage.seed + 2), T, B));
  const course: { losses: number[]; norms: number[]; flows: Record<string, Flow>; overflow: number | null } = {
    losses: [],
    norms: [],
    flows: { 'step 0': gradientFlow(model, probe) },
    overflow: null,
  };
  const next = () => ({ loss: sumLoss(adding(chance, T, B)) });
  try {
    for await (const p of train(model, optimizer, { ...rates, clipNorm, steps, signal: stage.signal }, next)) {
      course.losses.push(p.loss);
      course.norms.push(p.gradientNorm);
      if (p.step % (steps / 4) === 0) course.flows[`step ${p.step}`] = gradientFlow(model, probe);
      stage.progress(p.step, steps, label);
    }
  } catch (error) {
    if (!(error instanceof NonFiniteError)) throw error;
    course.overflow = error.step;
  }
  model.dispose();
  return course;
}

const write = (stage: Stage, name: string, svg: string) => stage.write(`${name}.svg`, new TextEncoder().encode(svg));

const mean = (values: readonly number[]) => values.reduce((a, b) => a + b, 0) / values.length;

/** Means of fifty steps each, for a curve. */
function curve(network: string, losses: readonly number[]): { network: string; step: number; value: number }[] {
  return Array.from({ length: Math.floor(losses.length / 50) }, (_, i) => ({
    network,
    step: 50 * (i + 1),
    value: mean(losses.slice(50 * i, 50 * (i + 1))),
  }));
}

export const example: Example = {
  title: 'vanishing and exploding gradients, and each remedy, on adding and copying',
  async run(stage) {
    const runtime = await Runtime.create();
    await measure(stage, runtime);

    const steps = 1200;
    stage.log(
      `\n  the adding problem over ${T} steps, ${steps} updates of ${B} sequences; to say 1 always has an error of 0.167`,
    );
    const known = new Map<readonly [Cell, Training], Course>();
    const courseOf = async (settings: readonly [Cell, Training], label: string) => {
      const same = [...known.keys()].find(([cell, training]) => cell === settings[0] && training === settings[1]);
      const course = (same && known.get(same)) ?? (await learn(stage, runtime, settings, steps, label));
      known.set(settings, course);
      return course;
    };
    const curves: ReturnType<typeof curve> = [];
    const ends = new Map<string, { error: number; flow: Flow }>();
    for (const { name, line, before, after } of REMEDIES) {
      const without = await courseOf(before, `${name}: without`);
      const course = await courseOf(after, name);
      stage.log(`\n  ${name}: ${line}`);
      const rows = (
        [
          ['without', without],
          ['with', course],
        ] as const
      ).flatMap(([word, { flows }]) =>
        Object.entries(flows).map(([step, flow]) => [`${word}, ${step}`, flow] as const),
      );
      await write(stage, name, lagMap(Object.fromEntries(rows), `${name}: ${line.split('  ')[0]}`));
      for (const [word, { losses, flows, overflow, norms }] of [
        ['without', without],
        ['with', course],
      ] as const) {
        const last = Object.values(flows).at(-1) as Flow;
        const [{ gamma, saturated, dead, jacobian }] = last.layers;
        const error = mean(losses.slice(-100));
        const norm = jacobian ? `, ‖diag(f′)Uᵀ‖ ${jacobian.mean.toFixed(2)}` : '';
        const clipped = norms.filter((n) => n > 1).length / norms.length;
        stage.log(
          `    ${word.padEnd(8)} error ${error.toFixed(4)}, γ ${gamma?.toFixed(3)}${norm}, saturated ${(100 * saturated).toFixed(0)} %, dead ${(100 * dead).toFixed(0)} %, norm above 1 in ${(100 * clipped).toFixed(0)} % of the steps${overflow ? `, overflow in step ${overflow}` : ''}`,
        );
        if (word === 'with') ends.set(name, { error, flow: last });
      }
      curves.push(...curve(name, course.losses));
      if (name === 'clipping') await clippingPicture(stage, without, course);
    }
    for (const { before, name } of REMEDIES.filter(({ name }) => ['clipping', 'gating'].includes(name))) {
      const { losses } = await courseOf(before, name);
      curves.push(...curve(name === 'gating' ? 'plain tanh' : 'tanh, large U', losses));
    }
    await stage.picture('adding', {
      title: `Adding over ${T} steps: which remedy learns it`,
      width: 620,
      height: 320,
      layer: [
        {
          data: { values: curves },
          mark: { type: 'line', clip: true },
          encoding: {
            x: { field: 'step', type: 'quantitative', title: 'updates' },
            y: {
              field: 'value',
              type: 'quantitative',
              title: 'mean squared error',
              scale: { type: 'log', domain: [1e-4, 10] },
            },
            color: { field: 'network', type: 'nominal', scale: { scheme: 'tableau10' }, title: null },
          },
        },
        {
          data: { values: [{ y: 1 / 6 }] },
          mark: { type: 'rule', strokeDash: [4, 4] },
          encoding: { y: { field: 'y', type: 'quantitative' } },
        },
      ],
    });
    const of = (name: string) => ends.get(name) as { error: number; flow: Flow };
    stage.metric('always to say 1, mean squared error', 1 / 6);
    for (const name of ['identity', 'gating', 'forget-bias']) {
      stage.metric(`${name}, mean squared error`, of(name).error, '', { atMost: 0.08 });
    }
    for (const name of ['additive', 'residual']) stage.metric(`${name}, mean squared error`, of(name).error);
    const norm = (name: string) => of(name).flow.layers[0].jacobian?.mean ?? Number.NaN;
    stage.metric('clipping alone: ‖diag(f′)Uᵀ‖ at the end', norm('clipping'));
    for (const name of ['l1', 'l2']) {
      stage.metric(`${name}: ‖diag(f′)Uᵀ‖ at the end`, norm(name), '', { atMost: 0.9 * norm('clipping') });
    }
    runtime.dispose();
  },
};

/** Without clipping one step can undo all others: norms of the gradients, as the optimizer takes them. */
async function clippingPicture(stage: Stage, without: Course, with_: Course): Promise<void> {
  const every = 8;
  const rows = (
    [
      ['without', without, (norm: number) => norm],
      ['with', with_, (norm: number) => Math.min(norm, 1)],
    ] as const
  ).map(([name, { norms }, taken]) => ({
    name,
    values: Array.from({ length: Math.floor(norms.length / every) }, (_, i) =>
      Math.max(...norms.slice(i * every, (i + 1) * every).map(taken)),
    ),
  }));
  const title = 'Norm of the gradient that the optimizer applies, largest of 8 updates';
  await write(
    stage,
    'clipping-norms',
    heatMap(rows, { title, x: { name: 'update', first: every, step: every }, unit: '‖g‖', scale: 'log' }),
  );
}
