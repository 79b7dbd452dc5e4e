/**
 * What a task reads at each step of a sequence: a token, several features of a token, or a vector. Here sequences as people have them
 * become numbers, and batches of them rows.
 */
import * as check from '../../check.js';
import type { Builder } from '../../nn/builder.js';
import { Embedding } from '../../nn/embedding.js';
import { input } from '../../nn/input.js';
import { concat } from '../../nn/rows.js';
import { type Options, object, optional, recordOf, required, type Settings } from '../../options.js';
import type { Rows, Tape } from '../../tape.js';
import { readVocabulary, Vocabulary } from '../../text/vocabulary.js';

const FEATURE = {
  /** A text, whose characters become the tokens, or a list of tokens. */
  vocabulary: required(readVocabulary),
  /** Features of a token's vector. */
  embeddingSize: required(check.whole),
  /** The token that stands for those that the vocabulary does not have; without it they are errors. */
  unknown: optional(check.text),
};

/** What is read at each step: `vocabulary`, `features` or `inputSize`, one of the three. */
export const INPUT = {
  /** A token in each step: a text, whose characters become the tokens, or a list of tokens. */
  vocabulary: optional(readVocabulary),
  /** Features of a token's vector, default 64. */
  embeddingSize: optional(check.whole),
  /** The token that stands for those that the vocabulary does not have; without it they are errors. */
  unknown: optional(check.text),
  /** Several features in each step, each with its own vocabulary and vectors: a word, its suffix, its shape. */
  features: optional(recordOf(object(FEATURE), 'an object of features')),
  /** A vector of n numbers in each step. */
  inputSize: optional(check.whole),
};

export interface FeatureOptions extends Options<typeof FEATURE> {}
export interface InputOptions extends Options<typeof INPUT> {}

/**
 * A sequence: a text or a list of tokens; lists by the names of the features; or vectors, one after the other or as a list.
 */
export type Sequence = string | readonly string[] | Readonly<Record<string, readonly string[]>> | Vectors;
export type Vectors = Float32Array | Float64Array | readonly (readonly number[] | Float32Array | Float64Array)[];

/** A sequence as numbers: ids of each feature, or the vectors. */
export interface Encoded {
  readonly length: number;
  readonly ids: readonly Int32Array[];
  readonly values: Float32Array | null;
}

/** What is read, with every default filled in. */
export type InputConfig =
  | { readonly kind: 'tokens'; readonly features: readonly (FeatureOptions & { readonly name: string })[] }
  | { readonly kind: 'vectors'; readonly inputSize: number };

/**
 * Which of the three it is.
 *
 * @param place what errors put before the names of options, say `source.`
 * @throws TypeError, RangeError for options that contradict each other
 */
export function inputOf(settings: Settings<typeof INPUT>, place = ''): InputConfig {
  const { vocabulary, embeddingSize, unknown, features, inputSize } = settings;
  const given = (['vocabulary', 'features', 'inputSize'] as const).filter((key) => settings[key] !== undefined);
  if (given.length !== 1) {
    const what = given.length ? `${given.join(' and ')} cannot be combined` : 'none was given';
    throw new TypeError(`${place}vocabulary, features or inputSize: one says what is read at each step; ${what}`);
  }
  if (vocabulary !== undefined) {
    return {
      kind: 'tokens',
      features: [feature('', place, { vocabulary, embeddingSize: embeddingSize ?? 64, unknown })],
    };
  }
  for (const [key, value] of Object.entries({ embeddingSize, unknown })) {
    if (value !== undefined)
      throw new TypeError(`${place}${key} and ${given[0]} cannot be combined: it belongs to a vocabulary`);
  }
  if (inputSize !== undefined) return { kind: 'vectors', inputSize };
  const list = Object.entries(features ?? {});
  return { kind: 'tokens', features: list.map(([name, own]) => feature(name, `${place}features.${name}.`, own)) };
}

function feature(name: string, place: string, { vocabulary, embeddingSize, unknown }: FeatureOptions) {
  if (unknown !== undefined && !vocabulary.includes(unknown)) {
    throw new RangeError(`${place}unknown: ${check.show(unknown)} is not in the vocabulary`);
  }
  return { name, vocabulary, embeddingSize, unknown };
}

/** The width of a step. */
export function inputWidth(config: InputConfig): number {
  return config.kind === 'vectors' ? config.inputSize : config.features.reduce((n, f) => n + f.embeddingSize, 0);
}

export class SequenceInput {
  /** The width of a step, as the recurrent layers see them. */
  readonly size: number;
  readonly #features: { name: string; vocabulary: Vocabulary; unknown: string | undefined; table: Embedding }[] = [];

