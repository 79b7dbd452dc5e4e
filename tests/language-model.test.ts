/** The language model: learning, writing, saving, going on exactly, and what it says to bad input. */
import { execFileSync } from 'node:child_process';
import { FormatError, NonFiniteError, Runtime } from 'gatewise';
import { LanguageModel } from 'gatewise/tasks';
import { test } from 'uvu';
import { equal, is, not, ok, throws } from 'uvu/assert';
import { builds, runtime } from './support/builds.js';
import { rejects } from './support/rejects.js';

const TEXT = Array.from({ length: 400 }, (_, i) => `${i} bottles of beer on the wall. `).join('');
const SMALL = { vocabulary: TEXT, hiddenSize: 12, embeddingSize: 6, seed: 3 };
const FIT = { batchSize: 4, window: 16, learningRate: 1e-2 };

const create = (options = {}) => LanguageModel.create({ ...SMALL, ...options });
const same = (a: Uint8Array, b: Uint8Array) => Buffer.compare(a, b) === 0;

test('awaiting fit trains, and so does iterating it; the loss falls', async () => {
  const [a, b] = [await create(), await create()];
  await a.fit(TEXT, { ...FIT, steps: 40 });
  const losses: number[] = [];
  for await (const p of b.fit(TEXT, { ...FIT, steps: 40 })) {
    losses.push(p.loss);
    is(p.step, losses.length);
    is(p.steps, 40);
    is(p.bits, p.loss / Math.LN2);
    ok(p.gradientNorm > 0 && p.secondsLeft >= 0 && p.tokensPerSecond > 0);
  }
  is(losses.length, 40);
  ok(losses[39] < losses[0] - 0.5, `${losses[0]} to ${losses[39]}`);
  ok(same(a.save(), b.save()));
});

test('fit that is neither awaited nor iterated trains as well', async () => {
  const lm = await create();
  const run = lm.fit(TEXT, { ...FIT, steps: 3 });
  await new Promise((resolve) => setTimeout(resolve, 300));
  is(lm.training?.steps, 3);
  await run;
  is(lm.training?.steps, 3);
});

test('after an iteration the run can be awaited; it cannot be iterated twice, and no two runs train at once', async () => {
  const lm = await create();
  const run = lm.fit(TEXT, { ...FIT, steps: 2 });
  for await (const _ of run);
  await run;
  throws(() => run[Symbol.asyncIterator](), /iterated before/);
  const first = lm.fit(TEXT, { ...FIT, steps: 5 });
  const second = lm.fit(TEXT, { ...FIT, steps: 5 });
  const results = await Promise.allSettled([first, second]);
  equal(results.map((r) => r.status).sort(), ['fulfilled', 'rejected']);
});

test('leaving the loop stops after the running step', async () => {
  const lm = await create();
  for await (const p of lm.fit(TEXT, { ...FIT, steps: 100 })) if (p.step === 4) break;
  is(lm.training?.steps, 4);
  await lm.fit(TEXT, { ...FIT, steps: 1 });
  is(lm.training?.steps, 5);
});

test('a signal stops after the running step, with its reason; the model is whole', async () => {
  const lm = await create();
  const stop = new AbortController();
  const work = (async () => {
    for await (const p of lm.fit(TEXT, { ...FIT, steps: 1000, signal: stop.signal })) if (p.step === 6) stop.abort();
  })();
  await rejects(work, /abort/i);
  is(lm.training?.steps, 6);
  const other = await create();
  await other.fit(TEXT, { ...FIT, steps: 6 });
  ok(same(lm.save(), other.save()));
  await rejects(lm.fit(TEXT, { ...FIT, signal: AbortSignal.abort(new Error('not today')) }), /not today/);
});

test('fit lets timers run', async () => {
  const lm = await create({ hiddenSize: 64 });
  let ticks = 0;
  const timer = setInterval(() => ticks++, 5);
  const began = performance.now();
  await lm.fit(TEXT, { ...FIT, batchSize: 16, window: 64, steps: 60 });
  clearInterval(timer);
  ok(ticks >= Math.min(5, (performance.now() - began) / 60), `${ticks} ticks`);
});

