/**
 * g2p_en, letters → ARPAbet phones: a GRU reads the letters, its last state starts a GRU that writes the phones
 * (https://github.com/Kyubyong/g2p, Apache-2.0).
 */
import { argmaxRows, Embedding, Linear, Model, Recurrent, type Runtime } from 'gatewise';
import { tensorsOf, type Weights } from './weights.js';

const LETTERS = ['<pad>', '<unk>', '</s>', ...'abcdefghijklmnopqrstuvwxyz'];
const [UNKNOWN, END_OF_WORD] = [1, 2];
const VOWELS = ['AA', 'AE', 'AH', 'AO', 'AW', 'AY', 'EH', 'ER', 'EY', 'IH', 'IY', 'OW', 'OY', 'UH', 'UW'];
const CONSONANTS = 'B CH D DH F G HH JH K L M N NG P R S SH T TH V W Y Z ZH'.split(' ');
/** Vowels have a mark of stress. The order is alphabetic. */
const PHONES = [
  '<pad>',
  '<unk>',
  '<s>',
  '</s>',
  ...[...VOWELS.flatMap((vowel) => ['0', '1', '2'].map((stress) => vowel + stress)), 'UW', ...CONSONANTS].sort(),
];
const [START, END, LONGEST] = [2, 3, 20];

export class Pronouncer {
  readonly #model;

  constructor(runtime: Runtime, weights: Weights) {
    const tensor = tensorsOf(weights);
    const [, E] = tensor('enc_emb').shape;
    const [, H] = tensor('enc_w_hh').shape;
    const gru = { cell: 'gru', inputSize: E, hiddenSize: H } as const;
    this.#model = new Model(runtime, 0, (b) => ({
      letters: new Embedding(b, 'letters', { vocabularySize: LETTERS.length, embeddingSize: E }),
      encoder: new Recurrent(b, 'encoder', gru),
      phones: new Embedding(b, 'phones', { vocabularySize: PHONES.length, embeddingSize: E }),
      decoder: new Recurrent(b, 'decoder', gru),
      head: new Linear(b, 'head', { inputSize: H, outputSize: PHONES.length }),
    }));
    const set = (name: string, from: string) => this.#model.set(name, tensor(from).data);
    set('letters.weight', 'enc_emb');
    set('phones.weight', 'dec_emb');
    for (const [name, short] of [
      ['encoder', 'enc'],
      ['decoder', 'dec'],
    ]) {
      for (const kind of ['ih', 'hh']) {
        set(`${name}.weight_${kind}_l0`, `${short}_w_${kind}`);
        set(`${name}.bias_${kind}_l0`, `${short}_b_${kind}`);
      }
    }
    set('head.weight', 'fc_w');
    set('head.bias', 'fc_b');
  }

  /** The most probable phone after each, until the end of the word. */
  pronounce(word: string): string[] {
    const ids = Array.from(word, (letter) => LETTERS.indexOf(letter)).map((id) => (id < 0 ? UNKNOWN : id));
    const { encoder, decoder } = this.#model.layers;
    const state = encoder.state(1);
    this.#model.forward((tape, { letters }) => {
      encoder.forward(tape, letters.forward(tape, [...ids, END_OF_WORD], { T: ids.length + 1, B: 1 }), state);
    });
    const written: string[] = [];
    for (let phone = START; written.length < LONGEST; written.push(PHONES[phone])) {
      [phone] = this.#model.forward((tape, { phones, head }) => {
        const { output } = decoder.forward(tape, phones.forward(tape, [phone], { T: 1, B: 1 }), state);
        return argmaxRows(tape, head.forward(tape, output));
      });
      if (phone === END) break;
    }
    return written;
  }
}
