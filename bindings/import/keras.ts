/**
 * gatewise/import/keras: models saved by Keras (`.keras`, `.h5`) and by TensorFlow.js (`model.json`), a chain of layers each.
 *
 * @module
 */
import * as check from '../check.js';
import { type ActivationOption, FormatError, type Model, type Runtime, UnsupportedError } from '../index.js';
import { type Dtype, floats } from './dtypes.js';
import { bytesOf, guarded, isRecord, isZip, library, parseJson, sizeOf, type Tensor, unzip } from './files.js';
import { convert, type KerasLayer, weightPaths } from './keras-layers.js';
import { createNetwork, type Network } from './network.js';

export type { Conv1dOptions } from '../functions.js';
export type { Builder, Model, Recurrent, RecurrentOptions, Rows, Runtime, State, Tape } from '../index.js';
export {
  type LayerDescription,
  loadNetwork,
  Network,
  type NetworkDescription,
  type NetworkShape,
  saveNetwork,
} from './network.js';

export interface ImportOptions {
  /** Of the random numbers of dropout, default 0. */
  seed?: number | undefined;
  /** Whether the layers' rates of dropout are taken over, default true. They matter in training only. */
  dropout?: boolean | undefined;
}

/** Layers of a chain, the shape of its input, and the weights of layer number `index`. */
interface Source {
  readonly layers: readonly KerasLayer[];
  readonly inputShape: readonly unknown[] | undefined;
  readonly weightsOf: (index: number) => readonly Tensor[];
  /** The version of Keras that wrote it. */
  readonly version: unknown;
}

/** x/6 + 0.5 within [0, 1] since Keras 3, 0.2x + 0.5 before it and in TensorFlow.js. */
function hardSigmoidOf(version: unknown): ActivationOption | undefined {
  if (typeof version !== 'string') return undefined;
  return /^[012]\./.test(version) ? { kind: 'hardSigmoid', alpha: 0.2 } : 'hardSigmoid';
}

function build(runtime: Runtime, source: Source, options: ImportOptions): Model<Network> {
  const { seed = 0, dropout = true } = options;
  const settings = { dropout, hardSigmoid: hardSigmoidOf(source.version) };
  const { description, weights } = convert(source.layers, source.inputShape, source.weightsOf, settings);
  return createNetwork(runtime, description, weights, seed);
}

function checkOptions(name: string, options: ImportOptions): void {
  check.options(name, options, ['seed', 'dropout']);
  check.whole('seed', options.seed ?? 0, 0, Number.MAX_SAFE_INTEGER);
  check.flag('dropout', options.dropout ?? true);
}

/**
 * Reads a model that Keras saved, `.keras` or `.h5`. Optimizers, regularizers and constraints are not taken over.
 *
 * Needs the packages `fflate` (`.keras`) and `jsfive`.
 *
 * @returns a model whose `layers` is a `Network`: inputs [B,T] or [B,T,F] as in Keras
 * @throws UnsupportedError that names the layer and the option that gatewise lacks
 * @throws FormatError for a file that is damaged or holds something else
 *
 * @example
 * ```js
 * import { readFileSync } from 'node:fs';
 * import { Runtime } from 'gatewise';
 * import { loadKeras } from 'gatewise/import/keras';
 *
 * const model = await loadKeras(await Runtime.create(), readFileSync('keras-tagger.keras'));
 * const probabilities = model.layers.predict([1, 4, 2], { T: 3, B: 1 });
 * console.log(probabilities.length); // 15
 * ```
 */
export async function loadKeras(
  runtime: Runtime,
  bytes: Uint8Array | ArrayBuffer,
  options: ImportOptions = {},
): Promise<Model<Network>> {
  checkOptions('loadKeras', options);
  const file = bytesOf(bytes);
  return build(runtime, isZip(file) ? await readKeras(file) : await readH5(file), options);
}

/**
 * Reads a model that TensorFlow.js saved, or its converter wrote.
 *
 * @param topology the text of `model.json`
 * @param read gives the bytes of a file of weights, by its path in `model.json`
 * @returns as `loadKeras`
 * @throws as `loadKeras`
 *
 * @example
 * ```js
 * import { readFileSync } from 'node:fs';
 * import { Runtime } from 'gatewise';
 * import { loadTfjs } from 'gatewise/import/keras';
 *
 * const read = (path) => readFileSync(path); // in a page: (await fetch(path)).arrayBuffer()
 * const model = await loadTfjs(await Runtime.create(), readFileSync('tfjs-gru.json', 'utf8'), read);
 * console.log(model.layers.recurrent.length); // 2
 * ```
 */
