/**
 * What the importers of Keras and ONNX make: a chain of layers of gatewise, built from a description in plain JSON. It is an ordinary
 * model: `valueAndGrad` trains it, `saveNetwork` saves it, `step` runs it step by step.
 */
import * as check from '../check.js';
import { Conv1d, type Conv1dOptions } from '../functions.js';
import {
  activation,
  add,
  type Builder,
  concat,
  dropout,
  Embedding,
  FormatError,
  input,
  LayerNorm,
  Linear,
  lastPool,
  loadWeights,
  Model,
  maxPool,
  meanPool,
  Recurrent,
  type RecurrentOptions,
  type Rows,
  type Runtime,
  read,
  readSafetensors,
  type State,
  saveWeights,
  softmaxRows,
  type Tape,
  topKRows,
  UnsupportedError,
} from '../index.js';
import { bytesOf, guarded, isRecord, parseJson } from './files.js';

/** One layer of a network, by its name in the source. Each has options of its kind. */
export type LayerDescription = { readonly name: string } & (
  | { readonly kind: 'embedding'; readonly vocabularySize: number; readonly embeddingSize: number }
  | {
      readonly kind: 'recurrent';
      readonly options: RecurrentOptions;
      /** Whether it gives its outputs at all steps, or its final state, as one row for each sequence. */
      readonly output: 'sequence' | 'last';
    }
  | { readonly kind: 'linear'; readonly inputSize: number; readonly outputSize: number; readonly bias: boolean }
  | { readonly kind: 'conv1d'; readonly options: Conv1dOptions }
  | { readonly kind: 'layerNorm'; readonly inputSize: number; readonly epsilon: number }
  | { readonly kind: 'activation'; readonly activation: 'tanh' | 'sigmoid' | 'relu' }
  | { readonly kind: 'dropout'; readonly rate: number; readonly oneMask: boolean }
  | { readonly kind: 'pool'; readonly pool: 'mean' | 'max' | 'last' }
);

export interface NetworkDescription {
  /** Whether inputs and outputs are [B,T,…], as in the source, or [T,B,…]. */
  readonly batchFirst: boolean;
  /** The same of outputs, where it differs. */
  readonly outputBatchFirst?: boolean;
  /** F: features of a step; 0 where a step is a token. */
  readonly inputSize: number;
  /** Steps that do not count: those of this token, or those whose features all have this value. null: all steps count. */
  readonly mask: number | null;
  readonly layers: readonly LayerDescription[];
  /** What the source computes at the end: `predict` does, `forward` does not. */
  readonly output: 'identity' | 'sigmoid' | 'softmax' | 'logSoftmax';
}

export interface NetworkShape {
  T: number;
  B: number;
  /** Steps of each sequence, from 1 to T; default T. */
  lengths?: ArrayLike<number>;
}

type Layer = Embedding | Recurrent | Linear | LayerNorm | Conv1d;

/** A chain of layers. `model.layers` of an imported model is one. */
export class Network {
  /** The layers that have parameters, by the source's names. */
  readonly layers: ReadonlyMap<string, Layer>;
  /** The recurrent ones, in their order: that of the states. */
  readonly recurrent: readonly Recurrent[];
  readonly #builder: Builder;
  readonly #steps: ((tape: Tape, x: Rows, states: readonly State[] | undefined) => Rows)[] = [];
  /** Whether one row comes out for each sequence. */
  readonly #pooled: boolean;
  /** The layer that cannot run step by step. */
  readonly #whole: string | undefined;

