import { Cell } from '../../assembly/cells/layout.js';
import * as check from '../check.js';
import { option } from '../options.js';
import { type CellAbout, type CellDescription, withoutRecurrentWeights } from './cell.js';
import { mingru } from './mingru.js';

export const about: CellAbout = {
  title: 'minimal long short-term memory',
  formula: 'f, i = σ(W x + b), n = W x + b; h ← f / (f + i) ⊙ h + i / (f + i) ⊙ n',
  source: 'Feng et al. 2024, arXiv:2410.01201v1; positive: its appendix B.3',
};

const OPTIONS = {
  /** minlstm: whether n is positive, g(W x + b) with g(a) = a + ½ where a ≥ 0 and σ(a) elsewhere. Default false. */
  positive: option(check.flag, false),
};

export const minlstm: CellDescription<typeof OPTIONS> = {
  ...mingru,
  code: Cell.minlstm,
  options: OPTIONS,
  gates: () => ['f', 'i', 'n'],
  segments: () => [{ first: 0, gates: 3, x: true, h: false }],
  clashes: (_, layer) => withoutRecurrentWeights("cell: 'minlstm'", layer),
};
