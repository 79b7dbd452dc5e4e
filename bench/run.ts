/** `npm run bench`: the core's speed as a share of the peak of this engine's multiply-add, measured in the same process. */
import { parseArgs } from 'node:util';
import { type Build, builds, measure } from './measure.js';
import { works } from './works.js';

const HELP = `npm run bench -- [--json] [--only TEXT] [--build simd|relaxed] [--samples N]

Times the core and, in turns with it, a register-only loop of this build's multiply-add.
ofPeak is the median of their ratio; gflops counts the unpadded matrix products only.

  --json         one object a line
  --only TEXT    rows whose id contains TEXT
  --build NAME   one build; default: all that this engine runs
  --samples N    paired samples a row, default 25
`;

const { values } = parseArgs({
  options: {
    json: { type: 'boolean', default: false },
    only: { type: 'string', default: '' },
    build: { type: 'string' },
    samples: { type: 'string', default: '25' },
    help: { type: 'boolean', default: false },
  },
});

if (values.help) {
  console.log(HELP);
} else {
  if (!values.json) console.log(`${'id'.padEnd(26)}build    ms        GFLOP/s  peak    of peak`);
  for (const build of builds.filter((b: Build) => !values.build || b === values.build)) {
    for (const work of works.filter(({ id }) => id.includes(values.only))) {
      const row = measure(work, build, { samples: Number(values.samples) });
      const cells = [row.ms.toFixed(3).padEnd(10), row.gflops.toFixed(1).padEnd(9), row.peak.toFixed(1).padEnd(8)];
      console.log(
        values.json
          ? JSON.stringify(row)
          : `${row.id.padEnd(26)}${build.padEnd(9)}${cells.join('')}${(100 * row.ofPeak).toFixed(1)} %`,
      );
    }
  }
}
