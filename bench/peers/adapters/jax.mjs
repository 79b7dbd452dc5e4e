/** jax-js on its WebAssembly backend: loops over time unrolled inside of one `jit`, one thread. */
import { LEARNING_RATE, STEPS } from '../../../build/bench/peers/workloads.js';
import { sum, transposed } from './layout.mjs';

// without workers it has one thread
globalThis.Worker = undefined;
const { defaultDevice, init, jit, nn, numpy: np, tree, valueAndGrad } = await import('@jax-js/jax');

const GATES = { lstm: 4, gru: 3, rnn: 1 };

function array(values, shape) {
  return np.array(values).reshape(shape);
}

/** Weights of a layer, transposed; a GRU keeps its biases apart. */
function layerWeights(weights, { cell, H }, suffix, width) {
  const of = (name) => weights[`rnn.${name}${suffix}`];
  const W = GATES[cell] * H;
  const common = {
    ih: array(transposed(of('weight_ih'), W, width), [width, W]),
    hh: array(transposed(of('weight_hh'), W, H), [H, W]),
  };
  return cell === 'gru'
    ? { ...common, b: array(of('bias_ih'), [W]), bh: array(of('bias_hh'), [W]) }
    : { ...common, b: array(sum(of('bias_ih'), of('bias_hh')), [W]) };
}

/** One step: `z` [B,G·H] is x's part of the net input. Takes z and the states, leaves w alone. */
const STEP = {
  lstm(w, z, [h, c]) {
    const [i, f, g, o] = np.split(z.add(np.dot(h, w.hh.ref)), 4, 1);
    const next = nn
      .sigmoid(f)
      .mul(c)
      .add(nn.sigmoid(i).mul(np.tanh(g)));
    return [nn.sigmoid(o).mul(np.tanh(next.ref)), next];
  },
  gru(w, z, [h]) {
    const [xr, xz, xn] = np.split(z, 3, 1);
    const [hr, hz, hn] = np.split(np.dot(h.ref, w.hh.ref).add(w.bh.ref), 3, 1);
    const update = nn.sigmoid(xz.add(hz));
    const n = np.tanh(xn.add(nn.sigmoid(xr.add(hr)).mul(hn)));
    return [n.ref.add(update.mul(h.sub(n)))];
  },
  rnn: (w, z, [h]) => [np.tanh(z.add(np.dot(h, w.hh.ref)))],
};

/** Outputs of all steps in the order of time, each [B,H], from x [T·B,I]. Takes x, leaves w alone. */
function layer({ cell, T, B, H }, w, x, reverse = false) {
  const z = np.dot(x, w.ih.ref).add(w.b.ref);
  const parts = np.split(z.reshape([T, B, GATES[cell] * H]), T);
  let states = cell === 'lstm' ? [np.zeros([B, H]), np.zeros([B, H])] : [np.zeros([B, H])];
  const outputs = new Array(T);
  for (let n = 0; n < T; n++) {
    const t = reverse ? T - 1 - n : n;
    states = STEP[cell](w, parts[t].reshape([B, GATES[cell] * H]), states);
    outputs[t] = states[0].ref;
  }
  tree.dispose(states);
  return outputs;
}

/** Mean cross-entropy. Takes all. */
function crossEntropy(logits, targets, V) {
  const rows = logits.shape[0];
  return nn
    .logSoftmax(logits)
    .mul(nn.oneHot(targets, V))
    .sum()
    .mul(-1 / rows);
}

const LOSS = {
  characters(workload, { embedding, layers, head, bias }, tokens, targets) {
    const { T, B, H, V } = workload;
    let x = np.dot(nn.oneHot(tokens, V), embedding);
    for (const w of layers) {
      x = np.stack(layer(workload, w, x)).reshape([T * B, H]);
      tree.dispose(w);
    }
    return crossEntropy(np.dot(x, head).add(bias), targets, V);
  },
  classes(workload, { layers, head, bias }, x, targets) {
    const { T, V } = workload;
    const ends = layers.map((w, d) => {
      const outputs = layer(workload, w, x.ref, d === 1);
      const [last] = outputs.splice(d === 1 ? 0 : T - 1, 1);
      tree.dispose(outputs);
      tree.dispose(w);
      return last;
    });
    x.dispose();
    return crossEntropy(np.dot(np.concatenate(ends, 1), head).add(bias), targets, V);
  },
};

