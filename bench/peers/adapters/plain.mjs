/** Plain JavaScript over Float32Arrays, see ../plain. */
import { CharacterModel, Classifier, Stack } from '../../../build/bench/peers/plain/network.js';
import { LEARNING_RATE, STEPS, stepLayer, stepOn } from '../../../build/bench/peers/workloads.js';

export function prepare(workload, { weights, inputs, targets }) {
  const { task, cell, T, B, H } = workload;
  if (task === 'step') {
    const layer = stepLayer(Float32Array, workload, weights, cell);
    const output = new Float32Array(H);
    let turn = 0;
    const step = () => {
      layer.forward(inputs[turn++ % inputs.length]);
      stepOn(layer);
      output.set(layer.h.subarray(0, H));
      return output;
    };
    return {
      results: () => ({ outputs: Float32Array.from(Array.from({ length: STEPS }, () => [...step()]).flat()) }),
      run: (n) => {
        for (let i = 0; i < n; i++) step();
      },
    };
  }
  if (task === 'sequence') {
    const stack = new Stack(Float32Array, cell, workload, weights);
    const forward = () => {
      const { h, outputs } = stack.forward(inputs[0]);
      return h.slice(outputs, outputs + T * B * H);
    };
    return {
      results: () => ({ outputs: forward() }),
      run: (n) => {
        for (let i = 0; i < n; i++) forward();
      },
    };
  }
  const Network = task === 'characters' ? CharacterModel : Classifier;
  const network = new Network(Float32Array, cell, workload, weights, LEARNING_RATE);
  let turn = 0;
  const step = () => {
    const k = turn++ % inputs.length;
    return network.train(inputs[k], targets[k]);
  };
  const of = (name) => network.weights.find((w) => w.name === name);
  return {
    results: () => ({
      loss: [step()],
      'gradient of rnn.weight_hh_l0': of('rnn.weight_hh_l0').gradient,
      'gradient of head.weight': of('head.weight').gradient,
      'updated head.bias': of('head.bias').values,
    }),
    run: (n) => {
      for (let i = 0; i < n; i++) step();
    },
  };
}
