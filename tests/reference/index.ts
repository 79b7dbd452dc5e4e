/** The reference of each cell: one step. */
import type { RecurrentOptions } from 'gatewise';
import type { Graph, Matrix } from './autodiff.js';
import { gru } from './gru.js';
import { lstm } from './lstm.js';
import { residual } from './residual.js';
import { rnn } from './rnn.js';

export type Weights = Record<string, Matrix | undefined>;

/**
 * @param x [B,I]
 * @param u [B,P] the state as the product takes it: h, or h under a dropout mask
 * @param h [B,P]
 * @param c [B,H]; cells without one hand it on
 * @param weights by PyTorch's names without layer
 */
export type CellReference = (
  graph: Graph,
  x: Matrix,
  u: Matrix,
  h: Matrix,
  c: Matrix,
  weights: Weights,
  settings: Partial<RecurrentOptions>,
) => { h: Matrix; c: Matrix };

export const cells: Record<string, CellReference> = { rnn, lstm, gru, residual };
