/** The structure of the code, read from its imports: layers, chains, who may use the core; and the number of lines. */
import { spawnSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path/posix';
import { test } from 'uvu';
import { equal, ok } from 'uvu/assert';

const root = new URL('../../', import.meta.url);

/** Files and folders of bindings/, from the ground up: each imports from its own folder and from what is before it. */
const FLOORS = [
  ['errors', 'check', 'platform', 'whole-file'],
  ['options'],
  ['core'],
  ['random', 'cells'],
  ['tape'],
  ['nn', 'text'],
  ['files', 'gradcheck'],
  ['train', 'quantized'],
  ['tasks', 'online'],
  ['index', 'infer', 'predict', 'processor', 'functions', 'training', 'node'],
  ['worker'],
  ['import', 'export', 'dynamics', 'memory', 'extend', 'reservoir'],
  ['metrics'],
];

interface Import {
  readonly target: string;
  readonly names: string;
}

/** The files of a folder and what they import from the repository, types included; paths without their ending. */
function imports(folder: string): Map<string, Import[]> {
  const files = (readdirSync(new URL(folder, root), { recursive: true }) as string[])
    .map((file) => join(folder, file.replaceAll('\\', '/')))
    .filter((file) => file.endsWith('.ts') && !file.includes('core/wasm/') && !file.endsWith('.d.ts'));
  return new Map(
    files.map((file) => {
      const text = readFileSync(new URL(file, root), 'utf8');
      const found = [...text.matchAll(/^(?:import|export) ([^;]*?) ?from '(\.[^']+)'/gms)];
      return [
        file.slice(0, -'.ts'.length),
        found.map(([, names, path]) => ({ names, target: join(dirname(file), path.replace(/\.js$/, '')) })),
      ];
    }),
  );
}

const bindings = imports('bindings');
const assembly = imports('assembly');

/** The longest chain of imports within the files of a map, from a file on. */
function longest(files: Map<string, Import[]>): string[] {
  const known = new Map<string, string[]>();
  const from = (file: string, path: readonly string[]): string[] => {
    if (path.includes(file)) throw new Error(`a circle: ${[...path, file].join(' → ')}`);
    const done = known.get(file);
    if (done) return done;
    const chains = (files.get(file) ?? [])
      .filter(({ target }) => files.has(target))
      .map(({ target }) => from(target, [...path, file]));
    const chain = [file, ...(chains.sort((a, b) => b.length - a.length)[0] ?? [])];
    known.set(file, chain);
    return chain;
  };
  return [...files.keys()].map((file) => from(file, [])).sort((a, b) => b.length - a.length)[0];
}

test('bindings/: imports go down, and there are no circles', () => {
  const floorOf = (file: string) => {
    const [, place] = file.split('/');
    const floor = FLOORS.findIndex((names) => names.includes(place));
    ok(floor >= 0, `${file}: is on no floor`);
    return floor;
  };
  for (const [file, found] of bindings) {
    for (const { target } of found) {
      if (!target.startsWith('bindings/') || target.split('/')[1] === file.split('/')[1]) continue;
      if (target.includes('core/wasm/')) continue;
      ok(floorOf(target) < floorOf(file), `${file} imports ${target}`);
    }
  }
  longest(bindings);
});

test('assembly/: there are no circles, and the two entries are peers', () => {
  longest(assembly);
  for (const entry of ['assembly/index', 'assembly/infer']) {
    for (const [file, found] of assembly) ok(!found.some(({ target }) => target === entry), `${file} imports ${entry}`);
  }
});

test('bindings/nn: a chain of imports has at most five files', () => {
  const chain = longest(new Map([...bindings].filter(([file]) => file.startsWith('bindings/nn/'))));
  console.log(`  longest chain in bindings/nn: ${chain.map((file) => file.slice('bindings/nn/'.length)).join(' → ')}`);
  ok(chain.length <= 5, chain.join(' → '));
});

test('bindings/tasks knows neither the ABI nor memory: of core/ it imports the runtime and its options', () => {
  for (const [file, found] of bindings) {
    if (!file.startsWith('bindings/tasks/')) continue;
    for (const { target, names } of found) {
      ok(!target.startsWith('assembly/'), `${file} imports ${target}`);
      if (!target.startsWith('bindings/core/')) continue;
      const used = [...names.matchAll(/(?:type )?(\w+)(?: as \w+)?/g)].map(([, name]) => name);
      const strange = used.filter((name) => !['type', 'Runtime', 'RuntimeOptions', 'RUNTIME_OPTIONS'].includes(name));
      equal(strange, [], `${file} imports from ${target}`);
    }
  }
});

test('the two halves of one thing have the same name', () => {
  const stem = (file: string) => (file.split('/').pop() as string).replace(/^.*\//, '');
  const host = new Set([...bindings.keys()].map(stem));
  // what only kernels use, or what has no file of its own on the other side
  const inside = [
    'abi',
    'activation',
    'at',
    'bench',
    'concat',
    'double',
    'gemm',
    'layout',
    'math',
    'predictions',
    'sampling',
    'scan',
    'simd',
  ];
  const alone = [...inside, 'softmax', 'vector'];
  for (const file of assembly.keys()) {
    if (/\/(memory|quantized|online)\//.test(file) || alone.includes(stem(file))) continue;
    ok(host.has(stem(file)), `${file}: no file of this name in bindings/`);
  }
});

test('generic files name no option of a single cell', () => {
  for (const file of bindings.keys()) {
    if (!/^bindings\/(nn|core|train|files)\//.test(file)) continue;
    const text = readFileSync(new URL(`${file}.ts`, root), 'utf8');
    ok(
      !/peephole|\bcoupled|feedback:|resetBefore|cellClip|forgetBias|=== '(rnn|lstm|gru|residual|mingru|minlstm|lru)'/.test(
        text,
      ),
      file,
    );
  }
});

test('bindings/: no file has more than 470 lines', () => {
  let total = 0;
  for (const file of bindings.keys()) {
    const text = readFileSync(new URL(`${file}.ts`, root), 'utf8');
    const all = text.split('\n').length - 1;
    ok(all <= 470, `${file}: ${all} lines`);
    const code = text.replace(/^\s*\/\*[\s\S]*?\*\//gm, '').split('\n');
    total += code.filter((line) => line.trim() && !line.trim().startsWith('//')).length;
  }
  console.log(`  bindings/ has ${total} lines without comments and blank lines`);
});

test('gatewise/infer calls no kernel that its module does not have', () => {
  const core = new WebAssembly.Module(readFileSync(new URL('dist/infer.wasm', root)));
  const exported = new Set(WebAssembly.Module.exports(core).map(({ name }) => name));
  const full = new WebAssembly.Module(readFileSync(new URL('dist/simd.wasm', root)));
  const text = readFileSync(new URL('dist/infer.js', root), 'utf8').replace(/\/\*[\s\S]*?\*\//g, '');
  for (const { name } of WebAssembly.Module.exports(full)) {
    if (!exported.has(name)) ok(!text.includes(`core.${name}(`), `${name}: what trains has not been left out`);
  }
});

test('each fault of npm run test:mutants is about code that is there, exactly once', () => {
  const run = spawnSync(process.execPath, ['tests/mutants/run.mjs', '--check'], { cwd: root, encoding: 'utf8' });
  equal(run.stdout.match(/.*expected exactly once.*/g), null);
  ok(/^\d+ passed, 0 failed$/m.test(run.stdout), run.stderr);
});

test.run();
