/** Language models: a book is learned character by character and word by word, and written on. */
import { LanguageModel, Vocabulary } from 'gatewise/tasks';
import { mobyDick, readText } from './support/book.js';
import type { Example, Stage } from './support/stage.js';

/** Stands for what training did not show, or not often enough. */
const UNKNOWN = '\u{fffd}';
const SAMPLES = 4;

type Level = 'character' | 'word';

/** Text as tokens: joined together they are the text again, since a word brings the space before it. */
const split: Record<Level, (text: string) => string[]> = {
  character: (text) => [...text],
  word: (text) => text.match(/ ?\p{L}+(?:['’]\p{L}+)*| ?\p{N}+|[^\p{L}\p{N}]/gu) ?? [],
};

const SETTINGS = {
  character: { size: 500, minCount: 1, embeddingSize: 64, hiddenSize: 160, steps: 800, batchSize: 16, window: 64 },
  word: { size: 3000, minCount: 3, embeddingSize: 96, hiddenSize: 96, steps: 600, batchSize: 16, window: 32 },
};

export const example: Example = {
  title: 'a book learned by characters and by words, and written on',
  usage: `[FILE] [character|word]

  FILE              a book as UTF-8 text   default Moby Dick
  character, word   only the one of them   default both`,
  async run(stage) {
    const levels = stage.words.filter((word): word is Level => word in SETTINGS);
    const [file, more] = stage.words.filter((word) => !(word in SETTINGS));
    if (more) throw new Error(`${more}: one file at a time; the other is ${file}`);
    const text = file ? await readText(file) : mobyDick();
    const end = Math.floor(text.length * 0.9);
    const [training, heldOut] = [text.slice(0, end), text.slice(end)];
    stage.log(`  ${training.length} characters to learn from, the last ${heldOut.length} are held out`);

    const trigram = grams(split.character(training), 3);
    stage.figure(
      'single characters by how frequent they are',
      perCharacter(grams(split.character(training), 1), heldOut),
      'bits',
    );
    stage.figure('three characters each (Witten and Bell)', perCharacter(trigram, heldOut), 'bits');
    const curve: { level: string; seconds: number; bits: number }[] = [];
    for (const level of levels.length ? levels : (['character', 'word'] as const)) {
      const model = await learn(stage, level, training, heldOut, curve);
      stage.figure(`this model, ${level} by ${level}`, await model.bits(heldOut), 'bits', {
        atMost: perCharacter(trigram, heldOut),
      });
      model.dispose();
    }
    await stage.picture('learning', {
      title: 'The beginning of what was held out',
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
          data: { values: [{ bits: perCharacter(trigram, heldOut.slice(0, PIECE)), level: 'three characters each' }] },
          mark: { type: 'rule', strokeDash: [4, 4] },
          encoding: { y: { field: 'bits', type: 'quantitative' }, color: { field: 'level', type: 'nominal' } },
        },
      ],
    });
  },
};

const END = '';

/**
 * Bits of a token after a context: counts of 1 … `order` tokens in a row, the longer ones leaning on the shorter ones where they are
 * rare (Witten & Bell 1991). What training did not show is one of Unicode's code points.
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

/** Mean bits of the characters of a text but for the first, which is given. */
function perCharacter(bits: ReturnType<typeof grams>, text: string): number {
  const all = [...text];
  const sum = all.reduce(
    (total, character, i) => total + (i ? bits(all.slice(Math.max(0, i - 2), i), character) : 0),
    0,
  );
  return sum / (all.length - 1);
}

/** Characters of the held-out part by which progress is measured. */
const PIECE = 10_000;

/** Trains a model, showing what it writes on the way; `bits` per character of any text. */
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
  // a token that the model does not know costs what it takes to spell it, and to say that it ends
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
