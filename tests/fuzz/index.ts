/** `npm run test:fuzz`: random damage, random nonsense, random misuse; what is found is kept in tests/fuzz/cases/. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { drive } from './drive.js';
import type { Kind } from './worker.js';

const HELP = `npm run test:fuzz -- [options]

  --seed N        the seed of the cases, default 1
  --minutes M     minutes in all, default 3
  --cases N       cases of each kind instead of minutes
  --from N        the number of the first case, default 0
  --kind KIND     files, calls or misuse; default all three
  --keep          writes what fails, minimised, to tests/fuzz/cases/
  --torch PYTHON  compares random configurations of cells with PyTorch instead; PYTHON is a Python that has torch
  --help          this text

files: files of every task, of states and of layers, damaged in 15 ways. Each is refused by a FormatError, or it is exactly what it says.
calls: every public function, each place of its arguments replaced by nasty values.
misuse: random sequences on several models of a shared runtime, compared bit for bit with the same on runtimes of their own.
The last line is "N passed, N failed".
`;

const { values } = parseArgs({
  options: {
    seed: { type: 'string', default: '1' },
    minutes: { type: 'string', default: '3' },
    cases: { type: 'string' },
    from: { type: 'string', default: '0' },
    kind: { type: 'string' },
    keep: { type: 'boolean', default: false },
    torch: { type: 'string' },
    help: { type: 'boolean', default: false },
  },
});

async function main(): Promise<void> {
  if (values.help) {
    process.stdout.write(HELP);
    return;
  }
  const numbers = Object.fromEntries(
    (['seed', 'minutes', 'cases', 'from'] as const).map((name) => {
      const given = values[name];
      const value = given === undefined ? undefined : Number(given);
      if (value !== undefined && !(value >= 0))
        throw new Error(`--${name}: expected a number of at least 0, got ${given}`);
      return [name, value];
    }),
  );
  const { seed = 1, minutes = 3, cases, from = 0 } = numbers;
  if (values.torch) {
    const { compareWithTorch } = await import('./torch.js');
    report(...(await compareWithTorch(values.torch, seed, cases ?? 2000)));
    return;
  }
  const kinds: readonly Kind[] = ['files', 'calls', 'misuse'];
  if (values.kind && !kinds.includes(values.kind as Kind)) throw new Error(`--kind: expected ${kinds.join(', ')}`);
  const chosen = values.kind ? [values.kind as Kind] : kinds;
  let [passed, failed] = [0, 0];
  for (const kind of chosen) {
    const seen = new Map<string, number>();
    let bad = 0;
    const began = performance.now();
    const n = await drive({
      kind,
      seed,
      from,
      to: from + (cases ?? 1e9),
      ...(cases === undefined ? { time: (minutes * 60_000) / chosen.length } : {}),
      found: ({ n: at, finding, case: failing }) => {
        bad++;
        // findings that differ in numbers and names only are shown once
        const { target, name, value } = failing as { target?: string; name?: string; value?: string };
        const alike = `${kind} ${name ?? ''} ${finding.replace(/'[^']*'|[-\d.]+/g, '0').slice(0, 120)}`;
        const count = (seen.get(alike) ?? 0) + 1;
        seen.set(alike, count);
        if (count > 1) return;
        const short = JSON.stringify(failing).slice(0, 300);
        console.log(`${kind} ${at}, ${target ?? ''}${value ?? ''}: ${finding.slice(0, 700)}\n    ${short}`);
        if (values.keep) {
          const folder = new URL('../../../tests/fuzz/cases/', import.meta.url);
          mkdirSync(folder, { recursive: true });
          const about = { kind, finding, case: failing };
          writeFileSync(new URL(`${kind}-${seed}-${at}.json`, folder), `${JSON.stringify(about, null, 2)}\n`);
        }
      },
    });
    const seconds = (performance.now() - began) / 1000;
    console.log(`${kind}: ${n} cases in ${seconds.toFixed(0)} s, ${bad} findings, ${seen.size} kinds of them`);
    passed += n - bad;
    failed += bad;
  }
  report(passed, failed);
}

function report(passed: number, failed: number): void {
  console.log(`${passed} passed, ${failed} failed`);
  process.exitCode = failed > 0 || passed === 0 ? 1 : 0;
}

try {
  await main();
} catch (error) {
  console.error((error as Error).message);
  process.exitCode = 1;
}
