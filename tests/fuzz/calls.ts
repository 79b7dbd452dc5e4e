/**
 * A valid call of every public function, one place of its arguments replaced by a nasty value. The call is refused by an error of the
 * library and changes nothing, or it is accepted, and all weights stay finite.
 */
import * as gw from 'gatewise';
import * as dynamics from 'gatewise/dynamics';
import * as toOnnx from 'gatewise/export/onnx';
import * as extending from 'gatewise/extend';
import * as functions from 'gatewise/functions';
import * as fromAmp from 'gatewise/import/amp';
import * as fromKeras from 'gatewise/import/keras';
import * as fromOnnx from 'gatewise/import/onnx';
import * as fromPyTorch from 'gatewise/import/pytorch';
import * as infer from 'gatewise/infer';
import * as memory from 'gatewise/memory';
import * as metrics from 'gatewise/metrics';
import * as node from 'gatewise/node';
import * as online from 'gatewise/online';
import * as predict from 'gatewise/predict';
import * as processor from 'gatewise/processor';
import * as quantized from 'gatewise/quantized';
import * as reservoir from 'gatewise/reservoir';
import * as tasks from 'gatewise/tasks';
import * as training from 'gatewise/training';
import * as worker from 'gatewise/worker';
import type { Chance } from './chance.js';
import { ENTRY_CALLS, type Things, thingsOf } from './entries.js';
import { NASTY } from './nasty.js';
import { type AnyRun, type AnyTask, loaderOf, subjects } from './subjects.js';
import { alien, Neighbour, same } from './verdict.js';

export interface CallCase {
  readonly name: string;
  /** Where in the arguments, say `[1].classes[0]`. */
  readonly place: readonly (string | number)[];
  readonly value: string;
}

export interface World {
  readonly runtime: gw.Runtime;
  readonly model: gw.Model<Layers>;
  readonly optimizer: gw.Optimizer;
  readonly tasks: Record<string, AnyTask>;
  readonly things: Things;
}

export interface Call {
  /** Where it is called: on the tape of a pass, or while a model is built; else by itself. */
  readonly where?: 'forward' | 'step' | 'build';
  args(w: World, p: Pass): unknown[];
  // biome-ignore lint/suspicious/noExplicitAny: that its arguments are wrong is the point
  call(...args: any[]): unknown;
  /** What a call that is refused must not change, beside models and tasks. */
  kept?(w: World): Uint8Array;
}

interface Pass {
  readonly tape: gw.Tape;
  /** Rows [3,2,4] and [3,2,6]. */
  readonly x: gw.Rows;
  readonly wide: gw.Rows;
  readonly builder: gw.Builder;
}

const V = (n: number) => Float32Array.from({ length: n }, (_, i) => Math.sin(i + 1));
const shape = () => ({ T: 3, B: 2, F: 4, lengths: [3, 2] });
const recurrent = () => ({ cell: 'lstm' as const, inputSize: 4, hiddenSize: 4, numLayers: 2, dropout: 0.1 });

function build(b: gw.Builder) {
  return {
    linear: new gw.Linear(b, 'linear', { inputSize: 4, outputSize: 3 }),
    mlp: new gw.MLP(b, 'mlp', { inputSize: 4, hiddenLayers: [3], outputSize: 2 }),
    embedding: new gw.Embedding(b, 'embedding', { vocabularySize: 5, embeddingSize: 4 }),
    norm: new gw.LayerNorm(b, 'norm', { inputSize: 4 }),
    rnn: new gw.Recurrent(b, 'rnn', recurrent()),
    attention: new gw.Attention(b, 'attention', { score: 'general', querySize: 4, keySize: 4 }),
    pool: new gw.AttentionPool(b, 'pool', { inputSize: 4, attentionSize: 3 }),
    crf: new gw.Crf(b, 'crf', { numClasses: 4 }),
  };
}
type Layers = ReturnType<typeof build>;

