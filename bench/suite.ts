/** `npm run bench:suite`: compares scalar, SIMD and relaxed SIMD code, and draws a chart. */
import { writeFileSync } from 'node:fs';
import Benchmark from 'benchmark';
import { svgOf } from '../examples/support/picture.js';
import { benchCore, builds, runtimeOf } from './builds.js';
import { speedChart } from './charts.js';
import { engine, machine } from './machine.js';
import { count, optionsOf } from './options.js';
import { type Measured, runSuite, SUITES } from './suites.js';

const HELP = `npm run bench:suite -- [--only TEXT] [--seconds N] [--json]

Runs the same work in scalar code, in SIMD and, where the engine has it, in relaxed SIMD. Compares the results
first. Writes docs/bench.svg after all suites have run.

  --only TEXT    only suites whose name contains TEXT; draws no chart
  --seconds N    seconds per case at most, default 2
  --json         one object per line: suite, note, name, hz, rme, engine
`;

const values = optionsOf(HELP, {
  only: { type: 'string', default: '' },
  seconds: { type: 'string', default: '2' },
  json: { type: 'boolean', default: false },
});
const seconds = count('--seconds', values.seconds);

const cores = {
  scalar: benchCore('simd'),
  simd: runtimeOf('simd'),
  relaxed: builds.includes('relaxed') ? runtimeOf('relaxed') : undefined,
};

const all: Measured[] = [];
for (const make of SUITES) {
  const suite = make(cores);
  if (!suite.name.includes(values.only)) continue;
  if (!values.json) console.log(`${suite.name}, ${suite.note}`);
  const report = (line: string) => {
    if (!values.json) console.log(`  ${line}`);
  };
  const measured = await runSuite(Benchmark, suite, report, seconds);
  if (values.json) for (const row of measured) console.log(JSON.stringify({ ...row, engine }));
  all.push(...measured);
}
if (all.length === 0) console.error(`--only ${values.only}: there is no such suite`);
else if (!values.only) {
  writeFileSync(new URL('../../docs/bench.svg', import.meta.url), await svgOf(speedChart(all, machine())));
  if (!values.json) console.log('wrote docs/bench.svg');
}
process.exitCode = all.length === 0 ? 1 : 0;
