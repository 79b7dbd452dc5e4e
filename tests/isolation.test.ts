/**
 * No call of the public API corrupts a model or the core: frozen parts, rows and layers of another pass or runtime, use after
 * dispose, and numbers that are not numbers. After each of them the activations still have their known values.
 */
import { runInNewContext } from 'node:vm';
import {
  Attention,
  activation,
  add,
  type Builder,
  bceWithLogitsLoss,
  Crf,
  concat,
  crossEntropyLoss,
  ctcLoss,
  dotLoss,
  Embedding,
  gradientOf,
  input,
  LayerNorm,
  Linear,
  type Loss,
  loadWeights,
  MLP,
  Model,
  mseLoss,
  Optimizer,
  Recurrent,
  type Rows,
  Runtime,
  read,
  State,
  saveWeights,
  slice,
  type Tape,
  train,
} from 'gatewise';
import * as infer from 'gatewise/infer';
import { OnlineLearner } from 'gatewise/online';
import { QuantizedModel, quantizeSync } from 'gatewise/quantized';
import {
  Forecaster,
  LanguageModel,
  Seq2Seq,
  SequenceClassifier,
  SequenceGenerator,
  SequenceRegressor,
  SequenceTagger,
  Transcriber,
  Vocabulary,
} from 'gatewise/tasks';
import { test } from 'uvu';
import { equal, is, not, ok, throws } from 'uvu/assert';
import { rejects } from './support/rejects.js';

const shape = { T: 1, B: 1, F: 4 };
const values = [0.5, -1, 2, 0.25];
const linear = (name: string) => (b: ConstructorParameters<typeof Linear>[0]) =>
  new Linear(b, name, { inputSize: 4, outputSize: 4 });
const parametersOf = (model: Model<unknown>) => model.parameters.map(({ name }) => Array.from(model.get(name)));

/** The constants of a core that nothing has been done with. */
const fresh = Runtime.createSync();
const constants = fresh.i32.slice(0, fresh.core.heapBase() / 4);

/** That the constants of the core are what they were. */
function intact(runtime: Runtime): void {
  // words that are zero may be scratch memory of a kernel
  constants.forEach((word, i) => {
    if (word !== 0) is(runtime.i32[i], word, `the constant at ${4 * i}`);
  });
  const probe = new Model(runtime, 1, () => null);
  const x = [0, 1, -1, 2];
  const y = probe.forward((tape) => read(tape, activation(tape, input(tape, x, shape), 'sigmoid')));
  y.forEach((v, i) => {
    ok(Math.abs(v - 1 / (1 + Math.exp(-x[i]))) < 1e-6, `σ(${x[i]}) = ${v}`);
  });
  probe.dispose();
}

/** All kinds of layers. */
function build(b: ConstructorParameters<typeof Linear>[0]) {
  return {
    embedding: new Embedding(b, 'embedding', { vocabularySize: 3, embeddingSize: 4 }),
    mlp: new MLP(b, 'mlp', { inputSize: 4, hiddenLayers: [5], outputSize: 4, dropout: 0.5 }),
    norm: new LayerNorm(b, 'norm', { inputSize: 4 }),
    lstm: new Recurrent(b, 'lstm', {
      cell: 'lstm',
      inputSize: 4,
      hiddenSize: 4,
      numLayers: 2,
      dropout: 0.3,
      variationalDropout: 0.2,
      layerNorm: true,
      initialState: 'learned',
    }),
    gru: new Recurrent(b, 'gru', { cell: 'gru', inputSize: 4, hiddenSize: 2, bidirectional: true }),
    attention: new Attention(b, 'attention', { score: 'additive', querySize: 4, keySize: 4, attentionSize: 3 }),
    crf: new Crf(b, 'crf', { numClasses: 4 }),
  };
}

/** All of them on rows [T,B,4], and something to minimise. */
function run(tape: Tape, l: ReturnType<typeof build>, x: Rows): { y: Rows; loss: Loss } {
  const { T, B } = x;
  const sum = add(tape, x, l.embedding.forward(tape, new Int32Array(T * B), { T, B }));
  const recurrent = l.gru.forward(tape, l.lstm.forward(tape, l.norm.forward(tape, l.mlp.forward(tape, sum))).output);
  const y = l.attention.forward(tape, recurrent.output, recurrent.output).context;
  return { y, loss: l.crf.loss(tape, y, new Int32Array(T * B)) };
}

const everything = { build, run };

