/**
 * Functions of rows, pooling and what predictions are read from, against their references; NaN after the ends of sequences, and in all
 * memory before it is written.
 */
import {
  type ActivationOption,
  activation,
  add,
  argmaxRows,
  concat,
  dotLoss,
  expand,
  type Gradient,
  gradientOf,
  input,
  lastPool,
  Model,
  maxPool,
  meanPool,
  type Rows,
  read,
  sampleBits,
  select,
  slice,
  softmaxRows,
  type Tape,
  topKRows,
} from 'gatewise';
import { test } from 'uvu';
import { equal, is, ok, throws } from 'uvu/assert';
import { activated } from './reference/activation.js';
import type { Graph, Matrix } from './reference/autodiff.js';
import { lastPool as lastOf, maxPool as maxOf, meanPool as meanOf } from './reference/pool.js';
import { builds, guarded, runtime } from './support/builds.js';
import { layerOperation, poison } from './support/layer-operation.js';
import { anyInput, project } from './support/layers.js';
import { close, random, uniform } from './support/numbers.js';
import { checkKernel, checkReference, type Operation } from './support/operation.js';

interface Shape {
  T: number;
  B: number;
  F: number;
  lengths?: readonly number[];
  scale?: number;
}

const shapes: Shape[] = [
  { T: 1, B: 1, F: 1 },
  { T: 2, B: 3, F: 3 },
  { T: 3, B: 2, F: 4 },
  { T: 4, B: 3, F: 17 },
  { T: 3, B: 4, F: 16 },
  { T: 70, B: 2, F: 5 },
  { T: 5, B: 4, F: 6, lengths: [2, 5, 1, 4] },
  { T: 3, B: 3, F: 33, lengths: [3, 1, 2] },
];
const named = ({ T, B, F, lengths, scale }: Shape) =>
  `T=${T} B=${B} F=${F}${scale ? ` ±${scale}` : ''}${lengths ? ` lengths=${lengths}` : ''}`;

/** y where a step is one of its sequence, 0 elsewhere. */
function masked(g: Graph, y: Matrix, { B, lengths }: Pick<Shape, 'B' | 'lengths'>): Matrix {
  return g.choose((r) => !lengths || Math.floor(r / B) < lengths[r % B], y, g.zeros(y.rows, y.columns));
}

function activations(seed: number, f: ActivationOption, shape: Shape): Operation {
  return layerOperation(seed, {
    title: `${JSON.stringify(f)} ${named(shape)}`,
    rows: { x: shape },
    outputs: { y: [shape.T * shape.B, shape.F] },
    forward: (tape, { x }) => ({ y: activation(tape, x, f) }),
    reference: (g, { x }) => ({ y: masked(g, activated(g, f, x), shape) }),
  });
}

function sum(seed: number, shape: Shape): Operation {
  return layerOperation(seed, {
    title: `add ${named(shape)}`,
    rows: { a: shape, b: { ...shape, lengths: undefined } },
    outputs: { y: [shape.T * shape.B, shape.F] },
    forward: (tape, { a, b }) => ({ y: add(tape, a, b) }),
    reference: (g, { a, b }) => ({ y: masked(g, g.add(a, b), shape) }),
  });
}

function beside(seed: number, { T, B, lengths }: Omit<Shape, 'F'>, widths: readonly number[]): Operation {
  const F = widths.reduce((a, b) => a + b);
  return layerOperation(seed, {
    title: `concat ${widths} T=${T} B=${B}${lengths ? ` lengths=${lengths}` : ''}`,
    rows: Object.fromEntries(
      widths.map((w, i) => [`x${i}`, { T, B, F: w, lengths: i === widths.length - 1 ? lengths : undefined }]),
    ),
    outputs: { y: [T * B, F] },
    forward: (tape, rows) => ({ y: concat(tape, Object.values(rows)) }),
    reference: (g, m) => ({
      y: masked(
        g,
        widths.slice(1).reduce((y, _, i) => g.beside(y, m[`x${i + 1}`]), m.x0),
        { B, ...(lengths ? { lengths } : {}) },
      ),
    }),
  });
}

function chosen(seed: number, shape: Shape, features: readonly number[]): Operation {
  const { T, B } = shape;
  return layerOperation(seed, {
    title: `select ${features} ${named(shape)}`,
    rows: { x: shape },
    outputs: { y: [T * B, features.length] },
    forward: (tape, { x }) => ({ y: select(tape, x, features) }),
    reference: (g, { x }) => ({
      y: masked(
        g,
        g.pick(x, T * B, features.length, (r, j) => r * shape.F + features[j]),
        shape,
      ),
    }),
  });
}

