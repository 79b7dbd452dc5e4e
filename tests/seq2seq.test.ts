/**
 * Sequence to sequence: gradients through encoder and decoder in every way they are joined, scheduled sampling, files,
 * padding, what it says to bad input, and small tasks learned.
 */
import { FormatError, read } from 'gatewise';
import { Seq2Seq, type Seq2SeqExample, type Seq2SeqOptions } from 'gatewise/tasks';
import { test } from 'uvu';
import { equal, is, not, ok, throws } from 'uvu/assert';
import { close, random, uniform } from './support/numbers.js';
import { ALPHABET, type PuzzleName, puzzle, symbols } from './support/puzzles.js';
import { rejects } from './support/rejects.js';
import { create, EXAMPLES, encoded, kinds, lossOf, monotone } from './support/seq2seq.js';
import {
  batchAndSingles,
  checkGradients,
  gradients,
  LOOK,
  learn,
  look,
  refuses,
  same,
  scaleWeights,
} from './support/tasks.js';

/** Larger weights, no zeros: gradients far above what rounding hides. */
function lively(task: Seq2Seq): void {
  scaleWeights(task.model, 2);
  for (const { name, size } of task.model.parameters)
    if (/\.[hc]0_l/.test(name)) task.model.set(name, uniform(random(1), size));
}

const contexts = ['last', 'affine', 'mean'] as const;
const passes = ['state', 'input', 'both'] as const;
const attentions = [undefined, 'dot', 'general', 'additive'] as const;

// seven kinds over 36 ways: every kind meets every context, pass and attention
let way = 0;
let worst = 0;
for (const context of contexts) {
  for (const pass of passes) {
    for (const attention of attentions) {
      const [kind, options, examples] = kinds[way++ % kinds.length];
      test(`gradients: context ${context} as ${pass}, ${attention ?? 'no'} attention, ${kind}`, async () => {
        using task = await create({ context, pass, attention, ...options });
        lively(task);
        worst = Math.max(worst, checkGradients(task.model, lossOf(task, examples)));
      });
    }
  }
}
for (const [kind, options, examples] of kinds) {
  test(`gradients: ${kind}, additive attention, both, dropout everywhere`, async () => {
    const layers = options.numLayers || Array.isArray(options.hiddenSize) ? { dropout: 0.2 } : {};
    using task = await create({
      ...options,
      ...layers,
      pass: 'both',
      attention: 'additive',
      inputDropout: 0.2,
      outputDropout: 0.2,
    });
    lively(task);
    worst = Math.max(worst, checkGradients(task.model, lossOf(task, examples)));
  });
}
test('gradients: with concatenated directions, and learned initial states', async () => {
  using wide = await create({ cell: 'lstm', bidirectional: true, attention: 'general', context: 'mean', pass: 'both' });
  lively(wide);
  worst = Math.max(worst, checkGradients(wide.model, lossOf(wide, EXAMPLES)));
  for (const pass of passes) {
    using learned = await create({ cell: 'lstm', initialState: 'learned', pass });
    lively(learned);
    worst = Math.max(worst, checkGradients(learned.model, lossOf(learned, EXAMPLES)));
  }
  console.log(`  worst error of all ${way + kinds.length + 4} gradients: ${worst.toExponential(1)}, bound 2e-3`);
});

const bridges: [string, Partial<Seq2SeqOptions>][] = [
  ['affine', { bridge: 'affine', cell: 'lstm', context: 'affine' }],
  ['none after an affine context, two layers', { bridge: 'none', context: 'affine', numLayers: 2, pass: 'both' }],
  ['none into an LSTM', { bridge: 'none', cell: 'lstm', attention: 'dot' }],
  [
    'none from two directions of half the width',
    { bridge: 'none', hiddenSize: 6, encoder: { hiddenSize: 3, bidirectional: true } },
  ],
  [
    'tanh from another cell, width and number of layers',
    {
      cell: 'lstm',
      attention: 'general',
      encoder: { cell: 'gru', hiddenSize: [3, 4], bidirectional: true, merge: 'mean' },
    },
  ],
];
for (const [title, options] of bridges) {
  test(`bridge: ${title}: gradients, files`, async () => {
    using task = await create(options);
    lively(task);
    checkGradients(task.model, lossOf(task, EXAMPLES));
    await task.fit(EXAMPLES, { epochs: 2 });
    using again = await Seq2Seq.load(task.save());
    equal(again.config, task.config);
    equal(await again.evaluate(EXAMPLES), await task.evaluate(EXAMPLES));
  });
}