for (const build of builds) {
  test(`${build}: ten steps equal five, save, load, five more, bit for bit`, async () => {
    const make = () => LanguageModel.create({ ...SMALL, numLayers: 2, runtime: runtime(build) });
    const whole = await make();
    await whole.fit(TEXT, { ...FIT, steps: 10 });
    const half = await make();
    await half.fit(TEXT, { ...FIT, steps: 5 });
    const again = await LanguageModel.load(half.save(), { runtime: runtime(build) });
    is(again.training?.steps, 5);
    await again.fit(TEXT, { ...FIT, steps: 5 });
    ok(same(whole.save(), again.save()));
    is(await whole.generate({ length: 50 }), await again.generate({ length: 50 }));
    is(whole.runtime.build, build);
  });

  test(`${build}: the same seed gives the same bits, another one does not`, async () => {
    const train = async (seed: number) => {
      const lm = await LanguageModel.create({ ...SMALL, seed, runtime: runtime(build) });
      await lm.fit(TEXT, { ...FIT, steps: 5 });
      return lm.save();
    };
    ok(same(await train(1), await train(1)));
    ok(!same(await train(1), await train(2)));
  });
}

test('ten steps equal five, save, five more in a new process', async () => {
  const lm = await create();
  await lm.fit(TEXT, { ...FIT, steps: 5 });
  const file = Buffer.from(lm.save()).toString('base64');
  await lm.fit(TEXT, { ...FIT, steps: 5 });
  const script = `
    import { LanguageModel } from 'gatewise/tasks';
    const lm = await LanguageModel.load(Buffer.from(process.env.MODEL, 'base64'));
    await lm.fit(process.env.TEXT, { ...${JSON.stringify(FIT)}, steps: 5 });
    process.stdout.write(Buffer.from(lm.save()).toString('base64'));`;
  const out = execFileSync(process.execPath, ['--input-type=module', '-e', script], {
    env: { ...process.env, MODEL: file, TEXT },
    cwd: new URL('../..', import.meta.url),
    encoding: 'utf8',
    maxBuffer: 1e8,
  });
  ok(out === Buffer.from(lm.save()).toString('base64'), 'the files differ');
});

test('another text starts at its beginning, another window too; the optimizer resumes', async () => {
  const lm = await create();
  await lm.fit(TEXT, { ...FIT, steps: 3 });
  await lm.fit(TEXT.slice(500), { ...FIT, steps: 2 });
  is(lm.training?.steps, 5);
  await lm.fit(TEXT, { ...FIT, window: 8, steps: 2 });
  equal(lm.training?.window, 8);
  await lm.fit(TEXT, { ...FIT, optimizer: 'sgd', momentum: 0.5, steps: 1 });
  is(lm.training?.options.optimizer, 'sgd');
  is(lm.training?.steps, 8);
});

test('weights alone are saved and loaded; training starts again', async () => {
  const lm = await create();
  await lm.fit(TEXT, { ...FIT, steps: 5 });
  const small = lm.save({ weightsOnly: true });
  ok(small.length < lm.save().length / 2);
  const again = await LanguageModel.load(small);
  is(again.training, null);
  is(await again.generate({ length: 30, seed: 1 }), await lm.generate({ length: 30, seed: 1 }));
});

