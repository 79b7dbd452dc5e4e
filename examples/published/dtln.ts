/**
 * DTLN, speech enhancement in two stages: magnitudes of the spectrum → 2 LSTM → mask; the block → learned features → layer normalization
 * → 2 LSTM → mask → block (https://github.com/breizhn/DTLN, MIT). Weights and names are those of Keras.
 */
import { activation, input, LayerNorm, Linear, Model, Recurrent, type Runtime, read, type State } from 'gatewise';
import { multiply, scale } from 'gatewise/functions';
import type { Stft } from './stft.js';
import { tensorsOf, transposed, type Weights } from './weights.js';

const [BLOCK, BINS, FEATURES, HIDDEN] = [512, 257, 256, 128];
/** LayerNorm adds 1e-5 to the variance and DTLN 1e-7: both are equal where the input is 10 times as large. */
const SCALE = 10;

export type DtlnState = Readonly<Record<'first' | 'second', State>>;

export class Dtln {
  readonly #model;

  constructor(runtime: Runtime, weights: Weights) {
    const tensor = tensorsOf(weights);
    const lstm = (inputSize: number) => ({ cell: 'lstm', inputSize, hiddenSize: HIDDEN, numLayers: 2 }) as const;
    this.#model = new Model(runtime, 0, (b) => ({
      first: new Recurrent(b, 'first', lstm(BINS)),
      mask: new Linear(b, 'dense', { inputSize: HIDDEN, outputSize: BINS }),
      encode: new Linear(b, 'conv1d', { inputSize: BLOCK, outputSize: FEATURES, bias: false }),
      norm: new LayerNorm(b, 'layer_normalization', { inputSize: FEATURES }),
      second: new Recurrent(b, 'second', lstm(FEATURES)),
      mask2: new Linear(b, 'dense_1', { inputSize: HIDDEN, outputSize: FEATURES }),
      decode: new Linear(b, 'conv1d_1', { inputSize: FEATURES, outputSize: BLOCK, bias: false }),
    }));
    const model = this.#model;
    const matrix = (name: string) => {
      const { shape, data } = tensor(name);
      return transposed({ shape: shape.slice(-2), data });
    };
    for (const name of ['dense', 'dense_1', 'conv1d', 'conv1d_1'])
      model.set(`${name}.weight`, matrix(`${name}/kernel`));
    for (const name of ['dense', 'dense_1']) model.set(`${name}.bias`, tensor(`${name}/bias`).data);
    model.set('layer_normalization.weight', tensor('layer_normalization/gamma').data);
    model.set('layer_normalization.bias', tensor('layer_normalization/beta').data);
    for (const [k, name] of ['lstm', 'lstm_1', 'lstm_2', 'lstm_3'].entries()) {
      const [stack, layer] = [k < 2 ? 'first' : 'second', k % 2];
      model.set(`${stack}.weight_ih_l${layer}`, matrix(`${name}/kernel`));
      model.set(`${stack}.weight_hh_l${layer}`, matrix(`${name}/recurrent_kernel`));
      model.set(`${stack}.bias_ih_l${layer}`, tensor(`${name}/bias`).data);
      model.set(`${stack}.bias_hh_l${layer}`, new Float32Array(4 * HIDDEN));
    }
  }

  state(): DtlnState {
    const { first, second } = this.#model.layers;
    return { first: first.state(1), second: second.state(1) };
  }

  /** Magnitudes [T,257] → mask [T,257]; the state moves on. */
  mask(magnitudes: Float32Array, { first: state }: DtlnState): Float32Array {
    return this.#model.forward((tape, { first, mask }) => {
      const x = input(tape, magnitudes, { T: magnitudes.length / BINS, B: 1, F: BINS });
      return read(tape, activation(tape, mask.forward(tape, first.forward(tape, x, state).output), 'sigmoid'));
    });
  }

  /** Blocks [T,512] → blocks [T,512]; the state moves on. */
  refine(blocks: Float32Array, { second: state }: DtlnState): Float32Array {
    return this.#model.forward((tape, { encode, norm, second, mask2, decode }) => {
      const features = encode.forward(tape, input(tape, blocks, { T: blocks.length / BLOCK, B: 1, F: BLOCK }));
      const { output } = second.forward(tape, norm.forward(tape, scale(tape, features, SCALE)), state);
      const mask = activation(tape, mask2.forward(tape, output), 'sigmoid');
      return read(tape, decode.forward(tape, multiply(tape, features, mask)));
    });
  }

  /** The 128 samples that are complete after the next 128 of noisy speech. */
  hop(samples: Float32Array, stft: Stft, state: DtlnState): Float32Array {
    const { magnitudes, withMask } = stft.push(samples);
    return stft.add(this.refine(withMask(this.mask(magnitudes, state)), state));
  }
}