test('bridge none hands c over as it is: the decoder starts from the final states of both directions', async () => {
  const encoder = { hiddenSize: 64, bidirectional: true };
  using task = await create({ bridge: 'none', hiddenSize: 128, encoder, cell: 'gru' });
  ok(!task.model.parameters.some(({ name }) => name.startsWith('bridge')));
  const { sources } = encoded(task, EXAMPLES.slice(0, 2));
  task.model.forward((tape, layers) => {
    const { context, state } = layers.encode(tape, sources);
    is(context.F, 128);
    equal(state && read(tape, state.h[0]), read(tape, context));
  });
  using plain = await create({ bridge: 'tanh' });
  using usual = await create();
  equal(plain.model.get('bridge.h0.weight'), usual.model.get('bridge.h0.weight'), 'tanh is the default');
  equal(await plain.evaluate(EXAMPLES), await usual.evaluate(EXAMPLES));
});

for (const [kind, options, examples] of kinds) {
  test(`fit minimises that loss: ${kind}`, async () => {
    using task = await create({ ...options, pass: 'both', attention: 'general' });
    const want = task.model.valueAndGrad(lossOf(task, examples));
    const slopes = gradients(task.model);
    // a batch has its longest first
    const sorted = [...examples].sort((a, b) => size(b) - size(a));
    const got = await look(task, sorted);
    close(got.losses, [want], 1e-6, 'loss');
    close(got.gradients, slopes, 1e-5, 'gradients');
    const { loss } = await task.evaluate(examples);
    close([loss], [want], 1e-6, 'loss of evaluate');
  });
}

/** Steps of an example. */
function size({ source, target }: Seq2SeqExample): number {
  const steps = (own: unknown): number =>
    own instanceof Float32Array ? own.length / 2 : typeof own === 'string' ? own.length : (own as string[]).length;
  const { word } = source as { word?: string[] };
  const plain = typeof source === 'string' || source instanceof Float32Array;
  const all = plain ? [source] : word ? [word] : Object.values(source);
  return all.reduce((n: number, own) => n + steps(own), 0) + target.length;
}

for (const attention of attentions) {
  test(`padded batches give the loss and gradients of one by one: ${attention ?? 'no'} attention`, async () => {
    for (const context of contexts) {
      using task = await create({ cell: 'lstm', bidirectional: true, merge: 'mean', context, pass: 'both', attention });
      const tokens = (i: number) => EXAMPLES[i].target.length + 1;
      const both = await batchAndSingles(task, EXAMPLES, tokens);
      close(both.loss.slice(0, 1), both.loss.slice(1), 1e-6, `${context}: loss`);
      close(both.gradients[0], both.gradients[1], 1e-5, `${context}: gradients`);
      const [one, all] = [await task.evaluate(EXAMPLES, { batchSize: 1 }), await task.evaluate(EXAMPLES)];
      close([one.loss], [all.loss], 1e-6, `${context}: loss of evaluate`);
      is(one.exact, all.exact);
    }
  });
}

/** What the decoder reads in each of its calls. */
function listen(task: Seq2Seq): number[][] {
  const { layers } = task.model;
  const calls: number[][] = [];
  const { decode } = layers;
  layers.decode = function (tape, memory, tokens, ...rest) {
    calls.push(Array.from(tokens));
    return decode.call(this, tape, memory, tokens, ...rest);
  };
  return calls;
}

