import * as check from '../check.js';
import { align } from '../core/runtime.js';
import type { Rows, Tape } from '../tape.js';
import type { Builder, Parameter } from './model.js';
import { clearPadding, finish } from './padding.js';

/** y = (x - mean) / √(variance + 1e-5) ⊙ weight + bias over the features of each row: Ba et al. 2016, arXiv:1607.06450v1. */
export class LayerNorm {
  readonly weight: Parameter;
  readonly bias: Parameter;
  /** A row of ones, which tells the columns from what pads them. */
  readonly #mask: number;

  /** @param name prefix of the parameters: `weight` [F], ones, and `bias` [F], zeros, as in PyTorch */
  constructor(
    builder: Builder,
    name: string,
    readonly options: { inputSize: number },
  ) {
    check.options(name, options, ['inputSize']);
    const F = check.whole('inputSize', options.inputSize);
    this.weight = builder.parameter(`${name}.weight`, [F], { kind: 'constant', value: 1 });
    this.bias = builder.parameter(`${name}.bias`, [F], { kind: 'constant', value: 0 });
    this.#mask = builder.alloc(align(4 * F), this.weight.name);
    builder.runtime.f32.fill(1, this.#mask >>> 2, (this.#mask >>> 2) + F);
  }

  /**
   * @param x [T,B,F]
   * @returns [T,B,F]
   */
  forward(tape: Tape, x: Rows): Rows {
    const { runtime } = tape;
    const { core } = runtime;
    const { inputSize: F } = this.options;
    if (x.F !== F) throw new RangeError(`x: expected ${F} features, got ${x.F}`);
    const { T, B, ld } = x;
    const R = T * B;
    const y = tape.rows(T, B, F, true, x.lengths);
    const hat = runtime.take(R * ld);
    const roots = runtime.take(4 * R);
    clearPadding(tape, x, x.at); // it enters the gradient of the gains, times zero
    // parameters lie in lines of their own, padded with zeros: they are rows as they stand
    const { weight, bias } = this;
    core.layerNormForward(y.at, hat, roots, x.at, ld, weight.at, bias.at, this.#mask, R, F);
    tape.record(() =>
      core.layerNormBackward(x.grad, weight.grad, bias.grad, y.grad, hat, roots, ld, weight.at, this.#mask, R, F),
    );
    return finish(tape, y);
  }
}
