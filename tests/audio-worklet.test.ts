/** Published models in an AudioWorklet of Chromium give the results of Node. What a block takes is printed and not compared. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Runtime } from 'gatewise';
import { test } from 'uvu';
import { is, match, ok } from 'uvu/assert';
import { Dtln } from '../examples/published/dtln.js';
import { openWeights } from '../examples/published/files.js';
import { SileroVad } from '../examples/published/silero.js';
import { Stft } from '../examples/published/stft.js';
import type { Weights } from '../examples/published/weights.js';
import { buzz } from '../examples/support/voice.js';
import { hasChromium } from './support/chromium.js';

const reference = process.env.GATEWISE_REFERENCE ?? fileURLToPath(new URL('../../../shared', import.meta.url));
const folder = join(reference, 'real');

/** What Node makes of samples. */
const MODELS: Record<string, { file: string; run: (weights: Weights, samples: Float32Array) => number[] }> = {
  DTLN: {
    file: 'dtln/dtln.safetensors',
    run(weights, samples) {
      const model = new Dtln(Runtime.createSync(), weights);
      const [stft, state] = [new Stft(), model.state()];
      return blocks(samples, 128).flatMap((block) => [...model.hop(block, stft, state)]);
    },
  },
  'Silero VAD': {
    file: 'silero-vad/silero_vad_16k.safetensors',
    run(weights, samples) {
      const model = new SileroVad(Runtime.createSync(), weights);
      const state = model.state();
      return blocks(samples, 512).map((frame) => model.frame(frame, state).speech);
    },
  },
};

const blocks = (samples: Float32Array, size: number) =>
  Array.from({ length: Math.floor(samples.length / size) }, (_, i) => samples.subarray(i * size, (i + 1) * size));

if (!existsSync(folder)) {
  console.log(`  SKIPPED: the published weights are not here (GATEWISE_REFERENCE names the folder around 'real')`);
} else if (hasChromium()) {
  const { inWorklet } = await import('../examples/audio-worklet/chromium.js');
  for (const [name, { file, run }] of Object.entries(MODELS)) {
    test(`${name} in an AudioWorklet: the results of Node`, async () => {
      const samples = buzz(2, 1);
      const path = join(folder, file);
      const expected = run(await openWeights(path), samples);
      const { version, model, results, live, mean, deadline } = await inWorklet(path, samples);
      is(model, name);
      is(results.length, expected.length);
      const largest = expected.reduce((max, x) => Math.max(max, Math.abs(x)), 0);
      ok(largest > 0);
      const worst = expected.reduce((max, x, i) => Math.max(max, Math.abs(x - results[i])), 0);
      ok(worst <= 1e-6 * largest, `off by ${worst} of ${largest}`);
      is(live.blocks, Math.floor(samples.length / 128));
      console.log(
        `  Chromium ${version}, ${name}: a block of ${deadline} ms takes ${mean.toFixed(2)} ms; in real time ` +
          `the longest took ${live.longest} ms, ${live.late} of ${live.blocks} took longer than they last`,
      );
    });
  }
  test('a file of another model: an error that names what is missing', async () => {
    let said = '';
    try {
      await inWorklet(join(folder, 'rnnoise/rnnoise_orig.safetensors'), buzz(1, 1));
    } catch (error) {
      said = String(error);
    }
    match(said, /the file has no tensor 'stft_conv.weight'; it has/);
  });
}

test.run();
