/** A published model: DTLN removes noise from speech, 128 samples at a time. */
import { Runtime } from 'gatewise';
import { Dtln } from './published/dtln.js';
import { openWeights, pathOf } from './published/files.js';
import { Stft } from './published/stft.js';
import type { Example } from './support/stage.js';
import { buzz } from './support/voice.js';
import { recording, wavOf } from './support/wav.js';

const [RATE, HOP] = [16_000, 128];

export const example: Example = {
  title: 'a published model: DTLN removes noise from speech, block by block',
  usage: `[NOISY.wav] --model PATH

  NOISY.wav   speech with noise   default synthesized`,
  async run(stage) {
    const published = pathOf(stage, {
      where: 'https://github.com/breizhn/DTLN, file pretrained_model/model.h5',
      file: 'that file',
    });
    if (published === undefined) return;
    const [path, more] = stage.words;
    if (more) throw new Error(`${more}: expected one file, got ${path} as well`);
    const noisy = path ? await recording(path, RATE) : buzz(10, stage.seed);
    const model = new Dtln(await Runtime.create(), await openWeights(published));
    const [stft, state] = [new Stft(), model.state()];
    const enhanced = new Float32Array(noisy.length);
    const times: number[] = [];
    for (let t = 0; t + HOP <= noisy.length; t += HOP) {
      const began = performance.now();
      enhanced.set(model.hop(noisy.subarray(t, t + HOP), stft, state), t);
      times.push(performance.now() - began);
      stage.progress(t, noisy.length, 'samples');
    }
    times.sort((a, b) => a - b);
    const power = (samples: Float32Array) => samples.reduce((sum, x) => sum + x * x, 0);
    stage.metric('power of the output, compared with the input', power(enhanced) / power(noisy), '%');
    stage.metric('time of 128 samples (8 ms), median', times[times.length >> 1], 'ms');
    stage.metric('time of 128 samples, the slowest of a hundred', times[Math.floor(0.99 * times.length)], 'ms');
    await stage.write('enhanced.wav', wavOf(enhanced, RATE));
  },
};
