/** One recurrent layer in one direction: its parameters, and how they are packed. All of it follows from the cell's description. */
import { LINE, PANEL, Seq } from '../../../assembly/layout.js';
import { activationOf, enterActivation } from '../../cells/activation.js';
import type { Extra, OutputMap, Projection, Segment } from '../../cells/cell.js';
import type { Fields } from '../../core/block.js';
import { align } from '../../core/runtime.js';
import { type Builder, type Parameter, trains } from '../builder.js';
import { constant, fanIn, gateStart, type Initializer, type Start, unitCircle } from '../initializer.js';
import type { Checked } from './options.js';

/** Panels that the interleaved gates of H units take. */
function panelsOf(H: number, gates: number): number {
  return Math.ceil((Math.ceil(H / 4) * gates) / 4);
}

/** A segment: its panels, its first row in the weights, bytes to its columns in z, panels before it in what x and h feed. */
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

/** Fields of the cell's own as fields of the block. */
function inBlock(fields: Fields = {}): Record<number, number> {
  return Object.fromEntries(Object.entries(fields).map(([field, value]) => [Seq.own + Number(field), value]));
}

/** An extra of the cell with its parameters, and the address of its packed rows. */
export type OwnExtra = Extra & { readonly own: ReadonlyMap<string, Parameter>; readonly at: number };

export class Direction {
  readonly wih: Parameter;
  readonly whh: Parameter | undefined;
  readonly bih: Parameter | undefined;
  readonly bhh: Parameter | undefined;
  readonly whr: Parameter | undefined;
  readonly gainX: Parameter | undefined;
  readonly gainH: Parameter | undefined;
  readonly extras: readonly OwnExtra[];
  /** Learned h0 and c0. */
  readonly initial: readonly Parameter[];
  /** Gates of the cell, and features of its state. */
  readonly gates: readonly string[];
  readonly P: number;
  readonly projection: Projection | OutputMap | undefined;
  readonly parts: readonly Part[];
  readonly xPanels: number;
  readonly hPanels: number;
  readonly zPanels: number;
  /** Panels of the weights of the product that the cell computes itself. */
  readonly ownPanels: number;
  /** Bytes to the first column of z that h feeds. */
  readonly hColumn: number;
  /** Bytes of a row of z, h, c, and of what else the cell keeps. */
  readonly ldz: number;
  readonly ldh: number;
  readonly ldc: number;
  readonly ldextra: number;
  /** The cell's own fields of the block: its settings, offsets in a row of what it keeps, addresses of its extras. */
  readonly ownFields: Fields;
  /** All fields of the block that are the same in each call; a call copies them. */
  readonly fields: Int32Array;
  readonly #wx: number;
  readonly #wh: number;
  readonly #wr: number;
  readonly #bias: number;
  readonly #gains: number;
  #packed = -1;

