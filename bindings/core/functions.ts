/** The module of `gatewise/functions`, next to a running core. Its constants lie below those of the core. */
import { FUNCTIONS_ABI } from '../../assembly/layout.js';
import type { Bytes, WasmModule } from '../platform.js';
import { linked } from './linked.js';
import type { Runtime } from './runtime.js';
import text from './wasm/functions.js';
import type { Core } from './wasm/functions-core.js';

const module_ = /* @__PURE__ */ linked<Core>(text, {
  abi: FUNCTIONS_ABI,
  own: 'pairForward',
  what: 'the functions',
  prepare: 'await linkFunctions(runtime)` of `gatewise/functions',
});

/**
 * Prepares `gatewise/functions` for a runtime. It is needed in two cases only: for engines that forbid compiling at run time, such as
 * Cloudflare Workers, which are given the module; and for pages in old versions of Chrome, which refuse to compile it synchronously.
 * Elsewhere the first function does this.
 *
 * @param module `gatewise/functions.wasm`, compiled or as bytes; default: the one that comes with the entry
 * @throws TypeError for something else; UnsupportedError for a module that cannot be compiled or is of another version
 *
 * @example
 * ```js
 * import { Runtime } from 'gatewise';
 * import { linkFunctions } from 'gatewise/functions';
 *
 * const runtime = await Runtime.create();
 * await linkFunctions(runtime);
 * ```
 */
export function linkFunctions(runtime: Runtime, module?: WasmModule | Bytes): Promise<void> {
  return module_.link(runtime, module);
}

/** The kernels, on the memory of a runtime. */
export const kernelsOf = (runtime: Runtime) => module_.kernelsOf(runtime);
