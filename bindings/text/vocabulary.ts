import * as check from '../check.js';

/** Tokens and their numbers. */
export class Vocabulary {
  readonly #ids = new Map<string, number>();

  /** Tokens in the order of their numbers. */
  readonly tokens: readonly string[];
  /** Whether every token is one character: text is then taken apart and put together without separators. */
  readonly characters: boolean;

  /** @param source a text, whose characters are taken in the order of their code points, or a list of tokens in the order given */
  constructor(source: string | readonly string[]) {
    if (typeof source === 'string') {
      if (source === '') throw new RangeError('vocabulary: the text is empty');
      this.tokens = [...new Set(source)].sort((a, b) => (a.codePointAt(0) as number) - (b.codePointAt(0) as number));
    } else {
      if (!Array.isArray(source)) check.fail('vocabulary', 'a text or a list of tokens', source);
      if (source.length === 0) throw new RangeError('vocabulary: the list is empty');
      this.tokens = source.map((token, i) => check.text(`vocabulary[${i}]`, token));
    }
    this.tokens.forEach((token, i) => {
      if (this.#ids.has(token)) throw new RangeError(`vocabulary: ${check.show(token)} is there twice`);
      this.#ids.set(token, i);
    });
    this.characters = this.tokens.every((token) => [...token].length === 1);
  }

  get size(): number {
    return this.tokens.length;
  }

  has(token: string): boolean {
    return this.#ids.has(token);
  }

  /**
   * Numbers of the tokens of a text.
   *
   * @throws RangeError that names the tokens it does not know
   */
  encode(name: string, input: string | readonly string[]): Int32Array {
    if (typeof input === 'string' && !this.characters) {
      throw new TypeError(`${name}: expected a list of tokens, since the vocabulary's are not single characters`);
    }
    if (typeof input !== 'string' && !Array.isArray(input)) check.fail(name, 'a text or a list of tokens', input);
    const tokens = typeof input === 'string' ? [...input] : input;
    const unknown = new Set<string>();
    const ids = Int32Array.from(tokens, (token) => {
      const id = this.#ids.get(token);
      if (id === undefined) unknown.add(token);
      return id ?? -1;
    });
    if (unknown.size > 0) {
      const shown = check.list(
        [...unknown].map((token) => JSON.stringify(token)),
        10,
      );
      throw new RangeError(`${name}: ${shown} ${unknown.size > 1 ? 'are' : 'is'} not in the vocabulary`);
    }
    return ids;
  }

  decode(ids: ArrayLike<number>): string {
    return Array.from(ids, (id) => this.tokens[id]).join(this.characters ? '' : ' ');
  }
}
