import * as check from '../check.js';
import { rate as checkRate } from '../options.js';
import type { Random } from '../random.js';
import { checkRows, type Rows, type Tape } from '../tape.js';

/**
 * In training each number becomes 0 with probability `rate`, and the others are multiplied by 1 / (1 - rate) (Srivastava et al. 2014).
 * At inference nothing changes.
 *
 * @param random `model.random`: the stream that the mask is drawn from
 * @param x [T,B,F]
 * @param rate from 0 to below 1
 * @param options `oneMask`: one mask for all steps of a sequence (Gal & Ghahramani 2016, arXiv:1512.05287v5), default false
 * @returns [T,B,F]
 * @throws TypeError, RangeError for an invalid rate
 *
 * @example
 * ```js
 * import { dropout, input, Model, mseLoss, read, Runtime } from 'gatewise';
 *
 * const model = new Model(await Runtime.create(), 1, () => null);
 * model.valueAndGrad((tape) => {
 *   const x = dropout(tape, model.random, input(tape, [1, 1, 1, 1], { T: 1, B: 1, F: 4 }), 0.5);
 *   console.log(read(tape, x).every((value) => value === 0 || value === 2)); // true
 *   return mseLoss(tape, x, [0, 0, 0, 0]);
 * });
 * ```
 */
export function dropout(
  tape: Tape,
  random: Random,
  x: Rows,
  rate: number,
  options: { oneMask?: boolean | undefined } = {},
): Rows {
  checkRows(tape, 'x', x);
  check.made('random', random, 'use', 'model.random');
  check.options('options', options, ['oneMask']);
  const oneMask = check.flag('oneMask', options.oneMask ?? false);
  checkRate('rate', rate);
  if (!tape.training || rate === 0 || !tape.trains(random)) return x;
  const { core } = tape;
  const { T, B, F, ld } = x;
  const rows = (oneMask ? 1 : T) * B;
  const mask = tape.runtime.take(rows * ld);
  random.use('dropout', (...r) => core.fillMask(mask, ld, rows, F, rate, 1 / (1 - rate), ...r));
  const y = tape.rows(T, B, F, x.grad !== 0, x.lengths);
  core.maskForward(y.at, x.at, ld, mask, rows, T * B);
  if (x.grad) tape.record(() => core.maskBackward(x.grad, y.grad, ld, mask, rows, T * B));
  return y;
}
