/**
 * Losses against their references: every kind, option and reduction, sequences of different lengths with NaN after their ends, and
 * numbers so large that sigmoid and softmax saturate.
 */
import {
  bceWithLogitsLoss,
  crossEntropyLoss,
  type ElementLoss,
  type Gradient,
  gradientOf,
  huberLoss,
  input,
  type Loss,
  l1Loss,
  Model,
  mseLoss,
  quantileLoss,
  type Reduction,
  type Rows,
  smoothL1Loss,
  type Tape,
} from 'gatewise';
import { test } from 'uvu';
import { equal, is, not, ok, throws } from 'uvu/assert';
import { crossEntropy as crossEntropyOf, type Kind, type LossSettings, losses } from './reference/losses.js';
import { builds, guarded, runtime } from './support/builds.js';
import { draw, poison } from './support/layer-operation.js';
import { close, random, uniform } from './support/numbers.js';
import { checkKernel, checkReference, type Numbers, type Operation } from './support/operation.js';

interface Shape {
  T: number;
  B: number;
  F: number;
  lengths?: readonly number[];
  scale?: number;
}

const named = ({ T, B, F, lengths, scale }: Shape) =>
  `T=${T} B=${B} F=${F}${scale ? ` ±${scale}` : ''}${lengths ? ` lengths=${lengths}` : ''}`;
const rowsOf = ({ T, B, lengths }: Shape) =>
  Array.from({ length: T * B }, (_, r) => r).filter((r) => !lengths || Math.floor(r / B) < lengths[r % B]);

/** One loss on guarded memory: its value, the values of its elements, and the gradient of its input. */
function evaluate(
  build: string,
  shape: Shape,
  x: Float32Array,
  of: (tape: Tape, rows: Rows) => Loss | ElementLoss,
): { value: number; values: Float32Array | undefined; gradient: Float32Array } {
  const { runtime: r, check } = guarded(build);
  const model = new Model(r, 0, () => null);
  let gradient: Gradient | undefined;
  let values: Float32Array | undefined;
  const value = model.valueAndGrad((tape) => {
    const { scale: _, ...own } = shape as Shape & { scale?: number };
    const rows = input(tape, x, own, { gradient: true });
    poison(tape, rows);
    gradient = gradientOf(tape, rows);
    const loss = of(tape, rows);
    if ('values' in loss) values = loss.values;
    return loss;
  });
  check();
  r.dispose();
  return { value, values, gradient: gradient?.values ?? new Float32Array() };
}

type Call = (
  tape: Tape,
  x: Rows,
  y: ArrayLike<number>,
  options: { reduction: Reduction; upstream?: ArrayLike<number> },
) => Loss;

/** The public functions, with their settings. */
function callOf(kind: Kind, settings: LossSettings): Call {
  const functions = {
    mse: mseLoss,
    l1: l1Loss,
    huber: huberLoss,
    smoothL1: smoothL1Loss,
    quantile: quantileLoss,
    bceWithLogits: bceWithLogitsLoss,
  };
  const f = functions[kind] as (tape: Tape, x: Rows, y: ArrayLike<number>, options: object) => Loss;
  return (tape, x, y, options) => f(tape, x, y, { ...settings, ...options });
}

