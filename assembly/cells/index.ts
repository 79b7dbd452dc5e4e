/**
 * The cells: one line for the step, one for its backward pass. A step finds the net input in z, products included, and leaves there
 * what its backward pass needs, which leaves there the gradient of the net input. What else cells share is in `recurrent.ts`.
 */
import { gruStep, gruStepBackward } from './gru';
import { Cell } from './layout';
import { lruFinish, lruOutput, lruOutputBackward, lruStep, lruStepBackward } from './lru';
import { lstmStep, lstmStepBackward } from './lstm';
import { mingruStep, mingruStepBackward } from './mingru';
import { minlstmStep, minlstmStepBackward } from './minlstm';
import { residualStep, residualStepBackward } from './residual';
import { rnnStep, rnnStepBackward } from './rnn';

/**
 *     z        [rows, …]  in/out
 *     u        [rows, P]  h₀, or h₀ under a dropout mask: what the product with the weights took
 *     h₀, c₀   [rows, P], [rows, H]
 *     h₁, c₁   overwritten; c₁ may be c₀
 *     e        [rows, …]  what else the cell keeps
 */
export function step(
  cell: i32,
  s: usize,
  rows: i32,
  z: usize,
  u: usize,
  h0: usize,
  h1: usize,
  c0: usize,
  c1: usize,
  e: usize,
): void {
  switch (cell) {
    case Cell.rnn:
      return rnnStep(s, rows, z, h1);
    case Cell.lstm:
      return lstmStep(s, rows, z, h1, c0, c1, e);
    case Cell.gru:
      return gruStep(s, rows, z, u, h0, h1, e);
    case Cell.residual:
      return residualStep(s, rows, z, h0, h1);
    case Cell.mingru:
      return mingruStep(s, rows, z, h0, h1);
    case Cell.minlstm:
      return minlstmStep(s, rows, z, h0, h1);
    case Cell.lru:
      return lruStep(s, rows, z, c0, c1);
  }
}

/**
 *     z   [rows, …]  in: what the step left; out: the gradient of the net input
 *     dy  [rows, P]  gradient of h₁ as output, or 0
 *     dh  [rows, P]  in: gradient of h₁ from later steps; out: of h₀, as far as it does not go through u
 *     du  [rows, P]  gradient of u, accumulated; may be dh. The caller adds what goes through the product
 *     dc  [rows, H]  in: gradient of c₁; out: of c₀
 */
export function stepBackward(
  cell: i32,
  s: usize,
  rows: i32,
  z: usize,
  u: usize,
  h0: usize,
  c0: usize,
  e: usize,
  dy: usize,
  dh: usize,
  du: usize,
  dc: usize,
): void {
  switch (cell) {
    case Cell.rnn:
      return rnnStepBackward(s, rows, z, dy, dh);
    case Cell.lstm:
      return lstmStepBackward(s, rows, z, c0, e, dy, dh, dc);
    case Cell.gru:
      return gruStepBackward(s, rows, z, u, h0, e, dy, dh, du);
    case Cell.residual:
      return residualStepBackward(s, rows, z, dy, dh);
    case Cell.mingru:
      return mingruStepBackward(s, rows, z, h0, dy, dh);
    case Cell.minlstm:
      return minlstmStepBackward(s, rows, z, h0, dy, dh);
    case Cell.lru:
      return lruStepBackward(s, rows, z, c0, e, dc);
  }
}

/**
 * Whether the outputs of a cell are a map of its state c that does not enter the next step. Then they are made for many steps at once:
 * `output` after their states, `outputBackward` before the states' own gradients, `finish` after all of these.
 */
export function hasOutput(cell: i32): bool {
  return cell === Cell.lru;
}
export { lruFinish as finish, lruOutput as output, lruOutputBackward as outputBackward };
