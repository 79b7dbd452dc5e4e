/**
 * Linear, Embedding and LayerNorm against their references: first the reference's gradient against central differences, then each
 * build's kernels against the reference, over shapes with ones, odd sizes, sizes around the vector and the tile, long sequences, and
 * sequences of different lengths with NaN after their ends. All memory is guarded and starts as NaN.
 */
import { activation, type Builder, Embedding, input, LayerNorm, Linear, Model, mseLoss, read } from 'gatewise';
import { test } from 'uvu';
import { equal, is, not, ok, throws } from 'uvu/assert';
import { layerNorm } from './reference/norm.js';
import { builds, runtime } from './support/builds.js';
import { layerOperation } from './support/layer-operation.js';
import { random, uniform } from './support/numbers.js';
import { checkKernel, checkReference, type Operation, run } from './support/operation.js';

function linear(seed: number, R: number, I: number, O: number, bias = true): Operation {
  const next = random(seed);
  const inputs = {
    x: uniform(next, R * I),
    'l.weight': uniform(next, O * I),
    ...(bias ? { 'l.bias': uniform(next, O) } : {}),
  };
  const upstream = { y: uniform(next, R * O) };
  const { x, ...parameters } = inputs;
  return {
    title: `linear R=${R} I=${I} O=${O}${bias ? '' : ' bias=false'}`,
    inputs,
    upstream,
    shapes: { x: [R, I], 'l.weight': [O, I], 'l.bias': [1, O] },
    reference: (g, m) => {
      const y = g.product(m.x, m['l.weight']);
      return { y: bias ? g.add(y, m['l.bias']) : y };
    },
    kernel: (build) =>
      run(
        build,
        (b) => new Linear(b, 'l', { inputSize: I, outputSize: O, bias }),
        parameters,
        upstream,
        (tape, layer) => {
          const rows = input(tape, x, { T: R, B: 1, F: I }, { gradient: true });
          return { inputs: { x: rows }, outputs: { y: layer.forward(tape, rows) } };
        },
      ),
  };
}

function embedding(seed: number, R: number, V: number, E: number): Operation {
  const next = random(seed);
  const tokens = Int32Array.from({ length: R }, () => Math.floor(next() * V));
  const inputs = { 'e.weight': uniform(next, V * E) };
  const upstream = { y: uniform(next, R * E) };
  return {
    title: `embedding R=${R} V=${V} E=${E}`,
    inputs,
    upstream,
    shapes: { 'e.weight': [V, E] },
    reference: (g, m) => ({ y: g.gather(m['e.weight'], tokens) }),
    kernel: (build) =>
      run(
        build,
        (b) => new Embedding(b, 'e', { vocabularySize: V, embeddingSize: E }),
        inputs,
        upstream,
        (tape, layer) => ({
          inputs: {},
          outputs: { y: layer.forward(tape, tokens, { T: R, B: 1 }) },
        }),
      ),
  };
}

/** An embedding whose weights are the head's as well, over sequences that end early; -1 stands after their ends. */
function tied(seed: number, T: number, lengths: readonly number[], V: number, E: number): Operation {
  const next = random(seed);
  const B = lengths.length;
  const live = (r: number) => Math.floor(r / B) < lengths[r % B];
  const tokens = Int32Array.from({ length: T * B }, (_, r) => (live(r) ? Math.floor(next() * V) : -1));
  const parameters = { 'e.weight': uniform(next, V * E), 'head.bias': uniform(next, V) };
  const upstream = { y: uniform(next, T * B * V) };
  return {
    title: `tied weights T=${T} lengths=${lengths} V=${V} E=${E}`,
    inputs: parameters,
    upstream,
    shapes: { 'e.weight': [V, E], 'head.bias': [1, V] },
    reference: (g, m) => {
      const x = g.tanh(g.pick(m['e.weight'], T * B, E, (r, f) => (tokens[r] < 0 ? -1 : tokens[r] * E + f)));
      const y = g.add(g.product(x, m['e.weight']), m['head.bias']);
      return { y: g.choose(live, y, g.zeros(T * B, V)) };
    },
    kernel: (build) =>
      run(
        build,
        (b) => {
          const e = new Embedding(b, 'e', { vocabularySize: V, embeddingSize: E });
          return { e, head: new Linear(b, 'head', { inputSize: E, outputSize: V, weight: e.weight }) };
        },
        parameters,
        upstream,
        (tape, { e, head }) => ({
          inputs: {},
          outputs: { y: head.forward(tape, activation(tape, e.forward(tape, tokens, { T, B, lengths }), 'tanh')) },
        }),
      ),
  };
}

