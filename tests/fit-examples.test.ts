/** Examples of `fit`: their order, their weights, and sources that are not lists. */
import * as tasks from 'gatewise/tasks';
import { test } from 'uvu';
import { equal, is, not, ok, throws } from 'uvu/assert';
import { close, random, uniform } from './support/numbers.js';
import { rejects } from './support/rejects.js';
import { gradients, LOOK, look, same } from './support/tasks.js';

const draw = random(23);
const letters = (n: number) => Array.from(uniform(draw, n), (x) => 'abc'[Math.floor(1.499 * (x + 1))]).join('');
const texts = Array.from({ length: 22 }, (_, i) => letters(2 + (i % 7)));
const read = { vocabulary: 'abc', embeddingSize: 4, hiddenSize: 6, seed: 5 };
const classes = ['p', 'q', 'r'];
const examples = texts.map((input, i) => ({ input, label: classes[i % 3] }));
const create = (seed = 5) => tasks.SequenceClassifier.create({ ...read, seed, classes });

/** The lengths of the examples of each step. */
async function batches(task: tasks.SequenceClassifier<string, false>, ...args: Parameters<(typeof task)['fit']>) {
  const seen: number[][] = [];
  const { layers } = task.model;
  const { forwardAll } = layers;
  layers.forwardAll = function (tape, batch) {
    seen.push(batch.map(({ input }) => input.length));
    return forwardAll.call(this, tape, batch);
  };
  const history = await task.fit(...args);
  layers.forwardAll = forwardAll;
  return { seen, history };
}
const lengths = texts.map(({ length }) => length);
const sorted = (list: readonly number[]) => [...list].sort((a, b) => b - a);

test('shuffle: false keeps the order of the list, also when it is resumed', async () => {
  using task = await create();
  const options = { epochs: 2, batchSize: 5, shuffle: false, learningRate: 0.05 };
  const { seen } = await batches(task, examples, options);
  const epoch = [0, 5, 10, 15, 20].map((from) => sorted(lengths.slice(from, from + 5)));
  equal(seen, [...epoch, ...epoch]);
  for (const cut of [1, 5, 7]) {
    using first = await create();
    for await (const { step } of first.fit(examples, options)) if (step === cut) break;
    using second = await tasks.SequenceClassifier.load(first.save());
    ok(same(second.save(), first.save()));
    const left = await second.fit(examples, { ...options, epochs: cut < 5 ? 2 : 1 });
    is(left.steps.step.length, 10 - cut);
    ok(same(second.save(), task.save()), `cut at ${cut}`);
  }
  using other = await create();
  for await (const _ of other.fit(examples, options)) break;
  const { seen: shuffled } = await batches(other, examples, { ...options, epochs: 1, shuffle: true });
  is(shuffled.length, 5, 'another order is another epoch');
  not.equal(shuffled, epoch);
});

test('steps end a training within an epoch', async () => {
  using task = await create();
  const { steps, epochs } = await task.fit(examples, { batchSize: 5, steps: 13 });
  is(steps.step.length, 13);
  equal(epochs.step, [5, 10]);
  is((await task.fit(examples, { batchSize: 5, epochs: 1, steps: 100 })).steps.step.length, 2);
});

const sources: [string, () => tasks.Examples<(typeof examples)[number]>, boolean][] = [
  ['a set', () => new Set(examples), false],
  ['a generator', () => examples.values(), false],
  [
    'an async generator',
    () =>
      (async function* () {
        for (const example of examples) {
          await null;
          yield example;
        }
      })(),
    false,
  ],
  ['a function', () => () => examples, true],
  [
    'a function that makes async generators',
    () =>
      async function* () {
        yield* examples;
      },
    true,
  ],
];
for (const [name, make, again] of sources) {
  test(`${name}: each example once in an epoch, in windows of the buffer, drawn by the seed`, async () => {
    using task = await create();
    const options = { batchSize: 4, bufferSize: 8, ...(again ? { epochs: 2 } : {}) };
    const { seen, history } = await batches(task, make(), options);
    equal(history.epochs.step, again ? [6, 12] : [6]);
    const once = seen.slice(0, 6);
    // 8 + 8 + 6 examples
    for (const [from, to] of [
      [0, 8],
      [8, 16],
      [16, 22],
    ]) {
      equal(sorted(once.slice(from / 4, Math.ceil(to / 4)).flat()), sorted(lengths.slice(from, to)));
    }
    using second = await create();
    equal((await batches(second, make(), options)).seen, seen);
    ok(same(second.save({ weightsOnly: true }), task.save({ weightsOnly: true })));
    using third = await create();
    const kept = await batches(third, make(), { ...options, shuffle: false });
    equal(kept.seen.slice(0, 2), [sorted(lengths.slice(0, 4)), sorted(lengths.slice(4, 8))]);
    is(history.steps.step.length, kept.history.steps.step.length);
  });
}

test('an endless generator ends with steps, is read no further than the buffer, and is closed', async () => {
  using task = await create();
  let taken = 0;
  let closed = 0;
  function* endless() {
    try {
      for (;;) yield examples[taken++ % examples.length];
    } finally {
      closed++;
    }
  }
  const progress: tasks.EpochProgress[] = [];
  for await (const p of task.fit(endless(), { steps: 9, batchSize: 4, bufferSize: 8 })) progress.push(p);
  is(task.training?.steps, 9);
  ok(taken <= 9 * 4 + 2 * 8, `${taken} examples taken`);
  is(closed, 1);
  equal([...new Set(progress.map(({ steps }) => steps))], [9]);
  for await (const p of task.fit(endless, { batchSize: 4, bufferSize: 8 })) {
    is(p.steps, Infinity);
    if (p.step === 12) break;
  }
  is(closed, 2);
});

