/** Trains the configurations of fingerprints.ts and hashes what comes of it. All calls of the package are in this file. */
import { createHash, type Hash } from 'node:crypto';
import {
  AttentionPool,
  type Builder,
  bceWithLogitsLoss,
  crossEntropyLoss,
  type FitOptions,
  huberLoss,
  input,
  LayerNorm,
  Linear,
  type Loss,
  l1Loss,
  MLP,
  Model,
  mseLoss,
  Optimizer,
  type OptimizerOptions,
  quantileLoss,
  Recurrent,
  type RecurrentOptions,
  type Rows,
  Runtime,
  read,
  smoothL1Loss,
  type Tape,
  train,
} from 'gatewise';
import {
  type Classes,
  type ClassifierExample,
  type ClassifierFitOptions,
  type EpochOptions,
  type Forecast,
  Forecaster,
  type ForecasterOptions,
  type Generated,
  type GenerateOptions,
  type GenerateSequenceOptions,
  type GeneratorExample,
  type GeneratorTarget,
  LanguageModel,
  type LanguageModelFitOptions,
  type LanguageModelOptions,
  type RegressorExample,
  Seq2Seq,
  type Seq2SeqExample,
  type Seq2SeqFitOptions,
  type Seq2SeqOptions,
  SequenceClassifier,
  type SequenceClassifierOptions,
  SequenceGenerator,
  type SequenceGeneratorOptions,
  SequenceRegressor,
  type SequenceRegressorOptions,
  SequenceTagger,
  type SequenceTaggerOptions,
  type Series,
  type TaggerExample,
  Transcriber,
  type TranscriberExample,
  type TranscriberOptions,
  type Translation,
  type WriteOptions,
} from 'gatewise/tasks';
import { random, uniform } from './numbers.js';

/** Updates of each training. */
export const STEPS = 200;
/** Examples of a step of the tasks that learn from examples. */
const BATCH = 4;

export interface LayersConfiguration {
  readonly of: 'layers';
  readonly recurrent: Omit<RecurrentOptions, 'inputSize'>;
  /** What turns the outputs of the recurrent layers into predictions, default `'linear'`. */
  readonly head?: 'linear' | 'norm' | 'pool';
  /** Default `'mse'`. */
  readonly loss?: keyof typeof losses;
  /** Whether the state of a step is where the next one starts. */
  readonly carried?: boolean;
  readonly optimizer?: OptimizerOptions;
  readonly fit?: Pick<FitOptions, 'clipNorm' | 'clipValue' | 'schedule'>;
}

export type Configuration =
  | LayersConfiguration
  | {
      readonly of: 'language model';
      readonly options: Omit<LanguageModelOptions, 'vocabulary'>;
      readonly text: string;
      readonly fit: LanguageModelFitOptions;
      readonly generate: readonly GenerateOptions[];
    }
  | {
      readonly of: 'classifier';
      readonly options: SequenceClassifierOptions;
      readonly examples: readonly ClassifierExample[];
      readonly fit?: ClassifierFitOptions;
    }
  | {
      readonly of: 'regressor';
      readonly options: SequenceRegressorOptions;
      readonly examples: readonly RegressorExample[];
      readonly fit?: EpochOptions;
    }
  | { readonly of: 'tagger'; readonly options: SequenceTaggerOptions; readonly examples: readonly TaggerExample[] }
  | {
      readonly of: 'seq2seq';
      readonly options: Seq2SeqOptions;
      readonly examples: readonly Seq2SeqExample[];
      readonly fit?: Seq2SeqFitOptions;
      readonly write: readonly WriteOptions[];
      readonly generate?: readonly GenerateSequenceOptions[];
    }
  | {
      readonly of: 'transcriber';
      readonly options: TranscriberOptions;
      readonly examples: readonly TranscriberExample[];
    }
  | {
      readonly of: 'generator';
      readonly options: SequenceGeneratorOptions;
      readonly examples: readonly GeneratorExample[];
      readonly write: readonly WriteOptions[];
      readonly generate?: readonly GenerateSequenceOptions[];
    }
  | {
      readonly of: 'forecaster';
      readonly options: ForecasterOptions;
      readonly series: Series;
      readonly steps?: number;
    };

/** What a prediction says, without the names of its fields. NaN has no bits of its own and is left out by who makes these. */
type Said = string | number | Float32Array | Float64Array | readonly Said[];

