/** Starts the module of gatewise/online: of the core what layers need, and the kernels that carry gradients forward in time. */
import { ONLINE_ABI } from '../../assembly/online/layout.js';
import { UnsupportedError } from '../errors.js';
import type { Runtime } from './runtime.js';
import { runtimes } from './start.js';
import online from './wasm/online.js';
import type { Core } from './wasm/online-core.js';

/** Its memory is that of a runtime of the core, and is managed as such. */
export const OnlineRuntime = /* @__PURE__ */ runtimes(online, null, {
  instantiate: async (module) => checked(await WebAssembly.instantiate(module)),
  instantiateSync: (module) => checked(new WebAssembly.Instance(module)),
});

function checked(instance: { exports: object }): { exports: object } {
  if ((instance.exports as Partial<Core>).onlineAbi?.() === ONLINE_ABI) return instance;
  throw new UnsupportedError(
    `module: expected gatewise/online.wasm of this version of gatewise (interface ${ONLINE_ABI})`,
  );
}

/** The kernels of the module. */
export function onlineCore(runtime: Runtime): Core {
  return runtime.core as Runtime['core'] & Core;
}
