/**
 * Sequence → labels, one or several for each step: inputs → recurrent stack, usually in both directions → linear layers → softmax, a
 * sigmoid for each class, or a linear-chain CRF. Several sets of classes share all but the last layers.
 */

import * as check from '../check.js';
import { Runtime } from '../core/train.js';
import type { Options, Settings } from '../options.js';
import { optional, readOptions, real } from '../options.js';
import type { Tape } from '../tape.js';
import type { FitHistory } from '../train/history.js';
import type { Run } from '../train/run.js';
import type { BatchOptions, BatchProgress, EpochOptions, EpochProgress } from './shared/batches.js';
import { BATCHES, encodeAll, encodeExamples, FIT_EXAMPLES } from './shared/batches.js';
import type { Examples } from './shared/flow.js';
import type { Encoded, InputOptions, Sequence, Vectors } from './shared/inputs.js';
import { inputOf, inputWidth } from './shared/inputs.js';
import { type ClassMetrics, spanMetrics, Tally } from './shared/metrics.js';
import type { Call } from './shared/passes.js';
import type { HEAD } from './shared/pooled.js';
import { type StackOptions, stackOf } from './shared/stack.js';
import type { Stream } from './shared/stream.js';
import type { Classes, ClassSet, Decoded, TAGGER, TagItem } from './shared/tagger-layers.js';
import { classSets, encodeFrames, encodeLabels, TAGGER_SCHEMA, TaggerLayers } from './shared/tagger-layers.js';
import type { Kind, LoadOptions, Made, TaskOptions } from './shared/task.js';
import { create, createSync, load, loadSync, Task } from './shared/task.js';

/** What a tagger was created with, apart from its runtime and seed. */
export interface SequenceTaggerConfig
  extends InputOptions,
    StackOptions,
    Options<typeof HEAD>,
    Options<typeof TAGGER> {}

/**
 * @typeParam C the classes
 * @typeParam K whether there is a CRF
 * @typeParam M whether a step can be of several classes
 */
export interface SequenceTaggerOptions<
  C extends Classes = Classes,
  K extends boolean = boolean,
  M extends boolean = boolean,
> extends TaskOptions,
    Omit<SequenceTaggerConfig, 'classes' | 'crf' | 'multiLabel'> {
  /** Names of the classes, or of those of several sets: `{ pos: [...], entity: [...] }`. */
  classes: C;
  /** A linear-chain CRF instead of a softmax: labels of neighbouring steps influence each other. Default false. */
  crf?: (K & (M extends true ? false : unknown)) | undefined;
  /** Whether a step can be of several classes of a set, or of none. Not with `crf`. Default false. */
  multiLabel?: M | undefined;
}

/** Labels of a step: one, or with `multiLabel` a list. */
type OfStep<L, M extends boolean> = M extends true ? readonly L[] : L;

/** The labels of each step; with several sets of classes, by the names of the sets. */
export type Labels<C extends Classes = Classes, M extends boolean = false> = C extends readonly string[]
  ? readonly OfStep<C[number], M>[]
  : { readonly [S in keyof C]: C[S] extends readonly (infer L)[] ? readonly OfStep<L, M>[] : never };

/** Something for each set, or the thing itself where there is one. */
type BySet<C extends Classes, T> = C extends readonly string[] ? T : { readonly [S in keyof C]: T };

/** Probabilities [T] by the names of the classes; with several sets of classes, by the names of the sets. */
export type ByClass<C extends Classes = Classes> = C extends readonly string[]
  ? Readonly<Record<C[number], Float32Array>>
  : { readonly [S in keyof C]: C[S] extends readonly string[] ? Readonly<Record<C[S][number], Float32Array>> : never };

/** Names are checked when they are used, since data rarely have literal types. */
export interface TaggerExample<C extends Classes = Classes, M extends boolean = boolean> {
  readonly input: Sequence;
  /**
   * A label for each step; with `multiLabel` a list of labels for each step, or frames of zeros and ones [T,classes]. With several sets
   * of classes, by the names of the sets.
   */
  readonly labels: BySet<C, M extends true ? readonly (readonly string[])[] | Vectors : readonly string[]>;
  /** What it counts in the loss of `fit`, at least 0, default 1. Examples of a batch with the same weight are computed together. */
  readonly weight?: number | undefined;
}

