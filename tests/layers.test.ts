/**
 * Layers against their references: first the reference's gradient against central differences, then each build's kernels against
 * the reference, over shapes with ones, odd sizes, sizes around the vector and the tile, and long sequences. All memory is guarded
 * and starts as NaN.
 */

import { crossEntropy, Embedding, input, Linear, Model, Recurrent, type Rows } from 'gatewise';
import { test } from 'uvu';
import { exact, Graph, type Matrix, type Round, single } from './reference/autodiff.js';
import { cells as references } from './reference/index.js';
import { builds, guarded } from './support/builds.js';
import { packed, runLayers } from './support/layers.js';
import { close, error, random, uniform } from './support/numbers.js';

type Numbers = Record<string, Float32Array>;
type Results = Record<string, ArrayLike<number>>;

/** What an operation is, to a test: its inputs, its outputs and how to get both ways. */
interface Operation {
  readonly title: string;
  readonly inputs: Numbers;
  /** Upstream gradient of each output. */
  readonly upstream: Numbers;
  reference(graph: Graph, inputs: Record<string, Matrix>): Record<string, Matrix>;
  /** Shapes of the inputs, as the reference wants them. */
  readonly shapes: Record<string, readonly [number, number]>;
  kernel(build: string): { outputs: Results; gradients: Results };
}

function evaluate(op: Operation, round: Round, inputs: Record<string, ArrayLike<number>> = op.inputs) {
  const graph = new Graph(round);
  const matrices = Object.fromEntries(
    Object.entries(inputs).map(([name, values]) => [name, graph.matrix(...op.shapes[name], values)]),
  );
  return { graph, matrices, outputs: op.reference(graph, matrices) };
}

function gradients(op: Operation, round: Round) {
  const { graph, matrices, outputs } = evaluate(op, round);
  graph.backward(Object.entries(outputs).map(([name, m]) => [m, op.upstream[name]] as const));
  return {
    outputs: Object.fromEntries(Object.entries(outputs).map(([name, m]) => [name, m.data])),
    gradients: Object.fromEntries(Object.entries(matrices).map(([name, m]) => [name, m.grad])),
  };
}

/** Central differences of the loss at up to `most` elements of each input, spread over it. */
function checkReference(op: Operation, most = 12): void {
  const { gradients: want } = gradients(op, exact);
  const loss = (inputs: Record<string, ArrayLike<number>>) => {
    const { outputs } = evaluate(op, exact, inputs);
    let sum = 0;
    for (const [name, m] of Object.entries(outputs))
      for (let i = 0; i < m.data.length; i++) sum += m.data[i] * op.upstream[name][i];
    return sum;
  };
  const step = 1e-5;
  for (const [name, values] of Object.entries(op.inputs)) {
    const gradient = want[name];
    const largest = gradient.reduce((m, x) => Math.max(m, Math.abs(x)), 0);
    const stride = Math.max(1, Math.floor(values.length / most));
    for (let i = 0; i < values.length; i += stride) {
      const moved = Float64Array.from(values);
      const x = moved[i];
      moved[i] = x + step;
      const above = loss({ ...op.inputs, [name]: moved });
      moved[i] = x - step;
      const below = loss({ ...op.inputs, [name]: moved });
      const slope = (above - below) / (2 * step);
      const off = Math.abs(slope - gradient[i]) / (largest || 1);
      if (!(off <= 1e-7)) throw new Error(`${op.title}: d${name}[${i}] is ${gradient[i]}, differences give ${slope}`);
    }
  }
}

function checkKernel(op: Operation, build: string): void {
  const want = gradients(op, exact);
  const rounded = gradients(op, single);
  const got = op.kernel(build);
  for (const kind of ['outputs', 'gradients'] as const) {
    for (const [name, w] of Object.entries(want[kind])) {
      const bound = Math.max(1e-6, 4 * error(rounded[kind][name] as Float64Array, w));
      close(got[kind][name] as ArrayLike<number>, w, bound, `${op.title}, ${build}: ${kind} ${name}`);
    }
  }
}