test('generate: seeds, greedy, top-k, top-p, temperature, prompts', async () => {
  const lm = await create();
  await lm.fit(TEXT, { ...FIT, steps: 60 });
  is([...(await lm.generate({ length: 77 }))].length, 77);
  is(lm.generateSync({ length: 70, seed: 3 }), await lm.generate({ length: 70, seed: 3 }));
  is(await lm.generate({ length: 0 }), '');
  is(await lm.generate({ length: 300, seed: 5 }), await lm.generate({ length: 300, seed: 5 }));
  not.equal(await lm.generate({ length: 40, seed: 5 }), await lm.generate({ length: 40, seed: 6 }));
  not.equal(await lm.generate({ length: 40 }), await lm.generate({ length: 40 }), 'the own stream moves on');
  const greedy = await lm.generate({ prompt: 'bottles', length: 40, temperature: 0 });
  is(greedy, await lm.generate({ prompt: 'bottles', length: 40, topK: 1, seed: 9 }));
  is(greedy, await lm.generate({ prompt: 'bottles', length: 40, topP: 1e-6, seed: 8 }));
  is(greedy, await lm.generate({ prompt: 'bottles', length: 40, temperature: 1e-3, seed: 8 }));
  not.equal(greedy, await lm.generate({ prompt: 'bottles', length: 40, temperature: 3, seed: 8 }));
  // longer than one call of the core, in the prompt and in what is written
  is((await lm.generate({ prompt: TEXT.slice(0, 700), length: 600, seed: 2 })).length, 600);
  let streamed = '';
  for await (const piece of lm.generate({ prompt: 'wall', length: 600, seed: 4 })) streamed += piece;
  is(streamed, await lm.generate({ prompt: 'wall', length: 600, seed: 4 }));
});

test('generate follows the probabilities that the model gives', async () => {
  const lm = await LanguageModel.create({ vocabulary: 'abcd', hiddenSize: 4, embeddingSize: 2 });
  // all weights 0: the bias of the head alone decides
  for (const { name, size } of lm.model.parameters) lm.model.set(name, new Float32Array(size));
  lm.model.set('head.bias', [0.5, 0.25, 0.2, 0.05].map(Math.log));
  const shares = async (options: object) => {
    const text = await lm.generate({ prompt: 'a', length: 20000, seed: 1, ...options });
    return [...'abcd'].map((c) => text.split(c).length - 1).map((n) => n / 20000);
  };
  const near = (got: number[], want: number[]) => {
    for (const [i, w] of want.entries()) ok(Math.abs(got[i] - w) < 0.015, `${got}, expected ${want}`);
  };
  near(await shares({}), [0.5, 0.25, 0.2, 0.05]);
  near(await shares({ topK: 2 }), [2 / 3, 1 / 3, 0, 0]);
  near(await shares({ topP: 0.7 }), [2 / 3, 1 / 3, 0, 0]);
  near(await shares({ topP: 0.8 }), [0.5 / 0.95, 0.25 / 0.95, 0.2 / 0.95, 0]);
  near(await shares({ topK: 3, topP: 0.6 }), [2 / 3, 1 / 3, 0, 0]);
  const squares = [0.25, 0.0625, 0.04, 0.0025].map((p) => p / 0.355);
  near(await shares({ temperature: 0.5 }), squares);
});

test('streams: one set of weights, states of their own that are cloned and reset', async () => {
  using lm = await LanguageModel.create({ ...SMALL, numLayers: 2 });
  const text = 'of beer on 7';
  const whole = lm.stream().step(text);
  ok(Math.abs(whole.probabilities.reduce((a, b) => a + b) - 1) < 1e-6);
  is(whole.token, lm.vocabulary.tokens[whole.probabilities.indexOf(Math.max(...whole.probabilities))]);
  // two streams take turns
  const [one, other] = [lm.stream(), lm.stream()];
  let last = whole;
  for (const [i, c] of [...text].entries()) {
    last = one.step(c);
    other.step([...text][text.length - 1 - i]);
  }
  equal(last, whole);
  const middle = lm.stream();
  middle.step(text.slice(0, 5));
  const copy = middle.clone();
  const file = middle.save();
  equal(middle.step(text.slice(5)), whole);
  equal(copy.step(text.slice(5)), whole);
  equal(lm.stream(file).step(text.slice(5)), whole);
  middle.reset();
  equal(middle.step(text), whole);
  throws(() => lm.stream().step(''), /input: expected at least one token/);
  throws(() => lm.stream().step('ab!'), /input: "!" is not in the vocabulary/);
  using narrow = await LanguageModel.create({ ...SMALL, numLayers: 2, hiddenSize: 4 });
  throws(() => lm.stream(narrow.stream().save()), /the state's h has the sizes \[4,4\], the model's layers \[12,12\]/);
});

