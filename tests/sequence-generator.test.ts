/** Vector → sequence: each way in and each kind of output, by its gradient, by what it learns, and by what it says to bad input. */
import { FormatError, gradcheck } from 'gatewise';
import { type GeneratorTarget, SequenceGenerator, type SequenceGeneratorOptions } from 'gatewise/tasks';
import { test } from 'uvu';
import { equal, is, ok, throws } from 'uvu/assert';
import { random } from './support/numbers.js';
import { rejects } from './support/rejects.js';

const same = (a: Uint8Array, b: Uint8Array) => Buffer.compare(a, b) === 0;
const passes = ['state', 'input', 'both'] as const;

/** Six bits of a number, and their text. */
const BITS = 6;
const bitsOf = (n: number) => Array.from({ length: BITS }, (_, i) => (n >> i) & 1);
/** What is wanted of it: the bits up to the highest one, in words. */
const spelled = (n: number) => n.toString(2).replaceAll('0', 'o').replaceAll('1', 'i');
const numbers = Array.from({ length: 2 ** BITS }, (_, n) => n);
const isHeldOut = (n: number) => n % 5 === 2;

const texts = numbers.map((n) => ({ input: bitsOf(n), target: spelled(n) }));
/** The same bits, turned by one place at each step, for as many steps as the number of ones and two more. */
const turned = numbers.map((n) => {
  const bits = bitsOf(n);
  const steps = 2 + bits.reduce((sum, b) => sum + b, 0);
  return {
    input: bits,
    target: Array.from({ length: steps }, (_, t) => bits.map((_, i) => bits[(i + t) % BITS])),
  };
});
/** A swing of its own start and pace: y_t = pace·y_{t-1} - y_{t-2}. */
const swings = numbers.map((n) => {
  const [a, b, pace] = [((n % 8) - 3.5) / 4, ((n >> 3) - 3.5) / 4, 1.2];
  const y = [a, b];
  while (y.length < (a > 0 ? 9 : 6)) y.push(pace * y[y.length - 1] - y[y.length - 2]);
  return { input: [a, b], target: y.map((v) => [v, v / 2]) };
});

const kinds = {
  tokens: { examples: texts, options: { inputSize: BITS, target: 'oi', embeddingSize: 6 } },
  vectors: { examples: swings, options: { inputSize: 2, target: { vectors: 2 } } },
  bits: { examples: turned, options: { inputSize: BITS, target: { bits: BITS } } },
};

for (const [kind, { examples, options }] of Object.entries(kinds)) {
  for (const pass of passes) {
    for (const cell of ['gru', 'lstm'] as const) {
      test(`${kind}, X as ${pass}, ${cell}: gradcheck`, async () => {
        const shape = { cell, hiddenSize: [5, 4], pass, outputDropout: 0.2, seed: 4 };
        using model = await SequenceGenerator.create<GeneratorTarget, number>({ ...options, ...shape });
        const { layers } = model.model;
        const some = [examples[37], examples[5], examples[62]];
        const inputs = some.map(({ input }) => Float32Array.from(input));
        const targets = some.map(({ target }) => ({
          length: target.length,
          ids: typeof target === 'string' ? Int32Array.from(target, (c) => 'oi'.indexOf(c)) : new Int32Array(),
          values: typeof target === 'string' ? new Float32Array() : Float32Array.from(target.flat()),
        }));
        const result = gradcheck(model.model, (tape) => layers.losses(tape, layers.encode(tape, inputs), targets));
        ok(result.ok, `worst ${result.worst}`);
        // nothing is left out, X included
        is(result.parameters.length, 2 * model.model.parameters.length);
      });
    }
  }
}

