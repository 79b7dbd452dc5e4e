import * as check from '../check.js';
import type { Lengths, Rows, Tape } from '../tape.js';

/** The lengths of the sequences of a batch, for `input` and `Embedding`: whole numbers from 1 to T. */
export function lengthsOf(tape: Tape, values: ArrayLike<number>, T: number, B: number): Lengths {
  if (values.length !== B)
    throw new RangeError(`lengths: expected ${B} numbers, one for each sequence, got ${values.length}`);
  const lengths = Int32Array.from({ length: B }, (_, b) => check.whole(`lengths[${b}]`, values[b], 1, T));
  const at = tape.runtime.take(4 * B);
  tape.runtime.writeInts(at, lengths);
  return { at, values: lengths };
}

/**
 * Numbers onto the tape. Magnitudes below 1e-20 become 0; what lies behind the end of a sequence is not looked at.
 *
 * @param values [T,B,F], or [B,T,F] with `batchFirst`
 * @param options `gradient`: whether its gradient is wanted
 */
export function input(
  tape: Tape,
  values: ArrayLike<number>,
  shape: { T: number; B: number; F: number },
  options: { lengths?: ArrayLike<number>; batchFirst?: boolean; gradient?: boolean } = {},
): Rows {
  check.options('input', options, ['lengths', 'batchFirst', 'gradient']);
  const T = check.whole('T', shape.T);
  const B = check.whole('B', shape.B);
  const F = check.whole('F', shape.F);
  const { lengths, batchFirst = false, gradient = false } = options;
  if (values.length !== T * B * F) {
    const letters = batchFirst ? `[B=${B}, T=${T}, F=${F}]` : `[T=${T}, B=${B}, F=${F}]`;
    throw new RangeError(`values: expected ${letters} = ${T * B * F} numbers, got ${values.length}`);
  }
  const { runtime } = tape;
  const rows = tape.rows(T, B, F, gradient, lengths && lengthsOf(tape, lengths, T, B));
  const staged = asIs(rows, batchFirst) ? rows.at : runtime.take(4 * T * B * F);
  runtime.write(staged, values);
  const [step, row] = batchFirst ? [4 * F, 4 * F * T] : [4 * F * B, 4 * F];
  runtime.core.rowsIn(rows.at, rows.ld, staged, step, row, rows.lengths?.at ?? 0, T, B, F);
  return rows;
}

/** Whether rows lie in the core as they do in an array. */
function asIs({ ld, F }: Pick<Rows, 'ld' | 'F'>, batchFirst: boolean): boolean {
  return ld === 4 * F && !batchFirst;
}

/** A copy of rows as numbers [T,B,F], or [B,T,F] with `batchFirst`. */
export function read(
  tape: Tape,
  { at, ld, T, B, F }: Rows,
  { batchFirst = false }: { batchFirst?: boolean } = {},
): Float32Array {
  const { runtime } = tape;
  if (asIs({ ld, F }, batchFirst)) return runtime.read(at, T * B * F);
  const out = runtime.take(4 * T * B * F);
  const [step, row] = batchFirst ? [4 * F, 4 * F * T] : [4 * F * B, 4 * F];
  runtime.core.rowsOut(out, step, row, at, ld, T, B, F);
  return runtime.read(out, T * B * F);
}