  constructor(
    builder: Builder,
    readonly description: NetworkDescription,
  ) {
    check.made('builder', builder, 'parameter', 'the Builder that new Model gives');
    const { layers: all } = (description ?? {}) as Partial<NetworkDescription>;
    if (!Array.isArray(all)) check.fail('description', 'the description of a network', description);
    this.#builder = builder;
    checkDescription(description);
    const layers = new Map<string, Layer>();
    const recurrent: Recurrent[] = [];
    let pooled: string | undefined;
    let whole: string | undefined;
    description.layers.forEach((d, i) => {
      const { name } = d;
      if ((d.kind === 'embedding') !== (i === 0 && description.inputSize === 0)) {
        throw new FormatError(`layer '${name}': an embedding has to be the first layer, and to read tokens`);
      }
      if (pooled !== undefined && (d.kind === 'recurrent' || d.kind === 'pool' || d.kind === 'conv1d')) {
        throw new FormatError(`layer '${name}': expected a sequence, layer '${pooled}' gives one row`);
      }
      if (d.kind === 'recurrent') {
        const layer = new Recurrent(builder, name, d.options);
        layers.set(name, layer);
        const at = recurrent.push(layer) - 1;
        const { merge = 'concat', bidirectional, reverse } = d.options;
        if (bidirectional || reverse) whole ??= name;
        if (d.output === 'last') pooled = name;
        this.#steps.push((tape, x, states) => {
          const { output, h } = layer.forward(tape, x, states?.[at]);
          return d.output === 'last' ? final(tape, h, merge) : output;
        });
      } else if (d.kind === 'pool') {
        pooled = name;
        whole ??= name;
        const pool = { mean: meanPool, max: maxPool, last: lastPool }[d.pool];
        this.#steps.push((tape, x) => pool(tape, x));
      } else if (d.kind === 'conv1d') {
        if (description.mask !== null) throw new FormatError(`layer '${name}': a convolution cannot leave out steps`);
        const layer = new Conv1d(builder, name, d.options);
        layers.set(name, layer);
        whole ??= name;
        this.#steps.push((tape, x) => layer.forward(tape, x));
      } else if (d.kind !== 'embedding') this.#steps.push(this.#rowwise(d, layers));
      else layers.set(name, new Embedding(builder, name, pick(d)));
    });
    this.layers = layers;
    this.recurrent = recurrent;
    this.#pooled = pooled !== undefined;
    this.#whole = whole;
  }

  /** A layer that works on each row by itself. */
  #rowwise(d: LayerDescription, layers: Map<string, Layer>): (tape: Tape, x: Rows) => Rows {
    const { name } = d;
    if (d.kind === 'linear') {
      const { inputSize, outputSize, bias } = d;
      const layer = new Linear(this.#builder, name, { inputSize, outputSize, bias });
      layers.set(name, layer);
      return (tape, x) => layer.forward(tape, x);
    }
    if (d.kind === 'layerNorm') {
      const { inputSize, epsilon } = d;
      const layer = new LayerNorm(this.#builder, name, { inputSize, epsilon });
      layers.set(name, layer);
      return (tape, x) => layer.forward(tape, x);
    }
    if (d.kind === 'activation') return (tape, x) => activation(tape, x, d.activation);
    if (d.kind === 'dropout') {
      return (tape, x) => dropout(tape, this.#builder.random, x, d.rate, { oneMask: d.oneMask });
    }
    throw new FormatError(`layer '${name}': kind '${check.cut(d.kind)}' is not known`);
  }

  /** States of B sequences, one for each recurrent layer: zeros, or what is learned. */
  states(batch = 1): State[] {
    return this.recurrent.map((layer) => layer.state(batch));
  }

  /**
   * Runs the chain on the tape, for training or inference.
   *
   * @param values tokens [B,T] or features [B,T,F] in the order of the source: [T,B] and [T,B,F] unless `batchFirst`
   * @param states where to start, moved on; default: zeros, or what is learned
   * @returns [T,B,O], or [1,B,O] where the chain gives one row for each sequence: what comes before the softmax or sigmoid at the
   *   end, if there is one, as the losses want it. After the end of a sequence the rows are zero
   */
  forward(tape: Tape, values: ArrayLike<number>, shape: NetworkShape, states?: readonly State[]): Rows {
    const { batchFirst, inputSize: F, layers } = this.description;
    check.options('shape', shape, ['T', 'B', 'lengths']);
    const { T, B, lengths: given } = shape;
    check.whole('T', T);
    check.whole('B', B);
    const size = T * B * (F || 1);
    const axes = batchFirst ? `B=${B}, T=${T}` : `T=${T}, B=${B}`;
    check.numbers('values', values, size, `[${axes}${F ? `, F=${F}` : ''}]`);
    if (given !== undefined) check.numbers('lengths', given, B, `[B=${B}]`);
    if (states !== undefined && states?.length !== this.recurrent.length) {
      check.fail('states', `${this.recurrent.length}, one for each recurrent layer`, states?.length);
    }
    const { steps, lengths } = this.#arrange(values, shape);
    const [first] = layers;
    const embedding = first?.kind === 'embedding' ? this.layers.get(first.name) : undefined;
    let x: Rows;
    if (embedding instanceof Embedding) x = embedding.forward(tape, steps, { T, B, lengths });
    else x = input(tape, steps, { T, B, F, lengths });
    for (const step of this.#steps) x = step(tape, x, states);
    return x;
  }

  /** The input time-major, without the steps that do not count. */
  #arrange(values: ArrayLike<number>, { T, B, lengths }: NetworkShape): { steps: Float32Array; lengths?: number[] } {
    const { batchFirst, inputSize, mask } = this.description;
    if (mask !== null && lengths) {
      throw new RangeError(
        `lengths: cannot be combined with the mask of the network, which finds the steps of ${mask} itself`,
      );
    }
    const F = inputSize || 1;
    const steps = new Float32Array(T * B * F);
    const ends: number[] = [];
    for (let b = 0; b < B; b++) {
      let end = 0;
      for (let t = 0; t < T; t++) {
        const from = (batchFirst ? b * T + t : t * B + b) * F;
        let counts = mask === null;
        for (let f = 0; f < F && !counts; f++) counts = values[from + f] !== mask;
        if (!counts) continue;
        // with one row for each sequence, it does not matter where the steps that do not count are
        if (end !== t && !this.#pooled) {
          throw new RangeError(
            `values: step ${t} of sequence ${b} comes after one that is masked (${mask}); expected them at the end`,
          );
        }
        for (let f = 0; f < F; f++) steps[(end * B + b) * F + f] = values[from + f];
        end++;
      }
      if (end === 0)
        throw new RangeError(
          `values: all steps of sequence ${b} are masked (${mask}); expected at least one that is not`,
        );
      ends.push(end);
    }
    if (lengths) return { steps, lengths: Array.from(lengths) };
    return mask === null ? { steps } : { steps, lengths: ends };
  }

  /**
   * What the source computes, softmax or sigmoid at the end included.
   *
   * @param values tokens or features as for `forward`
   * @param states where to start, moved on
   * @returns [B,T,O] or [T,B,O] as in the source, [B,O] where it gives one row for each sequence
   */
  predict(values: ArrayLike<number>, shape: NetworkShape, states?: readonly State[]): Float32Array {
    return this.#builder.forward((tape) => {
      const rows = this.forward(tape, values, shape, states);
      const { output, outputBatchFirst = this.description.batchFirst } = this.description;
      const batchFirst = outputBatchFirst && rows.T > 1;
      if (output === 'sigmoid') return read(tape, activation(tape, rows, 'sigmoid'), { batchFirst });
      if (output === 'identity') return read(tape, rows, { batchFirst });
      const numbers = output === 'softmax' ? softmaxRows(tape, rows) : logSoftmax(tape, rows);
      if (!batchFirst) return numbers;
      const { T, B, F } = rows;
      const swapped = new Float32Array(numbers.length);
      for (let r = 0; r < T * B; r++) {
        swapped.set(numbers.subarray(r * F, (r + 1) * F), ((r % B) * T + Math.floor(r / B)) * F);
      }
      return swapped;
    });
  }

  /**
   * One step of B sequences.
   *
   * @param values tokens [B] or features [B,F]
   * @param states moved on: `network.states(B)` at the start
   * @returns [B,O]
   */
  step(values: ArrayLike<number>, states: readonly State[]): Float32Array {
    if (this.#whole !== undefined) {
      throw new TypeError(`step: layer '${this.#whole}' needs the whole sequence; use predict`);
    }
    const B = states?.[0]?.batch ?? (values?.length ?? 0) / (this.description.inputSize || 1);
    return this.predict(values, { T: 1, B }, states);
  }
}