const ragged = { T: 5, B: 4, lengths: [2, 5, 1, 4] };

function raggedLinear(seed: number, I: number, O: number): Operation {
  const { T, B, lengths } = ragged;
  return layerOperation(seed, {
    title: `linear I=${I} O=${O} lengths=${lengths}`,
    rows: { x: { ...ragged, F: I } },
    parameters: { 'l.weight': [O, I], 'l.bias': [1, O] },
    outputs: { y: [T * B, O] },
    layers: (b) => new Linear(b, 'l', { inputSize: I, outputSize: O }),
    forward: (tape, { x }, layer) => ({ y: layer.forward(tape, x) }),
    reference: (g, m) => {
      const y = g.add(g.product(m.x, m['l.weight']), m['l.bias']);
      return { y: g.choose((r) => Math.floor(r / B) < lengths[r % B], y, g.zeros(T * B, O)) };
    },
  });
}

function norm(
  seed: number,
  T: number,
  B: number,
  F: number,
  scale = 1,
  lengths?: readonly number[],
  epsilon?: number,
): Operation {
  return layerOperation(seed, {
    title: `layer norm${epsilon ? ` epsilon=${epsilon}` : ''} T=${T} B=${B} F=${F} ±${scale}${lengths ? ` lengths=${lengths}` : ''}`,
    rows: { x: { T, B, F, scale, lengths } },
    parameters: { 'n.weight': [1, F], 'n.bias': [1, F] },
    outputs: { y: [T * B, F] },
    layers: (b) => new LayerNorm(b, 'n', { inputSize: F, epsilon }),
    forward: (tape, { x }, layer) => ({ y: layer.forward(tape, x) }),
    reference: (g, m) => {
      const y = layerNorm(g, m.x, m['n.weight'], m['n.bias'], epsilon);
      return { y: g.choose((r) => !lengths || Math.floor(r / B) < lengths[r % B], y, g.zeros(T * B, F)) };
    },
  });
}

const operations: Operation[] = [
  ...[
    [1, 1, 1],
    [2, 3, 5],
    [3, 16, 16],
    [7, 15, 17],
    [33, 17, 31],
    [64, 65, 33],
    [300, 5, 66],
  ].map(([R, I, O], i) => linear(100 + i, R, I, O)),
  linear(110, 9, 7, 18, false),
  linear(111, 1, 4, 3, false),
  raggedLinear(120, 6, 17),
  raggedLinear(121, 16, 3),
  ...[
    [1, 1, 1],
    [5, 3, 4],
    [40, 7, 13],
    [21, 65, 64],
  ].map(([R, V, E], i) => embedding(200 + i, R, V, E)),
  tied(210, 1, [1], 1, 1),
  tied(211, 5, [2, 5, 1, 4], 9, 6),
  tied(212, 3, [3, 3], 33, 17),
  ...[
    [1, 1, 1],
    [1, 1, 3],
    [2, 3, 3],
    [3, 2, 4],
    [5, 3, 17],
    [2, 2, 16],
    [40, 3, 65],
  ].map(([T, B, F], i) => norm(400 + i, T, B, F)),
  norm(410, 4, 3, 9, 30),
  norm(411, 4, 3, 9, 1e3),
  norm(412, 5, 4, 7, 1, [2, 5, 1, 4]),
  norm(413, 5, 4, 7, 1, [2, 5, 1, 4], 0.5),
  norm(414, 3, 2, 6, 0.01, undefined, 1e-3),
];

