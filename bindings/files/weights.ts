/** The parameters of a model of one's own as a safetensors file, by their PyTorch names. */
import type { Model } from '../nn/model.js';
import { decode, encode, match, type Tensor } from './safetensors.js';

/** @param metadata texts that are kept beside the tensors */
export function saveWeights(
  model: Model<unknown>,
  metadata: Readonly<Record<string, string>> = {},
): Uint8Array<ArrayBuffer> {
  return encode(weightsOf(model), metadata);
}

/** A copy of every parameter. */
export function weightsOf({ runtime, parameters }: Model<unknown>): Map<string, Tensor> {
  return new Map(parameters.map(({ name, shape, at, size }) => [name, { shape, data: runtime.read(at, size) }]));
}

/**
 * Overwrites all parameters, or none where something is missing or of another shape. What a file of a task holds of its training
 * is left aside.
 *
 * @returns the file's metadata
 * @throws FormatError for a file that is damaged or holds other parameters
 */
export function loadWeights(model: Model<unknown>, bytes: Uint8Array | ArrayBuffer): Record<string, string> {
  const { tensors, metadata } = decode(bytes);
  for (const [name, values] of match(ownTensors(tensors), model.parameters)) model.set(name, values);
  return metadata;
}

/** Those that are no optimizer's and no state's. */
export function ownTensors(tensors: ReadonlyMap<string, Tensor>): Map<string, Tensor> {
  return new Map([...tensors].filter(([name]) => !/^(optimizer|state)\./.test(name)));
}
