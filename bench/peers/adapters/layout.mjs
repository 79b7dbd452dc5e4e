/** What other libraries want laid out otherwise: weights as [I,G·H] with gates in their own order and one bias, batches first. */

/** xᵀ of x [M,N]. */
export function transposed(x, M, N) {
  const y = new x.constructor(x.length);
  for (let m = 0; m < M; m++) for (let n = 0; n < N; n++) y[n * M + m] = x[m * N + n];
  return y;
}

/** [T,B,F] as [B,T,F]; the other way round with T and B exchanged. */
export function swapped(x, T, B, F) {
  const y = new x.constructor(x.length);
  for (let t = 0; t < T; t++) {
    for (let b = 0; b < B; b++) y.set(x.subarray((t * B + b) * F, (t * B + b + 1) * F), (b * T + t) * F);
  }
  return y;
}

/** Gates of `x`, rows as [G,…], in another order: `order[i]` is where the i-th one comes from. */
export function ordered(x, order) {
  const size = x.length / order.length;
  const y = new x.constructor(x.length);
  order.forEach((from, to) => {
    y.set(x.subarray(from * size, (from + 1) * size), to * size);
  });
  return y;
}

export function sum(a, b) {
  return a.map((v, i) => v + b[i]);
}
