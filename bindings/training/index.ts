/**
 * gatewise/training: what training a model of your own needs beyond `train`: batches, padding, checkpoints. Tasks use the same.
 *
 * @module gatewise/training
 */

export type { Runtime } from '../core/train.js';
export type { Builder, Parameter } from '../nn/builder.js';
export type { Shape } from '../nn/input.js';
export type { Model } from '../nn/model.js';
export type { State } from '../nn/recurrent/state.js';
export type { Random, Stream as RandomStream } from '../random.js';
export type { Minimised, Tape } from '../tape.js';
export type { ExamplePosition } from '../tasks/shared/batches.js';
export type { Optimizer, OptimizerOptions, OptimizerSettings } from '../train/optimizer.js';
export type { Schedule, ScheduleOptions } from '../train/schedule.js';
export { Batches, type BatchesOptions, bucket, padTokens, padVectors } from './batches.js';
export { loadTraining, saveTraining, type TrainingState } from './resume.js';
