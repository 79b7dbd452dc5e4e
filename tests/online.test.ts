/** gatewise/online: options, cost, files, weights in and out, and what is refused. The gradients are in online-kernels.test.ts. */
import {
  Linear,
  loadWeights,
  Model,
  Recurrent,
  type RecurrentOptions,
  Runtime,
  readSafetensors,
  saveWeights,
  writeSafetensors,
} from 'gatewise';
import {
  estimate,
  FormatError,
  type Method,
  NonFiniteError,
  OnlineLearner,
  type OnlineOptions,
  UnsupportedError,
} from 'gatewise/online';
import { test } from 'uvu';
import { equal, is, ok, throws } from 'uvu/assert';
import { random, uniform } from './support/numbers.js';

const METHODS: readonly Method[] = ['rtrl', 'snap1', 'immediate'];
const BASE: OnlineOptions = { cell: 'lstm', inputSize: 3, hiddenSize: 6, outputSize: 2, loss: 'crossEntropy', seed: 4 };
const STACK: OnlineOptions = { ...BASE, cell: 'gru', hiddenSize: [5, 4] };

/** Steps of a stream that the seed decides; every third has no target. */
function* stream(options: OnlineOptions, steps: number, seed = 1): Generator<[Float32Array, number | number[] | null]> {
  const next = random(seed);
  for (let t = 0; t < steps; t++) {
    const x = uniform(next, options.inputSize);
    const some = Array.from({ length: options.outputSize }, next);
    const target = options.loss === 'crossEntropy' ? Math.floor(next() * options.outputSize) : some;
    yield [x, t % 3 === 0 ? null : target];
  }
}

const run = (learner: OnlineLearner, steps: Iterable<[Float32Array, number | number[] | null]>) =>
  [...steps].map(([x, target]) => learner.step(x, target));

test('estimate: the bytes are those that create allocates, and no step adds to them', () => {
  for (const method of METHODS) {
    const more = [{ peepholes: true, optimizer: 'sgd', momentum: 0.9 }, { cell: 'lru' }] as const;
    for (const options of [BASE, STACK, ...more.map((own): OnlineOptions => ({ ...BASE, ...own }))]) {
      using learner = OnlineLearner.createSync({ ...options, method });
      const { bytes, influenceBytes } = estimate(options, { method });
      is(learner.memory().bytesInUse, bytes, `${options.cell} ${method}`);
      equal(learner.estimate(), estimate({ ...options, maxBytes: 2 ** 20 }, { method }));
      ok(influenceBytes < bytes);
      is(influenceBytes === 0, method === 'immediate');
      const { bytesReserved } = learner.memory();
      run(learner, stream(options, 500));
      equal(learner.memory(), { bytesInUse: bytes, bytesReserved });
    }
  }
});

test('estimate: sizes and products of a layer, counted by hand', () => {
  // an RNN of 32 units that reads 16 numbers: 32·(16 + 32 + 1) parameters that share influence, 98 panels of 16; one output
  const model: OnlineOptions = { cell: 'rnn', inputSize: 16, hiddenSize: 32, outputSize: 1, loss: 'mse' };
  const exact = estimate(model, { steps: 50 });
  is(exact.method, 'rtrl');
  is(exact.parameters, 32 * 16 + 32 * 32 + 64 + 33);
  is(exact.influenceBytes, 4 * 32 * 32 * 49);
  // the prediction; J; M ← J M; its new part; the gradient; the output layer; the own derivatives
  is(exact.multiplications, exact.parameters + 32 * 32 + 98 * 16 * (32 * 32 + 32) + 32 * 49 + 2 * 32 + 32);
  is(exact.bptt.steps, 50);
  is(exact.bptt.multiplications, 3 * exact.parameters);
  is(exact.bptt.multiplicationsPerUpdate, 150 * exact.parameters);
  is(estimate(model, { steps: 150 }).bptt.bytes - exact.bptt.bytes, 100 * 4 * (32 + 32));
  const local = estimate(model, { method: 'snap1' });
  is(local.influenceBytes, 4 * 32 * 52); // 49 parameters of a unit, rounded up to a multiple of four
  ok(local.multiplications < 6 * local.parameters);
  // linear recurrent units: traces of λ, of γ, and of 16 inputs and a constant, as many as the rows of B have weights, rounded up to four
  const lru = estimate({ ...model, cell: 'lru' });
  is(lru.influenceBytes, 4 * 32 * (2 + 20));
  is(lru.parameters, 64 * 17 + 32 * 32 + 32 + 33);
  is(lru.multiplications, lru.parameters + 32 * (64 + 4 + 3 * 17) + 16 * (5 * 17 + 8) + 2 * 32);
  // exact: of two layers the lower one has influence on both
  const two = estimate({ ...model, hiddenSize: [8, 4] });
  is(two.influenceBytes, 4 * 16 * (Math.ceil((8 * 25) / 16) * 12 + Math.ceil((4 * 13) / 16) * 4));
});

