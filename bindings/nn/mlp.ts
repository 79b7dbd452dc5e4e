import * as check from '../check.js';
import type { Rows, Tape } from '../tape.js';
import { dropout } from './dropout.js';
import { Linear } from './linear.js';
import type { Builder } from './model.js';
import { activation } from './rows.js';

export interface MLPOptions {
  readonly inputSize: number;
  readonly outputSize: number;
  /** Widths of the layers in between, default none: a linear map. */
  readonly hiddenLayers?: readonly number[] | undefined;
  /** Default `'relu'`. */
  readonly activation?: 'tanh' | 'sigmoid' | 'relu' | undefined;
  /** Share of each layer's inputs that is dropped in training, default 0. */
  readonly dropout?: number | undefined;
}

/** Linear maps with a function between them: g in ŷ = g(h). */
export class MLP {
  readonly #layers: readonly Linear[];

  /** @param name prefix of the parameters: `weight`, `bias`; with layers in between `0.weight`, `0.bias`, `1.weight` … */
  constructor(
    readonly builder: Builder,
    name: string,
    readonly options: MLPOptions,
  ) {
    check.options(name, options, ['inputSize', 'outputSize', 'hiddenLayers', 'activation', 'dropout']);
    const { inputSize, outputSize, hiddenLayers = [] } = options;
    check.oneOf('activation', options.activation ?? 'relu', ['tanh', 'sigmoid', 'relu']);
    const widths = [inputSize, ...hiddenLayers.map((width, i) => check.whole(`hiddenLayers[${i}]`, width)), outputSize];
    this.#layers = widths.slice(1).map((outputs, i) => {
      const own = hiddenLayers.length ? `${name}.${i}` : name;
      return new Linear(builder, own, { inputSize: widths[i], outputSize: outputs });
    });
  }

  /** [T,B,I] to [T,B,O]. */
  forward(tape: Tape, x: Rows): Rows {
    const { activation: f = 'relu', dropout: rate = 0 } = this.options;
    return this.#layers.reduce((rows, layer, i) => {
      const input = i > 0 ? activation(tape, rows, f) : rows;
      return layer.forward(tape, dropout(tape, this.builder.random, input, rate));
    }, x);
  }
}