test('teacherForcing 1 is forced, all steps at once; just below it gives the same step by step', async () => {
  for (const [, options, examples] of kinds) {
    using task = await create({ ...options, attention: 'general', pass: 'both' });
    const calls = listen(task);
    const forced = await look(task, examples);
    const said = await look(task, examples, { teacherForcing: 1 });
    equal(forced, said);
    is(calls.length, 2);
    const steps = await look(task, examples, { teacherForcing: 1 - 1e-12 });
    is(calls.length, 2 + 6, 'a call for each step');
    close(steps.losses, forced.losses, 1e-6, 'loss');
    close(steps.gradients, forced.gradients, 1e-5, 'gradients');
  }
});

test('teacherForcing 0 reads what it writes, and its gradient is that of these tokens', async () => {
  using task = await create({ attention: 'additive', pass: 'both', cell: 'lstm' });
  scaleWeights(task.model, 3);
  const examples = [...EXAMPLES].sort((a, b) => size(b) - size(a));
  const calls = listen(task);
  const own = await look(task, examples, { teacherForcing: 0 });
  const { B, T, tokens } = encoded(task, examples);
  equal(
    calls.map(({ length }) => length),
    Array(T).fill(B),
  );
  const read = Int32Array.from(calls.flat());
  not.equal(Array.from(read), Array.from(tokens));
  // what it wrote is what it writes when nothing is known
  const written = await task.predict(
    examples.map(({ source }) => source),
    { maxLength: T - 1 },
  );
  written.forEach(({ tokens: said }, b) => {
    const { start, vocabulary } = task.model.layers;
    const ids = [start, ...vocabulary.encode('said', said)];
    equal(
      ids,
      Array.from({ length: ids.length }, (_, t) => read[t * B + b]),
    );
  });
  const want = task.model.valueAndGrad(lossOf(task, examples, read));
  close(own.losses, [want], 1e-6, 'loss');
  close(own.gradients, gradients(task.model), 1e-5, 'gradients');
});

test('the ratio and the schedule of teacherForcing are the share of right tokens', async () => {
  // it writes x always, the targets have none
  using task = await monotone([1, 1e-9, 1e-9, 1e-9]);
  const { vocabulary } = task.model.layers;
  const examples = Array.from({ length: 64 }, () => ({ source: 'abc', target: 'yzyzyzyzyzyzyzy' }));
  const right = new Set(vocabulary.encode('right', 'yz'));
  const calls = listen(task);
  const share = async (options: object) => {
    calls.length = 0;
    await look(task, examples, options);
    // the first step reads the start
    const read = calls.length === 1 ? calls[0].slice(64) : calls.slice(1).flat();
    return read.filter((id) => right.has(id)).length / read.length;
  };
  for (const ratio of [0, 0.25, 0.8, 1]) {
    const got = await share({ teacherForcing: ratio });
    ok(ratio % 1 ? Math.abs(got - ratio) < 0.05 : got === ratio, `${got}, expected ${ratio}`);
  }
  using scheduled = await monotone([1, 1e-9, 1e-9, 1e-9]);
  const heard = listen(scheduled);
  const shares: number[] = [];
  const run = scheduled.fit(examples, {
    ...LOOK,
    epochs: 6,
    batchSize: 64,
    teacherForcing: { from: 1, to: 0.2, steps: 4 },
  });
  for await (const _ of run) {
    const read = heard.length === 1 ? heard[0].slice(64) : heard.slice(1).flat();
    shares.push(read.filter((id) => right.has(id)).length / read.length);
    heard.length = 0;
  }
  for (const [i, want] of [1, 0.8, 0.6, 0.4, 0.2, 0.2].entries()) ok(Math.abs(shares[i] - want) < 0.05, `${shares}`);
  is(shares[0], 1);
});

