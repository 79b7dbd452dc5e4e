/**
 * Vector → sequence, 1 → N: a decoder that starts from a vector X of numbers, of classes, or of both, and reads what it wrote. X is the
 * initial state, an input at every step, or both. What is written are tokens (a caption), vectors, or frames of bits (music).
 */
import * as check from '../check.js';
import { read } from '../nn/input.js';
import { argmaxRows, sampleBits } from '../nn/predict.js';
import { type Options, readOptions, type Settings } from '../options.js';
import type { Rows, Tape } from '../tape.js';
import type { Vocabulary } from '../text/vocabulary.js';
import type { FitHistory } from '../train/history.js';
import type { Run } from '../train/run.js';
import type { BatchProgress, EpochOptions, EpochProgress } from './shared/batches.js';
import { encodeAll, encodeExamples, FIT_EXAMPLES } from './shared/batches.js';
import type { Choice, GeneratorTarget, Target } from './shared/conditional-decoder.js';
import { CONDITIONAL, ConditionalDecoder, isTokens } from './shared/conditional-decoder.js';
import type {
  Draft,
  EvaluateWritingOptions,
  GenerateSequenceOptions,
  WriteOptions,
  Written,
} from './shared/decoding.js';
import { beamWriting, EVALUATE, matches, readGenerating, readWriting, writing } from './shared/decoding.js';
import type { Examples } from './shared/flow.js';
import type { Vectors } from './shared/inputs.js';
import type { Call } from './shared/passes.js';
import { type StackOptions, stackOf, stackSchema } from './shared/stack.js';
import type { Kind, LoadOptions, Made, TaskOptions } from './shared/task.js';
import { create, createSync, load, loadSync, Task } from './shared/task.js';

const { bidirectional: _, merge: __, reverse: ___, ...STACK } = stackSchema('gru', 128);
const SCHEMA = { ...CONDITIONAL, ...STACK };

/** What it was created with, apart from its runtime and seed. */
export interface SequenceGeneratorConfig
  extends Omit<StackOptions, 'bidirectional' | 'merge' | 'reverse'>,
    Options<typeof CONDITIONAL> {}

/** @typeParam T what is written */
export interface SequenceGeneratorOptions<T extends GeneratorTarget = GeneratorTarget>
  extends TaskOptions,
    Omit<SequenceGeneratorConfig, 'target'> {
  /** What is written: a text, whose characters are the tokens; a list of tokens; vectors, or frames of bits, of n features. */
  target: T;
}

/** X: a class, a list of classes, or numbers; both by their names where it has both. */
export type GeneratorInput =
  | string
  | readonly string[]
  | ArrayLike<number>
  | { readonly values: ArrayLike<number>; readonly classes: string | readonly string[] };

/** One of three, by what is written; a union where that is not known. */
type Of<T extends GeneratorTarget, Tokens, InVectors, Bits> = T extends string | readonly string[]
  ? Tokens
  : T extends { readonly vectors: number }
    ? InVectors
    : Bits;

export interface GeneratorExample<T extends GeneratorTarget = GeneratorTarget> {
  readonly input: GeneratorInput;
  /** A text or a list of tokens; or vectors or frames [T,F], one after the other or as a list. */
  readonly target: Of<T, string | readonly string[], Vectors, Vectors>;
  /** What it counts in the loss of `fit`, at least 0, default 1. Examples of a batch with the same weight are computed together. */
  readonly weight?: number | undefined;
}

export interface GeneratedVectors {
  /** [T] vectors [F]. */
  readonly vectors: readonly Float32Array[];
  /** Whether the sequence came to its end before `maxLength`. */
  readonly complete: boolean;
}

export interface GeneratedFrames {
  /** [T] frames [F] of zeros and ones. */
  readonly frames: readonly Float32Array[];
  /** Whether the sequence came to its end before `maxLength`. */
  readonly complete: boolean;
}

/** Of tokens a text, with a beam `logProbability` and `hypotheses`; of vectors `vectors`; of bits `frames`. */
export type Generated<T extends GeneratorTarget = GeneratorTarget, W extends number = 1> = Of<
  T,
  Written<W>,
  GeneratedVectors,
  GeneratedFrames
>;

export interface TokensReport {
  /** Nats per token, ends included. */
  readonly loss: number;
  /** Share of targets that greedy writing gets exactly. */
  readonly exact: number;
}

export interface VectorsReport {
  /** Half the squared distance per frame: nats of a normal distribution of variance 1, without its constant. */
  readonly loss: number;
  /** Nats per frame for where the sequence ends. */
  readonly endLoss: number;
}

