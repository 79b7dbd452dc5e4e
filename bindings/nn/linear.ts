import { LINE, PANEL } from '../../assembly/layout.js';
import * as check from '../check.js';
import type { Rows, Tape } from '../tape.js';
import { checkInitializer, type Initializer } from './initializer.js';
import { type Builder, Parameter } from './model.js';
import { clearPadding, finish } from './padding.js';

export interface LinearOptions {
  /** I: features of the input. */
  inputSize: number;
  /** O: features of the output. */
  outputSize: number;
  /** Whether there is a bias, default true; or the bias [O] of another layer. */
  bias?: boolean | Parameter | undefined;
  /** The weights [O,I] of another layer, say an embedding's: both work with one parameter, and its gradient is the sum of theirs. */
  weight?: Parameter | undefined;
  /** How weights and bias start; default: as in PyTorch, uniform within 1/√I. */
  initializers?: { weight?: Initializer; bias?: Initializer } | undefined;
}

/** y = x Wᵀ + b. */
export class Linear {
  readonly weight: Parameter;
  readonly bias: Parameter | undefined;
  readonly panels: number;
  readonly #packedWeight: number;
  readonly #packedBias: number;
  #packed = -1;

  /** @param name prefix of the parameters: `weight` [O,I] and `bias` [O] */
  constructor(
    readonly builder: Builder,
    name: string,
    readonly options: LinearOptions,
  ) {
    check.options(name, options, ['inputSize', 'outputSize', 'bias', 'weight', 'initializers']);
    const I = check.whole('inputSize', options.inputSize);
    const O = check.whole('outputSize', options.outputSize);
    const { bias = true, weight, initializers = {} } = options;
    check.options('initializers', initializers, ['weight', 'bias']);
    for (const [key, value] of Object.entries(initializers)) checkInitializer(`initializers.${key}`, value);
    const make = (tensor: 'weight' | 'bias', given: Parameter | undefined, shape: readonly number[]) => {
      if (given === undefined) {
        const usual = { kind: 'uniform', bound: 1 / Math.sqrt(I) } as const;
        return builder.parameter(`${name}.${tensor}`, shape, initializers[tensor] ?? usual);
      }
      if (initializers[tensor]) {
        throw new RangeError(
          `initializers.${tensor} and ${tensor} do not go together: the layer that made it fills it`,
        );
      }
      return shared(builder, tensor, given, shape);
    };
    this.weight = make('weight', weight, [O, I]);
    if (typeof bias === 'object') this.bias = make('bias', bias, [O]);
    else if (check.flag('bias', bias)) this.bias = make('bias', undefined, [O]);
    else if (initializers.bias) {
      throw new RangeError('bias: false and initializers.bias do not go together: there is no bias');
    }
    this.panels = Math.ceil(O / PANEL);
    this.#packedWeight = builder.alloc(this.panels * I * LINE, `${name}.weight`);
    this.#packedBias = builder.alloc(this.panels * LINE, `${name}.bias`);
  }

  /** Addresses of the packed weights, packed anew if they have changed; a bias that is not there is packed as zeros. */
  packed(): { weight: number; bias: number } {
    if (this.#packed !== this.builder.version) {
      this.#packed = this.builder.version;
      const { core } = this.builder.runtime;
      const { inputSize: I, outputSize: O } = this.options;
      core.packWeights(this.#packedWeight, this.weight.at, 4 * I, I, O, 1);
      core.packBias(this.#packedBias, this.bias?.at ?? 0, 0, O, 1);
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
    clearPadding(tape, x, x.at); // it enters the gradient of the weights, times zero
    core.gemm(y.at, y.ld, bias, 0, x.at, x.ld, weight, I * LINE, R, this.panels, I);
    tape.record(() => {
      const K = this.panels * PANEL;
      if (x.grad) {
        const panels = Math.ceil(I / PANEL);
        const transposed = runtime.take(panels * K * LINE);
        core.packTransposed(transposed, K * LINE, this.weight.at, 4 * I, I, O, 1);
        core.gemm(x.grad, x.ld, x.grad, x.ld, y.grad, y.ld, transposed, K * LINE, R, panels, K);
      }
      const scratch = runtime.take(core.weightGradScratch(R, this.panels, I));
      core.weightGrad(this.weight.grad, 4 * I, scratch, y.grad, y.ld, x.at, x.ld, R, I, O, 1);
      if (this.bias) core.biasGrad(this.bias.grad, 0, y.grad, y.ld, R, O, 1);
    });
    return finish(tape, y);
  }
}

/** A parameter that another layer of the same model made. */
function shared(builder: Builder, name: string, given: Parameter, shape: readonly number[]): Parameter {
  if (!(given instanceof Parameter)) check.fail(name, 'a parameter of another layer', given);
  if (!builder.parameters.includes(given)) throw new RangeError(`${name}: '${given.name}' is of another model`);
  if (given.shape.join() !== shape.join()) {
    throw new RangeError(`${name}: expected [${shape.join(', ')}], got '${given.name}' [${given.shape.join(', ')}]`);
  }
  return given;
}
