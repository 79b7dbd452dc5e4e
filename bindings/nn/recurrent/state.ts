/** The states of recurrent layers: outside of a pass as numbers, inside of one as rows. */
import type { Runtime } from '../../core/runtime.js';
import type { Rows, Tape } from '../../tape.js';

/** The state of a recurrent layer between two calls: plain numbers that can be cloned, kept and saved. */
export class State {
  constructor(
    /** B, number of sequences. */
    readonly batch: number,
    /** h of each layer and direction, [B,P]. */
    readonly h: Float32Array[],
    /** c of each layer and direction, [B,H]; empty for cells without one. */
    readonly c: Float32Array[],
  ) {}

  /** An independent copy. */
  clone(): State {
    return new State(
      this.batch,
      this.h.map((a) => a.slice()),
      this.c.map((a) => a.slice()),
    );
  }

  /** Sets all of it to zero. */
  reset(): void {
    for (const a of this.h) a.fill(0);
    for (const a of this.c) a.fill(0);
  }
}

/** Whether it is a `State`, of this entry of the package or of another. */
export function isState(state: State | StateRows): state is State {
  return 'batch' in state;
}

/** States on the tape: h of each layer and direction [1,B,P], and c [1,B,H] of cells that have one. */
export interface StateRows {
  readonly h: readonly Rows[];
  readonly c: readonly Rows[];
}

/** One initial state: numbers [B,F], rows [1,B,F], or a learned vector [F] at an address; zeros if undefined. */
export type Initial = Float32Array | Rows | { readonly at: number; readonly shape: readonly number[] } | undefined;

/** Where a state is in the core: B rows of F floats. */
export type Slot = Pick<Rows, 'at' | 'ld' | 'B' | 'F'>;

/** Where a call is laid out: in a pass, or in memory that lasts. */
export interface Place extends Pick<Tape, 'training' | 'trains'> {
  readonly runtime: Pick<Runtime, 'core' | 'take' | 'takeZeroed' | 'f32' | 'i32'>;
}

/** Writes an initial state to its slot. */
export function enter({ runtime }: Place, { at, ld, B, F }: Slot, values: Initial): void {
  const { f32, core } = runtime;
  const first = at >>> 2;
  if (values && B === 1 && !('ld' in values) && !('shape' in values)) {
    // a step of a stream
    f32.set(values, first);
    for (let i = first + F; i < first + ld / 4; i++) f32[i] = 0;
    return;
  }
  f32.fill(0, first, first + (B * ld) / 4);
  if (!values) return;
  if ('ld' in values) core.rowsAdd(at, ld, values.at, values.ld, B, F);
  else {
    const all = 'shape' in values ? f32.subarray(values.at >>> 2, (values.at >>> 2) + F) : values;
    const step = 'shape' in values ? 0 : F;
    for (let b = 0; b < B; b++) f32.set(all.subarray(b * step, b * step + F), (at + b * ld) >>> 2);
  }
}

/** Copies a slot to packed numbers [B,F]. */
export function leave(tape: Tape, values: Float32Array, { at, ld, B, F }: Slot): void {
  const { f32 } = tape.runtime;
  for (let b = 0; b < B; b++) {
    const from = (at + b * ld) >>> 2;
    values.set(f32.subarray(from, from + F), b * F);
  }
}
