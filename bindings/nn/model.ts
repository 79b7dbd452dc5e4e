/**
 * A model is its parameters: named arrays in one block of memory, and their gradients in another with the same layout, so that
 * clipping, optimizers and files are single loops.
 */
import * as check from '../check.js';
import { align, type Runtime } from '../core/runtime.js';
import { UnsupportedError } from '../errors.js';
import { Random } from '../random.js';
import { lossesOf, type Minimised, type Observer, pass, Tape } from '../tape.js';
import { Builder, type Parameter } from './builder.js';
import { initialize } from './initializer.js';

function untrained(): never {
  throw new UnsupportedError('gatewise/infer cannot train; gatewise can');
}

/**
 * Layers with their parameters, on a runtime. `forward` runs them, `valueAndGrad` computes gradients for an optimizer, and `dispose`
 * gives the memory back.
 *
 * @example
 * ```js
 * import { input, Linear, Model, mseLoss, Optimizer, read, Recurrent, Runtime } from 'gatewise';
 *
 * const model = new Model(await Runtime.create(), 1, (b) => ({
 *   rnn: new Recurrent(b, 'rnn', { cell: 'gru', inputSize: 1, hiddenSize: 8 }),
 *   head: new Linear(b, 'head', { inputSize: 8, outputSize: 1 }),
 * }));
 * // what was two steps ago, at each of 6 steps
 * const [x, y] = [[1, 0, 0, 1, 1, 0], [0, 0, 1, 0, 0, 1]];
 * const predict = (tape, { rnn, head }) => head.forward(tape, rnn.forward(tape, input(tape, x, { T: 6, B: 1, F: 1 })).output);
 * const optimizer = new Optimizer(model, { learningRate: 0.02 });
 * for (let i = 0; i < 300; i++) {
 *   model.valueAndGrad((tape, layers) => mseLoss(tape, predict(tape, layers), y));
 *   model.clipGradNorm(1);
 *   optimizer.step();
 * }
 * const predicted = model.forward((tape, layers) => read(tape, predict(tape, layers)));
 * console.log(Array.from(predicted, Math.round).join(' ')); // 0 0 1 0 0 1
 * model.dispose();
 * ```
 */
export class Model<L> {
  readonly layers: L;
  readonly #builder: Builder;
  readonly #parameters: readonly Parameter[];
  /** For authors of optimizers: address and bytes of all parameters. */
  readonly slab: number;
  readonly slabBytes: number;
  /** For authors of optimizers: address of the gradients, which have the same layout; 0 before the first training step. */
  gradients = 0;
  /** For tools: sees the backward passes of `valueAndGrad`. */
  observer: Observer | null = null;
  #training = false;

