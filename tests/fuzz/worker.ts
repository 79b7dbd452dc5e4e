/** Runs cases one after the other in a thread, so that one that never ends can be named and stopped. */
import { parentPort, workerData } from 'node:worker_threads';
import { callFuzzer } from './calls.js';
import { Chance } from './chance.js';
import { fileFuzzer } from './files.js';
import { misuseFuzzer } from './misuse.js';
import { watchErrors } from './verdict.js';

export interface Fuzzer<C> {
  generate(chance: Chance): Promise<C>;
  /** What is wrong, or null. */
  run(c: C): Promise<string | null>;
  /** Cases with a part left out. */
  smaller(c: C): Iterable<C>;
  /** The case as it is kept. */
  keep(c: C): C;
}

export const FUZZERS = { files: fileFuzzer, calls: callFuzzer, misuse: misuseFuzzer };
export type Kind = keyof typeof FUZZERS;

/** What the thread is told. */
export interface Order {
  readonly kind: Kind;
  readonly seed: number;
  readonly from: number;
  readonly to: number;
  /** Cases that are kept, run instead of random ones. */
  readonly cases?: readonly unknown[] | undefined;
  /** [number of the running case, 1 while one runs] */
  readonly progress: Int32Array;
  /** The running case as JSON: a line. */
  readonly running: Uint8Array;
}

export interface Finding {
  readonly n: number;
  readonly finding: string;
  readonly case: unknown;
}

/** Leaves out what a failure does not need. */
async function minimised<C>(fuzzer: Fuzzer<C>, failing: C): Promise<C> {
  let best = failing;
  for (let smaller = true; smaller; ) {
    smaller = false;
    for (const candidate of fuzzer.smaller(best)) {
      if ((await fuzzer.run(candidate)) === null) continue;
      best = candidate;
      smaller = true;
      break;
    }
  }
  return best;
}

async function work<C>(make: () => Promise<Fuzzer<C>>, { kind, seed, from, to, cases, progress, running }: Order) {
  const fuzzer = await make();
  for (let n = from; n < to; n++) {
    const one = cases ? (cases[n] as C) : await fuzzer.generate(new Chance(seed, kind, n));
    new TextEncoder().encodeInto(`${JSON.stringify(one)}\n`, running);
    Atomics.store(progress, 0, n);
    Atomics.store(progress, 1, 1);
    const finding = await fuzzer.run(one);
    Atomics.store(progress, 1, 0);
    if (finding === null) continue;
    const kept = cases ? one : fuzzer.keep(await minimised(fuzzer, one));
    parentPort?.postMessage({ n, finding, case: kept } satisfies Finding);
  }
}

if (parentPort) {
  watchErrors();
  const order = workerData as Order;
  await work(FUZZERS[order.kind] as () => Promise<Fuzzer<unknown>>, order);
}
