import { Cell, Gru } from '../../assembly/cells/layout.js';
import { Activation } from '../../assembly/layout.js';
import { oneOf, option } from '../options.js';
import type { CellAbout, CellDescription } from './cell.js';

export const about: CellAbout = {
  title: 'gated recurrent unit',
  formula: 'r, z = σ(W x + U h + b); n = tanh(W x + b + r ⊙ (U h + b)); h ← (1 - z) ⊙ n + z ⊙ h',
  source: "Cho et al. 2014, arXiv:1406.1078v1; reset: 'before': arXiv:1406.1078v3, n = tanh(W x + U (r ⊙ h) + b)",
};

const OPTIONS = {
  /** gru: whether the reset gate multiplies U h (`'after'`, as in PyTorch) or h (`'before'`). Default `'after'`. */
  reset: option(oneOf('after', 'before'), 'after'),
  /** gru: the function of n, `'tanh'` or `'relu'`. Default `'tanh'`. */
  activation: option(oneOf('tanh', 'relu'), 'tanh'),
};

export const gru: CellDescription<typeof OPTIONS> = {
  code: Cell.gru,
  options: OPTIONS,
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
  // r ⊙ h
  kept: ({ H }, { reset }) => (reset === 'before' ? [{ floats: H }] : []),
  fields: ({ reset, activation }) => ({
    [Gru.resetBefore]: reset === 'before' ? 1 : 0,
    [Gru.activation]: activation === 'relu' ? Activation.relu : Activation.tanh,
  }),
  clashes: ({ reset }, { layerNorm }) => [
    [
      layerNorm && reset === 'before',
      'layerNorm',
      "reset: 'before'",
      'the product with the state is computed in two parts',
    ],
  ],
};
