/**
 * A fixed number of cases of `npm run test:fuzz` with a fixed seed, and all cases that once failed, which are kept in tests/fuzz/cases/.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { test } from 'uvu';
import { equal, is, ok } from 'uvu/assert';
import { drive } from './fuzz/drive.js';
import type { Kind } from './fuzz/worker.js';

/** Seconds of the processor after which a case counts as one that never ends. */
const HANG = 30;
const CASES: Record<Kind, number> = { files: 2000, calls: 700, misuse: 80 };

const folder = new URL('../../tests/fuzz/cases/', import.meta.url);
const kept = readdirSync(folder)
  .filter((name) => name.endsWith('.json'))
  .flatMap((name) => {
    const file = JSON.parse(readFileSync(new URL(name, folder), 'utf8')) as {
      kind: Kind;
      case?: unknown;
      cases?: unknown[];
    };
    return (file.cases ?? [file.case]).map((one) => ({ name, kind: file.kind, case: one }));
  });

for (const kind of Object.keys(CASES) as Kind[]) {
  test(`${kind}: ${CASES[kind]} random cases`, async () => {
    const findings: string[] = [];
    const found = ({ n, finding }: { n: number; finding: string }) => findings.push(`${n}: ${finding}`);
    is(await drive({ kind, seed: 11, to: CASES[kind], hang: HANG, found }), CASES[kind]);
    equal(findings, []);
  });

  test(`${kind}: cases that once failed`, async () => {
    const own = kept.filter((one) => one.kind === kind);
    const findings: string[] = [];
    await drive({
      kind,
      cases: own.map((one) => one.case),
      to: own.length,
      hang: HANG,
      found: ({ n, finding }) =>
        findings.push(`${own[n].name}, ${JSON.stringify(own[n].case).slice(0, 200)}: ${finding}`),
    });
    equal(findings, []);
  });
}

test('calls: every entry of the package, and every function of them', async () => {
  const { ENTRIES, withoutCall } = await import('./fuzz/calls.js');
  const { exports } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8'));
  const entries = Object.keys(exports).filter((name) => !/\.(wasm|js|json)$/.test(name));
  equal(Object.keys(ENTRIES).sort(), entries.map((name) => (name === '.' ? 'gatewise' : name.slice(2))).sort());
  // what the library makes itself
  equal(withoutCall(), ['Builder', 'OnnxRecurrent', 'Parameter', 'Replicas', 'Stream', 'Task']);
});

test('a case that fails is found', async () => {
  const findings: string[] = [];
  // a target that is unknown fails in the fuzzer itself
  const broken = {
    kind: 'misuse',
    cases: [{ models: ['nothing'], operations: [{ what: 'fit', model: 0, n: 1 }] }],
  } as const;
  await drive({ ...broken, to: 1, hang: HANG, found: ({ finding }) => findings.push(finding) });
  is(findings.length, 1);
  ok(/Cannot read properties/.test(findings[0]));
});

test.run();
