/** Which text messages are spam. */
import { SequenceClassifier, Vocabulary } from 'gatewise/tasks';
import { columns, follow, mean, SHAPES, shape } from './data.js';
import type { Reference } from './reference.js';

const UNKNOWN = '<unknown>';

export const smsSpam: Reference = {
  name: 'sms-spam',
  title: 'spam among text messages, bidirectional GRU 2×64',
  needs: ['data/sms-spam/train.tsv', 'data/sms-spam/test.tsv'],
  async run(path, report) {
    const read = async (part: string) => (await columns(path(`data/sms-spam/${part}.tsv`))).map(example);
    const [training, test] = [await read('train'), await read('test')];
    const { tokens } = Vocabulary.of(
      training.map(({ input }) => input.word),
      { minCount: 2, unknown: UNKNOWN },
    );
    const scores: number[] = [];
    for (const seed of [1, 2, 3]) {
      const model = await SequenceClassifier.create({
        features: {
          word: { vocabulary: tokens, embeddingSize: 48, unknown: UNKNOWN },
          shape: { vocabulary: SHAPES, embeddingSize: 8 },
        },
        classes: ['ham', 'spam'],
        cell: 'gru',
        hiddenSize: 64,
        bidirectional: true,
        pooling: 'max',
        inputDropout: 0.3,
        outputDropout: 0.3,
        seed,
      });
      await follow(model.fit(training, { epochs: 5, batchSize: 32, learningRate: 2e-3 }), report, `seed ${seed}`);
      const { accuracy, classes } = await model.evaluate(test);
      const { precision, recall, f1 } = classes.spam;
      report.note(`seed ${seed}: accuracy`, accuracy);
      report.note(`seed ${seed}: precision`, precision);
      report.note(`seed ${seed}: recall`, recall);
      report.note(`seed ${seed}: F1`, f1);
      scores.push(f1);
      model.dispose();
    }
    const f1 = mean(scores);
    report.check('F1 on spam, mean of 3 seeds', f1, 'at least 0.93', f1 >= 0.93);
  },
};

/** Words, numbers and signs; digits are all one, so that a telephone number is told by its length. */
function example([label, text]: readonly string[]) {
  const words = text.match(/\p{L}+|\d+|[^\s\p{L}\d]/gu) ?? [];
  return {
    input: { word: words.map((word) => word.toLowerCase().replace(/\d/g, '0')), shape: words.map(shape) },
    label,
  };
}
