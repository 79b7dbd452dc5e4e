/**
 * `npm run peers`: the same work done by gatewise and by others, each in a process of its own, which take turns.
 */
import { execFileSync, fork } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { median } from '../../build/bench/clock.js';
import { engine, machine } from '../../build/bench/machine.js';
import { count, optionsOf, refuse } from '../../build/bench/options.js';
import { between, quantizedTable, tables } from '../../build/bench/peers/tables.js';
import { C_FLAGS, quantized, workloads } from '../../build/bench/peers/workloads.js';

const here = dirname(fileURLToPath(import.meta.url));
const root = resolve(here, '../..');
const START_MS = 180_000;
const SAMPLE_MS = 60_000;

const DOCS = join(root, 'docs/peers.md');
const C_MODULE = join(root, 'build/peers/network.wasm');
const C_SOURCE = join(here, 'clang/network.c');

/**
 * `before`: its GRU resets before the product with the state, so that it is compared with gatewise doing the same.
 * `package`: what has to be installed. `native`: no page runs it.
 */
const PEERS = [
  { peer: 'gatewise simd', adapter: 'gatewise', options: { build: 'simd' } },
  {
    peer: 'gatewise simd, reset before',
    adapter: 'gatewise',
    options: { build: 'simd', reset: 'before' },
    before: true,
  },
  { peer: 'gatewise relaxed', adapter: 'gatewise', options: { build: 'relaxed' } },
  { peer: 'plain JavaScript', adapter: 'plain' },
  { peer: 'tfjs-wasm', adapter: 'tfjs', package: '@tensorflow/tfjs', before: true },
  { peer: 'onnxruntime-web', adapter: 'onnxruntime', package: 'onnxruntime-web', options: { name: 'onnxruntime-web' } },
  {
    peer: 'onnxruntime-node',
    adapter: 'onnxruntime',
    package: 'onnxruntime-node',
    options: { name: 'onnxruntime-node' },
    native: true,
  },
  { peer: 'jax-js', adapter: 'jax', package: '@jax-js/jax' },
  { peer: 'brain.js', adapter: 'brain', package: 'brain.js', before: true, all: true },
];

/** With --quantized: integer weights against float32 and onnxruntime-node. */
const FEWER_BITS = [
  { peer: 'gatewise simd', adapter: 'gatewise', options: { build: 'simd' } },
  { peer: 'gatewise relaxed', adapter: 'gatewise', options: { build: 'relaxed' } },
  { peer: 'gatewise int16', adapter: 'quantized', options: { dtype: 'int16' } },
  ...['int16', 'int8'].map((dtype) => ({
    peer: `gatewise ${dtype}, relaxed`,
    adapter: 'quantized',
    options: { dtype, module: join(root, 'build/wasm/quantized-relaxed.wasm'), build: 'relaxed' },
  })),
  PEERS.find(({ peer }) => peer === 'onnxruntime-node'),
];

