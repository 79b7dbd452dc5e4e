/** What each task of the page trains, how it is measured, and the lines of code that rebuild it. */
import type { Model, Recurrent } from 'gatewise';
import { type Flow, gradientFlow } from 'gatewise/dynamics';
import { Forecaster, LanguageModel, SequenceClassifier, SequenceTagger, Vocabulary } from 'gatewise/tasks';
import type { Sample, Settings } from './protocol.js';

/** What the page needs of a task. */
export interface Trained {
  readonly model: Model<{ readonly rnn: Recurrent }>;
  save(): Uint8Array<ArrayBuffer>;
}

/** A model with its data. */
export interface Session {
  readonly task: Trained;
  /** Steps of training at this learning rate: they end when the loop is left. */
  fit(learningRate: number): AsyncIterable<{ loss: number }>;
  /** What a step reads: how many of what. */
  readonly perStep: number;
  readonly unit: string;
  /** How gradients flow through a batch. No `fit` may be running. */
  flow(): Flow;
  /** The name of the validation's metric. */
  readonly metric: string;
  validate(): Promise<{ value: number; sample: Sample }>;
  /** Text to look into, and how it is read: the tokens and their vocabulary. */
  readonly text?: { readonly held: string; readonly vocabulary: readonly string[] };
  readonly cell: string;
  /** The lines that build and train the same model. */
  readonly code: string;
}

const UNKNOWN = '\u{fffd}';

function options({ cell, hiddenSize, numLayers, seed }: Settings) {
  return { cell: cell as 'lstm', hiddenSize, numLayers, seed };
}

const shown = ({ cell, hiddenSize, numLayers, seed }: Settings) =>
  `cell: '${cell}', hiddenSize: ${hiddenSize}, numLayers: ${numLayers}, seed: ${seed}`;

function program(task: string, read: string, create: string, fit: string, file: string): string {
  return `import { readFile, writeFile } from 'node:fs/promises';
import { ${task} } from 'gatewise/tasks';

${read}
const model = await ${task}.create({ ${create} });
for await (const { step, loss } of model.fit(${fit})) {
  if (step % 100 === 0) console.log(step, loss.toFixed(3));
}
await writeFile('${file}.safetensors', model.save());
`;
}

/** Checks what a person dropped. */
function expect(condition: boolean, what: string): void {
  if (!condition) throw new Error(`The data: expected ${what}.`);
}

async function write(settings: Settings, data: string, model?: Uint8Array): Promise<Session> {
  const text = data.replace(/\r\n/g, '\n');
  expect(text.length >= 2000, `a text of at least 2,000 characters, got ${text.length}`);
  const end = Math.floor(0.95 * text.length);
  const [training, held] = [text.slice(0, end), text.slice(end, end + 4000)];
  const { tokens } = Vocabulary.of(training, { minCount: 2, unknown: UNKNOWN });
  const task = model
    ? await LanguageModel.load(model)
    : await LanguageModel.create({ vocabulary: tokens, ...options(settings) });
  const known = new Set(task.vocabulary.tokens);
  const clean = (part: string) => Array.from(part, (c) => (known.has(c) ? c : UNKNOWN)).filter((c) => known.has(c));
  const [learned, heldOut] = [clean(training), clean(held)];
  const [batchSize, window] = [16, 48];
  const prompt = heldOut.slice(0, 24);
  return {
    task: task,
    fit: (learningRate) => task.fit(learned, { steps: 1e9, batchSize, window, learningRate }),
    perStep: batchSize * window,
    unit: 'characters',
    flow: () => gradientFlow(task, learned.slice(0, 4 * batchSize * window), { fit: { batchSize, window } }),
    metric: 'bits per character',
    validate: async () => ({
      value: (await task.evaluate(heldOut.slice(0, 1500))).bits,
      sample: {
        kind: 'text',
        text: prompt.join('') + (await task.generate({ prompt, length: 240, temperature: 0.7, seed: 1 })),
      },
    }),
    text: { held: heldOut.join(''), vocabulary: task.vocabulary.tokens },
    cell: settings.cell,
    code: program(
      'LanguageModel',
      `const text = await readFile('text.txt', 'utf8');`,
      `vocabulary: text, ${shown(settings)}`,
      `text, { steps: 2000, batchSize: ${batchSize}, window: ${window}, learningRate: ${settings.learningRate} }`,
      'writer',
    ),
  };
}

