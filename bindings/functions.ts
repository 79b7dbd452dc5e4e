/**
 * gatewise/functions: functions of rows, for models of your own. It needs `gatewise`, whose rows it works on.
 *
 * @module gatewise/functions
 */

export { linkFunctions } from './core/functions.js';
export type { Runtime } from './core/train.js';
export type { Builder, Parameter } from './nn/builder.js';
export { Conv1d, type Conv1dOptions } from './nn/conv.js';
export type { Embedding, EmbeddingOptions } from './nn/embedding.js';
export * from './nn/functions.js';
export type { Initializer } from './nn/initializer.js';
export type { Shape } from './nn/input.js';
export * from './nn/own.js';
export type { State } from './nn/recurrent/state.js';
export { RecursiveLeastSquares, type RecursiveOptions } from './nn/recursive.js';
export { type Link, Sequential, type Stateful, type Tokens } from './nn/sequential.js';
export { LeastSquares } from './nn/solve.js';
export type { Bytes, WasmModule } from './platform.js';
export type { Loss, Rows, Tape } from './tape.js';
