/** Models of layers: batches, padding, checkpoints that resume bit for bit, chains that step, the programs of docs/custom-models.md. */
import { readFileSync } from 'node:fs';
import {
  activation,
  crossEntropyLoss,
  dropout,
  Embedding,
  FormatError,
  input,
  LayerNorm,
  Linear,
  loadState,
  loadWeights,
  Model,
  mseLoss,
  Optimizer,
  Recurrent,
  type Runtime,
  read,
  Schedule,
  saveState,
  type Tape,
  train,
} from 'gatewise';
import { Sequential } from 'gatewise/functions';
import { SequenceClassifier } from 'gatewise/tasks';
import { Batches, bucket, loadTraining, padTokens, padVectors, saveTraining } from 'gatewise/training';
import { test } from 'uvu';
import { equal, is, ok, throws } from 'uvu/assert';
import { builds, runtime } from './support/builds.js';
import { rejects } from './support/rejects.js';

const examples = Array.from({ length: 23 }, (_, i) => ({
  tokens: Array.from({ length: 1 + ((i * 5) % 7) }, (_, t) => (i * 3 + t) % 6),
  label: i % 3,
}));

/** A model with dropout, which draws random numbers in every step. */
function classifier(r: Runtime, seed = 4) {
  return new Model(r, seed, (b) => ({
    embedding: new Embedding(b, 'embedding', { vocabularySize: 6, embeddingSize: 5 }),
    rnn: new Recurrent(b, 'rnn', { cell: 'gru', inputSize: 5, hiddenSize: 6 }),
    head: new Linear(b, 'head', { inputSize: 6, outputSize: 3 }),
  }));
}
type Classifier = ReturnType<typeof classifier>;

/** Steps of a training: what there is, or what was loaded. */
async function steps(model: Classifier, n: number, from: Partial<ReturnType<typeof loadTraining>>) {
  const optimizer = from.optimizer ?? new Optimizer(model, { optimizer: 'adamw', learningRate: 0.01, amsgrad: true });
  const schedule = from.schedule ?? new Schedule({ kind: 'plateau', every: 3, patience: 0, factor: 0.5 });
  const position = (from.position ?? undefined) as Batches<(typeof examples)[0]>['position'] | undefined;
  const batches = new Batches(model, examples, { batchSize: 4, length: ({ tokens }) => tokens.length, position });
  const next = () => {
    const batch = batches.next();
    const { tokens, shape } = padTokens(batch.map((example) => example.tokens));
    const loss = (tape: Tape, { embedding, rnn, head }: Classifier['layers']) => {
      const { h } = rnn.forward(tape, embedding.forward(tape, tokens, shape));
      const logits = head.forward(tape, dropout(tape, model.random, h[0], 0.3));
      return crossEntropyLoss(
        tape,
        logits,
        batch.map(({ label }) => label),
      );
    };
    return { loss, done: () => batches.done() };
  };
  const losses: number[] = [];
  for await (const { loss } of train(model, optimizer, { steps: n }, next, schedule)) losses.push(loss);
  return { optimizer, schedule, position: batches.position, losses };
}

const weightsOf = (model: Model<unknown>) => model.parameters.map(({ name }) => model.get(name));

for (const build of builds) {
  test(`${build}: a training of layers that is saved, loaded and continued has the same bits`, async () => {
    const r = runtime(build);
    const whole = classifier(r);
    const { losses } = await steps(whole, 17, {});
    // interrupted twice, once in the middle of an epoch
    const first = classifier(r);
    const one = await steps(first, 4, {});
    const second = classifier(r);
    const two = await steps(second, 5, loadTraining(second, saveTraining(first, saved(one))));
    const third = classifier(r);
    const three = await steps(third, 8, loadTraining(third, saveTraining(second, saved(two))));
    equal([...one.losses, ...two.losses, ...three.losses], losses);
    equal(weightsOf(third), weightsOf(whole));
    is(three.optimizer.steps, 17);
    equal(third.random.next, whole.random.next);
    r.dispose();
  });
}

