/** Gradient flow: how large the gradient of the loss is at each step of each recurrent layer, and what stops it. */
import * as check from '../check.js';
import type { Model, Optimizer } from '../index.js';
import { type Options, option, optional, readOptions, real } from '../options.js';
import type { Minimised, Tape } from '../tape.js';
import { exp2, log2 } from './numbers.js';
import { Probe, type Saturation, type Seen } from './observe.js';

/** Norms of gradients, of one sequence: the root of the mean square over the sequences that have the step. */
export interface StateNorms {
  readonly h: Float64Array;
  /** Of an LSTM's c as the next step takes it, so without the path through h of the same step; null for cells without c. */
  readonly c: Float64Array | null;
}

/** What was measured of one layer in one direction, in one call of it. */
export interface LayerFlow {
  /** Name of the `Recurrent`, number of the layer in its stack, direction. */
  readonly name: string;
  readonly layer: number;
  readonly reverse: boolean;
  readonly cell: string;
  /** T, B, H. */
  readonly steps: number;
  readonly sequences: number;
  readonly hiddenSize: number;
  /** ‖∂L/∂h_t‖ by step t [T]. */
  readonly gradient: StateNorms;
  /**
   * ‖δ_{t,k}‖ by lag t - k [T]: of the gradient that enters at the last step t of a sequence at which one does (the first, where time runs
   * backwards), what arrives at step k. Shorter where no sequence is that long.
   */
  readonly lags: StateNorms;
  /** The factor per step: γ of ‖δ_{t,k}‖ ≈ ‖δ_{t,t}‖ γ^(t-k), by least squares of the logarithms; null with less than two lags. */
  readonly gamma: number | null;
  /** ‖diag(f′)Uᵀ‖, the largest singular value, over a sample of steps; null but for plain `rnn` cells. */
  readonly jacobian: { readonly mean: number; readonly max: number } | null;
  /** Shares of numbers whose slope is below a tenth of its largest value, gate by gate. */
  readonly gates: Readonly<Record<string, Saturation>>;
  /** The same over all gates, and the share of units whose weights receive no gradient at any step. */
  readonly saturated: number;
  readonly dead: number;
}

/** Norms of a parameter and of its next update. */
export interface UpdateRatio {
  readonly name: string;
  readonly weight: number;
  readonly update: number;
  /** update / weight; 0 where both are 0. */
  readonly ratio: number;
}

export interface Flow {
  /** The loss of the batch. */
  readonly loss: number;
  /** Layer by layer, in the order of the forward pass. */
  readonly layers: readonly LayerFlow[];
  /** Norm of all gradients together, before clipping. */
  readonly gradientNorm: number;
  /** The share of `gradientNorms` above `clipNorm`; without them 1 or 0, as this batch's own norm is. */
  readonly clipRate: number;
  /** What the next step of the optimizer would change, parameter by parameter; null without an optimizer. */
  readonly updates: readonly UpdateRatio[] | null;
}

const FLOW = {
  /** The optimizer whose next step is measured; it and the model stay as they are. Default: none. */
  optimizer: optional((name: string, value: unknown): Optimizer => {
    check.made(name, value, 'step', 'an Optimizer');
    return value as Optimizer;
  }),
  /** The limit of the norm that training clips to, default 1, that of `fit`; 0: no limit. */
  clipNorm: option(real(0), 1),
  /** Norms of gradients of the steps so far, from the progress of a training: what `clipRate` counts. Default: this batch's. */
  gradientNorms: optional((name: string, value: unknown): readonly number[] => {
    if (!Array.isArray(value)) return check.fail(name, 'a list of numbers', value);
    return value.map((norm, i) => check.number(`${name}[${i}]`, norm, 0));
  }),
};

export interface FlowOptions extends Options<typeof FLOW> {}

/**
 * Measures the flow of gradients in one batch: two forward and backward passes, three where time runs backwards. Parameters,
 * gradients, random numbers and the optimizer are afterwards as they were.
 *
 * @param model a model of layers that has a `Recurrent`
 * @param work the forward pass, as `valueAndGrad` takes it; it is called for each pass. A `State` that it reads is not moved on
 * @returns plain numbers; `flowMap` and `lagMap` draw them
 * @throws TypeError, RangeError for invalid options; Error if no gradient reaches a recurrent layer
 *
 * @example
 * ```js
 * import { input, Linear, Model, mseLoss, Recurrent, Runtime } from 'gatewise';
 * import { gradientFlow } from 'gatewise/dynamics';
 *
 * const model = new Model(await Runtime.create(), 1, (b) => ({
 *   rnn: new Recurrent(b, 'rnn', {
 *     ...{ cell: 'rnn', activation: 'identity', inputSize: 1, hiddenSize: 4 },
 *     initializers: { recurrent: { kind: 'identity', scale: 0.5 } },
 *   }),
 *   head: new Linear(b, 'head', { inputSize: 4, outputSize: 1 }),
 * }));
 * const flow = gradientFlow(model, (tape, { rnn, head }) => {
 *   const x = input(tape, [1, 0, 0, 0, 0], { T: 5, B: 1, F: 1 });
 *   return mseLoss(tape, head.forward(tape, rnn.forward(tape, x).h[0]), [1]);
 * });
 * const [{ gamma, lags }] = flow.layers;
 * console.log(gamma.toFixed(3), (lags.h[4] / lags.h[0]).toFixed(4)); // 0.500 0.0625
 * ```
 */
