/**
 * `npm run size`: what a browser downloads of each entry of the package, bundled and minified by Vite, and how soon a process that
 * imports it has its first result.
 */
import { execFileSync } from 'node:child_process';
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { brotliCompressSync, constants, gzipSync } from 'node:zlib';
import { build } from 'vite';

const root = resolve(dirname(fileURLToPath(import.meta.url)), '..');
const folder = join(root, 'build/size');
const KIB = 1024;

/** Limits in KiB of brotli, by id. After 1.0 the budgets are: infer 24, a classifier that only predicts 28, everything 50. */
const LIMITS = JSON.parse(readFileSync(join(root, 'tools/limits.json'), 'utf8'));

/** What is bundled; some have a limit. All have a module inside; the relaxed build is a file of its own, on demand. */
const ENTRIES = [
  {
    id: 'everything',
    what: 'gatewise: all layers, cells, losses, training',
    code: "export * from 'gatewise';",
  },
  { id: 'infer', what: 'gatewise/infer: inference only', code: "export * from 'gatewise/infer';" },
  {
    id: 'predict-classifier',
    what: 'SequenceClassifier of gatewise/predict, with its module',
    code: "export { SequenceClassifier } from 'gatewise/predict';",
  },
  {
    id: 'predict',
    what: 'gatewise/predict: all tasks without training',
    code: "export * from 'gatewise/predict';",
  },
  {
    id: 'functions',
    what: 'gatewise/functions: functions of rows, with what they need of gatewise',
    code: "export * from 'gatewise/functions';",
  },
  {
    id: 'training',
    what: 'gatewise/training: batches and checkpoints, with what they need of gatewise',
    code: "export * from 'gatewise/training';",
  },
  {
    id: 'quantized',
    what: 'gatewise/quantized: layers with integer weights',
    code: "export * from 'gatewise/quantized';",
  },
  { id: 'processor', what: 'gatewise/processor: blocks of steps', code: "export * from 'gatewise/processor';" },
  { id: 'worker', what: 'gatewise/worker, without the worker file', code: "export * from 'gatewise/worker';" },
  {
    id: 'online',
    what: 'gatewise/online: learning step by step',
    code: "export * from 'gatewise/online';",
  },
  {
    id: 'memory',
    what: 'gatewise/memory: a network with an external memory',
    code: "export * from 'gatewise/memory';",
  },
  {
    id: 'dynamics',
    what: 'gatewise/dynamics: gradient flow and its pictures',
    code: "export * from 'gatewise/dynamics';",
  },
  { id: 'reservoir', what: 'gatewise/reservoir, with gatewise', code: "export * from 'gatewise/reservoir';" },
  {
    id: 'metrics',
    what: 'gatewise/metrics: confusion, calibration, learning rates, plots',
    code: "export * from 'gatewise/metrics';",
  },
  {
    id: 'tasks',
    what: 'gatewise/tasks: all tasks, with their layers',
    code: "export * from 'gatewise/tasks';",
  },
  {
    id: 'language-model',
    what: 'one task of gatewise/tasks',
    code: "export { LanguageModel } from 'gatewise/tasks';",
  },
  {
    id: 'train-a-layer',
    what: 'Recurrent, Linear, crossEntropy, Model, Optimizer, Runtime of gatewise',
    code: "export { crossEntropyLoss, input, Linear, Model, Optimizer, Recurrent, Runtime } from 'gatewise';",
  },
];

const HELP = `npm run size [-- --json | --check]

Bytes of each entry as a browser downloads it: bundled and minified by Vite, raw, with gzip -9 and with brotli -11.
Then how long the module takes to compile, and how much longer than an empty one a process takes that imports the package and
steps a layer once. Exits with 1 if an entry is above its limit. --check measures only the bytes.
`;

/** The entry's own file; what is loaded on demand is apart. */
async function bundle(code) {
  const entry = join(folder, 'entry.mjs');
  writeFileSync(entry, code);
  const results = await build({
    root: folder,
    configFile: false,
    logLevel: 'error',
    resolve: {
      alias: [
        { find: /^gatewise$/, replacement: join(root, 'dist/index.js') },
        { find: 'gatewise/tasks', replacement: join(root, 'dist/tasks.js') },
        { find: 'gatewise/infer', replacement: join(root, 'dist/infer.js') },
        { find: 'gatewise/predict', replacement: join(root, 'dist/predict.js') },
        { find: 'gatewise/worker', replacement: join(root, 'dist/worker.js') },
        { find: 'gatewise/training', replacement: join(root, 'dist/training.js') },
        { find: 'gatewise/functions', replacement: join(root, 'dist/functions.js') },
        { find: 'gatewise/quantized', replacement: join(root, 'dist/quantized.js') },
        { find: 'gatewise/processor', replacement: join(root, 'dist/processor.js') },
        { find: 'gatewise/online', replacement: join(root, 'dist/online.js') },
        { find: 'gatewise/memory', replacement: join(root, 'dist/memory.js') },
        { find: 'gatewise/reservoir', replacement: join(root, 'dist/reservoir.js') },
        { find: 'gatewise/dynamics', replacement: join(root, 'dist/dynamics.js') },
        { find: 'gatewise/metrics', replacement: join(root, 'dist/metrics.js') },
      ],
    },
    build: {
      write: false,
      target: 'es2022',
      lib: { entry, formats: ['es'], fileName: 'bundle' },
      rollupOptions: { output: { minify: true } },
    },
  });
  const bytes = Buffer.from([results].flat()[0].output.find((chunk) => chunk.isEntry).code);
  return {
    raw: bytes.length,
    gzip: gzipSync(bytes, { level: 9 }).length,
    brotli: brotliCompressSync(bytes, {
      params: { [constants.BROTLI_PARAM_QUALITY]: 11, [constants.BROTLI_PARAM_SIZE_HINT]: bytes.length },
    }).length,
  };
}