export interface BitsReport {
  /** Nats per frame, the sum over its bits. */
  readonly loss: number;
  /** Nats per frame for where the sequence ends. */
  readonly endLoss: number;
  /** Share of targets that greedy writing gets exactly. */
  readonly exact: number;
}

/** The right tokens or frames are read; `exact` is about those that the model writes on its own. */
export type GeneratorReport<T extends GeneratorTarget = GeneratorTarget> = Of<
  T,
  TokensReport,
  VectorsReport,
  BitsReport
>;

interface Item {
  readonly length: number;
  readonly input: Float32Array;
  readonly target: Target;
}

const KIND: Kind<ConditionalDecoder, typeof SCHEMA> = {
  task: 'sequence-generator',
  schema: SCHEMA,
  layers: (settings) => {
    const { inputSize, classes, target, embeddingSize, initialState, pass } = settings;
    if (inputSize === undefined && classes === undefined)
      throw new TypeError('inputSize or classes: X is made of numbers, of classes, or of both; neither was given');
    if (embeddingSize !== undefined && !isTokens(target))
      throw new TypeError('embeddingSize: needs a target of tokens; vectors and bits have no embedding');
    if (initialState === 'learned' && pass !== 'input')
      throw new RangeError(`initialState: 'learned' needs pass: 'input'; with '${pass}' X makes the initial state`);
    const never = { bidirectional: undefined, merge: undefined, reverse: undefined };
    const { inputSize: _, ...stack } = stackOf({ ...settings, ...never }, 1);
    return (b) => new ConditionalDecoder(b, settings, stack);
  },
};

/** Ones where they are likelier than zeros. */
const likelier = (tape: Tape, logits: Rows): Float32Array => read(tape, logits).map((x) => (x > 0 ? 1 : 0));
const BITS: Choice = { token: argmaxRows, frame: likelier, over: likelier };
const GREEDY = { tokens: BITS, bits: BITS, vectors: { ...BITS, frame: read } };

/**
 * Writes a sequence for a vector: captions, melodies, curves.
 *
 * @example
 * const drums = await SequenceGenerator.create({ classes: ['march', 'waltz'], target: { bits: 2 }, hiddenSize: 8, seed: 1 });
 * await drums.fit([{ input: 'march', target: [[1, 0], [0, 1]] }, { input: 'waltz', target: [[1, 1]] }], { epochs: 2 });
 * const [{ frames, complete }] = await drums.generate(['waltz'], { maxLength: 8, seed: 2 });
 */
export class SequenceGenerator<T extends GeneratorTarget = GeneratorTarget> extends Task<
  ConditionalDecoder,
  SequenceGeneratorConfig
