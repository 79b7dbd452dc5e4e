/** Whole programs on real data, as short as a user would write them. They need the data sets that `npm run reference` reads. */
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { test } from 'uvu';
import { is, ok } from 'uvu/assert';

const root = fileURLToPath(new URL('../..', import.meta.url));
const data = join(process.env.GATEWISE_REFERENCE ?? join(root, '../shared'), 'data/sms-spam');
const files = ['train.tsv', 'test.tsv'].map((name) => join(data, name));

test('spam in at most 25 lines: F1 of at least 0.95', () => {
  const lines = readFileSync(join(root, 'tests/programs/spam.ts'), 'utf8').split('\n');
  ok(lines.filter((line) => line.trim() && !line.startsWith('/**')).length <= 25);
  const missing = files.filter((file) => !existsSync(file));
  if (missing.length)
    return console.log(`  NOT RUN: ${missing.join(', ')} not found; GATEWISE_REFERENCE names the folder`);
  const { status, stdout, stderr } = spawnSync(
    process.execPath,
    [join(root, 'build/tests/programs/spam.js'), ...files, '1'],
    { encoding: 'utf8' },
  );
  is(status, 0, stderr);
  const { best, accuracy, classes } = JSON.parse(stdout);
  console.log(`  spam: F1 ${classes.spam.f1.toFixed(3)}, accuracy ${accuracy.toFixed(3)}, after step ${best.step}`);
  ok(classes.spam.f1 >= 0.95, stdout);
});

test.run();
