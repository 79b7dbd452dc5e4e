import * as check from '../check.js';
import { UnsupportedError } from '../errors.js';
import { type Options, option, type Reader, readOptions, whole } from '../options.js';

/** The token that stands for those that a vocabulary does not have, where it has this one. */
const UNKNOWN = '<unk>';

const OF = {
  /** Tokens that occur less often are left out, default 1. */
  minCount: option(whole(0), 1),
  /** The number of tokens at most, default: no limit. */
  maxSize: option(whole(1, Number.MAX_SAFE_INTEGER), Number.MAX_SAFE_INTEGER),
  /** A token that comes first and stands for all that are left out, default `'<unk>'`; false: none, and unknown tokens are errors. */
  unknown: option<string | false>((name, value) => (value === false ? value : check.text(name, value)), UNKNOWN),
};

export interface VocabularyOptions extends Options<typeof OF> {}

/** An option that is a text, whose characters are the tokens, or a list of tokens; kept as a list. */
export const readVocabulary: Reader<string | readonly string[]> = (name, value) =>
  Object.freeze(new Vocabulary(value as string | readonly string[], name).tokens);

/** Tokens and their numbers. */
export class Vocabulary {
  readonly #ids = new Map<string, number>();

  /** Tokens in the order of their numbers. */
  readonly tokens: readonly string[];
  /** Whether every token but `'<unk>'` is one character: text is then taken apart and put together without separators. */
  readonly characters: boolean;

  /**
   * @param source a text, whose characters are taken in the order of their code points, or a list of tokens in the order given
   * @param name what errors call it
   */
  constructor(source: string | readonly string[], name = 'vocabulary') {
    name = check.cut(check.text('name', name), 100);
    if (typeof source === 'string') {
      if (source === '') throw new RangeError(`${name}: the text is empty`);
      this.tokens = [...new Set(source)].sort((a, b) => (a.codePointAt(0) as number) - (b.codePointAt(0) as number));
    } else {
      if ((source as unknown) instanceof Vocabulary) {
        throw new TypeError(
          `${name}: expected a text or a list of tokens, got a Vocabulary; its tokens are such a list: vocabulary.tokens`,
        );
      }
      if (!Array.isArray(source)) check.fail(name, 'a text or a list of tokens', source);
      if (source.length === 0) throw new RangeError(`${name}: the list is empty`);
      this.tokens = source.map((token, i) => check.text(`${name}[${i}]`, token));
    }
    this.tokens.forEach((token, i) => {
      if (this.#ids.has(token)) throw new RangeError(`${name}: duplicate ${check.show(token)}`);
      this.#ids.set(token, i);
    });
    this.characters = this.tokens.every((token) => token === UNKNOWN || [...token].length === 1);
  }

  /**
   * The tokens of sequences, by how often they occur, the most frequent first. Texts give characters, lists give their items, such as
   * those of `words`.
   *
   * @throws TypeError, RangeError for invalid options, or sequences that are neither texts nor lists
   *
   * @example
   * const { tokens } = Vocabulary.of(['abba', 'a'], { minCount: 2 }); // ['<unk>', 'a', 'b']
   */
  static of(sequences: Iterable<string | readonly string[]>, options: VocabularyOptions = {}): Vocabulary {
    const { minCount, maxSize, unknown } = readOptions('Vocabulary.of', OF, options);
    iterable('sequences', sequences);
    const counts = new Map<string, number>();
    for (const sequence of sequences) {
      iterable('a sequence', sequence);
      for (const token of sequence as Iterable<string>) counts.set(token, (counts.get(token) ?? 0) + 1);
    }
    if (unknown !== false) counts.delete(unknown);
    const tokens = [...counts]
      .filter(([, count]) => count >= minCount)
      .sort(([a, m], [b, n]) => n - m || (a < b ? -1 : 1))
      .map(([token]) => token);
    return new Vocabulary([...(unknown === false ? [] : [unknown]), ...tokens].slice(0, maxSize));
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
   * @param unknown what stands for tokens that it does not know, default `'<unk>'` where it has this token
   * @throws RangeError that names the tokens it does not know, where nothing stands for them; TypeError for what is not a token
   */
  encode(name: string, input: string | readonly string[], unknown: string = UNKNOWN): Int32Array {
    if (typeof input === 'string' && !this.characters) {
      throw new TypeError(`${name}: expected a list of tokens, since the vocabulary's are not single characters`);
    }
    if (typeof input !== 'string' && !Array.isArray(input)) check.fail(name, 'a text or a list of tokens', input);
    const tokens = typeof input === 'string' ? [...input] : input;
    const missing = new Set<string>();
    const instead = this.#ids.get(unknown);
    const ids = Int32Array.from(tokens, (token, t) => {
      const id = this.#ids.get(token) ?? instead;
      if (typeof token !== 'string') check.fail(`${name}[${t}]`, 'a token', token);
      if (id === undefined) missing.add(token);
      return id ?? -1;
    });
    if (missing.size > 0) {
      const shown = check.list(
        [...missing].map((token) => JSON.stringify(check.cut(token))),
        10,
      );
      throw new RangeError(`${name}: ${shown} ${missing.size > 1 ? 'are' : 'is'} not in the vocabulary`);
    }
    return ids;
  }

  /**
   * The text of tokens.
   *
   * @param ids whole numbers from 0 to size - 1
   * @throws RangeError, TypeError for other numbers
   */
  decode(ids: ArrayLike<number>): string {
    const n = check.whole('ids.length', ids?.length, 0);
    const tokens: string[] = [];
    for (let i = 0; i < n; i++) tokens.push(this.tokens[check.whole(`ids[${i}]`, ids[i], 0, this.size - 1)]);
    return tokens.join(this.characters ? '' : ' ');
  }
}

function iterable(name: string, value: unknown): void {
  if (typeof value === 'string') return;
  const iterator = (value as Partial<Iterable<unknown>> | null | undefined)?.[Symbol.iterator];
  if (typeof iterator !== 'function' || ArrayBuffer.isView(value)) check.fail(name, 'a list or a text', value);
}

const WORDS = {
  /** The language, as for `Intl.Segmenter`, default `'en'`. It matters for languages that are written without spaces. */
  locale: option(check.text, 'en'),
  /** Default true. */
  lowerCase: option(check.flag, true),
};

export interface WordOptions extends Options<typeof WORDS> {}

/**
 * The words of a text, its numbers and its punctuation, in Unicode's normal form C, split by `Intl.Segmenter`.
 *
 * @throws TypeError, RangeError for invalid options; UnsupportedError in engines without `Intl.Segmenter`
 *
 * @example
 * const list = words('Call NOW: 0800 555!'); // ['call', 'now', ':', '0800', '555', '!']
 */
export function words(text: string, options: WordOptions = {}): string[] {
  const { locale, lowerCase } = readOptions('words', WORDS, options);
  const normal = check.text('text', text).normalize('NFC');
  if (!Intl.Segmenter) throw new UnsupportedError('words: this engine has no Intl.Segmenter');
  const segments = new Intl.Segmenter(locale, { granularity: 'word' }).segment(
    lowerCase ? normal.toLowerCase() : normal,
  );
  return Array.from(segments, ({ segment }) => segment).filter((segment) => segment.trim());
}
