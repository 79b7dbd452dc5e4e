/** A published model: the character model of ml5.js writes like Shakespeare. */
import { Runtime } from 'gatewise';
import { CharRnn } from './published/char-rnn.js';
import { microsecondsPerItem, openWeights, pathOf } from './published/files.js';
import { drawn } from './published/weights.js';
import { Chance } from './support/chance.js';
import type { Example } from './support/stage.js';

const [LENGTH, TEMPERATURE] = [400, 0.6];

export const example: Example = {
  title: "a published model: ml5.js' character model of Shakespeare",
  usage: '[PROMPT] --model PATH',
  async run(stage) {
    const published = pathOf(stage, {
      where: 'https://github.com/ml5js/ml5-data-and-models, folder models/charRNN/shakespeare',
      file: 'that folder, or another of models/charRNN',
    });
    if (published === undefined) return;
    const model = new CharRnn(await Runtime.create(), await openWeights(published));
    const chance = new Chance(stage.seed);
    const prompt = [...(stage.words[0] ?? 'The ')];
    const V = model.vocabulary.length;
    const state = model.state();
    let logits: Float32Array = model.read(prompt, state).slice(-V);
    const written = [...prompt];
    while (written.length < LENGTH) {
      const next = model.vocabulary[drawn(logits, TEMPERATURE, chance.next())];
      written.push(next);
      logits = model.read([next], state);
    }
    stage.log(`\n${written.join('')}\n`);
    const time = microsecondsPerItem(200, () => {
      for (let i = 0; i < 200; i++) model.read([written[i]], state);
    });
    stage.metric('time of a character', time, 'µs');
  },
};
