/**
 * The page in which one watches models learn.
 *
 *     npm run playground [-- --port N] [--open]     serves it, on this machine only
 *     npm run build:playground [-- --out FOLDER]    writes it as static files, default build/playground
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { build, createServer } from 'vite';

const root = resolve(dirname(fileURLToPath(import.meta.url)), '..');
const { values } = parseArgs({
  options: {
    build: { type: 'boolean', default: false },
    out: { type: 'string' },
    port: { type: 'string', default: '5173' },
    open: { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  },
});
if (values.help) {
  console.log(`npm run playground [-- --port N] [--open]    serves the page on this machine; default port 5173
npm run build:playground [-- --out FOLDER]   writes it as static files; default build/playground`);
  process.exit(0);
}
const port = Number(values.port);
if (!Number.isInteger(port) || port < 0 || port > 65535) {
  console.error(`--port: expected a whole number from 0 to 65535, got '${values.port}'`);
  process.exit(1);
}

/** The samples, from packages that the repository uses for its examples. */
async function samples() {
  const from = (file) => import(join(root, 'build/examples/support', file));
  const folder = join(root, 'build/playground-samples');
  mkdirSync(folder, { recursive: true });
  const { mobyDick } = await from('book.js');
  const novel = mobyDick();
  const begin = novel.indexOf('Call me Ishmael');
  writeFileSync(join(folder, 'novel.txt'), novel.slice(begin, begin + 250_000));

  const { articles, LANGUAGES } = await from('declaration.js');
  const { table } = await from('csv.js');
  const lines = [];
  for (const [code, label] of Object.entries(LANGUAGES)) {
    const text = [...(await articles(code)).values()].join(' ').toLowerCase();
    for (let at = 0; at + 30 < text.length; at += 30) lines.push([at, `${label}\t${text.slice(at, at + 30)}`]);
  }
  // languages take turns, so that any part of the file has all of them
  writeFileSync(
    join(folder, 'languages.tsv'),
    `${lines
      .sort(([a], [b]) => a - b)
      .map(([, line]) => line)
      .join('\n')}\n`,
  );

  const months = await table('co2-concentration.csv');
  writeFileSync(
    join(folder, 'co2.csv'),
    `date,ppm\n${months.map(({ Date: date, CO2 }) => `${date},${CO2}`).join('\n')}\n`,
  );
}

await samples();
const configFile = join(root, 'playground/vite.config.js');
if (values.build) {
  const outDir = resolve(values.out ?? join(root, 'build/playground'));
  await build({ configFile, logLevel: 'warn', build: { outDir } });
  console.log(`written: ${outDir}`);
} else {
  const server = await createServer({ configFile, logLevel: 'warn', server: { port, open: values.open } });
  await server.listen();
  const [url] = server.resolvedUrls?.local ?? [];
  console.log(`The playground is at ${url} (Ctrl-C ends it).`);
}
