import { Cell, Rnn } from '../../assembly/cells/layout.js';
import * as check from '../check.js';
import { option, real } from '../options.js';
import { readActivations } from './activation.js';
import type { CellAbout, CellDescription } from './cell.js';

export const about: CellAbout = {
  title: "Elman's network",
  formula: 'h ← f(W x + U h + b), f = tanh',
  source: 'Elman 1990, doi:10.1207/s15516709cog1402_1',
};

const OPTIONS = {
  /** rnn: the function f, default `'tanh'`. */
  activation: option(readActivations, 'tanh'),
  /** rnn: the input of f is clamped to ± this number; 0: no clamping. Default 0. */
  activationClip: option(real(0, 1e37), 0),
};

export const rnn: CellDescription<typeof OPTIONS> = {
  code: Cell.rnn,
  options: OPTIONS,
  gates: () => ['h'],
  hasC: false,
  segments: () => [{ first: 0, gates: 1, x: true, h: 'product' }],
  clashes: ({ activation }, { irnn }) => [
    [
      irnn && activation !== 'relu',
      "initializers: 'irnn'",
      `activation: ${check.show(activation)}`,
      'an IRNN has ReLU',
    ],
  ],
  functions: ({ activation, activationClip }) => [[Rnn.activation, activation, activationClip]],
};
