/**
 * Sequence → labels, one for each step: inputs → recurrent stack, usually in both directions → linear layers → softmax, or a
 * linear-chain CRF. Several sets of classes share all but the last layers.
 */
import * as check from '../check.js';
import type { Builder } from '../nn/builder.js';
import { Crf } from '../nn/crf.js';
import { dropout } from '../nn/dropout.js';
import { crossEntropyLoss } from '../nn/losses.js';
import { MLP } from '../nn/mlp.js';
import { softmaxRows } from '../nn/predict.js';
import type { RecurrentOptions } from '../nn/recurrent/options.js';
import { Recurrent } from '../nn/recurrent/recurrent.js';
import type { State } from '../nn/recurrent/state.js';
import type { Options, Reader, Settings } from '../options.js';
import { names, option, readOptions, recordOf, required } from '../options.js';
import type { Loss, Rows, Tape } from '../tape.js';
import type { FitHistory } from '../train/history.js';
import type { Run } from '../train/run.js';
import type { BatchOptions, BatchProgress, EpochOptions, EpochProgress } from './shared/batches.js';
import { BATCHES, encodeAll, encodeExamples, FIT_EXAMPLES } from './shared/batches.js';
import type { Examples } from './shared/flow.js';
import type { Encoded, InputConfig, InputOptions, Sequence } from './shared/inputs.js';
import { INPUT, inputOf, inputWidth, SequenceInput } from './shared/inputs.js';
import { type ClassMetrics, spanMetrics, Tally } from './shared/metrics.js';
import type { Call } from './shared/passes.js';
import { HEAD } from './shared/pooled.js';
import { type StackOptions, stackOf, stackSchema } from './shared/stack.js';
import type { Stream } from './shared/stream.js';
import type { Kind, LoadOptions, Made, TaskOptions } from './shared/task.js';
import { create, createSync, load, loadSync, Task } from './shared/task.js';

/** What a step can be: names of classes, or of those of several sets by the names of the sets. */
export type Classes = readonly string[] | Readonly<Record<string, readonly string[]>>;

const readClasses: Reader<Classes> = (name, value) => {
  if (Array.isArray(value)) return names()(name, value);
  return recordOf(names(), 'a list of names, or lists by the names of sets')(name, value);
};

const OWN = {
  /** Names of the classes, or of those of several sets: `{ pos: [...], entity: [...] }`. */
  classes: required(readClasses),
  /** A linear-chain CRF instead of a softmax: labels of neighbouring steps influence each other. Default false. */
  crf: option(check.flag, false),
};
const SCHEMA = { ...OWN, ...INPUT, ...stackSchema('lstm', 128), ...HEAD };

/** What a tagger was created with, apart from its runtime and seed. */
export interface SequenceTaggerConfig extends InputOptions, StackOptions, Options<typeof HEAD>, Options<typeof OWN> {}

/**
 * @typeParam C the classes
 * @typeParam K whether there is a CRF
 */
export interface SequenceTaggerOptions<C extends Classes = Classes, K extends boolean = boolean>
  extends TaskOptions,
    Omit<SequenceTaggerConfig, 'classes' | 'crf'> {
  /** Names of the classes, or of those of several sets: `{ pos: [...], entity: [...] }`. */
  classes: C;
  /** A linear-chain CRF instead of a softmax: labels of neighbouring steps influence each other. Default false. */
  crf?: K | undefined;
}

/** A label for each step; with several sets of classes, by the names of the sets. */
export type Labels<C extends Classes = Classes> = C extends readonly string[]
  ? readonly C[number][]
  : { readonly [S in keyof C]: C[S] extends readonly (infer L)[] ? readonly L[] : never };

/** Something for each set, or the thing itself where there is one. */
type BySet<C extends Classes, T> = C extends readonly string[] ? T : { readonly [S in keyof C]: T };

/** Names are checked when they are used, since data rarely have literal types. */
export interface TaggerExample<C extends Classes = Classes> {
  readonly input: Sequence;
  /** A label for each step; with several sets of classes, by the names of the sets. */
  readonly labels: BySet<C, readonly string[]>;
  /** What it counts in the loss of `fit`, at least 0, default 1. Examples of a batch with the same weight are computed together. */
  readonly weight?: number | undefined;
}

