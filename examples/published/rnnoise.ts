/**
 * The network of the first RNNoise: 42 features of a frame → gains of 22 bands, and the probability of speech. Three GRUs whose reset
 * gate acts before the product and whose candidate is a ReLU (https://github.com/xiph/rnnoise, BSD-3-Clause). Its signal processing
 * is not here.
 */
import { activation, concat, input, Linear, Model, Recurrent, type Runtime, read, type State } from 'gatewise';
import { reordered, tensorsOf, transposed, type Weights } from './weights.js';

const FEATURES = 42;
const BANDS = 22;
const ORDER = [1, 0, 2]; // z r n → r z n
const WIDTHS = { vad: [24, 24], noise: [90, 48], denoise: [114, 96] } as const;
type Name = keyof typeof WIDTHS;
const NAMES = Object.keys(WIDTHS) as Name[];

export class RnNoise {
  readonly #model;

  constructor(runtime: Runtime, weights: Weights) {
    const find = tensorsOf(weights);
    // whole numbers of 8 bits, in units of 1/256
    const tensor = (name: string) => find(name).data.map((value) => value / 256);
    const matrix = (name: string, columns: number) => {
      const data = tensor(name);
      return transposed({ shape: [data.length / columns, columns], data });
    };
    this.#model = new Model(runtime, 0, (b) => {
      const gru = (name: Name) => {
        const [inputSize, hiddenSize] = WIDTHS[name];
        return new Recurrent(b, name, { cell: 'gru', inputSize, hiddenSize, reset: 'before', activation: 'relu' });
      };
      return {
        dense: new Linear(b, 'input_dense', { inputSize: FEATURES, outputSize: 24 }),
        rnn: { vad: gru('vad'), noise: gru('noise'), denoise: gru('denoise') },
        speech: new Linear(b, 'vad_output', { inputSize: 24, outputSize: 1 }),
        gains: new Linear(b, 'denoise_output', { inputSize: 96, outputSize: BANDS }),
      };
    });
    const model = this.#model;
    for (const name of ['input_dense', 'vad_output', 'denoise_output']) {
      const bias = tensor(`${name}_bias`);
      model.set(`${name}.weight`, matrix(`${name}_weights`, bias.length));
      model.set(`${name}.bias`, bias);
    }
    for (const name of NAMES) {
      const bias = tensor(`${name}_gru_bias`);
      model.set(`${name}.weight_ih_l0`, reordered(matrix(`${name}_gru_weights`, bias.length), ORDER));
      model.set(`${name}.weight_hh_l0`, reordered(matrix(`${name}_gru_recurrent_weights`, bias.length), ORDER));
      model.set(`${name}.bias_ih_l0`, reordered(bias, ORDER));
      model.set(`${name}.bias_hh_l0`, new Float32Array(bias.length));
    }
  }

  state(): Record<Name, State> {
    const { vad, noise, denoise } = this.#model.layers.rnn;
    return { vad: vad.state(1), noise: noise.state(1), denoise: denoise.state(1) };
  }

  /** Frames [T,42] → gains [T,22] and probabilities of speech [T]; the state moves on. */
  read(frames: Float32Array, state: Record<Name, State>): { gains: Float32Array; speech: Float32Array } {
    return this.#model.forward((tape, { dense, rnn, speech, gains }) => {
      const x = input(tape, frames, { T: frames.length / FEATURES, B: 1, F: FEATURES });
      const d = activation(tape, dense.forward(tape, x), 'tanh');
      const vad = rnn.vad.forward(tape, d, state.vad).output;
      const noise = rnn.noise.forward(tape, concat(tape, [d, vad, x]), state.noise).output;
      const denoise = rnn.denoise.forward(tape, concat(tape, [vad, noise, x]), state.denoise).output;
      return {
        gains: read(tape, activation(tape, gains.forward(tape, denoise), 'sigmoid')),
        speech: read(tape, activation(tape, speech.forward(tape, vad), 'sigmoid')),
      };
    });
  }
}
