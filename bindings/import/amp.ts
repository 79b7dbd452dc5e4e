/**
 * gatewise/import/amp: recurrent models of guitar amplifiers. `.nam` files of Neural Amp Modeler whose architecture is LSTM, and the
 * `.json` files that RTNeural and AIDA-X read.
 *
 * @module
 */
import * as check from '../check.js';
import {
  activation,
  add,
  type Builder,
  FormatError,
  input,
  Linear,
  Model,
  Recurrent,
  type Rows,
  type Runtime,
  read,
  type State,
  type Tape,
  UnsupportedError,
} from '../index.js';
import { blocks, isRecord, parseJson, transposed } from './files.js';

export type { Builder, Model, Recurrent, Rows, Runtime, State, Tape } from '../index.js';

type Activation = 'tanh' | 'sigmoid' | 'relu' | '';

/** One layer of an amplifier, as the file describes it. */
export type AmpLayer =
  | {
      readonly kind: 'recurrent';
      readonly cell: 'lstm' | 'gru';
      readonly inputSize: number;
      readonly hiddenSize: number;
      readonly numLayers: number;
      readonly learned: boolean;
    }
  | {
      readonly kind: 'linear';
      readonly inputSize: number;
      readonly outputSize: number;
      readonly activation: Activation;
    };

/** What a file says, apart from its weights. */
export interface AmpDescription {
  readonly layers: readonly AmpLayer[];
  /** Whether the output is added to the input. */
  readonly skip: boolean;
  /** Samples per second that the model was trained for, if the file names them. */
  readonly sampleRate: number | undefined;
}

/** An amplifier: samples in, samples out. `model.layers` of what `loadAmp` returns. */
export class Amp {
  readonly #builder: Builder;
  readonly #layers: readonly (Recurrent | { readonly linear: Linear; readonly activation: Activation })[];

  constructor(
    builder: Builder,
    readonly description: AmpDescription,
  ) {
    check.made('builder', builder, 'parameter', 'the Builder that new Model gives', 'parameters');
    if (!Array.isArray(description?.layers) || description.layers.some((layer) => !isRecord(layer)))
      check.fail('description', 'the description of a model', description);
    this.#builder = builder;
    this.#layers = description.layers.map((d, i) => {
      if (d.kind === 'recurrent') {
        const { cell, inputSize, hiddenSize, numLayers, learned } = d;
        const initialState = learned ? 'learned' : 'zero';
        return new Recurrent(builder, `layers.${i}`, { cell, inputSize, hiddenSize, numLayers, initialState });
      }
      const { inputSize, outputSize } = d;
      return { linear: new Linear(builder, `layers.${i}`, { inputSize, outputSize }), activation: d.activation };
    });
  }

  /** States of B recordings, one for each recurrent layer: zeros, or what the file has. */
  states(batch = 1): State[] {
    return this.#layers.flatMap((layer) => (layer instanceof Recurrent ? [layer.state(batch)] : []));
  }

  /**
   * Runs the amplifier on the tape, for training or inference.
   *
   * @param x [T,B,1] samples
   * @param states where to start, moved on; default: zeros, or what the file has
   * @returns [T,B,1] samples
   */
  forward(tape: Tape, x: Rows, states?: readonly State[]): Rows {
    let y = x;
    let at = 0;
    for (const layer of this.#layers) {
      if (layer instanceof Recurrent) y = layer.forward(tape, y, states?.[at++]).output;
      else {
        y = layer.linear.forward(tape, y);
        if (layer.activation) y = activation(tape, y, layer.activation);
      }
    }
    return this.description.skip ? add(tape, y, x) : y;
  }

  /**
   * Samples [T] of one recording → samples [T].
   *
   * @param states where to start, moved on: pass the same ones to continue with the next block
   */
  process(samples: Float32Array, states?: readonly State[]): Float32Array {
    const T = check.whole('samples.length', samples?.length);
    return this.#builder.forward((tape) =>
      read(tape, this.forward(tape, input(tape, samples, { T, B: 1, F: 1 }), states)),
    );
  }
}