function repeated(seed: number, shape: Shape): Operation {
  const { T, B, F, lengths } = shape;
  return layerOperation(seed, {
    title: `expand ${named(shape)}`,
    rows: { x: { T: 1, B, F } },
    outputs: { y: [T * B, F] },
    forward: (tape, { x }) => ({ y: expand(tape, x, { T, lengths }) }),
    reference: (g, { x }) => ({
      y: masked(
        g,
        g.pick(x, T * B, F, (r, f) => (r % B) * F + f),
        shape,
      ),
    }),
  });
}

const pools = {
  meanPool: [meanPool, meanOf],
  maxPool: [maxPool, maxOf],
  lastPool: [lastPool, lastOf],
} as const;

/** Pooling over steps `from` to the end: with lengths, some sequences have none there. */
function pooled(seed: number, name: keyof typeof pools, shape: Shape, from = 0): Operation {
  const { T, B, F, lengths } = shape;
  const [kernel, reference] = pools[name];
  const left = { T: T - from, B, lengths: lengths?.map((n) => Math.max(n - from, 0)) };
  return layerOperation(seed, {
    title: `${name} ${named(shape)}${from ? ` from=${from}` : ''}`,
    rows: { x: shape },
    outputs: { y: [B, F] },
    forward: (tape, { x }) => ({ y: kernel(tape, from ? slice(tape, x, from, T) : x) }),
    reference: (g, { x }) => ({ y: reference(g, g.rows(x, from * B, T * B), left) }),
  });
}

const ragged = shapes[6];
const functions = ['tanh', 'sigmoid', 'relu'] as const;
const others: ActivationOption[] = [
  ...(['identity', 'softsign', 'softplus', 'hardSigmoid', 'affine', 'scaledTanh', 'elu'] as const),
  ...(['leakyRelu', 'thresholdedRelu'] as const),
  { kind: 'hardSigmoid', alpha: 0.2, beta: 0.5 },
  { kind: 'hardSigmoid', alpha: -0.3 },
  { kind: 'affine', alpha: -2, beta: 3 },
  { kind: 'scaledTanh', alpha: 1.7, beta: 0.6 },
  { kind: 'elu', alpha: 0.3 },
  { kind: 'leakyRelu', alpha: 0 },
  { kind: 'thresholdedRelu', alpha: 0 },
];
const names = Object.keys(pools) as (keyof typeof pools)[];
const operations: Operation[] = [
  ...functions.flatMap((f, i) => shapes.map((s, j) => activations(1000 + 20 * i + j, f, s))),
  ...functions.flatMap((f, i) =>
    [30, 1e3].map((scale, j) => activations(1100 + 20 * i + j, f, { T: 3, B: 2, F: 7, scale })),
  ),
  ...others.flatMap((f, i) =>
    [ragged, { T: 3, B: 2, F: 7, scale: 30 }].map((s, j) => activations(1700 + 2 * i + j, f, s)),
  ),
  ...shapes.map((s, i) => sum(1200 + i, s)),
  ...[[1], [3, 5], [4, 16, 1], [13, 3], [1, 1, 1, 1, 1], [15, 2, 33]].map((widths, i) =>
    beside(1300 + i, { T: 3, B: 2 }, widths),
  ),
  beside(1310, ragged, [3, 6, 2]),
  ...[[5], [0, 5], [3, 1, 3, 3], [5, 4, 3, 2, 1, 0, 2]].map((features, i) => chosen(1350 + i, ragged, features)),
  chosen(1360, shapes[3], [16, 0, 7]),
  ...shapes.map((s, i) => repeated(1400 + i, s)),
  ...names.flatMap((name, i) => shapes.map((s, j) => pooled(1500 + 20 * i + j, name, s))),
  ...names.map((name, i) => pooled(1600 + i, name, ragged, 2)),
];

for (const op of operations) {
  test(`reference: ${op.title}, gradient equals central differences to 1e-7`, () => checkReference(op, 6));
  for (const build of builds) test(`${build}: ${op.title}`, () => checkKernel(op, build));
}

test('activation: where it saturates, the limits, and slopes that are zero', () => {
  const want = { tanh: [-1, 1], sigmoid: [0, 1], relu: [0, 1000] };
  for (const f of functions) {
    const model = new Model(runtime('simd'), 1, () => null);
    let gradient: Gradient | undefined;
    model.valueAndGrad((tape) => {
      const x = input(tape, [-1000, 1000], { T: 2, B: 1, F: 1 }, { gradient: true });
      gradient = gradientOf(tape, x);
      const y = activation(tape, x, f);
      close(read(tape, y), want[f], 1e-37, f);
      return dotLoss(tape, y, [1, 1]);
    });
    equal(gradient?.values, Float32Array.of(0, f === 'relu' ? 1 : 0), f);
    model.runtime.dispose();
  }
});

