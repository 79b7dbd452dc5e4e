/**
 * gatewise/online: gradients that are carried forward in time. The references: RTRL against backpropagation through time. The kernels:
 * against the references step by step, and summed over a sequence against backpropagation through time of the core.
 */
import {
  bceWithLogitsLoss,
  CELL_NAMES,
  crossEntropyLoss,
  input,
  Linear,
  type Loss,
  Model,
  mseLoss,
  Recurrent,
  type RecurrentOptions,
  type Rows,
  Runtime,
  type Tape,
} from 'gatewise';
import { ONLINE_CELLS, OnlineLearner, type OnlineLoss, type OnlineOptions } from 'gatewise/online';
import { test } from 'uvu';
import { equal, ok, throws } from 'uvu/assert';
import type { Graph, Matrix } from './reference/autodiff.js';
import { crossEntropy, losses } from './reference/losses.js';
import { bptt, type LossOf, online, type Parameters, type Rule, summed } from './reference/online.js';
import { close, random, uniform } from './support/numbers.js';

const runtime = await Runtime.create();
const T = 14;
const O = 3;

/** Every cell with every option that can learn online; odd sizes; stacks. */
const NETWORKS: readonly RecurrentOptions[] = [
  { cell: 'rnn', inputSize: 3, hiddenSize: 5 },
  { cell: 'rnn', inputSize: 1, hiddenSize: 1 },
  { cell: 'rnn', inputSize: 2, hiddenSize: 17, bias: false },
  { cell: 'rnn', inputSize: 3, hiddenSize: 4, activation: 'sigmoid' },
  { cell: 'rnn', inputSize: 3, hiddenSize: 6, activation: 'relu' },
  { cell: 'rnn', inputSize: 3, hiddenSize: 5, activation: 'identity' },
  { cell: 'rnn', inputSize: 3, hiddenSize: [5, 4] },
  { cell: 'rnn', inputSize: 2, hiddenSize: 4, numLayers: 3 },
  { cell: 'lstm', inputSize: 3, hiddenSize: 5 },
  { cell: 'lstm', inputSize: 16, hiddenSize: 8, bias: false },
  { cell: 'lstm', inputSize: 3, hiddenSize: 5, peepholes: true },
  { cell: 'lstm', inputSize: 3, hiddenSize: 5, coupled: true },
  { cell: 'lstm', inputSize: 2, hiddenSize: 6, coupled: true, peepholes: true, bias: false },
  { cell: 'lstm', inputSize: 3, hiddenSize: 5, cellClip: 0.2, forgetBias: 1 },
  { cell: 'lstm', inputSize: 3, hiddenSize: [5, 3] },
  { cell: 'lstm', inputSize: 2, hiddenSize: [3, 7], peepholes: true },
  { cell: 'gru', inputSize: 3, hiddenSize: 5 },
  { cell: 'gru', inputSize: 5, hiddenSize: 9, bias: false },
  { cell: 'gru', inputSize: 3, hiddenSize: 5, activation: 'relu' },
  { cell: 'gru', inputSize: 3, hiddenSize: [4, 6] },
  { cell: 'residual', inputSize: 3, hiddenSize: 5 },
  { cell: 'residual', inputSize: 3, hiddenSize: 5, feedback: false },
  { cell: 'residual', inputSize: 3, hiddenSize: [4, 5] },
  { cell: 'mingru', inputSize: 3, hiddenSize: 5 },
  { cell: 'mingru', inputSize: 3, hiddenSize: [6, 5], positive: true },
  { cell: 'minlstm', inputSize: 3, hiddenSize: 5, bias: false },
  { cell: 'minlstm', inputSize: 3, hiddenSize: [4, 5], positive: true },
  { cell: 'lru', inputSize: 3, hiddenSize: 6 },
  { cell: 'lru', inputSize: 1, hiddenSize: 2, activation: 'sigmoid', bias: false },
  { cell: 'lru', inputSize: 5, hiddenSize: 18, activation: 'tanh' },
  { cell: 'lru', inputSize: 4, hiddenSize: 10, activation: 'relu', bias: false },
  { cell: 'lru', inputSize: 3, hiddenSize: [6, 4], activation: 'tanh' },
  { cell: 'lru', inputSize: 2, hiddenSize: 4, numLayers: 3, activation: 'tanh' },
];
/** Whether `'rtrl'` carries everything that a network needs: of linear recurrent units one layer only. */
const carried = ({ cell, hiddenSize, numLayers }: RecurrentOptions) =>
  cell !== 'lru' || (typeof hiddenSize === 'number' && (numLayers ?? 1) === 1);
/** Cells whose units do not see each other. */
const DIAGONAL: readonly RecurrentOptions[] = [
  { cell: 'mingru', inputSize: 3, hiddenSize: 7 },
  { cell: 'minlstm', inputSize: 3, hiddenSize: 7 },
  { cell: 'residual', inputSize: 3, hiddenSize: 7, feedback: false },
  { cell: 'lru', inputSize: 3, hiddenSize: 8, activation: 'tanh' },
];
const LOSSES: readonly OnlineLoss[] = ['crossEntropy', 'bceWithLogits', 'mse'];
const title = ({ cell, ...rest }: RecurrentOptions) => `${cell} ${JSON.stringify(rest)}`;