/** The labels, and their probabilities, step by step. A CRF decides about the whole and has no probabilities of steps. */
export type TagPrediction<C extends Classes = Classes, K extends boolean = boolean> = K extends true
  ? { readonly labels: Labels<C> }
  : { readonly labels: Labels<C>; readonly probabilities: BySet<C, Float32Array> };

export interface TagMetrics {
  /** Share of steps whose label is right. */
  readonly accuracy: number;
  readonly classes: Readonly<Record<string, ClassMetrics>>;
  /** Over whole spans, where labels are in BIO. */
  readonly spans: ClassMetrics;
}

/** `loss` is the mean over the steps, in nats, and the sum over the sets; `accuracy` the mean over the sets. */
export type TaggerReport<C extends Classes = Classes> = C extends readonly string[]
  ? { readonly loss: number } & TagMetrics
  : {
      readonly loss: number;
      readonly accuracy: number;
      readonly sets: { readonly [S in keyof C]: TagMetrics };
    };

/** A set of classes; the only one has no name. */
interface ClassSet {
  readonly name: string;
  readonly classes: readonly string[];
  readonly places: ReadonlyMap<unknown, number>;
}

/** Logits of each set, [T,B,classes]. */
class Layers {
  readonly input: SequenceInput;
  readonly rnn: Recurrent;
  readonly heads: readonly MLP[];
  readonly chains: readonly Crf[];

  constructor(
    readonly b: Builder,
    readonly settings: Settings<typeof SCHEMA>,
    readonly sets: readonly ClassSet[],
    input: InputConfig,
    stack: RecurrentOptions,
  ) {
    const { crf, hiddenLayers, outputDropout } = settings;
    const named = (prefix: string, name: string) => (name ? `${prefix}.${name}` : prefix);
    this.input = new SequenceInput(b, 'embedding', input);
    this.rnn = new Recurrent(b, 'rnn', stack);
    const inputSize = this.rnn.outputSize;
    this.heads = sets.map(({ name, classes }) => {
      const options = { inputSize, outputSize: classes.length, hiddenLayers, dropout: outputDropout };
      return new MLP(b, named('head', name), options);
    });
    this.chains = crf
      ? sets.map(({ name, classes }) => new Crf(b, named('crf', name), { numClasses: classes.length }))
      : [];
  }

  forward(tape: Tape, batch: readonly Encoded[], state?: State): Rows[] {
    const x = dropout(tape, this.b.random, this.input.forward(tape, batch), this.settings.inputDropout);
    const { output } = this.rnn.forward(tape, x, state);
    return this.heads.map((head) => head.forward(tape, output));
  }

  /** The loss of each set, a mean over the steps. */
  losses(tape: Tape, logits: readonly Rows[], batch: readonly Item[]): Loss[] {
    return logits.map((rows, k) => {
      const { T, B } = rows;
      const targets = new Int32Array(T * B).fill(-1);
      batch.forEach(({ labels }, b) => labels[k].forEach((label, t) => (targets[t * B + b] = label)));
      return this.chains.length
        ? this.chains[k].loss(tape, rows, targets, { reduction: 'tokenMean' })
        : crossEntropyLoss(tape, rows, targets);
    });
  }

  /** [B][sets] the class of each step, and its probability where a softmax says one. */
  decode(tape: Tape, logits: readonly Rows[], batch: readonly { length: number }[]): Decoded[][] {
    const bySet = logits.map((rows, k) => {
      const paths = this.chains.length ? this.chains[k].decode(tape, rows).tags : null;
      const p = paths ? null : softmaxRows(tape, rows);
      const K = rows.F;
      return batch.map(({ length }, b): Decoded => {
        const probabilities = new Float32Array(p ? length : 0);
        const tags = Int32Array.from({ length }, (_, t) => {
          if (paths) return paths[b][t];
          let best = 0;
          const at = (t * rows.B + b) * K;
          if (p) for (let c = 1; c < K; c++) if (p[at + c] > p[at + best]) best = c;
          if (p) probabilities[t] = p[at + best];
          return best;
        });
        return { tags, probabilities };
      });
    });
    return batch.map((_, b) => bySet.map((own) => own[b]));
  }
}

