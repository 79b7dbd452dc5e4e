/** Functions of rows on a module of their own. Each keeps the lengths of sequences, and has a backward pass. */
import { MapOf, PairOf } from '../../assembly/layout.js';
import * as check from '../check.js';
import { kernelsOf } from '../core/functions.js';
import type { Core } from '../core/runtime.js';
import { type Options, oneOf, option, readOptions } from '../options.js';
import { checkRows, type Rows, type Tape } from '../tape.js';
import { checkNumbers, enterRows } from './input.js';
import { clearPadding, finish, sharedLengths } from './padding.js';
import { sameBatch } from './rows.js';

function pair(tape: Tape, a: Rows, b: Rows, f: PairOf): Rows {
  sameBatch(tape, [a, b], ['a', 'b']);
  if (a.F !== b.F) check.fail('b', `${a.F} features`, b.F);
  const { T, B, F, ld } = a;
  const kernels = kernelsOf(tape.runtime);
  // what is past the ends enters the gradients, times zero
  for (const x of [a, b]) clearPadding(tape, x, x.at);
  const y = tape.rows(T, B, F, a.grad !== 0 || b.grad !== 0, sharedLengths([a, b], ['a', 'b']));
  kernels.pairForward(y.at, a.at, b.at, ld, T * B, F, f);
  if (y.grad) tape.record(() => kernels.pairBackward(a.grad, b.grad, y.grad, a.at, b.at, y.at, ld, T * B, F, f));
  return finish(tape, y);
}

function map(tape: Tape, x: Rows, f: MapOf, p = 0, q = 0): Rows {
  const { T, B, F, ld } = checkRows(tape, 'x', x);
  const kernels = kernelsOf(tape.runtime);
  clearPadding(tape, x, x.at);
  const y = tape.rows(T, B, F, x.grad !== 0, x.lengths);
  kernels.mapForward(y.at, x.at, ld, T * B, F, f, p, q);
  if (y.grad) tape.record(() => kernels.mapBackward(x.grad, y.grad, x.at, ld, T * B, F, f, p));
  return finish(tape, y);
}

/**
 * a - b. The sum is `add` of `gatewise`.
 *
 * @param a [T,B,F]
 * @param b [T,B,F]; if both have lengths, the same
 * @returns [T,B,F]
 * @throws RangeError if shapes or lengths differ
 *
 * @example
 * ```js
 * import { input, Model, read, Runtime } from 'gatewise';
 * import { subtract } from 'gatewise/functions';
 *
 * const model = new Model(await Runtime.create(), 1, () => null);
 * const y = model.forward((tape) => {
 *   const [a, b] = [[5, 7], [1, 2]].map((values) => input(tape, values, { T: 1, B: 1, F: 2 }));
 *   return read(tape, subtract(tape, a, b));
 * });
 * console.log([...y].join(' ')); // 4 5
 * ```
 */
export function subtract(tape: Tape, a: Rows, b: Rows): Rows {
  return pair(tape, a, b, PairOf.subtract);
}

/**
 * a ⊙ b, the product of each two numbers. To multiply by one number per step [T,B,1], repeat it with `select(tape, b, [0, 0, …])`; by
 * one row per sequence [1,B,F], with `expand`.
 *
 * @param a [T,B,F]
 * @param b [T,B,F]; if both have lengths, the same
 * @returns [T,B,F]
 * @throws RangeError if shapes or lengths differ
 *
 * @example
 * ```js
 * import { input, Model, read, Runtime, select } from 'gatewise';
 * import { multiply } from 'gatewise/functions';
 *
 * const model = new Model(await Runtime.create(), 1, () => null);
 * const y = model.forward((tape) => {
 *   const a = input(tape, [1, 2, 3, 4], { T: 2, B: 1, F: 2 });
 *   const b = input(tape, [10, 100], { T: 2, B: 1, F: 1 });
 *   return read(tape, multiply(tape, a, select(tape, b, [0, 0])));
 * });
 * console.log([...y].join(' ')); // 10 20 300 400
 * ```
 */
export function multiply(tape: Tape, a: Rows, b: Rows): Rows {
  return pair(tape, a, b, PairOf.multiply);
}