for (const pass of passes) {
  test(`tokens, X as ${pass}: spells numbers it never saw, at least 99 %`, async () => {
    using model = await SequenceGenerator.create({
      ...kinds.tokens.options,
      hiddenSize: 32,
      hiddenLayers: [48],
      pass,
      seed: 1,
    });
    // the same patterns in other places: all but a fifth of the numbers
    await model.fit(
      texts.filter((_, n) => !isHeldOut(n)),
      { epochs: 150, batchSize: 16, learningRate: 1e-2, schedule: { kind: 'cosine', steps: 600 } },
    );
    const { exact, loss } = await model.evaluate(texts);
    ok(exact >= 0.9, `exact ${exact} of all, loss ${loss}`);
    const seen = await model.evaluate(texts.filter((_, n) => !isHeldOut(n)));
    ok(seen.exact >= 0.99, `exact ${seen.exact}`);
  });

  test(`bits, X as ${pass}: turns patterns and ends in time, at least 99 %`, async () => {
    using model = await SequenceGenerator.create({ ...kinds.bits.options, hiddenSize: 48, pass, seed: 1 });
    await model.fit(turned, {
      epochs: 120,
      batchSize: 16,
      learningRate: 1e-2,
      schedule: { kind: 'cosine', steps: 480 },
    });
    const { exact, loss, endLoss } = await model.evaluate(turned);
    ok(exact >= 0.99, `exact ${exact}, loss ${loss}, end ${endLoss}`);
  });

  test(`vectors, X as ${pass}: swings on its own, within 1 % of the variance`, async () => {
    using model = await SequenceGenerator.create({ ...kinds.vectors.options, hiddenSize: 32, pass, seed: 1 });
    await model.fit(swings, {
      epochs: 300,
      batchSize: 16,
      learningRate: 1e-2,
      schedule: { kind: 'cosine', steps: 1200 },
    });
    const written = await model.predict(
      swings.map(({ input }) => input),
      { maxLength: 20 },
    );
    let [squares, variance, ends] = [0, 0, 0];
    swings.forEach(({ target }, i) => {
      if (written[i].complete && written[i].vectors.length === target.length) ends++;
      target.forEach((frame, t) =>
        frame.forEach((v, f) => {
          squares += ((written[i].vectors[t]?.[f] ?? 0) - v) ** 2;
          variance += v * v;
        }),
      );
    });
    ok(squares / variance < 0.01, `${squares / variance}`);
    ok(ends >= 0.9 * swings.length, `${ends} end in time`);
  });
}

test('classes, one or several, with numbers', async () => {
  using model = await SequenceGenerator.create({
    inputSize: 1,
    classes: ['high', 'low', 'long'],
    target: 'hl!',
    hiddenSize: 24,
    seed: 2,
  });
  const examples = ['high', 'low'].flatMap((pitch) =>
    [0, 1].flatMap((loud) =>
      [false, true].map((long) => ({
        input: { values: [loud], classes: long ? [pitch, 'long'] : pitch },
        target: pitch[0].repeat(long ? 4 : 2) + '!'.repeat(loud),
      })),
    ),
  );
  await model.fit(examples, { epochs: 150, batchSize: 4, learningRate: 1e-2 });
  const written = await model.predict(examples.map(({ input }) => input));
  equal(
    written.map(({ text }) => text),
    examples.map(({ target }) => target),
  );
  ok(written.every(({ complete }) => complete));
});

test('a beam of 1 is greedy; the best of a beam that holds the whole tree is the most probable of all', async () => {
  using model = await SequenceGenerator.create({ ...kinds.tokens.options, hiddenSize: 8, seed: 3 });
  await model.fit(texts, { epochs: 5 });
  const inputs = texts.slice(20, 30).map(({ input }) => input);
  const greedy = await model.predict(inputs, { maxLength: 5 });
  equal(await model.predict(inputs, { maxLength: 5, beamWidth: 1 }), greedy);
  const [best] = await model.predict(inputs.slice(0, 1), { maxLength: 5, beamWidth: 64, lengthNormalization: 0 });
  // each text's own probability, by the loss of its tokens and its end
  let most = -Infinity;
  for (let length = 0; length < 5; length++) {
    for (let n = 0; n < 2 ** length; n++) {
      const target = Array.from({ length }, (_, i) => 'oi'[(n >> i) & 1]).join('');
      const { loss } = await model.evaluate([{ input: inputs[0], target }]);
      most = Math.max(most, -loss * (length + 1));
    }
  }
  ok(best.complete && Math.abs(best.logProbability - most) < 1e-5, `${best.logProbability}, expected ${most}`);
});

