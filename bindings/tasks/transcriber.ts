/**
 * Sequence → shorter sequence in the same order, without a decoder: inputs → recurrent stack → linear map or perceptron → CTC. For
 * speech and handwriting, where it is known what is said, and not when (Graves et al. 2006,
 * https://doi.org/10.1145/1143844.1143891).
 */
import type { CellName } from '../cells/index.js';
import * as check from '../check.js';
import type { Runtime } from '../core/runtime.js';
import { ctcBeamSearch, ctcBestPath, ctcLoss } from '../nn/ctc.js';
import { dropout } from '../nn/dropout.js';
import { MLP } from '../nn/mlp.js';
import type { Builder, Model } from '../nn/model.js';
import { argmaxRows } from '../nn/predict.js';
import { checkRecurrent, RECURRENT_OPTIONS, type RecurrentOptions } from '../nn/recurrent/options.js';
import { Recurrent } from '../nn/recurrent/recurrent.js';
import type { State } from '../nn/recurrent/state.js';
import type { Rows, Tape } from '../tape.js';
import { Vocabulary } from '../text/vocabulary.js';
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
import { editDistance } from './metrics.js';

type Stack = Omit<RecurrentOptions, 'cell' | 'inputSize' | 'hiddenSize'>;

export interface TranscriberOptions extends TaskOptions, InputOptions, Stack {
  /** What is written: a text, whose characters become the tokens, or a list of tokens. */
  target: string | readonly string[];
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

/** What a transcriber was created with, but for its runtime and seed. */
export type TranscriberConfig = Omit<TranscriberOptions, keyof TaskOptions>;

const OWN = ['target', 'hiddenLayers', 'inputDropout', 'outputDropout'] as const;
const STACK = Object.keys(RECURRENT_OPTIONS).filter((key) => key !== 'inputSize');
const KEPT = [...new Set([...OWN, ...STACK, ...INPUT_OPTIONS])];
const TASK = 'transcriber';

export interface TranscriberExample {
  readonly input: Sequence;
  /** What it says; at most as long as the input, and a step shorter for every token that is like the one before. */
  readonly target: string | readonly string[];
}

export interface TranscribeOptions extends BatchOptions {
  /** Prefixes that a beam search keeps; 0, the default, reads off the best path. */
  beamWidth?: number | undefined;
}

export interface Transcript {
  readonly tokens: readonly string[];
  /** The tokens as a text: without separators where they are single characters, else between spaces. */
  readonly text: string;
  /** Natural logarithm of the probability that the beam found; NaN of the best path, which tells that of a path only. */
  readonly logProbability: number;
}

export interface TranscriberReport {
  /** Mean over the examples of the loss divided by the length of the target. */
  readonly loss: number;
  /** Tokens wrong, missing and too many, as a share of those there are. */
  readonly errorRate: number;
  /** Share of sequences without any error. */
  readonly exact: number;
}

interface Settings {
  readonly input: InputConfig;
  readonly stack: RecurrentOptions;
  readonly target: readonly string[];
  readonly hiddenLayers: readonly number[];
  readonly inputDropout: number;
  readonly outputDropout: number;
}

/** Logits [T,B,V+1]; class 0 is the blank, token v is class v + 1. */
class Layers {
  readonly vocabulary: Vocabulary;
  readonly input: SequenceInput;
  readonly rnn: Recurrent;
  readonly head: MLP;

  constructor(
    readonly b: Builder,
    readonly settings: Settings,
  ) {
    const { target, hiddenLayers, outputDropout } = settings;
    this.vocabulary = new Vocabulary(target);
    this.input = new SequenceInput(b, 'embedding', settings.input);
    this.rnn = new Recurrent(b, 'rnn', settings.stack);
    const sizes = { inputSize: this.rnn.outputSize, outputSize: target.length + 1 };
    this.head = new MLP(b, 'head', { ...sizes, hiddenLayers, dropout: outputDropout });
  }

