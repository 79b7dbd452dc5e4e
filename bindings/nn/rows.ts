/** Functions of rows: activation, putting rows together and taking them apart. Each works on whole sequences and keeps their lengths. */
import { Activation } from '../../assembly/layout.js';
import * as check from '../check.js';
import type { Lengths, Rows, Tape } from '../tape.js';
import { lengthsOf } from './input.js';
import { finish, sharedLengths } from './padding.js';

const FUNCTIONS = { tanh: Activation.tanh, sigmoid: Activation.sigmoid, relu: Activation.relu };

/**
 * A function of each number.
 *
 * @param x [T,B,F]
 * @returns [T,B,F]
 */
export function activation(tape: Tape, x: Rows, name: 'tanh' | 'sigmoid' | 'relu'): Rows {
  const f = FUNCTIONS[check.oneOf('activation', name, ['tanh', 'sigmoid', 'relu'])];
  const { core } = tape.runtime;
  const { T, B, F, ld } = x;
  const y = tape.rows(T, B, F, x.grad !== 0, x.lengths);
  core.activationForward(y.at, x.at, ld, T * B, F, f);
  if (y.grad) tape.record(() => core.activationBackward(x.grad, y.grad, y.at, ld, T * B, F, f));
  return finish(tape, y);
}

/** The same T and B in all of them. */
function sameBatch(rows: readonly Rows[], names: readonly string[]): void {
  const [{ T, B }] = rows;
  rows.forEach((r, i) => {
    if (r.T !== T || r.B !== B) {
      throw new RangeError(`${names[i]}: expected T=${T} steps of B=${B} sequences, got T=${r.T}, B=${r.B}`);
    }
  });
}

/**
 * Features side by side.
 *
 * @param parts [T,B,F₁], [T,B,F₂] …; those that have lengths have the same
 * @returns [T,B,F₁+F₂+…]
 */
export function concat(tape: Tape, parts: readonly Rows[]): Rows {
  if (!Array.isArray(parts) || parts.length === 0) check.fail('parts', 'a list of rows', parts);
  const names = parts.map((_, i) => `parts[${i}]`);
  sameBatch(parts, names);
  const { core } = tape.runtime;
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
  if (some) {
    tape.record(() => {
      parts.forEach((x, i) => {
        if (x.grad) core.concatBackward(x.grad, x.ld, y.grad, y.ld, T * B, columns[i], x.F);
      });
    });
  }
  return finish(tape, y);
}

/**
 * Some of the features, in this order.
 *
 * @param x [T,B,F]
 * @param features N numbers below F; one can be there more than once
 * @returns [T,B,N]
 */
export function select(tape: Tape, x: Rows, features: ArrayLike<number>): Rows {
  const { runtime } = tape;
  const { core } = runtime;
  const { T, B, F } = x;
  const N = features.length;
  if (N === 0) throw new RangeError('features: there are none');
  const at = runtime.take(4 * N);
  runtime.writeInts(
    at,
    Int32Array.from(features, (f, i) => check.whole(`features[${i}]`, f, 0, F - 1)),
  );
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
 */
export function add(tape: Tape, a: Rows, b: Rows): Rows {
  sameBatch([a, b], ['a', 'b']);
  if (a.F !== b.F) throw new RangeError(`b: expected ${a.F} features, got ${b.F}`);
  const { core } = tape.runtime;
  const { T, B, F, ld } = a;
  const y = tape.rows(T, B, F, a.grad !== 0 || b.grad !== 0, sharedLengths([a, b], ['a', 'b']));
  core.addForward(y.at, a.at, b.at, ld, T * B, F);
  if (y.grad) {
    tape.record(() => {
      for (const { grad } of [a, b]) if (grad) core.rowsAdd(grad, ld, y.grad, ld, T * B, F);
    });
  }
  return finish(tape, y);
}

/**
 * The same row at every step, say an encoder's final state.
 *
 * @param x [1,B,F]
 * @param T steps
 * @param lengths [B] of the sequences, if they end before T
 * @returns [T,B,F]
 */
export function expand(tape: Tape, x: Rows, T: number, lengths?: ArrayLike<number>): Rows {
  if (x.T !== 1) throw new RangeError(`x: expected one step, got ${x.T}`);
  check.whole('T', T);
  const { core } = tape.runtime;
  const { B, F, ld } = x;
  const y = tape.rows(T, B, F, x.grad !== 0, lengths && lengthsOf(tape, lengths, T, B));
  core.expandForward(y.at, x.at, ld, T, B);
  if (y.grad) tape.record(() => core.expandBackward(x.grad, y.grad, ld, T, B, F));
  return finish(tape, y);
}

/**
 * Steps `from` to `to`, the latter not included: a view, nothing is copied. A sequence that ends before `from` has no steps there.
 *
 * @param x [T,B,F]
 * @returns [to-from,B,F]
 */
export function slice(tape: Tape, x: Rows, from: number, to: number): Rows {
  check.whole('from', from, 0, x.T - 1);
  check.whole('to', to, from + 1, x.T);
  const skip = from * x.B * x.ld;
  const T = to - from;
  let lengths: Lengths | undefined;
  if (x.lengths) {
    const values = x.lengths.values.map((length) => Math.min(Math.max(length - from, 0), T));
    lengths = { at: tape.runtime.take(4 * x.B), values };
    tape.runtime.writeInts(lengths.at, values);
  }
  return { ...x, at: x.at + skip, grad: x.grad && x.grad + skip, T, lengths, unique: undefined };
}