/**
 * Reads a `.nam` file (Neural Amp Modeler, architecture LSTM), or a `.json` file of RTNeural or AIDA-X with layers `lstm`, `gru` and
 * `dense`. With `in_skip` the output of an AIDA-X model is added to its input, (in_gain · x + f(in_gain · x)) · out_gain; only gains
 * of 0 dB are supported with it.
 *
 * @param text the text of the file
 * @param options `seed`: of the model's random numbers, default 0
 * @returns an ordinary model, which can be trained and saved; `layers` is an `Amp`
 * @throws UnsupportedError for other architectures and layers, by name
 * @throws FormatError for a file that is damaged or something else
 *
 * @example
 * ```js
 * import { readFileSync } from 'node:fs';
 * import { Runtime } from 'gatewise';
 * import { loadAmp } from 'gatewise/import/amp';
 *
 * const model = loadAmp(await Runtime.create(), readFileSync('lstm.nam', 'utf8'));
 * const states = model.layers.states();
 * const block = model.layers.process(new Float32Array(128), states); // call again with the next 128 samples
 * console.log(block.length, model.layers.description.sampleRate); // 128 48000
 * ```
 */
export function loadAmp(runtime: Runtime, text: string, options: { seed?: number } = {}): Model<Amp> {
  check.options('loadAmp', options, ['seed']);
  const seed = check.whole('seed', options.seed ?? 0, 0, Number.MAX_SAFE_INTEGER);
  const file = parseJson('the file', check.text('text', text));
  if (!isRecord(file)) throw new FormatError('the file: expected an object');
  const { description, weights } = 'architecture' in file ? readNam(file) : readRtNeural(file);
  const model = new Model(runtime, seed, (b) => new Amp(b, description), false);
  try {
    for (const { name } of model.parameters) model.set(name, weights.get(name) as Float32Array);
  } catch (error) {
    model.dispose();
    throw error;
  }
  return model;
}

type Json = Readonly<Record<string, unknown>>;
interface Read {
  readonly description: AmpDescription;
  readonly weights: ReadonlyMap<string, Float32Array>;
}

const LARGEST = 4096;

function size(name: string, value: unknown): number {
  if (typeof value === 'number' && Number.isInteger(value) && value >= 1 && value <= LARGEST) return value;
  throw new FormatError(`${name}: expected a whole number from 1 to ${LARGEST}, got ${JSON.stringify(value)}`);
}

/** A list of numbers, of lists of them, and so on, flat; `shape` is checked. */
function numbers(name: string, value: unknown, shape: readonly number[]): Float32Array {
  const [count, ...rest] = shape;
  if (!Array.isArray(value) || value.length !== count) {
    const got = Array.isArray(value) ? `a list of ${value.length}` : typeof value;
    throw new FormatError(`${name}: expected a list of ${count}, got ${got}`);
  }
  if (rest.length) {
    const rows = value.map((row, i) => numbers(`${name}[${i}]`, row, rest));
    return Float32Array.from({ length: shape.reduce((n, d) => n * d, 1) }, (_, i) => {
      return rows[Math.floor(i / rows[0].length)][i % rows[0].length];
    });
  }
  const bad = value.findIndex((x) => typeof x !== 'number' || !Number.isFinite(Math.fround(x)));
  if (bad >= 0) throw new FormatError(`${name}[${bad}]: expected a finite number, got ${JSON.stringify(value[bad])}`);
  return Float32Array.from(value);
}

/** `.nam`: for each layer [weight_ih, weight_hh] by rows, one bias, h and c at the start; then the output. Gates i f g o. */
function readNam(file: Json): Read {
  const { architecture, config, weights: list, sample_rate: rate } = file;
  if (architecture !== 'LSTM') {
    throw new UnsupportedError(
      `architecture: expected LSTM, got ${JSON.stringify(architecture)}, which is not recurrent`,
    );
  }
  if (!isRecord(config)) throw new FormatError('config: expected an object');
  const I = size('config.input_size', config.input_size);
  const H = size('config.hidden_size', config.hidden_size);
  const L = size('config.num_layers', config.num_layers);
  const inputs = Array.from({ length: L }, (_, layer) => (layer ? H : I));
  const count = inputs.reduce((n, width) => n + 4 * H * (width + H + 1) + 2 * H, H + 1);
  const flat = numbers('weights', list, [count]);
  const weights = new Map<string, Float32Array>();
  let at = 0;
  const take = (n: number) => {
    at += n;
    return flat.slice(at - n, at);
  };
  for (const [layer, width] of inputs.entries()) {
    const both = take(4 * H * (width + H));
    const part = (from: number, to: number) =>
      Float32Array.from({ length: 4 * H * (to - from) }, (_, i) => {
        return both[Math.floor(i / (to - from)) * (width + H) + from + (i % (to - from))];
      });
    weights.set(`layers.0.weight_ih_l${layer}`, part(0, width));
    weights.set(`layers.0.weight_hh_l${layer}`, part(width, width + H));
    weights.set(`layers.0.bias_ih_l${layer}`, take(4 * H));
    weights.set(`layers.0.bias_hh_l${layer}`, new Float32Array(4 * H));
    weights.set(`layers.0.h0_l${layer}`, take(H));
    weights.set(`layers.0.c0_l${layer}`, take(H));
  }
  weights.set('layers.1.weight', take(H));
  weights.set('layers.1.bias', take(1));
  return {
    description: {
      layers: [
        { kind: 'recurrent', cell: 'lstm', inputSize: I, hiddenSize: H, numLayers: L, learned: true },
        { kind: 'linear', inputSize: H, outputSize: 1, activation: '' },
      ],
      skip: false,
      sampleRate: typeof rate === 'number' ? rate : undefined,
    },
    weights,
  };
}