interface Trained {
  readonly model: Model<unknown>;
  readonly losses: readonly number[];
  readonly said: Said;
}

type Of<K extends Configuration['of']> = Extract<Configuration, { of: K }>;
type Common = { readonly runtime: Runtime; readonly seed: number };

/** The sha256 of the weights, the losses and the predictions of a configuration, in hexadecimal digits. */
export async function fingerprint(configuration: Configuration, seed = 11): Promise<string> {
  // the relaxed build may round as the machine likes
  const runtime = Runtime.createSync({ build: 'simd' });
  try {
    const { model, losses: values, said } = await trained(configuration, { runtime, seed });
    if (values.length !== STEPS) throw new Error(`expected ${STEPS} steps, got ${values.length}`);
    const hash = createHash('sha256');
    for (const { name } of model.parameters) add(hash, model.get(name));
    add(hash, Float64Array.from(values));
    add(hash, said);
    return hash.digest('hex');
  } finally {
    runtime.dispose();
  }
}

function add(hash: Hash, said: Said): void {
  if (typeof said === 'string') hash.update(`${said}\0`);
  else if (typeof said === 'number') add(hash, Float64Array.of(said));
  else if (ArrayBuffer.isView(said)) hash.update(new Uint8Array(said.buffer, said.byteOffset, said.byteLength));
  else for (const one of said) add(hash, one);
}

function trained(configuration: Configuration, common: Common): Trained | Promise<Trained> {
  switch (configuration.of) {
    case 'layers':
      return layers(configuration, common);
    case 'language model':
      return languageModel(configuration, common);
    case 'classifier':
      return classifier(configuration, common);
    case 'regressor':
      return regressor(configuration, common);
    case 'tagger':
      return tagger(configuration, common);
    case 'seq2seq':
      return seq2seq(configuration, common);
    case 'transcriber':
      return transcriber(configuration, common);
    case 'generator':
      return generator(configuration, common);
    case 'forecaster':
      return forecaster(configuration, common);
  }
}

/** The losses of the first steps of a run, which then ends. */
async function lossesOf(run: AsyncIterable<{ readonly loss: number }>): Promise<number[]> {
  const values: number[] = [];
  for await (const { loss } of run) if (values.push(loss) === STEPS) break;
  return values;
}

/** Options of a fit to examples that makes at least as many steps as are wanted. */
const FIT = { batchSize: BATCH, epochs: STEPS, learningRate: 0.01 } as const;

// layers

const [T, B, I, OUTPUTS] = [9, 3, 7, 3];
/** Lengths of the sequences of the batches, in turns; undefined: all have T steps. */
const LENGTHS = [undefined, [9, 4, 7], [1, 9, 2], undefined, [5, 5, 6]] as const;
const QUANTILES = [0.2, 0.7];

/** Losses of predictions [T,B,F] and random numbers from 0 to 1, of which they make their targets. */
const losses = {
  mse: (tape, y, numbers) => mseLoss(tape, y, numbers),
  l1: (tape, y, numbers) => l1Loss(tape, y, numbers),
  huber: (tape, y, numbers) => huberLoss(tape, y, numbers, { delta: 0.3 }),
  smoothL1: (tape, y, numbers) => smoothL1Loss(tape, y, numbers, { beta: 0.2, reduction: 'sum' }),
  quantile: (tape, y, numbers) => quantileLoss(tape, y, numbers, { quantile: QUANTILES }),
  bce: (tape, y, numbers) =>
    bceWithLogitsLoss(
      tape,
      y,
      numbers.map((u) => (u < 0.4 ? 1 : 0)),
      { posWeight: [2, 0.5, 1.25] },
    ),
  crossEntropy: (tape, y, numbers) =>
    crossEntropyLoss(
      tape,
      y,
      // some targets do not count
      Int32Array.from({ length: y.T * y.B }, (_, i) => Math.floor(numbers[i] * (OUTPUTS + 1)) - 1),
      { weights: [1, 0.5, 3], labelSmoothing: 0.1 },
    ),
} satisfies Record<string, (tape: Tape, y: Rows, numbers: Float32Array) => Loss>;

