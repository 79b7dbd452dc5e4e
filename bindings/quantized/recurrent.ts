/** Quantized recurrent layers: a stack over a sequence, in one direction or both, or step by step. */
import { QuantizedCell, Run, UNITS } from '../../assembly/quantized/layout.js';
import * as check from '../check.js';
import { type QuantizedCore, READABLE } from '../core/quantized.js';
import {
  amplitude,
  type DirectionDescription,
  type Dtype,
  directionsOf,
  GATES,
  type QuantizedCellName,
  type RecurrentDescription,
} from './describe.js';
import type { QuantizedTensor } from './file.js';
import type { Tensors } from './layers.js';
import { checkNumbers, integerRow, outputOf, Product } from './weights.js';

/** Rows of x whose products are computed at once. */
const AHEAD = 128;

const CELLS = { rnn: QuantizedCell.rnn, lstm: QuantizedCell.lstm, gru: QuantizedCell.gru };

/** The place of each gate's columns: gates with σ come first. */
const COLUMNS: Readonly<Record<QuantizedCellName, readonly number[]>> = {
  rnn: [0],
  lstm: [0, 1, 3, 2],
  gru: [0, 1, 2],
};

/** The state of a recurrent layer between two calls: the same numbers as the `State` of a layer in float32. */
export interface QuantizedState {
  /** B, number of sequences. */
  readonly batch: number;
  /** h of each layer and direction, [B,H]. */
  readonly h: readonly Float32Array[];
  /** c of each layer and direction, [B,H]; empty for cells without one. */
  readonly c: readonly Float32Array[];
}

interface Direction extends DirectionDescription {
  /** Units, rounded up. */
  readonly units: number;
  readonly x: Product;
  readonly h: Product;
  /** Address of the block of a call. */
  readonly block: number;
  readonly small: ReadonlyMap<string, QuantizedTensor>;
}

/** Addresses of a call for T steps of B sequences. */
interface Plan {
  readonly T: number;
  readonly B: number;
  readonly x: number;
  readonly directions: readonly { h0: number; c: number; y: number; ldy: number }[];
}

/** A stack of recurrent layers with integer weights. `QuantizedModel.recurrent` returns it. */
export class QuantizedRecurrent {
  /** P: features of the output. */
  readonly outputSize: number;
  readonly #core: QuantizedCore;
  readonly #directions: readonly Direction[];
  #plan: Plan | null = null;

  constructor(
    core: QuantizedCore,
    readonly dtype: Dtype,
    readonly description: RecurrentDescription,
    tensors: Tensors,
  ) {
    this.#core = core;
    this.#directions = directionsOf(description).map((direction) => this.#direction(direction, tensors));
    const last = this.#directions[this.#directions.length - 1].H;
    this.outputSize = description.bidirectional ? 2 * last : last;
  }