test('the same seed draws the same, another one does not, whatever the batches; the model’s own stream moves', async () => {
  using tokens = await SequenceGenerator.create({ ...kinds.tokens.options, hiddenSize: 8 });
  using bits = await SequenceGenerator.create({ ...kinds.bits.options, hiddenSize: 8 });
  const inputs = texts.slice(0, 20).map(({ input }) => input);
  for (const model of [tokens, bits]) {
    const draw = (options: object) => model.generate(inputs, { maxLength: 12, ...options });
    equal(await draw({ seed: 5 }), await draw({ seed: 5 }));
    const text = JSON.stringify(await draw({ seed: 5 }));
    ok(text !== JSON.stringify(await draw({ seed: 6 })));
    const [first, second] = [await draw({}), await draw({})];
    ok(JSON.stringify(first) !== JSON.stringify(second));
    const cold = await draw({ temperature: 0 });
    equal(cold, await model.predict(inputs, { maxLength: 12 }));
  }
  const written = await tokens.generate(inputs, { seed: 1, maxLength: 3 });
  ok(written.every((w) => w.tokens.length <= 3));
  const frames = await bits.generate(inputs, { seed: 1, maxLength: 3 });
  ok(frames.every((w) => w.frames.length <= 3 && w.frames.every((v) => v.every((x) => x === 0 || x === 1))));
  const next = { ...bits.model.random.next };
  await bits.generate(inputs, { seed: 1, maxLength: 3 });
  equal(bits.model.random.next, next, 'a seed leaves the own stream where it is');
});

for (const [kind, { examples, options }] of Object.entries(kinds)) {
  test(`${kind}: four epochs equal two, save, load, two more, bit for bit`, async () => {
    const make = (): Promise<SequenceGenerator> =>
      SequenceGenerator.create<GeneratorTarget, number>({ ...options, hiddenSize: 8, inputDropout: 0.1, seed: 7 });
    const fit = { batchSize: 10, learningRate: 1e-2 };
    using whole = await make();
    await whole.fit(examples, { ...fit, epochs: 4 });
    using half = await make();
    await half.fit(examples, { ...fit, epochs: 2 });
    await half.evaluate(examples);
    using again = await SequenceGenerator.load(half.save());
    equal(again.config, half.config);
    await again.fit(examples, { ...fit, epochs: 2 });
    ok(same(whole.save(), again.save()));
    const inputs = examples.map(({ input }) => input);
    equal(await again.predict(inputs, { maxLength: 9 }), await whole.predict(inputs, { maxLength: 9 }));
  });

  test(`${kind}: sequences of a batch, of different lengths, give the loss they give one by one, to 1e-6`, async () => {
    using model = await SequenceGenerator.create<GeneratorTarget, number>({
      ...options,
      hiddenSize: 8,
      pass: 'both',
      seed: 7,
    });
    const together = await model.evaluate(examples, { batchSize: 64 });
    const alone = await model.evaluate(examples, { batchSize: 1 });
    ok(Math.abs(together.loss - alone.loss) <= 1e-6 * alone.loss, `${together.loss}, ${alone.loss}`);
    is('endLoss' in together, kind !== 'tokens');
    if ('endLoss' in together && 'endLoss' in alone)
      ok(Math.abs(together.endLoss - alone.endLoss) <= 1e-6 * alone.endLoss);
  });
}

