"""Functions and one layer of the bare module in wasmtime: prints a hash for each, as bare.mjs does."""

import hashlib
import sys

import wasmtime

engine = wasmtime.Engine()
store = wasmtime.Store(engine)
instance = wasmtime.Instance(store, wasmtime.Module.from_file(engine, sys.argv[1]), [])
core = instance.exports(store)
memory = core["memory"]
N = 1 << 14
base = (core["heapBase"](store) + 63) & ~63
need = base + 8 * N * 4
if memory.data_len(store) < need:
    memory.grow(store, -(-(need - memory.data_len(store)) // 65536))


def at(k):
    return base + k * N * 4


def show(name, k, n):
    print(name, hashlib.sha256(bytes(memory.read(store, at(k), at(k) + 4 * n))).hexdigest())


core["fillNormal"](store, at(0), N, 0.0, 3.0, 7.0, 1, 0.0)
for k, name in enumerate(["expArray", "sigmoidArray", "tanhArray"]):
    core[name](store, at(k + 1), at(0), N)
for k, name in enumerate(["normal", "exp", "sigmoid", "tanh"]):
    show(name, k, N)
# a linear layer: 32 rows of 64 numbers, 48 outputs, three panels of 16 columns
core["packWeights"](store, at(4), at(1), 4 * 64, 64, 48, 1)
core["gemm"](store, at(5), 4 * 48, at(2), 0, at(3), 4 * 64, at(4), 64 * 64, 32, 3, 64)
show("linear", 5, 32 * 48)
