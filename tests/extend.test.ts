/** Models that get more tokens and classes keep what they have learned. */
import { type Model, Runtime, read, type State } from 'gatewise';
import { extend } from 'gatewise/extend';
import { LanguageModel, Seq2Seq, SequenceClassifier, SequenceTagger } from 'gatewise/tasks';
import { test } from 'uvu';
import { equal, is, ok } from 'uvu/assert';
import { rejects } from './support/rejects.js';

const runtime = await Runtime.create();
const text = 'the cat sat on the mat. '.repeat(12);

/** Logits [T,B,V] of a language model for these tokens. */
function logits(lm: LanguageModel, said: string): Float32Array {
  const ids = lm.vocabulary.encode('text', said);
  return lm.model.forward((tape, layers) =>
    read(tape, layers.forward(tape, ids, ids.length, 1, layers.rnn.state(1) as State)),
  );
}

for (const tieWeights of [false, true]) {
  test(`a language model, tied ${tieWeights}: logits of old tokens stay, bit for bit, also after save and load`, async () => {
    const lm = await LanguageModel.create({
      ...{ vocabulary: text, hiddenSize: 16, embeddingSize: 16, numLayers: 2, tieWeights, seed: 1, runtime },
    });
    await lm.fit(text, { steps: 30, batchSize: 4, window: 8, learningRate: 0.01 });
    const before = lm.save();
    const made = await extend(lm, { vocabulary: 't😀!😀', seed: 5, runtime });
    equal(lm.save(), before);
    const [V, W] = [lm.vocabulary.size, made.vocabulary.size];
    is(W, V + 2);
    equal(made.vocabulary.tokens, [...lm.vocabulary.tokens, '😀', '!']);
    const said = 'the mat sat';
    const [old, now] = [logits(lm, said), logits(made, said)];
    for (let t = 0; t < said.length; t++) equal(now.slice(t * W, t * W + V), old.slice(t * V, t * V + V), `step ${t}`);
    const loaded = await LanguageModel.load(made.save(), { runtime });
    equal(logits(loaded, 'a😀!'), logits(made, 'a😀!'));
    // what is new can be learned, and what is frozen stays
    made.model.freeze('rnn');
    const rnn = made.model.get('rnn.weight_hh_l1');
    const message = 'the cat! 😀 '.repeat(20);
    const { loss } = await made.evaluate(message);
    await made.fit(message, { steps: 40, batchSize: 4, window: 8, learningRate: 0.02 });
    ok((await made.evaluate(message)).loss < 0.5 * loss);
    equal(made.model.get('rnn.weight_hh_l1'), rnn);
  });
}

const parametersOf = (model: Model<unknown>) => model.parameters.map(({ name, shape }) => `${name} ${shape}`);

test('a classifier: new classes, new tokens, and both', async () => {
  const shape = { hiddenSize: 6, embeddingSize: 4, bidirectional: true, seed: 1, runtime } as const;
  const model = await SequenceClassifier.create({ ...shape, vocabulary: 'abc', classes: ['x', 'y'], multiLabel: true });
  const examples = [
    { input: 'abc', label: ['x' as const] },
    { input: 'cc', label: ['y' as const] },
  ];
  await model.fit(examples, { epochs: 5 });
  const both = await extend(model, { vocabulary: ['d'], classes: ['y', 'z'], runtime });
  equal([...both.config.classes], ['x', 'y', 'z']);
  ok(parametersOf(both.model).includes('head.weight 3,12'), parametersOf(both.model).join('; '));
  const bias = model.model.get('head.bias');
  ok(bias[0] !== 0 && bias[1] !== 0);
  equal([...both.model.get('head.bias')], [...bias, Math.min(...bias)], 'a new class is as rare as the rarest');
  const [was, now] = [await model.predict(['abca', 'b']), await both.predict(['abca', 'b'])];
  was.forEach(({ probabilities }, i) => {
    equal(now[i].probabilities.slice(0, 2), probabilities);
  });
  equal((await both.predict(['dd'])).length, 1);
  const tagger = await SequenceTagger.create({ ...shape, vocabulary: [...'abcd'], classes: ['x', 'y'] });
  const tags = (await extend(tagger, { classes: ['z'], runtime })).config.classes as readonly string[];
  equal([...tags], ['x', 'y', 'z']);
});

test('what cannot be extended is refused, and changes nothing', async () => {
  const lm = await LanguageModel.create({ vocabulary: 'abc', hiddenSize: 4, seed: 1, runtime });
  const { bytesInUse } = runtime.memory();
  await rejects(extend(lm, {}), /expected new tokens as vocabulary, or new classes/);
  await rejects(extend(lm, { vocabulary: 'cab' }), /vocabulary: expected at least one that is new/);
  await rejects(extend(lm, { classes: ['x'] }), /classes: this model has none/);
  await rejects(extend(lm, { vocabulary: [1] } as never), /vocabulary\[0\]: expected a string/);
  await rejects(extend(lm, { tokens: 'x' } as never), /unknown option 'tokens'/);
  await rejects(extend({} as never, { vocabulary: 'x' }), /task: expected a model of gatewise/);
  await rejects(extend(null as never, { vocabulary: 'x' }), /task: expected a model/);
  is(runtime.memory().bytesInUse, bytesInUse);
  const shape = { hiddenSize: 6, embeddingSize: 4, seed: 1, runtime } as const;
  const crf = await SequenceTagger.create({ ...shape, vocabulary: [...'abcd'], classes: ['x', 'y'], crf: true });
  await rejects(extend(crf, { classes: ['z'], runtime }), /crf\S* \[2,2\] cannot be extended|cannot be extended/);
  const two = await Seq2Seq.create({ ...shape, source: { vocabulary: [...'ab'], embeddingSize: 3 }, target: 'ab' });
  await rejects(extend(two, { vocabulary: 'c' }), /vocabulary: this model has none/);
});

test.after(() => runtime.dispose());
test.run();