test('layers of a model that is not trained run as at inference, get no gradient and touch nothing', async () => {
  const runtime = await Runtime.create();
  const encoder = new Model(runtime, 1, everything.build);
  const head = new Model(runtime, 2, linear('head'));
  const [T, B] = [5, 2];
  const x = Float32Array.from({ length: T * B * 4 }, (_, i) => Math.sin(i));
  const start = parametersOf(encoder);
  const inferred = encoder.forward((tape, l) => read(tape, everything.run(tape, l, input(tape, x, { T, B, F: 4 })).y));
  const counters = { ...encoder.random.next };
  const optimizer = new Optimizer(head, { learningRate: 0.1 });
  const losses: number[] = [];
  for (let i = 0; i < 10; i++) {
    const loss = head.valueAndGrad((tape, layer) => {
      const { y, loss } = everything.run(tape, encoder.layers, input(tape, x, { T, B, F: 4 }));
      equal(read(tape, y), inferred);
      is(y.grad, 0, 'nobody wants the gradient of a frozen encoder');
      return [
        { loss: mseLoss(tape, layer.forward(tape, y), x), weight: 1 },
        { loss, weight: 1 },
      ];
    });
    losses.push(loss);
    optimizer.step();
  }
  ok(losses[9] < losses[0], losses.join());
  equal(parametersOf(encoder), start);
  equal(encoder.random.next, counters);
  intact(runtime);
  runtime.dispose();
});

test('a gradient passes through the layers of a model that is not trained', async () => {
  const runtime = await Runtime.create();
  const frozen = new Model(runtime, 1, everything.build);
  const below = new Model(runtime, 2, linear('below'));
  const through = (tape: Tape, layer: Linear) => {
    const x = layer.forward(tape, input(tape, [1, 2, 3, 4, 5, 6, 7, 8], { T: 2, B: 1, F: 4 }));
    const { y, loss } = everything.run(tape, frozen.layers, x);
    return [
      { loss: dotLoss(tape, y, [1, -1, 2, 0, 0.5, 1, 1, 3]), weight: 1 },
      { loss, weight: 1 },
    ];
  };
  below.valueAndGrad(through);
  const gradient = below.gradient('below.bias');
  const bias = below.get('below.bias');
  const value = (i: number, distance: number) => {
    below.set(
      'below.bias',
      bias.map((v, j) => (j === i ? v + distance : v)),
    );
    return below.forward((tape, layer) => through(tape, layer).reduce((sum, { loss }) => sum + loss.value, 0));
  };
  gradient.forEach((g, i) => {
    const slope = (value(i, 0.01) - value(i, -0.01)) / 0.02;
    ok(Math.abs(slope - g) < 0.02 * Math.max(1, Math.abs(g)), `${i}: ${g}, differences give ${slope}`);
  });
  intact(runtime);
  runtime.dispose();
});

test('a layer norm on an input without gradient, over many rows, touches nothing else', async () => {
  const runtime = await Runtime.create();
  const model = new Model(runtime, 1, (b) => new LayerNorm(b, 'norm', { inputSize: 16 }));
  const x = Float32Array.from({ length: 64 * 16 }, (_, i) => Math.sin(i));
  model.valueAndGrad((tape, norm) => mseLoss(tape, norm.forward(tape, input(tape, x, { T: 64, B: 1, F: 16 })), x));
  intact(runtime);
  runtime.dispose();
});

test('models that are trained together get the gradients of one model with both', async () => {
  const runtime = await Runtime.create();
  const [first, second] = [new Model(runtime, 1, linear('first')), new Model(runtime, 2, linear('second'))];
  const both = new Model(runtime, 3, (b) => ({ first: linear('first')(b), second: linear('second')(b) }));
  for (const model of [first, second]) for (const { name } of model.parameters) both.set(name, model.get(name));
  const work = (tape: Tape, a: Linear, b: Linear) =>
    mseLoss(tape, b.forward(tape, activation(tape, a.forward(tape, input(tape, values, shape)), 'tanh')), values);
  const loss = second.valueAndGrad((tape, layer) => work(tape, first.layers, layer), { also: [first] });
  is(
    both.valueAndGrad((tape, layers) => work(tape, layers.first, layers.second)),
    loss,
  );
  for (const model of [first, second]) {
    for (const { name } of model.parameters) equal(model.gradient(name), both.gradient(name), name);
  }
  const other = new Model(await Runtime.create(), 1, linear('other'));
  const none = (tape: Tape) => mseLoss(tape, input(tape, values, shape), values);
  throws(() => first.valueAndGrad(none, { also: [other] }), /also\[0\]: is on another runtime/);
  throws(() => first.valueAndGrad(none, { also: [first] }), /also\[0\]: is in training already/);
  throws(() => first.valueAndGrad(none, { also: [{}] as never }), /also\[0\]: expected a model/);
  throws(() => first.valueAndGrad(() => first.valueAndGrad(none) as never), /model: is in training already/);
  other.runtime.dispose();
  runtime.dispose();
});

