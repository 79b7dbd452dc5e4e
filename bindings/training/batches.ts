/** Examples in batches, and sequences of a batch as arrays. */
import * as check from '../check.js';
import type { Shape } from '../nn/input.js';
import type { Model } from '../nn/model.js';
import { type Options, option, optional, type Reader, readOptions, whole } from '../options.js';
import { Epochs, type ExamplePosition, gather, readPosition } from '../tasks/shared/batches.js';

const readLength: Reader<(example: never) => number> = (name, value) =>
  typeof value === 'function' ? (value as (example: never) => number) : check.fail(name, 'a function', value);

const BUCKET = {
  /** Examples in a batch, default 32. */
  batchSize: option(whole(1), 32),
  /** Gives the number of steps of an example, so that similar ones come together. Default: its `length`. */
  length: optional(readLength),
};

const BATCHES = {
  ...BUCKET,
  /** False: in the order of the list. Default true. */
  shuffle: option(check.flag, true),
  /** Where to resume: what `position` was when a training was saved. */
  position: optional<ExamplePosition>(readPosition),
};

interface BucketOptions<E> extends Omit<Options<typeof BUCKET>, 'length'> {
  /** Gives the number of steps of an example, so that similar ones come together. Default: its `length`. */
  length?: ((example: E) => number) | undefined;
}

/** What `new Batches` takes. */
export interface BatchesOptions<E> extends BucketOptions<E> {
  /** False: in the order of the list. Default true. */
  shuffle?: boolean | undefined;
  /** Where to resume: what `position` was when a training was saved. */
  position?: ExamplePosition | undefined;
}

interface Item<E> {
  readonly length: number;
  readonly example: E;
}

/** Examples with their lengths, checked. */
function itemsOf<E>(examples: readonly E[], lengthOf: ((example: E) => number) | undefined): Item<E>[] {
  if (!Array.isArray(examples) || examples.length === 0) check.fail('examples', 'a list of examples', examples);
  return Array.from(examples, (example, i) => {
    const length = lengthOf ? lengthOf(example) : (example as { length?: number } | null | undefined)?.length;
    return { length: check.whole(`length of examples[${i}]`, length, 0), example };
  });
}

/**
 * The batches of a training: all examples once in each epoch, in an order that the seed of the model decides, examples of similar length
 * together. They are endless: after the last batch of an epoch the next one begins.
 *
 * @example
 * ```js
 * import { Model, Runtime } from 'gatewise';
 * import { Batches } from 'gatewise/training';
 *
 * const model = new Model(await Runtime.create(), 1, () => null);
 * const batches = new Batches(model, ['a', 'bcd', 'ef', 'ghij'], { batchSize: 2 });
 * const sizes = [];
 * for (let left = batches.stepsFor(1); left > 0; left--) {
 *   sizes.push(batches.next().length);
 *   batches.done();
 * }
 * console.log(sizes.join(' '), batches.epoch); // 2 2 1
 * ```
 */
export class Batches<E> {
  readonly #epochs: Epochs<Item<E>>;

  /**
   * @param model whose random stream decides the order
   * @throws TypeError, RangeError for invalid options, and for a position in other examples
   */
  constructor(model: Model<unknown>, examples: readonly E[], options: BatchesOptions<E> = {}) {
    check.model(model);
    const { batchSize, length, shuffle, position } = readOptions('Batches', BATCHES, options);
    const items = itemsOf(examples, length as ((example: E) => number) | undefined);
    this.#epochs = new Epochs(model, items, batchSize, shuffle, position ?? null);
    if (position && this.#epochs.position !== position) {
      throw new RangeError(
        `position: expected a place in these ${items.length} examples with batchSize ${batchSize}${shuffle ? '' : ' in their order'}, got one in others (${position.examples}, ${position.batchSize})`,
      );
    }
  }

