/**
 * The boundary of quantized models: an instance of the quantized module, its memory and the views over it.
 *
 *     | static data | weights, scales, blocks of calls: permanent |  scratch of one call |
 *
 * Each model has its own instance. Its parts are allocated once; the scratch of every call begins at the same address.
 */
import { QUANTIZED_ABI, QuantizedCell, Run, WIDTH } from '../../assembly/quantized/layout.js';
import * as check from '../check.js';
import { MemoryError, UnsupportedError } from '../errors.js';
import type { Bytes, WasmModule } from '../platform.js';
import { align } from './runtime.js';
import { decode, explained } from './start.js';
import simd from './wasm/quantized.js';
import type { Core } from './wasm/quantized-core.js';

/** The quantized module, compiled, or its bytes (`gatewise/quantized.wasm`), for engines that forbid compiling at run time. */
export type QuantizedModule = WasmModule | Bytes;

const PAGE = 65536;

/** Bytes past the end of an array of floats that a kernel may read. */
export const READABLE = 32;

export class QuantizedCore {
  #core: Core | null;
  #f32 = new Float32Array();
  #i32 = new Int32Array();
  #end: number;
  #scratch: number;

  constructor(exports: object) {
    const core = exports as Core;
    if (core.abi?.() !== QUANTIZED_ABI)
      throw new UnsupportedError(
        `module: not the quantized module of this version of gatewise (interface ${QUANTIZED_ABI})`,
      );
    this.#core = core;
    this.#end = this.#scratch = align(core.heapBase());
    this.#view();
  }

  /** The kernels. */
  get kernels(): Core {
    if (!this.#core) throw new Error('this quantized model has been disposed');
    return this.#core;
  }

  /** All of memory: the float at address p is f32[p / 4]. Ask again after anything that may allocate. */
  get f32(): Float32Array {
    return this.#f32;
  }

  get i32(): Int32Array {
    return this.#i32;
  }

  #view(): void {
    const { buffer } = this.kernels.memory;
    this.#f32 = new Float32Array(buffer);
    this.#i32 = new Int32Array(buffer);
  }

  /** Bytes that last as long as the model, zeroed, on a cache line. */
  alloc(bytes: number): number {
    const at = this.#end;
    this.#ensure(at + align(bytes));
    this.#end = this.#scratch = at + align(bytes);
    this.#f32.fill(0, at >>> 2, this.#end >>> 2);
    return at;
  }

  /** Begins a call: the scratch of the previous one is free again. */
  begin(): void {
    this.#scratch = this.#end;
  }

  /** Scratch of this call, on a cache line, not zeroed. */
  take(bytes: number): number {
    const at = this.#scratch;
    this.#ensure(at + align(bytes) + READABLE);
    this.#scratch = at + align(bytes);
    return at;
  }

  /** Copies numbers to an address. */
  write(at: number, values: Int8Array | Int16Array | Float32Array): void {
    const { buffer, byteOffset, byteLength } = values;
    new Uint8Array(this.kernels.memory.buffer).set(new Uint8Array(buffer, byteOffset, byteLength), at);
  }

  /** Copies of n numbers. */
  floats(at: number, n: number): Float32Array {
    return this.#f32.slice(at >>> 2, (at >>> 2) + n);
  }

  integers(at: number, n: number, bytes: boolean): Int8Array | Int16Array {
    const { buffer } = this.kernels.memory;
    return bytes ? new Int8Array(buffer, at, n).slice() : new Int16Array(buffer, at, n).slice();
  }

  #ensure(end: number): void {
    const have = this.#f32.byteLength;
    if (end <= have) return;
    try {
      this.kernels.memory.grow(Math.ceil((end - have) / PAGE));
    } catch {
      throw new MemoryError(
        `the engine refused ${(end - have).toLocaleString('en')} bytes more than the ${have.toLocaleString('en')} of this model`,
      );
    }
    this.#view();
  }

  /** Bytes of the model, and bytes of the instance's memory. */
  memory(): { bytesInUse: number; bytesReserved: number } {
    return { bytesInUse: this.#end, bytesReserved: this.#f32.byteLength };
  }

  /** Drops the instance: its memory goes back to the engine. */
  dispose(): void {
    this.#core = null;
    this.#f32 = new Float32Array();
    this.#i32 = new Int32Array();
  }
}

let compiled: WebAssembly.Module | undefined;

function checked(module: QuantizedModule | undefined): void {
  if (typeof WebAssembly !== 'object') throw new UnsupportedError('this engine has no WebAssembly');
  if (
    module !== undefined &&
    !(module instanceof WebAssembly.Module || module instanceof ArrayBuffer || ArrayBuffer.isView(module))
  ) {
    check.fail('module', 'a WebAssembly.Module or its bytes', module);
  }
}

function start(exports: object): QuantizedCore {
  const core = new QuantizedCore(exports);
  if (![false, true].every((bytes) => multiplies(core, bytes)) || !steps(core))
    throw new UnsupportedError('this engine computes WebAssembly SIMD wrongly (iOS before 17 does)');
  core.begin();
  return core;
}

