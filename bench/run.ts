/** `npm run bench`: the core's speed as a share of the peak of this engine's multiply-add, measured in the same process. */
import { execFileSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { ALLOWED, floorsOf, type Verdict, verdicts } from './floors.js';
import { type FunctionName, type FunctionRow, measureFunction } from './functions.js';
import { type Build, builds, measure, type Row, round } from './measure.js';
import { count, optionsOf, refuse } from './options.js';
import { works } from './works.js';

const HELP = `npm run bench -- [--json] [--check] [--only TEXT] [--build simd|relaxed] [--samples N]

Times the core and, in turns with it, a register-only loop of this build's multiply-add, by the processor's time.
ofPeak is the median of their ratio; gflops counts the unpadded matrix products that are made.
Functions: nanoseconds an element; the worst error over a dense sweep of all floats, in units of the last place
where the exact result is a normal float, absolute elsewhere.

  --json         one object a line
  --check        each row beside its floor in bench/floors.json; fails where a timing is worse by more than a
                 tenth, or accuracy or memory at all. Microseconds are scaled by the peak that was measured.
  --only TEXT    rows whose id contains TEXT
  --build NAME   one build; default: all that this engine runs
  --samples N    paired samples a row, default 25
`;

const FUNCTIONS: readonly FunctionName[] = ['exp', 'sigmoid', 'tanh', 'log'];

const values = optionsOf(HELP, {
  json: { type: 'boolean', default: false },
  check: { type: 'boolean', default: false },
  only: { type: 'string', default: '' },
  build: { type: 'string' },
  samples: { type: 'string', default: '25' },
});
const samples = count('--samples', values.samples);
const chosen = builds.filter((build) => !values.build || build === values.build);
if (chosen.length === 0) refuse(`--build ${values.build}: this engine runs ${builds.join(' and ')}`);
const chosenWorks = works.filter(({ id }) => id.includes(values.only));
const chosenFunctions = FUNCTIONS.filter((id) => id.includes(values.only));
if (chosenWorks.length + chosenFunctions.length === 0) refuse(`--only ${values.only}: there is no such row`);

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
    return `${head}${row.nsPerElement.toFixed(2)} ns an element; within ${row.ulp} ulp, elsewhere ${row.absolute.toPrecision(2)}`;
  }
  const cells = [row.ms.toFixed(3).padEnd(10), row.gflops.toFixed(1).padEnd(9), row.peak.toFixed(1).padEnd(8)].join('');
  const more = [row.us && `${row.us} µs`, row.peakMb && `${row.peakMb} MB`].filter(Boolean).join(', ');
  return `${head}${cells}${(100 * row.ofPeak).toFixed(1).padStart(5)} %   ${more}`.trimEnd();
}

function verdictLine({ id, build, what, got, floor, holds }: Verdict): string {
  const head = id.padEnd(26) + build.padEnd(9) + what.padEnd(8);
  return `${head}${round(got, 3).toString().padStart(8)}${String(floor).padStart(8)}   ${holds ? 'holds' : 'FAILS'}`;
}

if (!values.json) {
  console.log(
    values.check
      ? `id                        build    what         got   floor   (timings hold from ${ALLOWED} of it)`
      : 'id                        build    ms        GFLOP/s  peak    of peak',
  );
}
const all: Verdict[] = [];
for (const row of rows()) {
  const judged = values.check ? verdicts(row, floorsOf(row.build)) : [];
  all.push(...judged);
  if (values.json) console.log(JSON.stringify(values.check ? { ...row, verdicts: judged } : row));
  else if (values.check) for (const verdict of judged) console.log(verdictLine(verdict));
  else console.log(line(row));
}
if (values.check) {
  const failed = all.filter(({ holds }) => !holds);
  if (!values.json) console.log(`${all.length - failed.length} of ${all.length} hold`);
  process.exitCode = failed.length > 0 ? 1 : 0;
}
