/** Models with integers for weights, for inference alone. */
import * as check from '../check.js';
import { type QuantizedCore, type QuantizedModule, startQuantized, startQuantizedSync } from '../core/quantized.js';
import { FormatError } from '../errors.js';
import {
  type Description,
  DTYPES,
  type Dtype,
  describe,
  type LayerOptions,
  mostOf,
  partsOf,
  weightLimit,
} from './describe.js';
import { decode, encode, isRecord, type QuantizedTensor } from './file.js';
import { QuantizedEmbedding, QuantizedLinear } from './layers.js';
import { QuantizedRecurrent } from './recurrent.js';

/** Anything that has named parameters: a `Model` of gatewise or of gatewise/infer. */
export interface QuantizeSource {
  readonly parameters: readonly { readonly name: string; readonly shape: readonly number[] }[];
  /** A copy of a parameter's values. */
  get(name: string): Float32Array;
}

export interface QuantizeOptions {
  /** The integers of the weights: `'int16'` takes half the memory of float32, `'int8'` a quarter. */
  dtype: Dtype;
  /** The options of each layer to be quantized, under the name it was built with. */
  layers: Readonly<Record<string, LayerOptions>>;
  /**
   * For each recurrent and linear layer, examples of its input, or the largest magnitude of its input. That magnitude sets the scale,
   * and inputs beyond it saturate. For a layer that reads an embedding, the embedding's weights are the examples. For a layer that reads
   * an LSTM, GRU or RNN, 1 is enough.
   */
  calibrate?: Readonly<Record<string, number | ArrayLike<number>>> | undefined;
  /** The quantized module (`gatewise/quantized.wasm`), for engines that forbid compiling at run time. */
  module?: QuantizedModule | undefined;
}

/** Number of weights that become integers in one call. */
const CHUNK = 16384;

const VERSION = 1;
/** The name in the metadata under which a file describes its layers. */
const KEY = 'gatewise.quantized';

/** The layers' descriptions, and their tensors by full name. */
interface Content {
  readonly dtype: Dtype;
  readonly layers: readonly Description[];
  readonly tensors: ReadonlyMap<string, QuantizedTensor>;
}

/** Set by the class: its constructor is private. */
let make: (core: QuantizedCore, content: Content) => QuantizedModel;

/** Layers with integer weights, on an instance of their own. They run one by one, as in the model in float32. `quantize` makes it. */
export class QuantizedModel {
  readonly dtype: Dtype;
  readonly #core: QuantizedCore;
  readonly #layers = new Map<string, QuantizedRecurrent | QuantizedLinear | QuantizedEmbedding>();

  static {
    make = (core, content) => new QuantizedModel(core, content);
  }

  private constructor(core: QuantizedCore, content: Content) {
    if (!(content?.tensors instanceof Map))
      throw new TypeError('new QuantizedModel: cannot be called; quantize makes a model');
    const { dtype, layers, tensors } = content;
    this.dtype = dtype;
    this.#core = core;
    for (const description of layers) {
      const { name, kind } = description;
      const of = (tensor: string): QuantizedTensor => {
        const found = tensors.get(`${name}.${tensor}`);
        if (!found) throw new FormatError(`${name}.${tensor}: missing`);
        return found;
      };
      if (kind === 'recurrent') this.#layers.set(name, new QuantizedRecurrent(core, dtype, description, of));
      else if (kind === 'linear') this.#layers.set(name, new QuantizedLinear(core, dtype, description, of));
      else this.#layers.set(name, new QuantizedEmbedding(core, dtype, description, of));
    }
  }

  /**
   * A model from what `save` wrote.
   *
   * @throws FormatError for a file that is damaged or has other contents
   * @example
   * ```js
   * import { Embedding, Model, Runtime } from 'gatewise';
   * import { QuantizedModel, quantize } from 'gatewise/quantized';
   *
   * const table = { vocabularySize: 10, embeddingSize: 4 };
   * const model = new Model(await Runtime.create(), 1, (b) => new Embedding(b, 'table', table));
   * const bytes = (await quantize(model, { dtype: 'int8', layers: { table } })).save();
   * const loaded = await QuantizedModel.load(bytes);
   * console.log(loaded.names.join()); // table
   * ```
   */
  static async load(
    bytes: Uint8Array | ArrayBuffer,
    options: { module?: QuantizedModule } = {},
  ): Promise<QuantizedModel> {
    check.options('load', options, ['module']);
    const content = read(bytes);
    return new QuantizedModel(await startQuantized(options.module), content);
  }

  /** The same synchronously. */
  static loadSync(bytes: Uint8Array | ArrayBuffer, options: { module?: QuantizedModule } = {}): QuantizedModel {
    check.options('loadSync', options, ['module']);
    const content = read(bytes);
    return new QuantizedModel(startQuantizedSync(options.module), content);
  }

