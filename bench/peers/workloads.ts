/** What the peers are asked to do, the numbers they do it with, and what comes out in double precision. */
import type { Cell, Layer } from './plain/layer.js';
import { CharacterModel, Classifier, type Named, Stack } from './plain/network.js';

export interface Workload {
  readonly id: string;
  /**
   * `step`: one step, the state handed over. `sequence`: all of it forward, numbers in, numbers out. `characters`: a training step of
   * a character model. `classes`: one of a bidirectional classifier. A training step begins with tokens or numbers and ends with the
   * loss as a number and updated weights.
   */
  readonly task: 'step' | 'sequence' | 'characters' | 'classes';
  readonly cell: 'lstm' | 'gru' | 'rnn';
  readonly B: number;
  readonly T: number;
  /** Features of the input, or of the embedding. */
  readonly I: number;
  readonly H: number;
  readonly L: number;
  /** Characters, or classes. */
  readonly V: number;
}

const forward = { B: 1, T: 100, L: 1, V: 0 };
const characters = { task: 'characters', B: 16, T: 64, I: 64, H: 128, L: 1, V: 65 } as const;

export const workloads: readonly Workload[] = [
  { ...forward, id: 'step-lstm-h128', task: 'step', cell: 'lstm', T: 1, I: 64, H: 128 },
  { ...forward, id: 'seq-lstm-h128', task: 'sequence', cell: 'lstm', I: 64, H: 128 },
  { ...forward, id: 'seq-gru-h128', task: 'sequence', cell: 'gru', I: 64, H: 128 },
  { ...forward, id: 'seq-rnn-h128', task: 'sequence', cell: 'rnn', I: 64, H: 128 },
  { ...forward, id: 'seq-lstm-h256', task: 'sequence', cell: 'lstm', I: 256, H: 256 },
  { ...forward, id: 'seq-lstm-h512', task: 'sequence', cell: 'lstm', I: 512, H: 512 },
  { ...forward, id: 'batch-lstm-h256', task: 'sequence', cell: 'lstm', B: 32, T: 50, I: 128, H: 256 },
  { ...characters, id: 'train-lstm-1x128', cell: 'lstm' },
  { ...characters, id: 'train-gru-1x128', cell: 'gru' },
  { ...characters, id: 'train-lstm-2x256', cell: 'lstm', B: 32, H: 256, L: 2 },
  { id: 'train-bilstm-h64', task: 'classes', cell: 'lstm', B: 16, T: 50, I: 32, H: 64, L: 1, V: 10 },
];

/** What layers with integer weights are compared at: `npm run peers -- --quantized`. */
export const quantized: readonly Workload[] = [
  ...(['lstm', 'gru'] as const).map((cell) => ({
    ...forward,
    id: `step-${cell}-h128`,
    task: 'step' as const,
    cell,
    T: 1,
    I: 64,
    H: 128,
  })),
  ...(['lstm', 'gru'] as const).flatMap((cell) =>
    [128, 256, 512].map((H) => ({
      ...forward,
      id: `seq-${cell}-h${H}`,
      task: 'sequence' as const,
      cell,
      I: H === 128 ? 64 : H,
      H,
    })),
  ),
];

export const LEARNING_RATE = 1e-3;
/** Steps of `step` whose outputs are compared. */
export const STEPS = 8;
/** Different inputs that are taken in turns. */
const INPUTS = 8;

/** How the plain C is compiled to WebAssembly; its output and source follow. */
export const C_FLAGS = [
  '--target=wasm32',
  '-O3',
  '-msimd128',
  '-mbulk-memory',
  '-fno-math-errno',
  '-nostdlib',
  '-Wl,--no-entry',
];

export interface Numbers {
  /** By PyTorch's names. */
  readonly weights: Record<string, Float32Array>;
  /** [I], [T,B,I], or tokens [T,B]. */
  readonly inputs: (Float32Array | Int32Array)[];
  /** [T,B] or [B]; empty where nothing is trained. */
  readonly targets: Int32Array[];
}

/** What is compared, by name. */
export type Results = Record<string, ArrayLike<number>>;

