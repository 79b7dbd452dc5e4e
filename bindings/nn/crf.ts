import * as check from '../check.js';
import { type Options, oneOf, option, optional, readOptions, required } from '../options.js';
import { lossOf, type Rows, type Tape } from '../tape.js';
import { type Builder, gradientAt, type Parameter, trains } from './builder.js';
import { checkUpstream, type Reduced, type Reduction, reduced } from './losses.js';
import { live } from './padding.js';

const OPTIONS = {
  /** K: number of labels. */
  numClasses: required(check.whole),
};

/** What `new Crf` takes. */
export interface CrfOptions extends Options<typeof OPTIONS> {}

const LOSS = {
  /**
   * The sum over the batch, the mean over its sequences, or the mean over all their steps; `'none'` gives the losses of the sequences as
   * `values`. Default `'mean'`.
   */
  reduction: option(oneOf('mean', 'sum', 'tokenMean', 'none'), 'mean'),
  /** With `'none'` [B]: the gradient of what is minimised with respect to each loss; default ones. */
  upstream: optional(checkUpstream),
};

/** What the loss takes. */
export interface CrfLossOptions<R extends CrfReduction = CrfReduction> extends Omit<Options<typeof LOSS>, 'reduction'> {
  /**
   * The sum over the batch, the mean over its sequences, or the mean over all their steps; `'none'` gives the losses of the sequences as
   * `values`. Default `'mean'`.
   */
  reduction?: R | undefined;
}

/** How the losses of the sequences become one number. */
export type CrfReduction = Reduction | 'tokenMean';

/** The labels of each sequence, one per step, and their scores. */
export interface CrfDecoded {
  readonly tags: Int32Array[];
  readonly scores: Float32Array;
}

/**
 * A linear-chain conditional random field (Lafferty, McCallum & Pereira 2001): labels that depend on their neighbours. A sequence of
 * labels scores start[y₁] + Σ emissions + Σ transitions[from][to] + end[y_T]. Very negative parameters, down to -1e30, forbid a label
 * or a move.
 *
 * @example
 * ```js
 * import { Crf, input, Model, Runtime } from 'gatewise';
 *
 * const model = new Model(await Runtime.create(), 1, (b) => new Crf(b, 'crf', { numClasses: 2 }));
 * model.set('crf.transitions', [0, -1e30, 0, 0]); // no move from label 0 to label 1
 * const { tags } = model.forward((tape, crf) =>
 *   crf.decode(tape, input(tape, [1, 0, 0, 9, 1, 0], { T: 3, B: 1, F: 2 })),
 * );
 * console.log(tags[0].join(' ')); // 1 1 0
 * ```
 */
export class Crf {
  readonly numClasses: number;
  readonly start: Parameter;
  readonly end: Parameter;
  readonly transitions: Parameter;
  readonly #builder: Builder;

  /**
   * @param name prefix of the parameters: `start_transitions` [K], `end_transitions` [K], `transitions` [K,K] from i to j, uniform
   *   within 0.1, as in pytorch-crf
   * @throws TypeError, RangeError for invalid options
   */
  constructor(builder: Builder, name: string, options: CrfOptions) {
    check.layer(builder, name);
    const { numClasses: K } = readOptions(name, OPTIONS, options);
    const initializer = { kind: 'uniform', bound: 0.1 } as const;
    this.#builder = builder;
    this.numClasses = K;
    this.start = builder.parameter(`${name}.start_transitions`, [K], initializer);
    this.end = builder.parameter(`${name}.end_transitions`, [K], initializer);
    this.transitions = builder.parameter(`${name}.transitions`, [K, K], initializer);
    this.transitions.multiplications = 0; // they are added
  }