/** Whether products of small whole numbers, which are exact, are correct: some engines accept SIMD and compute it wrongly. */
function multiplies(core: QuantizedCore, bytes: boolean): boolean {
  const [R, K, N] = [3, 5, WIDTH];
  const x = (r: number, k: number) => ((r * 7 + k * 3) % 11) - 5;
  const w = (n: number, k: number) => ((n * 5 + k * 2) % 13) - 6;
  const integers = Array.from({ length: N * K }, (_, i) => w(Math.floor(i / K), i % K));
  const ldq = bytes ? 32 : 16;
  const [rows, panels, scale, bias, q, y] = [2 * N * K, 16 * N, 8 * N, 4 * N, R * ldq, 4 * R * N].map((size) =>
    core.take(size),
  );
  core.write(rows, bytes ? Int8Array.from(integers) : Int16Array.from(integers));
  core.kernels.packIntegers(panels, scale + 4 * N, 0, rows, N, K, bytes, false);
  core.write(scale, new Float32Array(N).fill(1));
  core.write(bias, new Float32Array(N));
  for (let r = 0; r < R; r++)
    core.write(
      q + r * ldq,
      Int16Array.from({ length: K }, (_, k) => x(r, k)),
    );
  const product = bytes ? core.kernels.product8 : core.kernels.product16;
  product(y, 4 * N, bias, 0, q, ldq, panels, scale, R, 1, K);
  return core.floats(y, R * N).every((value, i) => {
    let sum = 0;
    for (let k = 0; k < K; k++) sum += x(Math.floor(i / N), k) * w(i % N, k);
    return value === sum;
  });
}

/** Whether a step of an LSTM of one unit is correct. Its weights are zero, so that its gates follow from biases. */
function steps(core: QuantizedCore): boolean {
  const row = 4 * WIDTH;
  const [block, weights, scale, bias, x, qx, z, y, h0, c, qh] = [
    4 * Run.count,
    row,
    2 * row,
    row,
    row,
    16,
    row,
    row,
    row,
    row,
    16,
  ].map((size) => core.take(size));
  for (const at of [weights, scale, x, h0]) core.write(at, new Float32Array(WIDTH));
  // i, f, o and g, eight columns each, since units are rounded up
  core.write(
    bias,
    Float32Array.from({ length: WIDTH }, (_, n) => [0, 1, 1, 9.5][n >> 3]),
  );
  core.write(c, new Float32Array(WIDTH).fill(1));
  const fields: readonly (readonly [Run, number])[] = [
    [Run.cell, QuantizedCell.lstm],
    [Run.bytes, 0],
    [Run.T, 1],
    [Run.B, 1],
    [Run.I, 1],
    [Run.H, 1],
    [Run.reverse, 0],
    [Run.ahead, 1],
    [Run.x, x],
    [Run.ldx, 4],
    [Run.qx, qx],
    [Run.ldqx, 16],
    [Run.wx, weights],
    [Run.xScale, scale],
    [Run.xBias, bias],
    [Run.wh, weights],
    [Run.hScale, scale],
    [Run.hBias, scale],
    [Run.panels, 1],
    [Run.z, z],
    [Run.g, z],
    [Run.y, y],
    [Run.ldy, row],
    [Run.h0, h0],
    [Run.c, c],
    [Run.ldh, row],
    [Run.qh, qh],
    [Run.ldqh, 16],
  ];
  for (const [field, value] of fields) core.i32[(block >>> 2) + field] = value;
  for (const field of [Run.xFactor, Run.xLimit, Run.hFactor]) core.f32[(block >>> 2) + field] = 1;
  const near = (at: number, want: number) => core.floats(at, 8).every((value) => Math.abs(value - want) <= 2e-6);
  // c = σ(1) + σ(0) tanh 9.5, h = σ(1) tanh c
  return core.kernels.recurrent(block) === -1 && near(c, 1.231058573) && near(y, 0.6161991154);
}

/** A new instance. Throws UnsupportedError where the engine has no WebAssembly, no SIMD, or may not compile. */
export async function startQuantized(module?: QuantizedModule): Promise<QuantizedCore> {
  checked(module);
  try {
    let ready = module instanceof WebAssembly.Module ? module : undefined;
    if (!ready && module) ready = await WebAssembly.compile(module as BufferSource);
    if (!ready) {
      compiled ??= await WebAssembly.compile(decode(simd));
      ready = compiled;
    }
    return start((await WebAssembly.instantiate(ready)).exports);
  } catch (error) {
    throw explained(error, module ? 'given' : 'simd');
  }
}

/** The same synchronously, for workers, worklets and scripts. */
export function startQuantizedSync(module?: QuantizedModule): QuantizedCore {
  checked(module);
  try {
    let ready = module instanceof WebAssembly.Module ? module : undefined;
    if (!ready && module) ready = new WebAssembly.Module(module as BufferSource);
    if (!ready) {
      compiled ??= new WebAssembly.Module(decode(simd));
      ready = compiled;
    }
    return start(new WebAssembly.Instance(ready).exports);
  } catch (error) {
    throw explained(error, module ? 'given' : 'simd');
  }
}
