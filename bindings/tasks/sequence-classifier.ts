/**
 * Sequence → class, or several labels at once: ŷ = softmax(g(h_T)), or a sigmoid for each label. h_T is the final state, or the mean,
 * the maximum or an attention-weighted sum of all states; g is linear or an MLP.
 */

import * as check from '../check.js';
import { Runtime } from '../core/train.js';
import { read } from '../nn/input.js';
import { bceWithLogitsLoss, crossEntropyLoss } from '../nn/losses.js';
import { softmaxRows } from '../nn/predict.js';
import { activation } from '../nn/rows.js';
import type { Options, Reader, Settings } from '../options.js';
import { names, option, optional, readOptions, real, required } from '../options.js';
import type { Loss, Rows, Tape } from '../tape.js';
import type { FitHistory } from '../train/history.js';
import type { Run } from '../train/run.js';
import type { BatchOptions, BatchProgress, EpochOptions, EpochProgress } from './shared/batches.js';
import { BATCHES, encodeAll, encodeExamples, FIT_EXAMPLES } from './shared/batches.js';
import type { Examples } from './shared/flow.js';
import type { Encoded, Sequence } from './shared/inputs.js';
import { type ClassMetrics, Tally } from './shared/metrics.js';
import type { Call } from './shared/passes.js';
import { POOLED, type PooledLayers, type PooledOptions, pooledLayers } from './shared/pooled.js';
import type { Stream } from './shared/stream.js';
import type { Kind, LoadOptions, Made, TaskOptions } from './shared/task.js';
import { create, createSync, load, loadSync, Task } from './shared/task.js';

const OWN = {
  /** Names of the classes. */
  classes: required(names()),
  /** Whether a sequence can be of several classes, or of none. Default false. */
  multiLabel: option(check.flag, false),
};
const SCHEMA = { ...OWN, ...POOLED };

/** What a classifier was created with, apart from its runtime and seed. */
export interface SequenceClassifierConfig extends PooledOptions, Options<typeof OWN> {}

/**
 * @typeParam C the names of the classes
 * @typeParam M whether there can be several
 */
export interface SequenceClassifierOptions<C extends string = string, M extends boolean = boolean>
  extends TaskOptions,
    Omit<SequenceClassifierConfig, 'classes' | 'multiLabel'> {
  /** Names of the classes. */
  classes: readonly C[];
  /** Whether a sequence can be of several classes, or of none. Default false. */
  multiLabel?: M | undefined;
}

/** Names are checked when they are used, since data rarely have literal types. */
export interface ClassifierExample<M extends boolean = boolean> {
  readonly input: Sequence;
  /** A class; with `multiLabel` a list of classes. */
  readonly label: M extends true ? readonly string[] : string;
  /** What it counts in the loss of `fit`, at least 0, default 1. Examples of a batch with the same weight are computed together. */
  readonly weight?: number | undefined;
}

/**
 * The most probable class, or null where its probability is below the `threshold` R; with `multiLabel` those of at least the threshold.
 * `probabilities` [classes] are in the order of `classes`, `probability` has them by name.
 */
export type ClassPrediction<
  C extends string = string,
  M extends boolean = boolean,
  R extends number | undefined = undefined,
> = (M extends true ? { readonly labels: readonly C[] } : { readonly label: R extends number ? C | null : C }) & {
  readonly probabilities: Float32Array;
  readonly probability: Readonly<Record<C, number>>;
};

const THRESHOLD = {
  /**
   * A class below this probability is not chosen: `label` is then null. Default: the most probable class is chosen; with `multiLabel`
   * 1/2.
   */
  threshold: optional(real(0, 1)),
};
const PREDICT = { ...BATCHES, ...THRESHOLD };

/** @typeParam R the threshold */
export interface ClassifierPredictOptions<R extends number | undefined = number | undefined> extends BatchOptions {
  /**
   * A class below this probability is not chosen: `label` is then null. Default: the most probable class is chosen; with `multiLabel`
   * 1/2.
   */
  threshold?: R;
}

