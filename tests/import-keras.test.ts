/** Models saved by Keras and TensorFlow.js: their outputs, what is refused by name, and that they are ordinary models. */
import { readFileSync } from 'node:fs';
import { gunzipSync } from 'node:zlib';
import { strFromU8, strToU8, unzipSync, zipSync } from 'fflate';
import {
  bceWithLogitsLoss,
  crossEntropyLoss,
  FormatError,
  gradcheck,
  mseLoss,
  Optimizer,
  Recurrent,
  Runtime,
  readSafetensors,
  UnsupportedError,
  writeSafetensors,
} from 'gatewise';
import { loadKeras, loadNetwork, loadTfjs, saveNetwork } from 'gatewise/import/keras';
import { test } from 'uvu';
import { equal, instance, is, ok, throws } from 'uvu/assert';
import { close } from './support/numbers.js';
import { rejects } from './support/rejects.js';

const folder = new URL('../../tests/import/', import.meta.url);
const bytes = (name: string) => {
  const file = new Uint8Array(readFileSync(new URL(name, folder)));
  return name.endsWith('.gz') ? new Uint8Array(gunzipSync(file)) : file;
};
const text = (name: string) => readFileSync(new URL(name, folder), 'utf8');
const keras = JSON.parse(text('keras.json'));
const keras2 = JSON.parse(text('keras2.json'));
const tfjs = JSON.parse(text('tfjs.json'));
const runtime = await Runtime.create();
const readBytes = (name: string) => bytes(name);

for (const [name, { kinds, shape, x, y }] of Object.entries<{
  kinds: string[];
  shape: number[];
  x: number[];
  y: number[];
}>({ ...keras, ...keras2 }).filter(([name]) => /^keras2?-/.test(name))) {
  for (const kind of kinds) {
    test(`${name}.${kind}: the outputs of Keras`, async () => {
      const model = await loadKeras(runtime, bytes(`${name}.${kind === 'h5' ? 'h5.gz' : kind}`));
      const [B, T] = shape;
      close(model.layers.predict(x, { T, B }), y, 1e-5, name);
      model.dispose();
    });
  }
}

for (const name of ['tfjs-tagger', 'tfjs-gru']) {
  test(`${name}: the outputs of TensorFlow.js`, async () => {
    const model = await loadTfjs(runtime, text(`${name}.json`), readBytes);
    const { shape, x, y } = tfjs[name];
    close(model.layers.predict(x, { T: shape[1], B: shape[0] }), y, 1e-5, name);
    model.dispose();
  });
}

/** A file of Keras with its configuration changed. */
function changed(file: string, change: (layers: Record<string, never>[], config: Record<string, unknown>) => void) {
  const entries = unzipSync(bytes(file));
  const config = JSON.parse(strFromU8(entries['config.json']));
  change(config.config.layers, config);
  return loadKeras(runtime, zipSync({ ...entries, 'config.json': strToU8(JSON.stringify(config)) }));
}

/** A model of one convolution as TensorFlow.js writes it, with weights [K,I,O] and biases that are counted up. */
function convolution(config: object, inputSize = 2, before: object[] = []) {
  const [K, O] = [3, 4];
  const own = { name: 'conv', filters: O, kernel_size: [K], strides: [1], padding: 'valid', dilation_rate: [1] };
  const first = { batch_input_shape: [null, null, inputSize] };
  const layers = [...before, { class_name: 'Conv1D', config: { ...own, ...first, activation: 'linear', ...config } }];
  const topology = {
    format: 'layers-model',
    modelTopology: { class_name: 'Sequential', config: { name: 'm', layers } },
    weightsManifest: [
      {
        paths: ['w.bin'],
        weights: [
          { name: 'conv/kernel', shape: [K, inputSize, O], dtype: 'float32' },
          { name: 'conv/bias', shape: [O], dtype: 'float32' },
        ],
      },
    ],
  };
  const weights = Float32Array.from({ length: K * inputSize * O + O }, (_, i) => ((i * 7) % 11) / 8 - 0.5);
  return { weights, load: () => loadTfjs(runtime, JSON.stringify(topology), () => new Uint8Array(weights.buffer)) };
}

