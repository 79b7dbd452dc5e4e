/**
 * What a task reads at each step of a sequence: a token, several features of a token, or a vector. Here sequences as people have them
 * become numbers, and batches of them rows.
 */
import * as check from '../check.js';
import { Embedding } from '../nn/embedding.js';
import { input } from '../nn/input.js';
import type { Builder } from '../nn/model.js';
import { concat } from '../nn/rows.js';
import type { Rows, Tape } from '../tape.js';
import { Vocabulary } from '../text/vocabulary.js';

/** One of the three. */
export interface InputOptions {
  /** A token a step: a text, whose characters become the tokens, or a list of tokens. */
  vocabulary?: string | readonly string[] | undefined;
  /** Features of a token's vector, default 64. */
  embeddingSize?: number | undefined;
  /** The token that stands for those the vocabulary does not have; without it they are errors. */
  unknown?: string | undefined;
  /** Several features a step, each with a vocabulary and vectors of its own: a word, its suffix, its shape. */
  features?: Readonly<Record<string, FeatureOptions>> | undefined;
  /** A vector of so many numbers a step. */
  inputSize?: number | undefined;
}

export interface FeatureOptions {
  readonly vocabulary: string | readonly string[];
  readonly embeddingSize: number;
  readonly unknown?: string | undefined;
}

export const INPUT_OPTIONS = ['vocabulary', 'embeddingSize', 'unknown', 'features', 'inputSize'] as const;

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

/** The options with every default filled in, as a file keeps them. */
export type InputConfig =
  | {
      readonly kind: 'tokens';
      readonly features: readonly (FeatureOptions & {
        readonly name: string;
        readonly vocabulary: readonly string[];
      })[];
    }
  | { readonly kind: 'vectors'; readonly inputSize: number };

/**
 * Checks the options; which of the three it is.
 *
 * @param place what errors put before their names, say `source.`
 */
export function inputConfig(options: InputOptions, place = ''): InputConfig {
  const { vocabulary, embeddingSize, unknown, features, inputSize } = options;
  const given = (['vocabulary', 'features', 'inputSize'] as const).filter((key) => options[key] !== undefined);
  if (given.length !== 1) {
    const what = given.length ? `${given.join(' and ')} do not go together` : 'none was given';
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
      throw new TypeError(`${place}${key} and ${given[0]} do not go together: it is of a vocabulary`);
  }
  if (inputSize !== undefined) return { kind: 'vectors', inputSize: check.whole(`${place}inputSize`, inputSize) };
  check.options(`${place}features`, features, Object.keys(features ?? {}));
  const list = Object.entries(features ?? {}).map(([name, own]) => {
    check.options(`${place}features.${name}`, own, ['vocabulary', 'embeddingSize', 'unknown']);
    return feature(name, `${place}features.${name}.`, own);
  });
  if (list.length === 0) throw new RangeError(`${place}features: there are none`);
  if (list[0].name === '') throw new RangeError(`${place}features: one has no name`);
  return { kind: 'tokens', features: list };
}

function feature(name: string, place: string, { vocabulary, embeddingSize, unknown }: FeatureOptions) {
  check.whole(`${place}embeddingSize`, embeddingSize);
  const { tokens } = new Vocabulary(vocabulary, `${place}vocabulary`);
  if (unknown !== undefined && !tokens.includes(unknown)) {
    throw new RangeError(`${place}unknown: ${check.show(unknown)} is not in the vocabulary`);
  }
  return { name, vocabulary: tokens, embeddingSize, ...(unknown === undefined ? {} : { unknown }) };
}

/** Numbers of a step. */
export function inputWidth(config: InputConfig): number {
  return config.kind === 'vectors' ? config.inputSize : config.features.reduce((n, f) => n + f.embeddingSize, 0);
}

/** The options that give this configuration, as a file keeps them. */
export function inputOptions(config: InputConfig): InputOptions {
  if (config.kind === 'vectors') return { inputSize: config.inputSize };
  const [first] = config.features;
  const own = ({ vocabulary, embeddingSize, unknown }: FeatureOptions) => ({
    vocabulary,
    embeddingSize,
    ...(unknown === undefined ? {} : { unknown }),
  });
  if (first.name === '') return own(first);
  return { features: Object.fromEntries(config.features.map((f) => [f.name, own(f)])) };
}

export class SequenceInput {
  /** Numbers of a step, as the recurrent layers see them. */
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
    const odd = ids.findIndex((list) => list.length !== ids[0].length);
    if (odd > 0) {
      throw new RangeError(
        `${name}: ${this.#features[odd].name} has ${ids[odd].length} tokens, ${first.name} has ${ids[0].length}`,
      );
    }
    return { length: ids[0].length, ids, values: null };
  }

  #vectors(name: string, sequence: Sequence): Encoded {
    const F = this.size;
    if (sequence instanceof Float32Array || sequence instanceof Float64Array) {
      if (sequence.length % F)
        throw new RangeError(`${name}: expected vectors of ${F} numbers, got ${sequence.length} numbers`);
      return finite(name, { length: sequence.length / F, ids: [], values: Float32Array.from(sequence) });
    }
    if (!Array.isArray(sequence)) check.fail(name, `vectors of ${F} numbers`, sequence);
    const values = new Float32Array(sequence.length * F);
    sequence.forEach((vector: ArrayLike<number>, t) => {
      if (typeof vector !== 'object' || vector?.length !== F)
        check.fail(`${name}[${t}]`, `a vector of ${F} numbers`, vector);
      values.set(vector, t * F);
    });
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
      return input(tape, values, { T, B, F }, { batchFirst: true, ...(ragged ? { lengths } : {}) });
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
