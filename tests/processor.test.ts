/** Processors: blocks of any size have the bits of one pass over all steps, and processing them allocates nothing. */
import { type HeapProfiler, Session } from 'node:inspector';
import { input, Linear, Model, Recurrent, type RecurrentOptions, Runtime, read } from 'gatewise/infer';
import { type BlockState, Processor } from 'gatewise/processor';
import { test } from 'uvu';
import { equal, is, ok, throws } from 'uvu/assert';
import { random, uniform } from './support/numbers.js';

const next = random(5);
const T = 150;
const I = 3;
const O = 2;

function made(options: Omit<RecurrentOptions, 'inputSize'>) {
  const model = new Model(Runtime.createSync(), 0, (b) => {
    const rnn = new Recurrent(b, 'rnn', { inputSize: I, ...options });
    const up = new Linear(b, 'up', { inputSize: rnn.outputSize, outputSize: 7 });
    const second = new Recurrent(b, 'second', { cell: 'gru', inputSize: 7, hiddenSize: 6 });
    return { rnn, up, second, head: new Linear(b, 'head', { inputSize: 6, outputSize: O, bias: false }) };
  });
  // this entry initializes nothing
  for (const { name, size } of model.parameters) model.set(name, uniform(next, size));
  return model;
}

const CONFIGURATIONS: Record<string, Omit<RecurrentOptions, 'inputSize'>> = {
  rnn: { cell: 'rnn', hiddenSize: 5 },
  lstm: { cell: 'lstm', hiddenSize: 24 },
  gru: { cell: 'gru', hiddenSize: 17, numLayers: 2 },
  residual: { cell: 'residual', hiddenSize: 9 },
  'lstm, peepholes and projection': { cell: 'lstm', hiddenSize: 20, peepholes: true, projectionSize: 6 },
  'lstm, two sizes, layer normalization': { cell: 'lstm', hiddenSize: [8, 12], layerNorm: true },
  'lstm, learned states, zoneout': {
    cell: 'lstm',
    hiddenSize: 10,
    initialState: 'learned',
    zoneoutHidden: 0.1,
    zoneoutCell: 0.2,
  },
  'gru, coupled to a larger layer': { cell: 'gru', hiddenSize: [33, 4] },
};

for (const [title, options] of Object.entries(CONFIGURATIONS)) {
  test(`${title}: blocks of different sizes have the bits of one pass`, () => {
    for (const B of [1, 3]) {
      const model = made(options);
      const { rnn, up, second, head } = model.layers;
      // a row of numbers that count as zero
      const values = uniform(next, T * B * I).map((x, i) => (i % 40 === 7 ? 1e-30 : x));
      const expected = model.forward((tape) => {
        const [a, b] = [rnn.state(B), second.state(B)];
        const first = rnn.forward(tape, input(tape, values, { T, B, F: I }), a).output;
        const y = head.forward(tape, second.forward(tape, up.forward(tape, first), b).output);
        return { y: read(tape, y), h: [...a.h, ...b.h], c: [...a.c, ...b.c] };
      });
      const processor = new Processor([rnn, up, second, head], { steps: 64, batch: B });
      is(processor.inputSize, I);
      is(processor.outputSize, O);
      const state = processor.state();
      const got = new Float32Array(T * B * O);
      const sizes = [64, 1, 2, 37, 46];
      let at = 0;
      for (const n of sizes) {
        const output = new Float32Array(n * B * O);
        processor.process(values.slice(at * B * I, (at + n) * B * I), output, state);
        got.set(output, at * B * O);
        at += n;
      }
      is(at, T);
      equal(got, expected.y);
      equal(state.h, expected.h);
      equal(state.c, expected.c);
      model.runtime.dispose();
    }
  });
}

test('weights that have changed are used from the next block on', () => {
  const model = made({ cell: 'lstm', hiddenSize: 8 });
  const { rnn, up } = model.layers;
  const processor = new Processor([rnn, up]);
  const values = uniform(next, 20 * I);
  const run = () => {
    const output = new Float32Array(20 * 7);
    processor.process(values, output, processor.state());
    return output;
  };
  const before = run();
  equal(run(), before);
  for (const name of ['rnn.weight_hh_l0', 'up.weight'])
    model.set(
      name,
      model.get(name).map((w) => w / 2),
    );
  const expected = model.forward((tape) => {
    const rows = input(tape, values, { T: 20, B: 1, F: I });
    return read(tape, up.forward(tape, rnn.forward(tape, rows).output));
  });
  equal(run(), expected);
  ok(run().some((y, i) => y !== before[i]));
});

/** Bytes that the library allocates in JavaScript while `work` runs: those of samples about every 64 bytes. */
function allocated(work: () => void): number {
  const session = new Session();
  session.connect();
  let bytes = 0;
  type Node = HeapProfiler.SamplingHeapProfileNode;
  const add = ({ callFrame, selfSize, children }: Node) => {
    if (callFrame.url.includes('/dist/')) bytes += selfSize;
    for (const child of children) add(child);
  };
  session.post('HeapProfiler.startSampling', {
    samplingInterval: 64,
    // also what has been collected since
    includeObjectsCollectedByMajorGC: true,
    includeObjectsCollectedByMinorGC: true,
  } as HeapProfiler.StartSamplingParameterType);
  work();
  session.post('HeapProfiler.stopSampling', (_, { profile }) => add(profile.head));
  session.disconnect();
  return bytes;
}