  /** The names of the layers. */
  get names(): string[] {
    return [...this.#layers.keys()];
  }

  /** A recurrent layer by its name. */
  recurrent(name: string): QuantizedRecurrent {
    const layer = this.#layer(name);
    return layer instanceof QuantizedRecurrent ? layer : wrongKind(name, 'a recurrent layer', layer.description.kind);
  }

  /** A linear layer by its name. */
  linear(name: string): QuantizedLinear {
    const layer = this.#layer(name);
    return layer instanceof QuantizedLinear ? layer : wrongKind(name, 'a linear layer', layer.description.kind);
  }

  /** An embedding by its name. */
  embedding(name: string): QuantizedEmbedding {
    const layer = this.#layer(name);
    return layer instanceof QuantizedEmbedding ? layer : wrongKind(name, 'an embedding', layer.description.kind);
  }

  #layer(name: string): QuantizedRecurrent | QuantizedLinear | QuantizedEmbedding {
    const layer = this.#layers.get(name);
    if (!layer) throw new RangeError(`name: expected one of ${check.list(this.names, 20)}, got ${check.show(name)}`);
    return layer;
  }

  /** A safetensors file: integers as I16 or I8, and for each row a scale `NAME.scale`, such that weight ≈ integer · scale. */
  save(): Uint8Array<ArrayBuffer> {
    const tensors = new Map<string, QuantizedTensor>();
    for (const [name, layer] of this.#layers) {
      for (const [tensor, value] of layer.tensors()) tensors.set(`${name}.${tensor}`, value);
    }
    const layers = [...this.#layers.values()].map(({ description }) => description);
    return encode(tensors, { [KEY]: JSON.stringify({ version: VERSION, dtype: this.dtype, layers }) });
  }

  /** Bytes of the model, and bytes of its instance's memory. */
  memory(): { bytesInUse: number; bytesReserved: number } {
    return this.#core.memory();
  }

  /** Gives the memory back to the engine. */
  dispose(): void {
    this.#core.dispose();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }
}

function wrongKind(name: string, expected: string, kind: string): never {
  throw new RangeError(`name: expected ${expected}, '${name}' is of kind '${kind}'`);
}

/**
 * Quantizes layers of a model, for inference: half the memory of float32 with `'int16'`, a quarter with `'int8'`. The model itself does
 * not change. docs/quantization.md has the formulas, their sources, accuracy and speed.
 *
 * @param model the trained model in float32; parameters of layers that are not named are ignored
 * @throws RangeError for a layer with an option that cannot be quantized, or whose parameters do not fit its options
 * @throws UnsupportedError where the engine has no WebAssembly, no SIMD, or may not compile
 * @example
 * ```js
 * import { Linear, Model, Recurrent, Runtime } from 'gatewise';
 * import { quantize } from 'gatewise/quantized';
 *
 * const rnn = { cell: 'lstm', inputSize: 8, hiddenSize: 64 };
 * const head = { inputSize: 64, outputSize: 3 };
 * const model = new Model(await Runtime.create(), 1, (b) => ({
 *   rnn: new Recurrent(b, 'rnn', rnn),
 *   head: new Linear(b, 'head', head),
 * }));
 * const x = new Float32Array(100 * 8).fill(0.5);
 * const quantized = await quantize(model, { dtype: 'int16', layers: { rnn, head }, calibrate: { rnn: x, head: 1 } });
 * const hidden = quantized.recurrent('rnn').forward(x, { T: 100, B: 1 });
 * const logits = quantized.linear('head').forward(hidden); // [100,1,3]
 * console.log(logits.length); // 300
 * ```
 */
export async function quantize(model: QuantizeSource, options: QuantizeOptions): Promise<QuantizedModel> {
  const layers = checkQuantize(model, options);
  return built(await startQuantized(options.module), model, options.dtype, layers);
}

/** The same synchronously, for workers, worklets and scripts. */
export function quantizeSync(model: QuantizeSource, options: QuantizeOptions): QuantizedModel {
  const layers = checkQuantize(model, options);
  return built(startQuantizedSync(options.module), model, options.dtype, layers);
}

function checkQuantize(model: QuantizeSource, options: QuantizeOptions): Description[] {
  check.made('model', model, 'get', 'a Model, or { parameters, get }', 'parameters');
  if (!Array.isArray(model.parameters)) check.fail('model.parameters', 'a list of { name, shape }', model.parameters);
  check.options('quantize', options, ['dtype', 'layers', 'calibrate', 'module']);
  check.oneOf('dtype', options.dtype, DTYPES);
  const { layers, calibrate = {} } = options;
  if (typeof layers !== 'object' || layers === null || Array.isArray(layers)) {
    check.fail('layers', 'an object: the options of each layer, by its name', layers);
  }
  const names = Object.keys(layers);
  if (names.length === 0) throw new RangeError('layers: expected at least one layer');
  check.options('calibrate', calibrate, names);
  const descriptions = names.map((name) => describe(name, layers[name], () => rangeOf(name, calibrate[name])));
  for (const description of descriptions) {
    const { name, kind } = description;
    if (kind === 'embedding' && calibrate[name] !== undefined) {
      throw new RangeError(`calibrate.${name}: an embedding reads tokens; it has no scale of inputs`);
    }
    const parts = partsOf(description);
    for (const part of parts) {
      const found = model.parameters.find((p) => p.name === part.name);
      if (!found) throw new RangeError(`layers.${name}: the model has no parameter '${part.name}'`);
      if (found.shape.join() !== part.shape.join()) {
        throw new RangeError(
          `layers.${name}: expected '${part.name}' [${part.shape.join(', ')}], the model's is [${found.shape.join(', ')}]`,
        );
      }
      const values = model.get(part.name);
      const bad = values.findIndex((v) => !Number.isFinite(v));
      if (bad >= 0) throw new RangeError(`${part.name}: number ${bad} is ${values[bad]}; expected finite weights`);
    }
    const rest = model.parameters.filter((p) => p.name.startsWith(`${name}.`) && !parts.some((q) => q.name === p.name));
    if (rest.length) {
      const list = check.list(rest.map((p) => `'${p.name}'`));
      throw new RangeError(
        `layers.${name}: the model's ${list} cannot be quantized, or the layer was built with other options`,
      );
    }
  }
  return descriptions;
}

/** The largest magnitude of examples of a layer's input. */
function rangeOf(name: string, given: number | ArrayLike<number> | undefined): number {
  const what = `calibrate.${name}`;
  if (given === undefined) {
    throw new TypeError(`${what}: expected examples of the layer's input, or their largest magnitude`);
  }
  if (typeof given === 'number') return check.number(what, given, 2 ** -100, 2 ** 100);
  if (typeof given !== 'object' || given === null || !(given.length >= 1)) {
    check.fail(what, 'numbers, at least one', given);
  }
  let largest = 0;
  for (let i = 0; i < given.length; i++) {
    largest = Math.max(largest, Math.abs(check.number(`${what}[${i}]`, given[i], -(2 ** 100), 2 ** 100)));
  }
  if (largest < 2 ** -100) throw new RangeError(`${what}: expected a number that is not zero`);
  return largest;
}

/** A model from parameters that have been checked. */
function built(
  core: QuantizedCore,
  model: QuantizeSource,
  dtype: Dtype,
  layers: readonly Description[],
): QuantizedModel {
  const tensors = new Map<string, QuantizedTensor>();
  for (const description of layers) {
    for (const { name, shape, quantized } of partsOf(description)) {
      const data = model.get(name);
      if (!quantized) {
        tensors.set(name, { shape, data });
        continue;
      }
      const [N, K] = shape;
      const most = mostIn(description, dtype, K);
      const bytes = dtype === 'int8';
      const integers = bytes ? new Int8Array(N * K) : new Int16Array(N * K);
      const scales = new Float32Array(N);
      // some rows at a time, so that this scratch does not take more memory than the integers do
      const rows = Math.max(1, Math.floor(CHUNK / K));
      for (let row = 0; row < N; row += rows) {
        const R = Math.min(rows, N - row);
        core.begin();
        const w = core.take(4 * R * K);
        const q = core.take(R * K * integers.BYTES_PER_ELEMENT);
        const scale = core.take(4 * R);
        core.write(w, data.subarray(row * K, (row + R) * K));
        core.kernels.quantizeWeights(q, scale, w, R, K, weightLimit(dtype), most, bytes);
        integers.set(core.integers(q, R * K, bytes), row * K);
        scales.set(core.floats(scale, R), row);
      }
      tensors.set(name, { shape, data: integers });
      tensors.set(`${name}.scale`, { shape: [N], data: scales });
    }
  }
  return make(core, { dtype, layers, tensors });
}

/** The largest allowed sum of a row's magnitudes; the rows of an embedding are not summed. */
function mostIn({ kind }: Description, dtype: Dtype, K: number): number {
  return kind === 'embedding' ? Number.MAX_VALUE : mostOf(dtype, K);
}

/** Reads a file and checks everything that the kernels rely on. */
function read(bytes: Uint8Array | ArrayBuffer): Content {
  const { tensors, metadata } = decode(bytes);
  const text = metadata[KEY];
  if (typeof text !== 'string') throw new FormatError('the file has no quantized model');
  const { dtype, layers } = parse(text);
  const expected = new Set<string>();
  for (const description of layers) {
    for (const { name, shape, quantized } of partsOf(description)) {
      const { data } = want(tensors, expected, name, shape, quantized ? dtype : 'float32');
      if (!quantized) continue;
      const scale = want(tensors, expected, `${name}.scale`, [shape[0]], 'float32').data;
      if (scale.some((s) => s < 0)) throw new FormatError(`${name}.scale: expected no negative number`);
      checkRows(name, data, shape[1], weightLimit(dtype), mostIn(description, dtype, shape[1]));
    }
  }
  const rest = [...tensors.keys()].filter((name) => !expected.has(name));
  if (rest.length) throw new FormatError(`the file has tensors that belong to no layer: ${check.list(rest)}`);
  return { dtype, layers, tensors };
}

function want(
  tensors: ReadonlyMap<string, QuantizedTensor>,
  expected: Set<string>,
  name: string,
  shape: readonly number[],
  dtype: Dtype | 'float32',
): QuantizedTensor {
  const tensor = tensors.get(name);
  if (!tensor) throw new FormatError(`${name}: missing`);
  expected.add(name);
  const kind = { float32: Float32Array, int16: Int16Array, int8: Int8Array }[dtype];
  if (!(tensor.data instanceof kind) || tensor.shape.join() !== shape.join()) {
    throw new FormatError(
      `${name}: expected ${dtype} [${shape.join(', ')}], got ${tensor.data.constructor.name} [${tensor.shape.join(', ')}]`,
    );
  }
  const bad = tensor.data.findIndex((v) => !Number.isFinite(v));
  if (bad >= 0) throw new FormatError(`${name}: number ${bad} is ${tensor.data[bad]}; expected finite numbers`);
  return tensor;
}

/** Checks that no sum of a product with these integers can overflow. */
function checkRows(name: string, data: ArrayLike<number>, K: number, limit: number, most: number): void {
  for (let i = 0; i < data.length; i += K) {
    let sum = 0;
    for (let k = i; k < i + K; k++) {
      const a = Math.abs(data[k]);
      if (a > limit) throw new FormatError(`${name}: number ${k} is ${data[k]}; expected at most ±${limit}`);
      sum += a;
    }
    if (sum > most) {
      throw new FormatError(
        `${name}: the magnitudes of row ${i / K} add up to ${sum}; with more than ${most} a sum may overflow`,
      );
    }
  }
}

/** The layers' descriptions, out of the metadata. */
function parse(text: string): { dtype: Dtype; layers: Description[] } {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw new FormatError(`the metadata '${KEY}' are not valid JSON`);
  }
  if (!isRecord(value) || !Array.isArray(value.layers)) throw new FormatError(`the metadata '${KEY}' list no layers`);
  if (value.version !== VERSION) {
    throw new FormatError(`the file is of version ${String(value.version)}; this version of gatewise reads ${VERSION}`);
  }
  try {
    check.options('description', value, ['version', 'dtype', 'layers']);
    const layers = value.layers.map((given: unknown) => {
      const layer = parseLayer(given);
      check.options(layer.name, given, Object.keys(layer));
      return layer;
    });
    return { dtype: check.oneOf('dtype', value.dtype, DTYPES), layers };
  } catch (error) {
    throw error instanceof Error ? new FormatError(`the metadata '${KEY}': ${error.message}`) : error;
  }
}

function parseLayer(value: unknown): Description {
  if (!isRecord(value)) check.fail('layer', 'an object', value);
  const name = check.text('name', value.name);
  const range = () => check.number('range', value.range, 2 ** -100, 2 ** 100);
  const whole = (key: string) => check.whole(key, value[key]);
  const flag = (key: string) => check.flag(key, value[key]);
  const kind = check.oneOf('kind', value.kind, ['recurrent', 'linear', 'embedding']);
  if (kind === 'embedding') {
    return { kind, name, vocabularySize: whole('vocabularySize'), embeddingSize: whole('embeddingSize') };
  }
  if (kind === 'linear') {
    const sizes = { inputSize: whole('inputSize'), outputSize: whole('outputSize') };
    return { kind, name, ...sizes, bias: flag('bias'), range: range() };
  }
  const { hiddenSizes } = value;
  if (!Array.isArray(hiddenSizes) || hiddenSizes.length === 0)
    check.fail('hiddenSizes', 'a list of sizes', hiddenSizes);
  return {
    kind,
    name,
    cell: check.oneOf('cell', value.cell, ['rnn', 'lstm', 'gru']),
    inputSize: whole('inputSize'),
    hiddenSizes: (hiddenSizes as unknown[]).map((H) => check.whole('hiddenSizes', H)),
    bidirectional: flag('bidirectional'),
    reverse: flag('reverse'),
    bias: flag('bias'),
    range: range(),
  };
}
