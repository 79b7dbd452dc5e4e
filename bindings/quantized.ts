/** Quantized models: layers with integers for weights, for inference alone. Everything here runs on a module of its own. */
export type { QuantizedModule } from './core/quantized.js';
export { FormatError, MemoryError, UnsupportedError } from './errors.js';
export type {
  Dtype,
  EmbeddingDescription,
  LayerOptions,
  LinearDescription,
  QuantizedCellName,
  RecurrentDescription,
} from './quantized/describe.js';
export type { QuantizedEmbedding, QuantizedLinear } from './quantized/layers.js';
export {
  QuantizedModel,
  type QuantizeOptions,
  type QuantizeSource,
  quantize,
  quantizeSync,
} from './quantized/model.js';
export type { QuantizedRecurrent, QuantizedState } from './quantized/recurrent.js';