const CALLS: Record<string, Call> = { ...ENTRY_CALLS };

const loss = (t: gw.Tape, l: Layers) =>
  gw.dotLoss(t, l.linear.forward(t, gw.input(t, V(4), { T: 1, B: 1, F: 4 })), V(3));

for (const [name, options] of Object.entries({
  Linear: () => ({ inputSize: 4, outputSize: 3, bias: true, initializers: { weight: { kind: 'normal', std: 0.1 } } }),
  MLP: () => ({ inputSize: 4, hiddenLayers: [3, 2], outputSize: 2, activation: 'relu', dropout: 0.1 }),
  Embedding: () => ({ vocabularySize: 5, embeddingSize: 4 }),
  LayerNorm: () => ({ inputSize: 4 }),
  Recurrent: () => ({
    ...recurrent(),
    bidirectional: true,
    merge: 'sum',
    bias: true,
    initialState: 'learned',
    variationalDropout: 0.1,
    zoneoutHidden: 0.1,
    zoneoutCell: 0.1,
    weightDrop: 0.1,
    peepholes: true,
    cellClip: 3,
    forgetBias: 1,
    projectionSize: 3,
    initializers: { input: { kind: 'orthogonal', gain: 1 } },
  }),
  Attention: () => ({ score: 'additive', querySize: 4, keySize: 4, attentionSize: 3 }),
  AttentionPool: () => ({ inputSize: 4, attentionSize: 3 }),
  Crf: () => ({ numClasses: 3 }),
} as const)) {
  const { [name as 'Linear']: Layer } = gw;
  CALLS[`new ${name}`] = {
    where: 'build',
    args: (_, { builder }) => [builder, 'layer', options()],
    call: (b, n, o) => new Layer(b, n, o),
  };
}

const { mseLoss, l1Loss, huberLoss, smoothL1Loss, bceWithLogitsLoss } = gw;
for (const [name, loss] of Object.entries({ mseLoss, l1Loss, huberLoss, smoothL1Loss, bceWithLogitsLoss })) {
  CALLS[name] = {
    where: 'step',
    args: (_, { tape, x }) => [tape, x, V(24).map(Math.abs), { reduction: 'none', upstream: V(24) }],
    call: loss as (...all: unknown[]) => gw.Loss,
  };
}
const forward = (args: Call['args'], call: Call['call']): Call => ({ where: 'forward', args, call });
const step = (args: Call['args'], call: Call['call']): Call => ({ where: 'step', args, call });
const plain = (args: Call['args'], call: Call['call']): Call => ({ args, call });

