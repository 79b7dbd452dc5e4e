/** Pooling: a sequence becomes one row, computed from the steps before its end. */
import { Score } from '../../assembly/layout.js';
import * as check from '../check.js';
import { type Options, readOptions, required } from '../options.js';
import { checkRows, type Rows, type Tape } from '../tape.js';
import { attend } from './attention.js';
import type { Builder, Parameter } from './builder.js';
import { fanIn } from './initializer.js';
import { Linear } from './linear.js';

/**
 * The mean over time.
 *
 * @param x [T,B,F]
 * @returns [1,B,F]
 *
 * @example
 * ```js
 * import { input, meanPool, Model, read, Runtime } from 'gatewise';
 *
 * const model = new Model(await Runtime.create(), 1, () => null);
 * const shape = { T: 4, B: 1, F: 1, lengths: [3] };
 * const mean = model.forward((tape) => read(tape, meanPool(tape, input(tape, [1, 2, 6, 99], shape))));
 * console.log(mean[0]); // 3
 * ```
 */
export function meanPool(tape: Tape, x: Rows): Rows {
  const { T, B, F, ld } = checkRows(tape, 'x', x);
  const { core } = tape;
  const lengths = x.lengths?.at ?? 0;
  const y = tape.rows(1, B, F, x.grad !== 0);
  core.meanForward(y.at, x.at, ld, lengths, T, B, F);
  if (x.grad) tape.record(() => core.meanBackward(x.grad, y.grad, ld, lengths, T, B, F));
  return y;
}

/**
 * The maximum over time of each feature. The first of equal values gets the gradient.
 *
 * @param x [T,B,F]
 * @returns [1,B,F]
 *
 * @example
 * ```js
 * import { input, maxPool, Model, read, Runtime } from 'gatewise';
 *
 * const model = new Model(await Runtime.create(), 1, () => null);
 * const max = model.forward((tape) => read(tape, maxPool(tape, input(tape, [1, 7, 5, 2], { T: 2, B: 1, F: 2 }))));
 * console.log([...max].join(' ')); // 5 7
 * ```
 */
export function maxPool(tape: Tape, x: Rows): Rows {
  const { T, B, F, ld } = checkRows(tape, 'x', x);
  const { runtime, core } = tape;
  const y = tape.rows(1, B, F, x.grad !== 0);
  const steps = runtime.take(B * ld);
  core.maxForward(y.at, steps, x.at, ld, x.lengths?.at ?? 0, T, B, F);
  if (x.grad) tape.record(() => core.maxBackward(x.grad, y.grad, steps, ld, B, F));
  return y;
}

/**
 * The last step of each sequence.
 *
 * @param x [T,B,F]
 * @returns [1,B,F]
 *
 * @example
 * ```js
 * import { input, lastPool, Model, read, Runtime } from 'gatewise';
 *
 * const model = new Model(await Runtime.create(), 1, () => null);
 * const shape = { T: 3, B: 1, F: 1, lengths: [2] };
 * const last = model.forward((tape) => read(tape, lastPool(tape, input(tape, [1, 2, 3], shape))));
 * console.log(last[0]); // 2
 * ```
 */
export function lastPool(tape: Tape, x: Rows): Rows {
  const { T, B, F, ld } = checkRows(tape, 'x', x);
  const { core } = tape;
  const lengths = x.lengths?.at ?? 0;
  const y = tape.rows(1, B, F, x.grad !== 0);
  core.lastForward(y.at, x.at, ld, lengths, T, B);
  if (x.grad) tape.record(() => core.lastBackward(x.grad, y.grad, ld, lengths, T, B, F));
  return y;
}

const OPTIONS = {
  /** F: features of the input and of the output. */
  inputSize: required(check.whole),
  /** A: features in which steps are compared. */
  attentionSize: required(check.whole),
};

/** What `new AttentionPool` takes. */
export interface AttentionPoolOptions extends Options<typeof OPTIONS> {}

/**
 * Σₜ wₜ·hₜ with w = softmax(v·tanh(W h + b)) over the steps of a sequence (Yang et al. 2016, Hierarchical Attention Networks,
 * https://aclanthology.org/N16-1174), for h [T,B,F].
 *
 * @example
 * ```js
 * import { AttentionPool, input, Model, read, Runtime } from 'gatewise';
 *
 * const options = { inputSize: 2, attentionSize: 4 };
 * const model = new Model(await Runtime.create(), 1, (b) => new AttentionPool(b, 'pool', options));
 * const weights = model.forward((tape, pool) => {
 *   const x = input(tape, [1, 2, 3, 4, 5, 6], { T: 3, B: 1, F: 2 });
 *   return read(tape, pool.forward(tape, x).weights);
 * });
 * console.log(weights.length, weights.reduce((sum, w) => sum + w, 0).toFixed(3)); // 3 1.000
 * ```
 */
export class AttentionPool {
  readonly #proj: Linear;
  readonly #v: Parameter;

  /**
   * @param name prefix of the parameters: `proj.weight` [A,F], `proj.bias` [A], `v` [A]
   * @throws TypeError, RangeError for invalid options
   */
  constructor(builder: Builder, name: string, options: AttentionPoolOptions) {
    check.layer(builder, name);
    const { inputSize: F, attentionSize: A } = readOptions(name, OPTIONS, options);
    this.#proj = new Linear(builder, `${name}.proj`, { inputSize: F, outputSize: A });
    this.#v = builder.parameter(`${name}.v`, [A], fanIn(A));
  }

  /**
   * @param x [T,B,F]
   * @returns output [1,B,F] and weights [1,B,T]
   */
  forward(tape: Tape, x: Rows): { output: Rows; weights: Rows } {
    const keys = this.#proj.forward(tape, x);
    const { B } = x;
    // no query: the scores depend on the keys alone
    const query = tape.rows(1, B, keys.F, false);
    tape.runtime.f32.fill(0, query.at >>> 2, (query.at + B * query.ld) >>> 2);
    const { context, weights } = attend(tape, { score: Score.additive, query, keys, values: x, v: this.#v, factor: 1 });
    return { output: context, weights };
  }
}
