import { Cell, Minimal } from '../../assembly/cells/layout.js';
import * as check from '../check.js';
import { option } from '../options.js';
import { type CellAbout, type CellDescription, withoutRecurrentWeights } from './cell.js';

export const about: CellAbout = {
  title: 'minimal gated recurrent unit',
  formula: 'z = σ(W x + b), n = W x + b; h ← (1 - z) ⊙ h + z ⊙ n',
  source: 'Feng et al. 2024, arXiv:2410.01201v1; positive: its appendix B.3',
};

// <description>
const OPTIONS = {
  /** mingru: whether n is positive, g(W x + b) with g(a) = a + ½ where a ≥ 0 and σ(a) elsewhere. minlstm: the same. Default false. */
  positive: option(check.flag, false),
};

export const mingru: CellDescription<typeof OPTIONS> = {
  code: Cell.mingru,
  options: OPTIONS,
  gates: () => ['z', 'n'],
  hasC: false,
  segments: () => [{ first: 0, gates: 2, x: true, h: false }],
  fields: ({ positive }) => ({ [Minimal.positive]: positive ? 1 : 0 }),
  clashes: (_, layer) => withoutRecurrentWeights("cell: 'mingru'", layer),
};
// </description>