/** The operation of a loss: its reference gives the values of all elements that count, [n,C] of the rows [T·B]. */
function operation(
  title: string,
  shape: Shape,
  C: number,
  reduction: Reduction,
  x: Float32Array,
  upstream: Float32Array,
  divisor: number,
  reference: (...args: Parameters<Operation['reference']>) => ReturnType<Operation['reference']>[string],
  call: (tape: Tape, rows: Rows, options: { reduction: Reduction; upstream?: ArrayLike<number> }) => Loss,
): Operation {
  const { T, B, F } = shape;
  const none = reduction === 'none';
  const live = rowsOf(shape);
  const behind = upstream.map((u, i) => (live.includes(Math.floor(i / C)) ? u : Number.NaN));
  return {
    title: `${title} ${reduction} ${named(shape)}`,
    inputs: { x },
    shapes: { x: [T * B, F] },
    upstream: (none ? { values: upstream, value: new Float32Array(1) } : { value: Float32Array.of(1) }) as Numbers,
    reference: (g, m) => {
      const own = reference(g, { x: g.gather(m.x, live) });
      if (!none) return { value: g.scale(g.sum(own), 1 / divisor) };
      const at = new Map(live.map((r, i) => [r, i]));
      const values = g.pick(own, T * B, C, (r, c) => (at.has(r) ? (at.get(r) as number) * C + c : -1));
      // its gradient is already that of the values
      return { values, value: g.sum(g.mul(values, g.matrix(T * B, C, upstream))) };
    },
    kernel: (build) => {
      const result = evaluate(build, shape, x, (tape, rows) =>
        call(tape, rows, { reduction, ...(none ? { upstream: behind } : {}) }),
      );
      const outputs = { value: [result.value], ...(none ? { values: result.values as Float32Array } : {}) };
      return { outputs, gradients: { x: result.gradient } };
    },
  };
}

function elementwise(seed: number, kind: Kind, settings: LossSettings, shape: Shape, reduction: Reduction): Operation {
  const next = random(seed);
  const { T, B, F } = shape;
  const Q = Array.isArray(settings.quantile) ? settings.quantile.length : 1;
  const x = draw(next, shape);
  const label = kind === 'bceWithLogits';
  const y = draw(next, { ...shape, F: F / Q }).map((v) => (label ? Math.abs(v / (shape.scale ?? 1)) : v));
  const upstream = uniform(next, T * B * F).map((u) => u + 1.5);
  const live = rowsOf(shape);
  const shown = Object.entries(settings).map(([name, v]) => ` ${name}=${typeof v === 'number' ? v : Array.from(v)}`);
  return operation(
    `${kind}${shown.join('')}`,
    shape,
    F,
    reduction,
    x,
    upstream,
    reduction === 'mean' ? live.length * F : 1,
    (g, m) => losses(g, kind, m.x, g.gather(g.matrix(T * B, F / Q, y), live), settings),
    (tape, rows, options) => callOf(kind, settings)(tape, rows, y, options),
  );
}

interface Classes {
  weights?: Float32Array;
  labelSmoothing?: number;
}

/** Some targets are negative, and do not count. */
function softmax(seed: number, shape: Shape, settings: Classes, reduction: Reduction): Operation {
  const next = random(seed);
  const { T, B, F: V } = shape;
  const x = draw(next, shape);
  const all = Array.from({ length: T * B }, () => (next() < 0.2 ? -1 : Math.floor(next() * V)));
  all[rowsOf(shape)[0]] = V - 1;
  const live = rowsOf(shape);
  // past the end there may be anything
  const targets = all.map((y, r) => (live.includes(r) ? y : Number.NaN));
  const counted = live.filter((r) => targets[r] >= 0);
  const upstream = uniform(next, T * B).map((u) => u + 1.5);
  const mean = counted.reduce((n, r) => n + (settings.weights?.[targets[r]] ?? 1), 0);
  const { weights, labelSmoothing } = settings;
  return operation(
    `cross-entropy${weights ? ' weights' : ''}${labelSmoothing ? ` labelSmoothing=${labelSmoothing}` : ''}`,
    shape,
    1,
    reduction,
    x,
    upstream,
    reduction === 'mean' ? mean : 1,
    (g, m) => {
      const places = counted.map((r) => live.indexOf(r));
      const classes = counted.map((r) => targets[r]);
      const { rows } = crossEntropyOf(g, g.gather(m.x, places), classes, settings);
      return g.pick(rows, live.length, 1, (i) => places.indexOf(i));
    },
    (tape, rows, options) => crossEntropyLoss(tape, rows, targets, { ...settings, ...options }),
  );
}

