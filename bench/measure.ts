/**
 * Timing on a noisy machine: the work and the peak of this build's multiply-add take turns in one process, by the processor's time,
 * and what counts is the median of their ratio.
 */
import { readFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { instantiateSync } from '@assemblyscript/loader';
import { Runtime } from 'gatewise';

const root = new URL('../../', import.meta.url);

/** What assembly/bench.ts exports. */
export interface BenchCore {
  readonly memory: WebAssembly.Memory;
  peak(at: number, rounds: number): void;
  scalarGemm(c: number, a: number, b: number, M: number, N: number, K: number): void;
  scalarSigmoid(y: number, x: number, n: number): void;
  scalarTanh(y: number, x: number, n: number): void;
  scalarLstm(
    h: number,
    c: number,
    x: number,
    wx: number,
    wh: number,
    b: number,
    a: number,
    T: number,
    B: number,
    I: number,
    H: number,
  ): void;
}

function bytes(name: string): Uint8Array<ArrayBuffer> {
  return new Uint8Array(readFileSync(new URL(`build/wasm/${name}.wasm`, root)));
}

export type Build = 'simd' | 'relaxed';

/** Builds that this engine runs. */
export const builds = (['simd', 'relaxed'] as const).filter((build) => WebAssembly.validate(bytes(build)));

export function runtimeOf(build: Build): Runtime {
  return Runtime.createSync({ module: bytes(build) });
}

export function benchCore(build: Build): BenchCore {
  return instantiateSync(bytes(`bench-${build}`)).instance.exports as unknown as BenchCore;
}

/** Milliseconds of processor that this process has had: what others took meanwhile does not count. */
export function clock(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
}

const ROUNDS = 4000;

const peaks = new Map<Build, () => number>();

/** One sample of the peak, in operations per millisecond. One instance serves a process, so that it is optimised once for all rows. */
export function peakOf(build: Build): () => number {
  const peak = peaks.get(build) ?? makePeak(build);
  peaks.set(build, peak);
  return peak;
}

function makePeak(build: Build): () => number {
  const core = benchCore(build);
  const f32 = new Float32Array(core.memory.buffer);
  const at = 1 << 16;
  const first = at >> 2;
  f32.fill(0.5, first, first + 18 * 4);
  return () => {
    const began = clock();
    for (let i = 0; i < 4; i++) core.peak(at, ROUNDS);
    return (4 * ROUNDS * 16 * 4 * 2) / (clock() - began);
  };
}

export const engine = (() => {
  const { versions } = process as { versions: Record<string, string | undefined> };
  const name = versions.bun ? 'bun' : versions.deno ? 'deno' : 'node';
  return `${name} ${versions[name]}`;
})();

/** Date, processor and engine, for a chart. */
export function machine(): string {
  return `${new Date().toISOString().slice(0, 10)}, ${cpus()[0]?.model.trim() ?? 'unknown processor'}, ${engine}`;
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

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
  /** The peak beside it, and the median of their ratio. */
  readonly peak: number;
  readonly ofPeak: number;
  /** Peak memory of a process that does nothing else, 10⁶ bytes, where it is told. */
  readonly peakMb?: number;
}

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

/** Milliseconds of single runs, in samples of at least `sampleMs`, and the peak beside each, in operations per millisecond. */
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
  const { per = 1 } = work;
  const { run, end } = work.prepare(build);
  const { times, peaks } = paired(run, peakOf(build), { samples });
  end();
  const shares = times.map((ms, i) => (per * work.flops) / ms / peaks[i]);
  const ms = median(times) / per;
  return {
    id: work.id,
    build,
    engine,
    ms: round(ms, 4),
    ...(work.micros ? { us: round(1000 * ms, 2) } : {}),
    gflops: round(work.flops / ms / 1e6, 2),
    peak: round(median(peaks) / 1e6, 2),
    ofPeak: round(median(shares), 3),
  };
}

/** To so many digits behind the point. */
export function round(x: number, digits: number): number {
  return Number(x.toFixed(digits));
}
