/** `npm run reference`: trainings on real data, compared with PyTorch or with a simpler model. */
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { Terminal } from '../../cli/terminal.js';
import { charlm } from './charlm.js';
import { chorales } from './chorales.js';
import { engFra } from './eng-fra.js';
import { pos } from './pos.js';
import type { Reference } from './reference.js';
import { smsSpam } from './sms-spam.js';
import { surnames } from './surnames.js';
import { wnut17 } from './wnut17.js';

const references: Reference[] = [charlm, surnames, pos, smsSpam, wnut17, engFra, chorales];

const HELP = `npm run reference [-- NAME...]

Trains on real data and compares the metrics with those of PyTorch, or with those of a simpler model.
The exit code is 0 if all metrics reach their targets. docs/reference.md describes each training.
The data and PyTorch's results are not part of this repository. They are read from ../shared, or from
the folder that GATEWISE_REFERENCE names.

${references.map(({ name, title }) => `  ${name.padEnd(12)} ${title}`).join('\n')}
`;

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { help: { type: 'boolean', default: false } },
});
const folder = process.env.GATEWISE_REFERENCE ?? fileURLToPath(new URL('../../../../shared', import.meta.url));
const path = (file: string) => `${folder}/${file}`;

async function main(): Promise<number> {
  if (values.help) {
    console.log(HELP);
    return 0;
  }
  const unknown = positionals.find((name) => !references.some((r) => r.name === name));
  if (unknown) {
    console.error(`${unknown}: no such training; expected one of ${references.map((r) => r.name).join(', ')}`);
    return 1;
  }
  let failures = 0;
  for (const reference of references.filter(({ name }) => !positionals.length || positionals.includes(name))) {
    console.log(`${reference.name}: ${reference.title}`);
    const missing = reference.needs.find((file) => !existsSync(path(file)));
    if (missing) {
      console.log(`  needs ${missing} in ${folder}; the file does not exist; see --help`);
      failures++;
      continue;
    }
    const began = performance.now();
    const terminal = new Terminal(20);
    const shown = (got: number) => Number(got.toPrecision(5));
    await reference.run(path, {
      progress: (done, total, text) => terminal.update(done, total, text),
      note: (what, got) => terminal.log(`         ${what}: ${shown(got)}`),
      check: (what, got, wanted, holds) => {
        if (!holds) failures++;
        terminal.log(`  ${holds ? 'reached' : 'MISSED '} ${what}: ${shown(got)}, target: ${wanted}`);
      },
    });
    terminal.stop();
    console.log(`  ${((performance.now() - began) / 1000).toFixed(0)} s`);
  }
  console.log(failures ? `${failures} failed` : 'all targets reached');
  return failures ? 1 : 0;
}

process.exitCode = await main();
