/** Pooling: a sequence becomes one row, of the steps before its end. */
import { Score } from '../../assembly/layout.js';
import * as check from '../check.js';
import type { Rows, Tape } from '../tape.js';
import { attend } from './attention.js';
import { Linear } from './linear.js';
import type { Builder, Parameter } from './model.js';

/** The mean over time: [T,B,F] to [1,B,F]. */
export function meanPool(tape: Tape, x: Rows): Rows {
  const { core } = tape.runtime;
  const { T, B, F, ld } = x;
  const lengths = x.lengths?.at ?? 0;
  const y = tape.rows(1, B, F, x.grad !== 0);
  core.meanForward(y.at, x.at, ld, lengths, T, B, F);
  if (x.grad) tape.record(() => core.meanBackward(x.grad, y.grad, ld, lengths, T, B, F));
  return y;
}

/** The largest over time of each feature; the first of equals takes the gradient: [T,B,F] to [1,B,F]. */
export function maxPool(tape: Tape, x: Rows): Rows {
  const { runtime } = tape;
  const { core } = runtime;
  const { T, B, F, ld } = x;
  const y = tape.rows(1, B, F, x.grad !== 0);
  const steps = runtime.take(B * ld);
  core.maxForward(y.at, steps, x.at, ld, x.lengths?.at ?? 0, T, B, F);
  if (x.grad) tape.record(() => core.maxBackward(x.grad, y.grad, steps, ld, B, F));
  return y;
}

/** Each sequence's own last step: [T,B,F] to [1,B,F]. */
export function lastPool(tape: Tape, x: Rows): Rows {
  const { core } = tape.runtime;
  const { T, B, F, ld } = x;
  const lengths = x.lengths?.at ?? 0;
  const y = tape.rows(1, B, F, x.grad !== 0);
  core.lastForward(y.at, x.at, ld, lengths, T, B);
  if (x.grad) tape.record(() => core.lastBackward(x.grad, y.grad, ld, lengths, T, B, F));
  return y;
}

/** Σₜ wₜ·hₜ with w = softmax(v·tanh(W h + b)) over the steps of a sequence: Yang et al. 2016, NAACL-HLT, Hierarchical Attention. */
export class AttentionPool {
  readonly #proj: Linear;
  readonly #v: Parameter;

  /** @param name prefix of the parameters: `proj.weight` [A,F], `proj.bias` [A], `v` [A] */
  constructor(
    builder: Builder,
    name: string,
    readonly options: { inputSize: number; attentionSize: number },
  ) {
    check.options(name, options, ['inputSize', 'attentionSize']);
    const F = check.whole('inputSize', options.inputSize);
    const A = check.whole('attentionSize', options.attentionSize);
    this.#proj = new Linear(builder, `${name}.proj`, { inputSize: F, outputSize: A });
    this.#v = builder.parameter(`${name}.v`, [A], { kind: 'uniform', bound: 1 / Math.sqrt(A) });
  }

  /**
   * @param x [T,B,F]
   * @returns output [1,B,F] and weights [1,B,T]
   */
  forward(tape: Tape, x: Rows): { output: Rows; weights: Rows } {
    const { B } = x;
    const keys = this.#proj.forward(tape, x);
    // no query: the scores depend on the keys alone
    const query = tape.rows(1, B, keys.F, false);
    tape.runtime.f32.fill(0, query.at >>> 2, (query.at + B * query.ld) >>> 2);
    const { context, weights } = attend(tape, { score: Score.additive, query, keys, values: x, v: this.#v, factor: 1 });
    return { output: context, weights };
  }
}
