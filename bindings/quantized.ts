/**
 * gatewise/quantized: layers with integers for weights, for inference alone, on a module of their own.
 *
 * @module gatewise/quantized
 */

export type { QuantizedModule } from './core/quantized.js';
export { FormatError, MemoryError, UnsupportedError } from './errors.js';
export type { EmbeddingOptions } from './nn/embedding.js';
export type { Initializer } from './nn/initializer.js';
export type { LinearOptions } from './nn/linear.js';
export type { RecurrentOptions } from './nn/recurrent/options.js';
export type { Bytes, WasmModule } from './platform.js';
export type {
  Dtype,
  EmbeddingDescription,
  LayerOptions,
  LinearDescription,
  QuantizedCellName,
  RecurrentDescription,
} from './quantized/describe.js';
export type { QuantizedTensor, TensorData } from './quantized/file.js';
export type { QuantizedEmbedding, QuantizedLinear } from './quantized/layers.js';
export {
  QuantizedModel,
  type QuantizeOptions,
  type QuantizeSource,
  quantize,
  quantizeSync,
} from './quantized/model.js';
export type { QuantizedRecurrent, QuantizedState } from './quantized/recurrent.js';