  #direction(direction: DirectionDescription, tensors: Tensors): Direction {
    const { cell, bias, range } = this.description;
    const { suffix, layer, I, H } = direction;
    const core = this.#core;
    const units = UNITS * Math.ceil(H / UNITS);
    const blocks = GATES[cell].map((_, g) => ({ row: g * H, rows: H, column: COLUMNS[cell][g] * units }));
    const small = new Map<string, QuantizedTensor>();
    const get = (name: string): QuantizedTensor => {
      const tensor = tensors(name);
      small.set(name, tensor);
      return tensor;
    };
    const of = (which: 'ih' | 'hh') => {
      const name = `weight_${which}${suffix}`;
      return { weight: tensors(name), scale: get(`${name}.scale`) };
    };
    const [bih, bhh] = bias ? [get(`bias_ih${suffix}`).data, get(`bias_hh${suffix}`).data] : [];
    // gru: the bias of the state's part of the candidate is inside the product with the reset gate
    const inside = (row: number) => cell === 'gru' && row >= 2 * H;
    const Ax = amplitude(this.dtype, I);
    const Ah = amplitude(this.dtype, H);
    const xRange = layer === 0 ? range : 1;
    const x = new Product(core, this.dtype, I, blocks, of('ih'), xRange / Ax, (row) =>
      bih && bhh ? bih[row] + (inside(row) ? 0 : bhh[row]) : 0,
    );
    const h = new Product(core, this.dtype, H, blocks, of('hh'), 1 / Ah, (row) => (bhh && inside(row) ? bhh[row] : 0));
    const block = core.alloc(4 * Run.count);
    const fields: readonly (readonly [Run, number])[] = [
      [Run.cell, CELLS[cell]],
      [Run.bytes, this.dtype === 'int8' ? 1 : 0],
      [Run.I, I],
      [Run.H, H],
      [Run.reverse, direction.reverse ? 1 : 0],
      [Run.wx, x.weights],
      [Run.xScale, x.scale],
      [Run.xBias, x.bias],
      [Run.wh, h.weights],
      [Run.hScale, h.scale],
      [Run.hBias, h.bias],
      [Run.panels, x.panels],
    ];
    for (const [field, value] of fields) core.i32[(block >>> 2) + field] = value;
    core.f32[(block >>> 2) + Run.xFactor] = Ax / xRange;
    core.f32[(block >>> 2) + Run.xLimit] = Ax;
    core.f32[(block >>> 2) + Run.hFactor] = Ah;
    return { ...direction, units, x, h, block, small };
  }

  /** Its tensors, as a file stores them. */
  tensors(): Map<string, QuantizedTensor> {
    return new Map(
      this.#directions.flatMap(({ suffix, x, h, small }) => [
        [`weight_ih${suffix}`, x.integers()] as const,
        [`weight_hh${suffix}`, h.integers()] as const,
        ...small,
      ]),
    );
  }

  /** A state of zeros for B sequences. */
  state(batch = 1): QuantizedState {
    check.whole('batch', batch);
    const zeros = () => this.#directions.map(({ H }) => new Float32Array(batch * H));
    return { batch, h: zeros(), c: this.description.cell === 'lstm' ? zeros() : [] };
  }

  /**
   * Runs the stack over sequences of equal lengths.
   *
   * @param x [T,B,I]; magnitudes beyond the range of `calibrate` saturate
   * @param state the initial state, default zero; overwritten with the state after the last step. h beyond ±1 saturates.
   * @param output [T,B,P], overwritten; created if absent
   * @returns output
   * @throws RangeError if x or state have the wrong size, or contain a NaN; the state then has not changed
   * @example
   * ```js
   * import { Model, Recurrent, Runtime } from 'gatewise';
   * import { quantize } from 'gatewise/quantized';
   *
   * const rnn = { cell: 'gru', inputSize: 3, hiddenSize: 5 };
   * const model = new Model(await Runtime.create(), 1, (b) => new Recurrent(b, 'rnn', rnn));
   * const quantized = await quantize(model, { dtype: 'int16', layers: { rnn }, calibrate: { rnn: 1 } });
   * const layer = quantized.recurrent('rnn');
   * const state = layer.state(2);
   * const y = layer.forward(new Float32Array(10 * 2 * 3), { T: 10, B: 2 }, state); // [10,2,5]
   * console.log(y.length); // 100
   * ```
   */
  forward(
    x: ArrayLike<number>,
    shape: { readonly T: number; readonly B: number },
    state?: QuantizedState,
    output?: Float32Array,
  ): Float32Array {
    checkNumbers('x', x);
    check.options('shape', shape, ['T', 'B']);
    const T = check.whole('T', shape.T);
    const B = check.whole('B', shape.B);
    const I = this.description.inputSize;
    if (x.length !== T * B * I) {
      throw new RangeError(`x: expected [T=${T}, B=${B}, I=${I}] = ${T * B * I} numbers, got ${x.length}`);
    }
    return this.#run(x, T, B, state, output);
  }

  /**
   * One step of B sequences, for streams.
   *
   * @param x [B,I]
   * @param state overwritten with the state after the step
   * @param output [B,P], overwritten; created if absent
   * @returns output
   * @throws TypeError for a bidirectional layer; RangeError as in `forward`
   * @example
   * ```js
   * import { Model, Recurrent, Runtime } from 'gatewise';
   * import { quantize } from 'gatewise/quantized';
   *
   * const rnn = { cell: 'gru', inputSize: 3, hiddenSize: 5 };
   * const model = new Model(await Runtime.create(), 1, (b) => new Recurrent(b, 'rnn', rnn));
   * const quantized = await quantize(model, { dtype: 'int8', layers: { rnn }, calibrate: { rnn: 1 } });
   * const layer = quantized.recurrent('rnn');
   * const state = layer.state();
   * const output = new Float32Array(5);
   * for (const x of [[1, 0, 0], [0, 1, 0]]) layer.step(x, state, output);
   * console.log(output.length); // 5
   * ```
   */
  step(x: ArrayLike<number>, state: QuantizedState, output?: Float32Array): Float32Array {
    if (this.description.bidirectional) {
      throw new TypeError('step: a bidirectional layer needs the whole sequence; use forward');
    }
    checkNumbers('x', x);
    checkState(state);
    const { batch: B } = state;
    const I = this.description.inputSize;
    if (x.length !== B * I) throw new RangeError(`x: expected [B=${B}, I=${I}] = ${B * I} numbers, got ${x.length}`);
    return this.#run(x, 1, B, state, output);
  }

  #checkState(state: QuantizedState, B: number): void {
    checkState(state);
    if (state.batch !== B) throw new RangeError(`state: expected a state of B=${B} sequences, got ${state.batch}`);
    const directions = this.#directions;
    for (const kind of ['h', 'c'] as const) {
      const count = kind === 'c' && this.description.cell !== 'lstm' ? 0 : directions.length;
      const list = state[kind];
      let good = list.length === count;
      for (let i = 0; good && i < count; i++) good = check.isFloats(list[i]) && list[i].length === B * directions[i].H;
      if (!good) {
        const want = directions.slice(0, count).map(({ H }) => H);
        throw new RangeError(`state: expected ${kind} of [${want}] features, layer by layer, for ${B} sequences`);
      }
    }
  }

  #run(
    x: ArrayLike<number>,
    T: number,
    B: number,
    state: QuantizedState | undefined,
    given: Float32Array | undefined,
  ): Float32Array {
    const P = this.outputSize;
    const output = outputOf(given, `[T=${T}, B=${B}, P=${P}]`, T * B * P);
    if (state !== undefined) this.#checkState(state, B);
    const core = this.#core;
    const { kernels } = core;
    const plan = this.#prepare(T, B);
    core.f32.set(x, plan.x >>> 2);
    for (let i = 0; i < this.#directions.length; i++) {
      const direction = this.#directions[i];
      const { h0, c } = plan.directions[i];
      enter(core.f32, h0, direction, B, state?.h[i]);
      enter(core.f32, c, direction, B, state?.c[i]);
      const bad = kernels.recurrent(direction.block);
      if (bad < 0) continue;
      throw new RangeError(
        bad >= T * B
          ? `state: h of sequence ${bad - T * B} of layer ${direction.layer} contains a NaN`
          : `x: step ${Math.floor(bad / B)} of sequence ${bad % B} contains a NaN`,
      );
    }
    if (state) {
      for (let i = 0; i < this.#directions.length; i++) {
        const { H, units, reverse } = this.#directions[i];
        const { c, y, ldy } = plan.directions[i];
        leave(core.f32, reverse ? y : y + (T - 1) * B * ldy, ldy, state.h[i], B, H);
        if (state.c.length) leave(core.f32, c, 4 * units, state.c[i], B, H);
      }
    }
    const { y, ldy } =
      plan.directions[this.description.bidirectional ? this.#directions.length - 2 : this.#directions.length - 1];
    leave(core.f32, y, ldy, output, T * B, P);
    return output;
  }

  /** Lays out the scratch of a call and writes its addresses to the blocks, unless the last call had the same shape. */
  #prepare(T: number, B: number): Plan {
    const core = this.#core;
    if (this.#plan?.T === T && this.#plan.B === B) return this.#plan;
    const ahead = Math.min(T, Math.max(1, Math.floor(AHEAD / B)));
    const most = (of: (direction: Direction) => number) => Math.max(...this.#directions.map(of));
    core.begin();
    const ldqx = integerRow(
      this.dtype,
      most(({ I }) => I),
    );
    const ldqh = integerRow(
      this.dtype,
      most(({ H }) => H),
    );
    const qx = core.take(ahead * B * ldqx);
    const qh = core.take(B * ldqh);
    const ldz = most(({ x }) => 128 * x.panels);
    const z = core.take(ahead * B * ldz);
    const g = core.take(B * ldz);
    const start = core.take(4 * T * B * this.description.inputSize + READABLE);
    let x = start;
    let ldx = 4 * this.description.inputSize;
    let y = 0;
    let next = 0;
    const directions = this.#directions.map(({ H, units, reverse, block }, i) => {
      const second = this.description.bidirectional && reverse;
      if (second) y += 4 * H;
      else {
        if (i > 0) [x, ldx] = [this.description.bidirectional ? y - 4 * this.#directions[i - 1].H : y, next];
        next = this.description.bidirectional ? 4 * (H + units) : 4 * units;
        y = core.take(T * B * next + READABLE);
      }
      const h0 = core.take(4 * B * units);
      const c = core.take(4 * B * units);
      const fields: readonly (readonly [Run, number])[] = [
        [Run.T, T],
        [Run.B, B],
        [Run.ahead, ahead],
        [Run.x, x],
        [Run.ldx, ldx],
        [Run.qx, qx],
        [Run.ldqx, ldqx],
        [Run.z, z],
        [Run.g, g],
        [Run.y, y],
        [Run.ldy, next],
        [Run.h0, h0],
        [Run.c, c],
        [Run.ldh, 4 * units],
        [Run.qh, qh],
        [Run.ldqh, ldqh],
      ];
      for (const [field, value] of fields) core.i32[(block >>> 2) + field] = value;
      return { h0, c, y, ldy: next };
    });
    this.#plan = { T, B, x: start, directions };
    return this.#plan;
  }
}

/** Checks that it is a state, of whatever layers. */
function checkState(state: QuantizedState): void {
  const known = typeof state === 'object' && state !== null && Array.isArray(state.h) && Array.isArray(state.c);
  if (!known) check.fail('state', 'a state made by `state()`', state);
  check.whole('state.batch', state.batch);
}

/** A state [B,H] into rows of `units` floats; without one, zeros. */
function enter(
  f32: Float32Array,
  at: number,
  { H, units }: Direction,
  B: number,
  from: Float32Array | undefined,
): void {
  const first = at >>> 2;
  if (from && H === units) return f32.set(from, first);
  f32.fill(0, first, first + B * units);
  if (from) for (let b = 0; b < B; b++) f32.set(from.subarray(b * H, (b + 1) * H), first + b * units);
}

/** R rows of n floats, ld bytes apart, to an array. */
function leave(f32: Float32Array, at: number, ld: number, to: Float32Array, R: number, n: number): void {
  const first = at >>> 2;
  if (ld === 4 * n) return to.set(f32.subarray(first, first + R * n));
  for (let r = 0; r < R; r++) {
    const from = first + r * (ld >>> 2);
    to.set(f32.subarray(from, from + n), r * n);
  }
}
