/**
 * Builds, lints, checks the types of the kernels and runs the tests, each file in a process of its own, two at a time. All of them together
 * print the coverage of bindings/. The last line counts the tests.
 *
 *     npm test [-- NAME...]    only files whose name contains one of the names
 */
import { spawn } from 'node:child_process';
import { readdirSync, rmSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { coverage } from './coverage.mjs';

const root = resolve(dirname(fileURLToPath(import.meta.url)), '..');
const names = process.argv.slice(2);
const covered = join(root, 'build/coverage');
/** Tests that measure memory, which coverage takes part of. */
const UNCOVERED = ['memory'];
let passed = 0;
let failed = 0;

/** Runs a program; resolves with its exit code and all it printed. */
function run(args, env = {}) {
  return new Promise((done) => {
    const child = spawn(process.execPath, args, { cwd: root, env: { ...process.env, ...env } });
    let output = '';
    for (const stream of [child.stdout, child.stderr]) stream.on('data', (data) => (output += data));
    child.on('close', (code) => done({ code, output }));
  });
}

/** A step that is one test. */
async function step(title, args) {
  const began = performance.now();
  const { code, output } = await run(args);
  if (code === 0) passed++;
  else failed++;
  report(title, code === 0 ? '1 passed' : 'FAILED', began, code === 0 ? '' : output);
  return code === 0;
}

function report(title, result, began, details) {
  const seconds = ((performance.now() - began) / 1000).toFixed(1);
  console.log(`${title.padEnd(24)} ${result.padEnd(24)} ${seconds.padStart(6)} s`);
  if (details.trim()) console.log(details.replace(/^/gm, '    '));
}

async function testFile(file) {
  const began = performance.now();
  const measured = !names.length && !UNCOVERED.some((name) => file.startsWith(name));
  const env = { FORCE_COLOR: '0', ...(measured ? { NODE_V8_COVERAGE: covered } : {}) };
  const { code, output } = await run([join('build/tests', file)], env);
  const count = (word) => Number(new RegExp(`^\\s*${word}:\\s+(\\d+)`, 'm').exec(output)?.[1] ?? Number.NaN);
  const total = count('Total');
  // a file that dies on the way counts as a failure, whatever it had passed
  const good = count('Passed') || 0;
  const bad = Number.isNaN(total) || (code !== 0 && total === good) ? 1 : total - good - (count('Skipped') || 0);
  passed += good;
  failed += bad;
  const notes = output
    .split('\n')
    .filter((line) => /^\s*•*\s*\(|^[•✘ ]* {2}\S/.test(line) && !/^\s*(Total|Passed|Skipped|Duration)/.test(line));
  const shown =
    bad > 0
      ? output
      : notes
          .map((line) => line.replace(/^[•✘ ]+/, '').trim())
          .filter((line) => !/^\(\d+ \/ \d+\)$/.test(line))
          .join('\n');
  report(file.replace('.test.js', ''), bad > 0 ? `${good} passed, ${bad} FAILED` : `${good} passed`, began, shown);
}

if (await step('build', ['tools/build.mjs', '--quiet'])) {
  if (!names.length) {
    await step('lint', ['node_modules/@biomejs/biome/bin/biome', 'check', '.']);
    await step('types of the kernels', ['node_modules/typescript/bin/tsc', '-p', 'assembly']);
    rmSync(covered, { recursive: true, force: true });
  }
  const files = readdirSync(join(root, 'build/tests'))
    .filter((file) => file.endsWith('.test.js') && (!names.length || names.some((name) => file.includes(name))))
    .sort();
  const workers = Array.from({ length: Math.min(2, availableParallelism()) }, async () => {
    for (let file = files.shift(); file; file = files.shift()) await testFile(file);
  });
  await Promise.all(workers);
  if (!names.length) {
    const { lines, branches, functions, files: least } = await coverage(covered);
    console.log(`coverage of bindings/: ${lines} % of lines, ${branches} % of branches, ${functions} % of functions`);
    const shown = least.slice(0, 3).map(({ file, percent }) => `${file} ${percent} %`);
    console.log(`  least: ${shown.join(', ')}`);
  }
}
console.log(`${passed} passed, ${failed} failed`);
process.exitCode = failed > 0 || passed === 0 ? 1 : 0;
