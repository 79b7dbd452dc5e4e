/**
 * Sequence to a shorter one by CTC: gradients, padding, best path and beam, streams, files, what it says to bad input, and letters
 * read from frames whose number nobody told.
 */
import { ctcLoss, type Tape } from 'gatewise';
import {
  editDistance,
  type Sequence,
  Transcriber,
  type TranscriberExample,
  type TranscriberOptions,
} from 'gatewise/tasks';
import { test } from 'uvu';
import { equal, is, ok, throws } from 'uvu/assert';
import { close, random, uniform } from './support/numbers.js';
import { rejects } from './support/rejects.js';
import { batchAndSingles, checkGradients, gradients, learn, refuses, same, scaleWeights } from './support/tasks.js';

const SMALL = { vocabulary: 'abc', embeddingSize: 3, hiddenSize: 5, target: 'xyz', seed: 3 } as const;
const create = (options: Partial<TranscriberOptions> = {}) =>
  Transcriber.create({
    ...SMALL,
    ...(options.inputSize ? { vocabulary: undefined, embeddingSize: undefined } : {}),
    ...options,
  });

const TEXTS = ['abcabc', 'ccabcaab', 'b', 'acb'];
const TARGETS = ['xy', 'zzx', 'y', 'xz'];
const next = random(5);
const FRAMES = TEXTS.map(({ length }) => uniform(next, 2 * length));
const examplesOf = (inputs: readonly Sequence[]): TranscriberExample[] =>
  inputs.map((input, i) => ({ input, target: TARGETS[i] }));

/** The loss that fit is to minimise, made of the layers. */
function lossOf(task: Transcriber, examples: readonly TranscriberExample[]) {
  const { layers } = task.model;
  const batch = examples.map(({ input }) => layers.input.encode('input', input));
  const labels = examples.map(({ target }) => Array.from(target, (token) => SMALL.target.indexOf(token) + 1));
  return (tape: Tape) => ctcLoss(tape, layers.forward(tape, batch), labels);
}

const kinds: [string, Partial<TranscriberOptions>, Sequence[]][] = [
  ['LSTM in both directions', { bidirectional: true }, TEXTS],
  ['frames, GRU, perceptron', { inputSize: 2, cell: 'gru', hiddenLayers: [6] }, FRAMES],
  ['RNN of 2 layers', { cell: 'rnn', numLayers: 2, inputDropout: 0.1, outputDropout: 0.1 }, TEXTS],
];
for (const [name, options, inputs] of kinds) {
  test(`${name}: gradients equal central differences`, async () => {
    // with this seed no unit of the perceptron lies at its kink
    using task = await create({ ...options, seed: 5 });
    scaleWeights(task.model, 2);
    checkGradients(task.model, lossOf(task, examplesOf(inputs)));
  });

  test(`${name}: fit minimises that loss; padded batches give that of one by one`, async () => {
    using task = await create({ ...options, inputDropout: 0, outputDropout: 0 });
    const examples = examplesOf(inputs);
    const want = task.model.valueAndGrad(lossOf(task, examples));
    const slopes = gradients(task.model);
    const both = await batchAndSingles(task, examples, () => 1);
    close(both.loss, [want, want], 1e-6, 'loss');
    close(both.gradients[0], slopes, 1e-5, 'gradients');
    close(both.gradients[1], slopes, 1e-5, 'gradients one by one');
    for (const beamWidth of [1, 4]) {
      const all = await task.evaluate(examples, { beamWidth });
      const single = await task.evaluate(examples, { batchSize: 1, beamWidth });
      close([all.loss, single.loss], [want, want], 1e-6, 'loss of evaluate');
      equal({ ...all, loss: 0 }, { ...single, loss: 0 });
      const text = async (batchSize: number) =>
        (await task.predict(inputs, { batchSize, beamWidth })).map((transcript) => transcript.text);
      equal(await text(4), await text(1));
    }
  });
}

