/** Models in workers, as threads of Node: the same bits, errors and runs as here; nothing hangs, and nothing keeps a process alive. */
import { execFile } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { FormatError, NonFiniteError } from 'gatewise';
import * as tasks from 'gatewise/tasks';
import { inWorker, type RemoteModel, WorkerError } from 'gatewise/worker';
import { test } from 'uvu';
import { equal, instance, is, match, ok, throws, unreachable } from 'uvu/assert';
import { type Any, local, remote, same, TASKS, TEXT, TINY, trainings } from './support/task-trainings.js';

const FIT = { batchSize: 2, window: 8, steps: 12 };

async function failure(work: () => PromiseLike<unknown>): Promise<Error> {
  try {
    await work();
  } catch (error) {
    return error as Error;
  }
  return unreachable('expected an error') as never;
}

test('every task is there: gatewise/tasks exports no class of a task that a worker does not know', () => {
  const classes = Object.entries(tasks).filter(([, value]) => typeof value === 'function' && 'createSync' in value);
  equal(classes.map(([name]) => name).sort(), Object.keys(TASKS).sort());
  for (const [name, value] of classes) is((value as unknown as { taskName: string }).taskName, name);
});

for (const name of Object.keys(TASKS) as (keyof typeof TASKS)[]) {
  test(`${name}: the bits, predictions, progress and properties of a model in a worker are those of one here`, async () => {
    const { options, data, fit, inputs } = trainings[name];
    const here = await local(name, options);
    const there = await remote(name, options);
    try {
      const steps: object[][] = [[], []];
      for (const [i, model] of [here, there].entries()) {
        for await (const progress of model.fit(data, fit)) {
          const { loss, gradientNorm, step } = progress as Record<string, unknown>;
          steps[i].push({ loss, gradientNorm, step });
        }
      }
      ok(steps[0].length > 0);
      equal(steps[1], steps[0]);
      equal(there.training, here.training);
      equal(there.config, here.config);
      const bytes = await there.save();
      ok(same(bytes, await here.save()), 'the files differ');
      const expected = await here.predict(inputs);
      equal(await there.predict(inputs), expected);
      is(String(await there.summary()), String(await here.summary()));
      const loaded = (await inWorker(name).load(bytes)) as unknown as Any;
      equal(await loaded.predict(inputs), expected);
      // awaited instead of iterated
      await Promise.all([here.fit(data, fit), loaded.fit(data, fit)]);
      ok(same(await loaded.save(), await here.save()), 'the files of the resumed trainings differ');
      loaded.dispose();
    } finally {
      there.dispose();
      here.dispose();
    }
  });

  test(`${name}: every public method and property is there`, async () => {
    const here = await local(name, trainings[name].options);
    const there = await remote(name, trainings[name].options);
    const own = Object.getOwnPropertyNames(TASKS[name].prototype).filter((key) => !/^constructor$|Sync$/.test(key));
    for (const key of [...own, 'config', 'training', 'save', 'summary', 'restoreBest', 'dispose', Symbol.dispose]) {
      ok(key in there, String(key));
      is(
        typeof (there as unknown as Record<PropertyKey, unknown>)[key],
        typeof (here as unknown as Record<PropertyKey, unknown>)[key],
        String(key),
      );
    }
    there.dispose();
    here.dispose();
  });
}

test('a class works as its name does, and the types are those of the task', async () => {
  const model = await inWorker(tasks.SequenceClassifier).create({
    vocabulary: 'ab',
    classes: ['x', 'y'],
    hiddenSize: 4,
  });
  const [{ label }] = await model.predict(['ab']);
  const typed: 'x' | 'y' = label;
  ok(['x', 'y'].includes(typed));
  // @ts-expect-error the layers stay in the worker
  is(model.model, undefined);
  const own: RemoteModel<tasks.SequenceClassifier<'x' | 'y', false>> = model;
  own.dispose();
});

test('generate and streams', async () => {
  const here = await tasks.LanguageModel.create(TINY);
  const there = await inWorker('LanguageModel').create(TINY);
  const pieces: string[] = [];
  for await (const piece of there.generate({ prompt: 'a', length: 70, seed: 5 })) pieces.push(piece);
  is(pieces.length, 3);
  is(pieces.join(''), await here.generate({ prompt: 'a', length: 70, seed: 5 }));
  is(
    await there.generate({ prompt: 'b', length: 9, seed: 5 }),
    await here.generate({ prompt: 'b', length: 9, seed: 5 }),
  );
  const [near, far] = [here.stream(), await there.stream()];
  equal(await far.step('ab'), near.step('ab'));
  const clone = await far.clone();
  equal(await clone.step('c'), near.clone().step('c'));
  const saved = await far.save();
  ok(same(saved, near.save()));
  equal(await (await there.stream(saved)).step('d'), near.step('d'));
  await far.reset();
  near.reset();
  equal(await far.step('d'), near.step('d'));
  is(there.vocabulary.size, 4);
  there.dispose();
  here.dispose();
});