  forward(tape: Tape, batch: readonly Encoded[], state?: State): Rows {
    const x = dropout(tape, this.b.random, this.input.forward(tape, batch), this.settings.inputDropout);
    return this.head.forward(tape, this.rnn.forward(tape, x, state).output);
  }
}

function checkOptions(options: TranscriberOptions): { settings: Settings; config: TranscriberConfig; seed: number } {
  check.options('options', options, [...KEPT, ...TASK_OPTIONS]);
  const seed = checkTask(options);
  const { hiddenLayers = [], inputDropout = 0, outputDropout = 0, cell = 'lstm', hiddenSize = 128 } = options;
  const target = new Vocabulary(options.target, 'target').tokens;
  for (const [key, rate] of Object.entries({ inputDropout, outputDropout })) {
    if (check.number(key, rate, 0) >= 1) check.fail(key, 'a number below 1', rate);
  }
  if (!Array.isArray(hiddenLayers)) check.fail('hiddenLayers', 'a list of widths', hiddenLayers);
  const input = inputConfig(options);
  const stack = { ...storable(options, STACK), cell, hiddenSize, inputSize: inputWidth(input) } as RecurrentOptions;
  checkRecurrent('options', stack);
  return {
    seed,
    config: { ...storable(options, KEPT), ...inputOptions(input), target } as TranscriberConfig,
    settings: { input, stack, target, hiddenLayers, inputDropout, outputDropout },
  };
}

export class Transcriber {
  /** What it was created with. */
  readonly config: TranscriberConfig;
  readonly #learner: Learner<Layers>;

  private constructor(learner: Learner<Layers>, config: TranscriberConfig) {
    this.#learner = learner;
    this.config = config;
  }

  /**
   * A model with fresh weights.
   *
   * @throws TypeError, RangeError for options that are none; UnsupportedError where WebAssembly SIMD cannot be had
   */
  static async create(options: TranscriberOptions): Promise<Transcriber> {
    const { config, settings, seed } = checkOptions(options);
    return new Transcriber(await Learner.create({ ...options, seed }, (b) => new Layers(b, settings)), config);
  }

  get model(): Model<Layers> {
    return this.#learner.model;
  }

  get runtime(): Runtime {
    return this.#learner.runtime;
  }

  get vocabulary(): Vocabulary {
    return this.model.layers.vocabulary;
  }

  /**
   * Learns from examples, shuffled anew for each pass. Called again it goes on, also after `save` and `load`.
   *
   * @throws before anything is changed: RangeError, TypeError for examples that are none; NonFiniteError
   */
  fit(examples: readonly TranscriberExample[], options: EpochOptions = {}): Run<EpochProgress, void> {
    checkEpochs(options);
    const { inputs, targets } = this.#encode(examples);
    const lengths = inputs.map(({ length }) => length);
    return fitExamples(this.#learner, lengths, options, (tape, layers, indices) => {
      const batch = Array.from(indices, (i) => inputs[i]);
      const own = Array.from(indices, (i) => targets[i]);
      return ctcLoss(tape, layers.forward(tape, batch), own);
    });
  }

  /**
   * How well it does on examples, by its best path.
   *
   * @param options `batchSize`: sequences at a time, default 64; `beamWidth`; `signal`
   */
  evaluate(
    examples: readonly TranscriberExample[],
    options: TranscribeOptions = {},
  ): Run<BatchProgress, TranscriberReport> {
    const { beamWidth, rest } = split(options);
    const { inputs, targets } = this.#encode(examples);
    const { tokens } = this.vocabulary;
    let [loss, errors, said, exact] = [0, 0, 0, 0];
    const work = (indices: Int32Array) => {
      this.model.forward((tape, layers) => {
        const logits = layers.forward(
          tape,
          Array.from(indices, (i) => inputs[i]),
        );
        const own = Array.from(indices, (i) => targets[i]);
        loss += ctcLoss(tape, logits, own).value * own.length;
        read(tape, logits, beamWidth).forEach(({ labels }, b) => {
          const truth = Array.from(own[b], (label) => tokens[label - 1]);
          const wrong = editDistance(
            labels.map((label) => tokens[label - 1]),
            truth,
          );
          errors += wrong;
          said += truth.length;
          if (wrong === 0) exact++;
        });
      });
    };
    const finish = () => ({ loss: loss / inputs.length, errorRate: errors / said, exact: exact / inputs.length });
    return inBatches(
      inputs.map(({ length }) => length),
      rest,
      work,
      finish,
    );
  }

