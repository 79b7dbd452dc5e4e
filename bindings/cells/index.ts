/** The cells, one line each. */
import type { CellDescription } from './cell.js';
import { lstm } from './lstm.js';

export const cells = { lstm } satisfies Record<string, CellDescription>;

export type CellName = keyof typeof cells;