test('losses of frames are in nats per frame: the sum over a frame, and the end, in fit as in evaluate', async () => {
  const log = (p: number) => -Math.log(p);
  for (const kind of ['bits', 'vectors'] as const) {
    const { examples, options } = kinds[kind];
    using model: SequenceGenerator = await SequenceGenerator.create<GeneratorTarget, number>({
      ...options,
      hiddenSize: 4,
    });
    // the same at every step: 0.8 for a one, 0.25 for every number, 0.3 for the end
    for (const { name, size } of model.model.parameters) model.model.set(name, new Float32Array(size));
    const F = examples[0].target[0].length;
    const level = kind === 'bits' ? Math.log(4) : 0.25;
    model.model.set('head.bias', new Float32Array(F).fill(level));
    model.model.set('over.bias', [Math.log(0.3 / 0.7)]);
    let [frames, numbers, ends] = [0, 0, 0];
    for (const { target } of examples) {
      const all = (target as number[][]).flat();
      frames += target.length;
      for (const v of all) numbers += kind === 'bits' ? log(v ? 0.8 : 0.2) : (v - 0.25) ** 2 / 2;
      ends += target.length * log(0.7) + log(0.3);
    }
    const near = (got: number, want: number) => ok(Math.abs(got - want) < 1e-5 * want, `${got}, expected ${want}`);
    for (const batchSize of [64, 5]) {
      const report = await model.evaluate(examples, { batchSize });
      near(report.loss, numbers / frames);
      near('endLoss' in report ? report.endLoss : 0, ends / frames);
    }
    for await (const { loss } of model.fit(examples, { epochs: 1, batchSize: 64 }))
      near(loss, (numbers + ends) / frames);
  }
});

test('results have the fields that were asked for, and no others', async () => {
  const keys = (own: object) => Object.keys(own).join(' ');
  using tokens = await SequenceGenerator.create({ ...kinds.tokens.options, hiddenSize: 4 });
  using vectors = await SequenceGenerator.create({ ...kinds.vectors.options, hiddenSize: 4 });
  using bits = await SequenceGenerator.create({ ...kinds.bits.options, hiddenSize: 4 });
  const some = texts.slice(0, 3);
  const inputs = some.map(({ input }) => input);
  const [greedy] = await tokens.predict(inputs, { maxLength: 4 });
  const [best] = await tokens.predict(inputs, { maxLength: 4, beamWidth: 2 });
  is(keys(greedy), 'text tokens complete');
  is(keys(best), 'text tokens complete logProbability hypotheses');
  is(best.hypotheses[0].text, best.text);
  // @ts-expect-error only a beam has hypotheses
  is(greedy.hypotheses, undefined);
  is(keys((await tokens.generate(inputs))[0]), 'text tokens complete');
  const [swing] = await vectors.predict([[1, 0]], { maxLength: 4 });
  is(keys(swing), 'vectors complete');
  is(swing.vectors[0].length, 2);
  const [turn] = await bits.predict(inputs, { maxLength: 4 });
  is(keys(turn), 'frames complete');
  is(turn.frames[0].length, BITS);
  // @ts-expect-error frames are not vectors
  is(turn.vectors, undefined);
  is(keys(await tokens.evaluate(some)), 'loss exact');
  is(keys(await vectors.evaluate(swings.slice(0, 3))), 'loss endLoss');
  is(keys(await bits.evaluate(turned.slice(0, 3))), 'loss endLoss exact');
  is(tokens.targetVocabulary.tokens.join(''), 'io');
  is(bits.targetVocabulary, undefined);
});

test('predict shows progress and can be cancelled', async () => {
  using model = await SequenceGenerator.create({ ...kinds.tokens.options, hiddenSize: 8 });
  const next = random(1);
  const inputs = Array.from({ length: 300 }, () => bitsOf(Math.floor(next() * 64)));
  const done: number[] = [];
  for await (const p of model.predict(inputs, { batchSize: 100 })) done.push(p.done);
  equal(done, [100, 200, 300]);
  await rejects(model.predict(inputs, { signal: AbortSignal.abort(new Error('enough')) }), /enough/);
});

