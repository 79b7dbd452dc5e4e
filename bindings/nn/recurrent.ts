/** Recurrent layers: a stack of cells over a sequence, in one direction or both. */
import { Merge } from '../../assembly/layout.js';
import { CELL_DEFAULTS, type CellOptions, type CellSettings } from '../cells/cell.js';
import { CELL_NAMES, type CellName, cells } from '../cells/index.js';
import * as check from '../check.js';
import { checkRows, type Rows, type Tape } from '../tape.js';
import { type Call, Direction, type LayerSettings } from './direction.js';
import { backward } from './direction-backward.js';
import { distinctForward } from './distinct.js';
import { dropout as dropoutLayer } from './dropout.js';
import { checkInitializer, type Initializer } from './initializer.js';
import { input } from './input.js';
import type { Builder, Parameter } from './model.js';

export interface RecurrentOptions extends CellOptions {
  cell: CellName;
  /** I: features of the input. */
  inputSize: number;
  /** H: units of each layer, or a list, layer by layer. */
  hiddenSize: number | readonly number[];
  /** Default 1, or as many as `hiddenSize` lists. */
  numLayers?: number | undefined;
  /** Whether there are biases, default true. */
  bias?: boolean | undefined;
  /** Each layer runs in both directions of time. */
  bidirectional?: boolean | undefined;
  /** How the outputs of the two directions become one, default `'concat'`. */
  merge?: 'concat' | 'sum' | 'mean' | 'mul' | undefined;
  /** Time runs backwards, in all layers. */
  reverse?: boolean | undefined;
  /** What sequences start from unless told otherwise: zeros, the default, or learned states (`h0_l0` …). */
  initialState?: 'zero' | 'learned' | undefined;
  /** Share of the outputs between layers that is dropped in training, default 0. */
  dropout?: number | undefined;
  /** The same of each layer's inputs and fed back states, one mask for all steps (Gal & Ghahramani 2016, arXiv:1512.05287v5). */
  variationalDropout?: number | undefined;
  /** Share of h and of c that keeps its old value (Krueger et al. 2017, arXiv:1606.01305v4); its expectation at inference. */
  zoneoutHidden?: number | undefined;
  zoneoutCell?: number | undefined;
  /** Share of the recurrent weights that is dropped, anew for each sequence (Merity et al. 2018, arXiv:1708.02182v1). */
  weightDrop?: number | undefined;
  /** Normalises both products, and the cell state of an LSTM before its tanh (Ba et al. 2016, arXiv:1607.06450v1). */
  layerNorm?: boolean | undefined;
  /** How weights of x, of h (gate by gate), and biases start; default: as in PyTorch, uniform within 1/√H. */
  initializers?: { input?: Initializer; recurrent?: Initializer; bias?: Initializer } | undefined;
}

const OWN_OPTIONS = [
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
  'zoneoutHidden',
  'zoneoutCell',
  'weightDrop',
  'layerNorm',
  'initializers',
] as const;

/** The names of all options of a recurrent layer. */
export const RECURRENT_OPTIONS: readonly string[] = [...OWN_OPTIONS, ...Object.keys(CELL_DEFAULTS)];

const MERGES = { concat: Merge.concat, sum: Merge.sum, mean: Merge.mean, mul: Merge.mul };

/** Where a recurrent layer stands between two calls: plain numbers that can be cloned, kept and saved. */
export class State {
  constructor(
    /** Sequences side by side. */
    readonly batch: number,
    /** h of each layer and direction, [B,P]. */
    readonly h: Float32Array[],
    /** c of each layer and direction, [B,H]; empty for cells without one. */
    readonly c: Float32Array[],
  ) {}

  clone(): State {
    return new State(
      this.batch,
      this.h.map((a) => a.slice()),
      this.c.map((a) => a.slice()),
    );
  }

  /** Back to zero. */
  reset(): void {
    for (const a of this.h) a.fill(0);
    for (const a of this.c) a.fill(0);
  }
}

/** Whether it is a `State`, of this entry of the package or of another. */
function isState(state: State | StateRows): state is State {
  return 'batch' in state;
}

/** States on the tape: h of each layer and direction [1,B,P], and c [1,B,H] of cells that have one. */
export interface StateRows {
  readonly h: readonly Rows[];
  readonly c: readonly Rows[];
}