const HELP = `npm run peers -- [--json] [--only TEXT] [--all] [--rounds N] [--write]
                 [--torch PYTHON [--threads N]] [--clang PATH]
npm run peers -- --quantized [--json] [--only TEXT] [--rounds N] [--write]

Gives gatewise and other libraries the same weights and inputs, compares their results with double precision, and
measures their times on the CPU: each in a process of its own with one thread, after a warm-up, taking turns.
A library whose results differ by more than 1e-4 of the largest number is not measured.

  --json           one object per line: id, peer, native, ms, ratio, maxRss, engine, note
  --only TEXT      workloads whose id contains TEXT
  --all            also brain.js
  --rounds N       samples of each, default 7
  --write          writes the tables of docs/peers.md, with --quantized of docs/quantization.md, once all workloads have run
  --torch PYTHON   also PyTorch: the path of a Python that can import torch
  --threads N      also PyTorch with N threads, by wall time
  --quantized      instead: layers with integer weights against float32 and onnxruntime-node; only this is installed.
                   Node 20 has no relaxed SIMD: npm run build && npx -y node@24 bench/peers/run.mjs --quantized
  --clang PATH     also a plain C implementation, compiled to WebAssembly with this clang (Debian: clang and lld):
                   ${C_FLAGS.join(' ')}

ms is the median CPU time over the rounds; ratio is the median of the ratios to gatewise simd in the
same round, above 1 if the peer is slower; maxRss the peak memory of the process in KiB. The peers are
installed into bench/peers/node_modules on first use. onnxruntime-node and PyTorch are native code, all others
run in a page too.

${[...workloads, ...quantized.filter(({ id }) => !workloads.some((own) => own.id === id))].map(({ id, task, B, T, I, H, L, V }) => `  ${id.padEnd(18)} ${task}, B=${B} T=${T} I=${I} H=${H}${L > 1 ? ` L=${L}` : ''}${V ? ` V=${V}` : ''}`).join('\n')}

  step        one step, its state handed over; numbers in, numbers out
  sequence    all steps forward; numbers in, numbers out
  characters  a training step: embedding, stack, softmax, cross-entropy, backward pass, Adam; tokens in, the loss out
  classes     the same of a bidirectional classifier of the final states
`;

const values = optionsOf(HELP, {
  json: { type: 'boolean', default: false },
  only: { type: 'string', default: '' },
  all: { type: 'boolean', default: false },
  rounds: { type: 'string', default: '7' },
  write: { type: 'boolean', default: false },
  torch: { type: 'string' },
  threads: { type: 'string' },
  clang: { type: 'string' },
  quantized: { type: 'boolean', default: false },
});
const rounds = count('--rounds', values.rounds);
const threads = count('--threads', values.threads ?? '1');
const chosen = (values.quantized ? quantized : workloads).filter(({ id }) => id.includes(values.only));
if (chosen.length === 0) refuse(`--only ${values.only}: there is no such workload, see --help`);
if (values.write && values.only) refuse('--write: the tables have all workloads; leave out --only');
if (values.quantized && (values.torch || values.clang || values.all)) {
  refuse('--quantized: compares with onnxruntime-node only; leave out --torch, --clang and --all');
}
if (values.threads && !values.torch) refuse('--threads: the number of threads of PyTorch; give --torch PYTHON too');

function say(text) {
  (values.json ? process.stderr : process.stdout).write(`${text}\n`);
}

/** First line of a message, without this machine's paths. */
function short(message) {
  const line = message.split('\n')[0].replaceAll(`${root}/`, '');
  return line.length > 160 ? `${line.slice(0, 159)}…` : line;
}

/** Whether all peers are installed. */
function installed() {
  const lock = join(here, 'package-lock.json');
  const done = join(here, 'node_modules/.package-lock.json');
  return existsSync(done) && statSync(done).mtimeMs >= statSync(lock).mtimeMs;
}

/** Installs one of the peers alone, into a folder of build/, unless all are there; returns why it could not. */
function installOne(entry) {
  const { dependencies } = JSON.parse(readFileSync(join(here, 'package.json'), 'utf8'));
  const { package: name } = entry;
  const folder = join(root, 'build/peers', name);
  if (installed()) return '';
  entry.options.folder = folder;
  if (existsSync(join(folder, 'node_modules', name, 'package.json'))) return '';
  say(`installing ${name} into build/peers (once) …`);
  try {
    mkdirSync(folder, { recursive: true });
    writeFileSync(join(folder, 'package.json'), '{ "private": true }');
    const flags = ['--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error'];
    execFileSync('npm', ['install', ...flags, `${name}@${dependencies[name]}`], {
      cwd: folder,
      stdio: ['ignore', 'ignore', 'pipe'],
      encoding: 'utf8',
    });
    return '';
  } catch (error) {
    return short(error.stderr || error.message);
  }
}

