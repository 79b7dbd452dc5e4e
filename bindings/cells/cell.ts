/**
 * What is known of a cell, and where it is declared: from it follow the parameters, their names and shapes, their packing, the
 * gradients of the weights, memory, options, checks, files and the table in the README.
 */
import type { Cell } from '../../assembly/cells/layout.js';
import type { Fields } from '../core/block.js';
import type { Schema, Settings } from '../options.js';
import type { Activations } from './activation.js';

/**
 * A run of columns of z: `gates` consecutive gates, the first of them number `first`, interleaved by four units and rounded up to
 * whole panels. Columns that x feeds come first. `h` says how the product with the state is computed: `'product'`, before the cell's
 * own step, and those columns are adjacent; `'cell'`, by the cell itself, from the first part of what it keeps; false, not at all.
 */
export interface Segment {
  readonly first: number;
  readonly gates: number;
  readonly x: boolean;
  readonly h: 'product' | 'cell' | false;
}

/** Floats that a cell keeps for each row in addition to states and gates, and its own field for their offset, if it reads one. */
export interface Kept {
  readonly floats: number;
  readonly field?: number;
}

/** How a parameter starts: uniform as the weights do, with a constant, or in turn ln(-½ ln u) and ln(2πu) of numbers u uniform in (0, 1). */
export type ExtraStart = 'uniform' | 'circle' | number;

/** Vectors of H weights that a cell reads in addition to its gates, packed as rows of H; `field` and `gradient` are its own fields. */
export interface Extra {
  /** Parameters of `parts`·H numbers. */
  readonly parameters: readonly { readonly name: string; readonly parts: number; readonly start: ExtraStart }[];
  /** The packed rows: a part of a parameter, ones (and zeros up to the end of the row), or nothing. */
  readonly rows: readonly (readonly [name: string, part: number] | 'ones' | null)[];
  readonly field: number;
  readonly gradient: number;
  /** Whether they belong to the layer normalisation: they exist with it alone. */
  readonly normalization?: boolean;
  /** Writes rows that follow from others, after those have been packed. */
  readonly derive?: (
    core: { lruRows(rows: number, ld: number, H: number): void },
    rows: number,
    ld: number,
    H: number,
  ) => void;
}

/** A function that a kernel applies: its field, the first of four, and the limit of its input, 0 for none. */
export type Applied = readonly [field: number, f: Activations, limit?: number];

/** A linear map [size,H], `weight_hr`, from one kept part to the state; into another the kernel writes the gradient of the state. */
export interface Projection {
  readonly size: number;
  readonly from: number;
  readonly gradient: number;
}

/** A linear map [H,H], `weight_hr`, from c to the state; the kernel writes the gradient of the state into the columns of this segment. */
export interface OutputMap {
  readonly segment: number;
}

/** Options of the layer that can be invalid in combination with options of a cell. */
export interface LayerOptions {
  readonly widths: readonly number[];
  readonly bias: boolean;
  readonly layerNorm: boolean;
  readonly weightDrop: number;
  readonly zoneoutHidden: number;
  readonly zoneoutCell: number;
  readonly initializers: { readonly recurrent?: { readonly kind: string } | undefined };
  /** Whether they are those of an IRNN. */
  readonly irnn: boolean;
}

/** Two options that cannot be combined, if `wrong`, and the reason. */
export type Clash = readonly [wrong: unknown, a: string, b: string, why: string];

/** What a cell without recurrent weights refuses. `fed`: the option that takes them away. */
export function withoutRecurrentWeights(fed: string, { weightDrop, initializers }: LayerOptions): readonly Clash[] {
  const why = 'there are no recurrent weights';
  return [
    [weightDrop, 'weightDrop', fed, why],
    [initializers.recurrent, 'initializers.recurrent', fed, why],
  ];
}

/** @typeParam S the schema of the cell's own options */
export interface CellDescription<S extends Schema = Schema> {
  readonly code: Cell;
  readonly options: S;
  /** Gates in the order of their rows in the weights. */
  gates(settings: Settings<S>): readonly string[];
  /** Whether there is a state c in addition to h. */
  readonly hasC: boolean;
  segments(settings: Settings<S>): readonly Segment[];
  /** `normalized`: with layer normalisation. */
  kept?(shape: { readonly H: number; readonly normalized: boolean }, settings: Settings<S>): readonly Kept[];
  extras?(settings: Settings<S>): readonly Extra[];
  projection?(settings: Settings<S>): Projection | OutputMap | undefined;
  /** Whether weights of h and biases start as zeros where nothing is given; else uniform within 1/√H. */
  readonly startsAtZero?: boolean;
  /** What is added to the initial bias of a gate. */
  biasOffset?(settings: Settings<S>): { readonly gate: string; readonly value: number } | undefined;
  /** The cell's own fields in the block of a call: whole numbers, and floats. */
  fields?(settings: Settings<S>): Fields;
  floats?(settings: Settings<S>): Fields;
  functions?(settings: Settings<S>): readonly Applied[];
  clashes?(settings: Settings<S>, layer: LayerOptions): readonly Clash[];
}

/** What the README says of it. */
export interface CellAbout {
  readonly title: string;
  readonly formula: string;
  readonly source: string;
  /** Parameters that the other cells do not have. */
  readonly parameters?: string;
}
