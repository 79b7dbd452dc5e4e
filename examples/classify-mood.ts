/** Sequence → class: whether a sentence of a review praises or complains, from four features of each word. */
import { createRequire } from 'node:module';
import { SequenceClassifier, Vocabulary } from 'gatewise/tasks';
import { Chance } from './support/chance.js';
import { type Belief, logisticModel } from './support/logistic.js';
import type { Example, Stage } from './support/stage.js';

const require = createRequire(import.meta.url);
const [COMPLAINS, PRAISES] = ['complains', 'praises'];
const UNKNOWN = '<unknown>';
/** How often the training data has each sentence, each time with other words hidden; the fraction of hidden words. */
const [COPIES, HIDDEN] = [8, 0.3];

interface Sentence {
  readonly words: readonly string[];
  readonly label: string;
}

/** The valence of a word, from -5 to 5: the AFINN list (F. Å. Nielsen, 2011). */
const AFINN: Record<string, number> = require('sentiment/languages/en/labels.json');
const ownMood = (word: string) => (Object.hasOwn(AFINN, word) ? AFINN[word] : null);

/** Sentences of reviews of products, films and restaurants, each once (Kotzias et al., KDD 2015; UCI, CC BY 4.0). */
function sentences(): Sentence[] {
  const all = new Map<string, Sentence>();
  for (const site of ['amazon', 'imdb', 'yelp']) {
    const rows: { text: string; class: 0 | 1 | null }[] = require(`sentiment/test/fixtures/${site}.json`);
    for (const row of rows) {
      const words = row.text.toLowerCase().match(/\p{L}+(?:['’]\p{L}+)*|\d+|[!?.,;:()-]/gu);
      if (row.class === null || !words) continue;
      all.set(words.join(' '), { words, label: row.class ? PRAISES : COMPLAINS });
    }
  }
  return [...all.values()];
}

/** The word, its first and last letters, and its valence. A hidden word keeps all but the first feature. */
const features = (words: readonly string[], isHidden = () => false) => ({
  word: words.map((word) => (isHidden() ? UNKNOWN : word)),
  start: words.map((word) => word.slice(0, 4)),
  end: words.map((word) => word.slice(-3)),
  mood: words.map((word) => `${ownMood(word) ?? 'none'}`),
});

export const example: Example = {
  title: 'whether a sentence of a review praises or complains (Amazon, IMDb, Yelp)',
  async run(stage) {
    const chance = new Chance(stage.seed);
    const all = chance.shuffled(sentences());
    const [heldOut, training] = [all.slice(0, all.length / 4), all.slice(all.length / 4)];
    stage.log(`  ${training.length} sentences for training, ${heldOut.length} held out`);
    const accuracy = (p: readonly number[]) =>
      p.filter((own, i) => (own > 0.5 ? PRAISES : COMPLAINS) === heldOut[i].label).length / p.length;

    const logistic = (evidence: (words: readonly string[]) => readonly string[]): number[] => {
      const observations = training.map(({ words, label }) => ({
        evidence: evidence(words),
        holds: label === PRAISES,
      }));
      const belief: Belief = logisticModel(observations, chance, stage.signal);
      return heldOut.map(({ words }) => belief(evidence(words)));
    };
    const praised = training.filter(({ label }) => label === PRAISES).length / training.length;
    stage.metric('always the more frequent class', accuracy(heldOut.map(() => praised)), '%');
    const listed = heldOut.map(({ words }) => (words.reduce((sum, word) => sum + (ownMood(word) ?? 0), 0) > 0 ? 1 : 0));
    stage.metric('sum of the valences of the words (AFINN)', accuracy(listed), '%');
    const counted = logistic((words) => words);
    stage.metric('logistic regression on counts of words', accuracy(counted), '%');
    const same = logistic((words) =>
      Object.entries(features(words)).flatMap(([feature, values]) => values.map((value) => `${feature} ${value}`)),
    );
    stage.metric('logistic regression on counts of all four features', accuracy(same), '%');

    const examples = Array.from({ length: COPIES }, () => training)
      .flat()
      .map(({ words, label }) => ({ input: features(words, () => chance.next() < HIDDEN), label }));
    const known = (feature: keyof ReturnType<typeof features>, minCount: number) =>
      Vocabulary.of(
        training.map(({ words }) => features(words)[feature]),
        { minCount, unknown: UNKNOWN },
      ).tokens;
    using model = await SequenceClassifier.create({
      features: {
        word: { vocabulary: known('word', 2), embeddingSize: 48, unknown: UNKNOWN },
        start: { vocabulary: known('start', 3), embeddingSize: 16, unknown: UNKNOWN },
        end: { vocabulary: known('end', 3), embeddingSize: 16, unknown: UNKNOWN },
        mood: { vocabulary: known('mood', 1), embeddingSize: 8, unknown: UNKNOWN },
      },
      cell: 'gru',
      hiddenSize: 48,
      bidirectional: true,
      pooling: 'mean',
      inputDropout: 0.6,
      outputDropout: 0.6,
      classes: [COMPLAINS, PRAISES],
      seed: stage.seed,
    });
    const [epochs, batchSize] = [8, 32];
    const schedule = { kind: 'cosine', steps: Math.ceil(examples.length / batchSize) * epochs } as const;
    const fit = { epochs, batchSize, learningRate: 2e-3, schedule, signal: stage.signal };
    for await (const p of model.fit(examples, fit)) {
      stage.progress(p.step, p.steps, `loss ${p.loss.toFixed(3)}, ${p.secondsLeft.toFixed(0)} s left`);
    }
    const praises = async (all: readonly (readonly string[])[]) =>
      (
        await model.predict(
          all.map((words) => features(words)),
          { signal: stage.signal },
        )
      ).map(({ probabilities }) => probabilities[1]);
    const read = await praises(heldOut.map(({ words }) => words));
    stage.metric('this model, held-out sentences', accuracy(read), '%', { atLeast: accuracy(counted) });
    await picture(stage, heldOut, { 'logistic regression on words': counted, 'this model': read });
    for (const text of [
      'the food was good',
      'the food was not good',
      'it works',
      'it stopped working after two days',
      'i would not change a thing',
    ]) {
      const [p] = await praises([text.split(' ')]);
      stage.log(`  ${(100 * p).toFixed(0).padStart(3)} %   ${text}`);
    }
  },
};

/** Accuracy against coverage: the sentences with the most certain predictions first. */
async function picture(
  stage: Stage,
  heldOut: readonly Sentence[],
  models: Record<string, readonly number[]>,
): Promise<void> {
  const values = Object.entries(models).flatMap(([model, p]) => {
    const order = p.map((_, i) => i).sort((a, b) => Math.abs(p[b] - 0.5) - Math.abs(p[a] - 0.5));
    let right = 0;
    const curve = order.map((i, n) => {
      if ((p[i] > 0.5 ? PRAISES : COMPLAINS) === heldOut[i].label) right++;
      return { model, answered: (n + 1) / p.length, right: right / (n + 1) };
    });
    return curve.filter((_, n) => n >= 49 && n % 10 === 9);
  });
  await stage.picture('answers', {
    title: 'Accuracy of the most certain predictions',
    width: 420,
    height: 300,
    data: { values },
    mark: 'line',
    encoding: {
      x: {
        field: 'answered',
        type: 'quantitative',
        title: 'fraction of the sentences, the most certain first',
        axis: { format: '%' },
      },
      y: {
        field: 'right',
        type: 'quantitative',
        title: 'accuracy',
        scale: { zero: false },
        axis: { format: '%' },
      },
      color: { field: 'model', type: 'nominal', title: null, legend: { labelLimit: 300 } },
      order: { field: 'answered' },
    },
  });
}