export function gradientFlow<L>(
  model: Model<L>,
  work: (tape: Tape, layers: L) => Minimised,
  options?: FlowOptions,
): Flow;
/**
 * The same for a task: the first batch of a new training on these data. The optimizer is that of the task, if it has been trained.
 *
 * @param data what `fit` takes
 * @param options `fit`: its options, for example `{ batchSize: 8 }`
 * @throws what `fit` throws
 */
export function gradientFlow<T extends Trainable>(
  task: T,
  data: Parameters<T['fit']>[0],
  options?: FlowOptions & { readonly fit?: Parameters<T['fit']>[1] },
): Flow;
export function gradientFlow(
  from: unknown,
  data: unknown,
  options: FlowOptions & { readonly fit?: unknown } = {},
): Flow {
  if (!isTask(from)) return flowOf(from as Model<unknown>, data as Work, options);
  check.made('task', from, 'firstBatch', 'a task', 'model');
  check.options('gradientFlow', options, [...Object.keys(FLOW), 'fit']);
  const { fit = {}, ...own } = options;
  const work = from.firstBatch(() => from.fit(data as never, fit as never)) as Work;
  return flowOf(from.model, work, { ...own, optimizer: own.optimizer ?? from.optimizer ?? undefined });
}

/** What is asked of a task of `gatewise/tasks`. */
export interface Trainable {
  readonly model: Model<unknown>;
  readonly optimizer: Optimizer | null;
  fit(data: never, options?: never): unknown;
  firstBatch(fit: () => unknown): (tape: Tape, layers: never) => Minimised;
}

type Work = (tape: Tape, layers: unknown) => Minimised;

function isTask(value: unknown): value is Trainable {
  return typeof (value as Trainable | null)?.firstBatch === 'function';
}

function flowOf(model: Model<unknown>, work: Work, options: FlowOptions): Flow {
  check.model(model);
  check.callback('work', work);
  const { optimizer, clipNorm, gradientNorms } = readOptions('gradientFlow', FLOW, options);
  if (optimizer && optimizer.model !== model) throw new RangeError('optimizer: is of another model');
  const { runtime, random, observer } = model;
  const counters = { ...random.next };
  model.prepare();
  const floats = model.slabBytes / 4;
  const gradients = runtime.read(model.gradients, floats);
  const observed = (probe: Probe) => {
    Object.assign(random.next, counters);
    model.observer = probe;
    return { loss: model.valueAndGrad(work), seen: probe.seen };
  };
  try {
    const last = observed(new Probe('last', false)).seen;
    const first = last.some(({ reverse }) => reverse) ? observed(new Probe('first', false)).seen : last;
    const { loss, seen } = observed(new Probe('all', true));
    if (seen.length === 0) throw new Error('gradientFlow: no gradient reaches a recurrent layer in this pass');
    const gradientNorm = model.gradientNorm();
    const norms = gradientNorms ?? [gradientNorm];
    const clipped = norms.filter((norm) => clipNorm > 0 && norm > clipNorm).length;
    const layers = joined(seen.map((all, i) => ({ all, one: (all.reverse ? first : last)[i] }))).map(layerFlow);
    const updates = optimizer ? measureUpdates(model, optimizer, clipNorm) : null;
    return { loss, layers, gradientNorm, clipRate: norms.length ? clipped / norms.length : 0, updates };
  } finally {
    model.observer = observer;
    Object.assign(random.next, counters);
    runtime.write(model.gradients, gradients);
  }
}

/** What was seen of a call with all gradients, and with one alone. */
interface Pair {
  readonly all: Seen;
  readonly one: Seen;
}

/** Calls of one step that continue another call of the same layer are one with it. */
function joined(pairs: readonly Pair[]): Pair[] {
  const out: Pair[] = [];
  for (const pair of pairs) {
    const { direction, T, B, reverse } = pair.all;
    let i = out.length - 1;
    while (i >= 0 && out[i].all.direction !== direction) i--;
    const before = out[i];
    if (T > 1 || reverse || before?.all.B !== B || before.all.lengths) out.push(pair);
    else out[i] = { all: join(before.all, pair.all), one: join(before.one, pair.one) };
  }
  return out;
}

