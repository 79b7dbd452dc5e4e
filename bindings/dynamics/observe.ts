/** Reads recurrent layers in the backward pass of a model: norms of the gradients of their states, their gates, their Jacobian. */
import { Cell, Rnn } from '../../assembly/cells/layout.js';
import { Fn, LINE, PANEL, Seq } from '../../assembly/layout.js';
import { type ActivationName, type Activations, activationOf } from '../cells/activation.js';
import { align } from '../core/runtime.js';
import type { Observer, Rows, Tape } from '../index.js';
import type { Call } from '../nn/recurrent/call.js';
import type { Direction } from '../nn/recurrent/direction.js';

/** What was seen of one call of a layer. */
export interface Seen {
  readonly direction: Direction;
  readonly reverse: boolean;
  readonly T: number;
  readonly B: number;
  readonly lengths: Int32Array | undefined;
  /** Squared norms of the gradients by step and sequence [T·B], of h, and of c where there is one. */
  readonly h: Float64Array;
  readonly c: Float64Array | null;
  /** Shares of the saturated numbers, gate by gate. */
  readonly gates: Readonly<Record<string, Saturation>>;
  /** Units whose net inputs receive no gradient at any step. */
  readonly dead: Uint8Array;
  /** Spectral norms of ∂h_t/∂h_{t-1} at some steps; empty where it is not diag(f′) Uᵀ. */
  readonly jacobians: readonly number[];
}

/** Shares from 0 to 1. */
export interface Saturation {
  /** Near 0 (σ), near -1 (tanh), at 0 (ReLU). */
  readonly low: number;
  /** Near 1. */
  readonly high: number;
}

/** Rows of gates that are looked at, at most. */
const ROWS = 512;

/** Rows of which the spectral norm is computed, at most, and the steps of its iteration. */
const JACOBIANS = 24;
const ITERATIONS = 40;

/** Where a slope falls below a tenth of its largest value: σ(1 - σ) < 0.025, 1 - tanh² < 0.1. */
const SIGMOID = 0.0256583;
const TANH = 0.9486833;

const SIGMOIDS = ['i', 'f', 'o', 'r', 'z'];

/** The function of a gate: the name of its option. */
function functionOf({ settings, d }: Direction, gate: string): ActivationName {
  const { activation = 'tanh', gateActivation = 'sigmoid' } = settings.own as Partial<Record<string, Activations>>;
  const f = activationOf(SIGMOIDS.includes(gate) ? gateActivation : activation, d);
  return typeof f === 'string' ? f : f.kind;
}

/**
 * @param only which gradient of the outputs enters: all of it, that at the last step of each sequence that has one, or at the first
 * @param details whether gates and Jacobians are looked at
 */
export class Probe implements Observer {
  readonly dry = true;
  /** In the order of the forward pass. */
  readonly seen: Seen[] = [];

  constructor(
    readonly only: 'all' | 'last' | 'first',
    readonly details: boolean,
  ) {}

  entering(output: Rows): void {
    const { only } = this;
    if (only === 'all') return;
    const { tape, T, B, ld, grad } = output;
    const { f32 } = tape.runtime;
    for (let b = 0; b < B; b++) {
      let found = false;
      for (let n = 0; n < T; n++) {
        const t = only === 'last' ? T - 1 - n : n;
        const from = (grad + (t * B + b) * ld) >>> 2;
        const row = f32.subarray(from, from + ld / 4);
        if (found) row.fill(0);
        else found = row.some((x) => x !== 0);
      }
    }
  }

  layer(tape: Tape, layer: object, made: object, output: Rows, reverse: boolean) {
    const direction = layer as Direction;
    const call = made as Call;
    const { runtime, core } = tape;
    const { T, B } = call;
    const { H, P, ldh, ldc } = direction;
    const lengths = output.lengths?.values;
    const live = (row: number) => !lengths || Math.floor(row / B) < lengths[row % B];
    const gates = this.details ? saturations(tape, direction, call, live) : {};
    const jacobians = this.details ? spectralNorms(tape, direction, call, live) : [];
    const flowH = runtime.takeZeroed(T * B * ldh);
    const flowC = call.cT ? runtime.takeZeroed(T * B * ldc) : 0;
    const norms = (at: number, ld: number, F: number) =>
      Float64Array.from({ length: T * B }, (_, row) => core.sumSquares(at + row * ld, 4 * Math.ceil(F / 4)));
    const done = () => {
      const h = norms(flowH, ldh, P);
      const c = flowC ? norms(flowC, ldc, H) : null;
      const dead = this.details ? deadUnits(tape, direction, call) : new Uint8Array();
      this.seen.unshift({ direction, reverse, T, B, lengths, h, c, gates, dead, jacobians });
    };
    return { flowH, flowC, done };
  }
}

/** At most n numbers from 0 to `rows` - 1, evenly spaced, those that `live` accepts. */
function sample(rows: number, n: number, live: (row: number) => boolean): number[] {
  const step = Math.max(1, Math.floor(rows / n));
  const all = Array.from({ length: Math.ceil(rows / step) }, (_, i) => i * step);
  return all.filter(live);
}

