/** What `fit` of a task adds to the training loop: checkpoints, validation, and their options. */
import * as check from '../check.js';
import type { Model } from '../nn/model.js';
import { type Options, optional, pick, type Reader, readOptions, real, required, whole } from '../options.js';
import type { Progress } from './fit.js';
import { OPTIMIZER, Optimizer, type OptimizerOptions, settings as optimizerSettings } from './optimizer.js';
import { SHARDS } from './shards.js';
import { VALIDATION, type Validation } from './validation.js';
import type { Warning } from './warnings.js';

/** When and where `fit` of a task saves. */
export interface CheckpointOptions {
  /** Steps from one checkpoint to the next. */
  readonly everySteps?: number | undefined;
  /** Seconds from one checkpoint to the next, default 60 without `everySteps`. */
  readonly everySeconds?: number | undefined;
  /** Receives what `save()` returns. Training waits for the promise that it may return; what it throws ends the training. */
  readonly save: (bytes: Uint8Array<ArrayBuffer>) => unknown;
}

const readSave: Reader<CheckpointOptions['save']> = (name, value) =>
  typeof value === 'function' ? (bytes) => value(bytes) : check.fail(name, 'a function', value);
const CHECKPOINT = {
  everySteps: optional(whole(1)),
  everySeconds: optional(real(0, Infinity, true)),
  save: required(readSave),
};

/** The options of `fit` that only tasks have. */
export const TASK_FIT = {
  /** Saves the model while it is trained, every n steps or seconds, and after the last step. Default: never. */
  checkpoint: optional(
    (name: string, value: unknown): CheckpointOptions => readOptions(name, CHECKPOINT, value, `${name}.`),
  ),
  ...VALIDATION,
  ...SHARDS,
};

export interface TaskFitOptions extends Options<typeof TASK_FIT> {}

/**
 * Saves between steps.
 *
 * @param save makes the bytes
 */
export async function* checkpointed<P extends Progress>(
  steps: AsyncGenerator<P, void, void>,
  { everySteps, everySeconds = everySteps === undefined ? 60 : Infinity, save: receive }: CheckpointOptions,
  save: () => Uint8Array<ArrayBuffer>,
): AsyncGenerator<P, void, void> {
  let last = performance.now();
  let made = 0;
  for await (const progress of steps) {
    made++;
    const due = made === everySteps || performance.now() - last >= 1000 * everySeconds;
    if (due || progress.step === progress.steps) {
      await receive(save());
      last = performance.now();
      made = 0;
    }
    yield progress;
  }
}

/** The progress of a task. @typeParam R what its `evaluate` reports */
export interface TaskProgress<R = unknown> extends Progress {
  /** Epochs so far, with a fraction. */
  readonly epoch: number;
  /** Where the model was validated after this step. */
  readonly validation?: Validation<R>;
  /** What goes wrong, each kind once. Of an overflow the progress of the last good step is repeated with it, and `fit` throws. */
  readonly warning?: Warning;
}

/** The options among `given` that the optimizer takes. */
export function optimizerOptions(given: OptimizerOptions): OptimizerOptions {
  const keys = (Object.keys(OPTIMIZER) as (keyof OptimizerOptions)[]).filter((key) => given[key] !== undefined);
  return pick(given, keys);
}

/** The optimizer at work, if its settings but for the rate are the same; else a new one. */
export function resumed(model: Model<unknown>, optimizer: Optimizer | null, options: OptimizerOptions): Optimizer {
  const { learningRate: _, ...wanted } = optimizerSettings(options);
  const { learningRate: __, ...have } = optimizer?.settings ?? optimizerSettings({});
  if (optimizer && JSON.stringify(wanted) === JSON.stringify(have)) return optimizer;
  const fresh = new Optimizer(model, options);
  fresh.steps = optimizer?.steps ?? 0;
  return fresh;
}
