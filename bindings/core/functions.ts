/**
 * Starts the module of `gatewise/functions` next to a running core. It imports the memory of that core, so that its kernels work on the
 * same rows.
 */
import { FUNCTIONS_ABI } from '../../assembly/layout.js';
import * as check from '../check.js';
import { UnsupportedError } from '../errors.js';
import type { Bytes, WasmModule } from '../platform.js';
import type { Runtime } from './runtime.js';
import { decode, explained } from './start.js';
import text from './wasm/functions.js';
import type { Core as Kernels } from './wasm/functions-core.js';

let compiled: WebAssembly.Module | undefined;
/** By core, so that the memory of a runtime that is disposed is not kept. */
const linked = new WeakMap<object, Kernels>();

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
export async function linkFunctions(runtime: Runtime, module?: WasmModule | Bytes): Promise<void> {
  check.made('runtime', runtime, 'alloc', 'a Runtime');
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
    link(core, (await WebAssembly.instantiate(ready, importsOf(core))).exports);
  } catch (error) {
    throw explained(error, module ? 'given' : 'simd');
  }
}

function importsOf(core: Runtime['core']): WebAssembly.Imports {
  return { env: { memory: core.memory as WebAssembly.Memory } };
}

function link(core: Runtime['core'], exports: object): Kernels {
  const kernels = exports as Kernels;
  if (kernels.abi?.() !== FUNCTIONS_ABI || !kernels.pairForward) {
    throw new UnsupportedError(`module: not the functions of this version of gatewise (interface ${FUNCTIONS_ABI})`);
  }
  linked.set(core, kernels);
  return kernels;
}

/** The kernels, on the memory of a runtime. */
export function kernelsOf({ core }: Runtime): Kernels {
  const kernels = linked.get(core);
  if (kernels) return kernels;
  try {
    compiled ??= new WebAssembly.Module(decode(text));
    return link(core, new WebAssembly.Instance(compiled, importsOf(core)).exports);
  } catch (error) {
    if (error instanceof RangeError)
      throw new UnsupportedError(
        `call \`await linkFunctions(runtime)\` of gatewise/functions first (${error.message})`,
      );
    throw explained(error, 'simd');
  }
}