test('predict gives the next token of each text, in one batch as one by one', async () => {
  using lm = await create();
  const texts = ['of beer', '7 b', 'on the wall. '];
  const all = await lm.predict(texts);
  for (const [i, text] of texts.entries()) {
    equal(all[i], lm.stream().step(text));
    equal((await lm.predict([text]))[0], all[i]);
  }
  throws(() => lm.predict('of beer' as never), /texts: expected a list of texts/);
  throws(() => lm.predict(['']), /texts\[0\]: expected at least one token/);
});

test('generate with a seed leaves the model as it is; without one it moves the random stream of the model', async () => {
  using lm = await create();
  const before = lm.save();
  await lm.generate({ length: 40, seed: 5 });
  ok(same(before, lm.save()));
  await lm.generate({ length: 40 });
  // the place in that stream is part of the file
  using again = await LanguageModel.load(lm.save());
  is(await again.generate({ length: 40 }), await lm.generate({ length: 40 }));
  const stop = new AbortController();
  const pieces: string[] = [];
  const run = (async () => {
    for await (const piece of lm.generate({ length: 10_000, signal: stop.signal })) {
      pieces.push(piece);
      if (pieces.length === 3) stop.abort();
    }
  })();
  await rejects(run, /abort/i);
  is(pieces.length, 3);
});

test('greedy text of two layers is what a stream says step by step', async () => {
  using lm = await LanguageModel.create({ ...SMALL, numLayers: 2 });
  await lm.fit(TEXT, { ...FIT, steps: 20 });
  const stream = lm.stream();
  let want = '';
  let { token } = stream.step('7 ');
  for (let i = 0; i < 70; i++) {
    want += token;
    ({ token } = stream.step(token));
  }
  is(await lm.generate({ prompt: '7 ', length: 70, temperature: 0 }), want);
});

test('words as tokens', async () => {
  const words = 'the cat sat on the mat and the dog sat on the cat'.split(' ');
  const lm = await LanguageModel.create({ vocabulary: [...new Set(words)], hiddenSize: 8, embeddingSize: 4 });
  await lm.fit([...words, ...words, ...words], { batchSize: 1, window: 8, steps: 3 });
  is((await lm.generate({ prompt: ['the'], length: 5 })).split(' ').length, 5);
  throws(() => lm.generate({ prompt: 'the' }), /prompt: expected a list of tokens/);
});

test('a state dict of PyTorch, with lstm. for rnn., is loaded by its shapes', async () => {
  const lm = await LanguageModel.create({ ...SMALL, numLayers: 2 });
  const file = Buffer.from(lm.save({ weightsOnly: true }));
  const length = Number(file.readBigUInt64LE(0));
  const header = JSON.parse(file.subarray(8, 8 + length).toString());
  const renamed = Object.fromEntries(Object.entries(header).map(([name, v]) => [name.replace(/^rnn\./, 'lstm.'), v]));
  const write = (metadata: object) => {
    const text = Buffer.from(JSON.stringify({ ...renamed, __metadata__: metadata }));
    const head = Buffer.alloc(8);
    head.writeBigUInt64LE(BigInt(text.length));
    return Buffer.concat([head, text, file.subarray(8 + length)]);
  };
  const vocab = lm.vocabulary.tokens.join('');
  for (const again of [
    await LanguageModel.load(write({ vocab })),
    await LanguageModel.load(write({}), { config: { vocabulary: vocab } }),
    await LanguageModel.load(write({}), { config: { vocabulary: vocab }, rename: { 'lstm.': 'rnn.' } }),
  ]) {
    is(again.config.numLayers, 2);
    is(await again.generate({ length: 30, seed: 1 }), await lm.generate({ length: 30, seed: 1 }));
  }
  await rejects(LanguageModel.load(write({})), /vocabulary: expected/);
});

