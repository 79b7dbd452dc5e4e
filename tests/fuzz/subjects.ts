/** A small model of every task, with data to train and to ask. */
import type { Runtime } from 'gatewise';
import * as predict from 'gatewise/predict';
import * as tasks from 'gatewise/tasks';

/** A run of any task. */
export type AnyRun = PromiseLike<unknown> & AsyncIterable<unknown>;

export interface AnyStream {
  step(input: unknown): unknown;
  clone(): AnyStream;
  reset(): void;
  save(): Uint8Array;
}

/** A task model whose data are not looked at by the compiler. */
export interface AnyTask {
  readonly runtime: Runtime;
  readonly model: { readonly parameters: readonly { readonly name: string }[]; get(name: string): Float32Array };
  fit(data: unknown, options?: unknown): AnyRun;
  evaluate(data: unknown, options?: unknown): AnyRun;
  predict(inputs: unknown, options?: unknown): AnyRun;
  generate?(first?: unknown, second?: unknown): AnyRun;
  stream?(saved?: unknown, options?: unknown): AnyStream;
  save(options?: unknown): Uint8Array;
  summary(): unknown;
  dispose(): void;
}

export interface AnyTaskClass {
  readonly name: string;
  createSync(options: unknown): AnyTask;
  create(options: unknown): Promise<AnyTask>;
  loadSync(bytes: unknown, options?: unknown): AnyTask;
  load(bytes: unknown, options?: unknown): Promise<AnyTask>;
}

/** The same task of `gatewise/predict`. */
export function loaderOf({ name }: AnyTaskClass): Pick<AnyTaskClass, 'load' | 'loadSync'> {
  return Object.entries<unknown>(predict).find(([key]) => key === name)?.[1] as AnyTaskClass;
}

export interface Subject {
  readonly Task: AnyTaskClass;
  /** Made again at each call, so that a case may change it. */
  options(): Record<string, unknown>;
  data(): unknown;
  /** What `predict` is given first. */
  inputs(): unknown;
  readonly fit: Record<string, unknown>;
  readonly evaluate: Record<string, unknown>;
  /** What `predict` and `stream` need. */
  readonly start?: Record<string, unknown>;
  /** What `stream` alone needs. */
  readonly opening?: Record<string, unknown>;
  /** One step of a stream; undefined where there are no streams. */
  readonly step?: unknown;
  /** Arguments of `generate`; undefined where it is not there. */
  generate?(): unknown[];
}

const any = (Task: unknown) => Task as AnyTaskClass;
const tokens = { vocabulary: 'abc', embeddingSize: 3, hiddenSize: 4, seed: 3 };
const epochs = { epochs: 1, batchSize: 2 };
const TEXT = 'abcabcaabbccabcabc';
const SERIES = [1, 2, 4, 3, 5, 6, 8, 7, 9, 10, 12, 11, 13, 14];

const PRICES = SERIES.map((v) => 3 - v / 7);
const DATES = { start: '2024-01-29', step: { days: 1 } };

