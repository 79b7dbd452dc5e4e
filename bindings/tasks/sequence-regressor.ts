/** Sequence → numbers: ŷ = g(h_T), with the mean squared error. See shared/pooled.ts for what stands for h_T. */

import * as check from '../check.js';
import { Runtime } from '../core/train.js';
import { read } from '../nn/input.js';
import { mseLoss } from '../nn/losses.js';
import { type Options, option, readOptions, type Settings } from '../options.js';
import type { Loss, Rows, Tape } from '../tape.js';
import type { FitHistory } from '../train/history.js';
import type { Run } from '../train/run.js';
import type { BatchOptions, BatchProgress, EpochOptions, EpochProgress } from './shared/batches.js';
import { BATCHES, encodeAll, encodeExamples, FIT_EXAMPLES } from './shared/batches.js';
import type { Examples } from './shared/flow.js';
import type { Encoded, Sequence } from './shared/inputs.js';
import type { Call } from './shared/passes.js';
import { POOLED, type PooledLayers, type PooledOptions, pooledLayers } from './shared/pooled.js';
import type { Stream } from './shared/stream.js';
import type { Kind, LoadOptions, Made, TaskOptions } from './shared/task.js';
import { create, createSync, load, loadSync, Task } from './shared/task.js';

const OWN = {
  /** How many numbers are predicted, default 1. */
  outputSize: option(check.whole, 1),
};
const SCHEMA = { ...OWN, ...POOLED };

/** What a regressor was created with, apart from its runtime and seed. */
export interface SequenceRegressorConfig extends PooledOptions, Options<typeof OWN> {}

export interface SequenceRegressorOptions extends TaskOptions, SequenceRegressorConfig {}

export interface RegressorExample {
  readonly input: Sequence;
  /** `outputSize` numbers; a single one need not be in a list. */
  readonly target: number | ArrayLike<number>;
  /** What it counts in the loss of `fit`, at least 0, default 1. Examples of a batch with the same weight are computed together. */
  readonly weight?: number | undefined;
}

export interface NumberPrediction {
  /** [outputSize] */
  readonly values: Float32Array;
}

/** Errors over all numbers of all sequences. */
export interface RegressorReport {
  /** Mean squared error. */
  readonly loss: number;
  /** Its square root. */
  readonly rmse: number;
  /** Mean absolute error. */
  readonly mae: number;
}

type Layers = PooledLayers<Settings<typeof SCHEMA>>;

const KIND: Kind<Layers, typeof SCHEMA> = {
  task: 'sequence-regressor',
  runtimes: Runtime,
  schema: SCHEMA,
  layers: (settings) => pooledLayers(settings, settings.outputSize),
};

interface Item {
  readonly length: number;
  readonly input: Encoded;
  readonly target: Float32Array;
}

/**
 * Predicts numbers from a sequence.
 *
 * @example
 * const model = await SequenceRegressor.create({ inputSize: 1, hiddenSize: 8, seed: 1 });
 * await model.fit([{ input: [[1], [2]], target: 3 }, { input: [[2], [2]], target: 4 }], { epochs: 2 });
 * const [{ values }] = await model.predict([[[1], [1]]]); // values [1]
 */
export class SequenceRegressor extends Task<Layers, SequenceRegressorConfig> {
  private constructor(made: Made<Layers, SequenceRegressorConfig>) {
    super(made);
  }

  /** Its name, also where a bundler has shortened that of the class. */
  static get taskName() {
    return 'SequenceRegressor' as const;
  }

  /**
   * A model with fresh weights.
   *
   * @throws TypeError, RangeError for invalid options; UnsupportedError where there is no WebAssembly SIMD
   */
  static async create(options: SequenceRegressorOptions): Promise<SequenceRegressor> {
    return new SequenceRegressor(await create(KIND, options));
  }

  /** The same, synchronously, for workers, worklets and scripts. */
  static createSync(options: SequenceRegressorOptions): SequenceRegressor {
    return new SequenceRegressor(createSync(KIND, options));
  }

  /** @throws FormatError for a file that is damaged or holds something else */
  static async load(bytes: Uint8Array | ArrayBuffer, options?: LoadOptions): Promise<SequenceRegressor> {
    return new SequenceRegressor(await load(KIND, bytes, options));
  }

  static loadSync(bytes: Uint8Array | ArrayBuffer, options?: LoadOptions): SequenceRegressor {
    return new SequenceRegressor(loadSync(KIND, bytes, options));
  }

