/** Functions of gatewise/functions against their references, forward and backward; NaN after the ends of sequences. */
import { readFileSync } from 'node:fs';
import {
  dotLoss,
  type Gradient,
  gradcheck,
  gradientOf,
  input,
  Linear,
  Model,
  mseLoss,
  type Rows,
  Runtime,
  read,
  type Tape,
} from 'gatewise';
import {
  concatTime,
  gelu,
  linkFunctions,
  logSoftmax,
  magnitude,
  mask,
  mean,
  multiply,
  ownFunction,
  ownLoss,
  scale,
  softmax,
  subtract,
  sum,
  Vector,
} from 'gatewise/functions';
import { test } from 'uvu';
import { equal, is, ok, throws } from 'uvu/assert';
import type { Graph, Matrix } from './reference/autodiff.js';
import * as reference from './reference/functions.js';
import { builds, runtime } from './support/builds.js';
import { layerOperation, type RowsShape } from './support/layer-operation.js';
import { close } from './support/numbers.js';
import { checkKernel, checkReference, type Operation } from './support/operation.js';
import { rejects } from './support/rejects.js';

const shapes: RowsShape[] = [
  { T: 1, B: 1, F: 1 },
  { T: 2, B: 3, F: 3 },
  { T: 3, B: 2, F: 4 },
  { T: 4, B: 3, F: 17 },
  { T: 3, B: 4, F: 16 },
  { T: 40, B: 2, F: 5 },
  { T: 5, B: 4, F: 6, lengths: [2, 5, 1, 4] },
  { T: 3, B: 3, F: 33, lengths: [3, 1, 2] },
];
const named = ({ T, B, F, lengths, scale: s }: RowsShape) =>
  `T=${T} B=${B} F=${F}${s ? ` ±${s}` : ''}${lengths ? ` lengths=${lengths}` : ''}`;

type Formula = (g: Graph, x: Matrix, shape: RowsShape) => Matrix;

/** A function of one input; `reduced` says what of T, B, F becomes one. */
function one(
  seed: number,
  title: string,
  shape: RowsShape,
  forward: (tape: Tape, x: Rows) => Rows,
  formula: Formula,
  reduced?: 'features' | 'time',
): Operation {
  const rows = reduced === 'time' ? shape.B : shape.T * shape.B;
  return layerOperation(seed, {
    title: `${title} ${named(shape)}`,
    rows: { x: shape },
    outputs: { y: [rows, reduced === 'features' ? 1 : shape.F] },
    forward: (tape, { x }) => ({ y: forward(tape, x) }),
    reference: (g, { x }) => {
      const y = formula(g, x, shape);
      return { y: reduced === 'time' ? y : reference.live(g, y, shape) };
    },
  });
}

const pairs = {
  subtract: [subtract, (g: Graph, a: Matrix, b: Matrix) => g.sub(a, b)],
  multiply: [multiply, (g: Graph, a: Matrix, b: Matrix) => g.mul(a, b)],
  magnitude: [magnitude, reference.magnitude],
} as const;

function two(seed: number, name: keyof typeof pairs, shape: RowsShape, second = shape): Operation {
  const [kernel, formula] = pairs[name];
  return layerOperation(seed, {
    title: `${name} ${named(shape)}${second.lengths === shape.lengths ? '' : ', lengths of one only'}`,
    rows: { a: shape, b: second },
    outputs: { y: [shape.T * shape.B, shape.F] },
    forward: (tape, { a, b }) => ({ y: kernel(tape, a, b) }),
    reference: (g, { a, b }) => ({ y: reference.live(g, formula(g, a, b), shape) }),
  });
}

function joined(seed: number, parts: readonly RowsShape[]): Operation {
  const [{ B, F }] = parts;
  const T = parts.reduce((n, part) => n + part.T, 0);
  return layerOperation(seed, {
    title: `concatTime ${parts.map(named).join(' + ')}`,
    rows: Object.fromEntries(parts.map((part, i) => [`x${i}`, part])),
    outputs: { y: [T * B, F] },
    forward: (tape, rows) => ({ y: concatTime(tape, Object.values(rows)) }),
    reference: (g, m) => ({
      y: reference.concatTime(
        g,
        parts.map((part, i) => [m[`x${i}`], part]),
      ),
    }),
  });
}

