/**
 * Products as a careful programmer writes them in plain JavaScript: tiles of registers over rows whose floats lie side by side.
 */
export type Floats = Float32Array | Float64Array;
export type FloatsConstructor = Float32ArrayConstructor | Float64ArrayConstructor;

/** y [M,N] += a [M,K] · bᵀ [N,K]; `…At` and `ld…` count floats. */
export function product(
  y: Floats,
  yAt: number,
  ldy: number,
  a: Floats,
  aAt: number,
  lda: number,
  b: Floats,
  bAt: number,
  ldb: number,
  M: number,
  N: number,
  K: number,
): void {
  let m = 0;
  for (; m + 4 <= M; m += 4) {
    const a0 = aAt + m * lda;
    const a1 = a0 + lda;
    const a2 = a1 + lda;
    const a3 = a2 + lda;
    let n = 0;
    for (; n + 4 <= N; n += 4) {
      const b0 = bAt + n * ldb;
      const b1 = b0 + ldb;
      const b2 = b1 + ldb;
      const b3 = b2 + ldb;
      let c00 = 0;
      let c01 = 0;
      let c02 = 0;
      let c03 = 0;
      let c10 = 0;
      let c11 = 0;
      let c12 = 0;
      let c13 = 0;
      let c20 = 0;
      let c21 = 0;
      let c22 = 0;
      let c23 = 0;
      let c30 = 0;
      let c31 = 0;
      let c32 = 0;
      let c33 = 0;
      for (let k = 0; k < K; k++) {
        const x0 = a[a0 + k];
        const x1 = a[a1 + k];
        const x2 = a[a2 + k];
        const x3 = a[a3 + k];
        const w0 = b[b0 + k];
        const w1 = b[b1 + k];
        const w2 = b[b2 + k];
        const w3 = b[b3 + k];
        c00 += x0 * w0;
        c01 += x0 * w1;
        c02 += x0 * w2;
        c03 += x0 * w3;
        c10 += x1 * w0;
        c11 += x1 * w1;
        c12 += x1 * w2;
        c13 += x1 * w3;
        c20 += x2 * w0;
        c21 += x2 * w1;
        c22 += x2 * w2;
        c23 += x2 * w3;
        c30 += x3 * w0;
        c31 += x3 * w1;
        c32 += x3 * w2;
        c33 += x3 * w3;
      }
      let q = yAt + m * ldy + n;
      y[q] += c00;
      y[q + 1] += c01;
      y[q + 2] += c02;
      y[q + 3] += c03;
      q += ldy;
      y[q] += c10;
      y[q + 1] += c11;
      y[q + 2] += c12;
      y[q + 3] += c13;
      q += ldy;
      y[q] += c20;
      y[q + 1] += c21;
      y[q + 2] += c22;
      y[q + 3] += c23;
      q += ldy;
      y[q] += c30;
      y[q + 1] += c31;
      y[q + 2] += c32;
      y[q + 3] += c33;
    }
    for (; n < N; n++) {
      for (let i = 0; i < 4; i++) {
        const ai = aAt + (m + i) * lda;
        const bn = bAt + n * ldb;
        let sum = 0;
        for (let k = 0; k < K; k++) sum += a[ai + k] * b[bn + k];
        y[yAt + (m + i) * ldy + n] += sum;
      }
    }
  }
  for (; m < M; m++) {
    const a0 = aAt + m * lda;
    const q = yAt + m * ldy;
    let n = 0;
    for (; n + 8 <= N; n += 8) {
      const b0 = bAt + n * ldb;
      const b1 = b0 + ldb;
      const b2 = b1 + ldb;
      const b3 = b2 + ldb;
      const b4 = b3 + ldb;
      const b5 = b4 + ldb;
      const b6 = b5 + ldb;
      const b7 = b6 + ldb;
      let c0 = 0;
      let c1 = 0;
      let c2 = 0;
      let c3 = 0;
      let c4 = 0;
      let c5 = 0;
      let c6 = 0;
      let c7 = 0;
      for (let k = 0; k < K; k++) {
        const x = a[a0 + k];
        c0 += x * b[b0 + k];
        c1 += x * b[b1 + k];
        c2 += x * b[b2 + k];
        c3 += x * b[b3 + k];
        c4 += x * b[b4 + k];
        c5 += x * b[b5 + k];
        c6 += x * b[b6 + k];
        c7 += x * b[b7 + k];
      }
      y[q + n] += c0;
      y[q + n + 1] += c1;
      y[q + n + 2] += c2;
      y[q + n + 3] += c3;
      y[q + n + 4] += c4;
      y[q + n + 5] += c5;
      y[q + n + 6] += c6;
      y[q + n + 7] += c7;
    }
    for (; n < N; n++) {
      const bn = bAt + n * ldb;
      let sum = 0;
      for (let k = 0; k < K; k++) sum += a[a0 + k] * b[bn + k];
      y[q + n] += sum;
    }
  }
}

/** y [N,M] = xᵀ [M,N], in blocks that stay in the cache. */
export function transpose(y: Floats, x: Floats, xAt: number, ldx: number, M: number, N: number): void {
  const BLOCK = 32;
  for (let m0 = 0; m0 < M; m0 += BLOCK) {
    const m1 = Math.min(m0 + BLOCK, M);
    for (let n0 = 0; n0 < N; n0 += BLOCK) {
      const n1 = Math.min(n0 + BLOCK, N);
      for (let n = n0; n < n1; n++) for (let m = m0; m < m1; m++) y[n * M + m] = x[xAt + m * ldx + n];
    }
  }
}

/** y [N] = the sum of the R rows of x. */
export function sumRows(y: Floats, x: Floats, N: number, R: number): void {
  y.fill(0);
  for (let r = 0; r < R; r++) for (let j = 0; j < N; j++) y[j] += x[r * N + j];
}
