/**
 * The products of a layer with rows of which few are distinct, such as the embeddings of characters: each is multiplied once.
 *
 *     z_r = x_i(r) Wxᵀ + b                             S_u = Σ dz_r over r with i(r) = u
 *                                                      dWx += Sᵀ x        dx += S Wx
 *
 * Forward, the same bits as row by row; backward, the same sums in another order.
 */
import { PANEL, Seq } from '../../assembly/layout.js';
import type { Distinct, Rows, Tape } from '../tape.js';
import { type Call, type Direction, LINE } from './direction.js';

/**
 * The tokens that occur, where each does twice or more on average.
 *
 * @param tokens negative: none
 * @param look the rows of U tokens at an address
 */
export function distinctTokens(
  tape: Tape,
  tokens: Int32Array,
  look: (at: number, U: number) => Rows,
): Distinct | undefined {
  const { runtime } = tape;
  const places = new Map<number, number>();
  for (const token of tokens) if (token >= 0 && !places.has(token)) places.set(token, places.size);
  if (places.size === 0 || 2 * places.size > tokens.length) return undefined;
  const found = [...places.keys()];
  const index = tokens.map((token) => places.get(token) ?? -1);
  const write = (values: ArrayLike<number>) => {
    const at = runtime.take(4 * values.length);
    runtime.writeInts(at, values);
    return at;
  };
  return { rows: look(write(found), found.length), index: write(index) };
}

/** z, in place of the product that the core would make. */
export function distinctForward(layer: Direction, tape: Tape, { s, z, T, B }: Call, { rows, index }: Distinct): void {
  const { runtime } = tape;
  const { core } = runtime;
  const { I, ldz, xPanels } = layer;
  const f = s >>> 2;
  const [wx, bias] = [runtime.i32[f + Seq.wx], runtime.i32[f + Seq.bias]];
  const U = rows.T;
  const table = runtime.takeZeroed(U * ldz);
  const given = xPanels * LINE;
  core.gemm(table, ldz, bias, 0, rows.at, rows.ld, wx, I * LINE, U, xPanels, I);
  if (ldz > given) core.rowsAdd(table + given, ldz, bias + given, 0, U, (ldz - given) / 4);
  core.embeddingForward(z, ldz, table, index, T * B, ldz / 4);
  runtime.i32[f + Seq.x] = 0;
}

/**
 * dx of the distinct rows, accumulated.
 *
 * @param wxT the packed transpose of Wx
 * @returns S, rows as those of z
 */
export function distinctBackward(layer: Direction, tape: Tape, { z, T, B }: Call, d: Distinct, wxT: number): number {
  const { runtime } = tape;
  const { core } = runtime;
  const { I, ldz, xPanels } = layer;
  const { rows, index } = d;
  const U = rows.T;
  const sums = runtime.takeZeroed(U * ldz);
  core.embeddingBackward(sums, z, ldz, index, T * B, ldz / 4, -1);
  const K = xPanels * PANEL;
  core.gemm(rows.grad, rows.ld, rows.grad, rows.ld, sums, ldz, wxT, K * LINE, U, Math.ceil(I / PANEL), K);
  return sums;
}
