/**
 * One call of a recurrent layer in one direction: its block of fields, and the memory of states, gates and gradients. Forward and
 * backward layout are here, and nothing else writes a block of `Seq`.
 *
 * Where few tokens are distinct, the product with x is computed once for each of them (`Rows.unique`):
 *
 *     z_r = x_i(r) Wxᵀ + b                             S_u = Σ dz_r over r with i(r) = u
 *                                                      dWx += Sᵀ x        dx += S Wx
 *
 * Forward, the bits are those of the product row by row; backward, the same sums are made in another order.
 */
import { LINE, PANEL, Seq } from '../../../assembly/layout.js';
import { align } from '../../core/runtime.js';
import { type Rows, type Seen, Tape, type Unique } from '../../tape.js';
import { gradientAt, type Parameter } from '../builder.js';
import type { Direction } from './direction.js';
import { enter, type Initial, type Place, type Slot } from './state.js';

/** Rows of x, at least, that are multiplied at once where not all is kept: enough to read the panels of the weights once for many. */
const CHUNK = 128;

/** What a call reads: the rows of x, or those that are distinct. */
type Source = Pick<Rows, 'at' | 'ld' | 'T' | 'B' | 'lengths' | 'unique'>;

/** Recurrent layers as a list: what runs them step by step needs no more. */
export interface Stack {
  readonly inputSize: number;
  readonly directions: readonly Direction[];
}

/** A call of the core: the address of its block, and addresses of what goes in and out. */
export interface Call {
  readonly s: number;
  readonly T: number;
  readonly B: number;
  readonly z: number;
  /** h after each step, T·B rows. */
  readonly outputs: number;
  /** Initial and final states. */
  readonly h0: Slot;
  readonly hT: Slot;
  readonly c0: Slot | undefined;
  readonly cT: Slot | undefined;
  /** In training, what the backward pass reads. */
  readonly forBackward: Kept | undefined;
}

/** What a call keeps for its backward pass. */
interface Kept {
  readonly extra: number;
  /** c after each step, T·B rows. */
  readonly cells: number;
  /** What entered the product with the state, T·B rows. */
  readonly previous: number;
  /** Those of the rows whose h counts: all, or all but the first step's, where it is known to be zero. */
  readonly hRows: { readonly first: number; readonly count: number };
  /** Masked states, normalised products, mask of dropped weights: 0 where they are not used. */
  readonly masked: number;
  readonly normX: number;
  readonly normH: number;
  readonly weightMask: number;
  readonly unique: Unique | undefined;
}

/**
 * Lays out a call, with its initial state entered.
 *
 * @param initial h and c; undefined: learned ones, or zeros
 * @param keep whether all states and activations are kept, as the backward pass needs
 */
