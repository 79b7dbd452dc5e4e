/**
 * The memory of one instance of the core, and the views over it. Together with start.ts, which makes instances, this is the boundary:
 * nothing else knows that there is WebAssembly.
 *
 *     | static data | heap: parameters, gradients, optimizer state, packed weights … |  arena: activations of one step  |
 *                                                                                    ↑ where every scope returns to
 *
 * The heap gives blocks that last; the arena is a stack that a scope takes from and gives back as a whole. A step allocates from the
 * arena only, so it cannot leak. Nothing grows while a kernel runs; after growth the views are made again.
 */
import { LINE } from '../../assembly/layout.js';
import { MemoryError } from '../errors.js';
import type { WasmModule } from '../platform.js';
import type { Core } from './wasm/core.js';

export type { Core };

const BUILDS = ['simd', 'relaxed', 'debug'] as const;
const PAGE = 65536;
/** What 32-bit addresses reach. */
const MAX_BYTES = 2 ** 32;

export class Runtime {
  /** Which build runs: `'simd'`, `'relaxed'`, or `'debug'` (simd with assertions; not in the package). */
  readonly build: (typeof BUILDS)[number];
  #core: Core | null;
  /** Views of all of memory. It grows in `#ensure` only, so they are made again there only. */
  #f32 = new Float32Array();
  #i32 = new Int32Array();
  /** The heap's blocks in use, bytes by address, and the free ones, in the order of their addresses. */
  readonly #blocks = new Map<number, number>();
  #free: { at: number; bytes: number }[] = [];
  #bytesInUse = 0;
  #heapEnd: number;
  #top: number;
  #depth = 0;

  /**
   * @param exports those of an instance of the core, checked: see start.ts
   * @param module what it is an instance of
   */
  constructor(
    exports: object,
    readonly module?: WasmModule,
  ) {
    const core = exports as Core;
    this.#core = core;
    this.build = BUILDS[core.build()] ?? 'simd';
    this.#heapEnd = this.#top = align(core.heapBase());
    this.#view();
  }

  /** The kernels. */
  get core(): Core {
    return this.#alive();
  }

  #alive(): Core {
    if (!this.#core) throw new Error('this model, or the runtime it ran on, has been disposed');
    return this.#core;
  }

  /** All of memory as floats: the float at address p is f32[p / 4]. Ask again after anything that may allocate. */
  get f32(): Float32Array {
    return this.#f32;
  }

  /** All of memory as integers. */
  get i32(): Int32Array {
    return this.#i32;
  }

  #view(): void {
    const { buffer } = this.core.memory;
    this.#f32 = new Float32Array(buffer);
    this.#i32 = new Int32Array(buffer);
  }

  /** A copy of n floats. */
  read(address: number, n: number): Float32Array {
    this.#alive();
    return this.#f32.slice(address >>> 2, (address >>> 2) + n);
  }

  /** A copy of n doubles. */
  readDoubles(address: number, n: number): Float64Array {
    return new Float64Array(this.core.memory.buffer, address, n).slice();
  }

  writeDoubles(address: number, doubles: ArrayLike<number>): void {
    new Float64Array(this.core.memory.buffer).set(doubles, address >>> 3);
  }

  write(address: number, floats: ArrayLike<number>): void {
    this.#alive();
    this.#f32.set(floats, address >>> 2);
  }

  writeInts(address: number, ints: ArrayLike<number>): void {
    this.#alive();
    this.#i32.set(ints, address >>> 2);
  }

  /** A block of the heap, zeroed, on a cache line. `what` names it where memory runs out. */
  alloc(bytes: number, what: string): number {
    if (this.#depth > 0) throw new Error(`${what}: cannot be allocated while a step runs`);
    bytes = align(Math.max(bytes, 1));
    let at: number;
    const fit = this.#free.findIndex((block) => block.bytes >= bytes);
    const block = this.#free[fit];
    if (block) {
      at = block.at;
      block.at += bytes;
      block.bytes -= bytes;
      if (block.bytes === 0) this.#free.splice(fit, 1);
    } else {
      at = this.#heapEnd;
      this.#ensure(at + bytes, bytes, what);
      this.#heapEnd = this.#top = at + bytes;
    }
    this.f32.fill(0, at >>> 2, (at + bytes) >>> 2);
    this.#blocks.set(at, bytes);
    this.#bytesInUse += bytes;
    return at;
  }

  free(address: number): void {
    const bytes = this.#blocks.get(address);
    if (!this.#core || bytes === undefined) return;
    this.#blocks.delete(address);
    this.#bytesInUse -= bytes;
    this.#free.push({ at: address, bytes });
    this.#free.sort((a, b) => a.at - b.at);
    const merged: { at: number; bytes: number }[] = [];
    for (const block of this.#free) {
      const last = merged[merged.length - 1];
      if (last && last.at + last.bytes === block.at) last.bytes += block.bytes;
      else merged.push(block);
    }
    const last = merged[merged.length - 1];
    if (this.#depth === 0 && last && last.at + last.bytes === this.#heapEnd) {
      this.#heapEnd = this.#top = last.at;
      merged.pop();
    }
    this.#free = merged;
  }

  /** Runs `work`, then gives back what it took. Scopes nest; they cannot be asynchronous. */
  scope<T>(work: () => T): T {
    const mark = this.#top;
    this.#depth++;
    try {
      return work();
    } finally {
      this.#top = mark;
      this.#depth--;
    }
  }

  /** Bytes from the arena, on a cache line, with undefined contents. Only within a scope. */
  take(bytes: number, what = 'activations'): number {
    if (this.#depth === 0) throw new Error(`${what}: this call works only inside of a step`);
    const at = this.#top;
    const end = at + align(bytes);
    this.#ensure(end, bytes, what);
    this.#top = end;
    return at;
  }

  takeZeroed(bytes: number, what?: string): number {
    const at = this.take(bytes, what);
    this.f32.fill(0, at >>> 2, (at + bytes + 3) >>> 2);
    return at;
  }

  #ensure(end: number, bytes: number, what: string): void {
    const have = this.#f32.byteLength;
    if (end <= have) return;
    const { memory } = this.core;
    if (!(end <= MAX_BYTES)) {
      throw new RangeError(
        `${what}: ${bytes.toLocaleString('en')} bytes wanted, ${end.toLocaleString('en')} in all; a WebAssembly memory holds at most 4 GiB (4,294,967,296)`,
      );
    }
    // a quarter more, so that the first step does not grow at every layer
    const wanted = Math.min(MAX_BYTES, Math.max(end, this.#depth > 0 ? have * 1.25 : 0));
    try {
      memory.grow(Math.ceil((wanted - have) / PAGE));
      this.#view();
    } catch {
      throw new MemoryError(
        `${what}: the engine refused ${bytes.toLocaleString('en')} bytes more than the ${have.toLocaleString('en')} it gave`,
      );
    }
  }

  /** Bytes of the heap in use, and bytes that the engine has given, which it takes back when the runtime is disposed. */
  memory(): { bytesInUse: number; bytesReserved: number } {
    return { bytesInUse: this.#bytesInUse, bytesReserved: this.core.memory.buffer.byteLength };
  }

  get disposed(): boolean {
    return this.#core === null;
  }

  /** Drops the instance: its memory goes back to the engine. */
  dispose(): void {
    this.#core = null;
    this.#f32 = new Float32Array();
    this.#i32 = new Int32Array();
  }
}

/** Bytes rounded up to whole cache lines. */
export function align(bytes: number): number {
  return Math.ceil(bytes / LINE) * LINE;
}
