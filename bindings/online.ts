/**
 * gatewise/online: recurrent networks that learn while they run. Gradients are carried forward in time, so that the past is never
 * needed; on a module of its own.
 *
 * @module gatewise/online
 */

export type { CellName } from './cells/index.js';
export { FormatError, MemoryError, NonFiniteError, UnsupportedError } from './errors.js';
export type { Initializer } from './nn/initializer.js';
export type { RecurrentOptions } from './nn/recurrent/options.js';
export { type Estimate, estimate } from './online/estimate.js';
export { OnlineLearner, type OnlineStep } from './online/learner.js';
export {
  type Method,
  ONLINE_CELLS,
  type OnlineLoss,
  type OnlineOptions,
  type OnlinePlace,
} from './online/options.js';
export type { Bytes, WasmModule } from './platform.js';
export type { OptimizerOptions } from './train/optimizer.js';