export function prepare(
  layer: Direction,
  tape: Place,
  x: Source,
  initial: { readonly h: Initial; readonly c: Initial } | undefined,
  { reverse, keep: kept }: { reverse: boolean; keep: boolean },
): Call {
  const { runtime } = tape;
  const { settings, H, P, ldz, ldh, ldc, ldextra, parts } = layer;
  const { cell, options } = settings;
  const { variationalDropout, zoneoutHidden, zoneoutCell, weightDrop } = options;
  const keep = Tape.training && kept; // gatewise/infer keeps nothing
  const { T, B } = x;
  const [learnedH, learnedC] = initial ? [] : layer.initial;
  const zeroStart = !initial && !learnedH && !layer.gainH;
  const weights = layer.packed();
  const unique = tape.training && !layer.gainX ? x.unique?.() : undefined;
  const rows = keep ? T * B : B;
  const chunk = keep ? T : Math.min(T, Math.ceil(CHUNK / B));
  const h = runtime.take((T + 1) * B * ldh);
  const c = cell.hasC ? runtime.take((keep ? T + 1 : 1) * B * ldc) : 0;
  const z = runtime.take(chunk * B * ldz);
  const extra = ldextra && runtime.take(rows * ldextra);

  const mask = (floats: number, ld: number, count: number, p: number, value: number) => {
    const at = runtime.take(count * ld);
    layer.builder.random.use('dropout', (...r) => runtime.core.fillMask(at, ld, count, floats, p, value, ...r));
    return at;
  };
  const training = tape.training && tape.trains(layer.builder.random);
  const drop = training ? variationalDropout : 0;
  const hMask = drop && parts.some((part) => part.h) ? mask(P, ldh, B, drop, 1 / (1 - drop)) : 0;
  const masked = hMask && runtime.take(rows * ldh);
  const zoneHMask = training && zoneoutHidden ? mask(P, ldh, T * B, 1 - zoneoutHidden, 1) : 0;
  const zoneCMask = training && c && zoneoutCell ? mask(H, ldc, T * B, 1 - zoneoutCell, 1) : 0;
  const keptC = c && zoneoutCell ? runtime.take(B * ldc) : 0;
  let { wh, wr } = weights;
  let weightMask = 0;
  if (training && weightDrop && layer.whh) {
    const bytes = align(4 * layer.whh.size);
    weightMask = mask(layer.whh.size, bytes, 1, weightDrop, 1 / (1 - weightDrop));
    const dropped = runtime.takeZeroed(bytes);
    runtime.core.multiplyAdd(dropped, layer.whh.at, weightMask, bytes / 4);
    wh = wh && runtime.take(layer.hPanels * P * LINE);
    if (layer.ownPanels) wr = runtime.take(layer.ownPanels * P * LINE);
    layer.packRecurrent(wh, wr, dropped);
  }
  const normX = layer.gainX ? runtime.take(chunk * B * layer.xPanels * LINE) : 0;
  const normH = layer.gainH ? runtime.take(rows * layer.hPanels * LINE) : 0;

  const rootX = normX && runtime.take(4 * chunk * B);
  const rootH = normH && runtime.take(4 * rows);
  const from = unique ? 0 : x.at; // may look up rows, and so take memory
  const s = runtime.take(4 * Seq.fields);
  // nothing below takes memory, so that the view stays valid
  const { i32 } = runtime;
  const f = s >>> 2;
  i32.set(layer.fields, f);
  i32[f + Seq.T] = T;
  i32[f + Seq.B] = B;
  i32[f + Seq.reverse] = reverse ? 1 : 0;
  i32[f + Seq.keep] = keep ? 1 : 0;
  i32[f + Seq.chunk] = chunk;
  i32[f + Seq.zeroStart] = zeroStart ? 1 : 0;
  i32[f + Seq.lengths] = x.lengths?.at ?? 0;
  i32[f + Seq.x] = from;
  i32[f + Seq.ldx] = x.ld;
  i32[f + Seq.h] = h;
  i32[f + Seq.c] = c;
  i32[f + Seq.z] = z;
  i32[f + Seq.extra] = extra;
  i32[f + Seq.wh] = wh;
  i32[f + Seq.wr] = wr;
  i32[f + Seq.keptC] = keptC;
  i32[f + Seq.normX] = normX;
  i32[f + Seq.normH] = normH;
  i32[f + Seq.rootX] = rootX;
  i32[f + Seq.rootH] = rootH;
  if (tape.training) {
    i32[f + Seq.mask] = hMask;
    i32[f + Seq.masked] = masked;
    i32[f + Seq.zoneHMask] = zoneHMask;
    i32[f + Seq.zoneCMask] = zoneCMask;
  }

  const slot = B * ldh;
  const [first, last] = reverse ? [T, 0] : [0, T];
  const ofC = (step: number): Slot | undefined =>
    c ? { at: c + (keep ? step : 0) * B * ldc, ld: ldc, B, F: H } : undefined;
  const call: Call = {
    s,
    T,
    B,
    z,
    outputs: h + (reverse ? 0 : slot),
    h0: { at: h + first * slot, ld: ldh, B, F: P },
    hT: { at: h + last * slot, ld: ldh, B, F: P },
    c0: ofC(first),
    cT: ofC(last),
    forBackward: tape.training
      ? {
          extra,
          cells: c + (reverse ? 0 : B * ldc),
          previous: masked || h + (reverse ? slot : 0),
          hRows: { first: zeroStart && !reverse ? B : 0, count: (zeroStart ? T - 1 : T) * B },
          masked,
          normX,
          normH,
          weightMask,
          unique,
        }
      : undefined,
  };
  enter(tape, call.h0, initial ? initial.h : learnedH);
  if (call.c0) enter(tape, call.c0, initial ? initial.c : learnedC);
  if (unique) uniqueProduct(layer, tape, call, unique);
  return call;
}

/** z of all steps, from the distinct rows. */
function uniqueProduct(layer: Direction, { runtime }: Place, { z, T, B }: Call, { rows, index }: Unique): void {
  const { core } = runtime;
  const { I, ldz, xPanels } = layer;
  const { wx, bias } = layer.packed();
  const U = rows.T;
  const table = runtime.takeZeroed(U * ldz);
  const fromX = xPanels * LINE;
  core.gemm(table, ldz, bias, 0, rows.at, rows.ld, wx, I * LINE, U, xPanels, I);
  if (ldz > fromX) core.rowsAdd(table + fromX, ldz, bias + fromX, 0, U, (ldz - fromX) / 4);
  core.embeddingForward(z, ldz, table, index, T * B, ldz / 4);
}

