/**
 * Replicas: the bits of a training depend on its shards and not on its workers, and the sum over the shards is the gradient of the
 * whole batch. What goes wrong in a worker ends the run and does not change the model in that step.
 */
import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { FormatError, type Model, Optimizer, readSafetensors, train, writeSafetensors } from 'gatewise';
import { LanguageModel, SequenceClassifier } from 'gatewise/tasks';
import { inWorker, type Replicas, replicas, WorkerError } from 'gatewise/worker';
import { test } from 'uvu';
import { equal, instance, is, match, not, ok, throws, unreachable } from 'uvu/assert';
import { Auto } from '#dist/bindings/worker/crew.js';
import { builds } from './support/builds.js';
import { type Any, loaded, local, same, TEXT, TINY, variants } from './support/task-trainings.js';
import { gradients, LOOK } from './support/tasks.js';

const root = fileURLToPath(new URL('../..', import.meta.url));
const sha256 = async (model: Any) =>
  createHash('sha256')
    .update(await model.save())
    .digest('hex');
const FIT = { batchSize: 4, window: 8, steps: 12 };

async function failure(work: () => PromiseLike<unknown>): Promise<Error> {
  try {
    await work();
  } catch (error) {
    return error as Error;
  }
  return unreachable('expected an error') as never;
}

interface Progress {
  readonly done: number;
  readonly workers?: object;
}

/** Kept for all tests: starting workers takes longer than these trainings. */
const teams: Record<string, Replicas> = {
  'no workers': replicas(0),
  'one worker': replicas(1),
  'two workers': replicas(2),
  'four workers': replicas(4),
  'two workers, transferred buffers': replicas(2, { shared: false }),
};
test.after(() => Object.values(teams).forEach((team) => team.dispose()));

for (const [title, { name, options, data, fit, inputs }] of Object.entries(variants)) {
  test(`${title}: 0, 1, 2 and 4 workers give the same bits`, async () => {
    const digests: Record<string, string> = {};
    const losses: Record<string, readonly number[]> = {};
    for (const [how, workers] of Object.entries<Replicas | undefined>({ alone: undefined, ...teams })) {
      const model = await local(name, options);
      const history = await model.fit(data, { ...fit, shards: 4, workers });
      digests[how] = await sha256(model);
      losses[how] = history.steps.loss;
      if (workers) {
        is(history.workers?.workers, workers.count);
        const memory = how.includes('transferred') ? 'transferred' : 'shared';
        is(history.workers?.memory, workers.count === 0 ? null : memory);
      } else is(history.workers, null);
      model.dispose();
    }
    for (const [how, digest] of Object.entries(digests)) {
      is(digest, digests.alone, how);
      equal(losses[how], losses.alone, how);
    }
  });

  test(`${title}: predict and evaluate give the same with 0, 1, 2 and 4 workers, in order`, async () => {
    const model = await local(name, options);
    await model.fit(data, fit);
    const examples = typeof data === 'function' ? [...data()] : data;
    const bits = { ...(name === 'Forecaster' ? { from: 40, warn: false } : {}), signal: new AbortController().signal };
    const sizes = name === 'LanguageModel' ? {} : { batchSize: 2 };
    const alone = [
      await model.predict(inputs, inputs === undefined ? undefined : { batchSize: 2 }),
      await model.evaluate(examples, { ...bits, ...sizes }),
      await model.predict(inputs),
    ];
    // what is written from nothing is one sequence, which is not divided
    if (inputs === undefined) {
      for (const workers of Object.values(teams))
        equal(await model.evaluate(examples, { ...bits, ...sizes, workers }), alone[1]);
      model.dispose();
      return;
    }
    for (const workers of Object.values(teams)) {
      const seen: Progress[] = [];
      const watched = async (run: AsyncIterable<object>) => {
        for await (const progress of run) seen.push(progress as Progress);
      };
      equal(await model.predict(inputs, { batchSize: 2, workers }), alone[0]);
      equal(await model.evaluate(examples, { ...bits, ...sizes, workers }), alone[1]);
      equal(await model.predict(inputs, { workers }), alone[2]);
      await watched(model.predict(inputs, { batchSize: 1, workers }) as unknown as AsyncIterable<object>);
      const total = (inputs as unknown[]).length;
      equal(
        seen.map(({ done }) => done),
        Array.from({ length: total }, (_, i) => i + 1),
      );
      for (const { workers: about } of seen) {
        const most = Math.min(workers.count as number, total);
        const memory = workers.options.shared === false ? 'transferred' : 'shared';
        equal(about, { workers: most, memory: most ? memory : null });
      }
    }
    model.dispose();
  });

  test(`${title}: the sum over 3 shards is the gradient of the whole batch`, async () => {
    const plain = Object.fromEntries(Object.entries(options).filter(([key]) => !/dropout/i.test(key)));
    const { epochs: _, ...look } = LOOK;
    const own = { ...fit, ...look, ...(title.includes('scheduled') ? { teacherForcing: 1 } : {}) };
    const [whole, parts] = await Promise.all([local(name, plain), local(name, plain)]);
    const seen: { loss: number; gradients: Float32Array }[][] = [[], []];
    for (const [i, model] of [whole, parts].entries()) {
      for await (const progress of model.fit(data, { ...own, shards: i ? 3 : 1 })) {
        seen[i].push({ loss: (progress as { loss: number }).loss, gradients: gradients(model.model) });
      }
    }
    ok(seen[0].length > 0);
    is(seen[1].length, seen[0].length);
    seen[0].forEach(({ loss, gradients: expected }, i) => {
      const near = (a: number, b: number, scale: number) => Math.abs(a - b) <= 2e-6 * scale;
      ok(near(seen[1][i].loss, loss, Math.abs(loss)), `loss ${seen[1][i].loss}, expected ${loss}`);
      const largest = expected.reduce((most, g) => Math.max(most, Math.abs(g)), 0);
      const worst = expected.reduce((most, g, k) => Math.max(most, Math.abs(g - seen[1][i].gradients[k])), 0);
      ok(largest > 0, 'no gradient');
      ok(worst <= 2e-6 * largest, `gradients differ by ${worst / largest} of the largest`);
    });
    whole.dispose();
    parts.dispose();
  });
}

