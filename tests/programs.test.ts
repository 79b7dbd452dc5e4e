/**
 * Whole programs on real data, as short as a user would write them. The spam program needs the data set that `npm run reference` reads.
 * The third one, a model with two heads, is in docs/custom-models.md.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { words } from 'gatewise/tasks';
import { test } from 'uvu';
import { is, ok } from 'uvu/assert';
import { logisticF1 } from './support/logistic.js';

const root = fileURLToPath(new URL('../..', import.meta.url));
const data = join(process.env.GATEWISE_REFERENCE ?? join(root, '../shared'), 'data/sms-spam');
const files = ['train.tsv', 'test.tsv'].map((name) => join(data, name));

/** The lines of a program without its description and empty ones. */
const linesOf = (name: string) =>
  readFileSync(join(root, `tests/programs/${name}.ts`), 'utf8')
    .split('\n')
    .filter((line) => line.trim() && !line.startsWith('/**')).length;

test('spam in at most 25 lines: F1 of at least 0.95', () => {
  ok(linesOf('spam') <= 25);
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
  const [train, test] = files.map((file) =>
    Array.from(readFileSync(file, 'utf8').matchAll(/^(.*)\t(.*)$/gm), ([, label, text]) => ({
      words: words(text.replace(/\d/g, '0')),
      positive: label === 'spam',
    })),
  );
  const baseline = logisticF1(train, test);
  console.log(`  logistic regression on the same words: F1 ${baseline.f1.toFixed(3)}, penalty ${baseline.penalty}`);
  ok(classes.spam.f1 >= 0.95, stdout);
  ok(baseline.f1 > 0.9, 'the baseline has learned');
});

test('a forecast from several variables in at most 25 lines, next to its baselines', () => {
  ok(linesOf('forecast') <= 25);
  const csv = join(root, 'node_modules/vega-datasets/data/seattle-weather.csv');
  const program = join(root, 'build/tests/programs/forecast.js');
  const { status, stdout, stderr } = spawnSync(process.execPath, [program, csv, '1'], { encoding: 'utf8' });
  is(status, 0, stderr);
  const { mae, coverage, baselines } = JSON.parse(stdout);
  const others = Object.entries<{ mae: number }>(baselines).map(([name, own]) => `${name} ${own.mae.toFixed(2)}`);
  console.log(`  temp_max, 7 days: mean absolute error ${mae.toFixed(2)} °C; ${others.join(', ')}`);
  console.log(`  below the quantiles 0.1, 0.5 and 0.9: ${Object.values<number>(coverage).map((c) => c.toFixed(2))}`);
  for (const name of ['naive', 'drift', 'seasonalNaive']) ok(mae < baselines[name].mae, name);
  // AR(p) is better here, and the program says so
  if (baselines.ar.mae < mae)
    ok(/linear autoregression, AR\(\d+\), has a smaller mean absolute error/.test(stderr), stderr);
});

test.run();