test('frozen parameters are not changed, by name or by prefix, with any optimizer', async () => {
  for (const optimizer of ['sgd', 'rmsprop', 'adam', 'adamw', 'adagrad'] as const) {
    const runtime = await Runtime.create();
    const model = new Model(runtime, 1, everything.build);
    const own = optimizer === 'sgd' || optimizer === 'rmsprop' ? { momentum: 0.9 } : {};
    const steps = new Optimizer(model, { optimizer, weightDecay: 0.1, l1: 0.1, ...own });
    const step = () => {
      model.valueAndGrad((tape, l) => {
        const { y, loss } = everything.run(tape, l, input(tape, [...values, ...values], { T: 2, B: 1, F: 4 }));
        return [
          { loss: mseLoss(tape, y, [1, 2, 3, 4, 4, 3, 2, 1]), weight: 1 },
          { loss, weight: 1 },
        ];
      });
      steps.step();
    };
    step();
    model.freeze('lstm.weight_ih_l0', 'mlp', 'crf', 'attention.v', 'gru.bias_hh_l0_reverse', 'norm.bias');
    const before = new Map(model.parameters.map(({ name }) => [name, model.get(name)]));
    step();
    step();
    for (const { name, frozen } of model.parameters) {
      is(frozen, /^(lstm\.weight_ih_l0|mlp\..*|crf\..*|attention\.v|gru\.bias_hh_l0_reverse|norm\.bias)$/.test(name));
      if (frozen) {
        equal(model.get(name), before.get(name), name);
        ok(
          model.gradient(name).every((g) => g === 0),
          `${name}: gradient`,
        );
      } else not.equal(model.get(name), before.get(name), name);
    }
    is(model.frozen.length, model.parameters.filter(({ frozen }) => frozen).length);
    model.unfreeze('mlp');
    step();
    not.equal(model.get('mlp.0.bias'), before.get('mlp.0.bias'));
    throws(() => model.freeze('embedding', 'lst'), /name: no parameter is called 'lst'/);
    is(model.parameter('embedding.weight').frozen, false, 'nothing changes if one name is wrong');
    model.freeze();
    const all = parametersOf(model);
    step();
    equal(parametersOf(model), all);
    model.unfreeze();
    equal(model.frozen, []);
    intact(runtime);
    runtime.dispose();
  }
});

test('freezing changes no other gradient', async () => {
  const runtime = await Runtime.create();
  const model = new Model(runtime, 1, (b) => ({
    rnn: new Recurrent(b, 'rnn', {
      cell: 'lstm',
      inputSize: 4,
      hiddenSize: 3,
      peepholes: true,
      bidirectional: true,
      initialState: 'learned',
    }),
    head: new Linear(b, 'head', { inputSize: 6, outputSize: 4 }),
  }));
  const gradients = () => {
    model.valueAndGrad((tape, { rnn, head }) => {
      const { output } = rnn.forward(tape, input(tape, [...values, ...values], { T: 2, B: 1, F: 4 }));
      return mseLoss(tape, head.forward(tape, output), [...values, ...values]);
    });
    return new Map(model.parameters.map(({ name }) => [name, model.gradient(name)]));
  };
  const free = gradients();
  for (const { name: frozen } of model.parameters) {
    model.freeze(frozen);
    for (const [name, gradient] of gradients()) {
      equal(
        gradient,
        name === frozen ? new Float32Array(gradient.length) : free.get(name),
        `${name}, ${frozen} frozen`,
      );
    }
    model.unfreeze();
  }
  model.freeze('rnn');
  for (const [name, gradient] of gradients()) if (name.startsWith('head')) equal(gradient, free.get(name), name);
  runtime.dispose();
});

