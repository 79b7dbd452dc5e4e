/** Gradient flow: norms compared with the double-precision reference, and that measuring changes nothing. */
import {
  type Builder,
  CELL_NAMES,
  crossEntropyLoss,
  cells as descriptions,
  dropout,
  input,
  Linear,
  Model,
  mseLoss,
  Optimizer,
  Recurrent,
  type RecurrentOptions,
  Runtime,
} from 'gatewise';
import { type Flow, flowMap, gradientFlow, heatMap, lagMap } from 'gatewise/dynamics';
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
import { equal, is, match, ok, throws } from 'uvu/assert';
import { Chance } from '../examples/support/chance.js';
import { adding, copying } from '../examples/support/memory-tasks.js';
import { exact, Graph, type Matrix } from './reference/autodiff.js';
import { cells, type Weights } from './reference/index.js';
import { builds, guarded, runtime } from './support/builds.js';
import { project } from './support/layers.js';
import { close, random, uniform } from './support/numbers.js';

const [T, B, I, H] = [7, 3, 4, 6];

interface Case {
  readonly options: Partial<RecurrentOptions>;
  readonly lengths?: readonly number[];
}

const CASES: readonly Case[] = [
  ...CELL_NAMES.map((cell) => ({ options: { cell } })),
  ...CELL_NAMES.map((cell) => ({ options: { cell, numLayers: 2 }, lengths: [7, 4, 1] })),
  { options: { cell: 'rnn', activation: 'relu', reverse: true }, lengths: [7, 5, 2] },
  { options: { cell: 'lstm', bidirectional: true } },
  { options: { cell: 'gru', bidirectional: true, merge: 'sum' }, lengths: [7, 3, 6] },
  { options: { cell: 'lstm', peepholes: true, projectionSize: 4 }, lengths: [2, 7, 7] },
  { options: { cell: 'residual', feedback: false } },
];

/** Layers whose upstream gradient is given, [T,B,P]. */
function build(rt: Runtime, { options }: Case): Model<Recurrent> {
  const all = { cell: 'rnn', inputSize: I, hiddenSize: H, ...options } as RecurrentOptions;
  return new Model(rt, 3, (b: Builder) => new Recurrent(b, 'rnn', all));
}

interface States {
  readonly h: Matrix[];
  readonly c: Matrix[];
}

/**
 * One stack of layers in double precision, keeping the states as they are handed on; `moved` is added to them.
 *
 * @returns states [layers·directions][T], and the output
 */
function reference(
  g: Graph,
  { options, lengths }: Case,
  weights: Record<string, Float32Array>,
  shapes: Record<string, readonly number[]>,
  x: Float32Array,
  moved?: (kind: 'h' | 'c', i: number, t: number, size: number) => Float64Array | null,
): { states: States[]; y: Matrix[] } {
  const cell = options.cell ?? 'rnn';
  const P = options.projectionSize || H;
  const live = (t: number) => (b: number) => !lengths || t < lengths[b];
  let steps = Array.from({ length: T }, (_, t) => g.matrix(B, I, x.subarray(t * B * I, (t + 1) * B * I)));
  const states: States[] = [];
  for (let l = 0; l < (options.numLayers ?? 1); l++) {
    const suffixes = options.bidirectional ? ['', '_reverse'] : options.reverse ? ['_reverse'] : [''];
    const outputs = suffixes.map((suffix) => {
      const ending = `_l${l}${suffix}`;
      const own: Weights = {};
      for (const [name, values] of Object.entries(weights)) {
        const tensor = name.slice('rnn.'.length);
        if (!tensor.endsWith(ending)) continue;
        const shape = shapes[name];
        const [rows, columns] = shape.length === 1 ? [1, shape[0]] : shape;
        own[tensor.slice(0, -ending.length)] = g.matrix(rows, columns, values);
      }
      const i = states.length;
      const kept: States = { h: new Array(T), c: new Array(T) };
      states.push(kept);
      let h = g.zeros(B, P);
      let c = g.zeros(B, H);
      const ys = new Array<Matrix>(T);
      for (let n = 0; n < T; n++) {
        const t = suffix ? T - 1 - n : n;
        const next = cells[cell].step(g, steps[t], h, h, c, own, options);
        const add = (m: Matrix, kind: 'h' | 'c') => {
          const values = moved?.(kind, i, t, m.data.length);
          return values ? g.add(m, g.matrix(m.rows, m.columns, values)) : m;
        };
        // nodes of their own: what the next step and the output take, not what the step itself reads
        kept.h[t] = add(g.scale(next.h, 1), 'h');
        kept.c[t] = add(g.scale(next.c, 1), 'c');
        h = g.choose(live(t), kept.h[t], h);
        if (descriptions[cell].hasC) c = g.choose(live(t), kept.c[t], c);
        ys[t] = g.choose(live(t), kept.h[t], g.zeros(B, P));
      }
      return ys;
    });
    const [a, b] = outputs;
    steps = a.map((m, t) => (b ? (options.merge === 'sum' ? g.add(m, b[t]) : g.beside(m, b[t])) : m));
  }
  return { states, y: steps };
}

