import * as check from '../check.js';
import { align } from '../core/runtime.js';
import { type Options, option, optional, readOptions, required, type Settings, whole } from '../options.js';
import type { Lengths, Rows, Tape, Unique } from '../tape.js';
import type { Builder, Parameter } from './builder.js';
import { checkInitializer, type Initializer } from './initializer.js';
import { lengthsOf, read, type Shape } from './input.js';

const OPTIONS = {
  /** V: number of tokens. */
  vocabularySize: required(check.whole),
  /** E: features of a token. */
  embeddingSize: required(check.whole),
  /** A token for padding: its vector has no gradient. */
  paddingToken: optional(whole(0)),
  /** How the vectors start; default as in PyTorch: normal with standard deviation 1. */
  initializer: option<Initializer>(checkInitializer, { kind: 'normal', std: 1 }),
};

/** What `new Embedding` takes. */
export interface EmbeddingOptions extends Options<typeof OPTIONS> {}

/**
 * A table of V vectors of E features, looked up by token.
 *
 * @example
 * ```js
 * import { Embedding, Model, read, Runtime } from 'gatewise';
 *
 * const options = { vocabularySize: 3, embeddingSize: 2 };
 * const model = new Model(await Runtime.create(), 1, (b) => new Embedding(b, 'embedding', options));
 * model.set('embedding.weight', [1, 2, 3, 4, 5, 6]);
 * const x = model.forward((tape, embedding) => read(tape, embedding.forward(tape, [2, 0], { T: 2, B: 1 })));
 * console.log([...x].join(' ')); // 5 6 1 2
 * ```
 */
export class Embedding {
  readonly weight: Parameter;
  readonly options: Settings<typeof OPTIONS>;
  readonly #builder: Builder;

  /**
   * @param name prefix of the parameter: `weight` [V,E]
   * @throws TypeError, RangeError for invalid options
   */
  constructor(builder: Builder, name: string, options: EmbeddingOptions) {
    check.layer(builder, name);
    this.#builder = builder;
    this.options = readOptions(name, OPTIONS, options);
    const { vocabularySize: V, embeddingSize: E, paddingToken, initializer } = this.options;
    if (paddingToken !== undefined) check.whole('paddingToken', paddingToken, 0, V - 1);
    this.weight = builder.parameter(`${name}.weight`, [V, E], initializer);
    this.weight.multiplications = 0; // its rows are looked up
  }

  /**
   * In training, rows that no layer reads are not looked up: a recurrent layer needs the distinct tokens alone.
   *
   * @param tokens [T,B] whole numbers from 0 to V-1, time-major
   * @param shape T steps of B sequences, and their `lengths` [B] where they end before T: tokens past the end are not read
   * @returns [T,B,E]
   * @throws RangeError, TypeError for tokens or lengths that are out of range
   */
  forward(tape: Tape, tokens: ArrayLike<number>, shape: Shape): Rows {
    this.#builder.accept(tape);
    check.options('shape', shape, ['T', 'B', 'lengths']);
    const T = check.whole('T', shape.T);
    const B = check.whole('B', shape.B);
    const { vocabularySize: V } = this.options;
    if (tokens?.length !== T * B)
      throw new RangeError(`tokens: expected [T=${T}, B=${B}] = ${T * B} numbers, got ${tokens?.length}`);
    const lengths = lengthsOf(tape, shape.lengths, T, B);
    const live = Int32Array.from(tokens, (token, i) => {
      if (lengths && Math.floor(i / B) >= lengths.values[i % B]) return -1;
      if (Number.isInteger(token) && token >= 0 && token < V) return token;
      return check.fail(`tokens[${i}]`, `a whole number from 0 to ${V - 1}`, token);
    });
    const { weight } = this;
    return tape.training && weight.trained
      ? lazily(tape, weight, live, { T, B, lengths }, this.options.paddingToken)
      : look(tape, weight, tape.ints(live), T, B, false, lengths);
  }

  /**
   * One step of B sequences, for streams.
   *
   * @param tokens [B]
   * @returns [B,E]
   * @throws RangeError, TypeError for tokens that are out of range
   */
  step(tokens: ArrayLike<number>): Float32Array {
    return this.#builder.forward((tape) => read(tape, this.forward(tape, tokens, { T: 1, B: tokens?.length })));
  }
}

/** The rows of the tokens at an address. */
function look(
  tape: Tape,
  weight: Parameter,
  ids: number,
  T: number,
  B: number,
  gradient: boolean,
  lengths?: Lengths,
): Rows {
  const E = weight.shape[1];
  const y = tape.rows(T, B, E, gradient, lengths);
  tape.runtime.core.embeddingForward(y.at, y.ld, weight.at, ids, T * B, E);
  return y;
}

/** Rows of tokens that are looked up when a layer reads them, and whose gradient is added to the table's only then. */
function lazily(
  tape: Tape,
  weight: Parameter,
  tokens: Int32Array,
  { T, B, lengths }: { T: number; B: number; lengths: Lengths | undefined },
  skip = -1,
): Rows {
  const { core } = tape;
  const E = weight.shape[1];
  const scatter = ({ T, B, ld, grad }: Rows, ids: number) =>
    core.embeddingBackward(weight.grad, grad, ld, ids, T * B, E, skip);
  const ids = tape.ints(tokens);
  let dense: Rows | undefined;
  const read = () => {
    dense ??= look(tape, weight, ids, T, B, true, lengths);
    return dense;
  };
  const made = tape.recorded;
  // recorded here, so that the order of the sums does not depend on who reads the rows first
  tape.record(() => dense && scatter(dense, ids));
  let unique: (Unique & { ids: number }) | undefined | null = null;
  return tape.own({
    T,
    B,
    F: E,
    ld: align(4 * E),
    lengths,
    tape,
    made,
    get at() {
      return read().at;
    },
    get grad() {
      return read().grad;
    },
    unique: () => {
      if (unique !== null) return unique;
      const found = distinct(tape, weight, tokens);
      if (found) tape.record(() => scatter(found.rows, found.ids));
      unique = found;
      return found;
    },
  });
}

/** The distinct tokens, where each occurs twice or more on average. Negative tokens are padding. */
function distinct(tape: Tape, weight: Parameter, tokens: Int32Array): (Unique & { ids: number }) | undefined {
  const places = new Map<number, number>();
  for (const token of tokens) if (token >= 0 && !places.has(token)) places.set(token, places.size);
  if (places.size === 0 || 2 * places.size > tokens.length) return undefined;
  const ids = tape.ints([...places.keys()]);
  const index = tokens.map((token) => places.get(token) ?? -1);
  return { rows: look(tape, weight, ids, places.size, 1, true), ids, index: tape.ints(index) };
}
