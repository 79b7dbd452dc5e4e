/**
 * ONNX's operators RNN, GRU and LSTM as recurrent layers. Attributes, formulas and orders of weights: onnx/docs/Operators.md, opset 22.
 * Gates are i o f c there and i f g o here, z r h there and r z n here; peepholes i o f there and i f o here.
 */
import * as check from '../check.js';
import {
  type Builder,
  FormatError,
  input,
  Recurrent,
  type RecurrentOptions,
  type Rows,
  read,
  type StateRows,
  type Tape,
  UnsupportedError,
} from '../index.js';
import { blocks } from './files.js';
import { type Attribute, type Constant, called, type OnnxNode } from './onnx-proto.js';

/** A recurrent node, taken apart. */
export interface RecurrentParts {
  readonly options: RecurrentOptions;
  /** By gatewise's names, without the layer's: `weight_ih_l0` … */
  readonly weights: ReadonlyMap<string, Float32Array>;
  readonly directions: 1 | 2;
  /** 1: X, Y and the states are batch-first. */
  readonly layout: 0 | 1;
}

export const OPERATORS = ['RNN', 'GRU', 'LSTM'];

/** Places of inputs. */
export const INPUTS = { X: 0, W: 1, R: 2, B: 3, sequence_lens: 4, initial_h: 5, initial_c: 6, P: 7 } as const;

const CELLS = {
  RNN: { cell: 'rnn', gates: 1, activations: ['Tanh'], order: [0] },
  GRU: { cell: 'gru', gates: 3, activations: ['Sigmoid', 'Tanh'], order: [1, 0, 2] },
  LSTM: { cell: 'lstm', gates: 4, activations: ['Sigmoid', 'Tanh', 'Tanh'], order: [0, 2, 3, 1] },
} as const;

const KNOWN = [
  'activations',
  'activation_alpha',
  'activation_beta',
  'clip',
  'direction',
  'hidden_size',
  'input_forget',
  'layout',
  'linear_before_reset',
  'output_sequence',
];

export function fault(node: OnnxNode, what: string): never {
  throw new UnsupportedError(`${called(node)}: ${what}`);
}

/** A whole number, or what it is without the attribute. */
export function wholeOf(node: OnnxNode, name: string, usual: number): number {
  const value = node.attributes.get(name) ?? usual;
  if (typeof value === 'number' && Number.isInteger(value)) return value;
  throw new FormatError(`${called(node)}: attribute '${name}' is not a whole number`);
}

const textsOf = (value: Attribute | undefined): readonly string[] =>
  Array.isArray(value) ? value.map((item: unknown) => String(item)) : [];

/**
 * Takes a recurrent node apart.
 *
 * @param constant gives the numbers of a value, if they are known
 */