function join(a: Seen, b: Seen): Seen {
  const both = (x: Float64Array, y: Float64Array) => Float64Array.of(...x, ...y);
  return { ...a, T: a.T + b.T, h: both(a.h, b.h), c: a.c && b.c && both(a.c, b.c) };
}

function layerFlow({ all, one }: Pair): LayerFlow {
  const { direction, reverse, T, B, lengths, gates, dead, jacobians } = all;
  const [, name = '', layer = ''] = /^(.*)\.weight_ih_l(\d+)/.exec(direction.wih.name) ?? [];
  const alive = (t: number, b: number) => !lengths || t < lengths[b];
  const everyone = Array.from({ length: B }, (_, b) => b);
  const rms = (squares: Float64Array, rows: readonly number[]) =>
    Math.sqrt(rows.reduce((sum, row) => sum + squares[row], 0) / rows.length);
  const bySteps = (squares: Float64Array) =>
    Float64Array.from({ length: T }, (_, t) =>
      rms(
        squares,
        everyone.filter((b) => alive(t, b)).map((b) => t * B + b),
      ),
    );

  // where the gradient enters: beyond it, it is zero
  const { h, c } = one;
  const towards = reverse ? 1 : -1;
  const entered = everyone.map((b) => {
    let t = reverse ? 0 : T - 1;
    while (t >= 0 && t < T && h[t * B + b] === 0 && !c?.[t * B + b]) t += towards;
    return t;
  });
  const rowsAt = (lag: number, least = lag) =>
    everyone
      .filter((b) => {
        const end = entered[b] + towards * least;
        return end >= 0 && end < T && alive(end, b);
      })
      .map((b) => (entered[b] + towards * lag) * B + b);
  let count = 0;
  while (count < T && rowsAt(count).length > 0) count++;
  const byLags = (squares: Float64Array) => Float64Array.from({ length: count }, (_, lag) => rms(squares, rowsAt(lag)));

  // log₂ ‖δ‖ by lag, each step from one lag to the next over the sequences that have both
  const state = c ? h.map((square, i) => square + c[i]) : h;
  const logs = [0];
  for (let lag = 1; lag < count; lag++) {
    const ratio = rms(state, rowsAt(lag)) / rms(state, rowsAt(lag - 1, lag));
    if (!(ratio > 0)) break;
    logs.push(logs[lag - 1] + log2(ratio));
  }
  const shares = Object.values(gates);
  const saturated = shares.reduce((sum, { low, high }) => sum + low + high, 0) / Math.max(shares.length, 1);
  return {
    name,
    layer: Number(layer),
    reverse,
    cell: direction.settings.options.cell,
    steps: T,
    sequences: B,
    hiddenSize: direction.H,
    gradient: { h: bySteps(all.h), c: all.c && bySteps(all.c) },
    lags: { h: byLags(h), c: c && byLags(c) },
    gamma: logs.length > 1 ? exp2(slope(logs)) : null,
    jacobian: jacobians.length
      ? { mean: jacobians.reduce((a, b) => a + b) / jacobians.length, max: Math.max(...jacobians) }
      : null,
    gates,
    saturated,
    dead: dead.reduce((n, d) => n + d, 0) / direction.H,
  };
}

/** The slope of the line through (0, y₀), (1, y₁) … by least squares. */
function slope(y: readonly number[]): number {
  const middle = (y.length - 1) / 2;
  const [a, b] = y.reduce(([a, b], value, i) => [a + (i - middle) * value, b + (i - middle) ** 2], [0, 0]);
  return a / b;
}

/** Makes the next step of the optimizer, measures it and takes it back. */
function measureUpdates(model: Model<unknown>, optimizer: Optimizer, clipNorm: number): UpdateRatio[] {
  const { runtime, slab, slabBytes, parameters } = model;
  const { core } = runtime;
  const floats = slabBytes / 4;
  const slabs = [slab, ...Object.values(optimizer.moments)];
  const before = slabs.map((at) => runtime.read(at, floats));
  const { steps } = optimizer;
  const norm = (at: number, size: number) => Math.sqrt(core.sumSquares(at, 4 * Math.ceil(size / 4)));
  const weights = parameters.map(({ at, size }) => norm(at, size));
  try {
    if (clipNorm > 0) model.clipGradNorm(clipNorm);
    optimizer.step();
    return runtime.scope(() => {
      const change = runtime.take(slabBytes);
      runtime.write(change, before[0]);
      core.addScaled(change, slab, floats, -1);
      return parameters.map(({ name, at, size }, i) => {
        const [weight, update] = [weights[i], norm(change + at - slab, size)];
        return { name, weight, update, ratio: update > 0 ? update / weight : 0 };
      });
    });
  } finally {
    slabs.forEach((at, i) => {
      runtime.write(at, before[i]);
    });
    optimizer.steps = steps;
    model.changed();
  }
}
