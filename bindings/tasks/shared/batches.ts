/**
 * Examples in batches: shuffled in each epoch, examples of similar length together, so that little is computed past the ends of
 * sequences. The order is a function of the random stream, so a checkpoint only needs to keep numbers.
 */
import * as check from '../../check.js';
import type { Model } from '../../nn/model.js';
import { type Options, option, optional, type Reader, readOptions, required, share, whole } from '../../options.js';
import { permutation, SPLIT } from '../../random.js';
import { COUNT } from '../../train/checkpoint.js';
import { FIT, type FitOptions } from '../../train/fit.js';
import { readWorkers, type WorkersUsed } from '../../train/shards.js';
import { TASK_FIT, type TaskFitOptions, type TaskProgress } from '../../train/task-fit.js';

/** Data of one's own, or a share of those that are given. */
const readValidation: Reader<number | readonly unknown[]> = (name, value) => {
  if (typeof value === 'number') return share(name, value);
  return Array.isArray(value) ? value : check.fail(name, 'a list of examples, or a share between 0 and 1', value);
};

const EPOCHS = {
  /**
   * Examples to validate on, or the share of the examples that is kept for it: a number between 0 and 1. Which ones these are depends
   * on the seed of the model. Default: none.
   */
  validation: optional(readValidation),

  /** Epochs to train, default 10; one that was interrupted is finished first and counts. A generator is read once. */
  epochs: optional(whole(1)),
  /** Steps to train at most. Default: all of the epochs; without `epochs`, this alone ends the training. */
  steps: optional(whole(1)),
  /** Sequences in a step, default 32. */
  batchSize: option(whole(1), 32),
  /** Whether the examples are in another order in each epoch, default true; `false` keeps the order in which they are given. */
  shuffle: option(check.flag, true),
  /** Examples of an iterable that are read ahead and shuffled together, default 1024. A list is shuffled as a whole. */
  bufferSize: option(whole(1), 1024),
};

const { steps: _, ...TRAINING } = FIT;

/** The options of a fit on examples. */
export const FIT_EXAMPLES = { ...TRAINING, ...TASK_FIT, ...EPOCHS };

/** @typeParam E examples of the task */
export interface EpochOptions<E = never>
  extends Omit<FitOptions, 'steps'>,
    TaskFitOptions,
    Omit<Options<typeof EPOCHS>, 'validation'> {
  /**
   * Examples to validate on, or the share of the examples that is kept for it: a number between 0 and 1. Which ones these are depends
   * on the seed of the model. Default: none.
   */
  validation?: number | readonly E[] | undefined;
}

/** @typeParam R what `evaluate` reports */
export interface EpochProgress<R = unknown> extends TaskProgress<R> {}

export const SIGNAL = {
  /** Stops after the running batch; the call then throws the signal's reason. */
  signal: optional(check.signal),
};

export const WORKERS = {
  /** Workers that compute the batches, with the same results: `replicas(2)` of `gatewise/worker`. Default: they are computed here. */
  workers: optional(readWorkers),
};

/** The options of going through sequences without training. */
export const BATCHES = {
  /** Sequences at a time, default 64. */
  batchSize: option(whole(1), 64),
  ...SIGNAL,
  ...WORKERS,
};

export interface BatchOptions extends Options<typeof BATCHES> {}

/** Sequences that are done, of how many. */
export interface BatchProgress {
  readonly done: number;
  readonly total: number;
  /**
   * With the option `workers`: how many compute, and whether the weights reached them in `'shared'` memory or in messages
   * (`'transferred'`).
   */
  readonly workers?: WorkersUsed;
}

/** What batches are made of: the length puts similar ones together. */
export interface Item {
  readonly length: number;
  /** Of its loss, default 1. */
  readonly weight?: number;
}

/** Where training stands in its examples. */
export interface ExamplePosition {
  /** What the examples are recognised by: their number and lengths. */
  readonly examples: string;
  readonly batchSize: number;
  /** False where the order is that of the list. */
  readonly shuffle?: false;
  /** The epoch that runs, its batch that comes next, the first random block of its order. */
  epoch: number;
  batch: number;
  block: number;
}

const POSITION = {
  examples: required(check.text),
  batchSize: required(whole(1)),
  shuffle: option(check.flag, true),
  epoch: required(COUNT),
  batch: required(COUNT),
  block: required(COUNT),
};

/** Checks where a file says that training stands in its examples. */
export function readPosition(name: string, value: unknown): ExamplePosition {
  const position = readOptions(name, POSITION, value, `${name}.`);
  const { shuffle, ...rest } = position;
  const { examples, batchSize, batch } = rest;
  const [, count] =
    /^(\d{1,10})-[0-9a-f]{1,8}$/.exec(examples) ?? check.fail(`${name}.examples`, 'a number and a hash', examples);
  check.whole(`${name}.batch`, batch, 0, Math.ceil(Number(count) / batchSize));
  return shuffle ? rest : { ...rest, shuffle };
}

/** Batches whose examples are sorted by length together. */
const NEIGHBOURS = 20;

/** The batches of one epoch in the order of the list, longest first in each. */
function inOrder(items: readonly Item[], batchSize: number): Int32Array[] {
  const order = Int32Array.from(items, (_, i) => i);
  return Array.from({ length: Math.ceil(items.length / batchSize) }, (_, b) =>
    order.subarray(b * batchSize, (b + 1) * batchSize).sort((x, y) => items[y].length - items[x].length),
  );
}