for (const [config, stride, dilation, left, right] of [
  [{}, 1, 1, 0, 0],
  [{ padding: 'same', activation: 'relu' }, 1, 1, 1, 1],
  [{ padding: 'causal', dilation_rate: [2] }, 1, 2, 4, 0],
  [{ strides: [2] }, 2, 1, 0, 0],
] as const) {
  test(`Conv1D ${JSON.stringify(config)}: what its formula gives`, async () => {
    const [T, B, I, O, K] = [7, 2, 2, 4, 3];
    const { weights, load } = convolution(config);
    const model = await load();
    const x = Float32Array.from({ length: B * T * I }, (_, i) => Math.fround(Math.sin(i)));
    const steps = Math.floor((T + left + right - dilation * (K - 1) - 1) / stride) + 1;
    // y[b][t][o] = bias[o] + Σ kernel[k][i][o]·x[b][t·stride + k·dilation - left][i]
    const want = Float64Array.from({ length: B * steps * O }, (_, n) => {
      const [b, t, o] = [Math.floor(n / (steps * O)), Math.floor(n / O) % steps, n % O];
      let sum = weights[K * I * O + o];
      for (let k = 0; k < K; k++) {
        const at = t * stride + k * dilation - left;
        for (let i = 0; i < I && at >= 0 && at < T; i++) sum += weights[(k * I + i) * O + o] * x[(b * T + at) * I + i];
      }
      return 'activation' in config ? Math.max(sum, 0) : sum;
    });
    close(model.layers.predict(x, { T, B }), want, 1e-6, 'outputs');
    const again = loadNetwork(runtime, saveNetwork(model));
    equal(again.layers.predict(x, { T, B }), model.layers.predict(x, { T, B }));
    throws(() => model.layers.step([1, 2], []), /layer 'conv' needs the whole sequence/);
    model.dispose();
    again.dispose();
  });
}

test('what a Conv1D of gatewise lacks is refused by name', async () => {
  const refused = (config: object, message: RegExp) => rejects(convolution(config).load(), message);
  await refused({ groups: 2 }, /^layer 'conv': option 'groups' is supported with 1 only/);
  await refused({ data_format: 'channels_first' }, /option 'data_format' is "channels_first"/);
  await refused({ padding: 'same', strides: [2] }, /option 'padding' is 'same'; it is supported with strides: 1/);
  await refused({ padding: 'reflect' }, /option 'padding' is "reflect"; supported: valid, same, causal/);
  await refused({ filters: 5 }, /expected weights \[3, 2, 5\] \[5\], got \[3, 2, 4\] \[4\]/);
  const masked = convolution({}, 2, [{ class_name: 'Masking', config: { batch_input_shape: [null, null, 2] } }]);
  await rejects(masked.load(), /layer 'conv': a convolution cannot leave out steps/);
});

test('functions of gates: hard_sigmoid is that of the version of Keras, and the weights stay', async () => {
  const versions = { 'keras-tagger': 'hardSigmoid', 'keras2-tagger': { kind: 'hardSigmoid', alpha: 0.2 } } as const;
  for (const [name, gateActivation] of Object.entries(versions)) {
    const model = await changed(`${name}.keras`, ((layers: { config: Record<string, { config: object }> }[]) => {
      for (const { config } of layers) {
        for (const inner of [config.layer, config.backward_layer]) {
          if (inner?.config && 'recurrent_activation' in inner.config)
            Object.assign(inner.config, { recurrent_activation: 'hard_sigmoid', activation: 'softsign' });
        }
      }
    }) as never);
    const usual = await loadKeras(runtime, bytes(`${name}.keras`));
    const found = model.layers.description.layers.filter(
      (layer) => layer.kind === 'recurrent' && layer.options.gateActivation !== undefined,
    );
    is(found.length, 1);
    for (const layer of found) {
      const before = usual.layers.description.layers.find(({ name: own }) => own === layer.name);
      if (before?.kind !== 'recurrent') throw new Error('expected a recurrent layer');
      equal(layer, { ...before, options: { ...before.options, gateActivation, activation: 'softsign' } });
    }
    for (const { name: parameter } of usual.parameters) equal(model.get(parameter), usual.get(parameter));
    model.dispose();
    usual.dispose();
  }
});

