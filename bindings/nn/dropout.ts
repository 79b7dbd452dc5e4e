import * as check from '../check.js';
import type { Random } from '../random.js';
import type { Rows, Tape } from '../tape.js';

/**
 * Each number becomes 0 with probability `rate` in training, the others grow by 1 / (1 - rate). Nothing happens at inference.
 *
 * @param x [T,B,F]
 * @param options `oneMask`: the same numbers at every step
 */
export function dropout(tape: Tape, random: Random, x: Rows, rate: number, options: { oneMask?: boolean } = {}): Rows {
  check.options('dropout', options, ['oneMask']);
  if (check.number('rate', rate, 0) >= 1) check.fail('rate', 'a number below 1', rate);
  if (!tape.training || rate === 0) return x;
  const { core } = tape.runtime;
  const { T, B, F, ld } = x;
  const rows = (options.oneMask ? 1 : T) * B;
  const mask = tape.runtime.take(rows * ld);
  random.use('dropout', (...r) => core.fillMask(mask, ld, rows, F, rate, 1 / (1 - rate), ...r));
  const y = tape.rows(T, B, F, x.grad !== 0, x.lengths);
  core.maskForward(y.at, x.at, ld, mask, rows, T * B);
  if (x.grad) tape.record(() => core.maskBackward(x.grad, y.grad, ld, mask, rows, T * B));
  return y;
}
