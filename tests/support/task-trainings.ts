/** Small trainings of every task, with examples of different lengths and batches of several examples. */
import type { Model } from 'gatewise';
import * as tasks from 'gatewise/tasks';
import { inWorker } from 'gatewise/worker';
import { random, uniform } from './numbers.js';

export const TEXT = 'abacabad'.repeat(50);
export const TINY = { vocabulary: 'abcd', hiddenSize: 8, embeddingSize: 4, seed: 3 };

export const TASKS = {
  LanguageModel: tasks.LanguageModel,
  SequenceClassifier: tasks.SequenceClassifier,
  SequenceRegressor: tasks.SequenceRegressor,
  SequenceTagger: tasks.SequenceTagger,
  Seq2Seq: tasks.Seq2Seq,
  Transcriber: tasks.Transcriber,
  SequenceGenerator: tasks.SequenceGenerator,
  Forecaster: tasks.Forecaster,
};
export type Name = keyof typeof TASKS;

/** What tests call of any task. */
export interface Any {
  fit(data: unknown, options: object): PromiseLike<tasks.FitHistory> & AsyncIterable<object>;
  evaluate(data: unknown, options?: object): PromiseLike<object>;
  predict(inputs: unknown, options?: object): PromiseLike<unknown>;
  save(options?: object): Uint8Array | Promise<Uint8Array>;
  summary(): object | Promise<object>;
  readonly model: Model<unknown>;
  readonly training: { readonly steps: number } | null;
  readonly config: object;
  dispose(): void;
}

type Create = (options: object) => Promise<Any>;
type Load = (bytes: Uint8Array) => Promise<Any>;
export const local = (name: Name, options: object) => (TASKS[name].create as unknown as Create)(options);
export const loaded = (name: Name, bytes: Uint8Array) => (TASKS[name].load as unknown as Load)(bytes);
export const remote = (name: Name, options: object) => (inWorker(name).create as unknown as Create)(options);

/** Whether two files are the same. */
export const same = (a: Uint8Array, b: Uint8Array) => Buffer.compare(a, b) === 0;

const WORDS = ['abba', 'cad', 'badab', 'dcba', 'aa', 'bcdabc', 'd'];
const next = random(7);
const vectors = WORDS.map(({ length }) => uniform(next, 2 * length));
const cased = (letter: string) => (letter === 'a' ? 'v' : 'c');
const labels = WORDS.map((input, i) => ({ input, label: i % 3 ? 'x' : 'y' }));
const tags = WORDS.map((input) => ({ input, labels: [...input].map(cased) }));
const reversed = WORDS.map((source) => ({ source, target: [...source].reverse().join('') }));
const frames = (bits: boolean) =>
  vectors.map((all, i) => ({
    input: i % 2 ? 'p' : 'q',
    target: Array.from({ length: all.length / 2 }, (_, t) =>
      Float32Array.from([all[2 * t], all[2 * t + 1]], (x) => (bits ? Number(x > 0) : x)),
    ),
  }));
const saw = Array.from({ length: 60 }, (_, t) => (t % 7) + 0.1 * (t % 3));

/** A series from this day on, with the prices of `more` days after it. */
const dated = (series: number[], day: number, more = 0) => ({
  series,
  dates: { start: new Date(Date.UTC(2024, 0, 1 + day)), step: { days: 1 } },
  futureCovariates: { price: Array.from({ length: series.length + more }, (_, t) => Math.cos(t + day)) },
});

export interface Training {
  readonly name: Name;
  readonly options: object;
  readonly data: unknown;
  readonly fit: object;
  /** What is predicted. */
  readonly inputs: unknown;
}

const EPOCHS = { epochs: 2, batchSize: 4 };
const classifier = { ...TINY, classes: ['x', 'y'] };
const tagger = { ...TINY, classes: ['v', 'c'], bidirectional: true };
const writer = { source: { vocabulary: 'abcd' }, target: 'abcd', hiddenSize: 6 };
const generator = { classes: ['p', 'q'], hiddenSize: 6 };