/** A layer in one direction, as it stood in a call. */
interface Run {
  readonly layer: number;
  readonly direction: Direction;
  readonly call: Call;
  readonly reverse: boolean;
}

export class Recurrent {
  readonly inputSize: number;
  /** Features of the last layer's output, and of its final states, side by side. */
  readonly outputSize: number;
  readonly finalSize: number;
  readonly numLayers: number;
  readonly bidirectional: boolean;
  readonly #options: RecurrentOptions;
  /** Layer by layer, direction by direction. */
  readonly #layers: Direction[][];
  /** The same in a row. */
  readonly directions: readonly Direction[];
  readonly #builder: Builder;

  /** @param name prefix of the parameters: `weight_ih_l0` [G·H,I] and so on, as in PyTorch */
  constructor(builder: Builder, name: string, options: RecurrentOptions) {
    const { settings, widths } = checkRecurrent(name, options);
    const { bidirectional = false, merge = 'concat' } = options;
    this.#builder = builder;
    this.#options = options;
    this.inputSize = options.inputSize;
    this.numLayers = widths.length;
    this.bidirectional = bidirectional;
    let I = this.inputSize;
    this.#layers = widths.map((H, l) => {
      const suffixes = bidirectional ? ['', '_reverse'] : options.reverse ? ['_reverse'] : [''];
      const directions = suffixes.map(
        (suffix) => new Direction(builder, settings, (tensor) => `${name}.${tensor}_l${l}${suffix}`, I, H),
      );
      I = directions[0].P * (bidirectional && merge === 'concat' ? 2 : 1);
      return directions;
    });
    this.directions = this.#layers.flat();
    this.outputSize = I;
    this.finalSize = this.#layers[widths.length - 1].reduce((n, { P }) => n + P, 0);
  }

  get #hasC(): boolean {
    return this.#layers[0][0].settings.cell.hasC;
  }

  /** Features of the states of each layer and direction. */
  get stateSizes(): { h: number[]; c: number[] } {
    return {
      h: this.directions.map(({ P }) => P),
      c: this.#hasC ? this.directions.map(({ H }) => H) : [],
    };
  }

  /** A state for B sequences: zeros, or what is learned. */
  state(batch = 1): State {
    check.whole('batch', batch);
    this.#builder.alive();
    const { runtime } = this.#builder;
    const of = (parameter: Parameter | undefined, n: number) => {
      const values = new Float32Array(batch * n);
      if (parameter) for (let b = 0; b < batch; b++) values.set(runtime.read(parameter.at, n), b * n);
      return values;
    };
    return new State(
      batch,
      this.directions.map(({ P, initial }) => of(initial[0], P)),
      this.#hasC ? this.directions.map(({ H, initial }) => of(initial[1], H)) : [],
    );
  }

  /**
   * Runs the stack over a sequence.
   *
   * @param x [T,B,I]; where it has lengths, outputs behind a sequence's end are zero and final states those at its end
   * @param state where to start, zero or learned if absent. A `State` is moved on to where the sequences end and takes no gradient;
   *   rows, say the final states of an encoder, are left alone and take one
   * @param options `carry`: move `state` on by so many steps only, for windows that overlap; default all
   */
  forward(
    tape: Tape,
    x: Rows,
    state?: State | StateRows,
    options: { carry?: number } = {},
  ): StateRows & { output: Rows } {
    check.options('forward', options, ['carry']);
    const { carry = x.T } = options;
    if (carry !== x.T) {
      check.whole('carry', carry, 1, x.T);
      if (!tape.training || this.bidirectional || this.#options.reverse || x.lengths) {
        throw new RangeError('carry: goes with training forward in time, sequences of equal lengths only');
      }
    }
    const { output, h, c } = this.run(tape, x, state, tape.training, carry);
    return { output, h, c };
  }

  /**
   * One step of B sequences, for streams.
   *
   * @param x [B,I]
   * @param state moved on
   * @param output [B,P], overwritten; made if absent
   * @returns output
   */
  step(x: ArrayLike<number>, state: State, output = new Float32Array(state.batch * this.outputSize)): Float32Array {
    if (this.bidirectional) throw new TypeError('step: a bidirectional layer needs the whole sequence; use forward');
    const { batch: B } = state;
    if (x.length !== B * this.inputSize) {
      throw new RangeError(
        `x: expected [B=${B}, I=${this.inputSize}] = ${B * this.inputSize} numbers, got ${x.length}`,
      );
    }
    const size = B * this.outputSize;
    if (output?.length !== size || !ArrayBuffer.isView(output)) {
      throw new RangeError(`output: expected a Float32Array of [B=${B}, P=${this.outputSize}] = ${size} numbers`);
    }
    return this.#builder.forward((tape) => {
      const rows = input(tape, x, { T: 1, B, F: this.inputSize });
      leave(tape, output, this.run(tape, rows, state, false).output);
      return output;
    });
  }

  /** That a state is of B sequences, and of these layers. */
  #checkState(tape: Tape, state: State | StateRows, B: number): void {
    if (!isState(state)) for (const rows of [...state.h, ...state.c]) checkRows(tape, 'state', rows);
    const batch = isState(state) ? state.batch : (state.h[0]?.B ?? B);
    if (batch !== B) throw new RangeError(`state: is of ${batch} sequences, the batch has ${B}`);
    const sizes = this.stateSizes;
    for (const kind of ['h', 'c'] as const) {
      const want = sizes[kind];
      const have = state[kind].map((s) => ('length' in s ? s.length / B : s.F));
      if (want.length && want.join() !== have.join()) {
        throw new RangeError(`state: expected ${kind} of [${want}] features, layer by layer, got [${have}]`);
      }
    }
  }

  /** What `forward`, `step` and `inspect` do; with `keep` all states and activations are kept. */
  run(tape: Tape, x: Rows, state: State | StateRows | undefined, keep: boolean, carry = x.T) {
    this.#builder.accept(tape, x, this.inputSize);
    if (state) this.#checkState(tape, state, x.B);
    const { dropout = 0, variationalDropout = 0, merge = 'concat' } = this.#options;
    const h: Rows[] = [];
    const c: Rows[] = [];
    const runs: Run[] = [];
    const entered = state !== undefined && !isState(state) && [...state.h, ...state.c].some(({ grad }) => grad !== 0);
    let output = x;
    this.#layers.forEach((directions, l) => {
      if (l > 0 && dropout) output = dropoutLayer(tape, this.#builder.random, output, dropout);
      if (variationalDropout)
        output = dropoutLayer(tape, this.#builder.random, output, variationalDropout, { oneMask: true });
      const inputRows = output;
      const wanted = inputRows.grad !== 0 || entered || directions.some(({ trained }) => trained);
      const results = directions.map((direction, d) => {
        const i = l * directions.length + d;
        const reverse = d === 1 || this.#options.reverse === true;
        const result = this.#run(
          tape,
          direction,
          inputRows,
          state && { h: state.h[i], c: state.c[i] },
          reverse,
          keep,
          wanted,
        );
        runs.push({ layer: l, direction, call: result.call, reverse });
        h.push(result.h);
        if (result.c) c.push(result.c);
        if (state && isState(state)) {
          // slots of earlier steps lie before the last one
          const back = x.T - carry;
          const at = ({ at, ld, B, F }: Rows) => ({ at: at - back * B * ld, ld, B, F });
          leave(tape, state.h[i], at(result.h));
          if (result.c) leave(tape, state.c[i], at(result.c));
        }
        return result.output;
      });
      // the slots of states serve as outputs, but where something has to be put together, or zeroed behind an end
      output = directions.length > 1 || x.lengths ? mergeRows(tape, results[0], results[1], MERGES[merge]) : results[0];
    });
    return { output, h, c, runs };
  }

  #run(
    tape: Tape,
    direction: Direction,
    x: Rows,
    initial: { h: Float32Array | Rows | undefined; c: Float32Array | Rows | undefined } | undefined,
    reverse: boolean,
    keep: boolean,
    wanted: boolean,
  ): { output: Rows; h: Rows; c: Rows | undefined; call: Call } {
    const { core } = tape.runtime;
    const { B, T } = x;
    const { ldh, ldc, P, H } = direction;
    const [learnedH, learnedC] = initial ? [] : direction.initial;
    const call = direction.call(tape, x, reverse, keep, !initial && !learnedH);
    enter(tape, call.h0, ldh, P, B, initial?.h ?? learnedH);
    if (call.c0) enter(tape, call.c0, ldc, H, B, initial?.c ?? learnedC);
    const distinct = tape.training && !direction.gainX ? x.distinct?.() : undefined;
    if (distinct) distinctForward(direction, tape, call, distinct);
    core.forward(call.s);
    const { zoneoutHidden, zoneoutCell } = direction.settings;
    if (wanted && tape.training && !tape.trains(this.#builder.random) && (zoneoutHidden || zoneoutCell)) {
      throw new RangeError('x: a layer with zoneout whose model is not trained cannot pass a gradient on to its input');
    }
    const rows = (at: number, ld: number, F: number, steps: number, lengths?: Rows['lengths']) =>
      tape.rows(steps, B, F, wanted, lengths, ld, at);
    const output = rows(call.outputs, ldh, P, T, x.lengths);
    const h = rows(call.hT, ldh, P, 1);
    const c = call.cT ? rows(call.cT, ldc, H, 1) : undefined;
    if (!wanted) return { output, h, c, call };
    tape.record(() => {
      backward(direction, tape, call, x, distinct, { at: output.grad, ld: ldh }, h.grad, c?.grad ?? 0, !initial);
      // the gradients of the final states have become those of the initial ones
      for (const [from, to] of [
        [h, initial?.h],
        [c, initial?.c],
      ] as const) {
        if (from && to && 'grad' in to && to.grad) core.rowsAdd(to.grad, to.ld, from.grad, from.ld, B, from.F);
      }
    });
    return { output, h, c, call };
  }
}