test('gradients accumulate on demand, and can be clipped and measured', async () => {
  const runtime = await Runtime.create();
  const model = new Model(runtime, 1, linear('l'));
  throws(() => model.gradientNorm(), /gradients: expected a call of valueAndGrad before/);
  const work = (x: readonly number[]) => (tape: Tape, layer: Linear) =>
    mseLoss(tape, layer.forward(tape, input(tape, x, shape)), values);
  const gradient = (x: readonly number[], options = {}) => {
    model.valueAndGrad(work(x), options);
    return model.gradient('l.weight');
  };
  const [a, b] = [gradient([1, 2, 3, 4]), gradient(values)];
  equal(gradient([1, 2, 3, 4], { accumulate: false }), a);
  const sum = gradient(values, { accumulate: true });
  sum.forEach((g, i) => {
    ok(Math.abs(g - a[i] - b[i]) <= 1e-6 * Math.abs(g) + 1e-6);
  });
  const norm = Math.hypot(...sum, ...model.gradient('l.bias'));
  ok(Math.abs(model.gradientNorm() / norm - 1) < 1e-6);
  ok(Math.abs(model.clipGradNorm(0.5) / norm - 1) < 1e-6);
  ok(Math.abs(model.gradientNorm() - 0.5) < 1e-5);
  model.clipGradValue(0.01);
  ok(model.gradient('l.weight').every((g) => Math.abs(g) <= Math.fround(0.01)));
  for (const bad of [0, -1, Number.NaN, '1', null] as never[]) {
    throws(() => model.clipGradNorm(bad), /max: expected a finite number above 0/);
    throws(() => model.clipGradValue(bad), /max: expected a finite number above 0/);
  }
  for (const bad of [-1, -Infinity, '1'] as number[]) {
    throws(() => model.clipGradNorm(1, bad), /norm: expected a number of at least 0, got/);
  }
  throws(() => model.valueAndGrad(work(values), { accumulate: 1 as never }), /accumulate: expected true or false/);
  throws(() => model.valueAndGrad(work(values), null as never), /options: expected an object of options, got null/);
  runtime.dispose();
});

test('rows and tapes of an earlier pass, of another pass or of another runtime are refused', async () => {
  const [runtime, elsewhere] = [await Runtime.create(), await Runtime.create()];
  const model = new Model(runtime, 1, everything.build);
  const other = new Model(elsewhere, 1, everything.build);
  const kept: { tape?: Tape; rows?: Rows } = {};
  model.forward((tape) => {
    kept.tape = tape;
    kept.rows = input(tape, values, shape);
  });
  const { tape: old, rows } = kept as { tape: Tape; rows: Rows };
  const late = /rows are of another pass; rows are valid until the pass that made them ends/;
  const uses = (tape: Tape, l: typeof model.layers, x: Rows): (() => unknown)[] => [
    () => read(tape, x),
    () => gradientOf(tape, x),
    () => activation(tape, x, 'tanh'),
    () => concat(tape, [input(tape, values, shape), x]),
    () => add(tape, input(tape, values, shape), x),
    () => l.mlp.forward(tape, x),
    () => l.norm.forward(tape, x),
    () => l.lstm.forward(tape, x),
    () => l.attention.forward(tape, x, x),
    () => l.attention.forward(tape, input(tape, values, shape), { projected: x, values: x }),
    () => l.crf.loss(tape, x, [0]),
    () => l.crf.decode(tape, x),
    () => mseLoss(tape, x, values),
    () => crossEntropyLoss(tape, x, [0]),
    () => ctcLoss(tape, x, [[1]]),
    () => dotLoss(tape, x, values),
    () => l.lstm.forward(tape, input(tape, values, shape), { h: [x, x], c: [x, x] }),
  ];
  model.forward((tape, l) => {
    for (const use of uses(tape, l, rows)) throws(use, late, String(use));
    for (const use of uses(old, l, rows)) throws(use, /tape: its pass is over/, String(use));
    throws(() => input(old, values, shape), /tape: its pass is over/);
    throws(() => l.embedding.forward(old, [0], { T: 1, B: 1 }), /tape: its pass is over/);
    other.forward((inner, far) => {
      for (const use of uses(inner, far, input(inner, values, shape)).slice(2, 9)) use();
      const here = rows;
      for (const use of uses(inner, far, here)) throws(use, /rows are of another runtime/, String(use));
      for (const use of uses(inner, l, input(inner, values, shape)).slice(5, 9)) {
        throws(use, /tape: is on another runtime than the layer/, String(use));
      }
      throws(() => l.embedding.forward(inner, [0], { T: 1, B: 1 }), /tape: is on another runtime than the layer/);
      throws(() => input(tape, values, shape), /tape: its pass is over, or another pass runs inside of it/);
    });
    equal(Array.from(read(tape, input(tape, values, shape))), values);
    for (const nonsense of [undefined, null, {}, 5, values] as never[]) {
      throws(() => read(tape, nonsense), /rows: expected rows, got/);
      throws(
        () => read(nonsense, input(tape, values, shape)),
        /tape: expected the tape of a pass of this copy of gatewise, got/,
      );
    }
  });
  let stale: Loss | undefined;
  model.valueAndGrad((tape) => {
    stale = mseLoss(tape, input(tape, values, shape, { gradient: true }), values);
    return stale;
  });
  throws(() => model.valueAndGrad(() => stale as Loss), /tape: its pass is over/);
  throws(() => model.forward((tape) => gradientOf(tape, input(tape, values, shape))), /their gradient is not computed/);
  throws(
    () => model.forward((tape, l) => l.lstm.forward(tape, input(tape, values, shape), other.layers.gru.state())),
    /state: expected h of/,
  );
  for (const r of [runtime, elsewhere]) {
    intact(r);
    r.dispose();
  }
});