/** Every tenth item is held out. */
function split<T>(items: readonly T[]): { training: T[]; held: T[] } {
  return { training: items.filter((_, i) => i % 10 !== 9), held: items.filter((_, i) => i % 10 === 9) };
}

async function classify(settings: Settings, data: string, model?: Uint8Array): Promise<Session> {
  const examples = data.split(/\r?\n/).flatMap((line) => {
    const [label, ...rest] = line.split('\t');
    const input = rest.join('\t').trim();
    return label && input ? [{ label, input }] : [];
  });
  const classes = [...new Set(examples.map(({ label }) => label))].sort();
  expect(
    examples.length >= 40 && classes.length >= 2,
    'lines of a label, a tab and a text: at least 40 lines and 2 labels',
  );
  const { training, held } = split(examples);
  const vocabulary = Vocabulary.of(
    training.map(({ input }) => input),
    { minCount: 2, unknown: UNKNOWN },
  ).tokens;
  const task = model
    ? await SequenceClassifier.load(model)
    : await SequenceClassifier.create({
        vocabulary,
        unknown: UNKNOWN,
        embeddingSize: 32,
        classes,
        pooling: 'mean',
        ...options(settings),
      });
  const batchSize = 32;
  const heldOut = held.slice(0, 200);
  return {
    task: task,
    fit: (learningRate) => task.fit(training, { epochs: 1e6, batchSize, learningRate }),
    perStep: batchSize,
    unit: 'examples',
    flow: () => gradientFlow(task, training.slice(0, batchSize), { fit: { batchSize } }),
    metric: 'share of correct classes',
    validate: async () => {
      const { accuracy } = await task.evaluate(heldOut);
      const some = heldOut.slice(0, 8);
      const said = await task.predict(some.map(({ input }) => input));
      const rows = some.map(({ input, label }, i) => ({ input, expected: label, got: said[i].label ?? '' }));
      return { value: accuracy, sample: { kind: 'rows', rows } };
    },
    text: {
      held: heldOut.map(({ input }) => input).join('\n'),
      vocabulary: [...(task.config.vocabulary ?? [])],
    },
    cell: settings.cell,
    code: program(
      'SequenceClassifier',
      `const lines = (await readFile('lines.tsv', 'utf8')).trim().split('\\n');
const examples = lines.map((line) => line.split('\\t')).map(([label, input]) => ({ label, input }));`,
      `vocabulary: '${UNKNOWN}' + lines.join(''), unknown: '${UNKNOWN}', classes: [...new Set(examples.map(({ label }) => label))],
  embeddingSize: 32, pooling: 'mean', ${shown(settings)}`,
      `examples, { epochs: 10, batchSize: ${batchSize}, learningRate: ${settings.learningRate} }`,
      'classifier',
    ),
  };
}

/** A text without its spaces, and where words begin. */
function unspaced(words: readonly string[]): { input: string; labels: string[] } {
  return {
    input: words.join(''),
    labels: words.flatMap((word) => Array.from(word, (_, i) => (i ? 'inside' : 'begin'))),
  };
}