test('two models on one runtime leave each other alone, and give their memory back', async () => {
  const shared = await Runtime.create();
  const before = shared.memory().bytesInUse;
  const a = await create({ runtime: shared });
  const b = await create({ runtime: shared, seed: 4 });
  const alone = await create();
  await Promise.all([
    a.fit(TEXT, { ...FIT, steps: 5 }),
    b.fit(TEXT, { ...FIT, steps: 5 }),
    alone.fit(TEXT, { ...FIT, steps: 5 }),
  ]);
  ok(same(a.save(), alone.save()));
  a.dispose();
  is(
    b.generateSync({ length: 10, seed: 1 }),
    (await LanguageModel.load(b.save())).generateSync({ length: 10, seed: 1 }),
  );
  b.dispose();
  is(shared.memory().bytesInUse, before);
});

test('create says what is wrong with its options', async () => {
  const wrong: [object, RegExp][] = [
    [{ vocabulary: '' }, /vocabulary: the text is empty/],
    [{ vocabulary: [] }, /vocabulary: the list is empty/],
    [{ vocabulary: ['a', 'b', 'a'] }, /vocabulary: duplicate 'a'/],
    [{ vocabulary: 5 }, /vocabulary: expected a text or a list of tokens, got 5/],
    [{ vocabulary: 'abc', hiddenSize: 0 }, /hiddenSize: expected a positive whole number, got 0/],
    [{ vocabulary: 'abc', hiddenSize: -3 }, /hiddenSize: .*got -3/],
    [{ vocabulary: 'abc', hiddenSize: 1.5 }, /hiddenSize: .*got 1.5/],
    [{ vocabulary: 'abc', hiddenSize: Number.NaN }, /hiddenSize: .*got NaN/],
    [{ vocabulary: 'abc', hiddenSize: '8' }, /hiddenSize: .*got '8'/],
    [{ vocabulary: 'abc', numLayers: 0 }, /numLayers: .*got 0/],
    [{ vocabulary: 'abc', embeddingSize: -1 }, /embeddingSize: .*got -1/],
    [{ vocabulary: 'abc', seed: -1 }, /seed: .*got -1/],
    [{ vocabulary: 'abc', cell: 'lsmt' }, /cell: expected 'rnn' or 'lstm'.*got 'lsmt'; did you mean 'lstm'/],
    [{ vocabulary: 'abc', hiddensize: 8 }, /unknown option 'hiddensize'; did you mean 'hiddenSize'/],
    [{ vocabulary: 'abc', hiddenSize: 100_000 }, /160,000,000,000 bytes wanted.*at most 4 GiB/],
    [{ vocabulary: 'abc', hiddenSize: 2 ** 30 }, /bytes wanted.*at most 4 GiB/],
    [{ vocabulary: 'abc', build: 'fast' }, /build: expected 'simd' or 'relaxed', got 'fast'/],
    [{ vocabulary: 'abc', runtime: {} }, /runtime: expected a Runtime/],
  ];
  for (const [options, message] of wrong) {
    await rejects(LanguageModel.create(options as never), message);
    throws(() => LanguageModel.createSync(options as never), message);
  }
  await rejects(LanguageModel.create(undefined as never), /create: expected an object of options, got undefined/);
});

