/** What holds for every recurrent layer, whatever its cell: steps and sequences, batches and rows, padding, options, odd numbers. */
import {
  type Builder,
  CELL_NAMES,
  Embedding,
  type Gradient,
  gradientOf,
  input,
  inspect,
  Linear,
  Model,
  Recurrent,
  type RecurrentOptions,
  read,
  type State,
} from 'gatewise';
import { test } from 'uvu';
import { equal, is, not, ok, throws } from 'uvu/assert';
import { exact, Graph, type Matrix } from './reference/autodiff.js';
import { stack as reference } from './reference/recurrent.js';
import { builds, runtime } from './support/builds.js';
import { fitting, widthFor } from './support/cells.js';
import { project, runLayers } from './support/layers.js';
import { close, random, uniform } from './support/numbers.js';

type Options = Partial<RecurrentOptions>;

/** Each cell, plain and with what changes its arithmetic. */
const variants: Options[] = [
  ...CELL_NAMES.map((cell) => ({ cell })),
  ...CELL_NAMES.map((cell) => ({ cell, ...fitting(cell, { numLayers: 2, layerNorm: true, zoneoutHidden: 0.3 }) })),
  { cell: 'rnn', activation: 'relu' },
  { cell: 'lstm', projectionSize: 5, peepholes: true, cellClip: 0.5, zoneoutCell: 0.2 },
  { cell: 'lstm', coupled: true, numLayers: 2 },
  { cell: 'gru', reset: 'before' },
  { cell: 'residual', feedback: false },
  { cell: 'mingru', positive: true },
  { cell: 'minlstm', positive: true },
  { cell: 'lru', activation: 'tanh', numLayers: 2 },
];
const I = 7;
const H = 19;

function model(build: string, options: Options, seed = 1): Model<Recurrent> {
  const hiddenSize = widthFor(options.cell ?? 'lstm', H);
  const all = { inputSize: I, hiddenSize, ...options } as RecurrentOptions;
  return new Model(runtime(build), seed, (b: Builder) => new Recurrent(b, 'rnn', all));
}

/** Outputs [T,B,P], and the state moved on. */
function forward(
  m: Model<Recurrent>,
  x: ArrayLike<number>,
  T: number,
  B: number,
  state?: State,
  lengths?: number[],
): Float32Array {
  return m.forward((tape, rnn) => {
    const rows = input(tape, x, { T, B, F: I, lengths });
    return read(tape, rnn.forward(tape, rows, state).output);
  });
}

const title = (o: Options) =>
  Object.entries(o)
    .map(([k, v]) => (k === 'cell' ? v : `${k}=${v}`))
    .join(' ');

