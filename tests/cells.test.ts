/**
 * Every cell with every option against its reference: shapes with ones, odd sizes, sizes around the vector and the tile, long
 * sequences; stacks, both directions, lengths, initial states, regularisers. Between guard words, in memory that starts as NaN.
 */
import { CELL_NAMES, input, Recurrent, type RecurrentOptions, type Rows, Runtime } from 'gatewise';
import { test } from 'uvu';
import { hasRecurrentWeights } from '#dist/bindings/cells/index.js';
import type { Matrix } from './reference/autodiff.js';
import { cells as references } from './reference/index.js';
import { type DrawMask, stack as reference } from './reference/recurrent.js';
import { builds } from './support/builds.js';
import { fitting, widthFor } from './support/cells.js';
import { random, uniform } from './support/numbers.js';
import { checkKernel, checkReference, type Numbers, type Operation, run } from './support/operation.js';

interface Shape extends Omit<RecurrentOptions, 'inputSize' | 'hiddenSize'> {
  T: number;
  B: number;
  I: number;
  H: number | readonly number[];
  lengths?: readonly number[];
  /** Of the weights, default 1: recurrences that grow over long sequences are told apart only where they do not. */
  scale?: number;
  /** No initial states given. */
  fresh?: boolean;
}

const masks = await Runtime.create();

/** The masks that a model with seed 0 draws, from the first on. */
function drawer(): DrawMask {
  let block = 0;
  return (rows, F, p, value) =>
    masks.scope(() => {
      const ld = Math.ceil(F / 16) * 64;
      const at = masks.take(rows * ld);
      block = masks.core.fillMask(at, ld, rows, F, p, value, 0, 2, block);
      const out = new Float32Array(rows * F);
      for (let r = 0; r < rows; r++) out.set(masks.read(at + r * ld, F), r * F);
      return out;
    });
}

function recurrent(seed: number, { T, B, I, H, lengths, scale = 1, fresh = false, ...rest }: Shape): Operation {
  const next = random(seed);
  const options: RecurrentOptions = { ...rest, inputSize: I, hiddenSize: H };
  // the layers themselves say which parameters they have
  const shapes: Record<string, [number, number]> = { x: [T * B, I] };
  const inputs: Numbers = { x: uniform(next, T * B * I) };
  const parameters: Numbers = {};
  const declared: { name: string; shape: readonly number[] }[] = [];
  const layer = new Recurrent(
    {
      runtime: masks,
      alloc: (bytes: number) => {
        const at = masks.alloc(bytes, 'nothing');
        masks.free(at);
        return at;
      },
      parameter: (name: string, shape: readonly number[]) => {
        declared.push({ name, shape });
        return { name, shape, size: shape.reduce((a, b) => a * b), at: 0 };
      },
    } as never,
    'rnn',
    options,
  );
  for (const { name, shape } of declared) {
    const size = shape.reduce((a, b) => a * b);
    const columns = shape.length > 1 ? shape[1] : size;
    const values = uniform(next, size, name.includes('norm') ? 1 : scale / Math.sqrt(columns));
    parameters[name] = name.includes('norm') && !name.includes('bias') ? values.map((v) => v + 1) : values;
    inputs[name] = parameters[name];
    shapes[name] = shape.length > 1 ? [shape[0], shape[1]] : [1, size];
  }
  const D = rest.bidirectional ? 2 : 1;
  const widths = Array.from({ length: layer.numLayers }, (_, l) => (typeof H === 'number' ? H : H[l]));
  const P = (l: number) => rest.projectionSize || widths[l];
  const upstream: Numbers = { y: uniform(next, T * B * layer.outputSize) };
  const states = layer.stateSizes.c.length > 0 ? ['h', 'c'] : ['h'];
  const size = (s: string, i: number) => (s === 'h' ? P(Math.floor(i / D)) : widths[Math.floor(i / D)]);
  for (const s of states) {
    for (let i = 0; i < D * layer.numLayers; i++) {
      const F = size(s, i);
      if (!fresh) {
        inputs[`${s}0.${i}`] = uniform(next, B * F);
        shapes[`${s}0.${i}`] = [B, F];
      }
      upstream[`${s}T.${i}`] = uniform(next, B * F);
    }
  }
  const list = (m: Record<string, Matrix>, s: string) =>
    Array.from({ length: D * layer.numLayers }, (_, i) => m[`${s}0.${i}`]).filter(Boolean);
  const extras = Object.entries(rest).filter(([key]) => key !== 'cell');
  const sizes = `T=${T} B=${B} I=${I} H=${H}`;
  const more = extras.map(([key, value]) => `${key}=${typeof value === 'object' ? JSON.stringify(value) : value}`);
  return {
    title: [rest.cell, sizes, ...more, ...(lengths ? [`lengths=${lengths}`] : [])].join(' '),
    inputs,
    upstream,
    shapes,
    reference: (g, m) => {
      const x = Array.from({ length: T }, (_, t) => g.rows(m.x, t * B, (t + 1) * B));
      const weights = Object.fromEntries(declared.map(({ name }) => [name.slice('rnn.'.length), m[name]]));
      const initial = fresh ? null : { h: list(m, 'h'), c: list(m, 'c') };
      const { y, h, c } = reference(g, { options, T, B, lengths }, x, weights, initial, drawer());
      const named = (s: string, all: Matrix[]) => Object.fromEntries(all.map((v, i) => [`${s}T.${i}`, v]));
      return { y: g.stack(y), ...named('h', h), ...(states.length > 1 ? named('c', c) : {}) };
    },
    kernel: (build) =>
      run(
        build,
        (b) => new Recurrent(b, 'rnn', options),
        parameters,
        upstream,
        (tape, r) => {
          const x = input(tape, inputs.x, { T, B, F: I, lengths }, { gradient: true });
          const state = (s: string) =>
            Array.from({ length: D * r.numLayers }, (_, i) =>
              input(tape, inputs[`${s}0.${i}`], { T: 1, B, F: size(s, i) }, { gradient: true }),
            );
          const initial = fresh ? undefined : { h: state('h'), c: states.length > 1 ? state('c') : [] };
          const { output, h, c } = r.forward(tape, x, initial);
          const named = (name: string, rows: readonly Rows[]) =>
            Object.fromEntries(rows.map((v, i) => [`${name}.${i}`, v]));
          return {
            inputs: { x, ...named('h0', initial?.h ?? []), ...named('c0', initial?.c ?? []) },
            outputs: { y: output, ...named('hT', h), ...named('cT', c) },
          };
        },
      ),
  };
}

