/**
 * Sequence → sequence of another length: an encoder, or several, and a decoder that reads what it wrote. What the encoders found, c,
 * becomes the decoder's initial state, an input at every step, or both. With attention the decoder reads all their outputs again.
 */

import * as check from '../check.js';
import { Runtime } from '../core/train.js';
import { argmaxRows } from '../nn/predict.js';
import type { RecurrentOptions } from '../nn/recurrent/options.js';
import type { Options, Reader, Settings } from '../options.js';
import { object, option, optional, readOptions, real, required } from '../options.js';
import type { Rows, Tape } from '../tape.js';
import type { Vocabulary } from '../text/vocabulary.js';
import type { FitHistory } from '../train/history.js';
import type { Run } from '../train/run.js';
import type { BatchProgress, EpochOptions, EpochProgress } from './shared/batches.js';
import { encodeAll, encodeExamples, FIT_EXAMPLES } from './shared/batches.js';
import type { EvaluateWritingOptions, GenerateSequenceOptions, WriteOptions, Written } from './shared/decoding.js';
import { beamWriting, EVALUATE, matches, readGenerating, readWriting, writing } from './shared/decoding.js';
import type { AttentionScore, Item, Source, Sources } from './shared/encoder-decoder.js';
import { ENCODER_DECODER, EncoderDecoder, forced, isOne, scheduled } from './shared/encoder-decoder.js';
import type { Examples } from './shared/flow.js';
import { type Encoded, INPUT, type InputOptions, inputOf, inputWidth, type Sequence } from './shared/inputs.js';
import type { Call } from './shared/passes.js';
import { type StackOptions, stackOf, stackSchema } from './shared/stack.js';
import type { Kind, LoadOptions, Made, TaskOptions } from './shared/task.js';
import { create, createSync, load, loadSync, Task } from './shared/task.js';

const { reverse: _, ...STACK } = stackSchema('gru', 128);
const OWN = {
  ...ENCODER_DECODER,
  /** Options of the encoders' recurrent layers that differ from the decoder's, for example `{ hiddenSize: 64, bidirectional: true }`. */
  encoder: optional(object(STACK)),
};
const SCHEMA = { ...OWN, ...STACK };

/** What it was created with, apart from its runtime and seed. `bidirectional` and `merge` are about the encoders. */
export interface Seq2SeqConfig extends Omit<StackOptions, 'reverse'>, Options<typeof OWN> {}

/**
 * @typeParam S what is read
 * @typeParam A the attention
 */
export interface Seq2SeqOptions<
  S extends Sources = Sources,
  A extends AttentionScore | undefined = AttentionScore | undefined,
> extends TaskOptions,
    Omit<Seq2SeqConfig, 'source' | 'attention'> {
  /** What the encoder reads, or, by their names, what several encoders read. */
  source: S;
  /** How the decoder's state is compared with the encoder's outputs at each step. Default: the decoder does not read them. */
  attention?: A;
}

type One = { vocabulary: unknown } | { features: unknown } | { inputSize: unknown };
/** Something for each encoder, or the thing itself where there is one. */
type BySource<S extends Sources, T> = Sources extends S
  ? T | Readonly<Record<string, T>>
  : S extends One
    ? T
    : { readonly [N in keyof S]: T };

export interface Seq2SeqExample<S extends Sources = Sources> {
  /** A sequence, or one for each encoder by their names. */
  readonly source: BySource<S, Sequence>;
  readonly target: string | readonly string[];
  /** What it counts in the loss of `fit`, at least 0, default 1. Examples of a batch with the same weight are computed together. */
  readonly weight?: number | undefined;
}

const readForcing: Reader<number | Options<typeof FORCING>> = (name, value) =>
  typeof value === 'number' ? check.number(name, value, 0, 1) : object(FORCING)(name, value);
const FORCING = { from: required(real(0, 1)), to: required(real(0, 1)), steps: required(check.whole) };
const OWN_FIT = {
  /**
   * Share of the steps at which the decoder reads the right token and not the one that it would have written, default 1; or from one
   * share to another over a number of steps of training (scheduled sampling, Bengio et al. 2015, arXiv:1506.03099v3). Below 1 the
   * decoder runs step by step. It then cannot be combined with `variationalDropout` or `weightDrop`, which have one mask for all steps.
   */
  teacherForcing: option(readForcing, 1),
};
const FIT = { ...FIT_EXAMPLES, ...OWN_FIT };

