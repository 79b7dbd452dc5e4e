/** `validation` in `fit`, for every task: the best weights, patience, the history, and files that continue bit for bit. */
import * as tasks from 'gatewise/tasks';
import { test } from 'uvu';
import { equal, is, match, not, ok, throws } from 'uvu/assert';
import { random, uniform } from './support/numbers.js';
import { rejects } from './support/rejects.js';
import { same } from './support/tasks.js';

interface Trained {
  fit(data: never, options: object): tasks.Run<tasks.TaskProgress<object>, tasks.FitHistory>;
  evaluate(data: never, options?: object): PromiseLike<object>;
  save(options?: object): Uint8Array<ArrayBuffer>;
  dispose(): void;
  readonly training: { readonly steps: number } | null;
  readonly model: tasks.SequenceClassifier['model'] | tasks.Forecaster['model'];
}

interface Case {
  readonly title: string;
  readonly create: () => Promise<Trained>;
  readonly load: (bytes: Uint8Array) => Promise<Trained>;
  readonly data: unknown;
  /** What is validated on, and how `evaluate` is asked for it. */
  readonly validation: unknown;
  readonly kept: unknown;
  readonly asked?: object;
  readonly metric: string;
  /** A larger metric is a better one. */
  readonly larger?: boolean;
  readonly options: object;
}

const draw = random(17);
const letters = (n: number) =>
  Array.from({ length: n }, () => 'abc'[Math.floor(uniform(draw, 1)[0] * 1.49 + 1.5)]).join('');
const texts = Array.from({ length: 24 }, (_, i) => letters(2 + (i % 5)));
const size = { hiddenSize: 6, seed: 5 };
const read = { vocabulary: 'abc', embeddingSize: 4, dropout: 0, inputDropout: 0.2, ...size };
const epochs = { epochs: 5, batchSize: 4, learningRate: 0.05 };
const wave = Array.from({ length: 90 }, (_, t) => Math.sin(t / 2) + uniform(draw, 1)[0] / 2);

function examples<E>(make: (text: string, i: number) => E): { data: E[]; validation: E[]; kept: E[] } {
  const all = texts.map(make);
  return { data: all.slice(0, 16), validation: all.slice(16), kept: all.slice(16) };
}

const cases: Case[] = [
  {
    title: 'language model',
    create: () => tasks.LanguageModel.create({ vocabulary: 'abc', embeddingSize: 4, ...size }) as never,
    load: (bytes) => tasks.LanguageModel.load(bytes) as never,
    data: 'abcb'.repeat(30) + texts.join(''),
    validation: texts.join(''),
    kept: texts.join(''),
    metric: 'bits',
    options: { batchSize: 2, window: 8, steps: 40, learningRate: 0.05 },
  },
  {
    title: 'classifier',
    create: () => tasks.SequenceClassifier.create({ ...read, classes: ['x', 'y.z'] }) as never,
    load: (bytes) => tasks.SequenceClassifier.load(bytes) as never,
    ...examples((input, i) => ({ input, label: i % 3 ? 'x' : 'y.z' })),
    metric: 'classes.y.z.f1',
    larger: true,
    options: epochs,
  },
  {
    title: 'regressor',
    create: () => tasks.SequenceRegressor.create({ ...read }) as never,
    load: (bytes) => tasks.SequenceRegressor.load(bytes) as never,
    ...examples((input) => ({ input, target: input.length / 2 })),
    metric: 'mae',
    options: { ...epochs, optimizer: 'sgd', momentum: 0.9 },
  },
  {
    title: 'tagger with a CRF',
    create: () => tasks.SequenceTagger.create({ ...read, classes: ['x', 'y'], crf: true }) as never,
    load: (bytes) => tasks.SequenceTagger.load(bytes) as never,
    ...examples((input) => ({ input, labels: [...input].map((c) => (c === 'b' ? 'x' : 'y')) })),
    metric: 'accuracy',
    larger: true,
    options: { ...epochs, schedule: { kind: 'plateau', factor: 0.5, patience: 1 } },
  },
  {
    title: 'seq2seq',
    create: () => tasks.Seq2Seq.create({ source: { vocabulary: 'abc' }, target: 'xyz', ...size }) as never,
    load: (bytes) => tasks.Seq2Seq.load(bytes) as never,
    ...examples((source) => ({ source, target: source.replace(/./g, (c) => 'xyz'['abc'.indexOf(c)]) })),
    metric: 'loss',
    options: epochs,
  },
  {
    title: 'transcriber',
    create: () => tasks.Transcriber.create({ ...read, target: 'xy' }) as never,
    load: (bytes) => tasks.Transcriber.load(bytes) as never,
    ...examples((input) => ({ input, target: 'x' })),
    metric: 'errorRate',
    options: epochs,
  },
  {
    title: 'sequence generator',
    create: () => tasks.SequenceGenerator.create({ classes: ['p', 'q'], target: { bits: 2 }, ...size }) as never,
    load: (bytes) => tasks.SequenceGenerator.load(bytes) as never,
    ...examples((text, i) => ({ input: i % 2 ? 'p' : 'q', target: [...text].map((c) => [c === 'a' ? 1 : 0, i % 2]) })),
    metric: 'endLoss',
    options: epochs,
  },
  {
    title: 'forecaster',
    create: () => tasks.Forecaster.create({ window: 8, horizon: 2, ...size }) as never,
    load: (bytes) => tasks.Forecaster.load(bytes) as never,
    data: wave,
    validation: 0.3,
    kept: wave,
    asked: { from: 63 },
    metric: 'mae',
    options: epochs,
  },
];

