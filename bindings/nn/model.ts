/**
 * A model is its arrays: named parameters in one slab, their gradients in another of the same layout, so that clipping, optimizers
 * and files are single loops.
 */
import * as check from '../check.js';
import { align, type Runtime } from '../core/runtime.js';
import { UnsupportedError } from '../errors.js';
import { Random } from '../random.js';
import { type Loss, Tape } from '../tape.js';
import { type Initializer, initialize, type Start } from './initializer.js';

export class Parameter {
  /** Address of the values and of their gradient, once there are any. */
  at = 0;
  grad = 0;
  readonly size: number;

  constructor(
    readonly name: string,
    readonly shape: readonly number[],
    readonly start: Start,
  ) {
    this.size = shape.reduce((n, d) => n * d, 1);
  }
}

/** What layers are built with: it collects their parameters and their memory. */
export class Builder {
  readonly parameters: Parameter[] = [];
  readonly blocks: number[] = [];
  /** Grows with every change of the parameters; packed copies are made anew when it has. */
  version = 0;

  constructor(
    readonly runtime: Runtime,
    readonly random: Random,
  ) {}

  parameter(name: string, shape: readonly number[], start: Initializer | Start): Parameter {
    if (this.parameters.some((p) => p.name === name)) throw new RangeError(`name: there are two parameters '${name}'`);
    const parameter = new Parameter(name, shape, 'kind' in start ? { initializer: start } : start);
    this.parameters.push(parameter);
    return parameter;
  }

  alloc(bytes: number, what: string): number {
    const at = this.runtime.alloc(bytes, what);
    this.blocks.push(at);
    return at;
  }

  /** Runs layers forward. What `work` returns must not lie in the arena. */
  forward<T>(work: (tape: Tape) => T): T {
    return this.runtime.scope(() => work(new Tape(this.runtime, false)));
  }
}

export class Model<L> {
  /** Address and bytes of the slab of parameters; that of the gradients comes with the first training step. */
  readonly slab: number;
  readonly slabBytes: number;
  gradients = 0;
  readonly #builder: Builder;

  /**
   * Builds layers on a runtime.
   *
   * @param seed whole number; with it initialisation, dropout, shuffling and sampling repeat
   * @param initialise false where weights will be loaded anyway
   */
  constructor(
    readonly runtime: Runtime,
    seed: number,
    build: (builder: Builder) => L,
    initialise = true,
  ) {
    check.whole('seed', seed, 0, Number.MAX_SAFE_INTEGER);
    const builder = new Builder(runtime, new Random(seed));
    this.#builder = builder;
    try {
      this.layers = build(builder);
      this.slabBytes = builder.parameters.reduce((n, p) => n + align(4 * p.size), 0);
      this.slab = builder.alloc(this.slabBytes, 'parameters');
    } catch (error) {
      this.dispose();
      throw error;
    }
    let at = this.slab;
    for (const parameter of builder.parameters) {
      parameter.at = at;
      at += align(4 * parameter.size);
    }
    if (initialise) for (const parameter of builder.parameters) initialize(runtime, builder.random, parameter);
  }

  readonly layers: L;

  get parameters(): readonly Parameter[] {
    return this.#builder.parameters;
  }

  get random(): Random {
    return this.#builder.random;
  }

  /** To be called after the parameters have changed. */
  changed(): void {
    this.#builder.version++;
  }

  /** A parameter by its name. */
  parameter(name: string): Parameter {
    const found = this.parameters.find((p) => p.name === name);
    if (!found)
      throw new RangeError(
        `name: there is no parameter '${name}'; there are ${check.list(
          this.parameters.map((p) => p.name),
          20,
        )}`,
      );
    return found;
  }

  /** A copy of a parameter's values, in the order of its shape. */
  get(name: string): Float32Array {
    const { at, size } = this.parameter(name);
    return this.runtime.read(at, size);
  }

  /** A copy of its gradient, as the last step left it. */
  gradient(name: string): Float32Array {
    const { grad, size } = this.parameter(name);
    if (!grad) throw new Error(`${name}: there is no gradient before a step`);
    return this.runtime.read(grad, size);
  }

  /** Overwrites a parameter. */
  set(name: string, values: ArrayLike<number>): void {
    const { at, size, shape } = this.parameter(name);
    if (values.length !== size) {
      throw new RangeError(`${name}: expected [${shape.join(', ')}] = ${size} numbers, got ${values.length}`);
    }
    this.runtime.write(at, values);
    this.changed();
  }

  /** Runs layers forward. What `work` returns must not lie in the arena. */
  forward<T>(work: (tape: Tape, layers: L) => T): T {
    return this.#builder.forward((tape) => work(tape, this.layers));
  }

  /**
   * One pass forward and back: the gradients of the loss, or of the sum of several, which the optimizer may then apply.
   *
   * @param work returns what is to be minimised
   * @returns the sum of the losses
   */
  valueAndGrad(work: (tape: Tape, layers: L) => Loss | readonly { loss: Loss; weight: number }[]): number {
    this.prepare();
    const { runtime } = this;
    return runtime.scope(() => {
      runtime.f32.fill(0, this.gradients >>> 2, (this.gradients + this.slabBytes) >>> 2);
      const tape = new Tape(runtime, true);
      const result = work(tape, this.layers);
      const losses = 'addGradient' in result ? [{ loss: result, weight: 1 }] : result;
      tape.backward(losses);
      return losses.reduce((sum, { loss, weight }) => sum + weight * loss.value, 0);
    });
  }

  /** Makes room for the gradients. */
  prepare(): void {
    if (this.gradients) return;
    if (!this.runtime.core.recurrentBackward) throw new UnsupportedError('gatewise/infer cannot train; gatewise can');
    this.gradients = this.#builder.alloc(this.slabBytes, 'gradients');
    for (const parameter of this.parameters) parameter.grad = parameter.at - this.slab + this.gradients;
  }

  /** A block that lives as long as the model. */
  alloc(bytes: number, what: string): number {
    return this.#builder.alloc(bytes, what);
  }

  /** Gives the model's memory back to its runtime. */
  dispose(): void {
    for (const block of this.#builder.blocks.splice(0)) this.runtime.free(block);
  }
}
