/** The kernels of quantized models against exact integers: worst cases, odd sizes, both builds. */
import { readFileSync } from 'node:fs';
import { test } from 'uvu';
import { equal, is, ok } from 'uvu/assert';
import type { Core } from '../bindings/core/wasm/quantized-core.js';
import { amplitude, DTYPES, mostOf, weightLimit } from '../bindings/quantized/describe.js';
import { product, quantizeRows, toInteger } from './reference/quantized.js';
import { random, uniform } from './support/numbers.js';

const builds = ['quantized', 'quantized-relaxed'].flatMap((name) => {
  const bytes = new Uint8Array(readFileSync(new URL(`../wasm/${name}.wasm`, import.meta.url)));
  if (!WebAssembly.validate(bytes)) {
    console.log(`  skipped: ${name}, which this engine cannot run`);
    return [];
  }
  const core = new WebAssembly.Instance(new WebAssembly.Module(bytes)).exports as { memory: WebAssembly.Memory };
  core.memory.grow(400);
  return [{ name, core: core as Core & { memory: WebAssembly.Memory } }];
});

/** Places in memory, far enough apart for every test. */
const at = (n: number) => (n + 1) << 20;
const LINE = 128;

function setup(core: Core) {
  const { buffer } = core.memory;
  return {
    f32: new Float32Array(buffer),
    i16: new Int16Array(buffer),
    i8: new Int8Array(buffer),
    fill: () => new Uint8Array(buffer, at(0)).fill(0),
  };
}

/** A product by the kernels, from integers. */
function run(
  core: Core,
  bytes: boolean,
  x: ArrayLike<number>,
  w: ArrayLike<number>,
  K: number,
  scale: ArrayLike<number>,
  bias: ArrayLike<number>,
): number[] {
  const N = w.length / K;
  const R = x.length / K;
  const panels = Math.ceil(N / 32);
  const { f32, i16, i8, fill } = setup(core);
  fill();
  const [panelsAt, scaleAt, biasAt, q, rows, y] = [at(0), at(3), at(4), at(5), at(6), at(9)];
  if (bytes) i8.set(w, rows);
  else i16.set(w, rows >>> 1);
  core.packIntegers(panelsAt, scaleAt + LINE * panels, 0, rows, N, K, bytes, false);
  f32.set(scale, scaleAt >>> 2);
  f32.set(bias, biasAt >>> 2);
  const ldq = (bytes ? 32 : 16) * Math.ceil(K / 8);
  for (let r = 0; r < R; r++) {
    // what follows a row's numbers may be anything
    i16.fill(r % 2 ? 32767 : -32768, (q + r * ldq) >>> 1, (q + r * ldq + 16 * Math.ceil(K / 8)) >>> 1);
    for (let k = 0; k < K; k++) i16[((q + r * ldq) >>> 1) + k] = x[r * K + k];
  }
  const kernel = bytes ? core.product8 : core.product16;
  kernel(y, LINE * panels, biasAt, 0, q, ldq, panelsAt, scaleAt, R, panels, K);
  return Array.from({ length: R * N }, (_, i) => f32[(y >>> 2) + Math.floor(i / N) * 32 * panels + (i % N)]);
}

