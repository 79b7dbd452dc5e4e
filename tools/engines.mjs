/**
 * `npm run test:engines`: the tests on other versions of Node, whose binaries come from npm into build/engines, and the bits of one
 * training on all of them.
 */
import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = resolve(dirname(fileURLToPath(import.meta.url)), '..');
const VERSIONS = ['20', '24', '26'];
const platform = { linux: 'linux', darwin: 'darwin', win32: 'win' }[process.platform];

if (process.argv.includes('--help')) {
  console.log('npm run test:engines [-- NAME...]    the tests (those whose name contains NAME) on Node 20, 24 and 26');
  process.exit(0);
}
const names = process.argv.slice(2);
execFileSync(process.execPath, [join(root, 'tools/build.mjs'), '--quiet'], { cwd: root, stdio: 'inherit' });

let passed = 0;
let failed = 0;
const outcomes = new Map();
for (const version of VERSIONS) {
  const folder = join(root, 'build/engines', version);
  const name = `node-${platform}-${process.arch}`;
  const node = join(folder, 'node_modules', name, 'bin/node');
  if (!existsSync(node)) {
    mkdirSync(folder, { recursive: true });
    writeFileSync(join(folder, 'package.json'), '{"private":true}');
    execFileSync('npm', ['install', '--no-audit', '--no-fund', '--loglevel=error', `${name}@${version}`], {
      cwd: folder,
      stdio: 'inherit',
    });
  }
  const engine = execFileSync(node, ['--version'], { encoding: 'utf8' }).trim();
  console.log(`Node ${engine}`);
  for (const file of readdirSync(join(root, 'build/tests'))
    .filter((f) => f.endsWith('.test.js'))
    .sort()) {
    if (names.length && !names.some((n) => file.includes(n))) continue;
    const { stdout, stderr, status } = spawnSync(node, [join(root, 'build/tests', file)], {
      cwd: root,
      encoding: 'utf8',
      env: { ...process.env, FORCE_COLOR: '0' },
    });
    const good = Number(/Passed:\s+(\d+)/.exec(stdout)?.[1] ?? 0);
    const total = Number(/Total:\s+(\d+)/.exec(stdout)?.[1] ?? good + 1);
    passed += good;
    failed += Math.max(total - good, status === 0 ? 0 : 1);
    console.log(`  ${file.replace('.test.js', '').padEnd(24)} ${good} of ${total} passed`);
    if (status !== 0) console.log((stdout + stderr).replace(/^/gm, '    '));
  }
  outcomes.set(
    engine,
    execFileSync(node, [join(root, 'build/tests/support/digest.js')], { cwd: root, encoding: 'utf8' }),
  );
}
const same = new Set(outcomes.values()).size === 1;
if (same) passed++;
else failed++;
console.log(`bits of one training on ${[...outcomes.keys()].join(', ')}: ${same ? 'the same' : 'DIFFERENT'}`);
for (const [engine, outcome] of outcomes) console.log(`  ${engine.padEnd(10)} ${JSON.parse(outcome).digest}`);
console.log(`${passed} passed, ${failed} failed`);
process.exitCode = failed ? 1 : 0;