test('after dispose every call on the model and its layers throws one clear error, and a neighbour is unharmed', async () => {
  const runtime = await Runtime.create();
  const neighbour = new Model(runtime, 1, linear('n'));
  const gone = new Model(runtime, 2, everything.build);
  const optimizer = new Optimizer(gone);
  const work = (tape: Tape, l: typeof gone.layers) => everything.run(tape, l, input(tape, values, shape)).loss;
  gone.valueAndGrad(work);
  const state = gone.layers.lstm.state();
  const name = 'embedding.weight';
  const weights = gone.get(name);
  const file = saveWeights(gone);
  gone.dispose();
  gone.dispose();
  const next = new Model(runtime, 3, everything.build);
  const before = [parametersOf(neighbour), parametersOf(next)];
  const calls: (() => unknown)[] = [
    () => gone.get(name),
    () => gone.set(name, weights),
    () => gone.gradient(name),
    () => gone.gradientNorm(),
    () => gone.clipGradNorm(1),
    () => gone.clipGradValue(1),
    () => gone.freeze(),
    () => gone.unfreeze(),
    () => gone.frozen,
    () => gone.parameter(name),
    () => gone.parameters,
    () => gone.forward(work),
    () => gone.valueAndGrad(work),
    () => gone.alloc(8, 'x'),
    () => optimizer.step(),
    () => new Optimizer(gone),
    () => saveWeights(gone),
    () => loadWeights(gone, file),
    () => gone.layers.lstm.step(values, state),
    () => gone.layers.lstm.state(),
    () => neighbour.forward((tape) => work(tape, gone.layers)),
    () => neighbour.forward((tape) => gone.layers.crf.decode(tape, input(tape, values, shape))),
    () => neighbour.forward((tape) => gone.layers.norm.forward(tape, input(tape, values, shape))),
    () => neighbour.valueAndGrad((tape) => gone.layers.crf.loss(tape, input(tape, values, shape), [0])),
    () =>
      neighbour.valueAndGrad((tape) => mseLoss(tape, input(tape, values, shape), values), {
        also: [gone],
      }),
  ];
  for (const call of calls) throws(call, (e: Error) => e.message === 'this model has been disposed', String(call));
  equal([parametersOf(neighbour), parametersOf(next)], before);
  const dying = new Model(runtime, 4, linear('d'));
  throws(
    () =>
      dying.valueAndGrad((tape, layer) => {
        const loss = mseLoss(tape, layer.forward(tape, input(tape, values, shape)), values);
        dying.dispose();
        return loss;
      }),
    /this model has been disposed/,
  );
  equal([parametersOf(neighbour), parametersOf(next)], before);
  intact(runtime);
  runtime.dispose();
});

