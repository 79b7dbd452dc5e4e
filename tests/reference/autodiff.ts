/**
 * What the references are written in: matrices in double precision that remember how they were made. A reference is then no more
 * than its formula; its gradient is the chain rule's, and is itself checked against central differences.
 *
 * Every single operation goes through `round`. With the identity the result is the reference; with Math.fround it is what careful
 * single precision would give, whose error says how much a kernel may have.
 */
export type Round = (x: number) => number;

export const exact: Round = (x) => x;
export const single: Round = Math.fround;

/** A matrix [rows, columns] and the gradient of the loss with respect to it. */
export class Matrix {
  readonly grad: Float64Array;
  constructor(
    readonly rows: number,
    readonly columns: number,
    readonly data: Float64Array = new Float64Array(rows * columns),
  ) {
    if (data.length !== rows * columns) throw new Error(`[${rows}, ${columns}] is not ${data.length} numbers`);
    this.grad = new Float64Array(data.length);
  }
}

/** A function of matrices: records what it does, and goes back. */
export class Graph {
  readonly #back: (() => void)[] = [];
  constructor(readonly round: Round) {}

  matrix(rows: number, columns: number, values: ArrayLike<number>): Matrix {
    return new Matrix(rows, columns, Float64Array.from(values));
  }

  zeros(rows: number, columns: number): Matrix {
    return new Matrix(rows, columns);
  }

