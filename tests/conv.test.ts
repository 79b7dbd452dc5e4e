/** Conv1d against its reference, forward and backward, with NaN after the ends of sequences; streams; PyTorch's numbers. */
import { gradcheck, input, Linear, Model, mseLoss, Recurrent, read } from 'gatewise';
import { Conv1d, type Conv1dOptions, Sequential } from 'gatewise/functions';
import { test } from 'uvu';
import { equal, is, ok, throws } from 'uvu/assert';
import { type Convolution, conv1d, outputSteps } from './reference/conv.js';
import { builds, runtime } from './support/builds.js';
import { layerOperation, type RowsShape } from './support/layer-operation.js';
import { random, uniform } from './support/numbers.js';
import { checkKernel, checkReference, type Operation } from './support/operation.js';

interface Case extends RowsShape {
  readonly O: number;
  readonly K: number;
  readonly options?: Partial<Conv1dOptions>;
}

/** What the padding of an option is. */
function convolution({ K, options: { stride = 1, dilation = 1, padding = 0 } = {} }: Case): Convolution {
  const span = dilation * (K - 1);
  const [before, after] =
    padding === 'same'
      ? [Math.floor(span / 2), Math.ceil(span / 2)]
      : padding === 'causal'
        ? [span, 0]
        : typeof padding === 'number'
          ? [padding, padding]
          : padding;
  return { kernelSize: K, stride, dilation, before, after };
}

function operation(seed: number, c: Case): Operation {
  const { T, B, F, O, K, lengths, options = {} } = c;
  const own = convolution(c);
  const { bias = true } = options;
  return layerOperation(seed, {
    title: `conv T=${T} B=${B} I=${F} O=${O} K=${K} ${JSON.stringify(options)}${lengths ? ` lengths=${lengths}` : ''}`,
    rows: { x: { T, B, F, lengths } },
    parameters: { 'c.weight': [O, F * K], ...(bias ? { 'c.bias': [1, O] as const } : {}) },
    outputs: { y: [outputSteps(T, own) * B, O] },
    layers: (b) => new Conv1d(b, 'c', { inputSize: F, outputSize: O, kernelSize: K, ...options }),
    forward: (tape, { x }, layer) => ({ y: layer.forward(tape, x) }),
    reference: (g, m) => ({ y: conv1d(g, m.x, m['c.weight'], m['c.bias'], own, { T, B, lengths }) }),
  });
}

const lengths = [2, 7, 1, 5];
const cases: Case[] = [
  { T: 1, B: 1, F: 1, O: 1, K: 1 },
  { T: 5, B: 2, F: 3, O: 4, K: 3 },
  { T: 6, B: 3, F: 17, O: 33, K: 2, options: { bias: false } },
  { T: 7, B: 2, F: 5, O: 6, K: 4, options: { padding: 2 } },
  { T: 7, B: 2, F: 5, O: 6, K: 4, options: { padding: 'same' } },
  { T: 7, B: 2, F: 5, O: 6, K: 3, options: { padding: 'causal' } },
  { T: 9, B: 3, F: 4, O: 5, K: 3, options: { stride: 2 } },
  { T: 10, B: 3, F: 4, O: 18, K: 3, options: { stride: 3, padding: 1 } },
  { T: 9, B: 2, F: 4, O: 5, K: 3, options: { dilation: 3, padding: 'same' } },
  { T: 11, B: 2, F: 3, O: 2, K: 2, options: { dilation: 2, stride: 2, padding: [3, 1] } },
  { T: 4, B: 1, F: 2, O: 3, K: 9, options: { padding: 4 } },
  { T: 3, B: 2, F: 2, O: 3, K: 2, options: { padding: 5, stride: 4 } },
  { T: 300, B: 1, F: 6, O: 7, K: 5, options: { padding: 'same' } },
  { T: 7, B: 4, F: 6, O: 5, K: 3, lengths, options: { padding: 1 } },
  { T: 7, B: 4, F: 6, O: 17, K: 3, lengths, options: { padding: 'causal', dilation: 2 } },
  { T: 7, B: 4, F: 6, O: 5, K: 3, lengths, options: { stride: 2, padding: [0, 2] } },
  { T: 7, B: 4, F: 6, O: 5, K: 2, lengths },
];
const operations = cases.map((c, i) => operation(3700 + i, c));

for (const op of operations) {
  test(`reference: ${op.title}, gradient equals central differences to 1e-7`, () => checkReference(op, 8));
  for (const build of builds) test(`${build}: ${op.title}`, () => checkKernel(op, build));
}

for (const build of builds) {
  test(`${build}: steps of a stream have the bits of the sequence`, () => {
    const r = runtime(build);
    for (const [K, dilation] of [
      [1, 1],
      [3, 1],
      [3, 4],
    ]) {
      const [T, B, I, O] = [9, 3, 5, 18];
      const options = { inputSize: I, outputSize: O, kernelSize: K, dilation, padding: 'causal' } as const;
      const model = new Model(r, 1, (b) => new Conv1d(b, 'c', options));
      const x = uniform(random(K), T * B * I);
      const whole = model.forward((tape, conv) => read(tape, conv.forward(tape, input(tape, x, { T, B, F: I }))));
      const state = model.layers.state(B);
      const steps = Array.from({ length: T }, (_, t) => [
        ...model.layers.step(x.subarray(t * B * I, (t + 1) * B * I), state),
      ]);
      equal(steps.flat(), [...whole]);
      // in two parts
      const parts = model.layers.state(B);
      const halves = [
        [0, 4],
        [4, T],
      ].map(([from, to]) =>
        model.forward((tape, conv) => {
          const rows = input(tape, x.subarray(from * B * I, to * B * I), { T: to - from, B, F: I });
          return [...read(tape, conv.forward(tape, rows, parts))];
        }),
      );
      equal(halves.flat(), [...whole]);
      equal(parts.h, state.h);
      model.dispose();
    }
    r.dispose();
  });
}

