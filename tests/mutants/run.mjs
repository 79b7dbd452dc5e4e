/**
 * `npm run test:mutants`: plants one fault after the other in a copy of the repository, builds it, and runs the test files of the changed
 * part until one fails.
 */
import { spawn } from 'node:child_process';
import {
  cpSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { mutants } from './table.mjs';

const HELP = `npm run test:mutants -- [options]

  --check        only checks that every text of the table is in its file exactly once
  --only TEXT    only faults whose file or title has this text
  --every N      every Nth fault, for a sample; default 1
  --from N       the first of them, counted from 0; default 0
  --workers N    copies that work at a time, default 2
  --minutes M    no new fault after M minutes, default 90
  --help         this text

Each fault of tests/mutants/table.mjs is planted in a copy, by itself. It is killed where the build or a test file fails or takes four times as long
as without a fault. Kernels are tested on the simd build alone. Survivors are printed with the reason that the table gives for them.
The last line is "N passed, N failed": killed, or explained; and survived.
`;

/** The test files of each part, the quickest first: for a file the first row whose pattern it has. */
const TESTS = [
  [/assembly\/(activation|concat|pool|rows|vector)/, ['rows', 'recurrent', 'fingerprints']],
  [/assembly\/(attention)/, ['attention', 'seq2seq']],
  [/assembly\/(beam|predict)/, ['mutants', 'sequence-decoding', 'sequence-generator', 'seq2seq-decoding']],
  [/assembly\/(crf|ctc|double)/, ['sequence-losses', 'sequence-decoding']],
  [/assembly\/(embedding|norm)/, ['layers', 'isolation', 'fingerprints']],
  [/assembly\/gemm/, ['gemm', 'layers', 'recurrent']],
  [/assembly\/generate/, ['mutants', 'language-model']],
  [/assembly\/(initializer|random)/, ['random', 'layers', 'recurrent', 'fingerprints']],
  [/assembly\/(losses|softmax)/, ['losses', 'attention', 'sequence-decoding']],
  [/assembly\/math/, ['math', 'rows', 'cells']],
  [/assembly\/optimizer/, ['optimizer', 'mutants', 'fingerprints']],
  [/assembly\/sampling/, ['random', 'sequence-decoding', 'language-model']],
  [/assembly\/(recurrent|cells)/, ['cells', 'recurrent', 'golden', 'fingerprints']],
  [/bindings\/cells/, ['cells', 'recurrent', 'options', 'fingerprints']],
  [/bindings\/core/, ['start', 'memory', 'isolation', 'infer', 'random', 'package']],
  [/bindings\/files\/renames/, ['format1']],
  [/bindings\/files/, ['mutants', 'files', 'isolation', 'language-model', 'infer', 'tasks']],
  [/bindings\/gradcheck/, ['training', 'forecaster']],
  [/bindings\/online/, ['online', 'online-kernels']],
  [/bindings\/memory/, ['memory-network']],
  [/bindings\/(nn\/)?reservoir/, ['reservoir']],
  [/bindings\/dynamics/, ['metrics', 'dynamics']],
  [/bindings\/worker|train\/shards/, ['replicas', 'worker']],
  [/bindings\/metrics/, ['metrics']],
  [/bindings\/training/, ['custom-models']],
  [/bindings\/extend/, ['extend']],
  [/bindings\/quantized/, ['quantized', 'quantized-kernels']],
  [/bindings\/import/, ['import-pytorch', 'import-keras', 'import-onnx']],
  [/bindings\/nn\/attention/, ['attention', 'isolation', 'seq2seq']],
  [/bindings\/nn\/conv/, ['conv']],
  [/bindings\/nn\/(functions|own|sequential)/, ['functions', 'custom-models', 'conv']],
  [/bindings\/nn\/solve/, ['solve', 'reservoir']],
  [/bindings\/nn\/processor/, ['processor']],
  [/bindings\/nn\/(crf|ctc)/, ['sequence-losses', 'sequence-decoding', 'isolation']],
  [/bindings\/nn\/(generate)/, ['mutants', 'language-model']],
  [/bindings\/nn\/(losses)/, ['losses', 'isolation', 'fingerprints']],
  [/bindings\/nn\/(predict)/, ['sequence-decoding', 'random', 'seq2seq-decoding', 'sequence-generator']],
  [/bindings\/nn\/(pool|rows|padding)/, ['rows', 'isolation', 'layers', 'fingerprints']],
  [/bindings\/nn\/recurrent/, ['recurrent', 'cells', 'isolation', 'infer', 'fingerprints']],
  [/bindings\/nn/, ['layers', 'isolation', 'rows', 'recurrent', 'infer', 'fingerprints']],
  [/bindings\/tasks\/forecaster|series|forecast/, ['forecaster', 'mutants', 'tasks', 'format1']],
  [/bindings\/tasks\/language/, ['language-model', 'training', 'mutants', 'format1']],
  [
    /bindings\/tasks\/seq2seq|encoder-decoder|decoding|decoder|bridge/,
    ['seq2seq', 'seq2seq-decoding', 'sequence-generator'],
  ],
  [/bindings\/tasks\/sequence-generator|conditional/, ['sequence-generator', 'format1']],
  [/bindings\/tasks\/sequence-classifier|pooled/, ['sequence-classifier', 'sequence-regressor', 'mutants', 'format1']],
  [/bindings\/tasks\/sequence-regressor/, ['sequence-regressor', 'format1']],
  [/bindings\/tasks\/(sequence-tagger|shared\/tagger-layers)/, ['sequence-tagger', 'tasks', 'format1']],
  [/bindings\/tasks\/transcriber/, ['transcriber', 'format1']],
  [
    /bindings\/tasks/,
    ['tasks', 'mutants', 'sequence-classifier', 'sequence-tagger', 'seq2seq', 'transcriber', 'fingerprints'],
  ],
  [/bindings\/text/, ['language-model', 'sequence-classifier', 'seq2seq', 'transcriber']],
  [/bindings\/train/, ['files', 'training', 'optimizer', 'mutants', 'language-model', 'tasks', 'fingerprints']],
  [/bindings\/random/, ['random', 'tasks', 'fingerprints']],
  [/bindings\/(check|options)/, ['options', 'isolation', 'tasks', 'layers']],
  [/bindings\/tape/, ['isolation', 'layers', 'rows', 'training']],
];
const root = resolve(dirname(fileURLToPath(import.meta.url)), '../..');

const { values } = parseArgs({
  options: {
    check: { type: 'boolean', default: false },
    only: { type: 'string' },
    every: { type: 'string', default: '1' },
    from: { type: 'string', default: '0' },
    workers: { type: 'string', default: '2' },
    minutes: { type: 'string', default: '90' },
    help: { type: 'boolean', default: false },
  },
});

/** Those whose text is missing from its file, or is there more than once. */
function ambiguous() {
  return mutants.filter(([file, text]) => readFileSync(join(root, file), 'utf8').split(text).length !== 2);
}

/** Runs a program in a copy; resolves with whether it succeeded. The first test that fails ends it. */
function run(folder, args, limit = 600_000) {
  return new Promise((done) => {
    const child = spawn(process.execPath, args, {
      cwd: folder,
      stdio: ['ignore', 'pipe', 'ignore'],
      env: { ...process.env, FORCE_COLOR: '0' },
    });
    const timer = setTimeout(() => child.kill('SIGKILL'), limit);
    child.stdout.on('data', (text) => {
      if (text.includes('✘')) child.kill('SIGKILL');
    });
    child.on('close', (code) => {
      clearTimeout(timer);
      done(code === 0);
    });
  });
}

/** A copy of the repository with what has been built; other builds of the core than simd are empty, so that tests leave them out. */
function copy() {
  const folder = mkdtempSync(join(tmpdir(), 'gatewise-mutants-'));
  const left = ['.git', 'node_modules', 'results', 'build/coverage'];
  cpSync(root, folder, {
    recursive: true,
    preserveTimestamps: true,
    filter: (path) => !left.some((name) => path === join(root, name)),
  });
  symlinkSync(join(root, 'node_modules'), join(folder, 'node_modules'));
  for (const build of ['relaxed', 'debug']) writeFileSync(join(folder, `build/wasm/${build}.wasm`), '');
  return folder;
}

/** Compiles what has changed, but for the tests. */
async function build(folder, kernel) {
  if (
    kernel &&
    !(await run(folder, ['node_modules/assemblyscript/bin/asc.js', 'assembly/index.ts', '--target', 'simd']))
  )
    return false;
  // the other modules stay as they are
  const later = new Date(Date.now() + 1000);
  const modules = join(folder, 'build/wasm');
  for (const name of readdirSync(modules)) utimesSync(join(modules, name), later, later);
  return run(folder, ['tools/build.mjs', '--quiet', '--library']);
}

/** What kills it, or null. */
async function killer(folder, [file, text, replacement], limitOf) {
  const path = join(folder, file);
  const original = readFileSync(path, 'utf8');
  writeFileSync(
    path,
    original.replace(text, () => replacement),
  );
  try {
    if (!(await build(folder, file.startsWith('assembly')))) return 'the compiler';
    for (const name of TESTS.find(([pattern]) => pattern.test(file))?.[1] ?? []) {
      const limit = await limitOf(name);
      if (!(await run(folder, [`build/tests/${name}.test.js`], limit))) return name;
    }
    return null;
  } finally {
    writeFileSync(path, original);
  }
}

async function main() {
  if (values.help) {
    process.stdout.write(HELP);
    return;
  }
  const wrong = ambiguous();
  for (const [file, text] of wrong) console.log(`${file}: expected exactly once: ${text}`);
  if (values.check || wrong.length) {
    console.log(`${mutants.length - wrong.length} passed, ${wrong.length} failed`);
    process.exitCode = wrong.length ? 1 : 0;
    return;
  }
  const chosen = mutants
    .filter(([file, , , what]) => `${file} ${what}`.includes(values.only ?? ''))
    .filter((_, i) => i % Number(values.every) === Number(values.from));
  const began = performance.now();
  let [killed, explained] = [0, 0];
  const survivors = [];
  const folders = [];
  process.on('exit', () => {
    for (const folder of folders) rmSync(folder, { recursive: true, force: true });
  });
  process.on('SIGINT', () => process.exit(1));
  // a test that fails without any fault kills nothing
  const faultless = copy();
  folders.push(faultless);
  const limits = new Map();
  const measure = async (name) => {
    const start = performance.now();
    if (!(await run(faultless, [`build/tests/${name}.test.js`]))) throw new Error(`${name}: fails without any fault`);
    return 30_000 + 4 * (performance.now() - start);
  };
  const limitOf = (name) => {
    if (!limits.has(name)) limits.set(name, measure(name));
    return limits.get(name);
  };
  const left = [...chosen];
  const work = async (folder) => {
    let kernels = false;
    for (let mutant = left.shift(); mutant; mutant = left.shift()) {
      if (performance.now() - began > Number(values.minutes) * 60_000) return;
      const [file, , , what, reason] = mutant;
      // the core as it was, after a fault in a kernel
      if (kernels && !file.startsWith('assembly')) await build(folder, true);
      kernels = file.startsWith('assembly');
      const start = performance.now();
      const by = await killer(folder, mutant, limitOf);
      const seconds = ((performance.now() - start) / 1000).toFixed(0);
      if (by) killed++;
      else {
        survivors.push(mutant);
        if (reason) explained++;
      }
      console.log(`${by ? `killed by ${by}` : 'SURVIVES'}: ${file}: ${what} (${seconds} s)`);
    }
  };
  const others = Array.from({ length: Number(values.workers) }, copy);
  folders.push(...others);
  await Promise.all(others.map(work));
  for (const [file, text, replacement, what, reason] of survivors) {
    console.log(
      `\n${file}: ${what}\n    ${text}\n    ${replacement}\n    ${reason ?? 'not explained: a test is missing'}`,
    );
  }
  const done = killed + survivors.length;
  console.log(
    `\n${killed} of ${done} killed, ${explained} survive with an explanation; ${chosen.length - done} not run`,
  );
  console.log(`${killed + explained} passed, ${done - killed - explained} failed`);
  process.exitCode = done > killed + explained ? 1 : 0;
}

try {
  await main();
} catch (error) {
  console.error(error.message);
  process.exitCode = 1;
}
