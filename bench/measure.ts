/**
 * Timing on a noisy machine: a work and the peak of this build's multiply-add take turns in one process. Time is the processor's, and
 * the median of their ratio counts.
 */
import type { Build } from './builds.js';
import { clock, median, round } from './clock.js';
import type { Loop } from './loops.js';
import { engine } from './machine.js';
import { peakOf } from './peak.js';

export interface Row {
  readonly id: string;
  readonly build: Build;
  readonly engine: string;
  /** Milliseconds of one run. */
  readonly ms: number;
  /** Microseconds of one step, where that is what people ask for. */
  readonly us?: number;
  /** Operations of the unpadded matrix products, 10⁹ a second. */
  readonly gflops: number;
  /** The peak measured in turns with it, the loop that has it, and the median of their ratio. */
  readonly peak: number;
  readonly loop: Loop;
  readonly ofPeak: number;
  /** Peak memory of a process that does nothing else, 10⁶ bytes, where it is told. */
  readonly peakMb?: number;
  /** Why the row cannot be right. */
  readonly error?: string;
}

/** No work is faster than the peak; the median of noisy ratios may be above it by this much. */
export const MOST = 1.02;

export interface Work {
  readonly id: string;
  /** Operations of the matrix products in one run: 2·M·N·K each, training three times the forward pass. */
  readonly flops: number;
  /** How many such one run makes, default 1; whether to tell microseconds. */
  readonly per?: number;
  readonly micros?: boolean;
  /** Whether to tell the peak memory of a process that does nothing else. */
  readonly memory?: boolean;
  /** Prepares the work and returns one run of it. */
  readonly prepare: (build: Build) => { run: () => void; end: () => void };
}

/** Milliseconds of single runs, in samples of at least `sampleMs`, each with a sample of the peak, in operations per millisecond. */
export function paired(
  run: () => void,
  peak: () => number,
  { samples = 25, sampleMs = 4, warmMs = 400 } = {},
): { times: number[]; peaks: number[] } {
  // warm until the optimising compiler has had its say
  const warm = clock() + warmMs;
  for (let runs = 1; runs <= 10 || clock() < warm; runs++) {
    run();
    if (runs % 4 === 0) peak();
  }
  let began = clock();
  run();
  const repeats = Math.max(1, Math.ceil(sampleMs / Math.max(clock() - began, 1e-3)));
  const times: number[] = [];
  const peaks: number[] = [];
  let before = peak();
  for (let i = 0; i < samples; i++) {
    began = clock();
    for (let k = 0; k < repeats; k++) run();
    times.push((clock() - began) / repeats);
    const after = peak();
    peaks.push((before + after) / 2);
    before = after;
  }
  return { times, peaks };
}

/** Medians over paired samples. */
export function measure(work: Work, build: Build, samples: number): Row {
  const { loop, sample } = peakOf(build);
  const { run, end } = work.prepare(build);
  const pairs = paired(run, sample, { samples });
  end();
  return rowOf(work, build, loop, pairs);
}

/** A row from milliseconds of runs and the samples of the peak, in operations per millisecond. */
export function rowOf(
  { id, flops, per = 1, micros }: Pick<Work, 'id' | 'flops' | 'per' | 'micros'>,
  build: Build,
  loop: Loop,
  { times, peaks }: { times: readonly number[]; peaks: readonly number[] },
): Row {
  const ms = median(times) / per;
  const ofPeak = median(times.map((time, i) => (per * flops) / time / peaks[i]));
  return {
    id,
    build,
    engine,
    ms: round(ms, 4),
    ...(micros ? { us: round(1000 * ms, 2) } : {}),
    gflops: round(flops / ms / 1e6, 2),
    peak: round(median(peaks) / 1e6, 2),
    loop,
    ofPeak: round(ofPeak, 3),
    ...(ofPeak > MOST
      ? { error: `${round(ofPeak, 3)} of the peak is above ${MOST}: no loop reaches the peak here` }
      : {}),
  };
}