/**
 * √(a² + b²), for example of the real and the imaginary part of a spectrum; without b the absolute value |a|. Its gradient is 0 where
 * the magnitude is 0.
 *
 * @param a [T,B,F]
 * @param b [T,B,F]; if both have lengths, the same
 * @returns [T,B,F]
 * @throws RangeError if shapes or lengths differ
 *
 * @example
 * ```js
 * import { input, Model, read, Runtime } from 'gatewise';
 * import { magnitude } from 'gatewise/functions';
 *
 * const model = new Model(await Runtime.create(), 1, () => null);
 * const y = model.forward((tape) => {
 *   const [re, im] = [[3, 0], [-4, 2]].map((values) => input(tape, values, { T: 1, B: 1, F: 2 }));
 *   return read(tape, magnitude(tape, re, im));
 * });
 * console.log([...y].join(' ')); // 5 2
 * ```
 */
export function magnitude(tape: Tape, a: Rows, b?: Rows): Rows {
  return b === undefined ? map(tape, a, MapOf.absolute) : pair(tape, a, b, PairOf.magnitude);
}

/**
 * factor·x + offset.
 *
 * @param x [T,B,F]
 * @param factor a finite number
 * @param offset a finite number, default 0
 * @returns [T,B,F], with zeros past the end of a sequence
 * @throws TypeError, RangeError for a number that is not finite
 *
 * @example
 * ```js
 * import { input, Model, read, Runtime } from 'gatewise';
 * import { scale } from 'gatewise/functions';
 *
 * const model = new Model(await Runtime.create(), 1, () => null);
 * const y = model.forward((tape) => read(tape, scale(tape, input(tape, [1, 2], { T: 1, B: 1, F: 2 }), -1, 5)));
 * console.log([...y].join(' ')); // 4 3
 * ```
 */
export function scale(tape: Tape, x: Rows, factor: number, offset = 0): Rows {
  return map(tape, x, MapOf.scale, check.number('factor', factor), check.number('offset', offset));
}

/**
 * x·Φ(x) with Φ the distribution function of the normal distribution (Hendrycks & Gimpel 2016, arXiv:1606.08415v5), as PyTorch's
 * `gelu` without an approximation.
 *
 * @param x [T,B,F]
 * @returns [T,B,F]
 *
 * @example
 * ```js
 * import { input, Model, read, Runtime } from 'gatewise';
 * import { gelu } from 'gatewise/functions';
 *
 * const model = new Model(await Runtime.create(), 1, () => null);
 * const y = model.forward((tape) => read(tape, gelu(tape, input(tape, [-1, 1], { T: 1, B: 1, F: 2 }))));
 * console.log(Array.from(y, (value) => value.toFixed(4)).join(' ')); // -0.1587 0.8413
 * ```
 */
export function gelu(tape: Tape, x: Rows): Rows {
  return map(tape, x, MapOf.gelu);
}

/**
 * x where `keep` is not 0, elsewhere `value`. Only what is kept receives a gradient.
 *
 * @param x [T,B,F]
 * @param keep [T,B], one number per step, or [T,B,F]
 * @param value a number, also -Infinity; default 0
 * @returns [T,B,F], with zeros past the end of a sequence
 * @throws TypeError, RangeError for masks of another size
 *
 * @example
 * ```js
 * import { input, Model, read, Runtime } from 'gatewise';
 * import { mask } from 'gatewise/functions';
 *
 * const model = new Model(await Runtime.create(), 1, () => null);
 * const y = model.forward((tape) => read(tape, mask(tape, input(tape, [1, 2, 3, 4], { T: 2, B: 1, F: 2 }), [1, 0], -9)));
 * console.log([...y].join(' ')); // 1 2 -9 -9
 * ```
 */
export function mask(tape: Tape, x: Rows, keep: ArrayLike<number>, value = 0): Rows {
  const { T, B, F, ld } = checkRows(tape, 'x', x);
  const wide = keep?.length === T * B ? 0 : 1;
  if (wide) checkNumbers('keep', keep, x, F);
  else checkNumbers('keep', keep, x, 1);
  if (typeof value !== 'number' || Number.isNaN(value)) check.fail('value', 'a number', value);
  const kernels = kernelsOf(tape.runtime);
  const m = enterRows(
    tape,
    Float32Array.from(keep, (k) => (k ? 1 : 0)),
    x,
    wide ? F : 1,
  );
  const y = tape.rows(T, B, F, x.grad !== 0, x.lengths);
  kernels.keepForward(y.at, x.at, ld, m.at, m.ld, T * B, F, wide, value);
  if (y.grad) tape.record(() => kernels.keepBackward(x.grad, y.grad, ld, m.at, m.ld, T * B, F, wide));
  return finish(tape, y);
}