for (const build of builds) {
  for (const options of variants) {
    const T = 6;
    const B = 5;
    const x = uniform(random(2), T * B * I);

    // relaxed promises rounding only, but one engine fuses always or never
    test(`${build}: ${title(options)}: step by step equals the sequence, two halves one, bit for bit`, () => {
      const m = model(build, options);
      const whole = m.layers.state(B);
      const y = forward(m, x, T, B, whole);
      const state = m.layers.state(B);
      for (let t = 0; t < T; t++) {
        const out = m.layers.step(x.subarray(t * B * I, (t + 1) * B * I), state);
        equal(out, y.slice(t * out.length, (t + 1) * out.length), `step ${t}`);
      }
      equal(state, whole);
      const carried = m.layers.state(B);
      const first = forward(m, x.subarray(0, 2 * B * I), 2, B, carried);
      const second = forward(m, x.subarray(2 * B * I), T - 2, B, carried);
      equal(Float32Array.of(...first, ...second), y);
      equal(carried, whole);
    });

    test(`${build}: ${title(options)}: a row alone equals that row in a batch, in any order, bit for bit`, () => {
      const m = model(build, options);
      const y = forward(m, x, T, B);
      const P = y.length / T / B;
      const row = (a: ArrayLike<number>, F: number, b: number) =>
        Float32Array.from({ length: T * F }, (_, i) => a[(Math.floor(i / F) * B + b) * F + (i % F)]);
      for (let b = 0; b < B; b++) equal(forward(m, row(x, I, b), T, 1), row(y, P, b), `row ${b}`);
      const order = [3, 0, 4, 2, 1];
      const mixed = new Float32Array(x.length);
      for (let t = 0; t < T; t++) {
        order.forEach((from, to) => {
          mixed.set(x.subarray((t * B + from) * I, (t * B + from + 1) * I), (t * B + to) * I);
        });
      }
      const z = forward(m, mixed, T, B);
      for (const [to, from] of order.entries()) equal(row(z, P, to), row(y, P, from));
    });

    test(`${build}: ${title(options)}: from nothing as from a state of zeros, inferred as in training, bit for bit`, () => {
      // more rows than are multiplied at once where nothing is kept, and another number of them
      const [T, B] = [29, 7];
      const x = uniform(random(9), T * B * I);
      const lengths = [29, 3, 1, 20, 9, 29, 19];
      for (const given of [{}, { lengths }]) {
        const run = (work: (m: Model<Recurrent>, state: State | undefined) => unknown, zeros: boolean) => {
          const m = model(build, { ...options, bidirectional: true });
          return work(m, zeros ? m.layers.state(B) : undefined);
        };
        const trained = (m: Model<Recurrent>, state: State | undefined) => {
          const seen: Float32Array[] = [];
          let dx: Gradient | undefined;
          m.valueAndGrad((tape, rnn) => {
            const rows = input(tape, x, { T, B, F: I, ...given }, { gradient: true });
            dx = gradientOf(tape, rows);
            const { output, h } = rnn.forward(tape, rows, state);
            seen.push(read(tape, output), ...h.map((rows) => read(tape, rows)));
            return project(tape, { y: output }, { y: uniform(random(3), T * B * output.F) });
          });
          return [...seen, dx?.values, ...m.parameters.map(({ name }) => m.gradient(name))];
        };
        const inferred = (m: Model<Recurrent>, state: State | undefined) =>
          m.forward((tape, rnn) => {
            const { output, h } = rnn.forward(tape, input(tape, x, { T, B, F: I, ...given }), state);
            return [read(tape, output), ...h.map((rows) => read(tape, rows))];
          });
        const kept = (m: Model<Recurrent>) => inspect(m, m.layers, x, { T, B, ...given });
        equal(run(trained, false), run(trained, true));
        equal(run(inferred, false), run(inferred, true));
        const states = run(kept, false) as ReturnType<typeof kept>;
        const outputs = states.slice(-2).map(({ h }) => h);
        const [y] = run(inferred, false) as Float32Array[];
        const P = y.length / T / B / 2;
        for (let r = 0; r < T * B; r++) {
          const live = Math.floor(r / B) < (given.lengths?.[r % B] ?? T);
          for (const [d, h] of outputs.entries()) {
            const want = live ? h.subarray(r * P, (r + 1) * P) : new Float32Array(P);
            equal(y.subarray((2 * r + d) * P, (2 * r + d + 1) * P), want, `row ${r}, direction ${d}`);
          }
        }
      }
    });

    for (const bad of [Number.NaN, Infinity, -Infinity]) {
      test(`${build}: ${title(options)}: ${bad} past the ends has no effect, its gradients are exactly 0`, () => {
        const lengths = [3, 6, 1, 5, 2];
        const run = (fill: number) => {
          const m = model(build, { ...options, bidirectional: true });
          const dirty = x.map((v, i) => (Math.floor(i / I / B) >= lengths[Math.floor(i / I) % B] ? fill : v));
          let dx: Gradient | undefined;
          let y: Float32Array = new Float32Array();
          m.valueAndGrad((tape, rnn) => {
            const rows = input(tape, dirty, { T, B, F: I, lengths }, { gradient: true });
            dx = gradientOf(tape, rows);
            const { output } = rnn.forward(tape, rows);
            y = read(tape, output);
            const up = uniform(random(3), y.length).map((v, i) => {
              const r = Math.floor(i / output.F);
              return Math.floor(r / B) >= lengths[r % B] ? fill : v;
            });
            return project(tape, { y: output }, { y: up });
          });
          return { dx: dx?.values ?? new Float32Array(), y, weights: m.parameters.map(({ name }) => m.gradient(name)) };
        };
        const [clean, dirty] = [run(0), run(bad)];
        equal(dirty, clean);
        for (let t = 0; t < T; t++) {
          for (let b = 0; b < B; b++) {
            if (t >= lengths[b]) ok(clean.dx.subarray((t * B + b) * I, (t * B + b + 1) * I).every((v) => v === 0));
          }
        }
        ok(clean.weights.flatMap((w) => [...w]).every(Number.isFinite));
      });
    }
  }

  test(`${build}: gradients of weights are accumulated, those of inputs too`, () => {
    const m = model(build, { cell: 'gru' });
    const x = uniform(random(4), 3 * 2 * I);
    const gradients = (times: number) => {
      let dx: Gradient | undefined;
      m.valueAndGrad((tape, rnn) => {
        const rows = input(tape, x, { T: 3, B: 2, F: I }, { gradient: true });
        dx = gradientOf(tape, rows);
        const losses = Array.from({ length: times }, () => {
          const { output } = rnn.forward(tape, rows);
          return { loss: project(tape, { y: output }, { y: new Float32Array(6 * H).fill(1) }), weight: 1 };
        });
        return losses;
      });
      return { dx: dx?.values ?? new Float32Array(), dw: m.gradient('rnn.weight_hh_l0') };
    };
    const [one, two] = [gradients(1), gradients(2)];
    close(
      two.dx,
      one.dx.map((v) => 2 * v),
      1e-6,
      'dx',
    );
    close(
      two.dw,
      one.dw.map((v) => 2 * v),
      1e-6,
      'dw',
    );
    equal(gradients(1), one, 'nothing is left of the step before');
  });

  for (const cell of CELL_NAMES) {
    test(`${build}: ${cell}: saturated, tiny and huge inputs give what double precision gives`, () => {
      for (const scale of [1e-30, 1e-5, 50, 1e4, 1e20]) {
        const [T, B] = [4, 3];
        const x = uniform(random(5), T * B * I, scale);
        const m = model(build, { cell });
        const y = forward(m, x, T, B);
        const graph = new Graph(exact);
        const weights = Object.fromEntries(
          m.parameters.map(({ name, shape }) => [
            name.slice(4),
            graph.matrix(shape.length > 1 ? shape[0] : 1, shape[shape.length - 1], m.get(name)),
          ]),
        );
        const steps = Array.from({ length: T }, (_, t) => graph.matrix(B, I, x.subarray(t * B * I, (t + 1) * B * I)));
        const options = { cell, inputSize: I, hiddenSize: widthFor(cell, H) };
        const want = reference(graph, { options, T, B }, steps, weights, null, () => new Float32Array());
        const flat = Float64Array.from(want.y.flatMap((w: Matrix) => [...w.data]));
        const largest = flat.reduce((a, v) => Math.max(a, Math.abs(v)), 0);
        const worst = flat.reduce((a, v, i) => Math.max(a, Math.abs(v - y[i])), 0);
        ok(worst <= 1e-5 * largest + 1e-7, `±${scale}: off by ${worst} of ${largest}`);
      }
    });

    test(`${build}: ${cell}: denormal data leave no denormal number, which would be a hundred times slower`, () => {
      const [T, B, F, U] = [150, 4, 32, 48];
      for (const [scale, weights, up] of [
        [1e-40, 0.1, 1],
        [1, 1e-40, 1],
        [1, 0.1, 1e-40],
        [1e-30, 0.1, 1e-30],
        [1e-21, 1e-21, 1],
        [0, 0.1, 1],
      ]) {
        const options: RecurrentOptions = { cell, inputSize: F, hiddenSize: U, bias: false };
        const m = new Model(runtime(build), 1, (b) => new Recurrent(b, 'rnn', options));
        for (const { name, size } of m.parameters) m.set(name, uniform(random(6), size, weights));
        // after the first step nothing comes in: the state fades
        const x = uniform(random(7), T * B * F, scale || 1).map((v, i) => (scale || i < B * F ? v : 0));
        const u = uniform(random(8), T * B * U, up);
        const seen: Record<string, Float32Array> = {};
        m.valueAndGrad((tape, rnn) => {
          const { output } = rnn.forward(tape, input(tape, x, { T, B, F }, { gradient: true }));
          seen.outputs = read(tape, output);
          return project(tape, { y: output }, { y: u });
        });
        for (const { name } of m.parameters) seen[name] = m.gradient(name);
        for (const [name, values] of Object.entries(seen)) {
          const bad = values.findIndex((v) => v !== 0 && Math.abs(v) < 2 ** -126);
          is(bad, -1, `x ±${scale}, weights ±${weights}, gradients ±${up}: ${name}[${bad}] is ${values[bad]}`);
        }
      }
    });
  }
}

