/**
 * One recurrent layer in one direction: its parameters, how they are packed, the memory of a call. All of it follows from the cell's
 * description. The way back is in direction-backward.ts.
 */
import { PANEL, Seq } from '../../assembly/layout.js';
import type { CellDescription, CellSettings, Segment } from '../cells/cell.js';
import { align } from '../core/runtime.js';
import type { Rows, Tape } from '../tape.js';
import type { Initializer, Start } from './initializer.js';
import { type Builder, type Parameter, trains } from './model.js';

/** Bytes of a line of a panel. */
export const LINE = 4 * PANEL;

/** Rows, or more, of x that are multiplied at once where nothing is kept: enough for the panels of the weights to pay. */
const AHEAD = 128;

/** What a layer is made of, all defaults filled in. */
export interface LayerSettings extends CellSettings {
  readonly cell: CellDescription;
  readonly bias: boolean;
  readonly layerNorm: boolean;
  readonly variationalDropout: number;
  readonly zoneoutHidden: number;
  readonly zoneoutCell: number;
  readonly weightDrop: number;
  readonly learnedState: boolean;
  readonly initializers: { input?: Initializer; recurrent?: Initializer; bias?: Initializer };
}

/** Panels of 16 columns that the interleaved gates of H units take. */
export function panelsOf(H: number, gates: number): number {
  return Math.ceil((Math.ceil(H / 4) * gates) / 4);
}

/** A segment, and where its parts are in what is packed segment by segment. */
type Part = Segment & {
  readonly panels: number;
  readonly row: number;
  readonly z: number;
  readonly xAt: number;
  readonly hAt: number;
};

function partsOf(segments: readonly Segment[], H: number): Part[] {
  let z = 0;
  let xAt = 0;
  let hAt = 0;
  return segments.map((segment) => {
    const panels = panelsOf(H, segment.gates);
    const part = { ...segment, panels, row: segment.first * H, z, xAt, hAt };
    z += panels * LINE;
    if (segment.x) xAt += panels;
    if (segment.h === 'product') hAt += panels;
    return part;
  });
}

/** One call of the core: its fields, and addresses of what goes in and out. */
export interface Call {
  readonly s: number;
  readonly T: number;
  readonly B: number;
  readonly z: number;
  readonly e: number;
  /** h after step t, and what entered its product, T·B rows. */
  readonly outputs: number;
  readonly previous: number;
  /** Those of the rows whose h counts: all, or all but the first step's, where it is known to be zero. */
  readonly hRows: { readonly first: number; readonly count: number };
  /** Initial and final states. */
  readonly h0: number;
  readonly hT: number;
  readonly c0: number;
  readonly cT: number;
  /** Masked states, normalised products; masks of dropped weights; 0 where there are none. */
  readonly u: number;
  readonly normX: number;
  readonly normH: number;
  readonly weightMask: number;
}

export class Direction {
  readonly wih: Parameter;
  readonly whh: Parameter | undefined;
  readonly bih: Parameter | undefined;
  readonly bhh: Parameter | undefined;
  readonly whr: Parameter | undefined;
  readonly peephole: Parameter | undefined;
  readonly gainX: Parameter | undefined;
  readonly gainH: Parameter | undefined;
  readonly gainC: Parameter | undefined;
  readonly biasC: Parameter | undefined;
  readonly initial: readonly Parameter[];
  /** Gates of the cell, and features of the state that is put out. */
  readonly gates: readonly string[];
  readonly P: number;
  readonly segments: readonly Segment[];
  readonly xPanels: number;
  readonly hPanels: number;
  readonly zPanels: number;
  readonly hColumn: number;
  /** Bytes of a row of z, h, c, e. */
  readonly ldz: number;
  readonly ldh: number;
  readonly ldc: number;
  readonly lde: number;
  /** Packed: the weights' panels, and rows. */
  readonly #wx: number;
  readonly #wh: number;
  readonly #wr: number;
  readonly #bias: number;
  readonly #peephole: number;
  readonly #gains: number;
  readonly #normC: number;
  readonly parts: readonly Part[];
  #packed = -1;

