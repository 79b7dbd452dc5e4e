/** Floors of the rows, which `npm run bench -- --check` compares with: bench/floors.json. */
import { readFileSync, writeFileSync } from 'node:fs';
import type { Build } from './builds.js';
import { median } from './clock.js';
import { describe, type Processor } from './machine.js';

/** Values by the id of a row. */
type Values = Readonly<Record<string, number>>;

/** Timings of one processor family and build. */
export interface Timings {
  /** The peak of the machine on which the microseconds were measured, 10⁹ operations a second. */
  readonly peak: number;
  /** At least this share of the peak. */
  readonly ofPeak: Values;
  /** At most this number of microseconds. */
  readonly us: Values;
}

/** bench/floors.json. A family is a vendor, a family and models as /proc/cpuinfo has them. */
export interface FloorsFile {
  /** What holds on every processor: at most this number of units in the last place, of 10⁶ bytes. */
  readonly everywhere: { readonly ulp: Values; readonly peakMb: Values };
  readonly families: readonly (Readonly<Partial<Record<Build, Timings>>> & {
    readonly name: string;
    readonly vendor: string;
    readonly family: number;
    readonly models: readonly number[];
  })[];
}

export interface Floors {
  readonly ulp: Values;
  readonly peakMb: Values;
  /** Of this processor's family; undefined if it has no floors. */
  readonly timings?: Timings | undefined;
  /** The family's name. */
  readonly name?: string | undefined;
}

/** What is looked at in a row. */
export interface Checked {
  readonly id: string;
  readonly build: Build;
  readonly ofPeak?: number;
  readonly us?: number;
  readonly peak?: number;
  readonly ulp?: number;
  readonly peakMb?: number;
}

export interface Verdict {
  readonly id: string;
  readonly build: Build;
  readonly what: 'ofPeak' | 'us' | 'ulp' | 'peakMb';
  readonly got: number;
  readonly floor: number;
  /** Whether a timing is worse than its floor by a tenth at most; accuracy and memory not at all. */
  readonly holds: boolean;
}

/** Timings may miss their floor by this factor: machines are noisy. */
export const ALLOWED = 0.9;

const FILE = new URL('../../bench/floors.json', import.meta.url);

export function readFloors(): FloorsFile {
  return JSON.parse(readFileSync(FILE, 'utf8'));
}

export function writeFloors(file: FloorsFile): void {
  writeFileSync(FILE, `${JSON.stringify(file, null, 2)}\n`);
}

/** Floors are set at this part of what was measured. */
const SET = 0.95;

/**
 * `file` with the timings of these rows as floors of the processor's family and their build: 0.95 of each share of the peak, and each
 * time divided by that. A family that is not in the file is added; other builds and families stay.
 */
export function withFloors(file: FloorsFile, build: Build, processor: Processor, rows: readonly Checked[]): FloorsFile {
  const { vendor, family, model } = processor;
  if (vendor === undefined || family === undefined || model === undefined) {
    throw new Error(`${describe(processor)}: floors need its vendor, family and model, which only Linux on x86 gives`);
  }
  const timed = rows.filter((row) => row.ofPeak !== undefined);
  const steps = timed.filter((row) => row.us !== undefined);
  const floor = (x: number, digits: number) => Math.floor(x * 10 ** digits) / 10 ** digits;
  const timings: Timings = {
    peak: Math.round(10 * median(timed.map(({ peak = 0 }) => peak))) / 10,
    ofPeak: Object.fromEntries(
      timed
        .filter((row) => row.us === undefined)
        .map(({ id, ofPeak = 0 }) => [id, floor(SET * Math.min(1, ofPeak), 2)]),
    ),
    us: Object.fromEntries(steps.map(({ id, us = 0 }) => [id, -floor(-us / SET, 1)])),
  };
  const known = floorsOf(file, build, processor).name;
  const name = describe(processor);
  const families = known
    ? file.families.map((entry) => (entry.name === known ? { ...entry, [build]: timings } : entry))
    : [...file.families, { name, vendor, family, models: [model], [build]: timings }];
  return { ...file, families };
}

/** The floors of a build on a processor. */
export function floorsOf({ everywhere, families }: FloorsFile, build: Build, processor: Processor): Floors {
  const { vendor, family, model } = processor;
  const own = families.find(
    (entry) => entry.vendor === vendor && entry.family === family && entry.models.some((one) => one === model),
  );
  return { ...everywhere, timings: own?.[build], name: own?.name };
}

/** A row compared with each of its floors. Microseconds are scaled to the machine whose peak is `timings.peak`. */
export function verdicts(row: Checked, { ulp: ulps, peakMb: megabytes, timings }: Floors): Verdict[] {
  const { id, build, ofPeak, us, peak, ulp, peakMb } = row;
  const all: Verdict[] = [];
  const judge = (
    what: Verdict['what'],
    floors: Values | undefined,
    got: number | undefined,
    holds: (got: number, floor: number) => boolean,
  ) => {
    const floor = floors?.[id];
    if (floor === undefined) return;
    if (got === undefined) throw new Error(`${id}: has a floor of ${what}, but the row does not have ${what}`);
    all.push({ id, build, what, got, floor, holds: holds(got, floor) });
  };
  const scaled = us === undefined || !timings ? undefined : (us * (peak ?? timings.peak)) / timings.peak;
  judge('ofPeak', timings?.ofPeak, ofPeak, (got, floor) => got >= ALLOWED * floor);
  judge('us', timings?.us, scaled, (got, floor) => ALLOWED * got <= floor);
  judge('ulp', ulps, ulp, (got, floor) => got <= floor);
  judge('peakMb', megabytes, peakMb, (got, floor) => got <= floor);
  return all;
}
