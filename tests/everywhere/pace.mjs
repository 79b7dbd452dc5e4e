/** Frames, long tasks and first paint: what is stated, what a browser measured, and below what it fails. */
import { execFileSync } from 'node:child_process';
import { cpSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { root } from './support.mjs';

/** What is measured: how to read it from an outcome of pace.js, its unit, what is stated, and whether more is better. */
const STATED = [
  ['training in a worker: frames', ({ worker }) => worker.fps, '/s', 55, true],
  ['training in a worker: longest task of the page', ({ worker }) => worker.task, 'ms', 50, false],
  ['training in the page, 64 units: frames', ({ small }) => small.fps, '/s', 50, true],
  ['training in the page, 128 units: frames', ({ page }) => page.fps, '/s', 30, true],
  ['playground: first paint', ({ playground }) => playground.paint, 'ms', 1000, false],
  ['playground: from Train to the first loss', ({ playground }) => playground.loss, 'ms', 1000, false],
];

/** The same with the numbers by browser. */
const paces = STATED.map(([what, , unit, stated, more]) => ({ what, unit, stated, more, by: {} }));

/** The pages, and the playground as `npm run build:playground` writes it, in a folder that has gatewise. */
export function pages(folder) {
  const target = join(folder, 'playground');
  rmSync(target, { recursive: true, force: true });
  execFileSync(process.execPath, [join(root, 'tools/playground.mjs'), '--build', '--out', target], { stdio: 'pipe' });
  cpSync(join(root, 'tests/everywhere/pace.js'), join(folder, 'pace.js'));
  writeFileSync(
    join(folder, 'pace.html'),
    `<!doctype html><meta charset="utf-8"><link rel="icon" href="data:,"><title>pace</title><p id="loss">…</p>
<script type="module" src="pace.js"></script>`,
  );
}

/**
 * Compares what a browser measured with what is stated. It fails below half of that, and only if a second measurement does so too.
 * WebKitGTK draws by the processor on a screen that does not exist: its numbers are shown only.
 *
 * @param measure opens the page and returns its outcome
 * @throws Error that lists what is below half
 */
export async function pace(browser, measure) {
  let misses = [];
  for (let attempt = 0; attempt < 2; attempt++) {
    const found = JSON.parse(await measure());
    if (found.error) throw new Error(found.error);
    misses = [];
    for (const [i, [what, read, unit, stated, more]] of STATED.entries()) {
      const value = read(found);
      if (value === null) continue;
      paces[i].by[browser] = value;
      if (more ? value < stated / 2 : value > stated * 2)
        misses.push(`${what}: ${value.toFixed(0)} ${unit}, stated ${stated} ${unit}`);
    }
    if (browser === 'WebKitGTK') misses = [];
    if (!misses.length) break;
  }
  if (misses.length) throw new Error(`less than half of what is stated: ${misses.join('; ')}`);
  for (const { what, unit, stated, by } of paces) {
    if (browser in by) console.log(`  ${what}: ${by[browser].toFixed(0)} ${unit} (stated ${stated} ${unit})`);
  }
}

/** The table of docs/engines.md. */
export function paceTable() {
  const browsers = [...new Set(paces.flatMap(({ by }) => Object.keys(by)))];
  const rows = paces.map(({ what, unit, stated, more, by }) => {
    const values = browsers.map((name) => (name in by ? `${by[name].toFixed(0)} ${unit}` : 'not measured'));
    return `| ${what} | ${more ? 'at least' : 'at most'} ${stated} ${unit} | ${values.join(' | ')} |`;
  });
  return [`| | stated | ${browsers.join(' | ')} |`, `|---|---|${browsers.map(() => '---|').join('')}`, ...rows].join(
    '\n',
  );
}
