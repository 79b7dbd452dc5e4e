/** TensorFlow.js on its WebAssembly backend, layers API, one thread. */
import * as tf from '@tensorflow/tfjs';
import { setThreadsCount } from '@tensorflow/tfjs-backend-wasm';
import { LEARNING_RATE, STEPS } from '../../../build/bench/peers/workloads.js';
import { ordered, sum, swapped, transposed } from './layout.mjs';

/** Its gates as numbers of PyTorch's. */
const ORDER = { lstm: [0, 1, 2, 3], gru: [1, 0, 2], rnn: [0] };
const LAYERS = { lstm: tf.layers.lstm, gru: tf.layers.gru, rnn: tf.layers.simpleRNN };
const CELLS = { lstm: tf.layers.lstmCell, gru: tf.layers.gruCell, rnn: tf.layers.simpleRNNCell };

/** The weights of a layer as it wants them: kernel, recurrent kernel, bias. */
function layerWeights(weights, { cell, I, H }, suffix, width = I) {
  const order = ORDER[cell];
  const of = (name) => ordered(weights[`rnn.${name}${suffix}`], order);
  const W = order.length * H;
  return [
    tf.tensor2d(transposed(of('weight_ih'), W, width), [width, W]),
    tf.tensor2d(transposed(of('weight_hh'), W, H), [H, W]),
    tf.tensor1d(sum(of('bias_ih'), of('bias_hh'))),
  ];
}

function options({ cell, H }) {
  return {
    units: H,
    returnSequences: true,
    // orthogonal, the default, is a decomposition that takes minutes
    kernelInitializer: 'zeros',
    recurrentInitializer: 'zeros',
    ...(cell === 'rnn' ? {} : { recurrentActivation: 'sigmoid' }),
  };
}

export async function prepare(workload, { weights, inputs, targets }) {
  setThreadsCount(1);
  if (!(await tf.setBackend('wasm'))) throw new Error('its wasm backend does not start');
  await tf.ready();
  const { task, cell, T, B, I, H, L, V } = workload;

  if (task === 'step') {
    const layer = CELLS[cell](options(workload));
    layer.build([1, I]);
    layer.setWeights(layerWeights(weights, workload, '_l0'));
    let states = Array.from({ length: cell === 'lstm' ? 2 : 1 }, () => tf.zeros([1, H]));
    let turn = 0;
    const step = () => {
      const x = inputs[turn++ % inputs.length];
      const next = tf.tidy(() => layer.call([tf.tensor2d(x, [1, I]), ...states], {}).slice(1));
      tf.dispose(states);
      states = next;
      return states[0].dataSync();
    };
    return {
      results: () => ({ outputs: Float32Array.from(Array.from({ length: STEPS }, () => [...step()]).flat()) }),
      run: (n) => {
        for (let i = 0; i < n; i++) step();
      },
    };
  }

  if (task === 'sequence') {
    const x = swapped(inputs[0], T, B, I);
    const model = tf.sequential({ layers: [LAYERS[cell]({ ...options(workload), inputShape: [T, I] })] });
    model.layers[0].setWeights(layerWeights(weights, workload, '_l0'));
    const forward = () => tf.tidy(() => model.predict(tf.tensor3d(x, [B, T, I]), { batchSize: B }).dataSync());
    return {
      note: cell === 'gru' ? 'resets before the product' : '',
      results: () => ({ outputs: swapped(forward(), B, T, H) }),
      run: (n) => {
        for (let i = 0; i < n; i++) forward();
      },
    };
  }

  const classes = task === 'classes';
  const features = classes ? I : V;
  const width = classes ? 2 * H : H;
  const head = tf.layers.dense({ units: V, kernelInitializer: 'zeros', inputShape: classes ? [width] : [T, width] });
  const headWeights = [
    tf.tensor2d(transposed(weights['head.weight'], V, width), [width, V]),
    tf.tensor1d(weights['head.bias']),
  ];
  const layers = [];
  const starts = [];
  if (classes) {
    const layer = tf.layers.lstm({ ...options(workload), returnSequences: false });
    layers.push(tf.layers.bidirectional({ layer, mergeMode: 'concat', inputShape: [T, I] }));
    starts.push([...layerWeights(weights, workload, '_l0'), ...layerWeights(weights, workload, '_l0_reverse')]);
  } else {
    layers.push(tf.layers.dense({ units: I, useBias: false, kernelInitializer: 'zeros', inputShape: [T, V] }));
    starts.push([tf.tensor2d(weights['embedding.weight'], [V, I])]);
    for (let l = 0; l < L; l++) {
      layers.push(LAYERS[cell](options(workload)));
      starts.push(layerWeights(weights, workload, `_l${l}`, l === 0 ? I : H));
    }
  }
  const model = tf.sequential({ layers: [...layers, head] });
  [...starts, headWeights].forEach((start, i) => {
    model.layers[i].setWeights(start);
  });
  const optimizer = tf.train.adam(LEARNING_RATE, 0.9, 0.999, 1e-8);
  const batches = inputs.map((values, k) => ({
    x: swapped(values, T, B, classes ? I : 1),
    y: classes ? targets[k] : swapped(targets[k], T, B, 1),
  }));
  const rows = classes ? B : T * B;
  let turn = 0;
  let kept;
  const step = (keep = false) => {
    const { x, y } = batches[turn++ % batches.length];
    return tf.tidy(() => {
      const values = classes
        ? tf.tensor3d(x, [B, T, I])
        : tf.oneHot(tf.tensor1d(x, 'int32'), V).toFloat().reshape([B, T, features]);
      const wanted = tf.oneHot(tf.tensor1d(y, 'int32'), V).toFloat();
      const { value, grads } = tf.variableGrads(() =>
        tf.losses.softmaxCrossEntropy(wanted, model.apply(values, { training: true }).reshape([rows, V])),
      );
      if (keep) kept = Object.fromEntries(Object.entries(grads).map(([name, g]) => [name, g.dataSync().slice()]));
      optimizer.applyGradients(grads);
      return value.dataSync()[0];
    });
  };
  const gradient = (variable, M, N) => transposed(kept[variable.val.name], M, N);
  return {
    note: [
      ...(classes
        ? []
        : ["one-hot x dense as embedding: Kernel 'UnsortedSegmentSum' not registered for backend 'wasm'"]),
      ...(cell === 'gru' ? ['resets before the product'] : []),
    ].join('; '),
    results: () => {
      const loss = step(true);
      const recurrent = ordered(
        gradient(model.layers[classes ? 0 : 1].trainableWeights[1], H, ORDER[cell].length * H),
        ORDER[cell],
      );
      return {
        loss: [loss],
        'gradient of rnn.weight_hh_l0': recurrent,
        'gradient of head.weight': gradient(head.trainableWeights[0], width, V),
        'updated head.bias': head.getWeights()[1].dataSync(),
      };
    },
    run: (n) => {
      for (let i = 0; i < n; i++) step();
    },
  };
}