/** A walk on a ring of five places, one up or two up by what was before, until it comes to place 4: without any condition. */
const WALKS = [
  [0, 1, 2, 4],
  [0, 2, 3, 4],
  [0, 1, 3, 4],
].map((places) => ({
  target: places.map((p) => [0, 1, 2, 3, 4].map((k) => (k === p ? 1 : 0))),
}));
const free = {
  tokens: { target: 'abcde', embeddingSize: 6 },
  bits: { target: { bits: 5 } },
  vectors: { target: { vectors: 5 } },
} as const;
const lettersOf = (frames: number[][]) => frames.map((frame) => 'abcde'[frame.indexOf(1)]).join('');
const walksOf = (kind: keyof typeof free) =>
  WALKS.map(({ target }) => ({ target: kind === 'tokens' ? lettersOf(target) : target }));

for (const [kind, options] of Object.entries(free) as [keyof typeof free, object][]) {
  const create = (own: object = {}): Promise<SequenceGenerator<GeneratorTarget, false>> =>
    SequenceGenerator.create<GeneratorTarget>({ ...(options as { target: GeneratorTarget }), hiddenSize: 6, ...own });

  test(`${kind}, without a condition: gradients, batches, and two epochs and two are four`, async () => {
    const examples = walksOf(kind).map((own, i) => ({ target: own.target.slice(0, 4 - i) })) as typeof WALKS;
    for (const initialState of ['zero', 'learned'] as const) {
      using model = await create({ hiddenSize: [5, 4], initialState, outputDropout: 0.2, cell: 'lstm', seed: 4 });
      const { layers } = model.model;
      const targets = examples.map(({ target }) => ({
        length: target.length,
        ids: typeof target === 'string' ? Int32Array.from(target, (c: string) => 'abcde'.indexOf(c)) : new Int32Array(),
        values: typeof target === 'string' ? new Float32Array() : Float32Array.from(target.flat()),
      }));
      const nothing = targets.map(() => new Float32Array());
      const result = gradcheck(model.model, (tape) => layers.losses(tape, layers.encode(tape, nothing), targets));
      ok(result.ok, `worst ${result.worst}`);
      is(result.parameters.length, 2 * model.model.parameters.length);
      ok(model.model.parameters.every(({ name }) => !/bridge|encoder/.test(name)));
    }
    const fit = { batchSize: 2, learningRate: 1e-2 };
    using whole = await create({ inputDropout: 0.1, seed: 7 });
    await whole.fit(examples, { ...fit, epochs: 4 });
    using half = await create({ inputDropout: 0.1, seed: 7 });
    await half.fit(examples, { ...fit, epochs: 2 });
    using again = await SequenceGenerator.load(half.save());
    equal(again.config, half.config);
    await again.fit(examples, { ...fit, epochs: 2 });
    ok(same(whole.save(), again.save()));
    equal(await again.predict({ maxLength: 9 }), await whole.predict({ maxLength: 9 }));
    const together = await whole.evaluate(examples, { batchSize: 64 });
    const alone = await whole.evaluate(examples, { batchSize: 1 });
    ok(Math.abs(together.loss - alone.loss) <= 1e-6 * alone.loss, `${together.loss}, ${alone.loss}`);
  });

  test(`${kind}, without a condition: a stream is the same sequence, in any pieces, saved, cloned and reset`, async () => {
    using model = await create({ hiddenSize: [6, 5], cell: 'lstm', seed: 2 });
    await model.fit(walksOf(kind) as typeof WALKS, { epochs: 3, learningRate: 1e-2 });
    const [{ target }] = walksOf(kind);
    const piece = (from: number, to: number) => target.slice(from, to) as number[][];
    const stream = model.stream();
    const first = stream.step(piece(0, 0));
    const each = [0, 1, 2, 3].map((t) => stream.step(piece(t, t + 1)));
    equal(model.stream().step(piece(0, 4)), each[3], 'all at once');
    const begun = model.stream();
    equal(begun.step(piece(0, 2)), each[1], 'without a look at the first');
    const kept = begun.save();
    const clone = begun.clone();
    equal(begun.step(piece(2, 3)), each[2]);
    const resumed = model.stream(kept);
    equal(resumed.step(piece(2, 3)), each[2], 'saved and loaded');
    equal(resumed.step(piece(3, 4)), each[3]);
    equal(clone.step(piece(2, 3)), each[2], 'a clone moves on its own');
    resumed.reset();
    equal(resumed.step(piece(0, 0)), first, 'after a reset');
    equal(model.stream(model.stream().save()).step(piece(0, 0)), first, 'saved before it began');
    throws(() => stream.step(piece(0, 0)), /^input: is empty/);
    equal(
      stream.step(piece(0, 1)),
      stream.clone() && model.stream().step([...target, target[0]] as never),
      'not moved',
    );
    // the loss of the sequence is that of what the stream says
    const { loss } = await model.evaluate([{ target }] as typeof WALKS);
    const said = [first, ...each];
    let sum = 0;
    for (let t = 0; t <= 4; t++) {
      const own = said[t] as { probabilities: Float32Array; vector: Float32Array; end: number };
      if (kind === 'tokens') sum -= Math.log(t < 4 ? own.probabilities['abcde'.indexOf(target[t] as string)] : own.end);
      else if (t < 4) {
        (target[t] as number[]).forEach((y, f) => {
          sum +=
            kind === 'bits'
              ? -Math.log(y ? own.probabilities[f] : 1 - own.probabilities[f])
              : (own.vector[f] - y) ** 2 / 2;
        });
      }
    }
    const per = kind === 'tokens' ? 5 : 4;
    ok(Math.abs(sum / per - loss) < 1e-5 * loss, `${sum / per}, evaluate ${loss}`);
  });
}

