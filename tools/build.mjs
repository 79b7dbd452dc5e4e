/**
 * Builds everything that is older than its sources: AssemblyScript to build/wasm, from it the generated files in
 * bindings/core/wasm, TypeScript to dist (the package) and build (the command line, tests, benchmarks, examples), and of it the entry for inference.
 *
 *     node tools/build.mjs [--quiet] [--package] [--library]
 *
 * --package leaves out the modules that only tests and benchmarks use, --library what is compiled from tests, benchmarks and examples.
 */
import { execFile } from 'node:child_process';
import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { availableParallelism } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = resolve(dirname(fileURLToPath(import.meta.url)), '..');
const quiet = process.argv.includes('--quiet');
const packageOnly = process.argv.includes('--package');
const libraryOnly = process.argv.includes('--library');

/** The modules of `gatewise bench`, which are in the package next to the command line, and in no entry. */
const BENCHED = ['bench-simd', 'bench-relaxed'];
/** The modules that are in the package, and those of them that an entry also brings with it as text. */
const PACKAGED = [
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
const AS_TEXT = PACKAGED.filter((build) => build !== 'quantized-relaxed');

let said = false;

/** One line before the first work of a quiet build, which may take a while. */
function building() {
  if (quiet && !said) console.error('building…');
  said = true;
}

function files(...paths) {
  return paths.flatMap((path) => {
    const full = join(root, path);
    if (!existsSync(full)) return [];
    if (!statSync(full).isDirectory()) return [full];
    return readdirSync(full, { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map((entry) => join(entry.parentPath ?? entry.path, entry.name))
      .filter((path) => !path.slice(root.length).includes('node_modules'));
  });
}

function stale(outputs, sources) {
  if (outputs.some((output) => !existsSync(join(root, output)))) return true;
  const oldest = Math.min(...outputs.map((output) => statSync(join(root, output)).mtimeMs));
  return sources.some((source) => statSync(source).mtimeMs > oldest);
}

/** Runs a program of a dependency with this very node. */
function run(bin, args) {
  building();
  if (!quiet) console.log(`> ${bin.split('/').pop()} ${args.join(' ')}`);
  return new Promise((resolve, reject) => {
    execFile(process.execPath, [join(root, 'node_modules', bin), ...args], { cwd: root }, (error, stdout, stderr) => {
      if (error) reject(Object.assign(error, { output: stdout + stderr }));
      else resolve();
    });
  });
}

/** Bytes as `decode` in bindings/core/start.ts reads them. */
function asText(bytes) {
  return Array.from(bytes, (byte) => {
    const number = (byte + 28) % 256;
    const code = 40 + (number % 86);
    return ['', '%', '&'][Math.floor(number / 86)] + String.fromCharCode(code < 92 ? code : code + 1);
  }).join('');
}

/** The entries as few files, which a process loads three times as fast: the first five share what they need. */
async function bundle() {
  const shared = {
    index: 'index.js',
    tasks: 'tasks/index.js',
    functions: 'functions.js',
    training: 'training/index.js',
    worker: 'worker/index.js',
  };
  const paths = Object.entries(shared).map(([name, path]) => [name, `dist/bindings/${path}`]);
  await entries(Object.fromEntries(paths), {}, aside);
  // one file that a page can serve; the relaxed build is sent to it, since workers of bundlers cannot load parts
  const alone = (code) => code.replace("async () => (await import('./wasm/relaxed.js')).default", 'null');
  await entries({ 'worker-thread': 'dist/bindings/worker/thread.js' }, {}, alone);
  await workerText();
  for (const name of ['quantized', 'online', 'processor'])
    await entries({ [name]: `dist/bindings/${name}.js` }, {}, (code) => code);
  // no backward pass is recorded and no parameter initialised: what only these reach is left out
  const pure = ['tape.record', 'initialize', 'checkInitializer', 'drawReservoir'];
  const treeshake = { manualPureFunctions: pure, propertyReadSideEffects: false };
  await entries({ infer: 'dist/bindings/infer.js' }, treeshake, inferenceOnly);
  const options = ['option', 'optional', 'required', 'whole', 'real', 'oneOf', 'listOf', 'names', 'object', 'recordOf'];
  const predictOnly = { ...treeshake, manualPureFunctions: [...pure, ...options, 'stackSchema', 'oneWaySchema'] };
  await entries({ predict: 'dist/bindings/predict.js' }, predictOnly, predictionsOnly, false, predictCore);
  const stale = UNUSED_METHODS.flatMap(([, ...names]) => names).filter((name) => !removed.has(name));
  if (stale.length) throw new Error(`UNUSED_METHODS: no file has ${stale.join(', ')}`);
  await entries({ node: 'dist/bindings/node.js' }, {}, (code) => code);
  await entries({ metrics: 'dist/bindings/metrics.js' }, {}, (code) => code);
  // importers and exporters work on the classes of gatewise itself: one copy of them
  const formats = ['import/pytorch', 'import/keras', 'import/onnx', 'import/amp', 'export/onnx'];
  const parts = formats.map((name) => [name.replace('/', '-'), `dist/bindings/${name}.js`]);
  await entries(Object.fromEntries(parts), {}, (code) => code, true);
  for (const name of ['dynamics', 'memory', 'extend', 'reservoir'])
    await entries({ [name]: `dist/bindings/${name}.js` }, {}, (code) => code, true);
}

/** Vite would look for the file of a worker here; users' bundlers do, in what is written. */
const aside = (code) => code.replaceAll('new Worker(new URL(', 'new Worker(new_URL(');
const named = {
  name: 'named',
  generateBundle(_, output) {
    for (const chunk of Object.values(output)) {
      if (chunk.code) chunk.code = chunk.code.replaceAll('new Worker(new_URL(', 'new Worker(new URL(');
    }
  },
};

/** The worker file as text, minified, for pages that cannot load it by its address. */
async function workerText() {
  const { build } = await import('vite');
  const [{ output }] = await build({
    root,
    configFile: false,
    logLevel: 'error',
    build: {
      write: false,
      target: 'es2022',
      lib: { entry: join(root, 'dist/worker-thread.js'), formats: ['es'] },
      rollupOptions: { output: { minify: true } },
    },
  });
  writeFileSync(join(root, 'dist/worker-text.js'), `export default ${JSON.stringify(output[0].code)};\n`);
}

/** The command line as one program, with the packages that it uses; the models are those of tasks.js. */
async function program() {
  const { build } = await import('vite');
  const libraries = { gatewise: './index.js', 'gatewise/tasks': './tasks.js' };
  const { output } = await build({
    root,
    configFile: false,
    logLevel: 'error',
    ssr: { noExternal: true, external: Object.keys(libraries) },
    build: {
      ssr: join(root, 'build/cli/bin.js'),
      outDir: join(root, 'dist'),
      emptyOutDir: false,
      copyPublicDir: false,
      target: 'node20',
      minify: false,
      rollupOptions: { output: { entryFileNames: 'cli.js', chunkFileNames: 'cli-[name].js', paths: libraries } },
    },
  });
  chmodSync(join(root, 'dist/cli.js'), 0o755);
  const names = output
    .flatMap(({ moduleIds }) => moduleIds)
    .map((id) => /.*node_modules\/((?:@[^/]+\/)?[^/]+)/.exec(id)?.[1])
    .filter(Boolean);
  thirdParty([...new Set(names)].sort());
}

/** The text of the worker file is written once there is one. */
const workerTextFile = {
  name: 'worker-text',
  enforce: 'pre',
  resolveId: (id) => (id === './text.js' ? { id: './worker-text.js', external: true } : null),
};

/** Within importers and exporters, gatewise is the files next to them. */
const OWN = {
  '../index.js': './index.js',
  '../errors.js': './index.js',
  '../functions.js': './functions.js',
  '../tasks/index.js': './tasks.js',
};
const ownIndex = {
  name: 'own-index',
  enforce: 'pre',
  resolveId: (id) => (Object.hasOwn(OWN, id) ? { id: OWN[id], external: true } : null),
};

/**
 * What the entry for inference does without, by file, and what replaces it: initializers, gradients, options of training alone, other
 * libraries' names, the guess which name was meant.
 */
const LEFT_OUT = {
  'nn/initializer.js': [
    /.*/s,
    `export const checkInitializer = (_, value) => value;
export const initialize = () => {}, startOf = null, gateStart = null, fanIn = null, constant = null, unitCircle = null;
`,
  ],
  'nn/builder.js': [/get grad\(\) \{.*?\n {4}\}\n {4}set grad.*?\n {4}\}\n/s, ''],
  'nn/dropout.js': [/.*/s, 'export const dropout = (_tape, _random, x) => x;\n'],
  'nn/linear.js': [/object\(\{ weight: .*? \}\)/, 'checkInitializer'],
  'nn/recurrent/direction.js': [
    ...[/const added = .*?const offset = .*?;\n/s, 'let offset;\n'],
    ...[/get trained\(\) \{.*?\n {4}\}\n/s, ''],
  ],
  'nn/recurrent/options.js': [
    ...[/object\(\{\n {4}input: .*?\}\)/s, 'checkInitializer'],
    ...[/\[options\.dropout && .*?\],\n/, ''],
    ...[/\[!bias && !irnn.*?\],\n/, ''],
  ],
  'nn/recurrent/recurrent.js': [
    ...[/\['carry'\]\);.*?(?=const \{ output)/s, '[]);'],
    ...[/tape\.training, carry\)|false {8}, carry\)/, 'false)'],
    ...[/\(\{ \.\.\.slot, at: .*? \}\)/, 'slot'],
  ],
  'cells/lstm.js': [/biasOffset: .*?\n/, '', /\[coupled && forgetBias.*(?=\n {4}\],)/s, ''],
  'cells/residual.js': [/clashes: .*?\n/, ''],
  'cells/mingru.js': [/clashes: .*?\n/, ''],
  'cells/minlstm.js': [/clashes: .*?\n/, ''],
  'bindings/tape.js': [
    ...[/ trains\(random\) \{.*?\n {4}\}\n/s, ''],
    ...[/get recorded\(\) \{.*?\n {4}\}\n/s, ''],
    ...[/watch\(\{ made \}, take\) \{.*?this\.#steps\.length = 0;\n {4}\}\n/s, ''],
  ],
  'core/start.js': [/relaxed: "this engine.*?\n/, ''],
  'core/runtime.js': [/readDoubles\(.*?\n {4}\}\n.*?writeDoubles\(.*?\n {4}\}\n/s, ''],
  'bindings/check.js': [/if \(word\.length > 40\).*?return best === undefined \? all : .*?;\n/s, 'return all;\n'],
  'bindings/options.js': [/const FOREIGN = \{.*?\n\};/s, 'const FOREIGN = {};'],
};

/** Nothing asks whether it trains. What is replaced keeps its length, for the source maps. */
function inferenceOnly(code, id) {
  const blank = (word) => (what) => word.padEnd(what.length);
  const inferred = code
    .replace(/(?:tape|this|Tape)\.training(?! =)|[\w.]+\.grad !== 0|(?<=if \()[\w.]+\.grad(?=\))/g, blank('false'))
    .replace(/\b(?<!function )(?:startOf|gateStart|fanIn|constant)\([^()]*\)/g, blank('null'));
  return without(LEFT_OUT, inferred, id);
}

/** The code of a file without what a table leaves out. */
function without(table, code, id) {
  const file = Object.keys(table).find((name) => id.endsWith(`/${name}`));
  if (!file) return code;
  let rest = code;
  for (let i = 0; i < table[file].length; i += 2) {
    const [part, instead] = table[file].slice(i, i + 2);
    if (!part.test(rest)) throw new Error(`${file}: what is left out of it is not found: ${part}`);
    rest = rest.replace(part, (what) => instead + what.slice(instead.length).replace(/[^\n]/g, ' '));
  }
  return rest;
}

/** Methods that only training, evaluation or text preparation call, by the paths of their files. */
const UNUSED_METHODS = [
  [
    /bindings\/tasks\/(?!shared\/stream)/,
    ...[
      'create',
      'createSync',
      'fit',
      'evaluate',
      'calibrate',
      'save',
      'summary',
      'restoreBest',
      'firstBatch',
      'replicated',
    ],
    ...['training', 'optimizer', 'position', 'train', 'learn', 'fitExamples', 'losses', '#steps', '#measure', '#loss'],
    ...['#frameLosses', '#weights', '#examples', '#evaluate', '#course', '#windows', '#rolling', '#report', '#changes'],
  ],
  [
    /\/nn\/model\.js$/,
    ...['valueAndGrad', '#begin', '#end', '#clearFrozen', '#fill', 'prepare', 'gradient', 'gradientNorm'],
    ...[
      'get',
      'idle',
      'clipGradNorm',
      'clipGradValue',
      '#checkGradients',
      'freeze',
      'unfreeze',
      'frozen',
      '#setFrozen',
    ],
  ],
  [/\/(text\/vocabulary|train\/run)\.js$/, 'of'],
  [/\/nn\/crf\.js$/, 'loss'],
  [/\/core\/runtime\.js$/, 'memory', 'disposed'],
  [/\/nn\/(linear|embedding|recurrent\/recurrent)\.js$/, 'step'],
];

/** The names of `UNUSED_METHODS` that a file had. */
const removed = new Set();

/** The code without a method, its lines left empty. */
const withoutMethod = (code, name) =>
  code.replace(
    new RegExp(`^ {4}(?:static |async |get |\\*)*${name}\\((?:.*\\}|[\\s\\S]*?\\n {4}\\})\\n`, 'm'),
    (what) => {
      removed.add(name);
      return what.replace(/[^\n]/g, ' ');
    },
  );

/** What predictions do without in the files of tasks: where training stands. */
const LEFT_OUT_OF_TASKS = {
  'train/checkpoint.js': [
    ...[/const training = description\?\.training \?\? null;.*?return \{ optimizer: resumed, \.\.\.standing \};\n/s],
    `for (const [name, data] of values) model.set(name, data);
    checking("the file's description", () => {
        const random = description?.training?.random;
        if (random !== undefined) Object.assign(model.random.next, readOptions('random', RANDOM, random, 'random.'));
    });
    return FRESH;
`,
    ...[/if \(read\.format === 1\)\s+read = fromFormat1\(read\);/, ''],
    ...[/this version reads formats 1 and/, 'gatewise/tasks reads format 1 and saves format'],
  ],
  // what streams write needs no checks
  'files/safetensors.js': [
    ...[/check\.made\('tensors'.*?let end = 0;/s, 'let end = 0;'],
    ...[
      /const place = check\.cut\(check\.text\('tensors: name', name\)\);.*?(?=const \{ shape, data \} = tensor;)/s,
      '',
    ],
    ...[/check\.numbers\(place, data, sizeOf\(shape\), shapeText\(shape\)\);\s+const from/, 'const from'],
    ...[/halves\?\.\(place, data\) \?\? /, ''],
    ...[/dtype: halves \? 'F16' : 'F32'/, "dtype: 'F32'"],
    ...[/if \(length > MAX_HEADER\)\s+throw new RangeError\(`tensors: their.*?\n/s, '\n'],
  ],
  // workers have a file of their own with all of the tasks
  'shared/batches.js': [/workers: optional\(readWorkers\),/, ''],
  'shared/passes.js': [
    ...[/if \(asked\)\s+workers\?\.receive\?\.\(pass, asked\.model\);/, ''],
    ...[/if \(workers && job\) \{.*?\n {12}\}/s, ''],
    ...[/if \(readers\) \{.*?\n {16}\}\n {16}else (?=\{)/s, ''],
    ...[/const pass = .*?\n/, '\n'],
    ...[/const job = asked && .*?\n/, '\n'],
    ...[/let readers;/, ''],
    ...[/const pending = \[\];/, ''],
    ...[/, sent = 0;/, ';'],
    ...[/readers\?\.end\(\);/, ''],
  ],
  'shared/language-layers.js': [/, \{ carry \}/, ''],
  'tasks/forecaster.js': [/if \(this\.model\.layers\.linear\)\s+this\.model\.freeze\('linear'\);/, ''],
  // nothing trains
  'nn/model.js': [
    ...[/this\.idle\(\);\n/, '\n'],
    ...[/const names = this\.#parameters\.map.*?throw new RangeError\([^\n]*\);/s, 'throw new RangeError(name);'],
  ],
  'shared/kind.js': [
    ...[/const IN_EXAMPLES = .*?\n/, 'const IN_EXAMPLES = {};\n'],
    // a model has a runtime of its own, of the one build there is
    ...[/runtime: optional\(.*?\}\),\n/s, '\n'],
    ...[/build: optional\(oneOf\('simd', 'relaxed'\)\),/, ''],
  ],
  'core/start.js': [
    ...[/check\.oneOf\('build', build, \['simd', 'relaxed'\]\);/, ''],
    ...[/if \(!module && build !== 'simd' && !onDemand\) \{.*?\n {4}\}/s, ''],
  ],
};

/** The same for the tasks: without what they do besides predicting. */
function predictionsOnly(code, id) {
  const inferred = without(LEFT_OUT_OF_TASKS, inferenceOnly(code, id), id);
  const methods = UNUSED_METHODS.filter(([files]) => files.test(id)).flatMap(([, ...names]) => names);
  // a bundler cannot know that a schema of options, which is made by calls and spreads, can be left out
  const schemas = /^((?:export )?const [A-Z_]+ = )(\{(?:.*\}|[\s\S]*?\n\}));$/gm;
  return methods.reduce(withoutMethod, inferred).replace(schemas, '$1/* @__PURE__ */ (() => ($2))();');
}

/** Tasks that only predict run on the module for inference, those that decode or generate on one that has this as well. */
const predictCore = {
  name: 'predict-core',
  enforce: 'pre',
  resolveId: (id, from) =>
    id.endsWith('core/train.js')
      ? join(dirname(from), dirname(id), /classifier|regressor/.test(from) ? 'infer.js' : 'predict.js')
      : null,
};

/** What several entries share, as two files: the page of a worker needs the first alone. */
const PARTS = [
  { name: 'base', test: /bindings\/(check|errors|options|platform|text\/vocabulary|train\/run)\.js$/, priority: 2 },
  { name: 'core', test: /bindings\/(?!core\/wasm\/relaxed)|assemblyscript\/loader/, priority: 1 },
].map((part) => ({ ...part, minShareCount: 2 }));

async function entries(entry, treeshake, change, importers = false, plugin = null) {
  const { build } = await import('vite');
  await build({
    root,
    configFile: false,
    logLevel: 'error',
    plugins: [plugin, importers && ownIndex, workerTextFile, compiled(change), loader(), named],
    build: {
      outDir: join(root, 'dist'),
      emptyOutDir: false,
      target: 'es2022',
      minify: false,
      sourcemap: true,
      lib: { entry, formats: ['es'] },
      rollupOptions: {
        treeshake,
        external: ['fflate', 'jsfive', 'pbf', 'pickleparser', /^node:/],
        output: {
          sourcemapExcludeSources: true,
          entryFileNames: '[name].js',
          chunkFileNames: (chunk) => (importers ? `import-${chunk.name}.js` : `${chunk.name}.js`),
          codeSplitting: importers ? true : { groups: PARTS },
        },
      },
    },
  });
}

/**
 * What tsc wrote, with its source maps, so that those of the bundles lead to TypeScript, which is packed next to them; a module as text
 * has no source to show.
 *
 * @param change changes code and keeps the length of every line
 */
function compiled(change) {
  return {
    name: 'compiled',
    load(id) {
      if (!id.startsWith(join(root, 'dist'))) return null;
      const code = change(readFileSync(id, 'utf8'), id).replace(/^\/\/# sourceMappingURL=.*$/m, '');
      const map = id.includes('/core/wasm/') ? { mappings: '' } : JSON.parse(readFileSync(`${id}.map`, 'utf8'));
      return { code, map };
    },
  };
}

/**
 * The loader without what it does when it is loaded: it makes a TextDecoder, which an AudioWorklet lacks, and adds to a global. The
 * decoder reads long strings of a module; without it the loader's own fallback does. Also without what it adds to the exports of a
 * module, for strings, arrays and classes: the core has none of these, and the bindings use the instance.
 */
function loader() {
  const changes = [
    [/^const utf16 = new TextDecoder\(.*$/m, 'const utf16 = null;'],
    [/^Object\.hasOwn = Object\.hasOwn \|\| function[^}]*\};$/m, ''],
    [/postInstantiate\(extended, ([\w.]*instance)\)/g, 'Object.assign(extended, $1.exports)'],
    [/Object\.hasOwn\(/g, 'Object.prototype.hasOwnProperty.call('],
  ];
  return {
    name: 'loader',
    transform(code, id) {
      if (!id.includes('@assemblyscript/loader')) return null;
      for (const [from, to] of changes) {
        if (code.search(from) < 0) throw new Error(`@assemblyscript/loader has changed: no ${from} in it`);
        code = code.replace(from, to);
      }
      return { code, map: { mappings: '' } }; // its source is not in the package
    },
  };
}

/** The licences of what is bundled, and the notices that they ask to pass on. @param packages those in cli.js */
function thirdParty(packages) {
  const read = (folder, name) => readFileSync(join(root, 'node_modules', folder, name), 'utf8');
  const about = (folder) => JSON.parse(read(folder, 'package.json'));
  const { name, version, license } = about('@assemblyscript/loader');
  const loader = `The file core.js contains ${name} ${version} (${license}), https://github.com/AssemblyScript/assemblyscript,
without its line that makes a TextDecoder, its line that defines Object.hasOwn and its functions for strings, arrays and classes of a
module. Its licence and notice:

${read('assemblyscript', 'LICENSE')}
${read('assemblyscript', 'NOTICE')}`;
  const others = packages.map((folder) => {
    const own = about(folder);
    const file = readdirSync(join(root, 'node_modules', folder)).find((name) => /^licen[sc]e/i.test(name));
    if (!file) throw new Error(`${folder}: is bundled, and its licence is not found`);
    return `The file cli.js contains ${own.name} ${own.version} (${own.license}). Its licence:\n\n${read(folder, file)}`;
  });
  writeFileSync(join(root, 'dist/THIRD-PARTY-LICENSES'), [loader, ...others].join('\n\n'));
}

/** What an engine that takes compiled modules gives for `import module from 'gatewise/simd.wasm'`. */
const WASM_TYPES = `import type { WasmModule } from './bindings/platform.js';

declare const module: WasmModule;
export default module;
`;

/** The declarations that asc writes, as one interface. */
function coreInterface(source, declarations) {
  const lines = [...declarations.matchAll(/export function (\w+)\(([^)]*)\): (\w+);/g)].map(
    ([, name, parameters, result]) => `  ${name}(${parameters}): ${result};`,
  );
  const head = `/** Generated from ${source}. */\nimport type { WasmMemory } from '../../platform.js';\n`;
  return `${head}\nexport interface Core {\n  readonly memory: WasmMemory;\n${lines.join('\n')}\n}\n`;
}

async function main() {
  const assembly = files('assembly', 'asconfig.json', 'package-lock.json', 'tools/build.mjs');
  const targets = Object.keys(JSON.parse(readFileSync(join(root, 'asconfig.json'), 'utf8')).targets);
  const wanted = targets.filter((target) => !packageOnly || [...PACKAGED, ...BENCHED].includes(target));
  const todo = wanted.filter((target) => stale([`build/wasm/${target}.wasm`], assembly));
  const worker = async () => {
    for (let target = todo.shift(); target; target = todo.shift()) {
      // bench-simd is assembly/bench.ts, quantized-relaxed assembly/quantized/index.ts, simd the core itself
      const entry =
        ['bench', 'infer', 'predictions', 'functions', 'memory/index', 'quantized/index', 'online/index'].find((path) =>
          path.startsWith(target.split('-')[0]),
        ) ?? 'index';
      await run('assemblyscript/bin/asc.js', [`assembly/${entry}.ts`, '--target', target]);
    }
  };
  await Promise.all(Array.from({ length: availableParallelism() }, worker));

  const generated = 'bindings/core/wasm';
  mkdirSync(join(root, generated), { recursive: true });
  const text = {
    'core.ts': coreInterface('assembly/index.ts', readFileSync(join(root, 'build/wasm/simd.d.ts'), 'utf8')),
    'functions-core.ts': coreInterface(
      'assembly/functions.ts',
      readFileSync(join(root, 'build/wasm/functions.d.ts'), 'utf8'),
    ),
    ...Object.fromEntries(
      ['memory', 'quantized', 'online'].map((name) => [
        `${name}-core.ts`,
        coreInterface(`assembly/${name}/index.ts`, readFileSync(join(root, `build/wasm/${name}.d.ts`), 'utf8')),
      ]),
    ),
    ...Object.fromEntries(
      AS_TEXT.map((build) => [
        `${build}.ts`,
        `/** Generated: build/wasm/${build}.wasm as text, see decode in ../start.ts. */\nexport default '${asText(readFileSync(join(root, `build/wasm/${build}.wasm`)))}' as string;\n`,
      ]),
    ),
  };
  for (const [name, content] of Object.entries(text)) {
    const path = join(root, generated, name);
    if (!existsSync(path) || readFileSync(path, 'utf8') !== content) writeFileSync(path, content);
  }

  const stamp = 'dist/bindings/index.js';
  if (stale([stamp], [...files('bindings', 'tsconfig.json'), ...assembly])) {
    rmSync(join(root, 'dist'), { recursive: true, force: true });
    await run('typescript/bin/tsc', ['-p', 'tsconfig.json']);
    for (const build of [...PACKAGED, ...BENCHED]) {
      copyFileSync(join(root, `build/wasm/${build}.wasm`), join(root, `dist/${build}.wasm`));
    }
    writeFileSync(join(root, 'dist/wasm.d.ts'), WASM_TYPES);
    writeFileSync(join(root, 'dist/worker-thread.d.ts'), 'export declare const PROTOCOL: number;\n');
    await bundle();
  }
  if (!libraryOnly && existsSync(join(root, 'tests/tsconfig.json'))) {
    if (stale(['build/tests/.stamp'], [...files('cli', 'tests', 'bench', 'examples'), join(root, stamp)])) {
      for (const folder of ['cli', 'tests', 'bench', 'examples'])
        rmSync(join(root, 'build', folder), { recursive: true, force: true });
      await run('typescript/bin/tsc', ['-p', 'tests/tsconfig.json']);
      writeFileSync(join(root, 'build/tests/.stamp'), '');
    }
    if (stale(['dist/cli.js'], [...files('build/cli'), join(root, 'dist/tasks.js')])) await program();
  }
}

try {
  await main();
} catch (error) {
  if (error.output) process.stderr.write(error.output);
  if (!error.output && error.message.includes('\n')) console.error(error.message);
  console.error(`build failed: ${error.message.split('\n')[0]}`);
  process.exit(1);
}
