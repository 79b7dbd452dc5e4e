/** Nothing is forgotten: each cell has all its pieces, the README's tables are those of the code. */
import { readdirSync, readFileSync } from 'node:fs';
import { CELL_NAMES } from 'gatewise';
import { test } from 'uvu';
import { equal, ok } from 'uvu/assert';
import { works } from '../bench/works.js';
import { cells as references } from './reference/index.js';
import { cases } from './support/golden.js';
import { refreshed } from './support/tables.js';

const root = new URL('../../', import.meta.url);
const stems = (folder: string) =>
  readdirSync(new URL(folder, root))
    .filter((f) => f.endsWith('.ts') && !['index.ts', 'activation.ts', 'cell.ts', 'layout.ts'].includes(f))
    .map((f) => f.slice(0, -3))
    .sort();

test('every cell has its arithmetic, its description, its reference and a row of the benchmark', () => {
  const names = [...CELL_NAMES].sort();
  equal(stems('assembly/cells'), names);
  equal(stems('bindings/cells'), names);
  equal(Object.keys(references).sort(), names);
  for (const name of names)
    ok(
      works.some(({ id }) => id.startsWith(`${name}-train`)),
      `${name}: no row`,
    );
});

test('every cell that PyTorch has has golden cases', () => {
  for (const name of ['rnn', 'lstm', 'gru'])
    ok(
      cases.some((c) => c.config.cell?.startsWith(name)),
      name,
    );
});

test('tables and quotes of README and docs are those of the code', () => {
  const pages = readdirSync(new URL('docs', root)).map((file) => `docs/${file}`);
  for (const page of ['README.md', ...pages].filter((file) => file.endsWith('.md'))) {
    const text = readFileSync(new URL(page, root), 'utf8');
    ok(refreshed(text) === text, `${page}: npm run docs brings it up to date`);
  }
});

test('the docs quote every part that adding a cell takes', () => {
  const text = readFileSync(new URL('docs/adding-a-cell.md', root), 'utf8');
  const quoted = [...text.matchAll(/<!-- quote (\S+) (\S+) -->/g)].map(([, path, name]) => `${path} ${name}`);
  for (const folder of ['assembly/cells', 'bindings/cells', 'tests/reference']) {
    ok(
      quoted.some((part) => part.startsWith(`${folder}/residual.ts `)),
      folder,
    );
  }
});

test('memory is touched, and WebAssembly named, in the boundary only', () => {
  const files = readdirSync(new URL('bindings', root), { recursive: true }) as string[];
  for (const file of files.filter((f) => f.endsWith('.ts') && !f.startsWith('core') && f !== 'platform.ts')) {
    const text = readFileSync(new URL(`bindings/${file}`, root), 'utf8');
    ok(!/memory\.buffer|new WebAssembly|WebAssembly\.(?!Module\b)/.test(text), file);
    ok(
      !/Math\.(exp|tanh|log|pow|sin|cos|random)\(/.test(text),
      `${file}: the host's Math may differ from engine to engine`,
    );
  }
});

test.run();
