/**
 * Sequence → labels, one for every step: inputs → recurrent stack, usually in both directions → linear map or perceptron → softmax or
 * a chain of labels (CRF). Several sets of labels at once share all but the last layers.
 */
import type { CellName } from '../cells/index.js';
import * as check from '../check.js';
import type { Runtime } from '../core/runtime.js';
import { Crf } from '../nn/crf.js';
import { dropout } from '../nn/dropout.js';
import { crossEntropyLoss } from '../nn/losses.js';
import { MLP } from '../nn/mlp.js';
import type { Builder, Model } from '../nn/model.js';
import { softmaxRows } from '../nn/predict.js';
import { checkRecurrent, RECURRENT_OPTIONS, type RecurrentOptions } from '../nn/recurrent/options.js';
import { Recurrent } from '../nn/recurrent/recurrent.js';
import type { State } from '../nn/recurrent/state.js';
import type { Loss, Rows, Tape } from '../tape.js';
import type { Run } from '../train/run.js';
import {
  type BatchOptions,
  type BatchProgress,
  checkEpochs,
  type EpochOptions,
  type EpochProgress,
  fitExamples,
  inBatches,
} from './examples.js';
import {
  type Encoded,
  INPUT_OPTIONS,
  type InputConfig,
  type InputOptions,
  inputConfig,
  inputOptions,
  inputWidth,
  type Sequence,
  SequenceInput,
} from './inputs.js';
import { checkTask, Learner, openTask, storable, TASK_OPTIONS, type TaskOptions } from './learner.js';
import { type ClassFigures, spanFigures, Tally } from './metrics.js';
import { checkClasses } from './sequence-classifier.js';

type Stack = Omit<RecurrentOptions, 'cell' | 'inputSize' | 'hiddenSize'>;

/** Labels for every step: a list, or lists by the names of the sets. */
export type Labels = readonly string[] | Readonly<Record<string, readonly string[]>>;

export interface SequenceTaggerOptions extends TaskOptions, InputOptions, Stack {
  /** Names of the labels, or of those of several sets: `{ pos: [...], entity: [...] }`. */
  labels: Labels;
  /** Whether labels of neighbours influence each other: a linear-chain CRF in place of a softmax. */
  crf?: boolean | undefined;
  /** Default `'lstm'`. */
  cell?: CellName | undefined;
  /** Units of each recurrent layer, or a list, default 128. */
  hiddenSize?: number | readonly number[] | undefined;
  /** Widths of layers between the recurrent ones and the labels, default none. */
  hiddenLayers?: readonly number[] | undefined;
  /** Share of the inputs, and of what goes into the output layers, that is dropped in training, default 0. */
  inputDropout?: number | undefined;
  outputDropout?: number | undefined;
}

/** What a tagger was created with, but for its runtime and seed. */
export type SequenceTaggerConfig = Omit<SequenceTaggerOptions, keyof TaskOptions>;

const OWN = ['labels', 'crf', 'hiddenLayers', 'inputDropout', 'outputDropout'] as const;
const STACK = Object.keys(RECURRENT_OPTIONS).filter((key) => key !== 'inputSize');
const KEPT = [...new Set([...OWN, ...STACK, ...INPUT_OPTIONS])];
const TASK = 'sequence-tagger';

export interface TaggerExample {
  readonly input: Sequence;
  /** A label for every step; by the names of the sets where there are several. */
  readonly labels: Labels;
}

/** The labels of a sequence, by the names of the sets; where there is one without a name, under ''. */
export interface TagPrediction {
  /** Those of the only, or the first, set. */
  readonly labels: readonly string[];
  readonly sets: Readonly<Record<string, readonly string[]>>;
  /** Of the labels said, step by step, by the names of the sets; empty with a CRF, which decides as a whole. */
  readonly probabilities: Readonly<Record<string, Float32Array>>;
}

export interface TaggerReport {
  readonly loss: number;
  /** Share of steps whose label is right, of the only, or the first, set. */
  readonly accuracy: number;
  readonly sets: Readonly<
    Record<
      string,
      {
        readonly accuracy: number;
        readonly classes: Record<string, ClassFigures>;
        /** Over whole stretches, where labels are in BIO. */
        readonly spans: ClassFigures;
      }
    >
  >;
}

