/** A published model in an AudioWorklet of Chromium: Silero VAD or DTLN, its deadline measured. */
import { hasChromium } from '../tests/support/chromium.js';
import { pathOf } from './published/files.js';
import type { Example } from './support/stage.js';
import { buzz } from './support/voice.js';

const SECONDS = 10;

export const example: Example = {
  title: 'published models in an AudioWorklet: Silero VAD or DTLN in Chromium, the deadline measured',
  usage: '--model PATH',
  async run(stage) {
    const path = pathOf(stage, {
      where: 'https://github.com/snakers4/silero-vad, folder src/silero_vad/data, and https://github.com/breizhn/DTLN',
      file: 'silero_vad.onnx, silero_vad.jit, or model.h5 of DTLN',
    });
    if (path === undefined || !hasChromium()) return;
    stage.log(`  ${SECONDS} seconds of sound, as fast as they can be taken and in real time …`);
    const { inWorklet } = await import('./audio-worklet/chromium.js');
    const { version, model, deadline, mean, live } = await inWorklet(path, buzz(SECONDS, stage.seed));
    stage.log(`  ${model} in Chromium ${version}: blocks of 128 samples, ${deadline} ms`);
    stage.metric('time of a block, mean', mean, 'ms');
    stage.metric('share of the deadline', mean / deadline, '%');
    stage.metric('in real time, the longest', live.longest, 'ms');
    stage.metric('in real time, blocks that took longer than they last', live.late / live.blocks, '%');
  },
};