  /** The examples of the next batch, the longest first. It stays the next one until `done` is called. */
  next(): E[] {
    return gather(this.#epochs.items, this.#epochs.next()).map(({ example }) => example);
  }

  /** To be called when a step is made: `train` does it with `done` of a batch. */
  done(): void {
    this.#epochs.done();
  }

  /** Batches that are left of n epochs; one that was interrupted counts. */
  stepsFor(epochs: number): number {
    return this.#epochs.stepsFor(check.whole('epochs', epochs));
  }

  /** Epochs made, with a fraction. */
  get epoch(): number {
    return this.#epochs.made;
  }

  /** Where it stands: plain data for `saveTraining`. A copy. */
  get position(): ExamplePosition {
    return { ...this.#epochs.position };
  }
}

/**
 * Examples in batches of similar length, for evaluation: the longest first, nothing random.
 *
 * @returns the batches, and the places of their examples in the list
 * @throws TypeError, RangeError for invalid options
 *
 * @example
 * ```js
 * import { bucket } from 'gatewise/training';
 *
 * const [first, second] = bucket(['a', 'bcd', 'ef'], { batchSize: 2 });
 * console.log(first.examples.join(' '), first.places.join(' '), second.examples.join(' ')); // bcd ef 1 2 a
 * ```
 */
export function bucket<E>(
  examples: readonly E[],
  options: BucketOptions<E> = {},
): { readonly examples: E[]; readonly places: number[] }[] {
  const { batchSize, length } = readOptions('bucket', BUCKET, options);
  const items = itemsOf(examples, length as ((example: E) => number) | undefined);
  const order = items.map((_, i) => i).sort((a, b) => items[b].length - items[a].length);
  return Array.from({ length: Math.ceil(order.length / batchSize) }, (_, n) => {
    const places = order.slice(n * batchSize, (n + 1) * batchSize);
    return { examples: places.map((i) => examples[i]), places };
  });
}

/** T and B of a list of sequences, and their lengths where they differ. */
function shapeOf(name: string, sequences: readonly ArrayLike<unknown>[]): Shape {
  if (!Array.isArray(sequences) || sequences.length === 0) check.fail(name, 'a list of sequences', sequences);
  const lengths = Array.from(sequences, (sequence, b) => check.whole(`${name}[${b}].length`, sequence?.length));
  const T = Math.max(...lengths);
  const shape = { T, B: sequences.length };
  return lengths.every((length) => length === T) ? shape : { ...shape, lengths };
}

/**
 * Sequences of tokens as one array [T,B], as `Embedding` and losses take them.
 *
 * @param sequences B lists of whole numbers
 * @param padding what stands past their ends, default 0; -1 for targets that do not count
 * @throws TypeError, RangeError for an empty list or sequence, or what is not a whole number
 *
 * @example
 * ```js
 * import { padTokens } from 'gatewise/training';
 *
 * const { tokens, shape } = padTokens([[1, 2, 3], [4]]);
 * console.log(tokens.join(' '), JSON.stringify(shape)); // 1 4 2 0 3 0 {"T":3,"B":2,"lengths":[3,1]}
 * ```
 */
export function padTokens(sequences: readonly ArrayLike<number>[], padding = 0): { tokens: Int32Array; shape: Shape } {
  const shape = shapeOf('sequences', sequences);
  const { T, B } = shape;
  check.whole('padding', padding, -(2 ** 31));
  const tokens = new Int32Array(T * B).fill(padding);
  sequences.forEach((sequence, b) => {
    for (let t = 0; t < sequence.length; t++) {
      tokens[t * B + b] = check.whole(`sequences[${b}][${t}]`, sequence[t], -(2 ** 31));
    }
  });
  return { tokens, shape };
}

/**
 * Sequences of vectors as one array [T,B,F], as `input` and losses take them; zeros past their ends.
 *
 * @param sequences B sequences, each a list of steps of F numbers
 * @throws TypeError, RangeError for an empty list or sequence, or steps of different sizes
 *
 * @example
 * ```js
 * import { padVectors } from 'gatewise/training';
 *
 * const { values, shape } = padVectors([[[1, 2], [3, 4]], [[5, 6]]]);
 * console.log(values.join(' '), JSON.stringify(shape)); // 1 2 5 6 3 4 0 0 {"T":2,"B":2,"lengths":[2,1],"F":2}
 * ```
 */
export function padVectors(sequences: readonly ArrayLike<ArrayLike<number>>[]): {
  values: Float32Array;
  shape: Shape & { F: number };
} {
  const shape = shapeOf('sequences', sequences);
  const { T, B } = shape;
  const F = check.whole('sequences[0][0].length', sequences[0]?.[0]?.length);
  const values = new Float32Array(T * B * F);
  sequences.forEach((sequence, b) => {
    for (let t = 0; t < sequence.length; t++) {
      check.numbers(`sequences[${b}][${t}]`, sequence[t], F, `[F=${F}]`);
      values.set(sequence[t], (t * B + b) * F);
    }
  });
  return { values, shape: { ...shape, F } };
}
