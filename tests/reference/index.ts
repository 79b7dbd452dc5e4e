/** The reference of each cell: one step. */
import type { Graph, Matrix } from './autodiff.js';
import { lstm } from './lstm.js';

export type CellReference = (
  graph: Graph,
  x: Matrix,
  h: Matrix,
  c: Matrix,
  weights: Record<string, Matrix>,
) => { h: Matrix; c: Matrix };

export const cells: Record<string, CellReference> = { lstm };