Object.assign(CALLS, {
  quantileLoss: step(
    (_, { tape, wide }) => [tape, wide, V(18), { quantile: [0.1, 0.9], reduction: 'sum' }],
    (...a: Parameters<typeof gw.quantileLoss>) => gw.quantileLoss(...a),
  ),
  crossEntropyLoss: step(
    (_, { tape, x }) => [tape, x, [0, 1, 2, 3, 0, 1], { weights: [1, 2, 1, 1], labelSmoothing: 0.1 }],
    (...a: Parameters<typeof gw.crossEntropyLoss>) => gw.crossEntropyLoss(...a),
  ),
  dotLoss: step(
    (_, { tape, x }) => [tape, x, V(24)],
    (...a: Parameters<typeof gw.dotLoss>) => gw.dotLoss(...a),
  ),
  ctcLoss: step(
    (_, { tape, x }) => [tape, x, [[1, 2], [3]], { blank: 0 }],
    (...a: Parameters<typeof gw.ctcLoss>) => gw.ctcLoss(...a),
  ),
  'crf.loss': step(
    ({ model }, { tape, x }) => [model.layers.crf, tape, x, [0, 1, 2, 3, 0, 1], { reduction: 'mean' }],
    (crf, ...a) => crf.loss(...a),
  ),
  'crf.decode': forward(
    ({ model }, { tape, x }) => [model.layers.crf, tape, x],
    (crf, ...a) => crf.decode(...a),
  ),
  ctcBestPath: forward(
    (_, { tape, x }) => [tape, x, { blank: 0 }],
    (...a: Parameters<typeof gw.ctcBestPath>) => gw.ctcBestPath(...a),
  ),
  ctcBeamSearch: forward(
    (_, { tape, x }) => [tape, x, { beamWidth: 3, blank: 0 }],
    (...a: Parameters<typeof gw.ctcBeamSearch>) => gw.ctcBeamSearch(...a),
  ),
  input: forward(
    (_, { tape }) => [tape, V(24), shape(), { batchFirst: true, gradient: false }],
    (...a: Parameters<typeof gw.input>) => gw.input(...a),
  ),
  read: forward(
    (_, { tape, x }) => [tape, x, { batchFirst: true }],
    (...a: Parameters<typeof gw.read>) => gw.read(...a),
  ),
  gradientOf: step(
    (_, { tape, x }) => [tape, x, { batchFirst: true }],
    (...a: Parameters<typeof gw.gradientOf>) => void gw.gradientOf(...a),
  ),
  activation: forward(
    (_, { tape, x }) => [tape, x, 'tanh'],
    (...a: Parameters<typeof gw.activation>) => gw.activation(...a),
  ),
  add: forward(
    (_, { tape, x }) => [tape, x, x],
    (...a: Parameters<typeof gw.add>) => gw.add(...a),
  ),
  concat: forward(
    (_, { tape, x, wide }) => [tape, [x, wide]],
    (...a: Parameters<typeof gw.concat>) => gw.concat(...a),
  ),
  select: forward(
    (_, { tape, x }) => [tape, x, [0, 2]],
    (...a: Parameters<typeof gw.select>) => gw.select(...a),
  ),
  expand: forward(
    ({ model }, { tape, x }) => [tape, gw.meanPool(tape, x), { T: 3, lengths: [3, 2] }, model],
    (tape, x, how) => gw.expand(tape, x, how),
  ),
  slice: forward(
    (_, { tape, x }) => [tape, x, 0, 2],
    (...a: Parameters<typeof gw.slice>) => gw.slice(...a),
  ),
  dropout: step(
    ({ model }, { tape, x }) => [tape, model.random, x, 0.3],
    (...a) => (gw.dropout as (...all: unknown[]) => unknown)(...a),
  ),
  lastPool: forward(
    (_, { tape, x }) => [tape, x],
    (...a: Parameters<typeof gw.lastPool>) => gw.lastPool(...a),
  ),
  meanPool: forward(
    (_, { tape, x }) => [tape, x],
    (...a: Parameters<typeof gw.meanPool>) => gw.meanPool(...a),
  ),
  maxPool: forward(
    (_, { tape, x }) => [tape, x],
    (...a: Parameters<typeof gw.maxPool>) => gw.maxPool(...a),
  ),
  softmaxRows: forward(
    (_, { tape, x }) => [tape, x],
    (...a: Parameters<typeof gw.softmaxRows>) => gw.softmaxRows(...a),
  ),
  argmaxRows: forward(
    (_, { tape, x }) => [tape, x],
    (...a: Parameters<typeof gw.argmaxRows>) => gw.argmaxRows(...a),
  ),
  topKRows: forward(
    (_, { tape, x }) => [tape, x, 2],
    (...a: Parameters<typeof gw.topKRows>) => gw.topKRows(...a),
  ),
  sampleRows: forward(
    ({ model }, { tape, x }) => [tape, model.random, x, { temperature: 1, topK: 2, topP: 0.9 }],
    (...a: Parameters<typeof gw.sampleRows>) => gw.sampleRows(...a),
  ),
  sampleBits: forward(
    ({ model }, { tape, x }) => [tape, model.random, x, 1],
    (...a: Parameters<typeof gw.sampleBits>) => gw.sampleBits(...a),
  ),
  inspect: plain(
    ({ model }) => [model, model.layers.rnn, V(24), { T: 3, B: 2, lengths: [3, 2] }, model.layers.rnn.state(2)],
    (...a: Parameters<typeof gw.inspect>) => gw.inspect(...a),
  ),
  gradcheck: plain(
    ({ model }) => [
      model,
      (t: gw.Tape, l: Layers) => gw.dotLoss(t, l.linear.forward(t, gw.input(t, V(4), { T: 1, B: 1, F: 4 })), V(3)),
    ],
    (...a: Parameters<typeof gw.gradcheck<Layers>>) => gw.gradcheck(...a),
  ),
  'model.get': plain(
    ({ model }) => [model, 'linear.weight'],
    (m, ...a) => m.get(...a),
  ),
  'model.set': plain(
    ({ model }) => [model, 'linear.bias', [1, 2, 3]],
    (m, ...a) => m.set(...a),
  ),
  'model.parameter': plain(
    ({ model }) => [model, 'linear.bias'],
    (m, ...a) => m.parameter(...a),
  ),
  'model.gradient': plain(
    ({ model }) => [model, 'linear.bias'],
    (m, ...a) => m.gradient(...a),
  ),
  'model.freeze': plain(
    ({ model }) => [model, 'linear', 'norm.bias'],
    (m, ...a) => {
      m.freeze(...a);
      m.unfreeze(...a);
    },
  ),
  'model.clipGradNorm': plain(
    ({ model }) => [model, 1],
    (m, ...a) => m.clipGradNorm(...a),
  ),
  'model.clipGradValue': plain(
    ({ model }) => [model, 1],
    (m, ...a) => m.clipGradValue(...a),
  ),
  'model.forward': plain(
    ({ model }) => [model, () => 1],
    (m, ...a) => m.forward(...a),
  ),
  'model.valueAndGrad': plain(
    ({ model }) => [
      model,
      (t: gw.Tape, l: Layers) => gw.dotLoss(t, l.linear.forward(t, gw.input(t, V(4), { T: 1, B: 1, F: 4 })), V(3)),
      { accumulate: false },
    ],
    (m, ...a) => m.valueAndGrad(...a),
  ),
  'new Model': plain(
    ({ runtime }) => [runtime, 1, (b: gw.Builder) => new gw.Linear(b, 'l', { inputSize: 2, outputSize: 2 })],
    (...a: ConstructorParameters<typeof gw.Model>) => new gw.Model(...a).dispose(),
  ),
  'new Optimizer': plain(
    ({ model }) => [
      model,
      { optimizer: 'adam', learningRate: 1e-3, beta1: 0.9, beta2: 0.99, epsilon: 1e-8, weightDecay: 0.1 },
    ],
    (...a: ConstructorParameters<typeof gw.Optimizer>) => new gw.Optimizer(...a),
  ),
  'optimizer.step': plain(
    ({ optimizer }) => [optimizer, 0.01],
    (o, ...a) => o.step(...a),
  ),
  'new Schedule': plain(
    () => [{ kind: 'cosine', steps: 10, warmup: 2, minLearningRate: 1e-5 }],
    (...a: ConstructorParameters<typeof gw.Schedule>) => new gw.Schedule(...a),
  ),
  'new State': plain(
    () => [1, [V(4)], [V(4)]],
    (...a: ConstructorParameters<typeof gw.State>) => new gw.State(...a),
  ),
  'rnn.step': plain(
    ({ model }) => [model.layers.rnn, V(4), model.layers.rnn.state(), new Float32Array(4)],
    (l, ...a) => l.step(...a),
  ),
  'rnn.state': plain(
    ({ model }) => [model.layers.rnn, 2],
    (l, ...a) => l.state(...a),
  ),
  'rnn.forward': forward(
    ({ model }, { tape, x }) => [model.layers.rnn, tape, x, model.layers.rnn.state(2)],
    (l, ...a) => l.forward(...a),
  ),
  'embedding.forward': forward(
    ({ model }, { tape }) => [model.layers.embedding, tape, [0, 1, 2, 3, 4, 0], { T: 3, B: 2, lengths: [3, 2] }],
    (l, ...a) => l.forward(...a),
  ),
  'attention.forward': forward(
    ({ model }, { tape, x }) => [model.layers.attention, tape, x, x, x],
    (l, ...a) => l.forward(...a),
  ),
  saveWeights: plain(
    ({ model }) => [model, { epoch: '5' }],
    (...a: Parameters<typeof gw.saveWeights>) => gw.saveWeights(...a),
  ),
  loadWeights: plain(
    ({ model }) => [model, gw.saveWeights(model), { rename: { 'lin.': 'linear.' } }],
    (...a: Parameters<typeof gw.loadWeights>) => gw.loadWeights(...a),
  ),
  'infer.loadWeights': plain(
    ({ model }) => [model, gw.saveWeights(model), { rename: { 'lin.': 'linear.' } }],
    (...a) => (infer.loadWeights as (...all: unknown[]) => unknown)(...a),
  ),
  saveState: plain(
    ({ model }) => [model.layers.rnn.state()],
    (...a: Parameters<typeof gw.saveState>) => gw.saveState(...a),
  ),
  loadState: plain(
    ({ model }) => [gw.saveState(model.layers.rnn.state())],
    (...a: Parameters<typeof gw.loadState>) => gw.loadState(...a),
  ),
  train: plain(
    ({ model, optimizer }) => [
      model,
      optimizer,
      { steps: 2, learningRate: 0.01, clipNorm: 1, clipValue: 1 },
      () => ({ loss }),
      new gw.Schedule({ kind: 'constant' }),
    ],
    async (...a: Parameters<typeof gw.train<Layers>>) => {
      for await (const _ of gw.train(...a)) break;
    },
  ),
  'train with a batch': plain(
    ({ model, optimizer }) => [model, optimizer, { steps: 2 }, { loss, done: () => {} }],
    (m, o, options, batch) => gw.train(m, o, options, () => batch),
  ),
  'Runtime.createSync': plain(
    () => [{ build: 'simd' }],
    (...a) => gw.Runtime.createSync(...(a as [gw.RuntimeOptions])).dispose(),
  ),
  'Runtime.create': plain(
    () => [{ build: 'simd' }],
    async (...a) => (await gw.Runtime.create(...(a as [gw.RuntimeOptions]))).dispose(),
  ),
  'new Vocabulary': plain(
    () => [['a', 'b']],
    (...a: ConstructorParameters<typeof tasks.Vocabulary>) => new tasks.Vocabulary(...a),
  ),
  'Vocabulary.of': plain(
    () => [['abc', 'bd'], { maxSize: 3 }],
    (...a: Parameters<typeof tasks.Vocabulary.of>) => tasks.Vocabulary.of(...a),
  ),
  'vocabulary.encode': plain(
    () => [new tasks.Vocabulary('abc'), 'text', 'ab'],
    (v, ...a) => v.encode(...a),
  ),
  'vocabulary.decode': plain(
    () => [new tasks.Vocabulary('abc'), [0, 1]],
    (v, ...a) => v.decode(...a),
  ),
  spansOf: plain(
    () => [['B-x', 'I-x', 'O']],
    (...a: Parameters<typeof tasks.spansOf>) => tasks.spansOf(...a),
  ),
  editDistance: plain(
    () => [['a', 'b'], ['a']],
    (...a: Parameters<typeof tasks.editDistance>) => tasks.editDistance(...a),
  ),
} satisfies Record<string, Call>);

