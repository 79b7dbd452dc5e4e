/** A published model: the default model of textgenrnn continues a text. */
import { Runtime } from 'gatewise';
import { microsecondsPerItem, openWeights, pathOf } from './published/files.js';
import { TextGenRnn } from './published/textgenrnn.js';
import { drawn } from './published/weights.js';
import { Chance } from './support/chance.js';
import type { Example } from './support/stage.js';

const [LONGEST, TEMPERATURE] = [200, 0.5];

export const example: Example = {
  title: 'a published model: textgenrnn, two LSTMs and attention',
  usage: '[PROMPT] --model PATH',
  async run(stage) {
    const published = pathOf(stage, {
      where:
        'https://github.com/minimaxir/textgenrnn, folder textgenrnn; `pip download --no-deps textgenrnn` has it as well',
      file: 'textgenrnn_weights.hdf5, with textgenrnn_vocab.json in the same folder',
    });
    if (published === undefined) return;
    const model = new TextGenRnn(await Runtime.create(), await openWeights(published));
    const chance = new Chance(stage.seed);
    const tokens = new Map([...model.vocabulary].map(([token, id]) => [id, token]));
    const end = model.vocabulary.get('<s>') ?? -1;
    const prompt = stage.words[0] ?? 'What is';
    const ids = [end, ...[...prompt].flatMap((c) => model.vocabulary.get(c) ?? [])];
    let text = prompt;
    while (text.length < LONGEST) {
      const next = drawn(model.next(ids), TEMPERATURE, chance.next());
      if (next === end) break;
      ids.push(next);
      text += tokens.get(next) ?? '';
    }
    stage.log(`\n  ${text}\n`);
    const time = microsecondsPerItem(20, () => {
      for (let i = 0; i < 20; i++) model.next(ids);
    });
    stage.metric('time of a character (it reads 40 characters each time)', time / 1000, 'ms');
  },
};
