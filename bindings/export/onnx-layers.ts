/** The layers of gatewise as nodes of ONNX. Values are named by strings; shapes are those of gatewise, time-major. */

import type { ActivationName, Model, Recurrent, RecurrentOptions } from '../index.js';
import { UnsupportedError } from '../index.js';
import type { Graph } from './onnx-graph.js';

/** Where the weights are. */
export type Weights = Pick<Model<unknown>, 'get' | 'parameter'>;

/** States of recurrent layers: h [B,H] of each layer and direction, and c of cells that have one. */
export interface States {
  readonly h: readonly string[];
  readonly c: readonly string[];
}

/** ONNX's operator of each cell, and its gates, as places among ours. */
const OPERATORS = {
  rnn: { op: 'RNN', gates: [0] },
  gru: { op: 'GRU', gates: [1, 0, 2] },
  lstm: { op: 'LSTM', gates: [0, 3, 1, 2] },
} as const;

/** What the operators do, or what does not matter once training is over. */
const KNOWN: readonly (keyof RecurrentOptions)[] = [
  'cell',
  'inputSize',
  'hiddenSize',
  'numLayers',
  'bias',
  'bidirectional',
  'merge',
  'reverse',
  'initialState',
  'dropout',
  'variationalDropout',
  'weightDrop',
  'initializers',
  'activation',
  'reset',
  'peepholes',
  'coupled',
  'forgetBias',
  'gateActivation',
  'outputActivation',
  'activationClip',
];

/** @throws UnsupportedError that names the first option that ONNX has no operator for */
function checkCell(options: RecurrentOptions): keyof typeof OPERATORS {
  const { cell } = options;
  if (!Object.hasOwn(OPERATORS, cell)) {
    throw new UnsupportedError(
      `toOnnx: ONNX has no recurrent operator for cell: '${cell}'; it has them for ${Object.keys(OPERATORS).join(', ')}`,
    );
  }
  for (const [key, value] of Object.entries(options)) {
    if (value && !(KNOWN as readonly string[]).includes(key)) {
      throw new UnsupportedError(`toOnnx: ONNX's operator ${cell.toUpperCase()} has nothing for ${key}: ${value}`);
    }
  }
  const { coupled, gateActivation = 'sigmoid' } = options;
  if (coupled && gateActivation !== 'sigmoid') {
    throw new UnsupportedError("toOnnx: coupled: true is written as f = σ(-x), and needs gateActivation: 'sigmoid'");
  }
  return cell as keyof typeof OPERATORS;
}

/** x Wᵀ + b; `name` is the prefix of the parameters. */
export function linear(
  g: Graph,
  weights: Weights,
  name: string,
  x: string,
  { bias = true, weight = `${name}.weight` } = {},
): string {
  const product = g.node('MatMul', [x, transposed(g, weights, weight)]);
  return bias ? g.node('Add', [product, tensor(g, weights, `${name}.bias`)]) : product;
}

/** Linear maps with ReLU between them. */
export function mlp(g: Graph, weights: Weights, name: string, x: string, hidden: number): string {
  if (hidden === 0) return linear(g, weights, name, x);
  let y = x;
  for (let i = 0; i <= hidden; i++) y = linear(g, weights, `${name}.${i}`, i > 0 ? g.node('Relu', [y]) : y);
  return y;
}

export function tensor(g: Graph, weights: Weights, name: string): string {
  return g.floats(name, weights.parameter(name).shape, weights.get(name));
}

/** A matrix [O,I] as [I,O]. */
export function transposed(g: Graph, weights: Weights, name: string): string {
  const [O, I] = weights.parameter(name).shape;
  const from = weights.get(name);
  const to = new Float32Array(from.length);
  for (let o = 0; o < O; o++) for (let i = 0; i < I; i++) to[i * O + o] = from[o * I + i];
  return g.floats(`${name}.transposed`, [I, O], to);
}

/** Rows of a table by tokens of any shape. */
export function embedding(g: Graph, weights: Weights, name: string, tokens: string): string {
  return g.node('Gather', [tensor(g, weights, `${name}.weight`), tokens]);
}

/** Gates of n numbers each, as the operator orders them. */
function reordered(values: Float32Array, gates: readonly number[]): Float32Array {
  const n = values.length / gates.length;
  return joined(gates.map((gate) => values.subarray(gate * n, (gate + 1) * n)));
}

