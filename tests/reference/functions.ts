/** Functions of rows [T·B,F]. */
import { type Rows, select, type Tape } from 'gatewise';
import type { Graph, Matrix } from './autodiff.js';
import { type Sequences, stepsOf } from './pool.js';

type Over = 'features' | 'time';

/** y where a step is one of its sequence, 0 elsewhere. */
export function live(g: Graph, y: Matrix, { B, lengths }: Sequences): Matrix {
  return g.choose((r) => !lengths || Math.floor(r / B) < lengths[r % B], y, g.zeros(y.rows, y.columns));
}

export const absolute = (g: Graph, x: Matrix) => g.map(x, Math.abs, (v) => Math.sign(v));

/** √(a² + b²) */
export function magnitude(g: Graph, a: Matrix, b: Matrix): Matrix {
  return g.sqrt(g.add(g.mul(a, a), g.mul(b, b)));
}

/** The complementary error function: a Taylor series near 0, a continued fraction beyond. */
function erfc(x: number): number {
  if (x < 0) return 2 - erfc(-x);
  if (x < 2) {
    let [term, total] = [x, x];
    for (let n = 1; n < 60; n++) {
      term *= (-x * x) / n;
      total += term / (2 * n + 1);
    }
    return 1 - (2 / Math.sqrt(Math.PI)) * total;
  }
  let fraction = 0;
  for (let k = 200; k > 0; k--) fraction = k / 2 / (x + fraction);
  return Math.exp(-x * x) / (Math.sqrt(Math.PI) * (x + fraction));
}

const distribution = (x: number) => erfc(-x / Math.SQRT2) / 2;
const density = (x: number) => Math.exp((-x * x) / 2) / Math.sqrt(2 * Math.PI);

/** x·Φ(x) */
export function gelu(g: Graph, x: Matrix): Matrix {
  return g.mul(x, g.map(x, distribution, density));
}

export function mask(g: Graph, x: Matrix, kept: (i: number) => boolean, value: number): Matrix {
  const other = g.matrix(1, 1, [value]);
  const both = g.stack([g.pick(x, x.data.length, 1, (i) => i), other]);
  return g.pick(both, x.rows, x.columns, (r, f) => {
    const i = r * x.columns + f;
    return kept(i) ? i : x.data.length;
  });
}

/** The steps of each sequence [L,F], or nothing of what is past its end. */
function sequences(g: Graph, x: Matrix, s: Sequences): Matrix[] {
  return Array.from({ length: s.B }, (_, b) =>
    g.pick(x, stepsOf(s, b), x.columns, (t, f) => (t * s.B + b) * x.columns + f),
  );
}

export function logSoftmax(g: Graph, x: Matrix, s: Sequences, over: Over): Matrix {
  const rows = (m: Matrix) =>
    g.sub(
      m,
      g.pick(g.logSumExp(m), m.rows, m.columns, (r) => r),
    );
  if (over === 'features') return rows(x);
  const columns = sequences(g, x, s).map((m) => g.transpose(rows(g.transpose(m))));
  const all = g.stack(columns);
  let first = 0;
  const starts = columns.map(({ rows: n }) => {
    first += n;
    return first - n;
  });
  return g.pick(all, x.rows, x.columns, (r, f) => {
    const [t, b] = [Math.floor(r / s.B), r % s.B];
    return t < stepsOf(s, b) ? (starts[b] + t) * x.columns + f : -1;
  });
}

export function sum(g: Graph, x: Matrix, s: Sequences, over: Over): Matrix {
  if (over === 'features') return g.sumRows(x);
  return g.stack(sequences(g, x, s).map((m) => g.transpose(g.sumRows(g.transpose(m)))));
}

export function mean(g: Graph, x: Matrix, s: Sequences, over: Over): Matrix {
  if (over === 'features') return g.scale(g.sumRows(x), 1 / x.columns);
  return g.stack(
    sequences(g, x, s).map((m) => g.scale(g.transpose(g.sumRows(g.transpose(m))), 1 / Math.max(m.rows, 1))),
  );
}

/** The steps of each sequence of the first part, then those of the next. */
export function concatTime(g: Graph, parts: readonly (readonly [Matrix, Sequences])[]): Matrix {
  const [[first, { B }]] = parts;
  const F = first.columns;
  const all = g.stack(parts.map(([m]) => m));
  const T = parts.reduce((n, [, s]) => n + s.T, 0);
  return g.pick(all, T * B, F, (r, f) => {
    let [t, b, at] = [Math.floor(r / B), r % B, 0];
    for (const [, s] of parts) {
      if (t < stepsOf(s, b)) return (at + t * B + b) * F + f;
      t -= stepsOf(s, b);
      at += s.T * B;
    }
    return -1;
  });
}

/** The first or the second half of the features. */
export function half(tape: Tape, x: Rows, which: 0 | 1): Rows {
  const n = x.F / 2;
  return select(
    tape,
    x,
    Array.from({ length: n }, (_, f) => which * n + f),
  );
}
