/** The cells, one line each. */
import type { CellDescription } from './cell.js';
import { gru } from './gru.js';
import { lstm } from './lstm.js';
import { residual } from './residual.js';
import { rnn } from './rnn.js';

export const cells = { rnn, lstm, gru, residual } satisfies Record<string, CellDescription>;

export type CellName = keyof typeof cells;

export const CELL_NAMES = Object.keys(cells) as CellName[];