/** The number of a report at a path whose last parts may have dots. */
const at = (report: object, path: string): number => {
  for (const [name, value] of Object.entries(report)) {
    if (name === path) return value;
    if (path.startsWith(`${name}.`)) return at(value, path.slice(name.length + 1));
  }
  throw new Error(path);
};

for (const { title, create, load, data, validation, kept, asked, metric, larger, options } of cases) {
  const fit = (task: Trained, more: object = {}) =>
    task.fit(data as never, { ...options, validation, metric, ...more });

  test(`${title}: the best weights of all validations, the first step included, are there at the end`, async () => {
    const task = await create();
    const initial = await load(task.save());
    if (title === 'forecaster') await initial.fit(data as never, { to: 63, epochs: 1, learningRate: 0 });
    const values: number[] = [at(await initial.evaluate(kept as never, asked), metric)];
    const steps = [0];
    const weights = [task.save({ weightsOnly: true })];
    const run = fit(task);
    for await (const { step, steps: all, validation: found } of run) {
      if (!found) continue;
      values.push(at(found.report, metric));
      is(found.value, values.at(-1));
      is(found.value, step < all ? at(await task.evaluate(kept as never, asked), metric) : found.value);
      steps.push(step);
      weights.push(task.save({ weightsOnly: true }));
    }
    const history = await run;
    equal(history.validations[metric], values);
    equal(history.validations.step, steps);
    const best = values.indexOf(larger ? Math.max(...values) : Math.min(...values));
    equal(history.best, { step: steps[best], metric, value: values[best] });
    is(history.stopped, false);
    is(at(await task.evaluate(kept as never, asked), metric), values[best]);
    if (best < values.length - 1) ok(same(task.save({ weightsOnly: true }), weights[best]), 'weights of the best step');
    is(history.steps.loss.length, history.steps.step.at(-1));
    ok(history.epochs.loss.length > 0);
  });

  test(`${title}: interrupted, saved, loaded and continued is what was never interrupted`, async () => {
    for (const every of [{}, { validateEvery: 3 }]) {
      const whole = await create();
      const want = await fit(whole, every);
      const total = whole.training?.steps ?? 0;
      // by leaving the loop, and by a checkpoint whose process died
      for (const cut of [1, 3, Math.floor(total / 2), total - 2]) {
        const first = await create();
        let saved: Uint8Array<ArrayBuffer> = new Uint8Array();
        const checkpoint = { everySteps: 1, save: (bytes: Uint8Array<ArrayBuffer>) => (saved = bytes) };
        for await (const { step } of fit(first, { ...every, checkpoint })) if (step === cut) break;
        ok(same(first.save(), saved));
        const second = await load(saved);
        ok(same(second.save(), saved), 'what is read is written');
        const more = 'steps' in options ? { steps: total - cut } : { epochs: Math.ceil((total - cut) / (total / 5)) };
        const got = await fit(second, { ...every, ...more });
        ok(same(second.save(), whole.save()), `cut at ${cut}`);
        equal(got.best, want.best);
        first.dispose();
        second.dispose();
      }
      whole.dispose();
    }
  });
}

