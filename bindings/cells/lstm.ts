import { Cell, Lstm } from '../../assembly/cells/layout.js';
import * as check from '../check.js';
import { option, optional, real, whole } from '../options.js';
import { readActivations } from './activation.js';
import type { CellAbout, CellDescription, Extra } from './cell.js';

export const about: CellAbout = {
  title: 'long short-term memory',
  formula: 'i, f, o = σ(W x + U h + b), g = tanh(W x + U h + b); c ← f ⊙ c + i ⊙ g; h ← o ⊙ tanh(c)',
  source:
    'Hochreiter & Schmidhuber 1997, doi:10.1162/neco.1997.9.8.1735; forget gate: Gers et al. 2000, doi:10.1162/089976600300015015',
};

const OPTIONS = {
  /** lstm: size of a linear map of h, which is then fed back and output instead of h; 0: no map. Default 0. */
  projectionSize: option(whole(0), 0),
  /** lstm: whether the gates also read c, with one weight per unit. Default false. */
  peepholes: option(check.flag, false),
  /** lstm: whether input and forget gate are one, f = 1 - i. Default false. */
  coupled: option(check.flag, false),
  /** lstm: c is clamped to ± this number after each step; 0: no clamping. Default 0. */
  cellClip: option(real(0), 0),
  /** lstm: number that is added to the random initial bias of the forget gate. Default 0. */
  forgetBias: option(real(-1e37, 1e37), 0),
  /** lstm: the function of g, default `'tanh'`. */
  activation: option(readActivations, 'tanh'),
  /** lstm: the function of the gates i, f and o, default `'sigmoid'`. */
  gateActivation: option(readActivations, 'sigmoid'),
  /** lstm: the function of c in h = o ⊙ tanh(c), default that of `activation`. */
  outputActivation: optional(readActivations),
  /** lstm: the inputs of g and of the gates are clamped to ± this number before their functions; 0: no clamping. Default 0. */
  activationClip: option(real(0, 1e37), 0),
};

const norm: Extra = {
  parameters: [
    { name: 'norm_c', parts: 1, start: 1 },
    { name: 'norm_c_bias', parts: 1, start: 0 },
  ],
  rows: [['norm_c', 0], ['norm_c_bias', 0], 'ones'],
  field: Lstm.norm,
  gradient: Lstm.dnorm,
  normalization: true,
};

/** Rows i f o; coupled gates have no f. */
function peephole(coupled: boolean): Extra {
  const name = 'weight_peephole';
  return {
    parameters: [{ name, parts: coupled ? 2 : 3, start: 'uniform' }],
    rows: [[name, 0], coupled ? null : [name, 1], [name, coupled ? 1 : 2]],
    field: Lstm.peephole,
    gradient: Lstm.dpeephole,
  };
}

export const lstm: CellDescription<typeof OPTIONS> = {
  code: Cell.lstm,
  options: OPTIONS,
  gates: ({ coupled }) => (coupled ? ['i', 'g', 'o'] : ['i', 'f', 'g', 'o']),
  hasC: true,
  segments: ({ coupled }) => [{ first: 0, gates: coupled ? 3 : 4, x: true, h: 'product' }],
  kept: ({ H, normalized }, { projectionSize: P }) => [
    // tanh c, which the kernel expects first
    { floats: H },
    // o ⊙ tanh c; the gradient of the state
    ...(P
      ? [
          { floats: H, field: Lstm.projected },
          { floats: P, field: Lstm.dprojected },
        ]
      : []),
    // the normalised c, its gradient, 1/σ
    ...(normalized
      ? [
          { floats: H, field: Lstm.hat },
          { floats: H, field: Lstm.dhat },
          { floats: 1, field: Lstm.root },
        ]
      : []),
  ],
  extras: ({ peepholes, coupled }) => [...(peepholes ? [peephole(coupled)] : []), norm],
  projection: ({ projectionSize: size }) =>
    size ? { size, from: Lstm.projected, gradient: Lstm.dprojected } : undefined,
  biasOffset: ({ forgetBias: value }) => (value ? { gate: 'f', value } : undefined),
  fields: ({ coupled }) => ({ [Lstm.coupled]: coupled ? 1 : 0 }),
  floats: ({ cellClip }) => ({ [Lstm.clip]: cellClip }),
  functions: ({ activation, gateActivation, outputActivation, activationClip }) => [
    [Lstm.activation, activation, activationClip],
    [Lstm.gate, gateActivation, activationClip],
    [Lstm.output, outputActivation ?? activation],
  ],
  clashes: ({ projectionSize, coupled, forgetBias }, { widths, bias, initializers }) => [
    [
      projectionSize && widths.some((H) => projectionSize >= H),
      'projectionSize',
      'hiddenSize',
      'a projection is smaller, as in PyTorch',
    ],
    [coupled && forgetBias, 'coupled', 'forgetBias', 'there is no separate forget gate'],
    [forgetBias && !bias, 'forgetBias', 'bias: false', 'there is no bias'],
    [
      projectionSize && initializers.recurrent?.kind === 'identity',
      "initializers.recurrent: { kind: 'identity' }",
      'projectionSize',
      'the recurrent weights are not square',
    ],
  ],
};