/** Gates i g o of a coupled LSTM as i f g o: f = 1 - σ(x) is σ(-x). */
function uncoupled(values: Float32Array): Float32Array {
  const n = values.length / 3;
  const i = values.subarray(0, n);
  return Float32Array.of(...i, ...i.map((v) => -v), ...values.subarray(n));
}

/** Arrays one after the other. */
function joined(parts: readonly Float32Array[]): Float32Array {
  const out = new Float32Array(parts.reduce((n, part) => n + part.length, 0));
  let at = 0;
  for (const part of parts) {
    out.set(part, at);
    at += part.length;
  }
  return out;
}

/**
 * A stack of recurrent layers.
 *
 * @param name prefix of the parameters
 * @param x [T,B,I]
 * @param lengths [B] int32; '' where all sequences have T steps
 * @param state where to start; zeros or what is learned if absent
 * @returns the output [T,B,O], zero past the ends, and the states at the ends
 */
export function recurrent(
  g: Graph,
  weights: Weights,
  name: string,
  rnn: Recurrent,
  x: string,
  lengths = '',
  state?: States,
): States & { output: string } {
  const { options } = rnn;
  const cell = checkCell(options);
  const { op } = OPERATORS[cell];
  const suffixes = options.bidirectional ? ['', '_reverse'] : options.reverse ? ['_reverse'] : [''];
  const D = suffixes.length;
  const direction = D === 2 ? 'bidirectional' : options.reverse ? 'reverse' : 'forward';
  const h: string[] = [];
  const c: string[] = [];
  let output = x;
  for (let layer = 0; layer < rnn.numLayers; layer++) {
    const H = rnn.stateSizes.h[layer * D];
    const names = suffixes.map((suffix) => (kind: string) => `${name}.${kind}_l${layer}${suffix}`);
    const packed = pack(g, weights, cell, options, `${name}.l${layer}`, names);
    const start = (kind: 'h' | 'c') => {
      const own = state?.[kind].slice(layer * D, (layer + 1) * D);
      if (own)
        return g.node(
          'Concat',
          own.map((s) => unsqueeze(g, s, 0)),
          { axis: 0 },
        );
      if (options.initialState !== 'learned') return '';
      const learned = names.map((of) => weights.get(of(`${kind}0`)));
      const values = g.floats(`${name}.${kind}0.l${layer}`, [D, 1, H], joined(learned));
      return g.node('Expand', [values, g.node('Concat', [g.ints(D), batchOf(g, x), g.ints(H)], { axis: 0 })]);
    };
    const hasC = cell === 'lstm';
    const inputs = [output, ...packed.inputs, lengths, start('h'), ...(hasC ? [start('c'), packed.peepholes] : [])];
    while (inputs[inputs.length - 1] === '') inputs.pop();
    const attributes = { hidden_size: H, direction, ...packed.attributes };
    const [Y, Yh, Yc] = g.nodes(op, inputs, hasC ? 3 : 2, attributes);
    for (let d = 0; d < D; d++) {
      h.push(g.node('Gather', [Yh, scalar(g, d)], { axis: 0 }));
      if (hasC) c.push(g.node('Gather', [Yc, scalar(g, d)], { axis: 0 }));
    }
    output = merged(g, Y, D, options.merge ?? 'concat');
  }
  return { output, h, c };
}

const scalar = (g: Graph, value: number) => g.node('Squeeze', [g.ints(value)]);

/** [1] the second size of a value: B. */
export function batchOf(g: Graph, x: string): string {
  return g.node('Slice', [g.node('Shape', [x]), g.ints(1), g.ints(2)]);
}

export function unsqueeze(g: Graph, x: string, axis: number): string {
  return g.node('Unsqueeze', [x, g.ints(axis)]);
}

/** ONNX's functions with the defaults of α and β, here, of those that have them. */
const ACTIVATIONS: Readonly<Record<ActivationName, readonly [name: string, ...numbers: number[]]>> = {
  tanh: ['Tanh'],
  relu: ['Relu'],
  sigmoid: ['Sigmoid'],
  identity: ['Affine', 1, 0],
  softsign: ['Softsign'],
  softplus: ['Softplus'],
  hardSigmoid: ['HardSigmoid', 1 / 6, 0.5],
  affine: ['Affine', 1, 0],
  scaledTanh: ['ScaledTanh', 1, 1],
  elu: ['Elu', 1],
  leakyRelu: ['LeakyRelu', 0.01],
  thresholdedRelu: ['ThresholdedRelu', 1],
};