const shapes: Shape[] = [
  { T: 1, B: 1, F: 1 },
  { T: 2, B: 3, F: 4 },
  { T: 3, B: 2, F: 17 },
  { T: 9, B: 4, F: 16, lengths: [3, 9, 1, 6] },
  { T: 5, B: 4, F: 6, lengths: [2, 5, 1, 4] },
  { T: 4, B: 3, F: 7, scale: 30 },
  { T: 4, B: 3, F: 7, scale: 1e3 },
];
const reductions: Reduction[] = ['mean', 'sum', 'none'];
const kinds: [Kind, LossSettings][] = [
  ['mse', {}],
  ['l1', {}],
  ['huber', {}],
  ['huber', { delta: 0.3 }],
  ['smoothL1', { beta: 0.3 }],
  ['smoothL1', { beta: 0 }],
  ['quantile', { quantile: 0.9 }],
  ['bceWithLogits', {}],
];
const classes: [string, (V: number, next: () => number) => Classes][] = [
  ['plain', () => ({})],
  ['smoothing', () => ({ labelSmoothing: 0.1 })],
  ['weights', (V, next) => ({ weights: uniform(next, V).map((w) => w + 1.5) })],
  ['both', (V, next) => ({ weights: uniform(next, V).map((w) => w + 1.5), labelSmoothing: 0.3 })],
];

const operations = [
  ...kinds.flatMap(([kind, settings], k) =>
    shapes.map((shape, i) => elementwise(2000 + 20 * k + i, kind, settings, shape, reductions[(k + i) % 3])),
  ),
  ...reductions.flatMap((reduction, i) => [
    elementwise(2300 + i, 'quantile', { quantile: [0.1, 0.5, 0.9] }, shapes[4], reduction),
    elementwise(
      2310 + i,
      'bceWithLogits',
      { posWeight: uniform(random(i), 6).map((w) => w + 2) },
      shapes[4],
      reduction,
    ),
    elementwise(2320 + i, 'huber', { delta: 0.5 }, shapes[4], reduction),
    elementwise(2330 + i, 'mse', {}, shapes[4], reduction),
  ]),
  ...classes.flatMap(([, settings], k) =>
    [...shapes, { T: 2, B: 2, F: 130, scale: 3 }].map((shape, i) =>
      softmax(2400 + 20 * k + i, shape, settings(shape.F, random(k)), reductions[(k + i) % 3]),
    ),
  ),
  ...reductions.map((reduction, i) => softmax(2500 + i, shapes[4], { labelSmoothing: 0.2 }, reduction)),
];

for (const op of operations) {
  // differences of what is far larger than its slope say nothing
  if (!op.title.includes('±')) {
    test(`reference: ${op.title}, gradient equals central differences to 1e-7`, () => checkReference(op));
  }
  for (const build of builds) test(`${build}: ${op.title}`, () => checkKernel(op, build));
}

const x = Float32Array.of(2, -1, 0.5, 30, -30, 0);
const y = [0, -1, 1, 0, 1, 1];
const six: Shape = { T: 1, B: 2, F: 3 };

test('bceWithLogits keeps what is left of a label that is met: 1e-13, not 0', () => {
  const { values } = evaluate('simd', { T: 1, B: 1, F: 4 }, Float32Array.of(30, -30, 80, -1000), (tape, rows) =>
    bceWithLogitsLoss(tape, rows, [1, 0, 1, 0], { reduction: 'none' }),
  );
  close(values?.subarray(0, 3) as Float32Array, [-30, -30, -80].map(Math.exp), 1e-6, 'loss');
  is(values?.[3], 0);
});

