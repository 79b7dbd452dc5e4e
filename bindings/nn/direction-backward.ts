/** The way back through a layer in one direction: gradients of its input, its initial state and its weights. */
import { PANEL, Seq } from '../../assembly/layout.js';
import { align, gradScratch } from '../core/runtime.js';
import type { Distinct, Rows, Tape } from '../tape.js';
import { type Call, type Direction, LINE } from './direction.js';
import { distinctBackward } from './distinct.js';
import type { Parameter } from './model.js';
import { gradientAt } from './padding.js';

/**
 * The way back through a call: gradients of x (accumulated), of the weights, and in dh and dc those of the initial state.
 *
 * @param distinct the rows that the product was made from, if not from x itself
 * @param dy rows of the gradient of the outputs
 * @param dh, dc gradients of the final state
 * @param learned whether the learned initial state was used
 */
export function backward(
  layer: Direction,
  tape: Tape,
  call: Call,
  x: Rows,
  distinct: Distinct | undefined,
  dy: { at: number; ld: number },
  dh: number,
  dc: number,
  learned: boolean,
): void {
  const { runtime } = tape;
  const { core } = runtime;
  const { ldh, ldc, settings } = layer;
  const { B } = x;
  let whh = layer.whh?.at ?? 0;
  const bytes = align(4 * (layer.whh?.size ?? 0));
  if (call.weightMask) {
    whh = runtime.takeZeroed(bytes);
    core.multiplyAdd(whh, layer.whh?.at ?? 0, call.weightMask, bytes / 4);
  }
  const { wxT, whT, wrT } = packTransposed(layer, tape, whh);
  const scratch = (wanted: unknown, ld: number) => (wanted ? runtime.take(B * ld) : 0);
  const dm = scratch(wrT, Math.max(ldh, ldc));
  const du = scratch(call.u, ldh);
  const kept = scratch(settings.zoneoutHidden, ldh);
  const row = (wanted: unknown, size: number) => (wanted ? runtime.takeZeroed(size) : 0);
  const dpeephole = row(layer.peephole, 3 * ldc);
  const dgainX = row(layer.gainX, layer.xPanels * LINE);
  const dgainH = row(layer.gainH, layer.hPanels * LINE);
  const dnormC = row(layer.gainC, 2 * ldc);
  const { i32 } = runtime;
  const f = call.s >>> 2;
  i32[f + Seq.wxT] = wxT;
  i32[f + Seq.whT] = whT;
  i32[f + Seq.wrT] = wrT;
  i32[f + Seq.dy] = dy.at;
  i32[f + Seq.lddy] = dy.ld;
  i32[f + Seq.dh] = dh;
  i32[f + Seq.dc] = dc;
  i32[f + Seq.dm] = dm;
  i32[f + Seq.du] = du;
  i32[f + Seq.kept] = kept;
  i32[f + Seq.dx] = distinct ? 0 : x.grad;
  i32[f + Seq.lddx] = x.ld;
  i32[f + Seq.dpeephole] = dpeephole;
  i32[f + Seq.dgainX] = dgainX;
  i32[f + Seq.dgainH] = dgainH;
  i32[f + Seq.dnormC] = dnormC;
  core.backward(call.s);
  const sums = distinct
    ? { x: distinct.rows, z: distinctBackward(layer, tape, call, distinct, wxT) }
    : { x, z: call.z };
  if (!layer.trained) return;
  weightGradients(layer, tape, call, sums);
  const { H } = layer;
  const into = (parameter: Parameter) => gradientAt(tape, parameter);
  if (layer.peephole) {
    const to = into(layer.peephole);
    core.biasGrad(to, 0, dpeephole, ldc, 1, H, 1);
    if (!settings.coupled) core.biasGrad(to + 4 * H, 0, dpeephole + ldc, ldc, 1, H, 1);
    core.biasGrad(to + (settings.coupled ? 4 : 8) * H, 0, dpeephole + 2 * ldc, ldc, 1, H, 1);
  }
  const gainX = layer.gainX && into(layer.gainX);
  const gainH = layer.gainH && into(layer.gainH);
  for (const { row: r, x: fromX, h, xAt, hAt, gates } of layer.parts) {
    if (gainX && fromX) core.biasGrad(gainX + 4 * r, 0, dgainX + xAt * LINE, LINE, 1, H, gates);
    if (gainH && h) core.biasGrad(gainH + 4 * r, 0, dgainH + hAt * LINE, LINE, 1, H, gates);
  }
  if (layer.gainC) core.biasGrad(into(layer.gainC), 0, dnormC, ldc, 1, H, 1);
  if (layer.biasC) core.biasGrad(into(layer.biasC), 0, dnormC + ldc, ldc, 1, H, 1);
  const [h0, c0] = learned ? layer.initial : [];
  if (h0) core.biasGrad(into(h0), 0, dh, ldh, B, layer.P, 1);
  if (c0) core.biasGrad(into(c0), 0, dc, ldc, B, H, 1);
}

