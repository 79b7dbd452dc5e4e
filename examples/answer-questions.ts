/** Two encoders, one decoder: a passage and a question → the answer. Stories like those of bAbI (Weston et al. 2015, arXiv:1502.05698v10). */
import { Seq2Seq } from 'gatewise/tasks';
import { attentionMaps } from './support/attention.js';
import { Chance } from './support/chance.js';
import type { Example } from './support/stage.js';

const PEOPLE = ['Ada', 'Boris', 'Chiara', 'Daniel'];
const PLACES = ['kitchen', 'garden', 'office', 'cellar'];
const THINGS = ['apple', 'book', 'lamp'];
const COUNTS = ['none', 'one', 'two', 'three'];
const NOBODY = 'nobody';

/** A sentence is a step of the encoder; its words are the features of that step, one per column. */
const COLUMNS = ['1', '2', '3', '4', '5', '6'];
const NOTHING = '–';
type Story = Readonly<Record<string, readonly string[]>>;

interface Told {
  readonly source: { readonly story: Story; readonly question: readonly string[] };
  readonly target: readonly [answer: string];
}

/** A story with `from` to `to` sentences, a question about it, and the answer. Questions are about people and things of the story. */
function tell(chance: Chance, from: number, to: number): Told {
  const at = new Map<string, string>();
  const holder = new Map<string, string>();
  const story: string[] = [];
  const held = (person: string) => THINGS.filter((thing) => holder.get(thing) === person);

  for (let n = from + chance.below(to - from + 1); n > 0; n--) {
    const person = chance.pick(PEOPLE);
    const free = THINGS.filter((thing) => (holder.get(thing) ?? NOBODY) === NOBODY);
    const own = held(person);
    const what = chance.next();
    if (what < 0.4 && free.length) {
      const thing = chance.pick(free);
      holder.set(thing, person);
      story.push(`${person} ${chance.pick(['takes', 'grabs'])} the ${thing}`);
    } else if (what < 0.5 && own.length) {
      const thing = chance.pick(own);
      holder.set(thing, NOBODY);
      story.push(`${person} ${chance.pick(['drops', 'leaves'])} the ${thing}`);
    } else if (what < 0.6 && own.length) {
      const thing = chance.pick(own);
      const other = chance.pick(PEOPLE.filter((p) => p !== person));
      holder.set(thing, other);
      story.push(`${person} gives the ${thing} to ${other}`);
    } else {
      const place = chance.pick(PLACES);
      at.set(person, place);
      story.push(`${person} ${chance.pick(['goes to', 'walks to', 'is in'])} the ${place}`);
    }
  }
  const questions: (() => [question: string, answer: string])[] = [];
  if (at.size) {
    questions.push(() => {
      const person = chance.pick([...at.keys()]);
      return [`where is ${person}`, at.get(person) as string];
    });
  }
  if (holder.size) {
    questions.push(() => {
      const thing = chance.pick([...holder.keys()]);
      return [`who has the ${thing}`, holder.get(thing) as string];
    });
  }
  questions.push(() => {
    const person = chance.pick(PEOPLE);
    return [`how many things does ${person} have`, COUNTS[held(person).length]];
  });
  const [question, answer] = chance.pick(questions)();
  return { source: { story: columns(story), question: [...question.split(' '), '?'] }, target: [answer] };
}

/** The number of sentences per story, and the number of stories: short stories first, then stories as in the test. */
const LESSONS = [
  { from: 2, to: 4, count: 40_000 },
  { from: 3, to: 6, count: 240_000 },
];
const LAST = LESSONS[LESSONS.length - 1];

