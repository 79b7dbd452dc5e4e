/** Starts modules next to a running core. They import its memory, so that their kernels work on the same rows, and may call its functions. */
import * as check from '../check.js';
import { UnsupportedError } from '../errors.js';
import type { Bytes, WasmModule } from '../platform.js';
import type { Runtime } from './runtime.js';
import { decode, explained } from './start.js';

/** A module of an entry: prepared for a runtime, or linked when it is first used. */
export interface Linked<Kernels> {
  link(runtime: Runtime, module?: WasmModule | Bytes): Promise<void>;
  kernelsOf(runtime: Runtime): Kernels;
}

/**
 * @param text the module, as `decode` reads it
 * @param abi the version that it has to be of; `own`: one of its kernels
 * @param what for errors: `'the functions'`
 * @param prepare what to call where it cannot be compiled synchronously
 */
export function linked<Kernels extends { abi(): number }>(
  text: string,
  { abi, own, what, prepare }: { abi: number; own: keyof Kernels; what: string; prepare: string },
): Linked<Kernels> {
  let compiled: WebAssembly.Module | undefined;
  /** By core, so that the memory of a runtime that is disposed is not kept. */
  const kernels = new WeakMap<object, Kernels>();
  const importsOf = ({ memory, ...core }: Runtime['core']): WebAssembly.Imports => ({
    env: { memory: memory as WebAssembly.Memory },
    core,
  });
  const keep = (core: Runtime['core'], exports: object): Kernels => {
    const made = exports as Kernels;
    if (made.abi?.() !== abi || !made[own]) {
      throw new UnsupportedError(`module: not ${what} of this version of gatewise (interface ${abi})`);
    }
    kernels.set(core, made);
    return made;
  };
  return {
    async link(runtime, module) {
      check.made('runtime', runtime, 'alloc', 'a Runtime', 'disposed');
      if (
        module !== undefined &&
        !(module instanceof WebAssembly.Module || module instanceof ArrayBuffer || ArrayBuffer.isView(module))
      ) {
        check.fail('module', 'a WebAssembly.Module or its bytes', module);
      }
      const { core } = runtime;
      try {
        const given = module as WebAssembly.Module | BufferSource | undefined;
        const ready = given instanceof WebAssembly.Module ? given : await WebAssembly.compile(given ?? decode(text));
        keep(core, (await WebAssembly.instantiate(ready, importsOf(core))).exports);
      } catch (error) {
        throw explained(error, module ? 'given' : 'simd');
      }
    },
    kernelsOf({ core }) {
      const known = kernels.get(core);
      if (known) return known;
      try {
        compiled ??= new WebAssembly.Module(decode(text));
        return keep(core, new WebAssembly.Instance(compiled, importsOf(core)).exports);
      } catch (error) {
        if (error instanceof RangeError) throw new UnsupportedError(`call \`${prepare}\` first (${error.message})`);
        throw explained(error, 'simd');
      }
    },
  };
}