test('inspect shows gates between 0 and 1, and the states that forward gives', () => {
  for (const options of variants.filter((o) => !o.zoneoutHidden && !o.zoneoutCell)) {
    const m = model('simd', { ...options, bidirectional: true });
    const x = uniform(random(2), 4 * 3 * I);
    const y = forward(m, x, 4, 3);
    const traces = inspect(m, m.layers, x, { T: 4, B: 3 });
    is(traces.length, 2 * m.layers.numLayers);
    const [last, back] = traces.slice(-2);
    const P = m.layers.outputSize / 2;
    for (let r = 0; r < 12; r++) {
      equal(last.h.slice(r * P, (r + 1) * P), y.slice(2 * r * P, (2 * r + 1) * P));
      equal(back.h.slice(r * P, (r + 1) * P), y.slice((2 * r + 1) * P, (2 * r + 2) * P));
    }
    for (const { gates, c } of traces) {
      for (const [name, values] of Object.entries(gates)) {
        is(values.length, 12 * widthFor(options.cell ?? 'lstm', H));
        if ('ifozr'.includes(name))
          ok(
            values.every((v) => v >= 0 && v <= 1),
            name,
          );
      }
      is(c !== null, m.layers.stateSizes.c.length > 0);
    }
  }
  const m = model('simd', { cell: 'lstm' });
  const x = uniform(random(2), 4 * 3 * I);
  const [{ gates, h, c }] = inspect(m, m.layers, x, { T: 4, B: 3 });
  equal(Object.keys(gates), ['i', 'f', 'g', 'o']);
  const state = m.layers.state(3);
  forward(m, x, 4, 3, state);
  equal(c?.slice(9 * H), state.c[0]);
  equal(h.slice(9 * H), state.h[0]);
  for (let i = 0; i < h.length; i++) ok(Math.abs(h[i] - gates.o[i] * Math.tanh(c?.[i] ?? 0)) < 1e-6);
});