async function tag(settings: Settings, data: string, model?: Uint8Array): Promise<Session> {
  const words = data.toLowerCase().match(/\p{L}+/gu) ?? [];
  expect(words.length >= 500, `a text of at least 500 words, got ${words.length}`);
  const examples = Array.from({ length: Math.min(4000, Math.floor(words.length / 8)) }, (_, i) =>
    unspaced(words.slice(8 * i, 8 * i + 8)),
  );
  const { training, held } = split(examples);
  const vocabulary = Vocabulary.of(
    training.map(({ input }) => input),
    { minCount: 2, unknown: UNKNOWN },
  ).tokens;
  const task = model
    ? await SequenceTagger.load(model)
    : await SequenceTagger.create({
        vocabulary,
        unknown: UNKNOWN,
        embeddingSize: 32,
        classes: ['begin', 'inside'],
        bidirectional: true,
        ...options(settings),
      });
  const batchSize = 32;
  const heldOut = held.slice(0, 100);
  const spaced = (input: string, labels: readonly string[]) =>
    Array.from(input, (c, i) => (i && labels[i] === 'begin' ? ` ${c}` : c)).join('');
  return {
    task: task,
    fit: (learningRate) => task.fit(training, { epochs: 1e6, batchSize, learningRate }),
    perStep: batchSize,
    unit: 'examples',
    flow: () => gradientFlow(task, training.slice(0, batchSize), { fit: { batchSize } }),
    metric: 'share of correct labels',
    validate: async () => {
      const { accuracy } = await task.evaluate(heldOut);
      const some = heldOut.slice(0, 6);
      const said = await task.predict(some.map(({ input }) => input));
      const rows = some.map(({ input, labels }, i) => {
        const { labels: got } = said[i];
        return { input: '', expected: spaced(input, labels), got: spaced(input, Array.isArray(got) ? got : []) };
      });
      return { value: accuracy, sample: { kind: 'rows', rows } };
    },
    text: {
      held: heldOut.map(({ input }) => input).join('\n'),
      vocabulary: [...(task.config.vocabulary ?? [])],
    },
    cell: settings.cell,
    code: program(
      'SequenceTagger',
      `const words = (await readFile('text.txt', 'utf8')).toLowerCase().match(/\\p{L}+/gu);
const examples = Array.from({ length: Math.floor(words.length / 8) }, (_, i) => words.slice(8 * i, 8 * i + 8)).map((part) => ({
  input: part.join(''), labels: part.flatMap((word) => [...word].map((_, i) => (i ? 'inside' : 'begin'))),
}));`,
      `vocabulary: words.join(''), classes: ['begin', 'inside'], embeddingSize: 32, bidirectional: true,
  ${shown(settings)}`,
      `examples, { epochs: 10, batchSize: ${batchSize}, learningRate: ${settings.learningRate} }`,
      'tagger',
    ),
  };
}

async function forecast(settings: Settings, data: string, model?: Uint8Array): Promise<Session> {
  const series = data.split(/\r?\n/).flatMap((line) => {
    const last =
      line
        .split(/[,;\t]/)
        .at(-1)
        ?.trim() ?? '';
    const value = Number(last);
    return last && Number.isFinite(value) ? [value] : [];
  });
  expect(series.length >= 120, `at least 120 numbers, one a line or in the last column, got ${series.length}`);
  const [window, horizon] = [36, 12];
  const to = Math.floor(0.85 * series.length);
  const task = model
    ? await Forecaster.load(model)
    : await Forecaster.create({ window, horizon, difference: 12, ...options(settings) });
  const batchSize = 16;
  return {
    task: task,
    fit: (learningRate) => task.fit(series, { epochs: 1e6, to, batchSize, learningRate }),
    perStep: batchSize,
    unit: 'windows',
    flow: () => gradientFlow(task, series, { fit: { batchSize, to } }),
    metric: 'mean absolute error',
    validate: async () => {
      const { mae } = await task.evaluate(series, { from: to });
      const past = series.slice(0, series.length - horizon);
      const [{ point }] = await task.predict([past]);
      return {
        value: mae,
        sample: { kind: 'series', past: past.slice(-4 * horizon), truth: series.slice(-horizon), forecast: [...point] },
      };
    },
    cell: settings.cell,
    code: program(
      'Forecaster',
      `const series = (await readFile('series.csv', 'utf8')).trim().split('\\n').map(Number);`,
      `window: ${window}, horizon: ${horizon}, difference: 12, ${shown(settings)}`,
      `series, { epochs: 20, batchSize: ${batchSize}, learningRate: ${settings.learningRate} }`,
      'forecaster',
    ),
  };
}

export const sessions = { write, classify, tag, forecast };
