/** Files of the entries beside `gatewise` and `gatewise/tasks`, and how each is loaded. */
import { readFileSync } from 'node:fs';
import { gunzipSync } from 'node:zlib';
import type { Runtime } from 'gatewise';
import { loadAmp } from 'gatewise/import/amp';
import { loadKeras, loadNetwork, loadTfjs, saveNetwork } from 'gatewise/import/keras';
import { loadOnnx, loadOnnxNode } from 'gatewise/import/onnx';
import { readPyTorch } from 'gatewise/import/pytorch';
import { OnlineLearner } from 'gatewise/online';
import { QuantizedModel } from 'gatewise/quantized';
import { EchoStateNetwork } from 'gatewise/reservoir';
import { loadTraining, saveTraining } from 'gatewise/training';
import { thingsOf } from './entries.js';

export interface EntryTarget {
  readonly bytes: Uint8Array;
  /** Loads it and saves what it has loaded; null where nothing is saved. */
  load(bytes: Uint8Array): Promise<Uint8Array | null> | Uint8Array | null;
  /** Whether it is a file of another program: also an UnsupportedError or a RangeError may refuse it. */
  readonly other?: boolean;
}

const file = (name: string) => new Uint8Array(readFileSync(new URL(`../../../tests/import/${name}`, import.meta.url)));

/** Frees what was loaded, also where it cannot be used. */
function using<M extends { dispose(): void }, T>(model: M, work: (model: M) => T): T {
  try {
    return work(model);
  } finally {
    model.dispose();
  }
}

export async function entryTargets(runtime: Runtime): Promise<Record<string, EntryTarget>> {
  const { more, esn, learner, quantized, network } = await thingsOf(runtime);
  learner.step([0.5, 1], [1, 2]);
  const foreign = (name: string, load: (bytes: Uint8Array) => unknown, bytes = file(name)): EntryTarget => ({
    bytes,
    other: true,
    load: async (changed) => {
      const made = (await load(changed)) as { dispose?(): void };
      made.dispose?.();
      return null;
    },
  });
  return {
    training: {
      bytes: saveTraining(more, { position: { step: 3 }, state: more.layers.rnn.state() }),
      load: (bytes) => saveTraining(more, loadTraining(more, bytes)),
    },
    network: {
      bytes: saveNetwork(network),
      load: (bytes) => using(loadNetwork(runtime, bytes), saveNetwork),
    },
    learner: {
      bytes: learner.save(),
      load: (bytes) =>
        using(OnlineLearner.loadSync(bytes, { maxBytes: 2 ** 26 }), (loaded) => {
          loaded.step([0.5, 1]);
          return OnlineLearner.loadSync(bytes).save();
        }),
    },
    reservoir: {
      bytes: esn.save(),
      load: async (bytes) =>
        using(await EchoStateNetwork.load(bytes, { runtime }), (loaded) => {
          const saved = loaded.save();
          loaded.predict([1, 2]);
          return saved;
        }),
    },
    quantized: {
      bytes: quantized.save(),
      load: (bytes) => using(QuantizedModel.loadSync(bytes), (loaded) => loaded.save()),
    },
    '.pt': foreign('tagger.pt', readPyTorch),
    '.keras': foreign('keras-masking.keras', (bytes) => loadKeras(runtime, bytes)),
    '.h5': foreign(
      '',
      (bytes) => loadKeras(runtime, bytes),
      new Uint8Array(gunzipSync(file('keras-functional.h5.gz'))),
    ),
    // whatever the file calls its weights
    'model.json': foreign('tfjs-gru.json', (bytes) =>
      loadTfjs(runtime, new TextDecoder().decode(bytes), () => file('tfjs-gru.bin')),
    ),
    '.onnx': foreign('onnx-mean-dynamo.onnx', (bytes) => loadOnnx(runtime, bytes)),
    'node of .onnx': foreign('onnx-gru-relu.onnx', (bytes) => loadOnnxNode(runtime, bytes, { node: 'gru-relu' })),
    '.nam': foreign('lstm.nam', (bytes) => loadAmp(runtime, new TextDecoder().decode(bytes))),
    '.aidax.json': foreign('lstm.aidax.json', (bytes) => loadAmp(runtime, new TextDecoder().decode(bytes))),
    '.rtneural.json': foreign('gru.rtneural.json', (bytes) => loadAmp(runtime, new TextDecoder().decode(bytes))),
  };
}
