/**
 * Attention and attention pooling against their references: every score, with and without output, scaled, queries and keys of
 * different lengths with NaN after their ends.
 */
import {
  Attention,
  type AttentionOptions,
  AttentionPool,
  type Builder,
  input,
  Model,
  type Rows,
  read,
  slice,
} from 'gatewise';
import { test } from 'uvu';
import { equal, is, ok, throws } from 'uvu/assert';
import { attentionLayer } from './reference/attention.js';
import { attentionPool } from './reference/pool.js';
import { builds, runtime } from './support/builds.js';
import { layerOperation } from './support/layer-operation.js';
import { random, uniform } from './support/numbers.js';
import { checkKernel, checkReference, type Operation } from './support/operation.js';

interface Shape {
  score: 'dot' | 'general' | 'additive';
  Tq: number;
  Tk: number;
  B: number;
  Fq: number;
  Fk?: number;
  /** Values of their own, and their width. */
  Fv?: number;
  A?: number;
  queries?: readonly number[];
  keys?: readonly number[];
  scaled?: boolean;
  output?: number;
  /** Of queries and keys. */
  scale?: number;
}

function optionsOf({ score, Fq, Fk = Fq, Fv, A = 5, scaled, output }: Shape): AttentionOptions {
  const own = score === 'additive' ? { attentionSize: A } : {};
  return { score, querySize: Fq, keySize: Fk, ...(Fv ? { valueSize: Fv } : {}), ...own, scaled, output };
}

/** The parameters that a layer has, and their shapes. */
function parametersOf({
  score,
  Fq,
  Fk = Fq,
  Fv = Fk,
  A = 5,
  output,
}: Shape): Record<string, readonly [number, number]> {
  return {
    ...(score === 'general' ? { Wa: [Fq, Fk] as const } : {}),
    ...(score === 'additive' ? ({ Wq: [A, Fq], Wk: [A, Fk], b: [1, A], v: [1, A] } as const) : {}),
    ...(output ? { Wc: [output, Fv + Fq] as const } : {}),
  };
}

function attention(seed: number, shape: Shape): Operation {
  const { score, Tq, Tk, B, Fq, Fk = Fq, Fv, queries, keys, scaled = false, output, scale } = shape;
  const parameters = parametersOf(shape);
  return layerOperation(seed, {
    title: `${Object.entries(shape)
      .map(([name, v]) => (name === 'score' ? v : `${name}=${v}`))
      .join(' ')}`,
    rows: {
      query: { T: Tq, B, F: Fq, lengths: queries, scale },
      keys: { T: Tk, B, F: Fk, lengths: keys, scale },
      ...(Fv ? { values: { T: Tk, B, F: Fv } } : {}),
    },
    parameters: Object.fromEntries(Object.entries(parameters).map(([name, s]) => [`a.${name}`, s])),
    outputs: {
      context: [Tq * B, Fv ?? Fk],
      weights: [Tq * B, Tk],
      ...(output ? { output: [Tq * B, output] as const } : {}),
    },
    layers: (b) => new Attention(b, 'a', optionsOf(shape)),
    forward: (tape, rows, layer) => {
      const result = layer.forward(tape, rows.query, rows.keys, rows.values);
      return {
        context: result.context,
        weights: result.weights,
        ...(result.output ? { output: result.output } : {}),
      };
    },
    reference: (g, m) =>
      attentionLayer(
        g,
        { query: m.query, keys: m.keys, values: m.values ?? m.keys },
        {
          score,
          scaled,
          weights: Object.fromEntries(Object.keys(parameters).map((name) => [name, m[`a.${name}`]])),
        },
        { B, query: { T: Tq, B, lengths: queries }, keys: { T: Tk, B, lengths: keys } },
      ) as Record<string, (typeof m)[string]>,
  });
}

function pool(seed: number, T: number, B: number, F: number, A: number, lengths?: readonly number[]): Operation {
  return layerOperation(seed, {
    title: `attention pool T=${T} B=${B} F=${F} A=${A}${lengths ? ` lengths=${lengths}` : ''}`,
    rows: { x: { T, B, F, lengths } },
    parameters: { 'p.proj.weight': [A, F], 'p.proj.bias': [1, A], 'p.v': [1, A] },
    outputs: { y: [B, F], weights: [B, T] },
    layers: (b) => new AttentionPool(b, 'p', { inputSize: F, attentionSize: A }),
    forward: (tape, { x }, layer) => {
      const { output, weights } = layer.forward(tape, x);
      return { y: output, weights };
    },
    reference: (g, m) => {
      const w = { W: m['p.proj.weight'], b: m['p.proj.bias'], v: m['p.v'] };
      const { context, weights } = attentionPool(g, m.x, w, { T, B, lengths });
      return { y: context, weights };
    },
  });
}