const rms = (values: readonly number[]) => Math.sqrt(values.reduce((a, b) => a + b, 0) / values.length);
const squares = (m: Matrix, b: number) => {
  const n = m.columns;
  return m.grad.subarray(b * n, (b + 1) * n).reduce((sum, d) => sum + d * d, 0);
};
const all = Array.from({ length: B }, (_, b) => b);

for (const build_ of builds) {
  for (const one of CASES) {
    const { options, lengths } = one;
    const title = `${build_}: ${JSON.stringify(options)}${lengths ? ` lengths ${lengths}` : ''}`;
    test(`${title}: norms are those of the reference`, () => {
      const { runtime: rt, check } = guarded(build_);
      const model = build(rt, one);
      const x = uniform(random(5), T * B * I);
      const width = model.layers.outputSize;
      const upstream = uniform(random(6), T * B * width);
      if (lengths)
        for (let i = 0; i < upstream.length; i++)
          if (Math.floor(i / width / B) >= lengths[Math.floor(i / width) % B]) upstream[i] = 0;
      const flow = gradientFlow(model, (tape, rnn) => {
        const rows = input(tape, x, { T, B, F: I, lengths });
        return project(tape, { y: rnn.forward(tape, rows).output }, { y: upstream });
      });
      check();
      const weights = Object.fromEntries(model.parameters.map(({ name }) => [name, model.get(name)]));
      const shapes = Object.fromEntries(model.parameters.map(({ name, shape }) => [name, shape]));
      const length = (b: number) => lengths?.[b] ?? T;
      const hasC = descriptions[options.cell ?? 'rnn'].hasC;

      /** The reference's states with their gradients, of the whole upstream gradient or of that at one step of each sequence. */
      const backward = (only: 'all' | 'last' | 'first') => {
        const g = new Graph(exact);
        const { states, y } = reference(g, one, weights, shapes, x);
        const chosen = (t: number, b: number) => only === 'all' || t === (only === 'last' ? length(b) - 1 : 0);
        g.backward(
          y.map((m, t) => [
            m,
            Float64Array.from(m.data, (_, i) => (chosen(t, Math.floor(i / width)) ? upstream[t * B * width + i] : 0)),
          ]),
        );
        return states;
      };
      const [whole, last, first] = [backward('all'), backward('last'), backward('first')];
      is(flow.layers.length, whole.length);
      flow.layers.forEach((layer, i) => {
        is(layer.gradient.c !== null, hasC);
        for (const kind of hasC ? (['h', 'c'] as const) : (['h'] as const)) {
          const want = Array.from({ length: T }, (_, t) =>
            rms(all.filter((b) => t < length(b)).map((b) => squares(whole[i][kind][t], b))),
          );
          close(layer.gradient[kind] as Float64Array, want, 1e-5, `${kind} of layer ${i} by step`);
          const one = layer.reverse ? first[i] : last[i];
          const byLag = Array.from({ length: Math.max(...all.map(length)) }, (_, lag) =>
            rms(
              all
                .filter((b) => lag < length(b))
                .map((b) => squares(one[kind][layer.reverse ? lag : length(b) - 1 - lag], b)),
            ),
          );
          close(layer.lags[kind] as Float64Array, byLag, 1e-5, `${kind} of layer ${i} by lag`);
        }
      });
      model.dispose();
    });
  }
}

