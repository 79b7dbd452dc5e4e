/**
 * gatewise: recurrent networks in WebAssembly SIMD.
 *
 * @module
 */

export { CELL_NAMES, type CellName, cells } from './cells/index.js';
export { Runtime, type RuntimeOptions } from './core/runtime.js';
export { FormatError, MemoryError, NonFiniteError, UnsupportedError } from './errors.js';
export { Crf, type CrfDecoded, type CrfLossOptions } from './nn/crf.js';
export { type BeamSearchOptions, type CtcOptions, ctc, ctcBeamSearch, ctcBestPath, type Labelling } from './nn/ctc.js';
export { dropout } from './nn/dropout.js';
export { Embedding } from './nn/embedding.js';
export type { Initializer } from './nn/initializer.js';
export { input, read } from './nn/input.js';
export { Linear } from './nn/linear.js';
export { crossEntropy } from './nn/losses.js';
export { Builder, Model, Parameter } from './nn/model.js';
export { Recurrent, type RecurrentOptions, State, type StateRows, type Trace } from './nn/recurrent.js';
export type { Loss, Rows, Tape } from './tape.js';
export {
  type GenerateOptions,
  LanguageModel,
  type LanguageModelFitOptions,
  type LanguageModelOptions,
  type LanguageModelProgress,
} from './tasks/language-model.js';
export { Vocabulary } from './text/vocabulary.js';
export { type FitOptions, type Progress, train } from './train/fit.js';
export { Optimizer, type OptimizerOptions } from './train/optimizer.js';
export type { Run } from './train/run.js';
