/** What once could be broken without any test noticing: one test for each such fault. */
import {
  dotLoss,
  FormatError,
  input,
  inspect,
  Linear,
  loadState,
  Model,
  Optimizer,
  type OptimizerOptions,
  Recurrent,
  Runtime,
} from 'gatewise';
import { Forecaster, LanguageModel, SequenceClassifier, spansOf } from 'gatewise/tasks';
import { test } from 'uvu';
import { equal, is, ok, throws } from 'uvu/assert';
import { beamStep } from '#dist/bindings/nn/predict.js';
import { rejects } from './support/rejects.js';
import { same } from './support/tasks.js';

const SMALL = { vocabulary: 'abc', embeddingSize: 3, hiddenSize: 4, seed: 3 };

/** Sets all parameters to zero. */
function clear(model: Model<unknown>): void {
  for (const { name, size } of model.parameters) model.set(name, new Float32Array(size));
}

/** A safetensors file with a header of one's own. */
function file(header: object, floats: number): Uint8Array {
  const text = Buffer.from(JSON.stringify(header));
  const bytes = Buffer.alloc(8 + text.length + 4 * floats);
  bytes.writeBigUInt64LE(BigInt(text.length), 0);
  text.copy(bytes, 8);
  return bytes;
}

test('a refused file leaves no memory in use on a shared runtime', async () => {
  const runtime = await Runtime.create();
  using lm = LanguageModel.createSync({ ...SMALL, runtime });
  const bytes = Buffer.from(lm.save());
  // the name of a tensor is changed, so that the model has been built when the file turns out not to fit
  bytes.write('hrad.bias', bytes.indexOf('head.bias'));
  const { bytesInUse } = runtime.memory();
  await rejects(LanguageModel.load(bytes, { runtime }), /missing head.bias; not expected hrad.bias/);
  throws(
    () => LanguageModel.loadSync(bytes, { runtime }),
    (error: unknown) => error instanceof FormatError,
  );
  is(runtime.memory().bytesInUse, bytesInUse);
  // that the place of the random stream is missing shows after the model has been made
  await lm.fit('abcabcabc', { batchSize: 1, window: 4, steps: 1 });
  const used = runtime.memory().bytesInUse;
  const trained = Buffer.from(lm.save());
  trained.write('semple', trained.indexOf('sample'));
  await rejects(LanguageModel.load(trained, { runtime }), /random: unknown option 'semple'/);
  is(runtime.memory().bytesInUse, used);
});

test('generate keeps the state of every layer: greedy text is what a stream says step by step', async () => {
  using lm = await LanguageModel.create({ ...SMALL, vocabulary: 'abcdefgh', hiddenSize: [4, 6], cell: 'rnn' });
  const random = (n: number, scale: number) =>
    Float32Array.from({ length: n }, (_, i) => scale * Math.sin(7 * i * i + i));
  for (const { name, size } of lm.model.parameters) lm.model.set(name, random(size, 2));
  // the first layer remembers nothing, so all that depends on earlier tokens is in the second one
  lm.model.set('rnn.weight_hh_l0', new Float32Array(16));
  const stream = lm.stream();
  let text = '';
  for (let next = 'a', i = 0; i < 40; i++) {
    const { probabilities } = stream.step(next);
    next = 'abcdefgh'[probabilities.indexOf(Math.max(...probabilities))];
    text += next;
  }
  is(await lm.generate({ prompt: 'a', length: 40, temperature: 0 }), text);
  const after = new Map<string, Set<string>>();
  for (let i = 1; i < 40; i++) after.set(text[i - 1], (after.get(text[i - 1]) ?? new Set()).add(text[i]));
  ok(
    [...after.values()].some(({ size }) => size > 1),
    `what follows a token depends on more than it: ${text}`,
  );
});

test('tensors that overlap are refused', async () => {
  const entry = (from: number, to: number) => ({ dtype: 'F32', shape: [1, (to - from) / 4], data_offsets: [from, to] });
  is(loadState(file({ 'h.0': entry(0, 8), 'c.0': entry(8, 16) }, 4)).h[0].length, 2);
  throws(
    () => loadState(file({ 'h.0': entry(0, 8), 'c.0': entry(0, 8) }, 2)),
    /begins at byte 0 .* where 8 was expected/,
  );
  throws(() => loadState(file({ 'h.0': entry(0, 12), 'c.0': entry(8, 20) }, 5)), /begins at byte 8 .* 12 was expected/);
});

test('set refuses fewer numbers than the parameter has, and more', async () => {
  const model = new Model(await Runtime.create(), 1, (b) => new Linear(b, 'l', { inputSize: 2, outputSize: 3 }));
  const before = model.get('l.weight');
  for (const n of [0, 5, 7])
    throws(() => model.set('l.weight', new Float32Array(n)), /l.weight: expected .*6 numbers, got/);
  equal(model.get('l.weight'), before);
});

test('a signal that was aborted before stops training before the first step', async () => {
  using lm = await LanguageModel.create(SMALL);
  const weights = lm.save({ weightsOnly: true });
  const signal = AbortSignal.abort(new Error('not today'));
  await rejects(lm.fit('abcabcabc', { batchSize: 1, window: 2, steps: 3, signal }), /not today/);
  is(lm.training?.steps ?? 0, 0);
  ok(same(lm.save({ weightsOnly: true }), weights));
});