test('the gradients of the reference are central differences of its loss', () => {
  for (const one of CASES) {
    const model = build(runtime('simd'), one);
    const x = uniform(random(5), T * B * I);
    const weights = Object.fromEntries(model.parameters.map(({ name }) => [name, model.get(name)]));
    const shapes = Object.fromEntries(model.parameters.map(({ name, shape }) => [name, shape]));
    const upstream = uniform(random(7), T * B * model.layers.outputSize);
    const loss = (y: readonly Matrix[]) => {
      let n = 0;
      return y.reduce((sum, m) => m.data.reduce((s, v) => s + v * upstream[n++], sum), 0);
    };
    const g = new Graph(exact);
    const { states, y } = reference(g, one, weights, shapes, x);
    g.backward(y.map((m, t) => [m, upstream.subarray(t * m.data.length, (t + 1) * m.data.length)]));
    const hasC = descriptions[one.options.cell ?? 'rnn'].hasC;
    for (const kind of hasC ? (['h', 'c'] as const) : (['h'] as const)) {
      states.forEach((own, i) => {
        for (const t of [0, 3]) {
          const place = 2;
          const moved = (by: number) => {
            const again = reference(new Graph(exact), one, weights, shapes, x, (k, j, s, size) => {
              if (k !== kind || i !== j || s !== t) return null;
              const values = new Float64Array(size);
              values[place] = by;
              return values;
            });
            return loss(again.y);
          };
          const e = 1e-5;
          close(
            [(moved(e) - moved(-e)) / (2 * e)],
            [own[kind][t].grad[place]],
            1e-7,
            `${JSON.stringify(one)} ${kind} ${t}`,
          );
        }
      });
    }
    model.dispose();
  }
});

/** A model of one layer and what it does on a batch of the adding problem. */
async function addingModel(options: Partial<RecurrentOptions>, steps: number, more: { dropout?: number } = {}) {
  const { x, targets, ...shape } = adding(new Chance(1), steps, 8);
  const model = new Model(await Runtime.create(), 1, (b) => ({
    b,
    rnn: new Recurrent(b, 'rnn', { cell: 'rnn', inputSize: 2, hiddenSize: 32, ...options } as RecurrentOptions),
    head: new Linear(b, 'head', { inputSize: 32, outputSize: 1 }),
  }));
  const work: Parameters<typeof model.valueAndGrad>[0] = (tape, { b, rnn, head }) => {
    const { h } = rnn.forward(tape, input(tape, x, shape));
    return mseLoss(tape, head.forward(tape, dropout(tape, b.random, h[h.length - 1], more.dropout ?? 0)), targets);
  };
  return { model, work };
}

test('measuring changes nothing: a training with it gives the bits of one without', async () => {
  const trained = async (every: number) => {
    const { model, work } = await addingModel({ cell: 'lstm' }, 12, { dropout: 0.3 });
    const optimizer = new Optimizer(model, { learningRate: 0.01 });
    const seen: number[] = [];
    for (let i = 0; i < 12; i++) {
      model.valueAndGrad(work);
      // also between the gradients and the update
      if (i % every === 1) seen.push(gradientFlow(model, work, { optimizer }).layers[0].gradient.h[3]);
      model.clipGradNorm(1);
      optimizer.step();
    }
    const moments = Object.values(optimizer.moments).map((at) => model.runtime.read(at, model.slabBytes / 4));
    const result = [
      model.parameters.map(({ name }) => model.get(name)),
      moments,
      optimizer.steps,
      { ...model.random.next },
    ];
    model.dispose();
    return { result, seen };
  };
  const [without, with_] = [await trained(100), await trained(3)];
  ok(with_.seen.length === 4 && with_.seen.every((norm) => norm > 0));
  equal(with_.result, without.result);
});