const OVER = {
  /** Over the features of each step, or over the steps of each sequence. Default `'features'`. */
  over: option(oneOf('features', 'time'), 'features'),
};

/** What `softmax`, `logSoftmax`, `sum` and `mean` take. */
export interface OverOptions extends Options<typeof OVER> {}

function normalized(tape: Tape, place: string, x: Rows, options: OverOptions, logarithm: 0 | 1): Rows {
  const { T, B, F, ld } = checkRows(tape, 'x', x);
  const { over } = readOptions(place, OVER, options);
  const kernels = kernelsOf(tape.runtime);
  const lengths = x.lengths?.at ?? 0;
  const [forward, backward] =
    over === 'time'
      ? [kernels.softmaxTimeForward, kernels.softmaxTimeBackward]
      : [kernels.softmaxForward, kernels.softmaxBackward];
  const y = tape.rows(T, B, F, x.grad !== 0, x.lengths);
  forward(y.at, x.at, ld, lengths, T, B, F, logarithm);
  if (y.grad) tape.record(() => backward(x.grad, y.grad, y.at, ld, lengths, T, B, F, logarithm));
  return finish(tape, y);
}

/**
 * Numbers above 0 that sum to 1: e^x / Σ e^x, over the features of each step or over the steps of each sequence. For probabilities as
 * plain numbers there is `softmaxRows` of `gatewise`; for a loss, `crossEntropyLoss` takes logits.
 *
 * @param x [T,B,F]
 * @returns [T,B,F], with zeros past the end of a sequence
 * @throws TypeError, RangeError for invalid options
 *
 * @example
 * ```js
 * import { input, Model, read, Runtime } from 'gatewise';
 * import { softmax } from 'gatewise/functions';
 *
 * const model = new Model(await Runtime.create(), 1, () => null);
 * const shape = { T: 3, B: 1, F: 1, lengths: [2] };
 * const y = model.forward((tape) => read(tape, softmax(tape, input(tape, [5, 5, 99], shape), { over: 'time' })));
 * console.log([...y].join(' ')); // 0.5 0.5 0
 * ```
 */
export function softmax(tape: Tape, x: Rows, options: OverOptions = {}): Rows {
  return normalized(tape, 'softmax', x, options, 0);
}

/**
 * The natural logarithm of `softmax`: x - ln Σ e^x.
 *
 * @param x [T,B,F]
 * @returns [T,B,F], with zeros past the end of a sequence
 * @throws TypeError, RangeError for invalid options
 *
 * @example
 * ```js
 * import { input, Model, read, Runtime } from 'gatewise';
 * import { logSoftmax } from 'gatewise/functions';
 *
 * const model = new Model(await Runtime.create(), 1, () => null);
 * const y = model.forward((tape) => read(tape, logSoftmax(tape, input(tape, [0, 0], { T: 1, B: 1, F: 2 }))));
 * console.log(Array.from(y, (value) => value.toFixed(4)).join(' ')); // -0.6931 -0.6931
 * ```
 */
export function logSoftmax(tape: Tape, x: Rows, options: OverOptions = {}): Rows {
  return normalized(tape, 'logSoftmax', x, options, 1);
}

function features(tape: Tape, x: Rows, factor: number): Rows {
  const { T, B, F, ld } = x;
  const kernels = kernelsOf(tape.runtime);
  clearPadding(tape, x, x.at);
  const y = tape.rows(T, B, 1, x.grad !== 0, x.lengths);
  kernels.sumForward(y.at, y.ld, x.at, ld, T * B, F, factor);
  if (y.grad) tape.record(() => kernels.sumBackward(x.grad, ld, y.grad, y.ld, T * B, F, factor));
  return finish(tape, y);
}

/** A function of the steps of each sequence: one row for each. */
function steps(tape: Tape, x: Rows, forward: Core['meanForward'], backward: Core['meanBackward']): Rows {
  const { T, B, F, ld } = x;
  const lengths = x.lengths?.at ?? 0;
  const y = tape.rows(1, B, F, x.grad !== 0);
  forward(y.at, x.at, ld, lengths, T, B, F);
  if (y.grad) tape.record(() => backward(x.grad, y.grad, ld, lengths, T, B, F));
  return y;
}

