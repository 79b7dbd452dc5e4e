/**
 * gatewise/tasks: models for what people do with sequences, made of the layers of gatewise.
 *
 * @module gatewise/tasks
 */

export { Vocabulary } from '../text/vocabulary.js';
export type { WriteOptions } from './decoding.js';
export type { EpochProgress } from './examples.js';
export {
  type EvaluateForecastOptions,
  type Forecast,
  Forecaster,
  type ForecasterFitOptions,
  type ForecasterOptions,
  type ForecasterReport,
  type ForecastOptions,
} from './forecaster.js';
export type { InputOptions, Sequence, Vectors } from './inputs.js';
export {
  type GenerateOptions,
  LanguageModel,
  type LanguageModelFitOptions,
  type LanguageModelOptions,
  type LanguageModelProgress,
} from './language-model.js';
export type { TaskOptions } from './learner.js';
export { editDistance, spanFigures, spansOf } from './metrics.js';
export {
  Seq2Seq,
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
  type SequenceClassifierOptions,
} from './sequence-classifier.js';
export {
  type Generated,
  type GeneratorExample,
  type GeneratorInput,
  type GeneratorReport,
  SequenceGenerator,
  type SequenceGeneratorOptions,
} from './sequence-generator.js';
export {
  type Labels,
  SequenceTagger,
  type SequenceTaggerOptions,
  type TaggerExample,
  type TaggerReport,
  type TagPrediction,
} from './sequence-tagger.js';
export type { Scaling, Series } from './series.js';
export {
  type TranscribeOptions,
  Transcriber,
  type TranscriberExample,
  type TranscriberOptions,
  type TranscriberReport,
  type Transcript,
} from './transcriber.js';
