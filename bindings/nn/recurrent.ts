/**
 * Recurrent layers: a stack of cells over a sequence. Everything cell-specific comes from the descriptions in `cells/`.
 */
import { GRAD_BLOCK, PANEL, Seq } from '../../assembly/layout.js';
import type { CellDescription, Segment } from '../cells/cell.js';
import { type CellName, cells } from '../cells/index.js';
import * as check from '../check.js';
import { align } from '../core/runtime.js';
import type { Rows, Tape } from '../tape.js';
import type { Builder, Parameter } from './model.js';

export interface RecurrentOptions {
  cell: CellName;
  /** I: features of the input. */
  inputSize: number;
  /** H: units of each layer. */
  hiddenSize: number;
  /** Default 1. */
  numLayers?: number;
}

/** Where a recurrent layer stands between two calls: plain numbers that can be cloned, kept and saved. */
export class State {
  constructor(
    /** Sequences side by side. */
    readonly batch: number,
    /** h of each layer, [B,P]. */
    readonly h: Float32Array[],
    /** c of each layer, [B,H]; empty for cells without one. */
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

/** States on the tape: h of each layer [1,B,P], and c [1,B,H] of cells that have one. */
export interface StateRows {
  readonly h: readonly Rows[];
  readonly c: readonly Rows[];
}

/** Panels of 16 columns that the interleaved gates of H units take. */
export function panelsOf(H: number, gates: number): number {
  return Math.ceil((Math.ceil(H / 4) * gates) / 4);
}

/** One layer in one direction. */
class Direction {
  readonly wih: Parameter;
  readonly whh: Parameter;
  readonly bih: Parameter;
  readonly bhh: Parameter;
  readonly segments: readonly Segment[];
  readonly xPanels: number;
  readonly hPanels: number;
  /** Bytes of a row of z, h, c, e. */
  readonly ldz: number;
  readonly ldh: number;
  readonly ldc: number;
  readonly lde: number;
  readonly #wx: number;
  readonly #wh: number;
  readonly #bias: number;
  #packed = -1;

  constructor(
    readonly builder: Builder,
    readonly cell: CellDescription,
    name: (tensor: string) => string,
    readonly I: number,
    readonly H: number,
    readonly P: number,
  ) {
    const G = cell.gates({}).length;
    // PyTorch's: every tensor uniform within 1/√H
    const initializer = { kind: 'uniform', bound: 1 / Math.sqrt(H) } as const;
    this.wih = builder.parameter(name('weight_ih'), [G * H, I], initializer);
    this.whh = builder.parameter(name('weight_hh'), [G * H, P], initializer);
    this.bih = builder.parameter(name('bias_ih'), [G * H], initializer);
    this.bhh = builder.parameter(name('bias_hh'), [G * H], initializer);

    this.segments = cell.segments({});
    const panels = (which: (segment: Segment) => boolean) =>
      this.segments.filter(which).reduce((n, s) => n + panelsOf(H, s.gates), 0);
    this.xPanels = panels((s) => s.x);
    this.hPanels = panels((s) => s.h);
    this.ldz = panels(() => true) * 4 * PANEL;
    this.ldh = align(4 * P);
    this.ldc = align(4 * H);
    this.lde = align(4 * cell.kept(H, P));
    this.#wx = builder.alloc(this.xPanels * I * 4 * PANEL, this.wih.name);
    this.#wh = builder.alloc(this.hPanels * P * 4 * PANEL, this.whh.name);
    this.#bias = builder.alloc(this.ldz, this.bih.name);
  }

  /** Packs the weights, if they have changed since. */
  pack(): void {
    if (this.#packed === this.builder.version) return;
    this.#packed = this.builder.version;
    const { core } = this.builder.runtime;
    const { I, H, P } = this;
    let wx = this.#wx;
    let wh = this.#wh;
    let bias = this.#bias;
    for (const { first, gates, x, h } of this.segments) {
      const panels = panelsOf(H, gates);
      const row = 4 * first * H;
      core.packBias(bias, x ? this.bih.at + row : 0, h ? this.bhh.at + row : 0, H, gates);
      bias += panels * 4 * PANEL;
      if (x) core.packWeights(wx, this.wih.at + row * I, I, H, gates);
      if (x) wx += panels * I * 4 * PANEL;
      if (h) core.packWeights(wh, this.whh.at + row * P, P, H, gates);
      if (h) wh += panels * P * 4 * PANEL;
    }
  }

  /** Packs the transposes into the arena: those of the weights of x and of h. */
  packTransposed(tape: Tape): { wxT: number; whT: number } {
    const { core } = tape.runtime;
    const { I, H, P } = this;
    const xLine = this.xPanels * PANEL * 4 * PANEL;
    const hLine = this.hPanels * PANEL * 4 * PANEL;
    const wxT = tape.runtime.take(Math.ceil(I / PANEL) * xLine);
    const whT = tape.runtime.take(Math.ceil(P / PANEL) * hLine);
    let xTo = wxT;
    let hTo = whT;
    for (const { first, gates, x, h } of this.segments) {
      const bytes = panelsOf(H, gates) * PANEL * 4 * PANEL;
      const row = 4 * first * H;
      if (x) core.packTransposed(xTo, xLine, this.wih.at + row * I, I, H, gates);
      if (x) xTo += bytes;
      if (h) core.packTransposed(hTo, hLine, this.whh.at + row * P, P, H, gates);
      if (h) hTo += bytes;
    }
    return { wxT, whT };
  }

  /**
   * Lays out one call of the core: its block of fields, and states, gates and what else is kept, in the arena.
   *
   * @param keep whether a backward pass will follow
   */
  call(tape: Tape, x: Pick<Rows, 'at' | 'ld' | 'T' | 'B' | 'lengths'>, reverse: boolean, keep: boolean): Call {
    this.pack();
    const { runtime } = tape;
    const { T, B } = x;
    const steps = keep ? T : 1;
    const s = runtime.take(4 * Seq.fields);
    const h = runtime.take((T + 1) * B * this.ldh);
    const c = this.cell.hasC ? runtime.take((keep ? T + 1 : 1) * B * this.ldc) : 0;
    const z = runtime.take(T * B * this.ldz);
    const e = runtime.take(steps * B * this.lde);
    const { i32 } = runtime;
    const f = s >> 2;
    i32.fill(0, f, f + Seq.fields);
    i32[f + Seq.cell] = this.cell.code;
    i32[f + Seq.T] = T;
    i32[f + Seq.B] = B;
    i32[f + Seq.I] = this.I;
    i32[f + Seq.H] = this.H;
    i32[f + Seq.P] = this.P;
    i32[f + Seq.reverse] = reverse ? 1 : 0;
    i32[f + Seq.keep] = keep ? 1 : 0;
    i32[f + Seq.lengths] = x.lengths?.at ?? 0;
    i32[f + Seq.x] = x.at;
    i32[f + Seq.ldx] = x.ld;
    i32[f + Seq.h] = h;
    i32[f + Seq.ldh] = this.ldh;
    i32[f + Seq.c] = c;
    i32[f + Seq.ldc] = this.ldc;
    i32[f + Seq.z] = z;
    i32[f + Seq.ldz] = this.ldz;
    i32[f + Seq.e] = e;
    i32[f + Seq.lde] = this.lde;
    i32[f + Seq.wx] = this.#wx;
    i32[f + Seq.wh] = this.#wh;
    i32[f + Seq.bias] = this.#bias;
    i32[f + Seq.xPanels] = this.xPanels;
    i32[f + Seq.hPanels] = this.hPanels;
    const first = reverse ? T : 0;
    const last = reverse ? 0 : T;
    const slot = B * this.ldh;
    return {
      s,
      z,
      outputs: h + (reverse ? 0 : slot),
      previous: h + (reverse ? slot : 0),
      h0: h + first * slot,
      hT: h + last * slot,
      c0: c && c + (keep ? first : 0) * B * this.ldc,
      cT: c && c + (keep ? last : 0) * B * this.ldc,
    };
  }

  /** Gradients of all weights, from dz. */
  weightGradients(tape: Tape, call: Call, x: Rows): void {
    const { core } = tape.runtime;
    const { I, H, P } = this;
    const R = x.T * x.B;
    const scratch = tape.runtime.take(4 * (2 * PANEL + GRAD_BLOCK * (PANEL + Math.max(align(4 * I), this.ldh) / 4)));
    let z = call.z;
    for (const { first, gates, x: fromX, h } of this.segments) {
      const row = 4 * first * H;
      if (fromX) core.weightGrad(this.wih.grad + row * I, scratch, z, this.ldz, x.at, x.ld, R, I, H, gates);
      if (h) core.weightGrad(this.whh.grad + row * P, scratch, z, this.ldz, call.previous, this.ldh, R, P, H, gates);
      core.biasGrad(fromX ? this.bih.grad + row : 0, h ? this.bhh.grad + row : 0, z, this.ldz, R, H, gates);
      z += panelsOf(H, gates) * 4 * PANEL;
    }
  }
}

/** One call of the core: its fields, and addresses of what goes in and out. */
interface Call {
  readonly s: number;
  readonly z: number;
  /** h after step t, and h before it, T·B rows. */
  readonly outputs: number;
  readonly previous: number;
  /** Initial and final states. */
  readonly h0: number;
  readonly hT: number;
  readonly c0: number;
  readonly cT: number;
}

export class Recurrent {
  readonly cell: CellDescription;
  readonly inputSize: number;
  readonly hiddenSize: number;
  readonly numLayers: number;
  readonly #layers: Direction[] = [];

  constructor(builder: Builder, name: string, options: RecurrentOptions) {
    check.options(name, options, ['cell', 'inputSize', 'hiddenSize', 'numLayers']);
    const { numLayers = 1 } = options;
    this.cell = cells[check.oneOf('cell', options.cell, Object.keys(cells) as CellName[])];
    this.inputSize = check.whole('inputSize', options.inputSize);
    this.hiddenSize = check.whole('hiddenSize', options.hiddenSize);
    this.numLayers = check.whole('numLayers', numLayers);
    for (let l = 0; l < numLayers; l++) {
      const I = l === 0 ? this.inputSize : this.hiddenSize;
      const tensor = (t: string) => `${name}.${t}_l${l}`;
      this.#layers.push(new Direction(builder, this.cell, tensor, I, this.hiddenSize, this.hiddenSize));
    }
  }

  /** A state of zeros for B sequences. */
  state(batch = 1): State {
    check.whole('batch', batch);
    return new State(
      batch,
      this.#layers.map(({ P }) => new Float32Array(batch * P)),
      this.cell.hasC ? this.#layers.map(({ H }) => new Float32Array(batch * H)) : [],
    );
  }

  /**
   * Runs the stack over a sequence.
   *
   * @param x [T,B,I]
   * @param state where to start, zero if absent. A `State` is moved on to where the sequences end and takes no gradient; rows, say
   *   the final states of an encoder, are left alone and take one
   */
  forward(tape: Tape, x: Rows, state?: State | StateRows): StateRows & { output: Rows } {
    if (x.F !== this.inputSize) throw new RangeError(`x: expected ${this.inputSize} features, got ${x.F}`);
    const batch = state instanceof State ? state.batch : state?.h[0]?.B;
    if (batch !== undefined && batch !== x.B)
      throw new RangeError(`state: is of ${batch} sequences, the batch has ${x.B}`);
    const h: Rows[] = [];
    const c: Rows[] = [];
    let output = x;
    this.#layers.forEach((layer, l) => {
      const initial = state && { h: state.h[l], c: state.c[l] };
      const result = this.#run(tape, layer, output, initial);
      output = result.output;
      h.push(result.h);
      if (result.c) c.push(result.c);
      if (state instanceof State) {
        leave(tape, state.h[l], result.h);
        if (result.c) leave(tape, state.c[l], result.c);
      }
    });
    return { output, h, c };
  }

  #run(
    tape: Tape,
    layer: Direction,
    x: Rows,
    initial: { h: Float32Array | Rows | undefined; c: Float32Array | Rows | undefined } | undefined,
  ): { output: Rows; h: Rows; c: Rows | undefined } {
    const { runtime } = tape;
    const { core } = runtime;
    const { B, T } = x;
    const call = layer.call(tape, x, false, tape.training);
    enter(tape, call.h0, layer.ldh, layer.P, B, initial?.h);
    if (call.c0) enter(tape, call.c0, layer.ldc, layer.H, B, initial?.c);
    core.forward(call.s);
    const rows = (at: number, ld: number, F: number, steps: number): Rows => ({
      at,
      ld,
      T: steps,
      B,
      F,
      grad: tape.training ? runtime.takeZeroed(steps * B * ld) : 0,
      lengths: steps === T ? x.lengths : undefined,
    });
    const output = rows(call.outputs, layer.ldh, layer.P, T);
    const h = rows(call.hT, layer.ldh, layer.P, 1);
    const c = call.cT ? rows(call.cT, layer.ldc, layer.H, 1) : undefined;
    tape.record(() => {
      const { wxT, whT } = layer.packTransposed(tape);
      const { i32 } = runtime;
      const f = call.s >> 2;
      i32[f + Seq.wxT] = wxT;
      i32[f + Seq.whT] = whT;
      i32[f + Seq.dy] = output.grad;
      i32[f + Seq.lddy] = output.ld;
      i32[f + Seq.dh] = h.grad;
      i32[f + Seq.dc] = c?.grad ?? 0;
      i32[f + Seq.dx] = x.grad;
      i32[f + Seq.lddx] = x.ld;
      core.backward(call.s);
      layer.weightGradients(tape, call, x);
      // the gradients of the final states have become those of the initial ones
      for (const [from, to] of [
        [h, initial?.h],
        [c, initial?.c],
      ] as const) {
        if (from && to && 'grad' in to && to.grad) core.rowsAdd(to.grad, to.ld, from.grad, from.ld, B, from.F);
      }
    });
    return { output, h, c };
  }

