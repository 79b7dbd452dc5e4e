/** Fitting and predicting for the tasks that still hold a Learner. */
import * as check from '../check.js';
import { readOptions } from '../options.js';
import type { Loss, Tape } from '../tape.js';
import { Run } from '../train/run.js';
import { checkFitOptions, type Learner } from './learner.js';
import {
  BATCHES,
  type BatchOptions,
  type BatchProgress,
  type EpochOptions,
  type EpochProgress,
  Epochs,
  type ExamplePosition,
  inBatches as ofItems,
} from './shared/batches.js';

export type { BatchOptions, BatchProgress, EpochOptions, EpochProgress };

/** Checks the options of such a fit; `own` names those that the task adds. */
export function checkEpochs(options: EpochOptions, own: readonly string[] = []): void {
  checkFitOptions(options, ['epochs', 'batchSize', ...own]);
  if ('steps' in options) throw new TypeError('steps: epochs are counted here; see epochs');
  check.whole('epochs', options.epochs ?? 10);
  check.whole('batchSize', options.batchSize ?? 32);
}

const itemsOf = (lengths: ArrayLike<number>) => Array.from(lengths, (length, i) => ({ length, i }));

export function fitExamples<L>(
  learner: Learner<L>,
  lengths: ArrayLike<number>,
  { epochs = 10, batchSize = 32, ...options }: EpochOptions,
  loss: (tape: Tape, layers: L, indices: Int32Array) => Loss | readonly { loss: Loss; weight: number }[],
): Run<EpochProgress, void> {
  async function* run(): AsyncGenerator<EpochProgress, void, void> {
    const all = new Epochs(learner.model, itemsOf(lengths), batchSize, learner.position as ExamplePosition | null);
    learner.position = all.position;
    const next = () => {
      const indices = Int32Array.from(all.next(), ({ i }) => i);
      return { loss: (tape: Tape, layers: L) => loss(tape, layers, indices), done: () => all.done() };
    };
    const steps = all.stepsFor(epochs);
    for await (const progress of learner.fit({ ...options, steps }, () => next)) {
      yield { ...progress, epoch: all.made };
    }
  }
  return new Run(run());
}

export function inBatches<Result>(
  lengths: ArrayLike<number>,
  options: BatchOptions,
  work: (indices: Int32Array) => void,
  finish: () => Result,
): Run<BatchProgress, Result> {
  const settings = readOptions('options', BATCHES, options);
  return ofItems(itemsOf(lengths), settings, (_, places) => work(places), finish);
}
