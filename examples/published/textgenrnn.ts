/**
 * The default model of textgenrnn: embedding → 2 LSTM → an attention-weighted mean over 40 characters of the embedding and both outputs
 * → softmax. The LSTMs are CuDNN's: two biases, blocks of weights transposed (https://github.com/minimaxir/textgenrnn, MIT).
 */
import { concat, Embedding, Linear, Model, Recurrent, type Runtime, read, select, type Tensor } from 'gatewise';
import { multiply, softmax, sum } from 'gatewise/functions';
import { tensorsOf, transposed, vocabularyOf, type Weights } from './weights.js';

const CONTEXT = 40;

export class TextGenRnn {
  readonly vocabulary: ReadonlyMap<string, number>;
  readonly #model;

  constructor(runtime: Runtime, weights: Weights) {
    const tensor = tensorsOf(weights);
    this.vocabulary = new Map(Object.entries(vocabularyOf(weights, 'textgenrnn_vocab.json')));
    const [V, E] = tensor('embedding/embeddings').shape;
    const [H] = tensor('rnn_1/recurrent_kernel').shape;
    const all = E + 2 * H;
    this.#model = new Model(runtime, 0, (b) => ({
      embedding: new Embedding(b, 'embedding', { vocabularySize: V, embeddingSize: E }),
      first: new Recurrent(b, 'rnn_1', { cell: 'lstm', inputSize: E, hiddenSize: H }),
      second: new Recurrent(b, 'rnn_2', { cell: 'lstm', inputSize: H, hiddenSize: H }),
      attention: new Linear(b, 'attention', { inputSize: all, outputSize: 1, bias: false }),
      head: new Linear(b, 'head', { inputSize: all, outputSize: V }),
    }));
    const model = this.#model;
    model.set('embedding.weight', tensor('embedding/embeddings').data);
    model.set('attention.weight', tensor('attention/attention_W').data);
    model.set('head.weight', transposed(tensor('output/kernel')));
    model.set('head.bias', tensor('output/bias').data);
    for (const name of ['rnn_1', 'rnn_2']) {
      model.set(`${name}.weight_ih_l0`, blocks(tensor(`${name}/kernel`)));
      model.set(`${name}.weight_hh_l0`, blocks(tensor(`${name}/recurrent_kernel`)));
      const { data } = tensor(`${name}/bias`);
      model.set(`${name}.bias_ih_l0`, data.subarray(0, 4 * H));
      model.set(`${name}.bias_hh_l0`, data.subarray(4 * H));
    }
  }

  /** The logits of the next token after up to 40 tokens. */
  next(tokens: readonly number[]): Float32Array {
    const context = [...new Array<number>(CONTEXT).fill(0), ...tokens].slice(-CONTEXT);
    return this.#model.forward((tape, { embedding, first, second, attention, head }) => {
      const x = embedding.forward(tape, context, { T: CONTEXT, B: 1 });
      const a = first.forward(tape, x).output;
      const b = second.forward(tape, a).output;
      const all = concat(tape, [x, a, b]);
      const weights = softmax(tape, attention.forward(tape, all), { over: 'time' });
      const repeated = select(tape, weights, new Array<number>(all.F).fill(0));
      return read(tape, head.forward(tape, sum(tape, multiply(tape, all, repeated), { over: 'time' })));
    });
  }
}

/** The columns [R,4H] gate by gate. CuDNN stores the block of a gate as PyTorch does, and Keras named it [R,H]. */
function blocks({ shape: [R, columns], data }: Tensor): Float32Array {
  const H = columns / 4;
  return Float32Array.from({ length: data.length }, (_, i) => {
    const [gate, at] = [Math.floor(i / (R * H)), i % (R * H)];
    return data[Math.floor(at / H) * columns + gate * H + (at % H)];
  });
}
