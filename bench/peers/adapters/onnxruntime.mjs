/** onnxruntime-web and onnxruntime-node: a model of one node, one thread. */
import { createRequire } from 'node:module';
import { recurrentModel } from '../../../build/bench/peers/onnx.js';
import { STEPS } from '../../../build/bench/peers/workloads.js';

export async function prepare(workload, { weights, inputs }, { name, folder }) {
  const { task, cell, T, B, I, H } = workload;
  const ort = folder ? createRequire(`${folder}/package.json`)(name) : await import(name);
  if (task === 'characters' || task === 'classes') {
    if (!ort.TrainingSession) throw new Error('inference only: it exports no TrainingSession');
  }
  if (name === 'onnxruntime-web') ort.env.wasm.numThreads = 1;
  const session = await ort.InferenceSession.create(recurrentModel(cell, workload, weights), {
    executionProviders: [name === 'onnxruntime-web' ? 'wasm' : 'cpu'],
    intraOpNumThreads: 1,
    interOpNumThreads: 1,
    executionMode: 'sequential',
    graphOptimizationLevel: 'all',
  });
  const zeros = () => new ort.Tensor('float32', new Float32Array(B * H), [1, B, H]);
  const initial = cell === 'lstm' ? { h: zeros(), c: zeros() } : { h: zeros() };
  if (task === 'sequence') {
    const forward = async () => {
      const { Y } = await session.run({ X: new ort.Tensor('float32', inputs[0], [T, B, I]), ...initial }, ['Y']);
      return Y.data;
    };
    return {
      results: async () => ({ outputs: await forward() }),
      run: async (n) => {
        for (let i = 0; i < n; i++) await forward();
      },
    };
  }
  let state = initial;
  const fetches = Object.keys(initial).map((name) => `Y_${name}`);
  let turn = 0;
  const step = async () => {
    const X = new ort.Tensor('float32', inputs[turn++ % inputs.length], [1, 1, I]);
    const { Y_h: h, Y_c: c } = await session.run({ X, ...state }, fetches);
    state = c ? { h, c } : { h };
    return h.data;
  };
  return {
    results: async () => {
      const outputs = new Float32Array(STEPS * H);
      for (let s = 0; s < STEPS; s++) outputs.set(await step(), s * H);
      return { outputs };
    },
    run: async (n) => {
      for (let i = 0; i < n; i++) await step();
    },
  };
}