  constructor(
    readonly builder: Builder,
    readonly settings: Checked,
    name: (tensor: string) => string,
    readonly I: number,
    readonly H: number,
    /** Which of a pair of options is its own. */
    readonly d: number,
  ) {
    const { cell, own } = settings;
    const { bias, layerNorm, initialState } = settings.options;
    const { initializers } = settings;
    this.gates = cell.gates(own);
    const parts = partsOf(cell.segments(own), H);
    this.parts = parts;
    this.projection = cell.projection?.(own);
    const P = this.projection && 'size' in this.projection ? this.projection.size : H;
    this.P = P;
    const G = this.gates.length;
    const feedback = parts.some((part) => part.h);
    const make = (wanted: unknown, tensor: string, shape: readonly number[], how: Start | Initializer) =>
      wanted ? builder.parameter(name(tensor), shape, how) : undefined;
    const added = cell.biasOffset?.(own);
    const from = added ? this.gates.indexOf(added.gate) * H : 0;
    const offset = added && { from, to: from + H, value: added.value };
    const extras = (normalization: boolean) => {
      const chosen = cell.extras?.(own).filter((extra) => (extra.normalization ?? false) === normalization) ?? [];
      return chosen.map((extra) => {
        const made = extra.parameters.map(({ name: tensor, parts: n, start }) => {
          const how = start === 'uniform' ? fanIn(H) : start === 'circle' ? unitCircle : constant(start);
          return [tensor, builder.parameter(name(tensor), [n * H], how)] as const;
        });
        return { ...extra, own: new Map(made) };
      });
    };
    const zero = cell.startsAtZero ? constant(0) : undefined;
    const still = layerNorm ? undefined : zero;
    // the order of the parameters is that of files, of random numbers and of sums over all gradients
    this.wih = builder.parameter(name('weight_ih'), [G * H, I], gateStart(initializers.input, H));
    this.whh = make(feedback, 'weight_hh', [G * H, P], gateStart(initializers.recurrent ?? still, H));
    this.bih = make(bias, 'bias_ih', [G * H], gateStart(initializers.bias ?? zero, H, offset));
    this.bhh = make(bias && feedback, 'bias_hh', [G * H], gateStart(initializers.bias ?? zero, H));
    this.whr = make(this.projection, 'weight_hr', [P, H], fanIn(H));
    const others = extras(false);
    this.gainX = make(layerNorm, 'norm_ih', [G * H], constant(1));
    this.gainH = make(layerNorm && feedback, 'norm_hh', [G * H], constant(1));
    const allExtras = layerNorm ? [...others, ...extras(true)] : others;
    const learned = initialState === 'learned';
    const initial = [make(learned, 'h0', [P], constant(0)), make(learned && cell.hasC, 'c0', [H], constant(0))];
    this.initial = initial.filter((parameter) => parameter !== undefined);

    const panels = (which: (part: Part) => boolean) => parts.filter(which).reduce((n, part) => n + part.panels, 0);
    this.xPanels = panels((part) => part.x);
    this.hPanels = panels((part) => part.h === 'product');
    this.zPanels = panels(() => true);
    this.ownPanels = panels((part) => part.h === 'cell');
    this.hColumn = parts.find((part) => part.h === 'product')?.z ?? 0;
    this.ldz = this.zPanels * LINE;
    this.ldh = align(4 * P);
    this.ldc = align(4 * H);
    const ownFields: Record<number, number> = inBlock(cell.fields?.(own));
    let bytes = 0;
    for (const { floats, field } of cell.kept?.({ H, normalized: layerNorm }, own) ?? []) {
      if (field !== undefined) ownFields[Seq.own + field] = bytes;
      bytes += 16 * Math.ceil(floats / 4);
    }
    this.ldextra = align(bytes);
    const alloc = (size: number, tensor: string) => (size ? builder.alloc(size, name(tensor)) : 0);
    this.#wx = alloc(this.xPanels * I * LINE, 'weight_ih');
    this.#wh = alloc(this.hPanels * P * LINE, 'weight_hh');
    this.#wr = alloc((this.ownPanels * P + (this.whr ? Math.ceil(P / PANEL) * H : 0)) * LINE, 'weight_hr');
    this.#bias = alloc(this.ldz, 'bias');
    const place = (extra: Extra) => alloc(extra.rows.length * this.ldc, extra.parameters[0].name);
    this.extras = allExtras.map((extra) => ({ ...extra, at: place(extra) }));
    for (const { field, at } of this.extras) ownFields[Seq.own + field] = at;
    this.ownFields = ownFields;
    this.#gains = alloc(layerNorm ? 2 * (this.xPanels + this.hPanels) * LINE : 0, 'norm');
    this.fields = this.#fields(inBlock(cell.floats?.(own)));
  }

