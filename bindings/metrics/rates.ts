/** The search for a learning rate. */
import * as check from '../check.js';
import { exp2, log2 } from '../dynamics/numbers.js';
import { type Options, option, readOptions, real, whole } from '../options.js';

/** A task, as `findLearningRate` uses it. */
export interface Tunable {
  save(): Uint8Array<ArrayBuffer>;
  dispose(): void;
}

/** What `findLearningRate` gives to `fit`. */
export interface RateOptions {
  readonly learningRate: number;
  readonly steps: number;
  readonly schedule: { readonly kind: 'step'; readonly every: 1; readonly factor: number };
}

const FIND = {
  /** The rates of the first and the last step, default 1e-6 and 1. */
  from: option(real(0, Infinity, true), 1e-6),
  to: option(real(0, Infinity, true), 1),
  /** Steps, default 100. */
  steps: option(whole(10), 100),
};

export interface FindRateOptions extends Options<typeof FIND> {}

export interface RateSearch {
  /** The rates that were tried, the loss at each, and the loss smoothed. */
  readonly rates: readonly number[];
  readonly losses: readonly number[];
  readonly smoothed: readonly number[];
  /** A rate to begin with: a tenth of the one with the lowest smoothed loss; null where the loss does not fall. */
  readonly suggestion: number | null;
}

/**
 * Looks for a learning rate: trains a copy of the model with a rate that grows by the same factor in each step, until the loss is four
 * times its lowest value (the range test of Smith 2017, arXiv:1506.01186v6). The model does not change.
 *
 * @param model a task
 * @param load makes the copy: `(bytes) => SequenceClassifier.load(bytes)`
 * @param fit trains the copy with these options, and with those that training will have: batch size, optimizer
 * @throws TypeError, RangeError for invalid options, and what `fit` throws
 *
 * @example
 * ```js
 * import { findLearningRate } from 'gatewise/metrics';
 * import { SequenceRegressor } from 'gatewise/tasks';
 *
 * const examples = Array.from({ length: 64 }, (_, i) => ({ input: [[i / 64], [1]], target: i / 32 }));
 * const model = await SequenceRegressor.create({ inputSize: 1, hiddenSize: 16, seed: 1 });
 * const load = (bytes) => SequenceRegressor.load(bytes);
 * const { suggestion } = await findLearningRate(model, load, (copy, options) => copy.fit(examples, options));
 * console.log(suggestion > 1e-4 && suggestion < 1); // true
 * ```
 */
export async function findLearningRate<M extends Tunable>(
  model: Tunable,
  load: (bytes: Uint8Array<ArrayBuffer>) => Promise<M>,
  fit: (copy: M, options: RateOptions) => AsyncIterable<{ readonly loss: number; readonly learningRate: number }>,
  options: FindRateOptions = {},
): Promise<RateSearch> {
  const { from, to, steps } = readOptions('findLearningRate', FIND, options);
  if (to <= from) check.fail('to', `a rate above from=${from}`, to);
  check.made('model', model, 'save', 'a task', 'model');
  check.callback('load', load);
  check.callback('fit', fit);
  const factor = exp2(log2(to / from) / (steps - 1));
  const copy = await load(model.save());
  check.made('what load returns', copy, 'dispose', 'a task', 'model');
  const [rates, losses, smoothed]: number[][] = [[], [], []];
  let mean = 0;
  let weight = 0;
  try {
    const run = fit(copy, { learningRate: from, steps, schedule: { kind: 'step', every: 1, factor } });
    if (typeof run?.[Symbol.asyncIterator] !== 'function') check.fail('what fit returns', 'a run', run);
    for await (const { loss, learningRate } of run) {
      rates.push(learningRate);
      losses.push(loss);
      // an exponential mean without the pull of its start, as Adam has it
      mean = 0.9 * mean + 0.1 * loss;
      weight = 0.9 * weight + 0.1;
      smoothed.push(mean / weight);
      if (losses.length > 10 && loss > 4 * Math.min(...smoothed)) break;
    }
  } catch (error) {
    // a rate that is much too large
    if ((error as Error).name !== 'NonFiniteError') throw error;
  } finally {
    copy.dispose();
  }
  const lowest = smoothed.indexOf(Math.min(...smoothed));
  return { rates, losses, smoothed, suggestion: lowest > 10 ? rates[lowest] / 10 : null };
}