/**
 * The labels, and their probabilities [T], step by step. A CRF decides about the whole and has no probabilities of steps. With
 * `multiLabel` the labels are those of at least the threshold; `probabilities` [T,classes] are in the order of `classes`, `probability`
 * has those of each class [T] by its name.
 */
export type TagPrediction<
  C extends Classes = Classes,
  K extends boolean = boolean,
  M extends boolean = boolean,
> = M extends true
  ? {
      readonly labels: Labels<C, true>;
      readonly probabilities: BySet<C, Float32Array>;
      readonly probability: ByClass<C>;
    }
  : K extends true
    ? { readonly labels: Labels<C> }
    : { readonly labels: Labels<C>; readonly probabilities: BySet<C, Float32Array> };

export interface TagMetrics {
  /** Share of steps whose label is right. */
  readonly accuracy: number;
  readonly classes: Readonly<Record<string, ClassMetrics>>;
  /** Over whole spans, where labels are in BIO. */
  readonly spans: ClassMetrics;
}

/** Of a tagger with `multiLabel`. */
export interface MultiTagMetrics {
  /** Share of steps whose whole set of labels is right. */
  readonly accuracy: number;
  /** Mean of the classes' F1, and F1 of all decisions together. */
  readonly macroF1: number;
  readonly microF1: number;
  readonly classes: Readonly<Record<string, ClassMetrics>>;
}

/**
 * `loss` is the mean over the steps, with `multiLabel` over the steps and classes, in nats, and the sum over the sets; `accuracy` the
 * mean over the sets.
 */
export type TaggerReport<C extends Classes = Classes, M extends boolean = boolean> = C extends readonly string[]
  ? { readonly loss: number } & (M extends true ? MultiTagMetrics : TagMetrics)
  : {
      readonly loss: number;
      readonly accuracy: number;
      readonly sets: { readonly [S in keyof C]: M extends true ? MultiTagMetrics : TagMetrics };
    };

const THRESHOLD = {
  /** With `multiLabel`: classes of at least this probability are chosen. Default 1/2. */
  threshold: optional(real(0, 1)),
};
const PREDICT = { ...BATCHES, ...THRESHOLD };

export interface TaggerPredictOptions extends BatchOptions, Options<typeof THRESHOLD> {}

const KIND: Kind<TaggerLayers, typeof TAGGER_SCHEMA> = {
  task: 'sequence-tagger',
  runtimes: Runtime,
  schema: TAGGER_SCHEMA,
  layers: (settings) => {
    if (settings.crf && settings.multiLabel) check.clash('crf', 'multiLabel', 'a chain has one label in each step');
    const sets = classSets(settings.classes);
    const input = inputOf(settings);
    const stack = stackOf(settings, inputWidth(input));
    return (b) => new TaggerLayers(b, settings, sets, input, stack);
  },
};

/**
 * Labels each step of a sequence.
 *
 * @example
 * const tagger = await SequenceTagger.create({ vocabulary: 'ab1', classes: ['letter', 'digit'], hiddenSize: 8, seed: 1 });
 * await tagger.fit([{ input: 'a1', labels: ['letter', 'digit'] }], { epochs: 2 });
 * const [{ labels, probabilities }] = await tagger.predict(['1b']); // one of each for each step
 */
export class SequenceTagger<
  C extends Classes = Classes,
  K extends boolean = boolean,
  M extends boolean = boolean,