/** The settings of all layers, and how wide each is. */
export function checkRecurrent(name: string, options: RecurrentOptions): { settings: LayerSettings; widths: number[] } {
  check.options(name, options, RECURRENT_OPTIONS);
  const cellName = check.oneOf('cell', options.cell, CELL_NAMES);
  const cell = cells[cellName];
  const given = (key: string) => (options as unknown as Record<string, unknown>)[key] !== undefined;
  for (const key of Object.keys(CELL_DEFAULTS)) {
    if (given(key) && !(cell.options as readonly string[]).includes(key)) {
      throw new RangeError(`${key}: means nothing to cell '${cellName}'`);
    }
  }
  check.whole('inputSize', options.inputSize);
  const { hiddenSize } = options;
  const list = typeof hiddenSize === 'object' && hiddenSize !== null;
  if (list && hiddenSize.length === 0) throw new RangeError('hiddenSize: the list is empty');
  const { numLayers = list ? hiddenSize.length : 1 } = options;
  check.whole('numLayers', numLayers);
  if (list && hiddenSize.length !== numLayers) {
    throw new RangeError(`hiddenSize: lists ${hiddenSize.length} layers, numLayers is ${numLayers}`);
  }
  const widths = Array.from({ length: numLayers }, (_, l) =>
    list ? check.whole(`hiddenSize[${l}]`, hiddenSize[l]) : check.whole('hiddenSize', hiddenSize),
  );
  const { bias = true, bidirectional = false, reverse = false, layerNorm = false, initialState = 'zero' } = options;
  const flags = { bias, bidirectional, reverse, layerNorm, peepholes: options.peepholes ?? false };
  for (const [key, value] of Object.entries({
    ...flags,
    coupled: options.coupled ?? false,
    feedback: options.feedback ?? true,
  })) {
    check.flag(key, value);
  }
  check.oneOf('initialState', initialState, ['zero', 'learned']);
  check.oneOf('merge', options.merge ?? 'concat', ['concat', 'sum', 'mean', 'mul']);
  const rates = ['dropout', 'variationalDropout', 'zoneoutHidden', 'zoneoutCell', 'weightDrop'] as const;
  for (const key of rates) {
    if (check.number(key, options[key] ?? 0, 0) >= 1) check.fail(key, 'a number below 1', options[key]);
  }
  check.whole('projectionSize', options.projectionSize ?? 0, 0);
  check.number('cellClip', options.cellClip ?? 0, 0);
  check.number('forgetBias', options.forgetBias ?? 0);
  check.oneOf('reset', options.reset ?? 'after', ['after', 'before']);
  const activations =
    cellName === 'gru' ? (['tanh', 'relu'] as const) : (['tanh', 'sigmoid', 'relu', 'identity'] as const);
  check.oneOf('activation', options.activation ?? 'tanh', activations);
  const { initializers = {} } = options;
  check.options('initializers', initializers, ['input', 'recurrent', 'bias']);
  for (const [key, value] of Object.entries(initializers)) checkInitializer(`initializers.${key}`, value);

  const clash = (wrong: unknown, a: string, b: string, why: string) => {
    if (wrong) throw new RangeError(`${a} and ${b} do not go together: ${why}`);
  };
  const projection = options.projectionSize ?? 0;
  clash(bidirectional && reverse, 'bidirectional', 'reverse', 'both directions are there already');
  clash(given('merge') && !bidirectional, 'merge', 'bidirectional: false', 'there is one direction only');
  clash(options.dropout && numLayers === 1, 'dropout', 'numLayers: 1', 'it acts between layers');
  clash(options.zoneoutCell && !cell.hasC, 'zoneoutCell', `cell: '${cellName}'`, 'the cell has no state c');
  clash(
    projection && widths.some((H) => projection >= H),
    'projectionSize',
    'hiddenSize',
    'a projection is smaller, as in PyTorch',
  );
  clash(options.coupled && options.forgetBias, 'coupled', 'forgetBias', 'there is no forget gate of its own');
  clash(options.forgetBias && !bias, 'forgetBias', 'bias: false', 'there is no bias');
  const noFeedback = options.feedback === false;
  clash(noFeedback && options.weightDrop, 'weightDrop', 'feedback: false', 'there are no recurrent weights');
  clash(
    noFeedback && initializers.recurrent,
    'initializers.recurrent',
    'feedback: false',
    'there are no recurrent weights',
  );
  clash(
    layerNorm && options.reset === 'before',
    'layerNorm',
    "reset: 'before'",
    'the product with the state is made in two parts',
  );
  clash(!bias && initializers.bias, 'initializers.bias', 'bias: false', 'there is no bias');
  const square = initializers.recurrent?.kind === 'identity' && projection;
  clash(
    square,
    "initializers.recurrent: { kind: 'identity' }",
    'projectionSize',
    'the recurrent weights are not square',
  );

  const own = Object.fromEntries(
    Object.keys(CELL_DEFAULTS).flatMap((key) => (given(key) ? [[key, options[key as keyof CellSettings]]] : [])),
  );
  return {
    widths,
    settings: {
      ...CELL_DEFAULTS,
      ...own,
      cell,
      bias,
      layerNorm,
      variationalDropout: options.variationalDropout ?? 0,
      zoneoutHidden: options.zoneoutHidden ?? 0,
      zoneoutCell: options.zoneoutCell ?? 0,
      weightDrop: options.weightDrop ?? 0,
      learnedState: initialState === 'learned',
      initializers,
    },
  };
}

