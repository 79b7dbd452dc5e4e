/** Memory: a step leaves nothing behind, and neither does a model. */
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { input, Model, Optimizer, Recurrent, Runtime } from 'gatewise';
import { LanguageModel } from 'gatewise/tasks';
import { test } from 'uvu';
import { equal, is, ok, throws } from 'uvu/assert';
import { bytesOf } from '../bench/shapes.js';

setFlagsFromString('--expose-gc');
// the room that the engine keeps for garbage stays as it is: what grows is ours
setFlagsFromString('--semi-space-growth-factor=1');
const gc = runInNewContext('gc') as () => void;
const MiB = 2 ** 20;
const TEXT = 'to be or not to be, that is the question. '.repeat(20);

/** Resident bytes of the process. */
async function resident(): Promise<number> {
  for (let i = 0; i < 5; i++) {
    gc();
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  return process.memoryUsage().rss;
}

/** How much more they are than they were: engines give back late, what leaks never comes back. */
async function growth(before: number, bound: number): Promise<number> {
  let grown = Infinity;
  for (let i = 0; i < 20 && grown >= bound; i++) grown = (await resident()) - before;
  return grown;
}

test('ten thousand steps leave bytes in use and process memory flat', async () => {
  const lm = await LanguageModel.create({ vocabulary: TEXT, hiddenSize: 8, embeddingSize: 4 });
  const options = { batchSize: 2, window: 8 };
  await lm.fit(TEXT, { ...options, steps: 10_000 });
  const used = lm.runtime.memory();
  const before = await resident();
  await lm.fit(TEXT, { ...options, steps: 10_000 });
  equal(lm.runtime.memory(), used);
  const grown = await growth(before, 6 * MiB);
  console.log(
    `  10,000 steps: ${used.bytesInUse} bytes in use before and after, process ${(grown / MiB).toFixed(1)} MiB more`,
  );
  ok(grown < 6 * MiB, `${grown / MiB} MiB`);
});

test('a thousand models made, trained and disposed leave no more than a hundred did', async () => {
  const round = async (n: number) => {
    for (let i = 0; i < n; i++) {
      const lm = await LanguageModel.create({ vocabulary: TEXT, hiddenSize: 32, embeddingSize: 16 });
      await lm.fit(TEXT, { batchSize: 2, window: 8, steps: 1 });
      lm.dispose();
      if (i % 100 === 99) gc();
    }
  };
  await round(100);
  const before = await resident();
  await round(900);
  const grown = await growth(before, 20 * MiB);
  console.log(`  1,000 models: process ${(grown / MiB).toFixed(1)} MiB more than after 100`);
  ok(grown < 20 * MiB, `${grown / MiB} MiB`);
});

test('models that nobody disposes are collected', async () => {
  const round = async (n: number) => {
    for (let i = 0; i < n; i++) {
      await LanguageModel.create({ vocabulary: TEXT, hiddenSize: 128 });
      if (i % 50 === 49) await resident();
    }
  };
  await round(50);
  const before = await resident();
  await round(250);
  ok((await growth(before, 40 * MiB)) < 40 * MiB);
});

test('the heap gives freed blocks out again, and joins them', async () => {
  const runtime = await Runtime.create();
  const blocks = [100, 200, 300].map((bytes) => runtime.alloc(bytes, 'block'));
  is(runtime.memory().bytesInUse, 128 + 256 + 320);
  runtime.free(blocks[0]);
  runtime.free(blocks[1]);
  is(runtime.alloc(384, 'block'), blocks[0]);
  for (const at of blocks) runtime.free(at);
  is(runtime.memory().bytesInUse, 0);
  throws(() => runtime.scope(() => runtime.alloc(8, 'a layer')), /a layer: cannot be allocated while a step runs/);
  throws(() => runtime.take(8), /this call works only inside of a step/);
});

test('memory grows in the midst of a scope, and what was there stays', async () => {
  const runtime = await Runtime.create();
  runtime.scope(() => {
    const at = runtime.take(16);
    runtime.write(at, [1, 2, 3, 4]);
    const { buffer } = runtime.core.memory;
    runtime.take(buffer.byteLength);
    ok(runtime.core.memory.buffer !== buffer);
    equal([...runtime.read(at, 4)], [1, 2, 3, 4]);
  });
});

test('training takes what the formula of the docs says, within 2.5 %', async () => {
  for (const shape of [
    { T: 64, B: 16, I: 64, H: 128, L: 1 },
    { T: 500, B: 2, I: 16, H: 16, L: 3 },
    { T: 8, B: 64, I: 256, H: 96, L: 2 },
  ]) {
    const { T, B, I, H, L } = shape;
    const runtime = await Runtime.create();
    const options = { cell: 'lstm', inputSize: I, hiddenSize: H, numLayers: L } as const;
    const model = new Model(runtime, 1, (b) => new Recurrent(b, 'rnn', options));
    const optimizer = new Optimizer(model, { optimizer: 'adam', learningRate: 1e-4 });
    let bytes = 0;
    model.valueAndGrad((tape, rnn) => {
      // recorded first, so it runs last in the backward pass, when the most memory is in use
      tape.record(() => {
        bytes = runtime.take(0);
      });
      rnn.forward(tape, input(tape, new Float32Array(T * B * I), { T, B, F: I }, { gradient: true }));
      return { value: 0, addGradient: () => {} };
    });
    optimizer.step();
    // the formula leaves out the slot of the initial state, one more than there are steps
    const ratio = bytes / bytesOf(shape);
    ok(ratio > 0.975 && ratio < 1.025, `T=${T} B=${B} I=${I} H=${H} L=${L}: ${ratio} of the formula`);
    runtime.dispose();
  }
});

test('a long sequence costs inference its numbers and states, not its gates', async () => {
  const [T, B, I, H] = [500, 4, 16, 64];
  const runtime = await Runtime.create();
  const model = new Model(runtime, 1, (b) => new Recurrent(b, 'rnn', { cell: 'lstm', inputSize: I, hiddenSize: H }));
  model.forward((tape, rnn) => {
    const before = runtime.take(0);
    rnn.forward(tape, input(tape, new Float32Array(T * B * I), { T, B, F: I }));
    const bytes = runtime.take(0) - before;
    // x, h, the gates of 128 rows, c and tanh c of one step, fields and lines
    const bound = 4 * (T * B * I + (T + 1) * B * H + 128 * 4 * H + 2 * B * H) + 1024;
    ok(bytes <= bound, `${bytes} bytes, expected at most ${bound}`);
  });
  runtime.dispose();
});

test.run();