/** One step of a layer, by an entry. */
const FIRST_STEP = (entry) => `
import { Model, Recurrent, Runtime } from '${entry}';
const runtime = await Runtime.create();
const model = new Model(runtime, 1, (b) => new Recurrent(b, 'lstm', { cell: 'lstm', inputSize: 64, hiddenSize: 128 }));
const [first] = model.layers.step(new Float32Array(64).fill(1), model.layers.state());
if (Number.isNaN(first)) throw new Error('no result');
`;

/** Median milliseconds of processes that take turns. */
function processes(files, rounds) {
  const times = files.map(() => []);
  for (let round = 0; round < rounds; round++) {
    files.forEach((file, i) => {
      const began = performance.now();
      execFileSync(process.execPath, [file], { cwd: root });
      times[i].push(performance.now() - began);
    });
  }
  return times.map((list) => list.sort((a, b) => a - b)[Math.floor(rounds / 2)]);
}

/** Median milliseconds of compiling a module, each time in a process of its own: engines keep what they have compiled. */
function compileTime(name) {
  const file = join(folder, `compile-${name}.mjs`);
  writeFileSync(
    file,
    `import { readFileSync } from 'node:fs';
const bytes = readFileSync(${JSON.stringify(join(root, `dist/${name}.wasm`))});
const began = performance.now();
new WebAssembly.Module(bytes);
console.log(performance.now() - began);`,
  );
  const times = Array.from({ length: 9 }, () => Number(execFileSync(process.execPath, [file], { encoding: 'utf8' })));
  return times.sort((a, b) => a - b)[4];
}

const { values } = parseArgs({
  options: {
    json: { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
    check: { type: 'boolean', default: false },
  },
});
if (values.help) {
  console.log(HELP);
  process.exit(0);
}
rmSync(folder, { recursive: true, force: true });
mkdirSync(folder, { recursive: true });
const print = (row, text) => console.log(values.json ? JSON.stringify(row) : text);
const kib = (bytes) => `${(bytes / KIB).toFixed(1)} KiB`.padStart(10);

if (!values.json) console.log(`${'id'.padEnd(16)}       raw      gzip    brotli`);
for (const { id, what, code } of ENTRIES) {
  const limit = LIMITS[id];
  const sizes = await bundle(code);
  const holds = limit === undefined || sizes.brotli <= limit * KIB;
  if (!holds) process.exitCode = 1;
  const goal = limit === undefined ? '' : `, at most ${limit} KiB: ${holds ? 'holds' : 'FAILS'}`;
  print(
    { id, ...sizes, ...(limit === undefined ? {} : { limit: limit * KIB }), what },
    `${id.padEnd(16)}${kib(sizes.raw)}${kib(sizes.gzip)}${kib(sizes.brotli)}   ${what}${goal}`,
  );
}
if (values.check) process.exit();
for (const name of ['simd', 'relaxed', 'infer', 'quantized', 'online']) {
  if (!WebAssembly.validate(readFileSync(join(root, `dist/${name}.wasm`)))) continue;
  const ms = compileTime(name);
  print({ id: `compile-${name}`, ms }, `compiling ${name}.wasm takes ${ms.toFixed(1)} ms`);
}
const empty = join(folder, 'empty.mjs');
writeFileSync(empty, '');
const starts = ['gatewise', 'gatewise/infer'].map((entry) => {
  const file = join(folder, `${entry.replace('/', '-')}.mjs`);
  writeFileSync(file, FIRST_STEP(entry));
  return file;
});
const [none, train, infer] = processes([empty, ...starts], 15);
for (const [id, ms, entry] of [
  ['start', train, 'gatewise'],
  ['start-infer', infer, 'gatewise/infer'],
]) {
  print(
    { id, ms, empty: none, above: ms - none },
    `a process that imports ${entry} and runs one step of a layer takes ${ms.toFixed(0)} ms, ${(ms - none).toFixed(0)} ms more than an empty one`,
  );
}
