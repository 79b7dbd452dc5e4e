import * as check from '../check.js';
import type { Lengths, Rows, Tape } from '../tape.js';
import { distinctTokens } from './distinct.js';
import { checkInitializer, type Initializer } from './initializer.js';
import { lengthsOf, type Shape } from './input.js';
import type { Builder, Parameter } from './model.js';

export interface EmbeddingOptions {
  /** V: number of tokens. */
  vocabularySize: number;
  /** E: features of a token. */
  embeddingSize: number;
  /** A token that stands for nothing: it has no gradient. */
  paddingToken?: number;
  /** How the vectors start; default: as in PyTorch, normal with standard deviation 1. */
  initializer?: Initializer | undefined;
}

/** A table of V vectors of E features, looked up by token. */
export class Embedding {
  readonly weight: Parameter;
  readonly #skip: number;
  readonly #builder: Builder;

  /** @param name prefix of the parameter: `weight` [V,E] */
  constructor(
    builder: Builder,
    name: string,
    readonly options: EmbeddingOptions,
  ) {
    this.#builder = builder;
    check.options(name, options, ['vocabularySize', 'embeddingSize', 'paddingToken', 'initializer']);
    const V = check.whole('vocabularySize', options.vocabularySize);
    const E = check.whole('embeddingSize', options.embeddingSize);
    const { paddingToken, initializer = { kind: 'normal', std: 1 } } = options;
    this.weight = builder.parameter(`${name}.weight`, [V, E], checkInitializer('initializer', initializer));
    this.#skip = paddingToken === undefined ? -1 : check.whole('paddingToken', paddingToken, 0, V - 1);
  }

  /**
   * @param tokens [T,B] whole numbers in 0…V-1, time-major
   * @param shape T steps of B sequences, and their `lengths` [B] where they end before T: tokens past an end are not read
   * @returns [T,B,E]
   */
  forward(tape: Tape, tokens: ArrayLike<number>, shape: Shape): Rows {
    const { runtime } = tape;
    this.#builder.accept(tape);
    check.options('shape', shape, ['T', 'B', 'lengths']);
    const T = check.whole('T', shape.T);
    const B = check.whole('B', shape.B);
    const { vocabularySize: V } = this.options;
    if (tokens.length !== T * B)
      throw new RangeError(`tokens: expected [T=${T}, B=${B}] = ${T * B} numbers, got ${tokens.length}`);
    const ends = lengthsOf(tape, shape.lengths, T, B);
    const live = Int32Array.from(tokens, (token, i) => {
      if (ends && Math.floor(i / B) >= ends.values[i % B]) return -1;
      if (Number.isInteger(token) && token >= 0 && token < V) return token;
      return check.fail(`tokens[${i}]`, `a whole number from 0 to ${V - 1}`, token);
    });
    const ids = runtime.take(4 * T * B);
    runtime.writeInts(ids, live);
    const y = this.#rows(tape, ids, T, B, ends);
    if (!tape.training || !this.weight.trained) return y;
    let found: ReturnType<typeof distinctTokens> | null = null;
    const distinct = () => {
      if (found === null) found = distinctTokens(tape, live, (at, U) => this.#rows(tape, at, U, 1));
      return found;
    };
    return { ...y, distinct };
  }

  #rows(tape: Tape, ids: number, T: number, B: number, lengths?: Lengths): Rows {
    const { core } = tape.runtime;
    const E = this.options.embeddingSize;
    const { trained } = this.weight;
    const y = tape.rows(T, B, E, trained, lengths);
    core.embeddingForward(y.at, y.ld, this.weight.at, ids, T * B, E);
    if (trained) tape.record(() => core.embeddingBackward(this.weight.grad, y.grad, y.ld, ids, T * B, E, this.#skip));
    return y;
  }
}
