/** Drives the thread of worker.ts and watches it: a case that computes for longer than it may is stopped, and the next one follows. */
import { Worker } from 'node:worker_threads';
import type { Finding, Kind, Order } from './worker.js';

export interface Wanted {
  readonly kind: Kind;
  readonly seed?: number;
  readonly from?: number;
  readonly to: number;
  readonly cases?: readonly unknown[];
  /** The seconds of the processor that a case may take. */
  readonly hang?: number;
  /** Milliseconds until no new case begins. */
  readonly time?: number;
  found?(finding: Finding): void;
}

/** @returns the number of cases that were run */
export async function drive({ kind, seed = 1, from = 0, to, cases, hang = 2, time, found }: Wanted): Promise<number> {
  const began = performance.now();
  let next = from;
  while (next < to) {
    const progress = new Int32Array(new SharedArrayBuffer(8));
    Atomics.store(progress, 0, next);
    const running = new Uint8Array(new SharedArrayBuffer(2 ** 16));
    const order: Order = { kind, seed, from: next, to, cases, progress, running };
    const worker = new Worker(new URL('./worker.js', import.meta.url), { workerData: order });
    worker.on('message', (finding: Finding) => found?.(finding));
    let last = -1;
    let cpu = process.cpuUsage();
    let wall = performance.now();
    let over = false;
    let stuck = false;
    const watch = setInterval(() => {
      const n = Atomics.load(progress, 0);
      if (n !== last || !Atomics.load(progress, 1)) {
        last = n;
        cpu = process.cpuUsage();
        wall = performance.now();
      }
      const { user, system } = process.cpuUsage(cpu);
      stuck = (user + system) / 1e6 > hang || performance.now() - wall > 60_000;
      over = time !== undefined && performance.now() - began > time;
      if (stuck || over) worker.terminate();
    }, 100);
    const died = await new Promise<Error | null>((resolve) => {
      let error: Error | null = null;
      worker.on('error', (e: Error) => {
        error = e;
      });
      worker.on('exit', () => resolve(error));
    });
    clearInterval(watch);
    next = Atomics.load(progress, 0) + 1;
    if (stuck || died) {
      // without a case the fuzzer itself is at fault
      if (died && !Atomics.load(progress, 1)) throw died;
      const finding = died ? `the thread died: ${died.stack}` : `does not end within ${hang} s`;
      const [line] = Buffer.from(running).toString().split('\n', 1);
      found?.({ n: next - 1, finding, case: cases?.[next - 1] ?? JSON.parse(line) });
    } else if (over) return next - from;
    else return to - from;
  }
  return to - from;
}
