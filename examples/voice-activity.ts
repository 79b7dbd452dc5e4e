/** A published model: Silero VAD finds speech, 512 samples at a time. */
import { Runtime } from 'gatewise';
import { openWeights, pathOf } from './published/files.js';
import { SileroVad } from './published/silero.js';
import type { Example } from './support/stage.js';
import { recording } from './support/wav.js';

const [RATE, FRAME] = [16_000, 512];

export const example: Example = {
  title: 'a published model: Silero VAD, where speech is in a recording',
  usage: `[SPEECH.wav] --model PATH

  SPEECH.wav   a recording   default 20 seconds of a buzz, which is not speech`,
  async run(stage) {
    const published = pathOf(stage, {
      where:
        'https://github.com/snakers4/silero-vad, folder src/silero_vad/data; `pip download --no-deps silero-vad` has it as well',
      file: 'silero_vad.onnx, silero_vad_16k_op15.onnx or silero_vad.jit',
    });
    if (published === undefined) return;
    const [path, more] = stage.words;
    if (more) throw new Error(`${more}: expected one file, got ${path} as well`);
    const samples = path
      ? await recording(path, RATE)
      : Float32Array.from({ length: 20 * RATE }, (_, t) => 0.2 * Math.sign(Math.sin((2 * Math.PI * 120 * t) / RATE)));
    const model = new SileroVad(await Runtime.create(), await openWeights(published));
    const state = model.state();
    const rows: { seconds: number; speech: number }[] = [];
    const times: number[] = [];
    for (let t = 0; t + FRAME <= samples.length; t += FRAME) {
      const began = performance.now();
      const { speech } = model.frame(samples.subarray(t, t + FRAME), state);
      times.push(performance.now() - began);
      rows.push({ seconds: t / RATE, speech });
    }
    times.sort((a, b) => a - b);
    stage.metric('frames with speech', rows.filter(({ speech }) => speech > 0.5).length / rows.length, '%');
    stage.metric('time of a frame of 32 ms, median', times[times.length >> 1], 'ms');
    stage.metric('time of a frame, the slowest of a hundred', times[Math.floor(0.99 * times.length)], 'ms');
    await stage.picture('speech', {
      title: 'Probability of speech',
      width: 640,
      height: 160,
      data: { values: rows },
      mark: 'line',
      encoding: {
        x: { field: 'seconds', type: 'quantitative', title: 'time (s)' },
        y: { field: 'speech', type: 'quantitative', title: 'probability', scale: { domain: [0, 1] } },
      },
    });
  },
};
