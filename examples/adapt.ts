/** Continual learning: a character model of a book learns 200 messages of a user's own, with characters that it has never seen. */
import { extend } from 'gatewise/extend';
import { LanguageModel } from 'gatewise/tasks';
import { readText } from '../cli/files.js';
import { mobyDick } from './support/book.js';
import { Chance } from './support/chance.js';
import type { Example } from './support/stage.js';

const MESSAGES = 200;

/** Short messages, drawn from a few habits: small letters, abbreviations, emoji. */
function messages(chance: Chance): string {
  const who = ['u', 'ur mum', 'tom', 'the others', 'lea', 'nobody', 'we', 'i'];
  const what = [
    'cant make it',
    'r late again',
    'will b there @ 8',
    'found the keys',
    'missed the bus',
    'got tickets',
    'need milk',
  ];
  const after = ['lol', 'tbh', 'sry', 'thx!!', 'omg', 'c u l8r', 'ok?', 'np'];
  const emoji = ['😀', '😅', '🚌', '🎉', '❤', '🤷', ''];
  const line = () => `${chance.pick(who)} ${chance.pick(what)} ${chance.pick(after)} ${chance.pick(emoji)}`.trim();
  return Array.from({ length: MESSAGES }, line).join('\n');
}

export const example: Example = {
  title: "a character model of a book learns 200 messages of a user's own, and what it forgets of the book",
  usage: '[FILE]\n\n  FILE   your messages, one in each line, as UTF-8 text   default: drawn at random',
  async run(stage) {
    const [file] = stage.words;
    const own = file ? await readText(file) : messages(new Chance(stage.seed));
    const cut = own.lastIndexOf('\n', Math.floor(own.length * 0.8));
    const [learned, heldOut] = [own.slice(0, cut), own.slice(cut + 1)];
    const book = mobyDick().slice(0, 300_000);
    const [old, unseen] = [book.slice(0, 280_000), book.slice(280_000)];
    const base = await LanguageModel.create({ vocabulary: book, hiddenSize: 128, embeddingSize: 32, seed: stage.seed });
    const run = base.fit(old, { steps: 600, batchSize: 16, window: 64, learningRate: 4e-3, signal: stage.signal });
    for await (const p of run) stage.progress(p.step, p.steps, `the book: ${p.bits.toFixed(2)} bits`);
    const added = [...new Set(own)].filter((c) => !base.vocabulary.has(c));
    stage.log(`  ${added.length} new characters: ${added.join(' ')}`);

    const small = { batchSize: 8, window: 32, learningRate: 2e-3, steps: 250, signal: stage.signal };
    // as many characters of the book as of the messages, so that it is not forgotten
    const mixed = Array.from(
      { length: 8 },
      (_, i) => learned + old.slice(i * learned.length, (i + 1) * learned.length),
    ).join('\n');
    const ways = [
      ['all weights', [], learned],
      ['recurrent weights frozen', ['rnn'], learned],
      ['all weights, half of the text from the book', [], mixed],
    ] as const;
    const bits = async (model: LanguageModel, text: string) => (await model.evaluate(text)).bits;
    const before = added.length ? await extend(base, { vocabulary: added, seed: stage.seed }) : base;
    const [messageBits, bookBits] = [await bits(before, heldOut), await bits(before, unseen)];
    stage.metric('before: messages not learned from', messageBits, 'bits');
    stage.metric('before: the book, unseen', bookBits, 'bits');
    const vocabulary = added.length ? added : ['\u{fffd}'];
    for (const [name, frozen, text] of ways) {
      const model = await extend(base, { vocabulary, seed: stage.seed });
      if (frozen.length) model.model.freeze(...frozen);
      for await (const p of model.fit(text, small))
        stage.progress(p.step, p.steps, `${name}: ${p.bits.toFixed(2)} bits`);
      stage.metric(`${name}: messages`, await bits(model, heldOut), 'bits', { atMost: 0.75 * messageBits });
      stage.metric(`${name}: the book`, await bits(model, unseen), 'bits');
      model.dispose();
    }
    base.dispose();
  },
};