test('every option changes what comes out', () => {
  const x = uniform(random(2), 5 * 2 * I);
  const run = (options: Options) => {
    const m = model('simd', { cell: 'lstm', ...options });
    // the same weights everywhere, so that only the option makes a difference
    for (const { name, size } of m.parameters) m.set(name, uniform(random(9), size, 0.5));
    let y: Float32Array = new Float32Array();
    m.valueAndGrad((tape, rnn) => {
      const { output } = rnn.forward(tape, input(tape, x, { T: 5, B: 2, F: I }));
      y = read(tape, output);
      return project(tape, { y: output }, { y: new Float32Array(y.length) });
    });
    return [...y].join();
  };
  const pairs: [Options, Options][] = [
    [{ cell: 'rnn' }, { cell: 'residual' }],
    [{}, { cell: 'gru' }],
    [{ cell: 'rnn' }, { cell: 'rnn', activation: 'relu' }],
    [{ cell: 'rnn' }, { cell: 'rnn', activation: 'sigmoid' }],
    [{ cell: 'rnn' }, { cell: 'rnn', activation: 'identity' }],
    [{ cell: 'gru' }, { cell: 'gru', reset: 'before' }],
    [{ cell: 'gru' }, { cell: 'gru', activation: 'relu' }],
    [{ cell: 'residual' }, { cell: 'residual', feedback: false }],
    [{ cell: 'mingru' }, { cell: 'minlstm' }],
    [{ cell: 'mingru' }, { cell: 'mingru', positive: true }],
    [{ cell: 'minlstm' }, { cell: 'minlstm', positive: true }],
    [{ cell: 'minlstm' }, { cell: 'lru' }],
    [{ cell: 'lru' }, { cell: 'lru', activation: 'relu' }],
    [{}, { projectionSize: 4 }],
    [{}, { peepholes: true }],
    [{}, { coupled: true }],
    [{}, { cellClip: 0.1 }],
    [{}, { bias: false }],
    [{}, { numLayers: 2 }],
    [{}, { hiddenSize: [19, 19] }],
    [{}, { reverse: true }],
    [{}, { bidirectional: true }],
    [
      { bidirectional: true, merge: 'sum' },
      { bidirectional: true, merge: 'mean' },
    ],
    [
      { bidirectional: true, merge: 'sum' },
      { bidirectional: true, merge: 'mul' },
    ],
    [{}, { initialState: 'learned' }],
    [{ numLayers: 2 }, { numLayers: 2, dropout: 0.5 }],
    [{}, { variationalDropout: 0.5 }],
    [{}, { zoneoutHidden: 0.5 }],
    [{}, { zoneoutCell: 0.5 }],
    [{}, { weightDrop: 0.5 }],
    [{}, { layerNorm: true }],
  ];
  for (const [a, b] of pairs) not.equal(run(a), run(b), `${title(a)} and ${title(b)}`);
  const start = (options: Options) => model('simd', { cell: 'lstm', ...options }).get('rnn.bias_ih_l0');
  const [plain, one] = [start({}), start({ forgetBias: 1 })];
  ok(plain.every((v, i) => Math.abs(one[i] - v - (i >= H && i < 2 * H ? 1 : 0)) < 1e-6));
});

