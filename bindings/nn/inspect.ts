/** A look inside recurrent layers: gates and states, step by step. */
import type { Tape } from '../tape.js';
import type { Call, Direction } from './direction.js';
import { input, type Shape } from './input.js';
import type { Model } from './model.js';
import { leave, type Recurrent, type State } from './recurrent.js';

/** What went on inside a layer in one direction: gates by name, and states after each step, [T,B,H]. */
export interface Trace {
  readonly layer: number;
  readonly reverse: boolean;
  readonly gates: Record<string, Float32Array>;
  readonly h: Float32Array;
  readonly c: Float32Array | null;
}

/**
 * Runs layers of a model over a sequence, as at inference, and shows what went on.
 *
 * @param values [T,B,I]
 * @param state where to start; left alone
 * @returns one trace for each layer and direction
 */
export function inspect(
  model: Model<unknown>,
  recurrent: Recurrent,
  values: ArrayLike<number>,
  shape: Shape,
  state?: State,
): Trace[] {
  const { T, B, lengths } = shape;
  return model.forward((tape) => {
    const x = input(tape, values, { T, B, F: recurrent.inputSize, lengths });
    const { runs } = recurrent.run(tape, x, state?.clone(), true);
    return runs.map(({ layer, direction, call, reverse }) => {
      const { H, P, ldh, ldc } = direction;
      const copy = (at: number, ld: number, F: number) => {
        const out = new Float32Array(T * B * F);
        leave(tape, out, { at, ld, B: T * B, F });
        return out;
      };
      const cells = call.cT - (reverse ? 0 : (T - 1) * B * ldc);
      return {
        layer,
        reverse,
        gates: gatesOf(tape, direction, call),
        h: copy(call.outputs, ldh, P),
        c: call.cT ? copy(cells, ldc, H) : null,
      };
    });
  });
}

/** What the gates were, [T,B,H] each, by their names. */
function gatesOf(tape: Tape, direction: Direction, { z, T, B }: Call): Record<string, Float32Array> {
  const { f32 } = tape.runtime;
  const { H, ldz } = direction;
  const out: Record<string, Float32Array> = {};
  for (const { first, gates, x, z: column } of direction.parts) {
    // the part of the state in a candidate that is reset after its product is no gate of its own
    if (!x) continue;
    for (let g = 0; g < gates; g++) {
      const values = new Float32Array(T * B * H);
      for (let r = 0; r < T * B; r++) {
        for (let u = 0; u < H; u++) {
          const at = (Math.floor(u / 4) * gates + g) * 4 + (u % 4);
          values[r * H + u] = f32[((z + r * ldz + column) >>> 2) + at];
        }
      }
      out[direction.gates[first + g]] = values;
    }
  }
  return out;
}
