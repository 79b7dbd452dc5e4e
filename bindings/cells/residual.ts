import { Cell } from '../../assembly/cells/layout.js';
import type { CellAbout, CellDescription } from './cell.js';

export const about: CellAbout = {
  title: 'residual recurrence',
  formula: 'h ← h + tanh(W x + U h + b); feedback: false: h ← h + tanh(W x + b)',
  source: 'the identity path of He et al. 2016, arXiv:1512.03385v1, through time',
};

export const residual: CellDescription = {
  code: Cell.residual,
  options: ['feedback'],
  gates: () => ['h'],
  hasC: false,
  segments: ({ feedback }) => [{ first: 0, gates: 1, x: true, h: feedback ? 'product' : false }],
};