test('l1 leaves weights of zero where they are', async () => {
  const model = new Model(await Runtime.create(), 1, (b) => new Linear(b, 'l', { inputSize: 4, outputSize: 2 }));
  model.set('l.weight', [0, 1, -1, 0, 0, 2, 0, -2]);
  model.valueAndGrad(() => ({ value: 0, addGradient: () => {} }));
  new Optimizer(model, { optimizer: 'sgd', learningRate: 0.5, l1: 0.5 }).step();
  equal([...model.get('l.weight')], [0, 0.75, -0.75, 0, 0, 1.75, 0, -1.75]);
});

test('inspect: h is o · tanh c in both directions of an LSTM', async () => {
  const [T, B, I, H] = [5, 2, 3, 4];
  const runtime = await Runtime.create();
  const model = new Model(
    runtime,
    2,
    (b) => new Recurrent(b, 'rnn', { cell: 'lstm', inputSize: I, hiddenSize: H, bidirectional: true }),
  );
  const x = Float32Array.from({ length: T * B * I }, (_, i) => 2 * Math.sin(i + 1));
  for (const options of [
    { T, B },
    { T, B, lengths: [5, 3] },
  ]) {
    const traces = inspect(model, model.layers, x, options);
    is(traces.length, 2);
    for (const { gates, h, c } of traces) {
      for (let i = 0; i < h.length; i++) {
        // nothing is said of steps past the end
        const [t, b] = [Math.floor(i / H / B), Math.floor(i / H) % B];
        if (t < (options.lengths?.[b] ?? T)) ok(Math.abs(h[i] - gates.o[i] * Math.tanh(c?.[i] ?? 0)) < 1e-6, `${i}`);
      }
    }
  }
});

test('moments after a step, with their signs, as PyTorch keeps them', async () => {
  const gradient = [0.5, -2, 3];
  const wanted: [OptimizerOptions, Record<string, (g: number) => number>][] = [
    [{ optimizer: 'sgd', momentum: 0.9 }, { momentum_buffer: (g) => g }],
    [
      { optimizer: 'rmsprop', alpha: 0.75, centered: true },
      { square_avg: (g) => 0.25 * g * g, grad_avg: (g) => 0.25 * g },
    ],
    [
      { optimizer: 'adam', beta1: 0.5, beta2: 0.75 },
      { exp_avg: (g) => 0.5 * g, exp_avg_sq: (g) => 0.25 * g * g },
    ],
    [{ optimizer: 'adagrad' }, { sum: (g) => g * g }],
  ];
  for (const [options, moments] of wanted) {
    const model = new Model(await Runtime.create(), 1, (b) => new Linear(b, 'l', { inputSize: 1, outputSize: 3 }));
    const optimizer = new Optimizer(model, options);
    model.valueAndGrad((tape, l) => dotLoss(tape, l.forward(tape, input(tape, [1], { T: 1, B: 1, F: 1 })), gradient));
    optimizer.step();
    for (const [name, of] of Object.entries(moments))
      equal([...model.runtime.read(optimizer.moments[name], 3)], gradient.map(of), `${options.optimizer} ${name}`);
    model.runtime.dispose();
  }
});

test('spans: I-y does not continue B-x', () => {
  equal(spansOf(['B-x', 'I-y', 'I-y', 'O', 'I-x', 'B-x']), [
    { from: 0, to: 1, label: 'x' },
    { from: 1, to: 3, label: 'y' },
    { from: 4, to: 5, label: 'x' },
    { from: 5, to: 6, label: 'x' },
  ]);
});

test('classifier: a probability of exactly one half is a label', async () => {
  using task = await SequenceClassifier.create({ ...SMALL, classes: ['x', 'y'], multiLabel: true });
  clear(task.model);
  const [{ labels, probabilities }] = await task.predict(['ab']);
  equal([...probabilities], [0.5, 0.5]);
  equal(labels, ['x', 'y']);
  is((await task.evaluate([{ input: 'ab', label: ['x', 'y'] }])).accuracy, 1);
});

test('beam: of equal scores the first prefix, and of its classes the first', async () => {
  const model = new Model(await Runtime.create(), 1, () => null);
  model.forward((tape) => {
    const logits = input(tape, new Float32Array(6), { T: 1, B: 2, F: 3 });
    const step = beamStep(tape, logits, [-1, -1], 4);
    equal([...step.parents], [0, 0, 0, 1]);
    equal([...step.classes], [0, 1, 2, 0]);
  });
});

test('forecaster: quantiles that cross are put in order', async () => {
  using model = await Forecaster.create({ window: 3, horizon: 2, hiddenSize: 3, quantiles: [0.1, 0.5, 0.9] });
  await model.fit([1, 2, 1, 2, 1, 2, 1, 2], { epochs: 1 });
  clear(model.model);
  model.model.set('head.bias', [3, 2, 1, 1, 3, 2]);
  const [{ point, quantiles = [] }] = await model.predict([[1, 2, 1]]);
  for (const k of [0, 1]) ok(quantiles[0][k] < quantiles[1][k] && quantiles[1][k] < quantiles[2][k], `${quantiles[0]}`);
  equal(point, quantiles[1]);
});

test('forecaster: the trend of differences begins where they do', async () => {
  // differences of a parabola are a straight line, of which nothing is left
  const parabola = Array.from({ length: 30 }, (_, t) => t * t);
  for (const difference of [1, 4]) {
    using model = await Forecaster.create({ window: 3, horizon: 2, hiddenSize: 3, difference, trend: 'linear' });
    await model.fit(parabola, { epochs: 1, learningRate: 0 });
    clear(model.model);
    for await (const { loss } of model.fit(parabola, { epochs: 1, learningRate: 0 })) ok(loss < 1e-9, `${loss}`);
    const [{ point }] = await model.predict([parabola], { start: 0 });
    equal([...point].map(Math.round), [900, 961]);
  }
});

test.run();
