/** The integers that the online module and its bindings agree on, as in ../layout.ts. */

/** Version of what the online module has in addition to ../layout.ts. */
export const ONLINE_ABI = 2;

/** How gradients are carried forward in time. */
export const enum Rule {
  /** Real-time recurrent learning: the whole influence of each parameter on each state. */
  rtrl,
  /** Of it only what a parameter has on the unit that it enters: in one layer of `Cell.lru` that is everything. */
  snap1,
  /** Nothing is carried: the derivatives of this step alone. */
  immediate,
}

/** What the outputs are compared with. */
export const enum Target {
  /** Softmax and the number of a class. */
  crossEntropy,
  /** σ of each output and a number in [0,1]. */
  bceWithLogits,
  /** Each output and a number. */
  mse,
}

/** A learner: a block of 32-bit fields. Pointers and strides (`ld…`) are bytes. */
export const enum Learn {
  /** Which `Rule`, which `Target`. */
  rule,
  target,
  /** Number of layers, and the addresses of their `Layer` blocks. */
  layers,
  blocks,
  /** What the caller writes: x [I], and the target [O] f32, or i32 the class. */
  given,
  wanted,
  /** Outputs; packed weight and bias of the output layer. */
  O,
  weight,
  bias,
  /** The parameters of the output layer, [O,H] and [O] or 0. */
  headWeight,
  headBias,
  /** Padded rows [O]: what the output layer computes, the prediction, the gradient. */
  logits,
  output,
  dlogits,
  /** Bytes from a parameter to its gradient. */
  gradients,
  /** Room for the lines of a panel of the influence. */
  scratch,
  fields,
}

/** A layer of a learner: a block of 32-bit fields. S = kinds·H is the size of its state. */
export const enum Layer {
  /** The block of its call, T = B = 1. */
  seq,
  /** 1: the state is h, 2: h and c. */
  kinds,
  I,
  H,
  /** Whether there are biases. */
  ones,
  /** x [I] as a padded row: of the first layer its own, of others the h of the layer before. */
  x,
  /** Features as the columns take them: [x, u, 1, c], 0 where there are no columns, and, for columns without u, [x, 1]. */
  v,
  vx,
  /** [kinds,…] copies of the state before the step, and of what the step left: what the backward pass of the cell reads. */
  z,
  h,
  c,
  extra,
  /** [kinds,H] padded rows: ones in, out the derivative of each state by the h and the c of its own unit. */
  dh,
  dc,
  /** [3,H] where the cell adds a gradient of peepholes that nobody reads, or 0. */
  peepholes,
  /** The table of columns, `Column.fields` numbers each, and how many there are. */
  columns,
  count,
  /** J [S,H] the derivative of the state by h before the step, rows ldj apart; for `snap1` of each unit alone, [kinds,H]. */
  J,
  ldj,
  /** X [S,I] the derivative of the state by x, or 0 in the first layer. */
  X,
  ldx,
  /** Numbers of parameters in the order of the columns; of them panels of 16. */
  lanes,
  panels,
  /** The influence. rtrl: panels of `lines` lines, the states of this layer and those above; snap1: [kinds,lanes]; of `Cell.lru` see lru.ts. */
  M,
  lines,
  /** [lanes] the gradient in the order of the columns. */
  g,
  /** [H] padded row: the gradient of h. */
  delta,
  /** `Cell.lru` has no columns: its parameters B and D [2H,I], their biases or 0, C [H,H], ν and θ in turn [H]. */
  wx,
  bx,
  map,
  lambda,
  fields,
}

/** A column of the gates: what enters one gate of one unit, and where its weights are. */
export const enum Column {
  /** Bytes to it in a row of gates; its unit; the number of its first parameter. */
  z,
  unit,
  lane,
  /** Features of x and of h that enter, I or 0, H or 0. */
  fromX,
  fromH,
  /** Addresses of the row of the weights of x and h, of both biases, of the peephole; 0 where the column has none. */
  wx,
  wh,
  bx,
  bh,
  peephole,
  /** 1: the peephole sees c after the step. */
  after,
  fields,
}
