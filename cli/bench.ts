/** `gatewise bench`: the speed of the core on this machine, as `npm run bench` of the repository measures it. */
import { createRequire } from 'node:module';
import { type Command, parse, UsageError } from './arguments.js';

export const BENCH = {
  name: 'bench',
  usage: '[--json]',
  summary: 'measure the speed of this machine',
  about: `Measures training steps, sequences, single steps, matrix products and functions on this machine, each in turns with the peak of
multiply-adds. Takes about five minutes on an idle machine. Send the output of --json with the issue form "Benchmark results".`,
  flags: {
    json: { kind: 'flag', help: 'one object per line: first the machine, then the rows' },
    only: { kind: 'text', value: 'TEXT', help: 'rows whose id contains TEXT' },
    build: { kind: 'choice', value: 'NAME', choices: ['simd', 'relaxed'], help: 'one build', default: 'all that run' },
    samples: { kind: 'whole', value: 'N', low: 1, help: 'pairs of samples per row', default: '25' },
  },
} satisfies Command;

export async function bench(args: readonly string[]): Promise<void> {
  const { values, files } = parse(BENCH, args);
  if (files.length > 0) throw new UsageError(`bench: expected options only, got ${files[0]}`);
  const { json, only = '', samples = 25 } = values;
  const { builds, engine, functions, machine, measure, measureFunction, works } = await import('../bench/packed.js');
  const chosen = builds.filter((build) => !values.build || build === values.build);
  if (chosen.length === 0) throw new UsageError(`--build ${values.build}: this engine runs ${builds.join(' and ')}`);
  const chosenWorks = works.filter(({ id }) => id.includes(only));
  const names = Object.keys(functions) as (keyof typeof functions)[];
  const chosenFunctions = names.filter((id) => id.includes(only));
  if (chosenWorks.length + chosenFunctions.length === 0) {
    throw new UsageError(`--only ${only}: no row has this text in its id`);
  }
  const { version } = createRequire(import.meta.url)('gatewise/package.json');
  if (json) console.log(JSON.stringify({ gatewise: version, engine, machine: machine(), samples }));
  else console.log(`gatewise ${version}; ${machine()}\nid                        build    ms        GFLOP/s  of peak`);
  for (const build of chosen) {
    for (const work of chosenWorks) {
      const row = measure(work, build, samples);
      const { id, ms, gflops, ofPeak, error = '' } = row;
      const cells = `${ms.toFixed(3).padEnd(10)}${gflops.toFixed(1).padEnd(9)}${(100 * ofPeak).toFixed(1)} %   ${error}`;
      console.log(json ? JSON.stringify(row) : `${id.padEnd(26)}${build.padEnd(9)}${cells}`.trimEnd());
      if (error) process.exitCode = 1;
    }
    for (const id of chosenFunctions) {
      const row = measureFunction(id, build, { samples });
      const text = `${row.nsPerElement.toFixed(2)} ns per element; within ${row.ulp} ulp`;
      console.log(json ? JSON.stringify(row) : `${id.padEnd(26)}${build.padEnd(9)}${text}`);
    }
  }
}
