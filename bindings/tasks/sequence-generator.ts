/**
 * Vector → sequence, 1 → N: a decoder that starts from a vector X of numbers, of classes, or of both, and reads what it wrote. X is the
 * initial state, an input at every step, or both; without X it starts from nothing. What is written are tokens (a caption), vectors, or
 * frames of bits (music).
 */

import * as check from '../check.js';
import { Runtime } from '../core/train.js';
import { read } from '../nn/input.js';
import { argmaxRows, sampleBits, softmaxRows } from '../nn/predict.js';
import { activation } from '../nn/rows.js';
import { option, optional, readOptions, type Settings, whole } from '../options.js';
import type { Rows, Tape } from '../tape.js';
import type { Vocabulary } from '../text/vocabulary.js';
import type { FitHistory } from '../train/history.js';
import type { Run } from '../train/run.js';
import type { BatchProgress, EpochOptions, EpochProgress } from './shared/batches.js';
import { encodeAll, encodeExamples, FIT_EXAMPLES } from './shared/batches.js';
import type { Choice, GeneratorTarget, Target } from './shared/conditional-decoder.js';
import { CONDITIONAL, ConditionalDecoder, isTokens } from './shared/conditional-decoder.js';
import type { Draft, EvaluateWritingOptions, GenerateSequenceOptions, WriteOptions } from './shared/decoding.js';
import { beamWriting, EVALUATE, matches, readGenerating, readWriting, writing } from './shared/decoding.js';
import type { Examples } from './shared/flow.js';
import type {
  ByTarget,
  Conditioned,
  Generated,
  GenerateManyOptions,
  GeneratorExample,
  GeneratorInput,
  GeneratorReport,
  NextStep,
  SequenceGeneratorConfig,
  SequenceGeneratorOptions,
  WithInputs,
  WrittenPart,
} from './shared/generator-types.js';
import type { Vectors } from './shared/inputs.js';
import type { Call } from './shared/passes.js';
import { stackOf, stackSchema } from './shared/stack.js';
import type { Stream } from './shared/stream.js';
import type { Kind, LoadOptions, Made } from './shared/task.js';
import { create, createSync, load, loadSync, Task } from './shared/task.js';

const { bidirectional: _, merge: __, reverse: ___, ...STACK } = stackSchema('gru', 128);
const SCHEMA = { ...CONDITIONAL, ...STACK };

const COUNT = {
  count: option(whole(1), 1),
};
const STREAM = {
  /** The condition. */
  input: optional<unknown>((_, value) => value),
};

interface Item {
  readonly length: number;
  readonly input: Float32Array;
  readonly target: Target;
}

