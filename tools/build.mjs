/**
 * Builds everything that is older than its sources: AssemblyScript to build/wasm, from it the generated files in
 * bindings/core/wasm, TypeScript to dist (the package) and build (tests, benchmarks, examples), and of it the entry for inference.
 *
 *     node tools/build.mjs [--quiet] [--package]    --package leaves out the modules that only tests and benchmarks use
 */
import { execFile } from 'node:child_process';
import {
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

/** The modules that are in the package. */
const PACKAGED = ['simd', 'relaxed', 'infer'];

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
    const code = 40 + (byte % 86);
    return ['', '%', '&'][Math.floor(byte / 86)] + String.fromCharCode(code < 92 ? code : code + 1);
  }).join('');
}

/** The entries as few files, which a process loads three times as fast: the first two share what both need. */
async function bundle() {
  await entries({ index: 'dist/bindings/index.js', tasks: 'dist/bindings/tasks/index.js' }, {}, (code) => code);
  // no backward pass is recorded and no parameter initialised: what only these reach is left out
  const pure = ['tape.record', 'initialize', 'checkInitializer'];
  await entries({ infer: 'dist/bindings/infer.js' }, { manualPureFunctions: pure }, inferenceOnly);
  await entries({ node: 'dist/bindings/node.js' }, {}, (code) => code);
  // importers work on the classes of gatewise itself: one copy of them
  const imports = ['pytorch', 'keras', 'onnx'].map((name) => [`import-${name}`, `dist/bindings/import/${name}.js`]);
  await entries(Object.fromEntries(imports), {}, (code) => code, true);
  thirdParty();
}

/** Within importers, gatewise is the file beside them. */
const ownIndex = {
  name: 'own-index',
  enforce: 'pre',
  resolveId: (id) => (id === '../index.js' ? { id: './index.js', external: true } : null),
};

/** What the entry for inference does without, by file: initializers, other libraries' names, the guess which name was meant. */
const LEFT_OUT = {
  'nn/initializer.js': [
    /.*/s,
    'export const checkInitializer = (_, value) => value;\nexport const initialize = () => {};\n',
  ],
  'bindings/check.js': [/if \(word\.length > 40\).*?return best === undefined \? all : .*?;\n/s, 'return all;\n'],
  'bindings/options.js': [/const FOREIGN = \{.*?\n\};/s, 'const FOREIGN = {};'],
};

/** Nothing asks whether it trains. What is replaced keeps its length, for the source maps. */
function inferenceOnly(code, id) {
  const inferred = code.replace(/(?:tape|this|Tape)\.training(?! =)/g, (what) => 'false'.padEnd(what.length));
  const file = Object.keys(LEFT_OUT).find((name) => id.endsWith(`/${name}`));
  if (!file) return inferred;
  const [part, instead] = LEFT_OUT[file];
  if (!part.test(inferred)) throw new Error(`${file}: what gatewise/infer leaves out of it is not found`);
  return inferred.replace(part, (what) => instead + what.slice(instead.length).replace(/[^\n]/g, ' '));
}

async function entries(entry, treeshake, change, importers = false) {
  const { build } = await import('vite');
  await build({
    root,
    configFile: false,
    logLevel: 'error',
    plugins: [importers && ownIndex, compiled(change), loader()],
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
          chunkFileNames: ({ name }) =>
            name === 'relaxed' ? 'relaxed.js' : importers ? 'import-[name].js' : 'core.js',
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
 * decoder reads long strings of a module; without it the loader's own fallback does.
 */
function loader() {
  const changes = [
    [/^const utf16 = new TextDecoder\(.*$/m, 'const utf16 = null;'],
    [/^Object\.hasOwn = Object\.hasOwn \|\| function[^}]*\};$/m, ''],
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

/** The licence of what is bundled, and the notice that it asks to pass on. */
function thirdParty() {
  const text = (name) => readFileSync(join(root, 'node_modules/assemblyscript', name), 'utf8');
  const { name, version, license } = JSON.parse(
    readFileSync(join(root, 'node_modules/@assemblyscript/loader/package.json'), 'utf8'),
  );
  writeFileSync(
    join(root, 'dist/THIRD-PARTY-LICENSES'),
    `The file core.js contains ${name} ${version} (${license}), https://github.com/AssemblyScript/assemblyscript,
without its line that makes a TextDecoder and its line that defines Object.hasOwn. Its licence and notice:

${text('LICENSE')}
${text('NOTICE')}`,
  );
}

/** What an engine that takes compiled modules gives for `import module from 'gatewise/simd.wasm'`. */
const WASM_TYPES = `import type { WasmModule } from './bindings/platform.js';

declare const module: WasmModule;
export default module;
`;

/** The declarations that asc writes, as one interface. */
function coreInterface(declarations) {
  const lines = [...declarations.matchAll(/export function (\w+)\(([^)]*)\): (\w+);/g)].map(
    ([, name, parameters, result]) => `  ${name}(${parameters}): ${result};`,
  );
  const head = "/** Generated from assembly/index.ts. */\nimport type { WasmMemory } from '../../platform.js';\n";
  return `${head}\nexport interface Core {\n  readonly memory: WasmMemory;\n${lines.join('\n')}\n}\n`;
}

async function main() {
  const assembly = files('assembly', 'asconfig.json', 'package-lock.json', 'tools/build.mjs');
  const targets = Object.keys(JSON.parse(readFileSync(join(root, 'asconfig.json'), 'utf8')).targets);
  const wanted = targets.filter((target) => !packageOnly || PACKAGED.includes(target));
  const todo = wanted.filter((target) => stale([`build/wasm/${target}.wasm`], assembly));
  const worker = async () => {
    for (let target = todo.shift(); target; target = todo.shift()) {
      // bench-simd is assembly/bench.ts, infer assembly/infer.ts, simd the core itself
      const entry = ['bench', 'infer'].find((name) => target.startsWith(name)) ?? 'index';
      await run('assemblyscript/bin/asc.js', [`assembly/${entry}.ts`, '--target', target]);
    }
  };
  await Promise.all(Array.from({ length: availableParallelism() }, worker));

  const generated = 'bindings/core/wasm';
  mkdirSync(join(root, generated), { recursive: true });
  const text = {
    'core.ts': coreInterface(readFileSync(join(root, 'build/wasm/simd.d.ts'), 'utf8')),
    ...Object.fromEntries(
      PACKAGED.map((build) => [
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
    for (const build of PACKAGED) {
      copyFileSync(join(root, `build/wasm/${build}.wasm`), join(root, `dist/${build}.wasm`));
    }
    writeFileSync(join(root, 'dist/wasm.d.ts'), WASM_TYPES);
    await bundle();
  }
  if (existsSync(join(root, 'tests/tsconfig.json'))) {
    if (stale(['build/tests/.stamp'], [...files('tests', 'bench', 'examples'), join(root, stamp)])) {
      for (const folder of ['tests', 'bench', 'examples'])
        rmSync(join(root, 'build', folder), { recursive: true, force: true });
      await run('typescript/bin/tsc', ['-p', 'tests/tsconfig.json']);
      writeFileSync(join(root, 'build/tests/.stamp'), '');
    }
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
