import { LINE, PANEL } from '../../assembly/layout.js';
import * as check from '../check.js';
import { type Options, object, option, optional, type Reader, readOptions, required } from '../options.js';
import type { Rows, Tape } from '../tape.js';
import { type Builder, Parameter, trains } from './builder.js';
import { checkInitializer, fanIn } from './initializer.js';
import { input, read } from './input.js';
import { clearPadding, finish } from './padding.js';

const parameter: Reader<Parameter> = (name, value) =>
  value instanceof Parameter ? value : check.fail(name, 'a parameter of another layer', value);

const OPTIONS = {
  /** I: features of the input. */
  inputSize: required(check.whole),
  /** O: features of the output. */
  outputSize: required(check.whole),
  /** Whether there is a bias, default true; or the bias [O] of another layer. */
  bias: option<boolean | Parameter>(
    (name, value) => (typeof value === 'object' ? parameter : check.flag)(name, value),
    true,
  ),
  /** The weight [O,I] of another layer, for example of an embedding: both use one parameter, and its gradient is the sum of theirs. */
  weight: optional(parameter),
  /** How weight and bias start. Without one as in PyTorch: uniform within 1/√I. Default `{}`. */
  initializers: option(object({ weight: optional(checkInitializer), bias: optional(checkInitializer) }), {}),
};

/** What `new Linear` takes. */
export interface LinearOptions extends Options<typeof OPTIONS> {}

/**
 * y = x Wᵀ + b, for x [T,B,I] and y [T,B,O].
 *
 * @example
 * ```js
 * import { input, Linear, Model, read, Runtime } from 'gatewise';
 *
 * const model = new Model(await Runtime.create(), 1, (b) => new Linear(b, 'head', { inputSize: 2, outputSize: 1 }));
 * model.set('head.weight', [3, 4]);
 * model.set('head.bias', [0.5]);
 * const y = model.forward((tape, head) => read(tape, head.forward(tape, input(tape, [1, 2], { T: 1, B: 1, F: 2 }))));
 * console.log(y[0]); // 11.5
 * ```
 */
export class Linear {
  readonly inputSize: number;
  readonly outputSize: number;
  readonly weight: Parameter;
  readonly bias: Parameter | undefined;
  /** For authors of layers: panels of the packed weight. */
  readonly panels: number;
  readonly #packedWeight: number;
  readonly #packedBias: number;
  #packed = -1;

  /**
   * @param name prefix of the parameters: `weight` [O,I] and `bias` [O]
   * @throws TypeError, RangeError for invalid options
   */
  constructor(
    readonly builder: Builder,
    name: string,
    options: LinearOptions,
  ) {
    check.layer(builder, name);
    const { inputSize: I, outputSize: O, bias, weight, initializers } = readOptions(name, OPTIONS, options);
    this.inputSize = I;
    this.outputSize = O;
    const make = (tensor: 'weight' | 'bias', given: Parameter | undefined, shape: readonly number[]) => {
      if (given === undefined) {
        return builder.parameter(`${name}.${tensor}`, shape, initializers[tensor] ?? fanIn(I));
      }
      if (initializers[tensor]) {
        check.clash(`initializers.${tensor}`, tensor, 'the layer that made the parameter initializes it');
      }
      return shared(builder, tensor, given, shape);
    };
    this.weight = make('weight', weight, [O, I]);
    if (bias) this.bias = make('bias', bias === true ? undefined : bias, [O]);
    else if (initializers.bias) {
      check.clash('initializers.bias', 'bias: false', 'the layer has no bias');
    }
    this.panels = Math.ceil(O / PANEL);
    this.#packedWeight = builder.alloc(this.panels * I * LINE, `${name}.weight`);
    this.#packedBias = builder.alloc(this.panels * LINE, `${name}.bias`);
  }

  /** For authors of layers: addresses of the packed weight and bias, packed again if they have changed. Without a bias, it is zeros. */
  packed(): { weight: number; bias: number } {
    if (this.#packed !== this.builder.version) {
      this.#packed = this.builder.version;
      const { core } = this.builder.runtime;
      const { inputSize: I, outputSize: O } = this;
      core.packWeights(this.#packedWeight, this.weight.at, 4 * I, I, O, 1);
      core.packBias(this.#packedBias, this.bias?.at ?? 0, 0, O, 1);
    }
    return { weight: this.#packedWeight, bias: this.#packedBias };
  }

  /**
   * @param x [T,B,I]
   * @returns [T,B,O], with zeros past the end of a sequence
   */
  forward(tape: Tape, x: Rows): Rows {
    const { inputSize: I, outputSize: O } = this;
    this.builder.accept(tape, x, I);
    const { runtime, core } = tape;
    const R = x.T * x.B;
    const wanted = tape.training && (x.grad !== 0 || trains(this.weight, this.bias));
    const y = tape.rows(x.T, x.B, O, wanted, x.lengths);
    const { weight, bias } = this.packed();
    clearPadding(tape, x, x.at); // it enters the gradient of the weights, times zero
    core.gemm(y.at, y.ld, bias, 0, x.at, x.ld, weight, I * LINE, R, this.panels, I);
    if (!wanted) return finish(tape, y);
    tape.record(() => {
      const K = this.panels * PANEL;
      if (x.grad) {
        const panels = Math.ceil(I / PANEL);
        const transposed = runtime.take(panels * K * LINE);
        core.packTransposed(transposed, K * LINE, this.weight.at, 4 * I, I, O, 1);
        core.gemm(x.grad, x.ld, x.grad, x.ld, y.grad, y.ld, transposed, K * LINE, R, panels, K);
      }
      if (this.weight.trained) {
        const scratch = runtime.take(core.weightGradScratch(R, this.panels, I));
        core.weightGrad(this.weight.grad, 4 * I, scratch, y.grad, y.ld, x.at, x.ld, R, I, O, 1);
      }
      if (this.bias?.trained) core.biasGrad(this.bias.grad, 0, y.grad, y.ld, R, O, 1);
    });
    return finish(tape, y);
  }

  /**
   * One step of B sequences, for streams.
   *
   * @param x [B,I]
   * @returns [B,O]
   * @throws RangeError for another number of values
   */
  step(x: ArrayLike<number>): Float32Array {
    const { inputSize: F } = this;
    const B = x?.length / F;
    if (!Number.isInteger(B)) check.fail('x', `a multiple of I=${F} numbers`, x?.length ?? x);
    return this.builder.forward((tape) => read(tape, this.forward(tape, input(tape, x, { T: 1, B, F }))));
  }
}

/** A parameter that another layer of the same model made. */
function shared(builder: Builder, name: string, given: Parameter, shape: readonly number[]): Parameter {
  if (builder.find(given.name) !== given) throw new RangeError(`${name}: '${given.name}' belongs to another model`);
  if (given.shape.join() !== shape.join()) {
    throw new RangeError(`${name}: expected [${shape.join(', ')}], got '${given.name}' [${given.shape.join(', ')}]`);
  }
  if (given.shape.length > 1) given.multiplications += given.size;
  return given;
}
