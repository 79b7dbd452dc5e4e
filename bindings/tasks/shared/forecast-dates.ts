/** Where a series begins, by its dates and those of the training series. */
import * as check from '../../check.js';
import { type Axis, dateAt, readDate, sameStep, showDate, showStep, stepOf } from './dates.js';
import type { ForecastSettings } from './forecast-layers.js';
import type { ForecastStreamOptions } from './forecast-options.js';
import type { ReadSeries } from './forecast-series.js';
import type { StreamStart } from './forecast-stream.js';

type Dated = Pick<ReadSeries, 'name' | 'axis'>;

/**
 * That dates have the step of those in training.
 *
 * @param learned those of the training series
 * @returns the dates that the model remembers then
 */
export function checkDates(learned: Axis | null, all: readonly Dated[]): Axis | null {
  let known = learned;
  for (const { name, axis } of all) {
    if (!axis) continue;
    known ??= axis;
    if (!sameStep(known, axis)) {
      const place = learned ? 'as in training' : 'as in the series before';
      throw new RangeError(`${name}.dates: expected steps of ${showStep(known)}, ${place}, got ${showStep(axis)}`);
    }
  }
  return known;
}

/**
 * The number of the first step, counted from the start of the training series; without a trend, it has no effect.
 *
 * @param own a series whose dates may tell it
 */
export function startOf(
  { trend }: ForecastSettings,
  learned: Axis | null,
  own: Dated | null,
  start: number | undefined,
): number {
  if (trend === 'none') return start ?? 0;
  if (own?.axis && learned) {
    const at = stepOf(learned, own.axis.start);
    if (dateAt(learned, at) !== own.axis.start) {
      const what = `dates of the training series, which began on ${showDate(learned.start)}`;
      check.fail(`${own.name}.dates`, what, showDate(own.axis.start));
    }
    if (start && start !== at) check.clash(`start: ${start}`, `the dates of ${own.name}`, `they begin with step ${at}`);
    return at;
  }
  if (start !== undefined) return start;
  const what = 'the number of the first step, counted from the start of the training series (0: begins where it began)';
  throw new RangeError(`start: with trend 'linear', expected ${what}, got undefined`);
}

/** @param saved whether the stream continues one that was saved, which knows where it stands */
export function streamStart(
  settings: ForecastSettings,
  learned: Axis | null,
  saved: boolean,
  { start, date }: ForecastStreamOptions,
): StreamStart {
  if (date !== undefined && !learned) {
    throw new RangeError('date: this model was trained without dates, so it does not know their step');
  }
  if (date === undefined && settings.calendar.length && !saved) {
    throw new TypeError('date: expected the date of the first step, for a model with calendar, got undefined');
  }
  let axis: Axis | null = null;
  if (date !== undefined && learned) {
    const first = readDate('date', date);
    const day = learned.months ? Math.max(learned.day, new Date(first).getUTCDate()) : 0;
    axis = { ...learned, start: first, day };
  }
  const begin = () => startOf(settings, learned, axis && { name: 'stream', axis }, start);
  // nothing in a continued stream without it, which may only need it after reset
  const next = saved && start === undefined && !axis ? [] : [begin()];
  return { next, axis, learned, begin };
}