test('each shard has dropout masks of its own, and the next step others', async () => {
  // the same example in every place of the batch: only masks make parts differ
  const examples = Array.from({ length: 4 }, () => ({ input: 'abcd', label: 'x' }));
  const options = { ...TINY, classes: ['x', 'y'], numLayers: 2, dropout: 0.5 };
  const model = await SequenceClassifier.create(options);
  const losses = async (shards: number) => {
    const own = await SequenceClassifier.create(options);
    const history = await own.fit(examples, { batchSize: 4, epochs: 3, learningRate: 0, clipNorm: 0, shards });
    own.dispose();
    return history.steps.loss;
  };
  const four = await losses(4);
  is(new Set(four).size, 3);
  not.equal(four, await losses(2));
  model.dispose();
});

test('shards are 1 unless given, and with workers 4 or the size of the batch', async () => {
  const shardsOf = async (options: object) => {
    const model = await LanguageModel.create(TINY);
    await model.fit(TEXT, { ...FIT, ...options });
    const text = new TextDecoder().decode(model.save().slice(8, 20_000));
    model.dispose();
    return Number(/\\?"shards\\?":(\d+)/.exec(text)?.[1] ?? 1);
  };
  is(await shardsOf({}), 1);
  is(await shardsOf({ workers: replicas(0) }), 4);
  is(await shardsOf({ workers: replicas(0), batchSize: 3 }), 3);
  is(await shardsOf({ workers: replicas(0), shards: 2 }), 2);
});

test('a training that was saved and loaded resumes to the same bits, with its shards; others are refused', async () => {
  for (const title of ['language model, overlapping windows, dropout', 'classifier']) {
    const { name, options, data, fit } = variants[title];
    const once = await local(name, options);
    await once.fit(data, { ...fit, shards: 3 });
    const first = await local(name, options);
    for await (const { step } of first.fit(data, { ...fit, shards: 3 }) as AsyncIterable<{ step: number }>)
      if (step === 1) break;
    const second = await loaded(name, await first.save());
    const left = name === 'LanguageModel' ? { ...fit, steps: 11 } : fit;
    for (const wrong of [{ shards: 2 }, { shards: 1 }, { workers: replicas(2) }]) {
      throws(() => second.fit(data, { ...left, ...wrong }), /shards: this training was made with 3, got [124]/);
    }
    is(second.training?.steps, 1);
    await second.fit(data, { ...left, workers: teams['two workers'], shards: 3 });
    is(await sha256(second), await sha256(once), title);
    const third = await loaded(name, await first.save());
    await third.fit(data, left); // without the option: as it was made
    is(await sha256(third), await sha256(once), title);
    const fresh = await loaded(name, await first.save({ weightsOnly: true }));
    await fresh.fit(data, { ...left, shards: 2 });
    for (const model of [once, first, second, third, fresh]) model.dispose();
  }
});