test('vanishing, exploding and holding: adding and copying at lags from 10 to 200', async () => {
  const rt = await Runtime.create();
  const kinds: Record<string, Partial<RecurrentOptions>> = {
    small: { initializers: { recurrent: { kind: 'orthogonal', gain: 0.5 } } },
    large: { initializers: { recurrent: { kind: 'normal', std: 0.4 } } },
    identity: { activation: 'relu', initializers: { recurrent: { kind: 'identity' } } },
    lstm: { cell: 'lstm', forgetBias: 5 },
    gru: { cell: 'gru' },
    residual: { cell: 'residual', feedback: false },
    feedback: { cell: 'residual' },
  };
  for (const lag of [10, 50, 200]) {
    for (const task of ['adding', 'copying'] as const) {
      const { x, targets, ...shape } =
        task === 'adding' ? adding(new Chance(1), lag, 8) : copying(new Chance(1), lag, 8);
      const flows: Record<string, Flow> = {};
      for (const [name, options] of Object.entries(kinds)) {
        const model = new Model(rt, 1, (b) => ({
          rnn: new Recurrent(b, 'rnn', {
            cell: 'rnn',
            inputSize: shape.F,
            hiddenSize: 48,
            ...options,
          } as RecurrentOptions),
          head: new Linear(b, 'head', { inputSize: 48, outputSize: task === 'adding' ? 1 : 10 }),
        }));
        if (name === 'gru') {
          const bias = model.get('rnn.bias_ih_l0');
          bias.fill(5, 48, 96); // the update gate, which keeps the state
          model.set('rnn.bias_ih_l0', bias);
        }
        flows[name] = gradientFlow(model, (tape, { rnn, head }) => {
          const { output, h } = rnn.forward(tape, input(tape, x, shape));
          if (task === 'adding') return mseLoss(tape, head.forward(tape, h[0]), targets);
          return crossEntropyLoss(tape, head.forward(tape, output), targets as Int32Array);
        });
        model.dispose();
      }
      const of = (name: string) => flows[name].layers[0];
      const gamma = (name: string) => of(name).gamma as number;
      const what = `${task} ${lag}`;
      const { mean, max } = of('small').jacobian as { mean: number; max: number };
      ok(gamma('small') < 0.5 && gamma('small') > 0.4, `${what} small: ${gamma('small')}`);
      // an orthogonal U has one singular value, so that tanh′ alone makes the difference
      ok(mean <= 0.5 && mean > 0.45 && max <= 0.5000001, `${what}: ${mean}`);
      ok(gamma('large') > 1.1, `${what} large: ${gamma('large')}`);
      ok((of('large').jacobian?.mean as number) > gamma('large'), what);
      for (const name of ['identity', 'lstm', 'gru', 'residual']) {
        ok(gamma(name) > 0.9 && gamma(name) < 1.1, `${what} ${name}: ${gamma(name)}`);
        const { h, c } = of(name).lags;
        const both = (i: number) => Math.hypot(h[i], c?.[i] ?? 0);
        const share = both(h.length - 1) / both(0);
        ok(share > 0.05 && share < 50, `${what} ${name}: ${share}`);
      }
      close([gamma('residual')], [1], 1e-6, what);
      close([of('identity').jacobian?.max as number], [1], 1e-3, what);
      // U starts at 0
      close([gamma('feedback')], [1], 1e-6, what);
      // the picture has a row for each
      const svg = lagMap(flows);
      for (const name of Object.keys(kinds)) match(svg, `>${name}</text>`);
    }
  }
});

test('the Jacobian norm of a tanh network is that of diag(1 - h²) Uᵀ', async () => {
  const { model, work } = await addingModel({ initializers: { recurrent: { kind: 'normal', std: 0.3 } } }, 9);
  const { jacobian } = gradientFlow(model, work).layers[0];
  const U = model.get('rnn.weight_hh_l0');
  // the states of all 72 rows are a sample of at most 24
  const { x, ...shape } = adding(new Chance(1), 9, 8);
  const states: Float64Array[] = [];
  let h = Array.from({ length: 8 }, () => new Float64Array(32));
  const [W, b1, b2] = ['weight_ih_l0', 'bias_ih_l0', 'bias_hh_l0'].map((name) => model.get(`rnn.${name}`));
  for (let t = 0; t < shape.T; t++) {
    h = h.map((from, b) =>
      Float64Array.from(from, (_, i) => {
        let a = b1[i] + b2[i];
        for (let f = 0; f < 2; f++) a += W[2 * i + f] * x[2 * (t * 8 + b) + f];
        for (let j = 0; j < 32; j++) a += U[32 * i + j] * from[j];
        return Math.tanh(a);
      }),
    );
    states.push(...h);
  }
  const norm = (state: Float64Array) => {
    let v = Float64Array.from(state, (_, i) => Math.sin(i + 1));
    let size = 0;
    for (let n = 0; n < 400; n++) {
      const length = Math.hypot(...v);
      const y = state.map((h_j, j) => {
        let sum = 0;
        for (let i = 0; i < 32; i++) sum += U[32 * i + j] * v[i];
        return ((1 - h_j * h_j) * sum) / length;
      });
      size = Math.hypot(...y);
      v = Float64Array.from(state, (_, i) => {
        let sum = 0;
        for (let j = 0; j < 32; j++) sum += U[32 * i + j] * (1 - state[j] ** 2) * y[j];
        return sum;
      });
    }
    return size;
  };
  const wanted = states.filter((_, row) => row % 3 === 0).map(norm);
  close([jacobian?.mean as number], [wanted.reduce((a, b) => a + b) / wanted.length], 1e-2, 'mean');
  close([jacobian?.max as number], [Math.max(...wanted)], 1e-2, 'max');
  model.dispose();
});