  /** Gradients of Σ output·upstream. */
  backward(outputs: readonly (readonly [Matrix, ArrayLike<number>])[]): void {
    for (const [output, upstream] of outputs) {
      for (let i = 0; i < output.grad.length; i++) output.grad[i] += upstream[i];
    }
    for (const step of this.#back.reverse()) step();
    this.#back.length = 0;
  }

  /** a Bᵀ. */
  product(a: Matrix, b: Matrix): Matrix {
    const { round: r } = this;
    const [M, K, N] = [a.rows, a.columns, b.rows];
    if (b.columns !== K) throw new Error(`[${M}, ${K}] times the transpose of [${N}, ${b.columns}]`);
    const c = new Matrix(M, N);
    for (let m = 0; m < M; m++) {
      for (let n = 0; n < N; n++) {
        let sum = 0;
        for (let k = 0; k < K; k++) sum = r(sum + r(a.data[m * K + k] * b.data[n * K + k]));
        c.data[m * N + n] = sum;
      }
    }
    this.#back.push(() => {
      for (let m = 0; m < M; m++) {
        for (let n = 0; n < N; n++) {
          const d = c.grad[m * N + n];
          if (d === 0) continue;
          for (let k = 0; k < K; k++) {
            a.grad[m * K + k] = r(a.grad[m * K + k] + r(d * b.data[n * K + k]));
            b.grad[n * K + k] = r(b.grad[n * K + k] + r(d * a.data[m * K + k]));
          }
        }
      }
    });
    return c;
  }

  /** Element by element; b may be one row, or one number, for all of a. */
  #pair(
    a: Matrix,
    b: Matrix,
    f: (x: number, y: number) => number,
    dx: (x: number, y: number) => number,
    dy: (x: number, y: number) => number,
  ): Matrix {
    const { round: r } = this;
    const at = (i: number) => (b.data.length === a.data.length ? i : b.columns === a.columns ? i % a.columns : 0);
    if (b.data.length !== a.data.length && b.rows !== 1) throw new Error('shapes differ');
    const c = new Matrix(a.rows, a.columns);
    for (let i = 0; i < c.data.length; i++) c.data[i] = r(f(a.data[i], b.data[at(i)]));
    this.#back.push(() => {
      for (let i = 0; i < c.data.length; i++) {
        const [x, y, d] = [a.data[i], b.data[at(i)], c.grad[i]];
        if (d === 0) continue;
        a.grad[i] = r(a.grad[i] + r(d * dx(x, y)));
        b.grad[at(i)] = r(b.grad[at(i)] + r(d * dy(x, y)));
      }
    });
    return c;
  }

  add = (a: Matrix, b: Matrix) =>
    this.#pair(
      a,
      b,
      (x, y) => x + y,
      () => 1,
      () => 1,
    );
  sub = (a: Matrix, b: Matrix) =>
    this.#pair(
      a,
      b,
      (x, y) => x - y,
      () => 1,
      () => -1,
    );
  mul = (a: Matrix, b: Matrix) =>
    this.#pair(
      a,
      b,
      (x, y) => x * y,
      (_, y) => y,
      (x) => x,
    );
  div = (a: Matrix, b: Matrix) =>
    this.#pair(
      a,
      b,
      (x, y) => x / y,
      (_, y) => 1 / y,
      (x, y) => -x / (y * y),
    );

  /** Element by element, d the derivative from x and f(x). */
  map(a: Matrix, f: (x: number) => number, d: (x: number, y: number) => number): Matrix {
    const { round: r } = this;
    const c = new Matrix(
      a.rows,
      a.columns,
      a.data.map((x) => r(f(x))),
    );
    this.#back.push(() => {
      for (let i = 0; i < c.data.length; i++) {
        const slope = r(d(a.data[i], c.data[i]));
        a.grad[i] = r(a.grad[i] + r(c.grad[i] * slope));
      }
    });
    return c;
  }

  sigmoid = (a: Matrix) =>
    this.map(
      a,
      (x) => 1 / (1 + Math.exp(-x)),
      (_, y) => this.round(y * this.round(1 - y)),
    );
  tanh = (a: Matrix) => this.map(a, Math.tanh, (_, y) => this.round(1 - this.round(y * y)));
  relu = (a: Matrix) =>
    this.map(
      a,
      (x) => Math.max(x, 0),
      (x) => (x > 0 ? 1 : 0),
    );
  exp = (a: Matrix) => this.map(a, Math.exp, (_, y) => y);
  log = (a: Matrix) => this.map(a, Math.log, (x) => 1 / x);
  sqrt = (a: Matrix) => this.map(a, Math.sqrt, (_, y) => 0.5 / y);
  scale = (a: Matrix, factor: number) =>
    this.map(
      a,
      (x) => x * factor,
      () => factor,
    );
  shift = (a: Matrix, offset: number) =>
    this.map(
      a,
      (x) => x + offset,
      () => 1,
    );
  clamp = (a: Matrix, limit: number) =>
    this.map(
      a,
      (x) => Math.min(Math.max(x, -limit), limit),
      (x) => (Math.abs(x) < limit ? 1 : 0),
    );

  /** New matrix whose element i is element from(i) of a, or 0 where that is negative. */
  pick(a: Matrix, rows: number, columns: number, from: (row: number, column: number) => number): Matrix {
    const { round: r } = this;
    const c = new Matrix(rows, columns);
    const source = Int32Array.from(c.data, (_, i) => from(Math.floor(i / columns), i % columns));
    source.forEach((j, i) => {
      c.data[i] = j < 0 ? 0 : a.data[j];
    });
    this.#back.push(() => {
      source.forEach((j, i) => {
        if (j >= 0) a.grad[j] = r(a.grad[j] + c.grad[i]);
      });
    });
    return c;
  }

  rows = (a: Matrix, from: number, to: number) =>
    this.pick(a, to - from, a.columns, (i, j) => (from + i) * a.columns + j);
  columns = (a: Matrix, from: number, to: number) =>
    this.pick(a, a.rows, to - from, (i, j) => i * a.columns + from + j);
  gather = (a: Matrix, ids: ArrayLike<number>) => this.pick(a, ids.length, a.columns, (i, j) => ids[i] * a.columns + j);
  transpose = (a: Matrix) => this.pick(a, a.columns, a.rows, (i, j) => j * a.columns + i);

  /** One under the other. */
  stack(parts: readonly Matrix[]): Matrix {
    const columns = parts[0].columns;
    const c = new Matrix(
      parts.reduce((n, p) => n + p.rows, 0),
      columns,
    );
    let at = 0;
    const offsets = parts.map((p) => {
      c.data.set(p.data, at);
      at += p.data.length;
      return at - p.data.length;
    });
    this.#back.push(() => {
      parts.forEach((p, k) => {
        for (let i = 0; i < p.grad.length; i++) p.grad[i] += c.grad[offsets[k] + i];
      });
    });
    return c;
  }

  /** Side by side. */
  beside = (a: Matrix, b: Matrix) => this.transpose(this.stack([this.transpose(a), this.transpose(b)]));

  /** Row by row: [rows, 1]. */
  sumRows = (a: Matrix) => this.product(a, this.matrix(1, a.columns, new Float64Array(a.columns).fill(1)));

  /** All elements: [1, 1]. */
  sum(a: Matrix): Matrix {
    const flat = this.pick(a, 1, a.data.length, (_, j) => j);
    return this.sumRows(flat);
  }

  /** ln Σ e^x of each row: [rows, 1]. */
  logSumExp(a: Matrix): Matrix {
    const largest = this.matrix(
      a.rows,
      1,
      Float64Array.from({ length: a.rows }, (_, i) => Math.max(...a.data.subarray(i * a.columns, (i + 1) * a.columns))),
    );
    const spread = this.pick(largest, a.rows, a.columns, (i) => i);
    return this.add(this.log(this.sumRows(this.exp(this.sub(a, spread)))), largest);
  }

  /** a where the row counts, b elsewhere. */
  choose(counts: (row: number) => boolean, a: Matrix, b: Matrix): Matrix {
    const both = this.stack([a, b]);
    const { columns, data } = a;
    return this.pick(both, a.rows, columns, (i, j) => (counts(i) ? 0 : data.length) + i * columns + j);
  }
}