/** The same between guard words. */
function run<L>(
  build: string,
  ...work: Parameters<typeof runLayers<L>> extends [unknown, ...infer Rest] ? Rest : never
) {
  const { runtime, check } = guarded(build);
  const results = runLayers<L>(runtime, ...work);
  check();
  runtime.dispose();
  return results;
}

function linear(seed: number, R: number, I: number, O: number): Operation {
  const next = random(seed);
  const inputs = { x: uniform(next, R * I), 'l.weight': uniform(next, O * I), 'l.bias': uniform(next, O) };
  const upstream = { y: uniform(next, R * O) };
  const { x, ...parameters } = inputs;
  return {
    title: `linear R=${R} I=${I} O=${O}`,
    inputs,
    upstream,
    shapes: { x: [R, I], 'l.weight': [O, I], 'l.bias': [1, O] },
    reference: (g, m) => ({ y: g.add(g.product(m.x, m['l.weight']), m['l.bias']) }),
    kernel: (build) =>
      run(
        build,
        (b) => new Linear(b, 'l', { inputSize: I, outputSize: O }),
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
          outputs: { y: layer.forward(tape, tokens, R, 1) },
        }),
      ),
  };
}

/** Cross-entropy: its loss is the output. */
function softmax(seed: number, R: number, V: number, scale: number): Operation {
  const next = random(seed);
  const targets = Int32Array.from({ length: R }, () => (R > 2 && next() < 0.2 ? -1 : Math.floor(next() * V)));
  targets[0] = V - 1;
  const counted = targets.filter((t) => t >= 0).length;
  const inputs = { x: uniform(next, R * V, scale) };
  const upstream = { loss: Float32Array.of(1) };
  return {
    title: `cross-entropy R=${R} V=${V} ±${scale}`,
    inputs,
    upstream,
    shapes: { x: [R, V] },
    reference: (g, m) => {
      const x = m.x;
      const own = g.pick(x, R, 1, (i) => i * V + Math.max(0, targets[i]));
      const rows = g.sub(g.logSumExp(x), own);
      const kept = g.pick(rows, 1, R, (_, j) => (targets[j] < 0 ? -1 : j));
      return { loss: g.scale(g.sum(kept), 1 / counted) };
    },
    kernel: (build) => {
      const { runtime, check } = guarded(build);
      const model = new Model(runtime, 0, () => null);
      let gradient: Float32Array | undefined;
      const loss = model.backward((tape) => {
        const rows = input(tape, inputs.x, { T: R, B: 1, F: V }, { gradient: true });
        tape.record(() => {
          gradient = packed(tape, rows, 'gradient');
        });
        return crossEntropy(tape, rows, targets);
      });
      check();
      runtime.dispose();
      return { outputs: { loss: [loss] }, gradients: { x: gradient as Float32Array } };
    },
  };
}

interface StackShape {
  T: number;
  B: number;
  I: number;
  H: number;
  L?: number;
}

