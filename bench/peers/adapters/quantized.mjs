/** gatewise/quantized: the built package, through its public API; layers with int16 or int8 weights. */
import { readFileSync } from 'node:fs';
import { STEPS } from '../../../build/bench/peers/workloads.js';
import { Model, Recurrent, Runtime } from '../../../dist/index.js';
import { quantize } from '../../../dist/quantized.js';

/** What outputs may be off by, of the largest number. */
const TOLERANCE = { int16: 2e-3, int8: 5e-2 };

export async function prepare({ cell, task, T, B, I, H }, { weights, inputs }, { dtype, module: file }) {
  const rnn = { cell, inputSize: I, hiddenSize: H };
  const model = new Model(await Runtime.create(), 1, (b) => new Recurrent(b, 'rnn', rnn));
  for (const [name, values] of Object.entries(weights)) model.set(name, values);
  const module = file && new WebAssembly.Module(readFileSync(file));
  const range = inputs.reduce((most, own) => own.reduce((top, x) => Math.max(top, Math.abs(x)), most), 0);
  const quantized = await quantize(model, { dtype, layers: { rnn }, calibrate: { rnn: range }, module });
  model.runtime.dispose();
  const layer = quantized.recurrent('rnn');
  if (task === 'step') {
    const state = layer.state(1);
    const output = new Float32Array(H);
    let turn = 0;
    const step = () => layer.step(inputs[turn++ % inputs.length], state, output);
    return {
      tolerance: TOLERANCE[dtype],
      results: () => ({ outputs: Float32Array.from(Array.from({ length: STEPS }, () => [...step()]).flat()) }),
      run: (n) => {
        for (let i = 0; i < n; i++) step();
      },
    };
  }
  const outputs = new Float32Array(T * B * H);
  const forward = () => layer.forward(inputs[0], { T, B }, undefined, outputs);
  return {
    tolerance: TOLERANCE[dtype],
    results: () => {
      forward();
      return { outputs };
    },
    run: (n) => {
      for (let i = 0; i < n; i++) forward();
    },
  };
}
