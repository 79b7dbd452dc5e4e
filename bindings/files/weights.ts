/** The parameters of a model of one's own as a safetensors file, by their PyTorch names. */
import * as check from '../check.js';
import { FormatError } from '../errors.js';
import type { Model } from '../nn/model.js';
import { optional, readOptions, recordOf } from '../options.js';
import { match, readSafetensors, type Tensor, writeSafetensors } from './safetensors.js';

/**
 * Writes the parameters of a model.
 *
 * @param metadata texts by name that are kept in the file, default none
 * @throws TypeError for metadata that are not strings; RangeError for a parameter with a number that is not finite
 *
 * @example
 * ```js
 * import { Linear, loadWeights, Model, Runtime, saveWeights } from 'gatewise';
 *
 * const build = (b) => new Linear(b, 'line', { inputSize: 1, outputSize: 1 });
 * const runtime = await Runtime.create();
 * const bytes = saveWeights(new Model(runtime, 1, build), { epoch: '5' });
 * console.log(loadWeights(new Model(runtime, 2, build), bytes).epoch); // 5
 * ```
 */
export function saveWeights(
  model: Model<unknown>,
  metadata: Readonly<Record<string, string>> = {},
): Uint8Array<ArrayBuffer> {
  check.model(model);
  return writeSafetensors(weightsOf(model), metadata);
}

/** A copy of every parameter. */
export function weightsOf({ runtime, parameters }: Model<unknown>): Map<string, Tensor> {
  return new Map(parameters.map(({ name, shape, at, size }) => [name, { shape, data: runtime.read(at, size) }]));
}

const LOAD = { rename: optional(recordOf(check.text, 'new names by old ones')) };

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
  options: { rename?: Readonly<Record<string, string>> } = {},
): Record<string, string> {
  check.model(model);
  const { rename = {} } = readOptions('loadWeights', LOAD, options);
  const { tensors, metadata } = readSafetensors(bytes);
  const { parameters } = model;
  const known = new Set(parameters.map(({ name }) => name));
  const own = metadata.gatewise === undefined ? tensors : ownTensors(tensors, known);
  for (const [name, values] of match(renamed(own, rename), parameters)) model.set(name, values);
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

/** The tensors in the file of a task but those of its training, which are `optimizer.`, `state.` and `best.` and no known parameters. */
export function ownTensors(tensors: ReadonlyMap<string, Tensor>, known: ReadonlySet<string>): Map<string, Tensor> {
  return new Map([...tensors].filter(([name]) => known.has(name) || !/^(optimizer|state|best)\./.test(name)));
}
