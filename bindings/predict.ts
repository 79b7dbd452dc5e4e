/**
 * gatewise/predict: trained models of every task, which predict, stream and generate, without training.
 *
 * @module gatewise/predict
 */
import { hasOwn, list } from './check.js';
import { FormatError } from './errors.js';
import { parseObject, shown } from './files/json.js';
import { readSafetensors } from './files/safetensors.js';
import * as forecaster from './tasks/forecaster.js';
import * as languageModel from './tasks/language-model.js';
import * as seq2seq from './tasks/seq2seq.js';
import * as classifier from './tasks/sequence-classifier.js';
import * as generator from './tasks/sequence-generator.js';
import * as regressor from './tasks/sequence-regressor.js';
import * as tagger from './tasks/sequence-tagger.js';
import type { LoadOptions as All } from './tasks/shared/kind.js';
import type { Classes } from './tasks/shared/tagger-layers.js';
import * as transcriber from './tasks/transcriber.js';

export { FormatError, MemoryError, UnsupportedError } from './errors.js';
export type { Bytes, WasmModule } from './platform.js';
export type { Classes } from './tasks/shared/tagger-layers.js';
export type { Run } from './train/run.js';

/** `module` is `gatewise/predict.wasm` for engines that forbid compiling; `config` and `rename` are for files that gatewise did not write. */
export type LoadOptions = Pick<All, 'module' | 'config' | 'rename'>;

/** What predicts: the members of a task that do not train, evaluate or save. `predict` has no option `workers` here. */
type Kept =
  | 'config'
  | 'dispose'
  | 'generate'
  | 'generateSync'
  | 'predict'
  | 'stream'
  | 'targetVocabulary'
  | 'vocabulary'
  | typeof Symbol.dispose;

/** A model of the task `M` that only predicts. */
export type Predicting<M> = Pick<M, Extract<keyof M, Kept>>;

/** Loads models of one task. */
export interface Loader<M> {
  /**
   * A model from the bytes that `save` of the task returned, with or without what training needs, in float32 or float16.
   *
   * @throws FormatError for a file that is damaged or holds something else; UnsupportedError where there is no WebAssembly SIMD
   */
  load(bytes: Uint8Array | ArrayBuffer, options?: LoadOptions): Promise<M>;
  /** The same, synchronously, for workers, worklets and scripts. */
  loadSync(bytes: Uint8Array | ArrayBuffer, options?: LoadOptions): M;
}

export type LanguageModel = Predicting<languageModel.LanguageModel>;
export const LanguageModel: Loader<LanguageModel> = languageModel.LanguageModel;
export type SequenceClassifier<C extends string = string, M extends boolean = boolean> = Predicting<
  classifier.SequenceClassifier<C, M>
>;
export const SequenceClassifier: Loader<SequenceClassifier> = classifier.SequenceClassifier;
export type SequenceRegressor = Predicting<regressor.SequenceRegressor>;
export const SequenceRegressor: Loader<SequenceRegressor> = regressor.SequenceRegressor;
export type SequenceTagger<
  C extends Classes = Classes,
  K extends boolean = boolean,
  M extends boolean = boolean,
> = Predicting<tagger.SequenceTagger<C, K, M>>;
export const SequenceTagger: Loader<SequenceTagger> = tagger.SequenceTagger;
export type Seq2Seq = Predicting<seq2seq.Seq2Seq>;
export const Seq2Seq: Loader<Seq2Seq> = seq2seq.Seq2Seq;
export type Transcriber = Predicting<transcriber.Transcriber>;
export const Transcriber: Loader<Transcriber> = transcriber.Transcriber;
export type SequenceGenerator = Predicting<generator.SequenceGenerator>;
export const SequenceGenerator: Loader<SequenceGenerator> = generator.SequenceGenerator;
export type Forecaster<T extends string = never> = Predicting<forecaster.Forecaster<T>>;
/** @typeParam T the predicted variables; `never` for one without a name */
export const Forecaster: {
  load<T extends string = never>(bytes: Uint8Array | ArrayBuffer, options?: LoadOptions): Promise<Forecaster<T>>;
  loadSync<T extends string = never>(bytes: Uint8Array | ArrayBuffer, options?: LoadOptions): Forecaster<T>;
} = forecaster.Forecaster;

/** By the names of the tasks in files. */
export interface Models {
  readonly 'language-model': LanguageModel;
  readonly 'sequence-classifier': SequenceClassifier;
  readonly 'sequence-regressor': SequenceRegressor;
  readonly 'sequence-tagger': SequenceTagger;
  readonly seq2seq: Seq2Seq;
  readonly transcriber: Transcriber;
  readonly 'sequence-generator': SequenceGenerator;
  readonly forecaster: Forecaster;
}

const LOADERS: { readonly [K in keyof Models]: Loader<Models[K]> } = {
  'language-model': LanguageModel,
  'sequence-classifier': SequenceClassifier,
  'sequence-regressor': SequenceRegressor,
  'sequence-tagger': SequenceTagger,
  seq2seq: Seq2Seq,
  transcriber: Transcriber,
  'sequence-generator': SequenceGenerator,
  forecaster: {
    load: (bytes, options) => Forecaster.load(bytes, options),
    loadSync: (bytes, options) => Forecaster.loadSync(bytes, options),
  },
};

/** The loader for what a file holds. */
function loaderFor<K extends keyof Models>(bytes: Uint8Array | ArrayBuffer): Loader<Models[K]> {
  const { metadata } = readSafetensors(bytes);
  if (metadata.gatewise === undefined)
    throw new FormatError(
      'the file has no description: it was not saved by gatewise. Load it with the class of its task',
    );
  const about = parseObject("the file's description (metadata, `gatewise`)", metadata.gatewise);
  const { task } = about;
  if (typeof task === 'string' && hasOwn(LOADERS, task)) return LOADERS[task as K];
  throw new FormatError(`the file holds ${shown(task)}; expected a model of ${list(Object.keys(LOADERS))}`);
}

/**
 * A model of any task from the bytes that `save` returned. Where the task is known, `load` of its class brings less code.
 *
 * @typeParam K the name of the task in the file, if it is known
 * @throws FormatError for a file that is damaged or holds something else; UnsupportedError where there is no WebAssembly SIMD
 *
 * @example
 * ```js
 * import { load } from 'gatewise/predict';
 * import { SequenceClassifier } from 'gatewise/tasks';
 *
 * const trained = await SequenceClassifier.create({ vocabulary: 'ab', classes: ['even', 'odd'], hiddenSize: 8, seed: 1 });
 * const bytes = trained.save({ weightsOnly: true });
 *
 * const model = await load(bytes); // with predict, stream and dispose; the same bits as the trained model
 * console.log((await model.predict(['abab']))[0].label);
 * ```
 */
export async function load<K extends keyof Models = keyof Models>(
  bytes: Uint8Array | ArrayBuffer,
  options?: LoadOptions,
): Promise<Models[K]> {
  return loaderFor<K>(bytes).load(bytes, options);
}

/** The same, synchronously, for workers, worklets and scripts. */
export function loadSync<K extends keyof Models = keyof Models>(
  bytes: Uint8Array | ArrayBuffer,
  options?: LoadOptions,
): Models[K] {
  return loaderFor<K>(bytes).loadSync(bytes, options);
}
