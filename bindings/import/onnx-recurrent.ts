/**
 * ONNX's operators RNN, GRU and LSTM as recurrent layers. Attributes, formulas and orders of weights: onnx/docs/Operators.md, opset 22.
 * Gates are i o f c there and i f g o here, z r h there and r z n here; peepholes i o f there and i f o here.
 */
import * as check from '../check.js';
import {
  type ActivationName,
  type ActivationOption,
  type Activations,
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
  const coupled = wholeOf(node, 'input_forget', 0) !== 0;
  const functions = functionsOf(node, usual, D);

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
      ...functions,
    },
  };
}

/** Functions by their names in lower case, with the defaults of α and β; NaN: runtimes do not agree on a default. */
const FUNCTIONS: Readonly<Record<string, readonly [kind: ActivationName, ...numbers: number[]]>> = {
  tanh: ['tanh'],
  sigmoid: ['sigmoid'],
  relu: ['relu'],
  softsign: ['softsign'],
  softplus: ['softplus'],
  hardsigmoid: ['hardSigmoid', 0.2, 0.5],
  elu: ['elu', 1],
  leakyrelu: ['leakyRelu', 0.01],
  thresholdedrelu: ['thresholdedRelu', 1],
  affine: ['affine', Number.NaN, Number.NaN],
  scaledtanh: ['scaledTanh', Number.NaN, Number.NaN],
};

/** The options that say which functions there are, and how their inputs are clamped. */
function functionsOf(node: OnnxNode, usual: readonly string[], D: number): Partial<RecurrentOptions> {
  const given = textsOf(node.attributes.get('activations'));
  const names = given.length ? given : Array.from({ length: D }, () => usual).flat();
  const n = usual.length;
  if (names.length !== n * D) {
    throw new FormatError(`${called(node)}: attribute 'activations' lists ${names.length}, expected ${n * D}`);
  }
  const keys = ['alpha', 'beta'] as const;
  const numbers = keys.map((key) => {
    const value = node.attributes.get(`activation_${key}`);
    return Array.isArray(value) ? Array.from<unknown, number>(value, Number) : [];
  });
  // the numbers are those of the functions that have some, in their order
  const taken = [0, 0];
  const functions = names.map((name): ActivationOption => {
    const known = FUNCTIONS[name.toLowerCase()];
    if (!known) return fault(node, `attribute 'activations' (${given.join(', ')}) is not supported: ${name}`);
    const [kind, ...defaults] = known;
    if (defaults.length === 0) return kind;
    const own = defaults.map((usually, i) => {
      const number = numbers[i][taken[i]++] ?? usually;
      return Number.isNaN(number)
        ? fault(node, `expected attribute 'activation_${keys[i]}': ${name} needs it`)
        : number;
    });
    return { kind, alpha: own[0], ...(own.length > 1 ? { beta: own[1] } : {}) };
  });
  for (const [i, list] of numbers.entries()) {
    if (list.length > taken[i]) {
      throw new FormatError(
        `${called(node)}: attribute 'activation_${keys[i]}' lists ${list.length}, its functions have ${taken[i]}`,
      );
    }
  }
  const one = (k: number): Activations => {
    const [first, second = first] = [functions[k], functions[n + k]];
    return JSON.stringify(first) === JSON.stringify(second) ? first : [first, second];
  };
  const activation = one(n === 1 ? 0 : 1);
  const [gates, output] = [n > 1 ? one(0) : 'sigmoid', n > 2 ? one(2) : activation];
  const clip = node.attributes.get('clip');
  if (clip !== undefined && !(typeof clip === 'number' && clip > 0 && clip <= 1e37)) {
    throw new FormatError(`${called(node)}: attribute 'clip' is ${String(clip)}, expected a number above 0`);
  }
  return {
    ...(activation === 'tanh' ? {} : { activation }),
    ...(gates === 'sigmoid' ? {} : { gateActivation: gates }),
    ...(JSON.stringify(output) === JSON.stringify(activation) ? {} : { outputActivation: output }),
    ...(clip === undefined ? {} : { activationClip: clip }),
  };
}

/** What a node reads. Numbers lie in the order of its layout. */
export interface OnnxInputs {
  /** [T,B,I], or [B,T,I] with layout 1. */
  X: ArrayLike<number>;
  T: number;
  B: number;
  /** [B], from 0 to T; of a sequence of length 0 all results are 0, as in onnxruntime. Default: the graph's, if they are constants, else T. */
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
    const { sequence_lens: given = this.given.sequence_lens } = inputs;
    // a sequence without steps is run with one, and its results are left out
    const empty = (b: number) => given?.[b] === 0;
    const lengths = given && Array.from(given, (length) => (length === 0 ? 1 : length));
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
          for (let b = 0; b < B; b++) if (!empty(b)) out.set(values.subarray(b * H, (b + 1) * H), at(d, b));
        });
        return out;
      };
      const y = read(tape, output);
      const Y = new Float32Array(y.length);
      for (let t = 0; t < T; t++) {
        for (let b = 0; b < B; b++) {
          for (let d = 0; d < D && !empty(b); d++) {
            const from = ((t * B + b) * D + d) * H;
            Y.set(y.subarray(from, from + H), (layout ? (b * T + t) * D + d : (t * D + d) * B + b) * H);
          }
        }
      }
      return { Y, Y_h: finals(h), Y_c: finals(c) };
    });
  }
}