const ragged = shapes[6];
const keepOf = ({ T, B, F }: RowsShape, wide: boolean) =>
  Float32Array.from({ length: T * B * (wide ? F : 1) }, (_, i) => ((i * 7) % 3 ? 1 : 0));
const overs = ['features', 'time'] as const;
const operations: Operation[] = [
  ...Object.keys(pairs).flatMap((name, i) =>
    shapes.map((s, j) => two(3000 + 20 * i + j, name as keyof typeof pairs, s)),
  ),
  ...Object.keys(pairs).map((name, i) =>
    two(3080 + i, name as keyof typeof pairs, ragged, { ...ragged, lengths: undefined }),
  ),
  ...shapes.flatMap((s, j) => [
    one(
      3100 + j,
      'scale',
      s,
      (tape, x) => scale(tape, x, -1.75, 0.5),
      (g, x) => g.shift(g.scale(x, -1.75), 0.5),
    ),
    one(3120 + j, 'magnitude of one', s, (tape, x) => magnitude(tape, x), reference.absolute),
    one(3140 + j, 'gelu', s, gelu, reference.gelu),
    ...[false, true].map((wide, k) => {
      const keep = keepOf(s, wide);
      const kept = (i: number) => keep[wide ? i : Math.floor(i / s.F)] !== 0;
      return one(
        3160 + 20 * k + j,
        `mask of ${wide ? 'numbers' : 'steps'}`,
        s,
        (tape, x) => mask(tape, x, keep, -2.5),
        (g, x) => reference.mask(g, x, kept, -2.5),
      );
    }),
    ...overs.flatMap((over, k) => [
      one(
        3200 + 20 * k + j,
        `softmax over ${over}`,
        s,
        (tape, x) => softmax(tape, x, { over }),
        (g, x) => g.exp(reference.logSoftmax(g, x, s, over)),
      ),
      one(
        3240 + 20 * k + j,
        `logSoftmax over ${over}`,
        s,
        (tape, x) => logSoftmax(tape, x, { over }),
        (g, x) => reference.logSoftmax(g, x, s, over),
      ),
      one(
        3280 + 20 * k + j,
        `sum over ${over}`,
        s,
        (tape, x) => sum(tape, x, { over }),
        (g, x) => reference.sum(g, x, s, over),
        over,
      ),
      one(
        3320 + 20 * k + j,
        `mean over ${over}`,
        s,
        (tape, x) => mean(tape, x, { over }),
        (g, x) => reference.mean(g, x, s, over),
        over,
      ),
    ]),
  ]),
  ...[9, 100].flatMap((far, j) => {
    const s = { T: 3, B: 2, F: 7, scale: far };
    return [
      one(3400 + j, 'gelu', s, gelu, reference.gelu),
      ...overs.map((over, k) =>
        one(
          3410 + 2 * k + j,
          `logSoftmax over ${over}`,
          s,
          (tape, x) => logSoftmax(tape, x, { over }),
          (g, x) => reference.logSoftmax(g, x, s, over),
        ),
      ),
    ];
  }),
  joined(3500, [{ T: 2, B: 3, F: 5 }]),
  joined(3501, [
    { T: 2, B: 3, F: 5 },
    { T: 3, B: 3, F: 5 },
    { T: 1, B: 3, F: 5 },
  ]),
  joined(3502, [
    { T: 3, B: 3, F: 17, lengths: [1, 3, 2] },
    { T: 2, B: 3, F: 17 },
  ]),
  joined(3503, [
    { T: 2, B: 3, F: 4 },
    { T: 3, B: 3, F: 4, lengths: [3, 1, 2] },
  ]),
  joined(3504, [ragged, { ...ragged, T: 6, lengths: [6, 1, 1, 3] }, ragged]),
];

