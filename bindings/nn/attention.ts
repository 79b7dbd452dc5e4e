/** Attention over the steps of another sequence. */
import { Attend, LINE, PANEL, Score } from '../../assembly/layout.js';
import * as check from '../check.js';
import { block, extend } from '../core/block.js';
import { type Options, oneOf, option, optional, readOptions, required, type Settings } from '../options.js';
import { checkRows, type Rows, type Tape } from '../tape.js';
import { type Builder, gradientAt, type Parameter, trains } from './builder.js';
import { fanIn } from './initializer.js';
import { Linear } from './linear.js';
import { activation, concat } from './rows.js';

const OPTIONS = {
  /**
   * How a query is compared with a key: `'dot'` q·k, where both have the same size; `'general'` q·(Wa k) (Luong et al. 2015,
   * arXiv:1508.04025v5); `'additive'` v·tanh(Wq q + Wk k + b) (Bahdanau et al. 2015, arXiv:1409.0473v7).
   */
  score: required(oneOf('dot', 'general', 'additive')),
  /** Fq: features of a query. */
  querySize: required(check.whole),
  /** Fk: features of a key. */
  keySize: required(check.whole),
  /** Fv: features of a value, default as of a key. */
  valueSize: optional(check.whole),
  /** A, for `'additive'`. */
  attentionSize: optional(check.whole),
  /** Scores are divided by √Fq (Vaswani et al. 2017, arXiv:1706.03762v5). Default false; not for `'additive'`. */
  scaled: option(check.flag, false),
  /** n: also outputs tanh(Wc [context; query]) with n features (Luong et al. 2015). Default: no output. */
  output: optional(check.whole),
};

/** What `new Attention` takes. */
export interface AttentionOptions extends Options<typeof OPTIONS> {}

/** Keys and values as `prepare` leaves them: what many queries share is computed once. */
export interface AttentionMemory {
  readonly projected: Rows;
  readonly values: Rows;
}

/**
 * Attention over the steps of another sequence: weights = softmax(score(query, keys)), context = Σ weights·values. Query [Tq,B,Fq],
 * keys [Tk,B,Fk], values [Tk,B,Fv].
 *
 * @example
 * ```js
 * import { Attention, input, Model, read, Runtime } from 'gatewise';
 *
 * const options = { score: 'dot', querySize: 2, keySize: 2 };
 * const model = new Model(await Runtime.create(), 1, (b) => new Attention(b, 'attention', options));
 * const weights = model.forward((tape, attention) => {
 *   const query = input(tape, [1, 0], { T: 1, B: 1, F: 2 });
 *   const keys = input(tape, [0, 1, 50, 0, 0, 0], { T: 3, B: 1, F: 2 });
 *   return read(tape, attention.forward(tape, query, keys).weights);
 * });
 * console.log(Array.from(weights, (w) => w.toFixed(2)).join(' ')); // 0.00 1.00 0.00
 * ```
 */
export class Attention {
  readonly options: Settings<typeof OPTIONS>;
  readonly #query: Linear | undefined;
  readonly #keys: Linear | undefined;
  readonly #v: Parameter | undefined;
  readonly #output: Linear | undefined;
  readonly #factor: number;

  /**
   * @param name prefix of the parameters: `Wa` [Fq,Fk] of `'general'`; `Wq` [A,Fq], `Wk` [A,Fk], `b` [A], `v` [A] of `'additive'`;
   *   `Wc` [n,Fv+Fq] of the output. All are uniform within 1/√columns
   * @throws TypeError, RangeError for invalid options
   */
  constructor(
    readonly builder: Builder,
    name: string,
    options: AttentionOptions,
  ) {
    check.layer(builder, name);
    this.options = readOptions(name, OPTIONS, options);
    const { score, querySize: Fq, keySize: Fk, valueSize: Fv = Fk, scaled, attentionSize, output } = this.options;
    const additive = score === 'additive';
    if (score === 'dot' && Fq !== Fk) {
      check.fail('keySize', `${Fq} features as in querySize, since score is 'dot'`, Fk);
    }
    if (attentionSize !== undefined && !additive) {
      check.clash('attentionSize', `score: '${score}'`, 'no array has that size');
    }
    if (scaled && additive) {
      check.clash('scaled', "score: 'additive'", 'the score has no product to scale');
    }
    const project = (tensor: string, rows: number, columns: number, bias: Parameter | false = false) => {
      const weight = builder.parameter(`${name}.${tensor}`, [rows, columns], fanIn(columns));
      return new Linear(builder, weight.name, { inputSize: columns, outputSize: rows, weight, bias });
    };
    if (score === 'general') this.#keys = project('Wa', Fq, Fk);
    if (additive) {
      const A = check.whole('attentionSize', attentionSize);
      this.#query = project('Wq', A, Fq);
      this.#keys = project('Wk', A, Fk, builder.parameter(`${name}.b`, [A], fanIn(Fk)));
      this.#v = builder.parameter(`${name}.v`, [A], fanIn(A));
    }
    if (output !== undefined) this.#output = project('Wc', output, Fv + Fq);
    this.#factor = scaled ? 1 / Math.sqrt(Fq) : 1;
  }

