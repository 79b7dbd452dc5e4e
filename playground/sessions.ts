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

/** What a recurrent layer reads, and what its steps are called. */
export interface Steps {
  /** [T,I] */
  readonly x: Float32Array;
  /** In a sentence, and on the axis of a heat map. */
  readonly labels: readonly string[];
  readonly marks: readonly string[];
  /** Which characters of a line they are. */
  readonly from: readonly number[];
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
  /** What the loss and the metric of the validation are, with their units. */
  readonly loss: string;
  readonly metric: string;
  validate(): Promise<{ value: number; sample: Sample }>;
  /** Held-out text, of tasks that read text; the model may read it without its spaces. */
  readonly held: string | null;
  /** What the last layer reads of a line of text, or of the end of its series. */
  steps(line: string): Steps;
  /** The lines that build and train the same model. */
  code(learningRate: number): string;
}

const UNKNOWN = '\u{fffd}';

function options({ cell, hiddenSize, numLayers, seed }: Settings) {
  return { cell: cell as 'lstm', hiddenSize, numLayers, seed };
}

/** Checks what a person dropped. */
function expect(condition: boolean, what: string): void {
  if (!condition) throw new Error(`The data: expected ${what}.`);
}

/** The characters of a line as the layers above the embedding read them; those that the model never reads are left out. */
function embedded({ model }: Trained, tokens: readonly string[], line: string, unread = /$^/): Steps {
  const ids = new Map(tokens.map((token, id) => [token, id]));
  const other = ids.get(UNKNOWN);
  const known = Array.from(line).flatMap((c, from) => {
    const id = ids.get(c) ?? other;
    return id === undefined || unread.test(c) ? [] : [{ c, id, from }];
  });
  if (!known.length) throw new Error('The line has no character that the model knows.');
  const weights = model.get('embedding.weight');
  const E = weights.length / tokens.length;
  const x = new Float32Array(known.length * E);
  known.forEach(({ id }, t) => {
    x.set(weights.subarray(id * E, (id + 1) * E), t * E);
  });
  const names: Readonly<Record<string, string>> = { '\n': '⏎', ' ': '·' };
  return {
    x,
    labels: known.map(({ c }) => `“${c}”`),
    marks: known.map(({ c }) => names[c] ?? c),
    from: known.map(({ from }) => from),
  };
}

/**
 * A program that trains the same model.
 *
 * @param read lines that read the data
 * @param create what `create` takes, after what all tasks have
 * @param fit what `fit` takes: the data and its options
 */
function program(task: string, settings: Settings, read: string, create: string, fit: string): string {
  const { cell, hiddenSize, numLayers, seed } = settings;
  return `import { readFile, writeFile } from 'node:fs/promises';
import { ${task}${task === 'Forecaster' ? '' : ', Vocabulary'} } from 'gatewise/tasks';

${read}
const model = await ${task}.create({
  ${create},
  ${`cell: '${cell}', hiddenSize: ${hiddenSize}, numLayers: ${numLayers}, seed: ${seed}`},
});
for await (const { step, loss } of model.fit(${fit})) {
  if (step === 1 || step % 100 === 0) console.log(step, loss.toFixed(4));
}
await writeFile('model.safetensors', model.save());
`;
}

async function write(settings: Settings, data: string, model?: Uint8Array): Promise<Session> {
  const text = data.replaceAll('\r\n', '\n');
  expect(text.length >= 2000, `a text of at least 2,000 characters, got ${text.length}`);
  const end = Math.floor(0.95 * text.length);
  const training = text.slice(0, end);
  const task = model
    ? await LanguageModel.load(model)
    : await LanguageModel.create({
        vocabulary: Vocabulary.of(training, { minCount: 2, unknown: UNKNOWN }).tokens,
        ...options(settings),
      });
  const { tokens } = task.vocabulary;
  const known = new Set(tokens);
  const clean = (part: string) => Array.from(part, (c) => (known.has(c) ? c : UNKNOWN)).filter((c) => known.has(c));
  const [learned, held] = [clean(training), clean(text.slice(end, end + 4000))];
  const [batchSize, window] = [16, 48];
  const prompt = held.slice(0, 24);
  return {
    task,
    fit: (learningRate) => task.fit(learned, { steps: 1e9, batchSize, window, learningRate }),
    perStep: batchSize * window,
    unit: 'characters',
    flow: () => gradientFlow(task, learned.slice(0, 4 * batchSize * window), { fit: { batchSize, window } }),
    loss: 'loss, nats per character',
    metric: 'bits per character',
    validate: async () => ({
      value: (await task.evaluate(held.slice(0, 1500))).bits,
      sample: {
        kind: 'text',
        text: prompt.join('') + (await task.generate({ prompt, length: 240, temperature: 0.7, seed: 1 })),
      },
    }),
    held: held.join(''),
    steps: (line) => embedded(task, tokens, line),
    code: (rate) =>
      program(
        'LanguageModel',
        settings,
        `const text = (await readFile('text.txt', 'utf8')).replaceAll('\\r\\n', '\\n');
const training = text.slice(0, Math.floor(0.95 * text.length));
const { tokens } = Vocabulary.of(training, { minCount: 2, unknown: '\\ufffd' });
const known = Array.from(training, (c) => (tokens.includes(c) ? c : '\\ufffd'));`,
        'vocabulary: tokens',
        `known, { steps: 2000, batchSize: ${batchSize}, window: ${window}, learningRate: ${rate} }`,
      ),
  };
}

