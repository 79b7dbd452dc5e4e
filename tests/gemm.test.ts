/** Products in every size around the tile, against sums in double precision, between guard words. */
import { test } from 'uvu';
import { equal } from 'uvu/assert';
import { GRAD_BLOCK } from '#dist/assembly/layout.js';
import { builds, guarded } from './support/builds.js';
import { close, random, uniform } from './support/numbers.js';

const line = (floats: number) => Math.ceil(floats / 16) * 64;
const panels = (H: number, gates: number) => Math.ceil((Math.ceil(H / 4) * gates) / 4);

/** Column of gate g, unit u among interleaved gates. */
const column = (g: number, u: number, gates: number) => (Math.floor(u / 4) * gates + g) * 4 + (u % 4);

/** [rows, F] padded to lines; the padding holds NaN, which no kernel may let through. */
function rowsOf(values: ArrayLike<number>, rows: number, F: number): Float32Array {
  const ld = line(F) / 4;
  const out = new Float32Array(rows * ld).fill(Number.NaN);
  for (let r = 0; r < rows; r++) {
    out.fill(0, r * ld + F, r * ld + Math.ceil(F / 4) * 4);
    for (let f = 0; f < F; f++) out[r * ld + f] = values[r * F + f];
  }
  return out;
}

const sizes = [1, 2, 3, 4, 5, 15, 16, 17, 31, 33, 64, 65];
const shapes = [
  ...sizes.map((n) => ({ M: n, H: 17, K: 5 })),
  ...sizes.map((n) => ({ M: 3, H: n, K: 9 })),
  ...sizes.map((n) => ({ M: 2, H: 20, K: n })),
  { M: 300, H: 65, K: 257 },
  { M: 1, H: 257, K: 128 },
];

