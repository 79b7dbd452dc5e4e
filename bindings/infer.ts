/**
 * gatewise/infer: layers that run trained weights, on a smaller module without training.
 *
 * @module gatewise/infer
 */

export type { ActivationName, ActivationOption, Activations, NumberedActivation } from './cells/activation.js';
export { CELL_NAMES, type CellName } from './cells/index.js';
export { Runtime } from './core/infer.js';
export type { RuntimeOptions } from './core/start.js';
export { FormatError, MemoryError, UnsupportedError } from './errors.js';
export { loadWeights } from './files/weights.js';
export { Attention, type AttentionMemory, type AttentionOptions } from './nn/attention.js';
export type { Builder, Parameter } from './nn/builder.js';
export { Embedding, type EmbeddingOptions } from './nn/embedding.js';
export type { Initializer, Start } from './nn/initializer.js';
export { input, read, type Shape } from './nn/input.js';
export { Linear, type LinearOptions } from './nn/linear.js';
export { MLP, type MLPOptions } from './nn/mlp.js';
export { Model } from './nn/model.js';
export { LayerNorm, type LayerNormOptions } from './nn/norm.js';
export { AttentionPool, type AttentionPoolOptions, lastPool, maxPool, meanPool } from './nn/pool.js';
export { argmaxRows, type SamplingOptions, sampleRows, softmaxRows, topKRows } from './nn/predict.js';
export type { Stack } from './nn/recurrent/call.js';
export type { RecurrentOptions } from './nn/recurrent/options.js';
export { Recurrent } from './nn/recurrent/recurrent.js';
export { State, type StateRows } from './nn/recurrent/state.js';
export { activation, add, concat, expand, slice } from './nn/rows.js';
export type { Bytes, WasmModule } from './platform.js';
export type { Random, Stream as RandomStream } from './random.js';
export type { Lengths, Loss, Minimised, Rows, Tape, Unique } from './tape.js';
