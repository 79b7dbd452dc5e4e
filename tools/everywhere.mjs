/**
 * `npm run test:everywhere`: the packed package on other engines, in browsers and built by bundlers. It installs what it needs into
 * build/everywhere, and writes the table of docs/engines.md.
 */
import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { browsers } from '../tests/everywhere/browsers.mjs';
import { bundlers } from '../tests/everywhere/bundlers.mjs';
import { engines, NODES } from '../tests/everywhere/engines.mjs';
import { paceTable } from '../tests/everywhere/pace.mjs';
import { outcomes, pack, root } from '../tests/everywhere/support.mjs';

const NAMES = {
  engines: ['node', ...NODES.map((version) => `node${version}`), 'arm64', 'bun', 'deno', 'workerd', 'wasmtime'],
  browsers: ['chromium', 'firefox', 'webkit'],
  bundlers: ['vite', 'webpack', 'rollup', 'esbuild', 'parcel', 'rspack', 'next', 'static', 'jest', 'vitest'],
};
const known = [...Object.keys(NAMES), ...Object.values(NAMES).flat()];
const words = process.argv.slice(2);
if (words.includes('--help')) {
  console.log(`npm run test:everywhere [-- NAME...]

  NAME   parts to run, default all: ${Object.entries(NAMES)
    .map(([group, names]) => `\n         ${group}: ${names.join(', ')}`)
    .join('')}

Downloads engines and bundlers from npm (about 1.5 GB) into build/everywhere, and installs browsers of Debian if it
runs as root. A run of all parts writes docs/engines.md, a run of the browsers its second table.`);
  process.exit(0);
}
const unknown = words.find((word) => !known.includes(word));
if (unknown) {
  console.error(`${unknown}: expected one of ${known.join(', ')}`);
  process.exit(1);
}
const only = (group) => (name) => !words.length || words.includes(group) || words.includes(name);

execFileSync(process.execPath, [join(root, 'tools/build.mjs'), '--quiet'], { cwd: root, stdio: 'inherit' });
pack();
await engines(only('engines'));
await browsers(only('browsers'));
await bundlers(only('bundlers'));

const count = (result) => outcomes.filter((outcome) => outcome.result === result).length;
const path = join(root, 'docs/engines.md');
/** Writes what stands between two marks of the page. */
function write(mark, content) {
  const between = new RegExp(`<!-- ${mark} -->.*<!-- /${mark} -->`, 's');
  const text = readFileSync(path, 'utf8');
  writeFileSync(
    path,
    text.replace(between, () => `<!-- ${mark} -->\n${content}\n<!-- /${mark} -->`),
  );
}
const date = new Date().toISOString().slice(0, 10);
if (!words.length) {
  const rows = outcomes.map(
    ({ where, version, what, result, note }) =>
      `| ${where} ${version} | ${what} | ${result}${note && result === 'passed' ? `: ${note}` : ''} |`,
  );
  write('everywhere', `Measured on ${date}.\n\n${['| where | what | result |', '|---|---|---|', ...rows].join('\n')}`);
}
if (!words.length || words.includes('browsers')) write('pace', `Measured on ${date}.\n\n${paceTable()}`);
console.log(
  `${count('passed')} passed, ${count('FAILED')} failed${count('skipped') ? `, ${count('skipped')} skipped` : ''}`,
);
process.exitCode = count('FAILED') ? 1 : 0;
