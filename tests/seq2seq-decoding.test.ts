/** What Seq2Seq writes: beams against greedy and against the whole tree, drawing, its bound, weights of attention. */
import { softmaxRows } from 'gatewise';
import { Seq2Seq, type Seq2SeqExample } from 'gatewise/tasks';
import { test } from 'uvu';
import { equal, is, not, ok } from 'uvu/assert';
import { close } from './support/numbers.js';
import { create, encoded, kinds, monotone, PAIRS, SMALL, texts } from './support/seq2seq.js';
import { scaleWeights } from './support/tasks.js';

test('a batch is translated as its sources are one by one: tokens, attention, beams', async () => {
  using task = await create({ attention: 'additive', bidirectional: true, pass: 'both', hiddenSize: 8 });
  scaleWeights(task.model, 4);
  const sources = texts(40);
  const batch = await task.predict(sources, { maxLength: 8 });
  const singles = await task.predict(sources, { maxLength: 8, batchSize: 1 });
  equal(batch, singles);
  ok(new Set(batch.map(({ text }) => text)).size > 5, 'they differ');
  equal(
    await task.predict(sources, { maxLength: 8, beamWidth: 3 }),
    await task.predict(sources, { maxLength: 8, beamWidth: 3, batchSize: 1 }),
  );
});

for (const attention of [undefined, 'general'] as const) {
  test(`beamWidth 1 is greedy, ${attention ?? 'no'} attention`, async () => {
    using task = await create({ attention, hiddenSize: 8, pass: 'both' });
    scaleWeights(task.model, 2);
    const sources = texts(60);
    const greedy = await task.predict(sources, { maxLength: 9 });
    ok(new Set(greedy.map(({ text }) => text)).size > 5, 'they differ');
    ok(greedy.some(({ complete }) => complete) && greedy.some(({ complete }) => !complete));
    equal(await task.predict(sources, { maxLength: 9, beamWidth: 1 }), greedy);
  });
}

test('results have the fields that were asked for, and no others', async () => {
  const keys = (own: object) => Object.keys(own).join(' ');
  using plain = await Seq2Seq.create(SMALL);
  using attentive = await Seq2Seq.create({ ...SMALL, attention: 'dot' });
  const [greedy] = await plain.predict(['abc']);
  is(keys(greedy), 'text tokens complete');
  // @ts-expect-error a model without attention has none to show
  is(greedy.attention, undefined);
  const [seen] = await attentive.predict(['abc']);
  is(keys(seen), 'text tokens complete attention');
  is(seen.attention[0].length, 3);
  is(keys((await attentive.generate(['abc'], { seed: 1 }))[0]), 'text tokens complete attention');
  const [best] = await attentive.predict(['abc'], { beamWidth: 3, maxLength: 5 });
  is(keys(best), 'text tokens complete logProbability hypotheses');
  is(best.hypotheses.length, 3);
  const { hypotheses, ...first } = best;
  equal(hypotheses[0], first);
  // @ts-expect-error a beam has no attention to show
  is(best.attention, undefined);
  // @ts-expect-error without a beam there is no probability
  is(seen.logProbability, undefined);
  is(attentive.targetVocabulary.tokens.join(''), 'xyz');
});

/** Every text that may be written for a source, with its log-probability by forced decoding: those that end, and those cut off. */
function exhaustive(task: Seq2Seq, source: Seq2SeqExample['source'], maxLength: number) {
  const { target } = task.config;
  const all: { text: string; logProbability: number; complete: boolean }[] = [];
  const visit = (text: string, logProbability: number) => {
    if (text.length === maxLength) {
      all.push({ text, logProbability, complete: false });
      return;
    }
    const next = task.model.forward((tape, layers) => {
      const { sources, tokens, T } = encoded(task, [{ source, target: text }]);
      const memory = layers.encode(tape, sources);
      const { logits } = layers.decode(tape, memory, tokens, T, memory.state);
      return softmaxRows(tape, logits).slice(-(target.length + 1));
    });
    next.forEach((p, id) => {
      if (id < target.length) visit(text + target[id], logProbability + Math.log(p));
      else all.push({ text, logProbability: logProbability + Math.log(p), complete: true });
    });
  };
  visit('', 0);
  return all;
}