  #fields(ownFloats: Fields): Int32Array {
    const { cell, options, own } = this.settings;
    const ints = Object.entries({
      [Seq.cell]: cell.code,
      [Seq.I]: this.I,
      [Seq.H]: this.H,
      [Seq.P]: this.P,
      [Seq.ldh]: this.ldh,
      [Seq.ldc]: this.ldc,
      [Seq.ldz]: this.ldz,
      [Seq.ldextra]: this.ldextra,
      [Seq.wx]: this.#wx,
      [Seq.wh]: this.#wh,
      [Seq.wr]: this.#wr,
      [Seq.bias]: this.#bias,
      [Seq.xPanels]: this.xPanels,
      [Seq.hColumn]: this.hColumn,
      [Seq.hPanels]: this.hPanels,
      [Seq.zPanels]: this.zPanels,
      ...(this.gainX && { ...this.gainRows(), [Seq.columns]: this.gates.length * this.H }),
      ...this.ownFields,
    });
    const zoneC = cell.hasC ? options.zoneoutCell : 0;
    const floats = Object.entries({ [Seq.zoneH]: options.zoneoutHidden, [Seq.zoneC]: zoneC, ...ownFloats });
    const fields = new Int32Array(Seq.fields);
    for (const [field, value] of ints) fields[Number(field)] = value;
    for (const [field, value] of floats) new Float32Array(fields.buffer)[Number(field)] = value;
    for (const [field, f, limit] of cell.functions?.(own) ?? [])
      enterActivation(fields, Seq.own + field, activationOf(f, this.d), limit);
    return fields;
  }

  /** Whether the running pass computes the gradient of any of its parameters. */
  get trained(): boolean {
    const { wih, whh, bih, bhh, whr, gainX, gainH, extras, initial } = this;
    return trains(wih, whh, bih, bhh, whr, gainX, gainH, ...initial, ...extras.flatMap(({ own }) => [...own.values()]));
  }

  /** Addresses of the packed weights and bias, packed again if they have changed. */
  packed(): { wx: number; wh: number; wr: number; bias: number } {
    const addresses = { wx: this.#wx, wh: this.#wh, wr: this.#wr, bias: this.#bias };
    if (this.#packed === this.builder.version) return addresses;
    this.#packed = this.builder.version;
    const { runtime } = this.builder;
    const { core } = runtime;
    const { I, H, P, ldc } = this;
    for (const { row, z, x, h, xAt, gates } of this.parts) {
      const bias = (b: Parameter | undefined, wanted: boolean) => (b && wanted ? b.at + 4 * row : 0);
      core.packBias(this.#bias + z, bias(this.bih, x), bias(this.bhh, h !== false), H, gates);
      if (x) core.packWeights(this.#wx + xAt * I * LINE, this.wih.at + 4 * row * I, 4 * I, I, H, gates);
    }
    if (this.whh) this.packRecurrent(this.#wh, this.#wr, this.whh.at);
    if (this.whr) core.packWeights(this.#wr, this.whr.at, 4 * H, H, P, 1);
    runtime.scope(() => {
      const n = Math.max(this.gates.length, 1) * H;
      const ones = runtime.take(4 * n);
      runtime.f32.fill(1, ones >>> 2, (ones >>> 2) + n);
      for (const { rows, own, at, derive } of this.extras) {
        rows.forEach((row, r) => {
          if (row === null) return;
          const [tensor, part] = row === 'ones' ? ['', 0] : row;
          core.packBias(at + r * ldc, row === 'ones' ? ones : (own.get(tensor)?.at ?? 0) + 4 * part * H, 0, H, 1);
        });
        derive?.(core, at, ldc, H);
      }
      if (!this.gainX) return;
      const to = this.gainRows();
      for (const { row, x, h, xAt, hAt, gates } of this.parts) {
        const pack = (panel: number, from: number) => core.packBias(panel, from + 4 * row, 0, H, gates);
        if (x) pack(to[Seq.gainX] + xAt * LINE, this.gainX.at);
        if (x) pack(to[Seq.maskX] + xAt * LINE, ones);
        if (h) pack(to[Seq.gainH] + hAt * LINE, this.gainH?.at ?? 0);
        if (h) pack(to[Seq.maskH] + hAt * LINE, ones);
      }
    });
    return addresses;
  }

  /** Fields of the block: the packed gains, and the ones where a column counts. */
  gainRows(): Fields {
    const [x, h] = [this.xPanels * LINE, this.hPanels * LINE];
    return {
      [Seq.gainX]: this.#gains,
      [Seq.maskX]: this.#gains + x,
      [Seq.gainH]: h && this.#gains + 2 * x,
      [Seq.maskH]: h && this.#gains + 2 * x + h,
    };
  }

  /** Packs recurrent weights: those of the product, and those of the product that the cell computes itself. */
  packRecurrent(wh: number, wr: number, weights: number): void {
    const { core } = this.builder.runtime;
    const { H, P } = this;
    for (const { row, h, hAt, gates } of this.parts) {
      if (h === 'product') core.packWeights(wh + hAt * P * LINE, weights + 4 * row * P, 4 * P, P, H, gates);
      if (h === 'cell') core.packWeights(wr, weights + 4 * row * P, 4 * P, P, H, gates);
    }
  }
}
