/** gatewise/infer: the same bits as gatewise, from weights that gatewise saved, and nothing of training. */
import * as full from 'gatewise';
import * as lean from 'gatewise/infer';
import { SequenceClassifier } from 'gatewise/tasks';
import { test } from 'uvu';
import { equal, ok, throws } from 'uvu/assert';
import { fitting, widthFor } from './support/cells.js';
import { random, uniform } from './support/numbers.js';

type Entry = Pick<typeof lean, keyof typeof lean & keyof typeof full>;
type Options = full.RecurrentOptions;

const [T, B, I, H] = [9, 5, 7, 18];
const lengths = [9, 1, 6, 9, 3];
const x = uniform(random(1), T * B * I);

/** Everything that the entry for inference has, in one model. */
function layers(entry: Entry, options: Options) {
  return (b: full.Builder) => {
    const rnn = new entry.Recurrent(b, 'rnn', options);
    return {
      rnn,
      embedding: new entry.Embedding(b, 'embedding', { vocabularySize: 11, embeddingSize: I }),
      norm: new entry.LayerNorm(b, 'norm', { inputSize: 12 }),
      pool: new entry.AttentionPool(b, 'pool', { inputSize: 12, attentionSize: 8 }),
      attention: new entry.Attention(b, 'attention', {
        score: 'additive',
        querySize: 12,
        keySize: 12,
        attentionSize: 8,
      }),
      first: new entry.Linear(b, 'first', { inputSize: rnn.outputSize, outputSize: 12 }),
      head: new entry.MLP(b, 'head', { inputSize: 12, hiddenLayers: [10], outputSize: 6 }),
    };
  };
}

function outcome(entry: Entry, runtime: full.Runtime, options: Options, weights: Uint8Array<ArrayBuffer> | null) {
  const model = new entry.Model(runtime, 3, layers(entry, options));
  const saved = weights ?? full.saveWeights(model);
  entry.loadWeights(model, saved);
  const result = model.forward((tape, l) => {
    const tokens = entry.read(
      tape,
      l.embedding.forward(
        tape,
        Int32Array.from({ length: T * B }, (_, i) => i % 11),
        { T, B },
      ),
    );
    const rows = entry.input(tape, x, { T, B, F: I, lengths });
    const { output, h } = l.rnn.forward(tape, rows);
    const low = entry.activation(tape, l.first.forward(tape, output), 'relu');
    const normed = l.norm.forward(tape, entry.add(tape, low, low));
    const { output: pooled, weights: shares } = l.pool.forward(tape, normed);
    const logits = l.head.forward(tape, pooled);
    return [
      tokens,
      entry.read(tape, output),
      entry.read(tape, h[0]),
      entry.read(tape, shares),
      ...[entry.meanPool, entry.maxPool, entry.lastPool].map((pool) => entry.read(tape, pool(tape, normed))),
      entry.read(tape, entry.concat(tape, [low, normed])),
      entry.read(tape, entry.slice(tape, normed, 1, 4)),
      entry.read(tape, entry.expand(tape, pooled, { T: 3 })),
      entry.read(tape, l.attention.forward(tape, pooled, normed).context),
      entry.softmaxRows(tape, logits),
      entry.argmaxRows(tape, logits),
      entry.sampleRows(tape, model.random, logits, { topK: 3 }),
      entry.topKRows(tape, logits, 3).logProbabilities,
    ].map((numbers) => [...numbers]);
  });
  model.dispose();
  return { result, saved };
}

const trainer = await full.Runtime.create();
const runner = await lean.Runtime.create();
const variants: Partial<Options>[] = [
  {},
  { bidirectional: true, numLayers: 2, merge: 'sum' },
  { layerNorm: true, initialState: 'learned' },
  { zoneoutHidden: 0.2, variationalDropout: 0.3, dropout: 0.3, weightDrop: 0.4, numLayers: 2 },
];
for (const cell of full.CELL_NAMES) {
  for (const variant of variants) {
    test(`${cell} ${JSON.stringify(variant)}: the same bits`, () => {
      const options = { cell, inputSize: I, hiddenSize: widthFor(cell, H), ...fitting(cell, variant) };
      const { result, saved } = outcome(full, trainer, options, null);
      ok(result[1].some((v) => v !== 0));
      equal(outcome(lean, runner, options, saved).result, result);
    });
  }
}
test('lstm with projection, peepholes and clipping, gru that resets before: the same bits', () => {
  for (const options of [
    { cell: 'lstm', projectionSize: 6, peepholes: true, cellClip: 0.5 },
    { cell: 'lstm', coupled: true },
    { cell: 'gru', reset: 'before', activation: 'relu' },
    { cell: 'residual', feedback: false },
    { cell: 'mingru', positive: true },
    { cell: 'minlstm', positive: true },
    { cell: 'lru', activation: 'relu', hiddenSize: 8 },
  ] as const) {
    const whole = { inputSize: I, hiddenSize: H, ...options };
    const { result, saved } = outcome(full, trainer, whole, null);
    equal(outcome(lean, runner, whole, saved).result, result);
  }
});

test('steps give the bits of the sequence', () => {
  const model = new lean.Model(
    runner,
    1,
    (b) => new lean.Recurrent(b, 'rnn', { cell: 'gru', inputSize: I, hiddenSize: H }),
  );
  for (const { name, size } of model.parameters) model.set(name, uniform(random(5), size, 0.3));
  const whole = model.forward((tape, rnn) =>
    lean.read(tape, rnn.forward(tape, lean.input(tape, x, { T, B, F: I })).output),
  );
  const state = model.layers.state(B);
  const steps = Array.from({ length: T }, (_, t) => [
    ...model.layers.step(x.subarray(t * B * I, (t + 1) * B * I), state),
  ]);
  equal(steps.flat(), [...whole]);
});

test('layers of a model of gatewise/tasks run its file', async () => {
  using task = await SequenceClassifier.create({
    vocabulary: 'abc',
    classes: ['x', 'y'],
    hiddenSize: 8,
    embeddingSize: 4,
  });
  const model = new lean.Model(runner, 0, (b) => ({
    embedding: new lean.Embedding(b, 'embedding', { vocabularySize: 3, embeddingSize: 4 }),
    rnn: new lean.Recurrent(b, 'rnn', { cell: 'lstm', inputSize: 4, hiddenSize: 8 }),
    head: new lean.Linear(b, 'head', { inputSize: 8, outputSize: 2 }),
  }));
  lean.loadWeights(model, task.save());
  const probabilities = model.forward((tape, { embedding, rnn, head }) => {
    const { h } = rnn.forward(tape, embedding.forward(tape, [0, 2, 1, 1], { T: 4, B: 1 }));
    return lean.softmaxRows(tape, head.forward(tape, h[0]));
  });
  equal([...probabilities], [...(await task.predict(['acbb']))[0].probabilities]);
});

test('it says that it cannot train, and where relaxed is', () => {
  const model = new lean.Model(runner, 1, (b) => new lean.Linear(b, 'linear', { inputSize: 2, outputSize: 2 }));
  throws(
    () => model.valueAndGrad(() => ({ value: 0, addGradient: () => {} })),
    /gatewise\/infer cannot train; gatewise can/,
  );
  throws(() => lean.Runtime.createSync({ build: 'relaxed' }), /pass its bytes or module as `module`/);
  throws(() => lean.loadWeights(model, full.saveWeights(new full.Model(trainer, 1, () => null))), /linear\.weight/);
});

test.run();