for (const layer of ['linear', 'mlp', 'norm', 'pool'] as const) {
  CALLS[`${layer}.forward`] = forward(
    ({ model }, { tape, x }) => [model.layers[layer], tape, x],
    (l, ...a) => l.forward(...a),
  );
}

for (const [name, subject] of Object.entries(subjects)) {
  const { Task, options, data, inputs, fit, evaluate, start, opening = start, step: one, generate } = subject;
  const of = (args: () => unknown[], call: Call['call']): Call =>
    plain(({ tasks: all }) => [all[name], ...args()], call);
  CALLS[`${name}: create`] = plain(
    ({ runtime }) => [{ ...options(), runtime }],
    async (...a) => (await Task.create(...(a as [unknown]))).dispose(),
  );
  CALLS[`${name}: createSync`] = plain(
    ({ runtime }) => [{ ...options(), runtime, numLayers: 1, bias: true, dropout: 0 }],
    (...a) => Task.createSync(...(a as [unknown])).dispose(),
  );
  CALLS[`${name}: load`] = plain(
    ({ tasks: all, runtime }) => [all[name].save(), { runtime }],
    async (...a) => (await Task.load(...(a as [unknown]))).dispose(),
  );
  CALLS[`predict.loadSync ${name}`] = plain(
    ({ tasks: all }) => [all[name].save({ weightsOnly: true }), {}],
    (...a: Parameters<typeof predict.loadSync>) => predict.loadSync(...a).dispose(),
  );
  CALLS[`${name}: load to predict`] = plain(
    ({ tasks: all }) => [all[name].save({ weightsOnly: true }), {}],
    async (...a) => (await loaderOf(Task).load(...(a as [unknown]))).dispose(),
  );
  CALLS[`${name}: fit`] = of(
    () => [data(), { ...structuredClone(fit), clipNorm: 1, learningRate: 0.01 }],
    (t, ...a) => t.fit(...a),
  );
  CALLS[`${name}: evaluate`] = of(
    () => [data(), { ...evaluate }],
    (t, ...a) => t.evaluate(...a),
  );
  CALLS[`${name}: predict`] = of(
    // without a condition there are options alone
    () => (Array.isArray(inputs()) ? [inputs(), { batchSize: 2, ...start }] : [inputs()]),
    (t, ...a) => t.predict(...a),
  );
  CALLS[`${name}: save`] = of(
    () => [{ weightsOnly: true }],
    (t, ...a) => t.save(...a),
  );
  if (generate)
    CALLS[`${name}: generate`] = of(
      () => generate(),
      (t, ...a) => t.generate(...a),
    );
  if (one !== undefined)
    CALLS[`${name}: step`] = of(
      () => [structuredClone(one)],
      (t, ...a) => t.stream(undefined, opening).step(...a),
    );
}