test('saturated gates and dead units', async () => {
  const { model, work } = await addingModel({ cell: 'lstm' }, 10);
  is(gradientFlow(model, work).layers[0].saturated, 0);
  const bias = model.get('rnn.bias_ih_l0');
  bias.fill(9, 32, 64); // f
  bias.fill(-9, 96, 112); // half of o
  model.set('rnn.bias_ih_l0', bias);
  const { gates, saturated, dead } = gradientFlow(model, work).layers[0];
  equal(gates.f, { low: 0, high: 1 });
  equal(gates.o, { low: 0.5, high: 0 });
  equal(saturated, 1.5 / 4);
  is(dead, 0);
  model.dispose();

  const relu = await addingModel({ activation: 'relu' }, 10);
  const own = relu.model.get('rnn.bias_ih_l0').fill(1);
  own.fill(-100, 0, 8);
  relu.model.set('rnn.bias_ih_l0', own);
  const flow = gradientFlow(relu.model, relu.work).layers[0];
  is(flow.dead, 8 / 32);
  ok((flow.gates.h.low ?? 0) >= 8 / 32);
  relu.model.dispose();
});

test('updates and clipping', async () => {
  const { model, work } = await addingModel({}, 10);
  const optimizer = new Optimizer(model, { optimizer: 'sgd', learningRate: 0.5 });
  const before = model.parameters.map(({ name }) => model.get(name));
  const flow = gradientFlow(model, work, { optimizer, clipNorm: 0.1, gradientNorms: [0.05, 0.2, 0.3, 0.1] });
  is(flow.clipRate, 0.5);
  ok(flow.gradientNorm > 0.1, 'the batch is to be clipped');
  const loss = model.valueAndGrad(work);
  is(loss, flow.loss);
  model.clipGradNorm(0.1);
  optimizer.step();
  const length = (values: Iterable<number>) => Math.hypot(...values);
  const wanted = model.parameters.map(({ name }, i) => {
    const now = model.get(name);
    const update = length(before[i].map((w, j) => w - now[j]));
    return { name, weight: length(before[i]), update, ratio: update / length(before[i]) };
  });
  equal(
    flow.updates?.map(({ name }) => name),
    wanted.map(({ name }) => name),
  );
  for (const key of ['weight', 'update', 'ratio'] as const) {
    close(
      flow.updates?.map((row) => row[key]) ?? [],
      wanted.map((row) => row[key]),
      1e-5,
      key,
    );
  }
  is(gradientFlow(model, work, { clipNorm: 1e-9 }).clipRate, 1);
  is(gradientFlow(model, work, { clipNorm: 0 }).clipRate, 0);
  model.dispose();
});

test('what cannot be measured throws, and says so', async () => {
  const { model, work } = await addingModel({}, 5);
  throws(() => gradientFlow({} as never, work), /model: expected a Model/);
  throws(() => gradientFlow(model, null as never), /work: expected a function/);
  throws(
    () => gradientFlow(model, work, { clipnorm: 1 } as never),
    /unknown option 'clipnorm'; did you mean 'clipNorm'/,
  );
  throws(() => gradientFlow(model, work, { gradientNorms: [1, Number.NaN] }), /gradientNorms\[1\]/);
  const other = await addingModel({}, 5);
  throws(() => gradientFlow(model, work, { optimizer: new Optimizer(other.model) }), /another model/);
  model.freeze();
  throws(() => gradientFlow(model, work), /no gradient reaches a recurrent layer/);
  is(model.observer, null);
  model.unfreeze();
  // what the work throws leaves no observer behind
  throws(
    () =>
      gradientFlow(model, () => {
        throw new Error('mine');
      }),
    /^mine$/,
  );
  is(model.observer, null);
  equal(gradientFlow(model, work).layers.length, 1);
  model.dispose();
  other.model.dispose();
});

