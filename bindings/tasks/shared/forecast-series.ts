/** Reads series as they are given: values, dates and covariates, of one series or of many. */
import * as check from '../../check.js';
import type { Reader } from '../../options.js';
import { type Axis, calendarOf, type DateLike, type Dates, readDate, readDates, showDate, stepOf } from './dates.js';
import type { ForecastSettings } from './forecast-layers.js';
import { filled, type Scaling, type Series, scaled, seriesOf } from './series.js';

/** A series with what belongs to its steps. */
export interface TimeSeries {
  readonly series: Series;
  /** The dates of the steps, at equal distances: all of them, or the first one and the step. */
  readonly dates?: Dates | undefined;
  /** Covariates that are known in the future, by their names: a value for each step; for `predict` also for each step that is predicted. */
  readonly futureCovariates?: Readonly<Record<string, ArrayLike<number>>> | undefined;
}

/** A series, with or without dates and covariates. */
export type SeriesInput = Series | TimeSeries;

/** What was read of one series. */
export interface ReadSeries {
  /** How errors call it. */
  readonly name: string;
  /** [variables] NaN where a value is missing. */
  readonly lists: readonly Float64Array[];
  /** [C] the named covariates, then those of the calendar; for `predict` longer than the lists. */
  readonly covariates: readonly Float64Array[];
  readonly axis: Axis | null;
}

const isList = (value: unknown) => Array.isArray(value) || ArrayBuffer.isView(value);

/** Whether this is a list of series. */
export function isMany(value: unknown): value is readonly SeriesInput[] {
  return Array.isArray(value) && typeof value[0] === 'object' && value[0] !== null;
}

function isTimeSeries(value: unknown, { variables }: ForecastSettings): value is TimeSeries {
  if (typeof value !== 'object' || value === null || isList(value) || !check.hasOwn(value, 'series')) return false;
  // a variable may have this name
  return !(variables.includes('series') && isList((value as { series: unknown }).series));
}

/**
 * @param ahead steps after the last one that covariates are needed for
 * @throws TypeError, RangeError
 */
export function readSeries(settings: ForecastSettings, name: string, input: unknown, ahead = 0): ReadSeries {
  const { variables, missing, futureCovariates: names, calendar } = settings;
  const whole = isTimeSeries(input, settings);
  if (whole) check.options(name, input, ['series', 'dates', 'futureCovariates']);
  const { series, dates, futureCovariates }: TimeSeries = whole ? input : { series: input as Series };
  const lists = seriesOf(whole ? `${name}.series` : name, series, variables, missing === 'mask');
  const [{ length: n }] = lists;
  const axis = dates === undefined ? null : readDates(`${name}.dates`, dates, n);
  if (calendar.length && !axis) check.fail(name, '{ series, dates } for a model with calendar', input);
  if (futureCovariates !== undefined) check.options(`${name}.futureCovariates`, futureCovariates, names);
  const own = names.map((covariate) => {
    const values = futureCovariates?.[covariate];
    const place = `${name}.futureCovariates.${covariate}`;
    if (!values || !isList(values)) return check.fail(place, 'a list of numbers', values);
    if (values.length !== n + ahead) {
      const what = ahead ? `, ${n} of the series and ${ahead} of the forecast` : ', those of the series';
      throw new RangeError(`${place}: expected ${n + ahead} steps${what}, got ${values.length}`);
    }
    return Float64Array.from({ length: n + ahead }, (_, t) => check.float(`${place}[${t}]`, values[t]));
  });
  return { name, lists, covariates: axis ? [...own, ...calendarOf(calendar, axis, n + ahead)] : own, axis };
}

/** One series as a list, or a list of them. */
export function readAll(settings: ForecastSettings, input: unknown): ReadSeries[] {
  if (!isMany(input)) return [readSeries(settings, 'series', input)];
  const all = Array.from(input, (own, i) => readSeries(settings, `series[${i}]`, own));
  return all;
}

/** The first n steps. */
export const firstSteps = (own: ReadSeries, n: number): ReadSeries => ({
  ...own,
  lists: own.lists.map((y) => y.subarray(0, n)),
  covariates: own.covariates.map((c) => c.subarray(0, n)),
});

/** The lists with their gaps filled. */
export function fillLists({ difference }: ForecastSettings, { name, lists }: Pick<ReadSeries, 'name' | 'lists'>) {
  return lists.map((y) => filled(name, y, difference));
}

/** Each variable in the units of the model, its first `difference` steps used up. */
export function scaleLists(
  { difference, variables }: ForecastSettings,
  lists: readonly Float64Array[],
  scaling: readonly Scaling[],
  start: number,
): Float64Array[] {
  return lists.map((y, v) => {
    const z = scaled(y, difference, scaling[v], start);
    z.forEach((_, t) => check.float(`${variables[v]}[${t + difference}], scaled as in training`, z[t]));
    return z;
  });
}

/** The covariates in the units of the model, without the first `difference` steps; those of the calendar are in them already. */
export function scaleCovariates(
  { difference, futureCovariates }: ForecastSettings,
  covariates: readonly Float64Array[],
  scaling: readonly Scaling[],
): Float64Array[] {
  return covariates.map((values, c) => {
    if (c >= futureCovariates.length) return values.subarray(difference);
    const own = scaled(values.subarray(difference), 0, scaling[c], 0);
    own.forEach((_, t) => check.float(`${futureCovariates[c]}[${t + difference}], scaled as in training`, own[t]));
    return own;
  });
}

/** A step of a series: its number, below 0 counted from the end as by `slice`; or a date: the first step that is not before it. */
export type Step = number | DateLike;

/** A step, or one for each of several series. */
export const readStep: Reader<Step | readonly Step[]> = (name, value) => {
  if (Array.isArray(value)) return Object.freeze(value.map((own, i) => readStep(`${name}[${i}]`, own) as Step));
  if (typeof value === 'number') return check.whole(name, value, 1 - 2 ** 31);
  return showDate(readDate(name, value));
};

/** The number of a step in each series. */
export function stepsOf(name: string, step: Step | readonly Step[], all: readonly ReadSeries[]): number[] {
  if (Array.isArray(step) && step.length !== all.length) {
    throw new RangeError(`${name}: expected one for each of ${all.length} series, got ${step.length}`);
  }
  return all.map(({ lists: [{ length }], axis, name: place }, i) => {
    const own: Step = Array.isArray(step) ? step[i] : step;
    if (typeof own === 'number') return own < 0 ? length + own : own;
    if (!axis) check.fail(place, `{ series, dates }, because ${name} is a date`, 'a series without dates');
    return stepOf(axis as Axis, readDate(name, own));
  });
}
