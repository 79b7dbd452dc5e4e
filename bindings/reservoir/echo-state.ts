/** An echo state network: a sparse random recurrent layer that is never trained, and a linear output by ridge regression. */
import * as check from '../check.js';
import { FormatError } from '../errors.js';
import { LeastSquares, RecursiveLeastSquares } from '../functions.js';
import {
  concat,
  input,
  Linear,
  Model,
  Recurrent,
  type Rows,
  Runtime,
  read,
  readSafetensors,
  type State,
  type Tape,
  type Tensor,
  writeSafetensors,
} from '../index.js';
import { drawReservoir } from '../nn/reservoir.js';
import { type Options, option, optional, readOptions, real, required, type Settings, whole } from '../options.js';

const SCHEMA = {
  /** F: features of the input. */
  inputSize: required(whole(1)),
  /** M: features of the output, default F. */
  outputSize: optional(whole(1)),
  /** N: units of the reservoir, default 300. */
  units: option(whole(1), 300),
  /** a, the share of a state that is new, above 0 up to 1. Default 1. */
  leak: option(real(0, 1), 1),
  /** Largest absolute value of an eigenvalue of U, default 0.9. */
  spectralRadius: option(real(0), 0.9),
  /** Share of U that is not zero, above 0 up to 1. Default 0.1. */
  connectivity: option(real(0, 1), 0.1),
  /** Share of W that is not zero, above 0 up to 1. Default 1. */
  inputConnectivity: option(real(0, 1), 1),
  /** W is plus or minus this, default 1. */
  inputScale: option(real(0), 1),
  /** b is plus or minus this, default 0. */
  biasScale: option(real(0), 0),
  /** λ of the ridge regression, default 1e-6. In `fit` the constant of the output has none. */
  ridge: option(real(0), 1e-6),
  /** μ of `learn`: the share of a step's weight that is left after the next one, above 0 up to 1. Default 1: nothing is forgotten. */
  forgetting: option(real(0, 1), 1),
  /** Whether the output sees the input too, and not the states alone. Default false. */
  feedthrough: option(check.flag, false),
  /** Of the random weights, a whole number from 0, default 0. */
  seed: option(whole(0), 0),
};

/** What an echo state network is made with. */
export interface EchoStateOptions extends Options<typeof SCHEMA> {
  /** Where it runs, default: one of its own, which `dispose` ends. */
  readonly runtime?: Runtime;
}

/** Steps of F numbers: a list of lists, or all numbers as one list, step after step. */
export type Series = ArrayLike<number> | readonly ArrayLike<number>[];

/** What `fit` did. */
export interface Fitted {
  /** Steps that the regression saw, without the washout. */
  readonly steps: number;
  /** Root of the mean square of what is left over, on these steps, over all outputs. */
  readonly error: number;
}

/** Steps that are run at once: more would only take more memory. */
const CHUNK = 1024;
const FORMAT = 'gatewise.echo-state';

/** T steps of F numbers, flat. */
function flat(name: string, series: Series, F: number): Float32Array {
  if (typeof series !== 'object' || series === null) check.fail(name, `steps of ${F} numbers`, series);
  const { length } = series;
  const nested = length > 0 && typeof series[0] === 'object';
  if (nested) {
    const values = new Float32Array(length * F);
    for (let t = 0; t < length; t++) {
      const step = series[t] as ArrayLike<number>;
      check.numbers(`${name}[${t}]`, step, F, `[F=${F}]`);
      values.set(step, t * F);
    }
    return values;
  }
  if (!(length > 0) || length % F) check.fail(name, `steps of F=${F} numbers, at least one`, length);
  check.numbers(name, series as ArrayLike<number>, length, `[T,F=${F}]`);
  return Float32Array.from(series as ArrayLike<number>);
}

function readSettings(name: string, given: unknown): Settings<typeof SCHEMA> {
  const settings = readOptions(name, SCHEMA, given as EchoStateOptions);
  for (const key of ['leak', 'connectivity', 'inputConnectivity', 'forgetting'] as const) {
    if (settings[key] === 0) throw new RangeError(`${key}: expected a number above 0, got 0`);
  }
  return settings;
}

type Network = { readonly rnn: Recurrent; readonly head: Linear };

