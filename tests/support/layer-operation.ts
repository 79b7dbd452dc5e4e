/** Operations of layers: rows go in, rows come out. */
import { type Builder, input, type Rows, type Tape } from 'gatewise';
import type { Graph, Matrix } from '../reference/autodiff.js';
import { random, uniform } from './numbers.js';
import { type Numbers, type Operation, run } from './operation.js';

export interface RowsShape {
  readonly T: number;
  readonly B: number;
  readonly F: number;
  /** Values past the end are NaN, in the input and in its rows. */
  readonly lengths?: readonly number[] | undefined;
  /** Values are uniform in ± this, default 1. */
  readonly scale?: number | undefined;
}

export interface LayerOperation<L> {
  readonly title: string;
  readonly rows: Record<string, RowsShape>;
  /** Parameters and their shapes. */
  readonly parameters?: Record<string, readonly [number, number]>;
  /** Rows and columns of each output. */
  readonly outputs: Record<string, readonly [number, number]>;
  layers?(b: Builder): L;
  forward(tape: Tape, rows: Record<string, Rows>, layers: L): Record<string, Rows>;
  reference(graph: Graph, matrices: Record<string, Matrix>): Record<string, Matrix>;
}

/** Overwrites the padding. */
export function poison(tape: Tape, { at, ld, T, B, lengths }: Rows): void {
  for (let r = 0; lengths && r < T * B; r++) {
    if (Math.floor(r / B) < lengths.values[r % B]) continue;
    tape.runtime.f32.fill(Number.NaN, (at + r * ld) >>> 2, (at + (r + 1) * ld) >>> 2);
  }
}

/** Numbers [T,B,F] of a shape, NaN after the ends. */
export function draw(next: () => number, { T, B, F, lengths, scale = 1 }: RowsShape): Float32Array {
  return uniform(next, T * B * F, scale).map((v, i) => {
    const r = Math.floor(i / F);
    return lengths && Math.floor(r / B) >= lengths[r % B] ? Number.NaN : v;
  });
}

export function layerOperation<L = null>(seed: number, op: LayerOperation<L>): Operation {
  const next = random(seed);
  const shapes: Record<string, readonly [number, number]> = { ...op.parameters };
  const inputs: Numbers = {};
  const parameters: Numbers = {};
  for (const [name, shape] of Object.entries(op.rows)) {
    inputs[name] = draw(next, shape);
    shapes[name] = [shape.T * shape.B, shape.F];
  }
  for (const [name, [rows, columns]] of Object.entries(op.parameters ?? {})) {
    inputs[name] = parameters[name] = uniform(next, rows * columns);
  }
  const upstream = Object.fromEntries(Object.entries(op.outputs).map(([name, [R, F]]) => [name, uniform(next, R * F)]));
  return {
    title: op.title,
    inputs,
    upstream,
    shapes,
    reference: (g, m) => {
      const known = Object.entries(op.rows).map(([name, { B, F, lengths }]) => {
        const live = (r: number) => !lengths || Math.floor(r / B) < lengths[r % B];
        return [name, lengths ? g.choose(live, m[name], g.zeros(m[name].rows, F)) : m[name]];
      });
      return op.reference(g, { ...m, ...Object.fromEntries(known) });
    },
    kernel: (build) =>
      run(
        build,
        (b) => op.layers?.(b) as L,
        parameters,
        upstream,
        (tape, layers) => {
          const rows = Object.fromEntries(
            Object.entries(op.rows).map(([name, { scale: _, ...shape }]) => {
              const x = input(tape, inputs[name], shape, { gradient: true });
              poison(tape, x);
              return [name, x];
            }),
          );
          return { inputs: rows, outputs: op.forward(tape, rows, layers) };
        },
      ),
  };
}