  /**
   * Trains on examples, shuffled in each epoch: a list, an iterable or async iterable that is read once, or a function that returns one
   * for each epoch. Called again it resumes, also after `save` and `load`.
   *
   * @throws before anything changes: RangeError, TypeError for invalid examples; NonFiniteError
   */
  fit(
    examples: Examples<RegressorExample>,
    options: EpochOptions<RegressorExample> = {},
  ): Run<EpochProgress<RegressorReport>, FitHistory> {
    const settings = readOptions('fit', FIT_EXAMPLES, options);
    return this.learn(examples, options, settings, {
      ...this.#examples,
      loss: () => (tape, layers, batch) => lossOf(tape, layers.forwardAll(tape, batch), batch),
      measure: (items, how) => this.#measure(items, readOptions('evaluate', BATCHES, how)),
    });
  }

  /** How well it does on examples. */
  evaluate(examples: readonly RegressorExample[], options: BatchOptions = {}): Run<BatchProgress, RegressorReport> {
    const settings = readOptions('evaluate', BATCHES, options);
    const { fields, encode } = this.#examples;
    const call = { method: 'evaluate', data: examples, options };
    return this.#measure(encodeExamples('examples', examples, fields, encode), settings, call);
  }

  #measure(items: readonly Item[], settings: Settings<typeof BATCHES>, call?: Call) {
    const n = items.length * this.model.layers.settings.outputSize;
    let squares = 0;
    let distances = 0;
    const work = (tape: Tape, layers: Layers, batch: Item[]) => read(tape, layers.forwardAll(tape, batch));
    const count = (values: Float32Array, batch: Item[]) => {
      batch.forEach(({ target }, b) =>
        target.forEach((y, k) => {
          const d = values[b * target.length + k] - y;
          squares += d * d;
          distances += Math.abs(d);
        }),
      );
    };
    const report = (): RegressorReport => ({ loss: squares / n, rmse: Math.sqrt(squares / n), mae: distances / n });
    return this.measure(items, settings, work, count, report, call);
  }

  /** The numbers of sequences, in their order. */
  predict(inputs: readonly Sequence[], options: BatchOptions = {}): Run<BatchProgress, NumberPrediction[]> {
    const settings = readOptions('predict', BATCHES, options);
    const { input } = this.model.layers;
    const items = encodeAll('inputs', inputs, 'sequences', (place, sequence) => input.encode(place, sequence));
    const work = (tape: Tape, layers: Layers, batch: Encoded[]) => predictions(tape, layers.forward(tape, batch));
    return this.forEach(items, settings, work, { method: 'predict', data: inputs, options });
  }

  /**
   * A stream: after each step, the numbers for what has been read so far. For models that read forward in time only, with
   * `pooling: 'last'`.
   *
   * @param saved what `save` of a stream gave
   */
  stream(saved?: Uint8Array | ArrayBuffer): Stream<Sequence, NumberPrediction> {
    const { layers } = this.model;
    return this.openStream(saved, layers.reader(predictions));
  }

  get #examples() {
    const { input, settings } = this.model.layers;
    const n = settings.outputSize;
    const encode = (name: string, { input: sequence, target }: RegressorExample): Item => {
      const encoded = input.encode(`${name}.input`, sequence);
      const list: unknown = typeof target === 'number' ? [target] : target;
      if (typeof list !== 'object' || list === null || (list as ArrayLike<number>).length !== n)
        check.fail(`${name}.target`, n === 1 ? 'a number' : `${n} numbers`, target);
      const values = Float32Array.from(list as ArrayLike<number>, (y, k) =>
        check.float(n === 1 ? `${name}.target` : `${name}.target[${k}]`, y),
      );
      return { length: encoded.length, input: encoded, target: values };
    };
    return { fields: '{ input, target }', encode };
  }
}

function lossOf(tape: Tape, y: Rows, batch: readonly Item[]): Loss {
  const all = new Float32Array(batch.length * y.F);
  batch.forEach(({ target }, b) => all.set(target, b * y.F));
  return mseLoss(tape, y, all);
}

function predictions(tape: Tape, y: Rows): NumberPrediction[] {
  const values = read(tape, y);
  return Array.from({ length: y.B }, (_, b) => ({ values: values.slice(b * y.F, (b + 1) * y.F) }));
}