test('numbers are checked where they enter, and nothing changes before that', async () => {
  const runtime = await Runtime.create();
  const model = new Model(runtime, 1, everything.build);
  const optimizer = new Optimizer(model);
  model.valueAndGrad((tape, l) => everything.run(tape, l, input(tape, values, shape)).loss);
  const start = parametersOf(model);
  const bad = [Number.NaN, Infinity, -Infinity, undefined, null, '1', 1n, {}] as never[];
  for (const wrong of bad) {
    const list = [0, wrong, 0, 0] as number[];
    const refuse = (work: (tape: Tape, x: Rows) => unknown, message: RegExp) =>
      throws(() => model.forward((tape) => work(tape, input(tape, values, shape))), message, String(work));
    refuse((tape) => input(tape, list, shape), /values\[1\]: expected a finite number, got/);
    refuse((tape, x) => mseLoss(tape, x, list), /targets\[1\]: expected a finite number, got/);
    refuse((tape, x) => bceWithLogitsLoss(tape, x, list), /targets\[1\]: expected a finite number, got/);
    refuse(
      (tape, x) => mseLoss(tape, x, values, { reduction: 'none', upstream: list }),
      /upstream\[1\]: expected a finite number, got/,
    );
    refuse((tape, x) => dotLoss(tape, x, list), /weights\[1\]: expected a finite number, got/);
    refuse((tape, x) => crossEntropyLoss(tape, x, [wrong]), /targets\[0\]: expected a finite number, got/);
    refuse((tape, x) => crossEntropyLoss(tape, x, [0], { weights: list }), /weights\[1\]: expected a finite number/);
    refuse((tape, x) => model.layers.crf.loss(tape, x, [wrong]), /tags\[0\]: expected a finite number, got/);
    refuse((tape, x) => ctcLoss(tape, x, [[wrong]]), /targets\[0\]\[0\]: expected a label/);
    refuse((tape) => input(tape, values, { ...shape, lengths: [wrong] }), /lengths/);
    throws(() => model.set('norm.bias', list), /norm.bias\[1\]: expected a finite number, got/);
    if (wrong !== undefined) {
      throws(() => optimizer.step(wrong), /learningRate: expected a finite number of at least 0, got/);
    }
    throws(
      () =>
        model.valueAndGrad((tape, l) => {
          const { loss } = everything.run(tape, l, input(tape, values, shape));
          return [{ loss, weight: wrong }];
        }),
      /weight: expected a finite number, got/,
    );
  }
  for (const size of [{ length: Number.NaN }, { length: -1 }, { length: 0.5 }, null, 5] as never[]) {
    const x = (tape: Tape) => input(tape, [...values, ...values], { T: 1, B: 2, F: 4 });
    throws(() => model.forward((tape) => ctcLoss(tape, x(tape), [size, [1]])), /targets\[0\].length: expected a whole/);
    throws(() => model.forward((tape) => mseLoss(tape, x(tape), size)), /targets: expected/);
  }
  for (const nothing of [undefined, null, 5, 'abc', [], {}, Promise.resolve(1)] as never[]) {
    if (Array.isArray(nothing)) continue;
    throws(() => model.valueAndGrad(() => nothing), /work: what it returns: expected a loss, or a list of/);
  }
  for (const call of [
    () => new Model(runtime, 1, (b) => new Linear(b, 'l', null as never)),
    () => new Model(runtime, 1, (b) => new Linear(b, 'l', { inputSize: 1, outputSize: 1, bias: null as never })),
    () => new Model(runtime, 1, (b) => new MLP(b, 'm', { inputSize: 1, outputSize: 1, activation: null as never })),
    () =>
      new Model(
        runtime,
        1,
        (b) => new Attention(b, 'a', { score: 'dot', querySize: 1, keySize: 1, scaled: null as never }),
      ),
    () => model.forward((tape) => input(tape, values, shape, null as never)),
    () => model.forward((tape) => mseLoss(tape, input(tape, values, shape), values, null as never)),
    () => model.forward((tape) => ctcLoss(tape, input(tape, values, shape), [[1]], { blank: null as never })),
    () => new Optimizer(model, { beta1: null as never }),
  ]) {
    throws(call, /expected .*, got null/, String(call));
  }
  equal(parametersOf(model), start);
  is(optimizer.steps, 0);
  const { lstm } = model.layers;
  const state = lstm.state();
  const kept = state.clone();
  for (const output of [new Float32Array(1), {}, null, [0, 0, 0, 0]] as never[]) {
    throws(() => lstm.step(values, state, output), /output: expected a Float32Array of \[B=1, P=4\] = 4 numbers/);
  }
  throws(() => lstm.step([1, 2, 3, Number.NaN], state), /x\[3\]: expected a finite number, got NaN/);
  for (const far of [Infinity, -Infinity, 1e39]) {
    // what is past the end of a sequence is not read
    const both = { T: 2, B: 2, F: 2, lengths: [2, 1] };
    const padded = (at: number) => Float64Array.from({ length: 8 }, (_, i) => (i === at ? far : 1));
    const into = (at: number) => model.forward((tape) => read(tape, input(tape, padded(at), both)));
    throws(
      () => into(5),
      (e: Error) => e instanceof RangeError && /^values\[5\]: .*, got/.test(e.message),
    );
    equal([...into(6)], [1, 1, 1, 1, 1, 1, 0, 0]);
    const first = { ...kept, h: [kept.h[0].map(() => far)] } as never;
    throws(() => lstm.step(values, first), /state/);
    throws(() => model.forward((tape) => lstm.forward(tape, input(tape, values, shape), first)), /state/);
  }
  equal(state, kept, 'a state moves only after everything has been checked');
  runtime.dispose();
});