  /**
   * What sequences say, in their order.
   *
   * @param options `batchSize`: sequences at a time, default 64; `beamWidth`; `signal`
   */
  predict(inputs: readonly Sequence[], options: TranscribeOptions = {}): Run<BatchProgress, Transcript[]> {
    if (!Array.isArray(inputs)) check.fail('inputs', 'a list of sequences', inputs);
    const { beamWidth, rest } = split(options);
    const encoded = inputs.map((sequence, i) => this.model.layers.input.encode(`inputs[${i}]`, sequence));
    const results: Transcript[] = new Array(inputs.length);
    const work = (indices: Int32Array) => {
      const batch = Array.from(indices, (i) => encoded[i]);
      const found = this.model.forward((tape, layers) => read(tape, layers.forward(tape, batch), beamWidth));
      indices.forEach((i, n) => {
        const { labels, logProbability } = found[n];
        results[i] = { ...this.#written(labels), logProbability };
      });
    };
    return inBatches(
      encoded.map(({ length }) => length),
      rest,
      work,
      () => results,
    );
  }

  #written(labels: readonly number[]): { tokens: string[]; text: string } {
    const ids = labels.map((label) => label - 1);
    return { tokens: ids.map((id) => this.vocabulary.tokens[id]), text: this.vocabulary.decode(ids) };
  }

  /**
   * A stream: what steps say as they come, by the best path. For models that read forward in time only. Each stream has a state of
   * its own, to be cloned, reset, saved.
   *
   * @returns `step` takes one step or several, and gives what they say that is new
   */
  stream(state: State = this.model.layers.rnn.state(1)): {
    readonly state: State;
    step(input: Sequence): { tokens: string[]; text: string };
  } {
    const { stack } = this.model.layers.settings;
    if (stack.bidirectional || stack.reverse) {
      throw new TypeError('stream: needs a model that reads forward in time only');
    }
    let last = 0;
    return {
      state,
      step: (input) => {
        const encoded = this.model.layers.input.encode('input', input);
        const path = this.model.forward((tape, layers) => argmaxRows(tape, layers.forward(tape, [encoded], state)));
        const labels = [...path].filter((label, t) => label !== 0 && label !== (t > 0 ? path[t - 1] : last));
        last = path[path.length - 1];
        return this.#written(labels);
      },
    };
  }

  /** Targets as classes. */
  #encode(examples: readonly TranscriberExample[]): { inputs: Encoded[]; targets: Int32Array[] } {
    if (!Array.isArray(examples)) check.fail('examples', 'a list of { input, target }', examples);
    if (examples.length === 0) throw new RangeError('examples: there are none');
    const { input, vocabulary } = this.model.layers;
    const inputs = examples.map((example, i) => input.encode(`examples[${i}].input`, example?.input));
    const targets = examples.map(({ target }, i) => {
      const name = `examples[${i}].target`;
      const labels = vocabulary.encode(name, target).map((id) => id + 1);
      if (labels.length === 0) throw new RangeError(`${name}: is empty`);
      const repeats = labels.filter((label, k) => k > 0 && label === labels[k - 1]).length;
      if (labels.length + repeats > inputs[i].length) {
        throw new RangeError(
          `${name}: ${labels.length} tokens, ${repeats} of them like the one before, need ${labels.length + repeats} steps; the input has ${inputs[i].length}`,
        );
      }
      return labels;
    });
    return { inputs, targets };
  }

  /** The model as a safetensors file: with everything that training needs to go on to the same bits, or the weights alone. */
  save(options: { weightsOnly?: boolean } = {}): Uint8Array<ArrayBuffer> {
    return this.#learner.save(TASK, this.config, options);
  }

  /** @throws FormatError for a file that is damaged or holds something else */
  static async load(bytes: Uint8Array | ArrayBuffer, options: Omit<TaskOptions, 'seed'> = {}): Promise<Transcriber> {
    const { file, given } = openTask(bytes, TASK, options);
    const { learner, config } = await Learner.load(file, given, options, (own) => {
      const { config, settings } = checkOptions(own as unknown as TranscriberOptions);
      return { config, build: (b) => new Layers(b, settings) };
    });
    return new Transcriber(learner, config);
  }

  /** Gives all memory back. The model cannot be used afterwards. */
  dispose(): void {
    this.#learner.dispose();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }
}

/** The options of going through batches, and how to read them off. */
function split(options: TranscribeOptions): { beamWidth: number; rest: BatchOptions } {
  check.options('options', options, ['batchSize', 'signal', 'beamWidth']);
  const { beamWidth = 0, ...rest } = options;
  check.whole('beamWidth', beamWidth, 0);
  return { beamWidth, rest };
}

/** The labels that logits say, the best of each sequence. */
function read(tape: Tape, logits: Rows, beamWidth: number): { labels: number[]; logProbability: number }[] {
  if (beamWidth > 0) return ctcBeamSearch(tape, logits, { beamWidth }).map(([best]) => best);
  return ctcBestPath(tape, logits).map((labels) => ({ labels, logProbability: Number.NaN }));
}
