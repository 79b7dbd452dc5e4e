/** `npm run reference`: what it says without data, and how it reads words. The trainings themselves take minutes. */
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { test } from 'uvu';
import { equal, is, match } from 'uvu/assert';
import { shape } from '../bench/reference/data.js';

const program = fileURLToPath(new URL('../bench/reference/run.js', import.meta.url));
const folder = fileURLToPath(new URL('.', import.meta.url));

function reference(...args: string[]) {
  const env = { ...process.env, GATEWISE_REFERENCE: folder };
  return spawnSync(process.execPath, [program, ...args], { env, encoding: 'utf8' });
}

const NAMES = ['charlm', 'surnames', 'pos', 'sms-spam', 'wnut17', 'eng-fra', 'chorales'];

test('a name that is none is an error that lists those there are', () => {
  const { status, stderr } = reference('surname');
  is(status, 1);
  is(stderr.trim(), `surname: no such training; expected one of ${NAMES.join(', ')}`);
});

test('without the data every training that was asked for counts as failed', () => {
  const all = reference();
  is(all.status, 1);
  equal(
    [...all.stdout.matchAll(/^(\S+): /gm)].map(([, name]) => name),
    NAMES,
  );
  match(all.stdout, /needs data\/surnames\/names in .*; the file does not exist; see --help/);
  match(all.stdout, /7 failed\n$/);

  const one = reference('pos');
  equal(
    [...one.stdout.matchAll(/^(\S+): /gm)].map(([, name]) => name),
    ['pos'],
  );
  match(one.stdout, /1 failed\n$/);
});

test('--help lists them', () => {
  const { status, stdout } = reference('--help');
  is(status, 0);
  for (const name of NAMES) match(stdout, new RegExp(`^ {2}${name} `, 'm'));
});

test('words by how they are written, as in the recipe of the parts of speech', () => {
  const shapes: Record<string, string[]> = {
    small: ['the', "don't", 'e-mail', 'b2b', 'é'],
    Capital: ['The', "Don't", 'Élan', 'A4a'],
    CAPITALS: ['I', 'USA', 'U.S.', 'A4'],
    digits: ['0', '1999'],
    other: ['iPhone', 'McDonald', 'Mary-Ann', '$5', '...', '漢'],
  };
  for (const [name, words] of Object.entries(shapes)) {
    for (const word of words) is(shape(word), name, word);
  }
});

test.run();