test('slopes at their kinks: absolute and pinball 0, huber the same from both sides', () => {
  const at = (of: (tape: Tape, rows: Rows) => Loss) =>
    evaluate('simd', { T: 1, B: 1, F: 3 }, Float32Array.of(1, -1, 0), of).gradient;
  equal(
    at((tape, rows) => l1Loss(tape, rows, [1, -1, 0], { reduction: 'sum' })),
    new Float32Array(3),
  );
  equal(
    at((tape, rows) => quantileLoss(tape, rows, [1, -1, 0], { quantile: 0.8, reduction: 'sum' })),
    new Float32Array(3),
  );
  equal(
    at((tape, rows) => huberLoss(tape, rows, [0, 0, 0], { reduction: 'sum' })),
    Float32Array.of(1, -1, 0),
  );
});

test('each option changes the loss', () => {
  const value = (of: (tape: Tape, rows: Rows) => Loss) => evaluate('simd', six, x, of).value;
  const different = (...ofs: ((tape: Tape, rows: Rows) => Loss)[]) => {
    const seen = ofs.map(value);
    is(new Set(seen).size, ofs.length, seen.join());
  };
  different(...reductions.slice(0, 2).map((reduction) => (t: Tape, r: Rows) => mseLoss(t, r, y, { reduction })));
  different(...[0.5, 1, 2].map((delta) => (t: Tape, r: Rows) => huberLoss(t, r, y, { delta })));
  different(...[0, 0.5, 1].map((beta) => (t: Tape, r: Rows) => smoothL1Loss(t, r, y, { beta })));
  different(...[0.1, 0.9].map((q) => (t: Tape, r: Rows) => quantileLoss(t, r, y, { quantile: q })));
  different(...[1, 3].map((w) => (t: Tape, r: Rows) => bceWithLogitsLoss(t, r, y, { posWeight: [w, 1, w] })));
  different(
    ...[0, 0.2].map((labelSmoothing) => (t: Tape, r: Rows) => crossEntropyLoss(t, r, [0, 2], { labelSmoothing })),
  );
  different(...[1, 3].map((w) => (t: Tape, r: Rows) => crossEntropyLoss(t, r, [0, 2], { weights: [w, 1, 1] })));
  different(
    (t, r) => mseLoss(t, r, y, { reduction: 'none' }),
    (t, r) => mseLoss(t, r, y, { reduction: 'none', upstream: [1, 2, 3, 4, 5, 6] }),
  );
});

test('smoothL1 with beta 0 is l1, and huber with delta 1 is smoothL1', () => {
  const run = (of: (tape: Tape, rows: Rows) => Loss) => evaluate('simd', six, x, of);
  equal(
    run((t, r) => smoothL1Loss(t, r, y, { beta: 0 })),
    run((t, r) => l1Loss(t, r, y)),
  );
  equal(
    run((t, r) => smoothL1Loss(t, r, y)),
    run((t, r) => huberLoss(t, r, y)),
  );
});

test('losses add up, each with its weight, and rows without a gradient have none', () => {
  const model = new Model(runtime('simd'), 0, () => null);
  let gradient: Gradient | undefined;
  const value = model.valueAndGrad((tape) => {
    const rows = input(tape, [1, 2], { T: 2, B: 1, F: 1 }, { gradient: true });
    gradient = gradientOf(tape, rows);
    const still = input(tape, [1, 2], { T: 2, B: 1, F: 1 });
    return [
      { loss: mseLoss(tape, rows, [0, 0]), weight: 2 },
      { loss: l1Loss(tape, rows, [0, 0], { reduction: 'sum' }), weight: 10 },
      { loss: mseLoss(tape, still, [0, 0]), weight: 1 },
      { loss: crossEntropyLoss(tape, still, [0, 0]), weight: 1 },
    ];
  });
  is(value, 5 + 30 + 2.5);
  equal(gradient?.values, Float32Array.of(2 + 10, 4 + 10));
  model.runtime.dispose();
});