test('without a condition: what it has learned is drawn, and the choice that follows from what was before', async () => {
  using model = await SequenceGenerator.create({ ...free.tokens, hiddenSize: 24, seed: 1 });
  const examples = walksOf('tokens') as { target: string }[];
  await model.fit(examples, { epochs: 150, learningRate: 1e-2 });
  const drawn = await model.generate({ count: 200, seed: 3, maxLength: 9 });
  is(drawn.length, 200);
  const known = examples.map(({ target }) => target);
  const counts = known.map((target) => drawn.filter(({ text }) => text === target).length);
  ok(counts.every((n) => n > 40) && counts.reduce((a, b) => a + b) >= 196, `${counts}`);
  equal(await model.generate({ count: 200, seed: 3, maxLength: 9 }), drawn, 'the same seed');
  const [best] = await model.predict({ beamWidth: 8, maxLength: 9 });
  is(best.hypotheses.length, 8);
  ok(Math.abs(best.logProbability - Math.log(1 / 3)) < 0.1, `${best.logProbability}`);
  const { token, end } = model.stream().step('abd');
  is(token, 'e');
  ok(end < 0.02);
});

test('a stream with a condition: that of predict, in each way in; the saved one has its condition', async () => {
  for (const pass of passes) {
    using model = await SequenceGenerator.create({ ...kinds.bits.options, hiddenLayers: [7], hiddenSize: 12, pass });
    await model.fit(turned, { epochs: 4, learningRate: 1e-2 });
    for (const { input } of turned.slice(3, 6)) {
      const [{ frames }] = await model.predict([input], { maxLength: 6 });
      const stream = model.stream(undefined, { input });
      let next = stream.step([]);
      for (const [t, frame] of frames.entries()) {
        equal(next.frame, frame, `step ${t}`);
        next = model.stream(stream.save()).step([frame]);
        equal(stream.step([frame]), next);
      }
      const resumed = model.stream(stream.save());
      resumed.reset();
      equal(resumed.step([]).frame, frames[0], 'the condition of a saved stream outlives a reset');
    }
    throws(() => model.stream(), /^input: expected 6 numbers, got undefined/);
    const saved = model.stream(undefined, { input: turned[0].input }).save();
    throws(() => model.stream(saved, { input: turned[0].input }), /^input: a saved stream has its own/);
  }
});

