/** What predictions are read from, as plain numbers. */
import * as check from '../check.js';
import { type Options, option, readOptions, real, type Settings, whole } from '../options.js';
import type { Random } from '../random.js';
import { checkRows, type Rows, type Tape } from '../tape.js';
import { read } from './input.js';

/**
 * Probabilities of the classes.
 *
 * @param logits [T,B,V]
 * @returns [T,B,V]; zeros past the end of a sequence
 *
 * @example
 * ```js
 * import { input, Model, Runtime, softmaxRows } from 'gatewise';
 *
 * const model = new Model(await Runtime.create(), 1, () => null);
 * const p = model.forward((tape) => softmaxRows(tape, input(tape, [5, 5], { T: 1, B: 1, F: 2 })));
 * console.log([...p].join(' ')); // 0.5 0.5
 * ```
 */
export function softmaxRows(tape: Tape, logits: Rows): Float32Array {
  const { T, B, F: V, ld, lengths } = checkRows(tape, 'logits', logits);
  const p = tape.rows(T, B, V, false);
  tape.runtime.core.softmaxRows(p.at, logits.at, ld, lengths?.at ?? 0, T, B, V);
  return read(tape, p);
}

/**
 * The index of the largest feature, the first of equal ones.
 *
 * @param rows [T,B,V]
 * @returns [T,B]; -1 past the end of a sequence
 *
 * @example
 * ```js
 * import { argmaxRows, input, Model, Runtime } from 'gatewise';
 *
 * const model = new Model(await Runtime.create(), 1, () => null);
 * const best = model.forward((tape) => argmaxRows(tape, input(tape, [1, 9, 4, 8, 3, 8], { T: 2, B: 1, F: 3 })));
 * console.log([...best].join(' ')); // 1 0
 * ```
 */
export function argmaxRows(tape: Tape, rows: Rows): Int32Array {
  const { T, B, F: V, ld, lengths, at } = checkRows(tape, 'rows', rows);
  const { runtime } = tape;
  const classes = runtime.take(4 * T * B);
  runtime.core.argmaxRows(classes, at, ld, lengths?.at ?? 0, T, B, V);
  return tape.readInts(classes, T * B);
}

/** How a class is sampled. */
export const SAMPLING = {
  /** Logits are divided by it; 0 always takes the most probable class. Default 1. */
  temperature: option(real(0), 1),
  /** Samples from the k most probable classes; 0 samples from all. Default 0. */
  topK: option(whole(0), 0),
  /** Sample from the smallest set of most probable classes whose probabilities sum to at least this, default 1. */
  topP: option(real(0, 1, true), 1),
};

/** How a class is sampled: `temperature`, `topK`, `topP`. */
export interface SamplingOptions extends Options<typeof SAMPLING> {}

/** The options of sampling, out of options that hold others as well. */
export function checkSampling({ temperature, topK, topP }: SamplingOptions): Settings<typeof SAMPLING> {
  return readOptions('options', SAMPLING, { temperature, topK, topP });
}

/**
 * Samples a class for each row from softmax(logits / temperature).
 *
 * @param random `model.random`: the stream that is drawn from
 * @param logits [T,B,V]
 * @returns [T,B]
 * @throws TypeError, RangeError for invalid options
 *
 * @example
 * ```js
 * import { input, Model, Runtime, sampleRows } from 'gatewise';
 *
 * const model = new Model(await Runtime.create(), 1, () => null);
 * const logits = [0, 50, 0, 0, 0, 50];
 * const classes = model.forward((tape) =>
 *   sampleRows(tape, model.random, input(tape, logits, { T: 2, B: 1, F: 3 }), { temperature: 0.5 }),
 * );
 * console.log([...classes].join(' ')); // 1 2
 * ```
 */
export function sampleRows(tape: Tape, random: Random, logits: Rows, options: SamplingOptions = {}): Int32Array {
  check.made('random', random, 'use', 'model.random');
  const { T, B, F: V, ld, at } = checkRows(tape, 'logits', logits);
  const { runtime } = tape;
  const { temperature, topK, topP } = readOptions('options', SAMPLING, options);
  const R = T * B;
  const classes = runtime.take(4 * R);
  const scratch = runtime.take(2 * ld);
  random.use('sample', (seed, stream, block) => {
    runtime.core.sampleRows(classes, at, ld, R, V, scratch, temperature, topK, topP, seed, stream, block);
    return block + R;
  });
  return tape.readInts(classes, R);
}

