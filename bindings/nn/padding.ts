/** What is past the end of a sequence: zero in all that a layer outputs, and no gradient flows back through it. */
import type { Lengths, Rows, Tape } from '../tape.js';

/** Zeroes what is past the ends in [T,B,F] at `at`, laid out like `rows`. */
export function clearPadding(tape: Tape, { ld, lengths, T, B }: Rows, at: number): void {
  if (lengths) tape.runtime.core.clearPadding(at, ld, lengths.at, T, B);
}

/** Ends the forward pass of a layer, once `y` has been written and its backward pass recorded. */
export function finish(tape: Tape, y: Rows): Rows {
  clearPadding(tape, y, y.at);
  if (y.grad) tape.record(() => clearPadding(tape, y, y.grad));
  return y;
}

/** Whether row r of `rows` is one of a sequence. */
export function live({ lengths, B }: Pick<Rows, 'lengths' | 'B'>, r: number): boolean {
  return !lengths || Math.floor(r / B) < lengths.values[r % B];
}

/** The number of rows that are before the end of their sequence. */
export function countLive({ T, B, lengths }: Rows): number {
  return lengths ? lengths.values.reduce((n, length) => n + Math.min(length, T), 0) : T * B;
}

/** The lengths that rows of one batch share; some may have none. `names` are what messages call them. */
export function sharedLengths(rows: readonly Rows[], names: readonly string[]): Lengths | undefined {
  const first = rows.findIndex((r) => r.lengths);
  const shared = rows[first]?.lengths;
  rows.forEach(({ lengths }, i) => {
    if (lengths && shared && lengths.values.some((length, b) => length !== shared.values[b])) {
      throw new RangeError(`${names[i]}: expected sequences of the same lengths as those of ${names[first]}`);
    }
  });
  return shared;
}