test('conditions and their absence are typed, and checked at run time', async () => {
  using music = await SequenceGenerator.create({ target: { bits: 2 }, hiddenSize: 4 });
  using named = await SequenceGenerator.create({ classes: ['x', 'y'], target: 'ab', hiddenSize: 4 });
  const [{ frames }] = await music.generate({ seed: 1, maxLength: 3 });
  ok(frames.length <= 3);
  const call = async (work: () => PromiseLike<unknown>) => work();
  await rejects(
    // @ts-expect-error there is no condition
    call(() => music.generate(['x'])),
    /^inputs: this model has no condition; expected options/,
  );
  await rejects(
    // @ts-expect-error there is no condition
    call(() => music.predict(['x'], { maxLength: 3 })),
    /^inputs: this model has no condition/,
  );
  await rejects(
    // @ts-expect-error inputs are needed
    call(() => named.generate({ maxLength: 3 })),
    /^inputs: expected a list of inputs, got an object/,
  );
  await rejects(
    // @ts-expect-error one sequence for each input
    call(() => named.generate(['x'], { count: 3 })),
    /^count: is for models without a condition/,
  );
  await rejects(
    // @ts-expect-error no input
    call(() => music.fit([{ input: 'x', target: [[1, 0]] }])),
    /^examples\[0\]\.input: this model has no condition/,
  );
  await rejects(
    // @ts-expect-error an input is needed
    call(() => named.fit([{ target: 'a' }])),
    /^examples\[0\]\.input: expected a class/,
  );
  await rejects(
    call(() => music.fit([3 as never])),
    /^examples\[0\]: expected \{ target \}, got 3/,
  );
  await rejects(
    call(() => music.generate({ count: 0 })),
    /^count: expected a positive whole number, got 0/,
  );
  // @ts-expect-error there is no condition
  throws(() => music.stream(undefined, { input: 'x' }), /^input: this model has no condition/);
  const stream = music.stream();
  throws(() => stream.step([[1, 0.5]]), /^input: expected zeros and ones, number 1 is 0.5/);
  throws(() => stream.step('ab' as never), /^input: expected vectors of 2 numbers/);
  // @ts-expect-error X is needed for a way in
  await rejects(SequenceGenerator.create({ target: 'ab', pass: 'input' }), /^pass: needs inputSize or classes/);
  // @ts-expect-error X is needed for layers that read it
  await rejects(SequenceGenerator.create({ target: 'ab', hiddenLayers: [4] }), /^hiddenLayers: needs inputSize/);
  const next: Float32Array = stream.step([]).probabilities;
  is(next.length, 2);
  const token: string = named.stream(undefined, { input: 'x' }).step('a').token;
  ok('ab'.includes(token));
  using other = await SequenceGenerator.create({ target: { bits: 2 }, hiddenSize: 5 });
  throws(() => other.stream(stream.save()), /the state's h has the sizes \[4\], the model's layers \[5\]/);
});