/** The functions of gates, direction by direction; none where they are the operator's own. */
function activationAttributes(cell: keyof typeof OPERATORS, options: RecurrentOptions, D: number) {
  const { activation = 'tanh', gateActivation = 'sigmoid', outputActivation = activation, activationClip } = options;
  const used = {
    rnn: [activation],
    gru: [gateActivation, activation],
    lstm: [gateActivation, activation, outputActivation],
  }[cell];
  const all = Array.from({ length: D }, (_, d) =>
    used.map((f) => (typeof f === 'object' && 'length' in f ? f[d] : f)),
  ).flat();
  const usual = cell !== 'rnn' && all.every((f, i) => f === (i % used.length ? 'tanh' : 'sigmoid'));
  const found = all.map((f) => {
    const given: Exclude<typeof f, string> = typeof f === 'string' ? { kind: f } : f;
    const [name, ...numbers] = ACTIVATIONS[given.kind];
    return { name, numbers: numbers.map((number, i) => (i ? given.beta : given.alpha) ?? number) };
  });
  // each list has the numbers of the functions that have some
  const lists = [0, 1].map((i) => found.flatMap(({ numbers }) => numbers.slice(i, i + 1)));
  return {
    ...(usual ? {} : { activations: found.map(({ name }) => name) }),
    ...(lists[0].length ? { activation_alpha: lists[0] } : {}),
    ...(lists[1].length ? { activation_beta: lists[1] } : {}),
    ...(activationClip ? { clip: activationClip } : {}),
  };
}

/** The weights of a layer, W R B and P, and the attributes that say what the cell does. */
function pack(
  g: Graph,
  weights: Weights,
  cell: keyof typeof OPERATORS,
  options: RecurrentOptions,
  name: string,
  directions: readonly ((kind: string) => string)[],
) {
  const { bias = true, coupled = false, peepholes = false, reset = 'after' } = options;
  const { gates } = OPERATORS[cell];
  const D = directions.length;
  const all = (kind: string) => directions.map((of) => weights.get(of(kind)));
  const order = (values: Float32Array) => reordered(coupled ? uncoupled(values) : values, gates);
  const matrix = (short: string, kind: string) => {
    const [rows, columns] = weights.parameter(directions[0](kind)).shape;
    const shape = [D, coupled ? (rows / 3) * 4 : rows, columns];
    return g.floats(`${name}.${short}`, shape, joined(all(kind).map(order)));
  };
  const inputs = [matrix('W', 'weight_ih'), matrix('R', 'weight_hh')];
  if (bias) {
    const [ih, hh] = [all('bias_ih'), all('bias_hh')];
    const both = directions.map((_, d) => joined([order(ih[d]), order(hh[d])]));
    inputs.push(g.floats(`${name}.B`, [D, both[0].length], joined(both)));
  } else inputs.push('');
  let peepholesAt = '';
  if (peepholes) {
    // i f o here, i o f there; coupled i o, and that of f is that of -x
    const own = all('weight_peephole').map((p) => {
      const n = p.length / (coupled ? 2 : 3);
      const [i, f, o] = coupled
        ? [p.subarray(0, n), p.subarray(0, n).map((v) => -v), p.subarray(n)]
        : [p.subarray(0, n), p.subarray(n, 2 * n), p.subarray(2 * n)];
      return joined([i, o, f]);
    });
    peepholesAt = g.floats(`${name}.P`, [D, own[0].length], joined(own));
  }
  const attributes = {
    ...(cell === 'gru' ? { linear_before_reset: reset === 'after' ? 1 : 0 } : {}),
    ...activationAttributes(cell, options, D),
  };
  return { inputs, peepholes: peepholesAt, attributes };
}

/** [T,D,B,H] to [T,B,O]. */
function merged(g: Graph, Y: string, D: number, how: 'concat' | 'sum' | 'mean' | 'mul'): string {
  if (D === 1) return g.node('Squeeze', [Y, g.ints(1)]);
  if (how === 'sum') return g.node('ReduceSum', [Y, g.ints(1)], { keepdims: 0 });
  if (how !== 'concat') return g.node(how === 'mean' ? 'ReduceMean' : 'ReduceProd', [Y], { axes: [1], keepdims: 0 });
  return g.node('Reshape', [g.node('Transpose', [Y], { perm: [0, 2, 1, 3] }), g.ints(0, 0, -1)]);
}