for (const op of operations) {
  test(`reference: ${op.title}, gradient equals central differences to 1e-7`, () => checkReference(op, 6));
  for (const build of builds) test(`${build}: ${op.title}`, () => checkKernel(op, build));
}

/** What a function gives for numbers, and the gradient of its sum. */
function trace(values: readonly number[], work: (tape: Tape, x: Rows) => Rows) {
  const model = new Model(runtime('simd'), 1, () => null);
  let y: Float32Array = new Float32Array();
  let gradient: Gradient | undefined;
  model.valueAndGrad((tape) => {
    const x = input(tape, values, { T: 1, B: 1, F: values.length }, { gradient: true });
    gradient = gradientOf(tape, x);
    const rows = work(tape, x);
    y = read(tape, rows);
    return dotLoss(tape, rows, new Float32Array(y.length).fill(1));
  });
  model.runtime.dispose();
  return { y, gradient: gradient?.values as Float32Array };
}

test('gelu: its limits, and 0 at 0', () => {
  const { y, gradient } = trace([-1e4, -40, 0, 40, 1e4], gelu);
  equal(
    Array.from(y, (v) => v + 0),
    [0, 0, 0, 40, 1e4],
  );
  close(gradient, [0, 0, 0.5, 1, 1], 2e-7, 'slopes');
});

test('magnitude: exact where a square would overflow or vanish, and no gradient at 0', () => {
  const both = (a: number[], b: number[]) =>
    trace([...a, ...b], (tape, x) => magnitude(tape, reference.half(tape, x, 0), reference.half(tape, x, 1)));
  const { y, gradient } = both([3e30, 3e-18, 0, -5, 0], [4e30, -4e-18, 0, 0, -2]);
  close(y, [5e30, 5e-18, 0, 5, 2].map(Math.fround), 1e-6, 'y');
  close(gradient, [0.6, 0.6, 0, -1, 0, 0.8, -0.8, 0, 0, -1], 1e-6, 'gradient');
  equal(trace([0, -2, 3], (tape, x) => magnitude(tape, x)).gradient, Float32Array.of(0, -1, 1));
});

test('a masked step has no part in a softmax over time, and receives no gradient', () => {
  const model = new Model(runtime('simd'), 1, () => null);
  let gradient: Gradient | undefined;
  model.valueAndGrad((tape) => {
    const x = input(tape, [1, 7, 1], { T: 3, B: 1, F: 1 }, { gradient: true });
    gradient = gradientOf(tape, x);
    const y = softmax(tape, mask(tape, x, [1, 0, 1], -Infinity), { over: 'time' });
    equal(read(tape, y), Float32Array.of(0.5, 0, 0.5));
    return dotLoss(tape, y, [1, 5, 0]);
  });
  equal(gradient?.values, Float32Array.of(0.25, 0, -0.25));
  model.runtime.dispose();
});

test('gradcheck: a chain of all functions', () => {
  const model = new Model(runtime('simd'), 3, (b) => ({
    a: new Linear(b, 'a', { inputSize: 3, outputSize: 4 }),
    // a softmax over time does not depend on a bias
    b: new Linear(b, 'b', { inputSize: 3, outputSize: 4, bias: false }),
  }));
  const values = Float32Array.from({ length: 30 }, (_, i) => Math.fround(Math.sin(i)));
  const { ok: held, worst } = gradcheck(model, (tape, layers) => {
    const x = input(tape, values, { T: 5, B: 2, F: 3, lengths: [5, 3] });
    const a = gelu(tape, layers.a.forward(tape, x));
    const b = softmax(tape, layers.b.forward(tape, x), { over: 'time' });
    const c = multiply(tape, subtract(tape, a, scale(tape, b, 2)), magnitude(tape, a, b));
    const d = concatTime(tape, [c, logSoftmax(tape, mask(tape, a, new Float32Array(10).fill(1)))]);
    return mseLoss(tape, mean(tape, d), new Float32Array(20).fill(0.25));
  });
  ok(held, `${worst}`);
  model.runtime.dispose();
});

