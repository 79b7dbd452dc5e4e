/** Two chaotic series, by additions, multiplications and divisions alone: the same numbers as those of tests/golden/reservoirs.py. */

/** dx/dt = 0.2 x(t-17) / (1 + x(t-17)¹⁰) - 0.1 x, Euler steps of 0.1, one of ten is kept. */
export function mackeyGlass(n: number): number[][] {
  const x = new Array<number>(171).fill(1.2);
  const out: number[][] = [];
  for (let k = 0; k < (n + 200) * 10; k++) {
    const p = x[x.length - 171];
    let q = p * p;
    q = q * q;
    q = q * q * p * p;
    const last = x[x.length - 1];
    x.push(last + 0.1 * ((0.2 * p) / (1 + q) - 0.1 * last));
    if (k % 10 === 9) out.push([x[x.length - 1]]);
  }
  return out.slice(200);
}

/** Lorenz' system with 10, 28, 8/3, Runge-Kutta steps of 0.005, one of four is kept. */
export function lorenz(n: number): number[][] {
  const h = 0.005;
  let s = [1, 1, 1];
  const out: number[][] = [];
  const slope = ([x, y, z]: number[]) => [10 * (y - x), x * (28 - z) - y, x * y - (8 / 3) * z];
  const moved = (by: number, d: number[]) => s.map((v, i) => v + by * d[i]);
  for (let k = 0; k < (n + 500) * 4; k++) {
    const a = slope(s);
    const b = slope(moved(h / 2, a));
    const c = slope(moved(h / 2, b));
    const d = slope(moved(h, c));
    s = s.map((v, i) => v + (h / 6) * (a[i] + 2 * b[i] + 2 * c[i] + d[i]));
    if (k % 4 === 3) out.push(s);
  }
  return out.slice(500);
}

/** Each feature minus its mean and divided by its deviation over the first `train` steps. */
export function standardised(series: readonly (readonly number[])[], train: number): number[][] {
  const F = series[0].length;
  const stats = Array.from({ length: F }, (_, f) => {
    const values = series.slice(0, train).map((row) => row[f]);
    const mean = values.reduce((a, v) => a + v, 0) / train;
    return { mean, deviation: Math.sqrt(values.reduce((a, v) => a + (v - mean) ** 2, 0) / train) };
  });
  return series.map((row) => row.map((v, f) => (v - stats[f].mean) / stats[f].deviation));
}

/** √(mean squared error / variance of what was wanted). */
export function normalizedError(got: ArrayLike<number>, want: readonly (readonly number[])[]): number {
  const F = want[0].length;
  let [error, variance] = [0, 0];
  for (let f = 0; f < F; f++) {
    const mean = want.reduce((a, row) => a + row[f], 0) / want.length;
    want.forEach((row, t) => {
      error += (got[t * F + f] - row[f]) ** 2;
      variance += (row[f] - mean) ** 2;
    });
  }
  return Math.sqrt(error / variance);
}