/**
 * An echo state network.
 *
 *     h ← (1 - a) h + a tanh(W x + U h + b)          y = V h + v, or with feedthrough V [h, x] + v
 *
 * W, U and b are random and fixed; U is sparse and has a given spectral radius. V and v minimise Σ ‖y - target‖² + λ ‖V‖², in double
 * precision, in one pass over the data. Jaeger 2001, GMD report 148; leaky units: Jaeger et al. 2007, doi:10.1016/j.neunet.2007.04.016.
 *
 * @example
 * ```js
 * import { EchoStateNetwork } from 'gatewise/reservoir';
 *
 * const series = Float32Array.from({ length: 400 }, (_, t) => (t % 10) / 5 - 0.9); // a sawtooth
 * const esn = await EchoStateNetwork.create({ inputSize: 1, units: 50, leak: 0.5, seed: 1 });
 * const { error } = esn.fit(series.subarray(0, -1), series.subarray(1), { washout: 50 });
 * console.log(error < 0.05); // true
 * const next = esn.forecast(series, 10); // [10,1]
 * console.log(next.length); // 10
 * esn.dispose();
 * ```
 */
export class EchoStateNetwork {
  readonly #settings: Settings<typeof SCHEMA>;
  readonly #model: Model<Network>;
  readonly #outputSize: number;
  readonly #owned: boolean;
  #state: State;
  #fitted = false;
  /** What `learn` carries from call to call. */
  #recursive: RecursiveLeastSquares | undefined;

