/** Learning step by step, without the past: gradients are carried forward in time. */
import * as check from '../check.js';
import { OnlineRuntime, onlineCore } from '../core/online.js';
import type { Runtime } from '../core/runtime.js';
import { NonFiniteError } from '../errors.js';
import type { Tensor } from '../files/safetensors.js';
import { loadWeights, saveWeights } from '../files/weights.js';
import { Model } from '../nn/model.js';
import { Optimizer } from '../train/optimizer.js';
import { type Estimate, estimateOf } from './estimate.js';
import { open, type Saved, write } from './file.js';
import { Network } from './network.js';
import { type OnlineOptions, type OnlinePlace, type OnlineSettings, readOnline, readPlace } from './options.js';

/** What a step gives. */
export interface OnlineStep {
  /** The prediction, made before the target was seen [O]: probabilities with `crossEntropy` and `bceWithLogits`, numbers with `mse`. */
  readonly output: Float32Array;
  /** The loss of this prediction in nats, or the mean square; null without a target. */
  readonly loss: number | null;
}

/** Set by the class: its constructor is private. */
let make: (runtime: Runtime, settings: OnlineSettings, saved?: Saved) => OnlineLearner;

/**
 * A recurrent network that learns while it runs. Each step predicts, and learns if there is a target; what it costs does not depend on how
 * many steps were made. docs/online.md has the formulas, their cost, and what the approximations lose.
 *
 * @example
 * ```js
 * import { OnlineLearner } from 'gatewise/online';
 *
 * // the next number of a zigzag, forever
 * const learner = await OnlineLearner.create({
 *   cell: 'gru',
 *   inputSize: 1,
 *   hiddenSize: 8,
 *   outputSize: 1,
 *   loss: 'mse',
 *   learningRate: 0.01,
 * });
 * const at = (t) => Math.abs((t % 16) - 8) / 8;
 * let mean = 0; // of the last losses; guessing 0.5 would have 0.1
 * for (let t = 0; t < 3000; t++) mean += 0.02 * (learner.step([at(t)], [at(t + 1)]).loss - mean);
 * console.log(mean < 0.02); // true
 * ```
 */
export class OnlineLearner {
  /** The options that it was created with, frozen. */
  readonly config: OnlineOptions;
  readonly #model: Model<Network>;
  readonly #optimizer: Optimizer;
  readonly #settings: OnlineSettings;
  #steps = 0;
  #learningRate: number;

  static {
    make = (runtime, settings, saved) => new OnlineLearner(runtime, settings, saved);
  }

  private constructor(runtime: Runtime, settings: OnlineSettings, saved?: Saved) {
    if (!settings?.given) throw new TypeError('new OnlineLearner: cannot be called; OnlineLearner.create makes one');
    this.#settings = settings;
    this.config = settings.given;
    const { own, optimizer } = settings;
    this.#model = new Model(runtime, own.seed, (b) => new Network(b, settings), !saved);
    const given = Object.entries(optimizer).filter(([key]) => key in settings.given);
    this.#optimizer = new Optimizer(this.#model, Object.fromEntries(given));
    this.#learningRate = optimizer.learningRate;
    this.#model.layers.connect(this.#model);
    if (saved) this.#restore(saved);
  }

  /**
   * Creates a learner with fresh weights, on an instance of its own.
   *
   * @throws TypeError, RangeError for invalid options, for options of layers that cannot learn online, and where more than `maxBytes`
   *   bytes would be allocated; UnsupportedError where the engine has no WebAssembly, no SIMD, or may not compile
   */
  static async create(options: OnlineOptions & OnlinePlace): Promise<OnlineLearner> {
    const { settings, module } = read('create', options);
    return make(await OnlineRuntime.create({ module }), settings);
  }

  /** The same synchronously, for workers, worklets and scripts. */
  static createSync(options: OnlineOptions & OnlinePlace): OnlineLearner {
    const { settings, module } = read('createSync', options);
    return make(OnlineRuntime.createSync({ module }), settings);
  }

  /**
   * Creates a learner from what `save` wrote. It continues with the same bits as one that was not interrupted.
   *
   * @throws FormatError for a file that is damaged or holds something else; RangeError as `create`
   */
  static async load(bytes: Uint8Array | ArrayBuffer, place: OnlinePlace = {}): Promise<OnlineLearner> {
    const { maxBytes, module } = readPlace('load', place);
    const saved = open(bytes);
    checkBytes(saved.settings, maxBytes);
    return make(await OnlineRuntime.create({ module }), saved.settings, saved);
  }

