import { Loss as Kind } from '../../assembly/layout.js';
import * as check from '../check.js';
import { align } from '../core/runtime.js';
import { checkRows, type Loss, lossOf, type Rows, type Tape } from '../tape.js';
import { checkNumbers, enterRows, read } from './input.js';
import { countLive, live } from './padding.js';

/** How losses become one number: the mean over the elements that count, their sum, or neither. */
export type Reduction = 'mean' | 'sum' | 'none';

/** What every loss takes. */
export interface LossOptions<R extends Reduction = Reduction> {
  /** Default `'mean'`. `'none'` gives the losses themselves as `values`. */
  reduction?: R | undefined;
  /** With `'none'`: the gradient of what is minimised with respect to each of `values`; default ones. */
  upstream?: ArrayLike<number> | undefined;
}

/** A loss that is not reduced. Its value is Σ upstream·values. */
export interface ElementLoss extends Loss {
  /** 0 where an element does not count. */
  readonly values: Float32Array;
}

/** What a loss returns: with `'none'` the losses of the elements as well. */
export type Reduced<R> = R extends 'none' ? ElementLoss : Loss;

const COMMON = ['reduction', 'upstream'] as const;

/** How a loss is reduced. */
export function checkReduction({ reduction = 'mean', upstream }: LossOptions): Reduction {
  check.oneOf('reduction', reduction, ['mean', 'sum', 'none']);
  if (upstream !== undefined && reduction !== 'none') {
    check.clash('upstream', `reduction: '${reduction}'`, 'the loss is one number');
  }
  return reduction;
}

/** A loss, with the losses of the elements if there are any. */
export function reduced<R>(loss: Loss, values: Float32Array | undefined): Reduced<R> {
  return (values ? { ...loss, values } : loss) as Reduced<R>;
}

/** A list of numbers, whose size is checked later. */
export const checkUpstream = (name: string, value: unknown): ArrayLike<number> =>
  typeof value === 'object' && value !== null
    ? (value as ArrayLike<number>)
    : check.fail(name, 'a list of numbers', value);

/** What differs between losses of a number and its target. */
interface Formula {
  readonly kind: Kind;
  readonly limit?: number;
  readonly gain?: number;
  /** [F] a number for each column. */
  readonly columns?: ArrayLike<number>;
  /** Columns of the prediction for each target, default 1. */
  readonly spread?: number;
}

function elementwise<R extends Reduction>(
  tape: Tape,
  prediction: Rows,
  targets: ArrayLike<number>,
  options: LossOptions<R>,
  { kind, limit = 0, gain = 1, columns, spread = 1 }: Formula,
): Reduced<R> {
  checkRows(tape, 'prediction', prediction);
  const { runtime, core } = tape;
  const { T, B, F, ld, at } = prediction;
  const N = F / spread;
  const reduction = checkReduction(options);
  checkNumbers('targets', targets, prediction, N);
  if (options.upstream) checkNumbers('upstream', options.upstream, prediction, F);
  const count = countLive(prediction) * F;
  if (reduction === 'mean' && count === 0) throw new RangeError('prediction: expected at least one step');
  const lengths = prediction.lengths?.at ?? 0;
  let y = enterRows(tape, targets, prediction, N);
  if (spread > 1) {
    const wide = tape.rows(T, B, F, false);
    core.spreadRows(wide.at, ld, y.at, y.ld, T * B, N, spread);
    y = wide;
  }
  const u = options.upstream ? enterRows(tape, options.upstream, prediction, F).at : 0;
  const p = columns ? runtime.takeZeroed(align(4 * F)) : 0;
  if (columns) runtime.write(p, columns);
  const values = reduction === 'none' ? tape.rows(T, B, F, false) : undefined;
  const sum = core.lossForward(values?.at ?? 0, at, y.at, u, ld, p, lengths, T, B, F, kind, limit, gain);
  const divisor = reduction === 'mean' ? count : 1;
  const { grad } = prediction;
  const back = (scale: number) =>
    core.lossBackward(grad, at, y.at, u, ld, p, lengths, T, B, F, kind, limit, gain, scale / divisor);
  return reduced(lossOf(tape, sum / divisor, grad ? back : null), values && read(tape, values));
}

/**
 * (x - y)².
 *
 * @param prediction [T,B,F]; rows past the end of a sequence do not count
 * @param targets [T,B,F]
 * @throws TypeError, RangeError for targets of another size or not finite, or invalid options
 *
 * @example
 * ```js
 * import { input, Model, mseLoss, Runtime } from 'gatewise';
 *
 * const model = new Model(await Runtime.create(), 1, () => null);
 * const loss = model.forward((tape) => mseLoss(tape, input(tape, [1, 5], { T: 1, B: 1, F: 2 }), [1, 3]).value);
 * console.log(loss.toFixed(4)); // 2.0000
 * ```
 */
