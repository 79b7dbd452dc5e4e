/**
 * The boundary of quantized models: an instance of the quantized module, its memory and the views over it.
 *
 *     | static data | weights, scales, blocks of calls: permanent |  scratch of one call |
 *
 * Each model has its own instance. Its parts are allocated once; the scratch of every call begins at the same address.
 */
import { QUANTIZED_ABI } from '../../assembly/quantized/layout.js';
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
    return new QuantizedCore((await WebAssembly.instantiate(ready)).exports);
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
    return new QuantizedCore(new WebAssembly.Instance(ready).exports);
  } catch (error) {
    throw explained(error, module ? 'given' : 'simd');
  }
}