/** The first of each task is in `trainings` as well. */
export const variants: Readonly<Record<string, Training>> = {
  'language model': {
    name: 'LanguageModel',
    options: TINY,
    data: TEXT,
    fit: { batchSize: 5, window: 8, steps: 12 },
    inputs: ['ab', 'cab'],
  },
  'language model, overlapping windows, dropout': {
    name: 'LanguageModel',
    options: { ...TINY, cell: 'gru', numLayers: 2, dropout: 0.3, variationalDropout: 0.1 },
    data: TEXT,
    fit: { batchSize: 4, window: 8, stride: 5, steps: 12 },
    inputs: ['ab', 'cab'],
  },
  classifier: {
    name: 'SequenceClassifier',
    options: { ...classifier, numLayers: 2, dropout: 0.2 },
    data: labels,
    fit: EPOCHS,
    inputs: WORDS,
  },
  'classifier, weighted classes': {
    name: 'SequenceClassifier',
    options: classifier,
    data: labels,
    fit: { ...EPOCHS, classWeights: { x: 3, y: 0.5 } },
    inputs: WORDS,
  },
  'classifier, weights of examples, from an iterable': {
    name: 'SequenceClassifier',
    options: classifier,
    data: () => labels.map((example, i) => ({ ...example, weight: 1 + (i % 2) })).values(),
    fit: { ...EPOCHS, bufferSize: 8 },
    inputs: WORDS,
  },
  'classifier, several labels': {
    name: 'SequenceClassifier',
    options: { ...classifier, multiLabel: true },
    data: labels.map(({ input, label }) => ({ input, label: label === 'x' ? ['x', 'y'] : [] })),
    fit: EPOCHS,
    inputs: WORDS,
  },
  regressor: {
    name: 'SequenceRegressor',
    options: { inputSize: 2, outputSize: 2, hiddenSize: 4 },
    data: vectors.map((input, i) => ({ input, target: [i / 7, -0.5] })),
    fit: EPOCHS,
    inputs: vectors,
  },
  tagger: { name: 'SequenceTagger', options: { ...tagger, crf: true }, data: tags, fit: EPOCHS, inputs: WORDS },
  'tagger, several labels': {
    name: 'SequenceTagger',
    options: { ...tagger, multiLabel: true },
    data: tags.map(({ input, labels: own }) => ({ input, labels: own.map((c) => (c === 'v' ? ['v', 'c'] : [])) })),
    fit: EPOCHS,
    inputs: WORDS,
  },
  'tagger, two sets of classes': {
    name: 'SequenceTagger',
    options: { ...tagger, classes: { kind: ['v', 'c'], first: ['yes', 'no'] } },
    data: tags.map(({ input, labels: kind }) => ({
      input,
      labels: { kind, first: kind.map((_, t) => (t ? 'no' : 'yes')) },
    })),
    fit: EPOCHS,
    inputs: WORDS,
  },
  seq2seq: {
    name: 'Seq2Seq',
    options: { ...writer, attention: 'general' },
    data: reversed,
    fit: EPOCHS,
    inputs: WORDS,
  },
  'seq2seq, scheduled sampling': {
    name: 'Seq2Seq',
    options: writer,
    data: reversed,
    fit: { ...EPOCHS, teacherForcing: { from: 1, to: 0, steps: 4 } },
    inputs: WORDS,
  },
  transcriber: {
    name: 'Transcriber',
    options: { inputSize: 2, target: 'ab', hiddenSize: 4 },
    data: [3, 5, 4, 7, 6].map((T, i) => ({ input: uniform(next, 2 * T), target: i % 2 ? 'ab' : 'b' })),
    fit: EPOCHS,
    inputs: vectors,
  },
  generator: {
    name: 'SequenceGenerator',
    options: { ...generator, target: 'abcd' },
    data: WORDS.map((target, i) => ({ input: i % 2 ? 'p' : 'q', target })),
    fit: EPOCHS,
    inputs: ['p', 'q'],
  },
  'generator, without a condition': {
    name: 'SequenceGenerator',
    options: { target: { bits: 2 }, hiddenSize: 6 },
    data: frames(true).map(({ target }) => ({ target })),
    fit: EPOCHS,
    inputs: undefined,
  },
  'generator, vectors': {
    name: 'SequenceGenerator',
    options: { ...generator, target: { vectors: 2 } },
    data: frames(false),
    fit: EPOCHS,
    inputs: ['p', 'q'],
  },
  'generator, bits': {
    name: 'SequenceGenerator',
    options: { ...generator, target: { bits: 2 } },
    data: frames(true),
    fit: EPOCHS,
    inputs: ['p', 'q'],
  },
  forecaster: {
    name: 'Forecaster',
    options: { window: 6, horizon: 2, hiddenSize: 4 },
    data: saw,
    fit: EPOCHS,
    inputs: [saw.slice(0, 9), saw.slice(3, 20)],
  },
  'forecaster, many series with covariates': {
    name: 'Forecaster',
    options: {
      window: 6,
      horizon: 2,
      hiddenSize: 4,
      normalization: 'standard',
      futureCovariates: ['price'],
      calendar: ['dayOfWeek'],
      quantiles: [0.2, 0.8],
    },
    data: [
      dated(saw, 0),
      dated(
        saw.slice(3).map((v) => 30 * v),
        2,
      ),
    ],
    fit: EPOCHS,
    inputs: [dated(saw.slice(0, 9), 0, 2), dated(saw.slice(3, 20), 3, 2)],
  },
};

const firsts = Object.values(variants).reverse();
/** One training of each task. */
export const trainings = Object.fromEntries(firsts.map((own) => [own.name, own])) as Record<Name, Training>;