/** Examples of text: those to train on, those held out, and the options of models that read them. */
function split<E extends { readonly input: string }>(examples: readonly E[], most: number) {
  const training = examples.filter((_, i) => i % 10 !== 9);
  const inputs = training.map(({ input }) => input);
  const { tokens } = Vocabulary.of(inputs, { minCount: 2, unknown: UNKNOWN });
  const held = examples.filter((_, i) => i % 10 === 9).slice(0, most);
  return { training, held, reads: { vocabulary: tokens, unknown: UNKNOWN, embeddingSize: 32 } };
}

const BATCH = 32;

const SPLIT = `const training = examples.filter((_, i) => i % 10 !== 9);
const { tokens } = Vocabulary.of(training.map(({ input }) => input), { minCount: 2, unknown: '\\ufffd' });`;
const READS = "vocabulary: tokens, unknown: '\\ufffd', embeddingSize: 32";

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
  const { training, held, reads } = split(examples, 200);
  const task = model
    ? await SequenceClassifier.load(model)
    : await SequenceClassifier.create({ ...reads, classes, pooling: 'mean', ...options(settings) });
  const tokens = [...(task.config.vocabulary ?? [])];
  return {
    task,
    fit: (learningRate) => task.fit(training, { epochs: 1e6, batchSize: BATCH, learningRate }),
    perStep: BATCH,
    unit: 'examples',
    flow: () => gradientFlow(task, training.slice(0, BATCH), { fit: { batchSize: BATCH } }),
    loss: 'loss, nats per example',
    metric: 'share of correct classes',
    validate: async () => {
      const { accuracy } = await task.evaluate(held);
      const some = held.slice(0, 8);
      const said = await task.predict(some.map(({ input }) => input));
      const rows = some.map(({ input, label }, i) => ({ input, expected: label, got: said[i].label ?? '' }));
      return { value: accuracy, sample: { kind: 'rows', rows } };
    },
    held: held.map(({ input }) => input).join('\n'),
    steps: (line) => embedded(task, tokens, line, /\n/),
    code: (rate) =>
      program(
        'SequenceClassifier',
        settings,
        `const lines = (await readFile('lines.tsv', 'utf8')).split(/\\r?\\n/).map((line) => line.split('\\t'));
const all = lines.map(([label, ...rest]) => ({ label, input: rest.join('\\t').trim() }));
const examples = all.filter(({ label, input }) => label && input);
${SPLIT}
const classes = [...new Set(examples.map(({ label }) => label))].sort();`,
        `${READS}, classes, pooling: 'mean'`,
        `training, { epochs: 10, batchSize: ${BATCH}, learningRate: ${rate} }`,
      ),
  };
}

