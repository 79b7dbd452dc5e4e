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

/** The modules that are in the package, and those of them that an entry also brings with it as text. */
const PACKAGED = ['simd', 'relaxed', 'infer', 'quantized', 'quantized-relaxed'];
const AS_TEXT = PACKAGED.filter((build) => build !== 'quantized-relaxed');

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

/** Bytes as `decode` in bindings/core/runtime.ts reads them. */
function asText(bytes) {
  return Array.from(bytes, (byte) => {
    const code = 40 + (byte % 86);
    return ['', '%', '&'][Math.floor(byte / 86)] + String.fromCharCode(code < 92 ? code : code + 1);
  }).join('');
}

/** The entries as few files, which a process loads three times as fast: the first two share what both need. */
async function bundle() {
  await entries({ index: 'dist/bindings/index.js', tasks: 'dist/bindings/tasks/index.js' }, [], {});
  // no step back is recorded, no parameter initialised, and nothing asks whether it trains: what only these reach is left out
  const transform = (code) => code.replace(/(?:tape|this)\.training(?! =)/g, 'false');
  const pure = ['tape.record', 'initialize', 'checkInitializer'];
  await entries({ quantized: 'dist/bindings/quantized.js' }, [], {});
  await entries({ infer: 'dist/bindings/infer.js' }, [{ name: 'infer', transform }], { manualPureFunctions: pure });
}

async function entries(entry, plugins, treeshake) {
  const { build } = await import('vite');
  await build({
    root,
    configFile: false,
    logLevel: 'error',
    plugins,
    build: {
      outDir: join(root, 'dist'),
      emptyOutDir: false,
      target: 'es2022',
      minify: false,
      lib: { entry, formats: ['es'] },
      rollupOptions: {
        treeshake,
        external: ['@assemblyscript/loader'],
        output: {
          entryFileNames: '[name].js',
          chunkFileNames: ({ name }) => (name === 'relaxed' ? 'relaxed.js' : 'core.js'),
        },
      },
    },
  });
}

/** The declarations that asc writes, as one interface. */
function coreInterface(source, declarations) {
  const lines = [...declarations.matchAll(/export function (\w+)\(([^)]*)\): (\w+);/g)].map(
    ([, name, parameters, result]) => `  ${name}(${parameters}): ${result};`,
  );
  return `/** Generated from ${source}. */\nexport interface Core {\n  readonly memory: WebAssembly.Memory;\n${lines.join('\n')}\n}\n`;
}

async function main() {
  const assembly = files('assembly', 'asconfig.json', 'package-lock.json', 'tools/build.mjs');
  const targets = Object.keys(JSON.parse(readFileSync(join(root, 'asconfig.json'), 'utf8')).targets);
  const wanted = targets.filter((target) => !packageOnly || PACKAGED.includes(target));
  const todo = wanted.filter((target) => stale([`build/wasm/${target}.wasm`], assembly));
  const worker = async () => {
    for (let target = todo.shift(); target; target = todo.shift()) {
      // bench-simd is assembly/bench.ts, infer assembly/infer.ts, simd the core itself
      const entry =
        ['bench', 'infer', 'quantized/index'].find((path) => path.startsWith(target.split('-')[0])) ?? 'index';
      await run('assemblyscript/bin/asc.js', [`assembly/${entry}.ts`, '--target', target]);
    }
  };
  await Promise.all(Array.from({ length: availableParallelism() }, worker));

  const generated = 'bindings/core/wasm';
  mkdirSync(join(root, generated), { recursive: true });
  const text = {
    'core.ts': coreInterface('assembly/index.ts', readFileSync(join(root, 'build/wasm/simd.d.ts'), 'utf8')),
    'quantized-core.ts': coreInterface(
      'assembly/quantized/index.ts',
      readFileSync(join(root, 'build/wasm/quantized.d.ts'), 'utf8'),
    ),
    ...Object.fromEntries(
      AS_TEXT.map((build) => [
        `${build}.ts`,
        `/** Generated: build/wasm/${build}.wasm as text, see decode in ../runtime.ts. */\nexport default '${asText(readFileSync(join(root, `build/wasm/${build}.wasm`)))}' as string;\n`,
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
  console.error(`build failed: ${error.message.split('\n')[0]}`);
  process.exit(1);
}
