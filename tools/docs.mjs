/** Refreshes what README.md and docs/ take from the code: tables, and quotes of files. */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = resolve(dirname(fileURLToPath(import.meta.url)), '..');
const { refreshed } = await import(join(root, 'build/tests/support/tables.js'));
for (const page of ['README.md', ...readdirSync(join(root, 'docs')).map((file) => `docs/${file}`)]) {
  if (!page.endsWith('.md')) continue;
  const path = join(root, page);
  const text = readFileSync(path, 'utf8');
  if (refreshed(text) !== text) writeFileSync(path, refreshed(text));
}