interface Settings {
  readonly input: InputConfig;
  readonly stack: RecurrentOptions;
  readonly sets: readonly { readonly name: string; readonly labels: readonly string[] }[];
  readonly crf: boolean;
  readonly hiddenLayers: readonly number[];
  readonly inputDropout: number;
  readonly outputDropout: number;
}

/** Logits of each set, [T,B,labels]. */
class Layers {
  readonly input: SequenceInput;
  readonly rnn: Recurrent;
  readonly heads: readonly MLP[];
  readonly chains: readonly Crf[];

  constructor(
    readonly b: Builder,
    readonly settings: Settings,
  ) {
    const { sets, crf, hiddenLayers, outputDropout } = settings;
    const named = (prefix: string, name: string) => (name ? `${prefix}.${name}` : prefix);
    this.input = new SequenceInput(b, 'embedding', settings.input);
    this.rnn = new Recurrent(b, 'rnn', settings.stack);
    const inputSize = this.rnn.outputSize;
    this.heads = sets.map(({ name, labels }) => {
      const options = { inputSize, outputSize: labels.length, hiddenLayers, dropout: outputDropout };
      return new MLP(b, named('head', name), options);
    });
    this.chains = crf ? sets.map(({ name, labels }) => new Crf(b, named('crf', name), { labels: labels.length })) : [];
  }

  forward(tape: Tape, batch: readonly Encoded[], state?: State): Rows[] {
    const x = dropout(tape, this.b.random, this.input.forward(tape, batch), this.settings.inputDropout);
    const { output } = this.rnn.forward(tape, x, state);
    return this.heads.map((head) => head.forward(tape, output));
  }
}

function checkOptions(options: SequenceTaggerOptions): {
  settings: Settings;
  config: SequenceTaggerConfig;
  seed: number;
} {
  check.options('options', options, [...KEPT, ...TASK_OPTIONS]);
  const seed = checkTask(options);
  const { labels, crf = false, hiddenLayers = [], inputDropout = 0, outputDropout = 0 } = options;
  const { cell = 'lstm', hiddenSize = 128 } = options;
  check.flag('crf', crf);
  const lists: Record<string, unknown> = Array.isArray(labels) ? { '': labels } : (labels as Record<string, unknown>);
  if (typeof lists !== 'object' || lists === null)
    check.fail('labels', 'a list of names, or lists by the names of sets', labels);
  const sets = Object.entries(lists).map(([name, list]) => {
    const place = name ? `labels.${name}` : 'labels';
    return { name, labels: checkClasses(place, list) };
  });
  if (sets.length === 0) throw new RangeError('labels: there are none');
  if (!Array.isArray(labels) && sets.some(({ name }) => name === ''))
    throw new RangeError('labels: one set has no name');
  for (const [key, rate] of Object.entries({ inputDropout, outputDropout })) {
    if (check.number(key, rate, 0) >= 1) check.fail(key, 'a number below 1', rate);
  }
  if (!Array.isArray(hiddenLayers)) check.fail('hiddenLayers', 'a list of widths', hiddenLayers);
  const input = inputConfig(options);
  const stack = { ...storable(options, STACK), cell, hiddenSize, inputSize: inputWidth(input) } as RecurrentOptions;
  checkRecurrent('options', stack);
  return {
    seed,
    config: { ...storable(options, KEPT), ...inputOptions(input) } as SequenceTaggerConfig,
    settings: { input, stack, sets, crf, hiddenLayers, inputDropout, outputDropout },
  };
}

export class SequenceTagger {
  /** What it was created with. */
  readonly config: SequenceTaggerConfig;
  readonly #learner: Learner<Layers>;

  private constructor(learner: Learner<Layers>, config: SequenceTaggerConfig) {
    this.#learner = learner;
    this.config = config;
  }

  /**
   * A model with fresh weights.
   *
   * @throws TypeError, RangeError for options that are none; UnsupportedError where WebAssembly SIMD cannot be had
   */
  static async create(options: SequenceTaggerOptions): Promise<SequenceTagger> {
    const { config, settings, seed } = checkOptions(options);
    return new SequenceTagger(await Learner.create({ ...options, seed }, (b) => new Layers(b, settings)), config);
  }

  get model(): Model<Layers> {
    return this.#learner.model;
  }

  get runtime(): Runtime {
    return this.#learner.runtime;
  }

