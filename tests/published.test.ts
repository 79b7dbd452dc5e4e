/** Models that others trained and published, loaded by the examples, give the outputs that were computed for them in double precision. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Runtime } from 'gatewise';
import { readSafetensors } from 'gatewise/import/pytorch';
import { test } from 'uvu';
import { equal, is, ok } from 'uvu/assert';
import { CharRnn } from '../examples/published/char-rnn.js';
import { Dtln } from '../examples/published/dtln.js';
import { Pronouncer } from '../examples/published/g2p.js';
import { Segmenter } from '../examples/published/icu.js';
import { RnNoise } from '../examples/published/rnnoise.js';
import { SileroVad } from '../examples/published/silero.js';
import { Stft } from '../examples/published/stft.js';
import { TextGenRnn } from '../examples/published/textgenrnn.js';

const reference = process.env.GATEWISE_REFERENCE ?? fileURLToPath(new URL('../../../shared', import.meta.url));
const folder = join(reference, 'real');
const bytes = (...path: string[]) => readFileSync(join(folder, ...path));
const json = (...path: string[]) => JSON.parse(bytes(...path).toString());
const runtime = await Runtime.create();

interface Run {
  readonly text: string;
  readonly bies: string;
  readonly breaks: readonly number[];
  readonly logits?: readonly number[][];
}

/** Numbers within 1e-5 of the largest. */
function near(got: ArrayLike<number>, expected: ArrayLike<number>, what: string): void {
  is(got.length, expected.length, what);
  const scale = Array.from(expected).reduce((max, x) => Math.max(max, Math.abs(x)), 0);
  const worst = Array.from(expected).reduce((max, x, i) => Math.max(max, Math.abs(x - got[i])), 0);
  ok(worst <= 1e-5 * scale, `${what}: off by ${worst} of ${scale}`);
}

if (!existsSync(folder)) {
  console.log(`  SKIPPED: the published weights are not here (GATEWISE_REFERENCE names the folder around 'real')`);
} else {
  test("ICU's segmenters: labels and breaks of 865 runs, logits", () => {
    let runs = 0;
    for (const [name, cases] of Object.entries<Run[]>(json('icu-lstm', 'expected_udhr.json'))) {
      const segmenter = new Segmenter(runtime, bytes('icu-lstm', `${name}.weights.json`));
      for (const { text, bies, breaks, logits } of cases) {
        is(segmenter.bies(text), bies, text);
        equal(segmenter.breaks(text), breaks, text);
        if (logits) near(segmenter.logits(text), logits.flat(), text);
        runs++;
      }
    }
    is(runs, 865);
    const thai = new Segmenter(runtime, bytes('icu-lstm', 'Thai_codepoints_exclusive_model4_heavy.weights.json'));
    for (const { unseg, expected_bies } of json('icu-lstm', 'test_text_codepoints.json').testcases)
      is(thai.bies(unseg), expected_bies);
  });

  test("ml5's character model: the loss of each character, 120 greedy characters", () => {
    const model = new CharRnn(runtime, bytes('ml5-charrnn', 'shakespeare.safetensors'));
    const V = model.vocabulary.length;
    const { text, nll_nats, greedy_seed, greedy_next_120 } = json('ml5-charrnn', 'expected.json');
    const logits = model.read([...text].slice(0, -1), model.state());
    const losses = nll_nats.map((_: number, t: number) => {
      const row = [...logits.subarray(t * V, (t + 1) * V)];
      const max = Math.max(...row);
      return (
        Math.log(row.reduce((sum, x) => sum + Math.exp(x - max), 0)) + max - row[model.vocabulary.indexOf(text[t + 1])]
      );
    });
    near(losses, nll_nats, 'losses');
    const state = model.state();
    let written = '';
    let row: Float32Array = model.read([...greedy_seed], state).slice(-V);
    while (written.length < 120) {
      const next = model.vocabulary[row.indexOf(Math.max(...row))];
      written += next;
      row = model.read([next], state);
    }
    is(written, greedy_next_120);
  });

  test('g2p_en: the phones of 400 words', () => {
    const model = new Pronouncer(runtime, bytes('g2p-en', 'g2p_en.safetensors'));
    const { words } = json('g2p-en', 'expected.json');
    is(words.length, 400);
    for (const { word, phonemes } of words) is(model.pronounce(word).join(' '), phonemes, word);
  });

  test('RNNoise: gains and speech, at once and frame by frame', () => {
    const model = new RnNoise(runtime, bytes('rnnoise', 'rnnoise_orig.safetensors'));
    const { tensors } = readSafetensors(bytes('rnnoise', 'case.safetensors'));
    const [features, gains, vad] = ['features', 'gains', 'vad'].map((name) => tensors.get(name)?.data as Float32Array);
    const all = model.read(features, model.state());
    near(all.gains, gains, 'gains');
    near(all.speech, vad, 'speech');
    const state = model.state();
    for (let t = 0; t < 20; t++) {
      equal(model.read(features.subarray(42 * t, 42 * (t + 1)), state).gains, all.gains.slice(22 * t, 22 * (t + 1)));
    }
  });

  test('textgenrnn: the logits after three contexts', () => {
    const model = new TextGenRnn(runtime, bytes('textgenrnn', 'textgenrnn.safetensors'));
    const cases: { ids: number[]; logits: number[]; next: string }[] = json('textgenrnn', 'expected.json');
    is(cases.length, 3);
    for (const { ids, logits, next } of cases) {
      const got = model.next(ids);
      near(got, logits, next);
      is(got.indexOf(Math.max(...got)), model.vocabulary.get(next));
    }
  });

  test('DTLN: masks, and two seconds of enhanced speech', () => {
    const model = new Dtln(runtime, bytes('dtln', 'dtln.safetensors'));
    const { tensors } = readSafetensors(bytes('dtln', 'case.safetensors'));
    const of = (name: string) => tensors.get(name)?.data as Float32Array;
    near(model.mask(of('magnitude'), model.state()), of('mask1'), 'mask');
    const noisy = of('noisy_pcm').map((x) => x / 32768);
    const [stft, state] = [new Stft(), model.state()];
    const enhanced = new Float32Array(noisy.length);
    for (let t = 0; t < noisy.length; t += 128) enhanced.set(model.hop(noisy.subarray(t, t + 128), stft, state), t);
    near(enhanced, of('enhanced'), 'enhanced');
  });

  test('Silero VAD: features, states and probabilities of 500 frames', () => {
    const model = new SileroVad(runtime, bytes('silero-vad', 'silero_vad_16k.safetensors'));
    const { tensors } = readSafetensors(bytes('silero-vad', 'case.safetensors'));
    const of = (name: string) => tensors.get(name)?.data as Float32Array;
    const pcm = of('pcm').map((x) => x / 32768);
    const state = model.state();
    const [features, speech, h]: number[][] = [[], [], []];
    for (let t = 0; t < pcm.length; t += 512) {
      const frame = model.frame(pcm.subarray(t, t + 512), state);
      features.push(...frame.features);
      speech.push(frame.speech);
      if ((t / 512) % 25 === 0) h.push(...state.lstm.h[0]);
    }
    near(features, of('features'), 'features');
    near(h, of('h'), 'states');
    near(speech, of('prob'), 'probabilities');
  });
}

test.run();
