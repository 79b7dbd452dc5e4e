/** The cells: one line each way. A step and its backward pass take the same arguments in every cell. */
import { Cell } from '../layout';
import { lstmStep, lstmStepBackward } from './lstm';

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
    case Cell.lstm:
      return lstmStep(s, rows, z, u, h0, h1, c0, c1, e);
  }
}

export function stepBackward(
  cell: i32,
  s: usize,
  rows: i32,
  z: usize,
  h0: usize,
  c0: usize,
  e: usize,
  dy: usize,
  dh: usize,
  du: usize,
  dc: usize,
): void {
  switch (cell) {
    case Cell.lstm:
      return lstmStepBackward(s, rows, z, h0, c0, e, dy, dh, du, dc);
  }
}
