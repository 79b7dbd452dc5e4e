/** Starts cores that infer only: what `gatewise/infer` brings with it. They import nothing, so nothing needs to link them. */
import type { Runtime as Running } from './runtime.js';
import { runtimes } from './start.js';
import infer from './wasm/infer.js';

export const Runtime = /* @__PURE__ */ runtimes(infer, null, {
  instantiate: (module) => WebAssembly.instantiate(module),
  instantiateSync: (module) => new WebAssembly.Instance(module),
});
export type Runtime = Running;