export interface Seq2SeqFitOptions<S extends Sources = Sources>
  extends EpochOptions<Seq2SeqExample<S>>,
    Options<typeof OWN_FIT> {}

/** [tokens][source steps] of each encoder. Each row adds up to 1; where the end was written, the last row is that of the end. */
interface Attending<S extends Sources> {
  readonly attention: BySource<S, readonly Float32Array[]>;
}
type Extra<S extends Sources, A> = [A] extends [undefined]
  ? object
  : undefined extends A
    ? Partial<Attending<S>>
    : Attending<S>;

/** With a beam: `logProbability` and `hypotheses`; without one, where the model has attention: `attention`. */
export type Translation<
  S extends Sources = Sources,
  A extends AttentionScore | undefined = AttentionScore | undefined,
  W extends number = number,
> = Written<W, Extra<S, A>>;

export interface Seq2SeqReport {
  /** Mean over target tokens and ends, in nats; the decoder reads the right tokens. */
  readonly loss: number;
  /** Share of targets that greedy decoding writes exactly. */
  readonly exact: number;
}

const KIND: Kind<EncoderDecoder, typeof SCHEMA> = {
  task: 'seq2seq',
  runtimes: Runtime,
  schema: SCHEMA,
  layers: (settings) => {
    const { source, attention, bridge, context, pass, encoder = {} } = settings;
    const named = (isOne(source) ? { '': source } : source) as Readonly<Record<string, InputOptions>>;
    const sources = Object.entries(named).map(([name, own]) => {
      const place = name ? `source.${name}.` : 'source.';
      return { name, input: inputOf(readOptions('create', INPUT, own, place), place) };
    });
    const { cell = settings.cell, hiddenSize = settings.hiddenSize } = encoder;
    const given = { ...settings, ...encoder, cell, hiddenSize, reverse: undefined };
    const encoders = sources.map(({ input }) => stackOf(given, inputWidth(input)));
    const oneWay = { ...settings, bidirectional: undefined, merge: undefined, reverse: undefined };
    const { initialState, inputSize: _, ...others } = stackOf(oneWay, 1);
    const reads = widthsOf(encoders[0]);
    const { output, layers } = widthsOf({ ...others, inputSize: 1 });
    if (attention === 'dot' && output !== reads.output) {
      throw new RangeError(
        `attention: 'dot' needs decoder and encoder of one width; their outputs have ${output} and ${reads.output} features; use attention: 'general'`,
      );
    }
    if (bridge !== undefined && pass === 'input')
      throw new RangeError("bridge: needs pass: 'state' or 'both'; with 'input' the decoder starts from zeros");
    const width = [others.hiddenSize].flat().at(-1) ?? 0;
    const contextSize = sources.length * { last: reads.final, affine: width, mean: reads.output }[context];
    if (bridge === 'none' && layers.some((size) => size !== contextSize)) {
      throw new RangeError(
        `bridge: 'none' needs c and all layers of the decoder of one size; c has ${contextSize} features, the layers ${check.list(layers.map(String))}`,
      );
    }
    // an initial state that c makes is not learned
    const decoder = pass === 'input' && initialState ? { ...others, initialState } : others;
    return (b) => new EncoderDecoder(b, settings, sources, encoders, decoder);
  },
};

/**
 * Writes a sequence for a sequence: translations, spellings, answers.
 *
 * @example
 * const model = await Seq2Seq.create({ source: { vocabulary: 'ab' }, target: 'xy', attention: 'general', hiddenSize: 8 });
 * await model.fit([{ source: 'ab', target: 'xy' }, { source: 'ba', target: 'yx' }], { epochs: 2 });
 * const [{ text, attention }] = await model.predict(['ab'], { maxLength: 4 }); // attention: a row for each token
 * const [{ hypotheses }] = await model.predict(['ab'], { maxLength: 4, beamWidth: 3 }); // best first
 */
