import { Cell } from '../../assembly/cells/layout.js';
import * as check from '../check.js';
import { option } from '../options.js';
import { type CellAbout, type CellDescription, withoutRecurrentWeights } from './cell.js';

export const about: CellAbout = {
  title: 'residual recurrence',
  formula: 'h ← h + tanh(W x + U h + b); feedback: false: h ← h + tanh(W x + b)',
  source: 'the identity path of He et al. 2016, arXiv:1512.03385v1, through time',
};

// <description>
const OPTIONS = {
  /** residual: whether tanh reads the state (U h); without it there is no U. Default true. */
  feedback: option(check.flag, true),
};

export const residual: CellDescription<typeof OPTIONS> = {
  code: Cell.residual,
  options: OPTIONS,
  gates: () => ['h'],
  hasC: false,
  startsAtZero: true,
  segments: ({ feedback }) => [{ first: 0, gates: 1, x: true, h: feedback ? 'product' : false }],
  clashes: ({ feedback }, layer) => (feedback ? [] : withoutRecurrentWeights('feedback: false', layer)),
};
// </description>