test('what gatewise lacks is refused by the names of layer and option', async () => {
  const tagger = (index: number, config: object, message: RegExp) =>
    rejects(
      changed('keras-tagger.keras', (layers) => Object.assign(layers[index].config, config)),
      message,
    );
  const both =
    (config: object) =>
    (layers: Record<string, { layer: { config: object }; backward_layer: { config: object } }>[]) => {
      Object.assign(layers[3].config.layer.config, config);
      Object.assign(layers[3].config.backward_layer.config, config);
    };
  for (const [config, message] of [
    [
      { recurrent_activation: 'swish' },
      /^layer 'bidirectional': option 'recurrent_activation' is "swish"; supported: tanh, sigmoid, relu/,
    ],
    [{ activation: 'selu' }, /^layer 'bidirectional': option 'activation' is "selu"/],
    [{ return_state: true }, /option 'return_state' is not supported/],
    [{ peephole: true }, /option 'peephole' \(true\) is not supported/],
    [{ recurrent_dropout: 0.5 }, /option 'recurrent_dropout' \(0\.5\).*\{ dropout: false \}/],
    [{ units: 4 }, /expected weights \[3, 16\] \[4, 16\] \[16\].*got \[3, 12\]/],
  ] as const) {
    await rejects(changed('keras-tagger.keras', both(config) as never), message);
  }
  await tagger(3, { merge_mode: null }, /option 'merge_mode' is "none"/);
  await tagger(6, { axis: [1] }, /'layer_normalization': option 'axis'/);
  await tagger(4, { noise_shape: [1, 5, 6] }, /'dropout': option 'noise_shape'/);
  await tagger(7, { go_backwards: true }, /'gru': option 'go_backwards'/);
  await tagger(7, { activation: { class_name: 'Custom', config: {} } }, /'gru': option 'activation'/);
  const swap = (index: number, className: string) =>
    changed('keras-tagger.keras', (layers) => Object.assign(layers[index], { class_name: className }));
  await rejects(swap(8, 'Conv2D'), /^layer 'dense_1': class Conv2D is not supported$/);
  await rejects(swap(8, 'constructor'), /class constructor is not supported/);
  await rejects(
    changed('keras-tagger.keras', (layers) => {
      Object.assign((layers[5].config as { layer: { config: object } }).layer.config, { activation: 'softmax' });
    }),
    /'time_distributed': a softmax is supported at the end of the model only/,
  );
  await rejects(
    changed('keras-functional.keras', (layers) => {
      const [{ args }] = layers[3].inbound_nodes as { args: { config: { keras_history: unknown[] } }[] }[];
      args[0].config.keras_history[0] = 'input_layer';
    }),
    /^layer 'bidirectional_?\d*': reads input_layer, expected embedding/,
  );
  type Call = { args: unknown[]; kwargs: Record<string, unknown> };
  const call = (layer: Record<string, never>) => (layer.inbound_nodes as Call[])[0];
  await rejects(
    changed('keras-functional.keras', (layers) => {
      const { args, kwargs } = call(layers[3]);
      kwargs.initial_state = [args[0]];
    }),
    /its option 'initial_state' reads 'embedding/,
  );
  await rejects(
    changed('keras-functional.keras', (layers) => {
      const mask = layers.find(({ class_name }) => class_name === 'NotEqual');
      if (mask) call(mask).args[1] = 3;
    }),
    /class NotEqual is supported as the mask of Embedding and Masking only/,
  );
  await rejects(
    changed('keras-functional.keras', (_, config) => {
      (config.config as Record<string, unknown>).output_layers = [['a', 0, 0]];
    }),
    /the outputs of the model are/,
  );
  await rejects(
    changed('keras-reverse.keras', (layers) => Object.assign(layers[0].config, { batch_shape: [null, 2] })),
    /the input of the model has shape \[null,2\]/,
  );
  const tfjsFile = (from: string, to: string) => loadTfjs(runtime, text('tfjs-gru.json').replace(from, to), readBytes);
  await rejects(tfjsFile('layers-model', 'graph-model'), /graph model/);
  await rejects(tfjsFile('"shape":[2,4],"dtype":"float32"', '"shape":[2,4],"dtype":"int32"'), /numbers of type int32/);
  await rejects(tfjsFile('"simple_rnn_SimpleRNN1/kernel"', '"other/kernel"'), /'other\/kernel' is of no layer/);
});

