/** Recurrent layers: a stack of cells over a sequence, in one direction or both. */
import { Merge } from '../../../assembly/layout.js';
import * as check from '../../check.js';
import { checkRows, pass, type Rows, Tape } from '../../tape.js';
import type { Builder } from '../builder.js';
import { dropout as dropoutLayer } from '../dropout.js';
import { checkNumbers, enterRows, input, type Shape } from '../input.js';
import type { Model } from '../model.js';
import { backward, type Call, prepare, type Stack } from './call.js';
import { Direction } from './direction.js';
import { type Checked, checkRecurrent, type RecurrentOptions } from './options.js';
import { type Initial, isState, leave, type Slot, State, type StateRows } from './state.js';

const MERGES = { concat: Merge.concat, sum: Merge.sum, mean: Merge.mean, mul: Merge.mul };

/** A layer in one direction, as it was called. */
interface Run {
  readonly layer: number;
  readonly direction: Direction;
  readonly call: Call;
  readonly reverse: boolean;
}

/** A stack of recurrent layers over x [T,B,I], in one direction of time or both. */
export class Recurrent implements Stack {
  readonly inputSize: number;
  /** Features of the last layer's output, and of its concatenated final states. */
  readonly outputSize: number;
  readonly finalSize: number;
  readonly numLayers: number;
  readonly bidirectional: boolean;
  readonly #checked: Checked;
  /** Layer by layer, direction by direction. */
  readonly #layers: Direction[][];
  /** The same as one list. */
  readonly directions: readonly Direction[];
  readonly #builder: Builder;