const KIND: Kind<ConditionalDecoder, typeof SCHEMA> = {
  task: 'sequence-generator',
  runtimes: Runtime,
  schema: SCHEMA,
  layers: (settings) => {
    const { inputSize, classes, target, embeddingSize, initialState, pass, hiddenLayers } = settings;
    const free = inputSize === undefined && classes === undefined;
    if (free && (pass !== 'state' || hiddenLayers.length > 0)) {
      const key = pass !== 'state' ? 'pass' : 'hiddenLayers';
      throw new TypeError(`${key}: needs inputSize or classes; without them there is no X`);
    }
    if (embeddingSize !== undefined && !isTokens(target))
      throw new TypeError('embeddingSize: needs a target of tokens; vectors and bits have no embedding');
    if (initialState === 'learned' && pass !== 'input' && !free)
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
 * Writes a sequence for a vector, or without one: captions, melodies, curves.
 *
 * @example
 * const drums = await SequenceGenerator.create({ classes: ['march', 'waltz'], target: { bits: 2 }, hiddenSize: 8, seed: 1 });
 * await drums.fit([{ input: 'march', target: [[1, 0], [0, 1]] }, { input: 'waltz', target: [[1, 1]] }], { epochs: 2 });
 * const [{ frames, complete }] = await drums.generate(['waltz'], { maxLength: 8, seed: 2 });
 */
export class SequenceGenerator<T extends GeneratorTarget = GeneratorTarget, X extends boolean = boolean> extends Task<
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
  static async create<
    const T extends GeneratorTarget,
    I extends number | undefined = undefined,
    const C extends readonly string[] | undefined = undefined,
  >(options: SequenceGeneratorOptions<T, I, C>): Promise<SequenceGenerator<T, Conditioned<I, C>>> {
    return new SequenceGenerator(await create(KIND, options));
  }

  /** The same, synchronously, for workers, worklets and scripts. */
  static createSync<
    const T extends GeneratorTarget,
    I extends number | undefined = undefined,
    const C extends readonly string[] | undefined = undefined,
  >(options: SequenceGeneratorOptions<T, I, C>): SequenceGenerator<T, Conditioned<I, C>> {
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
  get targetVocabulary(): ByTarget<T, Vocabulary, undefined, undefined> {
    const { written } = this.model.layers;
    return (written.kind === 'tokens' ? written.vocabulary : undefined) as ByTarget<
      T,
      Vocabulary,
      undefined,
      undefined
    >;
  }

  /**
   * Trains on examples, shuffled in each epoch: a list, an iterable or async iterable that is read once, or a function that returns one
   * for each epoch; what is read at each step is right (teacher forcing). Called again it resumes, also
   * after `save` and `load`. The loss of vectors and bits is the sum of `loss` and `endLoss` of `evaluate`.
   *
   * @throws before anything changes: RangeError, TypeError for invalid examples; NonFiniteError
   */
  fit(
    examples: Examples<GeneratorExample<T, X>>,
    options: EpochOptions<GeneratorExample<T, X>> = {},
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
    examples: readonly GeneratorExample<T, X>[],
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
   * The most probable sequence for each input, in order; without a condition a list of one. A bit is 1 if its probability is above 1/2.
   *
   * @param all the inputs, unless there is no condition; options, of which a beam is for tokens only
   */
  predict<const W extends number = 1>(...all: WithInputs<X, WriteOptions<W>>): Run<BatchProgress, Generated<T, W>[]> {
    const { written } = this.model.layers;
    const [inputs, options] = this.#split<WriteOptions>(all);
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
    const call = inputs ? { method: 'predict', data: inputs, options } : undefined;
    return this.forEach(this.#read(inputs, 1), settings, work, call);
  }

  /**
   * Draws sequences for inputs, in their order: token by token, or each bit by itself. Vectors are not drawn.
   *
   * @param all the inputs, unless there is no condition; options, of which `topK` and `topP` are for tokens only, and `count` for models
   *   without a condition
   */
  generate(
    ...all: X extends true ? WithInputs<X, GenerateSequenceOptions> : WithInputs<X, GenerateManyOptions>
  ): Run<BatchProgress, Generated<T, 1>[]> {
    const [inputs, given] = this.#split<GenerateManyOptions>(all);
    if (typeof given !== 'object' || given === null) check.fail('generate', 'an object of options', given);
    const { count: many, ...options } = given;
    if (inputs && many !== undefined) throw new TypeError('count: is for models without a condition');
    const { count } = readOptions('generate', COUNT, many === undefined ? {} : { count: many });
    const { settings, random, pick } = readGenerating(options, this.model);
    if (this.model.layers.written.kind === 'vectors')
      throw new TypeError('generate: vectors have no probabilities to draw from; use predict');
    this.#tokensOnly(options, ['topK', 'topP']);
    const bits = (tape: Tape, logits: Rows) => sampleBits(tape, random, logits, settings.temperature);
    const choice = { token: pick, frame: bits, over: bits };
    return this.forEach(this.#read(inputs, count), settings, (tape, layers, batch) =>
      this.#write<1>(tape, layers, batch, settings.maxLength, choice),
    );
  }

  /**
   * A stream: reads a sequence in pieces; after each piece, what comes next. An empty piece is for the start: what comes first.
   *
   * @param saved what `save` of a stream returned
   * @param options `input`: the condition of a new stream, where the model has one
   */
  stream(
    saved?: Uint8Array | ArrayBuffer,
    options: X extends true ? { readonly input?: GeneratorInput } : { readonly input?: undefined } = {},
  ): Stream<WrittenPart<T>, NextStep<T>> {
    const { layers } = this.model;
    const { input } = readOptions('stream', STREAM, options);
    if (saved !== undefined && input !== undefined) throw new TypeError('input: a saved stream has its own');
    let x = saved === undefined ? this.#condition('input', input as GeneratorInput) : new Float32Array(layers.width);
    return this.openStream(saved, {
      cell: layers.decoder.options.cell,
      start: () => ({
        state: this.model.forward((tape) => layers.initialState(tape, x)),
        values: { begun: [0], x: Array.from(x) },
      }),
      check: ({ begun, x: own }) => {
        if (begun.length !== 1) check.fail('begun', 'one number', begun);
        check.whole('begun', begun[0], 0, 1);
        check.numbers('x', own, layers.width, `[${layers.width}]`);
        x = Float32Array.from(own);
      },
      step: (piece, memory) => {
        const first = memory.values.begun[0] === 0;
        const given = this.#target('input', piece, first);
        if (given.length === 0 && !first) throw new RangeError('input: is empty');
        const result = this.model.forward((tape) => this.#next(tape, layers.read(tape, x, given, memory.state, first)));
        memory.values.begun = [1];
        return result;
      },
    });
  }

  #next(tape: Tape, { next, over }: { next: Rows; over: Rows | null }): NextStep<T> {
    const { written, end } = this.model.layers;
    const sigmoid = (logits: Rows) => read(tape, activation(tape, logits, 'sigmoid'));
    const result = (): object => {
      if (written.kind === 'tokens' || !over) {
        const all = softmaxRows(tape, next);
        const probabilities = all.slice(0, end);
        const best = probabilities.reduce((top, p, i) => (p > probabilities[top] ? i : top), 0);
        return { token: this.targetVocabulary?.tokens[best], probabilities, end: all[end] };
      }
      const [last] = sigmoid(over);
      if (written.kind === 'vectors') return { vector: read(tape, next), end: last };
      return { frame: likelier(tape, next), probabilities: sigmoid(next), end: last };
    };
    return result() as NextStep<T>;
  }

  /** Inputs and options; the inputs are left out where there is no condition. */
  #split<O extends object>(all: readonly unknown[]): [readonly GeneratorInput[] | null, O] {
    const { width } = this.model.layers;
    const [inputs, options = {}] = width ? all : [null, ...all];
    if (!width && (Array.isArray(options) || all[1] !== undefined))
      throw new TypeError('inputs: this model has no condition; expected options');
    return [inputs as readonly GeneratorInput[] | null, options as O];
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

  #read(inputs: readonly GeneratorInput[] | null, count: number): { length: number; input: Float32Array }[] {
    if (!inputs) return Array.from({ length: count }, () => ({ length: 1, input: new Float32Array() }));
    return encodeAll('inputs', inputs, 'inputs', (place, x) => ({ length: 1, input: this.#input(place, x) }));
  }

  get #examples() {
    const encode = (place: string, example: GeneratorExample<T, X>): Item => {
      const input = this.#condition(`${place}.input`, example.input);
      const target = this.#target(`${place}.target`, example.target);
      return { length: target.length + 1, input, target };
    };
    return { fields: this.model.layers.width ? '{ input, target }' : '{ target }', encode };
  }

  /** X as numbers, none where the model has no condition. */
  #condition(name: string, x: GeneratorInput | undefined): Float32Array {
    if (this.model.layers.width > 0) return this.#input(name, x as GeneratorInput);
    if (x !== undefined) throw new TypeError(`${name}: this model has no condition`);
    return new Float32Array();
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

  /** @param empty whether it can be empty where it is frames; tokens always can */
  #target(name: string, target: unknown, empty = false): Target {
    const { written } = this.model.layers;
    const none = { length: 0, ids: new Int32Array(), values: new Float32Array() };
    if (empty && (target === '' || (target as { length?: unknown })?.length === 0)) return none;
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
