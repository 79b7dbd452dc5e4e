/**
 * The code in README.md, docs/ and docs/guides/ runs, block by block, in a folder of its own, two pages at a time. Blocks with a file
 * name run in Chromium, until the page logs the comment `done: …` of its code: ```` ```js page.js ```` and the files that it names, as the guides of a page, a worker and a worklet show them.
 * Other programs are not run, and a line in front of them says so.
 */
import { execFile } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { test } from 'uvu';
import { is, ok } from 'uvu/assert';
import { build } from 'vite';
import { hasChromium, launch } from './support/chromium.js';
import { serve } from './support/serve.js';

const root = fileURLToPath(new URL('../..', import.meta.url));
const folder = join(root, 'build/docs');
rmSync(folder, { recursive: true, force: true });
mkdirSync(folder, { recursive: true });
cpSync(join(root, 'README.md'), join(folder, 'README.md'));
// the files that docs/import.md and the guides read
for (const data of ['tests/docs', 'tests/import']) cpSync(join(root, data), folder, { recursive: true });

const markdown = (path: string) =>
  readdirSync(join(root, path))
    .filter((file) => file.endsWith('.md'))
    .map((file) => `${path}/${file}`);
const pages = ['README.md', ...markdown('docs'), ...markdown('docs/guides')].map((page) => {
  const text = readFileSync(join(root, page), 'utf8');
  const blocks = [
    ...text.matchAll(/(?:^(?<before>[^\n]*)\n\n)?^```(?<language>\w+)(?: (?<file>\S+))?\n(?<code>.*?)^```$/gms),
  ];
  return {
    page,
    text,
    name: page.replaceAll('/', '-'),
    blocks: blocks.map(({ groups = {} }): Block => {
      const { before, language, file, code } = groups;
      return { before, language, file, code };
    }),
  };
});

interface Block {
  readonly before: string | undefined;
  readonly language: string;
  readonly file: string | undefined;
  readonly code: string;
}

interface Outcome {
  readonly error: Error | null;
  readonly output: string;
}

/** Runs the plain blocks of a page one after the other: a block can read files of those before it. */
async function run(name: string, blocks: readonly Block[]): Promise<Outcome[]> {
  const outcomes: Outcome[] = [];
  for (const [i, { language, file, code }] of blocks.entries()) {
    if (language !== 'js' || file) continue;
    const path = join(folder, `${name}-${i + 1}.mjs`);
    writeFileSync(path, code);
    outcomes[i] = await new Promise<Outcome>((resolve) => {
      execFile(process.execPath, [path], { cwd: folder, timeout: 120_000 }, (error, stdout, stderr) =>
        resolve({ error, output: `${stdout}\n${stderr}` }),
      );
    });
  }
  return outcomes;
}

/** Two pages at a time. */
const lanes: Promise<unknown>[] = [Promise.resolve(), Promise.resolve()];
const outcomes = pages.map(({ name, blocks }, i) => {
  const own = lanes[i % 2].then(() => run(name, blocks));
  lanes[i % 2] = own;
  return own;
});

for (const [p, { page, text, name, blocks }] of pages.entries()) {
  blocks.forEach(({ before, language, file, code }, i) => {
    if (file) return;
    if (language === 'js') {
      test(`${page}: code block ${i + 1} runs`, async () => {
        const { error, output } = (await outcomes[p])[i];
        is(error, null, `${code}\n${output}`);
      });
    } else if (['python', 'javascript', 'typescript', 'ts'].includes(language)) {
      test(`${page}: code block ${i + 1} is marked as not run`, () => {
        ok(
          /^<!-- (not run|quote)/.test(before ?? ''),
          `${language}: expected a line <!-- not run: why --> in front of it; blocks of \`js\` are run`,
        );
      });
    }
  });

  const files = blocks.filter(({ file }) => file);
  if (files.length > 0) {
    test(`${page}: the page of its files runs`, async () => {
      if (!hasChromium()) return;
      const site = join(folder, name);
      mkdirSync(site, { recursive: true });
      for (const { file, code } of files) writeFileSync(join(site, file ?? ''), code);
      mkdirSync(join(site, 'node_modules'));
      symlinkSync(root, join(site, 'node_modules/gatewise'), 'dir');
      writeFileSync(
        join(site, 'index.html'),
        '<!doctype html><link rel="icon" href="data:,"><script type="module" src="./page.js"></script>',
      );
      await build({
        root: site,
        logLevel: 'error',
        worker: { format: 'es' },
        build: { outDir: 'dist', target: 'esnext' },
      });
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
          setTimeout(
            () => reject(new Error(`expected a message that begins with "done", got ${output.join('\n')}`)),
            60_000,
          ).unref();
        });
        await tab.goto(url);
        await finished;
        const [, expected] = /\/\/ (done: .*)$/m.exec(files.map(({ code }) => code).join('\n')) ?? [];
        ok(output.at(-1)?.endsWith(expected ?? ''), `${output.at(-1)}, expected ${expected}`);
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
