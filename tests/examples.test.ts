/** The runner of the examples: its list, its help, and what it says to mistakes. The examples themselves train for minutes. */
import { spawnSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { test } from 'uvu';
import { is, match, ok } from 'uvu/assert';
import type { Example } from '../examples/support/stage.js';

const folder = new URL('../examples/', import.meta.url);
const program = new URL('example.js', folder).pathname;
const names = readdirSync(folder)
  .filter((file) => file.endsWith('.js') && !['example.js', 'start.js'].includes(file))
  .map((file) => file.slice(0, -3));

function run(...args: string[]) {
  const { status, stdout, stderr } = spawnSync(process.execPath, [program, ...args], { encoding: 'utf8' });
  return { status, stdout, stderr };
}

test('the list has every example, with its title', async () => {
  const { status, stdout, stderr } = run();
  is(stderr, '');
  is(status, 0);
  ok(names.length > 0);
  for (const name of names) {
    const { example }: { example: Example } = await import(new URL(`${name}.js`, folder).href);
    ok(example.title.length > 10, `${name} has a title`);
    ok(!example.title.includes('\n'), `the title of ${name} is one line`);
    ok(stdout.includes(`  ${name.padEnd(20)} ${example.title}\n`), `${name} is in the list`);
  }
  is(stdout.split('\n').filter((line) => /^ {2}[a-z]/.test(line)).length, names.length);
});

test('--help says what an example takes', () => {
  const { status, stdout } = run('--help');
  is(status, 0);
  match(stdout, /--seed N/);
  const words = run('write-like', '--help');
  is(words.status, 0);
  match(words.stdout, /write-like \[FILE\] \[character\|word\]/);
  match(run('translate-dates', '--help').stdout, /npm run example -- translate-dates\n/);
});

test('mistakes are named, and nothing is begun', () => {
  const mistakes: [args: string[], says: RegExp][] = [
    [['sing'], /^sing: no such example; expected one of .*translate-dates/],
    [['toString'], /^toString: no such example/],
    [['translate-dates', 'tomorrow'], /^tomorrow: translate-dates takes no arguments/],
    [['translate-dates', '--seed', 'x'], /^--seed: expected a whole number of at least 0, got 'x'/],
    [['translate-dates', '--seed', '-1'], /--seed/],
    [['translate-dates', '--seed', ''], /^--seed: expected a whole number of at least 0, got ''/],
    [['translate-dates', '--sed', '1'], /--sed/],
    [['write-like', 'no-such-book.txt'], /^no-such-book.txt: the file does not exist/],
    [['write-like', 'one.txt', 'two.txt'], /^two.txt: expected one file/],
  ];
  for (const [args, says] of mistakes) {
    const { status, stdout, stderr } = run(...args);
    is(status, 1, args.join(' '));
    match(stderr, says);
    ok(!stdout.includes('written:'), args.join(' '));
  }
});

test.run();
