/** The reference of each cell, one line each. */
import type { CellName, RecurrentOptions } from 'gatewise';
import type { Graph, Matrix } from './autodiff.js';
import { gru } from './gru.js';
import { lru } from './lru.js';
import { lstm } from './lstm.js';
import { mingru } from './mingru.js';
import { minlstm } from './minlstm.js';
import { residual } from './residual.js';
import { rnn } from './rnn.js';

export type Weights = Record<string, Matrix | undefined>;

/** A cell in double precision, and the options of its own to test. */
export interface CellReference {
  /**
   * One step.
   *
   * @param x [B,I]
   * @param u [B,P] the state as the product takes it: h, or h under a dropout mask
   * @param h [B,P]
   * @param c [B,H]; cells without one hand it on
   * @param weights by PyTorch's names without layer
   */
  step(
    graph: Graph,
    x: Matrix,
    u: Matrix,
    h: Matrix,
    c: Matrix,
    weights: Weights,
    settings: Partial<RecurrentOptions>,
  ): { h: Matrix; c: Matrix };
  /** Each in the usual sizes, or with these sizes, or with sequences of different lengths. */
  readonly cases: readonly (Partial<RecurrentOptions> & { ragged?: boolean; H?: number; B?: number })[];
  /** Scale of the weights for long sequences, default 1: less for recurrences that grow. */
  readonly longScale?: number;
}

export const cells: Record<CellName, CellReference> = { rnn, lstm, gru, residual, mingru, minlstm, lru };
