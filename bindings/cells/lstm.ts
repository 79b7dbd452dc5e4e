import { Cell, Lstm } from '../../assembly/cells/layout.js';
import type { CellAbout, CellDescription } from './cell.js';

const whole = (n: number) => Math.ceil(n / 4) * 4;

export const about: CellAbout = {
  title: 'long short-term memory',
  formula: 'i, f, o = σ(W x + U h + b), g = tanh(W x + U h + b); c ← f ⊙ c + i ⊙ g; h ← o ⊙ tanh(c)',
  source:
    'Hochreiter & Schmidhuber 1997, doi:10.1162/neco.1997.9.8.1735; forget gate: Gers et al. 2000, doi:10.1162/089976600300015015',
};

export const lstm: CellDescription = {
  code: Cell.lstm,
  options: ['projectionSize', 'peepholes', 'coupled', 'cellClip', 'forgetBias'],
  gates: ({ coupled }) => (coupled ? ['i', 'g', 'o'] : ['i', 'f', 'g', 'o']),
  hasC: true,
  segments: ({ coupled }) => [{ first: 0, gates: coupled ? 3 : 4, x: true, h: 'product' }],
  // tanh c; projected: the state before and the gradient after; normalised: c, room for its gradient, 1/σ
  kept: ({ H, P, normalized }, { projectionSize }) =>
    whole(H) + (projectionSize ? whole(H) + whole(P) : 0) + (normalized ? 2 * whole(H) + 4 : 0),
  fields: ({ coupled, projectionSize }, { H, P }) => {
    const hat = whole(H) + (projectionSize ? whole(H) + whole(P) : 0);
    return [
      [Lstm.coupled, coupled ? 1 : 0],
      [Lstm.projected, 4 * whole(H)],
      [Lstm.dprojected, 8 * whole(H)],
      [Lstm.hat, 4 * hat],
      [Lstm.dhat, 4 * (hat + whole(H))],
      [Lstm.root, 4 * (hat + 2 * whole(H))],
    ];
  },
};
