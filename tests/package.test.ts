/**
 * The package as npm packs and installs it: what it holds, that each entry is found by import, require, TypeScript and a page without
 * a bundler, and that loading it needs nothing but the language and WebAssembly.
 */
import { execFileSync, spawnSync } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { test } from 'uvu';
import { equal, is, match, ok } from 'uvu/assert';
import { hasChromium, launch } from './support/chromium.js';
import { serve } from './support/serve.js';

const root = fileURLToPath(new URL('../..', import.meta.url));
const folder = mkdtempSync(join(tmpdir(), 'gatewise-'));
const installed = join(folder, 'node_modules/gatewise');
const manifest = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
/** The importers load optional peer dependencies, gatewise/node writes files; the others need nothing. */
const ENTRIES = Object.keys(manifest.exports)
  .filter((path) => !/\.(wasm|json|js)$|^\.\/(import\/|node$)/.test(path))
  .map((path) => path.replace('.', 'gatewise'));
const MODULES = [
  'simd',
  'relaxed',
  'infer',
  'predict',
  'functions',
  'memory',
  'quantized',
  'quantized-relaxed',
  'online',
];

/** A module's name as one of JavaScript. */
const identifier = (name: string) => name.replace('-', '_');

function run(args: string[], cwd = folder): { code: number | null; output: string } {
  const { status, stdout, stderr } = spawnSync(process.execPath, args, { cwd, encoding: 'utf8' });
  return { code: status, output: stdout + stderr };
}

let tarball = '';

test.before(() => {
  const [{ filename }] = JSON.parse(
    execFileSync('npm', ['pack', '--json', '--ignore-scripts', '--pack-destination', folder], {
      cwd: root,
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
    }),
  );
  tarball = join(folder, filename);
  writeFileSync(join(folder, 'package.json'), '{"type":"module","private":true}');
  execFileSync('npm', ['install', '--offline', '--no-audit', '--no-fund', tarball], { cwd: folder, stdio: 'ignore' });
});

test.after(() => rmSync(folder, { recursive: true, force: true }));

test('a clone is built before it is packed', () => {
  match(manifest.scripts.prepack, 'tools/build.mjs');
});

test('the package has no dependency', () => {
  equal(
    readdirSync(join(folder, 'node_modules')).filter((name) => !name.startsWith('.')),
    ['gatewise'],
  );
});

test('the package holds all that its manifest and its maps name', () => {
  const paths = new Set<string>(['README.md', 'LICENSE', 'CHANGELOG.md', 'dist/THIRD-PARTY-LICENSES']);
  for (const value of [manifest.main, manifest.types, manifest.alias, manifest.exports]) {
    JSON.stringify(value, (_, path) => {
      if (typeof path === 'string') paths.add(path);
      return path;
    });
  }
  for (const path of paths) ok(existsSync(join(installed, path)), path);
  const files = readdirSync(installed, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath ?? entry.path, entry.name));
  const maps = files.filter((file) => file.endsWith('.map'));
  ok(maps.length > 50);
  for (const map of maps) {
    for (const source of JSON.parse(readFileSync(map, 'utf8')).sources)
      ok(existsSync(join(dirname(map), source)), `${map}: ${source}`);
  }
  match(
    readFileSync(join(installed, 'dist/THIRD-PARTY-LICENSES'), 'utf8'),
    /@assemblyscript\/loader[\s\S]*Apache License/,
  );
});

test('the program of the package runs where it is installed', () => {
  const { status, stdout, stderr } = spawnSync(join(folder, 'node_modules/.bin/gatewise'), ['--version'], {
    cwd: folder,
    encoding: 'utf8',
  });
  is(status, 0, stderr);
  is(stdout, `${manifest.version}\n`);
});

test('every entry leads to the same file with and without exports', () => {
  for (const entry of ENTRIES) {
    const path = entry.replace('gatewise', '.');
    const { default: file } = manifest.exports[path];
    is(path === '.' ? manifest.main : manifest.alias[path], file);
  }
});

