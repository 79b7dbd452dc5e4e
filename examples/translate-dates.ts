/** Sequence → sequence with attention: dates in 20 languages → ISO 8601. */
import { Seq2Seq } from 'gatewise/tasks';
import { attentionMaps } from './support/attention.js';
import { Chance } from './support/chance.js';
import type { Example } from './support/stage.js';

const LANGUAGES = 'ar-EG cs de el en es fi fr hi hu it ja ko nl pl pt ru sv tr vi'.split(' ');
const STYLES = ['full', 'long', 'medium'] as const;
const DAY = 86_400_000;
const FIRST = Date.UTC(1900, 0, 1) / DAY;
const END = Date.UTC(2100, 0, 1) / DAY;

const writers = LANGUAGES.flatMap((language) =>
  STYLES.map((dateStyle) => new Intl.DateTimeFormat(language, { dateStyle, calendar: 'gregory', timeZone: 'UTC' })),
);

/** A day in the words of a language, and in ISO 8601. */
function pair(day: number, writer: Intl.DateTimeFormat): { source: string; target: string } {
  const date = new Date(day * DAY);
  return { source: writer.format(date), target: date.toISOString().slice(0, 10) };
}

/** Every fifth day is held out in all languages. */
const isHeldOut = (day: number) => (day - FIRST) % 5 === 2;

function pairs(count: number, heldOut: boolean, chance: Chance) {
  return Array.from({ length: count }, () => {
    let day: number;
    do day = FIRST + chance.below(END - FIRST);
    while (isHeldOut(day) !== heldOut);
    return pair(day, chance.pick(writers));
  });
}

export const example: Example = {
  title: 'dates in 20 languages → ISO 8601, with attention',
  async run(stage) {
    const chance = new Chance(stage.seed);
    const training = pairs(20_000, false, chance);
    const heldOut = pairs(2_000, true, chance);
    stage.log(`  ${training.length} dates for training, ${heldOut.length} of held-out days`);
    stage.metric('Date.parse of JavaScript', parsed(heldOut), '%');
    const train = async <A extends 'general' | undefined>(attention: A) => {
      const model = await Seq2Seq.create({
        source: { vocabulary: training.map(({ source }) => source).join(''), embeddingSize: 32 },
        target: '0123456789-',
        embeddingSize: 16,
        hiddenSize: 64,
        bidirectional: true,
        attention,
        seed: stage.seed,
      });
      const [epochs, batchSize] = [3, 32];
      const schedule = { kind: 'cosine', steps: Math.ceil(training.length / batchSize) * epochs } as const;
      const fit = { epochs, batchSize, learningRate: 4e-3, schedule, signal: stage.signal };
      const what = attention ? 'with attention' : 'without attention';
      for await (const p of model.fit(training, fit)) {
        stage.progress(p.step, p.steps, `${what}: loss ${p.loss.toFixed(4)}, ${p.secondsLeft.toFixed(0)} s left`);
      }
      return { model, exact: (await model.evaluate(heldOut, { maxLength: 12, signal: stage.signal })).exact };
    };
    const plain = await train(undefined);
    plain.model.dispose();
    stage.metric('the same model without attention', plain.exact, '%');
    const { model, exact } = await train('general');
    stage.metric('this model, held-out days', exact, '%', { atLeast: 0.98 });

    const day = Date.UTC(1969, 6, 20) / DAY;
    const shown = ['en', 'hu', 'ar-EG'].map((language) => pair(day, writers[3 * LANGUAGES.indexOf(language)]).source);
    const results = await model.predict(shown, { maxLength: 12 });
    model.dispose();
    results.forEach(({ text }, i) => stage.log(`  ${text}   ${shown[i]}`));
    await stage.picture(
      'attention',
      attentionMaps(
        'The characters that the model reads for each digit',
        results.map(({ text, tokens, attention }, i) => ({
          title: `${text} ← ${shown[i]}`,
          read: [...shown[i]],
          written: [...tokens, 'end'],
          weights: attention,
        })),
      ),
    );
  },
};

function parsed(heldOut: readonly { source: string; target: string }[]): number {
  const right = heldOut.filter(({ source, target }) => {
    const time = Date.parse(`${source} UTC`);
    return !Number.isNaN(time) && new Date(time).toISOString().startsWith(target);
  });
  return right.length / heldOut.length;
}
