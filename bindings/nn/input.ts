import * as check from '../check.js';
import { checkRows, checkTape, type Gradient, type Lengths, type Rows, type Tape } from '../tape.js';
import { live } from './padding.js';

/** Steps, sequences and, where sequences are shorter than T, their lengths [B]: whole numbers from 1 to T. */
export interface Shape {
  /** Steps. */
  T: number;
  /** Sequences. */
  B: number;
  /** Length of each sequence, default T for all. */
  lengths?: ArrayLike<number> | undefined;
}

/** The lengths of the sequences of a batch: whole numbers from 1 to T. */
export function lengthsOf(
  tape: Tape,
  values: ArrayLike<number> | undefined,
  T: number,
  B: number,
): Lengths | undefined {
  if (values === undefined) return undefined;
  check.numbers('lengths', values, B, `[B=${B}]`);
  const lengths = Int32Array.from({ length: B }, (_, b) => check.whole(`lengths[${b}]`, values[b], 1, T));
  return { at: tape.ints(lengths), values: lengths };
}

/** Checks numbers [T,B,F], or [B,T,F] with `batchFirst`, up to the end of each sequence. */
export function checkNumbers(
  name: string,
  values: ArrayLike<number>,
  { T, B, lengths }: Pick<Rows, 'T' | 'B' | 'lengths'>,
  F: number,
  batchFirst = false,
): void {
  const letters = batchFirst ? `[B=${B}, T=${T}, F=${F}]` : `[T=${T}, B=${B}, F=${F}]`;
  const padding = (i: number) => {
    const row = Math.floor(i / F);
    return !live({ lengths, B }, batchFirst ? (row % T) * B + Math.floor(row / T) : row);
  };
  check.numbers(name, values, T * B * F, letters, lengths && padding);
}

/** Checked numbers as rows. */
export function enterRows(
  tape: Tape,
  values: ArrayLike<number>,
  { T, B, lengths }: Pick<Rows, 'T' | 'B' | 'lengths'>,
  F: number,
  gradient = false,
  batchFirst = false,
): Rows {
  const { runtime } = tape;
  const rows = tape.rows(T, B, F, gradient, lengths);
  const staged = asIs(rows, batchFirst) ? rows.at : runtime.take(4 * T * B * F);
  runtime.write(staged, values);
  const [step, row] = batchFirst ? [4 * F, 4 * F * T] : [4 * F * B, 4 * F];
  runtime.core.rowsIn(rows.at, rows.ld, staged, step, row, lengths?.at ?? 0, T, B, F);
  // no function of the tape made these rows
  return gradient && tape.training ? tape.own({ ...rows, made: rows.made - 1 }) : rows;
}

/**
 * Puts numbers on the tape, as the input of layers. Magnitudes below 1e-20 become 0.
 *
 * @param values [T,B,F], or [B,T,F] with `batchFirst`: finite numbers; those past the end of a sequence are not read
 * @param shape T steps of B sequences with F features, and their `lengths` [B] where they end before T
 * @param options `batchFirst`: the order of the dimensions, default false; `gradient`: whether the gradient with respect to the
 *   values is computed, default false; `gradientOf` reads it
 * @throws TypeError, RangeError if the number of values is wrong, or for one that is not a finite number: its place and what it is
 *
 * @example
 * ```js
 * import { input, Model, read, Runtime } from 'gatewise';
 *
 * const model = new Model(await Runtime.create(), 1, () => null);
 * // two sequences, the second one step long: what is past its end becomes 0
 * const shape = { T: 2, B: 2, F: 1, lengths: [2, 1] };
 * const rows = model.forward((tape) => read(tape, input(tape, [1, 2, 3, 4], shape)));
 * console.log([...rows].join(' ')); // 1 2 3 0
 * ```
 */