/** A stack of cells with initial states, final states and gradients into all of them. */
function stack(seed: number, cell: 'lstm', { T, B, I, H, L = 1 }: StackShape): Operation {
  const next = random(seed);
  const G = { lstm: 4 }[cell];
  const hasC = cell === 'lstm';
  const inputs: Numbers = { x: uniform(next, T * B * I) };
  const shapes: Record<string, [number, number]> = { x: [T * B, I] };
  const upstream: Numbers = { y: uniform(next, T * B * H) };
  const parameters: Numbers = {};
  const states = ['h', ...(hasC ? ['c'] : [])];
  for (let l = 0; l < L; l++) {
    const columns = l === 0 ? I : H;
    const weights = {
      weight_ih: [G * H, columns],
      weight_hh: [G * H, H],
      bias_ih: [1, G * H],
      bias_hh: [1, G * H],
    } as const;
    for (const [name, [rows, cols]] of Object.entries(weights)) {
      const key = `rnn.${name}_l${l}`;
      parameters[key] = uniform(next, rows * cols, 1 / Math.sqrt(H));
      shapes[key] = [rows, cols];
    }
    for (const s of states) {
      inputs[`${s}0.${l}`] = uniform(next, B * H);
      shapes[`${s}0.${l}`] = [B, H];
      upstream[`${s}T.${l}`] = uniform(next, B * H);
    }
  }
  Object.assign(inputs, parameters);
  return {
    title: `${cell} T=${T} B=${B} I=${I} H=${H} L=${L}`,
    inputs,
    upstream,
    shapes,
    reference: (g, m) => {
      const outputs: Record<string, Matrix> = {};
      let steps = Array.from({ length: T }, (_, t) => g.rows(m.x, t * B, (t + 1) * B));
      for (let l = 0; l < L; l++) {
        const weights = Object.fromEntries(
          ['weight_ih', 'weight_hh', 'bias_ih', 'bias_hh'].map((name) => [name, m[`rnn.${name}_l${l}`]]),
        );
        let h = m[`h0.${l}`];
        let c = (m[`c0.${l}`] ?? h) as Matrix;
        steps = steps.map((x) => {
          ({ h, c } = (references[cell] as (typeof references)[string])(g, x, h, c, weights));
          return h;
        });
        outputs[`hT.${l}`] = h;
        if (hasC) outputs[`cT.${l}`] = c;
      }
      outputs.y = g.stack(steps);
      return outputs;
    },
    kernel: (build) =>
      run(
        build,
        (b) => new Recurrent(b, 'rnn', { cell, inputSize: I, hiddenSize: H, numLayers: L }),
        parameters,
        upstream,
        (tape, layer) => {
          const x = input(tape, inputs.x as Float32Array, { T, B, F: I }, { gradient: true });
          const state = (s: string) =>
            Array.from({ length: L }, (_, l) =>
              input(tape, inputs[`${s}0.${l}`], { T: 1, B, F: H }, { gradient: true }),
            );
          const initial = { h: state('h'), c: hasC ? state('c') : [] };
          const { output, h, c } = layer.forward(tape, x, initial);
          const named = (name: string, rows: readonly Rows[]) =>
            Object.fromEntries(rows.map((r, l) => [`${name}.${l}`, r]));
          return {
            inputs: { x, ...named('h0', initial.h), ...named('c0', initial.c) },
            outputs: { y: output, ...named('hT', h), ...named('cT', c) },
          };
        },
      ),
  };
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
  ...[
    [1, 1, 1],
    [5, 3, 4],
    [40, 7, 13],
    [21, 65, 64],
  ].map(([R, V, E], i) => embedding(200 + i, R, V, E)),
  ...[
    [1, 1, 1],
    [2, 2, 1],
    [9, 4, 10],
    [33, 7, 30],
    [17, 65, 80],
    [5, 130, 3],
  ].map(([R, V, s], i) => softmax(300 + i, R, V, s)),
  ...(
    [
      { T: 1, B: 1, I: 1, H: 1 },
      { T: 2, B: 1, I: 3, H: 5 },
      { T: 5, B: 3, I: 4, H: 4 },
      { T: 3, B: 2, I: 15, H: 17 },
      { T: 7, B: 5, I: 17, H: 31, L: 2 },
      { T: 4, B: 8, I: 16, H: 16 },
      { T: 3, B: 9, I: 33, H: 65 },
      { T: 13, B: 1, I: 8, H: 12, L: 3 },
      { T: 200, B: 2, I: 3, H: 7 },
      { T: 140, B: 2, I: 5, H: 6 },
    ] as StackShape[]
  ).map((shape, i) => stack(400 + i, 'lstm', shape)),
];

for (const op of operations) {
  test(`reference: ${op.title}, gradient equals central differences to 1e-7`, () => checkReference(op));
  for (const build of builds) test(`${build}: ${op.title}`, () => checkKernel(op, build));
}

test.run();