  get #settings(): Settings {
    return this.model.layers.settings;
  }

  /**
   * Learns from examples, shuffled anew for each pass. Called again it goes on, also after `save` and `load`.
   *
   * @throws before anything is changed: RangeError, TypeError for examples that are none; NonFiniteError
   */
  fit(examples: readonly TaggerExample[], options: EpochOptions = {}): Run<EpochProgress, void> {
    checkEpochs(options);
    const { inputs, labels } = this.#encode(examples);
    const lengths = inputs.map(({ length }) => length);
    return fitExamples(this.#learner, lengths, options, (tape, layers, indices) => {
      const logits = layers.forward(
        tape,
        Array.from(indices, (i) => inputs[i]),
      );
      return this.#losses(
        tape,
        layers,
        logits,
        Array.from(indices, (i) => labels[i]),
      ).map((loss) => ({ loss, weight: 1 }));
    });
  }

  /** The loss of each set, a mean over the steps. */
  #losses(tape: Tape, { chains }: Layers, logits: readonly Rows[], labels: readonly (readonly Int32Array[])[]): Loss[] {
    return logits.map((rows, k) => {
      const { T, B } = rows;
      const targets = new Int32Array(T * B).fill(-1);
      labels.forEach((sets, b) => sets[k].forEach((label, t) => (targets[t * B + b] = label)));
      return chains.length
        ? chains[k].loss(tape, rows, targets, { reduction: 'tokenMean' })
        : crossEntropyLoss(tape, rows, targets);
    });
  }

  /**
   * How well it does on examples.
   *
   * @param options `batchSize`: sequences at a time, default 64; `signal`
   */
  evaluate(examples: readonly TaggerExample[], options: BatchOptions = {}): Run<BatchProgress, TaggerReport> {
    const { inputs, labels } = this.#encode(examples);
    const { sets } = this.#settings;
    const said: TagPrediction[] = new Array(inputs.length);
    let loss = 0;
    let steps = 0;
    const work = (indices: Int32Array) => {
      const predictions = this.model.forward((tape, layers) => {
        const logits = layers.forward(
          tape,
          Array.from(indices, (i) => inputs[i]),
        );
        const own = Array.from(indices, (i) => labels[i]);
        const count = own.reduce((n, [first]) => n + first.length, 0);
        for (const { value } of this.#losses(tape, layers, logits, own)) loss += value * count;
        steps += count;
        return this.#predictions(
          tape,
          layers,
          logits,
          Array.from(indices, (i) => inputs[i].length),
        );
      });
      indices.forEach((i, n) => {
        said[i] = predictions[n];
      });
    };
    const finish = (): TaggerReport => {
      const report = sets.map(({ name, labels: names }, k) => {
        const tally = new Tally(names);
        let right = 0;
        labels.forEach((truth, i) => {
          const tags = said[i].sets[name];
          truth[k].forEach((label, t) => {
            if (tags[t] === names[label]) right++;
            names.forEach((n, c) => tally.add(c, n === tags[t], c === label));
          });
        });
        const so = labels.map((truth) => Array.from(truth[k], (label) => names[label]));
        const spans = spanFigures(
          said.map(({ sets: all }) => all[name]),
          so,
        );
        return [name, { accuracy: right / steps, classes: tally.figures, spans }] as const;
      });
      return { loss: loss / steps, accuracy: report[0][1].accuracy, sets: Object.fromEntries(report) };
    };
    return inBatches(
      inputs.map(({ length }) => length),
      options,
      work,
      finish,
    );
  }

  /**
   * Labels of sequences, in their order.
   *
   * @param options `batchSize`: sequences at a time, default 64; `signal`
   */
  predict(inputs: readonly Sequence[], options: BatchOptions = {}): Run<BatchProgress, TagPrediction[]> {
    if (!Array.isArray(inputs)) check.fail('inputs', 'a list of sequences', inputs);
    const encoded = inputs.map((sequence, i) => this.model.layers.input.encode(`inputs[${i}]`, sequence));
    const results: TagPrediction[] = new Array(inputs.length);
    const work = (indices: Int32Array) => {
      const batch = Array.from(indices, (i) => encoded[i]);
      const predictions = this.model.forward((tape, layers) =>
        this.#predictions(
          tape,
          layers,
          layers.forward(tape, batch),
          batch.map(({ length }) => length),
        ),
      );
      indices.forEach((i, n) => {
        results[i] = predictions[n];
      });
    };
    return inBatches(
      encoded.map(({ length }) => length),
      options,
      work,
      () => results,
    );
  }

  #predictions(tape: Tape, { chains }: Layers, logits: readonly Rows[], lengths: readonly number[]): TagPrediction[] {
    const { sets } = this.#settings;
    const results = lengths.map(() => ({
      labels: [] as readonly string[],
      sets: {} as Record<string, readonly string[]>,
      probabilities: {} as Record<string, Float32Array>,
    }));
    sets.forEach(({ name, labels }, k) => {
      const rows = logits[k];
      const K = labels.length;
      const paths = chains.length ? chains[k].decode(tape, rows).tags : null;
      const p = paths ? null : softmaxRows(tape, rows);
      lengths.forEach((length, b) => {
        const tags: string[] = [];
        const sure = new Float32Array(p ? length : 0);
        for (let t = 0; t < length; t++) {
          let best = paths ? paths[b][t] : 0;
          if (p) {
            const at = (t * rows.B + b) * K;
            for (let c = 1; c < K; c++) if (p[at + c] > p[at + best]) best = c;
            sure[t] = p[at + best];
          }
          tags.push(labels[best]);
        }
        results[b].sets[name] = tags;
        results[b].probabilities[name] = sure;
        if (k === 0) results[b].labels = tags;
      });
    });
    return results;
  }

  /**
   * A stream: the labels of steps as they come. For models that read forward in time only, without a CRF. Each stream has a state of its
   * own, to be cloned, reset, saved.
   */
  stream(state: State = this.model.layers.rnn.state(1)): {
    readonly state: State;
    step(input: Sequence): TagPrediction;
  } {
    const { stack, crf } = this.#settings;
    if (stack.bidirectional || stack.reverse || crf) {
      throw new TypeError('stream: needs a model that reads forward in time only, without a CRF');
    }
    return {
      state,
      step: (input) => {
        const encoded = this.model.layers.input.encode('input', input);
        return this.model.forward(
          (tape, layers) =>
            this.#predictions(tape, layers, layers.forward(tape, [encoded], state), [encoded.length])[0],
        );
      },
    };
  }

  #encode(examples: readonly TaggerExample[]): { inputs: Encoded[]; labels: Int32Array[][] } {
    if (!Array.isArray(examples)) check.fail('examples', 'a list of { input, labels }', examples);
    if (examples.length === 0) throw new RangeError('examples: there are none');
    const { input } = this.model.layers;
    const { sets } = this.#settings;
    const inputs = examples.map((example, i) => input.encode(`examples[${i}].input`, example?.input));
    const places = sets.map(({ labels }) => new Map(labels.map((label, c) => [label, c])));
    const names = sets.map(({ name }) => name);
    const labels = examples.map(({ labels: given }, i) => {
      if (names[0] !== '') check.options(`examples[${i}].labels`, given, names);
      return sets.map(({ name, labels: names }, k) => {
        const place = `examples[${i}].labels${name && `.${name}`}`;
        const list = name ? (given as Record<string, readonly string[]>)?.[name] : given;
        if (!Array.isArray(list)) return check.fail(place, 'a list of labels', list);
        if (list.length !== inputs[i].length) {
          throw new RangeError(`${place}: ${list.length} labels for ${inputs[i].length} steps`);
        }
        return Int32Array.from(list, (label, t) => {
          const c = places[k].get(label);
          if (c === undefined) {
            throw new RangeError(`${place}[${t}]: ${check.show(label)} is not among the labels ${check.list(names)}`);
          }
          return c;
        });
      });
    });
    return { inputs, labels };
  }

  /** The model as a safetensors file: with everything that training needs to go on to the same bits, or the weights alone. */
  save(options: { weightsOnly?: boolean } = {}): Uint8Array<ArrayBuffer> {
    return this.#learner.save(TASK, this.config, options);
  }

  /** @throws FormatError for a file that is damaged or holds something else */
  static async load(bytes: Uint8Array | ArrayBuffer, options: Omit<TaskOptions, 'seed'> = {}): Promise<SequenceTagger> {
    const { file, given } = openTask(bytes, TASK, options);
    const { learner, config } = await Learner.load(file, given, options, (own) => {
      const { config, settings } = checkOptions(own as unknown as SequenceTaggerOptions);
      return { config, build: (b) => new Layers(b, settings) };
    });
    return new SequenceTagger(learner, config);
  }

  /** Gives all memory back. The model cannot be used afterwards. */
  dispose(): void {
    this.#learner.dispose();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }
}
