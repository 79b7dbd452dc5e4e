/**
 * Models that others trained and published, loaded by the examples, give the outputs that were computed for them in double precision.
 * Their weights are read from safetensors files and, where a folder has them, from the files that were published (docs/examples.md).
 */
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gunzipSync, strToU8, zipSync } from 'fflate';
import { Runtime } from 'gatewise';
import { loadKeras } from 'gatewise/import/keras';
import { readSafetensors } from 'gatewise/import/pytorch';
import { PbfWriter } from 'pbf';
import { test } from 'uvu';
import { equal, instance, is, match, ok } from 'uvu/assert';
import { CharRnn } from '../examples/published/char-rnn.js';
import { Dtln } from '../examples/published/dtln.js';
import { openWeights } from '../examples/published/files.js';
import { weightsOf } from '../examples/published/formats.js';
import { Pronouncer } from '../examples/published/g2p.js';
import { Segmenter } from '../examples/published/icu.js';
import { RnNoise } from '../examples/published/rnnoise.js';
import { SileroVad } from '../examples/published/silero.js';
import { Stft } from '../examples/published/stft.js';
import { TextGenRnn } from '../examples/published/textgenrnn.js';
import type { Weights } from '../examples/published/weights.js';

const reference = process.env.GATEWISE_REFERENCE ?? fileURLToPath(new URL('../../../shared', import.meta.url));
const folder = join(reference, 'real');
const originals = process.env.GATEWISE_PUBLISHED;
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

/** A test of the weights in a safetensors file, and one of each file that was published. */
function testWeights(title: string, own: string, published: string[], run: (weights: Weights) => void): void {
  test(title, async () => run(await openWeights(join(folder, own))));
  if (originals === undefined) return;
  for (const file of published) test(`${title}: ${file}`, async () => run(await openWeights(join(originals, file))));
}