test('scheduled sampling: the same seed trains to the same bits', async () => {
  const train = async (seed: number) => {
    using task = await create({ attention: 'dot', seed });
    await task.fit(EXAMPLES, { epochs: 6, batchSize: 2, teacherForcing: 0.5 });
    return task.save();
  };
  ok(same(await train(1), await train(1)));
  ok(!same(await train(1), await train(2)));
});

for (const [kind, options, examples] of kinds) {
  test(`saved and loaded it says the same and resumes to the same bits: ${kind}`, async () => {
    const own = { ...options, attention: 'additive', pass: 'both', inputDropout: 0.1, outputDropout: 0.1 } as const;
    const fit = { batchSize: 3, learningRate: 1e-2, teacherForcing: { from: 1, to: 0.5, steps: 6 } };
    using whole = await create(own);
    await whole.fit(examples, { ...fit, epochs: 4 });
    using half = await create(own);
    await half.fit(examples, { ...fit, epochs: 2 });
    using again = await Seq2Seq.load(half.save());
    equal(again.config, half.config);
    const sources = examples.map(({ source }) => source);
    for (const say of [{}, { beamWidth: 4 }]) {
      equal(
        await again.predict(sources, { maxLength: 9, ...say }),
        await half.predict(sources, { maxLength: 9, ...say }),
      );
    }
    const draw = { maxLength: 9, seed: 3 };
    equal(await again.generate(sources, draw), await half.generate(sources, draw));
    using weights = await Seq2Seq.load(half.save({ weightsOnly: true }));
    equal(await weights.evaluate(examples), await half.evaluate(examples));
    await half.fit(examples, { ...fit, epochs: 2 });
    await again.fit(examples, { ...fit, epochs: 2 });
    ok(same(whole.save(), half.save()), 'four epochs are two and two');
    ok(same(whole.save(), again.save()), 'also through a file');
  });
}

test('files of something else, or with a wrong description, are refused', async () => {
  using task = await create();
  const file = Buffer.from(task.save());
  const change = (from: string, to: string) => {
    const length = Number(file.readBigUInt64LE(0));
    const text = file.subarray(8, 8 + length).toString();
    ok(text.includes(from), from);
    const header = Buffer.from(text.replace(from, to));
    const head = Buffer.alloc(8);
    head.writeBigUInt64LE(BigInt(header.length));
    return Buffer.concat([head, header, file.subarray(8 + length)]);
  };
  const quoted = (text: string) => text.replaceAll('"', '\\"');
  for (const [bytes, message] of [
    [change('seq2seq', 'tagger'), /holds 'tagger', not 'seq2seq'/],
    [change(quoted('"hiddenSize":5'), quoted('"hiddenSize":-5')), /description: hiddenSize: .*got -5/],
    [change(quoted('"hiddenSize":5'), quoted('"hiddenSize":6')), /is \[15, 3\] and not \[18, 3\]/],
    [change(quoted('"target":["x","y","z"]'), quoted('"target":["x","y","y"]')), /target: duplicate 'y'/],
    [file.subarray(0, file.length - 4), /cut off/],
  ] as const) {
    let caught: unknown;
    await Seq2Seq.load(bytes).catch((error) => {
      caught = error;
    });
    ok(caught instanceof FormatError, String(caught));
    ok(message.test(caught.message), `${caught.message}, expected ${message}`);
  }
});

