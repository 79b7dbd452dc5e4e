/** The training loop: gradients, checks, clipping, update, progress. */
import * as check from '../check.js';
import { NonFiniteError } from '../errors.js';
import type { Model } from '../nn/model.js';
import { type Options, option, optional, readOptions, real, type Settings } from '../options.js';
import type { Minimised, Tape } from '../tape.js';
import { OPTIMIZER, Optimizer, type OptimizerOptions } from './optimizer.js';
import { Breather, Run } from './run.js';
import { Schedule, type ScheduleOptions } from './schedule.js';

const OWN = {
  /** Steps to make, default 1000; `Infinity`: until the batches or the `signal` end them. */
  steps: option((name, value) => (value === Infinity ? value : check.whole(name, value)), 1000),
  /** Scales the gradients so that their norm over all parameters is at most this; 0: no limit. Default 1. */
  clipNorm: option(real(0), 1),
  /** Clamps every gradient to ± this, before `clipNorm`; 0: no limit. Default 0. */
  clipValue: option(real(0), 0),
  /** How the learning rate changes; default: it does not. A model that is trained further keeps the schedule it has. */
  schedule: optional((_: string, value): ScheduleOptions => new Schedule(value as ScheduleOptions).options),
  /** Stops after the running step; `fit` then throws the signal's reason. */
  signal: optional(check.signal),
};

export const FIT = { ...OPTIMIZER, ...OWN };

export interface FitOptions extends OptimizerOptions, Options<typeof OWN> {}

export interface Progress {
  /** Updates of the model so far, earlier runs included. */
  readonly step: number;
  /** The step at which this run ends; `Infinity` where that is not known. */
  readonly steps: number;
  /** The loss of this step's batch, before the update. */
  readonly loss: number;
  /** Norm of the gradients over all parameters, before clipping. */
  readonly gradientNorm: number;
  readonly learningRate: number;
  /** Since the run began, and what remains at the pace so far. */
  readonly secondsElapsed: number;
  readonly secondsLeft: number;
}

/** What a step is made of. */
export interface Batch<L> {
  /** The forward pass. */
  readonly loss?: ((tape: Tape, layers: L) => Minimised) | undefined;
  /** Instead of `loss`: computes the gradients of the batch and leaves them in the model; returns the loss. */
  readonly gradients?: (() => number | PromiseLike<number>) | undefined;
  /** Called once the update has been made: what the step leaves for the next one becomes true only now. */
  readonly done?: () => void;
  /** Whether the run ends with this batch. */
  readonly last?: boolean;
}

/**
 * The training loop that tasks use. Await it, or iterate it for the progress after each step. The model changes in whole steps only.
 *
 * @param next gives the batch of a step, or a promise of it
 * @param running the schedule of an earlier run, to resume with; null: none. Default: a new one of `options.schedule`
 * @throws TypeError, RangeError for invalid arguments; NonFiniteError for a loss or a gradient that is not finite; that step did not change the model
 *
 * @example
 * ```js
 * import { input, Linear, Model, mseLoss, Optimizer, Runtime, train } from 'gatewise';
 *
 * const model = new Model(await Runtime.create(), 1, (b) => new Linear(b, 'line', { inputSize: 1, outputSize: 1 }));
 * const loss = (tape, line) => mseLoss(tape, line.forward(tape, input(tape, [1, 2], { T: 2, B: 1, F: 1 })), [3, 5]);
 * const optimizer = new Optimizer(model, { optimizer: 'sgd', learningRate: 0.1 });
 * let last;
 * for await (const progress of train(model, optimizer, { steps: 500 }, () => ({ loss }))) last = progress;
 * console.log(last.step, last.loss < 1e-4); // 500 true
 * ```
 */
export function train<L>(
  model: Model<L>,
  optimizer: Optimizer,
  options: FitOptions,
  next: () => Batch<L> | Promise<Batch<L>>,
  running?: Schedule | null,
): Run<Progress, void> {
  return new Run(trainSteps(model, optimizer, options, next, running), options?.signal);
}

/** The steps of `train`: its arguments are checked when it is called. */
export function trainSteps<L>(
  model: Model<L>,
  optimizer: Optimizer,
  options: FitOptions,
  next: () => Batch<L> | Promise<Batch<L>>,
  running?: Schedule | null,
): AsyncGenerator<Progress, void, void> {
  check.model(model);
  Optimizer.check(optimizer);
  check.callback('next', next);
  if (optimizer.model !== model) throw new RangeError('optimizer: is of another model than the one that is trained');
  const settings = readOptions('train', FIT, options);
  if (running !== undefined && running !== null) check.made('running', running, 'rate', 'a Schedule or null');
  const schedule = running === undefined && settings.schedule ? new Schedule(settings.schedule) : running;
  const { learningRate = optimizer.settings.learningRate } = options;
  return loop(model, optimizer, { ...settings, learningRate }, next, schedule ?? null);
}

async function* loop<L>(
  model: Model<L>,
  optimizer: Optimizer,
  { steps, clipNorm, clipValue, signal, learningRate: base }: Settings<typeof FIT>,
  next: () => Batch<L> | Promise<Batch<L>>,
  schedule: Schedule | null,
): AsyncGenerator<Progress, void, void> {
  const breather = new Breather();
  const began = performance.now();
  const first = optimizer.steps;
  for (let made = 1; made <= steps; made++) {
    signal?.throwIfAborted();
    const given = next();
    const batch = given instanceof Promise ? await given : given;
    const { loss: work, gradients } = batch ?? {};
    if (typeof (work ?? gradients) !== 'function') check.fail('next: what it returns', '{ loss }, a function', batch);
    if (batch.done !== undefined) check.callback('done', batch.done);
    const loss = work ? model.valueAndGrad(work) : await (gradients as () => number)();
    const gradientNorm = clip(model, optimizer.steps + 1, loss, clipNorm, clipValue);
    // a rate past all numbers is refused as any update that is not finite
    const learningRate = Math.min(schedule?.rate(base) ?? base, Number.MAX_VALUE);
    optimizer.step(learningRate);
    schedule?.done(loss);
    batch.done?.();
    const secondsElapsed = (performance.now() - began) / 1000;
    const total = batch.last ? made : steps;
    yield {
      step: first + made,
      steps: first + total,
      loss,
      gradientNorm,
      learningRate,
      secondsElapsed,
      secondsLeft: (secondsElapsed / made) * (total - made),
    };
    if (batch.last) return;
    await breather.breathe();
  }
}

/** Checks the loss and the gradients, and clips them; returns their norm before any clipping. */
function clip(model: Model<unknown>, step: number, loss: number, clipNorm: number, clipValue: number): number {
  if (!Number.isFinite(loss)) {
    throw new NonFiniteError(
      `the loss of step ${step} is ${loss}; that step did not change the model. A lower learningRate or clipNorm may help`,
      step,
      'loss',
    );
  }
  const norm = model.gradientNorm();
  if (!Number.isFinite(norm)) {
    const where =
      model.parameters.find(({ name }) => !model.gradient(name).every(Number.isFinite))?.name ?? 'gradients';
    throw new NonFiniteError(
      `the gradient of ${where} in step ${step} is not finite; that step did not change the model. A lower learningRate may help`,
      step,
      where,
    );
  }
  if (clipValue > 0) model.clipGradValue(clipValue);
  if (clipNorm > 0) model.clipGradNorm(clipNorm, clipValue > 0 ? undefined : norm);
  return norm;
}