/** Installs the peers unless they are there; returns why it could not. */
function install() {
  if (installed()) return '';
  say('installing the peers into bench/peers/node_modules (750 MB, once) …');
  try {
    execFileSync('npm', ['ci', '--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error'], {
      cwd: here,
      stdio: ['ignore', 'ignore', 'pipe'],
      encoding: 'utf8',
    });
    return '';
  } catch (error) {
    return short(error.stderr || error.message);
  }
}

/** A process that answers one question at a time. */
class Peer {
  constructor({ adapter, options = {} }, file) {
    this.child = fork(join(here, 'child.mjs'), [adapter, JSON.stringify(options), file], {
      stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
    });
    this.stderr = '';
    this.child.stderr.on('data', (data) => (this.stderr += data));
  }

  ask(question, limit) {
    return new Promise((answer) => {
      const { child } = this;
      const finish = (result) => {
        clearTimeout(timer);
        child.removeAllListeners('message').removeAllListeners('exit');
        answer(result);
      };
      const timer = setTimeout(() => finish({ error: `no answer within ${limit / 1000} s` }), limit);
      child.once('message', finish);
      child.once('exit', (code) => {
        finish({ error: this.stderr.trim() || `its process ended with ${code}` });
      });
      child.send(question);
    });
  }

  end() {
    this.child.removeAllListeners('exit');
    this.child.kill();
  }
}

/** PyTorch's version. */
function torchVersion(python) {
  try {
    const print = 'import torch; print(torch.__version__)';
    const stdio = ['ignore', 'pipe', 'pipe'];
    return `PyTorch ${execFileSync(python, ['-c', print], { encoding: 'utf8', stdio }).trim()}`;
  } catch (error) {
    const [line] = (error.stderr || error.message).trim().split('\n').slice(-1);
    refuse(`--torch ${python}: expected a Python that can import torch: ${line}`);
  }
}

/** Compiles the plain C; clang's version. */
function compile(clang) {
  try {
    const stdio = ['ignore', 'pipe', 'pipe'];
    execFileSync(clang, [...C_FLAGS, '-o', C_MODULE, C_SOURCE], { encoding: 'utf8', stdio });
    return execFileSync(clang, ['--version'], { encoding: 'utf8' }).split('\n')[0];
  } catch (error) {
    refuse(
      `--clang ${clang}: expected a clang that links wasm32 (Debian: clang and lld): ${short(error.stderr || error.message)}`,
    );
  }
}

/** The peers that were asked for, and their versions. */
function chosenPeers() {
  const { dependencies } = JSON.parse(readFileSync(join(here, 'package.json'), 'utf8'));
  const versions = Object.entries(dependencies).map(([name, version]) => `${name} ${version}`);
  if (values.quantized) {
    const name = 'onnxruntime-node';
    return { peers: FEWER_BITS, versions: [`${name} ${dependencies[name]}`] };
  }
  const peers = PEERS.filter(({ all }) => values.all || !all);
  if (values.clang) {
    versions.push(compile(values.clang));
    const own = { peer: 'C by clang', adapter: 'clang', options: { module: C_MODULE } };
    peers.splice(peers.findIndex(({ adapter }) => adapter === 'plain') + 1, 0, own);
  }
  if (values.torch) {
    versions.push(torchVersion(values.torch));
    for (const n of new Set([1, threads])) {
      const peer = n === 1 ? 'PyTorch' : `PyTorch, ${n} threads`;
      peers.push({ peer, adapter: 'torch', native: true, options: { python: values.torch, threads: n } });
    }
  }
  return { peers, versions };
}

function relaxedRuns() {
  return WebAssembly.validate(readFileSync(join(root, 'build/wasm/relaxed.wasm')));
}