for (const [kind, options, examples] of kinds) {
  test(`a beam as wide as the tree is exhaustive search: ${kind}`, async () => {
    using task = await create({ ...options, attention: 'general', pass: 'both', target: 'xyz' });
    scaleWeights(task.model, 2);
    const maxLength = 4;
    const [{ source }] = examples;
    const all = exhaustive(task, source, maxLength);
    is(all.length, 1 + 3 + 9 + 27 + 81);
    const sum = all.reduce((total, { logProbability }) => total + Math.exp(logProbability), 0);
    ok(Math.abs(sum - 1) < 1e-5, `probabilities add up to ${sum}`);
    for (const lengthNormalization of [0, 0.6, 1]) {
      const score = ({ text, logProbability, complete }: (typeof all)[number]) =>
        logProbability / (text.length + (complete ? 1 : 0)) ** lengthNormalization;
      const want = [...all].sort((a, b) => score(b) - score(a));
      const [best] = await task.predict([source], { beamWidth: all.length, maxLength, lengthNormalization });
      const got = best.hypotheses ?? [];
      is(got.length, all.length);
      close(
        got.map((own) => score(own)),
        want.map(score),
        1e-5,
        `scores, α = ${lengthNormalization}`,
      );
      const known = new Map(all.map((one) => [`${one.text} ${one.complete}`, one.logProbability]));
      const keys = got.map(({ text, complete }) => `${text} ${complete}`);
      close(
        got.map(({ logProbability }) => logProbability),
        keys.map((key) => known.get(key) as number),
        1e-5,
        'log-probabilities',
      );
      is(new Set(keys).size, all.length, 'each of them once');
      is(got[0].text, want[0].text);
      equal([best.text, best.logProbability], [got[0].text, got[0].logProbability]);
    }
  });
}

test('wider beams find what is as likely or likelier', async () => {
  using task = await create({ hiddenSize: 8 });
  scaleWeights(task.model, 4);
  let better = 0;
  const sources = texts(30);
  const options = { maxLength: 4, lengthNormalization: 0 };
  const narrow = await task.predict(sources, { ...options, beamWidth: 2 });
  const wide = await task.predict(sources, { ...options, beamWidth: 121 });
  narrow.forEach(({ logProbability, hypotheses }, i) => {
    ok(wide[i].logProbability >= logProbability - 1e-9);
    if (wide[i].logProbability > logProbability + 1e-3) better++;
    is(hypotheses.length, 2);
    is(wide[i].hypotheses.length, 121);
  });
  ok(better > 0, 'a narrow beam is not always right');
});

test('the same seed draws the same; topK 1 and temperature 0 are greedy; the own stream moves', async () => {
  using task = await create({ attention: 'dot' });
  const sources = texts(30);
  const draw = async (options: object) =>
    (await task.generate(sources, { maxLength: 12, ...options })).map(({ text }) => text).join();
  is(await draw({ seed: 5 }), await draw({ seed: 5 }));
  not.equal(await draw({ seed: 5 }), await draw({ seed: 6 }));
  const next = { ...task.model.random.next };
  await draw({ seed: 5 });
  equal(task.model.random.next, next, 'a seed leaves the own stream where it is');
  const own = await draw({});
  not.equal(own, await draw({}));
  using again = await create({ attention: 'dot' });
  is((await again.generate(sources, { maxLength: 12 })).map(({ text }) => text).join(), own);
  const greedy = (await task.predict(sources, { maxLength: 12 })).map(({ text }) => text).join();
  for (const options of [{ topK: 1 }, { temperature: 0 }, { topP: 1e-6 }]) is(await draw(options), greedy);
  not.equal(await draw({ seed: 5 }), greedy);
});