test('bad input: each with its message, before anything is changed', async () => {
  const make = (options: Partial<SequenceGeneratorOptions> | Record<string, unknown>): Promise<SequenceGenerator> =>
    SequenceGenerator.create({ inputSize: 2, target: 'ab', hiddenSize: 4, ...options } as SequenceGeneratorOptions);
  for (const [options, message] of [
    [{ inputSize: undefined, pass: 'input' }, /^pass: needs inputSize or classes; without them there is no X/],
    [{ inputSize: undefined, hiddenLayers: [4] }, /^hiddenLayers: needs inputSize or classes/],
    [{ inputSize: 0 }, /^inputSize: expected a positive whole number, got 0/],
    [{ classes: [] }, /^classes: expected a list of at least one name/],
    [{ target: 3 }, /^target: expected tokens, \{ vectors: features \} or \{ bits: features \}, got 3/],
    [{ target: { bits: 3, vectors: 2 } }, /^target: expected tokens/],
    [{ target: { bits: 0 } }, /^target\.bits: expected a positive whole number, got 0/],
    [{ target: { bits: 2 }, embeddingSize: 4 }, /^embeddingSize: needs a target of tokens/],
    [{ pass: 'never' }, /^pass: expected 'state' or 'input' or 'both', got 'never'/],
    [{ hiddenLayers: [0] }, /^hiddenLayers\[0\]: expected a positive whole number/],
    [{ outputDropout: 1 }, /^outputDropout: expected a number below 1/],
    [{ initialState: 'learned' }, /^initialState: 'learned' needs pass: 'input'/],
    [{ bidirectional: true }, /unknown option 'bidirectional'/],
  ] as const) {
    await rejects(make(options), message);
  }
  using model = await make({});
  using both = await make({ classes: ['x', 'y'] });
  using bits = await make({ target: { bits: 2 } });
  using vectors = await make({ target: { vectors: 2 } });
  const before = model.save();
  const call = async (work: () => PromiseLike<unknown>) => work();
  for (const [work, message] of [
    [() => model.fit([]), /^examples: expected at least one/],
    [
      () => model.fit([{ input: [1], target: 'a' }]),
      /^examples\[0\]\.input: expected 2 numbers, got Array of length 1/,
    ],
    [
      () => model.fit([{ input: [1, Number.NaN], target: 'a' }]),
      /^examples\[0\]\.input\[1\]: expected a finite number, got NaN/,
    ],
    [() => model.fit([{ input: [1, 2], target: 'abc' }]), /^examples\[0\]\.target: "c" is not in the vocabulary/],
    [() => both.fit([{ input: [1, 2], target: 'a' }]), /^examples\[0\]\.input: expected an object of options/],
    [
      () => both.fit([{ input: { values: [1, 2], classes: 'z' }, target: 'a' }]),
      /^examples\[0\]\.input\.classes: 'z' is not among the classes x and y/,
    ],
    [
      () => bits.fit([{ input: [1, 2], target: [[1, 0.5]] }]),
      /^examples\[0\]\.target: expected zeros and ones, number 1 is 0\.5/,
    ],
    [() => bits.fit([{ input: [1, 2], target: [] }]), /^examples\[0\]\.target: is empty/],
    [
      () => vectors.fit([{ input: [1, 2], target: [[1]] }]),
      /^examples\[0\]\.target\[0\]: expected a vector of 2 numbers/,
    ],
    [() => model.predict([[1, 2]], { maxLength: 0 }), /^maxLength: expected a positive whole number, got 0/],
    [() => model.predict([[1, 2]], { temperature: 2 } as never), /^predict: unknown option 'temperature'/],
    [() => bits.predict([[1, 2]], { beamWidth: 2 }), /^beamWidth: needs a target of tokens, got bits/],
    [() => bits.generate([[1, 2]], { topK: 2 }), /^topK: needs a target of tokens, got bits/],
    [() => vectors.generate([[1, 2]]), /^generate: vectors have no probabilities to draw from/],
  ] as const) {
    await rejects(call(work), message);
  }
  ok(same(before, model.save()));
  let caught: unknown;
  try {
    await SequenceGenerator.load(before.slice(0, 100));
  } catch (error) {
    caught = error;
  }
  ok(caught instanceof FormatError);
});

test.run();