test('create: more than maxBytes is refused before anything is allocated, and the bytes are named', () => {
  const big: OnlineOptions = { ...BASE, hiddenSize: 300 };
  const { bytes } = estimate(big);
  ok(bytes > 2 ** 29);
  let caught: unknown;
  try {
    OnlineLearner.createSync({ ...big, hiddenSize: 3000 });
  } catch (error) {
    caught = error;
  }
  ok(caught instanceof RangeError);
  const huge = estimate({ ...big, hiddenSize: 3000 });
  ok(caught.message.includes(huge.bytes.toLocaleString('en')), caught.message);
  ok(caught.message.includes('1,073,741,824'), caught.message);
  throws(() => OnlineLearner.createSync({ ...BASE, maxBytes: 10_000 }), /maxBytes: the learner needs [\d,]+ bytes/);
  using learner = OnlineLearner.createSync({ ...BASE, maxBytes: estimate(BASE).bytes });
  throws(() => OnlineLearner.loadSync(learner.save(), { maxBytes: 10_000 }), /maxBytes/);
});

test('weights go to a model of gatewise and come back; its predictions have the same bits', async () => {
  const runtime = await Runtime.create();
  const others = [
    { ...BASE, cell: 'residual' } as const,
    { ...BASE, cell: 'mingru' } as const,
    { ...BASE, cell: 'lru' } as const,
  ];
  for (const options of [BASE, STACK, ...others]) {
    const { cell, inputSize, hiddenSize, outputSize } = options;
    const layers: RecurrentOptions = { cell, inputSize, hiddenSize };
    const H = [hiddenSize].flat().at(-1) as number;
    using model = new Model(runtime, 9, (b) => ({
      rnn: new Recurrent(b, 'rnn', layers),
      head: new Linear(b, 'head', { inputSize: H, outputSize }),
    }));
    using learner = OnlineLearner.createSync({ ...options, loss: 'mse' });
    run(learner, stream({ ...options, loss: 'mse' }, 20));
    loadWeights(model, learner.saveWeights());
    for (const { name } of learner.parameters) equal(model.get(name), learner.get(name), name);
    learner.reset();
    const state = model.layers.rnn.state();
    const [weight, bias] = [model.get('head.weight'), model.get('head.bias')];
    for (const [x] of stream(options, 30, 7)) {
      const h = model.layers.rnn.step(x, state);
      // the output layer adds in the order of h, each sum rounded
      const want = Float32Array.from(bias, (b, o) =>
        h.reduce((sum, value, u) => Math.fround(sum + Math.fround(value * weight[o * H + u])), b),
      );
      equal(learner.step(x).output, want);
    }
    using other = OnlineLearner.createSync({ ...options, loss: 'mse', seed: 77 });
    other.loadWeights(saveWeights(model));
    for (const { name } of learner.parameters) equal(other.get(name), learner.get(name), name);
  }
});

