/** The README, docs, comments and messages use the words of the glossary: none of the wordings that it lists as not used. */
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { test } from 'uvu';
import { equal, ok } from 'uvu/assert';

const root = fileURLToPath(new URL('../..', import.meta.url));
const glossary = readFileSync(join(root, 'docs/glossary.md'), 'utf8');
const [, table = ''] = /<!-- banned:.*?-->\n(.*?)<!-- \/banned -->/s.exec(glossary) ?? [];
const wordings = table
  .trim()
  .split('\n')
  .slice(2)
  .flatMap((row) => row.split('|')[1].split(','))
  .map((wording) => wording.trim().toLowerCase());

/** Text without line breaks, comment signs and emphasis, so that a wording is found across lines. */
function plain(text: string): string {
  return text
    .replace(/\n\s*(\*|\/\/|#)?\s*/g, ' ')
    .replace(/[*_`]/g, '')
    .toLowerCase();
}

function found(text: string): string[] {
  const words = plain(text);
  return wordings.filter((wording) => new RegExp(`(?<![\\p{L}])${wording}(?![\\p{L}])`, 'u').test(words));
}

test('the search finds each wording of the glossary, also across the lines of a comment', () => {
  ok(wordings.length >= 30, `${wordings.length} wordings`);
  for (const wording of wordings) {
    ok(found(`It is ${wording} here.`).includes(wording), wording);
    const [first, ...rest] = wording.split(' ');
    ok(found(` * It is ${[first, ...rest].join('\n * ')} here.`).includes(wording), `${wording}, on two lines`);
  }
  equal(found('Steps past the end of a sequence are padding.'), []);
});

const files = execFileSync('git', ['ls-files', '-co', '--exclude-standard'], { cwd: root, encoding: 'utf8' })
  .trim()
  .split('\n')
  .filter((file) => /\.(md|ts|mjs|js|py|html|yml)$|^\.ci\/run$/.test(file))
  .filter((file) => !/^(docs\/glossary\.md|tests\/words\.test\.ts|CHANGELOG\.md)$/.test(file));

test('README, docs, comments and messages have none of them', () => {
  const wrong = files.flatMap((file) => found(readFileSync(join(root, file), 'utf8')).map((w) => `${file}: ${w}`));
  equal(wrong, []);
});

test.run();
