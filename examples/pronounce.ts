/** A published model: g2p_en, the pronunciation of English words. */
import { Runtime } from 'gatewise';
import { microsecondsPerItem, openWeights, pathOf } from './published/files.js';
import { Pronouncer } from './published/g2p.js';
import type { Example } from './support/stage.js';

const WORDS = ['gatewise', 'recurrent', 'webassembly', 'gradient', 'vanishing', 'whale', 'chaucerian', 'typescript'];

export const example: Example = {
  title: 'a published model: g2p_en, letters → phones',
  usage: '[WORD …] --model PATH',
  async run(stage) {
    const published = pathOf(stage, {
      where:
        'https://github.com/Kyubyong/g2p, file g2p_en/checkpoint20.npz; `pip download --no-deps g2p_en` has it as well',
      file: 'that file',
    });
    if (published === undefined) return;
    const model = new Pronouncer(await Runtime.create(), await openWeights(published));
    const words = stage.words.length ? stage.words : WORDS;
    for (const word of words) stage.log(`  ${word.padEnd(14)} ${model.pronounce(word.toLowerCase()).join(' ')}`);
    const time = microsecondsPerItem(WORDS.length, () => {
      for (const word of WORDS) model.pronounce(word);
    });
    stage.metric('time of a word', time / 1000, 'ms');
  },
};