export function mseLoss<R extends Reduction = 'mean'>(
  tape: Tape,
  prediction: Rows,
  targets: ArrayLike<number>,
  options: LossOptions<R> = {},
): Reduced<R> {
  check.options('mseLoss', options, COMMON);
  return elementwise(tape, prediction, targets, options, { kind: Kind.square });
}

/**
 * |x - y|.
 *
 * @param prediction [T,B,F]; rows past the end of a sequence do not count
 * @param targets [T,B,F]
 * @throws TypeError, RangeError for targets of another size or not finite, or invalid options
 *
 * @example
 * ```js
 * import { input, l1Loss, Model, Runtime } from 'gatewise';
 *
 * const model = new Model(await Runtime.create(), 1, () => null);
 * const loss = model.forward((tape) => l1Loss(tape, input(tape, [1, 5], { T: 1, B: 1, F: 2 }), [1, 3]).value);
 * console.log(loss.toFixed(4)); // 1.0000
 * ```
 */
export function l1Loss<R extends Reduction = 'mean'>(
  tape: Tape,
  prediction: Rows,
  targets: ArrayLike<number>,
  options: LossOptions<R> = {},
): Reduced<R> {
  check.options('l1Loss', options, COMMON);
  return elementwise(tape, prediction, targets, options, { kind: Kind.absolute });
}

/**
 * d²/2 where |d| ≤ delta, else delta·(|d| - delta/2), with d = x - y (Huber 1964).
 *
 * @param prediction [T,B,F]; rows past the end of a sequence do not count
 * @param targets [T,B,F]
 * @param options `delta` above 0, default 1
 * @throws TypeError, RangeError for targets of another size or not finite, or invalid options
 *
 * @example
 * ```js
 * import { huberLoss, input, Model, Runtime } from 'gatewise';
 *
 * const model = new Model(await Runtime.create(), 1, () => null);
 * const loss = model.forward((tape) => huberLoss(tape, input(tape, [1, 5], { T: 1, B: 1, F: 2 }), [1.5, 3]).value);
 * console.log(loss.toFixed(4)); // 0.8125
 * ```
 */
export function huberLoss<R extends Reduction = 'mean'>(
  tape: Tape,
  prediction: Rows,
  targets: ArrayLike<number>,
  options: LossOptions<R> & { delta?: number | undefined } = {},
): Reduced<R> {
  check.options('huberLoss', options, [...COMMON, 'delta']);
  const limit = check.number('delta', options.delta ?? 1, 0, Infinity, true);
  return elementwise(tape, prediction, targets, options, { kind: Kind.huber, limit });
}

/**
 * d²/(2 beta) where |d| ≤ beta, else |d| - beta/2, with d = x - y, as in PyTorch.
 *
 * @param prediction [T,B,F]; rows past the end of a sequence do not count
 * @param targets [T,B,F]
 * @param options `beta`, default 1; with 0 it is `l1Loss`
 * @throws TypeError, RangeError for targets of another size or not finite, or invalid options
 *
 * @example
 * ```js
 * import { input, Model, Runtime, smoothL1Loss } from 'gatewise';
 *
 * const model = new Model(await Runtime.create(), 1, () => null);
 * const loss = model.forward((tape) => smoothL1Loss(tape, input(tape, [1, 5], { T: 1, B: 1, F: 2 }), [1.5, 3], { beta: 0.5 }).value);
 * console.log(loss.toFixed(4)); // 1.0000
 * ```
 */
export function smoothL1Loss<R extends Reduction = 'mean'>(
  tape: Tape,
  prediction: Rows,
  targets: ArrayLike<number>,
  options: LossOptions<R> & { beta?: number | undefined } = {},
): Reduced<R> {
  check.options('smoothL1Loss', options, [...COMMON, 'beta']);
  const limit = check.number('beta', options.beta ?? 1, 0);
  const formula: Formula = limit ? { kind: Kind.huber, limit, gain: 1 / limit } : { kind: Kind.absolute };
  return elementwise(tape, prediction, targets, options, formula);
}