  /**
   * -ln of the probability of the tags.
   *
   * @param emissions [T,B,K]
   * @param tags [T,B] whole numbers in 0…K-1; those past the end of a sequence are not read
   * @returns with `'none'` the losses of the sequences [B], in single precision
   * @throws TypeError, RangeError for tags of another number or out of range, or invalid options
   */
  loss<R extends CrfReduction = 'mean'>(
    tape: Tape,
    emissions: Rows,
    tags: ArrayLike<number>,
    options: CrfLossOptions<R> = {},
  ): Reduced<R> {
    const { reduction, upstream } = readOptions('loss', LOSS, options);
    const none = reduction === 'none';
    if (upstream && !none) check.clash('upstream', `reduction: '${reduction}'`, 'the loss is one number');
    const { T, B, F: K, ld, lengths } = this.#checked(tape, emissions);
    check.numbers('tags', tags, T * B, `[T=${T}, B=${B}]`, (i) => !live(emissions, i));
    let tokens = 0;
    for (let i = 0; i < T * B; i++) {
      const [t, b] = [Math.floor(i / B), i % B];
      if (lengths && t >= lengths.values[b]) continue;
      tokens++;
      if (!(Number.isInteger(tags[i]) && tags[i] >= 0 && tags[i] < K)) {
        check.fail(`tags[${i}], step ${t} of sequence ${b}`, `a label from 0 to ${K - 1}`, tags[i]);
      }
    }
    const count = { sum: 1, mean: B, tokenMean: tokens, none: 1 }[reduction];
    if (upstream) check.numbers('upstream', upstream, B, `[B=${B}]`);

    const { runtime, core } = tape;
    const { start, end, transitions } = this;
    const row = rowOf(K);
    const ids = tape.ints(tags);
    const w = runtime.take((K + 2) * row);
    const stride = tape.training ? T * row : 0;
    const alpha = runtime.take(tape.training ? B * stride : T * row);
    const ends = lengths?.at ?? 0;
    const x = emissions.at;
    const own = [transitions.at, start.at, end.at] as const;
    const losses = none ? runtime.take(8 * B) : 0;
    const u = upstream ? runtime.take(8 * B) : 0;
    if (upstream) runtime.writeDoubles(u, upstream);
    const value = core.crfForward(w, alpha, stride, x, ld, ids, ends, ...own, T, B, K, losses, u);
    const wanted = emissions.grad !== 0 || trains(transitions, start, end);
    const back = (scale: number) => {
      const scratch = runtime.take((K + 6) * row);
      const parameters = [gradientAt(tape, transitions), gradientAt(tape, start), gradientAt(tape, end)] as const;
      const to = [emissions.grad, ...parameters] as const;
      core.crfBackward(...to, scratch, w, alpha, stride, x, ld, ids, ends, T, B, K, u, scale / count);
    };
    const values = none ? Float32Array.from(runtime.readDoubles(losses, B)) : undefined;
    return reduced(lossOf(tape, value / count, wanted ? back : null), values);
  }

  /**
   * The labels with the highest score (Viterbi); of equal ones the lowest.
   *
   * @param emissions [T,B,K]
   */
  decode(tape: Tape, emissions: Rows): CrfDecoded {
    const { at, ld, T, B, F: K, lengths } = this.#checked(tape, emissions);
    const { runtime } = tape;
    const row = rowOf(K);
    const out = runtime.take(4 * T * B);
    const scores = runtime.take(4 * B);
    const w = runtime.take((K + 2) * row);
    const best = runtime.take(2 * row);
    const from = runtime.take((T * row) / 2);
    const own = [this.transitions.at, this.start.at, this.end.at] as const;
    runtime.core.crfDecode(out, scores, w, best, from, at, ld, lengths?.at ?? 0, ...own, T, B, K);
    const all = tape.readInts(out, T * B);
    const step = (b: number) => (_: unknown, t: number) => all[t * B + b];
    const tags = Array.from({ length: B }, (_, b) => Int32Array.from({ length: lengths?.values[b] ?? T }, step(b)));
    return { tags, scores: runtime.read(scores, B) };
  }

  #checked(tape: Tape, emissions: Rows): Rows {
    this.#builder.accept(tape, emissions, this.numClasses, 'emissions');
    return emissions;
  }
}

/** Bytes of a row of K doubles, rounded up to whole pairs. */
function rowOf(K: number): number {
  return 16 * Math.ceil(K / 2);
}