/** A classifier, and examples that it learns by heart while it gets worse on others. */
const labels = ['p', 'q'];
const create = () => tasks.SequenceClassifier.create({ ...read, classes: labels, hiddenSize: 12, inputDropout: 0 });
const noise = Array.from({ length: 40 }, (_, i) => ({
  input: letters(6 + (i % 3)),
  label: labels[Number(uniform(draw, 1)[0] > 0)],
}));
const [learned, others] = [noise.slice(0, 20), noise.slice(20)];
const long = { epochs: 200, batchSize: 5, learningRate: 0.02, validation: others };

test('patience ends the training, which says so; validation changes no bit of the steps before', async () => {
  using task = await create();
  const run = task.fit(learned, { ...long, patience: 3 });
  const found: number[] = [];
  let last: tasks.EpochProgress | undefined;
  for await (const p of run) {
    last = p;
    if (p.validation) found.push(p.validation.value);
  }
  const { best, stopped, validations, epochs } = await run;
  is(stopped, true);
  is(last?.step, last?.steps);
  is(validations.loss.length, 1 + found.length);
  equal(validations.epoch, [0, ...epochs.epoch]);
  const at = validations.loss.indexOf(Math.min(...validations.loss));
  is(at, validations.loss.length - 4);
  equal(best, { step: validations.step[at], metric: 'loss', value: validations.loss[at] });
  using plain = await create();
  await plain.fit(learned, { ...long, validation: undefined, epochs: at });
  ok(same(plain.save({ weightsOnly: true }), task.save({ weightsOnly: true })));
});

test('minDelta counts for patience only: the best weights are those of the best value', async () => {
  using task = await create();
  const options = { ...long, epochs: 12, learningRate: 1e-4, validation: learned };
  const { best, stopped, validations } = await task.fit(learned, { ...options, patience: 2, minDelta: 10 });
  is(stopped, true);
  is(validations.step.length, 3);
  is(best?.step, validations.step[2]);
});

test('an aborted validation is made when the training is continued', async () => {
  const options = { ...long, epochs: 4 };
  using task = await create();
  const stop = new AbortController();
  let evaluated = 0;
  // aborts within the second validation
  const forward = task.model.forward.bind(task.model);
  task.model.forward = ((work: never) => {
    if (++evaluated === 2) stop.abort(new Error('enough'));
    return forward(work);
  }) as never;
  const many = Array.from({ length: 7 }, () => others).flat();
  using whole = await create();
  await whole.fit(learned, { ...options, validation: many });
  await rejects(Promise.resolve(task.fit(learned, { ...options, validation: many, signal: stop.signal })), /enough/);
  is(task.training, null, 'the first validation was aborted, before any step');
  evaluated = -2;
  const again = new AbortController();
  task.model.forward = ((work: never) => {
    // 3 batches of the first validation, then those after the first epoch
    if (++evaluated === 3) again.abort(new Error('enough'));
    return forward(work);
  }) as never;
  await rejects(Promise.resolve(task.fit(learned, { ...options, validation: many, signal: again.signal })), /enough/);
  is(task.training?.steps, 4);
  task.model.forward = forward;
  const history = await task.fit(learned, { ...options, validation: many, epochs: 3 });
  equal(history.validations.step, [4, 8, 12, 16]);
  ok(same(task.save(), whole.save()));
});

test('a share is split by the seed, the rest is learned from; of a text and a series it is the last part', async () => {
  using a = await create();
  using b = await create();
  const options = { epochs: 2, batchSize: 5, validation: 0.25, learningRate: 0.01 };
  const history = await a.fit(noise, options);
  is(history.steps.step.length, 2 * (30 / 5));
  await b.fit(noise, options);
  ok(same(a.save(), b.save()));
  using c = await tasks.SequenceClassifier.create({
    ...read,
    classes: labels,
    hiddenSize: 12,
    inputDropout: 0,
    seed: 6,
  });
  using d = await tasks.SequenceClassifier.load(c.save());
  const one = await c.fit(noise, { ...options, epochs: 1, learningRate: 0 });
  const two = await d.fit([...noise].reverse(), { ...options, epochs: 1, learningRate: 0 });
  not.equal(one.validations.loss, two.validations.loss);
  using lm = await tasks.LanguageModel.create({ vocabulary: 'abc', ...size });
  const text = letters(400);
  const { validations } = await lm.fit(text, { batchSize: 1, window: 16, steps: 1, validation: 0.2, learningRate: 0 });
  is(validations.bits[0], (await lm.evaluate(text.slice(320))).bits);
  is(validations.count[0], 79);
});