  /**
   * @param name prefix of the parameters: `weight_ih_l0` [G·H,I] and so on, as in PyTorch
   * @throws TypeError, RangeError for invalid options
   */
  constructor(builder: Builder, name: string, options: RecurrentOptions) {
    check.layer(builder, name);
    const checked = checkRecurrent(name, options);
    const { inputSize, bidirectional, merge = 'concat', reverse } = checked.options;
    this.#builder = builder;
    this.#checked = checked;
    this.inputSize = inputSize;
    this.numLayers = checked.widths.length;
    this.bidirectional = bidirectional;
    let I = inputSize;
    this.#layers = checked.widths.map((H, l) => {
      const suffixes = bidirectional ? ['', '_reverse'] : reverse ? ['_reverse'] : [''];
      const directions = suffixes.map(
        (suffix, d) => new Direction(builder, checked, (tensor) => `${name}.${tensor}_l${l}${suffix}`, I, H, d),
      );
      I = directions[0].P * (bidirectional && merge === 'concat' ? 2 : 1);
      return directions;
    });
    this.directions = this.#layers.flat();
    this.outputSize = I;
    this.finalSize = this.#layers[this.numLayers - 1].reduce((n, { P }) => n + P, 0);
  }

  /** What it was made with. */
  get options(): RecurrentOptions {
    return this.#checked.options;
  }

  get #hasC(): boolean {
    return this.#checked.cell.hasC;
  }

  /** Features of the states of each layer and direction. */
  get stateSizes(): { h: number[]; c: number[] } {
    const c = this.directions.map(({ H }) => H);
    return { h: this.directions.map(({ P }) => P), c: this.#hasC ? c : [] };
  }

  /** A state for B sequences: zeros, or the learned initial states. */
  state(batch = 1): State {
    check.whole('batch', batch);
    this.#builder.alive();
    const { runtime } = this.#builder;
    const start = (sizes: readonly number[], i: number) =>
      sizes.map((n, l) => {
        const values = new Float32Array(batch * n);
        const parameter = this.directions[l].initial[i];
        if (parameter) for (let b = 0; b < batch; b++) values.set(runtime.read(parameter.at, n), b * n);
        return values;
      });
    const { h, c } = this.stateSizes;
    return new State(batch, start(h, 0), start(c, 1));
  }

  /**
   * Runs the stack over a sequence.
   *
   * @param x [T,B,I]; where it has lengths, outputs past a sequence's end are zero and final states are those at its end
   * @param state where to start; absent: zeros, or the learned initial states. A `State` is overwritten with the final state and
   *   receives no gradient; rows, for example the final states of an encoder, are not changed and receive one
   * @param options `carry`: overwrite `state` with the state after this many steps, for windows that overlap; default all
   * @returns `output` [T,B,outputSize]; the final states of each layer and direction
   */
  forward(
    tape: Tape,
    x: Rows,
    state?: State | StateRows,
    options: { carry?: number } = {},
  ): StateRows & { output: Rows } {
    check.options('forward', options, ['carry']);
    checkRows(tape, 'x', x);
    const { carry = x.T } = options;
    if (carry !== x.T) {
      check.whole('carry', carry, 1, x.T);
      if (!(tape.training || tape.observer?.dry) || this.bidirectional || this.#checked.options.reverse || x.lengths) {
        throw new RangeError('carry: needs training, forward in time, with sequences of equal lengths');
      }
    }
    const { output, h, c } = this.run(tape, x, state, tape.training, carry);
    return { output, h, c };
  }

  /**
   * One step of B sequences, for streams.
   *
   * @param x [B,I]
   * @param state overwritten with the state after the step
   * @param into [B,outputSize], overwritten; made if absent
   * @returns the output, `into` if it was given
   */
  step(x: ArrayLike<number>, state: State, into?: Float32Array): Float32Array {
    if (this.bidirectional) throw new TypeError('step: a bidirectional layer needs the whole sequence; use forward');
    checkLists(state);
    const { batch: B } = state;
    if (x?.length !== B * this.inputSize) {
      check.fail('x', `[B=${B}, I=${this.inputSize}] = ${B * this.inputSize} numbers`, x?.length);
    }
    const size = B * this.outputSize;
    const output = into === undefined ? new Float32Array(size) : into;
    if (output?.length !== size || !check.isFloats(output)) {
      throw new RangeError(`output: expected a Float32Array of [B=${B}, P=${this.outputSize}] = ${size} numbers`);
    }
    this.#builder.alive();
    return pass(new Tape(this.#builder.runtime, false, [], null, true), (tape) => {
      const shape = { T: 1, B, lengths: undefined };
      checkNumbers('x', x, shape, this.inputSize); // an infinite number would make the state NaN
      const rows = enterRows(tape, x, shape, this.inputSize);
      leave(tape, output, this.run(tape, rows, state, false).output);
      return output;
    });
  }

  /** Checks that a state is of B sequences, and of these layers. */
  #checkState(tape: Tape, state: State | StateRows, B: number): void {
    checkLists(state);
    if (!isState(state)) for (const rows of [...state.h, ...state.c]) checkRows(tape, 'state', rows);
    const batch = isState(state) ? state.batch : (state.h[0]?.B ?? B);
    if (batch !== B) throw new RangeError(`state: is of ${batch} sequences, the batch has ${B}`);
    const features = (s: Float32Array | Rows) => (check.isFloats(s) ? s.length / B : (s?.F ?? 0));
    for (const kind of ['h', 'c'] as const) {
      // checked at each step of a stream: no lists are made unless something is wrong
      const list = state[kind];
      const size = ({ P, H }: Direction) => (kind === 'h' ? P : H);
      if (kind === 'c' && !this.#hasC) continue;
      const { directions } = this;
      let same = list.length === directions.length;
      for (let i = 0; same && i < list.length; i++) same = features(list[i]) === size(directions[i]);
      if (same) {
        if (isState(state)) for (let i = 0; i < list.length; i++) checkFinite(kind, i, state[kind][i]);
        continue;
      }
      const have = Array.from<Float32Array | Rows, number>(list, features);
      throw new RangeError(
        `state: expected ${kind} of [${directions.map(size)}] features, layer by layer, got [${have}]`,
      );
    }
  }

  /** What `forward`, `step` and `inspect` do; with `keep` all states and activations are kept. */
  run(tape: Tape, x: Rows, state: State | StateRows | undefined, kept: boolean, carry = x.T) {
    const keep = Tape.training && kept; // gatewise/infer keeps nothing
    this.#builder.accept(tape, x, this.inputSize);
    if (state !== undefined) this.#checkState(tape, state, x.B);
    const { dropout, variationalDropout, merge = 'concat', reverse: backwards } = this.#checked.options;
    const { random } = this.#builder;
    const h: Rows[] = [];
    const c: Rows[] = [];
    const runs: Run[] = [];
    const entered =
      tape.training &&
      state !== undefined &&
      !isState(state) &&
      [...state.h, ...state.c].some(({ grad }) => grad !== 0);
    let output = x;
    this.#layers.forEach((directions, layer) => {
      if (tape.training && layer > 0 && dropout) output = dropoutLayer(tape, random, output, dropout);
      if (tape.training && variationalDropout)
        output = dropoutLayer(tape, random, output, variationalDropout, { oneMask: true });
      const inputRows = output;
      // rows that can be read as unique ones have a gradient; to ask for it would look up all of them
      const reaches = inputRows.unique !== undefined || inputRows.grad !== 0 || entered;
      const wanted = tape.training && (reaches || directions.some(({ trained }) => trained));
      const results = directions.map((direction, d) => {
        const i = layer * directions.length + d;
        const reverse = d === 1 || backwards;
        const initial = state && { h: state.h[i], c: state.c[i] };
        const result = runDirection(tape, direction, inputRows, initial, { reverse, keep, wanted });
        const { call } = result;
        if (keep) runs.push({ layer, direction, call, reverse });
        h.push(result.h);
        if (result.c) c.push(result.c);
        if (state && isState(state) && !(Tape.training && tape.observer?.dry)) {
          // the slots of earlier steps precede the last one
          const after = (slot: Slot) => ({ ...slot, at: slot.at - (x.T - carry) * x.B * slot.ld });
          leave(tape, state.h[i], after(call.hT));
          if (call.cT) leave(tape, state.c[i], after(call.cT));
        }
        return result.output;
      });
      // the slots of the states are the outputs, except where two are merged or padding has to be zero
      output = directions.length > 1 || x.lengths ? mergeRows(tape, results[0], results[1], MERGES[merge]) : results[0];
    });
    const { observer } = tape;
    if (Tape.training && observer) {
      observer.leaving?.(output, [...h, ...c]);
      // the first that the backward pass does here
      if (output.grad) tape.record(() => observer.entering?.(output));
    }
    return { output, h, c, runs };
  }
}

