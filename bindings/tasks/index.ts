/**
 * gatewise/tasks: models for what people do with sequences, made of the layers of gatewise.
 *
 * @module gatewise/tasks
 */

export { Vocabulary, type VocabularyOptions } from '../text/vocabulary.js';
export type { CheckpointOptions } from '../train/fit.js';
export type { Run } from '../train/run.js';
export {
  type ByVariable,
  type EvaluateForecastOptions,
  Forecaster,
  type ForecasterConfig,
  type ForecasterFitOptions,
  type ForecasterOptions,
  type ForecasterReport,
  type ForecastOptions,
} from './forecaster.js';
export {
  type GenerateOptions,
  LanguageModel,
  type LanguageModelConfig,
  type LanguageModelFitOptions,
  type LanguageModelOptions,
  type LanguageModelProgress,
  type LanguageModelReport,
  type NextToken,
} from './language-model.js';

export {
  Seq2Seq,
  type Seq2SeqConfig,
  type Seq2SeqExample,
  type Seq2SeqFitOptions,
  type Seq2SeqOptions,
  type Seq2SeqReport,
  type Translation,
} from './seq2seq.js';
export {
  type ClassifierExample,
  type ClassifierFitOptions,
  type ClassifierReport,
  type ClassPrediction,
  SequenceClassifier,
  type SequenceClassifierConfig,
  type SequenceClassifierOptions,
} from './sequence-classifier.js';
export {
  type BitsReport,
  type Generated,
  type GeneratedFrames,
  type GeneratedVectors,
  type GeneratorExample,
  type GeneratorInput,
  type GeneratorReport,
  SequenceGenerator,
  type SequenceGeneratorConfig,
  type SequenceGeneratorOptions,
  type TokensReport,
  type VectorsReport,
} from './sequence-generator.js';
export {
  type NumberPrediction,
  type RegressorExample,
  type RegressorReport,
  SequenceRegressor,
  type SequenceRegressorConfig,
  type SequenceRegressorOptions,
} from './sequence-regressor.js';
export {
  type Classes,
  type Labels,
  SequenceTagger,
  type SequenceTaggerConfig,
  type SequenceTaggerOptions,
  type TaggerExample,
  type TaggerReport,
  type TagMetrics,
  type TagPrediction,
} from './sequence-tagger.js';
export type { BatchOptions, BatchProgress, EpochOptions, EpochProgress } from './shared/batches.js';
export type { GeneratorTarget } from './shared/conditional-decoder.js';
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
export type { Forecast, ForecastErrors, ForecastMetrics } from './shared/forecast-metrics.js';
export type { FeatureOptions, InputOptions, Sequence, Vectors } from './shared/inputs.js';
export { type ClassMetrics, editDistance, type Span, spanMetrics, spansOf } from './shared/metrics.js';
export type { PooledOptions } from './shared/pooled.js';
export type { Scaling, Series } from './shared/series.js';
export type { OneWayOptions, StackOptions } from './shared/stack.js';
export { Stream } from './shared/stream.js';
export type { LayerSummary, Summary } from './shared/summary.js';
export { type LoadOptions, type SaveOptions, Task, type TaskOptions } from './shared/task.js';
export {
  type TranscribeOptions,
  Transcriber,
  type TranscriberConfig,
  type TranscriberExample,
  type TranscriberOptions,
  type TranscriberReport,
  type Transcript,
} from './transcriber.js';
