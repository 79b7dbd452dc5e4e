/** Functions of rows: activations, joining and splitting. Each works on whole sequences and keeps their lengths. */
import { Fn } from '../../assembly/layout.js';
import { type ActivationOption, enterActivation, readActivation } from '../cells/activation.js';
import * as check from '../check.js';
import { checkRows, type Lengths, type Rows, type Tape } from '../tape.js';
import { lengthsOf, type Shape } from './input.js';
import { finish, sharedLengths } from './padding.js';

/**
 * A function of each number: tanh(x), σ(x) = 1 / (1 + e⁻ˣ), max(x, 0) and others, see `ActivationName`.
 *
 * @param x [T,B,F]
 * @param f its name, or its name and numbers, as `{ kind: 'leakyRelu', alpha: 0.1 }`
 * @returns [T,B,F], with zeros past the end of a sequence
 * @throws TypeError, RangeError for an unknown name, or a number that the function does not have
 *
 * @example
 * ```js
 * import { activation, input, Model, read, Runtime } from 'gatewise';
 *
 * const model = new Model(await Runtime.create(), 1, () => null);
 * const y = model.forward((tape) => read(tape, activation(tape, input(tape, [-2, 3], { T: 1, B: 1, F: 2 }), 'relu')));
 * console.log([...y].join(' ')); // 0 3
 * ```
 */
export function activation(tape: Tape, x: Rows, f: ActivationOption): Rows {
  const { T, B, F, ld } = checkRows(tape, 'x', x);
  const checked = readActivation('activation', f);
  const { core, runtime } = tape;
  const y = tape.rows(T, B, F, x.grad !== 0, x.lengths);
  const at = runtime.take(4 * Fn.fields);
  enterActivation(runtime.i32, at >>> 2, checked);
  core.activationForward(y.at, x.at, ld, T * B, F, at);
  if (y.grad) tape.record(() => core.activationBackward(x.grad, y.grad, y.at, ld, T * B, F, at));
  return finish(tape, y);
}

/** For authors of layers: that all rows are of the running pass and have the same T and B. */
export function sameBatch(tape: Tape, rows: readonly Rows[], names: readonly string[]): void {
  for (const [i, name] of names.entries()) checkRows(tape, name, rows[i]);
  const [{ T, B }] = rows;
  rows.forEach((r, i) => {
    if (r.T !== T || r.B !== B) {
      throw new RangeError(`${names[i]}: expected T=${T} steps of B=${B} sequences, got T=${r.T}, B=${r.B}`);
    }
  });
}

/**
 * Joins rows along their features.
 *
 * @param parts [T,B,F₁], [T,B,F₂] …; those that have lengths have the same
 * @returns [T,B,F₁+F₂+…]
 * @throws RangeError if steps, sequences or lengths differ
 *
 * @example
 * ```js
 * import { concat, input, Model, read, Runtime } from 'gatewise';
 *
 * const model = new Model(await Runtime.create(), 1, () => null);
 * const y = model.forward((tape) => {
 *   const a = input(tape, [1, 2], { T: 2, B: 1, F: 1 });
 *   const b = input(tape, [3, 4], { T: 2, B: 1, F: 1 });
 *   return read(tape, concat(tape, [a, b]));
 * });
 * console.log([...y].join(' ')); // 1 3 2 4
 * ```
 */
export function concat(tape: Tape, parts: readonly Rows[]): Rows {
  if (!Array.isArray(parts) || parts.length === 0) check.fail('parts', 'a list of rows', parts);
  const names = parts.map((_, i) => `parts[${i}]`);
  sameBatch(tape, parts, names);
  const { core } = tape;
  const [{ T, B }] = parts;
  const F = parts.reduce((n, part) => n + part.F, 0);
  const some = parts.some((part) => part.grad !== 0);
  const y = tape.rows(T, B, F, some, sharedLengths(parts, names));
  let column = 0;
  const columns = parts.map((x) => {
    core.concatForward(y.at, y.ld, x.at, x.ld, T * B, column, x.F);
    column += x.F;
    return column - x.F;
  });
  tape.record(() => {
    parts.forEach((x, i) => {
      if (x.grad) core.concatBackward(x.grad, x.ld, y.grad, y.ld, T * B, columns[i], x.F);
    });
  });
  return finish(tape, y);
}

/**
 * Selects features, in the order given.
 *
 * @param x [T,B,F]
 * @param columns N whole numbers from 0 to F-1; duplicates are allowed
 * @returns [T,B,N]
 * @throws RangeError for a column that is not there
 *
 * @example
 * ```js
 * import { input, Model, read, Runtime, select } from 'gatewise';
 *
 * const model = new Model(await Runtime.create(), 1, () => null);
 * const y = model.forward((tape) => read(tape, select(tape, input(tape, [5, 6, 7], { T: 1, B: 1, F: 3 }), [2, 0])));
 * console.log([...y].join(' ')); // 7 5
 * ```
 */
