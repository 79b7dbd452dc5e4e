/** Runs layers forward and backward with given upstream gradients, and reads what went in and came out. */

import { type Builder, dotLoss, gradientOf, input, type Loss, Model, type Rows, read, type Tape } from 'gatewise';
import type { Runtime } from '#dist/bindings/core/runtime.js';

export type Numbers = Record<string, ArrayLike<number>>;

/** A loss whose gradient with respect to the outputs is `upstream`: Σ outputs·upstream. */
export function project(tape: Tape, outputs: Record<string, Rows>, upstream: Numbers): Loss {
  const losses = Object.entries(outputs)
    .filter(([name]) => upstream[name])
    .map(([name, rows]) => dotLoss(tape, rows, upstream[name]));
  return {
    value: losses.reduce((sum, { value }) => sum + value, 0),
    addGradient: (scale) => {
      for (const loss of losses) loss.addGradient(scale);
    },
  };
}

/** Values on the tape, NaN and infinite ones among them, which `input` refuses. */
export function anyInput(tape: Tape, values: ArrayLike<number>, ...rest: Rest): Rows {
  const rows = input(
    tape,
    Float32Array.from(values, (v) => (Number.isFinite(v) ? v : 0)),
    ...rest,
  );
  const { at, ld, T, B, F } = rows;
  for (let i = 0; i < T * B * F; i++) {
    if (!Number.isFinite(values[i])) tape.runtime.write(at + Math.floor(i / F) * ld + 4 * (i % F), [values[i]]);
  }
  return rows;
}

type Rest = Parameters<typeof input> extends [unknown, unknown, ...infer R] ? R : never;

/** Parameters of a model, infinite ones among them, which `set` refuses. */
export function setAny(model: Model<unknown>, parameters: Numbers): void {
  for (const [name, values] of Object.entries(parameters)) model.runtime.write(model.parameter(name).at, values);
  model.changed();
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
  let outputs: Numbers = {};
  let inputs: Record<string, ReturnType<typeof gradientOf>> = {};
  model.valueAndGrad((tape, l) => {
    const result = work(tape, l);
    const each = <T>(rows: Record<string, Rows>, of: (rows: Rows) => T) =>
      Object.fromEntries(Object.entries(rows).map(([name, r]) => [name, of(r)]));
    inputs = each(result.inputs, (rows) => gradientOf(tape, rows));
    outputs = each(result.outputs, (rows) => read(tape, rows));
    return project(tape, result.outputs, upstream);
  });
  const gradients: Numbers = {};
  for (const [name, { values }] of Object.entries(inputs)) gradients[name] = values ?? [];
  for (const { name } of model.parameters) gradients[name] = model.gradient(name);
  model.dispose();
  return { outputs, gradients };
}