/**
 * The pinball loss, whose minimum is the q-quantile: q·(y - x) where x < y, else (1 - q)·(x - y) (Koenker & Bassett 1978).
 *
 * @param prediction [T,B,F·Q]: for each target the Q quantiles side by side; rows past the end of a sequence do not count
 * @param targets [T,B,F]
 * @param options `quantile`: a number between 0 and 1, or a list of Q of them
 * @throws TypeError, RangeError for targets of another size or not finite, or invalid options
 *
 * @example
 * ```js
 * import { input, Model, quantileLoss, Runtime } from 'gatewise';
 *
 * const model = new Model(await Runtime.create(), 1, () => null);
 * const loss = model.forward((tape) => quantileLoss(tape, input(tape, [1, 5], { T: 1, B: 1, F: 2 }), [3], { quantile: [0.1, 0.9] }).value);
 * console.log(loss.toFixed(4)); // 0.2000
 * ```
 */
export function quantileLoss<R extends Reduction = 'mean'>(
  tape: Tape,
  prediction: Rows,
  targets: ArrayLike<number>,
  options: LossOptions<R> & { quantile: number | readonly number[] },
): Reduced<R> {
  check.options('quantileLoss', options, [...COMMON, 'quantile']);
  const list = Array.isArray(options.quantile) ? options.quantile : [options.quantile];
  if (list.length === 0) throw new RangeError('quantile: expected at least one');
  list.forEach((q, i) => {
    const name = list === options.quantile ? `quantile[${i}]` : 'quantile';
    if (!(check.number(name, q, 0, 1, true) < 1)) check.fail(name, 'a number between 0 and 1', q);
  });
  const { F } = checkRows(tape, 'prediction', prediction);
  if (F % list.length) {
    check.fail('prediction', `a multiple of ${list.length} features, one per quantile`, F);
  }
  const columns = Float32Array.from({ length: F }, (_, f) => list[f % list.length]);
  return elementwise(tape, prediction, targets, options, { kind: Kind.quantile, columns, spread: list.length });
}

/**
 * Binary cross-entropy between σ(x) and targets: w·y·ln(1 + e⁻ˣ) + (1 - y)·ln(1 + eˣ), as in PyTorch.
 *
 * @param logits [T,B,F]; rows past the end of a sequence do not count
 * @param targets [T,B,F] from 0 to 1
 * @param options `posWeight` [F]: weight w of the positive labels of each feature, default ones
 * @throws TypeError, RangeError for targets of another size or not finite, or invalid options
 *
 * @example
 * ```js
 * import { bceWithLogitsLoss, input, Model, Runtime } from 'gatewise';
 *
 * const model = new Model(await Runtime.create(), 1, () => null);
 * const loss = model.forward((tape) => bceWithLogitsLoss(tape, input(tape, [0, 0], { T: 1, B: 1, F: 2 }), [1, 0]).value);
 * console.log(loss.toFixed(4)); // 0.6931
 * ```
 */
export function bceWithLogitsLoss<R extends Reduction = 'mean'>(
  tape: Tape,
  logits: Rows,
  targets: ArrayLike<number>,
  options: LossOptions<R> & { posWeight?: ArrayLike<number> | undefined } = {},
): Reduced<R> {
  check.options('bceWithLogitsLoss', options, [...COMMON, 'posWeight']);
  const { posWeight: columns } = options;
  checkRows(tape, 'logits', logits);
  if (columns !== undefined) checkWeights('posWeight', columns, logits.F);
  return elementwise(tape, logits, targets, options, { kind: Kind.logits, ...(columns ? { columns } : {}) });
}

function checkWeights(name: string, weights: ArrayLike<number>, n: number): void {
  check.numbers(name, weights, n, `[${n}]`);
  for (let i = 0; i < n; i++) check.number(`${name}[${i}]`, weights[i], 0);
}

export interface CrossEntropyOptions<R extends Reduction = Reduction> extends LossOptions<R> {
  /** [V] weight of each class; the mean is then weighted. Default ones. */
  weights?: ArrayLike<number> | undefined;
  /** ε: this share of the target is spread over all classes. Default 0. */
  labelSmoothing?: number | undefined;
  /** A whole number: targets that are equal to it do not count. Negative targets never do. Default: none. */
  ignoreIndex?: number | undefined;
}

/**
 * Cross-entropy between softmax(logits) and classes, over the rows that count, as in PyTorch: -ln softmax(logits)[target].
 *
 * @param logits [T,B,V]; rows past the end of a sequence do not count
 * @param targets [T,B] whole numbers in 0…V-1; rows with a negative target, or with `ignoreIndex`, do not count
 * @returns with `'none'` the losses of the rows [T,B]
 * @throws TypeError, RangeError for targets of another size or out of range, or invalid options
 *
 * @example
 * ```js
 * import { crossEntropyLoss, input, Model, Runtime } from 'gatewise';
 *
 * const model = new Model(await Runtime.create(), 1, () => null);
 * const loss = model.forward((tape) => crossEntropyLoss(tape, input(tape, [0, 0], { T: 1, B: 1, F: 2 }), [1]).value);
 * console.log(loss.toFixed(4)); // 0.6931
 * ```
 */