> extends Task<TaggerLayers, SequenceTaggerConfig> {
  private constructor(made: Made<TaggerLayers, SequenceTaggerConfig>) {
    super(made);
  }

  /** Its name, also where a bundler has shortened that of the class. */
  static get taskName() {
    return 'SequenceTagger' as const;
  }

  /**
   * A model with fresh weights.
   *
   * @throws TypeError, RangeError for invalid options; UnsupportedError where there is no WebAssembly SIMD
   */
  static async create<const C extends Classes, K extends boolean = false, M extends boolean = false>(
    options: SequenceTaggerOptions<C, K, M>,
  ): Promise<SequenceTagger<C, K, M>> {
    return new SequenceTagger(await create(KIND, options));
  }

  /** The same, synchronously, for workers, worklets and scripts. */
  static createSync<const C extends Classes, K extends boolean = false, M extends boolean = false>(
    options: SequenceTaggerOptions<C, K, M>,
  ): SequenceTagger<C, K, M> {
    return new SequenceTagger(createSync(KIND, options));
  }

  /** @throws FormatError for a file that is damaged or holds something else */
  static async load(bytes: Uint8Array | ArrayBuffer, options?: LoadOptions): Promise<SequenceTagger> {
    return new SequenceTagger(await load(KIND, bytes, options));
  }

  static loadSync(bytes: Uint8Array | ArrayBuffer, options?: LoadOptions): SequenceTagger {
    return new SequenceTagger(loadSync(KIND, bytes, options));
  }

  /**
   * Trains on examples, shuffled in each epoch: a list, an iterable or async iterable that is read once, or a function that returns one
   * for each epoch. Called again it resumes, also after `save` and `load`.
   *
   * @throws before anything changes: RangeError, TypeError for invalid examples; NonFiniteError
   */
  fit(
    examples: Examples<TaggerExample<C, M>>,
    options: EpochOptions<TaggerExample<C, M>> = {},
  ): Run<EpochProgress<TaggerReport<C, M>>, FitHistory> {
    const settings = readOptions('fit', FIT_EXAMPLES, options);
    return this.learn(examples, options, settings, {
      ...this.#examples,
      size: ({ length }) => length,
      loss: () => (tape, layers, batch) => {
        const logits = layers.forwardAll(tape, batch);
        return layers.losses(tape, logits, batch).map((loss) => ({ loss, weight: 1 }));
      },
      measure: (items, how) => this.#measure(items, readOptions('evaluate', BATCHES, how)),
    });
  }

  /** How well it does on examples. */
  evaluate(
    examples: readonly TaggerExample<C, M>[],
    options: BatchOptions = {},
  ): Run<BatchProgress, TaggerReport<C, M>> {
    const settings = readOptions('evaluate', BATCHES, options);
    const { fields, encode } = this.#examples;
    const call = { method: 'evaluate', data: examples, options };
    return this.#measure(encodeExamples('examples', examples, fields, encode), settings, call);
  }

  #measure(items: readonly TagItem[], settings: Settings<typeof BATCHES>, call?: Call) {
    const { sets, settings: own } = this.model.layers;
    const counts = sets.map((set) => new Counts(set, own.multiLabel));
    let loss = 0;
    let steps = 0;
    const work = (tape: Tape, layers: TaggerLayers, batch: TagItem[]) => {
      const logits = layers.forwardAll(tape, batch);
      const means = layers.losses(tape, logits, batch).map(({ value }) => value);
      return { means, all: layers.decode(tape, logits, batch) };
    };
    const count = ({ means, all }: ReturnType<typeof work>, batch: TagItem[]) => {
      const n = batch.reduce((sum, { length }) => sum + length, 0);
      for (const mean of means) loss += mean * n;
      steps += n;
      all.forEach((decoded, b) => {
        counts.forEach((set, k) => set.add(decoded[k].tags, batch[b].labels[k]));
      });
    };
    const report = () => {
      const metrics = counts.map((set) => set.metrics(steps));
      const accuracy = metrics.reduce((sum, set) => sum + set.accuracy, 0) / sets.length;
      const one = sets[0].name === '';
      const rest = one ? metrics[0] : { accuracy, sets: this.#bySet(metrics) };
      return { loss: loss / steps, ...rest } as TaggerReport<C, M>;
    };
    return this.measure(items, settings, work, count, report, call);
  }

  /** The labels of sequences, in their order. */
  predict(
    inputs: readonly Sequence[],
    options: M extends true ? TaggerPredictOptions : BatchOptions = {},
  ): Run<BatchProgress, TagPrediction<C, K, M>[]> {
    const { threshold, ...settings } = readOptions('predict', PREDICT, options);
    const { input, settings: own } = this.model.layers;
    if (threshold !== undefined && !own.multiLabel) throw new TypeError('threshold: needs multiLabel: true');
    const items = encodeAll('inputs', inputs, 'sequences', (place, sequence) => input.encode(place, sequence));
    const work = (tape: Tape, layers: TaggerLayers, batch: Encoded[]) => {
      const decoded = layers.decode(tape, layers.forward(tape, batch), batch, threshold);
      return decoded.map((own) => this.#prediction(own));
    };
    return this.forEach(items, settings, work, { method: 'predict', data: inputs, options });
  }

  /**
   * A stream: the labels of steps as they come. For models that read forward in time only, without a CRF.
   *
   * @param saved what `save` of a stream gave
   */
  stream(saved?: Uint8Array | ArrayBuffer): Stream<Sequence, TagPrediction<C, K, M>> {
    const { layers } = this.model;
    const { bidirectional, reverse, crf, cell } = layers.settings;
    if (bidirectional || reverse || crf) {
      throw new TypeError('stream: needs a model that reads forward in time only, without a CRF');
    }
    return this.openStream(saved, {
      cell,
      start: () => ({ state: layers.rnn.state(1), values: {} }),
      step: (sequence: Sequence, { state }) => {
        const batch = [layers.input.encode('input', sequence)];
        return this.model.forward((tape) => {
          const [decoded] = layers.decode(tape, layers.forward(tape, batch, state), batch);
          return this.#prediction(decoded);
        });
      },
    });
  }

  #prediction(decoded: readonly Decoded[]): TagPrediction<C, K, M> {
    const { sets, settings } = this.model.layers;
    const probabilities = this.#bySet(decoded.map((own) => own.probabilities));
    const prediction = (): object => {
      if (!settings.multiLabel) {
        const labels = this.#bySet(decoded.map(({ tags }, k) => Array.from(tags, (c) => sets[k].classes[c])));
        return settings.crf ? { labels } : { labels, probabilities };
      }
      const labels = decoded.map(({ tags }, k) => {
        const { classes } = sets[k];
        const K = classes.length;
        return Array.from({ length: tags.length / K }, (_, t) => classes.filter((_, c) => tags[t * K + c] === 1));
      });
      const probability = decoded.map((own, k) => {
        const { classes } = sets[k];
        const K = classes.length;
        const column = (c: number) => own.probabilities.filter((_, i) => i % K === c);
        return Object.fromEntries(classes.map((name, c) => [name, column(c)]));
      });
      return { labels: this.#bySet(labels), probabilities, probability: this.#bySet(probability) };
    };
    return prediction() as TagPrediction<C, K, M>;
  }

  /** One for each set, by their names where they have any. */
  #bySet<T>(list: readonly T[]): T | Record<string, T> {
    const { sets } = this.model.layers;
    return sets[0].name === '' ? list[0] : Object.fromEntries(sets.map(({ name }, k) => [name, list[k]]));
  }

  get #examples() {
    const { input, sets, settings } = this.model.layers;
    const read = settings.multiLabel ? encodeFrames : encodeLabels;
    const known = sets.map(({ name }) => name);
    const encode = (place: string, { input: sequence, labels }: TaggerExample<C, M>): TagItem => {
      const encoded = input.encode(`${place}.input`, sequence);
      const given: unknown = labels;
      if (known[0] !== '') check.options(`${place}.labels`, given, known);
      const lists = sets.map((set) => {
        const list = set.name === '' ? given : (given as Record<string, unknown>)[set.name];
        return read(`${place}.labels${set.name && `.${set.name}`}`, list, set, encoded.length);
      });
      return { length: encoded.length, input: encoded, labels: lists };
    };
    return { fields: '{ input, labels }', encode };
  }
}

