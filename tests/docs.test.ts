/** The code in README.md and docs/ runs, block by block, in a folder of its own. */
import { spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { test } from 'uvu';
import { is, ok } from 'uvu/assert';

const root = fileURLToPath(new URL('../..', import.meta.url));
const folder = join(root, 'build/docs');
rmSync(folder, { recursive: true, force: true });
mkdirSync(folder, { recursive: true });
cpSync(join(root, 'README.md'), join(folder, 'README.md'));
// the files that docs/import.md reads
cpSync(join(root, 'tests/import'), folder, { recursive: true });

const pages = [
  'README.md',
  ...readdirSync(join(root, 'docs'))
    .filter((f) => f.endsWith('.md'))
    .map((f) => `docs/${f}`),
];

for (const page of pages) {
  const text = readFileSync(join(root, page), 'utf8');
  const blocks = [...text.matchAll(/^```(js|ts)\n(.*?)^```/gms)];
  blocks.forEach(([, language, code], i) => {
    test(`${page}: code block ${i + 1} runs`, () => {
      is(language, 'js', 'blocks are plain JavaScript, so that they run as they stand');
      const file = join(folder, `${page.replaceAll('/', '-')}-${i + 1}.mjs`);
      writeFileSync(file, code);
      const { status, stderr, stdout } = spawnSync(process.execPath, [file], {
        cwd: folder,
        encoding: 'utf8',
        timeout: 120_000,
      });
      is(status, 0, `${code}\n${stdout}\n${stderr}`);
    });
  });
  test(`${page}: links to files of the repository lead somewhere`, () => {
    for (const [, target] of text.matchAll(/\]\((?!https?:|#)([^)#\s]+)[^)]*\)/g)) {
      const path = join(root, page, '..', target);
      ok(readdirSync(join(path, '..')).includes(path.split('/').pop() as string), target);
    }
  });
}

test("the README's first program has at most 20 lines", () => {
  const [, code] = /^```js\n(.*?)^```/ms.exec(readFileSync(join(root, 'README.md'), 'utf8')) ?? [];
  ok(code && code.split('\n').length <= 21, code);
});

test.run();
