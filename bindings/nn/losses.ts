import { Loss as Kind } from '../../assembly/layout.js';
import * as check from '../check.js';
import { align } from '../core/runtime.js';
import type { Loss, Rows, Tape } from '../tape.js';
import { read } from './input.js';
import { countLive, live } from './padding.js';

/** How losses become one number: their mean over what counts, their sum, or neither. */
export type Reduction = 'mean' | 'sum' | 'none';

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

type Reduced<R> = R extends 'none' ? ElementLoss : Loss;

const COMMON = ['reduction', 'upstream'] as const;

function checkReduction({ reduction = 'mean', upstream }: LossOptions, letters: string, n: number): Reduction {
  check.oneOf('reduction', reduction, ['mean', 'sum', 'none']);
  if (upstream === undefined) return reduction;
  if (reduction !== 'none') {
    throw new RangeError(`upstream and reduction: '${reduction}' do not go together: the loss is one number`);
  }
  if (upstream.length !== n) {
    throw new RangeError(`upstream: expected ${letters} = ${n} numbers, got ${upstream.length}`);
  }
  return reduction;
}

/** A value on the tape; `back` takes the factor on, which is known once the way back begins. */
function lossOf<R>(tape: Tape, value: number, back: ((scale: number) => void) | null, values?: Float32Array) {
  let scale = 0;
  if (back) tape.record(() => back(scale));
  const loss: Loss = {
    value,
    addGradient: (s) => {
      scale += s;
    },
  };
  return (values ? { ...loss, values } : loss) as Reduced<R>;
}

/** What tells the losses of one number and its target apart. */
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
  const { runtime } = tape;
  const { core } = runtime;
  const { T, B, F, ld, at } = prediction;
  const N = F / spread;
  if (targets.length !== T * B * N) {
    throw new RangeError(`targets: expected [T=${T}, B=${B}, F=${N}] = ${T * B * N} numbers, got ${targets.length}`);
  }
  const reduction = checkReduction(options, `[T=${T}, B=${B}, F=${F}]`, T * B * F);
  const count = countLive(prediction) * F;
  if (reduction === 'mean' && count === 0) throw new RangeError('prediction: none of its sequences has a step');
  const lengths = prediction.lengths?.at ?? 0;
  const enter = (numbers: ArrayLike<number>, features: number): Rows => {
    const staged = runtime.take(4 * numbers.length);
    runtime.write(staged, numbers);
    const rows = tape.rows(T, B, features, false);
    core.rowsIn(rows.at, rows.ld, staged, 4 * features * B, 4 * features, lengths, T, B, features);
    return rows;
  };
  let y = enter(targets, N);
  if (spread > 1) {
    const wide = tape.rows(T, B, F, false);
    core.spreadRows(wide.at, ld, y.at, y.ld, T * B, N, spread);
    y = wide;
  }
  const u = options.upstream ? enter(options.upstream, F).at : 0;
  const p = columns ? runtime.takeZeroed(align(4 * F)) : 0;
  if (columns) runtime.write(p, columns);
  const values = reduction === 'none' ? tape.rows(T, B, F, false) : undefined;
  const sum = core.lossForward(values?.at ?? 0, at, y.at, u, ld, p, lengths, T, B, F, kind, limit, gain);
  const divisor = reduction === 'mean' ? count : 1;
  const { grad } = prediction;
  const back = (scale: number) =>
    core.lossBackward(grad, at, y.at, u, ld, p, lengths, T, B, F, kind, limit, gain, scale / divisor);
  return lossOf<R>(tape, sum / divisor, grad ? back : null, values && read(tape, values));
}

/**
 * (x - y)².
 *
 * @param prediction [T,B,F]; rows behind a sequence's end do not count
 * @param targets [T,B,F]
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
 * @param prediction [T,B,F]; rows behind a sequence's end do not count
 * @param targets [T,B,F]
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
 * d²/2 up to |d| = delta, delta·(|d| - delta/2) from there on, d = x - y.
 *
 * @param prediction [T,B,F]; rows behind a sequence's end do not count
 * @param targets [T,B,F]
 * @param options `delta` above 0, default 1
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
 * d²/(2 beta) up to |d| = beta, |d| - beta/2 from there on, d = x - y.
 *
 * @param prediction [T,B,F]; rows behind a sequence's end do not count
 * @param targets [T,B,F]
 * @param options `beta`, default 1; with 0 it is `l1`
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
 * The pinball loss, whose minimum is the q-quantile: q·(y - x) where x is below y, (1 - q)·(x - y) above.
 *
 * @param prediction [T,B,F·Q]: for each target the Q quantiles side by side; rows behind a sequence's end do not count
 * @param targets [T,B,F]
 * @param options `quantile`: a number between 0 and 1, or a list of Q of them
 */
