/** Starts cores that run all tasks and train none: what `gatewise/predict` brings with it. */
import type { Runtime as Running } from './runtime.js';
import { runtimes } from './start.js';
import predict from './wasm/predict.js';

export const Runtime = /* @__PURE__ */ runtimes(predict, null, {
  instantiate: (module) => WebAssembly.instantiate(module),
  instantiateSync: (module) => new WebAssembly.Instance(module),
});
export type Runtime = Running;