test('a file whose shards are not a whole number above 1 is refused', async () => {
  const model = await LanguageModel.create(TINY);
  await model.fit(TEXT, { ...FIT, steps: 1, shards: 2 });
  const { tensors, metadata } = readSafetensors(model.save());
  for (const shards of [0, 1, 1.5, '2', null]) {
    const description = { ...JSON.parse(metadata.gatewise), shards };
    const bytes = writeSafetensors(tensors, { gatewise: JSON.stringify(description) });
    instance(await failure(() => LanguageModel.load(bytes)), FormatError);
  }
  model.dispose();
});

test('frozen parameters, a build of its own and a validation share', async () => {
  const digests: string[] = [];
  const own = readFileSync(`${root}/build/wasm/${builds.includes('debug') ? 'debug' : 'simd'}.wasm`);
  for (const workers of [replicas(0), teams['two workers']]) {
    const model = await SequenceClassifier.create({ ...TINY, classes: ['x', 'y'], module: own });
    model.model.freeze('embedding');
    const before = model.model.get('embedding.weight');
    await model.fit(variants.classifier.data as never, {
      epochs: 3,
      batchSize: 3,
      validation: 0.3,
      patience: 9,
      workers,
    });
    equal(model.model.get('embedding.weight'), before);
    digests.push(createHash('sha256').update(model.save()).digest('hex'));
    model.dispose();
  }
  is(digests[1], digests[0]);
});

test('workers: auto gives the bits of its shards, and says who made the last step', async () => {
  const here = await LanguageModel.create(TINY);
  const there = await LanguageModel.create(TINY);
  const auto = replicas('auto');
  const history = await there.fit(TEXT, { ...FIT, workers: auto });
  await here.fit(TEXT, { ...FIT, shards: 4 });
  ok(same(there.save(), here.save()));
  // whether it started workers depends on the time of a step; the bits do not
  const { workers = -1, memory } = history.workers ?? {};
  ok(workers >= 0 && workers <= 4);
  is(memory === null, workers === 0);
  equal(await there.predict(['ab', 'ba'], { workers: auto }), await here.predict(['ab', 'ba']));
  equal(await there.evaluate(TEXT, { workers: auto }), await here.evaluate(TEXT));
  auto.dispose();
  here.dispose();
  there.dispose();
});

test('workers: auto starts workers where a step is long, and lets go of them where theirs are no shorter', async () => {
  const made = (ms: number) => {
    const crew = { ms, ended: 0, about: { workers: 2, memory: 'shared' as const }, end: () => void crew.ended++ };
    return crew;
  };
  /** Steps of `here` ms on this thread; who makes each of them, with workers whose steps take `there` ms. */
  const makers = async (here: number, there: number, steps: number, make: null | 'fails' | 'starts' = 'starts') => {
    let now = 0;
    let done = 0;
    const crew = made(there);
    const start = async () => {
      if (make === 'fails') throw new WorkerError('none');
      return crew;
    };
    const takes = (ms: number) => {
      now += ms;
    };
    const auto = new Auto(
      make && start,
      () => void done++,
      () => now,
    );
    let who = '';
    for (let i = 0; i < steps; i++) {
      if (auto.crew) await auto.there(auto.crew, async ({ ms }) => takes(ms));
      else auto.here(() => takes(i === 0 ? 50 : here));
      who += auto.about.workers;
      await new Promise((resolve) => setTimeout(resolve));
    }
    auto.end();
    is(done, 1);
    return { who, ended: crew.ended };
  };
  // each entry is what is reported after a step; the first step is slow in any case
  equal(await makers(3.9, 1, 6), { who: '000000', ended: 0 });
  equal(await makers(4, 3, 14), { who: `00${'2'.repeat(12)}`, ended: 1 });
  equal(await makers(4, 4, 14), { who: `00${'2'.repeat(7)}00000`, ended: 1 });
  equal(await makers(9, 1, 5, 'fails'), { who: '00000', ended: 0 });
  equal(await makers(9, 1, 5, null), { who: '00000', ended: 0 });
  // the run ends while workers start
  let begin: (crew: ReturnType<typeof made>) => void = () => {};
  let waits: Promise<void> | null = null;
  let now = 0;
  const late = new Auto(
    () =>
      new Promise<ReturnType<typeof made>>((resolve) => {
        begin = resolve;
      }),
    (starting) => {
      waits = starting;
    },
    () => now,
  );
  for (let i = 0; i < 2; i++) {
    late.here(() => {
      now += 9;
    });
  }
  late.end();
  ok(waits, 'the next run waits until the workers have started');
  const crew = made(1);
  begin(crew);
  await waits;
  equal([crew.ended, late.about.workers], [1, 0]);
});