/** Words as a text without spaces, and where they begin. */
function unspaced(words: readonly string[]): { words: readonly string[]; input: string; labels: string[] } {
  return {
    words,
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
  const { training, held, reads } = split(examples, 100);
  const learned = training.map(({ input, labels }) => ({ input, labels }));
  const task = model
    ? await SequenceTagger.load(model)
    : await SequenceTagger.create({
        ...reads,
        classes: ['begin', 'inside'],
        bidirectional: true,
        ...options(settings),
      });
  const tokens = [...(task.config.vocabulary ?? [])];
  const spaced = (input: string, labels: readonly string[]) =>
    Array.from(input, (c, i) => (i && labels[i] === 'begin' ? ` ${c}` : c)).join('');
  return {
    task,
    fit: (learningRate) => task.fit(learned, { epochs: 1e6, batchSize: BATCH, learningRate }),
    perStep: BATCH,
    unit: 'examples',
    flow: () => gradientFlow(task, learned.slice(0, BATCH), { fit: { batchSize: BATCH } }),
    loss: 'loss, nats per character',
    metric: 'share of correct labels',
    validate: async () => {
      const { accuracy } = await task.evaluate(held.map(({ input, labels }) => ({ input, labels })));
      const some = held.slice(0, 6);
      const said = await task.predict(some.map(({ input }) => input));
      const rows = some.map(({ input, labels }, i) => {
        const { labels: got } = said[i];
        return { input: '', expected: spaced(input, labels), got: spaced(input, Array.isArray(got) ? got : []) };
      });
      return { value: accuracy, sample: { kind: 'rows', rows } };
    },
    held: held.map(({ words: own }) => own.join(' ')).join('\n'),
    steps: (line) => embedded(task, tokens, line.toLowerCase(), /\s/),
    code: (rate) =>
      program(
        'SequenceTagger',
        settings,
        `const words = (await readFile('text.txt', 'utf8')).toLowerCase().match(/\\p{L}+/gu);
const length = Math.min(4000, Math.floor(words.length / 8));
const groups = Array.from({ length }, (_, i) => words.slice(8 * i, 8 * i + 8));
const labels = (word) => Array.from(word, (_, i) => (i ? 'inside' : 'begin'));
const examples = groups.map((group) => ({ input: group.join(''), labels: group.flatMap(labels) }));
${SPLIT}`,
        `${READS}, classes: ['begin', 'inside'], bidirectional: true`,
        `training, { epochs: 10, batchSize: ${BATCH}, learningRate: ${rate} }`,
      ),
  };
}

/** The last column of a table: its numbers, and its name if the first line has one. */
function column(data: string): { name: string; series: number[] } {
  const cells = data.split(/\r?\n/).map(
    (line) =>
      line
        .split(/[,;\t]/)
        .at(-1)
        ?.trim() ?? '',
  );
  const series = cells.filter((cell) => cell !== '' && Number.isFinite(Number(cell))).map(Number);
  const [first] = cells;
  return { name: first && Number.isNaN(Number(first)) ? first.slice(0, 20) : '', series };
}

async function forecast(settings: Settings, data: string, model?: Uint8Array): Promise<Session> {
  const { name, series } = column(data);
  expect(series.length >= 120, `at least 120 numbers, one a line or in the last column, got ${series.length}`);
  const task = model
    ? await Forecaster.load(model)
    : await Forecaster.create({ window: 36, horizon: 12, difference: 12, ...options(settings) });
  const { window, horizon = 1, difference = 0, variables, trend = 'none', normalization = 'none' } = task.config;
  if (variables || trend !== 'none' || normalization !== 'none')
    throw new Error('The model: expected a forecaster of one variable without a trend and without normalization.');
  const to = Math.floor(0.85 * series.length);
  const batchSize = 16;
  return {
    task,
    fit: (learningRate) => task.fit(series, { epochs: 1e6, to, batchSize, learningRate }),
    perStep: batchSize,
    unit: 'windows',
    flow: () => gradientFlow(task, series, { fit: { batchSize, to } }),
    loss: 'loss, squared error',
    metric: `mean absolute error${name && `, ${name}`}`,
    validate: async () => {
      const { mae } = await task.evaluate(series, { from: to });
      const past = series.slice(0, series.length - horizon);
      const [{ point }] = await task.predict([past]);
      const truth = series.slice(-horizon);
      return {
        value: mae,
        sample: { kind: 'series', name, past: past.slice(-4 * horizon), truth, forecast: [...point] },
      };
    },
    held: null,
    steps: () => {
      const { level, scale } = task.scaling ?? { level: 0, scale: 1 };
      const read = series.slice(-window);
      const before = difference ? series.slice(-window - difference) : [];
      const x = Float32Array.from(read, (y, t) => (y - (before[t] ?? 0) - level) / scale);
      const labels = read.map((y, t) => `${t - window + 1} (${y}${name && ` ${name}`})`);
      return { x, labels, from: [], marks: read.map((_, t) => ((t - window + 1) % 6 ? '' : String(t - window + 1))) };
    },
    code: (rate) =>
      program(
        'Forecaster',
        settings,
        `const lines = (await readFile('series.csv', 'utf8')).split(/\\r?\\n/);
const cells = lines.map((line) => line.split(/[,;\\t]/).at(-1).trim());
const series = cells.filter((cell) => cell !== '' && Number.isFinite(Number(cell))).map(Number);
const to = Math.floor(0.85 * series.length);`,
        `window: ${window}, horizon: ${horizon}, difference: ${difference}`,
        `series, { epochs: 20, to, batchSize: ${batchSize}, learningRate: ${rate} }`,
      ),
  };
}

export const sessions = { write, classify, tag, forecast };