/** One or two directions as one sequence whose padding is zero. */
function mergeRows(tape: Tape, a: Rows, b: Rows | undefined, how: Merge): Rows {
  const { core } = tape.runtime;
  const { T, B, F, ld, lengths } = a;
  const y = tape.rows(T, B, b && how === Merge.concat ? 2 * F : F, a.grad !== 0, lengths);
  const at = lengths?.at ?? 0;
  core.mergeForward(y.at, y.ld, a.at, b?.at ?? 0, ld, at, T, B, F, how);
  if (!y.grad) return y;
  tape.record(() => {
    if (b) core.mergeBackward(a.grad, b.grad, y.grad, y.ld, a.at, b.at, ld, at, T, B, F, how);
    else core.rowsAdd(a.grad, ld, y.grad, y.ld, T * B, F);
  });
  return y;
}

/** An initial state, one that is learned, or zeros, into its slot. */
export function enter(
  tape: Tape,
  at: number,
  ld: number,
  F: number,
  B: number,
  values?: Float32Array | Rows | Parameter,
): void {
  const { f32, core } = tape.runtime;
  f32.fill(0, at >>> 2, (at + B * ld) >>> 2);
  if (!values) return;
  if ('ld' in values) core.rowsAdd(at, ld, values.at, values.ld, B, F);
  else if ('shape' in values)
    for (let b = 0; b < B; b++) f32.set(f32.subarray(values.at >>> 2, (values.at >>> 2) + F), (at + b * ld) >>> 2);
  else for (let b = 0; b < B; b++) f32.set(values.subarray(b * F, (b + 1) * F), (at + b * ld) >>> 2);
}

/** Rows into packed numbers [B,F]. */
export function leave(tape: Tape, values: Float32Array, { at, ld, B, F }: Pick<Rows, 'at' | 'ld' | 'B' | 'F'>): void {
  const { f32 } = tape.runtime;
  for (let b = 0; b < B; b++) {
    const from = (at + b * ld) >>> 2;
    values.set(f32.subarray(from, from + F), b * F);
  }
}
