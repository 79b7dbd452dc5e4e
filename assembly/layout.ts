/**
 * The integers both sides agree on, written in the TypeScript that both compilers accept: the bindings import this very file.
 *
 * A matrix inside the core is `rows`: R rows of F floats, each row padded to whole cache lines of 64 bytes. The floats from F to
 * the next multiple of four are zero; the floats after them are never read.
 */

/** Floats in a cache line, and the width of a packed panel of weights. */
export const PANEL = 16;

/** Bytes of a cache line, and of a line of a panel. */
export const LINE = 64;

/** Rows that `weightGrad` packs at a time, and panels of dZ. */
export const GRAD_BLOCK = 256;
export const GRAD_PANELS = 16;

/** Bytes of a node and of a prefix of a beam search. */
export const BEAM_NODE = 20;
export const BEAM_PREFIX = 32;

/** Version of the ABI; the bindings refuse a module that carries another one. */
export const ABI = 3;

/** Functions of one number. The formulas are in `assembly/activation.ts`. */
export const enum Activation {
  tanh,
  sigmoid,
  relu,
  identity,
  softsign,
  softplus,
  hardSigmoid,
  affine,
  scaledTanh,
  elu,
  leakyRelu,
  thresholdedRelu,
}

/** A function of one number, as 32-bit fields: which `Activation`; f32: α and β of those that have them; f32: limit of its input, 0 is none. */
export const enum Fn {
  kind,
  alpha,
  beta,
  limit,
  fields,
}

/** Version of the interface of `assembly/functions.ts`. */
export const FUNCTIONS_ABI = 2;

/** Functions of two numbers, and of one: the formulas are in `assembly/functions.ts`. */
export const enum PairOf {
  subtract,
  multiply,
  magnitude,
}
export const enum MapOf {
  scale,
  absolute,
  gelu,
}

/** How the outputs of two directions become one. */
export const enum Merge {
  concat,
  sum,
  mean,
  mul,
}

/** Losses of one number and its target: the formulas are in `assembly/losses.ts`. */
export const enum Loss {
  square,
  absolute,
  huber,
  quantile,
  logits,
}

/** How a query is compared with a key. */
export const enum Score {
  dot,
  additive,
}

/** One call of attention: a block of 32-bit fields. Pointers and strides (`ld…`) are bytes; a gradient's stride is its values'. */
export const enum Attend {
  /** Which `Score`. */
  score,
  /** Steps of the queries and of the keys, sequences; features that are compared, features of the values. */
  Tq,
  Tk,
  B,
  F,
  V,
  /** [B] i32 each, or 0 */
  queryLengths,
  keyLengths,
  /** [Tq,B,F], [Tk,B,F], [Tk,B,V] */
  query,
  ldq,
  keys,
  ldk,
  values,
  ldv,
  /** [Tq,B,Tk], [Tq,B,V] */
  weights,
  ldw,
  context,
  ldc,
  /** v [F] of the additive score, a padded row; the factor of the scores, f32 */
  v,
  factor,
  /** Gradients: of the weights (in/out) and the context, and of what went in, accumulated; 0 where none is wanted. */
  dweights,
  dcontext,
  dquery,
  dkeys,
  dvalues,
  dv,
  /** Room for packed panels, and for `weightGrad`. */
  panels,
  scratch,
  fields,
}

/**
 * One call of a recurrent layer in one direction: a block of 32-bit fields. Pointers and strides (`ld…`) are bytes.
 *
 * State buffers have one slot more than there are steps. Forward in time, slot t is the state before step t and slot t+1 the one
 * after it. `reverse` runs t from T-1 down and swaps the two, so that slot T is the initial state.
 */
export const enum Seq {
  /** Which `Cell`, see `cells/layout.ts`. */
  cell,
  /** Time steps, sequences in the batch, input features, hidden units, features of the state that is fed back (H or a projection). */
  T,
  B,
  I,
  H,
  P,
  /** 1: time runs backwards. */
  reverse,
  /** 1: all states and activations are kept for the backward pass. 0: one slot of c, extra and masked serves all steps. */
  keep,
  /** Steps whose product with x is made at once, and that z has room for: T, or fewer unless all is kept. */
  chunk,
  /** 1: the initial h is zero and needs no gradient, so that no product with it is computed. Not with normalised products. */
  zeroStart,
  /** [B] i32, or 0: sequence b ends before step lengths[b]; later steps carry its state through unchanged. */
  lengths,

  /** x [T,B,I], or 0: z holds its product already */
  x,
  ldx,
  /** h [T+1,B,P] */
  h,
  ldh,
  /** c [T+1,B,H], or 0 */
  c,
  ldc,
  /** z [chunk,B,…] the gates: net input, then activation, then (backward) gradient of the net input */
  z,
  ldz,
  /** [T,B,…] what else the cell keeps, or 0 */
  extra,
  ldextra,

  /** Packed weights for the forward products, their transposes for the backward ones, the packed bias. `wr`: those of the cell's own product. */
  wx,
  wh,
  wr,
  wxT,
  whT,
  wrT,
  bias,
  /** Columns of z that x feeds, from the first on, in panels. */
  xPanels,
  /** Columns of z that h feeds: bytes to the first, and panels. */
  hColumn,
  hPanels,
  /** Columns of z in all, in panels. */
  zPanels,

  /** dy [T,B,P] gradient of the outputs, or 0 */
  dy,
  lddy,
  /** dh [B,P], dc [B,H]: gradient of the final state, then (out) of the initial one */
  dh,
  dc,
  /** [T,B,P], [T,B,H], zeroed: take dy + dh and dc as they enter each step in the backward pass; 0 where nobody reads them */
  flowH,
  flowC,
  /** [B,P] or [B,H], the larger: scratch of the cell's own product in the backward pass, where there is one */
  scratch,
  /** dx [T,B,I] accumulated, or 0 */
  dx,
  lddx,

  /** mask [B,P] by which h is multiplied before the product, the same at every step, or 0; the masked states [T,B,P]; their gradient [B,P]. */
  mask,
  masked,
  dmasked,

  /** Share of h and of c that keeps its old value, f32; masks [T,B,·] of ones where it does in training, or 0; scratch [B,·]. */
  zoneH,
  zoneHMask,
  zoneC,
  zoneCMask,
  keptH,
  keptC,

  /** Layer normalisation of both products: rows of gains, and of ones where a column counts; G·H, the columns that do; or 0. */
  gainX,
  gainH,
  maskX,
  maskH,
  columns,
  /** [T,B,…] normalised products, then (backward) gradients of the products; and 1/σ, [T,B]. */
  normX,
  normH,
  rootX,
  rootH,
  /** Gradients of the gains, accumulated, as rows. */
  dgainX,
  dgainH,

  /** The first of 24 fields that belong to the cell; `cells/layout.ts` has their names. */
  own,

  /** Number of fields. */
  fields = own + 24,
}

/** A language model as `generateTokens` runs it: a block of 32-bit fields. */
export const enum Gen {
  /** Number of recurrent layers, and their `Seq` pointers, one after the other. T = B = 1; x of the first, h of the last are the ends. */
  layers,
  seqs,
  /** Embedding [V,E], rows E floats apart. */
  embedding,
  E,
  /** Packed head [V, P], its bias, its logits (padded rows). */
  head,
  bias,
  logits,
  V,
  /** Scratch of `sample`: two padded rows of V. */
  scratch,
  /** in: the token to continue from; out: the last one drawn. */
  token,
  fields,
}
