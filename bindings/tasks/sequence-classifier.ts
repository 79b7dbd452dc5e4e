/**
 * Sequence → class: inputs → recurrent stack → one vector for the whole sequence → linear map or perceptron. ŷ = g(h_T), or of the
 * mean, the largest or an attention-weighted sum of all h_t. Also several labels at once, and numbers instead of classes.
 */
import type { CellName } from '../cells/index.js';
import * as check from '../check.js';
import type { Runtime } from '../core/runtime.js';
import { dropout } from '../nn/dropout.js';
import { read } from '../nn/input.js';
import { bceWithLogitsLoss, crossEntropyLoss, mseLoss } from '../nn/losses.js';
import { MLP } from '../nn/mlp.js';
import type { Builder, Model } from '../nn/model.js';
import { AttentionPool, maxPool, meanPool } from '../nn/pool.js';
import { softmaxRows } from '../nn/predict.js';
import { checkRecurrent, RECURRENT_OPTIONS, type RecurrentOptions } from '../nn/recurrent/options.js';
import { Recurrent } from '../nn/recurrent/recurrent.js';
import type { State } from '../nn/recurrent/state.js';
import { activation, concat } from '../nn/rows.js';
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
import { type ClassFigures, Tally } from './metrics.js';

type Stack = Omit<RecurrentOptions, 'cell' | 'inputSize' | 'hiddenSize'>;

export interface SequenceClassifierOptions extends TaskOptions, InputOptions, Stack {
  /** Names of the classes. */
  classes?: readonly string[] | undefined;
  /** Whether a sequence can be of several classes, or of none. */
  multiLabel?: boolean | undefined;
  /** In place of classes: so many numbers to foretell. */
  outputs?: number | undefined;
  /** Default `'lstm'`. */
  cell?: CellName | undefined;
  /** Units of each recurrent layer, or a list, default 128. */
  hiddenSize?: number | readonly number[] | undefined;
  /** What stands for the whole sequence: its final state (the default), or the mean, the largest, or a weighted sum of all. */
  pooling?: 'last' | 'mean' | 'max' | 'attention' | undefined;
  /** Widths of layers between that and the output, default none. */
  hiddenLayers?: readonly number[] | undefined;
  /** Share of the inputs, and of what goes into the output layers, that is dropped in training, default 0. */
  inputDropout?: number | undefined;
  outputDropout?: number | undefined;
}

const OWN = ['classes', 'multiLabel', 'outputs', 'pooling', 'hiddenLayers', 'inputDropout', 'outputDropout'] as const;
const STACK = Object.keys(RECURRENT_OPTIONS).filter((key) => key !== 'inputSize');
const OPTIONS = [...new Set([...OWN, ...STACK, ...INPUT_OPTIONS, ...TASK_OPTIONS])];
const KEPT = OPTIONS.filter((key) => !TASK_OPTIONS.includes(key));
const TASK = 'sequence-classifier';

/** What a classifier was created with, but for its runtime and seed. */
export type SequenceClassifierConfig = Omit<SequenceClassifierOptions, keyof TaskOptions>;

/** The options with every default filled in. */
interface Settings {
  readonly input: InputConfig;
  readonly kind: 'classes' | 'labels' | 'numbers';
  readonly classes: readonly string[];
  readonly outputs: number;
  readonly stack: RecurrentOptions;
  readonly pooling: 'last' | 'mean' | 'max' | 'attention';
  readonly hiddenLayers: readonly number[];
  readonly inputDropout: number;
  readonly outputDropout: number;
}

export interface ClassifierExample {
  readonly input: Sequence;
  /** A class; with `multiLabel` a list of classes; with `outputs` a list of numbers. */
  readonly label: string | readonly string[] | readonly number[] | Float32Array;
}

export interface ClassifierFitOptions extends EpochOptions {
  /** [classes] weight above 0 of each in the loss, or `'balanced'`: in inverse proportion to how often they occur. Classes only. */
  classWeights?: readonly number[] | 'balanced' | undefined;
}

