/** Dates of the steps of a series, all in UTC: read, checked for equal distances by the calendar, continued; and what they say of season. */
import * as check from '../../check.js';

/** A `Date`, or ISO 8601: `'2024-05'`, `'2024-05-31'`, `'2024-05-31T18:00Z'`. Without an offset, a time is one of UTC. */
export type DateLike = Date | string;

/** The time from one step to the next: one of these, as in `Temporal.Duration`. Months and years have their lengths by the calendar. */
export interface DateStep {
  readonly seconds?: number | undefined;
  readonly minutes?: number | undefined;
  readonly hours?: number | undefined;
  readonly days?: number | undefined;
  readonly weeks?: number | undefined;
  readonly months?: number | undefined;
  readonly years?: number | undefined;
}

/** The dates of a series: the first one and the step, or all of them at equal distances. */
export type Dates = readonly DateLike[] | { readonly start: DateLike; readonly step: DateStep };

/** Dates at equal distances: of `months`, or else of milliseconds. */
export interface Axis {
  /** The first date, in milliseconds. */
  readonly start: number;
  /** Of a step in months: the day of the month, or its last day where the month is shorter. */
  readonly day: number;
  readonly months: number;
  readonly milliseconds: number;
}

const DAY = 86_400_000;
const LENGTHS = { seconds: 1000, minutes: 60_000, hours: 3_600_000, days: DAY, weeks: 7 * DAY } as const;
const MONTHS = { months: 1, years: 12 } as const;
const UNITS = [...Object.keys(LENGTHS), ...Object.keys(MONTHS)];
/** The largest distance of a `Date` from 1970. */
const LAST = 8.64e15;

const daysIn = (year: number, month: number) => new Date(Date.UTC(2000 + (year % 400), month + 1, 0)).getUTCDate();

/** Of a date, how it is shown: without the time at midnight. */
export function showDate(ms: number): string {
  const text = new Date(ms).toISOString();
  return text.endsWith('T00:00:00.000Z') ? text.slice(0, -14) : text;
}

/** Milliseconds since 1970. */
export function readDate(name: string, value: unknown): number {
  const expected = "a Date, or a date such as '2024-05-31' or '2024-05-31T18:00Z'";
  // a Date of any realm, say of an iframe
  if (Object.prototype.toString.call(value) === '[object Date]') {
    const ms = Number(value);
    return Number.isNaN(ms) ? check.fail(name, expected, 'Invalid Date') : ms;
  }
  if (typeof value !== 'string') return check.fail(name, expected, value);
  const parts = /^(\d{4})(?:-(\d\d)(?:-(\d\d)(T\d\d:\d\d(?::\d\d(?:\.\d{1,3})?)?)?(Z|[+-]\d\d:\d\d)?)?)?$/.exec(value);
  const [, year, month = '01', day = '01', time = 'T00:00', zone = 'Z'] = parts ?? check.fail(name, expected, value);
  const ms = Date.parse(`${year}-${month}-${day}${time}${zone}`);
  if (Number.isNaN(ms) || Number(day) > daysIn(Number(year), Number(month) - 1)) check.fail(name, expected, value);
  return ms;
}

/** Date number k of an axis, in milliseconds. */
export function dateAt({ start, day, months, milliseconds }: Axis, k: number): number {
  if (!months) return start + k * milliseconds;
  const first = new Date(start);
  const month = 12 * first.getUTCFullYear() + first.getUTCMonth() + k * months;
  const [y, m] = [Math.floor(month / 12), month - 12 * Math.floor(month / 12)];
  const date = new Date(start);
  date.setUTCFullYear(y, m, Math.min(day, daysIn(y, m)));
  return date.getTime();
}

/** The axis from date number k on. */
export const from = (axis: Axis, k: number): Axis => ({ ...axis, start: dateAt(axis, k) });

export const datesOf = (axis: Axis, k: number, n: number): Date[] =>
  Array.from({ length: n }, (_, i) => new Date(dateAt(axis, k + i)));

/** The number of the first date of an axis that is not before this one; below 0 where that is before its start. */
export function stepOf(axis: Axis, ms: number): number {
  const length = axis.milliseconds || axis.months * 30.436875 * DAY;
  let k = Math.ceil((ms - axis.start) / length);
  while (dateAt(axis, k) < ms) k++;
  while (dateAt(axis, k - 1) >= ms) k--;
  return k;
}

/** Whether two axes have the same step. */
export const sameStep = (a: Axis, b: Axis) => a.months === b.months && a.milliseconds === b.milliseconds;

/** A step in words. */
export function showStep({ months, milliseconds }: Axis): string {
  const words = (n: number, unit: string) => `${n} ${n === 1 ? unit.slice(0, -1) : unit}`;
  if (months) return months % 12 ? words(months, 'months') : words(months / 12, 'years');
  const unit = (Object.keys(LENGTHS) as (keyof typeof LENGTHS)[])
    .reverse()
    .find((u) => milliseconds % LENGTHS[u] === 0);
  return unit ? words(milliseconds / LENGTHS[unit], unit) : words(milliseconds, 'milliseconds');
}

/**
 * The axis of n steps.
 *
 * @throws TypeError, RangeError for what are not dates, and for dates that are not at equal distances
 */
