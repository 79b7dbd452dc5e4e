/** What all tasks share: use after dispose, runs, streams, summaries, saved data that are wrong. */
import { cells, Runtime } from 'gatewise';
import {
  LanguageModel,
  SequenceClassifier,
  SequenceRegressor,
  SequenceTagger,
  Stream,
  Transcriber,
} from 'gatewise/tasks';
import { test } from 'uvu';
import { equal, instance, is, match, ok, throws } from 'uvu/assert';
import { rejects } from './support/rejects.js';
import { same, scaleWeights } from './support/tasks.js';

const SMALL = { vocabulary: 'abc', embeddingSize: 3, hiddenSize: 4, seed: 3 };
const TEXT = 'abcab';
const GONE = /this model has been disposed/;

/** What the three have in common. */
interface Made {
  readonly title: string;
  readonly create: (options: object) => Promise<SequenceClassifier | SequenceRegressor | SequenceTagger>; // and the others, which have the same methods
  readonly example: never;
}
const made: Made[] = [
  {
    title: 'classifier',
    create: (options) => SequenceClassifier.create({ ...SMALL, classes: ['x', 'y'], ...options }) as never,
    example: { input: TEXT, label: 'x' } as never,
  },
  {
    title: 'regressor',
    create: (options) => SequenceRegressor.create({ ...SMALL, ...options }),
    example: { input: TEXT, target: 1 } as never,
  },
  {
    title: 'tagger',
    create: (options) => SequenceTagger.create({ ...SMALL, classes: ['x', 'y'], ...options }) as never,
    example: { input: TEXT, labels: [...'xyxyx'] } as never,
  },
  {
    title: 'transcriber',
    create: (options) => Transcriber.create({ ...SMALL, target: 'xy', ...options }) as never,
    example: { input: TEXT, target: 'xyx' } as never,
  },
];

for (const { title, create, example } of made) {
  test(`${title}: every call after dispose throws one clear error, also on a shared runtime`, async () => {
    const shared = await Runtime.create();
    using neighbour = await create({ runtime: shared });
    const before = neighbour.save();
    for (const options of [{}, {}, { runtime: shared }, { runtime: shared }].map((own, i) => ({ ...own, i }))) {
      const { i, ...own } = options;
      const task = await create(own);
      await task.fit([example], { epochs: 1 });
      const stream = task.stream();
      stream.step('a');
      const stopped = async (run: unknown) => {
        let n = 0;
        for await (const _ of run as AsyncIterable<unknown>) if (++n === 3) task.dispose();
      };
      // every other time in the middle of a fit, else of a prediction
      const run = i % 2 ? task.predict(Array(20).fill(TEXT), { batchSize: 1 }) : task.fit([example], { epochs: 50 });
      await rejects(stopped(run), GONE);
      task.dispose();
      const calls: [string, () => unknown][] = [
        ['model', () => task.model],
        ['save', () => task.save()],
        ['fit', () => task.fit([example])],
        ['evaluate', () => task.evaluate([example])],
        ['predict', () => task.predict([TEXT])],
        ['stream', () => task.stream()],
        ['summary', () => task.summary()],
        ['step', () => stream.step('a')],
        ['clone', () => stream.clone()],
        ['reset', () => stream.reset()],
        ['save of a stream', () => stream.save()],
      ];
      for (const [name, call] of calls) throws(call, GONE, name);
    }
    ok(same(neighbour.save(), before), 'the neighbour has not changed');
    shared.dispose();
    throws(() => neighbour.save(), GONE, 'its runtime is gone');
  });

  for (const cell of Object.keys(cells)) {
    test(`${title}, ${cell}: a stream saved anywhere, loaded and continued equals one that was not interrupted`, async () => {
      using task = await create({ cell, numLayers: 2, initialState: 'learned' });
      scaleWeights(task.model, 3);
      const whole = task.stream();
      instance(whole, Stream);
      const want = [...TEXT].map((c) => whole.step(c));
      for (let cut = 0; cut <= TEXT.length; cut++) {
        const first = task.stream();
        for (const c of TEXT.slice(0, cut)) first.step(c);
        const second = task.stream(first.save());
        ok(same(first.save(), second.save()));
        equal(
          [...TEXT.slice(cut)].map((c) => second.step(c)),
          want.slice(cut),
        );
      }
      const before = whole.save();
      throws(() => whole.step('aQ'), /"Q" is not in the vocabulary/);
      ok(same(whole.save(), before), 'invalid input does not move it');
      whole.reset();
      equal(whole.step('a'), want[0], 'learned initial states are where it starts');
    });
  }
}

