/** The builds that this engine runs, and the module that they are compared with. */
import { existsSync, readFileSync } from 'node:fs';
import { Runtime } from 'gatewise';

const root = new URL('../../', import.meta.url);

/** What assembly/bench.ts exports. */
export interface BenchCore {
  readonly memory: WebAssembly.Memory;
  offChain4(at: number, rounds: number): void;
  offChain6(at: number, rounds: number): void;
  offChain8(at: number, rounds: number): void;
  onChain10(at: number, rounds: number): void;
  onChain12(at: number, rounds: number): void;
  onChain16(at: number, rounds: number): void;
  scalarGemm(c: number, a: number, b: number, M: number, N: number, K: number): void;
  scalarSigmoid(y: number, x: number, n: number): void;
  scalarTanh(y: number, x: number, n: number): void;
  scalarLstm(
    h: number,
    c: number,
    x: number,
    wx: number,
    wh: number,
    b: number,
    a: number,
    T: number,
    B: number,
    I: number,
    H: number,
  ): void;
}

/** The module: next to this file in the package, else in the folder of the build. */
function bytes(name: string): Uint8Array<ArrayBuffer> {
  const packed = new URL(`./${name}.wasm`, import.meta.url);
  return new Uint8Array(readFileSync(existsSync(packed) ? packed : new URL(`build/wasm/${name}.wasm`, root)));
}

export type Build = 'simd' | 'relaxed';

/** Builds that this engine runs. */
export const builds = (['simd', 'relaxed'] as const).filter((build) => WebAssembly.validate(bytes(build)));

export function runtimeOf(build: Build): Runtime {
  return Runtime.createSync({ module: bytes(build) });
}

export function benchCore(build: Build): BenchCore {
  const module = new WebAssembly.Module(bytes(`bench-${build}`));
  return new WebAssembly.Instance(module, {}).exports as unknown as BenchCore;
}
