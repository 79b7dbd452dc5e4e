/** What predictions are read from, as plain numbers. */
import * as check from '../check.js';
import type { Random } from '../random.js';
import type { Rows, Tape } from '../tape.js';
import { read } from './input.js';

/**
 * Probabilities of the classes.
 *
 * @param logits [T,B,V]
 * @returns [T,B,V]; zeros behind a sequence's end
 */
export function softmaxRows(tape: Tape, logits: Rows): Float32Array {
  const { T, B, F: V, ld, lengths } = logits;
  const p = tape.rows(T, B, V, false);
  tape.runtime.core.softmaxRows(p.at, logits.at, ld, lengths?.at ?? 0, T, B, V);
  return read(tape, p);
}

/**
 * The number of the largest feature, the first of equals.
 *
 * @param rows [T,B,V]
 * @returns [T,B]; -1 behind a sequence's end
 */
export function argmaxRows(tape: Tape, rows: Rows): Int32Array {
  const { runtime } = tape;
  const { T, B, F: V, ld, lengths, at } = rows;
  const classes = runtime.take(4 * T * B);
  runtime.core.argmaxRows(classes, at, ld, lengths?.at ?? 0, T, B, V);
  return runtime.i32.slice(classes >>> 2, (classes >>> 2) + T * B);
}

/** How a class is drawn. */
export interface SamplingOptions {
  /** Logits are divided by it; 0 takes the likeliest class always. Default 1. */
  temperature?: number | undefined;
  /** Draw among the k likeliest; 0, the default: among all. */
  topK?: number | undefined;
  /** Draw among the fewest that have at least this probability together, default 1. */
  topP?: number | undefined;
}

export function checkSampling({
  temperature = 1,
  topK = 0,
  topP = 1,
}: SamplingOptions): Required<{ [K in keyof SamplingOptions]: number }> {
  check.number('temperature', temperature, 0);
  check.whole('topK', topK, 0);
  check.number('topP', topP, 0, 1, true);
  return { temperature, topK, topP };
}

/**
 * A class for each row, drawn from its logits.
 *
 * @param logits [T,B,V]
 * @returns [T,B]
 */
export function sampleRows(tape: Tape, random: Random, logits: Rows, drawing: SamplingOptions = {}): Int32Array {
  const { runtime } = tape;
  const { T, B, F: V, ld, at } = logits;
  const { temperature, topK, topP } = checkSampling(drawing);
  const R = T * B;
  const classes = runtime.take(4 * R);
  const scratch = runtime.take(2 * ld);
  random.use('sample', (seed, stream, block) => {
    runtime.core.sampleRows(classes, at, ld, R, V, scratch, temperature, topK, topP, seed, stream, block);
    return block + R;
  });
  return runtime.i32.slice(classes >>> 2, (classes >>> 2) + R);
}

/**
 * Bits for each row, each drawn by itself from σ(logit/temperature).
 *
 * @param logits [T,B,F]
 * @param temperature 0 takes the likelier value always
 * @returns [T,B,F] zeros and ones
 */
export function sampleBits(tape: Tape, random: Random, logits: Rows, temperature = 1): Float32Array {
  const { T, B, F, ld, at } = logits;
  check.number('temperature', temperature, 0);
  const bits = tape.rows(T, B, F, false);
  random.use('sample', (seed, stream, block) => {
    tape.runtime.core.sampleBits(bits.at, at, ld, T * B, F, temperature, seed, stream, block);
    return block + T * B * F;
  });
  return read(tape, bits);
}

/**
 * The k most probable classes of each row, best first; of equals the lower one.
 *
 * @param logits [T,B,V]
 * @returns classes [T,B,k], -1 behind a sequence's end; logProbabilities [T,B,k], 0 there
 */
export function topKRows(tape: Tape, logits: Rows, k: number): { classes: Int32Array; logProbabilities: Float32Array } {
  const { runtime } = tape;
  const { T, B, F: V, ld, lengths, at } = logits;
  check.whole('k', k, 1, V);
  const n = T * B * k;
  const [classes, logs] = [runtime.take(4 * n), runtime.take(4 * n)];
  runtime.core.topKRows(classes, logs, runtime.take(ld), at, ld, lengths?.at ?? 0, T, B, V, k);
  return {
    classes: runtime.i32.slice(classes >>> 2, (classes >>> 2) + n),
    logProbabilities: runtime.read(logs, n),
  };
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
  const ints = (from: number) => runtime.i32.slice(from >>> 2, (from >>> 2) + n);
  return { parents: ints(parents), classes: ints(classes), logProbabilities: runtime.readDoubles(scores, n) };
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