  /**
   * The calls of one step of one sequence without a backward pass, for the core to repeat: each layer reads what the one below
   * puts out. The states are entered; `leave` takes them out again.
   */
  stepCalls(tape: Tape, x: number, state: State): { calls: number[]; leave: () => void } {
    let input = { at: x, ld: 0, T: 1, B: 1, lengths: undefined };
    const ends: (() => void)[] = [];
    const calls = this.#layers.map((layer, l) => {
      const call = layer.call(tape, input, false, false);
      enter(tape, call.h0, layer.ldh, layer.P, 1, state.h[l]);
      if (call.c0) enter(tape, call.c0, layer.ldc, layer.H, 1, state.c[l]);
      ends.push(() => {
        leave(tape, state.h[l], { at: call.h0, ld: layer.ldh, B: 1, F: layer.P });
        if (call.c0) leave(tape, state.c[l], { at: call.c0, ld: layer.ldc, B: 1, F: layer.H });
      });
      input = { ...input, at: call.hT };
      return call.s;
    });
    return {
      calls,
      leave: () => {
        for (const end of ends) end();
      },
    };
  }
}

/** An initial state, or zeros, into its slot. */
function enter(tape: Tape, at: number, ld: number, F: number, B: number, values?: Float32Array | Rows): void {
  const { f32, core } = tape.runtime;
  f32.fill(0, at >>> 2, (at + B * ld) >>> 2);
  if (values && 'ld' in values) core.rowsAdd(at, ld, values.at, values.ld, B, F);
  else if (values) for (let b = 0; b < B; b++) f32.set(values.subarray(b * F, (b + 1) * F), (at + b * ld) >>> 2);
}

/** Rows into packed numbers [B,F]. */
function leave(tape: Tape, values: Float32Array, { at, ld, B, F }: Pick<Rows, 'at' | 'ld' | 'B' | 'F'>): void {
  const { f32 } = tape.runtime;
  for (let b = 0; b < B; b++) {
    const from = (at + b * ld) >>> 2;
    values.set(f32.subarray(from, from + F), b * F);
  }
}