export function quantileLoss<R extends Reduction = 'mean'>(
  tape: Tape,
  prediction: Rows,
  targets: ArrayLike<number>,
  options: LossOptions<R> & { quantile: number | readonly number[] },
): Reduced<R> {
  check.options('quantileLoss', options, [...COMMON, 'quantile']);
  const list = Array.isArray(options.quantile) ? options.quantile : [options.quantile];
  if (list.length === 0) throw new RangeError('quantile: the list is empty');
  list.forEach((q, i) => {
    const name = list === options.quantile ? `quantile[${i}]` : 'quantile';
    if (!(check.number(name, q, 0, 1, true) < 1)) check.fail(name, 'a number between 0 and 1', q);
  });
  const { F } = prediction;
  if (F % list.length) {
    throw new RangeError(`prediction: expected a multiple of ${list.length} features, one per quantile, got ${F}`);
  }
  const columns = Float32Array.from({ length: F }, (_, f) => list[f % list.length]);
  return elementwise(tape, prediction, targets, options, { kind: Kind.quantile, columns, spread: list.length });
}

/**
 * Cross-entropy of σ(x) against labels, several at once: w·y·ln(1 + e⁻ˣ) + (1 - y)·ln(1 + eˣ).
 *
 * @param logits [T,B,F]; rows behind a sequence's end do not count
 * @param targets [T,B,F] from 0 to 1
 * @param options `posWeight` [F]: weight w of the positive labels of each feature, default ones
 */
export function bceWithLogitsLoss<R extends Reduction = 'mean'>(
  tape: Tape,
  logits: Rows,
  targets: ArrayLike<number>,
  options: LossOptions<R> & { posWeight?: ArrayLike<number> | undefined } = {},
): Reduced<R> {
  check.options('bceWithLogitsLoss', options, [...COMMON, 'posWeight']);
  const { posWeight: columns } = options;
  if (columns) checkWeights('posWeight', columns, logits.F);
  return elementwise(tape, logits, targets, options, { kind: Kind.logits, ...(columns ? { columns } : {}) });
}

function checkWeights(name: string, weights: ArrayLike<number>, n: number): void {
  if (weights.length !== n) throw new RangeError(`${name}: expected ${n} numbers, got ${weights.length}`);
  for (let i = 0; i < n; i++) check.number(`${name}[${i}]`, weights[i], 0);
}

export interface CrossEntropyOptions<R extends Reduction = Reduction> extends LossOptions<R> {
  /** [V] weight of each class; the mean is then weighted. */
  weights?: ArrayLike<number> | undefined;
  /** ε: this share of the target is spread over all classes. Default 0. */
  labelSmoothing?: number | undefined;
}

/**
 * Cross-entropy between softmax(logits) and class numbers, over the rows that count, as in PyTorch.
 *
 * @param logits [T,B,V]; rows behind a sequence's end do not count
 * @param targets [T,B] whole numbers in 0…V-1; a negative one does not count
 * @returns with `'none'` the losses of the rows [T,B]
 */
export function crossEntropyLoss<R extends Reduction = 'mean'>(
  tape: Tape,
  logits: Rows,
  targets: ArrayLike<number>,
  options: CrossEntropyOptions<R> = {},
): Reduced<R> {
  check.options('crossEntropyLoss', options, [...COMMON, 'weights', 'labelSmoothing']);
  const { weights, labelSmoothing = 0, upstream } = options;
  const { runtime } = tape;
  const { core } = runtime;
  const { T, B, F: V, ld, grad } = logits;
  const R = T * B;
  if (targets.length !== R) {
    throw new RangeError(`targets: expected [T=${T}, B=${B}] = ${R} numbers, got ${targets.length}`);
  }
  const classes = new Int32Array(R).fill(-1);
  let some = false;
  for (let i = 0; i < R; i++) {
    if (!live(logits, i)) continue;
    if (!(Number.isInteger(targets[i]) && targets[i] < V))
      check.fail(`targets[${i}]`, `a class below ${V}`, targets[i]);
    classes[i] = targets[i];
    some ||= targets[i] >= 0;
  }
  const reduction = checkReduction(options, `[T=${T}, B=${B}]`, R);
  if (reduction === 'mean' && !some) throw new RangeError('targets: none of them counts, all are negative');
  if (weights) checkWeights('weights', weights, V);
  check.number('labelSmoothing', labelSmoothing, 0, 1);
  const ids = runtime.take(4 * R);
  runtime.writeInts(ids, classes);
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
  return lossOf<R>(tape, sum / divisor, grad ? back : null, values);
}