test('create says what is wrong with its options', async () => {
  const wrong: [object, RegExp][] = [
    [{ source: undefined }, /source: expected options of an input, or several by their names, got undefined/],
    [{ source: 'abc' }, /source: expected options of an input.*got 'abc'/],
    [{ source: {} }, /source: expected at least one/],
    [{ source: { '': { inputSize: 2 } } }, /source: expected names that are not empty/],
    [{ source: { vocabulary: '' } }, /source.vocabulary: the text is empty/],
    [
      { source: { vocabulary: 'ab', embedingSize: 3 } },
      /source: unknown option 'embedingSize'; did you mean 'embeddingSize'/,
    ],
    [
      { source: { vocabulary: 'ab', inputSize: 3 } },
      /source.vocabulary, features or inputSize.*vocabulary and inputSize cannot be combined/,
    ],
    [{ source: { passage: { inputSize: 0 } } }, /source.passage.inputSize: expected a positive whole number, got 0/],
    [{ source: { passage: 5 } }, /source.passage: expected an object of options, got 5/],
    [{ source: { passage: null } }, /source.passage: expected an object of options, got null/],
    [{ source: { passage: {} } }, /source.passage.vocabulary, features or inputSize.*none was given/],
    [{ source: { vocabulary: 'ab', unknown: '?' } }, /source.unknown: '\?' is not in the vocabulary/],
    [{ source: { inputSize: 2, embeddingSize: 2 } }, /source.embeddingSize and inputSize cannot be combined/],
    [{ source: { features: null, inputSize: undefined } }, /source.features: expected an object of features, got null/],
    [{ target: '' }, /target: the text is empty/],
    [{ target: ['a', 'a'] }, /target: duplicate 'a'/],
    [{ target: ['a', 5] }, /target\[1\]: expected a string, got 5/],
    [{ target: undefined }, /target: expected a text or a list of tokens, got undefined/],
    [{ embeddingSize: 0 }, /embeddingSize: .*got 0/],
    [{ hiddenSize: 2.5 }, /hiddenSize: .*got 2.5/],
    [{ cell: 'gro' }, /cell: .*got 'gro'; did you mean 'gru'/],
    [{ context: 'first' }, /context: expected 'last' or 'affine' or 'mean', got 'first'/],
    [{ pass: 'all' }, /pass: expected 'state' or 'input' or 'both', got 'all'/],
    [{ attention: 'self' }, /attention: expected 'dot' or 'general' or 'additive', got 'self'/],
    [
      { attention: 'dot', bidirectional: true },
      /attention: 'dot' needs decoder and encoder of one width.*5 and 10 features/,
    ],
    [{ attention: 'dot', encoder: { hiddenSize: 4 } }, /attention: 'dot' needs .*5 and 4 features/],
    [{ bridge: 'relu' }, /bridge: expected 'none' or 'affine' or 'tanh', got 'relu'/],
    [{ bridge: 'tanh', pass: 'input' }, /bridge: needs pass: 'state' or 'both'/],
    [{ bridge: 'none', bidirectional: true }, /bridge: 'none' needs .*c has 10 features, the layers 5/],
    [{ bridge: 'none', hiddenSize: [4, 5] }, /bridge: 'none' needs .*c has 5 features, the layers 4 and 5/],
    [{ encoder: { hiddenSize: 0 } }, /hiddenSize: .*got 0/],
    [{ encoder: { units: 3 } }, /encoder: unknown option 'units'; did you mean 'hiddenSize'/],
    [{ encoder: { reverse: true } }, /encoder: unknown option 'reverse'/],
    [{ encoder: 5 }, /encoder: expected an object of options, got 5/],
    [{ inputDropout: 1 }, /inputDropout: expected a number below 1, got 1/],
    [{ outputDropout: -0.1 }, /outputDropout: .*got -0.1/],
    [{ reverse: true }, /unknown option 'reverse'/],
    [{ attenton: 'dot' }, /unknown option 'attenton'; did you mean 'attention'/],
    [{ seed: 1.5 }, /seed: .*got 1.5/],
  ];
  for (const [options, message] of wrong) await rejects(create(options as never), message);
  await rejects(Seq2Seq.create(null as never), /create: expected an object of options, got null/);
});