/** The batches of some examples, drawn from the random stream of the model unless they keep their order. */
export function batchesOf<I extends Item>(
  model: Model<unknown>,
  items: readonly I[],
  batchSize: number,
  shuffle: boolean,
): I[][] {
  let batches: Int32Array[] = [];
  if (!shuffle) batches = inOrder(items, batchSize);
  else {
    model.random.use('shuffle', (_, __, block) => {
      const planned = plan(model, items, batchSize, block);
      batches = planned.batches;
      return planned.next;
    });
  }
  return batches.map((batch) => gather(items, batch));
}

/** The batches of one epoch: indices of examples, longest first in each. */
function plan(model: Model<unknown>, items: readonly Item[], batchSize: number, block: number) {
  const { runtime, random } = model;
  const { order, next } = permutation(runtime, random.seed, items.length, block);
  const batches: Int32Array[] = [];
  const size = NEIGHBOURS * batchSize;
  for (let from = 0; from < order.length; from += size) {
    const part = order.slice(from, from + size).sort((a, b) => items[b].length - items[a].length);
    for (let i = 0; i < part.length; i += batchSize) batches.push(part.slice(i, i + batchSize));
  }
  const mixed = permutation(runtime, random.seed, batches.length, next);
  return { batches: gather(batches, mixed.order), next: mixed.next };
}

/** Goes through examples epoch by epoch. */
export class Epochs<I extends Item> {
  readonly position: ExamplePosition;
  #batches: Int32Array[] = [];

  /** @param at where to resume, if the examples are still the same; else training starts at the first batch */
  constructor(
    readonly model: Model<unknown>,
    readonly items: readonly I[],
    batchSize: number,
    shuffle: boolean,
    at: ExamplePosition | null,
  ) {
    const examples = fingerprint(items);
    if (at?.examples === examples && at.batchSize === batchSize && (at.shuffle ?? true) === shuffle) {
      this.position = at;
      this.#batches = shuffle ? plan(model, items, batchSize, at.block).batches : inOrder(items, batchSize);
    } else {
      this.position = { examples, batchSize, epoch: 0, batch: 0, block: 0, ...(shuffle ? {} : { shuffle }) };
      this.#begin();
    }
  }

  #begin(): void {
    const { model, position } = this;
    position.batch = 0;
    if (position.shuffle === false) {
      this.#batches = inOrder(this.items, position.batchSize);
      return;
    }
    model.random.use('shuffle', (_, __, block) => {
      position.block = block;
      const { batches, next } = plan(model, this.items, position.batchSize, block);
      this.#batches = batches;
      return next;
    });
  }

  /** The batches that are left of n epochs; one that was interrupted counts. */
  stepsFor(epochs: number): number {
    const n = this.#batches.length;
    // an epoch that has just been completed is not one that was interrupted
    return epochs * n - (this.position.batch % n);
  }

  /** The places of the next batch among the examples. */
  next(): Int32Array {
    if (this.position.batch === this.#batches.length) {
      this.position.epoch++;
      this.#begin();
    }
    return this.#batches[this.position.batch];
  }

  done(): void {
    this.position.batch++;
  }

  /** Epochs made, with a fraction. */
  get made(): number {
    return this.position.epoch + this.position.batch / this.#batches.length;
  }
}

/** A number that other examples are unlikely to have (FNV-1a). */
export function fingerprint(items: readonly Item[]): string {
  let hash = 0x811c9dc5;
  for (const { length } of items) hash = Math.imul(hash ^ length, 0x01000193);
  return `${items.length}-${(hash >>> 0).toString(16)}`;
}

/**
 * Keeps a share of the items for validation, by the seed of the model.
 *
 * @throws RangeError where nothing is left to learn from
 */
export function split<I>(model: Model<unknown>, items: readonly I[], part: number): { learned: I[]; kept: I[] } {
  const n = items.length;
  const size = Math.max(1, Math.round(n * part));
  if (size >= n) check.fail('validation', `a share that leaves at least one of ${n} examples to learn from`, part);
  const { order } = permutation(model.runtime, model.random.seed, n, 0, SPLIT);
  const kept = gather(items, order.slice(0, size).sort());
  return { learned: gather(items, order.slice(size).sort()), kept };
}

/**
 * Checks a list and turns each of its items into numbers.
 *
 * @param kind what the list is of, for errors
 */
export function encodeAll<T, E>(
  name: string,
  list: readonly T[],
  kind: string,
  encode: (place: string, item: T) => E,
): E[] {
  if (!Array.isArray(list)) check.fail(name, `a list of ${kind}`, list);
  return Array.from(list, (item, i) => encode(`${name}[${i}]`, item));
}

/** The same for examples: at least one, each an object. */
export function encodeExamples<T, E>(
  name: string,
  examples: readonly T[],
  fields: string,
  encode: (place: string, example: T) => E,
): E[] {
  const encoded = encodeAll(name, examples, fields, (place, example) => {
    if (typeof example !== 'object' || example === null) check.fail(place, fields, example);
    return encode(place, example);
  });
  if (encoded.length === 0) throw new RangeError(`${name}: expected at least one`);
  return encoded;
}

/** The items at these places. */
export function gather<T>(items: readonly T[], places: Int32Array): T[] {
  return Array.from(places, (i) => items[i]);
}
