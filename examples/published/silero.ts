/**
 * Silero VAD v5 and v6 for 16 kHz, the probability of speech: a Fourier transform as a convolution → magnitudes → 4 convolutions → LSTM → one
 * number for each frame of 512 samples (https://github.com/snakers4/silero-vad, MIT). Names and layouts are those of PyTorch.
 */
import type { Runtime, State, Tensor } from 'gatewise';
import { activation, input, Linear, Model, Recurrent, read, select } from 'gatewise';
import { Conv1d, magnitude } from 'gatewise/functions';
import { mirrored } from './stft.js';
import { tensorsOf, type Weights } from './weights.js';

const [FRAME, CONTEXT, BINS, HIDDEN] = [512, 64, 129, 128];
const WINDOWS = { inputSize: 1, outputSize: 2 * BINS, kernelSize: 256, stride: 128, bias: false };
const TRANSFORM = 'stft.forward_basis_buffer';
const REAL = Array.from({ length: BINS }, (_, k) => k);
const IMAGINARY = REAL.map((k) => BINS + k);
/** Channels of the convolutions over spectra, and their strides. */
const CHANNELS = [BINS, 128, 64, 64, HIDDEN];
const STRIDES = [1, 2, 2, 1];

/** The state of the LSTM, and the last samples of the frame before. */
export interface SileroState {
  readonly lstm: State;
  readonly context: Float32Array;
}

export class SileroVad {
  readonly #model;

  constructor(runtime: Runtime, weights: Weights) {
    const tensor = namesOf(weights);
    this.#model = new Model(runtime, 0, (b) => ({
      transform: new Conv1d(b, 'stft_conv', WINDOWS),
      convolutions: STRIDES.map((stride, i) => {
        const [inputSize, outputSize] = CHANNELS.slice(i);
        return new Conv1d(b, `conv${i + 1}`, { inputSize, outputSize, kernelSize: 3, stride, padding: 1 });
      }),
      lstm: new Recurrent(b, 'lstm', { cell: 'lstm', inputSize: HIDDEN, hiddenSize: HIDDEN }),
      head: new Linear(b, 'final_conv', { inputSize: HIDDEN, outputSize: 1 }),
    }));
    for (const { name } of this.#model.parameters) this.#model.set(name, tensor(name).data);
  }

  state(): SileroState {
    return { lstm: this.#model.layers.lstm.state(1), context: new Float32Array(CONTEXT) };
  }

  /** 512 samples from -1 to 1 → the 128 features that the LSTM reads, and the probability of speech; the state moves on. */
  frame(samples: Float32Array, { lstm: state, context }: SileroState): { features: Float32Array; speech: number } {
    const x = mirrored(context, samples);
    const outcome = this.#model.forward((tape, { transform, convolutions, lstm, head }) => {
      const spectrum = transform.forward(tape, input(tape, x, { T: x.length, B: 1, F: 1 })); // [4,1,258]
      const magnitudes = magnitude(tape, select(tape, spectrum, REAL), select(tape, spectrum, IMAGINARY));
      const features = convolutions.reduce((y, layer) => activation(tape, layer.forward(tape, y), 'relu'), magnitudes);
      const { output } = lstm.forward(tape, features, state);
      const speech = activation(tape, head.forward(tape, activation(tape, output, 'relu')), 'sigmoid');
      return { features: read(tape, features), speech: read(tape, speech)[0] };
    });
    context.set(samples.subarray(FRAME - CONTEXT));
    return outcome;
  }
}

/** Finds tensors by the names of this model, which safetensors files have; ONNX and TorchScript files have a model for 8 kHz as well. */
function namesOf(weights: Weights): (name: string) => Tensor {
  const tensor = tensorsOf(weights);
  const isTransform = ([name, { shape }]: [string, Tensor]) => name.endsWith(TRANSFORM) && shape[0] === 2 * BINS;
  const root = [...weights.tensors].find(isTransform)?.[0].slice(0, -TRANSFORM.length);
  if (root === undefined) return (name) => tensor(name.replace(/^lstm\.(\w+)_l0$/, 'lstm_cell.$1'));
  const theirs = (name: string) =>
    name
      .replace('stft_conv.weight', TRANSFORM)
      .replace(/^conv(\d)/, (_, k) => `encoder.${k - 1}.reparam_conv`)
      .replace(/^lstm\.(\w+)_l0$/, 'decoder.rnn.$1')
      .replace('final_conv', 'decoder.decoder.2');
  return (name) => tensor(root + theirs(name));
}