interface Problem {
  readonly options: OnlineOptions;
  readonly network: RecurrentOptions;
  readonly xs: Float32Array[];
  readonly targets: (number | Float32Array | null)[];
  /** By their full names. */
  readonly weights: Map<string, { shape: readonly number[]; data: Float32Array }>;
}

/** Random inputs, targets at some steps, and weights, of a network. */
function problem(network: RecurrentOptions, loss: OnlineLoss, seed: number): Problem {
  const next = random(seed);
  const method = carried(network) ? 'rtrl' : 'snap1';
  const options: OnlineOptions = { ...network, outputSize: O, loss, method, optimizer: 'sgd', learningRate: 0 };
  const target = () => {
    if (loss === 'crossEntropy') return Math.floor(next() * O);
    return Float32Array.from({ length: O }, () => (loss === 'mse' ? next() * 2 - 1 : next()));
  };
  const xs = Array.from({ length: T }, () => uniform(next, network.inputSize));
  // nothing at the first step, nor at every fourth
  const targets = xs.map((_, t) => (t % 4 === 0 ? null : target()));
  using learner = OnlineLearner.createSync(options);
  const weights = learner.parameters.map(({ name, shape }) => {
    const columns = shape.length > 1 ? shape[1] : shape[0];
    const size = shape.reduce((a, b) => a * b);
    return [name, { shape, data: uniform(next, size, 1.2 / Math.sqrt(columns)) }] as const;
  });
  return { options, network, xs, targets, weights: new Map(weights) };
}

/** The loss of the reference: the output layer, and what follows it. */
function lossOf({ options, targets }: Problem): LossOf {
  return (g: Graph, h: Matrix, t, weights) => {
    const target = targets[t];
    if (target === null) return null;
    const y = g.add(g.product(h, weights['head.weight'] as Matrix), weights['head.bias'] as Matrix);
    if (typeof target === 'number') return g.sum(crossEntropy(g, y, [target], {}).rows);
    const kind = options.loss === 'mse' ? 'mse' : 'bceWithLogits';
    return g.scale(g.sum(losses(g, kind, y, g.matrix(1, O, target), {})), 1 / O);
  };
}

/** Parameters as the reference names them. */
function named({ weights }: Problem): Parameters {
  return Object.fromEntries([...weights].map(([name, value]) => [name.replace(/^rnn\./, ''), value]));
}

/** What the learner computes at each step, its weights fixed. */
function learned({ options, xs, targets, weights }: Problem, method: Rule) {
  using learner = OnlineLearner.createSync({ ...options, method });
  for (const [name, { data }] of weights) learner.set(name, data);
  const steps = xs.map((x, t) => {
    const { loss, output } = learner.step(x, targets[t]);
    const gradients: Record<string, Float32Array> = {};
    if (loss !== null) for (const name of weights.keys()) gradients[name] = learner.gradient(name);
    return { loss, output, gradients };
  });
  for (const [name, { data }] of weights) equal(learner.get(name), data, `${name} has changed`);
  return steps;
}

/** Gradients of the sum of all losses, by backpropagation through time of the core, and its predictions. */
function backpropagated({ options, network, xs, targets, weights }: Problem) {
  const model = new Model(runtime, 0, (b) => ({
    rnn: new Recurrent(b, 'rnn', network),
    head: new Linear(b, 'head', { inputSize: [network.hiddenSize].flat().at(-1) as number, outputSize: O }),
  }));
  for (const [name, { data }] of weights) model.set(name, data);
  const at = targets.flatMap((target, t) => (target === null ? [] : [t]));
  const one = (tape: Tape, y: Rows, t: number): Loss => {
    const upstream = Float32Array.from({ length: T }, (_, n) => (n === t ? 1 : 0));
    const target = targets[t];
    if (typeof target === 'number') {
      const classes = Int32Array.from({ length: T }, () => target);
      return crossEntropyLoss(tape, y, classes, { reduction: 'none', upstream });
    }
    const values = Float32Array.from({ length: T * O }, (_, i) => (target as Float32Array)[i % O]);
    const wide = Float32Array.from({ length: T * O }, (_, i) => upstream[Math.floor(i / O)] / O);
    const loss = options.loss === 'mse' ? mseLoss : bceWithLogitsLoss;
    return loss(tape, y, values, { reduction: 'none', upstream: wide });
  };
  model.valueAndGrad((tape, { rnn, head }) => {
    const x = input(tape, Float32Array.from(xs.flatMap((row) => [...row])), { T, B: 1, F: network.inputSize });
    const y = head.forward(tape, rnn.forward(tape, x).output);
    return at.map((t) => ({ loss: one(tape, y, t), weight: 1 }));
  });
  const gradients = Object.fromEntries([...weights.keys()].map((name) => [name, model.gradient(name)]));
  model.dispose();
  return gradients;
}