export function readDates(name: string, value: unknown, n: number): Axis {
  if (!Array.isArray(value)) return readStep(name, value, n);
  if (value.length !== n) throw new RangeError(`${name}: expected a date for each of ${n} steps, got ${value.length}`);
  const all = Array.from(value, (date: unknown, i) => readDate(`${name}[${i}]`, date));
  if (n < 2) check.fail(name, 'at least two dates, or { start, step }', value);
  const [first, second] = all;
  const ofMonth = (ms: number) => new Date(ms).getUTCDate();
  const months = (ms: number) => 12 * new Date(ms).getUTCFullYear() + new Date(ms).getUTCMonth();
  // of two dates a month apart, the month is meant
  const candidates: Axis[] = [
    {
      start: first,
      day: all.reduce((day, ms) => Math.max(day, ofMonth(ms)), 1),
      months: months(second) - months(first),
      milliseconds: 0,
    },
    { start: first, day: 0, months: 0, milliseconds: second - first },
  ];
  let furthest = 0;
  for (const axis of candidates) {
    if (axis.months <= 0 && axis.milliseconds <= 0) continue;
    const odd = all.findIndex((ms, k) => ms !== dateAt(axis, k));
    if (odd < 0) return axis;
    furthest = Math.max(furthest, odd);
  }
  const at = Math.max(furthest, 1);
  const hint = "equal distances in UTC are needed: add missing steps as NaN, with missing: 'mask'";
  throw new RangeError(`${name}[${at}]: ${showDate(all[at])} after ${showDate(all[at - 1])}; ${hint}`);
}

function readStep(name: string, value: unknown, n: number): Axis {
  check.options(name, value, ['start', 'step']);
  const { start, step } = value as { start: unknown; step: unknown };
  const first = readDate(`${name}.start`, start);
  check.options(`${name}.step`, step, UNITS);
  const given = Object.entries(step as DateStep).filter(([, count]) => count !== undefined);
  if (given.length !== 1) check.fail(`${name}.step`, 'one unit, say { months: 1 }', step);
  const [[unit, count]] = given;
  const size = check.whole(`${name}.step.${unit}`, count);
  const axis =
    unit in MONTHS
      ? {
          start: first,
          day: new Date(first).getUTCDate(),
          months: size * MONTHS[unit as keyof typeof MONTHS],
          milliseconds: 0,
        }
      : { start: first, day: 0, months: 0, milliseconds: size * LENGTHS[unit as keyof typeof LENGTHS] };
  const length = axis.milliseconds || axis.months * 31 * DAY;
  if (Math.abs(first) + n * length > LAST) check.fail(`${name}.step`, `a step with dates for ${n} steps`, step);
  return axis;
}

/** What the model remembers of an axis, as a file has it. */
export function checkAxis(name: string, value: unknown): void {
  check.options(name, value, ['start', 'day', 'months', 'milliseconds']);
  const { start, day, months, milliseconds } = value as Axis;
  check.whole(`${name}.start`, start, -LAST, LAST);
  check.whole(`${name}.months`, months, 0, 12_000);
  check.whole(`${name}.day`, day, months ? 1 : 0, months ? 31 : 0);
  check.whole(`${name}.milliseconds`, milliseconds, months ? 0 : 1, months ? 0 : LAST);
}

export const CALENDAR = ['hour', 'dayOfWeek', 'dayOfYear', 'month'] as const;

/** Parts of the calendar, as `Temporal.PlainDateTime` names them: each repeats itself, and is given as its sine and cosine. */
export type CalendarPart = (typeof CALENDAR)[number];

/** The part of its period that has passed, from 0 to 1. */
function passed(part: CalendarPart, ms: number): number {
  const date = new Date(ms);
  if (part === 'hour') return (ms - DAY * Math.floor(ms / DAY)) / DAY;
  if (part === 'dayOfWeek') return ((date.getUTCDay() + 6) % 7) / 7;
  if (part === 'month') return date.getUTCMonth() / 12;
  const year = date.getUTCFullYear();
  let day = date.getUTCDate() - 1;
  for (let m = 0; m < date.getUTCMonth(); m++) day += daysIn(year, m);
  return day / (daysIn(year, 1) + 337);
}

/** Sine and cosine of f turns, by their series: every engine rounds the four operations alike. */
function turn(f: number): [number, number] {
  const x = 2 * Math.PI * (f > 0.5 ? f - 1 : f);
  let [sine, cosine, term] = [0, 0, 1];
  for (let i = 0; i < 32; i++) {
    if (i % 2) sine += i % 4 === 1 ? term : -term;
    else cosine += i % 4 === 0 ? term : -term;
    term *= x / (i + 1);
  }
  return [sine, cosine];
}

/** [2·parts][n] the sines and cosines of n dates. */
export function calendarOf(parts: readonly CalendarPart[], axis: Axis, n: number): Float64Array[] {
  return parts.flatMap((part) => {
    const all = Array.from({ length: n }, (_, k) => turn(passed(part, dateAt(axis, k))));
    return [0, 1].map((i) => Float64Array.from(all, (both) => both[i]));
  });
}
