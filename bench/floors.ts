/** What the rows are held to by `npm run bench -- --check`: bench/floors.json. */
import { readFileSync } from 'node:fs';
import type { Build } from './measure.js';

export interface Floors {
  /** The peak of the machine on which the microseconds hold, 10⁹ operations a second. */
  readonly peak: number;
  /** At least this share of the peak. */
  readonly ofPeak: Readonly<Record<string, number>>;
  /** At most so many microseconds, units of the last place, 10⁶ bytes. */
  readonly us: Readonly<Record<string, number>>;
  readonly ulp: Readonly<Record<string, number>>;
  readonly peakMb: Readonly<Record<string, number>>;
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
  /** Whether it is not worse than the floor by more than a tenth; accuracy and memory not at all. */
  readonly holds: boolean;
}

/** Timings may miss their floor by so much: machines are noisy. */
export const ALLOWED = 0.9;

export function floorsOf(build: Build): Floors {
  return JSON.parse(readFileSync(new URL('../../bench/floors.json', import.meta.url), 'utf8'))[build];
}

/** A row beside each of its floors. Microseconds are told as they would be on the machine whose peak is `floors.peak`. */
export function verdicts(row: Checked, floors: Floors): Verdict[] {
  const { id, build, ofPeak, us, peak = floors.peak, ulp, peakMb } = row;
  const all: Verdict[] = [];
  const judge = (what: Verdict['what'], got: number | undefined, holds: (got: number, floor: number) => boolean) => {
    const floor = floors[what][id];
    if (floor === undefined) return;
    if (got === undefined) throw new Error(`${id}: has a floor of ${what}, but the row does not tell it`);
    all.push({ id, build, what, got, floor, holds: holds(got, floor) });
  };
  judge('ofPeak', ofPeak, (got, floor) => got >= ALLOWED * floor);
  judge('us', us === undefined ? undefined : (us * peak) / floors.peak, (got, floor) => ALLOWED * got <= floor);
  judge('ulp', ulp, (got, floor) => got <= floor);
  judge('peakMb', peakMb, (got, floor) => got <= floor);
  return all;
}
