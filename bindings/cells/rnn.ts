import { Cell, Rnn } from '../../assembly/cells/layout.js';
import { Activation } from '../../assembly/layout.js';
import { oneOf, option } from '../options.js';
import type { CellAbout, CellDescription } from './cell.js';

export const about: CellAbout = {
  title: "Elman's network",
  formula: 'h ← f(W x + U h + b), f = tanh, σ, ReLU or the identity',
  source: 'Elman 1990, doi:10.1207/s15516709cog1402_1',
};

export const FUNCTIONS = {
  tanh: Activation.tanh,
  sigmoid: Activation.sigmoid,
  relu: Activation.relu,
  identity: Activation.identity,
};

const OPTIONS = {
  /** rnn: the function f: `'tanh'`, `'sigmoid'`, `'relu'` or `'identity'`. gru: `'tanh'` or `'relu'`. Default `'tanh'`; lru: of the output, default `'identity'`. */
  activation: option(oneOf('tanh', 'sigmoid', 'relu', 'identity'), 'tanh'),
};

export const rnn: CellDescription<typeof OPTIONS> = {
  code: Cell.rnn,
  options: OPTIONS,
  gates: () => ['h'],
  hasC: false,
  segments: () => [{ first: 0, gates: 1, x: true, h: 'product' }],
  clashes: ({ activation }, { irnn }) => [
    [irnn && activation !== 'relu', "initializers: 'irnn'", `activation: '${activation}'`, 'an IRNN has ReLU'],
  ],
  fields: ({ activation }) => ({ [Rnn.activation]: FUNCTIONS[activation] }),
};
