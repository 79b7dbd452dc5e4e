/**
 * The character model of ml5.js: embedding → 2 LSTM → softmax. The cells are TensorFlow's BasicLSTMCell: gates i, g, f, o in one
 * matrix for input and state, and 1 is added to the bias of the forget gate
 * (https://github.com/ml5js/ml5-data-and-models, MIT).
 */
import { Embedding, Linear, Model, Recurrent, type Runtime, read, type State } from 'gatewise';
import { reordered, rowsOf, tensorsOf, transposed, vocabularyOf, type Weights } from './weights.js';

const ORDER = [0, 2, 1, 3]; // i g f o → i f g o

export class CharRnn {
  readonly vocabulary: readonly string[];
  readonly #model;

  constructor(runtime: Runtime, weights: Weights) {
    const tensor = tensorsOf(weights);
    const ids = vocabularyOf(weights, 'vocab.json');
    this.vocabulary = Object.keys(ids).sort((a, b) => ids[a] - ids[b]);
    const [V, E] = tensor('embedding').shape;
    const [H] = tensor('rnnlm/softmax_w').shape;
    this.#model = new Model(runtime, 0, (b) => ({
      embedding: new Embedding(b, 'embedding', { vocabularySize: V, embeddingSize: E }),
      rnn: new Recurrent(b, 'rnn', { cell: 'lstm', inputSize: E, hiddenSize: H, numLayers: 2 }),
      head: new Linear(b, 'head', { inputSize: H, outputSize: V }),
    }));
    const model = this.#model;
    model.set('embedding.weight', tensor('embedding').data);
    model.set('head.weight', transposed(tensor('rnnlm/softmax_w')));
    model.set('head.bias', tensor('rnnlm/softmax_b').data);
    for (const layer of [0, 1]) {
      const path = `rnnlm/multi_rnn_cell/cell_${layer}/basic_lstm_cell`;
      // TensorFlow renamed them in version 1.2
      const [kernel, bias] = ['kernel', 'bias'].every((name) => weights.tensors.has(`${path}/${name}`))
        ? [tensor(`${path}/kernel`), tensor(`${path}/bias`)]
        : [tensor(`${path}/weights`), tensor(`${path}/biases`)];
      const I = kernel.shape[0] - H; // [I+H,4H]
      model.set(`rnn.weight_ih_l${layer}`, reordered(transposed(rowsOf(kernel, 0, I)), ORDER));
      model.set(`rnn.weight_hh_l${layer}`, reordered(transposed(rowsOf(kernel, I, I + H)), ORDER));
      model.set(`rnn.bias_ih_l${layer}`, reordered(bias.data, ORDER));
      model.set(
        `rnn.bias_hh_l${layer}`,
        Float32Array.from({ length: 4 * H }, (_, i) => (i >= H && i < 2 * H ? 1 : 0)),
      );
    }
  }

  state(): State {
    return this.#model.layers.rnn.state(1);
  }

  /** The logits of the character after each one, [T,V]; the state moves on. */
  read(characters: readonly string[], state: State): Float32Array {
    const tokens = characters.map((character) => this.vocabulary.indexOf(character));
    return this.#model.forward((tape, { embedding, rnn, head }) => {
      const { output } = rnn.forward(tape, embedding.forward(tape, tokens, { T: tokens.length, B: 1 }), state);
      return read(tape, head.forward(tape, output));
    });
  }
}