export function select(tape: Tape, x: Rows, columns: ArrayLike<number>): Rows {
  const { T, B, F } = checkRows(tape, 'x', x);
  const { core } = tape;
  const N = check.whole('columns.length', columns?.length);
  const at = tape.ints(Int32Array.from(columns, (f, i) => check.whole(`columns[${i}]`, f, 0, F - 1)));
  const y = tape.rows(T, B, N, x.grad !== 0, x.lengths);
  core.selectForward(y.at, y.ld, x.at, x.ld, at, T * B, N);
  if (x.grad) tape.record(() => core.selectBackward(x.grad, x.ld, y.grad, y.ld, at, T * B, N));
  return finish(tape, y);
}

/**
 * a + b.
 *
 * @param a [T,B,F]
 * @param b [T,B,F]; if both have lengths, the same
 * @returns [T,B,F]
 * @throws RangeError if shapes or lengths differ
 *
 * @example
 * ```js
 * import { add, input, Model, read, Runtime } from 'gatewise';
 *
 * const model = new Model(await Runtime.create(), 1, () => null);
 * const y = model.forward((tape) => {
 *   const [a, b] = [[1, 2], [3, 4]].map((values) => input(tape, values, { T: 1, B: 1, F: 2 }));
 *   return read(tape, add(tape, a, b));
 * });
 * console.log([...y].join(' ')); // 4 6
 * ```
 */
export function add(tape: Tape, a: Rows, b: Rows): Rows {
  sameBatch(tape, [a, b], ['a', 'b']);
  if (a.F !== b.F) check.fail('b', `${a.F} features`, b.F);
  const { core } = tape;
  const { T, B, F, ld } = a;
  const y = tape.rows(T, B, F, a.grad !== 0 || b.grad !== 0, sharedLengths([a, b], ['a', 'b']));
  core.addForward(y.at, a.at, b.at, ld, T * B, F);
  tape.record(() => {
    for (const { grad } of [a, b]) if (grad) core.rowsAdd(grad, ld, y.grad, ld, T * B, F);
  });
  return finish(tape, y);
}

/**
 * Repeats one step, for example the final state of an encoder.
 *
 * @param x [1,B,F]
 * @param shape T steps, and the `lengths` [B] of the sequences where they end before T
 * @returns [T,B,F], with zeros past the end of a sequence
 * @throws RangeError if x has several steps
 *
 * @example
 * ```js
 * import { expand, input, Model, read, Runtime } from 'gatewise';
 *
 * const model = new Model(await Runtime.create(), 1, () => null);
 * const y = model.forward((tape) => read(tape, expand(tape, input(tape, [1, 2], { T: 1, B: 1, F: 2 }), { T: 3 })));
 * console.log([...y].join(' ')); // 1 2 1 2 1 2
 * ```
 */
export function expand(tape: Tape, x: Rows, shape: Pick<Shape, 'T' | 'lengths'>): Rows {
  const { B, F, ld } = checkRows(tape, 'x', x);
  if (x.T !== 1) check.fail('x', 'one step', x.T);
  check.options('shape', shape, ['T', 'lengths']);
  const T = check.whole('T', shape.T);
  const { core } = tape;
  const y = tape.rows(T, B, F, x.grad !== 0, lengthsOf(tape, shape.lengths, T, B));
  core.expandForward(y.at, x.at, ld, T, B);
  if (y.grad) tape.record(() => core.expandBackward(x.grad, y.grad, ld, T, B, F));
  return finish(tape, y);
}

/**
 * The steps from `from` up to, but not including, `to`. Nothing is copied. A sequence that ends before `from` is empty there.
 *
 * @param x [T,B,F]
 * @returns [to-from,B,F]
 * @throws RangeError for steps that are not there
 *
 * @example
 * ```js
 * import { input, Model, read, Runtime, slice } from 'gatewise';
 *
 * const model = new Model(await Runtime.create(), 1, () => null);
 * const y = model.forward((tape) => read(tape, slice(tape, input(tape, [1, 2, 3, 4], { T: 4, B: 1, F: 1 }), 1, 3)));
 * console.log([...y].join(' ')); // 2 3
 * ```
 */
export function slice(tape: Tape, x: Rows, from: number, to: number): Rows {
  checkRows(tape, 'x', x);
  check.whole('from', from, 0, x.T - 1);
  check.whole('to', to, from + 1, x.T);
  const skip = from * x.B * x.ld;
  const T = to - from;
  let lengths: Lengths | undefined;
  if (x.lengths) {
    const values = x.lengths.values.map((length) => Math.min(Math.max(length - from, 0), T));
    lengths = { at: tape.ints(values), values };
  }
  return tape.own({ ...x, at: x.at + skip, grad: x.grad && x.grad + skip, T, lengths, unique: undefined });
}