export interface ClassPrediction {
  /** The likeliest class; those with at least 1/2 where there can be several; none where numbers are foretold. */
  readonly label: string;
  readonly labels: readonly string[];
  /** Of each class; empty for numbers. */
  readonly probabilities: Float32Array;
  /** The numbers foretold; empty for classes. */
  readonly values: Float32Array;
}

export interface ClassifierReport {
  readonly loss: number;
  /** Share of sequences whose class, or whose whole set of labels, is right. */
  readonly accuracy: number;
  readonly macroF1: number;
  readonly microF1: number;
  readonly classes: Record<string, ClassFigures>;
  /** Root mean square and mean absolute error of numbers. */
  readonly rmse: number;
  readonly mae: number;
}

class Layers {
  readonly input: SequenceInput;
  readonly rnn: Recurrent;
  readonly pool: AttentionPool | null;
  readonly head: MLP;

  constructor(
    readonly b: Builder,
    readonly settings: Settings,
  ) {
    const { outputDropout, hiddenLayers, outputs } = settings;
    this.input = new SequenceInput(b, 'embedding', settings.input);
    this.rnn = new Recurrent(b, 'rnn', settings.stack);
    const size = this.rnn.outputSize;
    const { pooling } = settings;
    this.pool = pooling === 'attention' ? new AttentionPool(b, 'pool', { inputSize: size, attentionSize: size }) : null;
    const width = pooling === 'last' ? this.rnn.finalSize : size;
    this.head = new MLP(b, 'head', {
      inputSize: width,
      outputSize: outputs,
      hiddenLayers,
      dropout: outputDropout,
    });
  }

  /** [1,B,outputs] */
  forward(tape: Tape, batch: readonly Encoded[], state?: State): Rows {
    const x = dropout(tape, this.b.random, this.input.forward(tape, batch), this.settings.inputDropout);
    const result = this.rnn.forward(tape, x, state);
    return this.head.forward(tape, this.#pooled(tape, result));
  }

  #pooled(tape: Tape, { output, h }: { output: Rows; h: readonly Rows[] }): Rows {
    switch (this.settings.pooling) {
      case 'mean':
        return meanPool(tape, output);
      case 'max':
        return maxPool(tape, output);
      case 'attention':
        return (this.pool as AttentionPool).forward(tape, output).output;
      default: {
        const last = h.slice(this.rnn.bidirectional ? -2 : -1);
        return last.length > 1 ? concat(tape, last) : last[0];
      }
    }
  }
}

function checkOptions(options: SequenceClassifierOptions): {
  settings: Settings;
  config: SequenceClassifierConfig;
  seed: number;
} {
  check.options('options', options, OPTIONS);
  const seed = checkTask(options);
  const {
    classes,
    multiLabel = false,
    outputs,
    pooling = 'last',
    hiddenLayers = [],
    cell = 'lstm',
    hiddenSize = 128,
  } = options;
  const { inputDropout = 0, outputDropout = 0 } = options;
  check.flag('multiLabel', multiLabel);
  if ((classes === undefined) === (outputs === undefined)) {
    throw new TypeError('classes or outputs: one says what is foretold; names of classes, or a number of numbers');
  }
  if (outputs !== undefined && multiLabel)
    throw new RangeError('outputs and multiLabel do not go together: numbers are no labels');
  const names = classes === undefined ? [] : checkClasses('classes', classes);
  const kind = outputs !== undefined ? 'numbers' : multiLabel ? 'labels' : 'classes';
  if (kind === 'classes' && names.length < 2)
    throw new RangeError('classes: at least two are needed; a single one takes multiLabel');
  check.oneOf('pooling', pooling, ['last', 'mean', 'max', 'attention']);
  for (const [key, rate] of Object.entries({ inputDropout, outputDropout })) {
    if (check.number(key, rate, 0) >= 1) check.fail(key, 'a number below 1', rate);
  }
  if (!Array.isArray(hiddenLayers)) check.fail('hiddenLayers', 'a list of widths', hiddenLayers);
  const input = inputConfig(options);
  const stack = { ...storable(options, STACK), cell, hiddenSize, inputSize: inputWidth(input) } as RecurrentOptions;
  checkRecurrent('options', stack);
  return {
    seed,
    config: { ...storable(options, KEPT), ...inputOptions(input) } as SequenceClassifierConfig,
    settings: {
      input,
      kind,
      classes: names,
      outputs: outputs === undefined ? names.length : check.whole('outputs', outputs),
      stack,
      pooling,
      hiddenLayers,
      inputDropout,
      outputDropout,
    },
  };
}

