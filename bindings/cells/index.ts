/** The cells and their options, one line each. */
import { readOptions } from '../options.js';
import type { CellDescription } from './cell.js';
import { gru } from './gru.js';
import { lru } from './lru.js';
import { lstm } from './lstm.js';
import { mingru } from './mingru.js';
import { minlstm } from './minlstm.js';
import { residual } from './residual.js';
import { rnn } from './rnn.js';

export const cells = { rnn, lstm, gru, residual, mingru, minlstm, lru } satisfies Record<string, CellDescription>;

/** The options of all cells. Where several cells have one, the last here is to accept what any of them does. */
export const CELL_OPTIONS = {
  ...gru.options,
  ...lstm.options,
  ...residual.options,
  ...mingru.options,
  ...lru.options,
  ...rnn.options,
};

export type CellName = keyof typeof cells;

export const CELL_NAMES = Object.keys(cells) as CellName[];

/** The gates of a cell with its default options, in the order of their rows in the weights. */
export function gatesOf(name: CellName): readonly string[] {
  const cell: CellDescription = cells[name];
  return cell.gates(readOptions(name, cell.options, {}));
}

/** Whether a cell with its default options has recurrent weights. */
export function hasRecurrentWeights(name: CellName): boolean {
  const cell: CellDescription = cells[name];
  return cell.segments(readOptions(name, cell.options, {})).some(({ h }) => h);
}