test('errors have the class and the message that they have here, and leave the model as it was', async () => {
  const here = await tasks.LanguageModel.create(TINY);
  const there = await inWorker('LanguageModel').create(TINY);
  const before = await there.save();
  for (const wrong of [
    (model: Any) => model.fit('xyz', FIT),
    (model: Any) => model.fit(TEXT, { ...FIT, stepz: 3 }),
    (model: Any) => model.fit(TEXT, { ...FIT, batchSize: 0 }),
    (model: Any) => model.fit(3, FIT),
    (model: Any) => model.predict(['xyz']),
    (model: Any) => model.predict(7),
  ]) {
    const [own, other] = await Promise.all([here, there].map((model) => failure(async () => wrong(model as never))));
    is(other.message, own.message);
    is(other.constructor, own.constructor);
  }
  const damaged = await failure(() => inWorker('LanguageModel').load(new Uint8Array(9)));
  instance(damaged, FormatError);
  instance(await failure(() => inWorker('LanguageModel').create({ vocabulary: '' })), RangeError);
  ok(same(await there.save(), before));
  there.dispose();
  const wild = await inWorker('SequenceRegressor').create({ inputSize: 1, outputSize: 1, hiddenSize: 2, seed: 1 });
  const examples = [{ input: Float32Array.of(1, 1), target: [3e38] }];
  const unstable = (await failure(() => wild.fit(examples, { epochs: 1 }))) as NonFiniteError;
  instance(unstable, NonFiniteError);
  is(unstable.step, 1);
  is(unstable.where, 'loss');
  wild.dispose();
});

test('what cannot be sent is refused by name, before anything is trained', async () => {
  const there = await inWorker('LanguageModel').create(TINY);
  throws(() => there.fit(TEXT, { ...FIT, schedule: (() => 1) as never }), /fit: schedule is a function/);
  throws(() => there.fit((() => 1) as never, FIT), /fit|begin.*cannot be sent/);
  throws(() => there.fit(TEXT, { ...FIT, signal: 3 as never }), /signal: expected an AbortSignal/);
  match(
    (await failure(() => inWorker('LanguageModel').create({ ...TINY, runtime: {} } as never))).message,
    /runtime: /,
  );
  throws(() => inWorker('Transducer' as never), /task: expected a task, or one of LanguageModel/);
  throws(() => inWorker(Map as never), /task: expected a task/);
  throws(() => inWorker('LanguageModel', { path: 1 } as never), /unknown option 'path'/);
  is(there.training, null);
  there.dispose();
});

test('an aborted signal ends the run with its reason after the running step', async () => {
  const there = await inWorker('LanguageModel').create(TINY);
  const stop = new AbortController();
  const reason = { why: 'any value' };
  const caught = await (async () => {
    try {
      for await (const { step } of there.fit(TEXT, { ...FIT, steps: 1e6, signal: stop.signal }))
        if (step === 5) stop.abort(reason);
    } catch (error) {
      return error;
    }
    return undefined;
  })();
  is(caught, reason);
  is(there.training?.steps, 5);
  const later = new AbortController();
  setTimeout(() => later.abort(), 30);
  is(await failure(() => there.fit(TEXT, { ...FIT, steps: 1e9, signal: later.signal })), later.signal.reason);
  is(await failure(() => there.predict(['a'], { signal: AbortSignal.abort() })).then(({ name }) => name), 'AbortError');
  there.dispose();
});

test('a loop that is left stops the training at that step, and another training can follow', async () => {
  const there = await inWorker('LanguageModel').create(TINY);
  for await (const { step } of there.fit(TEXT, { ...FIT, steps: 1e6 })) if (step === 3) break;
  await there.fit(TEXT, { ...FIT, steps: 2 });
  is(there.training?.steps, 5);
  const here = await tasks.LanguageModel.create(TINY);
  await here.fit(TEXT, { ...FIT, steps: 3 });
  await here.fit(TEXT, { ...FIT, steps: 2 });
  ok(same(await there.save(), here.save()));
  there.dispose();
  here.dispose();
});

test('checkpoints are saved here; training waits for them, and what they throw ends it', async () => {
  const there = await inWorker('LanguageModel').create(TINY);
  const saved: Uint8Array[] = [];
  let waiting = 0;
  const save = async (bytes: Uint8Array) => {
    is(++waiting, 1);
    await new Promise((resolve) => setTimeout(resolve, 5));
    waiting--;
    saved.push(bytes);
  };
  await there.fit(TEXT, { ...FIT, checkpoint: { everySteps: 5, save } });
  is(saved.length, 3);
  ok(same(saved[2], await there.save()));
  const full = new Error('the disk is full');
  const thrower = () => {
    throw full;
  };
  is(await failure(() => there.fit(TEXT, { ...FIT, checkpoint: { everySteps: 5, save: thrower } })), full);
  there.dispose();
});