test('what is drawn follows the probabilities', async () => {
  using task = await monotone([0.5, 0.2, 0.05, 0.25]);
  const sources = Array.from({ length: 20_000 }, () => 'a');
  const shares = async (options: object) => {
    const drawn = await task.generate(sources, { seed: 2, maxLength: 1, batchSize: 1000, ...options });
    return ['x', 'y', 'z', ''].map((text) => drawn.filter((one) => one.text === text).length / sources.length);
  };
  const near = (got: number[], want: number[]) => {
    for (const [i, w] of want.entries()) ok(Math.abs(got[i] - w) < 0.015, `${got}, expected ${want}`);
  };
  near(await shares({}), [0.5, 0.2, 0.05, 0.25]);
  near(await shares({ topK: 2 }), [2 / 3, 0, 0, 1 / 3]);
  near(await shares({ topP: 0.6 }), [2 / 3, 0, 0, 1 / 3]);
  near(
    await shares({ temperature: 0.5 }),
    [0.25, 0.04, 0.0025, 0.0625].map((p) => p / 0.355),
  );
  const { length } = (await task.generate(sources.slice(0, 5000), { seed: 3 })).map(({ text }) => text).join('');
  ok(Math.abs(length / 5000 - 3) < 0.2, `${length / 5000} tokens, expected (1 - p) / p = 3`);
});

test('maxLength bounds a decoder that never ends', async () => {
  using task = await monotone([1, 1e-9, 1e-9, 1e-30]);
  const [greedy] = await task.predict(['a'], { maxLength: 7 });
  equal([greedy.text, greedy.complete, greedy.tokens.length], ['xxxxxxx', false, 7]);
  is((await task.predict(['a']))[0].text.length, 100, 'the default');
  is((await task.generate(['a'], { seed: 1, maxLength: 9 }))[0].text, 'xxxxxxxxx');
  const [{ hypotheses }] = await task.predict(['a'], { beamWidth: 3, maxLength: 6 });
  for (const found of hypotheses) {
    is(found.text.length, 6);
    is(found.complete, false);
  }
  const report = await task.evaluate([{ source: 'a', target: 'xxx' }], { maxLength: 5 });
  is(report.exact, 0);
  using brief = await monotone([1e-9, 1e-9, 1e-9, 1]);
  equal(
    (await brief.predict(['a', 'ab'])).map(({ text, complete }) => [text, complete]),
    [
      ['', true],
      ['', true],
    ],
  );
});

for (const attention of ['dot', 'general', 'additive'] as const) {
  test(`weights of ${attention} attention come back for each token and the end, and add up to one`, async () => {
    using task = await Seq2Seq.create({ ...SMALL, attention });
    scaleWeights(task.model, 6);
    const sources = texts(20);
    const results = await task.predict(sources, { maxLength: 8 });
    let uneven = 0;
    results.forEach(({ attention: seen, tokens, complete }, i) => {
      is(seen.length, tokens.length + (complete ? 1 : 0));
      for (const row of seen) {
        is(row.length, sources[i].length);
        ok(row.every((w) => w >= 0));
        ok(Math.abs(row.reduce((a, b) => a + b) - 1) < 1e-6);
        if (Math.max(...row) > 1.5 / row.length) uneven++;
      }
    });
    ok(uneven > 10, 'they are not all the same');
  });
}

test('two encoders have weights each, by their names', async () => {
  const source = { passage: { vocabulary: 'abc', embeddingSize: 3 }, question: { inputSize: 2 } };
  using task = await Seq2Seq.create({ ...SMALL, source, cell: 'lstm', attention: 'additive' });
  const results = await task.predict(
    PAIRS.map(({ source }) => source),
    { maxLength: 4 },
  );
  results.forEach(({ attention, tokens, complete }, i) => {
    equal(Object.keys(attention), ['passage', 'question']);
    const { passage, question } = PAIRS[i].source;
    for (const [name, steps] of [
      ['passage', passage.length],
      ['question', question.length / 2],
    ] as const) {
      is(attention[name].length, tokens.length + (complete ? 1 : 0));
      for (const row of attention[name]) {
        is(row.length, steps);
        ok(Math.abs(row.reduce((a, b) => a + b) - 1) < 1e-6);
      }
    }
  });
});

test.run();