/** Where gate g of unit u is in a row of z, in floats. */
function columnsOf({ parts, gates }: Direction): { gate: string; column: (u: number) => number }[] {
  return parts
    .filter(({ x }) => x)
    .flatMap(({ first, gates: n, z }) =>
      Array.from({ length: n }, (_, g) => ({
        gate: gates[first + g],
        column: (u: number) => z / 4 + (Math.floor(u / 4) * n + g) * 4 + (u % 4),
      })),
    );
}

function saturations(
  tape: Tape,
  direction: Direction,
  { z, T, B }: Call,
  live: (row: number) => boolean,
): Record<string, Saturation> {
  const { f32 } = tape.runtime;
  const { H, ldz } = direction;
  const rows = sample(T * B, ROWS, live);
  const out: Record<string, Saturation> = {};
  for (const { gate, column } of columnsOf(direction)) {
    const f = functionOf(direction, gate);
    const ends: Partial<Record<ActivationName, readonly number[]>> = {
      sigmoid: [SIGMOID, 1 - SIGMOID],
      tanh: [-TANH, TANH],
      relu: [0, Infinity],
    };
    const [low, high] = ends[f] ?? [-Infinity, Infinity];
    let [below, above] = [0, 0];
    for (const row of rows) {
      for (let u = 0; u < H; u++) {
        const x = f32[(z + row * ldz) / 4 + column(u)];
        if (x <= low) below++;
        else if (x >= high) above++;
      }
    }
    out[gate] = { low: below / rows.length / H, high: above / rows.length / H };
  }
  return out;
}

/** Units of which no net input has a gradient: to be called when z has become dz. */
function deadUnits(tape: Tape, direction: Direction, { z, T, B }: Call): Uint8Array {
  const { f32 } = tape.runtime;
  const { H, ldz } = direction;
  const columns = columnsOf(direction).map(({ column }) => column);
  return Uint8Array.from({ length: H }, (_, u) => {
    const own = columns.map((column) => column(u));
    for (let at = z / 4, row = 0; row < T * B; row++, at += ldz / 4) if (own.some((c) => f32[at + c] !== 0)) return 0;
    return 1;
  });
}

/**
 * ‖diag(f′(z_t)) Uᵀ‖, the largest singular value, at some steps: the power method on U diag(f′)² Uᵀ, for all of them at once.
 *
 *     y = f′ ⊙ (Uᵀ v)          ‖y‖ → ‖diag(f′) Uᵀ‖          v ← U (f′ ⊙ y), normalised
 */
function spectralNorms(tape: Tape, direction: Direction, { z, T, B }: Call, live: (row: number) => boolean): number[] {
  const { runtime, core } = tape;
  const { settings, H, ldz, whh, hPanels: panels } = direction;
  const { layerNorm, zoneoutHidden, variationalDropout, weightDrop } = settings.options;
  if (settings.cell.code !== Cell.rnn || !whh) return [];
  if (layerNorm || zoneoutHidden || variationalDropout || weightDrop) return [];
  const rows = sample(T * B, JACOBIANS, live);
  const R = rows.length;
  const ld = align(4 * H);
  const zeroed = () => runtime.takeZeroed(R * ld);
  const [states, ones, slopes, v, y, zero] = [zeroed(), zeroed(), zeroed(), zeroed(), zeroed(), zeroed()];
  const whT = runtime.takeZeroed(panels * panels * PANEL * LINE);
  core.packTransposed(whT, panels * PANEL * LINE, whh.at, 4 * H, H, H, 1);
  const { wh } = direction.packed();
  rows.forEach((row, r) => {
    core.rowsAdd(states + r * ld, ld, z + row * ldz, ldz, 1, H);
    runtime.f32.fill(1, (ones + r * ld) >>> 2, ((ones + r * ld) >>> 2) + H);
    core.fillNormal(v + r * ld, H, 0, 1, 1, 0, 64 * r);
  });
  const f = runtime.take(4 * Fn.fields);
  runtime.i32.set(direction.fields.subarray(Seq.own + Rnn.activation, Seq.own + Rnn.activation + Fn.fields), f >>> 2);
  core.activationBackward(slopes, ones, states, ld, R, H, f);
  const norms = new Array<number>(R).fill(0);
  const width = 4 * Math.ceil(H / 4);
  for (let n = 0; n < ITERATIONS; n++) {
    for (let r = 0; r < R; r++) {
      const norm = Math.sqrt(core.sumSquares(v + r * ld, width));
      if (norm > 0) core.scale(v + r * ld, width, 1 / norm);
    }
    core.gemm(y, ld, zero, 0, v, ld, whT, panels * PANEL * LINE, R, panels, panels * PANEL);
    core.maskForward(y, y, ld, slopes, R, R);
    for (let r = 0; r < R; r++) norms[r] = Math.sqrt(core.sumSquares(y + r * ld, width));
    core.maskForward(y, y, ld, slopes, R, R);
    core.gemm(v, ld, zero, 0, y, ld, wh, H * LINE, R, panels, H);
  }
  return norms;
}