/** Functions and classes that are called with nothing valid at all. */
const JUNK = 'any ';

/** All entries of the package that have functions. */
export const ENTRIES: Readonly<Record<string, object>> = {
  gatewise: gw,
  infer,
  tasks,
  functions,
  training,
  quantized,
  predict,
  processor,
  online,
  worker,
  reservoir,
  dynamics,
  memory,
  extend: extending,
  metrics,
  node,
  'export/onnx': toOnnx,
  'import/onnx': fromOnnx,
  'import/keras': fromKeras,
  'import/pytorch': fromPyTorch,
  'import/amp': fromAmp,
};

/** Functions and classes of all entries that no valid call names; they are called with nothing valid only. */
export function withoutCall(): string[] {
  const own = Object.keys(CALLS).filter((name) => !name.startsWith(JUNK));
  const named = new Set(own.flatMap((name) => name.replace(/^new /, '').split(/[.: ]/)));
  for (const { Task } of Object.values(subjects)) named.add(Task.name);
  const names = Object.values(ENTRIES).flatMap((all) =>
    Object.entries(all).flatMap(([name, value]) =>
      typeof value === 'function' && !(value.prototype instanceof Error) && !named.has(name) ? [name] : [],
    ),
  );
  return [...new Set(names)].sort();
}