/** x² in plain JavaScript, of F features; the gradient times `factor`. */
const square = (factor = 1) => ({
  forward: ([x]: readonly Float32Array[]) => x.map((v) => v * v),
  backward: (gradient: Float32Array, [x]: readonly Float32Array[]) => [gradient.map((g, i) => 2 * factor * g * x[i])],
});

/** a·b summed over features, in plain JavaScript. */
const dotOf = (F: number) => ({
  F: 1,
  forward: ([a, b]: readonly Float32Array[]) =>
    Float32Array.from({ length: a.length / F }, (_, r) => {
      let total = 0;
      for (let f = r * F; f < (r + 1) * F; f++) total += a[f] * b[f];
      return total;
    }),
  backward: (gradient: Float32Array, [a, b]: readonly Float32Array[]) => [
    a.map((_, i) => gradient[Math.floor(i / F)] * b[i]),
    b.map((_, i) => gradient[Math.floor(i / F)] * a[i]),
  ],
});

const own: Operation[] = shapes.flatMap((s, j) => [
  one(
    3600 + j,
    'a function of your own',
    s,
    (tape, x) => ownFunction(tape, [x], square()),
    (g, x) => g.mul(x, x),
  ),
  layerOperation(3620 + j, {
    title: `a function of your own of two inputs ${named(s)}`,
    rows: { a: s, b: s },
    outputs: { y: [s.T * s.B, 1] },
    forward: (tape, { a, b }) => ({ y: ownFunction(tape, [a, b], dotOf(s.F)) }),
    reference: (g, { a, b }) => ({ y: g.sumRows(g.mul(a, b)) }),
  }),
  layerOperation(3640 + j, {
    title: `a vector times rows ${named(s)}`,
    rows: { x: s },
    parameters: { gain: [1, s.F] },
    outputs: { y: [s.T * s.B, s.F] },
    layers: (b) => new Vector(b, 'gain', { size: s.F }),
    forward: (tape, { x }, gain) => ({ y: multiply(tape, x, gain.rows(tape, x)) }),
    reference: (g, { x, gain }) => ({ y: g.mul(x, gain) }),
  }),
]);

for (const op of own) {
  test(`reference: ${op.title}, gradient equals central differences to 1e-7`, () => checkReference(op, 6));
  test(`simd: ${op.title}`, () => checkKernel(op, 'simd'));
}

test('gradcheck: functions and losses of your own, and it finds a wrong gradient', () => {
  const model = new Model(runtime('simd'), 3, (b) => new Linear(b, 'line', { inputSize: 2, outputSize: 3 }));
  const values = [1, 2, -1, 3, 0.5, -2];
  const check = (factor: number, share: number) =>
    gradcheck(model, (tape, line) => {
      const x = input(tape, values, { T: 3, B: 1, F: 2, lengths: [2] });
      const y = ownFunction(tape, [line.forward(tape, x)], square(factor));
      const loss = ([v]: readonly Float32Array[]) => ({
        value: v.reduce((total, n) => total + n ** 3, 0),
        gradients: [v.map((n) => share * 3 * n * n)],
      });
      return [
        { loss: ownLoss(tape, [y], loss), weight: 0.5 },
        { loss: mseLoss(tape, y, new Float32Array(9)), weight: 2 },
      ];
    });
  ok(check(1, 1).ok, `${check(1, 1).worst}`);
  is(check(1.02, 1).ok, false);
  is(check(1, 0.98).ok, false);
  model.runtime.dispose();
});