test('bad examples and options are refused before a step, and change nothing', async () => {
  using task = await create({ attention: 'dot' });
  await task.fit(EXAMPLES, { epochs: 1 });
  const good = { source: 'abc', target: 'xyz' };
  const fit = (examples: unknown, options: object = {}) => task.fit(examples as never, options);
  refuses(
    () => task.save(),
    [
      [() => fit([]), /examples: expected at least one/],
      [() => fit('abc'), /examples: expected a list of { source, target }, got 'abc'/],
      [() => fit([good, null]), /examples\[1\]: expected { source, target }, got null/],
      [() => fit([good, { source: '', target: 'x' }]), /examples\[1\].source: is empty/],
      [
        () => fit([good, { source: 'abd!', target: 'x' }]),
        /examples\[1\].source: "d" and "!" are not in the vocabulary/,
      ],
      [() => fit([{ source: ['a', 5], target: 'x' }]), /examples\[0\].source\[1\]: expected a token, got 5/],
      [() => fit([good, { source: 'a', target: 'xa' }]), /examples\[1\].target: "a" is not in the vocabulary/],
      [() => fit([{ source: 'a' }]), /examples\[0\].target: expected a text or a list of tokens, got undefined/],
      [() => fit([good], { epochs: 0 }), /epochs: .*got 0/],
      [() => fit([good], { batchSize: -1 }), /batchSize: .*got -1/],
      [() => fit([good], { passes: 5 }), /fit: unknown option 'passes'; did you mean 'epochs'/],
      [() => fit([good], { teacherForcing: 1.5 }), /teacherForcing: .*got 1.5/],
      [() => fit([good], { teacherForcing: null }), /teacherForcing: expected an object of options, got null/],
      [() => fit([good], { teacherForcing: { from: 1, to: 2, steps: 5 } }), /teacherForcing.to: .*got 2/],
      [() => fit([good], { teacherForcing: { from: 1, to: 0 } }), /teacherForcing.steps: .*got undefined/],
      [() => fit([good], { learningrate: 1 }), /unknown option 'learningrate'; did you mean 'learningRate'/],
      [() => fit([good], { signal: 5 }), /signal: expected an AbortSignal, got 5/],
      [() => fit([good], null as never), /fit: expected an object of options, got null/],
      [() => task.evaluate([]), /examples: expected at least one/],
      [() => task.evaluate([good], { maxLength: 0 }), /maxLength: .*got 0/],
      [() => task.evaluate([good], { maxlength: 5 } as never), /unknown option 'maxlength'; did you mean 'maxLength'/],
      [() => task.predict('abc' as never), /sources: expected a list of sources, got 'abc'/],
      [() => task.predict(['a', 'b', '']), /sources\[2\]: is empty/],
      [() => task.predict(['a', 'q']), /sources\[1\]: "q" is not in the vocabulary/],
      [() => task.predict(['a'], { maxLength: 1.5 }), /maxLength: .*got 1.5/],
      [() => task.predict(['a'], { beamWidth: 0 }), /beamWidth: .*got 0/],
      [() => task.predict(['a'], { lengthNormalization: -1 }), /lengthNormalization: .*got -1/],
      [
        () => task.predict(['a'], { beamWidth: 1, lengthNormalization: 1 }),
        /lengthNormalization: needs a beamWidth above 1/,
      ],
      [() => task.predict(['a'], { temperature: 0.5 } as never), /predict: unknown option 'temperature'/],
      [() => task.predict(['a'], { signal: {} } as never), /signal: expected an AbortSignal/],
      [() => task.predict(['a'], { beam: 2 } as never), /unknown option 'beam'; did you mean 'beamWidth'/],
      [() => task.generate('abc' as never), /sources: expected a list of sources, got 'abc'/],
      [() => task.generate(['aq']), /sources\[0\]: "q" is not in the vocabulary/],
      [() => task.generate(['a'], { beamWidth: 2 } as never), /generate: unknown option 'beamWidth'/],
      [() => task.generate(['a'], { topP: 0 }), /topP: .*got 0/],
      [() => task.generate(['a'], { topK: -1 }), /topK: .*got -1/],
      [() => task.generate(['a'], { temperature: -1 }), /temperature: .*got -1/],
      [() => task.generate(['a'], { seed: -1 }), /seed: .*got -1/],
      [() => task.generate(['a'], { maxLength: 0 }), /maxLength: .*got 0/],
    ],
  );
});