test('import and require give the same names', () => {
  for (const entry of ENTRIES) {
    writeFileSync(join(folder, 'names.mjs'), `console.log(Object.keys(await import('${entry}')).sort().join())`);
    writeFileSync(join(folder, 'names.cjs'), `console.log(Object.keys(require('${entry}')).sort().join())`);
    const [imported, required] = ['names.mjs', 'names.cjs'].map((file) => run(['--no-warnings', file]));
    is(imported?.code, 0, imported?.output);
    match(
      imported?.output ?? '',
      /Runtime|Forecaster|QuantizedModel|OnlineLearner|toOnnx|inWorker|Processor|confusionMatrix|MemoryNetwork|extend|softmax|padTokens|gradientFlow|EchoStateNetwork|read|load/,
    );
    equal(required, imported);
  }
});

test('no file imports a package, so a page finds all of it with an import map', () => {
  // cli.js, the program, and cli-packed.js, its benchmarks, are for Node alone
  const scripts = readdirSync(join(installed, 'dist')).filter(
    (name) => name.endsWith('.js') && !/^cli(-|\.)/.test(name),
  );
  ok(scripts.length >= 5);
  for (const name of scripts) {
    const code = readFileSync(join(installed, 'dist', name), 'utf8');
    const found = code.matchAll(
      /^(?:import|export)\b.*?\bfrom\s*"([^"]+)"|^import\s*"([^"]+)"|\bimport\("([^"]+)"\)/gm,
    );
    const specifiers = [...found].map(([, from, effect, late]) => from ?? effect ?? late);
    if (name === 'tasks.js' || name === 'core.js') ok(specifiers.length > 0, name);
    // what an importer or exporter needs beyond gatewise is loaded when it is called, and is optional
    const optional = /^(?:export|import)-/.test(name) ? Object.keys(manifest.peerDependenciesMeta) : [];
    const late = optional.filter((path) => code.includes(`import("${path}")`));
    const node = (path = '') => name === 'node.js' && path.startsWith('node:');
    for (const path of specifiers.filter((own) => !late.includes(own ?? '') && !node(own)))
      match(path ?? '', /^\.\/[a-z-]+\.js$/, `${name} imports ${path}`);
  }
});

/** A small model by an entry that has layers: weights out of a file whose names need UTF-8, and one step. */
const STEP = `
  const runtime = Runtime.createSync();
  const model = new Model(runtime, 1, (b) => new Recurrent(b, 'läyer', { cell: 'gru', inputSize: 3, hiddenSize: 5 }));
  const metadata = loadWeights(model, bytes);
  const output = model.layers.step(new Float32Array([1, 2, 3]), model.layers.state());
  const result = JSON.stringify([...output, metadata]);`;

function weights(): Uint8Array {
  writeFileSync(
    join(folder, 'weights.mjs'),
    `import { Model, Recurrent, Runtime, saveWeights } from 'gatewise';
import { writeFileSync } from 'node:fs';
const model = new Model(await Runtime.create(), 1, (b) => new Recurrent(b, 'läyer', { cell: 'gru', inputSize: 3, hiddenSize: 5 }));
writeFileSync('weights.safetensors', saveWeights(model, { note: 'žluť 漢 😀' }));`,
  );
  is(run(['weights.mjs']).output, '');
  return readFileSync(join(folder, 'weights.safetensors'));
}