/** Runs a layer in one direction, and records its backward pass. */
function runDirection(
  tape: Tape,
  direction: Direction,
  x: Rows,
  initial: { h: Initial; c: Initial } | undefined,
  how: { reverse: boolean; keep: boolean; wanted: boolean },
): { output: Rows; h: Rows; c: Rows | undefined; call: Call } {
  const { core } = tape;
  const { wanted } = how;
  const { zoneoutHidden, zoneoutCell } = direction.settings.options;
  if (wanted && tape.training && !tape.trains(direction.builder.random) && (zoneoutHidden || zoneoutCell)) {
    throw new RangeError('x: a layer with zoneout whose model is not trained cannot pass a gradient on to its input');
  }
  const call = prepare(direction, tape, x, initial, how);
  core.recurrentForward(call.s);
  const rows = ({ at, ld, B, F }: Slot, T: number, lengths?: Rows['lengths']) =>
    tape.rows(T, B, F, wanted, lengths, ld, at);
  const output = rows({ ...call.hT, at: call.outputs }, x.T, x.lengths);
  const h = rows(call.hT, 1);
  const c = call.cT && rows(call.cT, 1);
  if (!wanted) return { output, h, c, call };
  tape.record(() => {
    const seen = tape.observer?.layer?.(tape, direction, call, output, how.reverse);
    backward(direction, tape, call, x, { dy: output.grad, dh: h.grad, dc: c?.grad ?? 0, seen }, !initial);
    seen?.done();
    // the gradients of the final states have become those of the initial ones
    const pass = (from: Rows | undefined, to: Initial) => {
      if (from && to && 'grad' in to && to.grad) core.rowsAdd(to.grad, to.ld, from.grad, from.ld, from.B, from.F);
    };
    pass(h, initial?.h);
    pass(c, initial?.c);
  });
  return { output, h, c, call };
}

