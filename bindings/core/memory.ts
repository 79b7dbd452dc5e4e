/** The module of `gatewise/memory`, next to a running core, whose functions it calls. */
import { MEMORY_ABI } from '../../assembly/memory/layout.js';
import type { Bytes, WasmModule } from '../platform.js';
import { linked } from './linked.js';
import type { Runtime } from './runtime.js';
import text from './wasm/memory.js';
import type { Core } from './wasm/memory-core.js';

const module_ = /* @__PURE__ */ linked<Core>(text, {
  abi: MEMORY_ABI,
  own: 'memoryForward',
  what: 'the memory',
  prepare: 'await linkMemory(runtime)` of `gatewise/memory',
});

/**
 * Prepares `gatewise/memory` for a runtime. It is needed in two cases only: for engines that forbid compiling at run time, which are given the
 * module; and for pages in old versions of Chrome, which refuse to compile it synchronously. Elsewhere the first step does this.
 *
 * @param module `gatewise/memory.wasm`, compiled or as bytes; default: the one that comes with the entry
 * @throws TypeError for something else; UnsupportedError for a module that cannot be compiled or is of another version
 */
export function linkMemory(runtime: Runtime, module?: WasmModule | Bytes): Promise<void> {
  return module_.link(runtime, module);
}

/** The kernels, on the memory of a runtime. */
export const kernelsOf = (runtime: Runtime) => module_.kernelsOf(runtime);