  /** The same synchronously. */
  static loadSync(bytes: Uint8Array | ArrayBuffer, place: OnlinePlace = {}): OnlineLearner {
    const { maxBytes, module } = readPlace('loadSync', place);
    const saved = open(bytes);
    checkBytes(saved.settings, maxBytes);
    return make(OnlineRuntime.createSync({ module }), saved.settings, saved);
  }

  /** Steps made, and updates of the weights among them. */
  get steps(): number {
    return this.#steps;
  }

  get updates(): number {
    return this.#optimizer.steps;
  }

  /** η of the next updates: at first that of the options. Lower it while the learner runs, and the weights settle. */
  get learningRate(): number {
    return this.#learningRate;
  }

  /** @throws RangeError for a rate that is negative or not finite */
  set learningRate(rate: number) {
    this.#learningRate = check.number('learningRate', rate, 0);
  }

  /** The names and shapes of the parameters: `rnn.weight_ih_l0` and so on as in `Recurrent`, `head.weight`, `head.bias`. */
  get parameters(): readonly { readonly name: string; readonly shape: readonly number[] }[] {
    return this.#model.parameters.map(({ name, shape }) => ({ name, shape }));
  }

  /**
   * One step: reads x, predicts, and learns if there is a target.
   *
   * @param x [I]
   * @param target what the prediction is compared with: the number of a class with `crossEntropy`, otherwise [O] numbers, or one number
   *   where O is 1; null or absent: nothing is learned from this step, but its influence is carried on
   * @param output [O], overwritten with the prediction; created if absent
   * @throws TypeError, RangeError, before anything changes, for invalid x or target
   * @throws NonFiniteError where the prediction, the loss or the update would not be finite: the weights have not changed then, but the
   *   state has moved on; `reset` clears it
   */
  step(x: ArrayLike<number>, target?: number | ArrayLike<number> | null, output?: Float32Array): OnlineStep {
    const { own, layers } = this.#settings;
    const { outputSize: O } = own;
    const { runtime, layers: network } = this.#model;
    check.numbers('x', x, layers.options.inputSize, `[I=${layers.options.inputSize}]`);
    const learns = target !== undefined && target !== null;
    const wanted = learns ? this.#target(target) : [];
    if (output !== undefined && !(check.isFloats(output) && output.length === O)) {
      check.fail('output', `a Float32Array of [O=${O}] numbers`, output);
    }
    const kernels = onlineCore(runtime);
    network.pack();
    runtime.write(network.given, x);
    kernels.onlineStep(network.block);
    this.#steps++;
    const prediction = output ?? new Float32Array(O);
    const first = network.output >>> 2;
    prediction.set(runtime.f32.subarray(first, first + O));
    for (let i = 0; i < O; i++) {
      if (!Number.isFinite(prediction[i])) throw this.#diverged('prediction', 'output');
    }
    if (!learns) return { output: prediction, loss: null };
    if (own.loss === 'crossEntropy') runtime.writeInts(network.wanted, wanted);
    else runtime.write(network.wanted, wanted);
    const loss = kernels.onlineGradient(network.block);
    if (!Number.isFinite(loss)) throw this.#diverged('loss', 'loss');
    if (own.clipNorm !== undefined) this.#model.clipGradNorm(own.clipNorm);
    this.#optimizer.step(this.#learningRate);
    return { output: prediction, loss };
  }