  constructor(
    readonly builder: Builder,
    readonly settings: LayerSettings,
    name: (tensor: string) => string,
    readonly I: number,
    readonly H: number,
  ) {
    const { cell, initializers, bias, layerNorm, learnedState } = settings;
    this.gates = cell.gates(settings);
    this.segments = cell.segments(settings);
    this.parts = partsOf(this.segments, H);
    const P = settings.projectionSize || H;
    this.P = P;
    const G = this.gates.length;
    const feedback = this.segments.some((segment) => segment.h);
    // PyTorch's: every tensor uniform within 1/√H
    const usual = { kind: 'uniform', bound: 1 / Math.sqrt(H) } as const;
    const start = (initializer: Initializer | undefined): Start => ({
      initializer: initializer ?? usual,
      blockRows: H,
    });
    const constant = (value: number): Initializer => ({ kind: 'constant', value });
    const make = (wanted: boolean, tensor: string, shape: readonly number[], how: Start | Initializer) =>
      wanted ? builder.parameter(name(tensor), shape, how) : undefined;
    const forget = this.gates.indexOf('f') * H;
    const offset = settings.forgetBias ? { from: forget, to: forget + H, value: settings.forgetBias } : undefined;
    this.wih = builder.parameter(name('weight_ih'), [G * H, I], start(initializers.input));
    this.whh = make(feedback, 'weight_hh', [G * H, P], start(initializers.recurrent));
    this.bih = make(
      bias,
      'bias_ih',
      [G * H],
      offset ? { ...start(initializers.bias), offset } : start(initializers.bias),
    );
    this.bhh = make(bias && feedback, 'bias_hh', [G * H], start(initializers.bias));
    this.whr = make(P !== H || settings.projectionSize > 0, 'weight_hr', [P, H], usual);
    this.peephole = make(settings.peepholes, 'weight_peephole', [(G - 1) * H], usual);
    this.gainX = make(layerNorm, 'norm_ih', [G * H], constant(1));
    this.gainH = make(layerNorm && feedback, 'norm_hh', [G * H], constant(1));
    this.gainC = make(layerNorm && cell.hasC, 'norm_c', [H], constant(1));
    this.biasC = make(layerNorm && cell.hasC, 'norm_c_bias', [H], constant(0));
    this.initial = learnedState
      ? [
          builder.parameter(name('h0'), [P], constant(0)),
          ...(cell.hasC ? [builder.parameter(name('c0'), [H], constant(0))] : []),
        ]
      : [];

    const panels = (which: (segment: Segment) => boolean) =>
      this.segments.filter(which).reduce((n, s) => n + panelsOf(H, s.gates), 0);
    this.xPanels = panels((s) => s.x);
    this.hPanels = panels((s) => s.h === 'product');
    this.zPanels = panels(() => true);
    const first = this.segments.findIndex((s) => s.h === 'product');
    this.hColumn = this.segments.slice(0, Math.max(first, 0)).reduce((n, s) => n + panelsOf(H, s.gates), 0) * LINE;
    this.ldz = this.zPanels * LINE;
    this.ldh = align(4 * P);
    this.ldc = align(4 * H);
    this.lde = align(4 * (cell.kept?.({ H, P, normalized: layerNorm }, settings) ?? 0));
    const alloc = (bytes: number, tensor: string) => (bytes ? builder.alloc(bytes, name(tensor)) : 0);
    this.#wx = alloc(this.xPanels * I * LINE, 'weight_ih');
    this.#wh = alloc(this.hPanels * P * LINE, 'weight_hh');
    this.#wr = alloc(
      (panels((s) => s.h === 'cell') * P + (this.whr ? Math.ceil(P / PANEL) * H : 0)) * LINE,
      'weight_hr',
    );
    this.#bias = alloc(this.ldz, 'bias');
    this.#peephole = alloc(this.peephole ? 3 * this.ldc : 0, 'weight_peephole');
    this.#gains = alloc(layerNorm ? 2 * (this.xPanels + this.hPanels) * LINE : 0, 'norm');
    this.#normC = alloc(this.gainC ? 3 * this.ldc : 0, 'norm_c');
  }

  /** Whether the running pass computes the gradient of any of its parameters. */
  get trained(): boolean {
    const { wih, whh, bih, bhh, whr, peephole, gainX, gainH, gainC, biasC, initial } = this;
    return trains(wih, whh, bih, bhh, whr, peephole, gainX, gainH, gainC, biasC, ...initial);
  }

  /** Packs the weights, if they have changed since. */
  #pack(): void {
    if (this.#packed === this.builder.version) return;
    this.#packed = this.builder.version;
    const { runtime } = this.builder;
    const { core } = runtime;
    const { I, H, P, ldc } = this;
    for (const { panels, row, z, x, h, xAt, gates } of this.parts) {
      const bias = (b: Parameter | undefined, wanted: boolean) => (b && wanted ? b.at + 4 * row : 0);
      core.packBias(this.#bias + z, bias(this.bih, x), bias(this.bhh, h !== false), H, gates);
      if (x) core.packWeights(this.#wx + xAt * I * LINE, this.wih.at + 4 * row * I, 4 * I, I, H, gates);
      if (panels === 0) throw new Error('a segment without columns');
    }
    if (this.whh) this.#packRecurrent(this.#wh, this.#wr, this.whh.at);
    if (this.whr) core.packWeights(this.#wr, this.whr.at, 4 * H, H, P, 1);
    if (this.peephole) {
      const from = this.peephole.at;
      core.packBias(this.#peephole, from, 0, H, 1);
      if (!this.settings.coupled) core.packBias(this.#peephole + ldc, from + 4 * H, 0, H, 1);
      core.packBias(this.#peephole + 2 * ldc, from + (this.settings.coupled ? 4 : 8) * H, 0, H, 1);
    }
    if (this.gainX) {
      runtime.scope(() => {
        const ones = runtime.take(4 * this.gates.length * H);
        runtime.f32.fill(1, ones >>> 2, (ones >>> 2) + this.gates.length * H);
        const { gainX, gainH, maskX, maskH } = this.#gainRows();
        for (const { row, x, h, xAt, hAt, gates } of this.parts) {
          const pack = (to: number, from: number) => core.packBias(to, from + 4 * row, 0, H, gates);
          if (x) pack(gainX + xAt * LINE, this.gainX?.at ?? 0);
          if (x) pack(maskX + xAt * LINE, ones);
          if (h) pack(gainH + hAt * LINE, this.gainH?.at ?? 0);
          if (h) pack(maskH + hAt * LINE, ones);
        }
        if (!this.gainC || !this.biasC) return;
        core.packBias(this.#normC, this.gainC.at, 0, H, 1);
        core.packBias(this.#normC + ldc, this.biasC.at, 0, H, 1);
        core.packBias(this.#normC + 2 * ldc, ones, 0, H, 1);
      });
    }
  }

  #gainRows(): { gainX: number; maskX: number; gainH: number; maskH: number } {
    const [x, h] = [this.xPanels * LINE, this.hPanels * LINE];
    return {
      gainX: this.#gains,
      maskX: this.#gains + x,
      gainH: h && this.#gains + 2 * x,
      maskH: h && this.#gains + 2 * x + h,
    };
  }

  #packRecurrent(wh: number, wr: number, weights: number): void {
    const { core } = this.builder.runtime;
    const { H, P } = this;
    for (const { row, h, hAt, gates } of this.parts) {
      if (h === 'product') core.packWeights(wh + hAt * P * LINE, weights + 4 * row * P, 4 * P, P, H, gates);
      if (h === 'cell') core.packWeights(wr, weights + 4 * row * P, 4 * P, P, H, gates);
    }
  }

  /**
   * Lays out one call of the core: its block of fields, and states, gates and what else is kept, in the arena.
   *
   * @param keep whether all states and activations are kept, as the way back needs
   * @param zero whether the initial state is zero and wants no gradient
   */
  call(
    tape: Tape,
    x: Pick<Rows, 'at' | 'ld' | 'T' | 'B' | 'lengths'>,
    reverse: boolean,
    keep: boolean,
    zero: boolean,
  ): Call {
    this.#pack();
    const { runtime } = tape;
    const { settings, I, H, P, ldz, ldh, ldc, lde, builder } = this;
    const { T, B } = x;
    const { random } = builder;
    const rows = keep ? T * B : B;
    const ahead = keep ? T : Math.min(T, Math.ceil(AHEAD / B));
    const fresh = zero && !this.gainH;
    const s = runtime.take(4 * Seq.fields);
    const h = runtime.take((T + 1) * B * ldh);
    const c = settings.cell.hasC ? runtime.take((keep ? T + 1 : 1) * B * ldc) : 0;
    const z = runtime.take(ahead * B * ldz);
    const e = lde && runtime.take(rows * lde);
    const mask = (floats: number, ld: number, count: number, p: number, value: number) => {
      const at = runtime.take(count * ld);
      random.use('dropout', (...r) => runtime.core.fillMask(at, ld, count, floats, p, value, ...r));
      return at;
    };
    const training = tape.training && tape.trains(random);
    const drop = training ? settings.variationalDropout : 0;
    const hMask =
      drop && this.hPanels + (settings.reset === 'before' ? 1 : 0) ? mask(P, ldh, B, drop, 1 / (1 - drop)) : 0;
    const u = hMask && runtime.take(rows * ldh);
    const { zoneoutHidden, zoneoutCell } = settings;
    const zoneHMask = training && zoneoutHidden ? mask(P, ldh, T * B, 1 - zoneoutHidden, 1) : 0;
    const zoneCMask = training && c && zoneoutCell ? mask(H, ldc, T * B, 1 - zoneoutCell, 1) : 0;
    const keptC = c && zoneoutCell ? runtime.take(B * ldc) : 0;

    let wh = this.#wh;
    let wr = this.#wr;
    let weightMask = 0;
    if (training && settings.weightDrop && this.whh) {
      const p = settings.weightDrop;
      const bytes = align(4 * this.whh.size);
      weightMask = mask(this.whh.size, bytes, 1, p, 1 / (1 - p));
      const dropped = runtime.takeZeroed(bytes);
      runtime.core.multiplyAdd(dropped, this.whh.at, weightMask, bytes / 4);
      wh = wh && runtime.take(this.hPanels * P * LINE);
      wr =
        wr &&
        runtime.take(
          this.segments.reduce((n, seg) => n + (seg.h === 'cell' ? panelsOf(H, seg.gates) : 0), 0) * P * LINE,
        );
      this.#packRecurrent(wh, wr, dropped);
    }
    const normX = this.gainX ? runtime.take(ahead * B * this.xPanels * LINE) : 0;
    const normH = this.gainH ? runtime.take(rows * this.hPanels * LINE) : 0;
    const rootX = normX && runtime.take(4 * ahead * B);
    const rootH = normH && runtime.take(4 * rows);

    const { i32, f32 } = runtime;
    const f = s >>> 2;
    i32.fill(0, f, f + Seq.fields);
    for (const [field, value] of settings.cell.fields?.(settings) ?? []) i32[f + field] = value;
    i32[f + Seq.cell] = settings.cell.code;
    i32[f + Seq.T] = T;
    i32[f + Seq.B] = B;
    i32[f + Seq.I] = I;
    i32[f + Seq.H] = H;
    i32[f + Seq.P] = P;
    i32[f + Seq.reverse] = reverse ? 1 : 0;
    i32[f + Seq.keep] = keep ? 1 : 0;
    i32[f + Seq.ahead] = ahead;
    i32[f + Seq.fresh] = fresh ? 1 : 0;
    i32[f + Seq.lengths] = x.lengths?.at ?? 0;
    i32[f + Seq.x] = x.at;
    i32[f + Seq.ldx] = x.ld;
    i32[f + Seq.h] = h;
    i32[f + Seq.ldh] = ldh;
    i32[f + Seq.c] = c;
    i32[f + Seq.ldc] = ldc;
    i32[f + Seq.z] = z;
    i32[f + Seq.ldz] = ldz;
    i32[f + Seq.e] = e;
    i32[f + Seq.lde] = lde;
    i32[f + Seq.wx] = this.#wx;
    i32[f + Seq.wh] = wh;
    i32[f + Seq.wr] = wr;
    i32[f + Seq.bias] = this.#bias;
    i32[f + Seq.xPanels] = this.xPanels;
    i32[f + Seq.hColumn] = this.hColumn;
    i32[f + Seq.hPanels] = this.hPanels;
    i32[f + Seq.zPanels] = this.zPanels;
    i32[f + Seq.peephole] = this.#peephole;
    f32[f + Seq.clip] = settings.cellClip;
    i32[f + Seq.mask] = hMask;
    i32[f + Seq.u] = u;
    f32[f + Seq.zoneH] = zoneoutHidden;
    i32[f + Seq.zoneHMask] = zoneHMask;
    f32[f + Seq.zoneC] = c ? zoneoutCell : 0;
    i32[f + Seq.zoneCMask] = zoneCMask;
    i32[f + Seq.keptC] = keptC;
    if (normX) {
      const { gainX, gainH, maskX, maskH } = this.#gainRows();
      i32[f + Seq.gainX] = gainX;
      i32[f + Seq.gainH] = gainH;
      i32[f + Seq.maskX] = maskX;
      i32[f + Seq.maskH] = maskH;
      i32[f + Seq.columns] = this.gates.length * H;
      i32[f + Seq.normX] = normX;
      i32[f + Seq.normH] = normH;
      i32[f + Seq.rootX] = rootX;
      i32[f + Seq.rootH] = rootH;
      i32[f + Seq.normC] = this.#normC;
    }
    const slot = B * ldh;
    const first = reverse ? T : 0;
    const last = reverse ? 0 : T;
    return {
      s,
      T,
      B,
      z,
      e,
      outputs: h + (reverse ? 0 : slot),
      previous: u || h + (reverse ? slot : 0),
      hRows: { first: fresh && !reverse ? B : 0, count: (fresh ? T - 1 : T) * B },
      h0: h + first * slot,
      hT: h + last * slot,
      c0: c && c + (keep ? first : 0) * B * ldc,
      cT: c && c + (keep ? last : 0) * B * ldc,
      u,
      normX,
      normH,
      weightMask,
    };
  }
}
