/** brain.js, what it calls LSTM, GRU and RNN, one vector after the other. */
import { createRequire } from 'node:module';

const { recurrent } = createRequire(import.meta.url)('brain.js');

/** Its kinds, and its names for input weights, recurrent weights and bias of each of PyTorch's gates. */
const KINDS = {
  lstm: [
    recurrent.LSTMTimeStep,
    ['inputMatrix', 'inputHidden', 'inputBias'],
    ['forgetMatrix', 'forgetHidden', 'forgetBias'],
    ['cellActivationMatrix', 'cellActivationHidden', 'cellActivationBias'],
    ['outputMatrix', 'outputHidden', 'outputBias'],
  ],
  gru: [
    recurrent.GRUTimeStep,
    ...['reset', 'update'].map((gate) => [`${gate}GateInputMatrix`, `${gate}GateHiddenMatrix`, `${gate}GateBias`]),
    ['cellWriteInputMatrix', 'cellWriteHiddenMatrix', 'cellWriteBias'],
  ],
  rnn: [recurrent.RNNTimeStep, ['weight', 'transition', 'bias']],
};

export function prepare({ task, cell, T, B, I, H }, { weights, inputs }) {
  if (task === 'step') throw new Error('run() starts from zeros: no state goes in or out');
  if (task === 'classes') throw new Error('not bidirectional');
  if (task === 'characters') throw new Error('trains one sequence at a time, by RMSProp with clipping only');
  if (B > 1) throw new Error('runs one sequence at a time');
  const [Kind, ...gates] = KINDS[cell];
  const net = new Kind({ inputSize: I, hiddenLayers: [H], outputSize: 1 });
  net.initialize();
  // run() wants to see that it was trained
  net.bindEquation();
  const [layer] = net.model.hiddenLayers;
  const gate = (name, g) => {
    const all = weights[`rnn.${name}_l0`];
    const size = all.length / gates.length;
    return all.subarray(g * size, (g + 1) * size);
  };
  gates.forEach(([input, hidden, bias], g) => {
    layer[input].weights.set(gate('weight_ih', g));
    layer[hidden].weights.set(gate('weight_hh', g));
    layer[bias].weights.set(gate('bias_ih', g).map((v, i) => v + gate('bias_hh', g)[i]));
  });
  const x = Array.from({ length: T }, (_, t) => inputs[0].subarray(t * I, (t + 1) * I));
  const forward = () => {
    net.run(x);
    const outputs = new Float32Array(T * H);
    for (let t = 0; t < T; t++) outputs.set(net.model.equationConnections[t][0].weights, t * H);
    return outputs;
  };
  return {
    note: cell === 'gru' ? 'resets before the product' : '',
    results: () => ({ outputs: forward() }),
    run: (n) => {
      for (let i = 0; i < n; i++) forward();
    },
  };
}
