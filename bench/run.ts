/** `npm run bench`: the speed of the core as a share of the peak of multiply-adds, measured in the same process. */
import { execFileSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { type Build, builds } from './builds.js';
import { round } from './clock.js';
import {
  ALLOWED,
  type FloorsFile,
  floorsOf,
  readFloors,
  type Verdict,
  verdicts,
  withFloors,
  writeFloors,
} from './floors.js';
import { type FunctionName, type FunctionRow, measureFunction } from './functions.js';
import { describe, machine, processor } from './machine.js';
import { MOST, measure, type Row } from './measure.js';
import { count, optionsOf, refuse } from './options.js';
import { works } from './works.js';

const HELP = `npm run bench -- [--json] [--check | --set-floors] [--only TEXT] [--build simd|relaxed] [--samples N]

Alternates samples of a workload with samples of the peak: the fastest of several register-only loops of this
build's multiply-add, chosen in this process. Times are CPU times. ofPeak is the median ratio; gflops counts the
unpadded matrix products that are computed. A row above ${MOST} of the peak is an error: no loop reached the peak.
Functions: nanoseconds per element, and the largest error over a dense sweep of all floats: in units of the last
place where the exact result is a normal float, absolute elsewhere.

  --json         one object per line
  --check        compares each row with its floor in bench/floors.json; fails if a timing is more than 10 % worse, or if
                 accuracy or memory is worse. Microseconds are scaled by the measured peak. Timings have floors
                 for some processor families; on others they are not checked.
  --set-floors   writes the timings of this processor's family into bench/floors.json: 0.95 of the measured values
  --only TEXT    rows whose id contains TEXT
  --build NAME   one build; default: all that this engine runs
  --samples N    pairs of samples per row, default 25
`;

const FUNCTIONS: readonly FunctionName[] = ['exp', 'sigmoid', 'tanh', 'log'];

const values = optionsOf(HELP, {
  json: { type: 'boolean', default: false },
  check: { type: 'boolean', default: false },
  'set-floors': { type: 'boolean', default: false },
  only: { type: 'string', default: '' },
  build: { type: 'string' },
  samples: { type: 'string', default: '25' },
});
const samples = count('--samples', values.samples);
if (values['set-floors'] && (values.check || values.only)) {
  refuse('--set-floors: floors are set for all rows at once; leave out --check and --only');
}
const floors = readFloors();
const here = processor();
const chosen = builds.filter((build) => !values.build || build === values.build);
if (chosen.length === 0) refuse(`--build ${values.build}: this engine runs ${builds.join(' and ')}`);
const chosenWorks = works.filter(({ id }) => id.includes(values.only));
const chosenFunctions = FUNCTIONS.filter((id) => id.includes(values.only));
if (chosenWorks.length + chosenFunctions.length === 0) refuse(`--only ${values.only}: no row has this text in its id`);

function peakMemory(id: string, build: Build): number {
  const script = fileURLToPath(new URL('peak-memory.js', import.meta.url));
  return round(Number(execFileSync(process.execPath, [script, id, build], { encoding: 'utf8' })), 1);
}

function* rows(): Generator<Row | FunctionRow> {
  // first of all, while this process is small
  const memory = new Map(
    chosen.flatMap((build) =>
      chosenWorks.filter((work) => work.memory).map(({ id }) => [`${build} ${id}`, peakMemory(id, build)]),
    ),
  );
  for (const build of chosen) {
    for (const work of chosenWorks) {
      const peakMb = memory.get(`${build} ${work.id}`);
      yield { ...measure(work, build, samples), ...(peakMb === undefined ? {} : { peakMb }) };
    }
    for (const id of chosenFunctions) yield measureFunction(id, build, { samples });
  }
}

function line(row: Row | FunctionRow): string {
  const head = row.id.padEnd(26) + row.build.padEnd(9);
  if ('nsPerElement' in row) {
    return `${head}${row.nsPerElement.toFixed(2)} ns per element; within ${row.ulp} ulp, elsewhere ${row.absolute.toPrecision(2)}`;
  }
  const cells = [
    row.ms.toFixed(3).padEnd(10),
    row.gflops.toFixed(1).padEnd(9),
    row.peak.toFixed(1).padEnd(8),
    row.loop.padEnd(12),
  ].join('');
  const more = [row.us && `${row.us} µs`, row.peakMb && `${row.peakMb} MB`, row.error].filter(Boolean).join(', ');
  return `${head}${cells}${(100 * row.ofPeak).toFixed(1).padStart(5)} %   ${more}`.trimEnd();
}

function verdictLine({ id, build, what, got, floor, holds }: Verdict): string {
  const head = id.padEnd(26) + build.padEnd(9) + what.padEnd(8);
  return `${head}${round(got, 3).toString().padStart(8)}${String(floor).padStart(8)}   ${holds ? 'holds' : 'FAILS'}`;
}

if (!values.json) {
  console.log(machine());
  const { name } = floorsOf(floors, chosen[0], here);
  if (values.check) {
    console.log(name ? `floors of ${name}` : `no floors for ${describe(here)}: timings are not checked`);
  }
  console.log(
    values.check
      ? `id                        build    what         got   floor   (timings hold from ${ALLOWED} of it)`
      : 'id                        build    ms        GFLOP/s  peak    loop        of peak',
  );
}
const all: Verdict[] = [];
let errors = 0;
const measured: Row[] = [];
for (const row of rows()) {
  const own = floorsOf(floors, row.build, here);
  const judged = values.check ? verdicts(row, own) : [];
  all.push(...judged);
  const error = 'error' in row ? row.error : undefined;
  if (error) errors++;
  if ('ofPeak' in row) measured.push(row);
  if (values.json)
    console.log(JSON.stringify(values.check ? { ...row, family: own.name ?? null, verdicts: judged } : row));
  else if (!values.check) console.log(line(row));
  else {
    for (const verdict of judged) console.log(verdictLine(verdict));
    if (error) console.log(`${row.id.padEnd(26)}${row.build.padEnd(9)}ERROR: ${error}`);
  }
}
if (values.check) {
  const failed = all.filter(({ holds }) => !holds);
  if (!values.json) console.log(`${all.length - failed.length} of ${all.length} hold`);
  if (failed.length > 0) process.exitCode = 1;
}
if (errors > 0) {
  if (!values.json) console.log(`${errors} rows above ${MOST} of the peak`);
  process.exitCode = 1;
}
if (values['set-floors']) {
  if (errors > 0) refuse('no floors were set: the peak was not reached');
  const set = (file: FloorsFile, build: Build) => {
    const own = measured.filter((row) => row.build === build);
    return withFloors(file, build, here, own);
  };
  writeFloors(chosen.reduce(set, floors));
  if (!values.json) console.log('wrote bench/floors.json');
}