for (const build of builds) {
  for (const gates of [1, 2, 3, 4]) {
    test(`${build}: gemm of ${gates} gates equals the sum in double precision to 1e-6, ${shapes.length} shapes`, () => {
      for (const { M, H, K } of shapes) {
        const next = random(M * 1000 + H * 10 + K + gates);
        const [a, w, bias] = [uniform(next, M * K), uniform(next, gates * H * K), uniform(next, gates * H)];
        const N = panels(H, gates) * 16;
        const want = new Float64Array(M * N);
        const scale = new Float64Array(M * N);
        for (let m = 0; m < M; m++) {
          for (let g = 0; g < gates; g++) {
            for (let u = 0; u < H; u++) {
              let sum = bias[g * H + u];
              for (let k = 0; k < K; k++) sum += a[m * K + k] * w[(g * H + u) * K + k];
              want[m * N + column(g, u, gates)] = sum;
              scale[m * N + column(g, u, gates)] = sum;
            }
          }
        }
        const { runtime: r, check } = guarded(build);
        const got = r.scope(() => {
          const [pa, pw, pb] = [r.take(M * line(K)), r.take(4 * w.length), r.take(4 * bias.length)];
          const [packed, row, c] = [r.take(N * K * 4), r.take(4 * N), r.take(M * 4 * N)];
          r.write(pa, rowsOf(a, M, K));
          r.write(pw, w);
          r.write(pb, bias);
          r.core.packWeights(packed, pw, 4 * K, K, H, gates);
          r.core.packBias(row, pb, 0, H, gates);
          r.core.gemm(c, 4 * N, row, 0, pa, line(K), packed, K * 64, M, N / 16, K);
          return r.read(c, M * N);
        });
        close(got, want, 1e-6, `M=${M} H=${H} K=${K}`);
        check();
        r.dispose();
      }
    });

    test(`${build}: its transpose, and the gradients of weights and bias, of ${gates} gates`, () => {
      for (const { M: R, H, K: F } of [...shapes, { M: 2 * GRAD_BLOCK + 3, H: 6, K: 7 }]) {
        const next = random(R * 1000 + H * 10 + F + gates);
        const N = panels(H, gates) * 16;
        const z = new Float32Array(R * N);
        const dz = uniform(next, R * gates * H);
        const [x, w] = [uniform(next, R * F), uniform(next, gates * H * F)];
        const [dw0, db0] = [uniform(next, gates * H * F), uniform(next, gates * H)];
        const dx0 = uniform(next, R * F);
        const dw = Float64Array.from(dw0);
        const db = Float64Array.from(db0);
        const dx = Float64Array.from(dx0);
        for (let r = 0; r < R; r++) {
          for (let g = 0; g < gates; g++) {
            for (let u = 0; u < H; u++) {
              const row = g * H + u;
              const d = dz[r * gates * H + row];
              z[r * N + column(g, u, gates)] = d;
              db[row] += d;
              for (let f = 0; f < F; f++) {
                dw[row * F + f] += d * x[r * F + f];
                dx[r * F + f] += d * w[row * F + f];
              }
            }
          }
        }
        const { runtime: r, check } = guarded(build);
        r.scope(() => {
          const fPanels = Math.ceil(F / 16);
          const [pz, px, pw] = [r.take(R * 4 * N), r.take(R * line(F)), r.take(4 * w.length)];
          const [pdw, pdb, pdx] = [r.take(4 * dw.length), r.take(4 * db.length), r.take(R * line(F))];
          const scratch = r.take(r.core.weightGradScratch(R, Math.ceil(N / 16), F));
          const packed = r.take(fPanels * N * 64);
          r.write(pz, z);
          r.write(px, rowsOf(x, R, F));
          r.write(pw, w);
          r.write(pdw, dw0);
          r.write(pdb, db0);
          r.write(pdx, rowsOf(dx0, R, F));
          r.core.weightGrad(pdw, 4 * F, scratch, pz, 4 * N, px, line(F), R, F, H, gates);
          r.core.biasGrad(pdb, 0, pz, 4 * N, R, H, gates);
          r.core.packTransposed(packed, N * 64, pw, 4 * F, F, H, gates);
          r.core.gemm(pdx, line(F), pdx, line(F), pz, 4 * N, packed, N * 64, R, fPanels, N);
          const got = new Float32Array(R * F);
          for (let i = 0; i < R; i++) got.set(r.read(pdx + i * line(F), F), i * F);
          close(r.read(pdw, dw.length), dw, 2e-6, `dw R=${R} H=${H} F=${F}`);
          close(r.read(pdb, db.length), db, 2e-6, `db R=${R} H=${H} F=${F}`);
          close(got, dx, 2e-6, `dx R=${R} H=${H} F=${F}`);
        });
        check();
        r.dispose();
      }
    });
  }

  test(`${build}: one row alone equals that row among others, bit for bit`, () => {
    const [M, H, K] = [7, 37, 29];
    const next = random(1);
    const [a, w] = [uniform(next, M * K), uniform(next, 4 * H * K)];
    const { runtime: r } = guarded(build);
    r.scope(() => {
      const N = panels(H, 4) * 16;
      const [pa, pw, packed] = [r.take(M * line(K)), r.take(4 * w.length), r.take(N * K * 4)];
      const [zero, c, d] = [r.takeZeroed(4 * N), r.take(M * 4 * N), r.take(4 * N)];
      r.write(pa, rowsOf(a, M, K));
      r.write(pw, w);
      r.core.packWeights(packed, pw, 4 * K, K, H, 4);
      r.core.gemm(c, 4 * N, zero, 0, pa, line(K), packed, K * 64, M, N / 16, K);
      for (let m = 0; m < M; m++) {
        r.core.gemm(d, 4 * N, zero, 0, pa + m * line(K), line(K), packed, K * 64, 1, N / 16, K);
        equal(r.read(d, N), r.read(c + m * 4 * N, N), `row ${m}`);
      }
    });
    r.dispose();
  });
}

test.run();
