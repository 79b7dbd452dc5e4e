/** What the benchmarks stand on: the plain JavaScript that is a peer, the ONNX models for another. */
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { input, Recurrent } from 'gatewise';
import { test } from 'uvu';
import { equal, is } from 'uvu/assert';
import { recurrentModel } from '../bench/peers/onnx.js';
import { type Cell, Layer, type Start } from '../bench/peers/plain/layer.js';
import { numbers, workloads } from '../bench/peers/workloads.js';
import { runtime } from './support/builds.js';
import { runLayers } from './support/layers.js';
import { close, random, uniform } from './support/numbers.js';
import { operatorTests } from './support/onnx.js';

const root = fileURLToPath(new URL('../..', import.meta.url));

const CELLS: Record<Cell, { cell: 'lstm' | 'gru' | 'rnn'; reset?: 'before'; gates: number }> = {
  lstm: { cell: 'lstm', gates: 4 },
  gru: { cell: 'gru', gates: 3 },
  'gru-before': { cell: 'gru', reset: 'before', gates: 3 },
  rnn: { cell: 'rnn', gates: 1 },
};

for (const [name, { gates, ...cell }] of Object.entries(CELLS)) {
  for (const reverse of [false, true]) {
    test(`plain ${name}${reverse ? ', reversed,' : ''} gives the outputs and gradients that gatewise gives`, () => {
      const [T, B, I, H] = [5, 6, 7, 9];
      const next = random(1);
      const start: Start = {
        weight_ih: uniform(next, gates * H * I),
        weight_hh: uniform(next, gates * H * H),
        bias_ih: uniform(next, gates * H),
        bias_hh: uniform(next, gates * H),
      };
      const x = uniform(next, T * B * I);
      const dy = uniform(next, T * B * H);

      const layer = new Layer(Float32Array, name as Cell, { T, B, I, H }, start, { training: true, reverse });
      layer.forward(x);
      layer.dy.set(dy);
      layer.backward(x);

      const suffix = reverse ? '_l0_reverse' : '_l0';
      const { outputs, gradients } = runLayers(
        runtime('simd'),
        (b) => new Recurrent(b, 'rnn', { ...cell, inputSize: I, hiddenSize: H, reverse }),
        Object.fromEntries(Object.entries(start).map(([tensor, values]) => [`rnn.${tensor}${suffix}`, values])),
        { y: dy },
        (tape, rnn) => {
          const rows = input(tape, x, { T, B, F: I }, { gradient: true });
          return { inputs: { x: rows }, outputs: { y: rnn.forward(tape, rows).output } };
        },
      );
      close(layer.h.subarray(layer.outputs, layer.outputs + T * B * H), outputs.y, 1e-6, 'outputs');
      close(layer.dx, gradients.x, 1e-6, 'gradient of x');
      const { ih, hh, bih, bhh } = layer.weights;
      for (const [tensor, { gradient }] of Object.entries({ weight_ih: ih, weight_hh: hh, bias_ih: bih, bias_hh: bhh }))
        close(gradient, gradients[`rnn.${tensor}${suffix}`], 1e-6, tensor);
    });
  }
}

test('the ONNX models are read back as they were meant', () => {
  const folder = `${root}/build/onnx-written`;
  rmSync(folder, { recursive: true, force: true });
  const chosen = workloads.filter(({ task }) => task === 'sequence').slice(0, 3);
  for (const workload of chosen) {
    mkdirSync(`${folder}/${workload.id}/test_data_set_0`, { recursive: true });
    const model = recurrentModel(workload.cell, workload, numbers(workload).weights);
    writeFileSync(`${folder}/${workload.id}/model.onnx`, model);
  }
  const read = operatorTests(folder);
  equal(read.map(({ op }) => op).sort(), ['GRU', 'LSTM', 'RNN']);
  for (const { name, op, attributes, inputs } of read) {
    const { I, H } = chosen.find(({ id }) => id === name) ?? { I: 0, H: 0 };
    const G = { LSTM: 4, GRU: 3, RNN: 1 }[op] ?? 0;
    is(attributes.hidden_size, H);
    if (op === 'GRU') is(attributes.linear_before_reset, 1);
    equal(inputs.W.dims, [1, G * H, I]);
    equal(inputs.R.dims, [1, G * H, H]);
    equal(inputs.B.dims, [1, 2 * G * H]);
    // the operator's second gate is PyTorch's last, or in a GRU its first
    const weights = numbers(chosen.find(({ id }) => id === name) ?? chosen[0]).weights['rnn.weight_hh_l0'];
    const from = { LSTM: 3, GRU: 0, RNN: 0 }[op] ?? 0;
    const gate = G > 1 ? 1 : 0;
    equal(
      inputs.R.data.slice(gate * H * H, gate * H * H + 8),
      weights.slice(from * H * H, from * H * H + 8),
      `${op}: order of the gates`,
    );
  }
});

test.run();
