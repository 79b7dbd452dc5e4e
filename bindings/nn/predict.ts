/** What predictions are read from, as plain numbers. */
import * as check from '../check.js';
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