test('typed arrays and buffers of another realm are accepted, and states of the other entry', async () => {
  const runtime = await Runtime.create();
  const model = new Model(runtime, 1, (b) => new Recurrent(b, 'rnn', { cell: 'gru', inputSize: 4, hiddenSize: 4 }));
  const own = saveWeights(model);
  const foreign = runInNewContext('(bytes) => Uint8Array.from(bytes)')(own);
  not.ok(foreign instanceof Uint8Array);
  loadWeights(model, foreign);
  loadWeights(model, foreign.buffer);
  const array = runInNewContext('Float32Array.of(0.5, -1, 2, 0.25)');
  const there = runInNewContext('new Float32Array(4)');
  equal(
    model.forward((tape) => Array.from(read(tape, input(tape, array, shape)))),
    values,
  );
  const state = model.layers.state();
  equal(
    Array.from(model.layers.step(array, state, there)),
    Array.from(model.layers.step(values, model.layers.state())),
  );
  model.set('rnn.bias_ih_l0', runInNewContext('new Float32Array(12).fill(0.25)'));
  // a state of gatewise moves on in gatewise/infer
  const entry = new infer.Model(
    await infer.Runtime.create(),
    1,
    (b) => new infer.Recurrent(b, 'rnn', { cell: 'gru', inputSize: 4, hiddenSize: 4 }),
  );
  infer.loadWeights(entry, saveWeights(model));
  const [mine, theirs] = [new State(1, [new Float32Array(4)], []), new infer.State(1, [new Float32Array(4)], [])];
  for (let i = 0; i < 3; i++) {
    equal(entry.layers.step(values, mine), model.layers.step(values, theirs));
    equal(mine.h, theirs.h);
  }
  runtime.dispose();
});

test('arrays of another realm are accepted by the other entries, too', () => {
  const foreign = runInNewContext('(bytes) => Uint8Array.from(bytes)');
  const output = runInNewContext('new Float32Array(1)');
  using learner = OnlineLearner.createSync({ cell: 'rnn', inputSize: 1, hiddenSize: 2, outputSize: 1, loss: 'mse' });
  is(learner.step([1], null, output).output, output);
  using again = OnlineLearner.loadSync(foreign(learner.save()));
  equal([...again.step([1]).output], [...learner.step([1]).output]);
  const runtime = Runtime.createSync();
  const model = new Model(runtime, 1, (b) => new Linear(b, 'l', { inputSize: 1, outputSize: 1 }));
  const layers = { l: { inputSize: 1, outputSize: 1 } };
  using quantized = quantizeSync(model, { dtype: 'int8', layers, calibrate: { l: 1 } });
  using loaded = QuantizedModel.loadSync(foreign(quantized.save()));
  is(loaded.linear('l').forward([1], output)[0], quantized.linear('l').forward([1])[0]);
  runtime.dispose();
});

test('layers are made while new Model builds, and at no other time', async () => {
  const runtime = await Runtime.create();
  const neighbour = new Model(runtime, 9, (b) => new Linear(b, 'n', { inputSize: 2, outputSize: 2 }));
  const before = [...neighbour.get('n.weight')];
  const used = runtime.memory().bytesInUse;
  throws(
    () => new Model(runtime, 1, async (b) => new Linear(b, 'late', { inputSize: 200, outputSize: 200 })),
    /build: expected a function that returns layers, not a promise/,
  );
  let kept: Builder | undefined;
  const model = new Model(runtime, 1, (b) => {
    kept = b;
    return new Linear(b, 'l', { inputSize: 2, outputSize: 2 });
  });
  throws(
    () => new Linear(kept as Builder, 'late', { inputSize: 2, outputSize: 2 }),
    /late\.weight: layers can only be made/,
  );
  model.dispose();
  is(runtime.memory().bytesInUse, used);
  equal([...neighbour.get('n.weight')], before);
  runtime.dispose();
});

test('weights cannot change while gradients are computed, nor can the optimizer of another model train', async () => {
  const runtime = await Runtime.create();
  const build = (b: Builder) => new Linear(b, 'l', { inputSize: 1, outputSize: 1 });
  const [a, b] = [new Model(runtime, 1, build), new Model(runtime, 2, build)];
  const optimizer = new Optimizer(a, { optimizer: 'sgd' });
  const loss = (tape: Tape, layer: Linear) =>
    mseLoss(tape, layer.forward(tape, input(tape, [1], { T: 1, B: 1, F: 1 })), [2]);
  a.valueAndGrad(loss);
  const gradient = a.gradient('l.weight');
  for (const change of [() => a.set('l.weight', [5]), () => optimizer.step(), () => a.freeze('l')]) {
    throws(
      () =>
        a.valueAndGrad((tape, layer) => {
          const value = loss(tape, layer);
          change();
          return value;
        }),
      /parameters cannot be changed while valueAndGrad runs/,
    );
  }
  a.valueAndGrad(loss);
  equal(a.gradient('l.weight'), gradient);
  throws(() => train(b, optimizer, { steps: 1 }, () => ({ loss })), /optimizer: is of another model/);
  const one = { steps: 1 };
  await rejects(
    train(a, optimizer, one, () => undefined as never),
    /next: what it returns: expected \{ loss \}/,
  );
  runtime.dispose();
});