if (!existsSync(folder)) {
  console.log(`  SKIPPED: the published weights are not here (GATEWISE_REFERENCE names the folder around 'real')`);
} else {
  if (originals === undefined)
    console.log(
      `  SKIPPED: the files that were published (GATEWISE_PUBLISHED names their folder, see docs/examples.md)`,
    );

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

  const losses = "ml5's character model: the loss of each character, 120 greedy characters";
  testWeights(losses, 'ml5-charrnn/shakespeare.safetensors', ['shakespeare'], (weights) => {
    const model = new CharRnn(runtime, weights);
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

  testWeights('g2p_en: the phones of 400 words', 'g2p-en/g2p_en.safetensors', ['checkpoint20.npz'], (weights) => {
    const model = new Pronouncer(runtime, weights);
    const { words } = json('g2p-en', 'expected.json');
    is(words.length, 400);
    for (const { word, phonemes } of words) is(model.pronounce(word).join(' '), phonemes, word);
  });

  const gainsOf = 'RNNoise: gains and speech, at once and frame by frame';
  testWeights(gainsOf, 'rnnoise/rnnoise_orig.safetensors', ['rnn_data.c'], (weights) => {
    const model = new RnNoise(runtime, weights);
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

  const contexts = 'textgenrnn: the logits after three contexts';
  testWeights(contexts, 'textgenrnn/textgenrnn.safetensors', ['textgenrnn_weights.hdf5'], (weights) => {
    const model = new TextGenRnn(runtime, weights);
    const cases: { ids: number[]; logits: number[]; next: string }[] = json('textgenrnn', 'expected.json');
    is(cases.length, 3);
    for (const { ids, logits, next } of cases) {
      const got = model.next(ids);
      near(got, logits, next);
      is(got.indexOf(Math.max(...got)), model.vocabulary.get(next));
    }
  });

  testWeights('DTLN: masks, and two seconds of enhanced speech', 'dtln/dtln.safetensors', ['model.h5'], (weights) => {
    const model = new Dtln(runtime, weights);
    const { tensors } = readSafetensors(bytes('dtln', 'case.safetensors'));
    const of = (name: string) => tensors.get(name)?.data as Float32Array;
    near(model.mask(of('magnitude'), model.state()), of('mask1'), 'mask');
    const noisy = of('noisy_pcm').map((x) => x / 32768);
    const [stft, state] = [new Stft(), model.state()];
    const enhanced = new Float32Array(noisy.length);
    for (let t = 0; t < noisy.length; t += 128) enhanced.set(model.hop(noisy.subarray(t, t + 128), stft, state), t);
    near(enhanced, of('enhanced'), 'enhanced');
  });

  const frames = 'Silero VAD: features, states and probabilities of 500 frames';
  const silero = ['silero_vad.onnx', 'silero_vad_16k_op15.onnx', 'silero_vad.jit'];
  testWeights(frames, 'silero-vad/silero_vad_16k.safetensors', silero, (weights) => {
    const model = new SileroVad(runtime, weights);
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

// --- the formats, with tensors of the tests' own ---

const tensors = new Map(
  Object.entries({ 'layer/kernel': [2, 3], bias: [4] }).map(([name, shape]) => {
    const size = shape.reduce((n, d) => n * d, 1);
    return [name, { shape, data: Float32Array.from({ length: size }, (_, i) => name.length + i / 4) }];
  }),
);
const raw = (data: Float32Array) => new Uint8Array(data.buffer, data.byteOffset, data.byteLength);

/** A temporary folder with these files, for as long as the work takes. */
async function withFiles(files: Record<string, Uint8Array | string>, work: (folder: string) => Promise<void>) {
  const at = mkdtempSync(join(tmpdir(), 'gatewise-'));
  try {
    for (const [name, content] of Object.entries(files)) writeFileSync(join(at, name), content);
    await work(at);
  } finally {
    rmSync(at, { recursive: true });
  }
}

async function rejects(work: () => unknown, says: RegExp): Promise<void> {
  let thrown: unknown = null;
  try {
    await work();
  } catch (error) {
    thrown = error;
  }
  instance(thrown, Error);
  match((thrown as Error).message, says);
}

const npy = (data: Uint8Array, shape: readonly number[], descr = '<f4', order = 'False') => {
  const header = `{'descr': '${descr}', 'fortran_order': ${order}, 'shape': (${shape.join(', ')}${shape.length === 1 ? ',' : ''}), }\n`;
  const length = [header.length & 255, header.length >> 8];
  return Uint8Array.from([0x93, ...strToU8('NUMPY'), 1, 0, ...length, ...strToU8(header), ...data]);
};

test('npz: arrays of NumPy', async () => {
  const files = Object.fromEntries(
    [...tensors].map(([name, { shape, data }]) => [`${name}.npy`, npy(raw(data), shape)]),
  );
  equal((await weightsOf(zipSync(files))).tensors, tensors);
  for (const wrong of [npy(new Uint8Array(8), [1], '<f8'), npy(new Uint8Array(4), [1], '<f4', 'True')]) {
    await rejects(() => weightsOf(zipSync({ 'x.npy': wrong })), /^x.npy: expected float32 in C order, got \{'descr'/);
  }
});

test('C: arrays of whole numbers', async () => {
  const text =
    '#include "rnn.h"\nstatic const rnn_weight a_bias[3] = {\n   -10, 0,\n 7\n};\nstatic const Layer a = {\n a_bias, 3\n};';
  equal([...(await weightsOf(strToU8(text))).tensors], [['a_bias', { shape: [3], data: Float32Array.of(-10, 0, 7) }]]);
  await rejects(() => weightsOf(strToU8('int main() {}')), /no format that published models have/);
});

test('ONNX: initializers and constants, also in branches', async () => {
  const write = (type: number, packed: boolean) => {
    const tensor = ([name, { shape, data }]: [string, { shape: number[]; data: Float32Array }], pbf?: PbfWriter) => {
      pbf?.writePackedVarint(1, shape);
      pbf?.writeVarintField(2, type);
      if (packed) pbf?.writePackedFloat(4, [...data]);
      pbf?.writeStringField(8, name);
      if (!packed) pbf?.writeBytesField(9, raw(data));
    };
    const [first, second] = [...tensors];
    const pbf = new PbfWriter();
    pbf.writeVarintField(1, 8);
    pbf.writeMessage(
      7,
      (_, graph) => {
        graph?.writeMessage(5, tensor, first);
        // a branch with a constant, whose name is that of its output
        graph?.writeMessage(
          1,
          (_, node) => {
            node?.writeStringField(2, 'chosen');
            node?.writeMessage(
              5,
              (_, attribute) => {
                attribute?.writeMessage(
                  6,
                  (_, branch) => {
                    branch?.writeMessage(
                      1,
                      (_, constant) => {
                        constant?.writeStringField(2, second[0]);
                        constant?.writeMessage(5, (_, value) => value?.writeMessage(5, tensor, ['', second[1]]), null);
                      },
                      null,
                    );
                  },
                  null,
                );
              },
              null,
            );
          },
          null,
        );
      },
      null,
    );
    return pbf.finish();
  };
  for (const packed of [true, false]) equal((await weightsOf(write(1, packed))).tensors, tensors);
  is((await weightsOf(write(7, true))).tensors.size, 0);
  const file = write(1, false);
  await rejects(() => weightsOf(file.subarray(0, file.length - 9)), /^the ONNX file is cut off at byte/);
});

const fixture = (name: string) => readFileSync(new URL(`../../tests/import/${name}`, import.meta.url));

test('HDF5: the weights of the layers of Keras', async () => {
  const file = gunzipSync(fixture('keras2-tagger.h5.gz'));
  const { tensors } = await weightsOf(file);
  is(tensors.size, 16);
  const model = await loadKeras(runtime, file);
  for (const [name, path, size] of [
    ['embedding.weight', 'model_weights/embedding/embeddings', [7, 3]],
    ['time_distributed.bias', 'model_weights/time_distributed/bias', [4]],
    ['layer_normalization.weight', 'model_weights/layer_normalization/gamma', [4]],
    ['bidirectional.bias_ih_l0_reverse', 'model_weights/bidirectional/backward_lstm/lstm_cell/bias', [12]],
  ] as const) {
    equal(tensors.get(path), { shape: [...size], data: model.get(name) }, [...tensors.keys()].join());
  }
  model.dispose();
});

test('TorchScript: the tensors of a module, which its state dict has as well', async () => {
  const script = await weightsOf(fixture('script.jit'));
  const state = await weightsOf(fixture('checkpoint.pth'));
  is(script.tensors.size, 6);
  for (const [name, tensor] of script.tensors) equal(tensor, state.tensors.get(`model.${name}`), name);
});

test('folders: a manifest with a file for each variable; a vocabulary next to the weights', async () => {
  const manifest = Object.fromEntries([...tensors].map(([name, { shape }], i) => [name, { filename: `${i}`, shape }]));
  const files = Object.fromEntries([...tensors.values()].map(({ data }, i) => [`${i}`, raw(data)]));
  const vocabulary = { a: 0, b: 1 };
  const described = { ...files, 'manifest.json': JSON.stringify(manifest), 'vocab.json': JSON.stringify(vocabulary) };
  await withFiles(described, async (at) => {
    equal(await openWeights(at), { tensors, vocabulary });
  });
  const source = 'const int8_t a[2] = { 1, 2 };';
  await withFiles({ 'a.c': source, 'my_vocab.json': JSON.stringify(vocabulary) }, async (at) => {
    equal((await openWeights(join(at, 'a.c'))).vocabulary, vocabulary);
  });
  await withFiles({ 'a.c': source }, async (at) => {
    await rejects(
      async () => new TextGenRnn(runtime, await openWeights(join(at, 'a.c'))),
      /^expected textgenrnn_vocab.json/,
    );
  });
  await rejects(() => openWeights('no-such-file'), /^no-such-file: the file does not exist/);
  await withFiles({}, async (at) => {
    await rejects(() => openWeights(at), /expected a file, or a folder with manifest.json/);
  });
  await rejects(
    async () => new Dtln(runtime, { tensors }),
    /^the file has no tensor 'dense\/kernel'; it has layer\/kernel, bias …/,
  );
});

test.run();