test('a beam that holds every prefix finds the most probable of all labelings', async () => {
  using task = await create({ hiddenSize: 8 });
  scaleWeights(task.model, 3);
  const all = [''];
  for (let from = 0, length = 1; length <= 4; length++) {
    const to = all.length;
    for (; from < to; from++) for (const token of SMALL.target) all.push(all[from] + token);
  }
  for (const text of ['abca', 'bbca', 'cab']) {
    const { layers } = task.model;
    const possible = all.filter((target) => {
      const repeats = [...target].filter((c, i) => i > 0 && c === target[i - 1]).length;
      return target.length + repeats <= text.length;
    });
    const logs = possible.map((target) => {
      const labels = Array.from(target, (token) => SMALL.target.indexOf(token) + 1);
      const encoded = layers.input.encode('input', text);
      return task.model.forward(
        (tape) => -ctcLoss(tape, layers.forward(tape, [encoded]), [labels], { reduction: 'sum' }).value,
      );
    });
    const best = logs.indexOf(Math.max(...logs));
    const [found] = await task.predict([text], { beamWidth: 400 });
    is(found.text, possible[best]);
    close([found.logProbability ?? Number.NaN], [logs[best]], 1e-5, text);
    close([logs.reduce((sum, log) => sum + Math.exp(log), 0)], [1], 1e-5, 'all labellings together');
  }
});

test('streams say what the best path of the whole says, however it is cut', async () => {
  using task = await create({ numLayers: 2 });
  scaleWeights(task.model, 4);
  const text = 'abcabbacbacbbcaabcacbabcbabca';
  const [whole] = await task.predict([text]);
  ok(whole.text.length > 3, whole.text);
  for (const size of [1, 2, 7, 29]) {
    const stream = task.stream();
    let said = '';
    for (let at = 0; at < text.length; at += size) said += stream.step(text.slice(at, at + size)).text;
    is(said, whole.text);
  }
  // saved inside of a repeated label, it does not say the label again
  const one = task.stream();
  let parts = '';
  for (const letter of text) {
    parts += task.stream(one.save()).step(letter).text;
    one.step(letter);
  }
  is(parts, whole.text);
  using both = await create({ bidirectional: true });
  throws(() => both.stream(), /stream: needs a model that reads forward in time only/);
});

test('words are joined with spaces; errors are counted against what was said', async () => {
  using task = await create({ target: ['go', 'stop', 'left'] });
  const examples = [
    { input: 'abcabc', target: ['go', 'left'] },
    { input: 'abc', target: ['stop'] },
  ];
  const said = await task.predict(examples.map(({ input }) => input));
  for (const { tokens, text } of said) is(text, tokens.join(' '));
  const report = await task.evaluate(examples);
  const wrong = said.map(({ tokens }, i) => editDistance(tokens, examples[i].target));
  is(report.errorRate, (wrong[0] + wrong[1]) / 3);
  is(report.exact, wrong.filter((n) => n === 0).length / 2);
  is(editDistance('kitten', 'sitting'), 3);
  is(editDistance('', 'abc'), 3);
  is(editDistance([1, 2, 3], [2, 3, 4]), 2);
});

/** Letters as frames: each has a pattern, lasts two to four frames under noise, and is followed by none to two of silence. */
function spoken(seed: number, count: number): TranscriberExample[] {
  const next = random(seed);
  const below = (n: number) => Math.floor(next() * n);
  return Array.from({ length: count }, () => {
    const target = Array.from({ length: 2 + below(4) }, () => 'abcd'[below(4)]).join('');
    const frames: number[][] = [];
    const frame = (hot: number) =>
      frames.push(Array.from({ length: 4 }, (_, i) => (i === hot ? 1 : 0) + 0.4 * (next() - 0.5)));
    [...target].forEach((letter, i) => {
      for (let n = 2 + below(3); n > 0; n--) frame('abcd'.indexOf(letter));
      // without silence nobody could tell a letter said twice from one that lasts
      for (let n = letter === target[i + 1] ? 1 : below(3); n > 0; n--) frame(-1);
    });
    return { input: frames, target };
  });
}

for (const options of [{ bidirectional: true }, { cell: 'gru' }] as const) {
  test(`learns to read letters from frames: ${JSON.stringify(options)}`, async () => {
    using task = await Transcriber.create({ inputSize: 4, target: 'abcd', hiddenSize: 24, seed: 1, ...options });
    const fit = { batchSize: 32, learningRate: 0.01, epochs: 40, enough: 0.01 };
    const { loss, epoch } = await learn(task, spoken(1, 400), fit);
    const unseen = spoken(2, 300);
    const { exact } = await task.evaluate(unseen);
    const beam = await task.evaluate(unseen, { beamWidth: 8 });
    console.log(
      `  ${JSON.stringify(options)}: loss ${loss.toFixed(4)} after ${epoch} epochs, exact ${exact}, beam ${beam.exact}`,
    );
    ok(exact >= 0.99, `exact ${exact}`);
    ok(beam.exact >= 0.99, `exact with a beam ${beam.exact}`);
    using again = await Transcriber.load(task.save());
    equal(await again.evaluate(unseen), await task.evaluate(unseen));
  });
}

