/** The parameters of a model of one's own as a safetensors file, by their PyTorch names. */
import { FormatError } from '../errors.js';
import type { Model } from '../nn/model.js';
import { decode, encode, match, type Tensor } from './safetensors.js';

/** @param metadata texts that are stored with the tensors */
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
 * @param options `rename`: new beginnings of names of tensors, say `{ 'lstm.': 'rnn.' }`
 * @returns the file's metadata
 * @throws FormatError for a file that is damaged or holds other parameters
 */
export function loadWeights(
  model: Model<unknown>,
  bytes: Uint8Array | ArrayBuffer,
  { rename = {} }: { rename?: Readonly<Record<string, string>> } = {},
): Record<string, string> {
  const { tensors, metadata } = decode(bytes);
  for (const [name, values] of match(renamed(ownTensors(tensors), rename), model.parameters)) model.set(name, values);
  return metadata;
}

/** Tensors whose names begin differently. @param rename new beginnings by old ones */
export function renamed(
  tensors: ReadonlyMap<string, Tensor>,
  rename: Readonly<Record<string, string>>,
): Map<string, Tensor> {
  const beginnings = Object.entries(rename);
  if (beginnings.length === 0) return new Map(tensors);
  const result = new Map<string, Tensor>();
  for (const [name, tensor] of tensors) {
    const [old, now] = beginnings.find(([beginning]) => name.startsWith(beginning)) ?? ['', ''];
    const key = now + name.slice(old.length);
    if (result.has(key)) throw new FormatError(`${name}: renamed to ${key}, which the file has already`);
    result.set(key, tensor);
  }
  return result;
}

/** Those that are no optimizer's and no state's. */
export function ownTensors(tensors: ReadonlyMap<string, Tensor>): Map<string, Tensor> {
  return new Map([...tensors].filter(([name]) => !/^(optimizer|state)\./.test(name)));
}