test('outputs: probabilities, and numbers; losses of the prediction', () => {
  const x = [0.5, -1, 2];
  const logits = () => {
    using learner = OnlineLearner.createSync({ ...BASE, loss: 'mse' });
    return [...learner.step(x).output];
  };
  const [a, b] = logits();
  const near = (got: number | null, want: number) => ok(Math.abs((got as number) - want) < 1e-6, `${got}, ${want}`);
  using softmax = OnlineLearner.createSync(BASE);
  const one = softmax.step(x, 1);
  near(one.output[0] + one.output[1], 1);
  near(one.output[1], 1 / (1 + Math.exp(a - b)));
  near(one.loss, -Math.log(one.output[1]));
  using sigmoid = OnlineLearner.createSync({ ...BASE, loss: 'bceWithLogits' });
  const two = sigmoid.step(x, [0, 1]);
  near(two.output[0], 1 / (1 + Math.exp(-a)));
  near(two.loss, (-Math.log(1 - two.output[0]) - Math.log(two.output[1])) / 2);
  using square = OnlineLearner.createSync({ ...BASE, loss: 'mse' });
  near(square.step(x, [3, 4]).loss, ((a - 3) ** 2 + (b - 4) ** 2) / 2);
  using single = OnlineLearner.createSync({ ...BASE, loss: 'mse', outputSize: 1 });
  ok((single.step(x, 3).loss as number) > 0, 'one output takes one number');
  const own = new Float32Array(2);
  is(softmax.step(x, null, own).output, own);
});

test('save and load anywhere: the rest is that of a learner that was not interrupted, bit for bit', () => {
  const others: Partial<OnlineOptions>[] = [
    { method: 'rtrl' },
    { method: 'snap1', optimizer: 'sgd', momentum: 0.9, learningRate: 0.1 },
    { method: 'immediate', optimizer: 'rmsprop', learningRate: 0.01 },
    { method: 'rtrl', optimizer: 'adamw', amsgrad: true, clipNorm: 0.1, loss: 'mse' },
  ];
  const lru: OnlineOptions = { ...BASE, cell: 'lru', activation: 'relu' };
  for (const options of [BASE, STACK, lru].flatMap((base) =>
    others.map((more) => ({ ...base, ...more }) as OnlineOptions),
  )) {
    const steps = [...stream(options, 60)];
    using whole = OnlineLearner.createSync(options);
    const halved = (learner: OnlineLearner, list: typeof steps) =>
      list.map(([x, target]) => {
        if (learner.steps === 20) learner.learningRate /= 2;
        return learner.step(x, target);
      });
    const want = halved(whole, steps);
    for (const cut of [0, 1, 31]) {
      using first = OnlineLearner.createSync(options);
      halved(first, steps.slice(0, cut));
      using second = OnlineLearner.loadSync(first.save());
      is(second.steps, cut);
      equal(second.config, first.config);
      equal(halved(second, steps.slice(cut)), want.slice(cut));
      is(second.learningRate, whole.learningRate);
      equal(second.save(), whole.save());
      is(second.updates, whole.updates);
    }
  }
});

