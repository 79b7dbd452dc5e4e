/** The Neural Turing Machine: its reference with central differences, the kernels with the reference, and what it does with bad input. */
import { readFileSync } from 'node:fs';
import { gradcheck, input, loadWeights, Model, type Runtime, read, saveWeights } from 'gatewise';
import { linkMemory, MemoryNetwork, type MemoryNetworkOptions } from 'gatewise/memory';
import { test } from 'uvu';
import { equal, is, ok, throws } from 'uvu/assert';
import { exact, Graph, type Matrix } from './reference/autodiff.js';
import { network, type Sizes } from './reference/memory.js';
import { builds, guarded, runtime } from './support/builds.js';
import { project } from './support/layers.js';
import { close, random, uniform } from './support/numbers.js';
import { rejects } from './support/rejects.js';

const [T, B] = [6, 3];
const CASES: readonly MemoryNetworkOptions[] = [
  { inputSize: 3, outputSize: 2, hiddenSize: 7, slots: 6, width: 5 },
  { inputSize: 2, outputSize: 3, hiddenSize: 5, slots: 9, width: 17, shift: 2 },
  { inputSize: 1, outputSize: 1, hiddenSize: 4, slots: 2, width: 1, shift: 0 },
];

/** Weights large enough for heads that differ, and move. */
function build(rt: Runtime, options: MemoryNetworkOptions): Model<MemoryNetwork> {
  const model = new Model(rt, 1, (b) => new MemoryNetwork(b, 'ntm', options));
  const next = random(9);
  for (const { name, size } of model.parameters) model.set(name, uniform(next, size, 1));
  return model;
}

const inputOf = ({ inputSize }: MemoryNetworkOptions) => uniform(random(5), T * B * inputSize);

/** The reference of all sequences: loss Σ output·upstream, and nodes. */
function reference(
  options: MemoryNetworkOptions,
  parameters: Readonly<Record<string, { values: ArrayLike<number>; shape: readonly number[] }>>,
  upstream: ArrayLike<number>,
) {
  const { inputSize: I, outputSize: O, shift = 1, ...rest } = options;
  const sizes: Sizes = { ...rest, shift };
  const x = inputOf(options);
  const g = new Graph(exact);
  const weights: Record<string, Matrix> = {};
  for (const [name, { values, shape }] of Object.entries(parameters)) {
    const [rows, columns] = shape.length === 1 ? [1, shape[0]] : shape;
    weights[name.slice('ntm.'.length)] = g.matrix(rows, columns, values);
  }
  const at = (t: number, b: number) => t * B + b;
  const sequences = Array.from({ length: B }, (_, b) =>
    network(
      g,
      Array.from({ length: T }, (_, t) => g.matrix(1, I, x.subarray(at(t, b) * I, (at(t, b) + 1) * I))),
      weights,
      sizes,
    ),
  );
  const outputs: [Matrix, Float64Array][] = [];
  let loss = 0;
  sequences.forEach((steps, b) => {
    steps.forEach(({ output }, t) => {
      const up = Float64Array.from({ length: O }, (_, o) => upstream[at(t, b) * O + o]);
      outputs.push([output, up]);
      output.data.forEach((value, o) => {
        loss += value * up[o];
      });
    });
  });
  return { g, loss, sequences, outputs, weights };
}

const parametersOf = (model: Model<MemoryNetwork>) =>
  Object.fromEntries(model.parameters.map(({ name, shape }) => [name, { values: model.get(name), shape }]));

test('the gradient of the reference is that of central differences', () => {
  for (const options of CASES) {
    const model = build(runtime('simd'), options);
    const parameters = parametersOf(model);
    const upstream = uniform(random(6), T * B * options.outputSize);
    const { g, outputs, weights } = reference(options, parameters, upstream);
    g.backward(outputs);
    const next = random(3);
    for (const [name, { values, shape }] of Object.entries(parameters)) {
      const own = weights[name.slice('ntm.'.length)].grad;
      const scale = Math.max(...own.map(Math.abs), 1e-3);
      for (let n = 0; n < 4; n++) {
        const i = Math.floor(next() * values.length);
        const at = (by: number) => {
          const moved = Float64Array.from(values);
          moved[i] += by;
          return reference(options, { ...parameters, [name]: { values: moved, shape } }, upstream).loss;
        };
        const e = 1e-4;
        const slope = (8 * (at(e) - at(-e)) - (at(2 * e) - at(-2 * e))) / (12 * e);
        ok(Math.abs(slope - own[i]) <= 1e-7 * scale, `${name}[${i}]: ${own[i]}, differences ${slope}`);
      }
    }
    model.dispose();
  }
});

