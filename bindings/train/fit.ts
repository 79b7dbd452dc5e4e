/** The training loop: gradients, checks, clipping, update, progress. */
import * as check from '../check.js';
import { NonFiniteError } from '../errors.js';
import type { Model } from '../nn/model.js';
import type { Loss, Tape } from '../tape.js';
import { OPTIMIZER_OPTIONS, type Optimizer, type OptimizerOptions } from './optimizer.js';
import { Breather } from './run.js';
import { Schedule, type ScheduleOptions } from './schedule.js';

export interface FitOptions extends OptimizerOptions {
  /** Updates to make. */
  steps?: number | undefined;
  /** Scales the gradients so that their norm over all parameters is at most this; 0: not. Default 1. */
  clipNorm?: number | undefined;
  /** Clamps every gradient to ± this, before `clipNorm`; 0: not. Default 0. */
  clipValue?: number | undefined;
  /** How the learning rate changes; default: it does not. A model that is trained on goes on with the schedule it has. */
  schedule?: ScheduleOptions | undefined;
  /** Stops after the running step; `fit` then throws the signal's reason. */
  signal?: AbortSignal | undefined;
}

export const FIT_OPTIONS: readonly string[] = [
  ...OPTIMIZER_OPTIONS,
  'steps',
  'clipNorm',
  'clipValue',
  'schedule',
  'signal',
];

export interface Progress {
  /** Updates of the model so far, earlier runs included. */
  readonly step: number;
  /** The step at which this run ends. */
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
  readonly loss: (tape: Tape, layers: L) => Loss | readonly { loss: Loss; weight: number }[];
  /** Called once the update has been made: what the step leaves for the next one becomes true only now. */
  readonly done?: () => void;
}

export function checkFit(options: FitOptions): { steps: number; clipNorm: number; clipValue: number } {
  const { steps = 1000, clipNorm = 1, clipValue = 0, signal } = options;
  check.whole('steps', steps);
  check.number('clipNorm', clipNorm, 0);
  check.number('clipValue', clipValue, 0);
  if (options.schedule !== undefined) {
    if (typeof options.schedule !== 'object')
      check.fail('schedule', "an object such as { kind: 'cosine', steps }", options.schedule);
    new Schedule(options.schedule);
  }
  check.signal('signal', signal);
  return { steps, clipNorm, clipValue };
}

/** Makes the steps of a run. The model changes in whole steps only. */
export async function* train<L>(
  model: Model<L>,
  optimizer: Optimizer,
  options: FitOptions,
  next: () => Batch<L>,
  schedule: Schedule | null = options.schedule ? new Schedule(options.schedule) : null,
): AsyncGenerator<Progress, void, void> {
  const { steps, clipNorm, clipValue } = checkFit(options);
  const { learningRate: base = optimizer.settings.learningRate, signal } = options;
  const breather = new Breather();
  const began = performance.now();
  const first = optimizer.steps;
  for (let made = 1; made <= steps; made++) {
    signal?.throwIfAborted();
    const batch = next();
    const loss = model.valueAndGrad(batch.loss);
    const gradientNorm = clip(model, optimizer.steps + 1, loss, clipNorm, clipValue);
    const learningRate = schedule?.rate(base) ?? base;
    optimizer.step(learningRate);
    schedule?.done(loss);
    batch.done?.();
    const secondsElapsed = (performance.now() - began) / 1000;
    yield {
      step: first + made,
      steps: first + steps,
      loss,
      gradientNorm,
      learningRate,
      secondsElapsed,
      secondsLeft: (secondsElapsed / made) * (steps - made),
    };
    await breather.breathe();
  }
}

/** Clips the gradients; returns their norm before. */
function clip(model: Model<unknown>, step: number, loss: number, clipNorm: number, clipValue: number): number {
  const { core } = model.runtime;
  const { gradients, slabBytes } = model;
  const n = slabBytes / 4;
  if (!Number.isFinite(loss)) {
    throw new NonFiniteError(
      `the loss of step ${step} is ${loss}; the model is as it was before that step. A lower learningRate or clipNorm may help`,
      step,
      'loss',
    );
  }
  if (clipValue > 0) core.clipValue(gradients, n, clipValue);
  const norm = Math.sqrt(core.sumSquares(gradients, n));
  if (!Number.isFinite(norm)) {
    const where = model.parameters.find(
      ({ grad, size }) => !Number.isFinite(core.sumSquares(grad, Math.ceil(size / 4) * 4)),
    );
    throw new NonFiniteError(
      `the gradient of ${where?.name} in step ${step} is not finite; the model is as it was before that step. A lower learningRate may help`,
      step,
      where?.name ?? 'gradients',
    );
  }
  // PyTorch's clip_grad_norm_
  const scale = clipNorm / (norm + 1e-6);
  if (clipNorm > 0 && scale < 1) core.scale(gradients, n, scale);
  return norm;
}
