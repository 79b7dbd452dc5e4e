import { Cell, Gru } from '../../assembly/cells/layout.js';
import { oneOf, option, real } from '../options.js';
import { readActivations } from './activation.js';
import type { CellAbout, CellDescription } from './cell.js';

export const about: CellAbout = {
  title: 'gated recurrent unit',
  formula: 'r, z = σ(W x + U h + b); n = tanh(W x + b + r ⊙ (U h + b)); h ← (1 - z) ⊙ n + z ⊙ h',
  source: "Cho et al. 2014, arXiv:1406.1078v1; reset: 'before': arXiv:1406.1078v3, n = tanh(W x + U (r ⊙ h) + b)",
};

const OPTIONS = {
  /** gru: whether the reset gate multiplies U h (`'after'`, as in PyTorch) or h (`'before'`). Default `'after'`. */
  reset: option(oneOf('after', 'before'), 'after'),
  /** gru: the function of n, default `'tanh'`. */
  activation: option(readActivations, 'tanh'),
  /** gru: the function of r and z, default `'sigmoid'`. */
  gateActivation: option(readActivations, 'sigmoid'),
  /** gru: the inputs of these functions are clamped to ± this number; 0: no clamping. Default 0. */
  activationClip: option(real(0, 1e37), 0),
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
  fields: ({ reset }) => ({ [Gru.resetBefore]: reset === 'before' ? 1 : 0 }),
  functions: ({ activation, gateActivation, activationClip }) => [
    [Gru.activation, activation, activationClip],
    [Gru.gate, gateActivation, activationClip],
  ],
  clashes: ({ reset }, { layerNorm }) => [
    [
      layerNorm && reset === 'before',
      'layerNorm',
      "reset: 'before'",
      'the product with the state is computed in two parts',
    ],
  ],
};
