import { Cell } from '../../assembly/layout.js';
import type { CellDescription } from './cell.js';

export const residual: CellDescription = {
  code: Cell.residual,
  title: 'residual recurrence',
  formula: 'h ← h + tanh(W x + U h + b); feedback: false: h ← h + tanh(W x + b)',
  source: 'the identity path of He et al. 2016, arXiv:1512.03385v1, through time',
  options: ['feedback'],
  gates: () => ['h'],
  hasC: false,
  segments: ({ feedback }) => [{ first: 0, gates: 1, x: true, h: feedback ? 'product' : false }],
};
