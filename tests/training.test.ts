/** Schedules, overlapping windows, clipping, and the public gradient check. */
import {
  crossEntropyLoss,
  Embedding,
  gradcheck,
  input,
  Linear,
  lastPool,
  Model,
  mseLoss,
  Optimizer,
  Recurrent,
  Runtime,
  Schedule,
  type ScheduleOptions,
  type Tape,
  train,
} from 'gatewise';
import { LanguageModel } from 'gatewise/tasks';
import { test } from 'uvu';
import { equal, is, not, ok, throws } from 'uvu/assert';
import { builds, runtime } from './support/builds.js';
import { close, random, uniform } from './support/numbers.js';

/** The rates of n steps, with these losses. */
function rates(options: ScheduleOptions, n: number, loss: (i: number) => number = () => 1): number[] {
  const schedule = new Schedule(options);
  return Array.from({ length: n }, (_, i) => {
    const rate = schedule.rate(0.1);
    schedule.done(loss(i));
    return rate;
  });
}

test('schedules follow the formulas of torch.optim.lr_scheduler', () => {
  const near = (got: number[], want: number[]) => close(got, want, 1e-14, 'rates');
  const steps = [...Array(30).keys()];
  near(
    rates({ kind: 'constant' }, 30),
    steps.map(() => 0.1),
  );
  near(
    rates({ kind: 'constant', warmup: 4 }, 30),
    steps.map((i) => 0.1 * Math.min(1, (i + 1) / 4)),
  );
  near(
    rates({ kind: 'step', every: 7, factor: 0.3 }, 30),
    steps.map((i) => 0.1 * 0.3 ** Math.floor(i / 7)),
  );
  const cosine = (i: number, N: number, floor: number) =>
    floor + ((0.1 - floor) * (1 + Math.cos((Math.PI * Math.min(i, N)) / N))) / 2;
  near(
    rates({ kind: 'cosine', steps: 20 }, 30),
    steps.map((i) => cosine(i, 20, 0)),
  );
  near(
    rates({ kind: 'cosine', steps: 13, minLearningRate: 0.02 }, 30),
    steps.map((i) => cosine(i, 13, 0.02)),
  );
  near(
    rates({ kind: 'cosine', steps: 13, minLearningRate: 0.02, warmup: 5 }, 30),
    steps.map((i) => (i < 5 ? (0.1 * (i + 1)) / 5 : cosine(i - 5, 13, 0.02))),
  );
});

test('plateau lowers the rate as ReduceLROnPlateau does', () => {
  const next = random(5);
  const losses = Array.from({ length: 60 }, (_, i) => 1 / (1 + i / 9) + 0.3 * next());
  // torch: step(metric) after each step; relative threshold, patience, no cooldown
  const want: number[] = [];
  let [rate, best, bad] = [0.1, Infinity, 0];
  for (const loss of losses) {
    want.push(rate);
    if (loss < best * (1 - 1e-2)) [best, bad] = [loss, 0];
    else bad++;
    if (bad > 3) [rate, bad] = [Math.max(rate * 0.5, 0.01), 0];
  }
  const options = { kind: 'plateau', factor: 0.5, patience: 3, threshold: 1e-2, minLearningRate: 0.01 } as const;
  close(
    rates(options, 60, (i) => losses[i]),
    want,
    1e-14,
    'rates',
  );
  ok(new Set(want).size > 3);
  const periods = rates({ kind: 'plateau', factor: 0.5, patience: 0, every: 5 }, 20, (i) => (i < 5 ? 1 : 2));
  equal(
    [0, 9, 10, 14, 15].map((i) => periods[i]),
    [0.1, 0.1, 0.05, 0.05, 0.025],
  );
});

test('a schedule says what is wrong with it', () => {
  const wrong: [object, RegExp][] = [
    [{ kind: 'cosinus', steps: 5 }, /schedule.kind: .*did you mean 'cosine'/],
    [{ kind: 'cosine' }, /schedule.steps: .*got undefined/],
    [{ kind: 'cosine', steps: 0 }, /schedule.steps: .*got 0/],
    [{ kind: 'cosine', steps: 5, every: 2 }, /schedule: unknown option 'every'/],
    [{ kind: 'step', every: 2, factor: -1 }, /schedule.factor: .*got -1/],
    [{ kind: 'plateau', factor: 2, patience: 1 }, /schedule.factor: .*got 2/],
    [{ kind: 'constant', warmup: 1.5 }, /schedule.warmup: .*got 1.5/],
  ];
  for (const [options, message] of wrong) throws(() => new Schedule(options as ScheduleOptions), message);
});

const TEXT = Array.from({ length: 300 }, (_, i) => `${i * 3} times ${i} is what? `).join('');
const SMALL = { vocabulary: TEXT, hiddenSize: 10, embeddingSize: 6, seed: 3 };

