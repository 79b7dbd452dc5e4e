/**
 * Sequence to numbers: gradients of every pooling, padding, metrics counted by hand, streams, files, what it says to bad input, and a
 * small task learned.
 */
import { mseLoss, type Tape } from 'gatewise';
import { type RegressorExample, SequenceRegressor, type SequenceRegressorOptions } from 'gatewise/tasks';
import { test } from 'uvu';
import { equal, is, ok, throws } from 'uvu/assert';
import { close, random, uniform } from './support/numbers.js';
import { ALPHABET, drawTexts } from './support/puzzles.js';
import { rejects } from './support/rejects.js';
import { batchAndSingles, checkGradients, gradients, learn, refuses, same, scaleWeights } from './support/tasks.js';

type Layers = SequenceRegressor['model']['layers'];

const create = (options: SequenceRegressorOptions = {}) =>
  SequenceRegressor.create({
    hiddenSize: 5,
    seed: 3,
    outputSize: 2,
    ...(options.inputSize ? {} : { vocabulary: 'abc', embeddingSize: 3 }),
    ...options,
  });

const TEXTS = ['abcab', 'ccabca', 'b', 'ac'];
const random5 = random(5);
const FRAMES = TEXTS.map(({ length }) => uniform(random5, 2 * length));
const TARGETS = [[0.5, -1], [1, 0.25], [-0.75, 1], Float32Array.of(0, -0.5)];
const inputs: [string, SequenceRegressorOptions, RegressorExample['input'][]][] = [
  ['tokens, LSTM', {}, TEXTS],
  ['vectors, GRU in both directions', { inputSize: 2, cell: 'gru', bidirectional: true }, FRAMES],
];
const poolings = ['last', 'mean', 'max', 'attention'] as const;
const examplesOf = (sequences: readonly RegressorExample['input'][]): RegressorExample[] =>
  sequences.map((input, i) => ({ input, target: TARGETS[i] }));

function lossOf(task: SequenceRegressor, examples: readonly RegressorExample[]) {
  const batch = examples.map(({ input }) => task.model.layers.input.encode('input', input));
  const targets = examples.flatMap(({ target }) => Array.from(target as ArrayLike<number>));
  return (tape: Tape, layers: Layers) => mseLoss(tape, layers.forward(tape, batch), targets);
}

for (const pooling of poolings) {
  for (const [reads, own, sequences] of inputs) {
    test(`${pooling} pooling, ${reads}: gradients; fit minimises that loss; padded batches give that of one by one`, async () => {
      using dropped = await create({ ...own, pooling, hiddenLayers: [6], inputDropout: 0.1, outputDropout: 0.1 });
      scaleWeights(dropped.model, 2);
      const examples = examplesOf(sequences);
      checkGradients(dropped.model, lossOf(dropped, examples));
      using task = await create({ ...own, pooling });
      const want = task.model.valueAndGrad(lossOf(task, examples));
      const slopes = gradients(task.model);
      const both = await batchAndSingles(task, examples, () => 1);
      close(both.loss, [want, want], 1e-6, 'loss');
      close(both.gradients[0], slopes, 1e-5, 'gradients');
      close(both.gradients[1], slopes, 1e-5, 'gradients one by one');
      const [all, one] = [await task.evaluate(examples), await task.evaluate(examples, { batchSize: 1 })];
      close([all.loss, one.loss], [want, want], 1e-6, 'loss of evaluate');
      const [together, alone] = [await task.predict(sequences), await task.predict(sequences, { batchSize: 1 })];
      close(
        together.flatMap(({ values }) => [...values]),
        alone.flatMap(({ values }) => [...values]),
        1e-6,
        'predictions',
      );
      is(new Set(together.map(({ values }) => `${values}`)).size, 4);
    });
  }
}

test('metrics of evaluate are those counted by hand', async () => {
  using task = await create();
  for (const { name, size } of task.model.parameters) task.model.set(name, new Float32Array(size));
  task.model.set('head.bias', [1, -2]);
  const report = await task.evaluate([
    { input: 'a', target: [1, -1] },
    { input: 'ab', target: [4, -2] },
  ]);
  equal(report, { loss: 10 / 4, rmse: Math.sqrt(10 / 4), mae: 1 });
  equal(await task.predict(['a']), [{ values: Float32Array.of(1, -2) }]);
  using one = await create({ outputSize: 1 });
  ok(Number.isFinite((await one.evaluate([{ input: 'a', target: 0.5 }])).rmse));
});

