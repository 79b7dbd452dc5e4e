/**
 * The cells' part of what both sides agree on: their numbers, and the fields that each cell has to itself in the block of a call,
 * counted from `Seq.own`: integers or addresses of 32 bits unless marked f32.
 */
/** Cells, by the number under which `assembly/cells/index.ts` finds them. */
export const enum Cell {
  rnn,
  lstm,
  gru,
  residual,
  mingru,
  minlstm,
  lru,
}

export const enum Rnn {
  /** `Fn` of f. */
  activation,
}

export const enum Gru {
  /** `Fn` of the candidate, and of the gates. */
  activation,
  gate = 4,
  /** 1 where the reset gate comes before the product. */
  resetBefore = 8,
}

/** minGRU and minLSTM. */
export const enum Minimal {
  /** 1 where the candidate is g(x) > 0. */
  positive,
}

export const enum Lru {
  /** Rows of H floats: ν and θ in turn, and what `lruRows` makes of them; rows of their gradients. */
  rows,
  drows,
  /** `Fn` of the output. */
  activation,
}

export const enum Lstm {
  /** `Fn` of g, of the gates, and of c₁. */
  activation,
  gate = 4,
  output = 8,
  /** Peepholes [3,H] as rows i f o, or 0, and their gradient, accumulated. */
  peephole = 12,
  dpeephole,
  /** 1 where f = 1 - i and the gates are i g o. */
  coupled,
  /** f32: c is clamped to ± this; 0: it is not. */
  clip,
  /** Gain and bias of the normalised cell state and the mask of ones, rows [3,H], or 0; gradients of the first two. */
  norm,
  dnorm,
  /** Bytes to the parts of a row of `extra`, after tanh(c₁) [H]. With a projection: o ⊙ tanh(c₁) [H], the gradient of h₁ [P]. */
  projected,
  dprojected,
  /** With normalisation: the normalised c₁ [H], its gradient [H], 1/σ. */
  hat,
  dhat,
  root,
}