test('options that cannot be are refused before anything changes', async () => {
  const model = await LanguageModel.create(TINY);
  throws(() => model.fit(TEXT, { ...FIT, shards: 5 }), /shards: expected at most batchSize=4, got 5/);
  throws(() => model.fit(TEXT, { ...FIT, shards: 0 }), /shards: expected a positive whole number/);
  throws(
    () => model.fit(TEXT, { ...FIT, workers: 2 as never }),
    /workers: expected replicas of gatewise\/worker, such as replicas\(2\), got 2/,
  );
  throws(() => replicas(1.5), /count: /);
  throws(() => replicas(2, { sharing: true } as never), /unknown option 'sharing'/);
  is(model.training, null);
  const remote = await inWorker('LanguageModel').create(TINY);
  throws(() => remote.fit(TEXT, { ...FIT, workers: teams['one worker'] }), /cannot be sent to a worker/);
  remote.dispose();
  model.dispose();
});

test('an aborted signal ends the run after the running step', async () => {
  const model = await LanguageModel.create(TINY);
  const stop = new AbortController();
  const workers = teams['two workers'];
  const error = await failure(async () => {
    for await (const { step } of model.fit(TEXT, { ...FIT, steps: 1e6, signal: stop.signal, workers }))
      if (step === 3) stop.abort();
  });
  is(error, stop.signal.reason);
  is(model.training?.steps, 3);
  await model.fit(TEXT, { ...FIT, steps: 2, workers });
  const here = await LanguageModel.create(TINY);
  await here.fit(TEXT, { ...FIT, steps: 5, shards: 4 });
  ok(same(model.save(), here.save()), 'the same workers make the next training');
  model.dispose();
  here.dispose();
});

test('two runs cannot use the same workers at the same time', async () => {
  const [a, b] = [await LanguageModel.create(TINY), await LanguageModel.create(TINY)];
  const workers = teams['two workers'];
  const first = a.fit(TEXT, { ...FIT, workers }).then(() => {});
  match((await failure(() => b.fit(TEXT, { ...FIT, workers }))).message, /workers: are used by another run/);
  await first;
  await b.fit(TEXT, { ...FIT, workers });
  ok(same(a.save(), b.save()));
  a.dispose();
  b.dispose();
});

/** A worker file that does as the real one does, until the n-th part of a batch, or batch. */
const breaking = (parts: number, how: string, what = 'part') =>
  `data:text/javascript,${encodeURIComponent(`import { parentPort } from 'node:worker_threads';
const on = parentPort.on.bind(parentPort);
let parts = 0;
parentPort.on = (event, listener) => on(event, (message) => {
  if (message.what === '${what}' && ++parts === ${parts}) ${how};
  listener(message);
});
await import(${JSON.stringify(new URL('dist/worker-thread.js', `file://${root}/`).href)});`)}`;

test('a worker that dies or throws ends the run with an error that names it, which did not change the model', async () => {
  for (const [how, kind, message] of [
    ['process.exit(7)', WorkerError, /^worker [12] of 2 has ended: it exited with code 7/],
    ["{ throw new Error('of its own') }", WorkerError, /^worker [12] of 2 has ended: of its own/],
    ['message.weights = message.gradients = null', TypeError, / \(in worker [12] of 2\)$/],
  ] as const) {
    for (const shared of [true, false]) {
      const model = await LanguageModel.create({ ...TINY, numLayers: 2, dropout: 0.2 });
      const workers = replicas(2, { url: breaking(7, how), shared });
      const error = await failure(() => model.fit(TEXT, { ...FIT, workers }));
      instance(error, kind);
      match(error.message, message);
      const { steps = 0 } = model.training ?? {};
      is(steps, 3, 'two parts of each step');
      const here = await LanguageModel.create({ ...TINY, numLayers: 2, dropout: 0.2 });
      await here.fit(TEXT, { ...FIT, steps, shards: 4 });
      ok(same(model.save(), here.save()));
      // a run with other workers resumes
      await model.fit(TEXT, { ...FIT, steps: 1, workers: teams['two workers'], shards: 4 });
      await here.fit(TEXT, { ...FIT, steps: 1, shards: 4 });
      ok(same(model.save(), here.save()));
      workers.dispose();
      model.dispose();
      here.dispose();
    }
  }
});