test('files that are damaged, or something else', async () => {
  await rejects(loadKeras(runtime, new Uint8Array(4)), /neither \.keras \(zip\) nor \.h5 \(HDF5\)/);
  await rejects(loadKeras(runtime, bytes('tagger.pt')), /has no config\.json/);
  await rejects(loadKeras(runtime, bytes('keras-tagger.h5.gz').subarray(0, 5000)), /damaged|weights/);
  await rejects(loadKeras(runtime, bytes('keras-tagger.keras'), { sead: 1 } as never), /unknown option 'sead'/);
  await rejects(loadTfjs(runtime, '{', readBytes), /model\.json: is not valid JSON/);
  await rejects(
    loadTfjs(runtime, text('tfjs-gru.json'), () => new Uint8Array(100)),
    /ends at byte \d+ of the weights, which have 100/,
  );
  await rejects(
    loadTfjs(runtime, text('tfjs-gru.json'), () => new Uint8Array(1000)),
    /have 1000 bytes, expected 416/,
  );
});

test('an imported model is trained on, saved and loaded without Keras', async () => {
  const model = await loadKeras(runtime, bytes('keras-tagger.keras'), { seed: 3 });
  const { shape, x, y } = keras['keras-tagger'];
  const [B, T] = shape;
  const optimizer = new Optimizer(model, { optimizer: 'adam', learningRate: 0.02 });
  const targets = Int32Array.from({ length: T * B }, (_, i) => i % 5);
  const losses = Array.from({ length: 20 }, () => {
    const loss = model.valueAndGrad((tape, net) => crossEntropyLoss(tape, net.forward(tape, x, { T, B }), targets));
    optimizer.step();
    return loss;
  });
  ok(losses[19] < 0.9 * losses[0], losses.join());
  const trained = model.layers.predict(x, { T, B });
  ok(trained.some((v, i) => Math.abs(v - y[i]) > 1e-3));
  const again = loadNetwork(runtime, saveNetwork(model));
  equal(again.layers.predict(x, { T, B }), trained);
  equal(again.layers.description, model.layers.description);
  ok(again.layers.layers.get('gru') instanceof Recurrent);
  throws(() => loadNetwork(runtime, new Uint8Array(3)), /not valid JSON/);
  const described = (from: string, to: string) => {
    const bytes = Buffer.from(saveNetwork(model));
    // of the same length, so that the header keeps its place
    bytes.write(to.padEnd(from.length), bytes.indexOf(from));
    return () => loadNetwork(runtime, bytes);
  };
  throws(described('\\"kind\\":\\"linear\\"', '\\"kind\\":\\"lineal\\"'), /kind 'lineal' is not known/);
  throws(described('\\"output\\":\\"softmax\\"', '\\"output\\":\\"softmix\\"'), /output: expected 'identity'/);
  throws(described('\\"batchFirst\\":true', '\\"batchFirst\\":1234'), /batchFirst: expected true or false, got 1234/);
  throws(described('"network"', '"natwork"'), /the file describes no network/);
  // whatever is wrong in a file is a FormatError, and sizes are compared before memory is taken
  const { bytesInUse } = runtime.memory();
  const { tensors, metadata } = readSafetensors(saveNetwork(model));
  const changed = (change: (layers: { options: Record<string, unknown> }[]) => void) => {
    const description = JSON.parse(metadata.network);
    change(description.layers);
    const file = writeSafetensors(tensors, { network: JSON.stringify(description) });
    throws(
      () => loadNetwork(runtime, file),
      (e: Error) => e instanceof FormatError,
    );
  };
  const at = model.layers.description.layers.findIndex(({ kind }) => kind === 'recurrent');
  for (const wrong of [
    { hiddenSize: 20_000 },
    { numLayers: 1e9 },
    { numLayers: null },
    { inputSize: 'x' },
    { hiddenSize: undefined },
    { quux: 1 },
  ]) {
    changed((layers) => Object.assign(layers[at].options, wrong));
  }
  changed((layers) => layers.push(null as never));
  is(runtime.memory().bytesInUse, bytesInUse);
});