test('the horizon of a schedule travels in the checkpoint', async () => {
  const fit = {
    batchSize: 3,
    window: 12,
    learningRate: 0.02,
    schedule: { kind: 'cosine', steps: 20, warmup: 3 },
  } as const;
  const follow = async (lm: LanguageModel, steps: number, options: object = fit) => {
    const seen: number[] = [];
    for await (const { learningRate } of lm.fit(TEXT, { ...options, steps })) seen.push(learningRate);
    return seen;
  };
  const whole = await LanguageModel.create(SMALL);
  const all = await follow(whole, 14);
  ok(new Set(all).size > 10);
  const half = await LanguageModel.create(SMALL);
  await follow(half, 6);
  const again = await LanguageModel.load(half.save());
  equal(await follow(again, 4), all.slice(6, 10), 'the same schedule continues');
  const { schedule: _, ...rest } = fit;
  equal(await follow(again, 4, rest), all.slice(10), 'and so it does where none is named');
  equal(again.save(), whole.save());
  not.equal((await follow(again, 1, { ...fit, schedule: { kind: 'cosine', steps: 99 } }))[0], undefined);
});

test('windows that overlap carry the state at the stride, and count every token once', async () => {
  const [B, T, stride] = [2, 12, 5];
  const options = { batchSize: B, window: T, stride, steps: 4, learningRate: 0.01, clipNorm: 0 };
  const lm = await LanguageModel.create(SMALL);
  const losses: number[] = [];
  for await (const { loss } of lm.fit(TEXT, options)) losses.push(loss);

  const other = await LanguageModel.create(SMALL);
  const { model } = other;
  const ids = lm.vocabulary.encode('text', TEXT);
  const length = Math.floor((ids.length - 1) / B);
  const optimizer = new Optimizer(model, { learningRate: 0.01 });
  const state = model.layers.rnn.state(B);
  for (let n = 0; n < 4; n++) {
    const at = (t: number, b: number) => ids[b * length + n * stride + t];
    const inputs = Array.from({ length: T * B }, (_, i) => at(Math.floor(i / B), i % B));
    const targets = Array.from({ length: T * B }, (_, i) =>
      n > 0 && Math.floor(i / B) < T - stride ? -1 : at(Math.floor(i / B) + 1, i % B),
    );
    const start = state.clone();
    const loss = model.valueAndGrad((tape, { embedding, rnn, head }) => {
      const x = embedding.forward(tape, inputs, { T, B });
      return crossEntropyLoss(tape, head.forward(tape, rnn.forward(tape, x, start).output), targets);
    });
    // moved on by the stride alone, with the weights of before the update
    model.forward((tape, { embedding, rnn }) =>
      rnn.forward(tape, embedding.forward(tape, inputs.slice(0, stride * B), { T: stride, B }), state),
    );
    optimizer.step();
    is(losses[n], loss);
  }
  for (const { name } of model.parameters) equal(lm.model.get(name), model.get(name), name);
  throws(() => lm.fit(TEXT, { window: 8, stride: 9 }), /stride: expected a whole number from 1 to 8, got 9/);
});

test('clipping by norm and by value', async () => {
  const r = await Runtime.create();
  const model = new Model(r, 0, (b) => new Linear(b, 'l', { inputSize: 2, outputSize: 2 }));
  const gradient = [3, -4, 0.5, 0.1];
  const run = async (options: { clipNorm?: number; clipValue?: number }) => {
    model.set('l.weight', [0, 0, 0, 0]);
    model.set('l.bias', [0, 0]);
    let norm = 0;
    const loss = (tape: Tape) => {
      tape.record(() => {
        r.write(model.parameter('l.weight').grad, gradient);
      });
      return { value: 1, addGradient: () => {} };
    };
    const optimizer = new Optimizer(model, { optimizer: 'sgd', learningRate: 1 });
    for await (const p of train(model, optimizer, { ...options, steps: 1 }, () => ({ loss }))) norm = p.gradientNorm;
    return { norm, step: model.get('l.weight').map((v) => -v) };
  };
  const full = Math.hypot(...gradient);
  const free = await run({ clipNorm: 0 });
  close([free.norm, ...free.step], [full, ...gradient], 1e-6, 'not clipped');
  const scaled = await run({ clipNorm: 1 });
  close([scaled.norm, ...scaled.step], [full, ...gradient.map((g) => g / (full + 1e-6))], 1e-6, 'by norm');
  close((await run({ clipNorm: 100 })).step, gradient, 1e-6, 'below the norm');
  const clamped = await run({ clipNorm: 0, clipValue: 1 });
  close([clamped.norm, ...clamped.step], [full, 1, -1, 0.5, 0.1], 1e-6, 'by value');
});