/** What a file says of a network; the options of its layers are checked by the layers. */
function checkDescription(description: NetworkDescription): void {
  const { batchFirst, outputBatchFirst = batchFirst, inputSize, mask, layers, output } = description;
  check.flag('batchFirst', batchFirst);
  check.flag('outputBatchFirst', outputBatchFirst);
  check.whole('inputSize', inputSize, 0);
  if (mask !== null) check.number('mask', mask);
  check.oneOf('output', output, ['identity', 'sigmoid', 'softmax', 'logSoftmax']);
  for (const layer of layers) {
    if (!isRecord(layer)) check.fail('layers', 'descriptions of layers', layer);
    const name = `layer '${check.text('name', layer.name)}'`;
    check.text(`${name}: kind`, layer.kind);
    if (layer.kind === 'recurrent') check.oneOf(`${name}: output`, layer.output, ['sequence', 'last']);
    if (layer.kind === 'pool') check.oneOf(`${name}: pool`, layer.pool, ['mean', 'max', 'last']);
    if (layer.kind === 'activation') check.oneOf(`${name}: activation`, layer.activation, ['tanh', 'sigmoid', 'relu']);
    if (layer.kind !== 'dropout') continue;
    check.flag(`${name}: oneMask`, layer.oneMask);
    if (check.number(`${name}: rate`, layer.rate, 0) >= 1) check.fail(`${name}: rate`, 'a number below 1', layer.rate);
  }
}