test('workers that cannot be started are named, with what to serve', async () => {
  const model = await LanguageModel.create(TINY);
  const workers = replicas(2, { url: 'file:///nowhere/worker-thread.js' });
  const error = await failure(() => model.fit(TEXT, { ...FIT, workers }));
  instance(error, WorkerError);
  match(error.message, /^worker [12] of 2 could not be started \(Cannot find module/);
  match(error.message, 'gatewise/worker-thread.js');
  is(model.training?.steps ?? 0, 0);
  await model.fit(TEXT, { ...FIT, workers: teams['one worker'] });
  model.dispose();
});

test('dispose ends a run that is pending, and later ones throw', async () => {
  const model = await LanguageModel.create(TINY);
  const workers = replicas(1);
  const pending = failure(() => model.fit(TEXT, { ...FIT, steps: 1e9, workers }));
  await new Promise((resolve) => setTimeout(resolve, 200));
  workers.dispose();
  match((await pending).message, /disposed/);
  match((await failure(() => model.fit(TEXT, { ...FIT, workers, shards: 4 }))).message, /replicas have been disposed/);
  model.dispose();
});

test('a training loop of layers has the same bits with any number of workers', async () => {
  const module = `file://${root}/build/tests/replicas-layers.mjs`;
  writeFileSync(
    new URL(module),
    `import { dropout, input, Linear, Model, mseLoss, Recurrent, Runtime } from 'gatewise';
export const model = async ({ hiddenSize }) => new Model(await Runtime.create(), 3, (b) => ({
  b,
  rnn: new Recurrent(b, 'rnn', { cell: 'gru', inputSize: 1, hiddenSize }),
  head: new Linear(b, 'head', { inputSize: hiddenSize, outputSize: 1 }),
}));
export const loss = (tape, { b, rnn, head }, { x, y }) => {
  const B = x.length / 5;
  const { output } = rnn.forward(tape, input(tape, x, { T: 5, B, F: 1 }));
  return mseLoss(tape, head.forward(tape, dropout(tape, b.random, output, 0.25)), y);
};`,
  );
  const { model: make } = (await import(module)) as { model: (args: object) => Promise<Model<never>> };
  const args = { hiddenSize: 6 };
  const piece = (B: number, weight: number) => {
    const x = Float32Array.from({ length: 5 * B }, (_, i) => Math.fround(((i * 37) % 11) / 11));
    return { weight, data: { x, y: x.map((v) => 1 - v) } };
  };
  const digests: string[] = [];
  for (const workers of Object.values(teams)) {
    const model = await make(args);
    const optimizer = new Optimizer(model, { learningRate: 0.05 });
    const team = await workers.join(model, { module, args, shards: 3 });
    is(team.about.workers, Math.min(3, workers.count as number));
    let batches = 0;
    const losses: number[] = [];
    // the last batch has two parts
    const next = () => {
      const parts = ++batches < 10 ? [piece(2, 0.4), piece(2, 0.4), piece(1, 0.2)] : [piece(2, 0.5), piece(2, 0.5)];
      return { gradients: () => team.gradients(parts) };
    };
    for await (const { loss } of train(model, optimizer, { steps: 10 }, next)) losses.push(loss);
    ok(losses[9] < losses[0]);
    match((await failure(() => team.gradients([]))).message, /parts: expected a list of 1 to 3 parts/);
    team.end();
    const weights = model.parameters.flatMap(({ name }) => [...model.get(name)]);
    digests.push(createHash('sha256').update(Float32Array.from(weights)).digest('hex'));
    model.dispose();
  }
  is(digests.length, 5);
  is(new Set(digests).size, 1);
  const model = await make(args);
  const workers = teams['one worker'];
  const other = { ...args, hiddenSize: 7 };
  match(
    (await failure(() => workers.join(model, { module, args: other }))).message,
    /module: its model has other parameters/,
  );
  match((await failure(() => workers.join(model, { module: `${module}?none`, args: 3 }))).message, /in worker 1 of 1/);
  const empty = 'data:text/javascript,export const model = 1';
  match((await failure(() => workers.join(model, { module: empty }))).message, /module: model: expected a function/);
  model.dispose();
});

const WORDS = Array.from({ length: 40 }, (_, i) => 'abcd'.repeat(1 + (i % 7)).slice(i % 4));

test('an aborted signal ends predict and evaluate between two batches, and the workers are free', async () => {
  const model = await SequenceClassifier.create({ ...TINY, classes: ['x', 'y'] });
  const workers = teams['two workers'];
  const examples = WORDS.map((input) => ({ input, label: 'x' as const }));
  const calls = {
    predict: (options: object) => model.predict(WORDS, options) as AsyncIterable<object>,
    evaluate: (options: object) => model.evaluate(examples, options) as AsyncIterable<object>,
  };
  for (const [name, call] of Object.entries(calls)) {
    const stop = new AbortController();
    const done: number[] = [];
    const error = await failure(async () => {
      for await (const progress of call({ batchSize: 4, workers, signal: stop.signal })) {
        done.push((progress as Progress).done);
        if (done.length === 2) stop.abort();
      }
    });
    is(error, stop.signal.reason, name);
    equal(done, [4, 8]);
    // a loop that is left
    for await (const _ of call({ batchSize: 4, workers })) break;
    const before = AbortSignal.abort();
    is(await failure(() => model.predict(WORDS, { workers, signal: before })), before.reason);
  }
  equal(await model.predict(WORDS, { batchSize: 4, workers }), await model.predict(WORDS, { batchSize: 4 }));
  model.dispose();
});

test('predict: what goes wrong in workers ends the call with an error that names one, and the model still predicts', async () => {
  const model = await SequenceClassifier.create({ ...TINY, classes: ['x', 'y'] });
  const expected = await model.predict(WORDS, { batchSize: 4 });
  const twice = model.predict(WORDS, { workers: teams['two workers'] }).then(() => {});
  match(
    (await failure(() => model.predict(WORDS, { workers: teams['two workers'] }))).message,
    /workers: are used by another run/,
  );
  await twice;
  for (const [how, kind, message] of [
    ['process.exit(7)', WorkerError, /^worker [12] of 2 has ended: it exited with code 7/],
    ["{ throw new Error('of its own') }", WorkerError, /^worker [12] of 2 has ended: of its own/],
    ['message.where = null', TypeError, / \(in worker [12] of 2\)$/],
  ] as const) {
    const workers = replicas(2, { url: breaking(3, how, 'pass') });
    const error = await failure(() => model.predict(WORDS, { batchSize: 4, workers }));
    instance(error, kind);
    match(error.message, message);
    workers.dispose();
    equal(await model.predict(WORDS, { batchSize: 4 }), expected);
  }
  throws(() => model.predict(WORDS, { workers: 2 as never }), /workers: expected replicas of gatewise\/worker/);
  const remote = await inWorker('SequenceClassifier').create({ ...TINY, classes: ['x', 'y'] });
  throws(() => remote.predict(WORDS, { workers: teams['one worker'] }), /cannot be sent to a worker/);
  remote.dispose();
  const gone = replicas(1);
  gone.dispose();
  match((await failure(() => model.predict(WORDS, { workers: gone }))).message, /replicas have been disposed/);
  const run = model.predict(WORDS, { batchSize: 1, workers: teams['two workers'] });
  const disposed = failure(async () => {
    for await (const { done } of run) if (done === 2) model.dispose();
  });
  match((await disposed).message, /disposed/);
});

test('replicas keep no process alive, disposed or not', async () => {
  for (const end of ['', 'workers.dispose();', 'lm.dispose();']) {
    const file = `${root}/build/tests/replicas-exit.mjs`;
    writeFileSync(
      file,
      `import { LanguageModel } from 'gatewise/tasks';
import { replicas } from 'gatewise/worker';
const lm = await LanguageModel.create({ vocabulary: 'ab', hiddenSize: 4 });
const workers = replicas(2);
await lm.fit('ab'.repeat(99), { batchSize: 2, window: 8, steps: 3, workers });
${end}
console.log('done');`,
    );
    const { stdout } = await promisify(execFile)(process.execPath, [file], { cwd: root, timeout: 20_000 });
    is(stdout, 'done\n', end);
  }
});

test.run();
