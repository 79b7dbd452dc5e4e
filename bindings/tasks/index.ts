/**
 * gatewise/tasks: models for what people do with sequences, made of the layers of gatewise.
 *
 * @module gatewise/tasks
 */

export type { Runtime } from '../core/train.js';
export type { Model } from '../nn/model.js';
export type { Bytes, WasmModule } from '../platform.js';
export type { Tape } from '../tape.js';
export { Vocabulary, type VocabularyOptions, type WordOptions, words } from '../text/vocabulary.js';
export type { Batch, FitOptions, Progress } from '../train/fit.js';
export type { FitHistory } from '../train/history.js';
export type { Optimizer, OptimizerOptions } from '../train/optimizer.js';
export type { Run } from '../train/run.js';
export type { Workers, WorkersUsed } from '../train/shards.js';
export type { CheckpointOptions, TaskFitOptions, TaskProgress } from '../train/task-fit.js';
export type { Validation, ValidationOptions } from '../train/validation.js';
export type { Warning } from '../train/warnings.js';
export * from './backtest.js';
export * from './forecaster.js';
export * from './language-model.js';

export * from './seq2seq.js';
export * from './sequence-classifier.js';
export * from './sequence-generator.js';
export * from './sequence-regressor.js';
export * from './sequence-tagger.js';
export type { BatchOptions, BatchProgress, EpochOptions, EpochProgress } from './shared/batches.js';
export type { GeneratorTarget } from './shared/conditional-decoder.js';
export type { CalendarPart, DateLike, DateStep, Dates } from './shared/dates.js';
export type {
  BeamWriting,
  EvaluateWritingOptions,
  GenerateSequenceOptions,
  Hypothesis,
  WriteOptions,
  Writing,
  Written,
} from './shared/decoding.js';
export type { AttentionScore, Sources } from './shared/encoder-decoder.js';
export type { Examples } from './shared/flow.js';
export type { BaselineName } from './shared/forecast-baselines.js';
export type { ForecasterConfig } from './shared/forecast-layers.js';
export type {
  BaselineMetrics,
  ComparedMetrics,
  Forecast,
  ForecastErrors,
  ForecastMetrics,
} from './shared/forecast-metrics.js';
export type {
  CalibrateOptions,
  EvaluateForecastOptions,
  ForecasterFitOptions,
  ForecastOptions,
  ForecastStreamOptions,
} from './shared/forecast-options.js';
export type { ByVariable, ComparedSeries, ForecasterReport, SeriesReport } from './shared/forecast-reports.js';
export type { SeriesInput, Step, TimeSeries } from './shared/forecast-series.js';
export type { StepValues, TimeStep } from './shared/forecast-stream.js';
export type {
  BitsReport,
  ByTarget,
  Conditioned,
  Generated,
  GeneratedFrames,
  GeneratedVectors,
  GenerateManyOptions,
  GeneratorExample,
  GeneratorInput,
  GeneratorReport,
  GeneratorSequence,
  NextFrame,
  NextOfTokens,
  NextStep,
  NextVector,
  SequenceGeneratorConfig,
  SequenceGeneratorOptions,
  TokensReport,
  VectorsReport,
  WithInputs,
  WrittenPart,
} from './shared/generator-types.js';
export type { FeatureOptions, InputOptions, Sequence, Vectors } from './shared/inputs.js';
export type { LanguageModelConfig, NextToken } from './shared/language-layers.js';
export { type ClassMetrics, editDistance, type Span, spanMetrics, spansOf } from './shared/metrics.js';
export type { PooledOptions } from './shared/pooled.js';
export type { Scaling, Series } from './shared/series.js';
export type { OneWayOptions, StackOptions } from './shared/stack.js';
export { Stream } from './shared/stream.js';
export type { LayerSummary, Summary } from './shared/summary.js';
export type { Classes } from './shared/tagger-layers.js';
export { type LoadOptions, type SaveOptions, Task, type TaskOptions } from './shared/task.js';
export * from './transcriber.js';
