import { Cell, Lru } from '../../assembly/cells/layout.js';
import { option } from '../options.js';
import { readActivations } from './activation.js';
import { type CellAbout, type CellDescription, withoutRecurrentWeights } from './cell.js';

export const about: CellAbout = {
  title: 'linear recurrent unit',
  formula: 'λ = exp(-exp(ν) + i exp(θ)), γ = √(1 - |λ|²); c ← λ ⊙ c + γ ⊙ (B x + b); h ← f(Re(C c) + D x + b)',
  source: 'Orvieto et al. 2023, arXiv:2303.06349',
  parameters: ', `weight_hr` [H, H], `lambda` [H]',
};

const OPTIONS = {
  /** lru: the function f of the output, default `'identity'`. */
  activation: option(readActivations, 'identity'),
};

export const lru: CellDescription<typeof OPTIONS> = {
  code: Cell.lru,
  options: OPTIONS,
  gates: () => ['b', 'd'],
  hasC: true,
  // the products of the state and of the output with x
  segments: () => [
    { first: 0, gates: 1, x: true, h: false },
    { first: 1, gates: 1, x: true, h: false },
  ],
  // the gradient of c that comes from the output
  kept: ({ H }) => [{ floats: H }],
  extras: () => [
    {
      parameters: [{ name: 'lambda', parts: 1, start: 'circle' }],
      rows: [['lambda', 0], null, null, null],
      field: Lru.rows,
      gradient: Lru.drows,
      derive: (core, rows, ld, H) => core.lruRows(rows, ld, H),
    },
  ],
  projection: () => ({ segment: 1 }),
  functions: ({ activation }) => [[Lru.activation, activation]],
  clashes: (_, layer) => [
    [layer.widths.some((H) => H % 2), "cell: 'lru'", 'hiddenSize', 'the state is hiddenSize / 2 complex numbers'],
    [layer.zoneoutHidden, 'zoneoutHidden', "cell: 'lru'", 'the output is not fed back'],
    [layer.zoneoutCell, 'zoneoutCell', "cell: 'lru'", 'the outputs are made after all states'],
    ...withoutRecurrentWeights("cell: 'lru'", layer),
  ],
};