export const subjects: Readonly<Record<string, Subject>> = {
  language: {
    Task: any(tasks.LanguageModel),
    options: () => ({ ...tokens, numLayers: 2 }),
    data: () => TEXT,
    inputs: () => ['ab', 'c'],
    fit: { batchSize: 2, window: 3, steps: 2 },
    evaluate: {},
    step: 'a',
    generate: () => [{ prompt: 'ab', length: 6, seed: 2 }],
  },
  classifier: {
    Task: any(tasks.SequenceClassifier),
    options: () => ({ ...tokens, cell: 'gru', classes: ['x', 'y'], hiddenLayers: [3] }),
    data: () => [
      { input: 'abca', label: 'x' },
      { input: 'cb', label: 'y' },
    ],
    inputs: () => ['abca', 'b'],
    fit: { ...epochs, schedule: { kind: 'cosine', warmup: 1, steps: 10 } },
    evaluate: { batchSize: 2 },
    step: 'ab',
  },
  labels: {
    Task: any(tasks.SequenceClassifier),
    options: () => ({
      inputSize: 2,
      hiddenSize: 3,
      cell: 'minlstm',
      classes: ['x', 'y'],
      multiLabel: true,
      bidirectional: true,
    }),
    data: () => [
      { input: Float32Array.of(1, 2, 3, 4), label: ['x'] },
      { input: Float32Array.of(-1, 2), label: [] },
    ],
    inputs: () => [Float32Array.of(1, 2, 3, 4)],
    fit: { ...epochs, optimizer: 'sgd', momentum: 0.9, learningRate: 0.1 },
    evaluate: {},
  },
  regressor: {
    Task: any(tasks.SequenceRegressor),
    options: () => ({ inputSize: 1, hiddenSize: 3, outputSize: 2, cell: 'rnn' }),
    data: () => [
      { input: Float32Array.of(1, 2, 3), target: [1, 0.5] },
      { input: Float32Array.of(3, 1), target: [0, 1] },
    ],
    inputs: () => [Float32Array.of(1, 2, 3)],
    fit: { ...epochs, optimizer: 'rmsprop' },
    evaluate: {},
    step: Float32Array.of(1, 2),
  },
  tagger: {
    Task: any(tasks.SequenceTagger),
    options: () => ({ ...tokens, cell: 'mingru', classes: { pos: ['n', 'v'], entity: ['B', 'I', 'O'] } }),
    data: () => [{ input: 'abc', labels: { pos: ['n', 'v', 'n'], entity: ['B', 'I', 'O'] } }],
    inputs: () => ['abca', 'b'],
    fit: epochs,
    evaluate: {},
    step: 'b',
  },
  crf: {
    Task: any(tasks.SequenceTagger),
    options: () => ({ ...tokens, classes: ['n', 'v'], crf: true, cell: 'residual' }),
    data: () => [{ input: 'abc', labels: ['n', 'v', 'n'] }],
    inputs: () => ['abca', 'b'],
    fit: epochs,
    evaluate: {},
  },
  multilabel: {
    Task: any(tasks.SequenceTagger),
    options: () => ({ inputSize: 2, hiddenSize: 3, classes: ['x', 'y'], multiLabel: true, cell: 'gru' }),
    data: () => [
      { input: Float32Array.of(1, 2, 3, 4), labels: [['x'], []] },
      { input: Float32Array.of(1, 0), labels: Float32Array.of(1, 1) },
    ],
    inputs: () => [Float32Array.of(1, 2, 3, 4)],
    fit: epochs,
    evaluate: {},
    step: Float32Array.of(1, 2),
  },
  seq2seq: {
    Task: any(tasks.Seq2Seq),
    options: () => ({
      source: { vocabulary: 'abc', embeddingSize: 3 },
      target: 'xyz',
      embeddingSize: 3,
      hiddenSize: 4,
      cell: 'lru',
      attention: 'general',
    }),
    data: () => [
      { source: 'abc', target: 'xy' },
      { source: 'c', target: 'z' },
    ],
    inputs: () => ['abc', 'c'],
    fit: epochs,
    evaluate: { maxLength: 4 },
    generate: () => [['abc'], { maxLength: 4, seed: 2 }],
  },
  transcriber: {
    Task: any(tasks.Transcriber),
    options: () => ({ inputSize: 2, hiddenSize: 3, target: 'xy' }),
    data: () => [{ input: Float32Array.of(1, 2, 3, 4, 5, 6), target: 'xy' }],
    inputs: () => [Float32Array.of(1, 2, 3, 4, 5, 6)],
    fit: epochs,
    evaluate: { beamWidth: 2 },
    step: Float32Array.of(1, 2, 3, 4),
  },
  generator: {
    Task: any(tasks.SequenceGenerator),
    options: () => ({ classes: ['x', 'y'], target: 'abc', embeddingSize: 3, hiddenSize: 4 }),
    data: () => [
      { input: 'x', target: 'ab' },
      { input: 'y', target: 'cc' },
    ],
    inputs: () => ['x', 'y'],
    fit: epochs,
    evaluate: { maxLength: 4 },
    generate: () => [['x'], { maxLength: 4, seed: 2 }],
    opening: { input: 'x' },
    step: 'ab',
  },
  music: {
    Task: any(tasks.SequenceGenerator),
    options: () => ({ target: { bits: 2 }, hiddenSize: 4 }),
    data: () => [
      {
        target: [
          [1, 0],
          [0, 1],
        ],
      },
      { target: Float32Array.of(1, 1) },
    ],
    inputs: () => ({ maxLength: 4 }),
    fit: epochs,
    evaluate: { maxLength: 4 },
    generate: () => [{ maxLength: 4, seed: 2, count: 2 }],
    step: [[1, 0]],
  },
  forecaster: {
    Task: any(tasks.Forecaster),
    options: () => ({
      window: 3,
      horizon: 2,
      hiddenSize: 3,
      difference: 1,
      trend: 'linear',
      quantiles: [0.1, 0.5, 0.9],
    }),
    data: () => [...SERIES],
    inputs: () => [[1, 2, 3, 4, 5, 6]],
    fit: { ...epochs, schedule: { kind: 'plateau', factor: 0.5, patience: 1, every: 2 } },
    evaluate: { from: 10 },
    start: { start: 0 },
    step: 2,
  },
  series: {
    Task: any(tasks.Forecaster),
    options: () => ({
      window: 3,
      horizon: 2,
      hiddenSize: 3,
      normalization: 'standard',
      futureCovariates: ['price'],
      calendar: ['dayOfWeek', 'month'],
      variables: ['sold'],
    }),
    data: () => [
      { series: { sold: [...SERIES] }, dates: { ...DATES }, futureCovariates: { price: [...PRICES] } },
      {
        series: { sold: SERIES.slice(2).map((v) => 90 - v) },
        dates: SERIES.slice(2).map((_, t) => new Date(Date.UTC(2024, 0, 31 + t))),
        futureCovariates: { price: PRICES.slice(2) },
      },
    ],
    inputs: () => [
      { series: { sold: SERIES.slice(0, 5) }, dates: { ...DATES }, futureCovariates: { price: PRICES.slice(0, 7) } },
    ],
    fit: { ...epochs, to: [-1, 11] },
    evaluate: { from: -5, until: '2024-02-10', warn: false },
    opening: { date: '2024-02-03' },
    step: { series: { sold: 2 }, futureCovariates: { price: [1, 2] } },
  },
};