test('fit, evaluate and generate say what is wrong with theirs, and change nothing', async () => {
  const lm = await create();
  const before = lm.save();
  const wrong: [() => unknown, RegExp][] = [
    [() => lm.fit(''), /text: expected at least/],
    [() => lm.fit(42 as never), /text: expected a text or a list of tokens, got 42/],
    [() => lm.fit(TEXT.slice(0, 30)), /text: expected at least 1025 tokens for batchSize 16 and window 64, got 30/],
    [() => lm.fit(`${TEXT}Ωß`, FIT), /text: "Ω" and "ß" are not in the vocabulary/],
    [() => lm.fit(TEXT, { ...FIT, steps: 0 }), /steps: expected a positive whole number, got 0/],
    [() => lm.fit(TEXT, { ...FIT, batchSize: 2.5 }), /batchSize: .*got 2.5/],
    [() => lm.fit(TEXT, { ...FIT, window: -4 }), /window: .*got -4/],
    [() => lm.fit(TEXT, { ...FIT, clipNorm: Number.NaN }), /clipNorm: .*got NaN/],
    [() => lm.fit(TEXT, { ...FIT, learningRate: Infinity }), /learningRate: .*got Infinity/],
    [() => lm.fit(TEXT, { learningrate: 1 } as never), /unknown option 'learningrate'; did you mean 'learningRate'/],
    [() => lm.fit(TEXT, { signal: 5 } as never), /signal: expected an AbortSignal, got 5/],
    [() => lm.evaluate('7'), /text: expected at least two tokens, got 1/],
    [() => lm.evaluate(TEXT, { signal: 'stop' } as never), /signal: expected an AbortSignal, got 'stop'/],
    [() => lm.evaluate(TEXT, { signals: 1 } as never), /unknown option 'signals'; did you mean 'signal'/],
    [() => lm.generate({ prompt: 'Zoë' }), /prompt: "Z" and "ë" are not in the vocabulary/],
    [() => lm.generate({ prompt: '' }), /prompt: expected at least one token/],
    [() => lm.generate({ length: -1 }), /length: .*got -1/],
    [() => lm.generate({ temperature: -1 }), /temperature: .*got -1/],
    [() => lm.generate({ topP: 0 }), /topP: expected a finite number above 0 and at most 1, got 0/],
    [() => lm.generate({ topK: 1.5 }), /topK: .*got 1.5/],
    [() => lm.generate({ lenght: 5 } as never), /unknown option 'lenght'; did you mean 'length'/],
    [() => lm.save({ weightsOnly: 1 as never }), /weightsOnly: expected true or false, got 1/],
  ];
  for (const [call, message] of wrong) throws(call, message);
  ok(same(before, lm.save()));
});

test('a loss or a gradient that is not finite stops training, named, with the last good state', async () => {
  const lm = await create();
  await lm.fit(TEXT, { ...FIT, steps: 3 });
  const good = lm.save();
  const head = lm.model.get('head.bias');
  // set refuses what is not finite
  lm.model.runtime.write(
    lm.model.parameter('head.bias').at,
    head.map(() => Number.NaN),
  );
  lm.model.changed();
  let caught: unknown;
  await lm.fit(TEXT, { ...FIT, steps: 3 }).catch((error) => {
    caught = error;
  });
  ok(caught instanceof NonFiniteError);
  is(caught.step, 4);
  is(caught.where, 'loss');
  ok(/the loss of step 4 is NaN/.test(caught.message), caught.message);
  lm.model.set('head.bias', head);
  ok(same(good, lm.save()), 'nothing else has changed');

  const wide = lm.model.get('head.weight');
  // a finite loss whose gradient overflows: huge inputs that weights of 0 keep out of the way forward
  for (const { name, size } of lm.model.parameters) lm.model.set(name, new Float32Array(size));
  lm.model.set(
    'head.weight',
    wide.map((_, i) => (Math.floor(i / 12) % 2 ? 3e37 : -3e37)),
  );
  lm.model.set(
    'embedding.weight',
    lm.model.get('embedding.weight').map(() => 1e9),
  );
  caught = undefined;
  await lm.fit(TEXT, { ...FIT, steps: 1 }).catch((error) => {
    caught = error;
  });
  ok(caught instanceof NonFiniteError, String(caught));
  is(caught.where, 'rnn.weight_ih_l0');
  ok(/the gradient of rnn.weight_ih_l0 in step 4 is not finite/.test(caught.message), caught.message);
});

test('a disposed model says so', async () => {
  const lm = await create();
  lm.dispose();
  throws(() => lm.generate({ length: 3 }), /has been disposed/);
  lm.dispose();
});