  /**
   * Builds layers on a runtime.
   *
   * @param seed whole number; initialization, dropout, shuffling and sampling are the same for the same seed
   * @param build makes the layers; what it returns becomes `layers`
   * @param initialise false where weights will be loaded anyway
   */
  constructor(
    readonly runtime: Runtime,
    seed: number,
    build: (builder: Builder) => L,
    initialise = true,
  ) {
    check.made('runtime', runtime, 'alloc', 'a Runtime', 'disposed');
    check.whole('seed', seed, 0, Number.MAX_SAFE_INTEGER);
    check.callback('build', build);
    const builder = new Builder(runtime, new Random(seed));
    this.#builder = builder;
    try {
      this.layers = build(builder);
      if (typeof (this.layers as { then?: unknown } | null | undefined)?.then === 'function')
        check.fail('build', 'a function that returns layers, not a promise', build);
      builder.complete = true;
      this.#parameters = builder.parameters;
      this.slabBytes = this.#parameters.reduce((n, p) => n + align(4 * p.size), 0);
      this.slab = builder.alloc(this.slabBytes, 'parameters');
    } catch (error) {
      this.dispose();
      throw error;
    }
    let at = this.slab;
    for (const parameter of this.#parameters) {
      parameter.at = at;
      at += align(4 * parameter.size);
    }
    if (initialise) for (const parameter of this.#parameters) initialize(runtime, builder.random, parameter);
  }

  /** All parameters, in the order in which the layers made them. */
  get parameters(): readonly Parameter[] {
    this.#builder.alive();
    return this.#parameters;
  }

  /** The random streams of dropout, shuffling and sampling. */
  get random(): Random {
    return this.#builder.random;
  }

  /** For authors of optimizers: throws while `valueAndGrad` runs, when parameters must not change. */
  idle(): void {
    if (this.#training) throw new Error('parameters cannot be changed while valueAndGrad runs');
  }

  /** For authors of optimizers: to be called after the parameters have changed. */
  changed(): void {
    this.#builder.version++;
  }

  /**
   * A parameter by its name.
   *
   * @throws RangeError if there is no such parameter
   */
  parameter(name: string): Parameter {
    this.#builder.alive();
    const found = this.#builder.find(name);
    if (found) return found;
    const names = this.#parameters.map((p) => p.name);
    throw new RangeError(`name: no parameter is called ${check.show(name)}; expected one of ${check.list(names, 20)}`);
  }

  /** A copy of a parameter's values, in the order of its shape. */
  get(name: string): Float32Array {
    const { at, size } = this.parameter(name);
    return this.runtime.read(at, size);
  }

  /**
   * Overwrites a parameter.
   *
   * @param values finite numbers, in the order of its shape
   * @throws RangeError, and the parameter is unchanged, if their number differs or one is not finite
   */
  set(name: string, values: ArrayLike<number>): void {
    this.idle();
    const { at, size, shape } = this.parameter(name);
    check.numbers(name, values, size, `[${shape.join(', ')}]`);
    this.runtime.write(at, values);
    this.changed();
  }

  /**
   * Runs layers forward, as at inference.
   *
   * @param work what it returns must be plain numbers, for example what `read` gives: rows end with the pass
   */
  forward<T>(work: (tape: Tape, layers: L) => T): T {
    check.callback('work', work);
    return this.#builder.forward((tape) => work(tape, this.layers));
  }

  /**
   * Computes a loss and its gradients: one forward and one backward pass. An optimizer can then apply the gradients.
   *
   * @param work runs the layers and returns what is to be minimised: a loss, or a list of losses with weights
   * @param options `accumulate`: adds to the gradients that are there instead of replacing them, default false;
   *   `also`: other models on the same runtime whose layers are used and which are trained too. Layers of models that are not listed
   *   can be used as well: they run as at inference and get no gradient
   * @returns the weighted sum of the losses
   * @throws RangeError if a model is on another runtime
   *
   * @example
   * ```js
   * import { input, Linear, Model, mseLoss, Optimizer, Runtime } from 'gatewise';
   *
   * const runtime = await Runtime.create();
   * const encoder = new Model(runtime, 1, (b) => new Linear(b, 'encoder', { inputSize: 2, outputSize: 3 }));
   * const head = new Model(runtime, 2, (b) => new Linear(b, 'head', { inputSize: 3, outputSize: 1 }));
   * const work = (tape, layer) => {
   *   const features = encoder.layers.forward(tape, input(tape, [1, 2], { T: 1, B: 1, F: 2 }));
   *   return mseLoss(tape, layer.forward(tape, features), [1]);
   * };
   * head.valueAndGrad(work); // the encoder is frozen
   * head.valueAndGrad(work, { also: [encoder] }); // both get gradients
   * new Optimizer(head).step();
   * new Optimizer(encoder).step();
   * console.log(encoder.gradient('encoder.bias').length); // 3
   * ```
   */
  valueAndGrad(
    work: (tape: Tape, layers: L) => Minimised,
    options: { accumulate?: boolean | undefined; also?: readonly Model<unknown>[] | undefined } = {},
  ): number {
    if (!Tape.training) return untrained();
    this.prepare();
    check.callback('work', work);
    check.options('options', options, ['accumulate', 'also']);
    const { accumulate = false, also = [] } = options;
    check.flag('accumulate', accumulate);
    if (!Array.isArray(also)) check.fail('also', 'a list of models', also);
    const models: Model<unknown>[] = [this, ...also];
    models.forEach((model, i) => {
      const name = i > 0 ? `also[${i - 1}]` : 'model';
      if (!(model instanceof Model)) check.fail(name, 'a model', model);
      if (model.runtime !== this.runtime) throw new RangeError(`${name}: is on another runtime`);
      if (model.#training || models.indexOf(model) < i) throw new RangeError(`${name}: is in training already`);
      model.prepare();
    });
    const streams = models.map(({ random }) => random);
    const tape = new Tape(this.runtime, true, streams, this.observer);
    try {
      for (const model of models) model.#begin(accumulate);
      return pass(tape, () => {
        const losses = lossesOf(work(tape, this.layers));
        for (const model of models) model.#builder.alive();
        tape.backward(losses);
        for (const model of models) model.#clearFrozen();
        return losses.reduce((sum, { loss, weight }) => sum + weight * loss.value, 0);
      });
    } finally {
      for (const model of models) model.#end();
    }
  }

  #begin(accumulate: boolean): void {
    this.#training = true;
    for (const parameter of this.#parameters) parameter.trained = !parameter.frozen;
    if (!accumulate) this.#fill(this.gradients, this.slabBytes);
  }

  #end(): void {
    this.#training = false;
    for (const parameter of this.#parameters) parameter.trained = false;
  }

  /** A layer may compute the gradient of all its parameters where only some are frozen. */
  #clearFrozen(): void {
    for (const { frozen, grad, size } of this.#parameters) if (frozen) this.#fill(grad, 4 * size);
  }

  #fill(at: number, bytes: number): void {
    this.runtime.f32.fill(0, at >>> 2, (at + bytes) >>> 2);
  }

  /** Makes room for the gradients. `valueAndGrad` and optimizers call it. */
  prepare(): void {
    if (!Tape.training) return untrained();
    this.#builder.alive();
    if (this.gradients) return;
    this.gradients = this.alloc(this.slabBytes, 'gradients');
    for (const parameter of this.#parameters) parameter.grad = parameter.at - this.slab + this.gradients;
  }

  /**
   * A copy of the gradient of a parameter, as the last `valueAndGrad` and what followed left it: clipping and optimizers with weight
   * decay change it.
   *
   * @throws Error before the first `valueAndGrad`
   */
  gradient(name: string): Float32Array {
    if (!Tape.training) return untrained();
    const { size } = this.parameter(name);
    this.#checkGradients();
    return this.runtime.read(this.parameter(name).grad, size);
  }

  /** The Euclidean norm of all gradients together. */
  gradientNorm(): number {
    if (!Tape.training) return untrained();
    this.#checkGradients();
    return Math.sqrt(this.runtime.core.sumSquares(this.gradients, this.slabBytes / 4));
  }

  /**
   * Scales all gradients so that their norm is at most `max`, as PyTorch's `clip_grad_norm_` does.
   *
   * @param max above 0
   * @param norm the norm, if it is known already
   * @returns the norm before. Where it is not finite, the gradients are left as they are
   */
  clipGradNorm(max: number, norm?: number): number {
    if (!Tape.training) return untrained();
    norm ??= this.gradientNorm();
    check.number('max', max, 0, Infinity, true);
    if (typeof norm !== 'number' || norm < 0) check.fail('norm', 'a number of at least 0', norm);
    this.#checkGradients();
    const scale = max / (norm + 1e-6);
    if (scale < 1 && norm < Infinity) this.runtime.core.scale(this.gradients, this.slabBytes / 4, scale);
    return norm;
  }

  /**
   * Limits every gradient to the range from -max to max.
   *
   * @param max above 0
   */
  clipGradValue(max: number): void {
    if (!Tape.training) return untrained();
    check.number('max', max, 0, Infinity, true);
    this.#checkGradients();
    this.runtime.core.clipValue(this.gradients, this.slabBytes / 4, max);
  }

  #checkGradients(): void {
    this.#builder.alive();
    if (!this.gradients) throw new Error('gradients: expected a call of valueAndGrad before');
  }

  /**
   * Freezes parameters: training does not change them, and where all parameters of a layer are frozen, their gradient is not computed.
   * Files do not say what is frozen.
   *
   * @param names names of parameters, or prefixes of names up to a dot, say `'encoder'`; without any, all are frozen
   * @throws RangeError, and nothing changes, if a name matches no parameter
   *
   * @example
   * ```js
   * import { Linear, Model, Runtime } from 'gatewise';
   *
   * const model = new Model(await Runtime.create(), 1, (b) => ({
   *   first: new Linear(b, 'first', { inputSize: 2, outputSize: 3 }),
   *   head: new Linear(b, 'head', { inputSize: 3, outputSize: 1 }),
   * }));
   * model.freeze('first', 'head.bias');
   * model.unfreeze('first.bias');
   * console.log(model.frozen.join(' ')); // first.weight head.bias
   * ```
   */
  freeze(...names: readonly string[]): void {
    if (!Tape.training) return untrained();
    this.#setFrozen(names, true);
  }

  /** Lets training change parameters again; the arguments are those of `freeze`. */
  unfreeze(...names: readonly string[]): void {
    if (!Tape.training) return untrained();
    this.#setFrozen(names, false);
  }

  /** The names of the frozen parameters. */
  get frozen(): readonly string[] {
    if (!Tape.training) return untrained();
    return this.parameters.filter(({ frozen }) => frozen).map(({ name }) => name);
  }

  #setFrozen(names: readonly string[], frozen: boolean): void {
    this.idle();
    const chosen = names.map((name) => {
      const prefix = `${check.text('names', name)}.`;
      const found = this.parameters.filter((p) => p.name === name || p.name.startsWith(prefix));
      return found.length > 0 ? found : [this.parameter(name)];
    });
    for (const parameter of names.length > 0 ? chosen.flat() : this.parameters) parameter.frozen = frozen;
  }

  /** A block that lives as long as the model. */
  alloc(bytes: number, what: string): number {
    return this.#builder.alloc(bytes, what);
  }

  /** Gives the model's memory back to its runtime. Every later call on the model or on its layers throws an Error. */
  dispose(): void {
    this.#builder.disposed = true;
    for (const block of this.#builder.blocks.splice(0)) this.runtime.free(block);
  }

  /** The same, for `using`. */
  [Symbol.dispose](): void {
    this.dispose();
  }
}
