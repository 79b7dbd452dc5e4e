/**
 * Examples in batches: shuffled anew for each pass, neighbours in length put together, so that little is computed behind the ends of
 * sequences. The order is a function of the random stream, so that a checkpoint needs to keep numbers only.
 */
import * as check from '../check.js';
import type { Model } from '../nn/model.js';
import { STREAMS } from '../random.js';
import type { Loss, Tape } from '../tape.js';
import { checkFit, type FitOptions, type Progress } from '../train/fit.js';
import { Breather, Run } from '../train/run.js';
import { checkFitOptions, type Learner } from './learner.js';

/** Where training stands in its examples. */
export interface ExamplePosition {
  /** What the examples are told by: their number and lengths. */
  readonly examples: string;
  readonly batchSize: number;
  /** Pass that runs, its batch that comes next, the first random block of its order. */
  pass: number;
  batch: number;
  block: number;
}

/** Batches from which the lengths of one are drawn together. */
const NEIGHBOURS = 20;

/** The batches of one pass: indices of examples, longest first in each. */
function plan(
  model: Model<unknown>,
  lengths: ArrayLike<number>,
  batchSize: number,
  block: number,
): { batches: Int32Array[]; next: number } {
  const { runtime, random } = model;
  return runtime.scope(() => {
    const shuffled = (n: number, from: number) => {
      const at = runtime.take(4 * n);
      const next = runtime.core.fillPermutation(at, n, random.seed, STREAMS.shuffle, from);
      return { order: runtime.i32.slice(at >>> 2, (at >>> 2) + n), next };
    };
    const { order, next } = shuffled(lengths.length, block);
    const batches: Int32Array[] = [];
    const size = NEIGHBOURS * batchSize;
    for (let from = 0; from < order.length; from += size) {
      const part = order.slice(from, from + size).sort((a, b) => lengths[b] - lengths[a]);
      for (let i = 0; i < part.length; i += batchSize) batches.push(part.slice(i, i + batchSize));
    }
    const mixed = shuffled(batches.length, next);
    return { batches: Array.from(mixed.order, (i) => batches[i]), next: mixed.next };
  });
}

/** Goes through examples pass by pass. */
export class Passes {
  readonly #lengths: ArrayLike<number>;
  #batches: Int32Array[];

  /** @param at where to go on, if the examples are still the same; else at the front */
  constructor(
    readonly model: Model<unknown>,
    lengths: ArrayLike<number>,
    batchSize: number,
    at: ExamplePosition | null,
  ) {
    this.#lengths = lengths;
    const examples = fingerprint(lengths);
    if (at?.examples === examples && at.batchSize === batchSize) {
      this.position = at;
      this.#batches = plan(model, lengths, batchSize, at.block).batches;
    } else {
      this.position = { examples, batchSize, pass: 0, batch: 0, block: 0 };
      this.#batches = [];
      this.#begin();
    }
  }

  readonly position: ExamplePosition;

  #begin(): void {
    const { model, position } = this;
    position.batch = 0;
    model.random.use('shuffle', (_, __, block) => {
      position.block = block;
      const { batches, next } = plan(model, this.#lengths, position.batchSize, block);
      this.#batches = batches;
      return next;
    });
  }

  /** Batches that are left until so many passes from now have been made; one that was interrupted counts. */
  stepsFor(passes: number): number {
    const n = this.#batches.length;
    // a pass that has just been completed is not one that was interrupted
    return passes * n - (this.position.batch % n);
  }

  /** The examples of the next batch. */
  get batch(): Int32Array {
    if (this.position.batch === this.#batches.length) {
      this.position.pass++;
      this.#begin();
    }
    return this.#batches[this.position.batch];
  }

  done(): void {
    this.position.batch++;
  }

  /** Passes made, as a number with a fraction. */
  get made(): number {
    return this.position.pass + this.position.batch / this.#batches.length;
  }
}

/** Options of a fit that goes through examples. */
export interface EpochOptions extends Omit<FitOptions, 'steps'> {
  /** Passes over the examples, default 10; one that was interrupted is finished first and counts. */
  epochs?: number | undefined;
  /** Sequences of a step, default 32. */
  batchSize?: number | undefined;
}

export interface EpochProgress extends Progress {
  /** Passes over the examples so far, with a fraction. */
  readonly epoch: number;
}

/** Checks the options of such a fit; `own` names those that the task adds. */
export function checkEpochs(options: EpochOptions, own: readonly string[] = []): void {
  checkFitOptions(options, ['epochs', 'batchSize', ...own]);
  if ('steps' in options) throw new TypeError('steps: passes over the examples are counted here; see epochs');
  checkFit(options);
  check.whole('epochs', options.epochs ?? 10);
  check.whole('batchSize', options.batchSize ?? 32);
}

/**
 * Trains on examples, pass by pass.
 *
 * @param lengths of the examples, which put neighbours together
 * @param loss of the examples of a batch, given by their indices, the longest first
 */
export function fitExamples<L>(
  learner: Learner<L>,
  lengths: ArrayLike<number>,
  { epochs = 10, batchSize = 32, ...options }: EpochOptions,
  loss: (tape: Tape, layers: L, indices: Int32Array) => Loss | readonly { loss: Loss; weight: number }[],
): Run<EpochProgress, void> {
  async function* go(): AsyncGenerator<EpochProgress, void, void> {
    const passes = new Passes(learner.model, lengths, batchSize, learner.position as ExamplePosition | null);
    learner.position = passes.position;
    const next = () => {
      const { batch } = passes;
      return { loss: (tape: Tape, layers: L) => loss(tape, layers, batch), done: () => passes.done() };
    };
    const steps = passes.stepsFor(epochs);
    for await (const progress of learner.fit({ ...options, steps }, () => next)) {
      yield { ...progress, epoch: passes.made };
    }
  }
  return new Run(go());
}

/** A number that other examples are unlikely to have. */
function fingerprint(lengths: ArrayLike<number>): string {
  let hash = 0x811c9dc5;
  for (let i = 0; i < lengths.length; i++) hash = Math.imul(hash ^ lengths[i], 0x01000193);
  return `${lengths.length}-${(hash >>> 0).toString(16)}`;
}

/** Options of going through sequences without training. */
export interface BatchOptions {
  /** Sequences at a time, default 64. */
  batchSize?: number | undefined;
  signal?: AbortSignal | undefined;
}

/** Sequences done, and how many there are. */
export type BatchProgress = { readonly done: number; readonly total: number };

/**
 * Goes through sequences without training, a batch at a time, longest first, so that memory is taken at the beginning; `work` is given
 * indices and puts its results where they belong. The signal is looked at before each batch.
 */
export function inBatches<Result>(
  lengths: ArrayLike<number>,
  options: BatchOptions,
  work: (indices: Int32Array) => void,
  finish: () => Result,
): Run<BatchProgress, Result> {
  check.options('options', options, ['batchSize', 'signal']);
  const { batchSize = 64, signal } = options;
  check.whole('batchSize', batchSize);
  check.signal('signal', signal);
  const order = Int32Array.from({ length: lengths.length }, (_, i) => i).sort((a, b) => lengths[b] - lengths[a]);
  async function* go(): AsyncGenerator<BatchProgress, Result, void> {
    const breather = new Breather();
    for (let at = 0; at < order.length; at += batchSize) {
      signal?.throwIfAborted();
      work(order.subarray(at, at + batchSize));
      yield { done: Math.min(at + batchSize, order.length), total: order.length };
      await breather.breathe();
    }
    return finish();
  }
  return new Run(go());
}