/** What is saved of a training. */
function saved({ optimizer, schedule, position }: Awaited<ReturnType<typeof steps>>) {
  return { optimizer, schedule, position };
}

test('a carried state is part of the file', () => {
  const r = runtime('simd');
  const make = () => new Model(r, 1, (b) => new Recurrent(b, 'rnn', { cell: 'lstm', inputSize: 2, hiddenSize: 3 }));
  const model = make();
  const state = model.layers.state(2);
  model.layers.step([1, 2, 3, 4], state);
  const loaded = loadTraining(make(), saveTraining(model, { state }));
  equal([loaded.state?.h, loaded.state?.c, loaded.state?.batch], [state.h, state.c, 2]);
  equal([loaded.optimizer, loaded.schedule, loaded.position], [null, null, {}]);
  r.dispose();
});

test('files of models of layers: what does not fit is refused, and the weights can be read alone', async () => {
  const r = runtime('simd');
  const model = classifier(r);
  const trained = await steps(model, 2, {});
  const bytes = saveTraining(model, saved(trained));
  const other = classifier(r, 5);
  const before = weightsOf(other);
  throws(() => loadTraining(other, bytes), /seed 4, this one has seed 5/);
  equal(weightsOf(other), before);
  loadWeights(other, bytes);
  equal(weightsOf(other), weightsOf(model));
  const narrow = new Model(r, 4, (b) => new Linear(b, 'head', { inputSize: 2, outputSize: 2 }));
  throws(
    () => loadTraining(narrow, bytes),
    (error: unknown) => error instanceof FormatError,
  );
  await rejects(SequenceClassifier.load(bytes), /the file holds 'layers', not 'sequence-classifier'/);
  using task = SequenceClassifier.createSync({ vocabulary: 'ab', classes: ['a', 'b'], hiddenSize: 3 });
  throws(() => loadTraining(model, task.save()), /the file holds 'sequence-classifier', not 'layers'/);
  throws(() => saveTraining(other, { optimizer: trained.optimizer }), /optimizer: is of another model/);
  throws(() => saveTraining(model, { position: { at: Number.NaN } }), /^position: expected plain data/);
  throws(() => saveTraining(model, { position: [1] }), /^position: expected plain data/);
  throws(() => saveTraining(model, { optimiser: null } as never), /did you mean 'optimizer'/);
  r.dispose();
});

test('Batches: every example once in an epoch, similar lengths together, another order in each epoch', () => {
  const model = new Model(runtime('simd'), 1, () => null);
  const words = Array.from({ length: 50 }, (_, i) => 'x'.repeat(1 + (i % 10)) + i);
  const batches = new Batches(model, words, { batchSize: 8 });
  is(batches.stepsFor(2), 14);
  const epochs = [0, 1].map(() => {
    const seen: string[] = [];
    for (let i = 0; i < 7; i++) {
      const batch = batches.next();
      equal(batches.next(), batch);
      ok(batch.every((word, k) => k === 0 || word.length <= batch[k - 1].length));
      seen.push(...batch);
      batches.done();
    }
    equal([...seen].sort(), [...words].sort());
    return seen;
  });
  ok(epochs[0].some((word, i) => word !== epochs[1][i]));
  is(batches.epoch, 2);
  const { position } = batches;
  equal(new Batches(model, words, { batchSize: 8, position }).epoch, 2);
  throws(
    () => new Batches(model, words, { batchSize: 9, position }),
    /^position: expected a place in these 50 examples/,
  );
  throws(() => new Batches(model, words.slice(1), { batchSize: 8, position }), /^position: expected a place/);
  const ordered = new Batches(model, words, { batchSize: 8, shuffle: false });
  equal(ordered.next().sort(), words.slice(0, 8).sort());
  ordered.done();
  equal(ordered.next().sort(), words.slice(8, 16).sort());
  equal(
    new Batches(model, words, { batchSize: 8, shuffle: false, position: ordered.position }).next().sort(),
    words.slice(8, 16).sort(),
  );
  throws(() => new Batches(model, words, { batchSize: 8, position: ordered.position }), /^position: expected a place/);
  throws(() => new Batches(model, []), 'examples: expected a list of examples, got Array of length 0');
  throws(() => new Batches(model, [{}]), /^length of examples\[0\]: expected a whole number/);
  throws(() => new Batches(model, words, { size: 3 } as never), /^Batches: unknown option 'size'/);
  model.runtime.dispose();
});