test('processing allocates nothing, in JavaScript and in the core', () => {
  const model = made({ cell: 'lstm', hiddenSize: 24, numLayers: 2 });
  const { rnn, up, second, head } = model.layers;
  const processor = new Processor([rnn, up, second, head], { steps: 128 });
  const [x, y, state] = [uniform(next, 128 * I), new Float32Array(128 * O), processor.state()];
  const run = (blocks: number) => {
    for (let i = 0; i < blocks; i++) processor.process(x, y, state);
  };
  run(3000); // until the engine has compiled all of it
  const used = model.runtime.memory();
  const blocks = 500;
  const least = Math.min(...Array.from({ length: 3 }, () => allocated(() => run(blocks))));
  console.log(`  ${blocks} blocks of 128 steps: ${least} bytes of JavaScript`);
  is(least, 0);
  equal(model.runtime.memory(), used);
  // what allocates is seen
  const [one, single] = [uniform(next, I), rnn.state(1)];
  const steps = allocated(() => {
    for (let i = 0; i < blocks; i++) rnn.step(one, single);
  });
  ok(steps > 100 * blocks, `${steps} bytes of ${blocks} steps`);
});

test('invalid arguments are refused, and change nothing', () => {
  const model = made({ cell: 'lstm', hiddenSize: 8 });
  const { rnn, up, head } = model.layers;
  const processor = new Processor([rnn, up], { steps: 16 });
  const state = processor.state();
  const copy = structuredClone(state);
  const [x, y] = [new Float32Array(4 * I), new Float32Array(4 * 7).fill(9)];
  throws(
    () => processor.process(new Float32Array(4 * I + 1), y, state),
    /input: expected \[T,B=1,I=3\] with T from 1 to 16/,
  );
  throws(() => processor.process(new Float32Array(17 * I), new Float32Array(17 * 7), state), /T from 1 to 16/);
  throws(() => processor.process(new Float32Array(), y, state), /input: /);
  throws(() => processor.process(x, new Float32Array(5), state), /output: expected \[T=4,B=1,O=7\] = 28 numbers/);
  throws(() => processor.process([1, 2, 3] as never, y, state), /expected Float32Arrays/);
  for (const wrong of [Number.NaN, Infinity, -Infinity]) {
    const input = x.map((_, i) => (i === 5 ? wrong : 0));
    throws(() => processor.process(input, y, state), /input\[5\]: expected a finite number/);
  }
  throws(() => processor.process(x, y, rnn.state(2)), /state: /);
  throws(() => processor.process(x, y, { ...copy, h: [new Float32Array(3)] } as never), /state\.h\[0\]: /);
  throws(
    () => processor.process(x, y, { ...copy, h: [...copy.h, ...copy.h] } as never),
    /state: expected h of 1 layers/,
  );
  throws(() => processor.process(x, y, undefined as never), /state: /);
  throws(() => processor.process(x, y, { batch: 1 } as never), /state: /);
  throws(() => processor.process(x, y, { batch: 1, h: copy.h } as never), /state: /);
  throws(
    () => processor.process(x, y, { ...copy, h: [[...copy.h[0]]] } as never),
    /state\.h\[0\]: expected a Float32Array/,
  );
  const bad: BlockState = structuredClone(state);
  bad.c[0][3] = Infinity;
  throws(() => processor.process(x, y, bad), /state\.c\[0\]\[3\]: expected a finite number/);
  equal(state, copy);
  ok(y.every((v) => v === 9));
  throws(() => new Processor([]), /layers: expected a list of layers/);
  throws(() => new Processor([rnn, head]), /layers\[1\]: inputSize: expected 8/);
  throws(() => new Processor([rnn, {} as never]), /layers\[1\]: expected a Recurrent or a Linear/);
  throws(
    () => new Processor([rnn, made({ cell: 'rnn', hiddenSize: 8 }).layers.up]),
    /layers\[1\]: is of another model/,
  );
  throws(() => new Processor([rnn], { steps: 0 }), /steps: /);
  const both = made({ cell: 'gru', hiddenSize: 4, bidirectional: true });
  throws(() => new Processor([both.layers.rnn]), /layers\[0\]: reads backward in time/);
  model.dispose();
  throws(() => processor.process(x, y, state), /disposed/);
});

test('LSTM 24 on blocks of 128 samples at 48 kHz (measured, not compared)', () => {
  const model = new Model(Runtime.createSync(), 1, (b) => ({
    rnn: new Recurrent(b, 'rnn', { cell: 'lstm', inputSize: 1, hiddenSize: 24 }),
    head: new Linear(b, 'head', { inputSize: 24, outputSize: 1 }),
  }));
  const processor = new Processor([model.layers.rnn, model.layers.head]);
  const [x, y, state] = [uniform(next, 128), new Float32Array(128), processor.state()];
  const once = () => {
    const began = process.cpuUsage();
    for (let i = 0; i < 375; i++) processor.process(x, y, state);
    const { user, system } = process.cpuUsage(began);
    return (user + system) / 1e6;
  };
  once();
  const best = Math.min(...Array.from({ length: 5 }, once));
  console.log(`  LSTM 24 and a linear layer: ${(100 * best).toFixed(2)} % of a core at 48 kHz`);
  ok(y.every(Number.isFinite));
});

test.run();