test('in a chain with recurrent layers, forward, step and gradient', () => {
  const r = runtime('simd');
  const model = new Model(r, 3, (b) => {
    const conv = new Conv1d(b, 'conv', { inputSize: 2, outputSize: 4, kernelSize: 3, padding: 'causal' });
    const rnn = new Recurrent(b, 'rnn', { cell: 'lstm', inputSize: 4, hiddenSize: 3 });
    return new Sequential(b, [conv, rnn, new Linear(b, 'head', { inputSize: 3, outputSize: 1 })]);
  });
  const x = uniform(random(9), 12);
  const shape = { T: 6, B: 1, F: 2 };
  const whole = model.forward((tape, chain) => read(tape, chain.forward(tape, input(tape, x, shape))));
  const state = model.layers.state();
  is(state.h.length, 2);
  equal(
    Array.from({ length: 6 }, (_, t) => model.layers.step(x.subarray(2 * t, 2 * t + 2), state)[0]),
    [...whole],
  );
  for (const start of [undefined, state.clone()]) {
    const { ok: held, worst } = gradcheck(model, (tape, chain) =>
      mseLoss(tape, chain.forward(tape, input(tape, x, shape), start?.clone()), [1, 0, -1, 2, 1, 0]),
    );
    ok(held, `${worst}`);
  }
  r.dispose();
});

test('parameters have the names, shapes and the range of PyTorch; frozen ones get no gradient', () => {
  const r = runtime('simd');
  const model = new Model(r, 1, (b) => new Conv1d(b, 'c', { inputSize: 4, outputSize: 30, kernelSize: 4 }));
  equal(
    model.parameters.map(({ name, shape }) => [name, shape]),
    [
      ['c.weight', [30, 4, 4]],
      ['c.bias', [30]],
    ],
  );
  ok(model.get('c.weight').every((v) => Math.abs(v) <= 0.25) && model.get('c.weight').some((v) => Math.abs(v) > 0.2));
  model.freeze('c.weight');
  model.valueAndGrad((tape, conv) => {
    const y = conv.forward(tape, input(tape, uniform(random(1), 20), { T: 5, B: 1, F: 4 }));
    return mseLoss(tape, y, new Float32Array(60));
  });
  ok(model.gradient('c.weight').every((v) => v === 0));
  ok(model.gradient('c.bias').some((v) => v !== 0));
  r.dispose();
});

test('refuses what does not fit', () => {
  const r = runtime('simd');
  const make = (options: object) => () =>
    new Model(r, 1, (b) => new Conv1d(b, 'c', { inputSize: 2, outputSize: 3, kernelSize: 2, ...options })).layers;
  throws(make({ kernelSize: 0 }), 'kernelSize: expected a positive whole number, got 0');
  throws(make({ stride: 2, padding: 'same' }), /^padding: 'same' and stride: 2 cannot be combined/);
  throws(make({ padding: 'valid' }), "padding: expected 'same', 'causal', a number or two numbers, got 'valid'");
  throws(make({ padding: [1] }), /^padding: expected 'same'/);
  throws(make({ padding: [1, -1] }), 'padding[1]: expected a whole number of at least 0, got -1');
  throws(
    make({ bias: false, initializers: { bias: { kind: 'constant', value: 1 } } }),
    /^initializers.bias and bias: false/,
  );
  throws(make({ filters: 1 }), /^c: unknown option 'filters'/);
  const model = new Model(r, 1, (b) => ({
    plain: new Conv1d(b, 'plain', { inputSize: 2, outputSize: 3, kernelSize: 4 }),
    causal: new Conv1d(b, 'causal', { inputSize: 2, outputSize: 3, kernelSize: 3, padding: 'causal' }),
  }));
  const { plain, causal } = model.layers;
  throws(() => plain.step([1, 2], plain.state()), "state: needs padding: 'causal' and stride 1");
  throws(() => causal.step([1], causal.state()), /^values: expected \[T=1, B=1, F=2\] = 2 numbers, got 1/);
  throws(() => causal.step([1, 2], plain.state()), /^state: expected one of B=1 sequences, 4 numbers each/);
  model.forward((tape) => {
    const rows = (T: number, F: number, own?: number[]) =>
      input(tape, new Float32Array(T * F), { T, B: 1, F, lengths: own });
    throws(() => plain.forward(tape, rows(3, 2)), 'x: 3 steps are too few for kernelSize 4');
    throws(() => plain.forward(tape, rows(5, 3)), 'x: expected 2 features, got 3');
    throws(() => causal.forward(tape, rows(5, 2, [4]), causal.state()), 'state: needs sequences of equal lengths');
    const short = plain.forward(tape, rows(5, 2, [3]));
    equal(short.lengths?.values, Int32Array.of(0));
    ok(read(tape, short).every((v) => v === 0));
  });
  r.dispose();
});

test.run();
