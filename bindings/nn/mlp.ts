import * as check from '../check.js';
import { listOf, type Options, oneOf, option, rate, readOptions, required, type Settings } from '../options.js';
import type { Rows, Tape } from '../tape.js';
import type { Builder } from './builder.js';
import { dropout } from './dropout.js';
import { Linear } from './linear.js';
import { activation } from './rows.js';

const OPTIONS = {
  /** I: features of the input. */
  inputSize: required(check.whole),
  /** O: features of the output. */
  outputSize: required(check.whole),
  /** Units of the layers in between, default none: one linear map. */
  hiddenLayers: option(listOf(check.whole, 'a list of sizes'), []),
  /** The function between the linear maps, default `'relu'`. */
  activation: option(oneOf('tanh', 'sigmoid', 'relu'), 'relu'),
  /** Share of each layer's inputs that is dropped in training, default 0. */
  dropout: option(rate, 0),
};

/** What `new MLP` takes. */
export interface MLPOptions extends Options<typeof OPTIONS> {}

/**
 * A multilayer perceptron: linear maps with an activation between them, x [T,B,I] to [T,B,O].
 *
 * @example
 * ```js
 * import { input, MLP, Model, read, Runtime } from 'gatewise';
 *
 * const options = { inputSize: 3, hiddenLayers: [8], outputSize: 2, activation: 'tanh' };
 * const model = new Model(await Runtime.create(), 1, (b) => new MLP(b, 'mlp', options));
 * const y = model.forward((tape, mlp) => read(tape, mlp.forward(tape, input(tape, [1, 2, 3], { T: 1, B: 1, F: 3 }))));
 * console.log(y.length, model.parameters.map(({ name }) => name).join(' '));
 * // 2 mlp.0.weight mlp.0.bias mlp.1.weight mlp.1.bias
 * ```
 */
export class MLP {
  readonly options: Settings<typeof OPTIONS>;
  readonly #layers: readonly Linear[];

  /**
   * @param name prefix of the parameters: `weight`, `bias`; with layers in between `0.weight`, `0.bias`, `1.weight` …
   * @throws TypeError, RangeError for invalid options
   */
  constructor(
    readonly builder: Builder,
    name: string,
    options: MLPOptions,
  ) {
    check.layer(builder, name);
    this.options = readOptions(name, OPTIONS, options);
    const { inputSize, outputSize, hiddenLayers } = this.options;
    const widths = [inputSize, ...hiddenLayers, outputSize];
    this.#layers = widths.slice(1).map((outputs, i) => {
      const own = hiddenLayers.length ? `${name}.${i}` : name;
      return new Linear(builder, own, { inputSize: widths[i], outputSize: outputs });
    });
  }

  /**
   * @param x [T,B,I]
   * @returns [T,B,O]
   */
  forward(tape: Tape, x: Rows): Rows {
    const { activation: f, dropout: rate } = this.options;
    return this.#layers.reduce((rows, layer, i) => {
      const input = i > 0 ? activation(tape, rows, f) : rows;
      return layer.forward(tape, dropout(tape, this.builder.random, input, rate));
    }, x);
  }
}