test('what is wrong is said before the first step', async () => {
  using task = await create();
  const before = task.save();
  const wrong: [object, RegExp][] = [
    [{ patience: 3 }, /^patience: needs validation$/],
    [{ metric: 'loss' }, /^metric: needs validation$/],
    [{ monitor: 'loss' }, /^fit: unknown option 'monitor'; did you mean 'metric'\?$/],
    [{ early_stopping: 3 }, /^fit: unknown option 'early_stopping'; did you mean 'patience'\?$/],
    [{ validation_split: 0.2 }, /^fit: unknown option 'validation_split'; did you mean 'validation'\?$/],
    [{ validation: 1 }, /^validation: expected a number between 0 and 1, got 1$/],
    [{ validation: 0 }, /^validation: expected a finite number above 0 and at most 1, got 0$/],
    [
      { validation: 0.99 },
      /^validation: expected a share that leaves at least one of 20 examples to learn from, got 0.99$/,
    ],
    [{ validation: 'x' }, /^validation: expected a list of examples, or a share between 0 and 1, got 'x'$/],
    [{ validation: [] }, /^validation: expected at least one$/],
    [{ validation: [{ input: 'a', label: 'r' }] }, /^validation\[0\]\.label: 'r' is not among the classes p and q$/],
    [{ validation: 0.5, patience: 0 }, /^patience: expected a positive whole number, got 0$/],
    [{ validation: 0.5, minDelta: -1 }, /^minDelta: expected a finite number of at least 0, got -1$/],
  ];
  for (const [options, message] of wrong) throws(() => task.fit(learned, options), message, JSON.stringify(options));
  for (const [metric, message] of [
    ['f1', /^metric: 'f1' cannot be compared; expected loss, accuracy, macroF1, .*classes\.p\.precision/],
    ['acuracy', /^metric: 'acuracy' cannot be compared; did you mean 'accuracy'\?$/],
    ['classes.p.support', /^metric: 'classes.p.support' cannot be compared; /],
  ] as const) {
    await rejects(Promise.resolve(task.fit(learned, { validation: others, metric })), message);
  }
  ok(same(task.save(), before));
  using lm = await tasks.LanguageModel.create({ vocabulary: 'abc', ...size });
  const text = letters(100);
  throws(
    () => lm.fit(text, { batchSize: 1, window: 8, validation: 0.001 }),
    /^validation: expected at least two tokens, got 0$/,
  );
  throws(
    () => lm.fit(text, { batchSize: 1, window: 8, validation: 'abd' }),
    /^validation: "d" is not in the vocabulary$/,
  );
  using forecaster = await tasks.Forecaster.create({ window: 8, horizon: 4, ...size });
  throws(
    () => forecaster.fit(wave, { validation: 0.02 }),
    /^validation: expected a share with at least horizon=4 of 90 steps/,
  );
  throws(
    () => forecaster.fit(wave, { validation: [] as never }),
    /^validation: expected a share of the series between 0 and 1/,
  );
});

test('restoreBest gives the best weights of a run that was interrupted', async () => {
  using task = await create();
  is(task.restoreBest(), null);
  const values: number[] = [];
  for await (const { validation } of task.fit(learned, long)) {
    throws(() => task.restoreBest(), /restoreBest: this model is being trained/);
    if (validation) values.push(validation.value);
    if (validation && validation.since === 2) break;
  }
  const step = task.restoreBest();
  is((await task.evaluate(others)).loss, Math.min(...values));
  is(step, 4 * (values.indexOf(Math.min(...values)) + 1));
  is(task.restoreBest(), null);
});

test('a run with other data or another metric, or without validation, begins again', async () => {
  using task = await create();
  for await (const { step } of task.fit(learned, long)) if (step === 10) break;
  match(new TextDecoder().decode(task.save()), /best\.embedding\.weight/);
  const other = await task.fit(learned, { ...long, validation: others.slice(1), epochs: 1 });
  is(other.validations.step[0], 10);
  for await (const { step } of task.fit(learned, long)) if (step === 30) break;
  await task.fit(learned, { epochs: 1 });
  not.match(new TextDecoder().decode(task.save()), /best\.embedding\.weight/);
});

test.run();