export async function loadTfjs(
  runtime: Runtime,
  topology: string,
  read: (path: string) => Uint8Array | ArrayBuffer | Promise<Uint8Array | ArrayBuffer>,
  options: ImportOptions = {},
): Promise<Model<Network>> {
  checkOptions('loadTfjs', options);
  check.text('topology', topology);
  if (typeof read !== 'function') check.fail('read', 'a function that gives the bytes of a path', read);
  return build(runtime, await readTfjs(topology, read), options);
}

// --- the chain of layers in a configuration ---

type Json = Readonly<Record<string, unknown>>;

function chainOf(model: unknown): Pick<Source, 'layers' | 'inputShape'> {
  if (!isRecord(model) || typeof model.class_name !== 'string') throw new FormatError('the file describes no model');
  const { class_name: kind, config } = model;
  // the first versions wrote the list of layers alone
  const inner = Array.isArray(config) ? { layers: config } : config;
  if (!isRecord(inner) || !Array.isArray(inner.layers)) throw new FormatError('the model of the file has no layers');
  const entries = inner.layers.map((entry: unknown): Json & KerasLayer => {
    if (!isRecord(entry) || typeof entry.class_name !== 'string' || !isRecord(entry.config)) {
      throw new FormatError('a layer of the model has no class or no configuration');
    }
    return { ...entry, className: entry.class_name, config: entry.config };
  });
  if (kind === 'Functional' || kind === 'Model') checkChain(entries, inner);
  else if (kind !== 'Sequential')
    throw new UnsupportedError(`a model of class ${kind} is not supported; Sequential and Functional are`);
  const [first] = entries;
  const shape = first?.config.batch_shape ?? first?.config.batch_input_shape;
  const built = isRecord(inner.build_input_shape) ? undefined : inner.build_input_shape;
  const inputShape = Array.isArray(shape) ? shape : Array.isArray(built) ? built : undefined;
  return { layers: entries, inputShape };
}

/** How Keras 3 writes the masks of Embedding and Masking into functional models: the layers make them again. */
const MASKS = ['NotEqual', 'Any'];

/** The layer that an argument of a call comes from. */
function historyOf(argument: unknown): string[] {
  const history = isRecord(argument) && isRecord(argument.config) ? argument.config.keras_history : argument;
  if (!Array.isArray(history)) return [];
  return typeof history[0] === 'string' ? [history[0]] : history.flatMap(historyOf);
}

/** What a layer of a functional model reads, in the formats of Keras 2 and 3: layers, and layers by the names of options. */
function inboundOf(
  name: string,
  nodes: unknown,
): { inbound: string[]; options: [string, string][]; values: unknown[] } {
  const list = Array.isArray(nodes) ? nodes : [];
  if (list.length > 1) {
    throw new UnsupportedError(`layer '${name}': is used ${list.length} times; a chain of layers is supported`);
  }
  const [node] = list;
  const args: unknown[] = isRecord(node)
    ? Array.isArray(node.args)
      ? node.args
      : []
    : Array.isArray(node)
      ? node
      : [];
  // Keras 2 has the options of the call in each argument
  const calls = isRecord(node) ? [node.kwargs] : args.map((argument) => (Array.isArray(argument) ? argument[3] : null));
  const options = calls
    .flatMap((call) => Object.entries(isRecord(call) ? call : {}))
    .flatMap(([option, value]) => historyOf(value).map((from): [string, string] => [option, from]));
  return { inbound: args.flatMap(historyOf), options, values: args };
}

/** That each layer of a functional model reads the one before it, and the last one is the output. */
function checkChain(layers: readonly (Json & KerasLayer)[], model: Json): void {
  const nameOf = ({ config }: KerasLayer) => String(config.name);
  const masks = layers.filter(({ className }) => MASKS.includes(className)).map(nameOf);
  const maskOf = ({ className, config }: KerasLayer) =>
    className === 'Masking'
      ? config.mask_value
      : className === 'Embedding' && config.mask_zero === true
        ? 0
        : undefined;
  const masked = layers.map(maskOf).find((value) => value !== undefined);
  let previous: string | undefined;
  for (const layer of layers) {
    const { className, inbound_nodes: nodes } = layer;
    const name = nameOf(layer);
    const { inbound, options, values } = inboundOf(name, nodes);
    if (MASKS.includes(className)) {
      const expected = className === 'Any' ? masks : layers.filter((l) => l.className === 'InputLayer').map(nameOf);
      const same = className === 'Any' || (masked !== undefined && values[1] === masked);
      if (same && inbound.length === 1 && expected.includes(inbound[0])) continue;
      throw new UnsupportedError(
        `layer '${name}': class ${className} is supported as the mask of Embedding and Masking only`,
      );
    }
    const other = options.find(([option, from]) => option !== 'mask' || !masks.includes(from));
    if (other) {
      throw new UnsupportedError(
        `layer '${name}': its option '${other[0]}' reads '${other[1]}'; a chain of layers is supported`,
      );
    }
    if (className === 'InputLayer' && previous !== undefined) {
      throw new UnsupportedError(`layer '${name}': a second input is not supported`);
    }
    if (inbound.join() !== (previous ?? '')) {
      throw new UnsupportedError(
        `layer '${name}': reads ${inbound.join(', ') || 'nothing'}, expected ${previous}; a chain of layers is supported`,
      );
    }
    previous = name;
  }
  const outputs = JSON.stringify(model.output_layers ?? null);
  const expected = JSON.stringify([previous, 0, 0]);
  if (outputs !== expected && outputs !== `[${expected}]`) {
    throw new UnsupportedError(`the outputs of the model are ${outputs}; expected layer '${previous}' alone`);
  }
}

