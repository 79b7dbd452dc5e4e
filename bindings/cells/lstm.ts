import { Cell } from '../../assembly/layout.js';
import type { CellDescription } from './cell.js';

export const lstm: CellDescription = {
  name: 'lstm',
  code: Cell.lstm,
  formula: 'i f g o = x Wxᵀ + h Whᵀ + b; c = σ(f) ⊙ c + σ(i) ⊙ tanh(g); h = σ(o) ⊙ tanh(c)',
  source: 'Hochreiter & Schmidhuber 1997, with the forget gate of Gers et al. 2000',
  gates: () => ['i', 'f', 'g', 'o'],
  hasC: true,
  segments: () => [{ first: 0, gates: 4, x: true, h: true }],
  kept: (H) => H,
  options: [],
};