/** The gradient of the distinct rows, accumulated. Returns the sums of dz, as rows of z, for the gradient of Wx. */
function uniqueGradient(layer: Direction, tape: Tape, { z, T, B }: Call, unique: Unique, wxT: number): number {
  const { runtime, core } = tape;
  const { I, ldz, xPanels } = layer;
  const { rows, index } = unique;
  const U = rows.T;
  const sums = runtime.takeZeroed(U * ldz);
  core.embeddingBackward(sums, z, ldz, index, T * B, ldz / 4, -1);
  const K = xPanels * PANEL;
  core.gemm(rows.grad, rows.ld, rows.grad, rows.ld, sums, ldz, wxT, K * LINE, U, Math.ceil(I / PANEL), K);
  return sums;
}

/** Gradients that enter a call, and in dh and dc those of the initial state that leave it. Addresses. */
export interface Incoming {
  /** Of the outputs, rows `ldh` apart. */
  readonly dy: number;
  /** Of the final state. */
  readonly dh: number;
  readonly dc: number;
  /** Where an observer wants the gradients of h and c of each step. */
  readonly seen: Seen | undefined;
}

/**
 * The backward pass of a call: gradients of x (accumulated), of the weights, and in dh and dc those of the initial state.
 *
 * @param learned whether the initial state was the layer's own
 */
export function backward(
  layer: Direction,
  tape: Tape,
  call: Call,
  x: Rows,
  incoming: Incoming,
  learned: boolean,
): void {
  const { runtime, core } = tape;
  const { H, ldh, ldc, settings, whh } = layer;
  const { B, forBackward: kept } = call;
  if (!kept) throw new Error('backward: the call was not one of training');
  const { unique } = kept;
  const { dy, dh, dc, seen } = incoming;
  let weights = whh?.at ?? 0;
  const bytes = align(4 * (whh?.size ?? 0));
  if (kept.weightMask) {
    weights = runtime.takeZeroed(bytes);
    core.multiplyAdd(weights, whh?.at ?? 0, kept.weightMask, bytes / 4);
  }
  const { wxT, whT, wrT } = packTransposed(layer, tape, weights);
  const room = (wanted: unknown, ld: number) => (wanted ? runtime.take(B * ld) : 0);
  const zeros = (wanted: unknown, size: number) => (wanted ? runtime.takeZeroed(size) : 0);
  const dgainX = zeros(layer.gainX, layer.xPanels * LINE);
  const dgainH = zeros(layer.gainH, layer.hPanels * LINE);
  const dextras = layer.extras.map(({ rows }) => runtime.takeZeroed(rows.length * ldc));
  const scratch = room(wrT, Math.max(ldh, ldc));
  const dmasked = room(kept.masked, ldh);
  const keptH = room(settings.options.zoneoutHidden, ldh);
  const { i32 } = runtime;
  const f = call.s >>> 2;
  i32[f + Seq.wxT] = wxT;
  i32[f + Seq.whT] = whT;
  i32[f + Seq.wrT] = wrT;
  i32[f + Seq.dy] = dy;
  i32[f + Seq.lddy] = ldh;
  i32[f + Seq.dh] = dh;
  i32[f + Seq.dc] = dc;
  i32[f + Seq.flowH] = seen?.flowH ?? 0;
  i32[f + Seq.flowC] = seen?.flowC ?? 0;
  i32[f + Seq.scratch] = scratch;
  i32[f + Seq.dmasked] = dmasked;
  i32[f + Seq.keptH] = keptH;
  i32[f + Seq.dx] = unique ? 0 : x.grad;
  i32[f + Seq.lddx] = x.ld;
  i32[f + Seq.dgainX] = dgainX;
  i32[f + Seq.dgainH] = dgainH;
  layer.extras.forEach(({ gradient }, i) => (i32[f + Seq.own + gradient] = dextras[i]));
  core.recurrentBackward(call.s);
  const sums = unique ? uniqueGradient(layer, tape, call, unique, wxT) : call.z;
  if (!layer.trained) return;
  weightGradients(layer, tape, call, kept, unique?.rows ?? x, sums);
  const into = (parameter: Parameter) => gradientAt(tape, parameter);
  layer.extras.forEach(({ rows, own }, i) => {
    const gradients = new Map([...own].map(([tensor, parameter]) => [tensor, into(parameter)]));
    rows.forEach((row, r) => {
      if (row === null || row === 'ones') return;
      const to = gradients.get(row[0]);
      if (to) core.biasGrad(to + 4 * row[1] * H, 0, dextras[i] + r * ldc, ldc, 1, H, 1);
    });
  });
  const gainX = layer.gainX && into(layer.gainX);
  const gainH = layer.gainH && into(layer.gainH);
  for (const { row, x: fromX, h, xAt, hAt, gates } of layer.parts) {
    if (gainX && fromX) core.biasGrad(gainX + 4 * row, 0, dgainX + xAt * LINE, LINE, 1, H, gates);
    if (gainH && h) core.biasGrad(gainH + 4 * row, 0, dgainH + hAt * LINE, LINE, 1, H, gates);
  }
  const [h0, c0] = learned ? layer.initial : [];
  if (h0) core.biasGrad(into(h0), 0, dh, ldh, B, layer.P, 1);
  if (c0) core.biasGrad(into(c0), 0, dc, ldc, B, H, 1);
}

