import * as check from '../check.js';
import type { Rows, Tape } from '../tape.js';
import { checkInitializer, type Initializer } from './initializer.js';
import { lengthsOf } from './input.js';
import type { Builder, Parameter } from './model.js';
import { finish, live } from './padding.js';

export interface EmbeddingOptions {
  /** V: number of tokens. */
  vocabularySize: number;
  /** E: features of a token. */
  embeddingSize: number;
  /** A token that stands for nothing: it has no gradient. */
  paddingToken?: number;
  /** How the vectors start; default: as in PyTorch, normal with deviation 1. */
  initializer?: Initializer | undefined;
}

/** A table of V vectors of E features, looked up by token. */
export class Embedding {
  readonly weight: Parameter;
  readonly #skip: number;

  /** @param name prefix of the parameter: `weight` [V,E] */
  constructor(
    builder: Builder,
    name: string,
    readonly options: EmbeddingOptions,
  ) {
    check.options(name, options, ['vocabularySize', 'embeddingSize', 'paddingToken', 'initializer']);
    const V = check.whole('vocabularySize', options.vocabularySize);
    const E = check.whole('embeddingSize', options.embeddingSize);
    const { paddingToken, initializer = { kind: 'normal', deviation: 1 } } = options;
    this.weight = builder.parameter(`${name}.weight`, [V, E], checkInitializer('initializer', initializer));
    this.#skip = paddingToken === undefined ? -1 : check.whole('paddingToken', paddingToken, 0, V - 1);
  }

  /**
   * @param tokens [T,B] whole numbers in 0…V-1, time-major; what lies behind the end of a sequence is not looked at
   * @param lengths [B] of the sequences, if they end before T
   * @returns [T,B,E]
   */
  forward(tape: Tape, tokens: ArrayLike<number>, T: number, B: number, lengths?: ArrayLike<number>): Rows {
    const { runtime } = tape;
    const { core } = runtime;
    const { vocabularySize: V, embeddingSize: E } = this.options;
    if (tokens.length !== T * B)
      throw new RangeError(`tokens: expected [T=${T}, B=${B}] = ${T * B} numbers, got ${tokens.length}`);
    const y = tape.rows(T, B, E, true, lengths && lengthsOf(tape, lengths, T, B));
    const ids = new Int32Array(T * B);
    for (let i = 0; i < tokens.length; i++) {
      const token = tokens[i];
      if (!live(y, i)) continue;
      ids[i] = token;
      if (!(token >= 0 && token < V && Number.isInteger(token)))
        check.fail(`tokens[${i}]`, `a whole number from 0 to ${V - 1}`, token);
    }
    const at = runtime.take(4 * T * B);
    runtime.writeInts(at, ids);
    core.embeddingForward(y.at, y.ld, this.weight.at, at, T * B, E);
    return finish(tape, y, () => core.embeddingBackward(this.weight.grad, y.grad, y.ld, at, T * B, E, this.#skip));
  }
}