for (const [entry, all] of Object.entries(ENTRIES)) {
  for (const [name, value] of Object.entries(all as Record<string, unknown>)) {
    // the distance of two long texts is work, not a hang
    if (typeof value !== 'function' || value.prototype instanceof Error || name === 'editDistance') continue;
    const isClass = /^class/.test(Function.prototype.toString.call(value));
    CALLS[`${JUNK}${entry}.${name}`] = plain(
      () => [undefined, undefined, undefined],
      async (...a) => void (isClass ? Reflect.construct(value, a) : await value(...a)),
    );
  }
}

/** Where in the arguments; an empty place: all of them. */
type Place = readonly (string | number)[];

/** Every place inside of the arguments: themselves, and what lies in plain objects and lists. */
function placesOf(value: unknown, at: Place = []): Place[] {
  if (at.length > 4) return [at];
  const own = at.length ? [at] : [];
  if (Array.isArray(value)) return [...own, ...value.slice(0, 4).flatMap((item, i) => placesOf(item, [...at, i]))];
  if (typeof value !== 'object' || value === null || Object.getPrototypeOf(value) !== Object.prototype) return own;
  if ('at' in value && 'ld' in value) return own; // rows
  return [
    ...own,
    ...Object.keys(value).flatMap((key) => placesOf((value as Record<string, unknown>)[key], [...at, key])),
  ];
}

