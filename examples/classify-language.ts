/** Sequence → class: the language of 30 characters. */
import { SequenceClassifier } from 'gatewise/tasks';
import { Chance } from './support/chance.js';
import { articles, LANGUAGES } from './support/declaration.js';
import type { Example } from './support/stage.js';

const PIECE = 30;
/** Stands for characters that are not in the training data. */
const UNKNOWN = '\u{fffd}';

/** Every fifth article is held out. */
const isHeldOut = (article: number) => article % 5 === 3;

/** Pieces of 30 characters: with `chance` at random places, one for every two characters; otherwise one after the other. */
function pieces(text: string, chance: Chance | null): string[] {
  const characters = [...text];
  const starts = chance
    ? Array.from({ length: characters.length / 2 }, () => chance.below(characters.length - PIECE))
    : Array.from({ length: Math.floor(characters.length / PIECE) }, (_, i) => i * PIECE);
  return starts.map((start) => characters.slice(start, start + PIECE).join(''));
}

export const example: Example = {
  title: 'the language of 30 characters, one of 12 (Declaration of Human Rights)',
  async run(stage) {
    const chance = new Chance(stage.seed);
    const training: { input: string; label: string }[] = [];
    const heldOut: { input: string; label: string }[] = [];
    for (const [code, label] of Object.entries(LANGUAGES)) {
      for (const [number, text] of await articles(code)) {
        if (text.length <= PIECE) continue;
        const into = isHeldOut(number) ? heldOut : training;
        for (const input of pieces(text.toLowerCase(), isHeldOut(number) ? null : chance)) into.push({ input, label });
      }
    }
    stage.log(`  ${training.length} pieces for training, ${heldOut.length} of held-out articles`);

    using model = await SequenceClassifier.create({
      vocabulary: UNKNOWN + training.map(({ input }) => input).join(''),
      unknown: UNKNOWN,
      embeddingSize: 32,
      cell: 'gru',
      hiddenSize: 96,
      pooling: 'max',
      inputDropout: 0.1,
      classes: Object.values(LANGUAGES),
      seed: stage.seed,
    });
    const fit = { epochs: 2, batchSize: 64, learningRate: 3e-3, signal: stage.signal };
    for await (const p of model.fit(training, fit)) {
      stage.progress(p.step, p.steps, `loss ${p.loss.toFixed(3)}, ${p.secondsLeft.toFixed(0)} s left`);
    }

    const { accuracy, classes } = await model.evaluate(heldOut);
    stage.metric('always the most frequent language', share(heldOut.map(({ label }) => label)), '%');
    stage.metric('naive Bayes on letter trigrams', trigrams(training, heldOut), '%');
    stage.metric('this model, held-out articles', accuracy, '%', { atLeast: 0.95 });

    const results = await model.predict(heldOut.map(({ input }) => input));
    const counts = new Map<string, number>();
    heldOut.forEach(({ label }, i) => {
      const pair = `${label}\t${results[i].label}`;
      counts.set(pair, (counts.get(pair) ?? 0) + 1);
    });
    const values = [...counts].map(([pair, count]) => {
      const [is, said] = pair.split('\t');
      return { is, said, share: count / heldOut.filter(({ label }) => label === is).length };
    });
    await stage.picture('confusions', {
      title: `Predicted and true languages: F1 of at least ${Math.min(...Object.values(classes).map(({ f1 }) => f1)).toFixed(2)}`,
      data: { values },
      encoding: {
        x: { field: 'said', type: 'nominal', title: 'predicted' },
        y: { field: 'is', type: 'nominal', title: 'true' },
      },
      layer: [
        { mark: 'rect', encoding: { color: { field: 'share', type: 'quantitative', title: 'fraction' } } },
        {
          mark: { type: 'text', fontSize: 9 },
          encoding: {
            text: { field: 'share', format: '.0%' },
            color: { condition: { test: 'datum.share > 0.5', value: 'white' }, value: 'black' },
          },
        },
      ],
    });
    for (const text of [
      'Where is the nearest station, please?',
      'Waar is het dichtstbijzijnde station?',
      'Dove è la stazione più vicina?',
    ]) {
      const [{ label }] = await model.predict([text.toLowerCase()]);
      stage.log(`  ${label.padEnd(12)} ${text}`);
    }
  },
};

function share(labels: readonly string[]): number {
  return (
    Math.max(...Object.keys(LANGUAGES).map((code) => labels.filter((l) => l === LANGUAGES[code]).length)) /
    labels.length
  );
}

/** Naive Bayes on letter trigrams with add-one smoothing. */
function trigrams(training: { input: string; label: string }[], heldOut: { input: string; label: string }[]): number {
  const of = (text: string) => Array.from({ length: Math.max(text.length - 2, 0) }, (_, i) => text.slice(i, i + 3));
  const counts = new Map<string, Map<string, number>>();
  const totals = new Map<string, number>();
  for (const { input, label } of training) {
    const own = counts.get(label) ?? new Map<string, number>();
    counts.set(label, own);
    for (const gram of of(input)) {
      own.set(gram, (own.get(gram) ?? 0) + 1);
      totals.set(label, (totals.get(label) ?? 0) + 1);
    }
  }
  const distinct = new Set([...counts.values()].flatMap((own) => [...own.keys()])).size;
  const right = heldOut.filter(({ input, label }) => {
    let [best, most] = ['', -Infinity];
    for (const [candidate, own] of counts) {
      const total = (totals.get(candidate) ?? 0) + distinct;
      const score = of(input).reduce((sum, gram) => sum + Math.log(((own.get(gram) ?? 0) + 1) / total), 0);
      if (score > most) [best, most] = [candidate, score];
    }
    return best === label;
  });
  return right.length / heldOut.length;
}
