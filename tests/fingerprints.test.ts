/**
 * The bits of these configurations are a promise; a change of the file needs a line in CHANGELOG.md. The file is
 * tests/fingerprints.json: for each configuration of support/fingerprints.ts the sha256 of what 200 steps make of it, that is its
 * weights, losses and predictions.
 *
 *     node build/tests/fingerprints.test.js --write    rewrites the file and names what changed
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { test } from 'uvu';
import { equal, is, ok } from 'uvu/assert';
import { configurations } from './support/fingerprints.js';
import { fingerprint } from './support/training-bits.js';

const FILE = new URL('../../tests/fingerprints.json', import.meta.url);
const ids = Object.keys(configurations);

async function computed(): Promise<Record<string, string>> {
  const result: Record<string, string> = {};
  for (const id of ids) result[id] = await fingerprint(configurations[id]);
  return result;
}

const written = (): Record<string, string> => JSON.parse(readFileSync(FILE, 'utf8'));

const changed = (have: Record<string, string>, want: Record<string, string>) =>
  ids.filter((id) => have[id] !== want[id]);

if (process.argv.includes('--write')) {
  let before: Record<string, string> = {};
  try {
    before = written();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
  }
  const now = await computed();
  writeFileSync(FILE, `${JSON.stringify(now, null, 2)}\n`);
  console.log(`${ids.length} fingerprints; new or changed: ${changed(now, before).join(', ') || 'nothing'}`);
} else {
  test('the file and the table list the same configurations, at least 60', () => {
    equal(Object.keys(written()).sort(), [...ids].sort());
    ok(ids.length >= 60, `${ids.length}`);
  });

  test('the computed bits have not changed', async () => {
    const now = await computed();
    const names = changed(now, written());
    ok(names.length === 0, `the bits of ${names.length} configurations changed: ${names.join(', ')}`);
    is(new Set(Object.values(now)).size, ids.length, 'no two configurations have the same bits');
  });

  test('a fingerprint repeats, and shows another seed', async () => {
    for (const id of ['lstm', 'forecaster-direct']) {
      is(await fingerprint(configurations[id]), written()[id], id);
      ok((await fingerprint(configurations[id], 12)) !== written()[id], id);
    }
  });

  test.run();
}