test('bucket: the longest first, with the places in the list', () => {
  const batches = bucket(['a', 'bcd', 'ef', 'ghi', ''], { batchSize: 2 });
  equal(
    batches.map(({ places }) => places),
    [[1, 3], [2, 0], [4]],
  );
  equal(
    batches.map(({ examples: list }) => list),
    [['bcd', 'ghi'], ['ef', 'a'], ['']],
  );
});

test('padding: arrays that layers take, and what does not fit', () => {
  equal(
    padTokens([
      [1, 2],
      [3, 4],
    ]).shape,
    { T: 2, B: 2 },
  );
  equal(padTokens([[1, 2, 3], [4]], -1), {
    tokens: Int32Array.of(1, 4, 2, -1, 3, -1),
    shape: { T: 3, B: 2, lengths: [3, 1] },
  });
  throws(() => padTokens([]), 'sequences: expected a list of sequences, got Array of length 0');
  throws(() => padTokens([[1], []]), 'sequences[1].length: expected a positive whole number, got 0');
  throws(() => padTokens([[1.5]]), /^sequences\[0\]\[0\]: expected a whole number/);
  equal(
    [
      ...padVectors([
        [
          [1, 2],
          [3, 4],
        ],
        [[5, 6]],
      ]).values,
    ],
    [1, 2, 5, 6, 3, 4, 0, 0],
  );
  throws(() => padVectors([[[1, 2]], [[1]]]), 'sequences[1][0]: expected [F=2] = 2 numbers, got 1');
  throws(() => padVectors([[[]]]), 'sequences[0][0].length: expected a positive whole number, got 0');
  throws(() => padVectors([[[Number.NaN]]]), /^sequences\[0\]\[0\]\[0\]: expected a finite number/);
});

for (const build of builds) {
  test(`${build}: a chain steps to the same bits as it runs a sequence, and its state travels in a file`, () => {
    const r = runtime(build);
    const model = new Model(r, 2, (b) => {
      const rnns = ['lstm', 'gru'].map(
        (cell, i) =>
          new Recurrent(b, cell, { cell: cell as 'lstm', inputSize: [3, 5][i], hiddenSize: 5, numLayers: 2 }),
      );
      return new Sequential(b, [
        new Embedding(b, 'embedding', { vocabularySize: 7, embeddingSize: 3 }),
        rnns[0],
        new LayerNorm(b, 'norm', { inputSize: 5 }),
        (tape, x) => activation(tape, x, 'relu'),
        rnns[1],
        new Linear(b, 'head', { inputSize: 5, outputSize: 2 }),
      ]);
    });
    const { layers: chain } = model;
    const [T, B] = [6, 2];
    const tokens = Array.from({ length: T * B }, (_, i) => (i * i) % 7);
    const whole = model.forward((tape) => read(tape, chain.forward(tape, { tokens, T, B })));
    let state = chain.state(B);
    const stepped = Array.from({ length: T }, (_, t) => {
      if (t === 3) state = loadState(saveState(state));
      return [...chain.step(tokens.slice(t * B, (t + 1) * B), state)];
    });
    equal(stepped.flat(), [...whole]);
    const final = chain.state(B);
    model.forward((tape) => void chain.forward(tape, { tokens, T, B }, final));
    equal([final.h, final.c], [state.h, state.c]);
    is(final.c.length, 2);
    r.dispose();
  });
}

