/**
 * The peak: the fastest of the loops of assembly/bench.ts whose sums stay in registers, chosen in this process for its build, engine and processor.
 * How many chains are best depends on latencies and units, and a loop that spills registers is slow on one engine and not on another.
 */
import { type Build, benchCore } from './builds.js';
import { clock } from './clock.js';
import { LOOPS, type Loop } from './loops.js';

export interface Peak {
  readonly loop: Loop;
  /** One sample, in operations per millisecond: of the best loop off the chain or the best on it, whichever is faster just now. */
  readonly sample: () => number;
}

/** Operations of a sample: a quarter of a millisecond at 32 GFLOP/s. */
const OPERATIONS = 8e6;
/** Milliseconds until the optimizing compiler, which runs in another thread, is done, also on a busy machine; then of choosing. */
const WARM = 300;
const CHOOSE = 600;

/**
 * The loop with the highest ninth decile. While another thread uses the units of the core, loops that need all of them lose more than
 * loops that wait for results: the median tells how busy the core is, the best samples tell what it can do.
 */
export function fastest(samples: Readonly<Partial<Record<Loop, readonly number[]>>>): Loop {
  const decile = (loop: Loop) => {
    const sorted = [...(samples[loop] ?? [])].sort((a, b) => a - b);
    return sorted[Math.floor(0.9 * (sorted.length - 1))];
  };
  const loops = Object.keys(samples) as Loop[];
  return loops.reduce((best, loop) => (decile(loop) > decile(best) ? loop : best));
}

const peaks = new Map<Build, Peak>();

/** The peak of a build. One instance serves a process: it is optimised and chosen once for all rows. */
export function peakOf(build: Build): Peak {
  const peak = peaks.get(build) ?? choose(build);
  peaks.set(build, peak);
  return peak;
}

function choose(build: Build): Peak {
  const core = benchCore(build);
  const at = 1 << 16;
  const sampleOf = (loop: Loop) => {
    const { chains, before, after } = LOOPS[loop];
    const rounds = Math.ceil(OPERATIONS / (8 * chains));
    return () => {
      new Float32Array(core.memory.buffer, at, 4 * (before + chains + after)).fill(0.5);
      const began = clock();
      core[loop](at, rounds);
      return (8 * chains * rounds) / (clock() - began);
    };
  };
  const loops = Object.keys(LOOPS) as Loop[];
  const samples = Object.fromEntries(loops.map((loop) => [loop, sampleOf(loop)])) as Record<Loop, () => number>;
  for (const end = clock() + WARM; clock() < end; ) for (const loop of loops) samples[loop]();
  const seen = Object.fromEntries(loops.map((loop): [Loop, number[]] => [loop, []])) as Record<Loop, number[]>;
  for (const end = clock() + CHOOSE; clock() < end; ) for (const loop of loops) seen[loop].push(samples[loop]());
  const kind = (start: 'off' | 'on') => {
    return fastest(Object.fromEntries(Object.entries(seen).filter(([loop]) => loop.startsWith(start))));
  };
  const kinds = [kind('off'), kind('on')];
  return { loop: fastest(seen), sample: () => Math.max(...kinds.map((loop) => samples[loop]())) };
}