async function layers(configuration: LayersConfiguration, { runtime, seed }: Common): Promise<Trained> {
  const { recurrent, head = 'linear', loss = 'mse', carried = false, optimizer, fit } = configuration;
  const outputSize = loss === 'quantile' ? OUTPUTS * QUANTILES.length : OUTPUTS;
  const model = new Model(runtime, seed, (b: Builder) => {
    const rnn = new Recurrent(b, 'rnn', { inputSize: I, ...recurrent });
    return { rnn, predict: heads[head](b, rnn.outputSize, outputSize) };
  });
  type Layers = typeof model.layers;
  const state = carried ? model.layers.rnn.state(B) : undefined;
  const next = random(5);
  const batches = LENGTHS.map((lengths) => ({
    x: uniform(next, T * B * I),
    numbers: Float32Array.from({ length: T * B * OUTPUTS }, next),
    options: lengths ? { lengths } : {},
  }));
  const forward = (tape: Tape, { rnn, predict }: Layers, { x, options }: (typeof batches)[number]) =>
    predict(tape, rnn.forward(tape, input(tape, x, { T, B, F: I, ...options }), state).output);
  let step = 0;
  const run = train(model, new Optimizer(model, { learningRate: 0.01, ...optimizer }), { steps: STEPS, ...fit }, () => {
    const batch = batches[step++ % batches.length];
    return {
      loss: (tape, own) => {
        const y = forward(tape, own, batch);
        return losses[loss](tape, y, batch.numbers.subarray(0, y.T * B * OUTPUTS));
      },
    };
  });
  const values = await lossesOf(run);
  const said: Said[] = batches.map((batch) => model.forward((tape, own) => read(tape, forward(tape, own, batch))));
  const { rnn } = model.layers;
  if (!rnn.bidirectional) {
    const stream = rnn.state(B);
    for (let t = 0; t < T; t++) said.push(rnn.step(batches[0].x.subarray(t * B * I, (t + 1) * B * I), stream));
    said.push(stream.h, stream.c);
  }
  return { model, losses: values, said };
}

const heads = {
  linear: (b: Builder, inputSize: number, outputSize: number) => {
    const linear = new Linear(b, 'head', { inputSize, outputSize });
    return (tape: Tape, h: Rows) => linear.forward(tape, h);
  },
  norm: (b: Builder, inputSize: number, outputSize: number) => {
    const norm = new LayerNorm(b, 'norm', { inputSize });
    const perceptron = new MLP(b, 'head', { inputSize, hiddenLayers: [6], outputSize, activation: 'sigmoid' });
    return (tape: Tape, h: Rows) => perceptron.forward(tape, norm.forward(tape, h));
  },
  pool: (b: Builder, inputSize: number, outputSize: number) => {
    const pool = new AttentionPool(b, 'pool', { inputSize, attentionSize: 5 });
    const linear = new Linear(b, 'head', { inputSize, outputSize });
    return (tape: Tape, h: Rows) => linear.forward(tape, pool.forward(tape, h).output);
  },
};

// tasks

async function languageModel({ options, text, fit, generate }: Of<'language model'>, common: Common): Promise<Trained> {
  const task = await LanguageModel.create({ vocabulary: text, ...options, ...common });
  const values = await lossesOf(task.fit(text, { steps: STEPS, learningRate: 0.01, ...fit }));
  const { probabilities } = task.stream().step(text.slice(0, 20));
  return { model: task.model, losses: values, said: [probabilities, ...generate.map((own) => task.generateSync(own))] };
}

async function classifier({ options, examples, fit }: Of<'classifier'>, common: Common): Promise<Trained> {
  const task: SequenceClassifier = await SequenceClassifier.create<string, boolean>({ ...options, ...common });
  const values = await lossesOf(task.fit(examples, { ...FIT, ...fit }));
  const predictions = await task.predict(examples.map((example) => example.input));
  // a list of labels and one of numbers, whatever it predicts
  const said = predictions.map((p) => ['label' in p ? [p.label] : p.labels, p.probabilities, new Float32Array()]);
  return { model: task.model, losses: values, said };
}

async function regressor({ options, examples, fit }: Of<'regressor'>, common: Common): Promise<Trained> {
  const task = await SequenceRegressor.create({ ...options, ...common });
  const values = await lossesOf(task.fit(examples, { ...FIT, ...fit }));
  const predictions = await task.predict(examples.map((example) => example.input));
  const said = predictions.map((p) => [[], new Float32Array(), p.values]);
  return { model: task.model, losses: values, said };
}