test('regularisers have no effect at inference, and draw again in training', () => {
  const x = uniform(random(2), 5 * 2 * I);
  for (const key of ['dropout', 'variationalDropout', 'weightDrop'] as const) {
    const options = { cell: 'gru' as const, numLayers: 2 };
    const [plain, other] = [model('simd', options), model('simd', { ...options, [key]: 0.5 })];
    equal(forward(other, x, 5, 2), forward(plain, x, 5, 2), key);
    const train = () => {
      let y = '';
      other.valueAndGrad((tape, rnn) => {
        const { output } = rnn.forward(tape, input(tape, x, { T: 5, B: 2, F: I }));
        y = read(tape, output).join();
        return project(tape, { y: output }, { y: new Float32Array(5 * 2 * H) });
      });
      return y;
    };
    not.equal(train(), train(), key);
  }
});

test('options that make no sense are refused, with both named', () => {
  const refused: [object, RegExp][] = [
    [{ cell: 'lstm', bidirectional: true, reverse: true }, /bidirectional and reverse cannot be combined/],
    [{ cell: 'lstm', merge: 'sum' }, /merge and bidirectional: false/],
    [{ cell: 'lstm', dropout: 0.5 }, /dropout and numLayers: 1/],
    [{ cell: 'gru', zoneoutCell: 0.5 }, /zoneoutCell and cell: 'gru'/],
    [{ cell: 'gru', projectionSize: 4 }, /projectionSize: not an option of cell 'gru'/],
    [{ cell: 'rnn', peepholes: true }, /peepholes: not an option of cell 'rnn'/],
    [{ cell: 'residual', activation: 'relu' }, /activation: not an option of cell 'residual'/],
    [{ cell: 'lstm', reset: 'before' }, /reset: not an option of cell 'lstm'/],
    [{ cell: 'lstm', feedback: false }, /feedback: not an option of cell 'lstm'/],
    [{ cell: 'gru', activation: 'swish' }, /activation: expected 'tanh' or 'sigmoid'.*got 'swish'/],
    [
      { cell: 'gru', gateActivation: { kind: 'tanh', alpha: 1 } },
      /gateActivation.alpha and 'tanh' cannot.*no such number/,
    ],
    [{ cell: 'gru', gateActivation: { kind: 'elu', beta: 1 } }, /gateActivation.beta and 'elu'/],
    [{ cell: 'lstm', outputActivation: { kind: 'elu', alpha: -1 } }, /outputActivation.alpha: expected.*0.*got -1/],
    [{ cell: 'lstm', activation: { kind: 'scaledTanh', alpha: 0 } }, /activation.alpha: expected.*above 0.*got 0/],
    [{ cell: 'lstm', activation: { kind: 'elu', gamma: 2 } }, /activation: unknown option 'gamma'/],
    [{ cell: 'lstm', activation: { alpha: 2 } }, /activation.kind: expected 'tanh'/],
    [{ cell: 'lstm', activation: ['tanh', 'relu'] }, /two functions and bidirectional: false.*one direction only/],
    [{ cell: 'lstm', bidirectional: true, activation: ['tanh'] }, /activation: expected a function, or two/],
    [{ cell: 'rnn', gateActivation: 'sigmoid' }, /gateActivation: not an option of cell 'rnn'/],
    [{ cell: 'gru', outputActivation: 'relu' }, /outputActivation: not an option of cell 'gru'/],
    [{ cell: 'rnn', activationClip: -1 }, /activationClip: expected.*got -1/],
    [{ cell: 'rnn', activationClip: Number.NaN }, /activationClip: expected/],
    [{ cell: 'lru', activationClip: 1 }, /activationClip: not an option of cell 'lru'/],
    [{ cell: 'lstm', projectionSize: H }, /projectionSize and hiddenSize/],
    [{ cell: 'lstm', coupled: true, forgetBias: 1 }, /coupled and forgetBias/],
    [{ cell: 'lstm', bias: false, forgetBias: 1 }, /forgetBias and bias: false/],
    [{ cell: 'residual', feedback: false, weightDrop: 0.2 }, /weightDrop and feedback: false/],
    [
      { cell: 'residual', feedback: false, initializers: { recurrent: { kind: 'identity' } } },
      /initializers.recurrent and feedback: false/,
    ],
    ...(['mingru', 'minlstm'] as const).flatMap((cell): [object, RegExp][] => [
      [{ cell, weightDrop: 0.2 }, new RegExp(`weightDrop and cell: '${cell}'.*there are no recurrent weights`)],
      [{ cell, initializers: { recurrent: { kind: 'orthogonal' } } }, /initializers.recurrent and cell: 'min/],
      [{ cell, zoneoutCell: 0.1 }, /zoneoutCell and cell: 'min/],
      [{ cell, activation: 'relu' }, /activation: not an option of cell 'min/],
      [{ cell, positive: 1 }, /positive: expected true or false, got 1/],
    ]),
    [{ cell: 'lru', hiddenSize: 9 }, /cell: 'lru' and hiddenSize.*hiddenSize \/ 2 complex numbers/],
    [{ cell: 'lru', hiddenSize: [8, 9] }, /cell: 'lru' and hiddenSize/],
    [{ cell: 'lru', zoneoutHidden: 0.1 }, /zoneoutHidden and cell: 'lru'/],
    [{ cell: 'lru', zoneoutCell: 0.1 }, /zoneoutCell and cell: 'lru'/],
    [{ cell: 'lru', weightDrop: 0.1 }, /weightDrop and cell: 'lru'/],
    [{ cell: 'lru', initializers: { recurrent: { kind: 'he' } } }, /initializers.recurrent and cell: 'lru'/],
    [{ cell: 'lru', activation: 'exp' }, /activation: expected 'tanh'/],
    [{ cell: 'lru', projectionSize: 3 }, /projectionSize: not an option of cell 'lru'/],
    [{ cell: 'gru', positive: true }, /positive: not an option of cell 'gru'/],
    [{ cell: 'gru', reset: 'before', layerNorm: true }, /layerNorm and reset: 'before'/],
    [
      { cell: 'rnn', bias: false, initializers: { bias: { kind: 'constant', value: 0 } } },
      /initializers.bias and bias: false/,
    ],
    [
      { cell: 'lstm', projectionSize: 4, initializers: { recurrent: { kind: 'identity' } } },
      /identity.*projectionSize/,
    ],
    [{ cell: 'lstm', hiddenSize: [4, 5], numLayers: 3 }, /hiddenSize: lists 2 layers, numLayers is 3/],
    [{ cell: 'lstm', hiddenSize: [] }, /hiddenSize: expected at least one/],
    [{ cell: 'lstm', hiddenSize: [4, 0] }, /hiddenSize\[1\]: .*got 0/],
    [{ cell: 'lstm', inputSize: 0 }, /inputSize: .*got 0/],
    [{ cell: 'lstm', zoneoutHidden: 1 }, /zoneoutHidden: expected a number below 1, got 1/],
    [{ cell: 'lstm', weightDrop: -0.1 }, /weightDrop: .*got -0.1/],
    [{ cell: 'lstm', bidirectional: 1 }, /bidirectional: expected true or false, got 1/],
    [{ cell: 'lstm', initialState: 'random' }, /initialState: expected 'zero' or 'learned'/],
    [{ cell: 'lstm', initializers: { recurrent: { kind: 'ortho' } } }, /initializers.recurrent.kind: .*did you mean/],
    [{ cell: 'lstm', initializers: { inputs: { kind: 'glorot' } } }, /unknown option 'inputs'; did you mean 'input'/],
    [{ cell: 'lstm', biderectional: true }, /unknown option 'biderectional'; did you mean 'bidirectional'/],
  ];
  for (const [options, message] of refused) throws(() => model('simd', options), message);
  const m = model('simd', { cell: 'lstm', bidirectional: true });
  throws(
    () => m.layers.step(new Float32Array(I), m.layers.state(1)),
    /step: a bidirectional layer needs the whole sequence/,
  );
  const n = model('simd', { cell: 'lstm' });
  for (const wrong of [Number.NaN, Infinity, -Infinity]) {
    const state = n.layers.state(1);
    throws(() => n.layers.step(new Float32Array(I).fill(wrong, 1, 2), state), /^x\[1\]: expected a finite number/);
    equal(state.h, n.layers.state(1).h);
  }
  throws(
    () => n.layers.step(new Float32Array(I + 1), n.layers.state(1)),
    /x: expected \[B=1, I=7\] = 7 numbers, got 8/,
  );
  throws(
    () => forward(n, new Float32Array(2 * I), 1, 2, n.layers.state(3)),
    /state: is of 3 sequences, the batch has 2/,
  );
  throws(
    () => forward(n, new Float32Array(2 * I), 1, 2, m.layers.state(2)),
    /state: expected h of \[19\] features, layer by layer, got/,
  );
  throws(
    () => forward(n, new Float32Array(4 * I), 2, 2, undefined, [1]),
    /lengths: expected \[B=2\] = 2 numbers, got 1/,
  );
  throws(() => forward(n, new Float32Array(4 * I), 2, 2, undefined, [1, 3]), /lengths\[1\]: .*got 3/);
});

test("'irnn' is the start of an IRNN, which has ReLU", () => {
  const irnn = { activation: 'relu', hiddenSize: 40, initializers: 'irnn' } as const;
  const own = model('simd', { cell: 'rnn', ...irnn });
  equal([...own.get('rnn.bias_ih_l0'), ...own.get('rnn.bias_hh_l0')], Array(80).fill(0));
  equal(
    own.get('rnn.weight_hh_l0'),
    Float32Array.from({ length: 1600 }, (_, i) => (i % 41 ? 0 : 1)),
  );
  const w = own.get('rnn.weight_ih_l0');
  const deviation = Math.sqrt(w.reduce((s, v) => s + v * v, 0) / w.length);
  ok(deviation > 5e-4 && deviation < 2e-3, `${deviation}`);
  throws(
    () => model('simd', { cell: 'rnn', hiddenSize: 3, initializers: 'irnn' }),
    /initializers: 'irnn' and activation: 'tanh' cannot be combined: an IRNN has ReLU/,
  );
  for (const cell of ['lstm', 'gru'] as const)
    throws(
      () => model('simd', { cell, hiddenSize: 3, initializers: 'irnn' }),
      new RegExp(`initializers: 'irnn' and cell: '${cell}' cannot be combined`),
    );
  const start = model('simd', { cell: 'residual', hiddenSize: 3 });
  for (const name of ['bias_ih_l0', 'bias_hh_l0', 'weight_hh_l0']) ok(start.get(`rnn.${name}`).every((v) => v === 0));
});

test('orthonormalRows: rows are orthonormalised one after the other', () => {
  const core = runtime('simd');
  for (const [K, N] of [
    [3, 5],
    [16, 16],
    [5, 32],
  ]) {
    const start = uniform(random(7), K * N, 1);
    const ld = 64 * Math.ceil(N / 16);
    const q = core.scope(() => {
      const [to, from] = [core.take(K * ld), core.takeZeroed(K * ld)];
      for (let i = 0; i < K; i++) core.write(from + i * ld, start.subarray(i * N, (i + 1) * N));
      core.core.orthonormalRows(to, from, ld, K, N);
      return Array.from({ length: K }, (_, i) => core.read(to + i * ld, N));
    });
    const dot = (x: Float64Array, y: ArrayLike<number>) => x.reduce((sum, v, k) => sum + v * y[k], 0);
    const rows: Float64Array[] = [];
    for (let i = 0; i < K; i++) {
      const row = Float64Array.from(start.subarray(i * N, (i + 1) * N));
      // Gram and Schmidt; the sign is free
      for (const other of rows) {
        const along = dot(row, other);
        for (let k = 0; k < N; k++) row[k] -= along * other[k];
      }
      const length = Math.sqrt(dot(row, row));
      rows.push(row.map((v) => v / length));
      const sign = Math.sign(dot(row, q[i]));
      close(
        q[i],
        rows[i].map((v) => sign * v),
        1e-4,
        `K ${K}, N ${N}, row ${i}`,
      );
    }
  }
});

test('initializers', () => {
  const start = (recurrent: object, hiddenSize = H) =>
    model('simd', { cell: 'gru', hiddenSize, initializers: { recurrent: recurrent as never } }).get('rnn.weight_hh_l0');
  const block = (w: Float32Array, n: number, g: number) => w.subarray(g * n * n, (g + 1) * n * n);
  for (const n of [1, 2, 5, 19, 64]) {
    const w = start({ kind: 'orthogonal', gain: 2 }, n);
    for (let g = 0; g < 3; g++) {
      const q = block(w, n, g);
      for (let a = 0; a < n; a++) {
        for (let b = 0; b < n; b++) {
          let dot = 0;
          for (let k = 0; k < n; k++) dot += q[a * n + k] * q[b * n + k];
          ok(Math.abs(dot - (a === b ? 4 : 0)) < 1e-5, `H=${n} gate ${g}: ${a}·${b} = ${dot}`);
        }
      }
    }
  }
  ok(block(start({ kind: 'orthogonal' }), H, 0).join() !== block(start({ kind: 'orthogonal' }), H, 1).join());
  equal([...block(start({ kind: 'identity', scale: 0.5 }, 3), 3, 2)], [0.5, 0, 0, 0, 0.5, 0, 0, 0, 0.5]);
  ok(start({ kind: 'constant', value: 0.25 }).every((v) => v === 0.25));
  const deviation = (w: Float32Array) => Math.sqrt(w.reduce((s, v) => s + v * v, 0) / w.length);
  ok(Math.abs(deviation(start({ kind: 'he' }, 100)) / Math.sqrt(2 / 100) - 1) < 0.03);
  ok(Math.abs(deviation(start({ kind: 'glorot' }, 100)) / Math.sqrt(6 / 200 / 3) - 1) < 0.03);
  ok(Math.abs(deviation(start({ kind: 'normal', std: 0.3 }, 100)) / 0.3 - 1) < 0.03);
  const tall = new Model(runtime('simd'), 1, (b) =>
    b.parameter('w', [8, 3], { initializer: { kind: 'orthogonal' } }),
  ).get('w');
  for (let a = 0; a < 3; a++) {
    for (let b = 0; b < 3; b++) {
      let dot = 0;
      for (let k = 0; k < 8; k++) dot += tall[k * 3 + a] * tall[k * 3 + b];
      ok(Math.abs(dot - (a === b ? 1 : 0)) < 1e-5);
    }
  }
});

for (const build of builds) {
  test(`${build}: a token that repeats is multiplied once: the same outputs bit for bit, the same gradients`, () => {
    const [T, B, V] = [6, 4, 5];
    const next = random(11);
    const tokens = Array.from({ length: T * B }, () => Math.floor(next() * V));
    for (const options of [
      ...variants,
      { cell: 'lstm', bidirectional: true },
      { cell: 'gru', bidirectional: true },
    ] as Options[]) {
      for (const lengths of [undefined, [3, 6, 1, 5]]) {
        const hiddenSize = widthFor(options.cell ?? 'lstm', H);
        const width = (options.projectionSize ?? hiddenSize) * (options.bidirectional ? 2 : 1);
        const upstream = { y: uniform(random(12), T * B * width) };
        const distinct: unknown[] = [];
        const [once, each] = [true, false].map((repeats) =>
          runLayers(
            runtime(build),
            (b) => ({
              e: new Embedding(b, 'e', { vocabularySize: V, embeddingSize: I, paddingToken: 2 }),
              rnn: new Recurrent(b, 'rnn', { inputSize: I, hiddenSize, ...options } as RecurrentOptions),
            }),
            {},
            upstream,
            (tape, { e, rnn }) => {
              const x = e.forward(tape, tokens, { T, B, lengths });
              distinct.push(x.unique?.()?.rows.T);
              return {
                inputs: {},
                outputs: { y: rnn.forward(tape, repeats ? x : tape.own({ ...x, unique: undefined })).output },
              };
            },
          ),
        );
        equal(distinct[0], V);
        equal(once.outputs, each.outputs, title(options));
        for (const [name, want] of Object.entries(each.gradients)) {
          close(once.gradients[name], want, 2e-6, `${title(options)} lengths=${lengths} ${name}`);
        }
        ok(once.gradients['e.weight'].length === V * I && Array.from(once.gradients['e.weight']).some((g) => g !== 0));
      }
    }
  });
}

for (const build of builds) {
  test(`${build}: rows of repeated tokens are looked up if a layer reads them, with the same gradients whoever reads first`, () => {
    const [T, B, V] = [6, 4, 5];
    const next = random(21);
    const tokens = Array.from({ length: T * B }, () => Math.floor(next() * V));
    const upstream = { y: uniform(random(22), T * B * H), z: uniform(random(23), T * B * 3) };
    const train = (order: 'recurrent first' | 'linear first' | 'recurrent alone') => {
      const looked: number[] = [];
      const { gradients } = runLayers(
        runtime(build),
        (b) => ({
          e: new Embedding(b, 'e', { vocabularySize: V, embeddingSize: I }),
          rnn: new Recurrent(b, 'rnn', { cell: 'gru', inputSize: I, hiddenSize: H }),
          linear: new Linear(b, 'linear', { inputSize: I, outputSize: 3 }),
        }),
        {},
        upstream,
        (tape, { e, rnn, linear }) => {
          const { rows } = tape;
          tape.rows = (...args) => {
            if (args[2] === I) looked.push(args[0] * args[1]);
            return rows.apply(tape, args);
          };
          const x = e.forward(tape, tokens, { T, B });
          const early = order === 'linear first' ? linear.forward(tape, x) : undefined;
          const { output: y } = rnn.forward(tape, x);
          if (order === 'recurrent alone') return { inputs: {}, outputs: { y } };
          return { inputs: {}, outputs: { y, z: early ?? linear.forward(tape, x) } };
        },
      );
      return { looked: looked.sort((a, b) => a - b), gradients };
    };
    const [alone, first, second] = [train('recurrent alone'), train('recurrent first'), train('linear first')];
    equal(alone.looked, [V]);
    equal(first.looked, [V, T * B]);
    equal(second.looked, [V, T * B]);
    equal(first.gradients, second.gradients);
    ok(Array.from(alone.gradients['e.weight']).some((g, i) => g !== first.gradients['e.weight'][i]));
  });
}

test.run();
