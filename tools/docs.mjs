/** Writes the parts of README.md that come from the code: what stands between `<!-- cells -->` and `<!-- /cells -->`. */
import { readFileSync, writeFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = resolve(dirname(fileURLToPath(import.meta.url)), '..');
const { cellTable } = await import(join(root, 'build/tests/support/tables.js'));
const path = join(root, 'README.md');
const text = readFileSync(path, 'utf8');
writeFileSync(
  path,
  text.replace(/(<!-- cells -->\n).*?(<!-- \/cells -->)/s, (_, a, b) => a + cellTable() + b),
);
