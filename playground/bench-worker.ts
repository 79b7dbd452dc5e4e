/**
 * Times an LSTM on this device: one float at a time, in SIMD, in relaxed SIMD, with int16 weights, and its training here and by replicas, as
 * shares of the peak of one core of the device.
 */
import { instantiate } from '@assemblyscript/loader';
import { input, Model, Recurrent, Runtime, read } from 'gatewise';
import { quantize } from 'gatewise/quantized';
import { SequenceRegressor } from 'gatewise/tasks';
import { replicas } from 'gatewise/worker';
import type { BenchCore } from '../bench/builds.js';
import { LOOPS, type Loop } from '../bench/loops.js';
import { numbers } from '../bench/numbers.js';
import benchUrl from '../build/wasm/bench-simd.wasm?url';

export interface BenchRow {
  readonly name: string;
  readonly gflops: number;
  readonly share: number;
}

const [T, I, H] = [100, 128, 128];
/** Operations of the products of a sequence: two for each weight and step. */
const FLOP = 2 * T * 4 * H * (I + H);
const SECONDS = 0.4;

/** Operations per nanosecond of the fastest of several samples. */
function fastest(operations: number, work: () => void): number {
  for (const end = performance.now() + 250; performance.now() < end; ) work();
  let rounds = 1;
  const time = () => {
    const began = performance.now();
    for (let i = 0; i < rounds; i++) work();
    return performance.now() - began;
  };
  while (time() < 5) rounds *= 2;
  let best = Number.POSITIVE_INFINITY;
  for (const end = performance.now() + 1000 * SECONDS; performance.now() < end; ) best = Math.min(best, time());
  return (operations * rounds) / best / 1e6;
}

function peak(core: BenchCore): number {
  const at = 1 << 16;
  const rates = (Object.keys(LOOPS) as Loop[]).map((loop) => {
    const { chains, before, after } = LOOPS[loop];
    const rounds = Math.ceil(4e6 / (8 * chains));
    new Float32Array(core.memory.buffer, at, 4 * (before + chains + after)).fill(0.5);
    return fastest(8 * chains * rounds, () => core[loop](at, rounds));
  });
  return Math.max(...rates);
}

function scalar(core: BenchCore): number {
  const sizes = [(T + 1) * H, H, T * I, 4 * H * I, 4 * H * H, 4 * H, 4 * H];
  let at = 1 << 16;
  const addresses = sizes.map((n) => {
    const own = at;
    at += Math.ceil((4 * n) / 64) * 64;
    return own;
  });
  const missing = at - core.memory.buffer.byteLength;
  if (missing > 0) core.memory.grow(Math.ceil(missing / 65536));
  const f32 = new Float32Array(core.memory.buffer);
  sizes.forEach((n, i) => {
    f32.set(numbers(n, 0.05, i), addresses[i] >>> 2);
  });
  const [h, c, x, wx, wh, b, a] = addresses;
  return fastest(FLOP, () => core.scalarLstm(h, c, x, wx, wh, b, a, T, 1, I, H));
}

const RNN = { cell: 'lstm', inputSize: I, hiddenSize: H } as const;
const layer = (runtime: Runtime) => new Model(runtime, 1, (b) => ({ rnn: new Recurrent(b, 'rnn', RNN) }));

function float32(runtime: Runtime): number {
  const model = layer(runtime);
  const x = numbers(T * I);
  return fastest(FLOP, () => {
    model.forward((tape, { rnn }) => read(tape, rnn.forward(tape, input(tape, x, { T, B: 1, F: I })).output));
  });
}

async function int16(runtime: Runtime): Promise<number> {
  const model = await quantize(layer(runtime), { dtype: 'int16', layers: { rnn: RNN }, calibrate: { rnn: 1 } });
  const rnn = model.recurrent('rnn');
  const x = numbers(T * I);
  const output = new Float32Array(T * H);
  return fastest(FLOP, () => {
    rnn.forward(x, { T, B: 1 }, undefined, output);
  });
}

const TRAINING = { T: 32, B: 64 };
/** Operations of the products of a training step: forward, and for the gradients of weights and states. That of x is not needed. */
const STEP = 2 * TRAINING.T * TRAINING.B * 4 * H * (2 * I + 3 * H);

/** Training with batches of 64, in parts that replicas compute; without replicas here. */
async function training(count: number): Promise<number> {
  const task = await SequenceRegressor.create({ cell: 'lstm', inputSize: I, hiddenSize: H, seed: 1 });
  const examples = Array.from({ length: TRAINING.B }, (_, i) => ({
    input: Array.from({ length: TRAINING.T }, (_, t) => Array.from(numbers(I, 1, 100 * i + t))),
    target: i / TRAINING.B,
  }));
  const workers = count ? replicas(count) : undefined;
  let best = Number.POSITIVE_INFINITY;
  try {
    const options = { epochs: 1e9, batchSize: TRAINING.B, ...(workers ? { workers } : {}) };
    let last = performance.now();
    let end = Number.POSITIVE_INFINITY;
    for await (const { step } of task.fit(examples, options)) {
      const now = performance.now();
      // the first steps start the replicas
      if (step > 3) best = Math.min(best, now - last);
      if (step === 3) end = now + 1000 * SECONDS * 2;
      if (now > end && step > 6) break;
      last = performance.now();
    }
  } finally {
    workers?.dispose();
    task.dispose();
  }
  return STEP / best / 1e6;
}

addEventListener('message', async () => {
  try {
    const core = (await instantiate<BenchCore & Record<string, unknown>>(fetch(benchUrl))).exports;
    const top = peak(core);
    const say = (name: string, gflops: number) => postMessage({ name, gflops, share: gflops / top } satisfies BenchRow);
    say('peak of one core, SIMD', top);
    say('LSTM, scalar', scalar(core));
    say('LSTM, SIMD', float32(await Runtime.create()));
    const relaxed = await Runtime.create({ build: 'relaxed' }).catch(() => undefined);
    if (relaxed) say('LSTM, relaxed SIMD', float32(relaxed));
    say('LSTM, int16 weights', await int16(await Runtime.create()));
    say('training, SIMD', await training(0));
    const most = Math.min(4, navigator.hardwareConcurrency - 1);
    for (let count = 2; count <= most || count === 2; count += 2)
      say(`training, ${count} replicas`, await training(count));
    postMessage('done');
  } catch (error) {
    postMessage(`failed: ${error instanceof Error ? error.message : String(error)}`);
  }
});