/** The same bound for each parameter, of the largest gradient of all. */
function compare(
  got: Readonly<Record<string, ArrayLike<number>>>,
  want: Readonly<Record<string, ArrayLike<number>>>,
  bound: number,
  what: string,
): void {
  const names = Object.keys(want);
  equal(Object.keys(got).sort(), [...names].sort());
  const flat = (all: Readonly<Record<string, ArrayLike<number>>>) => names.flatMap((name) => Array.from(all[name]));
  close(flat(got), flat(want), bound, what);
}

/** Names of the reference as those of the learner. */
const full = (gradients: Readonly<Record<string, ArrayLike<number>>>) =>
  Object.fromEntries(
    Object.entries(gradients).map(([name, values]) => [name.startsWith('head') ? name : `rnn.${name}`, values]),
  );

NETWORKS.forEach((network, i) => {
  const p = problem(network, LOSSES[i % 3], 100 + i);

  test(`reference: ${title(network)}: RTRL is backpropagation through time to 1e-12`, () => {
    const forward = summed(online(network, 'rtrl', p.xs, named(p), lossOf(p)));
    compare(forward, bptt(network, p.xs, named(p), lossOf(p)), 1e-12, 'gradient');
  });

  for (const rule of ['rtrl', 'snap1', 'immediate'] as const) {
    if (rule === 'rtrl' && !carried(network)) continue;
    test(`${rule}: ${title(network)}: all steps are those of the reference to 1e-6`, () => {
      const want = online(network, rule, p.xs, named(p), lossOf(p));
      const got = learned(p, rule);
      const known = (list: readonly { loss: number | null }[]) => list.map(({ loss }) => loss ?? 0);
      equal(known(got).map(Boolean), known(want).map(Boolean));
      close(known(got), known(want), 1e-6, 'losses');
      // each gradient of each step is one of many numbers, compared with the largest of all
      const flat = (list: readonly { gradients: Readonly<Record<string, ArrayLike<number>>> }[], of: typeof full) =>
        Object.fromEntries(
          list.flatMap(({ gradients }, t) => Object.entries(of(gradients)).map(([k, v]) => [`${t} ${k}`, v])),
        );
      compare(
        flat(got, (g) => g),
        flat(want, full),
        1e-6,
        'gradients',
      );
    });
  }

  if (!carried(network)) {
    test(`rtrl: ${title(network)}: is refused by name`, () => {
      throws(() => learned(p, 'rtrl'), /^method: expected 'snap1' or 'immediate' for \d layers of cell 'lru'/);
    });
    return;
  }

  test(`rtrl: ${title(network)}: summed over a sequence, it is backpropagation of the core to 1e-6`, () => {
    compare(summed(learned(p, 'rtrl')), backpropagated(p), 1e-6, 'gradient');
  });
});

test('every cell is among them', () => {
  const cells = [...new Set(NETWORKS.map(({ cell }) => cell))].sort();
  equal(cells, [...ONLINE_CELLS].sort());
  equal(cells, [...CELL_NAMES].sort());
});

for (const network of DIAGONAL) {
  test(`snap1: ${title(network)}: exact, since no unit sees another, to 1e-6 of backpropagation`, () => {
    const p = problem(network, 'mse', 5);
    compare(summed(learned(p, 'snap1')), backpropagated(p), 1e-6, 'gradient');
  });
}

test('lru: the sum of the gradients of the reference is that of central differences to 1e-7', () => {
  const p = problem({ cell: 'lru', inputSize: 3, hiddenSize: [4, 2], activation: 'tanh' }, 'crossEntropy', 8);
  const total = (parameters: Parameters) =>
    online(p.network, 'immediate', p.xs, parameters, lossOf(p)).reduce((sum, { loss }) => sum + (loss ?? 0), 0);
  const exact = summed(online(p.network, 'rtrl', p.xs, named(p), lossOf(p)));
  const h = 1e-5;
  const slopes = Object.entries(named(p)).map(([name, { shape, data }]) => {
    const at = (i: number, by: number) =>
      total({ ...named(p), [name]: { shape, data: Float64Array.from(data).with(i, data[i] + by) } });
    return [name, Array.from(data, (_, i) => (at(i, h) - at(i, -h)) / (2 * h))] as const;
  });
  compare(exact, Object.fromEntries(slopes), 1e-7, 'gradient');
});

test('a wrong recurrence would be found: the cheaper rules are not backpropagation', () => {
  const p = problem({ cell: 'gru', inputSize: 3, hiddenSize: 5 }, 'mse', 1);
  for (const rule of ['snap1', 'immediate'] as const) {
    let caught = false;
    try {
      compare(summed(learned(p, rule)), backpropagated(p), 1e-2, rule);
    } catch {
      caught = true;
    }
    ok(caught, rule);
  }
});

test.run();