for (const { name, core } of builds) {
  test(`${name}: products of odd sizes have the bits of exact sums`, () => {
    const next = random(1);
    for (const dtype of DTYPES) {
      for (const [R, K, N] of [
        [1, 1, 1],
        [2, 3, 5],
        [3, 7, 32],
        [1, 8, 33],
        [5, 13, 31],
        [4, 64, 65],
        [7, 129, 70],
        [2, 512, 40],
      ]) {
        const A = amplitude(dtype, K);
        const x = Int16Array.from(uniform(next, R * K, A + 0.49), Math.round);
        const { q, scale } = quantizeRows(uniform(next, N * K), K, weightLimit(dtype), mostOf(dtype, K));
        const bias = uniform(next, N);
        const want = product(x, q, K, scale, (_, n) => bias[n]).y;
        equal(run(core, dtype === 'int8', x, q, K, scale, bias), [...want], `${dtype} R=${R} K=${K} N=${N}`);
      }
    }
  });

  test(`${name}: the worst inputs come close to 2³¹ and do not overflow`, () => {
    for (const dtype of DTYPES) {
      for (const K of [1, 2, 3, 16, 127, 512, 1024, 2048, 4096]) {
        const A = amplitude(dtype, K);
        // all alike; one spike; alternating signs; a first half that is cancelled by the second
        const patterns: ((k: number) => number)[] = [
          () => 0.3,
          (k) => (k === 0 ? 1 : 1e-3),
          (k) => (k % 2 ? -0.7 : 0.7),
          (k) => (k < K / 2 ? 0.9 : -0.9),
        ];
        const w = Float32Array.from({ length: patterns.length * K }, (_, i) => patterns[Math.floor(i / K)](i % K));
        const { q, scale } = quantizeRows(w, K, weightLimit(dtype), mostOf(dtype, K));
        // each row of weights meets the inputs that make its sum largest, and the opposite ones
        const x = [1, -1].flatMap((sign) =>
          patterns.flatMap((_, p) => Array.from({ length: K }, (_, k) => sign * (q[p * K + k] < 0 ? -A : A))),
        );
        const { y, largest } = product(x, q, K, scale, () => 0);
        ok(largest < 2 ** 31, `${dtype} K=${K}: ${largest}`);
        if (dtype === 'int16' && K >= 16) ok(largest > 0.98 * 2 ** 31, `K=${K}: ${largest} tests nothing`);
        equal(run(core, dtype === 'int8', x, q, K, scale, new Float32Array(4)), [...y], `${dtype} K=${K}`);
      }
    }
  });

  test(`${name}: weights of all values meet inputs of all values`, () => {
    // int8: every weight with inputs at the ends of their digits
    const K = 255;
    const w = Int8Array.from({ length: 2 * K }, (_, i) => (i < K ? i - 127 : 127 - (i - K)));
    const ends = [-8191, -8190, -8065, -8064, -129, -128, -127, -1, 0, 1, 127, 128, 129, 8063, 8064, 8190, 8191];
    const x = ends.flatMap((v) => Array.from({ length: K }, (_, k) => (k % 2 ? v : -v)));
    const want = product(x, w, K, [1, 1], () => 0).y;
    equal(run(core, true, x, w, K, [1, 1], [0, 0]), [...want]);
  });

  test(`${name}: inputs are rounded to even, limited, and NaN is found`, () => {
    const { f32, i16, fill } = setup(core);
    for (const K of [1, 5, 7, 8, 9, 16, 19]) {
      fill();
      const R = 3;
      const odd = [0.5, 1.5, 2.5, -0.5, -1.5, 1e9, -1e9, Infinity, -Infinity, 99.49, 100.51, -100.5, 1e-30];
      const x = Array.from({ length: R * K }, (_, i) => odd[i % odd.length]);
      f32.fill(Number.NaN, at(0) >>> 2, (at(0) >>> 2) + 1000);
      f32.set(x, at(0) >>> 2);
      const ldq = 16 * Math.ceil(K / 8);
      is(core.quantizeRows(at(1), ldq, at(0), 4 * K, R, K, 1, 100), -1, `K=${K}`);
      const got = x.map((_, i) => i16[(at(1) >>> 1) + Math.floor(i / K) * (ldq >>> 1) + (i % K)]);
      equal(
        got,
        x.map((v) => toInteger(v, 1, 100) + 0),
        `K=${K}`,
      );
      for (let i = 0; i < R * K; i++) {
        f32[(at(0) >>> 2) + i] = Number.NaN;
        is(core.quantizeRows(at(1), ldq, at(0), 4 * K, R, K, 1, 100), Math.floor(i / K), `K=${K} number ${i}`);
        f32[(at(0) >>> 2) + i] = 0;
      }
    }
  });

  test(`${name}: weights have the integers and scales of the reference, within their bounds`, () => {
    const next = random(3);
    const { f32, i16, i8 } = setup(core);
    for (const dtype of DTYPES) {
      for (const [N, K] of [
        [3, 1],
        [5, 7],
        [4, 512],
        [2, 1025],
      ]) {
        const w = uniform(next, N * K, 3);
        w.fill(0.25, 0, K); // all alike
        if (N > 2) w.fill(0, K, 2 * K); // zeros
        if (N > 3) w.fill(1e-42, 2 * K, 3 * K); // too small for a scale
        const most = mostOf(dtype, K);
        const limit = weightLimit(dtype);
        f32.set(w, at(0) >>> 2);
        core.quantizeWeights(at(4), at(8), at(0), N, K, limit, most, dtype === 'int8');
        const q = dtype === 'int8' ? i8.slice(at(4), at(4) + N * K) : i16.slice(at(4) >>> 1, (at(4) >>> 1) + N * K);
        const scale = f32.slice(at(8) >>> 2, (at(8) >>> 2) + N);
        const want = quantizeRows(w, K, limit, most);
        equal([...scale], [...want.scale]);
        equal(
          [...q],
          Array.from(want.q, (v) => v + 0),
        );
        for (let n = 0; n < N; n++) {
          const row = [...q.subarray(n * K, (n + 1) * K)];
          ok(Math.max(...row.map(Math.abs)) <= limit);
          const sum = row.reduce((s, v) => s + Math.abs(v), 0);
          ok(sum <= most, `Σ|q| ${sum} above ${most}`);
          ok(sum * amplitude(dtype, K) <= 2 ** 31 - 1);
          row.forEach((v, k) => {
            if (scale[n]) ok(Math.abs(v * scale[n] - w[n * K + k]) <= 0.5001 * scale[n]);
          });
        }
      }
    }
  });

  test(`${name}: packing and taking out again gives the same integers`, () => {
    const { i8, i16, fill } = setup(core);
    for (const bytes of [false, true]) {
      for (const [N, K] of [
        [1, 1],
        [33, 5],
        [70, 12],
      ]) {
        fill();
        const q = Array.from({ length: N * K }, (_, i) => ((i * 37) % 255) - 127);
        if (bytes) i8.set(q, at(0));
        else i16.set(q, at(0) >>> 1);
        core.packIntegers(at(2), at(4), 3, at(0), N, K, bytes, false);
        core.packIntegers(at(2), at(4), 3, at(1), N, K, bytes, true);
        const back = bytes ? i8.slice(at(1), at(1) + N * K) : i16.slice(at(1) >>> 1, (at(1) >>> 1) + N * K);
        equal([...back], q);
      }
    }
  });
}

test.run();
