import { GRAD_BLOCK, PANEL } from '../../assembly/layout.js';
import * as check from '../check.js';
import { align } from '../core/runtime.js';
import type { Rows, Tape } from '../tape.js';
import type { Builder, Parameter } from './model.js';

/** y = x Wᵀ + b. */
export class Linear {
  readonly weight: Parameter;
  readonly bias: Parameter;
  readonly panels: number;
  readonly #packedWeight: number;
  readonly #packedBias: number;
  #packed = -1;

  /** @param name prefix of the parameters: `weight` [O,I] and `bias` [O], uniform within 1/√I as in PyTorch */
  constructor(
    readonly builder: Builder,
    name: string,
    readonly options: { inputSize: number; outputSize: number },
  ) {
    check.options(name, options, ['inputSize', 'outputSize']);
    const I = check.whole('inputSize', options.inputSize);
    const O = check.whole('outputSize', options.outputSize);
    const initializer = { kind: 'uniform', bound: 1 / Math.sqrt(I) } as const;
    this.weight = builder.parameter(`${name}.weight`, [O, I], initializer);
    this.bias = builder.parameter(`${name}.bias`, [O], initializer);
    this.panels = Math.ceil(O / PANEL);
    this.#packedWeight = builder.alloc(this.panels * I * 4 * PANEL, this.weight.name);
    this.#packedBias = builder.alloc(this.panels * 4 * PANEL, this.bias.name);
  }

  /** Addresses of the packed weights, packed anew if they have changed. */
  packed(): { weight: number; bias: number } {
    if (this.#packed !== this.builder.version) {
      this.#packed = this.builder.version;
      const { core } = this.builder.runtime;
      const { inputSize: I, outputSize: O } = this.options;
      core.packWeights(this.#packedWeight, this.weight.at, 4 * I, I, O, 1);
      core.packBias(this.#packedBias, this.bias.at, 0, O, 1);
    }
    return { weight: this.#packedWeight, bias: this.#packedBias };
  }

  /**
   * @param x [T,B,I]
   * @returns [T,B,O]
   */
  forward(tape: Tape, x: Rows): Rows {
    const { runtime } = tape;
    const { core } = runtime;
    const { inputSize: I, outputSize: O } = this.options;
    if (x.F !== I) throw new RangeError(`x: expected ${I} features, got ${x.F}`);
    const R = x.T * x.B;
    const y = tape.rows(x.T, x.B, O, true, x.lengths);
    const { weight, bias } = this.packed();
    core.gemm(y.at, y.ld, bias, 0, x.at, x.ld, weight, I * 4 * PANEL, R, this.panels, I);
    tape.record(() => {
      const K = this.panels * PANEL;
      if (x.grad) {
        const panels = Math.ceil(I / PANEL);
        const transposed = runtime.take(panels * K * 4 * PANEL);
        core.packTransposed(transposed, K * 4 * PANEL, this.weight.at, 4 * I, I, O, 1);
        core.gemm(x.grad, x.ld, x.grad, x.ld, y.grad, y.ld, transposed, K * 4 * PANEL, R, panels, K);
      }
      const scratch = runtime.take(4 * (2 * PANEL + GRAD_BLOCK * PANEL) + GRAD_BLOCK * align(4 * I));
      core.weightGrad(this.weight.grad, 4 * I, scratch, y.grad, y.ld, x.at, x.ld, R, I, O, 1);
      core.biasGrad(this.bias.grad, 0, y.grad, y.ld, R, O, 1);
    });
    return y;
  }
}