  /**
   * What does not depend on the query, for a decoder that asks step by step.
   *
   * @param keys [Tk,B,Fk]
   * @param values [Tk,B,Fv]
   */
  prepare(tape: Tape, keys: Rows, values: Rows = keys): AttentionMemory {
    const { keySize, valueSize } = this.options;
    this.builder.accept(tape, keys, keySize, 'keys');
    checkRows(tape, 'values', values);
    if (values.T !== keys.T || values.B !== keys.B) {
      throw new RangeError(
        `values: expected T=${keys.T} steps of B=${keys.B} sequences as of the keys, got T=${values.T}, B=${values.B}`,
      );
    }
    checkRows(tape, 'values', values, valueSize ?? (this.#output ? keySize : values.F));
    return { projected: this.#keys?.forward(tape, keys) ?? keys, values };
  }

  /**
   * @param query [Tq,B,Fq]; steps past the end of a sequence get weights and a context of zero
   * @param keys [Tk,B,Fk], whose steps past the end of a sequence get no weight; or what `prepare` returned for keys and values
   * @param values [Tk,B,Fv]
   * @returns context [Tq,B,Fv], the weights [Tq,B,Tk] of the keys, and the output [Tq,B,n] if there is one
   */
  forward(
    tape: Tape,
    query: Rows,
    keys: Rows | AttentionMemory,
    values?: Rows,
  ): { context: Rows; weights: Rows; output: Rows | undefined } {
    const { querySize, attentionSize } = this.options;
    this.builder.accept(tape, query, querySize, 'query');
    if (typeof keys !== 'object' || keys === null) check.fail('keys', 'rows, or what prepare gives', keys);
    const memory = 'projected' in keys ? keys : this.prepare(tape, keys, values);
    checkRows(tape, 'keys', memory.projected);
    checkRows(tape, 'values', memory.values);
    const { T, B } = memory.values;
    const { projected } = memory;
    if (query.B !== B) check.fail('query', `B=${B} sequences as of the keys`, query.B);
    if (projected.T !== T || projected.B !== B || projected.F !== (attentionSize ?? querySize))
      check.fail('keys', 'what prepare gave for keys and values', memory);
    const { context, weights } = attend(tape, {
      score: this.#v ? Score.additive : Score.dot,
      query: this.#query?.forward(tape, query) ?? query,
      keys: memory.projected,
      values: memory.values,
      v: this.#v,
      factor: this.#factor,
    });
    const output = this.#output && activation(tape, this.#output.forward(tape, concat(tape, [context, query])), 'tanh');
    return { context, weights, output };
  }
}

/** The core's attention, of queries [Tq,B,F] and keys [Tk,B,F] as they are compared. */
export function attend(
  tape: Tape,
  call: { score: Score; query: Rows; keys: Rows; values: Rows; v: Parameter | undefined; factor: number },
): { context: Rows; weights: Rows } {
  const { runtime } = tape;
  const { query, keys, values, v, factor, score } = call;
  const { T: Tq, B, F } = query;
  const { T: Tk } = keys;
  const { F: V } = values;
  const wanted = tape.training && (query.grad !== 0 || keys.grad !== 0 || values.grad !== 0 || trains(v));
  const weights = tape.rows(Tq, B, Tk, wanted, query.lengths);
  const context = tape.rows(Tq, B, V, wanted, query.lengths);
  const widest = Math.max(F, V);
  const lines = Math.ceil(Tk / PANEL) * Math.max(widest, Math.ceil(widest / PANEL) * PANEL);
  const panels = runtime.take(lines * LINE);
  const a = block(
    runtime,
    Attend.fields,
    {
      [Attend.score]: score,
      [Attend.Tq]: Tq,
      [Attend.Tk]: Tk,
      [Attend.B]: B,
      [Attend.F]: F,
      [Attend.V]: V,
      [Attend.queryLengths]: query.lengths?.at ?? 0,
      [Attend.keyLengths]: keys.lengths?.at ?? 0,
      [Attend.query]: query.at,
      [Attend.ldq]: query.ld,
      [Attend.keys]: keys.at,
      [Attend.ldk]: keys.ld,
      [Attend.values]: values.at,
      [Attend.ldv]: values.ld,
      [Attend.weights]: weights.at,
      [Attend.ldw]: weights.ld,
      [Attend.context]: context.at,
      [Attend.ldc]: context.ld,
      [Attend.v]: v?.at ?? 0,
      [Attend.panels]: panels,
    },
    { [Attend.factor]: factor },
  );
  runtime.core.attentionForward(a);
  if (!wanted) return { context, weights };
  tape.record(() => {
    const dv = v ? gradientAt(tape, v) : 0;
    const scratch = runtime.take(runtime.core.weightGradScratch(query.T, Math.ceil(keys.T / PANEL), widest));
    extend(runtime, a, {
      [Attend.dweights]: weights.grad,
      [Attend.dcontext]: context.grad,
      [Attend.dquery]: query.grad,
      [Attend.dkeys]: keys.grad,
      [Attend.dvalues]: values.grad,
      [Attend.dv]: dv,
      [Attend.scratch]: scratch,
    });
    runtime.core.attentionBackward(a);
  });
  return { context, weights };
}