test('bad vectors, features, and sources of several encoders are refused', async () => {
  using vectors = await create({ source: { inputSize: 2 } });
  const fit = (task: Seq2Seq, source: unknown) => () => task.fit([{ source, target: 'x' } as never]);
  refuses(
    () => vectors.save(),
    [
      [fit(vectors, Float32Array.of(1, 2, 3)), /examples\[0\].source: expected vectors of 2 numbers, got 3 numbers/],
      [fit(vectors, [[1, 2], [3]]), /examples\[0\].source\[1\]: expected a vector of 2 numbers, got Array of length 1/],
      [fit(vectors, [[1, Number.NaN]]), /examples\[0\].source: number 1 is NaN/],
      [fit(vectors, [[1, 1e39]]), /examples\[0\].source: number 1 is Infinity/],
      [fit(vectors, []), /examples\[0\].source: is empty/],
      [fit(vectors, 'ab'), /examples\[0\].source: expected vectors of 2 numbers, got 'ab'/],
    ],
  );
  const [, options] = kinds.find(([kind]) => kind === 'two encoders') as (typeof kinds)[number];
  using pairs = await create(options);
  refuses(
    () => pairs.save(),
    [
      [fit(pairs, 'abc'), /examples\[0\].source: expected an object of options, got 'abc'/],
      [fit(pairs, { passage: 'a' }), /examples\[0\].source.question: expected vectors of 2 numbers, got undefined/],
      [fit(pairs, { passage: 'a', query: [[1, 2]] }), /examples\[0\].source: unknown option 'query'/],
      [fit(pairs, { passage: 'ad', question: [[1, 2]] }), /examples\[0\].source.passage: "d" is not in the vocabulary/],
    ],
  );
  const [, several] = kinds[kinds.length - 1];
  using features = await create(several);
  refuses(
    () => features.save(),
    [
      [fit(features, { word: ['a', 'b'], mark: ['1'] }), /source: mark has 1 tokens, word has 2/],
      [fit(features, { word: ['a'] }), /source.mark: expected a list of tokens, got undefined/],
      [fit(features, { word: ['a'], mark: ['2'] }), /source.mark: "2" is not in the vocabulary/],
    ],
  );
});

test('own tokens cannot be combined with masks that are one for all steps', async () => {
  using task = await create({ variationalDropout: 0.2 });
  throws(() => task.fit(EXAMPLES, { teacherForcing: 0.5 }), /teacherForcing and variationalDropout cannot be combined/);
  await task.fit(EXAMPLES, { epochs: 1 });
});

test('a token that stands for unknown ones is read in their place', async () => {
  using task = await create({ source: { vocabulary: 'abc?', unknown: '?', embeddingSize: 3 } });
  equal(await task.predict(['aQb', 'Zoë']), await task.predict(['a?b', '???']));
});

test('progress is shown, a signal stops, and memory stays as it is', async () => {
  using task = await create({ attention: 'general', hiddenSize: 16 });
  const sources = Array.from({ length: 3000 }, (_, i) => 'abcab'.slice(0, 1 + (i % 5)));
  const seen: { done: number; total: number }[] = [];
  const reserved: number[] = [];
  for await (const p of task.predict(sources, { maxLength: 10, batchSize: 100 })) {
    seen.push(p);
    reserved.push(task.runtime.memory().bytesReserved);
  }
  equal(
    seen,
    Array.from({ length: 30 }, (_, i) => ({ done: 100 * (i + 1), total: 3000 })),
  );
  is(new Set(reserved).size, 1);
  const stop = new AbortController();
  let done = 0;
  const work = (async () => {
    for await (const p of task.predict(sources, { maxLength: 10, batchSize: 100, signal: stop.signal })) {
      done = p.done;
      if (done === 400) stop.abort(new Error('enough'));
    }
  })();
  await rejects(work, /enough/);
  is(done, 400);
  await rejects(task.evaluate(EXAMPLES, { signal: AbortSignal.abort(new Error('not now')) }), /not now/);
  equal(await task.predict([]), []);
});