test('a stream predicts at each step what predict does of what has been read', async () => {
  using task = await create({ cell: 'gru' });
  scaleWeights(task.model, 3);
  const stream = task.stream();
  for (let t = 0; t < 5; t++) {
    const [want] = await task.predict([TEXTS[0].slice(0, t + 1)]);
    const kept = task.stream(stream.save());
    equal(stream.step(TEXTS[0][t]), want);
    equal(kept.step(TEXTS[0][t]), want, 'saved, loaded and continued');
  }
  using mean = await create({ pooling: 'mean' });
  throws(() => mean.stream(), /stream: needs a model that reads forward in time only/);
});

test('saved and loaded it predicts the same and resumes to the same bits', async () => {
  const examples = examplesOf(TEXTS);
  const fit = { batchSize: 3, learningRate: 1e-2, schedule: { kind: 'cosine', steps: 8 } } as const;
  const own = { pooling: 'attention', hiddenLayers: [6], outputDropout: 0.2 } as const;
  using whole = await create(own);
  await whole.fit(examples, { ...fit, epochs: 4 });
  using half = SequenceRegressor.createSync({
    hiddenSize: 5,
    seed: 3,
    outputSize: 2,
    vocabulary: 'abc',
    embeddingSize: 3,
    ...own,
  });
  await half.fit(examples, { ...fit, epochs: 2 });
  using again = SequenceRegressor.loadSync(half.save());
  using weights = await SequenceRegressor.load(half.save({ weightsOnly: true }));
  equal(again.config, half.config);
  equal(again.training, half.training);
  is(weights.training, null);
  equal(await weights.predict(TEXTS), await half.predict(TEXTS));
  await again.fit(examples, { ...fit, epochs: 2 });
  ok(same(whole.save(), again.save()));
});

test('bad options, targets and vectors are refused', async () => {
  const wrong: [object, RegExp][] = [
    [{ outputSize: 0 }, /outputSize: expected a positive whole number, got 0/],
    [{ outputs: 2 }, /unknown option 'outputs'; did you mean 'outputSize'/],
    [{ classes: ['a', 'b'] }, /unknown option 'classes'/],
  ];
  for (const [options, message] of wrong) await rejects(create(options), message);
  using numbers = await create({ inputSize: 3 });
  const frame = [[1, 2, 3]];
  const fit = (input: unknown, target: unknown) => () => numbers.fit([{ input, target } as never]);
  refuses(
    () => numbers.save(),
    [
      [fit(frame, 5), /examples\[0\].target: expected 2 numbers, got 5/],
      [fit(frame, null), /examples\[0\].target: expected 2 numbers, got null/],
      [fit(frame, [1]), /examples\[0\].target: expected 2 numbers, got Array of length 1/],
      [fit(frame, [1, Number.NaN]), /examples\[0\].target\[1\]: expected a finite number, got NaN/],
      [
        fit([...frame, [1, 2]], [1, 2]),
        /examples\[0\].input\[1\]: expected a vector of 3 numbers, got Array of length 2/,
      ],
      [fit([[1, 2, Infinity]], [1, 2]), /examples\[0\].input: number 2 is Infinity/],
      // null and '3' would become 0 and 3, and a hole zeros
      [fit([...frame, [1, null, 2]], [1, 2]), /examples\[0\].input\[1\]\[1\]: expected a number, got null/],
      [fit([[1, 2, '3']], [1, 2]), /examples\[0\].input\[0\]\[2\]: expected a number, got '3'/],
      [
        fit(Object.assign(Array(2), { 1: [1, 2, 3] }), [1, 2]),
        /examples\[0\].input\[0\]: expected a vector of 3 numbers, got undefined/,
      ],
      [fit(new Float32Array(4), [1, 2]), /examples\[0\].input: expected vectors of 3 numbers, got 4 numbers/],
      [fit(new Float32Array(0), [1, 2]), /examples\[0\].input: is empty/],
    ],
  );
});

test('learns how many a and how many b there are', async () => {
  const { seen, unseen } = drawTexts({ n: 1000, unseen: 300, shortest: 2, longest: 7 });
  const made = (list: string[]) =>
    list.map((input) => ({ input, target: ['a', 'b'].map((c) => input.split(c).length - 1) }));
  using task = await create({ vocabulary: ALPHABET, embeddingSize: 16, hiddenSize: 32, seed: 1 });
  const { loss } = await learn(task, made(seen), {
    epochs: 30,
    batchSize: 32,
    learningRate: 1e-2,
    schedule: { kind: 'cosine', steps: 950 },
    enough: 0.001,
  });
  const said = await task.predict(unseen);
  const truth = made(unseen);
  const right = said.filter(({ values }, i) => values.every((v, k) => Math.abs(v - truth[i].target[k]) < 0.5)).length;
  console.log(`  ${((100 * right) / unseen.length).toFixed(1)} % of unseen ones, loss ${loss.toFixed(4)}`);
  ok(right / unseen.length >= 0.99);
});

test.run();