export const example: Example = {
  title: 'answers to questions about a short story: two encoders, each with attention',
  async run(stage) {
    const chance = new Chance(stage.seed);
    const lessons = LESSONS.map(({ from, to, count }) => Array.from({ length: count }, () => tell(chance, from, to)));
    const training = lessons.flat();
    const known = new Set(training.map(({ source }) => text(source)));
    const heldOut = Array.from({ length: 2_000 }, () => tell(chance, LAST.from, LAST.to)).filter(
      ({ source }) => !known.has(text(source)),
    );
    stage.log(`  ${training.length} stories for training, ${heldOut.length} held out`);
    const vocabularyOf = (tokens: readonly string[]) => ({ vocabulary: [...new Set(tokens)], embeddingSize: 16 });
    using model = await Seq2Seq.create({
      source: {
        story: {
          features: Object.fromEntries(
            COLUMNS.map((name) => [name, vocabularyOf(training.flatMap(({ source }) => source.story[name]))]),
          ),
        },
        question: vocabularyOf(training.flatMap(({ source }) => source.question)),
      },
      target: [...new Set(training.flatMap(({ target }) => target))],
      embeddingSize: 16,
      hiddenSize: 64,
      bidirectional: true,
      attention: 'additive',
      seed: stage.seed,
    });
    const batchSize = 32;
    for (const [n, stories] of lessons.entries()) {
      const { from, to } = LESSONS[n];
      const steps = Math.ceil(stories.length / batchSize);
      const schedule = { kind: 'cosine', steps, minLearningRate: stories === lessons.at(-1) ? 0 : 1e-3 } as const;
      const fit = { epochs: 1, batchSize, learningRate: 3e-3, schedule, signal: stage.signal };
      for await (const p of model.fit(stories, fit)) {
        const left = `${p.secondsLeft.toFixed(0)} s left`;
        stage.progress(p.step, p.steps, `${from} to ${to} sentences: loss ${p.loss.toFixed(3)}, ${left}`);
      }
    }
    stage.metric('the most frequent answer to the question', usual(training, heldOut), '%');
    const results = await model.predict(
      heldOut.map(({ source }) => source),
      { maxLength: 3, signal: stage.signal },
    );
    const right = (i: number) => results[i].text === heldOut[i].target[0];
    for (const kind of ['where', 'who', 'how']) {
      const own = heldOut.flatMap(({ source }, i) => (source.question[0] === kind ? [i] : []));
      stage.log(`  ${kind.padEnd(5)} ${((100 * own.filter(right).length) / own.length).toFixed(1)} % of ${own.length}`);
    }
    const exact = heldOut.filter((_, i) => right(i)).length / heldOut.length;
    stage.metric('this model, held-out stories', exact, '%', { atLeast: 0.95 });

    const told = ['where', 'who', 'how'].map((kind) => heldOut.findIndex(({ source }) => source.question[0] === kind));
    await stage.picture(
      'attention',
      attentionMaps(
        'The sentences that the model reads for an answer',
        told.map((i) => ({
          title: `${heldOut[i].source.question.join(' ')} → ${results[i].text}`,
          read: sentences(heldOut[i].source.story),
          written: [...results[i].tokens, 'end'],
          weights: results[i].attention.story,
        })),
      ),
    );
  },
};

const columns = (sentences: readonly string[]): Story =>
  Object.fromEntries(COLUMNS.map((name, k) => [name, sentences.map((s) => s.split(' ')[k] ?? NOTHING)]));

const sentences = (story: Story): string[] =>
  story[COLUMNS[0]].map((_, i) =>
    COLUMNS.map((c) => story[c][i])
      .filter((w) => w !== NOTHING)
      .join(' '),
  );

const text = ({ story, question }: Told['source']) => [...sentences(story), ...question].join(' ');

/** Accuracy of the most frequent answer to the same question in the training data. */
function usual(training: readonly Told[], heldOut: readonly Told[]): number {
  const counts = new Map<string, Map<string, number>>();
  for (const { source, target } of training) {
    const question = source.question.join(' ');
    const own = counts.get(question) ?? new Map<string, number>();
    counts.set(question, own.set(target[0], (own.get(target[0]) ?? 0) + 1));
  }
  const right = heldOut.filter(({ source, target }) => {
    const own = [...(counts.get(source.question.join(' ')) ?? [])].sort(([, a], [, b]) => b - a);
    return own[0]?.[0] === target[0];
  });
  return right.length / heldOut.length;
}
