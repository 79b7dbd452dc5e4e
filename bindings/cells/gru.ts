import { Cell, Gru } from '../../assembly/cells/layout.js';
import { Activation } from '../../assembly/layout.js';
import type { CellAbout, CellDescription } from './cell.js';

export const about: CellAbout = {
  title: 'gated recurrent unit',
  formula: 'r, z = σ(W x + U h + b); n = tanh(W x + b + r ⊙ (U h + b)); h ← (1 - z) ⊙ n + z ⊙ h',
  source: "Cho et al. 2014, arXiv:1406.1078v1; reset: 'before': arXiv:1406.1078v3, n = tanh(W x + U (r ⊙ h) + b)",
};

export const gru: CellDescription = {
  code: Cell.gru,
  options: ['reset', 'activation'],
  gates: () => ['r', 'z', 'n'],
  hasC: false,
  segments: ({ reset }) =>
    reset === 'after'
      ? [
          { first: 2, gates: 1, x: true, h: false },
          { first: 0, gates: 2, x: true, h: 'product' },
          { first: 2, gates: 1, x: false, h: 'product' },
        ]
      : [
          { first: 2, gates: 1, x: true, h: 'cell' },
          { first: 0, gates: 2, x: true, h: 'product' },
        ],
  // reset before the product: r ⊙ h
  kept: ({ H }, { reset }) => (reset === 'before' ? H : 0),
  fields: ({ reset, activation }) => [
    [Gru.resetBefore, reset === 'before' ? 1 : 0],
    [Gru.activation, activation === 'relu' ? Activation.relu : Activation.tanh],
  ],
};
