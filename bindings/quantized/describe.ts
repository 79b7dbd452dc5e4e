/** Descriptions of quantized layers: how they follow from the options of layers in float32, and what files store. */
import * as check from '../check.js';
import type { EmbeddingOptions } from '../nn/embedding.js';
import type { LinearOptions } from '../nn/linear.js';
import type { RecurrentOptions } from '../nn/recurrent/options.js';

/** The integers of the weights. */
export type Dtype = 'int16' | 'int8';

export const DTYPES = ['int16', 'int8'] as const;

/** Cells that can be quantized, and their gates in the order of their rows in the weights. */
export const GATES = { rnn: ['h'], lstm: ['i', 'f', 'g', 'o'], gru: ['r', 'u', 'n'] } as const;

export type QuantizedCellName = keyof typeof GATES;

export interface RecurrentDescription {
  readonly kind: 'recurrent';
  readonly name: string;
  readonly cell: QuantizedCellName;
  /** I: features of the input. */
  readonly inputSize: number;
  /** H of each layer. */
  readonly hiddenSizes: readonly number[];
  readonly bidirectional: boolean;
  /** Time runs backwards. */
  readonly reverse: boolean;
  readonly bias: boolean;
  /** Largest magnitude of the input; larger ones saturate. */
  readonly range: number;
}

export interface LinearDescription {
  readonly kind: 'linear';
  readonly name: string;
  readonly inputSize: number;
  readonly outputSize: number;
  readonly bias: boolean;
  readonly range: number;
}

export interface EmbeddingDescription {
  readonly kind: 'embedding';
  readonly name: string;
  readonly vocabularySize: number;
  readonly embeddingSize: number;
}

export type Description = RecurrentDescription | LinearDescription | EmbeddingDescription;

/** The options that a layer in float32 was built with. */
export type LayerOptions = RecurrentOptions | LinearOptions | EmbeddingOptions;

/** A tensor of the model in float32; weights become integers with a scale for each row. */
export interface Part {
  readonly name: string;
  readonly shape: readonly number[];
  readonly quantized: boolean;
}

/** Options that act in training only, or only on how parameters are initialized. */
const TRAINING = ['dropout', 'variationalDropout', 'weightDrop', 'initializers', 'forgetBias'];
/** Options of a recurrent layer for which these values alone can be quantized. */
const ONLY: Readonly<Record<string, readonly unknown[]>> = {
  merge: ['concat'],
  initialState: ['zero'],
  zoneoutHidden: [0],
  zoneoutCell: [0],
  layerNorm: [false],
  activation: ['tanh'],
  gateActivation: ['sigmoid'],
  outputActivation: ['tanh'],
  activationClip: [0],
  reset: ['after'],
  projectionSize: [0],
  peepholes: [false],
  coupled: [false],
  cellClip: [0],
  feedback: [true],
};
const RECURRENT = ['cell', 'inputSize', 'hiddenSize', 'numLayers', 'bias', 'bidirectional', 'reverse'];

/** The description of a layer, from the options it was built with. Throws if it cannot be quantized. */
export function describe(name: string, given: LayerOptions, range: () => number): Description {
  const what = `layers.${name}`;
  if (typeof given !== 'object' || given === null) check.fail(what, 'the options that the layer was built with', given);
  if ('cell' in given) return describeRecurrent(what, name, given, range);
  if ('vocabularySize' in given) {
    check.options(what, given, ['vocabularySize', 'embeddingSize', 'paddingToken', 'initializer']);
    const vocabularySize = check.whole(`${what}.vocabularySize`, given.vocabularySize);
    const embeddingSize = check.whole(`${what}.embeddingSize`, given.embeddingSize);
    return { kind: 'embedding', name, vocabularySize, embeddingSize };
  }
  if (!('outputSize' in given)) {
    throw new TypeError(`${what}: expected the options of a recurrent layer, a linear one or an embedding`);
  }
  check.options(what, given, ['inputSize', 'outputSize', 'bias', 'weight', 'initializers']);
  const { bias = true, weight } = given;
  if (weight !== undefined || typeof bias !== 'boolean') {
    throw new RangeError(`${what}.${weight ? 'weight' : 'bias'}: a parameter of another layer cannot be quantized`);
  }
  const inputSize = check.whole(`${what}.inputSize`, given.inputSize);
  const outputSize = check.whole(`${what}.outputSize`, given.outputSize);
  return { kind: 'linear', name, inputSize, outputSize, bias, range: range() };
}

