/**
 * The peak: the fastest of the register-only loops of assembly/bench.ts, chosen in this process for its build, engine and processor.
 * How many chains are best depends on latencies and units, and a loop that spills registers is slow on one engine and not on another.
 */
import { type Build, benchCore } from './builds.js';
import { clock, median } from './clock.js';

/** Chains of each loop, and vectors of factors before them. */
export const LOOPS = {
  offChain4: { chains: 4, factors: 4 },
  offChain6: { chains: 6, factors: 5 },
  offChain8: { chains: 8, factors: 6 },
  offChain10: { chains: 10, factors: 4 },
  onChain12: { chains: 12, factors: 2 },
  onChain16: { chains: 16, factors: 2 },
} as const;

export type Loop = keyof typeof LOOPS;

export interface Peak {
  readonly loop: Loop;
  /** One sample of it, in operations per millisecond. */
  readonly sample: () => number;
}

/** Operations of a sample: a quarter of a millisecond at 32 GFLOP/s. */
const OPERATIONS = 8e6;
const WARM = 30;
const SAMPLES = 15;

/** The loop with the highest median. */
export function fastest(samples: Readonly<Record<Loop, readonly number[]>>): Loop {
  const loops = Object.keys(LOOPS) as Loop[];
  return loops.reduce((best, loop) => (median(samples[loop]) > median(samples[best]) ? loop : best));
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
    const { chains, factors } = LOOPS[loop];
    const rounds = Math.ceil(OPERATIONS / (8 * chains));
    return () => {
      new Float32Array(core.memory.buffer, at, 4 * (factors + chains)).fill(0.5);
      const began = clock();
      core[loop](at, rounds);
      return (8 * chains * rounds) / (clock() - began);
    };
  };
  const loops = Object.keys(LOOPS) as Loop[];
  const samples = Object.fromEntries(loops.map((loop) => [loop, sampleOf(loop)])) as Record<Loop, () => number>;
  // until the optimising compiler is done with each
  for (let i = 0; i < WARM; i++) for (const loop of loops) samples[loop]();
  const seen = Object.fromEntries(loops.map((loop): [Loop, number[]] => [loop, []])) as Record<Loop, number[]>;
  for (let i = 0; i < SAMPLES; i++) for (const loop of loops) seen[loop].push(samples[loop]());
  const loop = fastest(seen);
  return { loop, sample: samples[loop] };
}