/**
 * Samples bits independently, each 1 with probability σ(logit / temperature).
 *
 * @param random `model.random`: the stream that is drawn from
 * @param logits [T,B,F]
 * @param temperature 0 always takes the more probable value, default 1
 * @returns [T,B,F] zeros and ones
 * @throws TypeError, RangeError for an invalid temperature
 *
 * @example
 * ```js
 * import { input, Model, Runtime, sampleBits } from 'gatewise';
 *
 * const model = new Model(await Runtime.create(), 1, () => null);
 * const bits = model.forward((tape) => sampleBits(tape, model.random, input(tape, [50, -50], { T: 1, B: 1, F: 2 })));
 * console.log([...bits].join(' ')); // 1 0
 * ```
 */
export function sampleBits(tape: Tape, random: Random, logits: Rows, temperature = 1): Float32Array {
  check.made('random', random, 'use', 'model.random');
  const { T, B, F, ld, at } = checkRows(tape, 'logits', logits);
  check.number('temperature', temperature, 0);
  const bits = tape.rows(T, B, F, false);
  random.use('sample', (seed, stream, block) => {
    tape.runtime.core.sampleBits(bits.at, at, ld, T * B, F, temperature, seed, stream, block);
    return block + T * B * F;
  });
  return read(tape, bits);
}

/**
 * The k most probable classes of each row, best first; of equal ones the lower class first.
 *
 * @param logits [T,B,V]
 * @param k from 1 to V
 * @returns classes [T,B,k], -1 past the end of a sequence; logProbabilities [T,B,k], natural logarithms, 0 there
 * @throws RangeError for an invalid k
 *
 * @example
 * ```js
 * import { input, Model, Runtime, topKRows } from 'gatewise';
 *
 * const model = new Model(await Runtime.create(), 1, () => null);
 * const top = model.forward((tape) => topKRows(tape, input(tape, [1, 3, 2], { T: 1, B: 1, F: 3 }), 2));
 * console.log([...top.classes].join(' ')); // 1 2
 * ```
 */
export function topKRows(tape: Tape, logits: Rows, k: number): { classes: Int32Array; logProbabilities: Float32Array } {
  const { T, B, F: V, ld, lengths, at } = checkRows(tape, 'logits', logits);
  const { runtime } = tape;
  check.whole('k', k, 1, V);
  const n = T * B * k;
  const [classes, logs] = [runtime.take(4 * n), runtime.take(4 * n)];
  runtime.core.topKRows(classes, logs, runtime.take(ld), at, ld, lengths?.at ?? 0, T, B, V, k);
  return { classes: tape.readInts(classes, n), logProbabilities: runtime.read(logs, n) };
}

/**
 * The best continuations of W sequences: those whose log-probability, with that of the sequence before, is largest.
 *
 * @param logits [1,W,V]
 * @param before [W] log-probabilities
 * @param k continuations at most
 * @returns best first: which sequence is continued, by which class, and the log-probability of both together
 */
export function beamStep(
  tape: Tape,
  logits: Rows,
  before: readonly number[],
  k: number,
): { parents: Int32Array; classes: Int32Array; logProbabilities: Float64Array } {
  const { runtime } = tape;
  const { at, ld, F: V } = logits;
  const W = before.length;
  const [parents, classes, scores, sums] = [4, 4, 8, 8].map((bytes) => runtime.take(bytes * Math.max(k, W)));
  runtime.writeDoubles(sums, before);
  const n = runtime.core.beamStep(parents, classes, scores, sums, at, ld, runtime.take(ld), W, V, k);
  const logProbabilities = runtime.readDoubles(scores, n);
  return { parents: tape.readInts(parents, n), classes: tape.readInts(classes, n), logProbabilities };
}

/** A log-probability over lengthᵅ. */
export function lengthNormalized(tape: Tape, logProbability: number, length: number, alpha: number): number {
  return tape.runtime.core.lengthNormalized(logProbability, length, alpha);
}

/** n numbers in [0, 1), from the random stream of dropout. */
export function uniform(tape: Tape, random: Random, n: number): Float32Array {
  const { runtime } = tape;
  const at = runtime.take(4 * n);
  random.use('dropout', (seed, stream, block) => runtime.core.fillUniform(at, n, 0, 1, seed, stream, block));
  return runtime.read(at, n);
}
