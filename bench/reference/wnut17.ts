/** Entities in noisy text (WNUT 2017): whether a chain of labels is better than labels one by one. */
import { SequenceTagger, Vocabulary } from 'gatewise/tasks';
import { follow, mean, sentences } from './data.js';
import type { Reference } from './reference.js';

const UNKNOWN = '<unknown>';
const SEEDS = [1, 2, 3];
const EPOCHS = 30;
const BATCH = 16;

/** What is read of a word, and the features of its vector. */
const FEATURES: Readonly<Record<string, { readonly of: (word: string) => string; readonly embeddingSize: number }>> = {
  word: { of: plain, embeddingSize: 48 },
  prefix: { of: (word) => [...plain(word)].slice(0, 3).join(''), embeddingSize: 24 },
  suffix: { of: (word) => [...plain(word)].slice(-3).join(''), embeddingSize: 24 },
  ending: { of: (word) => [...plain(word)].slice(-2).join(''), embeddingSize: 12 },
  outline: { of: outline, embeddingSize: 12 },
};

export const wnut17: Reference = {
  name: 'wnut17',
  title: 'entities, WNUT17, bidirectional LSTM 2×64, with a CRF and without',
  needs: ['train', 'dev', 'test'].map((part) => `data/wnut17/${part}.tsv`),
  async run(path, report) {
    const read = async (part: string) => (await sentences(path(`data/wnut17/${part}.tsv`))).map(example);
    // sentences without an entity teach little but to find none: recall is a third lower with them
    const training = (await read('train')).filter((sentence) => sentence.labels.some((label) => label !== 'O'));
    const [dev, test] = [await read('dev'), await read('test')];
    const features = Object.fromEntries(
      Object.entries(FEATURES).map(([name, { embeddingSize }]) => {
        const { tokens } = Vocabulary.of(
          training.map(({ input }) => input[name]),
          { minCount: 2, unknown: UNKNOWN },
        );
        return [name, { vocabulary: tokens, embeddingSize, unknown: UNKNOWN }];
      }),
    );
    const labels = [...new Set(training.flatMap((sentence) => sentence.labels))].sort();

    /** Entity F1 on the test part, mean of all seeds. */
    const reached = async (crf: boolean): Promise<number> => {
      const name = crf ? 'CRF' : 'softmax';
      const scores: number[] = [];
      for (const seed of SEEDS) {
        const model = await SequenceTagger.create({
          features,
          classes: labels,
          crf,
          hiddenSize: 64,
          bidirectional: true,
          inputDropout: 0.3,
          outputDropout: 0.5,
          seed,
        });
        const steps = EPOCHS * Math.ceil(training.length / BATCH);
        const recipe = {
          epochs: EPOCHS,
          batchSize: BATCH,
          learningRate: 2e-3,
          schedule: { kind: 'cosine', steps },
        } as const;
        await follow(model.fit(training, recipe), report, `${name}, seed ${seed}`);
        const f1 = async (part: readonly Sentence[]) => (await model.evaluate(part)).spans.f1;
        report.note(`${name}, seed ${seed}: entity F1 on the dev part`, await f1(dev));
        scores.push(await f1(test));
        report.note(`${name}, seed ${seed}: entity F1 on the test part`, scores[scores.length - 1]);
        model.dispose();
      }
      return mean(scores);
    };
    const softmax = await reached(false);
    const crf = await reached(true);
    report.note(`softmax: entity F1, mean of ${SEEDS.length} seeds`, softmax);
    report.check(`CRF: entity F1, mean of ${SEEDS.length} seeds`, crf, 'more than with a softmax', crf > softmax);
  },
};

interface Sentence {
  readonly input: Readonly<Record<string, readonly string[]>>;
  readonly labels: readonly string[];
}

function example(lines: readonly string[][]): Sentence {
  const words = lines.map(([word]) => word);
  const input = Object.fromEntries(Object.entries(FEATURES).map(([name, { of }]) => [name, words.map(of)]));
  return { input, labels: lines.map(([, tag]) => tag) };
}

/** Small letters; digits, addresses and names of users are all one. */
function plain(word: string): string {
  if (/^(https?:|www\.)/.test(word)) return '<address>';
  if (/^@./.test(word)) return '<user>';
  return word.toLowerCase().replace(/\d/g, '0');
}

/** McDonald's as XxXx'x: how it is written, without what. */
function outline(word: string): string {
  return word
    .replace(/\p{Lu}/gu, 'X')
    .replace(/[^X\P{L}]/gu, 'x')
    .replace(/\d/g, '0')
    .replace(/(.)\1+/gu, (run, one) => (one === 'X' && run.length > 1 ? 'XX' : one))
    .slice(0, 8);
}