export interface ClassifierReport<C extends string = string> {
  /** Mean over the sequences, in nats. */
  readonly loss: number;
  /** Share of sequences whose class, or whose whole set of labels, is right. */
  readonly accuracy: number;
  /** Mean of the classes' F1, and F1 of all decisions together. */
  readonly macroF1: number;
  readonly microF1: number;
  readonly classes: Readonly<Record<C, ClassMetrics>>;
}

type Weights = 'balanced' | Readonly<Record<string, number>>;
const WEIGHT: Reader<number> = (name, value) => check.float(name, check.number(name, value, 0, Infinity, true));
const readWeights: Reader<Weights> = (name, value) => {
  if (value === 'balanced') return value;
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return Object.freeze({ ...value });
  return check.fail(name, "an object of weights by class, or 'balanced'", value);
};
const FIT = { ...FIT_EXAMPLES, classWeights: optional(readWeights) };

export interface ClassifierFitOptions<C extends string = string, M extends boolean = boolean>
  extends EpochOptions<ClassifierExample<M>> {
  /**
   * Weight above 0 of each class in the loss, default 1, or `'balanced'`: in inverse proportion to how often a class occurs. Not with
   * `multiLabel`.
   */
  classWeights?: Readonly<Partial<Record<C, number>>> | 'balanced' | undefined;
}

type Layers = PooledLayers<Settings<typeof SCHEMA>>;

const KIND: Kind<Layers, typeof SCHEMA> = {
  task: 'sequence-classifier',
  runtimes: Runtime,
  schema: SCHEMA,
  layers: (settings) => {
    const { classes, multiLabel } = settings;
    if (!multiLabel && classes.length < 2)
      throw new RangeError('classes: expected at least two; a single one needs multiLabel: true');
    return pooledLayers(settings, classes.length);
  },
};

/** An example as numbers: its class, or a one for each of its labels. */
interface Item {
  readonly length: number;
  readonly input: Encoded;
  readonly label: Float32Array;
}

/**
 * Assigns a sequence to a class, or to several.
 *
 * @example
 * const model = await SequenceClassifier.create({ vocabulary: 'ab', classes: ['even', 'odd'], hiddenSize: 8, seed: 1 });
 * await model.fit([{ input: 'abab', label: 'even' }, { input: 'aba', label: 'odd' }], { epochs: 2 });
 * const [{ label, probabilities }] = await model.predict(['ab']); // probabilities [2], in the order of classes
 */
export class SequenceClassifier<C extends string = string, M extends boolean = boolean> extends Task<
  Layers,
  SequenceClassifierConfig