export function recurrentParts(node: OnnxNode, constant: (value: string) => Constant | undefined): RecurrentParts {
  if (!Object.hasOwn(CELLS, node.op)) fault(node, 'is not a recurrent node; RNN, GRU and LSTM are');
  const { cell, gates: G, activations: usual, order } = CELLS[node.op as keyof typeof CELLS];
  for (const name of node.attributes.keys()) {
    if (!KNOWN.includes(name)) fault(node, `attribute '${name}' is not supported`);
  }
  const direction = node.attributes.get('direction') ?? 'forward';
  if (direction !== 'forward' && direction !== 'reverse' && direction !== 'bidirectional') {
    throw new FormatError(`${called(node)}: attribute 'direction' is '${String(direction)}'`);
  }
  const D = direction === 'bidirectional' ? 2 : 1;
  const layout = wholeOf(node, 'layout', 0) === 1 ? 1 : 0;
  const clip = node.attributes.get('clip');
  if (clip !== undefined)
    fault(node, `attribute 'clip' (${String(clip)}) is not supported: gatewise cannot clamp the inputs of activations`);
  const coupled = wholeOf(node, 'input_forget', 0) !== 0;
  const activation = activationOf(node, usual, D);

  const needed = (name: 'W' | 'R'): Constant => {
    const value = node.inputs[INPUTS[name]] ?? '';
    const found = constant(value);
    return (
      found ??
      fault(
        node,
        `its input ${name} ('${value}') is not a constant; expected numbers, or give them as an option: tensors`,
      )
    );
  };
  const optional = (name: 'B' | 'P'): Constant | undefined => {
    const value = node.inputs[INPUTS[name]];
    if (!value) return undefined;
    return (
      constant(value) ??
      fault(
        node,
        `its input ${name} ('${value}') is not a constant; expected numbers, or give them as an option: tensors`,
      )
    );
  };
  const [W, R, B, P] = [needed('W'), needed('R'), optional('B'), optional('P')];
  const H = wholeOf(node, 'hidden_size', R.shape[2] ?? 0);
  const I = W.shape[2] ?? 0;
  for (const [name, found, want] of [
    ['W', W, [D, G * H, I]],
    ['R', R, [D, G * H, H]],
    ['B', B, [D, 2 * G * H]],
    ['P', P, [D, 3 * H]],
  ] as const) {
    if (found && found.shape.join() !== want.join()) {
      throw new FormatError(`${called(node)}: ${name} is [${found.shape.join(', ')}], expected [${want.join(', ')}]`);
    }
  }

  // one gate for input and forgetting: f is not used
  const gates = coupled && cell === 'lstm' ? [0, 3, 1] : order;
  const weights = new Map<string, Float32Array>();
  for (let d = 0; d < D; d++) {
    const suffix = `_l0${d === 1 || direction === 'reverse' ? '_reverse' : ''}`;
    const part = ({ data }: Constant) => {
      const n = data.length / D;
      return Float32Array.from(data.subarray(d * n, (d + 1) * n));
    };
    weights.set(`weight_ih${suffix}`, blocks(part(W), G, gates));
    weights.set(`weight_hh${suffix}`, blocks(part(R), G, gates));
    if (B) {
      const bias = part(B);
      weights.set(`bias_ih${suffix}`, blocks(bias.subarray(0, G * H), G, gates));
      weights.set(`bias_hh${suffix}`, blocks(bias.subarray(G * H), G, gates));
    }
    if (P) weights.set(`weight_peephole${suffix}`, blocks(part(P), 3, coupled ? [0, 1] : [0, 2, 1]));
  }
  return {
    weights,
    layout,
    directions: D,
    options: {
      cell,
      inputSize: I,
      hiddenSize: H,
      bias: B !== undefined,
      ...(D === 2 ? { bidirectional: true } : {}),
      ...(direction === 'reverse' ? { reverse: true } : {}),
      ...(cell === 'gru' ? { reset: wholeOf(node, 'linear_before_reset', 0) ? 'after' : 'before' } : {}),
      ...(cell === 'lstm' && coupled ? { coupled } : {}),
      ...(P ? { peepholes: true } : {}),
      ...(activation ? { activation } : {}),
    },
  };
}

/** The activation that gatewise can choose; all others have to be the usual ones. */
function activationOf(node: OnnxNode, usual: readonly string[], D: number): 'tanh' | 'relu' | 'sigmoid' | undefined {
  const given = textsOf(node.attributes.get('activations'));
  if (given.length === 0) return undefined;
  const n = usual.length;
  if (given.length !== n * D) {
    throw new FormatError(`${called(node)}: attribute 'activations' lists ${given.length}, expected ${n * D}`);
  }
  const names = given.map((name) => name.toLowerCase());
  const refuse = (why: string) => fault(node, `attribute 'activations' (${given.join(', ')}) is not supported: ${why}`);
  if (D === 2 && names.slice(0, n).join() !== names.slice(n).join())
    refuse('both directions have the same in gatewise');
  const own = names[n === 3 ? 1 : n - 1];
  names.slice(0, n).forEach((name, i) => {
    const free = n < 3 && i === n - 1;
    if (!free && name !== usual[i].toLowerCase()) refuse(`number ${i} has to be ${usual[i]}`);
  });
  if (n === 3 || own === 'tanh') return undefined;
  if (own === 'relu' || (own === 'sigmoid' && node.op === 'RNN')) return own;
  return refuse(node.op === 'RNN' ? 'it can be Tanh, Relu or Sigmoid' : 'number 1 can be Tanh or Relu');
}