function put(args: unknown[], place: Place, nasty: (valid: unknown) => unknown): void {
  if (place.length === 0) args.forEach((valid, i) => put(args, [i], () => nasty(valid)));
  if (place.length === 0) return;
  let owner = args as never as Record<string | number, unknown>;
  for (const key of place.slice(0, -1)) owner = owner[key] as typeof owner;
  const last = place[place.length - 1];
  owner[last] = nasty(owner[last]);
}

/** Calls whose first argument is what the method belongs to. */
const METHOD = /^(?!infer|predict)[a-z]+\.|: (fit|evaluate|predict|save|generate|step)$/;

export async function callFuzzer() {
  let unhandled: unknown;
  process.on('unhandledRejection', (error) => {
    unhandled = error;
  });
  const runtime = await gw.Runtime.create();
  const neighbour = new Neighbour(runtime);
  const newModel = () => {
    const model = new gw.Model(runtime, 5, build);
    model.prepare();
    return { model, optimizer: new gw.Optimizer(model) };
  };
  const newTask = (name: string) => subjects[name].Task.createSync({ ...subjects[name].options(), runtime });
  const world = {
    runtime,
    ...newModel(),
    tasks: Object.fromEntries(Object.keys(subjects).map((name) => [name, newTask(name)])),
    things: await thingsOf(runtime),
  };
  for (const [name, { data, fit }] of Object.entries(subjects)) await world.tasks[name].fit(data(), fit);

  /** Calls it with its arguments changed. */
  async function invoke({ where, args, call }: Call, change: (args: unknown[]) => void): Promise<void> {
    const pass = (tape: gw.Tape): Pass => ({
      tape,
      x: gw.input(tape, V(24), shape(), { gradient: tape.training }),
      wide: gw.input(tape, V(36), { T: 3, B: 2, F: 6 }, { gradient: tape.training }),
      builder: undefined as never,
    });
    const applied = (p: Pass) => {
      const all = args(world, p);
      change(all);
      return call(...all);
    };
    if (where === 'build') {
      new gw.Model(runtime, 1, (builder) => applied({ builder } as Pass)).dispose();
    } else if (where === 'forward') world.model.forward((tape) => void applied(pass(tape)));
    else if (where === 'step') {
      world.model.valueAndGrad((tape) => {
        const p = pass(tape);
        const result = applied(p) as gw.Loss | undefined;
        return typeof result?.addGradient === 'function' ? result : gw.dotLoss(tape, p.x, V(24));
      });
    } else {
      const result = applied({} as Pass);
      if (typeof result === 'object' && result !== null && Symbol.asyncIterator in result) {
        let n = 0;
        for await (const _ of result as AnyRun) if (++n === 3) return;
      } else if (!(result instanceof Float32Array)) await result;
    }
  }

  const places: Record<string, Place[]> = {};
  const invalid: string[] = [];
  let total = 0;
  for (const [name, call] of Object.entries(CALLS)) {
    let all: Place[] = [];
    try {
      await invoke(call, (args) => {
        all = placesOf(args);
      });
    } catch (error) {
      if (!name.startsWith(JUNK)) invalid.push(`${name}: a valid call throws ${(error as Error).message}`);
    }
    if (name.startsWith(JUNK)) all = [[], ...all];
    places[name] = all.filter((place) => !(METHOD.test(name) && place[0] === 0));
    total += places[name].length;
  }
  if (invalid.length) throw new Error(invalid.join('\n'));
  const values = Object.keys(NASTY);
  const every = Object.entries(places).flatMap(([name, all]) => all.map((place) => ({ name, place })));

  /** The task whose methods a call is of, if it is one. */
  const taskOf = (name: string) => (name.includes(': ') ? name.slice(0, name.indexOf(':')) : undefined);
  const bitsOf = (task?: string) => Buffer.from(task ? world.tasks[task].save() : gw.saveWeights(world.model));

  /** Whether the model has changed that a call is about, which is then made again; or has weights that are no longer finite. */
  async function settle(name: string, before: Buffer, refused: boolean, mayChange: boolean): Promise<string | null> {
    const task = taskOf(name);
    if (bitsOf(task).equals(before)) return null;
    const { model } = task ? world.tasks[task] : world;
    const bad = model.parameters.find((parameter) => !model.get(parameter.name).every(Number.isFinite));
    if (task) {
      world.tasks[task].dispose();
      world.tasks[task] = newTask(task);
      await world.tasks[task].fit(subjects[task].data(), subjects[task].fit);
    } else {
      world.model.dispose();
      Object.assign(world, newModel());
    }
    if (bad) return `${refused ? 'refused' : 'accepted'}, and ${bad.name} is not finite`;
    return refused && !mayChange ? 'refused, but the model has changed' : null;
  }

  return {
    total: total * values.length,

    async generate(chance: Chance): Promise<CallCase> {
      return { ...chance.of(every), value: chance.of(values) };
    },

    async run({ name, place, value }: CallCase): Promise<string | null> {
      const used = runtime.memory().bytesInUse;
      let finding: string | null = null;
      const before = bitsOf(taskOf(name));
      const { kept } = CALLS[name];
      const keptBefore = kept?.(world);
      let refused = false;
      let mayChange = false;
      unhandled = undefined;
      try {
        await invoke(CALLS[name], (args) => put(args, place, NASTY[value]));
      } catch (error) {
        refused = true;
        // steps before the one that failed have been made
        mayChange = (error as Error | null)?.name === 'NonFiniteError' || place[1] === 'done';
        finding = alien(error);
      }
      // a method of something else may have been called: `dispose` is none of them
      finding ??= unhandled === undefined ? null : alien(unhandled);
      if (runtime.memory().bytesInUse !== used && refused && !mayChange) {
        finding ??= `refused, but ${runtime.memory().bytesInUse - used} bytes more are in use`;
      }
      if (refused && !mayChange && keptBefore && kept && !same(keptBefore, kept(world)))
        finding ??= 'refused, but it has changed';
      finding ??= neighbour.changed();
      const changed = await settle(name, before, refused, mayChange);
      return finding ?? changed;
    },

    *smaller(): Generator<CallCase> {},
    keep: (c: CallCase): CallCase => c,
  };
}