/**
 * Gradients of the weights and biases, from dz.
 *
 * @param x rows of x that entered the product, all or the distinct ones
 * @param sums dz of these rows
 */
function weightGradients(layer: Direction, tape: Tape, call: Call, kept: Kept, x: Rows, sums: number): void {
  const { runtime, core } = tape;
  const { I, H, P, ldz, ldh, ldextra, whh, bih, bhh, projection, ownFields } = layer;
  const R = call.T * call.B;
  const Rx = x.T * x.B;
  const { first, count } = kept.hRows;
  const scratch = runtime.take(core.weightGradScratch(R, layer.zPanels, Math.max(I, H)));
  // under normalisation the products have gradients of their own
  const zx = kept.normX || sums;
  const ldzx = kept.normX ? layer.xPanels * LINE : ldz;
  const into = (parameter: Parameter | undefined) => (parameter ? gradientAt(tape, parameter) : 0);
  const [dwih, gwhh, dbih, dbhh] = [into(layer.wih), into(whh), into(bih), into(bhh)];
  let dwhh = gwhh;
  const bytes = align(4 * (whh?.size ?? 0));
  if (kept.weightMask) dwhh = runtime.takeZeroed(bytes);
  for (const { row, x: fromX, h, z, xAt, hAt, gates } of layer.parts) {
    core.biasGrad(fromX && dbih ? dbih + 4 * row : 0, h && dbhh ? dbhh + 4 * row : 0, sums + z, ldz, Rx, H, gates);
    if (fromX) {
      const from = zx + (kept.normX ? xAt * LINE : z);
      core.weightGrad(dwih + 4 * row * I, 4 * I, scratch, from, ldzx, x.at, x.ld, Rx, I, H, gates);
    }
    if (!h) continue;
    const [dz, lddz] = kept.normH ? [kept.normH + hAt * LINE, layer.hPanels * LINE] : [call.z + z, ldz];
    const [from, ld] = h === 'cell' ? [kept.extra, ldextra] : [kept.previous, ldh];
    const to = dwhh + 4 * row * P;
    core.weightGrad(to, 4 * P, scratch, dz + first * lddz, lddz, from + first * ld, ld, count, P, H, gates);
  }
  if (kept.weightMask) core.multiplyAdd(gwhh, dwhh, kept.weightMask, bytes / 4);
  if (!layer.whr || !projection) return;
  if ('segment' in projection) {
    const dh = call.z + layer.parts[projection.segment].z;
    core.weightGrad(into(layer.whr), 4 * H, scratch, dh, ldz, kept.cells, layer.ldc, R, H, P, 1);
    return;
  }
  const part = (field: number) => kept.extra + ownFields[Seq.own + field];
  const [dh, m] = [part(projection.gradient), part(projection.from)];
  core.weightGrad(into(layer.whr), 4 * H, scratch, dh, ldextra, m, ldextra, R, H, P, 1);
}

/** Packs the transposes that the backward pass needs into the arena. `whh`: the recurrent weights, or what dropping left of them. */
function packTransposed(layer: Direction, tape: Tape, whh: number): { wxT: number; whT: number; wrT: number } {
  const { runtime, core } = tape;
  const { I, H, P } = layer;
  const take = (features: number, panels: number) =>
    panels && runtime.take(Math.ceil(features / PANEL) * panels * PANEL * LINE);
  const xLine = layer.xPanels * PANEL * LINE;
  const hLine = layer.hPanels * PANEL * LINE;
  const wxT = take(I, layer.xPanels);
  const whT = take(P, layer.hPanels);
  let wrT = 0;
  for (const { row, x, h, xAt, hAt, gates, panels } of layer.parts) {
    if (x) core.packTransposed(wxT + xAt * PANEL * LINE, xLine, layer.wih.at + 4 * row * I, 4 * I, I, H, gates);
    const w = whh + 4 * row * P;
    if (h === 'product') core.packTransposed(whT + hAt * PANEL * LINE, hLine, w, 4 * P, P, H, gates);
    if (h === 'cell') {
      wrT = take(P, panels);
      core.packTransposed(wrT, panels * PANEL * LINE, w, 4 * P, P, H, gates);
    }
  }
  if (layer.whr) {
    const panels = Math.ceil(P / PANEL);
    wrT = take(H, panels);
    core.packTransposed(wrT, panels * PANEL * LINE, layer.whr.at, 4 * H, H, P, 1);
  }
  return { wxT, whT, wrT };
}