const scores = ['dot', 'general', 'additive'] as const;
const ragged = { Tq: 5, Tk: 6, B: 4, queries: [5, 2, 1, 4], keys: [3, 6, 1, 5] };
const operations: Operation[] = scores.flatMap((score, i) => {
  const other = score === 'dot' ? {} : { Fk: 9 };
  return (
    [
      { Tq: 1, Tk: 1, B: 1, Fq: 1 },
      { Tq: 1, Tk: 5, B: 3, Fq: 4, ...other },
      { Tq: 4, Tk: 3, B: 2, Fq: 5, ...other },
      { Tq: 3, Tk: 16, B: 2, Fq: 16, A: 16 },
      { Tq: 2, Tk: 17, B: 1, Fq: 17, A: 17 },
      { Tq: 33, Tk: 65, B: 2, Fq: 3, A: 4 },
      { Tq: 2, Tk: 300, B: 1, Fq: 6 },
      { Tq: 300, Tk: 4, B: 1, Fq: 6 },
      { ...ragged, Fq: 7, ...other },
      { ...ragged, Fq: 6, ...other, Fv: 18, output: 3 },
      { Tq: 3, Tk: 4, B: 2, Fq: 5, ...other, output: 17 },
      { Tq: 5, Tk: 9, B: 3, Fq: 6, scale: score === 'additive' ? 30 : 4 },
      { Tq: 3, Tk: 7, B: 2, Fq: 5, scale: 1e3 },
      ...(score === 'additive' ? [] : [{ ...ragged, Fq: 9, scaled: true }]),
    ] as Omit<Shape, 'score'>[]
  ).map((shape, j) => attention(3000 + 20 * i + j, { score, ...shape }));
});
operations.push(
  pool(3100, 1, 1, 1, 1),
  pool(3101, 5, 3, 4, 6),
  pool(3102, 17, 2, 33, 16),
  pool(3103, 6, 4, 7, 5, [3, 6, 1, 5]),
);

for (const op of operations) {
  // where the softmax saturates, slopes are far smaller than what differences can tell
  if (!op.title.includes('scale=')) {
    test(`reference: ${op.title}, gradient equals central differences to 1e-7`, () => checkReference(op, 6));
  }
  for (const build of builds) test(`${build}: ${op.title}`, () => checkKernel(op, build));
}
/** A model of one layer on the default build, given back afterwards. */
function withLayer<L, T>(layers: (b: Builder) => L, work: (model: Model<L>) => T): T {
  const model = new Model(runtime('simd'), 1, layers);
  try {
    return work(model);
  } finally {
    model.dispose();
    model.runtime.dispose();
  }
}

for (const score of scores) {
  test(`${score}: asked step by step of prepared keys, the same bits as all steps at once`, () => {
    withLayer(
      (b) => new Attention(b, 'a', { ...optionsOf({ score, Tq: 0, Tk: 0, B: 0, Fq: 6 }), output: 3 }),
      (model) => {
        const [T, Tk, B, F] = [4, 5, 3, 6];
        const next = random(9);
        const [q, k] = [uniform(next, T * B * F), uniform(next, Tk * B * F)];
        const lengths = [5, 2, 3];
        model.forward((tape, a) => {
          const query = input(tape, q, { T, B, F });
          const keys = input(tape, k, { T: Tk, B, F, lengths });
          const all = a.forward(tape, query, keys);
          const memory = a.prepare(tape, keys);
          const steps = Array.from({ length: T }, (_, t) => a.forward(tape, slice(tape, query, t, t + 1), memory));
          for (const name of ['context', 'weights', 'output'] as const) {
            const one = steps.flatMap((step) => Array.from(read(tape, step[name] as Rows)));
            equal(Array.from(read(tape, all[name] as Rows)), one, name);
          }
        });
      },
    );
  });
}

test('weights of each query add up to one, over the keys before the end only', () => {
  withLayer(
    (b) => ({
      a: new Attention(b, 'a', { score: 'dot', querySize: 3, keySize: 3 }),
      p: new AttentionPool(b, 'p', { inputSize: 3, attentionSize: 2 }),
    }),
    (model) =>
      model.forward((tape, { a, p }) => {
        const query = input(tape, uniform(random(1), 12), { T: 2, B: 2, F: 3, lengths: [2, 1] });
        const keys = input(tape, uniform(random(2), 24), { T: 4, B: 2, F: 3, lengths: [4, 2] });
        const w = read(tape, a.forward(tape, query, keys).weights);
        const sums = [0, 1, 2, 3].map((r) => w.subarray(4 * r, 4 * r + 4).reduce((x, y) => x + y, 0));
        for (const [r, sum] of sums.entries()) ok(Math.abs(sum - (r === 3 ? 0 : 1)) < 1e-6, sums.join());
        equal(w.subarray(6, 8), new Float32Array(2));
        const { weights } = p.forward(tape, keys);
        equal([weights.T, weights.B, weights.F], [1, 2, 4]);
        equal(read(tape, weights).subarray(6), new Float32Array(2));
      }),
  );
});