test('a source with validation: the last step, which nobody knew, is validated too', async () => {
  using task = await create();
  const others = examples.slice(0, 6);
  const { validations, best } = await task.fit(() => examples, { epochs: 3, batchSize: 5, validation: others });
  equal(validations.step, [0, 5, 10, 15]);
  is((await task.evaluate(others)).loss, best?.value);
});

test('sources that are wrong are refused', async () => {
  using task = await create();
  for (const source of [17, null, 'ab', {}]) {
    throws(() => task.fit(source as never), /^examples: expected a list of { input, label }, got /);
  }
  throws(() => task.fit(new Set(examples), { epochs: 2 }), /^epochs: an iterable is read once, got 2; pass a function/);
  throws(() => task.fit(new Set(examples), { validation: 0.2 }), /^validation: a share needs a list of examples/);
  throws(() => task.fit(new Set(examples), { classWeights: 'balanced' }), /^classWeights: 'balanced' needs a list/);
  await rejects(Promise.resolve(task.fit(() => [])), /^examples: expected at least one$/);
  await rejects(
    Promise.resolve(task.fit(() => [examples[0], { input: 'ab', label: 'x' }])),
    /^examples\[1\]\.label: 'x' is not among the classes/,
  );
  is(task.training?.steps ?? 0, 0);
  throws(
    () => task.fit([{ ...examples[0], weight: -1 }]),
    /^examples\[0\]\.weight: expected a finite number of at least 0, got -1$/,
  );
});

/** That a batch with weights has the gradients of Σ weight · gradient of each example alone, over the mean that fit has. */
async function weighted<E extends object>(
  task: Parameters<typeof look>[0],
  list: readonly E[],
  size: (example: E) => number,
  options: object = {},
) {
  const weights = list.map((_, i) => [1, 0, 2.5, 1, 0.5][i % 5]);
  const whole = await look(task, list.map((example, i) => ({ ...example, weight: weights[i] })) as never, options);
  const total = list.reduce((n, example) => n + size(example), 0);
  const want = new Float64Array(whole.gradients.length);
  let loss = 0;
  for (const [i, example] of list.entries()) {
    const one = await look(task, [example] as never, options);
    const scale = (weights[i] * size(example)) / total;
    one.gradients.forEach((g, k) => (want[k] += scale * g));
    loss += scale * one.losses[0];
  }
  close(whole.losses, [loss], 1e-5, 'loss');
  close(whole.gradients, want, 1e-5 * Math.max(...want.map(Math.abs)) + 1e-7, 'gradients');
  is(LOOK.epochs, 1);
}

test('weights of examples: every task', async () => {
  const some = texts.slice(0, 7);
  using classifier = await create();
  const labelled = some.map((input, i) => ({ input, label: classes[i % 3] }));
  await weighted(classifier, labelled, () => 1);
  const classWeights = { p: 3, q: 0.5 };
  await weighted(classifier, labelled, ({ label }) => ({ p: 3, q: 0.5, r: 1 })[label] ?? 1, { classWeights });
  using many = await tasks.SequenceClassifier.create({ ...read, classes, multiLabel: true });
  await weighted(
    many,
    some.map((input, i) => ({ input, label: classes.slice(0, i % 4) })),
    () => 1,
  );
  using regressor = await tasks.SequenceRegressor.create({ ...read, outputSize: 2 });
  await weighted(
    regressor,
    some.map((input, i) => ({ input, target: [i, -i / 2] })),
    () => 1,
  );
  for (const crf of [false, true]) {
    using tagger = await tasks.SequenceTagger.create({ ...read, classes, crf });
    const tagged = some.map((input) => ({ input, labels: [...input].map((c) => classes['abc'.indexOf(c)]) }));
    await weighted(tagger, tagged, ({ labels }) => labels.length);
  }
  using seq2seq = await tasks.Seq2Seq.create({
    source: { vocabulary: 'abc' },
    target: 'abc',
    attention: 'dot',
    hiddenSize: 6,
  });
  await weighted(
    seq2seq,
    some.map((source, i) => ({ source, target: texts[i + 1] })),
    ({ target }) => target.length + 1,
  );
  using transcriber = await tasks.Transcriber.create({ ...read, target: 'xy' });
  await weighted(
    transcriber,
    some.map((input) => ({ input, target: 'y' })),
    () => 1,
  );
  for (const [target, of, size] of [
    ['abc', (text: string) => text, 1],
    [{ bits: 1 }, (text: string) => [...text].map((c) => [c === 'a' ? 1 : 0]), 0],
    [{ vectors: 1 }, (text: string) => [...text].map((c) => [c === 'a' ? 1 : 0.5]), 0],
  ] as const) {
    using generator = await tasks.SequenceGenerator.create({
      classes,
      target: target as never,
      hiddenSize: 6,
      seed: 2,
    });
    const made = some.map((text, i) => ({ input: classes[i % 3], target: of(text) }));
    await weighted(generator as never, made, ({ target: own }) => own.length + size);
  }
});

test('weights of one change no bit', async () => {
  using plain = await create();
  using ones = await create();
  await plain.fit(examples, { epochs: 2 });
  await ones.fit(
    examples.map((example) => ({ ...example, weight: 1 })),
    { epochs: 2 },
  );
  ok(same(plain.save(), ones.save()));
  is(gradients(plain.model).length, gradients(ones.model).length);
});

test.run();
