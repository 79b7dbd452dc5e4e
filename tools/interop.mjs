/**
 * Compares gatewise with other frameworks: with PyTorch, over torchrun and Flower, and with ONNX Runtime. Not a part of `npm test`.
 *
 *     npm run test:interop [-- [--python PATH] [PART...]]
 *
 * Without --python it makes an environment of its own in build/ (several GB, downloaded once). The last line counts the tests.
 */
import { spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';

const root = resolve(dirname(fileURLToPath(import.meta.url)), '..');
const build = join(root, 'build/interop');
const tests = join(root, 'interop/tests');
const environments = { torch: 'PyTorch and Flower' };
const { values, positionals } = parseArgs({ allowPositionals: true, options: { python: { type: 'string' } } });

let passed = 0;
let failed = 0;

/** One test: prints it and counts it. */
function check(title, good, detail = '') {
  if (good) passed++;
  else failed++;
  console.log(`${good ? 'ok    ' : 'FAILED'} ${title}${detail === '' ? '' : `: ${detail}`}`);
  return good;
}

/** Starts a program; `output` grows as it prints, `ended` resolves with its exit code. */
function start(command, args, { cwd = root, env = {}, detached = false } = {}) {
  const child = spawn(command, args, { cwd, detached, env: { ...process.env, ...env } });
  const program = { child, output: '', ended: new Promise((done) => child.on('close', done)) };
  child.on('error', (error) => (program.output += `${error}\n`));
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (data) => (program.output += data));
  return program;
}

/** Runs a program to its end; throws with all it printed where it fails. */
async function run(command, args, options) {
  const program = start(command, args, options);
  const code = await program.ended;
  if (code !== 0) throw new Error(`${command} ${args.join(' ')}: exit code ${code}\n${program.output}`);
  return program.output;
}

/** Waits until something is so; false when the seconds are over. */
async function until(condition, seconds) {
  for (const end = Date.now() + 1000 * seconds; Date.now() < end; ) {
    if (await condition()) return true;
    await new Promise((done) => setTimeout(done, 50));
  }
  return false;
}

/** The interpreter of an environment in build/, made if it is not there yet; null if Python is missing. */
async function interpreter(name) {
  if (values.python) return resolve(values.python);
  const folder = join(build, `python-${name}`);
  const wanted = readFileSync(join(tests, `requirements-${name}.txt`), 'utf8');
  const stamp = join(folder, 'requirements.txt');
  const python = join(folder, process.platform === 'win32' ? 'Scripts/python.exe' : 'bin/python');
  if (existsSync(stamp) && readFileSync(stamp, 'utf8') === wanted) return python;
  const base = ['python3', 'python'].find(
    (p) => spawnSync(p, ['-c', 'import sys; assert sys.version_info >= (3, 11)']).status === 0,
  );
  if (!base) return null;
  console.log(
    `${environments[name]}: downloading several GB into ${folder}; --python PATH uses an interpreter that has them`,
  );
  rmSync(folder, { recursive: true, force: true });
  await run(base, ['-m', 'venv', folder]);
  await run(python, ['-m', 'pip', 'install', '--quiet', '-r', join(tests, `requirements-${name}.txt`)]);
  writeFileSync(stamp, wanted);
  return python;
}

/** A package of npm that only these tests need: that of the peers' benchmarks where it is installed, else one in build/. */
async function npmPackage(name, version) {
  const peers = join(root, 'bench/peers/node_modules', name);
  const folder = join(build, 'node');
  const at = join(folder, 'node_modules', name);
  if (existsSync(peers)) return peers;
  if (!existsSync(at)) {
    console.log(`${name}: downloading into ${folder}`);
    mkdirSync(folder, { recursive: true });
    writeFileSync(join(folder, 'package.json'), '{ "private": true }\n');
    // its script downloads libraries for graphics cards, which are not needed
    await run('npm', [
      'install',
      '--ignore-scripts',
      '--no-audit',
      '--no-fund',
      '--prefix',
      folder,
      `${name}@${version}`,
    ]);
  }
  return at;
}

const parts = readdirSync(tests)
  .filter((file) => file.endsWith('.part.mjs'))
  .map((file) => file.slice(0, -'.part.mjs'.length))
  .filter((name) => !positionals.length || positionals.some((p) => name.includes(p)));

await run(process.execPath, [join(root, 'tools/build.mjs'), '--quiet', '--package']);
/** Runs a part, or says why not. */
async function runPart(name) {
  const part = await import(pathToFileURL(join(tests, `${name}.part.mjs`)).href);
  console.log(`\n${name}: ${part.title}`);
  const python = part.needs ? await interpreter(part.needs) : null;
  if (part.needs && !python) {
    console.log('skipped: it needs Python 3.11 or later; --python PATH names one');
    return;
  }
  const missing = (part.modules ?? []).filter((module) => spawnSync(python, ['-c', `import ${module}`]).status !== 0);
  if (missing.length) {
    console.log(`skipped: ${python} does not have ${missing.join(', ')}`);
    return;
  }
  const folder = join(build, name);
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  // servers on this machine only
  const env = {
    PYTHONPATH: join(root, 'interop'),
    GLOO_SOCKET_IFNAME: process.platform === 'darwin' ? 'lo0' : 'lo',
    OMP_NUM_THREADS: '1',
    PYTHONDONTWRITEBYTECODE: '1',
  };
  const program = (tool) => join(dirname(python), tool);
  const py = (args, options = {}) => run(python, args, { ...options, env: { ...env, ...options.env } });
  await part.default({ root, folder, python, program, py, env, run, start, until, check, npmPackage });
}

await run(process.execPath, [join(root, 'tools/build.mjs'), '--quiet', '--package']);
for (const name of parts) {
  try {
    await runPart(name);
  } catch (error) {
    check(`${name} runs to its end`, false, error.stack);
  }
}
console.log(`\n${passed} passed, ${failed} failed`);
process.exitCode = failed > 0 ? 1 : 0;