async function tagger({ options, examples }: Of<'tagger'>, common: Common): Promise<Trained> {
  const task: SequenceTagger = await SequenceTagger.create<Classes, boolean, boolean>({ ...options, ...common });
  const values = await lossesOf(task.fit(examples, FIT));
  const predictions = await task.predict(examples.map((example) => example.input));
  const said = predictions.map((p): Said => {
    const bySet = <T extends Said>(own: unknown): T[] =>
      (Array.isArray(own) || ArrayBuffer.isView(own) ? [own] : Object.values(own as object)) as T[];
    const labels = bySet<string[]>(p.labels);
    return [labels, 'probabilities' in p ? bySet<Float32Array>(p.probabilities) : labels.map(() => new Float32Array())];
  });
  return { model: task.model, losses: values, said };
}

async function seq2seq(
  { options, examples, fit, write, generate = [] }: Of<'seq2seq'>,
  common: Common,
): Promise<Trained> {
  const task: Seq2Seq = await Seq2Seq.create({ ...options, ...common });
  const values = await lossesOf(task.fit(examples, { ...FIT, ...fit }));
  const sources = examples.map(({ source }) => source);
  const said: Said[] = [];
  const runs: (() => PromiseLike<readonly Partial<Translation>[]>)[] = [
    ...write.map((own) => () => task.predict(sources, { maxLength: 8, ...own })),
    ...generate.map((own) => () => task.generate(sources, { maxLength: 8, ...own })),
  ];
  for (const run of runs) {
    for (const { tokens = [], attention = {}, logProbability } of await run())
      said.push(tokens, Array.isArray(attention) ? [attention] : Object.values(attention), known(logProbability));
  }
  return { model: task.model, losses: values, said };
}

async function transcriber({ options, examples }: Of<'transcriber'>, common: Common): Promise<Trained> {
  const task = await Transcriber.create({ ...options, ...common });
  const values = await lossesOf(task.fit(examples, FIT));
  const inputs = examples.map((example) => example.input);
  const said: Said[] = [];
  for (const own of [{}, { beamWidth: 3 }]) {
    for (const p of await task.predict(inputs, own)) said.push(p.tokens, known(p.logProbability ?? Number.NaN));
  }
  return { model: task.model, losses: values, said };
}

async function generator(
  { options, examples, write, generate = [] }: Of<'generator'>,
  common: Common,
): Promise<Trained> {
  const task: SequenceGenerator = await SequenceGenerator.create({ ...options, ...common });
  const values = await lossesOf(task.fit(examples, FIT));
  const inputs = examples.flatMap(({ input }) => (input === undefined ? [] : [input]));
  const said: Said[] = [];
  const many = { maxLength: 8 };
  const runs: (() => PromiseLike<readonly Generated<GeneratorTarget, number>[]>)[] = [
    ...write.map((own) => () => {
      const how = { ...many, ...own };
      return inputs.length ? task.predict(inputs, how) : task.predict(how);
    }),
    ...generate.map((own) => () => {
      const how = { ...many, ...own };
      return inputs.length ? task.generate(inputs, how) : task.generate({ count: 3, ...how });
    }),
  ];
  for (const run of runs) {
    for (const p of await run()) {
      if ('tokens' in p) said.push(p.tokens, [], known(p.logProbability));
      else said.push([], 'frames' in p ? p.frames : p.vectors, []);
    }
  }
  return { model: task.model, losses: values, said };
}

async function forecaster({ options, series, steps }: Of<'forecaster'>, common: Common): Promise<Trained> {
  const task = await Forecaster.create({ ...options, ...common });
  const values = await lossesOf(task.fit(series, FIT));
  const [forecast] = await task.predict([series], { start: 0, ...(steps === undefined ? {} : { steps }) });
  // by name, or one of a variable without a name
  const all: Forecast[] =
    'point' in forecast && !options.variables
      ? [Object.assign({ point: new Float64Array() }, forecast)]
      : Object.values(forecast as Readonly<Record<string, Forecast>>);
  const said = all.map(({ point, quantiles = [] }) => [point, quantiles]);
  return { model: task.model, losses: values, said };
}

/** A log-probability, where there is one. */
const known = (logProbability = Number.NaN): Said => (Number.isNaN(logProbability) ? [] : logProbability);