const pick = ({ vocabularySize, embeddingSize }: { vocabularySize: number; embeddingSize: number }) => ({
  vocabularySize,
  embeddingSize,
});

/** The final states of one layer's directions as one row: [1,B,P] each. */
function final(tape: Tape, h: readonly Rows[], merge: 'concat' | 'sum' | 'mean' | 'mul'): Rows {
  if (h.length === 1) return h[0];
  if (merge === 'concat') return concat(tape, h);
  if (merge === 'sum') return add(tape, h[0], h[1]);
  throw new RangeError(`merge: expected 'concat' or 'sum' where the final states are the output, got '${merge}'`);
}

/** ln softmax of each row: [T,B,V]; 0 after the end of a sequence. */
function logSoftmax(tape: Tape, logits: Rows): Float32Array {
  const { T, B, F: V } = logits;
  const { classes, logProbabilities } = topKRows(tape, logits, V);
  const out = new Float32Array(T * B * V);
  classes.forEach((c, i) => {
    if (c >= 0) out[Math.floor(i / V) * V + c] = logProbabilities[i];
  });
  return out;
}

/** A layer of the chain, or a softmax, which can only be its end. */
export type Draft =
  | LayerDescription
  | { readonly kind: 'softmax'; readonly name: string }
  | { readonly kind: 'logSoftmax'; readonly name: string };

/** Takes a softmax or sigmoid off the end, where `predict` applies it. A softmax anywhere else is refused. */
export function takeOutput(
  drafts: readonly Draft[],
): Pick<NetworkDescription, 'output'> & { chain: LayerDescription[] } {
  const end = drafts.findLastIndex((d) => d.kind !== 'dropout');
  const last = drafts[end];
  let output: NetworkDescription['output'] = 'identity';
  if (last?.kind === 'softmax' || last?.kind === 'logSoftmax') output = last.kind;
  if (last?.kind === 'activation' && last.activation === 'sigmoid') output = 'sigmoid';
  const chain = drafts.flatMap((d, i): LayerDescription[] => {
    if (i === end && output !== 'identity') return [];
    if (d.kind === 'softmax' || d.kind === 'logSoftmax') {
      throw new UnsupportedError(`layer '${d.name}': a softmax is supported at the end of the model only`);
    }
    return [d];
  });
  return { output, chain };
}