export async function prepare(workload, { weights, inputs, targets }) {
  await init('wasm');
  defaultDevice('wasm');
  const { task, cell, T, B, I, H, L, V } = workload;
  const compiled = 'unrolled inside of one jit';

  if (task === 'step') {
    const w = layerWeights(weights, workload, '_l0', I);
    const step = jit((w, x, h, c) => {
      const z = np.dot(x, w.ih).add(w.b);
      const next = STEP.lstm(w, z, [h, c]);
      w.hh.dispose();
      return next;
    });
    let [h, c] = [np.zeros([B, H]), np.zeros([B, H])];
    let turn = 0;
    const next = () => {
      const x = array(inputs[turn++ % inputs.length], [1, I]);
      [h, c] = step(tree.ref(w), x, h, c);
      return h.ref.dataSync();
    };
    return {
      results: () => ({ outputs: Float32Array.from(Array.from({ length: STEPS }, () => [...next()]).flat()) }),
      run: (n) => {
        for (let i = 0; i < n; i++) next();
      },
    };
  }

  if (task === 'sequence') {
    const w = layerWeights(weights, workload, '_l0', I);
    const forward = jit((w, x) => {
      const outputs = np.stack(layer(workload, w, x));
      tree.dispose(w);
      return outputs;
    });
    const run = () => forward(tree.ref(w), array(inputs[0], [T * B, I])).dataSync();
    return {
      note: compiled,
      results: () => ({ outputs: run() }),
      run: (n) => {
        for (let i = 0; i < n; i++) run();
      },
    };
  }

  const classes = task === 'classes';
  const width = classes ? 2 * H : H;
  const layers = classes
    ? ['_l0', '_l0_reverse'].map((suffix) => layerWeights(weights, workload, suffix, I))
    : Array.from({ length: L }, (_, l) => layerWeights(weights, workload, `_l${l}`, l === 0 ? I : H));
  let parameters = {
    ...(classes ? {} : { embedding: array(weights['embedding.weight'], [V, I]) }),
    layers,
    head: array(transposed(weights['head.weight'], V, width), [width, V]),
    bias: array(weights['head.bias'], [V]),
  };
  const zeros = () => tree.map((w) => np.zeros(w.shape), parameters);
  let [first, second] = [zeros(), zeros()];
  const update = jit((parameters, first, second, x, y, size, root) => {
    const [loss, g] = valueAndGrad((p) => LOSS[task](workload, p, x, y))(tree.ref(parameters));
    const m = tree.map((m, g) => m.mul(0.9).add(g.ref.mul(0.1)), first, g);
    const v = tree.map((v, g) => v.mul(0.999).add(g.ref.mul(g).mul(0.001)), second, g);
    const w = tree.map(
      (w, m, v) => w.sub(m.ref.mul(size.ref).div(np.sqrt(v.ref).mul(root.ref).add(1e-8))),
      parameters,
      m,
      v,
    );
    tree.dispose([size, root]);
    return [w, m, v, loss];
  });
  let turn = 0;
  const step = () => {
    const k = turn++ % inputs.length;
    const x = classes ? array(inputs[k], [T * B, I]) : np.array(inputs[k], { dtype: np.int32 });
    const y = np.array(targets[k], { dtype: np.int32 });
    const size = np.array(LEARNING_RATE / (1 - 0.9 ** turn));
    const root = np.array(1 / Math.sqrt(1 - 0.999 ** turn));
    let loss;
    [parameters, first, second, loss] = update(parameters, first, second, x, y, size, root);
    return loss.dataSync()[0];
  };
  /** The gradient of the first step, from the first moments. */
  const gradient = (moment, M, N) => transposed(moment.ref.dataSync(), M, N).map((m) => m / 0.1);
  return {
    note: `${compiled}${classes ? '' : '; one-hot x dense as embedding: jit: routine primitive scatter input is not imm'}`,
    results: () => ({
      loss: [step()],
      'gradient of rnn.weight_hh_l0': gradient(first.layers[0].hh, H, GATES[cell] * H),
      'gradient of head.weight': gradient(first.head, width, V),
      'updated head.bias': parameters.bias.ref.dataSync(),
    }),
    run: (n) => {
      for (let i = 0; i < n; i++) step();
    },
  };
}
