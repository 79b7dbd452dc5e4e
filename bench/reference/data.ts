/** Reads the data of the trainings, and runs one training after another under a bar. */
import { readFile } from 'node:fs/promises';
import type { Run } from 'gatewise';
import type { EpochProgress, FitHistory } from 'gatewise/tasks';
import type { Report } from './reference.js';

/** The lines of a file, each in its columns. */
export async function columns(file: string): Promise<string[][]> {
  const text = await readFile(file, 'utf8');
  return text
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => line.split('\t'));
}

/** Sentences that blank lines part: their lines, each in its columns. */
export async function sentences(file: string): Promise<string[][][]> {
  const text = await readFile(file, 'utf8');
  return text
    .trim()
    .split('\n\n')
    .map((block) => block.split('\n').map((line) => line.split('\t')));
}

/** How a word is written; of the letters in it, at least one, all are small or capitals. */
export const SHAPES = ['small', 'Capital', 'CAPITALS', 'digits', 'other'] as const;

export function shape(word: string): (typeof SHAPES)[number] {
  const small = (text: string) => text === text.toLowerCase() && text !== text.toUpperCase();
  const capitals = (text: string) => text === text.toUpperCase() && text !== text.toLowerCase();
  const [first, ...rest] = word;
  if (small(word)) return 'small';
  if (capitals(first) && small(rest.join(''))) return 'Capital';
  if (capitals(word)) return 'CAPITALS';
  return /^\d+$/.test(word) ? 'digits' : 'other';
}

/** Follows a training to its end; `passed` is called after each pass over the examples. */
export async function follow(
  training: Run<EpochProgress, FitHistory>,
  { progress }: Report,
  what: string,
  passed: (epoch: number) => Promise<void> | void = () => {},
): Promise<void> {
  let passes = 0;
  for await (const { step, steps, loss, epoch, secondsLeft } of training) {
    progress(
      step,
      steps,
      `${what}, pass ${Math.ceil(epoch)}, loss ${loss.toFixed(3)}, ${secondsLeft.toFixed(0)} s left`,
    );
    if (epoch >= passes + 1) await passed(++passes);
  }
}

export function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}
