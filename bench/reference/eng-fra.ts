/** English → French, letter by letter: whether a decoder that looks back is better than one that was told once. */
import { Seq2Seq } from 'gatewise/tasks';
import { chrF } from './chrf.js';
import { columns, follow, mean } from './data.js';
import type { Reference } from './reference.js';

/** Stands for a letter of the test part that the training part does not have. */
const UNKNOWN = '\u{fffd}';
const SEEDS = [1, 2, 3];
const EPOCHS = 5;
const BATCH = 32;

export const engFra: Reference = {
  name: 'eng-fra',
  title: 'English → French by letters, GRU 128, with attention and without',
  needs: ['data/eng-fra/train.tsv', 'data/eng-fra/test.tsv'],
  async run(path, report) {
    const training = await columns(path('data/eng-fra/train.tsv'));
    const examples = training.map(([source, target]) => ({ source: [...source], target: [...target] }));
    const all = references(await columns(path('data/eng-fra/test.tsv')));
    const long = new Map([...all].filter(([english]) => english.split(/\s+/).length >= 5));
    const letters = (side: 0 | 1) => [...new Set(training.map((pair) => pair[side]).join(''))];

    /** chrF on the test part, mean of all seeds. */
    const reached = async (name: string, attention?: 'general'): Promise<number> => {
      const scores: number[] = [];
      for (const seed of SEEDS) {
        const model = await Seq2Seq.create({
          source: { vocabulary: [UNKNOWN, ...letters(0)], embeddingSize: 48, unknown: UNKNOWN },
          target: letters(1),
          embeddingSize: 48,
          cell: 'gru',
          hiddenSize: 128,
          bidirectional: true,
          attention,
          seed,
        });
        const steps = EPOCHS * Math.ceil(examples.length / BATCH);
        const recipe = {
          epochs: EPOCHS,
          batchSize: BATCH,
          learningRate: 4e-3,
          schedule: { kind: 'cosine', steps },
        } as const;
        await follow(model.fit(examples, recipe), report, `${name}, seed ${seed}`);
        const chrf = async (part: ReadonlyMap<string, readonly string[]>) => {
          const written = await model.predict([...part.keys()].map((english) => [...english]));
          return chrF(
            written.map(({ tokens }) => tokens.join('')),
            [...part.values()],
          );
        };
        report.note(`${name}, seed ${seed}: chrF on all ${all.size} sentences`, await chrf(all));
        scores.push(await chrf(long));
        report.note(`${name}, seed ${seed}: chrF on the ${long.size} of 5 or more words`, scores[scores.length - 1]);
        model.dispose();
      }
      return mean(scores);
    };
    const context = await reached('context vector');
    const attention = await reached('attention', 'general');
    report.note(`context vector: chrF, mean of ${SEEDS.length} seeds`, context);
    report.check(
      `attention: chrF, mean of ${SEEDS.length} seeds`,
      attention,
      `at least ${(context + 2).toFixed(2)}, 2 points above the context vector`,
      attention >= context + 2,
    );
  },
};

/** The French sides of each English one. */
function references(pairs: readonly string[][]): Map<string, string[]> {
  const sides = new Map<string, string[]>();
  for (const [english, french] of pairs) sides.set(english, [...(sides.get(english) ?? []), french]);
  return sides;
}
