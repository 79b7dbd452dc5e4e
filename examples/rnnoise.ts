/** A published model: the network of RNNoise, features → gains of bands. */
import { Runtime } from 'gatewise';
import { microsecondsPerItem, openWeights, pathOf } from './published/files.js';
import { RnNoise } from './published/rnnoise.js';
import { Chance } from './support/chance.js';
import type { Example } from './support/stage.js';

const FRAMES = 500;

export const example: Example = {
  title: 'a published model: the network of RNNoise, frame by frame',
  usage: '--model PATH',
  async run(stage) {
    const published = pathOf(stage, {
      where:
        'https://github.com/xiph/rnnoise, file src/rnn_data.c of its first version (git show 231b9c0:src/rnn_data.c)',
      file: 'that file',
    });
    if (published === undefined) return;
    const model = new RnNoise(await Runtime.create(), await openWeights(published));
    // the signal processing that computes features is not part of this example
    const chance = new Chance(stage.seed);
    const frames = Array.from({ length: FRAMES }, () => Float32Array.from({ length: 42 }, () => chance.next() - 0.5));
    const state = model.state();
    const { gains, speech } = model.read(frames[0], state);
    stage.log(
      `  made-up features: gains ${[...gains]
        .slice(0, 4)
        .map((g) => g.toFixed(3))
        .join(' ')} …, speech ${speech[0].toFixed(3)}`,
    );
    const time = microsecondsPerItem(FRAMES, () => {
      for (const frame of frames) model.read(frame, state);
    });
    stage.metric('time of a frame of 10 ms', time, 'µs');
    stage.metric('share of one core at 100 frames a second', (time * 100) / 1e6, '%');
  },
};