/** RTNeural: layers with the weights of Keras, kernels [I,G·H], gates i f g o of an LSTM and z r n of a GRU with reset after. */
function readRtNeural(file: Json): Read {
  const { layers: list, in_shape: shape, in_skip: skip = 0, in_gain: inGain = 0, out_gain: outGain = 0 } = file;
  if (!Array.isArray(list) || list.length === 0) throw new FormatError('layers: expected a list of layers');
  if (skip !== 0 && skip !== 1) throw new UnsupportedError(`in_skip: expected 0 or 1, got ${JSON.stringify(skip)}`);
  if (inGain !== 0 || outGain !== 0) {
    throw new UnsupportedError(`in_gain, out_gain: expected 0 dB, got ${JSON.stringify([inGain, outGain])}`);
  }
  let width = size('in_shape', Array.isArray(shape) ? shape.at(-1) : undefined);
  const weights = new Map<string, Float32Array>();
  const layers = list.map((layer: unknown, i): AmpLayer => {
    const name = `layers[${i}]`;
    if (!isRecord(layer)) throw new FormatError(`${name}: expected an object`);
    const { type, shape, weights: own, activation = '' } = layer;
    const inputSize = width;
    width = size(`${name}.shape`, Array.isArray(shape) ? shape.at(-1) : undefined);
    if (!Array.isArray(own)) throw new FormatError(`${name}.weights: expected a list`);
    if (type === 'lstm' || type === 'gru') {
      if (activation !== '' && activation !== 'tanh') {
        throw new UnsupportedError(`${name}.activation: expected tanh, got ${JSON.stringify(activation)}`);
      }
      readRecurrent(name, i, type, own, inputSize, width, weights);
      return { kind: 'recurrent', cell: type, inputSize, hiddenSize: width, numLayers: 1, learned: false };
    }
    if (type !== 'dense' && type !== 'time-distributed-dense') {
      throw new UnsupportedError(`${name}: a layer of type ${JSON.stringify(type)} is not supported`);
    }
    if (activation !== '' && activation !== 'tanh' && activation !== 'sigmoid' && activation !== 'relu') {
      throw new UnsupportedError(`${name}.activation: ${JSON.stringify(activation)} is not supported`);
    }
    const kernel = numbers(`${name}.weights[0]`, own[0], [inputSize, width]);
    weights.set(`layers.${i}.weight`, transposed({ shape: [inputSize, width], data: kernel }));
    weights.set(`layers.${i}.bias`, numbers(`${name}.weights[1]`, own[1], [width]));
    return { kind: 'linear', inputSize, outputSize: width, activation };
  });
  if (width !== 1) throw new UnsupportedError(`the last layer: expected 1 output, got ${width}`);
  return { description: { layers, skip: skip === 1, sampleRate: undefined }, weights };
}

function readRecurrent(
  name: string,
  index: number,
  type: 'lstm' | 'gru',
  own: readonly unknown[],
  I: number,
  H: number,
  weights: Map<string, Float32Array>,
): void {
  const [G, order] = type === 'lstm' ? [4, [0, 1, 2, 3]] : [3, [1, 0, 2]];
  const matrix = (k: number, rows: number) =>
    blocks(
      transposed({ shape: [rows, G * H], data: numbers(`${name}.weights[${k}]`, own[k], [rows, G * H]) }),
      G,
      order,
    );
  const two = type === 'gru';
  const biases = numbers(`${name}.weights[2]`, own[2], two ? [2, G * H] : [G * H]);
  const bias = (k: number) => blocks(biases.subarray(k * G * H, (k + 1) * G * H), G, order);
  weights.set(`layers.${index}.weight_ih_l0`, matrix(0, I));
  weights.set(`layers.${index}.weight_hh_l0`, matrix(1, H));
  weights.set(`layers.${index}.bias_ih_l0`, bias(0));
  weights.set(`layers.${index}.bias_hh_l0`, two ? bias(1) : new Float32Array(G * H));
}