/** Those that do something. */
const working = ({ className }: KerasLayer) => className !== 'InputLayer' && !MASKS.includes(className);

// --- .h5 and .keras ---

/** What is used of an HDF5 file. */
interface Group {
  readonly keys?: readonly string[];
  readonly attrs: Json;
  readonly shape?: readonly number[];
  readonly value?: ArrayLike<number>;
  readonly dtype?: unknown;
  get?(path: string): Group | null;
}

const DAMAGED = 'the HDF5 file is damaged';

async function openH5(bytes: Uint8Array): Promise<Group> {
  const { File } = await library('jsfive', () => import('jsfive'));
  return guarded(DAMAGED, () => new File(bytes.slice().buffer));
}

function child(group: Group | undefined, path: string): Group | undefined {
  try {
    return group?.get?.(path) ?? undefined;
  } catch {
    return undefined;
  }
}

/** A dataset of floats. */
function dataset(name: string, group: Group | undefined): Tensor {
  if (!group?.shape) throw new FormatError(`${name}: the file has no such weights`);
  const { shape, dtype } = group;
  if (typeof dtype !== 'string' || !/^[<>|=]?f[248]$/.test(dtype)) {
    throw new UnsupportedError(`${name}: numbers of type ${String(dtype)} are not supported; floats are`);
  }
  const data = Float32Array.from(group.value ?? []);
  if (data.length !== sizeOf(shape))
    throw new FormatError(`${name}: has ${data.length} numbers, expected ${sizeOf(shape)}`);
  const bad = data.findIndex((x) => !Number.isFinite(x));
  if (bad >= 0) throw new FormatError(`${name}: number ${bad} is ${data[bad]}; expected finite numbers`);
  return { shape, data };
}

async function readH5(bytes: Uint8Array): Promise<Source> {
  if (bytes[0] !== 0x89 || bytes[1] !== 0x48) throw new FormatError('the file is neither .keras (zip) nor .h5 (HDF5)');
  const file = await openH5(bytes);
  const { model_config: config, keras_version: version } = guarded(DAMAGED, () => file.attrs);
  if (typeof config !== 'string')
    throw new FormatError('the file has weights only; expected a whole model, as model.save writes it');
  const { layers, inputShape } = chainOf(parseJson('the configuration of the model', config));
  const used = layers.filter(working);
  const weightsOf = (index: number): Tensor[] => {
    const name = String(used[index].config.name);
    const group = child(file, `model_weights/${name}`);
    const names = group?.attrs.weight_names;
    if (!Array.isArray(names)) throw new FormatError(`layer '${name}': the file has no weights of it`);
    return names.map((path) => dataset(String(path), child(group, String(path))));
  };
  return { layers: used, inputShape, weightsOf: (index) => guarded(DAMAGED, () => weightsOf(index)), version };
}

async function readKeras(bytes: Uint8Array): Promise<Source> {
  const entries = await unzip(bytes);
  const text = (name: string) => {
    if (!entries[name]) throw new FormatError(`the zip file has no ${name}: Keras did not write it`);
    return new TextDecoder().decode(entries[name]);
  };
  const { layers, inputShape } = chainOf(parseJson('config.json', text('config.json')));
  const about = entries['metadata.json'] ? parseJson('metadata.json', text('metadata.json')) : undefined;
  if (!entries['model.weights.h5'])
    throw new FormatError('the zip file has no model.weights.h5: Keras did not write it');
  const file = await openH5(entries['model.weights.h5']);
  // groups are called after the class: dense, dense_1 …
  const counts = new Map<string, number>();
  const paths = layers.map(({ className }) => {
    const name = snakeCase(className);
    const count = counts.get(name) ?? 0;
    counts.set(name, count + 1);
    return count ? `${name}_${count}` : name;
  });
  const used = layers.map((layer, i) => ({ layer, path: paths[i] })).filter(({ layer }) => working(layer));
  const weightsOf = (index: number): Tensor[] => {
    const { layer, path } = used[index];
    return weightPaths(layer).flatMap((inner) => {
      const at = ['layers', path, inner, 'vars'].filter(Boolean).join('/');
      const group = child(file, at);
      const keys = [...(group?.keys ?? [])].sort((a, b) => Number(a) - Number(b));
      return keys.map((key) => dataset(`${at}/${key}`, child(group, key)));
    });
  };
  return {
    layers: used.map(({ layer }) => layer),
    inputShape,
    weightsOf: (index) => guarded(DAMAGED, () => weightsOf(index)),
    version: isRecord(about) ? about.keras_version : undefined,
  };
}

