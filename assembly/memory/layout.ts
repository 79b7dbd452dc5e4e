/** What both sides of `gatewise/memory` agree on, in TypeScript that both compilers accept. */

/** Version of the ABI; the bindings refuse a module that carries another one. */
export const MEMORY_ABI = 1;

/** One step of the memory: a block of 32-bit fields. Pointers and strides (`ld…`) are bytes. */
export const enum Step {
  /** Sequences, slots, floats of a slot, shifts of a head (odd). */
  B,
  N,
  W,
  C,
  /** [B,P] what the controller says: for the read and the write head key [W], β̂, ĝ, γ̂, ŝ [C]; then erase [W] and add [W]. */
  raw,
  ldraw,
  /** The memory before and after [N,B,W]. */
  m0,
  m1,
  ldm,
  /** Weights of the read and of the write head before [B,N], and after. */
  r0,
  w0,
  r1,
  w1,
  ldw,
  /** What is read [B,W]. */
  y,
  ldy,
  /** [B,…] what the backward pass reads, `keptBytes` for each sequence. */
  kept,
  /** Gradients, accumulated: of all of the above. m1, r1, w1 and y go in; they are changed. 0 where none is wanted. */
  draw,
  dm0,
  dm1,
  dr0,
  dw0,
  dr1,
  dw1,
  dy,
  /** `scratchBytes` of the backward pass. */
  scratch,
  fields,
}
