/** Runs layers forward and back with given upstream gradients, and reads out what went in and came out. */

import { type Builder, Model, type Rows, type Tape } from 'gatewise';
import type { Runtime } from '#dist/bindings/core/runtime.js';

export type Numbers = Record<string, ArrayLike<number>>;

/** The numbers of rows, or those of their gradient, packed. */
export function packed(
  tape: Tape,
  { at, grad, ld, T, B, F }: Rows,
  of: 'values' | 'gradient' = 'values',
): Float32Array {
  const from = of === 'values' ? at : grad;
  const out = new Float32Array(T * B * F);
  for (let r = 0; r < T * B; r++) out.set(tape.runtime.read(from + r * ld, F), r * F);
  return out;
}

/** A loss whose gradient is `upstream`: Σ rows·upstream. */
export function project(tape: Tape, outputs: Record<string, Rows>, upstream: Numbers) {
  return {
    value: 0,
    addGradient: () => {
      for (const [name, { grad, ld, T, B, F }] of Object.entries(outputs)) {
        const u = upstream[name];
        if (!u) continue;
        const { f32 } = tape.runtime;
        for (let r = 0; r < T * B; r++) for (let f = 0; f < F; f++) f32[((grad + r * ld) >>> 2) + f] += u[r * F + f];
      }
    },
  };
}

/** Outputs of `work` and, for Σ outputs·upstream, gradients of its inputs and of all parameters. */
export function runLayers<L>(
  runtime: Runtime,
  layers: (b: Builder) => L,
  parameters: Numbers,
  upstream: Numbers,
  work: (tape: Tape, layers: L) => { inputs: Record<string, Rows>; outputs: Record<string, Rows> },
): { outputs: Numbers; gradients: Numbers } {
  const model = new Model(runtime, 0, layers);
  for (const [name, v] of Object.entries(parameters)) model.set(name, v);
  const outputs: Numbers = {};
  const gradients: Numbers = {};
  model.valueAndGrad((tape, l) => {
    let inputs: Record<string, Rows> = {};
    // recorded first, so it runs last: when all gradients have come down
    tape.record(() => {
      for (const [name, rows] of Object.entries(inputs)) gradients[name] = packed(tape, rows, 'gradient');
    });
    const result = work(tape, l);
    inputs = result.inputs;
    for (const [name, rows] of Object.entries(result.outputs)) outputs[name] = packed(tape, rows);
    return project(tape, result.outputs, upstream);
  });
  for (const { name } of model.parameters) gradients[name] = model.gradient(name);
  model.dispose();
  return { outputs, gradients };
}