test('train trains when it is awaited, and checks what makes its batches', async () => {
  const runtime = await Runtime.create();
  const model = new Model(runtime, 1, (b) => new Linear(b, 'l', { inputSize: 1, outputSize: 1 }));
  const optimizer = new Optimizer(model, { optimizer: 'sgd', learningRate: 0.1 });
  const loss = (tape: Tape, layer: Linear) =>
    mseLoss(tape, layer.forward(tape, input(tape, [1], { T: 1, B: 1, F: 1 })), [2]);
  await train(model, optimizer, { steps: 3 }, () => ({ loss }));
  is(optimizer.steps, 3);
  const before = model.get('l.weight');
  await rejects(
    train(model, optimizer, {}, () => ({ loss, done: 5 as never })),
    /^done: expected a function, got 5$/,
  );
  throws(
    () => train(model, optimizer, {}, () => ({ loss }), {} as never),
    /^running: expected a Schedule or null, got an object$/,
  );
  equal(model.get('l.weight'), before);
  runtime.dispose();
});

test('rows and states that the library did not make, and states with NaN, are refused', async () => {
  const runtime = await Runtime.create();
  const model = new Model(runtime, 1, (b) => ({
    rnn: new Recurrent(b, 'rnn', { cell: 'lstm', inputSize: 2, hiddenSize: 3 }),
    table: new Embedding(b, 'table', { vocabularySize: 3, embeddingSize: 2 }),
  }));
  const { rnn, table } = model.layers;
  const shape = { T: 2, B: 1, F: 2 };
  model.forward((tape) => {
    const x = input(tape, [1, 2, 3, 4], shape);
    for (const rows of [{ ...x, T: 1e6 }, { ...x }, Object.create(x)])
      throws(() => rnn.forward(tape, rows), /^x: expected rows, got/);
    throws(() => Object.assign(x as { T: number }, { T: 1e6 }), TypeError);
    rnn.forward(tape, slice(tape, x, 1, 2));
  });
  model.valueAndGrad((tape) => {
    const x = table.forward(tape, [0, 1, 1, 1], { T: 4, B: 1 });
    throws(() => rnn.forward(tape, { ...x }), /^x: expected rows, got an object$/);
    return dotLoss(tape, rnn.forward(tape, x).output, new Float32Array(12));
  });
  const state = rnn.state();
  for (const [kind, value] of [
    ['h', Number.NaN],
    ['c', Infinity],
  ] as const) {
    const bad = state.clone();
    bad[kind][0][1] = value;
    const message = new RegExp(`^state\\.${kind}\\[0\\]\\[1\\]: expected a finite number, got ${value}$`);
    throws(() => rnn.step([1, 2], bad), message);
    throws(() => model.forward((tape) => rnn.forward(tape, input(tape, [1, 2, 3, 4], shape), bad)), message);
    ok(Object.is(bad[kind][0][1], value));
    is(bad[kind][0][0], 0);
  }
  throws(() => rnn.step([1, 2], state, new BigInt64Array(3) as never), /^output: expected a Float32Array/);
  equal([...state.h[0]], [0, 0, 0]);
  runtime.dispose();
});

test('constructors that are not for users say what makes their objects', () => {
  for (const Task of [
    Forecaster,
    LanguageModel,
    Seq2Seq,
    SequenceClassifier,
    SequenceGenerator,
    SequenceRegressor,
    SequenceTagger,
    Transcriber,
  ])
    for (const given of [[], [null], [{ model: {} }]])
      throws(
        () => Reflect.construct(Task, given),
        new RegExp(`^new ${Task.name}: cannot be called; await ${Task.name}\\.create\\(options\\) makes a model$`),
      );
  const vocabulary = new Vocabulary('abc');
  throws(
    () => LanguageModel.createSync({ vocabulary: vocabulary as never }),
    /^vocabulary: expected a text or a list of tokens, got a Vocabulary; its tokens are such a list: vocabulary\.tokens$/,
  );
});

test.run();