export function crossEntropyLoss<R extends Reduction = 'mean'>(
  tape: Tape,
  logits: Rows,
  targets: ArrayLike<number>,
  options: CrossEntropyOptions<R> = {},
): Reduced<R> {
  check.options('crossEntropyLoss', options, [...COMMON, 'weights', 'labelSmoothing', 'ignoreIndex']);
  const { weights, labelSmoothing = 0, ignoreIndex, upstream } = options;
  if (ignoreIndex !== undefined) check.whole('ignoreIndex', ignoreIndex, -(2 ** 31));
  const { T, B, F: V, ld, grad } = checkRows(tape, 'logits', logits);
  const { runtime, core } = tape;
  const R = T * B;
  check.numbers('targets', targets, R, `[T=${T}, B=${B}]`, (i) => !live(logits, i));
  const classes = new Int32Array(R).fill(-1);
  let some = false;
  for (let i = 0; i < R; i++) {
    if (!live(logits, i) || targets[i] === ignoreIndex) continue;
    if (!(Number.isInteger(targets[i]) && targets[i] < V)) {
      check.fail(`targets[${i}]`, `a class from 0 to ${V - 1}, or a negative number`, targets[i]);
    }
    classes[i] = Math.max(targets[i], -1);
    some ||= targets[i] >= 0;
  }
  const reduction = checkReduction(options);
  if (upstream) check.numbers('upstream', upstream, R, `[T=${T}, B=${B}]`, (i) => classes[i] < 0);
  if (reduction === 'mean' && !some) throw new RangeError('targets: expected at least one that counts');
  if (weights !== undefined) checkWeights('weights', weights, V);
  check.number('labelSmoothing', labelSmoothing, 0, 1);
  const ids = tape.ints(classes);
  const w = weights ? runtime.takeZeroed(align(4 * V)) : 0;
  if (weights) runtime.write(w, weights);
  const u = upstream ? runtime.take(4 * R) : 0;
  // only of what counts
  if (upstream)
    runtime.write(
      u,
      Float32Array.from(classes, (y, i) => (y < 0 ? 0 : upstream[i])),
    );
  const p = runtime.take(R * ld);
  const rows = runtime.take(4 * R);
  const count = core.crossEntropyForward(p, ld, rows, logits.at, ld, ids, w, R, V, labelSmoothing);
  const divisor = reduction === 'mean' ? count : 1;
  const values = reduction === 'none' ? runtime.read(rows, R) : undefined;
  const sum = u ? core.dot(rows, u, R) : core.sum(rows, R);
  const back = (scale: number) =>
    core.crossEntropyBackward(grad, ld, p, ld, ids, w, u, R, V, labelSmoothing, scale / divisor);
  return reduced(lossOf(tape, sum / divisor, grad ? back : null), values);
}

/**
 * Σ x·weights. Its gradient with respect to x is `weights`: for a gradient that is computed elsewhere, as `y.backward(gradient)` does
 * in PyTorch.
 *
 * @param x [T,B,F]; rows past the end of a sequence do not count
 * @param weights [T,B,F]
 * @throws TypeError, RangeError for weights of another size or not finite
 *
 * @example
 * ```js
 * import { dotLoss, input, Model, Runtime } from 'gatewise';
 *
 * const model = new Model(await Runtime.create(), 1, () => null);
 * const loss = model.forward((tape) => dotLoss(tape, input(tape, [1, 5], { T: 1, B: 1, F: 2 }), [2, -1]).value);
 * console.log(loss.toFixed(4)); // -3.0000
 * ```
 */
export function dotLoss(tape: Tape, x: Rows, weights: ArrayLike<number>): Loss {
  const { T, B, F, ld, grad } = checkRows(tape, 'x', x);
  checkNumbers('weights', weights, x, F);
  const { runtime, core } = tape;
  const R = T * B;
  const n = R * F;
  // rowsIn pads a row to four numbers, addScaled works on whole lines
  const w = runtime.takeZeroed(R * ld);
  const packed = runtime.take(4 * n);
  const values = runtime.take(4 * n);
  runtime.write(packed, weights);
  core.rowsIn(w, ld, packed, 4 * F * B, 4 * F, x.lengths?.at ?? 0, T, B, F);
  core.rowsOut(packed, 4 * F * B, 4 * F, w, ld, T, B, F);
  core.rowsOut(values, 4 * F * B, 4 * F, x.at, ld, T, B, F);
  const back = (scale: number) => core.addScaled(grad, w, (R * ld) / 4, scale);
  return lossOf(tape, core.dot(values, packed, n), grad ? back : null);
}