> {
  readonly #places: ReadonlyMap<unknown, number>;

  private constructor(made: Made<Layers, SequenceClassifierConfig>) {
    super(made);
    this.#places = new Map(made.config.classes.map((name, c) => [name, c]));
  }

  /** Its name, also where a bundler has shortened that of the class. */
  static get taskName() {
    return 'SequenceClassifier' as const;
  }

  /**
   * A model with fresh weights.
   *
   * @throws TypeError, RangeError for invalid options; UnsupportedError where there is no WebAssembly SIMD
   */
  static async create<const C extends string, M extends boolean = false>(
    options: SequenceClassifierOptions<C, M>,
  ): Promise<SequenceClassifier<C, M>> {
    return new SequenceClassifier(await create(KIND, options));
  }

  /** The same, synchronously, for workers, worklets and scripts. */
  static createSync<const C extends string, M extends boolean = false>(
    options: SequenceClassifierOptions<C, M>,
  ): SequenceClassifier<C, M> {
    return new SequenceClassifier(createSync(KIND, options));
  }

  /** @throws FormatError for a file that is damaged or holds something else */
  static async load(bytes: Uint8Array | ArrayBuffer, options?: LoadOptions): Promise<SequenceClassifier> {
    return new SequenceClassifier(await load(KIND, bytes, options));
  }

  static loadSync(bytes: Uint8Array | ArrayBuffer, options?: LoadOptions): SequenceClassifier {
    return new SequenceClassifier(loadSync(KIND, bytes, options));
  }

  /**
   * Trains on examples, shuffled in each epoch: a list, an iterable or async iterable that is read once, or a function that returns one
   * for each epoch. Called again it resumes, also after `save` and `load`.
   *
   * @throws before anything changes: RangeError, TypeError for invalid examples; NonFiniteError
   */
  fit(
    examples: Examples<ClassifierExample<M>>,
    options: ClassifierFitOptions<C, M> = {},
  ): Run<EpochProgress<ClassifierReport<C>>, FitHistory> {
    const settings = readOptions('fit', FIT, options);
    let weights: Float32Array | undefined;
    return this.learn(examples, options, settings, {
      ...this.#examples,
      size: ({ label }) => weights?.[label[0]] ?? 1,
      loss: (items) => {
        weights = this.#weights(settings.classWeights, items);
        return (tape, layers, batch) => this.#loss(tape, layers.forwardAll(tape, batch), batch, weights);
      },
      measure: (items, how) => this.#measure(items, readOptions('evaluate', BATCHES, how)),
    });
  }

  /** How well it does on examples. */
  evaluate(
    examples: readonly ClassifierExample<M>[],
    options: BatchOptions = {},
  ): Run<BatchProgress, ClassifierReport<C>> {
    const settings = readOptions('evaluate', BATCHES, options);
    const { fields, encode } = this.#examples;
    const call = { method: 'evaluate', data: examples, options };
    return this.#measure(encodeExamples('examples', examples, fields, encode), settings, call);
  }

  #measure(items: readonly Item[], settings: Settings<typeof BATCHES>, call?: Call) {
    const { classes, multiLabel } = this.model.layers.settings;
    const tally = new Tally(classes);
    let loss = 0;
    let right = 0;
    const work = (tape: Tape, layers: Layers, batch: Item[]) => {
      const logits = layers.forwardAll(tape, batch);
      return { mean: this.#loss(tape, logits, batch).value, decisions: this.#decisions(tape, logits) };
    };
    const count = ({ mean, decisions }: ReturnType<typeof work>, batch: Item[]) => {
      loss += mean * batch.length;
      decisions.forEach(({ chosen }, b) => {
        const { label } = batch[b];
        const actual = (c: number) => (multiLabel ? label[c] > 0 : label[0] === c);
        classes.forEach((_, c) => tally.add(c, chosen[c], actual(c)));
        if (chosen.every((yes, c) => yes === actual(c))) right++;
      });
    };
    const n = items.length;
    const report = (): ClassifierReport<C> => ({
      loss: loss / n,
      accuracy: right / n,
      macroF1: tally.macroF1,
      microF1: tally.microF1,
      classes: tally.metrics,
    });
    return this.measure(items, settings, work, count, report, call);
  }

  /** The classes of sequences, in their order. */
  predict<R extends number | undefined = undefined>(
    inputs: readonly Sequence[],
    options: ClassifierPredictOptions<R> = {},
  ): Run<BatchProgress, ClassPrediction<C, M, R>[]> {
    const settings = readOptions('predict', PREDICT, options);
    const { input } = this.model.layers;
    const items = encodeAll('inputs', inputs, 'sequences', (place, sequence) => input.encode(place, sequence));
    const work = (tape: Tape, layers: Layers, batch: Encoded[]) =>
      this.#predictions<R>(tape, layers.forward(tape, batch), settings.threshold);
    return this.forEach(items, settings, work, { method: 'predict', data: inputs, options });
  }

  /**
   * A stream: after each step, the class of what has been read so far. For models that read forward in time only, with `pooling: 'last'`.
   *
   * @param saved what `save` of a stream gave
   */
  stream(saved?: Uint8Array | ArrayBuffer): Stream<Sequence, ClassPrediction<C, M>> {
    const { layers } = this.model;
    const results = (tape: Tape, logits: Rows) => this.#predictions<undefined>(tape, logits);
    return this.openStream(saved, layers.reader(results));
  }

  #loss(tape: Tape, logits: Rows, batch: readonly Item[], weights?: Float32Array): Loss {
    if (!this.model.layers.settings.multiLabel) {
      const targets = batch.map(({ label }) => label[0]);
      return crossEntropyLoss(tape, logits, targets, weights ? { weights } : {});
    }
    const all = new Float32Array(batch.length * logits.F);
    batch.forEach(({ label }, b) => all.set(label, b * logits.F));
    return bceWithLogitsLoss(tape, logits, all);
  }

  /** [B] the probabilities of the classes, and whether each is chosen. */
  #decisions(tape: Tape, logits: Rows, threshold?: number): { probabilities: Float32Array; chosen: boolean[] }[] {
    const { multiLabel } = this.model.layers.settings;
    const K = logits.F;
    const values = multiLabel ? read(tape, activation(tape, logits, 'sigmoid')) : softmaxRows(tape, logits);
    return Array.from({ length: logits.B }, (_, b) => {
      const probabilities = values.slice(b * K, (b + 1) * K);
      const best = probabilities.reduce((top, p, c) => (p > probabilities[top] ? c : top), 0);
      const chosen = Array.from(probabilities, (p, c) =>
        multiLabel ? p >= (threshold ?? 0.5) : c === best && p >= (threshold ?? 0),
      );
      return { probabilities, chosen };
    });
  }

  #predictions<R extends number | undefined>(tape: Tape, logits: Rows, threshold?: number): ClassPrediction<C, M, R>[] {
    const { classes, multiLabel } = this.model.layers.settings;
    return this.#decisions(tape, logits, threshold).map(({ probabilities, chosen }) => {
      const labels = classes.filter((_, c) => chosen[c]);
      const probability = Object.fromEntries(classes.map((name, c) => [name, probabilities[c]]));
      const prediction: object = {
        ...(multiLabel ? { labels } : { label: labels[0] ?? null }),
        probabilities,
        probability,
      };
      return prediction as ClassPrediction<C, M, R>;
    });
  }

  get #examples() {
    const { input, settings } = this.model.layers;
    const { classes, multiLabel } = settings;
    const place = (name: string, label: unknown) => {
      const c = this.#places.get(label);
      if (c !== undefined) return c;
      throw new RangeError(`${name}: ${check.show(label)} is not among the classes ${check.list(classes)}`);
    };
    const encode = (name: string, { input: sequence, label }: ClassifierExample<M>): Item => {
      const encoded = input.encode(`${name}.input`, sequence);
      const at = `${name}.label`;
      if (!multiLabel) return { length: encoded.length, input: encoded, label: Float32Array.of(place(at, label)) };
      if (!Array.isArray(label)) check.fail(at, 'a list of classes', label);
      const ones = new Float32Array(classes.length);
      for (const own of label as readonly unknown[]) ones[place(at, own)] = 1;
      return { length: encoded.length, input: encoded, label: ones };
    };
    return { fields: '{ input, label }', encode };
  }

  #weights(given: Weights | undefined, items: readonly Item[]): Float32Array | undefined {
    const { classes, multiLabel } = this.model.layers.settings;
    if (given === undefined) return undefined;
    if (multiLabel) throw new RangeError('classWeights and multiLabel cannot be combined');
    if (given === 'balanced') {
      if (!items.length) throw new TypeError("classWeights: 'balanced' needs a list of examples");
      const counts = new Float32Array(classes.length);
      for (const { label } of items) counts[label[0]]++;
      return counts.map((n) => (n ? items.length / classes.length / n : 0));
    }
    check.options('classWeights', given, classes);
    const weight = (name: string) => (check.hasOwn(given, name) ? given[name] : 1);
    return Float32Array.from(classes, (name) => WEIGHT(`classWeights.${check.cut(name)}`, weight(name)));
  }
}
