/**
 * The boundary: nothing else knows that there is WebAssembly. It instantiates a build of the core, owns its memory and makes the
 * views over it.
 *
 *     | static data | heap: parameters, gradients, optimizer state, packed weights … |  arena: activations of one step  |
 *                                                                                    ↑ where every scope returns to
 *
 * The heap gives blocks that last; the arena is a stack that a scope takes from and gives back as a whole. A step allocates
 * nothing but from the arena, so it cannot leak. Nothing grows while a kernel runs; views are made anew once the memory has grown.
 */
import { ABI, Activation, GRAD_BLOCK, GRAD_PANELS } from '../../assembly/layout.js';
import * as check from '../check.js';
import { MemoryError, UnsupportedError } from '../errors.js';
import type { Core } from './wasm/core.js';

export type { Core };

/** What a runtime can be asked for. */
export interface RuntimeOptions {
  /**
   * `'simd'`, the default, gives the same bits on every engine and processor. `'relaxed'` uses fused multiply-add where the
   * processor has it: faster, equal within rounding only.
   */
  build?: 'simd' | 'relaxed' | undefined;
  /** The core as a compiled module or as bytes (`gatewise/simd.wasm`), for engines that forbid compiling at run time. */
  module?: WebAssembly.Module | BufferSource | undefined;
}

export const RUNTIME_OPTIONS = ['build', 'module'] as const;

const BUILDS = ['simd', 'relaxed', 'debug'] as const;
const LINE = 64;
const PAGE = 65536;
/** What an address of 32 bits reaches. */
const MAX_BYTES = 2 ** 32;

export class Runtime {
  /** Which build runs: `'simd'`, `'relaxed'`, or `'debug'` (simd with assertions; not in the package). */
  readonly build: (typeof BUILDS)[number];
  #core: Core | null;
  /** Views of all of memory. It grows in `#ensure` only, so they are made anew there only. */
  #f32 = new Float32Array();
  #i32 = new Int32Array();
  /** The heap's blocks in use, bytes by address, and the free ones, in the order of their addresses. */
  readonly #blocks = new Map<number, number>();
  #free: { at: number; bytes: number }[] = [];
  #bytesInUse = 0;
  #heapEnd: number;
  #top: number;
  #depth = 0;

  /** @param exports those of an instance of the core; see core/train.ts and core/infer.ts */
  constructor(exports: object) {
    const core = exports as Core;
    if (core.abi?.() !== ABI)
      throw new UnsupportedError(`module: not the core of this version of gatewise (interface ${ABI})`);
    this.#core = core;
    this.build = BUILDS[core.build()] ?? 'simd';
    this.#heapEnd = this.#top = align(core.heapBase());
    this.#view();
    selfCheck(this);
  }

  /** The kernels. */
  get core(): Core {
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
    return this.f32.slice(address >>> 2, (address >>> 2) + n);
  }

  /** A copy of n doubles. */
  readDoubles(address: number, n: number): Float64Array {
    return new Float64Array(this.core.memory.buffer, address, n).slice();
  }

  writeDoubles(address: number, doubles: ArrayLike<number>): void {
    new Float64Array(this.core.memory.buffer).set(doubles, address >>> 3);
  }

  write(address: number, floats: ArrayLike<number>): void {
    this.f32.set(floats, address >>> 2);
  }

  writeInts(address: number, ints: ArrayLike<number>): void {
    this.i32.set(ints, address >>> 2);
  }