  #diverged(what: string, where: string): NonFiniteError {
    return new NonFiniteError(
      `the ${what} of step ${this.#steps} is not finite; the weights have not changed. A lower learningRate or clipNorm may help; reset() clears the state`,
      this.#steps,
      where,
    );
  }

  #target(target: number | ArrayLike<number>): ArrayLike<number> {
    const { outputSize: O, loss } = this.#settings.own;
    if (loss === 'crossEntropy') return [check.whole('target', target, 0, O - 1)];
    const list = typeof target === 'number' && O === 1 ? [target] : (target as ArrayLike<number>);
    check.numbers('target', list, O, `[O=${O}]`);
    if (loss === 'bceWithLogits') for (let i = 0; i < O; i++) check.number(`target[${i}]`, list[i], 0, 1);
    return list;
  }

  /** Begins a new sequence: the state and the influence become zero. Weights and optimizer stay as they are. */
  reset(): void {
    const { runtime } = this.#model;
    onlineCore(runtime); // throws where the learner has been disposed
    for (const { at, size } of this.#carried()) runtime.f32.fill(0, at >>> 2, (at >>> 2) + size);
  }

  /** What is carried from step to step: tensors of files, by their names. */
  #carried(): { name: string; shape: readonly number[]; at: number; size: number }[] {
    return this.#model.layers.layers.flatMap(({ direction: { H }, h, c, influence, M }, n) => {
      const part = (name: string, shape: readonly number[], at: number) =>
        at ? [{ name: `${name}.${n}`, shape, at, size: shape.reduce((a, b) => a * b) }] : [];
      return [...part('state.h', [1, H], h), ...part('state.c', [1, H], c), ...part('influence', influence, M)];
    });
  }

  /** A copy of a parameter, in the order of its shape. */
  get(name: string): Float32Array {
    return this.#model.get(name);
  }

  /** Overwrites a parameter. The influence of the earlier weights is kept; `reset` clears it. */
  set(name: string, values: ArrayLike<number>): void {
    this.#model.set(name, values);
  }

  /** A copy of the gradient that the last step with a target had, after clipping and weight decay. */
  gradient(name: string): Float32Array {
    return this.#model.gradient(name);
  }

  /**
   * The weights alone as a safetensors file, which `loadWeights` of gatewise reads into a model of the same layers: a `Recurrent` named
   * `rnn` and a `Linear` named `head`.
   */
  saveWeights(): Uint8Array<ArrayBuffer> {
    return saveWeights(this.#model);
  }

  /**
   * Overwrites all weights, or none where something is missing or of another shape.
   *
   * @param bytes what `saveWeights` wrote, of a learner or of a model of gatewise with the same names
   * @param options `rename`: new beginnings of names of tensors
   * @throws FormatError for a file that is damaged or holds other parameters
   */
  loadWeights(bytes: Uint8Array | ArrayBuffer, options: { rename?: Readonly<Record<string, string>> } = {}): void {
    check.options('loadWeights', options, ['rename']);
    loadWeights(this.#model, bytes, options);
  }

  /** All there is: weights, optimizer, state and influence, as a safetensors file. */
  save(): Uint8Array<ArrayBuffer> {
    const { runtime, parameters, slab } = this.#model;
    const tensors = new Map<string, Tensor>();
    for (const { name, shape, at, size } of parameters) {
      tensors.set(name, { shape, data: runtime.read(at, size) });
      for (const [moment, moments] of Object.entries(this.#optimizer.moments)) {
        tensors.set(`optimizer.${moment}.${name}`, { shape, data: runtime.read(at - slab + moments, size) });
      }
    }
    for (const { name, shape, at, size } of this.#carried()) {
      tensors.set(name, { shape, data: runtime.read(at, size) });
    }
    const { steps, updates, learningRate } = this;
    return write(tensors, { options: this.config, steps, updates, learningRate });
  }

  /** Brings a learner that has just been made to where a file stands. */
  #restore({ tensors, steps, updates, learningRate }: Saved): void {
    const { runtime, parameters, slab } = this.#model;
    const put = (name: string, at: number) => runtime.write(at, tensors.get(name) as Float32Array);
    for (const { name, at } of parameters) {
      put(name, at);
      for (const [moment, moments] of Object.entries(this.#optimizer.moments)) {
        put(`optimizer.${moment}.${name}`, at - slab + moments);
      }
    }
    for (const { name, at } of this.#carried()) put(name, at);
    this.#steps = steps;
    this.#learningRate = learningRate;
    this.#optimizer.steps = updates;
    this.#model.changed();
  }

  /** Bytes of the learner, and bytes that the engine has given to its instance. Neither grows from step to step. */
  memory(): { bytesInUse: number; bytesReserved: number } {
    return this.#model.runtime.memory();
  }

  /** What the learner costs, as `estimate` computed it. @param steps T of backpropagation through time, which it is compared with */
  estimate(steps = 100): Estimate {
    check.whole('steps', steps);
    return estimateOf(this.#settings, steps);
  }

  /** Gives the memory back to the engine. Every later call throws. */
  dispose(): void {
    this.#model.dispose();
    this.#model.runtime.dispose();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }
}

/** Options of `create`: what the learner is, and where it runs. */
function read(place: string, options: OnlineOptions & OnlinePlace) {
  if (typeof options !== 'object' || options === null) check.fail(place, 'an object of options', options);
  const { maxBytes, module, ...rest } = options;
  const where = readPlace(place, { maxBytes, module });
  const settings = readOnline(place, rest as OnlineOptions);
  checkBytes(settings, where.maxBytes);
  return { settings, module: where.module };
}

function checkBytes(settings: OnlineSettings, maxBytes: number): void {
  const { bytes, influenceBytes } = estimateOf(settings, 1);
  if (bytes <= maxBytes) return;
  const shown = (n: number) => n.toLocaleString('en');
  throw new RangeError(
    `maxBytes: the learner needs ${shown(bytes)} bytes, ${shown(influenceBytes)} of them for the influence of its parameters; at most ${shown(maxBytes)} are allowed. A smaller hiddenSize, method: 'snap1', or a larger maxBytes is needed`,
  );
}