/** Sizes that every cell goes through. */
const sizes = [
  { T: 1, B: 1, I: 1, H: 1 },
  { T: 2, B: 1, I: 3, H: 5 },
  { T: 5, B: 3, I: 4, H: 4 },
  { T: 3, B: 2, I: 15, H: 17 },
  { T: 4, B: 8, I: 16, H: 16 },
  { T: 3, B: 9, I: 33, H: 65 },
  { T: 200, B: 2, I: 3, H: 7 },
  { T: 4, B: 5, I: 6, H: [9, 3, 18] },
];
const usual = { T: 5, B: 3, I: 6, H: 9 };
const ragged = { T: 7, B: 5, I: 6, H: 9, lengths: [3, 7, 1, 5, 7] };
const operations = CELL_NAMES.flatMap((cell): Shape[] => [
  ...sizes.map((shape) => ({ ...shape, cell, scale: shape.T > 100 ? (references[cell].longScale ?? 1) : 1 })),
  { ...usual, cell, fresh: true },
  { ...usual, cell, bias: false },
  { ...usual, cell, reverse: true },
  { ...usual, cell, bidirectional: true, numLayers: 2 },
  ...(['sum', 'mean', 'mul'] as const).map((merge) => ({ ...usual, cell, bidirectional: true, merge })),
  { ...ragged, cell },
  { ...ragged, cell, reverse: true },
  { ...ragged, cell, bidirectional: true, numLayers: 2 },
  { ...ragged, cell, bidirectional: true, merge: 'mul' },
  { ...usual, cell, fresh: true, initialState: 'learned', numLayers: 2 },
  { ...usual, cell, dropout: 0.4, numLayers: 3 },
  { ...usual, cell, variationalDropout: 0.3, numLayers: 2 },
  { ...usual, cell, zoneoutHidden: 0.3 },
  ...(hasRecurrentWeights(cell) ? [{ ...usual, cell, weightDrop: 0.5, bidirectional: true }] : []),
  { ...usual, cell, layerNorm: true, numLayers: 2 },
  { ...ragged, cell, layerNorm: true, zoneoutHidden: 0.2, variationalDropout: 0.2, bidirectional: true },
  ...references[cell].cases.map(
    ({ ragged: lengths, ...options }) => ({ ...(lengths ? ragged : usual), cell, ...options }) as Shape,
  ),
]).map((shape, i) => {
  const { cell, H } = shape;
  const width = (n: number) => widthFor(cell, n);
  return recurrent(700 + i, { ...fitting(cell, shape), H: typeof H === 'number' ? width(H) : H.map(width) });
});

for (const op of operations) {
  test(`reference: ${op.title}, gradient equals central differences to 1e-7`, () => checkReference(op, 2));
  for (const build of builds) test(`${build}: ${op.title}`, () => checkKernel(op, build));
}

test.run();