/** A list of different names. */
export function checkClasses(name: string, classes: unknown): readonly string[] {
  if (!Array.isArray(classes) || classes.length === 0) check.fail(name, 'a list of names', classes);
  classes.forEach((c, i) => check.text(`${name}[${i}]`, c));
  const twice = classes.find((c, i) => classes.indexOf(c) !== i);
  if (twice !== undefined) throw new RangeError(`${name}: ${check.show(twice)} is there twice`);
  return classes;
}

export class SequenceClassifier {
  /** What it was created with. */
  readonly config: SequenceClassifierConfig;
  readonly #learner: Learner<Layers>;

  private constructor(learner: Learner<Layers>, config: SequenceClassifierConfig) {
    this.#learner = learner;
    this.config = config;
  }

  /**
   * A model with fresh weights.
   *
   * @throws TypeError, RangeError for options that are none; UnsupportedError where WebAssembly SIMD cannot be had
   */
  static async create(options: SequenceClassifierOptions): Promise<SequenceClassifier> {
    const { config, settings, seed } = checkOptions(options);
    return new SequenceClassifier(await Learner.create({ ...options, seed }, (b) => new Layers(b, settings)), config);
  }

  get #settings(): Settings {
    return this.model.layers.settings;
  }

  get model(): Model<Layers> {
    return this.#learner.model;
  }

  get runtime(): Runtime {
    return this.#learner.runtime;
  }

  /**
   * Learns from examples, shuffled anew for each pass. Called again it goes on, also after `save` and `load`.
   *
   * @throws before anything is changed: RangeError, TypeError for examples that are none; NonFiniteError
   */
  fit(examples: readonly ClassifierExample[], options: ClassifierFitOptions = {}): Run<EpochProgress, void> {
    checkEpochs(options, ['classWeights']);
    const { classWeights, ...rest } = options;
    const { inputs, labels } = this.#encode(examples);
    const weights = this.#weights(classWeights, labels);
    const lengths = inputs.map(({ length }) => length);
    return fitExamples(this.#learner, lengths, rest, (tape, layers, indices) => {
      const logits = layers.forward(
        tape,
        Array.from(indices, (i) => inputs[i]),
      );
      return this.#loss(
        tape,
        logits,
        Array.from(indices, (i) => labels[i]),
        weights,
      );
    });
  }

  #loss(tape: Tape, logits: Rows, labels: readonly Float32Array[], weights?: Float32Array): Loss {
    const { kind, outputs } = this.#settings;
    if (kind === 'classes')
      return crossEntropyLoss(
        tape,
        logits,
        labels.map(([c]) => c),
        weights ? { weights } : {},
      );
    const all = new Float32Array(labels.length * outputs);
    labels.forEach((values, b) => all.set(values, b * outputs));
    return kind === 'labels' ? bceWithLogitsLoss(tape, logits, all) : mseLoss(tape, logits, all);
  }

  /**
   * How well it does on examples.
   *
   * @param options `batchSize`: sequences at a time, default 64; `signal`
   */
  evaluate(examples: readonly ClassifierExample[], options: BatchOptions = {}): Run<BatchProgress, ClassifierReport> {
    const { inputs, labels } = this.#encode(examples);
    const { kind, classes, outputs } = this.#settings;
    const tally = new Tally(classes);
    let loss = 0;
    let right = 0;
    let squares = 0;
    let distances = 0;
    const work = (indices: Int32Array) => {
      const own = Array.from(indices, (i) => labels[i]);
      const predictions = this.model.forward((tape, layers) => {
        const logits = layers.forward(
          tape,
          Array.from(indices, (i) => inputs[i]),
        );
        loss += this.#loss(tape, logits, own).value * indices.length;
        return this.#predictions(tape, logits);
      });
      predictions.forEach(({ label, labels: said, values }, n) => {
        const truth = own[n];
        if (kind === 'numbers') {
          for (let k = 0; k < outputs; k++) {
            const d = values[k] - truth[k];
            squares += d * d;
            distances += Math.abs(d);
          }
          return;
        }
        const so = (c: number) => (kind === 'classes' ? truth[0] === c : truth[c] > 0);
        const claims = (c: number) => (kind === 'classes' ? classes[c] === label : said.includes(classes[c]));
        classes.forEach((_, c) => tally.add(c, claims(c), so(c)));
        if (classes.every((_, c) => claims(c) === so(c))) right++;
      });
    };
    const n = inputs.length;
    return inBatches(
      inputs.map(({ length }) => length),
      options,
      work,
      () => ({
        loss: loss / n,
        accuracy: kind === 'numbers' ? Number.NaN : right / n,
        macroF1: kind === 'numbers' ? Number.NaN : tally.macroF1,
        microF1: kind === 'numbers' ? Number.NaN : tally.microF1,
        classes: tally.figures,
        rmse: kind === 'numbers' ? Math.sqrt(squares / n / outputs) : Number.NaN,
        mae: kind === 'numbers' ? distances / n / outputs : Number.NaN,
      }),
    );
  }

  /**
   * Classes of sequences, in their order.
   *
   * @param options `batchSize`: sequences at a time, default 64; `signal`
   */
  predict(inputs: readonly Sequence[], options: BatchOptions = {}): Run<BatchProgress, ClassPrediction[]> {
    if (!Array.isArray(inputs)) check.fail('inputs', 'a list of sequences', inputs);
    const encoded = inputs.map((sequence, i) => this.model.layers.input.encode(`inputs[${i}]`, sequence));
    const results: ClassPrediction[] = new Array(inputs.length);
    const work = (indices: Int32Array) => {
      const predictions = this.model.forward((tape, layers) =>
        this.#predictions(
          tape,
          layers.forward(
            tape,
            Array.from(indices, (i) => encoded[i]),
          ),
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

  /** The predictions of a batch of outputs. */
  #predictions(tape: Tape, logits: Rows): ClassPrediction[] {
    const { kind, classes, outputs } = this.#settings;
    const empty = new Float32Array();
    const values =
      kind === 'classes'
        ? softmaxRows(tape, logits)
        : read(tape, kind === 'labels' ? activation(tape, logits, 'sigmoid') : logits);
    return Array.from({ length: logits.B }, (_, b) => {
      const own = values.slice(b * outputs, (b + 1) * outputs);
      if (kind === 'numbers') return { label: '', labels: [], probabilities: empty, values: own };
      const best = own.reduce((top, p, c) => (p > own[top] ? c : top), 0);
      const labels = kind === 'classes' ? [classes[best]] : classes.filter((_, c) => own[c] >= 0.5);
      return {
        label: kind === 'classes' ? classes[best] : (labels[0] ?? ''),
        labels,
        probabilities: own,
        values: empty,
      };
    });
  }

  /**
   * A stream: what it would say if the sequence ended here, step by step. For models that read forward in time only and look at the final
   * state. Each stream has a state of its own, to be cloned, reset, saved.
   */
  stream(state: State = this.model.layers.rnn.state(1)): {
    readonly state: State;
    step(input: Sequence): ClassPrediction;
  } {
    const { pooling, stack } = this.#settings;
    if (stack.bidirectional || stack.reverse || pooling !== 'last') {
      throw new TypeError("stream: needs a model that reads forward in time only, with pooling: 'last'");
    }
    return {
      state,
      step: (input) => {
        const encoded = this.model.layers.input.encode('input', input);
        return this.model.forward((tape, layers) => this.#predictions(tape, layers.forward(tape, [encoded], state))[0]);
      },
    };
  }

  #encode(examples: readonly ClassifierExample[]): { inputs: Encoded[]; labels: Float32Array[] } {
    if (!Array.isArray(examples)) check.fail('examples', 'a list of { input, label }', examples);
    if (examples.length === 0) throw new RangeError('examples: there are none');
    const { input } = this.model.layers;
    return {
      inputs: examples.map((example, i) => input.encode(`examples[${i}].input`, example?.input)),
      labels: examples.map(({ label }, i) => this.#label(`examples[${i}].label`, label)),
    };
  }

  /** A label as numbers: the class, ones for the labels, or the numbers. */
  #label(name: string, label: ClassifierExample['label']): Float32Array {
    const { kind, classes, outputs } = this.#settings;
    const place = (c: unknown) => {
      const i = classes.indexOf(c as string);
      if (i < 0) throw new RangeError(`${name}: ${check.show(c)} is not among the classes ${check.list(classes)}`);
      return i;
    };
    if (kind === 'classes') return Float32Array.of(place(label));
    if (typeof label !== 'object' || label === null)
      check.fail(name, kind === 'labels' ? 'a list of classes' : `${outputs} numbers`, label);
    if (kind === 'labels') {
      const values = new Float32Array(outputs);
      for (const c of label) values[place(c)] = 1;
      return values;
    }
    if (label.length !== outputs) check.fail(name, `${outputs} numbers`, label);
    const values = Float32Array.from(label as ArrayLike<number>);
    if (!values.every(Number.isFinite))
      throw new RangeError(`${name}: expected finite numbers, got ${[...values].join(', ')}`);
    return values;
  }

  #weights(given: ClassifierFitOptions['classWeights'], labels: readonly Float32Array[]): Float32Array | undefined {
    const { kind, classes } = this.#settings;
    if (given === undefined) return undefined;
    if (kind !== 'classes') throw new RangeError('classWeights: go with classes only');
    if (given !== 'balanced') {
      if (typeof given !== 'object' || given?.length !== classes.length)
        check.fail('classWeights', `${classes.length} numbers or 'balanced'`, given);
      return Float32Array.from(given, (w, c) => check.number(`classWeights[${c}]`, w, 0, Infinity, true));
    }
    const counts = new Float32Array(classes.length);
    for (const [c] of labels) counts[c]++;
    return counts.map((n) => (n ? labels.length / classes.length / n : 0));
  }

  /** The model as a safetensors file: with everything that training needs to go on to the same bits, or the weights alone. */
  save(options: { weightsOnly?: boolean } = {}): Uint8Array<ArrayBuffer> {
    return this.#learner.save(TASK, this.config, options);
  }

  /** @throws FormatError for a file that is damaged or holds something else */
  static async load(
    bytes: Uint8Array | ArrayBuffer,
    options: Omit<TaskOptions, 'seed'> = {},
  ): Promise<SequenceClassifier> {
    const { file, given } = openTask(bytes, TASK, options);
    const { learner, config } = await Learner.load(file, given, options, (own) => {
      const { config, settings } = checkOptions(own);
      return { config, build: (b) => new Layers(b, settings) };
    });
    return new SequenceClassifier(learner, config);
  }

  /** Gives all memory back. The model cannot be used afterwards. */
  dispose(): void {
    this.#learner.dispose();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }
}
