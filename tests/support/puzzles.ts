/** Small tasks of one text → another: each has one right answer, and parts that are learned from and that are not. */
import { random } from './numbers.js';

export const ALPHABET = 'abcd';

/** What is to be written for a text. */
export const PUZZLES = {
  copy: (text: string) => text,
  reverse: (text: string) => [...text].reverse().join(''),
  /** How often a and b occur: `abba` to `22`. */
  count: (text: string) => ['a', 'b'].map((letter) => text.split(letter).length - 1).join(''),
  sort: (text: string) => [...text].sort().join(''),
} as const;

export type PuzzleName = keyof typeof PUZZLES;

/** What targets are written with. */
export const symbols = (name: PuzzleName) => (name === 'count' ? '0123456789' : ALPHABET);

/** How many texts, and how long. */
export interface Texts {
  readonly n: number;
  readonly unseen: number;
  readonly shortest: number;
  readonly longest: number;
  readonly seed?: number;
}

/** Different texts of the alphabet, drawn by the seed: n to learn from, and `unseen` others. */
export function drawTexts({ n, unseen, shortest, longest, seed = 1 }: Texts): { seen: string[]; unseen: string[] } {
  const next = random(seed);
  const texts = new Set<string>();
  let possible = 0;
  for (let length = shortest; length <= longest; length++) possible += ALPHABET.length ** length;
  if (n + unseen > possible) throw new RangeError(`n: there are ${possible} such texts only`);
  while (texts.size < n + unseen) {
    const length = shortest + Math.floor(next() * (longest - shortest + 1));
    texts.add(Array.from({ length }, () => ALPHABET[Math.floor(next() * ALPHABET.length)]).join(''));
  }
  const all = [...texts];
  return { seen: all.slice(0, n), unseen: all.slice(n) };
}

export interface Puzzle {
  readonly source: string;
  readonly target: string;
}

/** Texts and what is to be written for them. */
export function puzzle(name: PuzzleName, texts: Texts): { seen: Puzzle[]; unseen: Puzzle[] } {
  const { seen, unseen } = drawTexts(texts);
  const solved = (list: string[]) => list.map((source) => ({ source, target: PUZZLES[name](source) }));
  return { seen: solved(seen), unseen: solved(unseen) };
}
