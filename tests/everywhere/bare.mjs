/** Functions and one layer of the bare module, without bindings: prints a hash for each. bare.py does the same in wasmtime. */
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';

const { instance } = await WebAssembly.instantiate(readFileSync(process.argv[2]));
const core = instance.exports;
const N = 1 << 14;
const base = (core.heapBase() + 63) & ~63;
const need = base + 8 * N * 4;
if (core.memory.buffer.byteLength < need) core.memory.grow(Math.ceil((need - core.memory.buffer.byteLength) / 65536));
const at = (k) => base + k * N * 4;
const print = (name, k, n) => {
  const hash = createHash('sha256').update(new Uint8Array(core.memory.buffer, at(k), 4 * n));
  console.log(name, hash.digest('hex'));
};
core.fillNormal(at(0), N, 0, 3, 7, 1, 0);
for (const [k, name] of ['expArray', 'sigmoidArray', 'tanhArray'].entries()) core[name](at(k + 1), at(0), N);
for (const [k, name] of ['normal', 'exp', 'sigmoid', 'tanh'].entries()) print(name, k, N);
// a linear layer: 32 rows of 64 numbers, 48 outputs, three panels of 16 columns
core.packWeights(at(4), at(1), 4 * 64, 64, 48, 1);
core.gemm(at(5), 4 * 48, at(2), 0, at(3), 4 * 64, at(4), 64 * 64, 32, 3, 64);
print('linear', 5, 32 * 48);