test('all entries load, start and read weights where there is the language and WebAssembly, and nothing else', () => {
  weights();
  writeFileSync(
    join(folder, 'bare.mjs'),
    `import { readFileSync } from 'node:fs';
import { createContext, runInContext, SourceTextModule } from 'node:vm';
import { Model, Recurrent, Runtime, loadWeights } from 'gatewise';
const bytes = readFileSync('weights.safetensors');
${STEP}
for (const file of ${JSON.stringify(ENTRIES.map((entry) => manifest.exports[entry.replace('gatewise', '.')].default))}) {
  const context = createContext({}, { codeGeneration: { strings: false, wasm: true } });
  for (const name of ['console', 'TextDecoder', 'TextEncoder', 'setTimeout', 'performance', 'fetch', 'Response', 'URL', 'crypto'])
    if (runInContext('typeof ' + name, context) !== 'undefined') runInContext('delete globalThis.' + name, context);
  const before = runInContext('Object.getOwnPropertyNames(globalThis).join()', context);
  const hasOwn = runInContext('delete Object.hasOwn; typeof Object.hasOwn', context);
  const modules = new Map();
  const load = (path) => {
    if (!modules.has(path)) modules.set(path, new SourceTextModule(readFileSync(path, 'utf8'), { context, identifier: path }));
    return modules.get(path);
  };
  const entry = load(import.meta.dirname + '/node_modules/gatewise/' + file);
  await entry.link((specifier, from) => load(new URL(specifier, 'file://' + from.identifier).pathname));
  await entry.evaluate();
  if (runInContext('Object.getOwnPropertyNames(globalThis).join()', context) !== before) throw new Error(file + ' adds a global');
  if (runInContext('typeof Object.hasOwn', context) !== hasOwn) throw new Error(file + ' adds Object.hasOwn');
  context.exports = entry.namespace;
  context.bytes = [...bytes];
  if (!entry.namespace.loadWeights) { console.log(file, 'loads'); continue; }
  const got = runInContext(\`(({ Model, Recurrent, Runtime, loadWeights }, bytes) => { \${${JSON.stringify(STEP)}}; return result; })(exports, Uint8Array.from(bytes))\`, context);
  if (got !== result) throw new Error(got + ' instead of ' + result);
  // invalid UTF-8: a lone continuation byte, an overlong form, a surrogate, one past U+10FFFF
  for (const bad of [[0x80], [0xc0, 0xaf], [0xed, 0xa0, 0x80], [0xf4, 0x90, 0x80, 0x80]]) {
    const broken = [...bytes];
    broken.splice(bytes.indexOf('note') + 7, bad.length, ...bad);
    context.bytes = broken;
    const error = runInContext(\`(({ Model, Recurrent, Runtime, loadWeights }, bytes) => { try { \${${JSON.stringify(STEP)}} } catch (error) { return error.name; } })(exports, Uint8Array.from(bytes))\`, context);
    if (error !== 'FormatError') throw new Error(bad + ': ' + error);
  }
  console.log(file, 'loads and runs');
}`,
  );
  const { code, output } = run(['--no-warnings', '--experimental-vm-modules', 'bare.mjs']);
  is(code, 0, output);
  equal(
    output.trim().split('\n'),
    ENTRIES.map((entry) => {
      const file = manifest.exports[entry.replace('gatewise', '.')].default;
      return `${file} loads${/tasks|import|export|functions|training|quantized|online|worker|dynamics|memory|extend|reservoir|metrics|processor|predict/.test(file) ? '' : ' and runs'}`;
    }),
  );
});