  private constructor(runtime: Runtime, owned: boolean, settings: Settings<typeof SCHEMA>) {
    if (!settings?.units)
      throw new TypeError('new EchoStateNetwork: cannot be called; EchoStateNetwork.create makes one');
    const { inputSize, outputSize = inputSize, units, leak, feedthrough, seed } = settings;
    this.#settings = settings;
    this.#owned = owned;
    this.#outputSize = outputSize;
    // at inference zoneout is its expectation, and that is a leak
    this.#model = new Model(runtime, seed, (b) => ({
      rnn: new Recurrent(b, 'rnn', { cell: 'rnn', inputSize, hiddenSize: units, zoneoutHidden: 1 - leak }),
      head: new Linear(b, 'head', { inputSize: units + (feedthrough ? inputSize : 0), outputSize }),
    }));
    this.#state = this.#model.layers.rnn.state();
  }

  /**
   * Makes a network with random weights.
   *
   * @throws TypeError, RangeError for invalid options; RangeError where U has no eigenvalue but zero, so that it cannot be scaled
   */
  static async create(options: EchoStateOptions): Promise<EchoStateNetwork> {
    const { runtime, ...rest } = Object(options) as EchoStateOptions;
    const settings = readSettings('EchoStateNetwork', rest);
    return EchoStateNetwork.#make(runtime, settings, (network) => network.#draw());
  }

  /** A network whose weights are set by `fill`; if that throws, nothing is left of it. */
  static async #make(
    given: Runtime | undefined,
    settings: Settings<typeof SCHEMA>,
    fill: (network: EchoStateNetwork) => void,
  ): Promise<EchoStateNetwork> {
    if (given !== undefined) check.made('runtime', given, 'alloc', 'a Runtime', 'core');
    const runtime = given ?? (await Runtime.create());
    let network: EchoStateNetwork | undefined;
    try {
      network = new EchoStateNetwork(runtime, given === undefined, settings);
      fill(network);
      return network;
    } catch (error) {
      network?.dispose();
      if (!given) runtime.dispose();
      throw error;
    }
  }

  #draw(): void {
    drawReservoir(this.#model, this.#settings);
    this.#model.set('head.weight', new Float32Array(this.#model.get('head.weight').length));
    this.#model.set('head.bias', new Float32Array(this.#outputSize));
  }

  /** What it was made with. */
  get config(): Readonly<Omit<EchoStateOptions, 'runtime'>> {
    return Object.freeze({ ...this.#settings });
  }

  /**
   * Computes the output's weights from a series and what to answer at each step. Earlier fits are forgotten; the state is afterwards that
   * after the last step.
   *
   * @param inputs [T,F]
   * @param targets [T,M]: for a forecast by one step, the inputs one step later
   * @param options `washout`: steps at the begin that only fill the reservoir, default 100
   * @throws RangeError for another number of steps or features, for no steps left, for a ridge of 0 where the states depend on each other
   */
  fit(inputs: Series, targets: Series, options: { washout?: number } = {}): Fitted {
    const { inputSize: F, units, ridge, feedthrough } = this.#settings;
    const M = this.#outputSize;
    const { washout } = readOptions('fit', { washout: option(whole(0), 100) }, options);
    const x = flat('inputs', inputs, F);
    const y = flat('targets', targets, M);
    const T = x.length / F;
    if (y.length / M !== T) throw new RangeError(`targets: expected T=${T} steps as in inputs, got ${y.length / M}`);
    if (washout >= T) throw new RangeError(`washout: expected less than the T=${T} steps, got ${washout}`);
    const { runtime } = this.#model;
    const N = units + (feedthrough ? F : 0);
    const squares = new LeastSquares(runtime, N + 1, M);
    const state = this.#model.layers.rnn.state();
    try {
      this.#run(x, state, T, (tape, rows, from) => {
        const [first, count] = [Math.max(washout - from, 0), rows.T];
        if (first >= count) return;
        const ones = input(tape, new Float32Array(count).fill(1), { T: count, B: 1, F: 1 });
        const all = concat(tape, [rows, ones]);
        const want = input(tape, y.subarray(from * M, (from + count) * M), { T: count, B: 1, F: M });
        const rest = (r: Rows) => tape.rows(count - first, 1, r.F, false, undefined, r.ld, r.at + first * r.ld);
        squares.add(tape, rest(all), rest(want));
      });
      this.#setOutput(squares.solve(ridge, N));
    } finally {
      squares.dispose();
    }
    this.#recursive?.dispose();
    this.#recursive = undefined;
    this.#fitted = true;
    this.#state = state;
    const p = this.#outputs(x, this.#model.layers.rnn.state());
    let sum = 0;
    for (let i = washout * M; i < T * M; i++) sum += (p[i] - y[i]) * (p[i] - y[i]);
    return { steps: T - washout, error: Math.sqrt(sum / ((T - washout) * M)) };
  }

  /** V and v from W [N + 1,M], whose last row is that of the constant. */
  #setOutput(W: Float64Array): void {
    const M = this.#outputSize;
    const N = W.length / M - 1;
    this.#model.set(
      'head.weight',
      Float32Array.from({ length: M * N }, (_, i) => W[(i % N) * M + Math.floor(i / N)]),
    );
    this.#model.set(
      'head.bias',
      Float32Array.from({ length: M }, (_, m) => W[N * M + m]),
    );
  }

  /**
   * Learns step by step, by recursive least squares: each step is predicted first, then learned. It continues from where the last call left
   * the state, and from the weights that are there: what is minimised is Σ μ^(T-t) ‖y_t - target_t‖² + μ^T λ ‖V - V₀‖², v included, V₀ the weights
   * before the first call. So a network that was not fitted ends, with μ = 1, at the ridge regression of all steps that it has learned.
   * `fit` and `load` begin again.
   *
   * @param inputs [T,F]
   * @param targets [T,M]
   * @returns [T,M] the predictions, each made before its target was seen
   * @throws RangeError for another number of steps or features, for a ridge of 0; NonFiniteError where a result would not be finite: the
   *   steps before that one have been learned
   */
  learn(inputs: Series, targets: Series): Float32Array {
    const { inputSize: F, units, ridge, feedthrough, forgetting } = this.#settings;
    const M = this.#outputSize;
    const x = flat('inputs', inputs, F);
    const y = flat('targets', targets, M);
    const T = x.length / F;
    if (y.length / M !== T) throw new RangeError(`targets: expected T=${T} steps as in inputs, got ${y.length / M}`);
    if (ridge === 0) throw new RangeError('ridge: learn needs more than 0, got 0');
    const N = units + (feedthrough ? F : 0);
    if (!this.#recursive) {
      const squares = new RecursiveLeastSquares(this.runtime, N + 1, M, { ridge, forgetting });
      const [weight, bias] = [this.#model.get('head.weight'), this.#model.get('head.bias')];
      squares.weights = Float64Array.from({ length: (N + 1) * M }, (_, i) => {
        const [n, m] = [Math.floor(i / M), i % M];
        return n < N ? weight[m * N + n] : bias[m];
      });
      this.#recursive = squares;
    }
    const squares = this.#recursive;
    const state = this.#state.clone();
    const outputs = new Float32Array(T * M);
    try {
      this.#run(x, state, T, (tape, rows, from) => {
        const count = rows.T;
        const ones = input(tape, new Float32Array(count).fill(1), { T: count, B: 1, F: 1 });
        const want = input(tape, y.subarray(from * M, (from + count) * M), { T: count, B: 1, F: M });
        outputs.set(read(tape, squares.update(tape, concat(tape, [rows, ones]), want)), from * M);
      });
    } finally {
      this.#setOutput(squares.weights);
      this.#fitted = true;
      this.#state = state;
    }
    return outputs;
  }

  /**
   * The outputs at each step, from where the last call left the state.
   *
   * @param inputs [T,F]
   * @returns [T,M]
   */
  predict(inputs: Series): Float32Array {
    this.#check();
    const x = flat('inputs', inputs, this.#settings.inputSize);
    const state = this.#state.clone();
    const y = this.#outputs(x, state);
    this.#state = state;
    return y;
  }

  /**
   * Continues a series by itself: each output becomes the next input. It is fitted to the next step, so M = F. The state of `predict` is not
   * changed.
   *
   * @param history [T,F] what came before, from the begin of its series on
   * @param steps how many to compute
   * @returns [steps,F]
   */
  forecast(history: Series, steps: number): Float32Array {
    this.#check();
    const F = this.#settings.inputSize;
    if (this.#outputSize !== F) {
      throw new RangeError(
        `forecast: needs outputs that are the next input: outputSize is ${this.#outputSize}, inputSize ${F}`,
      );
    }
    check.whole('steps', steps);
    const state = this.#model.layers.rnn.state();
    const x = flat('history', history, F);
    let next: Float32Array = this.#outputs(x, state).slice(-F);
    const out = new Float32Array(steps * F);
    for (let t = 0; t < steps; t++) {
      out.set(next, t * F);
      if (t + 1 < steps) next = this.#outputs(next, state);
    }
    return out;
  }

  /** Sets the state to zero, as before the first step of a series. */
  reset(): void {
    this.#state.reset();
  }

  /** A safetensors file with all weights and options. The state is not in it. */
  save(): Uint8Array<ArrayBuffer> {
    const tensors = new Map<string, Tensor>(
      this.#model.parameters.map(({ name, shape }) => [
        name,
        { shape, data: Float32Array.from(this.#model.get(name)) },
      ]),
    );
    const given = Object.fromEntries(Object.entries(this.#settings).filter(([, value]) => value !== undefined));
    return writeSafetensors(tensors, { [FORMAT]: JSON.stringify({ format: 1, fitted: this.#fitted, options: given }) });
  }

  /**
   * Reads what `save` wrote.
   *
   * @throws FormatError for a file that is damaged or of something else
   */
  static async load(bytes: Uint8Array | ArrayBuffer, options: { runtime?: Runtime } = {}): Promise<EchoStateNetwork> {
    check.options('load', options, ['runtime']);
    const { tensors, metadata } = readSafetensors(bytes);
    let settings: Settings<typeof SCHEMA>;
    let fitted: boolean;
    try {
      const about = JSON.parse(metadata[FORMAT]);
      if (about.format !== 1) throw new FormatError(`format: expected 1, got ${check.show(about.format)}`);
      check.options('description', about, ['format', 'fitted', 'options']);
      fitted = check.flag('fitted', about.fitted);
      settings = readSettings('options', about.options);
      // `save` writes all of them: a default may change what a network computes
      for (const [key, value] of Object.entries(settings)) {
        if (value !== undefined && !Object.hasOwn(about.options, key))
          throw new RangeError(`options.${key}: is missing`);
      }
      // sizes are compared before memory is taken
      const { units } = settings;
      const shape = tensors.get('rnn.weight_hh_l0')?.shape;
      if (shape?.join() !== `${units},${units}`) throw new RangeError(`rnn.weight_hh_l0: expected [${units},${units}]`);
    } catch (error) {
      throw new FormatError(`the file is not one of an echo state network: ${(error as Error).message}`);
    }
    return EchoStateNetwork.#make(options.runtime, settings, (network) => {
      const known = network.#model.parameters;
      for (const name of tensors.keys()) {
        if (!known.some((own) => own.name === name)) throw new FormatError(`${check.cut(name)}: is not a tensor of it`);
      }
      for (const { name, shape } of known) {
        const tensor = tensors.get(name);
        if (tensor?.shape.join() !== shape.join()) {
          throw new FormatError(`${name}: expected shape [${shape}], got ${tensor ? `[${tensor.shape}]` : 'none'}`);
        }
        network.#model.set(name, tensor.data);
      }
      network.#fitted = fitted;
    });
  }

  /** The runtime that it is on. */
  get runtime(): Runtime {
    return this.#model.runtime;
  }

  /** Frees its memory, and the runtime where that is its own. */
  dispose(): void {
    if (this.#owned) this.#model.runtime.dispose();
    else if (!this.#model.runtime.disposed) this.#model.dispose();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }

  #check(): void {
    if (!this.#fitted) throw new Error('the output has no weights yet: call fit');
  }

  #outputs(x: Float32Array, state: State): Float32Array {
    const M = this.#outputSize;
    const T = x.length / this.#settings.inputSize;
    const y = new Float32Array(T * M);
    this.#run(x, state, T, (tape, rows, from) => {
      y.set(read(tape, this.#model.layers.head.forward(tape, rows)), from * M);
    });
    return y;
  }

  /** Runs the reservoir, piece by piece; `each` takes what the output sees of each step. */
  #run(x: Float32Array, state: State, T: number, each: (tape: Tape, rows: Rows, from: number) => void): void {
    const { inputSize: F, feedthrough } = this.#settings;
    for (let from = 0; from < T; from += CHUNK) {
      const count = Math.min(CHUNK, T - from);
      this.#model.forward((tape, { rnn }) => {
        const rows = input(tape, x.subarray(from * F, (from + count) * F), { T: count, B: 1, F });
        const { output } = rnn.forward(tape, rows, state);
        each(tape, feedthrough ? concat(tape, [output, rows]) : output, from);
      });
    }
  }
}