/** What a node reads. Numbers lie in the order of its layout. */
export interface OnnxInputs {
  /** [T,B,I], or [B,T,I] with layout 1. */
  X: ArrayLike<number>;
  T: number;
  B: number;
  /** [B], from 1 to T; default: the graph's, if they are constants, else T. */
  sequence_lens?: ArrayLike<number> | undefined;
  /** [D,B,H], or [B,D,H] with layout 1; default: the graph's, if they are constants, else zeros. */
  initial_h?: ArrayLike<number> | undefined;
  initial_c?: ArrayLike<number> | undefined;
}

/** One recurrent node. `recurrent` is its layer; `run` speaks ONNX's layouts. */
export class OnnxRecurrent {
  readonly recurrent: Recurrent;
  readonly #builder: Builder;

  constructor(
    builder: Builder,
    readonly name: string,
    readonly parts: RecurrentParts,
    /** What `run` reads unless it is told otherwise: inputs that are constants of the graph. */
    readonly given: Pick<OnnxInputs, 'sequence_lens' | 'initial_h' | 'initial_c'> = {},
  ) {
    if (typeof parts !== 'object' || parts === null) check.fail('parts', 'the parts of a node', parts);
    this.#builder = builder;
    this.recurrent = new Recurrent(builder, name, parts.options);
  }

  /**
   * @param x [T,B,I]
   * @param state where to start: h and c of each direction [1,B,H]; default zeros
   * @returns output [T,B,D·H] and final states, on the tape
   */
  forward(tape: Tape, x: Rows, state?: StateRows): StateRows & { output: Rows } {
    return this.recurrent.forward(tape, x, state);
  }

  /**
   * Runs the node as ONNX describes it.
   *
   * @returns Y [T,D,B,H], Y_h and Y_c [D,B,H]; [B,T,D,H] and [B,D,H] with layout 1. Y_c is empty without a state c
   */
  run(inputs: OnnxInputs): { Y: Float32Array; Y_h: Float32Array; Y_c: Float32Array } {
    check.options('run', inputs, ['X', 'T', 'B', 'sequence_lens', 'initial_h', 'initial_c']);
    const { layout, directions: D, options } = this.parts;
    const { X } = inputs;
    const { sequence_lens: lengths = this.given.sequence_lens } = inputs;
    const { initial_h = this.given.initial_h, initial_c = this.given.initial_c } = inputs;
    const T = check.whole('T', inputs.T);
    const B = check.whole('B', inputs.B);
    const H = Number(options.hiddenSize);
    const at = (d: number, b: number) => (layout ? b * D + d : d * B + b) * H;
    const isLstm = options.cell === 'lstm';
    if (initial_c && !isLstm) throw new RangeError(`initial_c: is not an input of ${this.name}, which has no state c`);
    return this.#builder.forward((tape) => {
      const states = (name: string, values: ArrayLike<number> | undefined): Rows[] =>
        Array.from({ length: D }, (_, d) => {
          const own = new Float32Array(B * H);
          if (values && values.length !== D * B * H) {
            throw new RangeError(`${name}: expected D·B·H = ${D * B * H} numbers, got ${values.length}`);
          }
          if (values) for (let b = 0; b < B; b++) for (let i = 0; i < H; i++) own[b * H + i] = values[at(d, b) + i];
          return input(tape, own, { T: 1, B, F: H });
        });
      const x = input(tape, X, { T, B, F: options.inputSize, lengths }, { batchFirst: layout === 1 });
      const initial = { h: states('initial_h', initial_h), c: isLstm ? states('initial_c', initial_c) : [] };
      const { output, h, c } = this.forward(tape, x, initial_h || initial_c ? initial : undefined);
      const finals = (rows: readonly Rows[]) => {
        const out = new Float32Array(rows.length * B * H);
        rows.forEach((row, d) => {
          const values = read(tape, row);
          for (let b = 0; b < B; b++) out.set(values.subarray(b * H, (b + 1) * H), at(d, b));
        });
        return out;
      };
      const y = read(tape, output);
      const Y = new Float32Array(y.length);
      for (let t = 0; t < T; t++) {
        for (let b = 0; b < B; b++) {
          for (let d = 0; d < D; d++) {
            const from = ((t * B + b) * D + d) * H;
            Y.set(y.subarray(from, from + H), (layout ? (b * T + t) * D + d : (t * D + d) * B + b) * H);
          }
        }
      }
      return { Y, Y_h: finals(h), Y_c: finals(c) };
    });
  }
}