for (const op of operations) {
  test(`reference: ${op.title}, gradient equals central differences to 1e-7`, () => checkReference(op));
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

test('linear: bias: false has no bias, and outputs what a bias of zeros does', () => {
  const x = uniform(random(1), 6);
  const outputs = [true, false].map((bias) =>
    withLayer(
      (b) => new Linear(b, 'l', { inputSize: 3, outputSize: 4, bias }),
      (model) => {
        is(model.parameters.length, bias ? 2 : 1);
        if (bias) model.set('l.bias', new Float32Array(4));
        return model.forward((tape, l) => read(tape, l.forward(tape, input(tape, x, { T: 2, B: 1, F: 3 }))));
      },
    ),
  );
  equal(outputs[0], outputs[1]);
});

test('linear: tied weights are one parameter, and one update of it changes both layers', () => {
  withLayer(
    (b) => {
      const e = new Embedding(b, 'e', { vocabularySize: 5, embeddingSize: 3 });
      return { e, head: new Linear(b, 'head', { inputSize: 3, outputSize: 5, weight: e.weight, bias: false }) };
    },
    (model) => {
      equal(
        model.parameters.map((p) => p.name),
        ['e.weight'],
      );
      const run = () =>
        model.forward((tape, { e, head }) => read(tape, head.forward(tape, e.forward(tape, [1, 4], { T: 2, B: 1 }))));
      const before = run();
      model.set(
        'e.weight',
        model.get('e.weight').map((v) => 2 * v),
      );
      equal(
        run(),
        before.map((v) => 4 * v),
      );
    },
  );
});

test('initializers: of linear and embedding, by their own names', () => {
  withLayer(
    (b) => [
      new Linear(b, 'l', {
        inputSize: 3,
        outputSize: 2,
        initializers: { weight: { kind: 'identity' }, bias: { kind: 'constant', value: 7 } },
      }),
      new Embedding(b, 'e', { vocabularySize: 2, embeddingSize: 3, initializer: { kind: 'constant', value: 3 } }),
    ],
    (model) => {
      equal(model.get('l.weight'), Float32Array.of(1, 0, 0, 0, 1, 0));
      equal(model.get('l.bias'), Float32Array.of(7, 7));
      equal(model.get('e.weight'), new Float32Array(6).fill(3));
    },
  );
});

test('layer norm: starts with ones and zeros; rows of equal numbers become the bias', () => {
  withLayer(
    (b) => new LayerNorm(b, 'n', { inputSize: 5 }),
    (model) => {
      equal(model.get('n.weight'), new Float32Array(5).fill(1));
      equal(model.get('n.bias'), new Float32Array(5));
      model.set('n.bias', [1, 2, 3, 4, 5]);
      const y = model.forward((tape, n) =>
        read(tape, n.forward(tape, input(tape, new Float32Array(5).fill(3), { T: 1, B: 1, F: 5 }))),
      );
      equal(y, Float32Array.of(1, 2, 3, 4, 5));
    },
  );
});

test('embedding: past the end are zeros, and no token has a gradient', () => {
  withLayer(
    (b) => new Embedding(b, 'e', { vocabularySize: 3, embeddingSize: 2, initializer: { kind: 'constant', value: 1 } }),
    (model) => {
      let y: Float32Array | undefined;
      model.valueAndGrad((tape, e) => {
        const rows = e.forward(tape, [0, 1, 99, 1], { T: 2, B: 2, lengths: [1, 2] });
        y = read(tape, rows);
        return {
          value: 0,
          addGradient: () => tape.runtime.f32.fill(1, rows.grad >>> 2, (rows.grad + 4 * rows.ld) >>> 2),
        };
      });
      equal(y, Float32Array.of(1, 1, 1, 1, 0, 0, 1, 1));
      equal(model.gradient('e.weight'), Float32Array.of(1, 1, 2, 2, 0, 0));
    },
  );
});

const sizes = { inputSize: 3, outputSize: 4 };
const refused: [string, (b: Builder) => unknown, RegExp][] = [
  [
    'an unknown option',
    (b) => new Linear(b, 'l', { ...sizes, biass: false } as never),
    /^l: unknown option 'biass'; did you mean 'bias'\?$/,
  ],
  [
    'a bias that is neither',
    (b) => new Linear(b, 'l', { ...sizes, bias: 1 as never }),
    /^bias: expected true or false, got 1$/,
  ],
  [
    'a bias that is no parameter',
    (b) => new Linear(b, 'l', { ...sizes, bias: {} as never }),
    /^bias: expected a parameter of another layer, got an object$/,
  ],
  [
    'weights that are no parameter',
    (b) => new Linear(b, 'l', { ...sizes, weight: [1, 2] as never }),
    /^weight: expected a parameter of another layer, got Array of length 2$/,
  ],
  [
    'tied weights of another shape',
    (b) => {
      const { weight } = new Embedding(b, 'e', { vocabularySize: 5, embeddingSize: 3 });
      return new Linear(b, 'l', { ...sizes, weight });
    },
    /^weight: expected \[4, 3\], got 'e.weight' \[5, 3\]$/,
  ],
  [
    'tied weights of another model',
    (b) => {
      const other = new Model(b.runtime, 1, (c) => new Linear(c, 'o', sizes));
      return new Linear(b, 'l', { ...sizes, weight: other.layers.weight });
    },
    /^weight: 'o.weight' belongs to another model$/,
  ],
  [
    'an initializer of tied weights',
    (b) => {
      const { weight } = new Embedding(b, 'e', { vocabularySize: 4, embeddingSize: 3 });
      return new Linear(b, 'l', { ...sizes, weight, initializers: { weight: { kind: 'he' } } });
    },
    /^initializers.weight and weight cannot be combined: the layer that made the parameter initializes it$/,
  ],
  [
    'an initializer of no bias',
    (b) => new Linear(b, 'l', { ...sizes, bias: false, initializers: { bias: { kind: 'he' } } }),
    /^initializers.bias and bias: false cannot be combined: the layer has no bias$/,
  ],
  [
    'an unknown initializer',
    (b) => new Linear(b, 'l', { ...sizes, initializers: { weight: { kind: 'zero' } as never } }),
    /^initializers.weight.kind: expected 'uniform' or .*, got 'zero'/,
  ],
  [
    'an initializer of nothing',
    (b) => new Linear(b, 'l', { ...sizes, initializers: { weights: { kind: 'he' } } as never }),
    /^initializers: unknown option 'weights'; did you mean 'weight'\?$/,
  ],
  [
    "an embedding's initializer",
    (b) => new Embedding(b, 'e', { vocabularySize: 3, embeddingSize: 2, initializer: 'he' as never }),
    /^initializer: expected an initializer such as .*, got 'he'$/,
  ],
  [
    'a layer norm of nothing',
    (b) => new LayerNorm(b, 'n', { inputSize: 0 }),
    /^inputSize: expected a positive whole number, got 0$/,
  ],
  [
    'a layer norm without an epsilon',
    (b) => new LayerNorm(b, 'n', { inputSize: 2, epsilon: 0 }),
    /^epsilon: expected a finite number above 0, got 0$/,
  ],
  [
    "a layer norm's option",
    (b) => new LayerNorm(b, 'n', { inputSize: 2, eps: 1 } as never),
    /^n: unknown option 'eps'/,
  ],
];

for (const [title, build, message] of refused) {
  test(`refuses ${title}`, () => {
    const r = runtime('simd');
    throws(
      () => new Model(r, 1, build),
      (error: Error) => ok(message.test(error.message), error.message) ?? true,
    );
    r.dispose();
  });
}

test('refuses rows of another width, lengths out of range, tokens that are none', () => {
  withLayer(
    (b) => ({
      l: new Linear(b, 'l', sizes),
      n: new LayerNorm(b, 'n', { inputSize: 4 }),
      e: new Embedding(b, 'e', { vocabularySize: 3, embeddingSize: 2 }),
    }),
    (model) =>
      model.forward((tape, { l, n, e }) => {
        const x = input(tape, [1, 2], { T: 1, B: 1, F: 2 });
        throws(() => l.forward(tape, x), 'x: expected 3 features, got 2');
        throws(() => n.forward(tape, x), 'x: expected 4 features, got 2');
        throws(
          () => e.forward(tape, [0, 1], { T: 2, B: 1, lengths: [3] }),
          'lengths[0]: expected a whole number from 1 to 2, got 3',
        );
        throws(() => e.forward(tape, [0, 1], { T: 2, B: 1, lengths: [1, 1] }), 'lengths: expected [B=1] = 1 numbers');
        throws(() => e.forward(tape, [0, 3], { T: 2, B: 1 }), 'tokens[1]: expected a whole number from 0 to 2, got 3');
        not.throws(() => e.forward(tape, [0, 3], { T: 2, B: 1, lengths: [1] }));
      }),
  );
});

for (const build of builds) {
  test(`LayerNorm of an input without gradient writes nothing but its gradients (${build})`, () => {
    const r = runtime(build);
    const model = new Model(r, 1, (b) => new LayerNorm(b, 'n', { inputSize: 5 }));
    const constants = r.i32.slice(0, model.slab >>> 2);
    const x = Array.from({ length: 20 }, (_, i) => i * i);
    model.valueAndGrad((tape, layer) =>
      mseLoss(tape, layer.forward(tape, input(tape, x, { T: 4, B: 1, F: 5 })), x.map(Math.sqrt)),
    );
    equal(r.i32.slice(0, constants.length), constants);
    ok(model.gradient('n.weight').every((g) => g !== 0));
  });
}

test.run();