test('after dispose everything throws, and what was pending is rejected', async () => {
  const there = await inWorker('LanguageModel').create(TINY);
  const stream = await there.stream();
  const run = there.fit(TEXT, { ...FIT, steps: 1e9 });
  const pending = failure(() => run);
  await new Promise((resolve) => setTimeout(resolve, 20));
  there.dispose();
  there.dispose();
  for (const work of [
    () => pending.then((error) => Promise.reject(error)),
    () => there.save(),
    () => stream.step('a'),
  ]) {
    match((await failure(work)).message, 'this model has been disposed');
  }
  throws(() => there.fit(TEXT), /disposed/);
});

test('a worker that dies rejects what is pending, and names the task', async () => {
  const dies = (how: string) =>
    `data:text/javascript,${encodeURIComponent(`import { parentPort } from 'node:worker_threads';
parentPort.postMessage({ ready: 1 });
parentPort.on('message', ({ id, what }) => what === 'make'
  ? parentPort.postMessage({ id, value: { config: {}, methods: ['fit', 'save'], vocabularies: [] } })
  : what === 'begin' || ${how});`)}`;
  for (const [how, why] of [
    ['process.exit(3)', 'it exited with code 3'],
    ["(() => { throw new Error('of its own') })()", 'of its own'],
  ]) {
    const model = await inWorker('LanguageModel', { url: dies(how) }).create(TINY);
    const all = await Promise.all([failure(() => model.fit(TEXT)), failure(() => model.save())]);
    for (const error of all) {
      instance(error, WorkerError);
      is(error.message, `the worker of LanguageModel has ended: ${why}`);
    }
    instance(await failure(async () => model.save()), WorkerError);
    throws(() => model.fit(TEXT), /has ended/);
  }
});

test('a worker file that is missing or of another version is named, with what to serve', async () => {
  for (const [url, why] of [
    ['file:///nowhere/worker-thread.js', /Cannot find module/],
    [
      "data:text/javascript,import{parentPort}from'node:worker_threads';parentPort.postMessage({ready:99})",
      /another version/,
    ],
    ['data:text/javascript,', /it exited with code 0/],
  ] as const) {
    const error = await failure(() => inWorker('LanguageModel', { url }).create(TINY));
    instance(error, WorkerError);
    match(error.message, why);
    match(error.message, 'gatewise/worker-thread.js');
  }
});

test('without the file next to the entry, the worker starts from its text', async () => {
  const { stdout } = await promisify(execFile)(process.execPath, ['build/tests/worker-text.mjs'], { cwd: root });
  is(stdout, '3\n');
});

const root = fileURLToPath(new URL('../..', import.meta.url));

test('no worker keeps a process alive', async () => {
  for (const [name, end] of [
    ['idle', ''],
    [
      'disposed in a training',
      'const run = lm.fit("ab".repeat(99), { batchSize: 1, window: 8, steps: 1e9 }); run.catch(() => {}); setTimeout(() => lm.dispose(), 50);',
    ],
  ]) {
    const file = `${root}/build/tests/worker-exit.mjs`;
    writeFileSync(
      file,
      `import { inWorker } from 'gatewise/worker';
const lm = await inWorker('LanguageModel').create({ vocabulary: 'ab', hiddenSize: 4 });
${end}
console.log('done');`,
    );
    const { stdout } = await promisify(execFile)(process.execPath, [file], { cwd: root, timeout: 20_000 });
    is(stdout, 'done\n', name);
  }
});

test.before(() => {
  // the entry as a bundler leaves it that does not know workers: alone, with its parts but without the worker file
  writeFileSync(
    `${root}/build/tests/worker-text.mjs`,
    `import { cpSync, mkdirSync, readdirSync, rmSync } from 'node:fs';
const to = new URL('./worker-alone/', import.meta.url);
rmSync(to, { recursive: true, force: true });
mkdirSync(to, { recursive: true });
const dist = new URL('../../dist/', import.meta.url);
for (const name of readdirSync(dist)) if (name.endsWith('.js') && name !== 'worker-thread.js') cpSync(new URL(name, dist), new URL(name, to));
const { inWorker } = await import(new URL('worker.js', to));
const lm = await inWorker('LanguageModel').create({ vocabulary: 'ab', hiddenSize: 4 });
await lm.fit('ab'.repeat(99), { batchSize: 1, window: 8, steps: 3 });
console.log(lm.training.steps);
lm.dispose();`,
  );
});

test.run();