/** A network with these weights, all of them. */
export function createNetwork(
  runtime: Runtime,
  description: NetworkDescription,
  weights: ReadonlyMap<string, Float32Array>,
  seed: number,
): Model<Network> {
  const model = new Model(runtime, seed, (b) => new Network(b, description), false);
  try {
    for (const { name, size } of model.parameters) {
      const values = weights.get(name);
      if (values?.length !== size)
        throw new FormatError(`${name}: expected ${size} numbers, got ${values?.length ?? 'none'}`);
      model.set(name, values);
    }
  } catch (error) {
    model.dispose();
    throw error;
  }
  return model;
}

/** A safetensors file of the weights and of the description, for `loadNetwork`. */
export function saveNetwork(model: Model<Network>): Uint8Array<ArrayBuffer> {
  if (!(model?.layers instanceof Network)) check.fail('model', 'a model of a Network', model);
  return saveWeights(model, { network: JSON.stringify(model.layers.description) });
}

/**
 * A network from what `saveNetwork` wrote: without the library that the first import needed.
 *
 * @param options `seed`: of dropout, default 0
 * @throws FormatError for a file that is damaged or holds something else
 */
export function loadNetwork(
  runtime: Runtime,
  bytes: Uint8Array | ArrayBuffer,
  options: { seed?: number } = {},
): Model<Network> {
  check.options('loadNetwork', options, ['seed']);
  const file = bytesOf(bytes);
  const length = file.length < 8 ? 0 : new DataView(file.buffer, file.byteOffset).getUint32(0, true);
  const header = parseJson('the header of the file', new TextDecoder().decode(file.subarray(8, 8 + length)));
  const metadata = isRecord(header) ? header.__metadata__ : undefined;
  const text = isRecord(metadata) ? metadata.network : undefined;
  if (typeof text !== 'string') throw new FormatError('the file describes no network: saveNetwork did not write it');
  const description = parseJson('the description of the network', text) as NetworkDescription;
  if (!isRecord(description) || !Array.isArray(description.layers)) {
    throw new FormatError('the description of the network has no layers');
  }
  const seed = check.whole('seed', options.seed ?? 0, 0, Number.MAX_SAFE_INTEGER);
  check.made('runtime', runtime, 'alloc', 'a Runtime', 'disposed');
  const { tensors } = readSafetensors(file);
  const model = guarded('the description of the network', () => {
    // sizes are compared with the tensors before memory is taken
    const most = tensors.size;
    const widest = Math.max(0, ...[...tensors.values()].flatMap(({ shape }) => shape));
    JSON.stringify(description.layers, (key, value) => {
      if (/Size$/.test(key) && [value].flat().some((size) => size > widest))
        throw new RangeError(`${key}: no tensor of the file has so large a dimension`);
      return value;
    });
    for (const layer of description.layers as readonly ({ options?: { numLayers?: number } } | null)[]) {
      if ((layer?.options?.numLayers ?? 0) > most) throw new RangeError(`numLayers: the file has ${most} tensors`);
    }
    return new Model(
      runtime,
      seed,
      (b) => {
        const network = new Network(b, description);
        for (const { name, shape } of b.parameters) {
          const have = tensors.get(name)?.shape ?? [];
          if (have.join() !== shape.join()) throw new FormatError(`${name}: expected [${shape}], got [${have}]`);
        }
        return network;
      },
      false,
    );
  });
  try {
    loadWeights(model, file);
  } catch (error) {
    model.dispose();
    throw error;
  }
  return model;
}

/** Features of the input of a chain of layers; 0 where its first layer has none. */
export function inputSizeOf(chain: readonly LayerDescription[]): number {
  const [first] = chain;
  if (first?.kind === 'recurrent') return first.options.inputSize;
  return first && 'inputSize' in first ? first.inputSize : 0;
}