test('a page without a bundler, and an AudioWorklet, import and run it', async () => {
  if (!hasChromium()) return;
  const bytes = weights();
  const imports = Object.fromEntries(
    ENTRIES.map((entry) => [
      entry,
      `./node_modules/gatewise${manifest.exports[entry.replace('gatewise', '.')].default.slice(1)}`,
    ]),
  );
  const inputs = `const bytes = new Uint8Array([${[...bytes]}]);`;
  writeFileSync(
    join(folder, 'index.html'),
    `<!doctype html><meta charset="utf-8"><link rel="icon" href="data:,"><script type="importmap">${JSON.stringify({ imports })}</script>
<script type="module" src="page.js"></script>`,
  );
  writeFileSync(
    join(folder, 'page.js'),
    `import { Model, Recurrent, Runtime, loadWeights } from 'gatewise';
import * as tasks from 'gatewise/tasks';
${inputs}${STEP}
try {
  const context = new OfflineAudioContext(1, 256, 48000);
  await context.audioWorklet.addModule('worklet.js');
  const node = new AudioWorkletNode(context, 'steps');
  const heard = new Promise((resolve) => { node.port.onmessage = ({ data }) => resolve(data); });
  node.connect(context.destination);
  await context.startRendering();
  window.outcome = { page: result, tasks: Object.keys(tasks).length, worklet: await heard };
} catch (error) { window.outcome = { error: String(error) }; }`,
  );
  writeFileSync(
    join(folder, 'worklet.js'),
    `import * as everything from './node_modules/gatewise/dist/index.js';
import * as tasks from './node_modules/gatewise/dist/tasks.js';
import * as infer from './node_modules/gatewise/dist/infer.js';
import * as quantized from './node_modules/gatewise/dist/quantized.js';
${inputs}
const steps = ({ Model, Recurrent, Runtime, loadWeights }) => {${STEP}
  return result;
};
// quantized layers, by way of a file
const integers = () => {
  const rnn = { cell: 'gru', inputSize: 3, hiddenSize: 5 };
  const model = new everything.Model(everything.Runtime.createSync(), 1, (b) => new everything.Recurrent(b, 'läyer', rnn));
  const made = quantized.quantizeSync(model, { dtype: 'int16', layers: { läyer: rnn }, calibrate: { läyer: 3 } });
  const [one, other] = [made, quantized.QuantizedModel.loadSync(made.save())].map((q) => {
    const layer = q.recurrent('läyer');
    return layer.step([1, 2, 3], layer.state()).join();
  });
  return String(one === other && one.includes('0.'));
};
registerProcessor('steps', class extends AudioWorkletProcessor {
  #sent = false;
  process() {
    let results;
    try { results = this.#sent ? [] : [typeof TextDecoder, typeof tasks.LanguageModel, steps(everything), steps(infer), integers()]; } catch (error) { results = [String(error)]; }
    if (results.length) this.port.postMessage(results);
    this.#sent = true;
    return true;
  }
});`,
  );
  const { url, close } = await serve(folder, ["'unsafe-inline'"]);
  const browser = await launch();
  try {
    const page = await browser.newPage();
    const problems: string[] = [];
    page.on('pageerror', (error) => problems.push(String(error)));
    page.on('console', (message) => message.type() === 'error' && problems.push(message.text()));
    await page.goto(url);
    let outcome: { page: string; tasks: number; worklet: string[]; error?: string } | undefined;
    for (let left = 200; !outcome && left > 0; left--) {
      await page.waitForTimeout(100);
      outcome = await page.evaluate('window.outcome');
    }
    equal(problems, []);
    is(outcome?.error, undefined);
    ok(outcome && outcome.tasks > 5);
    equal(outcome?.worklet, ['undefined', 'function', outcome?.page, outcome?.page, 'true']);
  } finally {
    await browser.close();
    close();
  }
});

test('the types hold with and without the types of the DOM and of Node, libraries checked', () => {
  mkdirSync(join(folder, 'node_modules/@types'), { recursive: true });
  for (const name of ['@types/node', 'undici-types'])
    symlinkSync(join(root, 'node_modules', name), join(folder, 'node_modules', name));
  writeFileSync(
    join(folder, 'use.ts'),
    `${ENTRIES.map((entry, i) => `import * as entry${i} from '${entry}';`).join('\n')}
${MODULES.map((name) => `import ${identifier(name)} from 'gatewise/${name}.wasm';`).join('\n')}
export async function use() {
  const runtimes = [await entry0.Runtime.create({ module: simd }), entry0.Runtime.createSync({ module: new Uint8Array(8) })];
  return { runtimes, entries: [${ENTRIES.map((_, i) => `entry${i}`)}], modules: [${MODULES.map(identifier)}] };
}
// @ts-expect-error the types are not any
entry0.Runtime.create({ modul: simd });
`,
  );
  for (const [lib, types] of [
    [['es2022', 'dom'], []],
    [['es2022'], ['node']],
    [['es2022', 'dom', 'esnext.disposable'], ['node']],
  ]) {
    writeFileSync(
      join(folder, 'tsconfig.json'),
      JSON.stringify({
        compilerOptions: {
          noEmit: true,
          strict: true,
          target: 'es2022',
          module: 'nodenext',
          skipLibCheck: false,
          lib,
          types,
        },
        files: ['use.ts'],
      }),
    );
    const { code, output } = run([join(root, 'node_modules/typescript/bin/tsc'), '-p', folder]);
    is(code, 0, `lib ${lib}, types ${types}: ${output}`);
  }
});

test('publint and arethetypeswrong find nothing', () => {
  const publint = run([join(root, 'node_modules/publint/src/cli.js'), '--strict', tarball], root);
  is(publint.code, 0, publint.output);
  const attw = join(root, 'node_modules/@arethetypeswrong/cli/dist/index.js');
  const { code, output } = run(
    [attw, tarball, '--profile', 'esm-only', '--no-emoji', '--format', 'table-flipped'],
    root,
  );
  is(code, 0, output);
});

test.run();