/** As Keras derives it: keras/src/utils/naming.py, to_snake_case. */
function snakeCase(name: string): string {
  return name
    .replace(/\W+/g, '')
    .replace(/(.)([A-Z][a-z]+)/g, '$1_$2')
    .replace(/([a-z])([A-Z])/g, '$1_$2')
    .toLowerCase();
}

// --- TensorFlow.js ---

const TFJS_TYPES: Readonly<Record<string, Dtype>> = { float32: 'F32', float16: 'F16' };

async function readTfjs(
  text: string,
  read: (path: string) => Uint8Array | ArrayBuffer | Promise<Uint8Array | ArrayBuffer>,
): Promise<Source> {
  const json = parseJson('model.json', text);
  const topology = isRecord(json) ? json.modelTopology : undefined;
  if (!isRecord(json) || !isRecord(topology)) throw new FormatError('model.json has no modelTopology');
  if (json.format === 'graph-model')
    throw new UnsupportedError('model.json is a graph model; a layers model is supported');
  const { layers, inputShape } = chainOf(isRecord(topology.model_config) ? topology.model_config : topology);
  const { weightsManifest: manifest } = json;
  if (!Array.isArray(manifest)) throw new FormatError('model.json has no weightsManifest');
  const named: { name: string; tensor: Tensor }[] = [];
  for (const group of manifest as unknown[]) {
    if (!isRecord(group) || !Array.isArray(group.paths) || !Array.isArray(group.weights)) {
      throw new FormatError('weightsManifest: a group has no paths or no weights');
    }
    const parts: Uint8Array[] = [];
    for (const path of group.paths) parts.push(bytesOf(await read(check.text('weightsManifest: paths', path))));
    named.push(...tfjsGroup(group.weights, joined(parts)));
  }
  const used = layers.filter(working);
  // weights are called layer/kernel, layer/lstm_cell/kernel or model/layer/kernel
  const names = used.map(({ config }) => String(config.name));
  const owners = named.map(({ name }) => name.split('/').find((part) => names.includes(part)));
  const lost = owners.indexOf(undefined);
  if (lost >= 0) throw new FormatError(`weightsManifest: '${named[lost].name}' is of no layer`);
  const weightsOf = (index: number): Tensor[] =>
    named.filter((_, i) => owners[i] === names[index]).map(({ tensor }) => tensor);
  // TensorFlow.js has the functions of Keras 2
  return { layers: used, inputShape, weightsOf, version: '2.' };
}

function joined(parts: readonly Uint8Array[]): Uint8Array {
  const bytes = new Uint8Array(parts.reduce((n, part) => n + part.length, 0));
  let at = 0;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
  return bytes;
}

function tfjsGroup(weights: readonly unknown[], bytes: Uint8Array): { name: string; tensor: Tensor }[] {
  let at = 0;
  const found = weights.map((entry) => {
    if (!isRecord(entry) || typeof entry.name !== 'string' || !Array.isArray(entry.shape)) {
      throw new FormatError('weightsManifest: a weight has no name or no shape');
    }
    const { name, dtype, quantization, shape } = entry;
    const stored = isRecord(quantization) ? quantization.dtype : dtype;
    const type = typeof stored === 'string' ? TFJS_TYPES[stored] : undefined;
    if (dtype !== 'float32' || !type) {
      throw new UnsupportedError(
        `${name}: numbers of type ${String(stored)} are not supported; float32 and float16 are`,
      );
    }
    const size = sizeOf(shape.map((d, i) => check.whole(`${name}: shape[${i}]`, d, 0)));
    const end = at + size * (type === 'F32' ? 4 : 2);
    if (end > bytes.length)
      throw new FormatError(`${name}: ends at byte ${end} of the weights, which have ${bytes.length}`);
    const data = floats(name, type, bytes.subarray(at, end), size);
    at = end;
    return { name, tensor: { shape: shape as number[], data } };
  });
  if (at !== bytes.length) throw new FormatError(`the files of weights have ${bytes.length} bytes, expected ${at}`);
  return found;
}
