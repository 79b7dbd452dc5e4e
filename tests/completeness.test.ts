/** Nothing is forgotten: each cell has all its pieces, the README's tables are those of the code. */
import { readdirSync, readFileSync } from 'node:fs';
import { CELL_NAMES } from 'gatewise';
import { test } from 'uvu';
import { equal, ok } from 'uvu/assert';
import { works } from '../bench/works.js';
import { cells as references } from './reference/index.js';
import { cases } from './support/golden.js';
import { cellTable } from './support/tables.js';

const root = new URL('../../', import.meta.url);
const stems = (folder: string) =>
  readdirSync(new URL(folder, root))
    .filter((f) => f.endsWith('.ts') && !['index.ts', 'cell.ts', 'layout.ts'].includes(f))
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

test("the README's table of cells is that of the descriptions", () => {
  const [, table] =
    /<!-- cells -->\n(.*?)<!-- \/cells -->/s.exec(readFileSync(new URL('README.md', root), 'utf8')) ?? [];
  ok(table === cellTable(), 'npm run docs brings it up to date');
});

test('memory is touched, and WebAssembly named, in the boundary only', () => {
  const files = readdirSync(new URL('bindings', root), { recursive: true }) as string[];
  for (const file of files.filter((f) => f.endsWith('.ts') && !f.startsWith('core'))) {
    const text = readFileSync(new URL(`bindings/${file}`, root), 'utf8');
    ok(!/memory\.buffer|new WebAssembly|WebAssembly\.(?!Module\b)/.test(text), file);
    ok(
      !/Math\.(exp|tanh|log|pow|sin|cos|random)\(/.test(text),
      `${file}: the host's Math may differ from engine to engine`,
    );
  }
});

test.run();