/** Gradients of the weights and biases, from dz; those that x enters from rows of x and the sums of dz that belong to them. */
function weightGradients(layer: Direction, tape: Tape, call: Call, sums: { x: Rows; z: number }): void {
  const { runtime } = tape;
  const { core } = runtime;
  const { I, H, P, ldz, ldh, lde, whh, bih, bhh } = layer;
  const { x } = sums;
  const R = call.T * call.B;
  const Rx = x.T * x.B;
  const { first, count } = call.hRows;
  const scratch = runtime.take(gradScratch(R, PANEL * layer.zPanels, Math.max(I, H)));
  // under normalisation the products have gradients of their own
  const zx = call.normX || sums.z;
  const ldzx = call.normX ? layer.xPanels * LINE : ldz;
  const into = (parameter: Parameter | undefined) => (parameter ? gradientAt(tape, parameter) : 0);
  const [dwih, gwhh, dbih, dbhh] = [into(layer.wih), into(whh), into(bih), into(bhh)];
  let dwhh = gwhh;
  const bytes = align(4 * (whh?.size ?? 0));
  if (call.weightMask) dwhh = runtime.takeZeroed(bytes);
  for (const { row, x: fromX, h, z, xAt, hAt, gates } of layer.parts) {
    const dz = call.z + z;
    core.biasGrad(fromX && dbih ? dbih + 4 * row : 0, h && dbhh ? dbhh + 4 * row : 0, sums.z + z, ldz, Rx, H, gates);
    if (fromX) {
      const from = zx + (call.normX ? xAt * LINE : z);
      core.weightGrad(dwih + 4 * row * I, 4 * I, scratch, from, ldzx, x.at, x.ld, Rx, I, H, gates);
    }
    const fromH = (z: number, ldz: number, x: number, ldx: number) => {
      const to = dwhh + 4 * row * P;
      core.weightGrad(to, 4 * P, scratch, z + first * ldz, ldz, x + first * ldx, ldx, count, P, H, gates);
    };
    if (h === 'cell') fromH(dz, ldz, call.e, lde);
    else if (h && call.normH) fromH(call.normH + hAt * LINE, layer.hPanels * LINE, call.previous, ldh);
    else if (h) fromH(dz, ldz, call.previous, ldh);
  }
  if (call.weightMask) core.multiplyAdd(gwhh, dwhh, call.weightMask, bytes / 4);
  if (layer.whr) {
    const width = Math.ceil(H / 4) * 16;
    core.weightGrad(into(layer.whr), 4 * H, scratch, call.e + 2 * width, lde, call.e + width, lde, R, H, P, 1);
  }
}

/** Packs the transposes that the way back needs into the arena. `whh`: the recurrent weights, or what dropping left of them. */
function packTransposed(layer: Direction, tape: Tape, whh: number): { wxT: number; whT: number; wrT: number } {
  const { runtime } = tape;
  const { core } = runtime;
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
