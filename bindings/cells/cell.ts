/**
 * What there is to say of a cell. From this come its parameters, their names and shapes, their packing, the gradients of its
 * weights, memory, checks, files and the table in the README.
 */
import type { Cell } from '../../assembly/cells/layout.js';

/**
 * A run of columns of z: `gates` consecutive gates from number `first` on, interleaved by four units, rounded up to whole panels.
 * Columns that x feeds come first. `h` says what becomes of the product with the state: `'product'`, it is made before the cell's own
 * arithmetic, and those columns are neighbours; `'cell'`, the cell makes it itself, of what it keeps in e; false, there is none.
 */
export interface Segment {
  readonly first: number;
  readonly gates: number;
  readonly x: boolean;
  readonly h: 'product' | 'cell' | false;
}

/** Options of single cells. */
export interface CellOptions {
  /** rnn: the function f. gru: `'tanh'` or `'relu'`, of the candidate. Default `'tanh'`. */
  activation?: 'tanh' | 'sigmoid' | 'relu' | 'identity' | undefined;
  /** gru: whether the reset gate acts after the product with the state (PyTorch, the default) or before it. */
  reset?: 'after' | 'before' | undefined;
  /** lstm: the state that is fed back and put out is a linear map of this size; 0, the default: it is h itself. */
  projectionSize?: number | undefined;
  /** lstm: the gates see the cell state. */
  peepholes?: boolean | undefined;
  /** lstm: one gate for input and forgetting, f = 1 - i. */
  coupled?: boolean | undefined;
  /** lstm: c is clamped to ± this after each step; 0, the default: it is not. */
  cellClip?: number | undefined;
  /** lstm: what the bias of the forget gate starts with, beside its random part. Default 0. */
  forgetBias?: number | undefined;
  /** residual: whether the state takes part in its own increment, default true. */
  feedback?: boolean | undefined;
}

/** The same with every default filled in. */
export type CellSettings = Required<{ [K in keyof CellOptions]: NonNullable<CellOptions[K]> }>;

export const CELL_DEFAULTS: CellSettings = {
  activation: 'tanh',
  reset: 'after',
  projectionSize: 0,
  peepholes: false,
  coupled: false,
  cellClip: 0,
  forgetBias: 0,
  feedback: true,
};

/** What the README says of it. */
export interface CellAbout {
  readonly title: string;
  readonly formula: string;
  readonly source: string;
}

export interface CellDescription {
  readonly code: Cell;
  /** The options that mean something to it. */
  readonly options: readonly (keyof CellOptions)[];
  /** Gates in the order of their rows in the weights. */
  readonly gates: (settings: CellSettings) => readonly string[];
  /** Whether there is a state c beside h. */
  readonly hasC: boolean;
  readonly segments: (settings: CellSettings) => readonly Segment[];
  /** Floats per row that it keeps beside states and gates; `normalized`: with layer normalisation. */
  readonly kept?: (shape: { H: number; P: number; normalized: boolean }, settings: CellSettings) => number;
  /** Fields of its own in the block of a call. */
  readonly fields?: (settings: CellSettings, shape: { H: number; P: number }) => readonly (readonly [number, number])[];
}
