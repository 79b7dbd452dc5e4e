/**
 * gatewise/import/onnx: models of ONNX. A chain of layers becomes a `Network`; a single RNN, LSTM or GRU node a layer.
 *
 * @module
 */
import * as check from '../check.js';
import { FormatError, Model, type Runtime } from '../index.js';
import { sizeOf, type Tensor } from './files.js';
import { createNetwork, type Network } from './network.js';
import { Lifter } from './onnx-lift.js';
import { operators } from './onnx-operators.js';
import { type Constant, readOnnx } from './onnx-proto.js';
import { INPUTS, OnnxRecurrent, OPERATORS, recurrentParts } from './onnx-recurrent.js';

export type { Conv1dOptions } from '../functions.js';
export type { Builder, Model, Recurrent, RecurrentOptions, Rows, Runtime, State, StateRows, Tape } from '../index.js';
export type { Tensor } from './files.js';
export {
  type LayerDescription,
  loadNetwork,
  Network,
  type NetworkDescription,
  type NetworkShape,
  saveNetwork,
} from './network.js';
export {
  type Attribute,
  type Constant,
  type OnnxGraph,
  type OnnxNode,
  type OnnxValue,
  readOnnx,
  readOnnxTensor,
} from './onnx-proto.js';
export { type OnnxInputs, OnnxRecurrent, type RecurrentParts } from './onnx-recurrent.js';

/**
 * Reads a graph that is a chain of layers: an embedding or features, recurrent nodes, linear layers, activations, layer
 * normalisation, pooling over time. What exporters compute around them (shapes, zero states, moved axes) is folded.
 *
 * Needs the package `pbf`.
 *
 * @param options `seed`: of random numbers, default 0
 * @returns a model whose `layers` is a `Network`: inputs and outputs have the axes of the graph's. Initial states that are inputs
 *   of the graph are the network's states
 * @throws UnsupportedError that names the node that does not fit
 * @throws FormatError for a file that is damaged or holds something else
 *
 * @example
 * ```js
 * import { readFileSync } from 'node:fs';
 * import { Runtime } from 'gatewise';
 * import { loadOnnx } from 'gatewise/import/onnx';
 *
 * const model = await loadOnnx(await Runtime.create(), readFileSync('onnx-stateful-dynamo.onnx'));
 * const logits = model.layers.predict([3, 1, 4], { T: 3, B: 1 });
 * console.log(logits.length); // 21
 * ```
 */
export async function loadOnnx(
  runtime: Runtime,
  bytes: Uint8Array | ArrayBuffer,
  options: { seed?: number } = {},
): Promise<Model<Network>> {
  check.options('loadOnnx', options, ['seed']);
  const { description, weights } = new Lifter(await readOnnx(bytes), operators).lift();
  return createNetwork(runtime, description, weights, options.seed ?? 0);
}

export interface NodeOptions {
  /** Name of the node; default: the only recurrent one. */
  node?: string | undefined;
  /** Weights that are inputs of the graph, by their names. */
  tensors?: ReadonlyMap<string, Tensor> | undefined;
  /** Of random numbers, default 0. */
  seed?: number | undefined;
}

/**
 * Reads one RNN, LSTM or GRU node of a graph as a layer.
 *
 * Needs the package `pbf`.
 *
 * @returns a model whose `layers` is an `OnnxRecurrent`
 * @throws UnsupportedError that names the node and the attribute that gatewise lacks
 * @throws FormatError for a file that is damaged or holds something else
 *
 * @example
 * ```js
 * import { readFileSync } from 'node:fs';
 * import { Runtime } from 'gatewise';
 * import { loadOnnxNode } from 'gatewise/import/onnx';
 *
 * const bytes = readFileSync('onnx-gru-relu.onnx');
 * const model = await loadOnnxNode(await Runtime.create(), bytes, { node: 'gru-relu' });
 * const { Y, Y_h } = model.layers.run({ X: new Float32Array(8), T: 4, B: 1 });
 * console.log(Y.length, Y_h.length); // 24 6
 * ```
 */
export async function loadOnnxNode(
  runtime: Runtime,
  bytes: Uint8Array | ArrayBuffer,
  options: NodeOptions = {},
): Promise<Model<OnnxRecurrent>> {
  check.options('loadOnnxNode', options, ['node', 'tensors', 'seed']);
  const { node: wanted, tensors } = options;
  if (wanted !== undefined) check.text('node', wanted);
  if (tensors !== undefined) check.made('tensors', tensors, 'get', 'a Map of tensors by name', 'size');
  const { nodes, constants } = await readOnnx(bytes);
  const found = nodes.filter(({ op, name }) => OPERATORS.includes(op) && (wanted ?? name) === name);
  const [node] = found;
  if (found.length !== 1) {
    const names = nodes.filter(({ op }) => OPERATORS.includes(op)).map(({ name }) => name);
    throw new RangeError(
      `node: expected the name of a recurrent node of the graph: ${check.list(names, 20) || 'it has no such node'}`,
    );
  }
  const constant = (name: string): Constant | undefined => {
    const given = tensors?.get(name);
    if (!given) return constants.get(name);
    if (!Array.isArray(given.shape) || !check.isFloats(given.data)) check.fail('tensors', '{ shape, data }', given);
    if (given.data.length !== sizeOf(given.shape)) {
      throw new FormatError(`tensors: '${name}' has ${given.data.length} numbers, expected ${sizeOf(given.shape)}`);
    }
    return { kind: 'const', shape: given.shape, data: given.data };
  };
  const parts = recurrentParts(node, constant);
  const numbers = (name: 'sequence_lens' | 'initial_h' | 'initial_c') =>
    constant(node.inputs[INPUTS[name]] ?? '')?.data;
  const [sequence_lens, initial_h, initial_c] = [numbers('sequence_lens'), numbers('initial_h'), numbers('initial_c')];
  const given = { sequence_lens, initial_h, initial_c };
  const model = new Model(runtime, options.seed ?? 0, (b) => new OnnxRecurrent(b, node.name, parts, given), false);
  for (const [name, values] of parts.weights) model.set(`${node.name}.${name}`, values);
  return model;
}
