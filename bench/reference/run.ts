/** `npm run reference`: trainings beside the same ones in PyTorch, held to their figures. */
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { Terminal } from '../../examples/support/terminal.js';
import { charlm } from './charlm.js';

export interface Reference {
  readonly name: string;
  readonly title: string;
  /** Files it reads, below the folder of reference data. */
  readonly needs: readonly string[];
  run(
    path: (file: string) => string,
    report: {
      check(what: string, got: number, wanted: string, holds: boolean): void;
      progress(done: number, total: number, text: string): void;
    },
  ): Promise<void>;
}

const references: Reference[] = [charlm];

const HELP = `npm run reference [-- NAME...]

Repeats trainings that were made with PyTorch and compares the figures; exits with 0 if all hold.
The data and PyTorch's results are not part of this repository: they are looked for in ../shared,
or where GATEWISE_REFERENCE says.

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
    console.error(`${unknown}: no such training; there are ${references.map((r) => r.name).join(', ')}`);
    return 1;
  }
  let failures = 0;
  for (const reference of references.filter(({ name }) => !positionals.length || positionals.includes(name))) {
    console.log(`${reference.name}: ${reference.title}`);
    const missing = reference.needs.find((file) => !existsSync(path(file)));
    if (missing) {
      console.log(`  needs ${missing} in ${folder}, which is not there; see --help`);
      failures++;
      continue;
    }
    const terminal = new Terminal(20);
    await reference.run(path, {
      progress: (done, total, text) => terminal.update(done, total, text),
      check: (what, got, wanted, holds) => {
        terminal.stop();
        if (!holds) failures++;
        console.log(`  ${holds ? 'holds ' : 'FAILS '} ${what}: ${Number(got.toPrecision(5))}, wanted ${wanted}`);
      },
    });
  }
  console.log(failures ? `${failures} failed` : 'all hold');
  return failures ? 1 : 0;
}

process.exitCode = await main();
