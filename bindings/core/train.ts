/** Starts cores that train and infer: what `gatewise` and `gatewise/tasks` bring with them. */
import * as loader from '@assemblyscript/loader';
import type { Runtime as Running } from './runtime.js';
import { runtimes } from './start.js';
import simd from './wasm/simd.js';

export const Runtime = /* @__PURE__ */ runtimes(simd, async () => (await import('./wasm/relaxed.js')).default, {
  async instantiate(module) {
    try {
      // the asynchronous way asks for Response, for which Node loads all of fetch: ten times what the rest of a start takes
      return loader.instantiateSync(module).instance;
    } catch (error) {
      // older Chromes refuse it on the main thread
      if (error instanceof RangeError) return (await loader.instantiate(module)).instance;
      throw error;
    }
  },
  instantiateSync: (module) => loader.instantiateSync(module).instance,
});
export type Runtime = Running;
