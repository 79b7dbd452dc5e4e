/** Language models of a book, by characters and by words, and text that they generate. */
import { LanguageModel, Vocabulary } from 'gatewise/tasks';
import { mobyDick, readText } from './support/book.js';
import type { Example, Stage } from './support/stage.js';

/** Stands for tokens that are not in the vocabulary. */
const UNKNOWN = '\u{fffd}';
const SAMPLES = 4;

type Level = 'character' | 'word';

/** Text as tokens. Joined together they are the text: a word includes the space before it. */
const split: Record<Level, (text: string) => string[]> = {
  character: (text) => [...text],
  word: (text) => text.match(/ ?\p{L}+(?:['’]\p{L}+)*| ?\p{N}+|[^\p{L}\p{N}]/gu) ?? [],
};

const SETTINGS = {
  character: { size: 500, minCount: 1, embeddingSize: 64, hiddenSize: 160, steps: 800, batchSize: 16, window: 64 },
  word: { size: 3000, minCount: 3, embeddingSize: 96, hiddenSize: 96, steps: 600, batchSize: 16, window: 32 },
};

export const example: Example = {
  title: 'language models of a book, by characters and by words',
  usage: `[FILE] [character|word]

  FILE              a book as UTF-8 text   default Moby Dick
  character, word   only this model        default both`,
  async run(stage) {
    const levels = stage.words.filter((word): word is Level => word in SETTINGS);
    const [file, more] = stage.words.filter((word) => !(word in SETTINGS));
    if (more) throw new Error(`${more}: expected one file, got ${file} as well`);
    const text = file ? await readText(file) : mobyDick();
    const end = Math.floor(text.length * 0.9);
    const [training, heldOut] = [text.slice(0, end), text.slice(end)];
    stage.log(`  ${training.length} characters for training, the last ${heldOut.length} are held out`);

    const trigram = grams(split.character(training), 3);
    stage.metric(
      'frequencies of single characters',
      perCharacter(grams(split.character(training), 1), heldOut),
      'bits',
    );
    stage.metric('trigrams of characters (Witten and Bell)', perCharacter(trigram, heldOut), 'bits');
    const curve: { level: string; seconds: number; bits: number }[] = [];
    for (const level of levels.length ? levels : (['character', 'word'] as const)) {
      const model = await learn(stage, level, training, heldOut, curve);
      stage.metric(`this model, ${level} by ${level}`, await model.bits(heldOut), 'bits', {
        atMost: perCharacter(trigram, heldOut),
      });
      model.dispose();
    }
    await stage.picture('learning', {
      title: 'Bits per character of held-out text',
      width: 480,
      height: 300,
      layer: [
        {
          data: { values: curve },
          mark: { type: 'line', point: true },
          encoding: {
            x: { field: 'seconds', type: 'quantitative', title: 'seconds of training' },
            y: { field: 'bits', type: 'quantitative', title: 'bits per character', scale: { zero: false } },
            color: { field: 'level', type: 'nominal', title: null, legend: { labelLimit: 400 } },
          },
        },
        {
          data: { values: [{ bits: perCharacter(trigram, heldOut.slice(0, PIECE)), level: 'trigrams of characters' }] },
          mark: { type: 'rule', strokeDash: [4, 4] },
          encoding: { y: { field: 'bits', type: 'quantitative' }, color: { field: 'level', type: 'nominal' } },
        },
      ],
    });
  },
};

const END = '';

/**
 * Bits of a token after a context: counts of 1 … `order` tokens in a row, smoothed with the shorter contexts
 * (Witten & Bell 1991). An unseen token is one of Unicode's code points.
 */
function grams(tokens: readonly string[], order: number): (context: readonly string[], token: string) => number {
  const counts = new Map<string, { total: number; after: Map<string, number> }>();
  tokens.forEach((token, i) => {
    for (let n = 0; n < order && n <= i; n++) {
      const context = tokens.slice(i - n, i).join('\t');
      const own = counts.get(`${n}${context}`) ?? { total: 0, after: new Map<string, number>() };
      counts.set(`${n}${context}`, own);
      own.total++;
      own.after.set(token, (own.after.get(token) ?? 0) + 1);
    }
  });
  return (context, token) => {
    let p = 1 / 0x110000;
    for (let n = 0; n < order && n <= context.length; n++) {
      const own = counts.get(`${n}${context.slice(context.length - n).join('\t')}`);
      if (!own) break;
      p = ((own.after.get(token) ?? 0) + own.after.size * p) / (own.total + own.after.size);
    }
    return -Math.log2(p);
  };
}

/** Mean bits per character of a text, without the first character, which is given. */
function perCharacter(bits: ReturnType<typeof grams>, text: string): number {
  const all = [...text];
  const sum = all.reduce(
    (total, character, i) => total + (i ? bits(all.slice(Math.max(0, i - 2), i), character) : 0),
    0,
  );
  return sum / (all.length - 1);
}

/** Characters of the held-out text that measure the progress. */
const PIECE = 10_000;

/** Trains a model and shows samples; `bits` returns the bits per character of a text. */
async function learn(
  stage: Stage,
  level: Level,
  training: string,
  heldOut: string,
  curve: { level: string; seconds: number; bits: number }[],
) {
  const { size, minCount, steps, embeddingSize, hiddenSize, ...fit } = SETTINGS[level];
  const tokens = split[level](training);
  const vocabulary = Vocabulary.of([tokens], { minCount, maxSize: size, unknown: UNKNOWN });
  const known = (all: readonly string[]) => all.map((token) => (vocabulary.has(token) ? token : UNKNOWN));
  // a token outside the vocabulary costs the bits of its characters and of its end
  const strange = tokens.filter((token) => !vocabulary.has(token));
  const letter = grams(
    strange.flatMap((token) => [...token, END]),
    1,
  );
  const spelled = (token: string) => [...token, END].reduce((sum, character) => sum + letter([], character), 0);
  const model = await LanguageModel.create({
    vocabulary: vocabulary.tokens,
    embeddingSize,
    hiddenSize,
    tieWeights: embeddingSize === hiddenSize,
    seed: stage.seed,
  });
  const bits = async (text: string) => {
    const all = split[level](text);
    const { bits: mean, count } = await model.evaluate(known(all), { signal: stage.signal });
    const extra = all.slice(1).reduce((sum, token) => sum + (vocabulary.has(token) ? 0 : spelled(token)), 0);
    return (mean * count + extra) / [...all.slice(1).join('')].length;
  };
  let seconds = 0;
  const schedule = { kind: 'cosine', steps, minLearningRate: 1e-4 } as const;
  for await (const p of model.fit(known(tokens), {
    ...fit,
    steps,
    learningRate: 5e-3,
    schedule,
    signal: stage.signal,
  })) {
    stage.progress(p.step, p.steps, `${level}s: ${p.bits.toFixed(2)} bits each, ${p.secondsLeft.toFixed(0)} s left`);
    seconds = p.secondsElapsed;
    if (p.step % Math.floor(steps / 10) === 0)
      curve.push({ level: `${level}s`, seconds, bits: await bits(heldOut.slice(0, PIECE)) });
    if (p.step % Math.floor(steps / SAMPLES) === 0) {
      const prompt = split[level]('\n');
      const length = level === 'word' ? 40 : 160;
      const written = await model.generate({ prompt, length, temperature: 0.8, seed: stage.seed });
      stage.log(
        `  step ${p.step}: ${(level === 'word' ? written.replace(/ ( ?)/g, '$1').replaceAll(UNKNOWN, ' …') : written).replace(/\s+/g, ' ').trim()}`,
      );
    }
  }
  return { bits, dispose: () => model.dispose() };
}