/** A sequence of numbers in [0, 1) that repeats (mulberry32). */
function random(seed: number): () => number {
  let a = seed;
  return () => {
    a = (a + 0x6d2b79f5) | 0;
    let t = Math.imul(a ^ (a >>> 15), a | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

const GATES = { lstm: 4, gru: 3, rnn: 1 };

export function numbers({ task, cell, B, T, I, H, L, V }: Workload): Numbers {
  const next = random(1);
  const uniform = (n: number, bound: number) => Float32Array.from({ length: n }, () => (2 * next() - 1) * bound);
  const below = (n: number, end: number) => Int32Array.from({ length: n }, () => Math.floor(next() * end));
  const G = GATES[cell];
  const weights: Record<string, Float32Array> = {};
  if (task === 'characters') weights['embedding.weight'] = uniform(V * I, 1);
  for (let l = 0; l < L; l++) {
    for (const direction of task === 'classes' ? ['', '_reverse'] : ['']) {
      const bound = 1 / Math.sqrt(H);
      weights[`rnn.weight_ih_l${l}${direction}`] = uniform(G * H * (l === 0 ? I : H), bound);
      weights[`rnn.weight_hh_l${l}${direction}`] = uniform(G * H * H, bound);
      weights[`rnn.bias_ih_l${l}${direction}`] = uniform(G * H, bound);
      weights[`rnn.bias_hh_l${l}${direction}`] = uniform(G * H, bound);
    }
  }
  if (V) {
    const width = task === 'classes' ? 2 * H : H;
    weights['head.weight'] = uniform(V * width, 1 / Math.sqrt(width));
    weights['head.bias'] = uniform(V, 1 / Math.sqrt(width));
  }
  const count = task === 'sequence' ? 1 : INPUTS;
  const inputs = Array.from({ length: count }, () => (task === 'characters' ? below(T * B, V) : uniform(T * B * I, 1)));
  const targets = V ? inputs.map(() => below(task === 'classes' ? B : T * B, V)) : [];
  return { weights, inputs, targets };
}

/** The results in double precision; a GRU may reset before or after the product with the state. */
export function expected(workload: Workload, { weights, inputs, targets }: Numbers, cell: Cell): Results {
  const { task, T, B, H } = workload;
  const named = weights as Named;
  if (task === 'sequence') {
    const { h, outputs } = new Stack(Float64Array, cell, workload, named).forward(Float64Array.from(inputs[0]));
    return { outputs: h.slice(outputs, outputs + T * B * H) };
  }
  if (task === 'step') {
    const outputs = new Float64Array(STEPS * H);
    const layer = stepLayer(Float64Array, workload, named, cell);
    for (let s = 0; s < STEPS; s++) {
      layer.forward(Float64Array.from(inputs[s % inputs.length]));
      outputs.set(layer.h.subarray(H), s * H);
      stepOn(layer);
    }
    return { outputs };
  }
  const network =
    task === 'characters'
      ? new CharacterModel(Float64Array, cell, workload, named, LEARNING_RATE)
      : new Classifier(Float64Array, cell, workload, named, LEARNING_RATE);
  const loss = network.train(inputs[0], targets[0]);
  const of = (name: string) => network.weights.find((w) => w.name === name);
  return {
    loss: [loss],
    'gradient of rnn.weight_hh_l0': of('rnn.weight_hh_l0')?.gradient ?? [],
    'gradient of head.weight': of('head.weight')?.gradient ?? [],
    'updated head.bias': of('head.bias')?.values ?? [],
  };
}

/** A layer for one step of one sequence. */
export function stepLayer(
  Numbers: Float32ArrayConstructor | Float64ArrayConstructor,
  shape: Workload,
  named: Named,
  cell: Cell,
): Layer {
  return new Stack(Numbers, cell, { ...shape, T: 1, L: 1 }, named).layers[0];
}

/** The final state becomes the initial one. */
export function stepOn(layer: Layer): void {
  const { B, H } = layer.shape;
  layer.h.copyWithin(0, B * H);
  layer.c.copyWithin(0, B * H);
}

/** The largest difference by the largest number, over all results, and where. */
export function disagreement(got: Results, want: Results): { error: number; name: string } {
  let worst = { error: 0, name: '' };
  for (const [name, w] of Object.entries(want)) {
    const g = got[name];
    let difference = g?.length === w.length ? 0 : Number.NaN;
    let largest = 0;
    for (let i = 0; i < w.length; i++) {
      difference = Math.max(difference, Math.abs(g?.[i] - w[i]));
      largest = Math.max(largest, Math.abs(w[i]));
    }
    const error = difference / largest;
    if (!(error <= worst.error)) worst = { error, name };
    if (Number.isNaN(error)) return worst;
  }
  return worst;
}
