/** The builds that this engine runs, and the module that they are compared with. */
import { readFileSync } from 'node:fs';
import { instantiateSync } from '@assemblyscript/loader';
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

function bytes(name: string): Uint8Array<ArrayBuffer> {
  return new Uint8Array(readFileSync(new URL(`build/wasm/${name}.wasm`, root)));
}

export type Build = 'simd' | 'relaxed';

/** Builds that this engine runs. */
export const builds = (['simd', 'relaxed'] as const).filter((build) => WebAssembly.validate(bytes(build)));

export function runtimeOf(build: Build): Runtime {
  return Runtime.createSync({ module: bytes(build) });
}

export function benchCore(build: Build): BenchCore {
  return instantiateSync<BenchCore & Record<string, unknown>>(bytes(`bench-${build}`)).exports;
}
