/** gatewise itself: the built package, through its public API. */
import { LEARNING_RATE, STEPS } from '../../../build/bench/peers/workloads.js';
import {
  concat,
  crossEntropyLoss,
  Embedding,
  input,
  Linear,
  Model,
  Optimizer,
  Recurrent,
  Runtime,
  read,
} from '../../../dist/index.js';

export async function prepare(workload, { weights, inputs, targets }, { build, reset }) {
  const { task, cell, T, B, I, H, L, V } = workload;
  const options = {
    cell,
    inputSize: I,
    hiddenSize: H,
    numLayers: L,
    bidirectional: task === 'classes',
    ...(reset ? { reset } : {}),
  };
  const runtime = await Runtime.create({ build });
  const model = new Model(runtime, 1, (b) => ({
    embedding: task === 'characters' ? new Embedding(b, 'embedding', { vocabularySize: V, embeddingSize: I }) : null,
    rnn: new Recurrent(b, 'rnn', options),
    head: V ? new Linear(b, 'head', { inputSize: task === 'classes' ? 2 * H : H, outputSize: V }) : null,
  }));
  for (const [name, values] of Object.entries(weights)) model.set(name, values);
  const { embedding, rnn, head } = model.layers;

  if (task === 'step') {
    const state = rnn.state(1);
    const output = new Float32Array(H);
    let turn = 0;
    const step = () => rnn.step(inputs[turn++ % inputs.length], state, output);
    return {
      results: () => ({ outputs: Float32Array.from(Array.from({ length: STEPS }, () => [...step()]).flat()) }),
      run: (n) => {
        for (let i = 0; i < n; i++) step();
      },
    };
  }
  if (task === 'sequence') {
    const forward = () =>
      model.forward((tape) => read(tape, rnn.forward(tape, input(tape, inputs[0], { T, B, F: I })).output));
    return {
      results: () => ({ outputs: forward() }),
      run: (n) => {
        for (let i = 0; i < n; i++) forward();
      },
    };
  }
  const optimizer = new Optimizer(model, { optimizer: 'adam', learningRate: LEARNING_RATE });
  let turn = 0;
  const step = () => {
    const k = turn++ % inputs.length;
    const loss = model.valueAndGrad((tape) => {
      if (task === 'characters') {
        const { output } = rnn.forward(tape, embedding.forward(tape, inputs[k], { T, B }));
        return crossEntropyLoss(tape, head.forward(tape, output), targets[k]);
      }
      const { h } = rnn.forward(tape, input(tape, inputs[k], { T, B, F: I }));
      return crossEntropyLoss(tape, head.forward(tape, concat(tape, h)), targets[k]);
    });
    optimizer.step();
    return loss;
  };
  return {
    results: () => ({
      loss: [step()],
      'gradient of rnn.weight_hh_l0': model.gradient('rnn.weight_hh_l0'),
      'gradient of head.weight': model.gradient('head.weight'),
      'updated head.bias': model.get('head.bias'),
    }),
    run: (n) => {
      for (let i = 0; i < n; i++) step();
    },
  };
}
