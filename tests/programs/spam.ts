/** Which text messages are spam. Arguments: files of lines `label<tab>text` to learn from and to test on, and the seed. */
import { readFileSync } from 'node:fs';
import { SequenceClassifier, Vocabulary, words } from 'gatewise/tasks';

const [train, test] = process.argv.slice(2, 4).map((file) =>
  Array.from(readFileSync(file, 'utf8').matchAll(/^(.*)\t(.*)$/gm), ([, label, text]) => ({
    input: words(text.replace(/\d/g, '0')), // what matters about a number is its length
    label,
  })),
);
const texts = train.map(({ input }) => input);
const model = await SequenceClassifier.create({
  vocabulary: Vocabulary.of(texts, { minCount: 2 }).tokens,
  classes: ['ham', 'spam'],
  cell: 'gru',
  hiddenSize: 32,
  bidirectional: true,
  pooling: 'max',
  inputDropout: 0.3,
  outputDropout: 0.3,
  seed: Number(process.argv[4]),
});
const options = { epochs: 20, learningRate: 4e-3, validation: 0.15, metric: 'classes.spam.f1', patience: 2 };
const { best } = await model.fit(train, options);
console.log(JSON.stringify({ best, ...(await model.evaluate(test)) }));