test('words are joined with spaces, characters are not', async () => {
  using words = await create({ target: ['one', 'two'] });
  words.model.set('head.bias', [50, 0, 0]);
  is((await words.predict(['a'], { maxLength: 3 }))[0].text, 'one one one');
  using task = await monotone([1, 0.5, 0.5, 1e-9]);
  const [said] = await task.predict(['a'], { maxLength: 3 });
  equal([said.text, said.tokens], ['xxx', ['x', 'x', 'x']]);
});

const data = { n: 1100, unseen: 200, shortest: 1, longest: 5 };
const routes: [string, PuzzleName, Partial<Seq2SeqOptions>][] = [
  ['the final state as state', 'copy', {}],
  ['an affine map of it, both', 'sort', { context: 'affine', pass: 'both' }],
  ['the mean as input, LSTM', 'reverse', { context: 'mean', pass: 'input', cell: 'lstm' }],
  ['dot attention', 'reverse', { attention: 'dot', hiddenSize: 48 }],
  ['general attention, both directions', 'copy', { attention: 'general', bidirectional: true, hiddenSize: 32 }],
  ['additive attention', 'sort', { attention: 'additive', hiddenSize: 32 }],
];
for (const [title, name, options] of routes) {
  test(`learns to ${name}: ${title}`, async () => {
    const { seen, unseen } = puzzle(name, data);
    await learned(title, symbols(name), options, seen, unseen);
  });
}

async function learned(
  title: string,
  target: string,
  options: Partial<Seq2SeqOptions>,
  seen: readonly Seq2SeqExample[],
  unseen: readonly Seq2SeqExample[],
): Promise<void> {
  const source = { vocabulary: ALPHABET, embeddingSize: 16 };
  using task = await Seq2Seq.create({ source, target, embeddingSize: 16, hiddenSize: 64, seed: 1, ...options });
  const began = performance.now();
  const { loss, epoch } = await learn(task, seen, {
    epochs: 40,
    batchSize: 32,
    learningRate: 1e-2,
    schedule: { kind: 'cosine', steps: 1400 },
    enough: 0.003,
  });
  const { exact } = await task.evaluate(unseen, { maxLength: 20 });
  const seconds = ((performance.now() - began) / 1000).toFixed(1);
  console.log(
    `  ${title}: ${(100 * exact).toFixed(1)} % of unseen ones exact, loss ${loss.toFixed(4)}, ${epoch} epochs, ${seconds} s`,
  );
  ok(exact >= 0.99, `${exact}`);
}

test('learns from vectors: which letters their signs spell', async () => {
  const { seen, unseen } = puzzle('copy', data);
  const next = random(5);
  // a letter is two signs
  const draw = (text: string) =>
    [...text].map((c) => [0, 1].map((bit) => (ALPHABET.indexOf(c) & (1 << bit) ? 1 : -1) * (0.5 + next())));
  const made = (list: typeof seen) => list.map(({ source, target }) => ({ source: draw(source), target }));
  await learned(
    'vectors',
    ALPHABET,
    { source: { inputSize: 2 }, attention: 'dot', hiddenSize: 32 },
    made(seen),
    made(unseen),
  );
});

test('learns to answer from two encoders: the letter at a place of a text', async () => {
  const { seen, unseen } = puzzle('copy', { n: 200, unseen: 56, shortest: 4, longest: 4 });
  const made = (list: typeof seen) =>
    list.flatMap(({ source: passage }) =>
      [...passage].map((target, place) => ({ source: { passage, question: `${place}` }, target })),
    );
  const source = {
    passage: { vocabulary: ALPHABET, embeddingSize: 16 },
    question: { vocabulary: '0123', embeddingSize: 16 },
  };
  await learned(
    'two encoders',
    ALPHABET,
    { source, attention: 'additive', pass: 'both', hiddenSize: 48 },
    made(seen),
    made(unseen),
  );
});

test.run();