test('what a function or a loss of your own returns is checked', () => {
  const model = new Model(runtime('simd'), 1, () => null);
  const run = (own: object, loss?: object) => () =>
    model.valueAndGrad((tape) => {
      const x = input(tape, [1, 2], { T: 2, B: 1, F: 1 }, { gradient: true });
      const y = ownFunction(tape, [x], { ...square(), ...own } as never);
      return ownLoss(tape, [y], () => (loss ?? { value: 1, gradients: [[1, 1]] }) as never);
    });
  run({})();
  throws(run({ forward: () => [1] }), 'what forward returns: expected [T=2, B=1, F=1] = 2 numbers, got 1');
  throws(run({ forward: () => [1, Number.NaN] }), 'what forward returns[1]: expected a finite number, got NaN');
  throws(run({ forward: () => undefined }), /^what forward returns: expected .* numbers, got undefined/);
  throws(run({ forward: 1 }), 'forward: expected a function, got 1');
  throws(run({ F: 0 }), 'F: expected a positive whole number, got 0');
  throws(run({ back: 1 }), /^own: unknown option 'back'/);
  throws(
    run({ backward: () => [] }),
    'what backward returns: expected a list of 1 gradients, one per input, got Array of length 0',
  );
  throws(
    run({ backward: () => [[1, Infinity]] }),
    'what backward returns[0][1]: expected a finite number, got Infinity',
  );
  throws(run({}, { value: 1 }), 'gradients: expected a list of 1 gradients, one per input, got undefined');
  throws(run({}, { gradients: [] }), 'what loss returns: expected { value, gradients }, got an object');
  throws(run({}, { value: 1, gradients: [[1]] }), 'gradients[0]: expected [T=2, B=1, F=1] = 2 numbers, got 1');
  run({ backward: () => [null] })();
  model.runtime.dispose();
});

test('refuses what does not fit', () => {
  const model = new Model(runtime('simd'), 1, () => null);
  model.forward((tape) => {
    const rows = (T: number, B: number, F: number, lengths?: number[]) =>
      input(tape, new Float32Array(T * B * F), { T, B, F, lengths });
    const x = rows(2, 1, 3);
    throws(() => subtract(tape, x, rows(2, 1, 2)), 'b: expected 3 features, got 2');
    throws(() => multiply(tape, x, rows(3, 1, 3)), 'b: expected T=2 steps of B=1 sequences, got T=3, B=1');
    throws(
      () => magnitude(tape, rows(2, 1, 3, [1]), rows(2, 1, 3, [2])),
      'b: expected sequences of the same lengths as those of a',
    );
    throws(() => magnitude(tape, x, null as never), /^b: expected rows, got null/);
    throws(() => scale(tape, x, Number.NaN), 'factor: expected a finite number, got NaN');
    throws(() => scale(tape, x, 1, '2' as never), "offset: expected a finite number, got '2'");
    throws(() => mask(tape, x, [1, 0, 1]), 'keep: expected [T=2, B=1, F=3] = 6 numbers, got 3');
    throws(() => mask(tape, x, [1, 0], Number.NaN), 'value: expected a number, got NaN');
    throws(() => softmax(tape, x, { over: 'step' as never }), /^over: expected 'features' or 'time', got 'step'/);
    throws(() => sum(tape, x, { axis: 1 } as never), /^sum: unknown option 'axis'/);
    throws(() => concatTime(tape, []), 'parts: expected a list of rows, got Array of length 0');
    throws(() => concatTime(tape, [x, rows(1, 1, 2)]), 'parts[1]: expected 3 features, got 2');
    throws(() => concatTime(tape, [x, rows(1, 2, 3)]), 'parts[1]: expected B=1 sequences, got 2');
  });
  model.runtime.dispose();
});

test('the module can be given, and one of another kind is refused', async () => {
  const bytes = readFileSync(new URL(import.meta.resolve('gatewise/functions.wasm')));
  const a = await Runtime.create();
  await linkFunctions(a, bytes);
  await linkFunctions(a, new WebAssembly.Module(bytes));
  const y = new Model(a, 1, () => null).forward((tape) =>
    read(tape, scale(tape, input(tape, [2], { T: 1, B: 1, F: 1 }), 3)),
  );
  is(y[0], 6);
  await rejects(linkFunctions(a, 'x' as never), /^module: expected a WebAssembly.Module or its bytes/);
  await rejects(linkFunctions(a, new Uint8Array(8)), /could not be compiled/);
  const other = readFileSync(new URL(import.meta.resolve('gatewise/quantized.wasm')));
  await rejects(linkFunctions(a, other), /not the functions of this version/);
  a.dispose();
  await rejects(linkFunctions(a), /has been disposed/);
});

test.run();
