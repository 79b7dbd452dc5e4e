/**
 * The code in README.md, docs/ and docs/guides/ runs, block by block, in a folder of its own, two blocks at a time. Blocks with a file
 * name run in Chromium: ```` ```js page.js ```` and the files that it names, as the guides of a page, a worker and a worklet show them.
 * Blocks in another language are not run, and a line in front of them says so.
 */
import { execFile } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { test } from 'uvu';
import { is, not, ok } from 'uvu/assert';
import { build } from 'vite';
import { hasChromium, launch } from './support/chromium.js';
import { serve } from './support/serve.js';

const root = fileURLToPath(new URL('../..', import.meta.url));
const folder = join(root, 'build/docs');
rmSync(folder, { recursive: true, force: true });
mkdirSync(folder, { recursive: true });
cpSync(join(root, 'README.md'), join(folder, 'README.md'));
// the files that docs/import.md reads
if (existsSync(join(root, 'tests/import'))) cpSync(join(root, 'tests/import'), folder, { recursive: true });

const markdown = (path: string) =>
  readdirSync(join(root, path))
    .filter((file) => file.endsWith('.md'))
    .map((file) => `${path}/${file}`);
const pages = ['README.md', ...markdown('docs'), ...markdown('docs/guides')].map((page) => {
  const text = readFileSync(join(root, page), 'utf8');
  const blocks = [...text.matchAll(/(?:^(?<before>[^\n]*)\n\n)?^```(?<language>\w+)(?: (?<file>\S+))?\n(?<code>.*?)^```$/gms)];
  return { page, text, name: page.replaceAll('/', '-'), blocks: blocks.map(({ groups }) => groups ?? {}) };
});

interface Outcome {
  readonly error: Error | null;
  readonly output: string;
}

/** Started two at a time, in the order of the tests that wait for them. */
let running: Promise<unknown>[] = [Promise.resolve(), Promise.resolve()];
function start(file: string): Promise<Outcome> {
  const [first, ...rest] = running;
  const own = first.then(
    () =>
      new Promise<Outcome>((resolve) => {
        execFile(process.execPath, [file], { cwd: folder, timeout: 120_000 }, (error, stdout, stderr) =>
          resolve({ error, output: `${stdout}\n${stderr}` }),
        );
      }),
  );
  running = [...rest, own];
  return own;
}

for (const { page, text, name, blocks } of pages) {
  blocks.forEach(({ before, language, file, code }, i) => {
    if (file) return;
    if (language === 'js') {
      const path = join(folder, `${name}-${i + 1}.mjs`);
      writeFileSync(path, code);
      const outcome = start(path);
      test(`${page}: code block ${i + 1} runs`, async () => {
        const { error, output } = await outcome;
        is(error, null, `${code}\n${output}`);
      });
    } else {
      test(`${page}: code block ${i + 1} is marked as not run`, () => {
        not(['ts', 'javascript'].includes(language), 'blocks are plain JavaScript, so that they run unchanged');
        ok(/^<!-- (not run|quote)/.test(before ?? ''), `${language}: expected a line <!-- not run: why --> in front of it`);
      });
    }
  });

  const files = blocks.filter(({ file }) => file);
  if (files.length > 0) {
    test(`${page}: the page of its files runs`, async () => {
      if (!hasChromium()) return;
      const site = join(folder, name);
      mkdirSync(site, { recursive: true });
      for (const { file, code } of files) writeFileSync(join(site, file), code);
      writeFileSync(join(site, 'index.html'), '<!doctype html><script type="module" src="./page.js"></script>');
      await build({ root: site, logLevel: 'error', worker: { format: 'es' }, build: { outDir: 'dist', target: 'esnext' } });
      const { url, close } = await serve(join(site, 'dist'));
      const browser = await launch();
      try {
        const tab = await browser.newPage();
        const output: string[] = [];
        const finished = new Promise<void>((resolve, reject) => {
          tab.on('pageerror', reject);
          tab.on('console', (message) => {
            output.push(`${message.type()}: ${message.text()}`);
            if (message.type() === 'error') reject(new Error(message.text()));
            if (message.text().startsWith('done')) resolve();
          });
          setTimeout(() => reject(new Error(`expected a message that begins with "done", got ${output.join('\n')}`)), 60_000).unref();
        });
        await tab.goto(url);
        await finished;
      } finally {
        await browser.close();
        close();
      }
    });
  }

  test(`${page}: links to files of the repository lead somewhere`, () => {
    for (const [, target] of text.matchAll(/\]\((?!https?:|#)([^)#\s]+)[^)]*\)/g)) {
      ok(existsSync(join(root, page, '..', target)), target);
    }
  });
}

test('the README has at most 150 lines, its first program at most 24', () => {
  const { text, blocks } = pages[0];
  ok(text.split('\n').length <= 151);
  ok(blocks[0].code.split('\n').length <= 25, blocks[0].code);
});

test.run();