test('load: what is not a learner, is damaged or does not fit is a FormatError', async () => {
  const options: OnlineOptions = { ...BASE, method: 'snap1' };
  using learner = OnlineLearner.createSync(options);
  run(learner, stream(options, 5));
  const bytes = learner.save();
  const { tensors, metadata } = readSafetensors(bytes);
  const described = JSON.parse(metadata['gatewise.online']);
  const written = (changed: object, less = '') => {
    const rest = new Map([...tensors].filter(([name]) => name !== less));
    return writeSafetensors(rest, { 'gatewise.online': JSON.stringify({ ...described, ...changed }) });
  };
  const refused = (file: Uint8Array, message: RegExp) => {
    let caught: unknown;
    try {
      OnlineLearner.loadSync(file);
    } catch (error) {
      caught = error;
    }
    ok(caught instanceof FormatError, String(caught));
    ok(message.test(caught.message), caught.message);
  };
  refused(writeSafetensors(tensors, {}), /does not hold an OnlineLearner/);
  refused(bytes.slice(0, 100), /cut off/);
  refused(written({ version: 2 }), /version 2/);
  refused(written({}, 'influence.0'), /missing influence\.0/);
  refused(written({}, 'optimizer.exp_avg.head.bias'), /missing optimizer/);
  refused(written({ steps: -1 }), /steps/);
  refused(written({ learningRate: -1 }), /learningRate/);
  refused(written({ more: 1 }), /unknown option 'more'/);
  refused(written({ options: { ...options, method: 'rtrl' } }), /influence\.0 is/);
  refused(written({ options: { ...options, hiddenSize: 7 } }), /rnn\.weight_ih_l0 is/);
  refused(written({ options: { ...options, cell: 'transformer' } }), /cell/);
  refused(written({ options: { ...options, numLayers: 100_000 } }), /has 100000 layers/);
  refused(written({ options: { ...options, numLayers: 2 ** 31 - 1 } }), /has 2147483647 layers/);
  refused(written({ options: undefined }), /options/);
  const square = tensors.get('optimizer.exp_avg_sq.head.bias')?.data as Float32Array;
  square[0] = -1;
  refused(written({}), /expected squares/);
  const again = await OnlineLearner.load(bytes);
  equal(again.save(), bytes);
  again.dispose();
});

test('invalid options are refused by name', () => {
  const refused = (more: object, message: RegExp) =>
    throws(() => OnlineLearner.createSync({ ...BASE, ...more } as never), message);
  const only: [object, RegExp][] = [
    [{ bidirectional: true }, /bidirectional: expected false, got true; online, the future is not known/],
    [{ reverse: true }, /reverse: expected false/],
    [{ initialState: 'learned' }, /initialState: expected 'zero', got 'learned'/],
    [{ dropout: 0.1, numLayers: 2 }, /dropout: expected 0, got 0.1; online, it is random/],
    [{ variationalDropout: 0.1 }, /variationalDropout: expected 0/],
    [{ zoneoutHidden: 0.1 }, /zoneoutHidden: expected 0/],
    [{ zoneoutCell: 0.1 }, /zoneoutCell: expected 0/],
    [{ weightDrop: 0.1 }, /weightDrop: expected 0/],
    [{ layerNorm: true }, /layerNorm: expected false/],
    [{ projectionSize: 2 }, /projectionSize: expected 0, got 2/],
    [{ cell: 'lru', numLayers: 2 }, /method: expected 'snap1' or 'immediate' for 2 layers of cell 'lru', got 'rtrl'/],
    [{ cell: 'lru', hiddenSize: 5 }, /hiddenSize/],
    [{ cell: 'transformer' }, /cell: expected .*'lru', got 'transformer'/],
    [{ cell: 'gru', reset: 'before' }, /reset: expected 'after', got 'before'/],
  ];
  for (const [more, message] of only) {
    refused(more, message);
    throws(() => estimate({ ...BASE, ...more } as never), message);
  }
  refused({ method: 'uoro' }, /method: expected 'rtrl' or 'snap1' or 'immediate', got 'uoro'/);
  refused({ loss: 'hinge' }, /loss/);
  refused({ outputSize: 0 }, /outputSize/);
  refused({ hidden: 3 }, /unknown option 'hidden'/);
  refused({ lr: 3 }, /did you mean 'learningRate'/);
  refused({ clipNorm: 0 }, /clipNorm/);
  refused({ seed: -1 }, /seed/);
  refused({ optimizer: 'sgd', beta1: 0.5 }, /beta1/);
  refused({ peepholes: true, cell: 'gru' }, /peepholes/);
  refused({ maxBytes: 0 }, /maxBytes/);
  refused({ module: 3 }, /module/);
  throws(() => OnlineLearner.createSync(undefined as never), /createSync: expected an object/);
  throws(() => estimate(undefined as never), /estimate/);
  throws(() => estimate(BASE, { method: 'x' as never }), /method/);
  throws(() => estimate(BASE, { steps: 0 }), /steps/);
  throws(() => estimate(BASE, { stepz: 1 } as never), /stepz/);
  const sizes = [3, 2];
  const { config } = OnlineLearner.createSync({ ...BASE, hiddenSize: sizes, maxBytes: 2 ** 20 });
  sizes.push(4);
  equal(config, { ...BASE, hiddenSize: [3, 2] });
  ok(Object.isFrozen(config) && Object.isFrozen(config.hiddenSize));
});

