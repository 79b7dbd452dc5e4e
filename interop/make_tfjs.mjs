/**
 * Makes tests/import/tfjs-*.json and .bin: small models as `model.save` of TensorFlow.js writes them, and what they compute.
 *
 *     node interop/make_tfjs.mjs FOLDER    where FOLDER/node_modules has @tensorflow/tfjs 4.22
 */
import { writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { resolve } from 'node:path';

const tf = createRequire(resolve(process.argv[2] ?? '.', 'package.json'))('@tensorflow/tfjs');
const out = new URL('../tests/import/', import.meta.url);
const expected = { tfjs: tf.version.tfjs };
const { layers: L } = tf;

let seed = 1;
async function make(name, layers, x) {
  const model = tf.sequential({ layers });
  model.setWeights(model.getWeights().map((w) => tf.randomNormal(w.shape, 0, 0.6, 'float32', seed++)));
  await model.save(
    tf.io.withSaveHandler(async ({ modelTopology, weightSpecs, weightData, format, generatedBy }) => {
      // the form that the handlers of files and pages write
      const weightsManifest = [{ paths: [`${name}.bin`], weights: weightSpecs }];
      writeFileSync(
        new URL(`${name}.json`, out),
        `${JSON.stringify({ modelTopology, format, generatedBy, convertedBy: null, weightsManifest })}\n`,
      );
      writeFileSync(new URL(`${name}.bin`, out), new Uint8Array(weightData));
      return { modelArtifactsInfo: { dateSaved: new Date(0), modelTopologyType: 'JSON' } };
    }),
  );
  expected[name] = { shape: x.shape, x: [...x.dataSync()], y: [...model.predict(x).dataSync()] };
}

await make(
  'tfjs-tagger',
  [
    L.embedding({ inputDim: 7, outputDim: 3, inputLength: 5 }),
    L.bidirectional({
      layer: L.lstm({ units: 3, returnSequences: true, recurrentActivation: 'sigmoid' }),
      mergeMode: 'concat',
    }),
    L.dropout({ rate: 0.2 }),
    L.timeDistributed({ layer: L.dense({ units: 4, activation: 'relu' }) }),
    L.layerNormalization(),
    L.dense({ units: 5, activation: 'softmax' }),
  ],
  tf.tensor2d([1, 0, 3, 6, 6, 2, 2, 5, 4, 0], [2, 5], 'int32'),
);
await make(
  'tfjs-gru',
  [
    L.simpleRNN({ units: 4, returnSequences: true, inputShape: [4, 2] }),
    L.gru({ units: 3, recurrentActivation: 'sigmoid', resetAfter: false }),
    L.dense({ units: 1 }),
  ],
  tf.randomNormal([3, 4, 2], 0, 1, 'float32', 77),
);
writeFileSync(new URL('tfjs.json', out), `${JSON.stringify(expected)}\n`);