test('max pooling: of equal steps the first takes the gradient, and NaN stays', () => {
  const model = new Model(runtime('simd'), 1, () => null);
  let gradient: Gradient | undefined;
  let y: Float32Array | undefined;
  model.valueAndGrad((tape) => {
    const x = anyInput(tape, [1, 1, 2, 7, 2, Number.NaN, 2, 5], { T: 4, B: 1, F: 2 }, { gradient: true });
    gradient = gradientOf(tape, x);
    const pool = maxPool(tape, x);
    y = read(tape, pool);
    return project(tape, { pool }, { pool: [1, 1] });
  });
  is(y?.[0], 2);
  ok(Number.isNaN(y?.[1]));
  equal(gradient?.values, Float32Array.of(0, 0, 1, 0, 0, 1, 0, 0));
  model.runtime.dispose();
});

test('slice is a view: values, lengths and gradients are those of its rows', () => {
  const model = new Model(runtime('simd'), 1, () => null);
  model.valueAndGrad((tape) => {
    const x = input(tape, [1, 2, 3, 4, 5, 6, 7, 8], { T: 4, B: 2, F: 1, lengths: [1, 3] }, { gradient: true });
    const part = slice(tape, x, 1, 4);
    equal(read(tape, part), Float32Array.of(0, 4, 0, 6, 0, 0));
    equal(part.lengths?.values, Int32Array.of(0, 2));
    equal([part.T, part.B, part.F], [3, 2, 1]);
    is(part.grad - x.grad, part.at - x.at);
    return { value: 0, addGradient: () => {} };
  });
  model.runtime.dispose();
});

/** Rows with NaN after the ends, on guarded memory. */
function onRows<T>(build: string, values: ArrayLike<number>, shape: Shape, work: (tape: Tape, x: Rows) => T): T {
  const { runtime: r, check } = guarded(build);
  const model = new Model(r, 1, () => null);
  const { lengths } = shape;
  const result = model.forward((tape) => {
    const { T, B, F } = shape;
    const x = anyInput(tape, values, { T, B, F, lengths });
    poison(tape, x);
    return work(tape, x);
  });
  check();
  r.dispose();
  return result;
}

/** ln softmax in double precision, row by row. */
function logSoftmax(x: ArrayLike<number>, V: number): Float64Array {
  return Float64Array.from({ length: x.length }, (_, i) => {
    const row = Array.from({ length: V }, (_, j) => x[i - (i % V) + j]);
    const high = Math.max(...row);
    return x[i] - high - Math.log(row.reduce((n, v) => n + Math.exp(v - high), 0));
  });
}

for (const build of builds) {
  for (const [T, B, V, scale] of [
    [1, 1, 1, 1],
    [2, 3, 2, 1],
    [3, 2, 5, 30],
    [2, 2, 16, 4],
    [4, 3, 67, 1e3],
    [1, 2, 1000, 8],
  ]) {
    const lengths = T > 2 ? Array.from({ length: B }, (_, b) => T - b) : undefined;
    const shape: Shape = { T, B, F: V, scale, ...(lengths ? { lengths } : {}) };
    test(`${build}: softmaxRows, argmaxRows, topKRows ${named(shape)}`, () => {
      // few different values, so that many are equal
      const values = uniform(random(V), T * B * V, 8).map((v) => (Math.round(v) / 8) * scale);
      const logs = logSoftmax(values, V);
      const live = (r: number) => !lengths || Math.floor(r / B) < lengths[r % B];
      const order = (r: number) =>
        Array.from({ length: V }, (_, j) => j).sort((a, b) => values[r * V + b] - values[r * V + a] || a - b);
      const rows = Array.from({ length: T * B }, (_, r) => r);
      for (const k of new Set([1, Math.min(3, V), Math.min(17, V), V])) {
        onRows(build, values, shape, (tape, x) => {
          close(
            softmaxRows(tape, x),
            logs.map((v, i) => (live(Math.floor(i / V)) ? Math.exp(v) : 0)),
            1e-6,
            'softmaxRows',
          );
          equal(
            Array.from(argmaxRows(tape, x)),
            rows.map((r) => (live(r) ? order(r)[0] : -1)),
          );
          const { classes, logProbabilities } = topKRows(tape, x, k);
          const best = rows.map((r) => (live(r) ? order(r).slice(0, k) : new Array(k).fill(-1)));
          equal(Array.from(classes), best.flat());
          const want = best.flatMap((js, r) => js.map((j) => (j < 0 ? 0 : logs[r * V + j])));
          close(logProbabilities, want, 1e-6, 'topKRows');
        });
      }
    });
  }
  test(`${build}: argmaxRows of negative numbers, of infinities, and of NaN`, () => {
    const minus = -Infinity;
    const values = [-5, -3, -4, minus, minus, minus, Number.NaN, 2, Number.NaN, Number.NaN, Number.NaN, Number.NaN];
    const classes = onRows(build, values, { T: 4, B: 1, F: 3 }, (tape, x) => argmaxRows(tape, x));
    equal(classes, Int32Array.of(1, 0, 1, 0));
  });
}

