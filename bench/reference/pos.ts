/** Parts of speech in the English Web Treebank (Universal Dependencies), compared with the same training in PyTorch. */
import { SequenceTagger, Vocabulary } from 'gatewise/tasks';
import { follow, mean, SHAPES, sentences, shape } from './data.js';
import type { Reference } from './reference.js';

const UNKNOWN = '<unknown>';

export const pos: Reference = {
  name: 'pos',
  title: 'parts of speech, UD English EWT, bidirectional LSTM 2×64',
  needs: ['train', 'dev', 'test'].map((part) => `data/ud-ewt/en_ewt-ud-${part}.tsv`),
  async run(path, report) {
    const read = async (part: string) => (await sentences(path(`data/ud-ewt/en_ewt-ud-${part}.tsv`))).map(example);
    const [training, dev, test] = [await read('train'), await read('dev'), await read('test')];
    const often = (feature: 'word' | 'suffix') =>
      Vocabulary.of(
        training.map(({ input }) => input[feature]),
        { minCount: 2, unknown: UNKNOWN },
      ).tokens;
    const accuracies: number[] = [];
    for (const seed of [1, 2, 3]) {
      const model = await SequenceTagger.create({
        features: {
          word: { vocabulary: often('word'), embeddingSize: 64, unknown: UNKNOWN },
          suffix: { vocabulary: often('suffix'), embeddingSize: 32, unknown: UNKNOWN },
          shape: { vocabulary: SHAPES, embeddingSize: 8 },
        },
        classes: [...new Set(training.flatMap(({ labels }) => labels))].sort(),
        hiddenSize: 64,
        bidirectional: true,
        seed,
      });
      await follow(
        model.fit(training, { epochs: 5, batchSize: 32, learningRate: 2e-3, clipNorm: 5 }),
        report,
        `seed ${seed}`,
      );
      report.note(`seed ${seed}, accuracy on the dev part`, (await model.evaluate(dev)).accuracy);
      const { accuracy } = await model.evaluate(test);
      report.note(`seed ${seed}, accuracy on the test part`, accuracy);
      accuracies.push(accuracy);
      model.dispose();
    }
    const accuracy = mean(accuracies);
    report.check('test accuracy after 5 passes, mean of 3 seeds', accuracy, 'at least 0.936', accuracy >= 0.936);
  },
};

function example(lines: readonly string[][]) {
  const words = lines.map(([word]) => word);
  const small = words.map((word) => word.toLowerCase());
  const suffix = small.map((word) => [...word].slice(-3).join(''));
  return { input: { word: small, suffix, shape: words.map(shape) }, labels: lines.map(([, tag]) => tag) };
}