  /** @param name prefix of the embeddings: `embedding.weight`, or `embedding.<feature>.weight` */
  constructor(
    b: Builder,
    name: string,
    readonly config: InputConfig,
  ) {
    this.size = inputWidth(config);
    if (config.kind === 'vectors') return;
    for (const { name: own, vocabulary, embeddingSize, unknown } of config.features) {
      const table = new Embedding(b, own ? `${name}.${own}` : name, {
        vocabularySize: vocabulary.length,
        embeddingSize,
      });
      this.#features.push({ name: own, vocabulary: new Vocabulary(vocabulary), unknown, table });
    }
  }

  /** A sequence as numbers; `name` is what errors call it. */
  encode(name: string, sequence: Sequence): Encoded {
    const encoded = this.config.kind === 'vectors' ? this.#vectors(name, sequence) : this.#tokens(name, sequence);
    if (encoded.length === 0) throw new RangeError(`${name}: is empty`);
    return encoded;
  }

  #tokens(name: string, sequence: Sequence): Encoded {
    const [first] = this.#features;
    const columns: Record<string, string | readonly string[]> =
      first.name === '' ? { '': sequence as string } : (sequence as Record<string, readonly string[]>);
    if (first.name !== '') {
      const names = this.#features.map((f) => f.name);
      check.options(name, sequence, names);
      const missing = names.find((n) => !Array.isArray(columns[n]));
      if (missing !== undefined)
        throw new TypeError(`${name}.${missing}: expected a list of tokens, got ${check.show(columns[missing])}`);
    }
    const ids = this.#features.map((f) =>
      f.vocabulary.encode(f.name ? `${name}.${f.name}` : name, columns[f.name], f.unknown),
    );
    const other = ids.findIndex((list) => list.length !== ids[0].length);
    if (other > 0) {
      throw new RangeError(
        `${name}: ${this.#features[other].name} has ${ids[other].length} tokens, ${first.name} has ${ids[0].length}`,
      );
    }
    return { length: ids[0].length, ids, values: null };
  }

  #vectors(name: string, sequence: Sequence): Encoded {
    const F = this.size;
    if (check.isFloats(sequence)) {
      if (sequence.length === 0) throw new RangeError(`${name}: is empty`);
      if (sequence.length % F)
        throw new RangeError(`${name}: expected vectors of ${F} numbers, got ${sequence.length} numbers`);
      return finite(name, { length: sequence.length / F, ids: [], values: Float32Array.from(sequence) });
    }
    if (!Array.isArray(sequence)) check.fail(name, `vectors of ${F} numbers`, sequence);
    const values = new Float32Array(sequence.length * F);
    for (let t = 0; t < sequence.length; t++) {
      const vector: ArrayLike<unknown> = sequence[t];
      if (typeof vector !== 'object' || vector?.length !== F)
        check.fail(`${name}[${t}]`, `a vector of ${F} numbers`, vector);
      for (let f = 0; f < F; f++) {
        const value = vector[f];
        values[t * F + f] = typeof value === 'number' ? value : check.fail(`${name}[${t}][${f}]`, 'a number', value);
      }
    }
    return finite(name, { length: sequence.length, ids: [], values });
  }

  /** A batch: [T,B,F], T the length of the longest. */
  forward(tape: Tape, batch: readonly Encoded[]): Rows {
    const B = batch.length;
    const lengths = batch.map(({ length }) => length);
    const T = Math.max(...lengths);
    const ragged = lengths.some((n) => n !== T);
    if (this.config.kind === 'vectors') {
      const F = this.size;
      const values = new Float32Array(T * B * F);
      batch.forEach((sequence, b) => values.set(sequence.values as Float32Array, b * T * F));
      return input(tape, values, { T, B, F, lengths: ragged ? lengths : undefined }, { batchFirst: true });
    }
    const parts = this.#features.map(({ table }, k) => {
      const ids = new Int32Array(T * B);
      batch.forEach((sequence, b) => {
        const own = sequence.ids[k];
        for (let t = 0; t < own.length; t++) ids[t * B + b] = own[t];
      });
      return table.forward(tape, ids, { T, B, lengths: ragged ? lengths : undefined });
    });
    return parts.length > 1 ? concat(tape, parts) : parts[0];
  }
}

function finite(name: string, encoded: Encoded): Encoded {
  const bad = encoded.values?.findIndex((v) => !Number.isFinite(v)) ?? -1;
  if (bad >= 0) throw new RangeError(`${name}: number ${bad} is ${encoded.values?.[bad]}`);
  return encoded;
}
