/**
 * gatewise/reservoir: echo state networks, whose recurrent weights are drawn once and never trained.
 *
 * @module gatewise/reservoir
 */

export type { Runtime } from './index.js';
export { EchoStateNetwork, type EchoStateOptions, type Fitted, type Series } from './reservoir/echo-state.js';
