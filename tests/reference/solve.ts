/** ‖XW - Y‖² + λ‖W‖² in double precision, and the W that minimises it, by elimination with pivots. */

/** The λ of each feature. */
export type Penalties = readonly number[];

/** x [R,N], y [R,M], w [N,M] */
export function objective(x: Float64Array, y: Float64Array, w: Float64Array, penalties: Penalties): number {
  const N = penalties.length;
  const R = x.length / N;
  const M = y.length / R;
  let sum = 0;
  for (let r = 0; r < R; r++) {
    for (let m = 0; m < M; m++) {
      let e = -y[r * M + m];
      for (let n = 0; n < N; n++) e += x[r * N + n] * w[n * M + m];
      sum += e * e;
    }
  }
  penalties.forEach((lambda, n) => {
    for (let m = 0; m < M; m++) sum += lambda * w[n * M + m] ** 2;
  });
  return sum;
}

/** The W [N,M] with (XᵀX + Λ) W = XᵀY. */
export function leastSquares(x: Float64Array, y: Float64Array, penalties: Penalties): Float64Array {
  const N = penalties.length;
  const R = x.length / N;
  const M = y.length / R;
  const rows = penalties.map((lambda, i) =>
    Float64Array.from({ length: N + M }, (_, j) => {
      let sum = i === j ? lambda : 0;
      for (let r = 0; r < R; r++) sum += x[r * N + i] * (j < N ? x[r * N + j] : y[r * M + j - N]);
      return sum;
    }),
  );
  for (let i = 0; i < N; i++) {
    let best = i;
    for (let k = i + 1; k < N; k++) if (Math.abs(rows[k][i]) > Math.abs(rows[best][i])) best = k;
    [rows[i], rows[best]] = [rows[best], rows[i]];
    for (let k = 0; k < N; k++) {
      if (k === i) continue;
      const factor = rows[k][i] / rows[i][i];
      for (let j = i; j < N + M; j++) rows[k][j] -= factor * rows[i][j];
    }
  }
  return Float64Array.from({ length: N * M }, (_, at) => {
    const i = Math.floor(at / M);
    return rows[i][N + (at % M)] / rows[i][i];
  });
}