for (const build of builds) {
  test(`${build}: sampleBits draws each bit with its probability, repeats with the seed, and at 0 takes the likelier`, () => {
    const [B, F] = [4000, 5];
    const logits = [-1000, -1.5, 0, 2, 1000];
    const values = Float32Array.from({ length: B * F }, (_, i) => logits[i % F]);
    const draw = (temperature?: number, seed = 1) => {
      const r = runtime(build);
      const model = new Model(r, seed, () => null);
      const bits = model.forward((tape) =>
        sampleBits(tape, model.random, input(tape, values, { T: 1, B, F }), temperature),
      );
      is(model.random.next.sample, B * F);
      r.dispose();
      return bits;
    };
    const shares = (bits: Float32Array) =>
      logits.map((_, f) => bits.filter((v, i) => i % F === f && v === 1).length / B);
    for (const temperature of [1, 2]) {
      shares(draw(temperature)).forEach((share, f) => {
        const p = 1 / (1 + Math.exp(-logits[f] / temperature));
        // four standard deviations
        ok(Math.abs(share - p) <= 4 * Math.sqrt((p * (1 - p)) / B), `${share}, expected ${p}`);
      });
    }
    equal(shares(draw(0)), [0, 0, 0, 1, 1]);
    equal(draw(), draw(1));
    ok(draw().some((v, i) => v !== draw(1, 2)[i]));
  });
}

test('refuses rows that do not fit', () => {
  onRows('simd', [1, 2, 3, 4], { T: 2, B: 1, F: 2 }, (tape, x) => {
    const more = (T: number, B: number, F: number, lengths?: number[]) =>
      input(tape, new Float32Array(T * B * F), { T, B, F, lengths });
    throws(() => activation(tape, x, 'selu' as never), /^activation: expected 'tanh' or 'sigmoid'.*got 'selu'/);
    throws(() => add(tape, x, more(2, 1, 3)), 'b: expected 2 features, got 3');
    throws(() => add(tape, x, more(3, 1, 2)), 'b: expected T=2 steps of B=1 sequences, got T=3, B=1');
    throws(() => concat(tape, []), 'parts: expected a list of rows, got Array of length 0');
    throws(() => concat(tape, [x, more(2, 2, 2)]), 'parts[1]: expected T=2 steps of B=1 sequences, got T=2, B=2');
    throws(
      () => concat(tape, [x, more(2, 1, 2, [1]), more(2, 1, 2, [2])]),
      'parts[2]: expected sequences of the same lengths as those of parts[1]',
    );
    throws(
      () => add(tape, more(2, 1, 2, [1]), more(2, 1, 2, [2])),
      'b: expected sequences of the same lengths as those of a',
    );
    throws(() => select(tape, x, []), /^columns.length: expected a positive whole number, got 0/);
    throws(() => select(tape, x, [1, 2]), 'columns[1]: expected a whole number from 0 to 1, got 2');
    throws(
      () => sampleBits(tape, { use: () => {} } as never, x, -1),
      /^temperature: expected a finite number of at least 0/,
    );
    throws(() => expand(tape, x, { T: 2 }), 'x: expected one step, got 2');
    throws(() => expand(tape, more(1, 1, 2), { T: 0 }), 'T: expected a positive whole number, got 0');
    throws(
      () => expand(tape, more(1, 1, 2), { T: 2, lengths: [3] }),
      'lengths[0]: expected a whole number from 1 to 2, got 3',
    );
    throws(() => slice(tape, x, 2, 3), 'from: expected a whole number from 0 to 1, got 2');
    throws(() => slice(tape, x, 1, 1), 'to: expected a whole number from 2 to 2, got 1');
    throws(() => topKRows(tape, x, 3), 'k: expected a whole number from 1 to 2, got 3');
    ok(topKRows(tape, x, 2));
  });
});

test.run();