interface Decoded {
  readonly tags: Int32Array;
  readonly probabilities: Float32Array;
}

/** An example as numbers: the classes of its steps, set by set. */
interface Item {
  readonly length: number;
  readonly input: Encoded;
  readonly labels: readonly Int32Array[];
}

const KIND: Kind<Layers, typeof SCHEMA> = {
  task: 'sequence-tagger',
  schema: SCHEMA,
  layers: (settings) => {
    const { classes } = settings;
    const lists: [string, readonly string[]][] = Array.isArray(classes) ? [['', classes]] : Object.entries(classes);
    const sets = lists.map(([name, own]) => ({
      name,
      classes: own,
      places: new Map(own.map((label, c) => [label, c])),
    }));
    const input = inputOf(settings);
    const stack = stackOf(settings, inputWidth(input));
    return (b) => new Layers(b, settings, sets, input, stack);
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
export class SequenceTagger<C extends Classes = Classes, K extends boolean = boolean> extends Task<
  Layers,
  SequenceTaggerConfig
> {
  private constructor(made: Made<Layers, SequenceTaggerConfig>) {
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
  static async create<const C extends Classes, K extends boolean = false>(
    options: SequenceTaggerOptions<C, K>,
  ): Promise<SequenceTagger<C, K>> {
    return new SequenceTagger(await create(KIND, options));
  }

  /** The same, synchronously, for workers, worklets and scripts. */
  static createSync<const C extends Classes, K extends boolean = false>(
    options: SequenceTaggerOptions<C, K>,
  ): SequenceTagger<C, K> {
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
    examples: Examples<TaggerExample<C>>,
    options: EpochOptions<TaggerExample<C>> = {},
  ): Run<EpochProgress<TaggerReport<C>>, FitHistory> {
    const settings = readOptions('fit', FIT_EXAMPLES, options);
    return this.learn(examples, options, settings, {
      ...this.#examples,
      size: ({ length }) => length,
      loss: () => (tape, layers, batch) => {
        const logits = layers.forward(tape, inputsOf(batch));
        return layers.losses(tape, logits, batch).map((loss) => ({ loss, weight: 1 }));
      },
      measure: (items, how) => this.#measure(items, readOptions('evaluate', BATCHES, how)),
    });
  }

  /** How well it does on examples. */
  evaluate(examples: readonly TaggerExample<C>[], options: BatchOptions = {}): Run<BatchProgress, TaggerReport<C>> {
    const settings = readOptions('evaluate', BATCHES, options);
    const { fields, encode } = this.#examples;
    const call = { method: 'evaluate', data: examples, options };
    return this.#measure(encodeExamples('examples', examples, fields, encode), settings, call);
  }

  #measure(items: readonly Item[], settings: Settings<typeof BATCHES>, call?: Call) {
    const { sets } = this.model.layers;
    const counts = sets.map(({ classes }) => ({
      tally: new Tally(classes),
      right: 0,
      predicted: [] as string[][],
      actual: [] as string[][],
    }));
    let loss = 0;
    let steps = 0;
    const work = (tape: Tape, layers: Layers, batch: Item[]) => {
      const logits = layers.forward(tape, inputsOf(batch));
      const means = layers.losses(tape, logits, batch).map(({ value }) => value);
      return { means, all: layers.decode(tape, logits, batch) };
    };
    const count = ({ means, all }: ReturnType<typeof work>, batch: Item[]) => {
      const n = batch.reduce((sum, { length }) => sum + length, 0);
      for (const mean of means) loss += mean * n;
      steps += n;
      all.forEach((decoded, b) => {
        sets.forEach(({ classes }, k) => {
          const { tags } = decoded[k];
          const truth = batch[b].labels[k];
          const own = counts[k];
          truth.forEach((label, t) => {
            if (tags[t] === label) own.right++;
            classes.forEach((_, c) => own.tally.add(c, c === tags[t], c === label));
          });
          own.predicted.push(Array.from(tags, (c) => classes[c]));
          own.actual.push(Array.from(truth, (c) => classes[c]));
        });
      });
    };
    const report = () => {
      const metrics = counts.map(({ tally, right, predicted, actual }) => ({
        accuracy: right / steps,
        classes: tally.metrics,
        spans: spanMetrics(predicted, actual),
      }));
      const accuracy = metrics.reduce((sum, own) => sum + own.accuracy, 0) / sets.length;
      const one = sets[0].name === '';
      const rest = one ? metrics[0] : { accuracy, sets: this.#bySet(metrics) };
      return { loss: loss / steps, ...rest } as TaggerReport<C>;
    };
    return this.measure(items, settings, work, count, report, call);
  }

  /** The labels of sequences, in their order. */
  predict(inputs: readonly Sequence[], options: BatchOptions = {}): Run<BatchProgress, TagPrediction<C, K>[]> {
    const settings = readOptions('predict', BATCHES, options);
    const { input } = this.model.layers;
    const items = encodeAll('inputs', inputs, 'sequences', (place, sequence) => input.encode(place, sequence));
    const work = (tape: Tape, layers: Layers, batch: Encoded[]) => {
      const decoded = layers.decode(tape, layers.forward(tape, batch), batch);
      return decoded.map((own) => this.#prediction(own));
    };
    return this.forEach(items, settings, work, { method: 'predict', data: inputs, options });
  }

  /**
   * A stream: the labels of steps as they come. For models that read forward in time only, without a CRF.
   *
   * @param saved what `save` of a stream gave
   */
  stream(saved?: Uint8Array | ArrayBuffer): Stream<Sequence, TagPrediction<C, K>> {
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

  #prediction(decoded: readonly Decoded[]): TagPrediction<C, K> {
    const { sets, settings } = this.model.layers;
    const labels = this.#bySet(decoded.map(({ tags }, k) => Array.from(tags, (c) => sets[k].classes[c])));
    const probabilities = this.#bySet(decoded.map((own) => own.probabilities));
    const prediction: object = settings.crf ? { labels } : { labels, probabilities };
    return prediction as TagPrediction<C, K>;
  }

  /** One for each set, by their names where they have any. */
  #bySet<T>(list: readonly T[]): T | Record<string, T> {
    const { sets } = this.model.layers;
    return sets[0].name === '' ? list[0] : Object.fromEntries(sets.map(({ name }, k) => [name, list[k]]));
  }

  get #examples() {
    const { input, sets } = this.model.layers;
    const known = sets.map(({ name }) => name);
    const encode = (place: string, { input: sequence, labels }: TaggerExample<C>): Item => {
      const encoded = input.encode(`${place}.input`, sequence);
      const given: unknown = labels;
      if (known[0] !== '') check.options(`${place}.labels`, given, known);
      const lists = sets.map((set) => {
        const list = set.name === '' ? given : (given as Record<string, unknown>)[set.name];
        return encodeLabels(`${place}.labels${set.name && `.${set.name}`}`, list, set, encoded.length);
      });
      return { length: encoded.length, input: encoded, labels: lists };
    };
    return { fields: '{ input, labels }', encode };
  }
}

function encodeLabels(place: string, list: unknown, { classes, places }: ClassSet, steps: number): Int32Array {
  if (!Array.isArray(list)) return check.fail(place, 'a list of labels', list);
  if (list.length !== steps) throw new RangeError(`${place}: ${list.length} labels for ${steps} steps`);
  return Int32Array.from(list, (label: unknown, t) => {
    const c = places.get(label);
    if (c !== undefined) return c;
    throw new RangeError(`${place}[${t}]: ${check.show(label)} is not among the classes ${check.list(classes)}`);
  });
}

function inputsOf(batch: readonly Item[]): Encoded[] {
  return batch.map(({ input }) => input);
}