/** [T,B] whether a step comes before its sequence's end; x is any value [T,…]. */
export function live(g: Graph, x: string, lengths: string): string {
  const T = g.node('Squeeze', [g.node('Slice', [g.node('Shape', [x]), g.ints(0), g.ints(1)])]);
  const steps = g.node('Range', [scalar(g, 0), T, scalar(g, 1)]);
  return g.node('Less', [unsqueeze(g, steps, 1), unsqueeze(g, g.node('Cast', [lengths], { to: 7 }), 0)]);
}

/** What stands for a whole sequence: [T,B,F] and the final states to [B,F]. */
export function pool(
  g: Graph,
  weights: Weights,
  name: string,
  how: 'mean' | 'max' | 'attention',
  x: string,
  lengths: string,
): string {
  if (how === 'mean') {
    const steps = unsqueeze(g, g.node('Cast', [lengths], { to: 1 }), 1);
    return g.node('Div', [g.node('ReduceSum', [x, g.ints(0)], { keepdims: 0 }), steps]);
  }
  if (how === 'max') {
    const mask = unsqueeze(g, live(g, x, lengths), 2);
    return g.node('ReduceMax', [g.node('Where', [mask, x, g.float(-Infinity)])], { axes: [0], keepdims: 0 });
  }
  const keys = g.node('Tanh', [linear(g, weights, `${name}.proj`, x)]);
  return weighted(g, scoresOf(g, keys, vector(g, weights, `${name}.v`)), x, lengths).context;
}

/** A vector [A] as [A,1]. */
function vector(g: Graph, weights: Weights, name: string): string {
  const values = weights.get(name);
  return g.floats(`${name}.column`, [values.length, 1], values);
}

/** [S,B,A] times [A,1], as [S,B]. */
function scoresOf(g: Graph, keys: string, v: string): string {
  return g.node('Squeeze', [g.node('MatMul', [keys, v]), g.ints(2)]);
}

/** Scores [S,B] of steps before the ends become weights [S,B], and with them a mean of the values [S,B,F]: [B,F]. */
function weighted(g: Graph, scores: string, values: string, lengths: string) {
  const kept = g.node('Where', [live(g, values, lengths), scores, g.float(-Infinity)]);
  const weights = g.node('Softmax', [kept], { axis: 0 });
  const product = g.node('Mul', [unsqueeze(g, weights, 2), values]);
  return { weights, context: g.node('ReduceSum', [product, g.ints(0)], { keepdims: 0 }) };
}

type Score = 'dot' | 'general' | 'additive';

/** Keys [S,B,Fk] as queries are compared with them. */
export function attentionKeys(g: Graph, weights: Weights, name: string, score: Score, keys: string): string {
  if (score === 'dot') return keys;
  const product = g.node('MatMul', [keys, transposed(g, weights, `${name}.${score === 'general' ? 'Wa' : 'Wk'}`)]);
  return score === 'general' ? product : g.node('Add', [product, tensor(g, weights, `${name}.b`)]);
}

/** One query [B,Fq] looks at values [S,B,Fv]: the context [B,Fv] and the weights [S,B]. */
export function attend(
  g: Graph,
  weights: Weights,
  name: string,
  score: Score,
  query: string,
  { keys, values, lengths }: { keys: string; values: string; lengths: string },
) {
  if (score === 'additive') {
    const projected = g.node('MatMul', [query, transposed(g, weights, `${name}.Wq`)]);
    const pairs = g.node('Tanh', [g.node('Add', [unsqueeze(g, projected, 0), keys])]);
    return weighted(g, scoresOf(g, pairs, vector(g, weights, `${name}.v`)), values, lengths);
  }
  const products = g.node('Mul', [unsqueeze(g, query, 0), keys]);
  return weighted(g, g.node('ReduceSum', [products, g.ints(2)], { keepdims: 0 }), values, lengths);
}

/** c [B,C] to the initial state of a stack by linear maps, with a tanh after each or without. */
export function bridge(
  g: Graph,
  weights: Weights,
  name: string,
  context: string,
  sizes: Recurrent['stateSizes'],
  kind: 'affine' | 'tanh',
): States {
  const make = (state: 'h' | 'c') =>
    sizes[state].map((_, i) => {
      const y = linear(g, weights, `${name}.${state}${i}`, context);
      return kind === 'tanh' ? g.node('Tanh', [y]) : y;
    });
  return { h: make('h'), c: make('c') };
}