test('files that are damaged or of something else are refused, by name', async () => {
  const lm = await create();
  await lm.fit(TEXT, { ...FIT, steps: 2 });
  const file = Buffer.from(lm.save());
  const length = Number(file.readBigUInt64LE(0));
  const header = JSON.parse(file.subarray(8, 8 + length).toString());
  const rewrite = (change: (h: typeof header) => void, data = file.subarray(8 + length)) => {
    const copy = structuredClone(header);
    change(copy);
    const text = Buffer.from(JSON.stringify(copy));
    const head = Buffer.alloc(8);
    head.writeBigUInt64LE(BigInt(text.length));
    return Buffer.concat([head, text, data]);
  };
  const poison = Buffer.from(file);
  poison.writeFloatLE(Number.NaN, 8 + length + 40);
  const lying = Buffer.from(file);
  lying.writeBigUInt64LE(2n ** 60n, 0);
  const w = 'rnn.weight_hh_l0';
  const wrong: [Uint8Array, RegExp][] = [
    [Buffer.alloc(3), /the file has 3 bytes; a safetensors file has at least 8/],
    [Buffer.from('PK\x03\x04 a pickle from torch.save'), /looks like a zip file/],
    [file.subarray(0, 100), /cut off or not a safetensors file/],
    [file.subarray(0, file.length - 4), /the file is cut off|takes? .* it is cut off/],
    [Buffer.concat([file, Buffer.alloc(4)]), /something follows it/],
    [lying, /cut off or not a safetensors file/],
    [rewrite((h) => delete h[w], file.subarray(8 + length)), /begins at byte|missing/],
    [rewrite((h) => (h[w].dtype = 'I32')), /rnn.weight_hh_l0: expected numbers of type F64, F32, F16, BF16, got 'I32'/],
    [
      rewrite((h) => (h[w].shape = [48, 6])),
      /rnn.weight_hh_l0: shape \[48, 6\] needs 1152 bytes, its data_offsets span 2304/,
    ],
    [rewrite((h) => (h[w].shape = [24, 24])), /rnn.weight_hh_l0 is \[24, 24\] and not \[48, 12\]/],
    [rewrite((h) => (h[w].shape = [-48, -12])), /its shape is not a list of sizes/],
    [rewrite((h) => (h[w].data_offsets = [0, 2304])), /begins at byte/],
    [rewrite((h) => (h[w].data_offsets = [5, 1])), /lies at bytes 5 to 1|no pair/],
    [rewrite((h) => (h[w].data_offsets = 'x')), /data_offsets are not a pair/],
    [
      rewrite((h) => {
        h['rnn.extra'] = h[w];
        delete h[w];
      }),
      /missing rnn.weight_hh_l0; not expected rnn.extra/,
    ],
    [rewrite((h) => (h.__metadata__.gatewise = '{')), /is not valid JSON/],
    [
      rewrite((h) => (h.__metadata__.gatewise = '{"format":99}')),
      /is of format 99; this version reads formats 1 and 2/,
    ],
    [
      rewrite((h) => (h.__metadata__.gatewise = header.__metadata__.gatewise.replace('language-model', 'tagger'))),
      /holds 'tagger', not 'language-model'/,
    ],
    [
      rewrite(
        (h) => (h.__metadata__.gatewise = header.__metadata__.gatewise.replace('"hiddenSize":12', '"hiddenSize":-1')),
      ),
      /hiddenSize: expected a positive whole number/,
    ],
    [poison, /number 10 is NaN in float32; expected finite numbers/],
  ];
  for (const [bytes, message] of wrong) {
    let caught: unknown;
    await LanguageModel.load(bytes).catch((error) => {
      caught = error;
    });
    ok(caught instanceof FormatError, `${message}: ${caught}`);
    ok(message.test(caught.message), `${caught.message} for ${message}`);
  }
  await rejects(LanguageModel.load('model' as never), /bytes: expected a Uint8Array/);
  ok(same((await LanguageModel.load(file)).save(), file));
});

test.run();
