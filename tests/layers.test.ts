/**
 * Layers against their references: first the reference's gradient against central differences, then each build's kernels against
 * the reference, over shapes with ones, odd sizes, sizes around the vector and the tile, and long sequences. All memory is guarded
 * and starts as NaN.
 */

import { crossEntropy, Embedding, input, Linear, Model } from 'gatewise';
import { test } from 'uvu';
import { builds, guarded } from './support/builds.js';
import { packed } from './support/layers.js';
import { random, uniform } from './support/numbers.js';
import { checkKernel, checkReference, type Operation, run } from './support/operation.js';

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
];

for (const op of operations) {
  test(`reference: ${op.title}, gradient equals central differences to 1e-7`, () => checkReference(op));
  for (const build of builds) test(`${build}: ${op.title}`, () => checkKernel(op, build));
}

test.run();