export class Seq2Seq<
  S extends Sources = Sources,
  A extends AttentionScore | undefined = AttentionScore | undefined,
> extends Task<EncoderDecoder, Seq2SeqConfig> {
  private constructor(made: Made<EncoderDecoder, Seq2SeqConfig>) {
    super(made);
  }

  /** Its name, also where a bundler has shortened that of the class. */
  static get taskName() {
    return 'Seq2Seq' as const;
  }

  /**
   * A model with fresh weights.
   *
   * @throws TypeError, RangeError for invalid options; UnsupportedError where there is no WebAssembly SIMD
   */
  static async create<const S extends Sources, A extends AttentionScore | undefined = undefined>(
    options: Seq2SeqOptions<S, A>,
  ): Promise<Seq2Seq<S, A>> {
    return new Seq2Seq(await create(KIND, options));
  }

  /** The same, synchronously, for workers, worklets and scripts. */
  static createSync<const S extends Sources, A extends AttentionScore | undefined = undefined>(
    options: Seq2SeqOptions<S, A>,
  ): Seq2Seq<S, A> {
    return new Seq2Seq(createSync(KIND, options));
  }

  /** @throws FormatError for a file that is damaged or holds something else */
  static async load(bytes: Uint8Array | ArrayBuffer, options?: LoadOptions): Promise<Seq2Seq> {
    return new Seq2Seq(await load(KIND, bytes, options));
  }

  static loadSync(bytes: Uint8Array | ArrayBuffer, options?: LoadOptions): Seq2Seq {
    return new Seq2Seq(loadSync(KIND, bytes, options));
  }

  /** The tokens that it writes. */
  get targetVocabulary(): Vocabulary {
    return this.model.layers.vocabulary;
  }

  /**
   * Trains on examples, shuffled in each epoch: a list, an iterable or async iterable that is read once, or a function that returns one
   * for each epoch. Called again it resumes, also after `save` and `load`.
   *
   * @throws before anything changes: RangeError, TypeError for invalid examples; NonFiniteError
   */
  fit(
    examples: Examples<Seq2SeqExample<S>>,
    options: Seq2SeqFitOptions<S> = {},
  ): Run<EpochProgress<Seq2SeqReport>, FitHistory> {
    const settings = readOptions('fit', FIT, options);
    const { teacherForcing } = settings;
    const masked = (['variationalDropout', 'weightDrop'] as const).find((key) => this.config[key]);
    if (teacherForcing !== 1 && masked) {
      throw new RangeError(
        `teacherForcing and ${masked} cannot be combined: a decoder that reads its own tokens runs step by step, with a new mask at each`,
      );
    }
    return this.learn(examples, options, settings, {
      ...this.#examples,
      size: ({ target }) => target.length + 1,
      loss: () => (tape, layers, batch, step) => {
        const memory = layers.encode(tape, batch);
        const right = shareOf(teacherForcing, step);
        return right === 1 ? forced(tape, layers, memory, batch) : scheduled(tape, layers, memory, batch, right);
      },
      measure: (items, how) => this.#measure(items, readOptions('evaluate', EVALUATE, how)),
    });
  }

  /** How well it does on examples. */
  evaluate(
    examples: readonly Seq2SeqExample<S>[],
    options: EvaluateWritingOptions = {},
  ): Run<BatchProgress, Seq2SeqReport> {
    const settings = readOptions('evaluate', EVALUATE, options);
    const { fields, encode } = this.#examples;
    const call = { method: 'evaluate', data: examples, options };
    return this.#measure(encodeExamples('examples', examples, fields, encode), settings, call);
  }

  #measure(items: readonly Item[], settings: Settings<typeof EVALUATE>, call?: Call) {
    let [loss, tokens, exact] = [0, 0, 0];
    const work = (tape: Tape, layers: EncoderDecoder, batch: Item[]) => {
      const memory = layers.encode(tape, batch);
      const mean = forced(tape, layers, memory, batch).value;
      const all = layers.write(tape, memory, batch, settings.maxLength, argmaxRows);
      return { mean, right: all.filter((own, b) => matches(own, batch[b].target)).length };
    };
    const count = ({ mean, right }: ReturnType<typeof work>, batch: Item[]) => {
      const n = batch.reduce((sum, { target }) => sum + target.length + 1, 0);
      loss += mean * n;
      tokens += n;
      exact += right;
    };
    const report = (): Seq2SeqReport => ({ loss: loss / tokens, exact: exact / items.length });
    return this.measure(items, settings, work, count, report, call);
  }

  /** The most probable target of each source, in order. */
  predict<const W extends number = 1>(
    sources: readonly Seq2SeqExample<S>['source'][],
    options: WriteOptions<W> = {},
  ): Run<BatchProgress, Translation<S, A, W>[]> {
    const settings = readWriting(options);
    const work = (tape: Tape, layers: EncoderDecoder, batch: Source[]) => {
      if (settings.beamWidth === 1) return this.#write<W>(tape, layers, batch, settings.maxLength, argmaxRows);
      return batch.map((own) => {
        const found = tape.runtime.scope(() => layers.beam(tape, own, settings));
        return beamWriting(layers.vocabulary, found) as Translation<S, A, W>;
      });
    };
    return this.forEach(this.#read(sources), settings, work, { method: 'predict', data: sources, options });
  }

  /** Targets of sources, drawn token by token, in the sources' order. */
  generate(
    sources: readonly Seq2SeqExample<S>['source'][],
    options: GenerateSequenceOptions = {},
  ): Run<BatchProgress, Translation<S, A, 1>[]> {
    const { settings, pick } = readGenerating(options, this.model);
    return this.forEach(this.#read(sources), settings, (tape, layers, batch) =>
      this.#write<1>(tape, layers, batch, settings.maxLength, pick),
    );
  }

  #write<W extends number>(
    tape: Tape,
    layers: EncoderDecoder,
    batch: readonly Source[],
    maxLength: number,
    pick: (tape: Tape, logits: Rows) => Int32Array,
  ): Translation<S, A, W>[] {
    const { sources, attentions, vocabulary } = layers;
    return layers.write(tape, layers.encode(tape, batch), batch, maxLength, pick).map((own) => {
      const text = writing(vocabulary, own);
      const { weights } = own;
      const attention = sources[0].name
        ? Object.fromEntries(sources.map(({ name }, k) => [name, weights[k]]))
        : weights[0];
      return (attentions.length ? { ...text, attention } : text) as Translation<S, A, W>;
    });
  }

  get #examples() {
    const { vocabulary } = this.model.layers;
    const encode = (place: string, { source, target }: Seq2SeqExample<S>): Item => {
      const sources = this.#sources(`${place}.source`, source);
      const ids = vocabulary.encode(`${place}.target`, target);
      return { length: lengthOf(sources) + ids.length, sources, target: ids };
    };
    return { fields: '{ source, target }', encode };
  }

  #read(sources: readonly Seq2SeqExample<S>['source'][]): Source[] {
    return encodeAll('sources', sources, 'sources', (place, source) => {
      const own = this.#sources(place, source);
      return { length: lengthOf(own), sources: own };
    });
  }

  #sources(place: string, source: unknown): Encoded[] {
    const { inputs, sources } = this.model.layers;
    if (sources[0].name === '') return [inputs[0].encode(place, source as Sequence)];
    const names = sources.map(({ name }) => name);
    check.options(place, source, names);
    return names.map((name, k) => inputs[k].encode(`${place}.${name}`, (source as Record<string, Sequence>)[name]));
  }
}

const lengthOf = (sources: readonly Encoded[]) => sources.reduce((n, { length }) => n + length, 0);

/** Features of the layers' states, of the outputs, and of the final states, directions together. */
function widthsOf({ hiddenSize, projectionSize, bidirectional, merge = 'concat' }: RecurrentOptions) {
  const layers = projectionSize ? [projectionSize] : [hiddenSize].flat();
  const last = layers.at(-1) ?? 0;
  const final = bidirectional ? 2 * last : last;
  return { layers, output: merge === 'concat' ? final : last, final };
}

/** Share of right tokens after these steps of training. */
function shareOf(forcing: number | Options<typeof FORCING>, step: number): number {
  if (typeof forcing === 'number') return forcing;
  const { from, to, steps } = forcing;
  return from + (to - from) * Math.min(1, step / steps);
}