test('a stream refuses the state of another task', async () => {
  const [classifier, regressor, tagger] = await Promise.all(made.map(({ create }) => create({})));
  throws(
    () => tagger.stream(classifier.stream().save()),
    /expected task 'sequence-tagger', .*got 'sequence-classifier'/,
  );
  throws(() => regressor.stream(tagger.stream().save()), /expected task 'sequence-regressor', .*got 'sequence-tagger'/);
  for (const task of [classifier, regressor, tagger]) task.dispose();
});

test('a second fit while one runs is refused; the first is not disturbed', async () => {
  const [{ create, example }] = made;
  using task = await create({});
  const first = task.fit([example], { epochs: 20 });
  let seen = 0;
  for await (const _ of first as AsyncIterable<unknown>) {
    if (seen++ === 3) await rejects(Promise.resolve(task.fit([example])), /fit: this model is being trained already/);
  }
  is(seen, 20);
  await task.fit([example], { epochs: 1 });
  is(task.training?.steps, 21);
});

test('a fit that was left or that failed can be followed by another', async () => {
  const [{ create, example }] = made;
  using task = await create({});
  for await (const _ of task.fit([example], { epochs: 20 }) as AsyncIterable<unknown>) break;
  await rejects(Promise.resolve(task.fit([example], { signal: AbortSignal.abort(new Error('enough')) })), /enough/);
  await task.fit([example], { epochs: 1 });
  ok((task.training?.steps ?? 0) > 0);
});

test('summary: layers, shapes, parameters, bytes', async () => {
  using task = await SequenceClassifier.create({ ...SMALL, classes: ['x', 'y'] });
  const summary = task.summary();
  equal(
    summary.layers.map(({ name, parameters }) => [name, parameters]),
    [
      ['embedding', 9],
      ['rnn', 4 * 4 * (3 + 4 + 2)],
      ['head', 10],
    ],
  );
  equal(summary.layers[0].shapes, { weight: [3, 3] });
  is(summary.parameters, 163);
  is(summary.bytes, 652);
  match(`${summary}`, /^layer +parameters {2}multiplications {2}shapes\nembedding +9 +0 {2}weight \[3,3\]\n/);
  match(`${summary}`, /total +163 +120 {2}652 bytes$/);
  equal(
    summary.layers.map(({ multiplications }) => multiplications),
    [0, 4 * 4 * (3 + 4), 2 * 4],
  );
  is(summary.multiplications, 120);
  // a weight that two layers share is looked up by one and multiplied by the other; transitions are added
  const size = { vocabulary: 'abc', hiddenSize: 4, embeddingSize: 4 };
  using tied = await LanguageModel.create({ ...size, cell: 'gru', tieWeights: true });
  is(tied.summary().multiplications, 3 * 4 * (4 + 4) + 3 * 4);
  using crf = await SequenceTagger.create({ ...size, cell: 'rnn', numLayers: 2, classes: ['x', 'y'], crf: true });
  is(crf.summary().multiplications, 4 * 8 + 4 * 8 + 2 * 4);
});

test('a file is refused by its task and by its format', async () => {
  using task = await SequenceClassifier.create({ ...SMALL, classes: ['x', 'y'] });
  const bytes = task.save();
  await rejects(SequenceTagger.load(bytes), /the file holds 'sequence-classifier', not 'sequence-tagger'/);
  const changed = (from: string, to: string) => {
    const text = Buffer.from(bytes).toString('latin1');
    ok(text.includes(from) && from.length === to.length);
    return new Uint8Array(Buffer.from(text.replace(from, to), 'latin1'));
  };
  await rejects(SequenceClassifier.load(changed('\\"format\\":2', '\\"format\\":3')), /is of format 3; .* 1 and 2/);
  await rejects(
    SequenceClassifier.load(changed('\\"hiddenSize\\":4', '\\"hiddensize\\":4')),
    /the file's description: config: unknown option 'hiddensize'/,
  );
  await rejects(SequenceClassifier.load(changed('\\"hiddenSize\\":4', '\\"cell\\":   null')), /cell: .*got null/);
  throws(() => SequenceClassifier.loadSync(bytes, { seed: 1 } as never), /load: unknown option 'seed'/);
});

test.run();
