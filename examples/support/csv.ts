/** Tables of the package `vega-datasets`. */
import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';

/** The rows of a file as records by the names in the first line. No field of these files has a comma or a quote. */
export async function table(file: string): Promise<Record<string, string>[]> {
  const path = fileURLToPath(new URL(`../data/${file}`, import.meta.resolve('vega-datasets')));
  const [head, ...lines] = (await readFile(path, 'utf8')).trim().split(/\r?\n/);
  const names = head.split(',');
  return lines.map((line) => Object.fromEntries(line.split(',').map((field, i) => [names[i], field])));
}
