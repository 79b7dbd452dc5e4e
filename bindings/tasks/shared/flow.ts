/**
 * Examples that are not a list: from iterables, async iterables and generators, endless ones too. A buffer of them is read ahead,
 * shuffled and cut into batches, so memory does not grow with their number.
 */
import * as check from '../../check.js';
import type { Model } from '../../nn/model.js';
import { batchesOf, type Item } from './batches.js';

/**
 * Examples: a list, an iterable or async iterable, which is read once, or a function that returns one for each epoch.
 *
 * @typeParam E an example
 */
export type Examples<E> = Iterable<E> | AsyncIterable<E> | (() => Iterable<E> | AsyncIterable<E>);

interface FlowOptions {
  readonly batchSize: number;
  readonly bufferSize: number;
  readonly shuffle: boolean;
  /** How often the source is read. */
  readonly epochs: number;
}

type Reading<E> = Iterator<E> | AsyncIterator<E>;

function iteratorOf<E>(source: unknown, fields: string): Reading<E> {
  const given = source as Partial<AsyncIterable<E> & Iterable<E>> | null | undefined;
  if (typeof given === 'object' && !ArrayBuffer.isView(given)) {
    const reading = given?.[Symbol.asyncIterator]?.() ?? given?.[Symbol.iterator]?.();
    if (reading) return reading;
  }
  return check.fail('examples', `a list of ${fields}`, source);
}

/** Reads a source of examples, epoch by epoch. */
export class Flow<E, I extends Item> {
  #reading: Reading<E> | null = null;
  /** The examples read, and those used, in this epoch; those of the epoch before. */
  #read = 0;
  #used = 0;
  #before = 0;
  #epochs = 0;
  #batches: I[][] = [];

  /** @param fields what an example is, for errors; `encode` turns an example into numbers; its place is for errors */
  constructor(
    readonly model: Model<unknown>,
    readonly source: Examples<E>,
    readonly fields: string,
    readonly encode: (place: string, example: E) => I,
    readonly options: FlowOptions,
  ) {
    if (typeof source !== 'function') this.#reading = iteratorOf(source, fields);
  }

  /** Epochs so far. How far a first epoch has come is not known: it counts a half. */
  get made(): number {
    if (!this.#used) return this.#epochs;
    return this.#epochs + (this.#before ? Math.min(this.#used / this.#before, 0.999) : 0.5);
  }

  /** The examples of the next batch. */
  async next(): Promise<{ batch: I[]; last: boolean; done: () => void }> {
    if (!this.#batches.length) {
      if (typeof this.source === 'function') this.#reading ??= iteratorOf(this.source(), this.fields);
      await this.#fill();
    }
    const batch = this.#batches.shift();
    if (!batch) throw new RangeError('examples: expected at least one');
    // whether the epoch ends is known only by reading on
    if (!this.#batches.length) await this.#fill();
    const over = !this.#batches.length;
    const done = () => {
      this.#used += batch.length;
      if (!over) return;
      this.#epochs++;
      this.#before = this.#used;
      this.#used = this.#read = 0;
      this.#reading = null;
    };
    return { batch, last: over && this.#epochs + 1 >= this.options.epochs, done };
  }

  async #fill(): Promise<void> {
    const { batchSize, bufferSize, shuffle } = this.options;
    const size = Math.ceil(bufferSize / batchSize) * batchSize;
    const items: I[] = [];
    while (items.length < size) {
      const next = await this.#reading?.next();
      if (!next || next.done) break;
      items.push(this.encode(`examples[${this.#read++}]`, next.value));
    }
    this.#batches = items.length ? batchesOf(this.model, items, batchSize, shuffle) : [];
  }

  /** Lets go of the source. */
  async close(): Promise<void> {
    await this.#reading?.return?.();
    this.#reading = null;
  }
}