test('a sequence of keys without steps gives zeros', () => {
  withLayer(
    (b) => new Attention(b, 'a', { score: 'dot', querySize: 1, keySize: 1 }),
    (model) =>
      model.forward((tape, a) => {
        const query = input(tape, [1, 1], { T: 1, B: 2, F: 1 });
        const keys = input(tape, [1, 2, 3, 4], { T: 2, B: 2, F: 1, lengths: [1, 2] });
        const { context, weights } = a.forward(tape, query, slice(tape, keys, 1, 2));
        equal(read(tape, context), Float32Array.of(0, 4));
        equal(read(tape, weights), Float32Array.of(0, 1));
      }),
  );
});

test('each option changes the result', () => {
  const context = (options: Partial<AttentionOptions>, name: 'context' | 'output' = 'context') =>
    withLayer(
      (b) =>
        new Attention(b, 'a', {
          score: 'dot',
          querySize: 2,
          keySize: 2,
          ...(options.score === 'additive' ? { attentionSize: 4 } : {}),
          ...options,
        }),
      (model) =>
        model.forward((tape, a) => {
          const query = input(tape, [1, -2], { T: 1, B: 1, F: 2 });
          const keys = input(tape, [1, 2, 3, -4], { T: 2, B: 1, F: 2 });
          const values = input(tape, [1, 2, 3, 4, 5, 6], { T: 2, B: 1, F: 3 });
          return read(tape, a.forward(tape, query, keys, values)[name] as Rows).join();
        }),
    );
  const seen = [
    context({}),
    context({ scaled: true }),
    context({ score: 'general' }),
    context({ score: 'general', scaled: true }),
    context({ score: 'additive' }),
    context({ score: 'additive', attentionSize: 9 }),
    context({ output: 3, valueSize: 3 }, 'output'),
  ];
  is(new Set(seen).size, seen.length, seen.join(' '));
});

const dot = { score: 'dot', querySize: 3, keySize: 3 } as const;
const refused: [Record<string, unknown>, string][] = [
  [
    { ...dot, score: 'cosine' },
    "score: expected 'dot' or 'general' or 'additive', got 'cosine'; expected dot, general and additive",
  ],
  [{ ...dot, querySize: 0 }, 'querySize: expected a positive whole number, got 0'],
  [{ ...dot, keySize: 4 }, "keySize: expected 3 features as in querySize, since score is 'dot', got 4"],
  [{ ...dot, valueSize: 1.5 }, 'valueSize: expected a positive whole number, got 1.5'],
  [{ ...dot, attentionSize: 4 }, "attentionSize and score: 'dot' cannot be combined: no array has that size"],
  [{ ...dot, score: 'additive' }, 'attentionSize: expected a positive whole number, got undefined'],
  [
    { ...dot, score: 'additive', attentionSize: 2, scaled: true },
    "scaled and score: 'additive' cannot be combined: the score has no product to scale",
  ],
  [{ ...dot, scaled: 1 }, 'scaled: expected true or false, got 1'],
  [{ ...dot, output: -1 }, 'output: expected a positive whole number, got -1'],
  [{ ...dot, outputs: 1 }, "a: unknown option 'outputs'; did you mean 'output'?"],
];
for (const [options, message] of refused) {
  test(`refuses ${JSON.stringify(options)}`, () => {
    const r = runtime('simd');
    throws(
      () => new Model(r, 1, (b) => new Attention(b, 'a', options as never)),
      (error: Error) => is(error.message, message) ?? true,
    );
    r.dispose();
  });
}

test('refuses rows that do not fit', () => {
  withLayer(
    (b) => ({
      a: new Attention(b, 'a', { ...dot, output: 2 }),
      p: new AttentionPool(b, 'p', { inputSize: 3, attentionSize: 2 }),
    }),
    (model) =>
      model.forward((tape, { a, p }) => {
        const rows = (T: number, B: number, F: number) => input(tape, new Float32Array(T * B * F), { T, B, F });
        const refuse = (work: () => unknown, message: string) =>
          throws(work, (error: Error) => is(error.message, message) ?? true);
        refuse(() => a.forward(tape, rows(1, 1, 2), rows(1, 1, 3)), 'query: expected 3 features, got 2');
        refuse(() => a.forward(tape, rows(1, 1, 3), rows(1, 1, 2)), 'keys: expected 3 features, got 2');
        refuse(
          () => a.forward(tape, rows(1, 2, 3), rows(1, 1, 3)),
          'query: expected B=1 sequences as of the keys, got 2',
        );
        refuse(
          () => a.forward(tape, rows(1, 1, 3), rows(2, 1, 3), rows(1, 1, 3)),
          'values: expected T=2 steps of B=1 sequences as of the keys, got T=1, B=1',
        );
        refuse(
          () => a.forward(tape, rows(1, 1, 3), rows(1, 1, 3), rows(1, 1, 4)),
          'values: expected 3 features, got 4',
        );
        refuse(() => p.forward(tape, rows(1, 1, 2)), 'x: expected 3 features, got 2');
      }),
  );
  for (const options of [{ inputSize: 3 }, { inputSize: 0, attentionSize: 1 }]) {
    const r = runtime('simd');
    throws(
      () => new Model(r, 1, (b) => new AttentionPool(b, 'p', options as never)),
      'expected a positive whole number',
    );
    r.dispose();
  }
});

test.run();