test('another module of gatewise is refused', async () => {
  const { readFileSync } = await import('node:fs');
  const simd = readFileSync(new URL('../../dist/simd.wasm', import.meta.url));
  const own = readFileSync(new URL('../../dist/online.wasm', import.meta.url));
  for (const module of [simd, new WebAssembly.Module(simd)]) {
    try {
      OnlineLearner.createSync({ ...BASE, module });
      throw new Error('it was not refused');
    } catch (error) {
      ok(error instanceof UnsupportedError, String(error));
      ok(error.message.includes('gatewise/online.wasm'), error.message);
    }
  }
  using a = OnlineLearner.createSync({ ...BASE, module: own });
  using b = await OnlineLearner.create({ ...BASE, module: new WebAssembly.Module(own) });
  equal(a.save(), b.save());
});

test('step: invalid x, target or output are refused before anything changes', () => {
  for (const options of [BASE, { ...BASE, loss: 'bceWithLogits' } as const]) {
    using learner = OnlineLearner.createSync(options);
    run(learner, stream(options, 4));
    const before = learner.save();
    const x = [1, 2, 3];
    const target = options.loss === 'crossEntropy' ? 1 : [0, 1];
    const refused = (message: RegExp, ...args: unknown[]) =>
      throws(() => (learner.step as (...all: unknown[]) => unknown)(...args), message);
    refused(/x: expected \[I=3\] = 3 numbers, got 2/, [1, 2], target);
    refused(/x\[1\]: expected a finite number, got NaN/, [1, Number.NaN, 3], target);
    refused(/x\[2\]: expected a finite number, got Infinity/, [1, 2, Infinity]);
    refused(/x: expected/, undefined, target);
    refused(/x: expected/, 'abc', target);
    refused(/output: expected a Float32Array of \[O=2\]/, x, target, new Float32Array(3));
    refused(/output/, x, target, [0, 0]);
    if (options.loss === 'crossEntropy') {
      refused(/target: expected a whole number from 0 to 1, got 2/, x, 2);
      refused(/target/, x, -1);
      refused(/target/, x, 0.5);
      refused(/target/, x, [0, 1]);
      refused(/target/, x, 'a');
    } else {
      refused(/target: expected \[O=2\] = 2 numbers, got 1/, x, [1]);
      refused(/target\[1\]: expected a finite number of at least 0 and at most 1, got 2/, x, [0, 2]);
      refused(/target/, x, 1);
      refused(/target/, x, [0, Number.NaN]);
    }
    equal(learner.save(), before);
  }
});

test('reset begins a new sequence: state and influence are zero, weights and optimizer stay', () => {
  for (const method of METHODS) {
    for (const base of [STACK, { ...BASE, cell: 'lru' } as const]) {
      const options: OnlineOptions = { ...base, method, optimizer: 'sgd', learningRate: 0 };
      using used = OnlineLearner.createSync(options);
      using fresh = OnlineLearner.createSync(options);
      run(used, stream(options, 20));
      used.reset();
      const steps = [...stream(options, 20, 5)];
      equal(run(used, steps), run(fresh, steps));
      for (const { name } of fresh.parameters) equal(used.gradient(name), fresh.gradient(name));
    }
  }
});

