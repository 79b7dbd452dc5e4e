/** A step of one sequence as calls that the core can repeat by itself. */
import { align } from '../core/runtime.js';
import type { Tape } from '../tape.js';
import { enter, leave, type Recurrent, type State } from './recurrent.js';

/**
 * The calls of one step of one sequence without a way back: each layer reads what the one below puts out. The states are entered;
 * `finish` takes them out again.
 *
 * @param x address of the input, I floats
 */
export function stepCalls(
  tape: Tape,
  { directions, inputSize }: Recurrent,
  x: number,
  state: State,
): { calls: number[]; finish: () => void } {
  let rows = { at: x, ld: align(4 * inputSize), T: 1, B: 1, lengths: undefined };
  const ends: (() => void)[] = [];
  const calls = directions.map((layer, l) => {
    const call = layer.call(tape, rows, false, false, false);
    enter(tape, call.h0, layer.ldh, layer.P, 1, state.h[l]);
    if (call.c0) enter(tape, call.c0, layer.ldc, layer.H, 1, state.c[l]);
    ends.push(() => {
      leave(tape, state.h[l], { at: call.h0, ld: layer.ldh, B: 1, F: layer.P });
      if (call.c0) leave(tape, state.c[l], { at: call.c0, ld: layer.ldc, B: 1, F: layer.H });
    });
    rows = { ...rows, at: call.hT, ld: layer.ldh };
    return call.s;
  });
  return {
    calls,
    finish: () => {
      for (const end of ends) end();
    },
  };
}