/** What is counted of a set of classes. */
class Counts {
  readonly #tally: Tally;
  #right = 0;
  readonly #predicted: string[][] = [];
  readonly #actual: string[][] = [];

  constructor(
    readonly set: ClassSet,
    readonly several: boolean,
  ) {
    this.#tally = new Tally(set.classes);
  }

  /** A sequence: classes [T], or ones and zeros [T,classes]. */
  add(tags: Int32Array, truth: Float32Array): void {
    const { classes } = this.set;
    const K = classes.length;
    if (this.several) {
      for (let t = 0; t * K < tags.length; t++) {
        let same = true;
        for (let c = 0; c < K; c++) {
          const i = t * K + c;
          this.#tally.add(c, tags[i] === 1, truth[i] === 1);
          same &&= tags[i] === truth[i];
        }
        if (same) this.#right++;
      }
      return;
    }
    truth.forEach((label, t) => {
      if (tags[t] === label) this.#right++;
      classes.forEach((_, c) => this.#tally.add(c, c === tags[t], c === label));
    });
    this.#predicted.push(Array.from(tags, (c) => classes[c]));
    this.#actual.push(Array.from(truth, (c) => classes[c]));
  }

  metrics(steps: number): TagMetrics | MultiTagMetrics {
    const { metrics: classes, macroF1, microF1 } = this.#tally;
    const accuracy = this.#right / steps;
    if (this.several) return { accuracy, macroF1, microF1, classes };
    return { accuracy, classes, spans: spanMetrics(this.#predicted, this.#actual) };
  }
}