  /** A block of the heap, zeroed, on a cache line. `what` names it where memory runs out. */
  alloc(bytes: number, what: string): number {
    if (this.#depth > 0) throw new Error(`${what}: cannot be made while a step runs`);
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

  /** Runs `work`, then gives back what it took. Scopes nest; they cannot wait. */
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

  /** Bytes from the arena, on a cache line, holding anything. Only within a scope. */
  take(bytes: number, what = 'activations'): number {
    if (this.#depth === 0) throw new Error(`${what}: a step is needed around this call`);
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

export function align(bytes: number): number {
  return Math.ceil(bytes / LINE) * LINE;
}

/** Bytes of scratch that `weightGrad` wants for R rows of dz, of so many columns, and of x, of F features. */
export function gradScratch(R: number, columns: number, F: number): number {
  const panels = Math.min(GRAD_PANELS, align(4 * columns) / LINE) + align(4 * F) / LINE;
  return LINE * (2 + Math.min(R, GRAD_BLOCK) * panels);
}

/** How a module becomes an instance. */
export interface Linker {
  instantiate(module: WebAssembly.Module): Promise<{ exports: object }>;
  instantiateSync(module: WebAssembly.Module): { exports: object };
}

/** What starts runtimes, for an entry of the package that brings a build with it. */
export interface Runtimes {
  /**
   * Starts a core of its own.
   *
   * @throws UnsupportedError where the engine has no WebAssembly, no SIMD, or may not compile
   */
  create(options?: RuntimeOptions): Promise<Runtime>;
  /** The same at once, for workers, worklets and scripts. A build that is loaded on demand needs its `module` given. */
  createSync(options?: RuntimeOptions): Runtime;
}

/**
 * @param simd the simd build, as `decode` below reads it
 * @param relaxed loads the other; null where it can only be given as `module`
 */
export function runtimes(simd: string, relaxed: (() => Promise<string>) | null, linker: Linker): Runtimes {
  const compiled = new Map<string, WebAssembly.Module>();
  return {
    async create(options = {}) {
      const { build, module } = checked(options, relaxed !== null);
      try {
        let ready = module ? await asModule(module) : compiled.get(build);
        if (!ready) {
          const text = build === 'relaxed' && relaxed ? await relaxed() : simd;
          ready = await WebAssembly.compile(decode(text));
          compiled.set(build, ready);
        }
        return new Runtime((await linker.instantiate(ready)).exports);
      } catch (error) {
        throw explained(error, module ? 'given' : build);
      }
    },
    createSync(options = {}) {
      const { build, module } = checked(options, false);
      try {
        let ready = module instanceof WebAssembly.Module ? module : compiled.get(build);
        if (module && module !== ready) ready = new WebAssembly.Module(module as BufferSource);
        if (!ready) {
          ready = new WebAssembly.Module(decode(simd));
          compiled.set(build, ready);
        }
        return new Runtime(linker.instantiateSync(ready).exports);
      } catch (error) {
        throw explained(error, module ? 'given' : build);
      }
    },
  };
}

function checked(options: RuntimeOptions, onDemand: boolean): { build: string; module: RuntimeOptions['module'] } {
  check.options('runtime', options, RUNTIME_OPTIONS);
  const { build = 'simd', module } = options;
  check.oneOf('build', build, ['simd', 'relaxed']);
  if (typeof WebAssembly !== 'object') throw new UnsupportedError('this engine has no WebAssembly');
  if (
    module !== undefined &&
    !(module instanceof WebAssembly.Module || module instanceof ArrayBuffer || ArrayBuffer.isView(module))
  ) {
    check.fail('module', 'a WebAssembly.Module or its bytes', module);
  }
  if (!module && build !== 'simd' && !onDemand) {
    throw new TypeError("build: 'relaxed' is not in this entry at once; give its bytes or module as `module`");
  }
  return { build, module };
}

async function asModule(module: WebAssembly.Module | BufferSource): Promise<WebAssembly.Module> {
  return module instanceof WebAssembly.Module ? module : WebAssembly.compile(module);
}

/** What an engine says when it cannot start a build, or a module that was given, in words that help. */
export function explained(error: unknown, build: string): unknown {
  if (error instanceof WebAssembly.LinkError)
    return new UnsupportedError(`module: not a core of gatewise (${error.message})`);
  if (!(error instanceof WebAssembly.CompileError)) {
    return error instanceof RangeError && /memory/i.test(error.message)
      ? new MemoryError(
          `the engine has no memory for another WebAssembly instance (${error.message}); dispose models that are done`,
        )
      : error;
  }
  const why = /policy|unsafe-eval|disallowed|not allowed/i.test(error.message)
    ? "the page's content security policy wants 'wasm-unsafe-eval' in script-src, or the engine a precompiled `module`"
    : {
        given: 'are the bytes whole, and of this version?',
        simd: 'this engine has no SIMD; it is there from Chrome 91, Firefox 89, Safari 16.4 and Node 16.4 on',
        relaxed: "this engine has no relaxed SIMD for build: 'relaxed'; 'simd' runs everywhere",
      }[build];
  return new UnsupportedError(`WebAssembly could not be compiled: ${why} (${error.message})`);
}

/**
 * The bytes of a module from text that any file can carry: characters from ( to ~ but the backslash are the bytes 0 to 85; one after %
 * is 86 more, one after & 172. Most bytes of a module are small, and text that keeps to whole bytes compresses almost as they do.
 */
export function decode(text: string): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(text.length);
  let n = 0;
  let base = 0;
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    if (code < 40) base = 86 * (code - 36);
    else {
      bytes[n++] = base + code - (code > 92 ? 41 : 40);
      base = 0;
    }
  }
  return bytes.subarray(0, n);
}

/**
 * A computed known answer, since some engines accept SIMD and get it wrong: a product of small whole numbers, which is exact in
 * any order, and the activations at points where they are known.
 */
function selfCheck(runtime: Runtime): void {
  const { core } = runtime;
  const M = 3;
  const N = 20;
  const K = 5;
  const wrong = runtime.scope(() => {
    const a = runtime.take(M * LINE);
    const b = runtime.take(2 * K * LINE);
    const w = runtime.take(N * K * 4);
    const c = runtime.takeZeroed(M * 2 * LINE);
    const zero = runtime.takeZeroed(2 * LINE);
    const { f32 } = runtime;
    const x = (m: number, k: number) => ((m * 7 + k * 3) % 11) - 5;
    const y = (n: number, k: number) => ((n * 5 + k * 2) % 13) - 6;
    for (let m = 0; m < M; m++) for (let k = 0; k < K; k++) f32[(a >> 2) + m * 16 + k] = x(m, k);
    for (let n = 0; n < N; n++) for (let k = 0; k < K; k++) f32[(w >> 2) + n * K + k] = y(n, k);
    core.packWeights(b, w, 4 * K, K, N, 1);
    core.gemm(c, 2 * LINE, zero, 0, a, LINE, b, K * LINE, M, 2, K);
    for (let m = 0; m < M; m++) {
      for (let n = 0; n < N; n++) {
        let sum = 0;
        for (let k = 0; k < K; k++) sum += x(m, k) * y(n, k);
        if (f32[(c >> 2) + m * 32 + n] !== sum) return true;
      }
    }
    f32.set([0, 1, -30, 9.5], a >> 2);
    core.activationForward(b, a, LINE, 1, 4, Activation.sigmoid);
    core.activationForward(c, a, LINE, 1, 4, Activation.tanh);
    const near = (at: number, want: number[]) =>
      want.every((v, i) => Math.abs(f32[(at >> 2) + i] - v) <= 1e-6 * Math.abs(v));
    return !near(b, [0.5, 0.7310585786, 9.357622969e-14, 0.9999251538]) || !near(c, [0, 0.7615941559, -1, 1]);
  });
  if (wrong) throw new UnsupportedError('this engine computes WebAssembly SIMD wrongly (iOS before 17 does)');
}
