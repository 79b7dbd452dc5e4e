/**
 * The word segmenters of ICU4X for Thai, Burmese, Khmer and Lao: embedding → bidirectional LSTM → one of b, i, e, s for each character
 * (https://github.com/unicode-org/lstm_word_segmentation, Unicode License V3).
 */
import { argmaxRows, Embedding, Linear, Model, Recurrent, type Rows, type Runtime, read, type Tape } from 'gatewise';
import { transposed } from './weights.js';

interface Matrix {
  readonly dim: readonly number[];
  readonly data: readonly number[];
}

/** A file `*.weights.json`: rows of characters, and matrices in the order of Keras. */
interface IcuFile {
  readonly dic: Readonly<Record<string, number>>;
  readonly [matrix: `mat${number}`]: Matrix;
}

export class Segmenter {
  readonly #model;
  readonly #rows: ReadonlyMap<string, number>;

  constructor(runtime: Runtime, bytes: Uint8Array) {
    const file: IcuFile = JSON.parse(new TextDecoder().decode(bytes));
    const [V, E] = file.mat1.dim;
    const [H] = file.mat3.dim;
    this.#rows = new Map(Object.entries(file.dic));
    this.#model = new Model(runtime, 0, (b) => ({
      embedding: new Embedding(b, 'embedding', { vocabularySize: V, embeddingSize: E }),
      rnn: new Recurrent(b, 'rnn', { cell: 'lstm', inputSize: E, hiddenSize: H, bidirectional: true }),
      head: new Linear(b, 'head', { inputSize: 2 * H, outputSize: 4 }),
    }));
    const set = (name: string, k: number, turn = true) => {
      const { dim, data } = file[`mat${k}`];
      this.#model.set(name, turn && dim.length > 1 ? transposed({ shape: dim, data: Float32Array.from(data) }) : data);
    };
    set('embedding.weight', 1, false);
    // Keras has the gates in PyTorch's order, and one bias
    for (const [suffix, first] of [
      ['', 2],
      ['_reverse', 5],
    ] as const) {
      set(`rnn.weight_ih_l0${suffix}`, first);
      set(`rnn.weight_hh_l0${suffix}`, first + 1);
      set(`rnn.bias_ih_l0${suffix}`, first + 2);
      this.#model.set(`rnn.bias_hh_l0${suffix}`, new Float32Array(4 * H));
    }
    set('head.weight', 8);
    set('head.bias', 9);
  }

  /** The logits of b, i, e and s, [T,4]. */
  logits(text: string): Float32Array {
    return this.#run(text, read);
  }

  /** For each character of a text: b, i and e are the first, inner and last of a word, s is a word of its own. */
  bies(text: string): string {
    return Array.from(this.#run(text, argmaxRows), (k) => 'bies'[k]).join('');
  }

  /** Where words begin: 0, and after each e. As ICU4X does, a word of one character is not separated from the next. */
  breaks(text: string): number[] {
    const ends = [...this.bies(text)].flatMap((label, i) => (label === 'e' ? [i + 1] : []));
    return [...new Set([0, ...ends, text.length])];
  }

  #run<R>(text: string, result: (tape: Tape, x: Rows) => R): R {
    const tokens = Array.from(text, (character) => this.#rows.get(character) ?? this.#rows.size);
    return this.#model.forward((tape, { embedding, rnn, head }) =>
      result(
        tape,
        head.forward(tape, rnn.forward(tape, embedding.forward(tape, tokens, { T: tokens.length, B: 1 })).output),
      ),
    );
  }
}
