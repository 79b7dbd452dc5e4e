/** The plain C of ../clang/network.c, compiled to WebAssembly: the module is `options.module`. */
import { readFileSync } from 'node:fs';
import { LEARNING_RATE, STEPS } from '../../../build/bench/peers/workloads.js';

const TASKS = ['step', 'sequence', 'characters', 'classes'];
const GATES = { rnn: 1, gru: 3, lstm: 4 };

export async function prepare(workload, { weights, inputs, targets }, { module }) {
  const { task, cell, T, B, I, H, L, V } = workload;
  const { instance } = await WebAssembly.instantiate(readFileSync(module), { env: { log: Math.log } });
  const c = instance.exports;
  const slab = c.create(TASKS.indexOf(task), GATES[cell], T, B, I, H, L, V);
  // memory does not grow from here on
  const f32 = new Float32Array(c.memory.buffer);
  const i32 = new Int32Array(c.memory.buffer);
  const places = {};
  let at = slab >>> 2;
  for (const [name, values] of Object.entries(weights)) {
    places[name] = { at: at - (slab >>> 2), size: values.length };
    f32.set(values, at);
    at += values.length;
  }
  c.start();
  const read = (base, { at, size }) => f32.slice((base >>> 2) + at, (base >>> 2) + at + size);
  const put = (values) => (values instanceof Int32Array ? i32 : f32).set(values, c.inputs() >>> 2);
  const outputs = () => read(c.outputs(), { at: 0, size: T * B * H });
  let turn = 0;

  if (task === 'step' || task === 'sequence') {
    const forward = () => {
      put(inputs[turn++ % inputs.length]);
      c.forward();
      return outputs();
    };
    const count = task === 'step' ? STEPS : 1;
    return {
      results: () => ({ outputs: Float32Array.from(Array.from({ length: count }, () => [...forward()]).flat()) }),
      run: (n) => {
        for (let i = 0; i < n; i++) forward();
      },
    };
  }

  let steps = 0;
  const step = () => {
    const k = turn++ % inputs.length;
    put(inputs[k]);
    i32.set(targets[k], c.targets() >>> 2);
    const loss = c.backward();
    steps++;
    c.adam(LEARNING_RATE / (1 - 0.9 ** steps), 1 / Math.sqrt(1 - 0.999 ** steps));
    return loss;
  };
  return {
    results: () => ({
      loss: [step()],
      'gradient of rnn.weight_hh_l0': read(c.gradients(), places['rnn.weight_hh_l0']),
      'gradient of head.weight': read(c.gradients(), places['head.weight']),
      'updated head.bias': read(slab, places['head.bias']),
    }),
    run: (n) => {
      for (let i = 0; i < n; i++) step();
    },
  };
}