test('steps that continue another call of a layer are one with it', async () => {
  const model = new Model(
    await Runtime.create(),
    1,
    (b) => new Recurrent(b, 'rnn', { cell: 'gru', inputSize: 2, hiddenSize: 5 }),
  );
  const x = uniform(random(1), 16);
  const up = uniform(random(2), 5);
  const whole = gradientFlow(model, (tape, rnn) =>
    project(tape, { y: rnn.forward(tape, input(tape, x, { T: 8, B: 1, F: 2 })).h[0] }, { y: up }),
  );
  const parts = gradientFlow(model, (tape, rnn) => {
    let at = rnn.forward(tape, input(tape, x.subarray(0, 10), { T: 5, B: 1, F: 2 }));
    for (let t = 5; t < 8; t++)
      at = rnn.forward(tape, input(tape, x.subarray(2 * t, 2 * t + 2), { T: 1, B: 1, F: 2 }), at);
    return project(tape, { y: at.h[0] }, { y: up });
  });
  is(parts.layers.length, 1);
  close(parts.layers[0].gradient.h, whole.layers[0].gradient.h, 1e-5, 'gradient');
  close(parts.layers[0].lags.h, whole.layers[0].lags.h, 1e-5, 'lags');
  model.dispose();
});

test('every task: its first batch, before and during a training, and nothing changes', async () => {
  const runtime = await Runtime.create();
  const words = ['good', 'bad', 'fine'];
  const vectors = (n: number) => Array.from({ length: n }, (_, i) => [i / n, 1 - i / n]);
  const size = { hiddenSize: 8, seed: 2, runtime };
  const list = <E>(make: (i: number) => E) => Array.from({ length: 10 }, (_, i) => make(i));
  const text = 'a rose is a rose is a rose. '.repeat(6);
  // what `fit` takes, and what it changes
  const tasks = [
    {
      task: await LanguageModel.create({ ...size, vocabulary: Vocabulary.of([text]).tokens, embeddingSize: 4 }),
      data: text,
      fit: { batchSize: 2, window: 12, steps: 3 },
      layers: ['rnn'],
    },
    {
      task: await SequenceClassifier.create({ ...size, classes: ['a', 'b'], inputSize: 2, dropout: 0.2, numLayers: 2 }),
      data: list((i) => ({ input: vectors(3 + (i % 4)), label: i % 2 ? ('a' as const) : ('b' as const) })),
      fit: { batchSize: 4, epochs: 1 },
      layers: ['rnn', 'rnn'],
    },
    {
      task: await SequenceRegressor.create({ ...size, outputSize: 1, inputSize: 2, bidirectional: true }),
      data: list((i) => ({ input: vectors(3 + (i % 4)), target: [i] })),
      fit: { batchSize: 4, epochs: 1 },
      layers: ['rnn', 'rnn'],
    },
    {
      task: await SequenceTagger.create({
        ...size,
        classes: ['x', 'y'],
        vocabulary: words,
        embeddingSize: 3,
        crf: true,
      }),
      data: list((i) => ({ input: words.slice(0, 1 + (i % 3)), labels: ['x', 'y', 'x'].slice(0, 1 + (i % 3)) })),
      fit: { batchSize: 4, epochs: 1 },
      layers: ['rnn'],
    },
    {
      task: await Seq2Seq.create({
        ...size,
        source: { vocabulary: [...'abc'], embeddingSize: 3 },
        target: [...'abc'],
        embeddingSize: 3,
        attention: 'dot',
      }),
      data: list((i) => ({ source: [...'abc'].slice(0, 1 + (i % 3)), target: [...'cab'].slice(0, 1 + (i % 3)) })),
      fit: { batchSize: 4, epochs: 1 },
      layers: ['encoder', 'decoder'],
    },
    {
      task: await SequenceGenerator.create({ ...size, classes: ['up', 'down'], target: { bits: 2 } }),
      data: list((i) => ({
        input: i % 2 ? ('up' as const) : ('down' as const),
        target: list((t) => [(i + t) % 2, 1]).slice(i),
      })),
      fit: { batchSize: 4, epochs: 1 },
      layers: ['decoder'],
    },
    {
      task: await Transcriber.create({ ...size, inputSize: 2, target: 'ab' }),
      data: list((i) => ({ input: vectors(6 + (i % 3)), target: i % 2 ? 'ab' : 'b' })),
      fit: { batchSize: 4, epochs: 1 },
      layers: ['rnn'],
    },
    {
      task: await Forecaster.create({ ...size, window: 6, horizon: 3 }),
      data: Array.from({ length: 40 }, (_, i) => Math.sin(i)),
      fit: { batchSize: 4, epochs: 1 },
      layers: ['rnn'],
    },
  ];
  for (const { task, data, fit, layers } of tasks) {
    const what = task.constructor.name;
    const options = { fit } as never;
    const before = task.save();
    const flow = gradientFlow(task as never, data as never, options) as Flow;
    equal(task.save(), before, what);
    is(flow.updates, null, what);
    equal(
      flow.layers.map(({ name }) => name),
      layers,
      what,
    );
    equal(gradientFlow(task as never, data as never, options) as Flow, flow, what);
    // also between two steps of a training, whose bits stay
    const twin = await (task.constructor as unknown as typeof LanguageModel).load(before, { runtime });
    await twin.fit(data as never, fit as never);
    const norms: number[] = [];
    for await (const { gradientNorm } of task.fit(data as never, fit as never)) {
      norms.push(gradientNorm);
      const { updates, clipRate } = gradientFlow(
        task as never,
        data as never,
        { fit, gradientNorms: norms } as never,
      ) as Flow;
      ok(
        updates?.some(({ ratio }) => ratio > 0),
        what,
      );
      ok(clipRate >= 0 && clipRate <= 1);
    }
    equal(task.save(), twin.save(), what);
    // a Forecaster starts with a head of zeros: before its first step no gradient passes it
    const trained = gradientFlow(task as never, data as never, options) as Flow;
    for (const { gradient, gamma } of trained.layers) ok(gradient.h.some((norm) => norm > 0) && gamma !== null, what);
  }
  const [{ task }] = tasks;
  throws(() => (task as LanguageModel).firstBatch(() => {}), /fit: expected a call of fit/);
  throws(() => gradientFlow(task as LanguageModel, 'too short'), /text/);
  runtime.dispose();
});