test('refuses what does not fit', () => {
  const model = new Model(runtime('simd'), 0, () => null);
  model.forward((tape) => {
    const rows = input(tape, x, six);
    const refuse = (work: () => unknown, message: string) =>
      throws(work, (e: Error) => e.message.startsWith(message) || is(e.message, message));
    refuse(() => mseLoss(tape, rows, [1]), 'targets: expected [T=1, B=2, F=3] = 6 numbers, got 1');
    refuse(
      () => l1Loss(tape, rows, y, { reduction: 'all' as never }),
      "reduction: expected 'mean' or 'sum' or 'none', got 'all'",
    );
    refuse(() => mseLoss(tape, rows, y, { delta: 1 } as never), "mseLoss: unknown option 'delta'");
    refuse(() => huberLoss(tape, rows, y, { delta: 0 }), 'delta: expected a finite number above 0, got 0');
    refuse(() => smoothL1Loss(tape, rows, y, { beta: -1 }), 'beta: expected a finite number of at least 0, got -1');
    refuse(() => quantileLoss(tape, rows, y, { quantile: 1 }), 'quantile: expected a number between 0 and 1, got 1');
    refuse(
      () => quantileLoss(tape, rows, y, { quantile: [0.5, 0] }),
      'quantile[1]: expected a finite number above 0 and at most 1, got 0',
    );
    refuse(() => quantileLoss(tape, rows, y, { quantile: [] }), 'quantile: expected at least one');
    refuse(
      () => quantileLoss(tape, rows, y, { quantile: [0.2, 0.8] }),
      'prediction: expected a multiple of 2 features, one per quantile, got 3',
    );
    refuse(
      () => quantileLoss(tape, rows, y, { quantile: [0.2, 0.5, 0.8] }),
      'targets: expected [T=1, B=2, F=1] = 2 numbers, got 6',
    );
    refuse(() => bceWithLogitsLoss(tape, rows, y, { posWeight: [1] }), 'posWeight: expected [3] = 3 numbers, got 1');
    refuse(
      () => bceWithLogitsLoss(tape, rows, y, { posWeight: [1, -1, 1] }),
      'posWeight[1]: expected a finite number of at least 0, got -1',
    );
    refuse(
      () => mseLoss(tape, rows, y, { upstream: y }),
      "upstream and reduction: 'mean' cannot be combined: the loss is one number",
    );
    refuse(
      () => mseLoss(tape, rows, y, { reduction: 'none', upstream: [1] }),
      'upstream: expected [T=1, B=2, F=3] = 6 numbers, got 1',
    );
    refuse(
      () => crossEntropyLoss(tape, rows, [0, 1], { reduction: 'none', upstream: [1] }),
      'upstream: expected [T=1, B=2] = 2 numbers, got 1',
    );
    refuse(() => crossEntropyLoss(tape, rows, [0]), 'targets: expected [T=1, B=2] = 2 numbers, got 1');
    refuse(
      () => crossEntropyLoss(tape, rows, [0, 3]),
      'targets[1]: expected a class from 0 to 2, or a negative number, got 3',
    );
    refuse(() => crossEntropyLoss(tape, rows, [-1, -1]), 'targets: expected at least one that counts');
    refuse(
      () => crossEntropyLoss(tape, rows, [1, 1], { ignoreIndex: 1 }),
      'targets: expected at least one that counts',
    );
    refuse(
      () => crossEntropyLoss(tape, rows, [1, 0], { ignoreIndex: 0.5 }),
      'ignoreIndex: expected a whole number of at least -2147483648, got 0.5',
    );
    refuse(() => crossEntropyLoss(tape, rows, [0, 1], { weights: [1] }), 'weights: expected [3] = 3 numbers, got 1');
    refuse(
      () => crossEntropyLoss(tape, rows, [0, 1], { labelSmoothing: 2 }),
      'labelSmoothing: expected a finite number of at least 0 and at most 1, got 2',
    );
    is(crossEntropyLoss(tape, rows, [-1, -1], { reduction: 'sum' }).value, 0);
    not.throws(() => ok(mseLoss(tape, rows, y, { reduction: 'none' }).values));
  });
  model.runtime.dispose();
});

test.run();
