import * as check from '../check.js';
import { align } from '../core/runtime.js';
import { type Options, option, readOptions, real, required } from '../options.js';
import type { Rows, Tape } from '../tape.js';
import { type Builder, gradientAt, type Parameter, trains } from './builder.js';
import { constant } from './initializer.js';
import { clearPadding, finish } from './padding.js';

const OPTIONS = {
  /** F: features of the input and of the output. */
  inputSize: required(check.whole),
  /** What is added to the variance, default 1e-5. */
  epsilon: option(real(0, Infinity, true), 1e-5),
};

/** What `new LayerNorm` takes. */
export interface LayerNormOptions extends Options<typeof OPTIONS> {}

/**
 * y = (x - mean) / √(variance + epsilon) ⊙ weight + bias over the features of each row (Ba et al. 2016, arXiv:1607.06450v1), for x and y
 * [T,B,F].
 *
 * @example
 * ```js
 * import { input, LayerNorm, Model, read, Runtime } from 'gatewise';
 *
 * const model = new Model(await Runtime.create(), 1, (b) => new LayerNorm(b, 'norm', { inputSize: 2 }));
 * const y = model.forward((tape, norm) => read(tape, norm.forward(tape, input(tape, [1, 9], { T: 1, B: 1, F: 2 }))));
 * console.log(Array.from(y, (value) => value.toFixed(3)).join(' ')); // -1.000 1.000
 * ```
 */
export class LayerNorm {
  readonly inputSize: number;
  readonly epsilon: number;
  readonly weight: Parameter;
  readonly bias: Parameter;
  readonly #builder: Builder;
  /** A row of ones, which tells the columns from their padding. */
  readonly #mask: number;

  /**
   * @param name prefix of the parameters: `weight` [F], ones, and `bias` [F], zeros, as in PyTorch
   * @throws TypeError, RangeError for invalid options
   */
  constructor(builder: Builder, name: string, options: LayerNormOptions) {
    check.layer(builder, name);
    const { inputSize: F, epsilon } = readOptions(name, OPTIONS, options);
    this.inputSize = F;
    this.epsilon = epsilon;
    this.#builder = builder;
    this.weight = builder.parameter(`${name}.weight`, [F], constant(1));
    this.bias = builder.parameter(`${name}.bias`, [F], constant(0));
    this.#mask = builder.alloc(align(4 * F), this.weight.name, (f32, at) => f32.fill(1, at, at + F));
  }

  /**
   * @param x [T,B,F]
   * @returns [T,B,F], with zeros past the end of a sequence
   */
  forward(tape: Tape, x: Rows): Rows {
    const { inputSize: F, weight, bias } = this;
    this.#builder.accept(tape, x, F);
    const { runtime, core } = tape;
    const { T, B, ld } = x;
    const R = T * B;
    const wanted = tape.training && (x.grad !== 0 || trains(weight, bias));
    const y = tape.rows(T, B, F, wanted, x.lengths);
    const hat = runtime.take(R * ld);
    const roots = runtime.take(4 * R);
    clearPadding(tape, x, x.at); // it enters the gradient of the gains, times zero
    // parameters lie in lines of their own, padded with zeros: they are rows as they stand
    core.layerNormForward(y.at, hat, roots, x.at, ld, weight.at, bias.at, this.#mask, R, F, this.epsilon);
    if (!wanted) return finish(tape, y);
    tape.record(() => {
      const [dgain, dbias] = [gradientAt(tape, weight), gradientAt(tape, bias)];
      core.layerNormBackward(x.grad, dgain, dbias, y.grad, hat, roots, ld, weight.at, this.#mask, R, F);
    });
    return finish(tape, y);
  }
}
