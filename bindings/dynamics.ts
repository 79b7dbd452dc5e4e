/**
 * gatewise/dynamics: how gradients flow through time, as numbers and as pictures.
 *
 * @module gatewise/dynamics
 */

export {
  type Flow,
  type FlowOptions,
  gradientFlow,
  type LayerFlow,
  type StateNorms,
  type Trainable,
  type UpdateRatio,
} from './dynamics/flow.js';
export { flowMap, type HeatMapOptions, type HeatRow, heatMap, lagMap } from './dynamics/heat-map.js';
export type { Saturation } from './dynamics/observe.js';
export type { Loss, Minimised, Model, Optimizer, Rows, Tape } from './index.js';