/** Rows of one workload. */
async function compare(workload, peers, missing) {
  const files = {};
  for (const cell of workload.cell === 'gru' ? ['gru', 'gru-before'] : [workload.cell]) {
    files[cell] = join(root, `build/peers/${workload.id}-${cell}.bin`);
    execFileSync(process.execPath, [join(here, 'numbers.mjs'), workload.id, cell, files[cell]]);
  }
  const rows = [];
  for (const entry of peers) {
    const before = Boolean(entry.before && workload.cell === 'gru');
    if (entry.options?.reset && !before) continue;
    const row = { peer: entry.peer, native: Boolean(entry.native), engine, before, note: '', times: [] };
    rows.push(row);
    if (missing && entry.package) row.note = `not installed: ${missing}`;
    else if (entry.options?.build === 'relaxed' && !relaxedRuns()) row.note = 'this engine has no relaxed SIMD';
    else {
      const child = new Peer(entry, files[before ? 'gru-before' : workload.cell]);
      const { error, note, maxRss, engine: own } = await child.ask('start', START_MS);
      row.maxRss = maxRss;
      row.engine = own ?? engine;
      row.note = error ? short(error) : note;
      if (error) child.end();
      else row.child = child;
    }
  }
  for (let round = 0; round < rounds; round++) {
    const living = rows.filter(({ child }) => child);
    for (const row of round % 2 ? living.reverse() : living) {
      const { ms, error, maxRss } = await row.child.ask('sample', SAMPLE_MS);
      row.maxRss = maxRss ?? row.maxRss;
      if (error) {
        row.note = short(error);
        row.child.end();
        row.child = undefined;
        row.times = [];
      } else row.times.push(ms);
    }
  }
  for (const { child } of rows) child?.end();
  return rows.map(({ peer, native, engine, before, note, times, maxRss }) => {
    const own = rows.find((row) => row.peer === (before ? 'gatewise simd, reset before' : 'gatewise simd')).times;
    const timed = times.length > 0;
    return {
      id: workload.id,
      peer,
      native,
      ms: timed ? Number(median(times).toPrecision(4)) : null,
      ratio: timed && own.length ? Number(median(times.map((ms, i) => ms / own[i])).toPrecision(3)) : null,
      maxRss: maxRss ?? null,
      engine,
      note,
    };
  });
}

function print({ peer, ms, ratio, maxRss, note }) {
  const cell = (value, width, digits) => (value === null ? '' : value.toFixed(digits)).padStart(width);
  const memory = cell(maxRss === null ? null : maxRss / 1024, 7, 0);
  console.log(
    `  ${peer.padEnd(28)}${cell(ms, 10, ms < 1 ? 4 : 2)}${cell(ratio, 8, ratio < 10 ? 2 : 1)}${memory}   ${note}`.trimEnd(),
  );
}

async function main() {
  mkdirSync(join(root, 'build/peers'), { recursive: true });
  const { peers, versions } = chosenPeers();
  const missing = values.quantized ? installOne(peers.at(-1)) : install();
  if (missing) say(`the peers could not be installed: ${missing}`);
  if (!values.json) console.log([machine(), ...versions].join('; '));
  const all = [];
  for (const workload of chosen) {
    if (!values.json) console.log(`\n${workload.id.padEnd(34)}ms   ratio     MB`);
    for (const row of await compare(workload, peers, missing)) {
      all.push(row);
      if (values.json) console.log(JSON.stringify(row));
      else print(row);
    }
  }
  if (values.write && values.quantized) {
    const file = join(root, 'docs/quantization.md');
    const content = quantizedTable(all, { machine: machine(), versions, rounds });
    writeFileSync(file, between(readFileSync(file, 'utf8'), 'quantized', content));
    say('wrote docs/quantization.md');
  } else if (values.write) {
    const content = tables(all, { machine: machine(), versions, rounds });
    writeFileSync(DOCS, between(readFileSync(DOCS, 'utf8'), 'peers', content));
    say('wrote docs/peers.md');
  }
}

try {
  await main();
} catch (error) {
  console.error(error.message);
  process.exitCode = 1;
}