for (const build_ of builds) {
  for (const options of CASES) {
    test(`${build_}: ${JSON.stringify(options)}: outputs, addresses and gradients are those of the reference`, () => {
      const { runtime: rt, check } = guarded(build_);
      const model = build(rt, options);
      const { inputSize: F, outputSize: O, slots: N } = options;
      const x = inputOf(options);
      const upstream = uniform(random(6), T * B * O);
      const { g, sequences, outputs, weights } = reference(options, parametersOf(model), upstream);
      const flat = (of: (t: number, b: number) => ArrayLike<number>) =>
        Array.from({ length: T * B }, (_, r) => [...Array.from(of(Math.floor(r / B), r % B))]).flat();
      const got = model.forward((tape, ntm) => {
        const { output, readWeights, writeWeights } = ntm.forward(tape, input(tape, x, { T, B, F }));
        return [output, readWeights, writeWeights].map((rows) => read(tape, rows));
      });
      close(
        got[0],
        flat((t, b) => sequences[b][t].output.data),
        2e-6,
        'output',
      );
      close(
        got[1],
        flat((t, b) => sequences[b][t].read.data),
        2e-6,
        'read weights',
      );
      close(
        got[2],
        flat((t, b) => sequences[b][t].write.data),
        2e-6,
        'write weights',
      );
      for (const where of got.slice(1)) {
        for (let r = 0; r < T * B; r++) {
          close([where.subarray(r * N, (r + 1) * N).reduce((a, b) => a + b)], [1], 1e-6, 'sum');
        }
      }
      g.backward(outputs);
      model.valueAndGrad((tape, ntm) =>
        project(tape, { y: ntm.forward(tape, input(tape, x, { T, B, F })).output }, { y: upstream }),
      );
      check();
      for (const { name } of model.parameters) {
        close(model.gradient(name), weights[name.slice('ntm.'.length)].grad, 1e-5, name);
      }
      model.dispose();
    });
  }
}

test('gradcheck, frozen parameters, files, and the same bits again', () => {
  const [options] = CASES;
  const model = build(runtime('simd'), options);
  const x = inputOf(options);
  const upstream = uniform(random(6), T * B * options.outputSize);
  const work: Parameters<typeof model.valueAndGrad>[0] = (tape, ntm) =>
    project(tape, { y: ntm.forward(tape, input(tape, x, { T, B, F: options.inputSize })).output }, { y: upstream });
  const checked = gradcheck(model, work);
  ok(checked.ok, String(checked.worst));
  const loss = model.valueAndGrad(work);
  const gradient = model.gradient('ntm.heads.weight');
  const other = new Model(runtime('simd'), 2, (b) => new MemoryNetwork(b, 'ntm', options));
  loadWeights(other, saveWeights(model));
  is(other.valueAndGrad(work), loss);
  equal(other.gradient('ntm.heads.weight'), gradient);
  model.freeze('ntm.controller', 'ntm.heads');
  is(model.valueAndGrad(work), loss);
  ok(model.gradient('ntm.heads.weight').every((d) => d === 0));
  equal(model.gradient('ntm.head.weight'), other.gradient('ntm.head.weight'));
});

test('what does not fit is refused', async () => {
  const rt = runtime('simd');
  const make = (more: object) => new Model(rt, 1, (b) => new MemoryNetwork(b, 'ntm', { ...CASES[0], ...more }));
  throws(() => make({ slots: 1 }), /slots: expected a whole number of at least 2/);
  throws(() => make({ shift: 3 }), /shift: expected at most 2 for slots 6/);
  throws(() => make({ hidden: 3 }), /unknown option 'hidden'; did you mean 'hiddenSize'/);
  throws(() => make({ width: 0 }), /width: expected a positive whole number/);
  const model = make({});
  const run = (shape: { T: number; B: number; F: number; lengths?: number[] }) =>
    model.forward(
      (tape, ntm) => ntm.forward(tape, input(tape, new Float32Array(shape.T * shape.B * shape.F), shape)) && 0,
    );
  throws(() => run({ T: 2, B: 1, F: 2 }), /x: expected 3 features, got 2/);
  throws(() => run({ T: 2, B: 2, F: 3, lengths: [2, 1] }), /takes no lengths/);
  is(run({ T: 2, B: 1, F: 3 }), 0);
  // the module of the package, and another one
  const bytes = (name: string) => new Uint8Array(readFileSync(new URL(import.meta.resolve(`gatewise/${name}.wasm`))));
  await linkMemory(rt, bytes('memory'));
  is(run({ T: 2, B: 1, F: 3 }), 0);
  await rejects(linkMemory(rt, bytes('functions')), /not the memory of this version/);
  await rejects(linkMemory({} as never), /runtime: expected a Runtime/);
  await rejects(linkMemory(rt, 'x' as never), /module: expected/);
});

test.run();
