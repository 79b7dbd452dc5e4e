/** The integers that the quantized module and its bindings agree on, as in ../layout.ts. */

/** Version of the interface of the quantized module. */
export const QUANTIZED_ABI = 1;

/** Columns of a panel of weights. */
export const WIDTH = 32;

/** Floats from one gate to the next are a multiple of this: the state is quantized eight at a time. */
export const UNITS = 8;

/** Cells. */
export const enum QuantizedCell {
  rnn,
  lstm,
  gru,
}

/** Fields of the block of a call of `recurrent`, 32 bits each. */
export const enum Run {
  cell,
  /** 1: weights of eight bits, 0: of sixteen. */
  bytes,
  T,
  B,
  /** Features of the input; units. States and gates are padded to a multiple of `UNITS`. */
  I,
  H,
  /** 1: time runs backwards. */
  reverse,
  /** Steps whose products with x are made at once. */
  ahead,
  /** x [T·B,I] f32, rows ldx bytes apart; ends with 32 readable bytes. */
  x,
  ldx,
  /** Room for ahead·B rows of i16, ldqx bytes apart. */
  qx,
  ldqx,
  /** f32: what x is multiplied by before it is rounded, and what it is limited to. */
  xFactor,
  xLimit,
  /** The same of the state, which lies in ±1. */
  hFactor,
  /** Panels of the weights of x and of h, of `panels` each; scales, and biases [N]. */
  wx,
  xScale,
  xBias,
  wh,
  hScale,
  hBias,
  panels,
  /** Room for ahead·B rows of N floats, and gru: for B rows more. */
  z,
  g,
  /** y [T·B,H] f32, rows ldy bytes apart: the outputs. */
  y,
  ldy,
  /** h0 [B,H]; c [B,H] in: before the first step, out: after the last. Both zero past the units. */
  h0,
  c,
  ldh,
  /** Room for B rows of i16. */
  qh,
  ldqh,
  /** How many fields there are. */
  count,
}