/** The outputs of one or two directions as one sequence whose padding is zero. */
function mergeRows(tape: Tape, a: Rows, b: Rows | undefined, how: Merge): Rows {
  const { core } = tape;
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

/** What a layer computed in one direction: gates by name, and states after each step, [T,B,H]. */
export interface Trace {
  readonly layer: number;
  readonly reverse: boolean;
  readonly gates: Record<string, Float32Array>;
  readonly h: Float32Array;
  readonly c: Float32Array | null;
}

/**
 * Runs layers of a model over a sequence, as at inference, and returns gates and states of all steps.
 *
 * @param values [T,B,I]
 * @param shape T steps of B sequences, and their `lengths` [B] where they end before T
 * @param state where to start; not changed
 * @returns one trace for each layer and direction
 */
export function inspect(
  model: Model<unknown>,
  recurrent: Recurrent,
  values: ArrayLike<number>,
  shape: Shape,
  state?: State,
): Trace[] {
  check.model(model);
  check.made('recurrent', recurrent, 'run', 'a Recurrent', 'options');
  if (typeof shape !== 'object' || shape === null) check.fail('shape', 'an object { T, B }', shape);
  if (state !== undefined) checkLists(state);
  const { T, B, lengths } = shape;
  return model.forward((tape) => {
    const x = input(tape, values, { T, B, F: recurrent.inputSize, lengths });
    const { runs } = recurrent.run(tape, x, state?.clone(), true);
    return runs.map(({ layer, direction, call, reverse }) => {
      const copy = (at: number, { ld, F }: Slot) => {
        const out = new Float32Array(T * B * F);
        leave(tape, out, { at, ld, B: T * B, F });
        return out;
      };
      const { hT, cT } = call;
      return {
        layer,
        reverse,
        gates: gatesOf(tape, direction, call),
        h: copy(call.outputs, hT),
        c: cT ? copy(cT.at - (reverse ? 0 : (T - 1) * B * cT.ld), cT) : null,
      };
    });
  });
}

/** The gates of all steps, [T,B,H] each, by their names; after the backward pass, the gradients of their net inputs. */
export function gatesOf(tape: Tape, direction: Direction, { z, T, B }: Call): Record<string, Float32Array> {
  const { f32 } = tape.runtime;
  const { H, ldz } = direction;
  const out: Record<string, Float32Array> = {};
  for (const { first, gates, x, z: column } of direction.parts) {
    // columns that x does not feed are a product with the state alone, a part of some gate
    if (!x) continue;
    for (let g = 0; g < gates; g++) {
      const values = new Float32Array(T * B * H);
      for (let r = 0; r < T * B; r++) {
        for (let u = 0; u < H; u++) {
          const at = (Math.floor(u / 4) * gates + g) * 4 + (u % 4);
          values[r * H + u] = f32[((z + r * ldz + column) >>> 2) + at];
        }
      }
      out[direction.gates[first + g]] = values;
    }
  }
  return out;
}

/** That the numbers of a state are finite. */
function checkFinite(kind: string, l: number, values: Float32Array): void {
  // 0, or NaN if one is not
  let sum = 0;
  for (let i = 0; i < values.length; i++) sum += 0 * values[i];
  if (sum === 0) return;
  const i = values.findIndex((value) => !Number.isFinite(value));
  check.fail(`state.${kind}[${l}][${i}]`, 'a finite number', values[i]);
}

/** That a state has lists of h and c. */
function checkLists(state: State | StateRows): void {
  const { h, c }: Partial<StateRows | State> = typeof state === 'object' && state !== null ? state : {};
  if (!(Array.isArray(h) && Array.isArray(c))) check.fail('state', 'a State, or { h, c } of rows', state);
}
