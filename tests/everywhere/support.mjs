/** What all parts of `npm run test:everywhere` use: folders, packages, results. */
import { execFileSync, spawnSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

export const root = resolve(dirname(fileURLToPath(import.meta.url)), '../..');
export const home = join(root, 'build/everywhere');
export const program = join(root, 'tests/everywhere/program.js');

/** A part that cannot run here: what is missing, and how to get it. */
export class Skip extends Error {}

/** The outcome of each part: where, version, outcome, note. */
export const outcomes = [];

/** Runs a part. What it returns is `{ version, note }`; a `Skip` is printed as such, another error is a failure. */
export async function part(where, what, run) {
  const began = performance.now();
  const outcome = { where, what, version: '', result: 'passed', note: '' };
  outcomes.push(outcome);
  try {
    Object.assign(outcome, await run());
  } catch (error) {
    outcome.result = error instanceof Skip ? 'skipped' : 'FAILED';
    outcome.note = String(error.stderr || error.stdout || error.message)
      .trim()
      .split('\n')
      .slice(-12)
      .join('\n    ');
  }
  const seconds = ((performance.now() - began) / 1000).toFixed(0);
  const { version, result, note } = outcome;
  console.log(
    `${`${where} ${version}`.padEnd(34)} ${what.padEnd(34)} ${result}${note ? `   ${note}` : ''}   ${seconds} s`,
  );
}

/** A folder below build/everywhere, with the packed package and other packages of npm installed. Kept for the next run. */
export function project(name, packages, files = {}, flags = []) {
  const folder = join(home, name);
  mkdirSync(folder, { recursive: true });
  if (!existsSync(join(folder, 'package.json')))
    writeFileSync(join(folder, 'package.json'), '{"private":true,"type":"module"}');
  const missing = packages.filter((spec) => !existsSync(join(folder, 'node_modules', spec.replace(/(.)@.*/, '$1'))));
  if (missing.length) npm(folder, ['install', ...flags, ...missing]);
  // the package as npm would install it: what other programs of npm did to node_modules must not matter
  const target = join(folder, 'node_modules/gatewise');
  rmSync(target, { recursive: true, force: true });
  cpSync(join(home, 'package'), target, { recursive: true });
  cpSync(program, join(folder, 'program.js'));
  for (const [file, text] of Object.entries(files)) {
    mkdirSync(dirname(join(folder, file)), { recursive: true });
    writeFileSync(join(folder, file), text);
  }
  return folder;
}

function npm(folder, args) {
  execFileSync('npm', [...args, '--no-audit', '--no-fund', '--no-save', '--loglevel=error'], {
    cwd: folder,
    stdio: 'pipe',
  });
}

/** The files that npm would publish, unpacked to build/everywhere/package. */
export function pack() {
  mkdirSync(home, { recursive: true });
  for (const file of readdirSync(home)) if (file.endsWith('.tgz')) rmSync(join(home, file));
  rmSync(join(home, 'package'), { recursive: true, force: true });
  execFileSync('npm', ['pack', '--ignore-scripts', '--loglevel=error', '--pack-destination', home], {
    cwd: root,
    stdio: 'pipe',
  });
  const file = readdirSync(home).find((name) => name.endsWith('.tgz'));
  execFileSync('tar', ['xzf', join(home, file), '-C', home]);
}

export const output = (command, args, options = {}) =>
  execFileSync(command, args, {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'pipe'],
    maxBuffer: 1 << 26,
    ...options,
  }).trim();

/** Installs packages of Debian where that is possible without asking. */
export function debian(command, ...packages) {
  if (spawnSync('which', [command]).status === 0) return;
  const help = `apt install ${packages.join(' ')}`;
  if (spawnSync('which', ['apt-get']).status !== 0 || process.getuid?.() !== 0) throw new Skip(`not found: ${help}`);
  console.log(`installing ${packages.join(', ')} …`);
  spawnSync('apt-get', ['update'], { stdio: 'ignore' });
  const { status } = spawnSync('apt-get', ['install', '-y', '--no-install-recommends', ...packages], {
    stdio: 'ignore',
  });
  if (status !== 0) throw new Skip(`could not be installed: ${help}`);
}

let expected;
/** Compares digests with those of this Node. */
export function same(found) {
  expected ??= JSON.parse(output(process.execPath, ['main.js'], { cwd: engineProject() }));
  for (const [cell, digest] of Object.entries(expected)) {
    if (found[cell] !== digest) throw new Error(`${cell}: other bits than in Node: ${found[cell]}, expected ${digest}`);
  }
  return `${Object.keys(expected).length} cells, the same bits`;
}

/** Prints the digests of an engine that can import packages. */
export const MAIN = `import * as gatewise from 'gatewise';
import { digests } from './program.js';
console.log(JSON.stringify(digests(gatewise)));
`;
export const engineProject = () => project('engine', [], { 'main.js': MAIN });