/** Attributes of all elements of a kind. */
function elements(svg: string, name: string): Record<string, string>[] {
  return [...svg.matchAll(new RegExp(`<${name} ([^>]*)>`, 'g'))].map(([, text]) =>
    Object.fromEntries([...text.matchAll(/([\w-]+)="([^"]*)"/g)].map(([, key, value]) => [key, value])),
  );
}

test('a heat map has its names, its axis, its unit and the scale of its colours', async () => {
  const svg = heatMap(
    [
      { name: 'a < b', values: [1, 10, 100, 0] },
      { name: 'c', values: [100, Number.NaN] },
    ],
    { title: 'T & U', x: { name: 'lag, steps', first: 5 }, y: 'rows', unit: '‖δ‖', scale: 'log' },
  );
  for (const text of [
    'a &lt; b',
    'T &amp; U',
    'lag, steps',
    'rows',
    '‖δ‖',
    '5',
    '6',
    '7',
    '8',
    '100',
    '10',
    '1',
    '0',
  ]) {
    match(svg, `>${text}</text>`);
  }
  const cells = elements(svg, 'rect').filter(({ height }) => height === '20');
  equal(
    cells.map(({ fill }) => fill),
    ['#440154', '#23928a', '#fde725', '#ffffff', '#fde725'],
  );
  const [first, second] = cells.map(({ x }) => Number(x));
  close([second - first], [140], 1e-3, 'columns');
  // every element is closed, every name escaped
  is(svg.match(/<(?!\/)/g)?.length, (svg.match(/<\//g)?.length ?? 0) + (svg.match(/\/>/g)?.length ?? 0));
  const linear = heatMap([{ name: 'x', values: [-1, 0, 1] }], { x: { name: 't' }, unit: 'u', from: -1, to: 1 });
  equal(
    elements(linear, 'rect')
      .filter(({ height }) => height === '20')
      .map(({ fill }) => fill)[2],
    '#fde725',
  );
  throws(() => heatMap([], { x: { name: 't' }, unit: 'u' }), /at least one number/);
  throws(() => heatMap([{ name: 'x', values: [0] }], { x: { name: 't' }, unit: 'u', scale: 'log' }), /above 0/);
  throws(() => heatMap([{ name: 'x', values: [1] }], { x: { name: 't' } } as never), /unit/);

  const { model, work } = await addingModel({ cell: 'lstm', numLayers: 2, bidirectional: true }, 8);
  const drawn = flowMap(gradientFlow(model, work));
  for (const name of ['rnn l0 h', 'rnn l0 reverse c', 'rnn l1 reverse h', 'step t']) match(drawn, `>${name}</text>`);
  model.dispose();
});

test.run();