export function input(
  tape: Tape,
  values: ArrayLike<number>,
  shape: Shape & {
    /** Features. */
    F: number;
  },
  options: { batchFirst?: boolean | undefined; gradient?: boolean | undefined } = {},
): Rows {
  checkTape(tape);
  check.options('shape', shape, ['T', 'B', 'F', 'lengths']);
  check.options('options', options, ['batchFirst', 'gradient']);
  const T = check.whole('T', shape.T);
  const B = check.whole('B', shape.B);
  const F = check.whole('F', shape.F);
  const batchFirst = check.flag('batchFirst', options.batchFirst ?? false);
  const gradient = check.flag('gradient', options.gradient ?? false);
  const batch = { T, B, lengths: lengthsOf(tape, shape.lengths, T, B) };
  checkNumbers('values', values, batch, F, batchFirst);
  return enterRows(tape, values, batch, F, gradient, batchFirst);
}

/** Whether rows lie in the core as they do in an array. */
function asIs({ ld, F }: Pick<Rows, 'ld' | 'F'>, batchFirst: boolean): boolean {
  return ld === 4 * F && !batchFirst;
}

/** The numbers at `at`, laid out like `rows`. */
function copy(tape: Tape, at: number, { ld, T, B, F }: Rows, batchFirst: boolean): Float32Array {
  const { runtime } = tape;
  if (asIs({ ld, F }, batchFirst)) return runtime.read(at, T * B * F);
  const out = runtime.take(4 * T * B * F);
  const [step, row] = batchFirst ? [4 * F, 4 * F * T] : [4 * F * B, 4 * F];
  runtime.core.rowsOut(out, step, row, at, ld, T, B, F);
  return runtime.read(out, T * B * F);
}

/**
 * A copy of rows as numbers.
 *
 * @param rows [T,B,F]
 * @param options `batchFirst`: the order of the dimensions, default false
 * @returns [T,B,F], or [B,T,F] with `batchFirst`
 * @throws RangeError for rows of another pass or runtime
 *
 * @example
 * ```js
 * import { input, Model, read, Runtime } from 'gatewise';
 *
 * const model = new Model(await Runtime.create(), 1, () => null);
 * const rows = model.forward((tape) => read(tape, input(tape, [1, 2, 3, 4], { T: 2, B: 2, F: 1 }), { batchFirst: true }));
 * console.log([...rows].join(' ')); // 1 3 2 4
 * ```
 */
export function read(tape: Tape, rows: Rows, options: { batchFirst?: boolean | undefined } = {}): Float32Array {
  checkRows(tape, 'rows', rows);
  check.options('options', options, ['batchFirst']);
  return copy(tape, rows.at, rows, check.flag('batchFirst', options.batchFirst ?? false));
}

/**
 * The gradient of what is minimised with respect to rows, for example an `input` with `gradient: true`. Its `values` are there once
 * `valueAndGrad` has returned.
 *
 * @param rows [T,B,F]
 * @param options `batchFirst`: the order of the dimensions, default false
 * @returns `values` [T,B,F], or [B,T,F] with `batchFirst`; null until the backward pass has run
 * @throws RangeError if no gradient of these rows is computed
 *
 * @example
 * ```js
 * import { gradientOf, input, Model, mseLoss, Runtime } from 'gatewise';
 *
 * const model = new Model(await Runtime.create(), 1, () => null);
 * let gradient;
 * model.valueAndGrad((tape) => {
 *   const x = input(tape, [1, 2], { T: 1, B: 1, F: 2 }, { gradient: true });
 *   gradient = gradientOf(tape, x);
 *   return mseLoss(tape, x, [0, 0]);
 * });
 * console.log([...gradient.values].join(' ')); // 1 2
 * ```
 */
export function gradientOf(tape: Tape, rows: Rows, options: { batchFirst?: boolean | undefined } = {}): Gradient {
  checkRows(tape, 'rows', rows);
  check.options('options', options, ['batchFirst']);
  const batchFirst = check.flag('batchFirst', options.batchFirst ?? false);
  if (!rows.grad) {
    throw new RangeError('rows: their gradient is not computed; an input needs gradient: true, and valueAndGrad');
  }
  const gradient: { values: Float32Array | null } = { values: null };
  tape.watch(rows, () => {
    gradient.values = copy(tape, rows.grad, rows, batchFirst);
  });
  return gradient;
}