test('steps give what the sequence gives', async () => {
  const model = await loadTfjs(runtime, text('tfjs-gru.json'), readBytes);
  const { x, shape, y } = tfjs['tfjs-gru'];
  const [B, T, F] = shape;
  const net = model.layers;
  const states = net.states(B);
  let last = new Float32Array(0);
  for (let t = 0; t < T; t++) {
    const step = Float32Array.from({ length: B * F }, (_, i) => x[(Math.floor(i / F) * T + t) * F + (i % F)]);
    last = new Float32Array(net.step(step, states));
  }
  close(last, y, 1e-5, 'steps');
  const both = await loadKeras(runtime, bytes('keras-tagger.keras'));
  throws(() => both.layers.step([1], both.layers.states()), /step: layer 'bidirectional' needs the whole sequence/);
  throws(() => net.predict(x, { T: T + 1, B }), /values: expected \[B=3, T=5, F=2\] = 30 numbers, got 24/);
  throws(() => net.predict(x, { T, B }, []), /states: expected 2, one for each recurrent layer, got 0/);
});

test('masked steps: found from the input, and refused where they change the order of the outputs', async () => {
  const model = await loadKeras(runtime, bytes('keras-functional.keras'));
  const net = model.layers;
  throws(() => net.predict([0, 0], { T: 2, B: 1 }), /all steps of sequence 0 are masked \(0\)/);
  throws(() => net.predict([1, 2], { T: 2, B: 1, lengths: [1] }), /lengths: cannot be combined with the mask/);
  const sequence = await changed('keras-tagger.keras', (layers) =>
    Object.assign(layers[1].config, { mask_zero: true }),
  );
  throws(
    () => sequence.layers.predict([1, 0, 2], { T: 3, B: 1 }),
    /step 2 of sequence 0 comes after one that is masked \(0\)/,
  );
  const short = sequence.layers.predict([1, 2], { T: 2, B: 1 });
  close(sequence.layers.predict([1, 2, 0], { T: 3, B: 1 }).subarray(0, 10), short, 1e-6, 'padding at the end');
});

test('gradients of imported networks agree with central differences', async () => {
  // with layer normalisation and the epsilon of Keras, the one piece that is not a layer of gatewise; ReLU has kinks: none here
  const relu = '"activation":"relu"';
  const source = text('tfjs-tagger.json');
  ok(source.includes(relu) && source.includes('"epsilon":0.001'));
  const model = await loadTfjs(runtime, source.replace(relu, '"activation":"tanh"'), readBytes, { dropout: false });
  const { x, shape } = tfjs['tfjs-tagger'];
  const [B, T] = shape;
  const target = Float32Array.from({ length: T * B * 5 }, (_, i) => (i % 7) / 7);
  const result = gradcheck(model, (tape, net) => mseLoss(tape, net.forward(tape, x, { T, B }), target));
  is(result.parameters.length > model.parameters.length, true);
  ok(result.ok, JSON.stringify(result.parameters.filter(({ error }) => error > result.bound)));

  const masked = await loadKeras(runtime, bytes('keras-functional.keras'));
  const { x: tokens, shape: size } = keras['keras-functional'];
  const pooled = gradcheck(masked, (tape, net) =>
    bceWithLogitsLoss(tape, net.forward(tape, tokens, { T: size[1], B: size[0] }), [1, 0, 1, 0]),
  );
  ok(pooled.ok, JSON.stringify(pooled.parameters.filter(({ error }) => error > pooled.bound)));
});

test('errors have their kinds', async () => {
  const kind = async (promise: Promise<unknown>) => {
    try {
      await promise;
    } catch (error) {
      return error;
    }
    return undefined;
  };
  instance(await kind(loadKeras(runtime, new Uint8Array(4))), FormatError);
  instance(
    await kind(changed('keras-tagger.keras', (layers) => Object.assign(layers[8], { class_name: 'Conv2D' }))),
    UnsupportedError,
  );
  is(keras.keras.split('.')[0], '3');
});

test.run();