test('training interrupted by a file resumes with the same bits', async () => {
  const examples = spoken(3, 40);
  const options = { batchSize: 8, learningRate: 0.01 };
  const sizes = { inputSize: 4, target: 'abcd', hiddenSize: 6, seed: 2, inputDropout: 0.2 };
  using whole = await Transcriber.create(sizes);
  await whole.fit(examples, { ...options, epochs: 4 });
  using first = await Transcriber.create(sizes);
  await first.fit(examples, { ...options, epochs: 2 });
  using second = await Transcriber.load(first.save());
  await second.fit(examples, { ...options, epochs: 2 });
  ok(same(second.save(), whole.save()));
});

test('progress is shown, a signal stops, and memory stays as it is', async () => {
  using task = await create();
  const inputs = Array.from({ length: 2000 }, (_, i) => TEXTS[i % 4].repeat(1 + (i % 5)));
  const stop = new AbortController();
  const seen: number[] = [];
  let reserved = 0;
  const run = task.predict(inputs, { signal: stop.signal, beamWidth: 2 });
  const cancelled = (async () => {
    for await (const { done, total } of run) {
      is(total, 2000);
      // sequences of different lengths in one batch take a little more than the longest alone
      if (done <= 640) reserved = task.runtime.memory().bytesReserved;
      seen.push(done);
      if (done >= 1280) stop.abort();
    }
  })();
  await rejects(cancelled, /abort/i);
  equal(
    seen,
    Array.from({ length: 20 }, (_, i) => 64 * (i + 1)),
  );
  is(task.runtime.memory().bytesReserved, reserved);
});

test('bad options and examples are refused before a step, and change nothing', async () => {
  const wrong: [Partial<TranscriberOptions>, RegExp][] = [
    [{ target: '' }, /target: the text is empty/],
    [{ target: ['a', 'a'] }, /target: duplicate 'a'/],
    [{ hiddenLayers: [0] }, /hiddenLayers\[0\]: expected a positive whole number/],
    [{ outputDropout: 1 }, /outputDropout: expected a number below 1, got 1/],
    [{ cell: 'mgu' as 'gru' }, /cell: expected/],
    [{ labels: 'abc' } as object, /labels/],
    [{ inputSize: 2, vocabulary: 'abc' }, /vocabulary and inputSize cannot be combined/],
  ];
  for (const [options, message] of wrong) await rejects(create(options), message);
  using task = await create();
  const fit = (example: unknown) => () => task.fit([{ input: 'abc', target: 'x' }, example as TranscriberExample]);
  refuses(
    () => task.save(),
    [
      [() => task.fit([]), /examples: expected at least one/],
      [() => task.fit('abc' as never), /examples: expected a list of \{ input, target \}, got 'abc'/],
      [fit(undefined), /examples\[1\]: expected \{ input, target \}, got undefined/],
      [fit({ input: '', target: 'x' }), /examples\[1\]\.input: is empty/],
      [fit({ input: 'abd', target: 'x' }), /examples\[1\]\.input: "d" is not in the vocabulary/],
      [fit({ input: 'abc', target: 'xq' }), /examples\[1\]\.target: "q" is not in the vocabulary/],
      [fit({ input: 'abc', target: '' }), /examples\[1\]\.target: expected at least one token/],
      [
        fit({ input: 'abc', target: 'xxy' }),
        /examples\[1\]\.target: 3 tokens, of which 1 repeat the one before, need 4 steps; the input has 3/,
      ],
      [() => task.fit(examplesOf(TEXTS), { passes: 3 } as object), /fit: unknown option 'passes'.*epochs/],
      [() => task.predict(['abc'], { beamWidth: -1 }), /beamWidth: expected a positive whole number/],
      [() => task.predict(['abc'], { maxLength: 3 } as object), /maxLength/],
      [() => task.predict('abc' as never), /inputs: expected a list of sequences/],
    ],
  );
  await rejects(Transcriber.load(new Uint8Array(20)), /the file/);
});

test.run();
