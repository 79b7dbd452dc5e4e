/** Starts cores that train and infer: what `gatewise` and `gatewise/tasks` bring with them. */
import * as loader from '@assemblyscript/loader';
import { type Runtime as Running, runtimes } from './runtime.js';
import simd from './wasm/simd.js';

export const Runtime = /* @__PURE__ */ runtimes(simd, async () => (await import('./wasm/relaxed.js')).default, {
  instantiate: async (module) => (await loader.instantiate(module)).instance,
  instantiateSync: (module) => loader.instantiateSync(module).instance,
});
export type Runtime = Running;