function describeRecurrent(
  what: string,
  name: string,
  given: RecurrentOptions,
  range: () => number,
): RecurrentDescription {
  check.options(what, given, [...RECURRENT, ...Object.keys(ONLY), ...TRAINING]);
  const cell = check.oneOf(`${what}.cell`, given.cell, ['rnn', 'lstm', 'gru']);
  for (const [key, value] of Object.entries(given)) {
    const allowed = ONLY[key];
    if (allowed && value !== undefined && !allowed.includes(value)) {
      throw new RangeError(
        `${what}.${key}: expected ${check.show(allowed[0])}, got ${check.show(value)}, which cannot be quantized`,
      );
    }
  }
  const { bidirectional = false, reverse = false, bias = true, hiddenSize } = given;
  const inputSize = check.whole(`${what}.inputSize`, given.inputSize);
  const list = typeof hiddenSize === 'object' && hiddenSize !== null ? hiddenSize : null;
  const numLayers = check.whole(`${what}.numLayers`, given.numLayers ?? list?.length ?? 1);
  const hiddenSizes = Array.from({ length: numLayers }, (_, l) =>
    check.whole(`${what}.hiddenSize`, list ? list[l] : hiddenSize),
  );
  check.flag(`${what}.bidirectional`, bidirectional);
  check.flag(`${what}.reverse`, reverse);
  check.flag(`${what}.bias`, bias);
  return { kind: 'recurrent', name, cell, inputSize, hiddenSizes, bidirectional, reverse, bias, range: range() };
}

/** One layer in one direction. */
export interface DirectionDescription {
  /** What follows `weight_ih`, `bias_hh` … in the names of its tensors. */
  readonly suffix: string;
  readonly layer: number;
  readonly reverse: boolean;
  readonly I: number;
  readonly H: number;
}

/** Layer by layer, direction by direction. */
export function directionsOf(description: RecurrentDescription): DirectionDescription[] {
  const { hiddenSizes, bidirectional, reverse } = description;
  let I = description.inputSize;
  return hiddenSizes.flatMap((H, layer) => {
    const inputSize = I;
    I = bidirectional ? 2 * H : H;
    const ways = bidirectional ? [false, true] : [reverse];
    return ways.map((back) => ({
      suffix: `_l${layer}${back ? '_reverse' : ''}`,
      layer,
      reverse: back,
      I: inputSize,
      H,
    }));
  });
}

/** The tensors of a layer, under the names of the model in float32. */
export function partsOf(description: Description): Part[] {
  const { name } = description;
  const part = (tensor: string, shape: number[]): Part => ({
    name: `${name}.${tensor}`,
    shape,
    quantized: shape.length === 2,
  });
  if (description.kind === 'embedding') {
    return [part('weight', [description.vocabularySize, description.embeddingSize])];
  }
  if (description.kind === 'linear') {
    const { inputSize, outputSize, bias } = description;
    return [part('weight', [outputSize, inputSize]), ...(bias ? [part('bias', [outputSize])] : [])];
  }
  const G = GATES[description.cell].length;
  return directionsOf(description).flatMap(({ suffix, I, H }) => [
    part(`weight_ih${suffix}`, [G * H, I]),
    part(`weight_hh${suffix}`, [G * H, H]),
    ...(description.bias ? [part(`bias_ih${suffix}`, [G * H]), part(`bias_hh${suffix}`, [G * H])] : []),
  ]);
}

/** Largest integer of a weight. */
export function weightLimit(dtype: Dtype): number {
  return dtype === 'int8' ? 127 : 32767;
}

const INT32 = 2 ** 31 - 1;

/**
 * A: the largest integer of an input of K features, so that inputs within ±range become integers within ±A.
 *
 * int16: since A·Σ|q| may not exceed 2³¹ - 1, a larger A leaves fewer bits for the weights. With A = √(2³³ / K) both add about the same
 * error for inputs with a standard deviation of 0.3·range: an input is rounded to 1/A of the range, a weight to A·Σ|w| / 2³¹. int8: the weights decide the error; A is as large as 127·K·A ≤ 2³¹ - 1 allows, at most 2¹³ - 1.
 */
export function amplitude(dtype: Dtype, K: number): number {
  if (dtype === 'int8') return Math.max(1, Math.min(8191, Math.floor(INT32 / (127 * K))));
  return Math.max(1, Math.min(32767, Math.floor(Math.sqrt(2 ** 33 / K))));
}

/** The largest allowed sum of magnitudes of the integers of a row of K weights: A times it is at most 2³¹ - 1. */
export function mostOf(dtype: Dtype, K: number): number {
  return Math.floor(INT32 / amplitude(dtype, K));
}