test('an update that would not be finite is refused, and the weights stay', () => {
  const options: OnlineOptions = { ...BASE, loss: 'mse', optimizer: 'sgd', learningRate: 1e38 };
  using learner = OnlineLearner.createSync(options);
  const before = learner.saveWeights();
  let caught: unknown;
  try {
    for (let t = 0; t < 3; t++) learner.step([1, 1, 1], [1e30, -1e30]);
  } catch (error) {
    caught = error;
  }
  ok(caught instanceof NonFiniteError, String(caught));
  equal(learner.saveWeights(), before);
});

test('clipNorm: the norm of an update with SGD is at most that times the rate', () => {
  const change = (clipNorm?: number) => {
    const own = { optimizer: 'sgd', momentum: 0, learningRate: 1, ...(clipNorm ? { clipNorm } : {}) } as const;
    using learner = OnlineLearner.createSync({ ...BASE, loss: 'mse', ...own });
    const all = () => learner.parameters.flatMap(({ name }) => [...learner.get(name)]);
    const before = all();
    learner.step([1, -1, 2], [3, -2]);
    return Math.hypot(...all().map((w, i) => w - before[i]));
  };
  ok(change() > 0.5, `${change()}`);
  ok(Math.abs(change(0.01) - 0.01) < 1e-6, `${change(0.01)}`);
});

test('a loss that is not finite is refused, and the weights stay', () => {
  using learner = OnlineLearner.createSync({ ...BASE, loss: 'mse', optimizer: 'sgd', learningRate: 1e-40 });
  const before = learner.saveWeights();
  throws(
    () => learner.step([1, 1, 1], [3e38, -3e38]),
    /^the loss of step 1 is not finite; the weights have not changed/,
  );
  equal(learner.saveWeights(), before);
  is(learner.updates, 0);
});

test('learningRate can be changed: at 0 nothing is learned', () => {
  using learner = OnlineLearner.createSync({ ...BASE, learningRate: 0.1 });
  is(learner.learningRate, 0.1);
  const before = learner.saveWeights();
  learner.learningRate = 0;
  run(learner, stream(BASE, 10));
  equal(learner.saveWeights(), before);
  for (const rate of [-1, Number.NaN, Infinity, '1' as never]) {
    throws(() => {
      learner.learningRate = rate;
    }, /learningRate: expected a finite number of at least 0/);
  }
  is(learner.learningRate, 0);
  learner.learningRate = 0.1;
  run(learner, stream(BASE, 10));
  ok(String(learner.saveWeights()) !== String(before));
});

test('a disposed learner says so', () => {
  const learner = OnlineLearner.createSync(BASE);
  learner.dispose();
  throws(() => learner.step([1, 2, 3]), /has been disposed/);
  throws(() => learner.save(), /has been disposed/);
  throws(() => learner.get('head.bias'), /has been disposed/);
  throws(() => learner.reset(), /has been disposed/);
});

test('it learns what no window of one step can: the sign of x five steps ago', () => {
  const lag = 5;
  const after = (method: Method) => {
    const options: OnlineOptions = {
      cell: 'rnn',
      inputSize: 1,
      hiddenSize: 12,
      outputSize: 2,
      loss: 'crossEntropy',
      method,
    };
    using learner = OnlineLearner.createSync({ ...options, learningRate: 5e-3, seed: 1 });
    const next = random(3);
    const signs: number[] = [];
    let total = 0;
    for (let t = 0; t < 8000; t++) {
      signs.push(next() < 0.5 ? -1 : 1);
      const { loss } = learner.step([signs[t]], t < lag ? null : signs[t - lag] > 0 ? 1 : 0);
      if (t >= 7000) total += loss ?? 0;
    }
    return total / 1000;
  };
  const [exact, one] = [after('rtrl'), after('immediate')];
  console.log(`  exact ${exact.toFixed(4)}, one step ${one.toFixed(4)} nats; nothing known ${Math.LN2.toFixed(4)}`);
  ok(exact < 0.1, `${exact}`);
  ok(one > 2 * exact, `${one}`);
});

test.run();
