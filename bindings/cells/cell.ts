/**
 * What there is to say of a cell. From this come its parameters, their names and shapes, their packing, the gradients of its
 * weights, memory, checks, files and the table in the README.
 */
import type { Cell } from '../../assembly/layout.js';

/**
 * A run of columns of z: `gates` consecutive gates from number `first` on, interleaved by four units, rounded up to whole panels.
 * They take part in the product with x, with h, or with both; the columns with x come first, and those of each kind are neighbours.
 */
export interface Segment {
  readonly first: number;
  readonly gates: number;
  readonly x: boolean;
  readonly h: boolean;
}

/** Options of single cells. */
export interface CellOptions {
  /** LSTM: the state that is fed back and put out is a linear map of this size; 0: none. */
  projectionSize?: number;
}

export interface CellDescription {
  readonly name: string;
  readonly code: Cell;
  /** For the README. */
  readonly formula: string;
  readonly source: string;
  /** Gates in the order of their rows in the weights. */
  readonly gates: (options: CellOptions) => readonly string[];
  /** Whether there is a state c beside h. */
  readonly hasC: boolean;
  readonly segments: (options: CellOptions) => readonly Segment[];
  /** Floats per row that the cell keeps beside states and gates. */
  readonly kept: (H: number, P: number) => number;
  /** The options that it knows. */
  readonly options: readonly (keyof CellOptions)[];
}
