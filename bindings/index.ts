/**
 * gatewise: layers of recurrent networks in WebAssembly SIMD, their losses and their training. The models made of them are in
 * gatewise/tasks, inference alone in gatewise/infer.
 *
 * @module gatewise
 */

export type { ActivationName, ActivationOption, Activations, NumberedActivation } from './cells/activation.js';
export type {
  Applied,
  CellDescription,
  Clash,
  Extra,
  ExtraStart,
  Kept,
  LayerOptions,
  OutputMap,
  Projection,
  Segment,
} from './cells/cell.js';
export { CELL_NAMES, type CellName, cells } from './cells/index.js';
export type { Fields } from './core/block.js';
export type { RuntimeOptions } from './core/start.js';
export { Runtime } from './core/train.js';
export { FormatError, MemoryError, NonFiniteError, UnsupportedError } from './errors.js';
export { readSafetensors, type Tensor, type TensorFile, writeSafetensors } from './files/safetensors.js';
export { loadState, saveState } from './files/state.js';
export { loadWeights, saveWeights } from './files/weights.js';
export { type GradientCheck, gradcheck } from './gradcheck.js';
export { Attention, type AttentionMemory, type AttentionOptions } from './nn/attention.js';
export { Builder, Parameter } from './nn/builder.js';
export { Crf, type CrfDecoded, type CrfLossOptions, type CrfOptions, type CrfReduction } from './nn/crf.js';
export {
  type BeamSearchOptions,
  type BestPathOptions,
  type CtcOptions,
  ctcBeamSearch,
  ctcBestPath,
  ctcLoss,
  type Labelling,
} from './nn/ctc.js';
export { dropout } from './nn/dropout.js';
export { Embedding, type EmbeddingOptions } from './nn/embedding.js';
export type { Initializer, Start } from './nn/initializer.js';
export { gradientOf, input, read, type Shape } from './nn/input.js';
export { Linear, type LinearOptions } from './nn/linear.js';
export {
  bceWithLogitsLoss,
  type CrossEntropyOptions,
  crossEntropyLoss,
  dotLoss,
  type ElementLoss,
  huberLoss,
  type LossOptions,
  l1Loss,
  mseLoss,
  quantileLoss,
  type Reduced,
  type Reduction,
  smoothL1Loss,
} from './nn/losses.js';
export { MLP, type MLPOptions } from './nn/mlp.js';
export { Model } from './nn/model.js';
export { LayerNorm, type LayerNormOptions } from './nn/norm.js';
export { AttentionPool, type AttentionPoolOptions, lastPool, maxPool, meanPool } from './nn/pool.js';
export { argmaxRows, type SamplingOptions, sampleBits, sampleRows, softmaxRows, topKRows } from './nn/predict.js';
export type { Stack } from './nn/recurrent/call.js';
export type { RecurrentOptions } from './nn/recurrent/options.js';
export { inspect, Recurrent, type Trace } from './nn/recurrent/recurrent.js';
export { State, type StateRows } from './nn/recurrent/state.js';
export { activation, add, concat, expand, select, slice } from './nn/rows.js';
export type { Bytes, WasmModule } from './platform.js';
export type { Random, Stream as RandomStream } from './random.js';
export type { Gradient, Lengths, Loss, Minimised, Observer, Rows, Seen, Tape, Unique } from './tape.js';
export { type Batch, type FitOptions, type Progress, train } from './train/fit.js';
export { Optimizer, type OptimizerOptions, type OptimizerSettings } from './train/optimizer.js';
export type { Run, Work } from './train/run.js';
export { Schedule, type ScheduleOptions } from './train/schedule.js';
