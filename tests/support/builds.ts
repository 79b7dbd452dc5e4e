/** The builds of the core that this engine can run, and runtimes of them that catch a kernel out of bounds. */
import { readFileSync } from 'node:fs';
import { setFlagsFromString } from 'node:v8';
import { Runtime } from 'gatewise';

const root = new URL('../../../', import.meta.url);

function bytesOf(build: string): Uint8Array<ArrayBuffer> {
  return new Uint8Array(readFileSync(new URL(`build/wasm/${build}.wasm`, root)));
}

// Node 20 has relaxed SIMD behind a flag
if (!WebAssembly.validate(bytesOf('relaxed'))) setFlagsFromString('--experimental-wasm-relaxed-simd');

export const builds = ['simd', 'relaxed', 'debug'].filter((build) => WebAssembly.validate(bytesOf(build)));
if (!builds.includes('relaxed')) console.log('  (this engine has no relaxed SIMD: the relaxed build is left out)');

const modules = new Map<string, WebAssembly.Module>();

export function runtime(build: string): Runtime {
  let module = modules.get(build);
  if (!module) {
    module = new WebAssembly.Module(bytesOf(build));
    modules.set(build, module);
  }
  return Runtime.createSync({ module });
}

const GUARD = 64;
const PATTERN = 0x7fc0dead; // a NaN

/**
 * A runtime whose every block lies between guard words and, from the arena, starts as NaN: what reads more than was written shows
 * in the results, what writes beyond its end shows in `check`.
 */
export function guarded(build: string): { runtime: Runtime; check: () => void } {
  const r = runtime(build);
  const blocks: { at: number; bytes: number; what: string }[] = [];
  const intact = ({ at, bytes, what }: { at: number; bytes: number; what: string }) => {
    const { i32 } = r;
    const end = (at + Math.ceil(bytes / 64) * 64) >>> 2;
    for (let i = 0; i < GUARD / 4; i++) {
      if (i32[(at >>> 2) - 1 - i] !== PATTERN || i32[end + i] !== PATTERN) {
        throw new Error(`a kernel wrote outside its block: ${what}, ${bytes} bytes`);
      }
    }
  };
  const fence = (at: number, bytes: number, what: string) => {
    const { i32 } = r;
    const end = (at + Math.ceil(bytes / 64) * 64) >>> 2;
    i32.fill(PATTERN, (at - GUARD) >>> 2, at >>> 2);
    i32.fill(PATTERN, end, end + GUARD / 4);
    blocks.push({ at, bytes, what });
  };
  const { take, alloc, scope, free } = r;
  r.take = (bytes, what = 'arena') => {
    const at = take.call(r, bytes + 2 * GUARD + 64, what) + GUARD;
    r.i32.fill(PATTERN, at >>> 2, (at + Math.ceil(bytes / 64) * 64) >>> 2);
    fence(at, bytes, new Error().stack?.split('\n')[2]?.trim() ?? what);
    return at;
  };
  r.alloc = (bytes, what) => {
    const at = alloc.call(r, bytes + 2 * GUARD + 64, what) + GUARD;
    fence(at, bytes, what);
    return at;
  };
  r.free = (at) => free.call(r, at - GUARD);
  r.scope = <T>(work: () => T): T =>
    scope.call(r, () => {
      const mark = blocks.length;
      const result = work();
      for (const block of blocks.splice(mark)) intact(block);
      return result;
    }) as T;
  return { runtime: r, check: () => blocks.forEach(intact) };
}
