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

/** The options of all cells. Those that several cells have are read alike. */
export const CELL_OPTIONS = {
  ...gru.options,
  ...lstm.options,
  ...residual.options,
  ...mingru.options,
  /**
   * The function f of `rnn`, n of `gru`, g of `lstm`, default `'tanh'`; of the output of `lru`, default `'identity'`. A name,
   * `{ kind, alpha, beta }`, or one of them for each direction.
   */
  activation: rnn.options.activation,
  /** gru, lstm: the function of the gates, default `'sigmoid'`. */
  gateActivation: gru.options.gateActivation,
  /** rnn, gru, lstm: the inputs of the functions of gates and candidate are clamped to ± this number; 0: no clamping. Default 0. */
  activationClip: rnn.options.activationClip,
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