> {
  private constructor(made: Made<ConditionalDecoder, SequenceGeneratorConfig>) {
    super(made);
  }

  /** Its name, also where a bundler has shortened that of the class. */
  static get taskName() {
    return 'SequenceGenerator' as const;
  }

  /**
   * A model with fresh weights.
   *
   * @throws TypeError, RangeError for invalid options; UnsupportedError where there is no WebAssembly SIMD
   */
  static async create<const T extends GeneratorTarget>(
    options: SequenceGeneratorOptions<T>,
  ): Promise<SequenceGenerator<T>> {
    return new SequenceGenerator(await create(KIND, options));
  }

  /** The same, synchronously, for workers, worklets and scripts. */
  static createSync<const T extends GeneratorTarget>(options: SequenceGeneratorOptions<T>): SequenceGenerator<T> {
    return new SequenceGenerator(createSync(KIND, options));
  }

  /** @throws FormatError for a file that is damaged or holds something else */
  static async load(bytes: Uint8Array | ArrayBuffer, options?: LoadOptions): Promise<SequenceGenerator> {
    return new SequenceGenerator(await load(KIND, bytes, options));
  }

  static loadSync(bytes: Uint8Array | ArrayBuffer, options?: LoadOptions): SequenceGenerator {
    return new SequenceGenerator(loadSync(KIND, bytes, options));
  }

  /** The tokens that it writes; undefined where it writes vectors or bits. */
  get targetVocabulary(): Of<T, Vocabulary, undefined, undefined> {
    const { written } = this.model.layers;
    return (written.kind === 'tokens' ? written.vocabulary : undefined) as Of<T, Vocabulary, undefined, undefined>;
  }

  /**
   * Trains on examples, shuffled in each epoch: a list, an iterable or async iterable that is read once, or a function that returns one
   * for each epoch; what is read at each step is right (teacher forcing). Called again it resumes, also
   * after `save` and `load`. The loss of vectors and bits is the sum of `loss` and `endLoss` of `evaluate`.
   *
   * @throws before anything changes: RangeError, TypeError for invalid examples; NonFiniteError
   */
  fit(
    examples: Examples<GeneratorExample<T>>,
    options: EpochOptions<GeneratorExample<T>> = {},
  ): Run<EpochProgress<GeneratorReport<T>>, FitHistory> {
    const settings = readOptions('fit', FIT_EXAMPLES, options);
    return this.learn(examples, options, settings, {
      ...this.#examples,
      size: ({ length }) => (this.model.layers.written.kind === 'tokens' ? length : length - 1),
      loss: () => (tape, layers, batch) => layers.losses(tape, layers.encode(tape, inputsOf(batch)), targetsOf(batch)),
      measure: (items, how) => this.#measure(items, readOptions('evaluate', EVALUATE, how)),
    });
  }

  /** How well it does on examples. */
  evaluate(
    examples: readonly GeneratorExample<T>[],
    options: EvaluateWritingOptions = {},
  ): Run<BatchProgress, GeneratorReport<T>> {
    const settings = readOptions('evaluate', EVALUATE, options);
    const { fields, encode } = this.#examples;
    const call = { method: 'evaluate', data: examples, options };
    return this.#measure(encodeExamples('examples', examples, fields, encode), settings, call);
  }

  #measure(items: readonly Item[], settings: Settings<typeof EVALUATE>, call?: Call) {
    const { kind } = this.model.layers.written;
    const sums = [0, 0];
    let [total, right] = [0, 0];
    const work = (tape: Tape, layers: ConditionalDecoder, batch: Item[]) => {
      const memory = layers.encode(tape, inputsOf(batch));
      const losses = layers.losses(tape, memory, targetsOf(batch)).map(({ loss, weight }) => loss.value * weight);
      if (kind === 'vectors') return { losses, exact: 0 };
      const all = layers.write(tape, memory, settings.maxLength, GREEDY[kind]);
      const exact = all.filter((own, b) => {
        const { ids, values } = batch[b].target;
        return matches(own, kind === 'tokens' ? ids : values);
      });
      return { losses, exact: exact.length };
    };
    const count = ({ losses, exact }: ReturnType<typeof work>, batch: Item[]) => {
      const steps = batch.reduce((sum, { length }) => sum + length, 0);
      const n = kind === 'tokens' ? steps : steps - batch.length;
      losses.forEach((loss, k) => {
        sums[k] += loss * n;
      });
      total += n;
      right += exact;
    };
    const report = () => {
      const [loss, endLoss] = sums.map((sum) => sum / total);
      const exact = right / items.length;
      if (kind === 'tokens') return { loss, exact };
      return kind === 'vectors' ? { loss, endLoss } : { loss, endLoss, exact };
    };
    return this.measure(items, settings, work, count, () => report() as GeneratorReport<T>, call);
  }

  /**
   * The most probable sequence for each vector, in order. A bit is 1 if its probability is above 1/2.
   *
   * @param options a beam is for tokens only
   */
  predict<const W extends number = 1>(
    inputs: readonly GeneratorInput[],
    options: WriteOptions<W> = {},
  ): Run<BatchProgress, Generated<T, W>[]> {
    const { written } = this.model.layers;
    const settings = readWriting(options);
    this.#tokensOnly(options, ['beamWidth', 'lengthNormalization']);
    const work = (tape: Tape, layers: ConditionalDecoder, batch: { readonly input: Float32Array }[]) => {
      if (written.kind !== 'tokens' || settings.beamWidth === 1)
        return this.#write<W>(tape, layers, batch, settings.maxLength, GREEDY[written.kind]);
      return batch.map(({ input }) => {
        const found = tape.runtime.scope(() => layers.beam(tape, written, input, settings));
        return beamWriting(written.vocabulary, found) as Generated<T, W>;
      });
    };
    return this.forEach(this.#read(inputs), settings, work, { method: 'predict', data: inputs, options });
  }

  /**
   * Draws sequences for vectors, in their order: token by token, or each bit by itself. Vectors are not drawn.
   *
   * @param options `topK` and `topP` are for tokens only
   */
  generate(
    inputs: readonly GeneratorInput[],
    options: GenerateSequenceOptions = {},
  ): Run<BatchProgress, Generated<T, 1>[]> {
    const { settings, random, pick } = readGenerating(options, this.model);
    if (this.model.layers.written.kind === 'vectors')
      throw new TypeError('generate: vectors have no probabilities to draw from; use predict');
    this.#tokensOnly(options, ['topK', 'topP']);
    const bits = (tape: Tape, logits: Rows) => sampleBits(tape, random, logits, settings.temperature);
    const choice = { token: pick, frame: bits, over: bits };
    return this.forEach(this.#read(inputs), settings, (tape, layers, batch) =>
      this.#write<1>(tape, layers, batch, settings.maxLength, choice),
    );
  }

  #tokensOnly<O extends object>(options: O, keys: readonly (keyof O & string)[]): void {
    const { kind } = this.model.layers.written;
    const key = keys.find((name) => options[name] !== undefined);
    if (key && kind !== 'tokens') throw new RangeError(`${key}: needs a target of tokens, got ${kind}`);
  }

  #write<W extends number>(
    tape: Tape,
    layers: ConditionalDecoder,
    batch: readonly { input: Float32Array }[],
    maxLength: number,
    choice: Choice,
  ): Generated<T, W>[] {
    const { written, outputSize: F } = layers;
    const result = (own: Draft): object => {
      if (written.kind === 'tokens') return writing(written.vocabulary, own);
      const frames = Array.from({ length: own.ids.length / F }, (_, t) =>
        Float32Array.from(own.ids.slice(t * F, (t + 1) * F)),
      );
      const { complete } = own;
      return written.kind === 'bits' ? { frames, complete } : { vectors: frames, complete };
    };
    const drafts = layers.write(tape, layers.encode(tape, inputsOf(batch)), maxLength, choice);
    return drafts.map((own) => result(own) as Generated<T, W>);
  }

  #read(inputs: readonly GeneratorInput[]): { length: number; input: Float32Array }[] {
    return encodeAll('inputs', inputs, 'inputs', (place, x) => ({ length: 1, input: this.#input(place, x) }));
  }

  get #examples() {
    const encode = (place: string, example: GeneratorExample<T>): Item => {
      const input = this.#input(`${place}.input`, example.input);
      const target = this.#target(`${place}.target`, example.target);
      return { length: target.length + 1, input, target };
    };
    return { fields: '{ input, target }', encode };
  }

  /** X as numbers. */
  #input(name: string, x: GeneratorInput): Float32Array {
    const { inputSize = 0, classes = [] } = this.model.layers.settings;
    const both = inputSize > 0 && classes.length > 0;
    const encoded = new Float32Array(inputSize + classes.length);
    if (both) check.options(name, x, ['values', 'classes']);
    const parts = x as { values: ArrayLike<number>; classes: string | readonly string[] };
    if (inputSize > 0) {
      const place = both ? `${name}.values` : name;
      const values = both ? parts.values : (x as ArrayLike<number>);
      if (typeof values !== 'object' || values?.length !== inputSize) check.fail(place, `${inputSize} numbers`, values);
      for (let i = 0; i < inputSize; i++) encoded[i] = check.float(`${place}[${i}]`, values[i]);
    }
    if (classes.length > 0) {
      const place = both ? `${name}.classes` : name;
      const own = both ? parts.classes : (x as string | readonly string[]);
      if (typeof own !== 'string' && !Array.isArray(own)) check.fail(place, 'a class or a list of classes', own);
      for (const c of [own].flat()) {
        const i = classes.indexOf(c);
        if (i < 0) throw new RangeError(`${place}: ${check.show(c)} is not among the classes ${check.list(classes)}`);
        encoded[inputSize + i] = 1;
      }
    }
    return encoded;
  }

  #target(name: string, target: unknown): Target {
    const { written } = this.model.layers;
    if (written.kind === 'tokens') {
      const ids = written.vocabulary.encode(name, target as string | readonly string[]);
      return { length: ids.length, ids, values: new Float32Array() };
    }
    const { length, values } = written.reader.encode(name, target as Vectors);
    const numbers = values ?? new Float32Array();
    const odd = written.kind === 'bits' ? numbers.findIndex((v) => v !== 0 && v !== 1) : -1;
    if (odd >= 0) throw new RangeError(`${name}: expected zeros and ones, number ${odd} is ${numbers[odd]}`);
    return { length, ids: new Int32Array(), values: numbers };
  }
}

const inputsOf = (batch: readonly { readonly input: Float32Array }[]) => batch.map(({ input }) => input);
const targetsOf = (batch: readonly Item[]) => batch.map(({ target }) => target);
