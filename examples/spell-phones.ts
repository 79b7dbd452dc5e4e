/** Sequence → sequence: letters → phonemes, decoded with a beam search. */
import { dictionary } from 'cmu-pronouncing-dictionary';
import { Seq2Seq } from 'gatewise/tasks';
import { attentionMaps } from './support/attention.js';
import { Chance } from './support/chance.js';
import type { Example } from './support/stage.js';

interface Entry {
  readonly source: string;
  /** Phonemes of ARPAbet, without the marks of stress. */
  readonly target: readonly string[];
}

/** Words of letters only, each with its first pronunciation. */
function entries(): Entry[] {
  return Object.entries(dictionary)
    .filter(([word]) => /^[a-z]{2,}$/.test(word))
    .map(([source, phonemes]) => ({ source, target: phonemes.replace(/\d/g, '').split(' ') }));
}

export const example: Example = {
  title: 'the pronunciation of unseen words: letters → phonemes (CMU dictionary)',
  async run(stage) {
    const chance = new Chance(stage.seed);
    const all = chance.shuffled(entries());
    const heldOut = all.slice(0, 2_000);
    const training = all.slice(2_000, 2_000 + 50_000);
    stage.log(`  ${training.length} words for training, ${heldOut.length} held out`);
    using model = await Seq2Seq.create({
      source: { vocabulary: 'abcdefghijklmnopqrstuvwxyz', embeddingSize: 32 },
      target: [...new Set(training.flatMap(({ target }) => target))].sort(),
      embeddingSize: 32,
      hiddenSize: 96,
      bidirectional: true,
      attention: 'general',
      seed: stage.seed,
    });
    const epochs = 2;
    const batchSize = 64;
    const schedule = { kind: 'cosine', steps: Math.ceil(training.length / batchSize) * epochs } as const;
    const fit = { epochs, batchSize, learningRate: 4e-3, schedule, signal: stage.signal };
    for await (const p of model.fit(training, fit)) {
      stage.progress(p.step, p.steps, `loss ${p.loss.toFixed(3)}, ${p.secondsLeft.toFixed(0)} s left`);
    }

    const sources = heldOut.map(({ source }) => source);
    const greedy = await model.predict(sources, { maxLength: 30, signal: stage.signal });
    const best: (readonly string[])[] = [];
    const beam = model.predict(sources, { maxLength: 30, beamWidth: 3, signal: stage.signal });
    for await (const { done, total } of beam) stage.progress(done, total, 'words decoded');
    for (const { tokens } of await beam) best.push(tokens);
    stage.metric('phoneme errors: most frequent phoneme per letter', errors(heldOut, byLetter(training, sources)), '%');
    const said = greedy.map(({ tokens }) => tokens);
    stage.metric('phoneme errors: this model, greedy', errors(heldOut, said), '%');
    stage.metric('phoneme errors: this model, beam of 3', errors(heldOut, best), '%', { atMost: 0.2 });
    const whole = heldOut.filter(({ target }, i) => target.join() === best[i].join()).length / heldOut.length;
    stage.metric('words without an error, beam of 3', whole, '%');
    heldOut.slice(0, 8).forEach(({ source, target }, i) => {
      const right = best[i].join() === target.join();
      stage.log(`  ${source.padEnd(14)} ${best[i].join(' ').padEnd(28)} ${right ? '' : `not ${target.join(' ')}`}`);
    });

    const invented = ['gatewise', 'knightphone', 'chaucerian'];
    const maps = (await model.predict(invented, { maxLength: 30 })).map(({ tokens, attention }, i) => ({
      title: `${invented[i]} → ${tokens.join(' ')}`,
      read: [...invented[i]],
      written: [...tokens, 'end'],
      weights: attention,
    }));
    await stage.picture('attention', attentionMaps('The letters that the model reads for each phoneme', maps));
  },
};

/** Insertions, deletions and replacements, divided by the number of phonemes. */
function errors(truth: readonly Entry[], said: readonly (readonly string[])[]): number {
  const count = truth.reduce((sum, { target }, i) => sum + distance(target, said[i]), 0);
  return count / truth.reduce((sum, { target }) => sum + target.length, 0);
}

/** Levenshtein 1966. */
function distance(a: readonly string[], b: readonly string[]): number {
  let row = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (const token of a) {
    const next = [row[0] + 1];
    b.forEach((other, j) => next.push(Math.min(next[j] + 1, row[j + 1] + 1, row[j] + (token === other ? 0 : 1))));
    row = next;
  }
  return row[b.length];
}

/** The most frequent phoneme of each letter, counted in words that have as many phonemes as letters. */
function byLetter(training: readonly Entry[], words: readonly string[]): string[][] {
  const counts = new Map<string, Map<string, number>>();
  for (const { source, target } of training) {
    if (source.length !== target.length) continue;
    [...source].forEach((letter, i) => {
      const own = counts.get(letter) ?? new Map<string, number>();
      counts.set(letter, own.set(target[i], (own.get(target[i]) ?? 0) + 1));
    });
  }
  const usual = new Map([...counts].map(([letter, own]) => [letter, [...own].sort(([, a], [, b]) => b - a)[0][0]]));
  return words.map((word) => [...word].flatMap((letter) => usual.get(letter) ?? []));
}