test('steps of an embedding and of a linear layer, and chains that do not fit', () => {
  const r = runtime('simd');
  const model = new Model(r, 2, (b) => ({
    embedding: new Embedding(b, 'embedding', { vocabularySize: 3, embeddingSize: 2 }),
    linear: new Linear(b, 'linear', { inputSize: 2, outputSize: 3 }),
    both: new Recurrent(b, 'both', { cell: 'gru', inputSize: 2, hiddenSize: 2, bidirectional: true }),
    chains: [] as Sequential[],
    b,
  }));
  const { embedding, linear, both, b } = model.layers;
  model.set('embedding.weight', [1, 2, 3, 4, 5, 6]);
  equal(embedding.step([2, 0]), Float32Array.of(5, 6, 1, 2));
  const x = [1, 2, 3, 4];
  equal(
    linear.step(x),
    model.forward((tape) => read(tape, linear.forward(tape, input(tape, x, { T: 1, B: 2, F: 2 })))),
  );
  throws(() => linear.step([1, 2, 3]), /^x: expected a multiple of I=2 numbers, got 3/);
  throws(() => embedding.step([3]), /^tokens\[0\]: expected a whole number from 0 to 2, got 3/);
  throws(() => new Sequential(b, []), 'layers: expected a list of layers, got Array of length 0');
  throws(() => new Sequential(b, [linear, embedding]), /^layers\[1\]: expected a layer or a function of rows/);
  throws(() => new Sequential(b, [embedding, 1 as never]), 'layers[1]: expected a layer or a function of rows, got 1');
  const chain = new Sequential(b, [both]);
  throws(() => chain.step([1, 2], chain.state()), /bidirectional/);
  const tokens = new Sequential(b, [embedding]);
  throws(() => tokens.step([1, 2], tokens.state()), /^x: expected numbers of 1 sequences/);
  throws(
    () => model.forward((tape) => tokens.forward(tape, input(tape, [1], { T: 1, B: 1, F: 1 }))),
    /^x: expected { tokens, T, B }/,
  );
  throws(
    () => new Sequential(b, [linear]).step([1, 2], both.state()),
    'state.h: expected 0 lists, those of this chain, got Array of length 2',
  );
  r.dispose();
});

test('gradients flow through a chain as through its layers', () => {
  const r = runtime('simd');
  const model = new Model(r, 2, (b) => {
    const rnn = new Recurrent(b, 'rnn', { cell: 'gru', inputSize: 2, hiddenSize: 3 });
    const head = new Linear(b, 'head', { inputSize: 3, outputSize: 1 });
    return { rnn, head, chain: new Sequential(b, [rnn, head]) };
  });
  const values = [1, -1, 0.5, 2, 0, 1];
  const gradients = [true, false].map((chained) => {
    model.valueAndGrad((tape, { rnn, head, chain }) => {
      const x = input(tape, values, { T: 3, B: 1, F: 2 });
      const y = chained ? chain.forward(tape, x) : head.forward(tape, rnn.forward(tape, x).output);
      return mseLoss(tape, y, [1, 2, 3]);
    });
    return model.parameters.map(({ name }) => model.gradient(name));
  });
  equal(gradients[0], gradients[1]);
  r.dispose();
});

test('the model with two heads of docs/custom-models.md has at most 25 lines', () => {
  const page = readFileSync(new URL('../../docs/custom-models.md', import.meta.url), 'utf8');
  const [, code] = /## Two heads[\s\S]*?```js\n([\s\S]*?)```/.exec(page) ?? [];
  ok(code?.includes('AttentionPool') && code.includes('saveTraining'));
  ok(code.trimEnd().split('\n').length <= 25, code);
});

test.run();