/**
 * The sum over the features of each step, or over the steps of each sequence.
 *
 * @param x [T,B,F]
 * @returns [T,B,1]; over time [1,B,F]
 * @throws TypeError, RangeError for invalid options
 *
 * @example
 * ```js
 * import { input, Model, read, Runtime } from 'gatewise';
 * import { sum } from 'gatewise/functions';
 *
 * const model = new Model(await Runtime.create(), 1, () => null);
 * const [each, all] = model.forward((tape) => {
 *   const x = input(tape, [1, 2, 3, 4], { T: 2, B: 1, F: 2 });
 *   return [read(tape, sum(tape, x)), read(tape, sum(tape, x, { over: 'time' }))];
 * });
 * console.log([...each].join(' '), '|', [...all].join(' ')); // 3 7 | 4 6
 * ```
 */
export function sum(tape: Tape, x: Rows, options: OverOptions = {}): Rows {
  checkRows(tape, 'x', x);
  const { over } = readOptions('sum', OVER, options);
  if (over === 'features') return features(tape, x, 1);
  const { sumTimeForward, sumTimeBackward } = kernelsOf(tape.runtime);
  return steps(tape, x, sumTimeForward, sumTimeBackward);
}

/**
 * The mean over the features of each step, or over the steps of each sequence.
 *
 * @param x [T,B,F]
 * @returns [T,B,1]; over time [1,B,F]
 * @throws TypeError, RangeError for invalid options
 *
 * @example
 * ```js
 * import { input, Model, read, Runtime } from 'gatewise';
 * import { mean } from 'gatewise/functions';
 *
 * const model = new Model(await Runtime.create(), 1, () => null);
 * const y = model.forward((tape) => read(tape, mean(tape, input(tape, [1, 2, 3, 6], { T: 2, B: 1, F: 2 }))));
 * console.log([...y].join(' ')); // 1.5 4.5
 * ```
 */
export function mean(tape: Tape, x: Rows, options: OverOptions = {}): Rows {
  checkRows(tape, 'x', x);
  const { over } = readOptions('mean', OVER, options);
  if (over === 'features') return features(tape, x, 1 / x.F);
  return steps(tape, x, tape.core.meanForward, tape.core.meanBackward);
}

/**
 * Joins rows along time: the steps of a sequence of the first part, then those of the same sequence of the next, without a gap.
 *
 * @param parts [T₁,B,F], [T₂,B,F] …
 * @returns [T₁+T₂+…,B,F], with lengths where a part has them
 * @throws RangeError if sequences or features differ
 *
 * @example
 * ```js
 * import { input, Model, read, Runtime } from 'gatewise';
 * import { concatTime } from 'gatewise/functions';
 *
 * const model = new Model(await Runtime.create(), 1, () => null);
 * const y = model.forward((tape) => {
 *   const a = input(tape, [1, 2, 3, 99], { T: 2, B: 2, F: 1, lengths: [2, 1] });
 *   const b = input(tape, [7, 8], { T: 1, B: 2, F: 1 });
 *   return read(tape, concatTime(tape, [a, b]), { batchFirst: true });
 * });
 * console.log([...y].join(' ')); // 1 3 7 2 8 0
 * ```
 */
export function concatTime(tape: Tape, parts: readonly Rows[]): Rows {
  if (!Array.isArray(parts) || parts.length === 0) check.fail('parts', 'a list of rows', parts);
  const { B, F } = checkRows(tape, 'parts[0]', parts[0]);
  Array.from(parts).forEach((part, i) => {
    checkRows(tape, `parts[${i}]`, part, F);
    if (part.B !== B) check.fail(`parts[${i}]`, `B=${B} sequences`, part.B);
  });
  const kernels = kernelsOf(tape.runtime);
  const ends = new Int32Array(B);
  const starts = parts.map(({ T, lengths }) => {
    const at = tape.ints(ends);
    for (let b = 0; b < B; b++) ends[b] += Math.min(lengths?.values[b] ?? T, T);
    return at;
  });
  const T = parts.reduce((n, part) => n + part.T, 0);
  const lengths = parts.some((part) => part.lengths) ? { at: tape.ints(ends), values: ends } : undefined;
  const y = tape.rows(
    T,
    B,
    F,
    parts.some((part) => part.grad !== 0),
    lengths,
  );
  parts.forEach((x, i) => {
    kernels.joinSteps(y.at, x.at, x.ld, starts[i], x.lengths?.at ?? 0, x.T, B, F, 0);
  });
  if (y.grad) {
    tape.record(() => {
      parts.forEach((x, i) => {
        if (x.grad) kernels.joinSteps(y.grad, x.grad, x.ld, starts[i], x.lengths?.at ?? 0, x.T, B, F, 1);
      });
    });
  }
  return finish(tape, y);
}
