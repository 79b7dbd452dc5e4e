/** What layers are built from: parameters, and the builder that collects them and the memory of the layers. */
import * as check from '../check.js';
import type { Runtime } from '../core/runtime.js';
import { Random } from '../random.js';
import { checkRows, checkTape, pass, type Rows, Tape } from '../tape.js';
import { type Initializer, type Start, startOf } from './initializer.js';

/** A named array of a model. Read it with `model.get(name)`, write it with `model.set(name, values)`. */
export class Parameter {
  /** For authors of layers: the address of the values. */
  at = 0;
  readonly size: number;
  /** Multiplications with it for one row: those of a matrix. Layers that use it otherwise change this. */
  multiplications: number;
  /** Whether `model.freeze` named it. */
  frozen = false;
  /** For authors of layers: whether the running pass computes its gradient. */
  trained = false;
  #grad = 0;

  constructor(
    readonly name: string,
    readonly shape: readonly number[],
    readonly start: Start,
  ) {
    check.text('name', name);
    if (!Array.isArray(shape)) check.fail('shape', 'a list of sizes', shape);
    this.size = shape.reduce((n: number, d, i) => n * check.whole(`shape[${i}]`, d, 1, Number.MAX_SAFE_INTEGER), 1);
    this.multiplications = shape.length > 1 ? this.size : 0;
  }

  /** For authors of layers: the address of the gradient, which exists where `trained` is true. */
  get grad(): number {
    if (this.#grad) return this.#grad;
    throw new Error(`${this.name}: has no gradient, its model is not trained in this pass`);
  }

  set grad(address: number) {
    this.#grad = address;
  }
}

/** Whether the running pass computes the gradient of at least one of these parameters. */
export function trains(...parameters: readonly (Parameter | undefined)[]): boolean {
  return parameters.some((parameter) => parameter?.trained);
}

/** Where a kernel adds the gradient of a parameter: memory of the pass that nobody reads if it is not wanted. */
export function gradientAt(tape: Tape, parameter: Parameter): number {
  return parameter.trained ? parameter.grad : tape.runtime.takeZeroed(4 * parameter.size);
}

/** What layers are built with: it collects their parameters and their memory. `new Model` makes it. */
export class Builder {
  readonly #parameters = new Map<string, Parameter>();
  readonly blocks: number[] = [];
  /** Grows with every change of the parameters; packed copies are then made again. */
  version = 0;
  disposed = false;
  /** Whether `new Model` has returned: its layers are then complete. */
  complete = false;

  constructor(
    readonly runtime: Runtime,
    readonly random: Random,
  ) {}

  /**
   * A new parameter.
   *
   * @param name its name in files; no other parameter of the model has it
   * @throws RangeError if the name is taken, or is `__metadata__`, which files use
   */
  parameter(name: string, shape: readonly number[], start: Initializer | Start): Parameter {
    if (this.complete) throw new Error(`${name}: layers can only be made while new Model runs its build function`);
    if (check.text('name', name) === '__metadata__')
      throw new RangeError("name: '__metadata__' is reserved by the format of files");
    if (this.find(name)) throw new RangeError(`name: duplicate parameter ${check.show(name)}`);
    const parameter = new Parameter(name, shape, startOf(start));
    this.#parameters.set(name, parameter);
    return parameter;
  }

  /** The parameter of that name, if there is one. */
  find(name: string): Parameter | undefined {
    return this.#parameters.get(name);
  }

  /** All of them, in the order in which they were made. */
  get parameters(): Parameter[] {
    return [...this.#parameters.values()];
  }

  /**
   * A block of memory that lives as long as the model.
   *
   * @param fill writes what it holds from the start: it is given all of memory as floats, and the index of the block's first one
   */
  alloc(bytes: number, what: string, fill?: (f32: Float32Array, first: number) => void): number {
    this.alive();
    const at = this.runtime.alloc(bytes, what);
    this.blocks.push(at);
    fill?.(this.runtime.f32, at >>> 2);
    return at;
  }

  /** Throws if the model has been disposed. */
  alive(): void {
    if (this.disposed) throw new Error('this model has been disposed');
  }

  /** What each layer checks first: its model is alive and on the runtime of the tape, its input is of this pass and has F features. */
  accept(tape: Tape, ...input: [] | [x: Rows, F?: number, name?: string]): void {
    this.alive();
    const [x, F, name = 'x'] = input;
    if (input.length > 0) checkRows(tape, name, x as Rows, F);
    else checkTape(tape);
    if (tape.runtime !== this.runtime) throw new RangeError('tape: is on another runtime than the layer');
  }

  /** Runs layers forward. What `work` returns must not lie in the arena. */
  forward<T>(work: (tape: Tape) => T): T {
    this.alive();
    return pass(new Tape(this.runtime, false), work);
  }
}

/**
 * Builds layers without memory and without values: it only sees which parameters they have.
 *
 * @param found called for each parameter; what it throws ends the building
 */
export class Outline extends Builder {
  constructor(
    runtime: Runtime,
    readonly found: (name: string, shape: readonly number[]) => void,
  ) {
    super(runtime, new Random(0));
  }

  override parameter(name: string, shape: readonly number[], start: Initializer | Start): Parameter {
    this.found(name, shape);
    return super.parameter(name, shape, start);
  }

  override alloc(): number {
    return 0;
  }
}