for (const build of builds) {
  test(`${build}: gradcheck passes what is right, and catches a gradient that is off by half a percent`, () => {
    const next = random(3);
    const [T, B, V] = [6, 3, 11];
    const tokens = Array.from({ length: T * B }, () => Math.floor(next() * V));
    const targets = Array.from({ length: T * B }, () => Math.floor(next() * V));
    const r = runtime(build);
    const model = new Model(r, 1, (b) => ({
      embedding: new Embedding(b, 'embedding', { vocabularySize: V, embeddingSize: 5 }),
      rnn: new Recurrent(b, 'rnn', { cell: 'gru', inputSize: 5, hiddenSize: 9, numLayers: 2, dropout: 0.3 }),
      head: new Linear(b, 'head', { inputSize: 9, outputSize: V }),
    }));
    const work = (tape: Tape, { embedding, rnn, head }: (typeof model)['layers']) =>
      crossEntropyLoss(
        tape,
        head.forward(tape, rnn.forward(tape, embedding.forward(tape, tokens, { T, B })).output),
        targets,
      );
    const before = model.parameters.map(({ name }) => model.get(name));
    const counters = { ...model.random.next };
    const right = gradcheck(model, work);
    ok(right.ok, JSON.stringify(right));
    is(right.parameters.length, 2 * model.parameters.length);
    equal(
      model.parameters.map(({ name }) => model.get(name)),
      before,
      'the parameters are as they were',
    );
    equal(model.random.next, counters, 'and so are the random streams');
    for (const { name } of model.parameters) {
      const wrong = gradcheck(model, (tape, layers) => {
        tape.record(() => {
          const { grad, size } = model.parameter(name);
          r.write(
            grad,
            r.read(grad, size).map((g) => 1.005 * g),
          );
        });
        return work(tape, layers);
      });
      ok(!wrong.ok, `${name}: ${wrong.worst}`);
      ok(wrong.parameters.every((p) => p.name === name || p.error <= wrong.bound));
      const none = gradcheck(model, (tape, layers) => {
        tape.record(() => {
          const { grad, size } = model.parameter(name);
          r.f32.fill(0, grad >>> 2, (grad >>> 2) + size);
        });
        return work(tape, layers);
      });
      ok(!none.ok, `${name}: a gradient of 0 passes`);
    }
    console.log(`  ${build} gradcheck: worst error ${right.worst.toExponential(1)}, bound ${right.bound}`);
  });
}

test('a model of vectors can be checked, too', () => {
  const r = runtime('simd');
  const model = new Model(r, 1, (b) => new Recurrent(b, 'rnn', { cell: 'lstm', inputSize: 4, hiddenSize: 6 }));
  const x = uniform(random(1), 5 * 2 * 4);
  const targets = [0, 1, 2, 3, 4, 5, 0, 1, 2, 3];
  const result = gradcheck(model, (tape, rnn) =>
    crossEntropyLoss(tape, rnn.forward(tape, input(tape, x, { T: 5, B: 2, F: 4 })).output, targets),
  );
  ok(result.ok, `${result.worst}`);
});

test('the residual cell learns the difference of two counts over 200 steps from its default start', async () => {
  const [T, B] = [200, 16];
  let state = 1;
  const draw = () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
  const batch = () => {
    const values = new Float32Array(T * B * 2);
    const counts = new Float32Array(B);
    for (let i = 0; i < T * B; i++) {
      const r = draw();
      if (r < 0.1) values[2 * i + (r < 0.05 ? 0 : 1)] = 1;
      if (r < 0.1) counts[i % B] += r < 0.05 ? 0.1 : -0.1;
    }
    return { values, counts };
  };
  for (const feedback of [true, false]) {
    const model = new Model(await Runtime.create(), 1, (b) => ({
      rnn: new Recurrent(b, 'rnn', { cell: 'residual', feedback, inputSize: 2, hiddenSize: 12 }),
      head: new Linear(b, 'head', { inputSize: 12, outputSize: 1 }),
    }));
    const optimizer = new Optimizer(model, { learningRate: 5e-3 });
    let [loss, variance] = [0, 0];
    for (let i = 0; i < 150; i++) {
      const { values, counts } = batch();
      const value = model.valueAndGrad((tape, { rnn, head }) => {
        const x = input(tape, values, { T, B, F: 2 });
        return mseLoss(tape, head.forward(tape, lastPool(tape, rnn.forward(tape, x).output)), counts);
      });
      if (i === 0) ok(value < 3, `loss of the first step: ${value}`);
      if (i >= 140) loss += value / 10;
      if (i >= 140) variance += counts.reduce((sum, n) => sum + n * n, 0) / B / 10;
      model.clipGradNorm(1);
      optimizer.step();
    }
    ok(loss < variance / 4, `feedback ${feedback}: loss ${loss}, variance ${variance}`);
  }
});

test.run();
