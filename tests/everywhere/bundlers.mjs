/** Real little apps, built by bundlers without any option for gatewise and run: each gives the same numbers, and says how much a page loads. */
import { cpSync, existsSync, readFileSync, rmSync, statSync } from 'node:fs';
import { createServer } from 'node:http';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { brotliCompressSync } from 'node:zlib';
import { debian, home, output, part, project, root, same } from './support.mjs';

const APP = `import * as gatewise from 'gatewise';
import { digests } from './program.js';
globalThis.outcome = JSON.stringify(digests(gatewise));
`;
const page = (
  script,
) => `<!doctype html><html><head><meta charset="utf-8"><link rel="icon" href="data:,"><title>app</title></head>
<body>${script}</body></html>`;

const TYPES = {
  html: 'text/html',
  js: 'text/javascript',
  mjs: 'text/javascript',
  wasm: 'application/wasm',
  css: 'text/css',
};

/** Opens a folder in Chromium: what the app says, and the bytes that the page loaded, in brotli. */
async function open(folder, path = 'index.html') {
  debian(process.env.CHROMIUM ?? '/usr/bin/chromium', 'chromium');
  const require = createRequire(join(root, 'package.json'));
  const { chromium } = require('playwright-core');
  let bytes = 0;
  const server = createServer((request, response) => {
    const { pathname } = new URL(request.url, 'http://localhost');
    const file = join(folder, pathname === '/' ? path : decodeURIComponent(pathname));
    if (!existsSync(file) || statSync(file).isDirectory()) return response.writeHead(404).end();
    const content = readFileSync(file);
    bytes += brotliCompressSync(content).length;
    response.writeHead(200, { 'content-type': TYPES[file.split('.').pop()] ?? 'application/octet-stream' });
    response.end(content);
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  try {
    const outcome = await visit(chromium, `http://127.0.0.1:${server.address().port}/`);
    return `${same(outcome)}; ${(bytes / 1024).toFixed(1)} KiB`;
  } finally {
    server.close();
  }
}

async function visit(chromium, url) {
  const browser = await chromium.launch({
    executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
    args: ['--no-sandbox', '--disable-gpu'],
  });
  try {
    const tab = await browser.newPage();
    const errors = [];
    tab.on('pageerror', ({ message }) => errors.push(message));
    await tab.goto(url);
    await tab
      .waitForFunction(() => globalThis.outcome, null, { timeout: 60_000 })
      .catch((error) => {
        throw new Error(errors.join('\n') || error.message);
      });
    return JSON.parse(await tab.evaluate(() => globalThis.outcome));
  } finally {
    await browser.close();
  }
}

const versionOf = (folder, name) =>
  JSON.parse(readFileSync(join(folder, 'node_modules', name, 'package.json'), 'utf8')).version;
const bin = (folder, name, ...args) =>
  output(process.execPath, [join(folder, 'node_modules', name), ...args], { cwd: folder });

async function vite() {
  const folder = project('vite', ['vite@8'], {
    'index.html': page('<script type="module" src="/app.js"></script>'),
    'app.js': APP,
  });
  bin(folder, 'vite/bin/vite.js', 'build', '--logLevel', 'error');
  const built = await open(join(folder, 'dist'));
  // the development server bundles dependencies in another way
  const { createServer } = await import(join(folder, 'node_modules/vite/dist/node/index.js'));
  const server = await createServer({ root: folder, logLevel: 'error', server: { port: 0 } });
  await server.listen();
  const { chromium } = createRequire(join(root, 'package.json'))('playwright-core');
  try {
    same(await visit(chromium, server.resolvedUrls.local[0]));
  } finally {
    await server.close();
  }
  return { version: versionOf(folder, 'vite'), note: `${built}; development server as well` };
}

async function webpack() {
  const folder = project('webpack', ['webpack@5', 'webpack-cli'], {
    'src/index.js': APP.replace('./program.js', '../program.js'),
  });
  bin(folder, 'webpack/bin/webpack.js', '--mode', 'production');
  cpSync(join(folder, 'dist/main.js'), join(folder, 'site/main.js'));
  write(folder, 'site/index.html', page('<script src="main.js"></script>'));
  return { version: versionOf(folder, 'webpack'), note: await open(join(folder, 'site')) };
}

async function rollup() {
  const folder = project('rollup', ['rollup@4', '@rollup/plugin-node-resolve'], { 'app.js': APP });
  rmSync(join(folder, 'site'), { recursive: true, force: true });
  bin(folder, 'rollup/dist/bin/rollup', 'app.js', '--dir', 'site', '--format', 'es', '-p', 'node-resolve', '--silent');
  write(folder, 'site/index.html', page('<script type="module" src="app.js"></script>'));
  return { version: versionOf(folder, 'rollup'), note: `${await open(join(folder, 'site'))}, not minified` };
}

async function esbuild() {
  const folder = project('esbuild', ['esbuild'], { 'app.js': APP });
  const flags = ['--bundle', '--minify', '--format=esm', '--outfile=site/app.js', '--log-level=error'];
  output(join(folder, 'node_modules/esbuild/bin/esbuild'), ['app.js', ...flags], { cwd: folder });
  write(folder, 'site/index.html', page('<script type="module" src="app.js"></script>'));
  return { version: versionOf(folder, 'esbuild'), note: await open(join(folder, 'site')) };
}

async function parcel() {
  const folder = project('parcel', ['parcel@2'], {
    'index.html': page('<script type="module" src="app.js"></script>'),
    'app.js': APP,
  });
  rmSync(join(folder, 'dist'), { recursive: true, force: true });
  bin(
    folder,
    'parcel/lib/bin.js',
    'build',
    'index.html',
    '--no-cache',
    '--cache-dir',
    join(folder, '.parcel-cache'),
    '--no-source-maps',
    '--log-level',
    'error',
  );
  return { version: versionOf(folder, 'parcel'), note: await open(join(folder, 'dist')) };
}

async function rspack() {
  const folder = project('rspack', ['@rspack/core', '@rspack/cli'], {
    'src/index.js': APP.replace('./program.js', '../program.js'),
  });
  bin(folder, '@rspack/cli/bin/rspack.js', 'build', '--mode', 'production', '--entry', './src/index.js');
  cpSync(join(folder, 'dist/main.js'), join(folder, 'site/main.js'));
  write(folder, 'site/index.html', page('<script src="main.js"></script>'));
  return { version: versionOf(folder, '@rspack/core'), note: await open(join(folder, 'site')) };
}

/** On the server, while the page is rendered, and in the page. */
async function next() {
  const folder = project('next', ['next', 'react', 'react-dom'], {
    'app/layout.js':
      'export default function Layout({ children }) { return <html lang="en"><body>{children}</body></html>; }\n',
    'app/page.js': `import * as gatewise from 'gatewise';
import { digests } from '../program.js';
import Client from './client.js';
export default function Page() { return <><pre id="server">{JSON.stringify(digests(gatewise))}</pre><Client /></>; }
`,
    'app/client.js': `'use client';
import { useEffect } from 'react';
import * as gatewise from 'gatewise';
import { digests } from '../program.js';
export default function Client() {
  useEffect(() => { globalThis.outcome = JSON.stringify(digests(gatewise)); }, []);
  return <p>client</p>;
}
`,
    'next.config.mjs': "export default { output: 'export' };\n",
  });
  rmSync(join(folder, 'out'), { recursive: true, force: true });
  output(process.execPath, [join(folder, 'node_modules/next/dist/bin/next'), 'build'], {
    cwd: folder,
    env: { ...process.env, NEXT_TELEMETRY_DISABLED: '1' },
  });
  const html = readFileSync(join(folder, 'out/index.html'), 'utf8');
  const server = /<pre id="server">(.*?)<\/pre>/.exec(html)?.[1].replaceAll('&quot;', '"') ?? '{}';
  same(JSON.parse(server));
  return { version: versionOf(folder, 'next'), note: `${await open(join(folder, 'out'))} with React; server as well` };
}

/** No bundler: an import map over a folder of static files, and a script that names the files. */
async function statics() {
  const folder = project('static', [], {
    'site/index.html': page(`<script type="importmap">{"imports":{"gatewise":"/gatewise/index.js"}}</script>
<script type="module" src="app.js"></script>`),
    'site/app.js': APP,
    'site/plain.html': page('<script type="module" src="plain.js"></script>'),
    'site/plain.js': APP.replace("'gatewise'", "'/gatewise/index.js'"),
  });
  cpSync(join(home, 'package/dist'), join(folder, 'site/gatewise'), { recursive: true });
  cpSync(join(folder, 'program.js'), join(folder, 'site/program.js'));
  await open(join(folder, 'site'), 'plain.html');
  return { note: `${await open(join(folder, 'site'))}, not minified; a script without an import map as well` };
}

const TEST = `import * as gatewise from 'gatewise';
import { digests } from './program.js';
test('digests', () => { require('node:fs').writeFileSync('outcome.json', JSON.stringify(digests(gatewise))); });
`;

async function jest() {
  const folder = project('jest', ['jest'], {
    'app.test.js': TEST.replace("require('node:fs')", 'fs').replace('import', "import fs from 'node:fs';\nimport"),
    'jest.config.json': '{"transform":{}}',
  });
  output(process.execPath, ['--experimental-vm-modules', join(folder, 'node_modules/jest/bin/jest.js'), '--ci'], {
    cwd: folder,
  });
  return {
    version: versionOf(folder, 'jest'),
    note: same(JSON.parse(readFileSync(join(folder, 'outcome.json'), 'utf8'))),
  };
}

async function vitest() {
  const folder = project('vitest', ['vitest'], {
    'app.test.js': TEST.replace("require('node:fs')", 'fs').replace(
      'import',
      "import fs from 'node:fs';\nimport { test } from 'vitest';\nimport",
    ),
  });
  bin(folder, 'vitest/vitest.mjs', 'run', '--root', folder);
  return {
    version: versionOf(folder, 'vitest'),
    note: same(JSON.parse(readFileSync(join(folder, 'outcome.json'), 'utf8'))),
  };
}

function write(folder, file, text) {
  project(folder.slice(home.length + 1), [], { [file]: text });
}

const ALL = [
  ['vite', 'Vite', 'build and development server', vite],
  ['webpack', 'webpack', 'build', webpack],
  ['rollup', 'Rollup', 'build', rollup],
  ['esbuild', 'esbuild', 'build', esbuild],
  ['parcel', 'Parcel', 'build', parcel],
  ['rspack', 'Rspack', 'build', rspack],
  ['next', 'Next.js', 'server and client', next],
  ['static', 'no bundler', 'import map, plain script', statics],
  ['jest', 'Jest', 'test', jest],
  ['vitest', 'Vitest', 'test', vitest],
];

export async function bundlers(only) {
  for (const [name, title, what, run] of ALL) if (only(name)) await part(title, what, run);
}
