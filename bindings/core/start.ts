/** Starts instances of the core: builds and modules, the errors of engines, and a check that the engine computes correctly. */
import { ABI, Activation, LINE } from '../../assembly/layout.js';
import * as check from '../check.js';
import { MemoryError, UnsupportedError } from '../errors.js';
import type { Bytes, WasmModule } from '../platform.js';
import { type Core, Runtime } from './runtime.js';

/** What a runtime can be asked for. */
export interface RuntimeOptions {
  /**
   * `'simd'`, the default, gives the same bits on every engine and processor. `'relaxed'` uses fused multiply-add where the
   * processor has it: faster, equal within rounding only.
   */
  build?: 'simd' | 'relaxed' | undefined;
  /** The core as a compiled module or as bytes (`gatewise/simd.wasm`), for engines that forbid compiling at run time. */
  module?: WasmModule | Bytes | undefined;
}

export const RUNTIME_OPTIONS = ['build', 'module'] as const;

/** How a module becomes an instance. */
export interface Linker {
  instantiate(module: WasmModule): Promise<{ exports: object }>;
  instantiateSync(module: WasmModule): { exports: object };
}

/** What starts runtimes, for an entry of the package that brings a build with it. */
export interface Runtimes {
  /**
   * Starts a core of its own.
   *
   * @throws UnsupportedError where the engine has no WebAssembly, no SIMD, or may not compile
   */
  create(options?: RuntimeOptions): Promise<Runtime>;
  /** The same synchronously, for workers, worklets and scripts. A build that is loaded on demand needs its `module`. */
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
        return start((await linker.instantiate(ready)).exports, ready);
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
        return start(linker.instantiateSync(ready).exports, ready);
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
    throw new TypeError(
      "build: 'relaxed' is loaded on demand and not available synchronously; pass its bytes or module as `module`",
    );
  }
  return { build, module };
}

async function asModule(module: WebAssembly.Module | BufferSource): Promise<WebAssembly.Module> {
  return module instanceof WebAssembly.Module ? module : WebAssembly.compile(module);
}

/** An engine's error when it cannot start a build, or a module that was given, as an error that says what to do. */
export function explained(error: unknown, build: string): unknown {
  if (error instanceof WebAssembly.LinkError)
    return new UnsupportedError(`module: not a core of gatewise (${error.message})`);
  if (!(error instanceof WebAssembly.CompileError)) {
    return error instanceof RangeError && /memory/i.test(error.message)
      ? new MemoryError(
          `the engine has no memory for another WebAssembly instance (${error.message}); dispose models that are no longer used`,
        )
      : error;
  }
  const why = /policy|CSP|unsafe-eval|disallowed|not allowed/i.test(error.message)
    ? "the page's content security policy needs 'wasm-unsafe-eval' in script-src, or the engine a precompiled `module`"
    : {
        given: 'are the bytes complete, of this version, and not an HTML page?',
        simd: 'this engine has no SIMD; Chrome has it since 91, Firefox since 89, Safari since 16.4, Node since 16.4',
        relaxed: "this engine has no relaxed SIMD for build: 'relaxed'; 'simd' runs everywhere",
      }[build];
  return new UnsupportedError(`WebAssembly could not be compiled: ${why} (${error.message})`);
}

/**
 * The bytes of a module from text that any file can carry: characters from ( to ~ but the backslash are the numbers 0 to 85; one after %
 * is 86 more, one after & 172. A byte is its number less 28, so that those most used are one character: the first byte of vector
 * instructions, 253, and small numbers. Text that keeps to whole bytes compresses almost as they do.
 */
export function decode(text: string): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(text.length);
  let n = 0;
  let base = 0;
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    if (code < 40) base = 86 * (code - 36);
    else {
      bytes[n++] = base + code - (code > 92 ? 69 : 68); // modulo 256
      base = 0;
    }
  }
  return bytes.subarray(0, n);
}

/** A runtime on an instance of the core. */
function start(exports: object, module: WasmModule): Runtime {
  if ((exports as Partial<Core>).abi?.() !== ABI)
    throw new UnsupportedError(`module: not the core of this version of gatewise (interface ${ABI})`);
  const runtime = new Runtime(exports, module);
  selfCheck(runtime);
  return runtime;
}

/**
 * Compares results with known answers, since some engines accept SIMD and compute it wrongly: a product of small whole numbers, which
 * is exact in any order, and the activations at points where they are known.
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
    const f = runtime.takeZeroed(LINE);
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
    core.activationForward(c, a, LINE, 1, 4, f); // zeros: tanh
    runtime.i32[f >> 2] = Activation.sigmoid;
    core.activationForward(b, a, LINE, 1, 4, f);
    const near = (at: number, want: number[]) =>
      want.every((v, i) => Math.abs(f32[(at >> 2) + i] - v) <= 1e-6 * Math.abs(v));
    return !near(b, [0.5, 0.7310585786, 9.357622969e-14, 0.9999251538]) || !near(c, [0, 0.7615941559, -1, 1]);
  });
  if (wrong) throw new UnsupportedError('this engine computes WebAssembly SIMD wrongly (iOS before 17 does)');
}
