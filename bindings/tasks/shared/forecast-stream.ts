/** A forecaster step by step: what a stream of it keeps, and how it moves. */
import * as check from '../../check.js';
import type { Model } from '../../nn/model.js';
import { slice } from '../../nn/rows.js';
import type { Rows, Tape } from '../../tape.js';
import { type Axis, calendarOf, from as datesFrom } from './dates.js';
import { type ForecastItem, windowRows } from './forecast-items.js';
import type { ForecastLayers } from './forecast-layers.js';
import { LAST_STEP } from './forecast-options.js';
import { fillLists, scaleCovariates, scaleLists } from './forecast-series.js';
import type { Scales } from './forecast-windows.js';
import { type Series, seriesOf } from './series.js';
import type { Source } from './stream.js';

/** One step of a series: a number, or numbers by the names of the variables. */
export type StepValues = number | Readonly<Record<string, number>>;

/** The same with future covariates. */
export interface TimeStep {
  readonly series: StepValues;
  /** Those of the next `horizon` steps, by their names. */
  readonly futureCovariates?: Readonly<Record<string, ArrayLike<number>>> | undefined;
}

/** Where a stream begins. */
export interface StreamStart {
  /** The number of the first step; in a continued stream, maybe unknown. */
  readonly next: readonly number[];
  /** The dates from the first step on, if it is known. */
  readonly axis: Axis | null;
  /** Those of training, whose step all have; null for a model without dates. */
  readonly learned: Axis | null;
  /** The number of the first step after `reset`; throws where it is not known. */
  readonly begin: () => number;
}

const isTimeStep = (values: StepValues | TimeStep, variables: readonly string[]): values is TimeStep =>
  typeof values === 'object' &&
  values !== null &&
  check.hasOwn(values, 'series') &&
  !(variables.includes('series') && typeof (values as TimeStep).series === 'number');

/** @param result the forecast of one item */
export function forecastStream<R>(
  model: Model<ForecastLayers>,
  scales: Scales,
  { next: first, axis, learned, begin }: StreamStart,
  result: (tape: Tape, outputs: readonly Rows[], item: ForecastItem) => R,
): Omit<Source<StepValues | TimeStep, R | null>, 'task' | 'alive'> {
  const { layers } = model;
  const { settings } = layers;
  const { cell, difference, variables, horizon, window, linear, normalization, missing } = settings;
  const { futureCovariates: names, calendar } = settings;
  const again = normalization !== 'none';
  /** Values that are kept, next to the one that is read. */
  const most = difference + Math.max(again ? window : linear, 1) - 1;
  /** The dates from the step that is read next on. */
  const datesIn = ({ date = [] }: { date?: readonly number[] }): Axis | null =>
    learned && date.length ? { ...learned, start: date[0], day: date[1] } : null;
  return {
    cell,
    start: () => ({
      state: layers.rnn.state(1),
      values: {
        next: first,
        past: [],
        ...(names.length ? { covariates: [] } : {}),
        ...(learned ? { date: axis ? [axis.start, axis.day] : [] } : {}),
      },
    }),
    check: ({ next, past, covariates = [], date = [] }) => {
      const n = past.length / variables.length;
      check.whole('length of past', n, 0, most);
      for (const [i, v] of past.entries()) check.float(`past[${i}]`, v);
      if (next.length !== 1 && (next.length > 0 || n > 0)) check.fail('next', 'one number', next);
      if (next.length > 0) check.whole('next', next[0], n, LAST_STEP);
      check.whole('length of covariates', covariates.length, n * names.length, n * names.length);
      for (const [i, v] of covariates.entries()) check.float(`covariates[${i}]`, v);
      if (date.length > 0) {
        check.whole('length of date', date.length, 2, 2);
        check.whole('date[0]', date[0], -8.64e15, 8.64e15);
        check.whole('date[1]', date[1], 0, 31);
      }
    },
    step: (values, { state, values: memory }) => {
      if (memory.next.length === 0) memory.next = [begin()];
      const whole = isTimeStep(values, variables);
      if (whole) check.options('values', values, ['series', 'futureCovariates']);
      const { series, futureCovariates }: TimeStep = whole ? values : { series: values as StepValues };
      const given =
        typeof series === 'object' && series !== null
          ? Object.fromEntries(Object.entries(series).map(([name, v]) => [name, [v]]))
          : [series];
      const own = seriesOf('values', given as Series, variables, missing === 'mask');
      if (futureCovariates !== undefined) check.options('futureCovariates', futureCovariates, names);
      const ahead = names.map((name) => {
        const place = `futureCovariates.${name}`;
        const list = futureCovariates?.[name];
        check.numbers(place, list as ArrayLike<number>, horizon, 'horizon');
        return Array.from(list as ArrayLike<number>);
      });
      const n = memory.past.length / variables.length;
      const lists = own.map((y, v) => Float64Array.of(...memory.past.slice(v * n, (v + 1) * n), y[0]));
      const known = fillLists(settings, { name: 'values', lists });
      const start = memory.next[0] - n;
      const { covariates: before = [] } = memory;
      const dates = datesIn(memory);
      const keep = () => {
        memory.past = known.flatMap((y) => (most ? [...y.slice(-most)] : []));
        memory.next = [memory.next[0] + 1];
        const last = (c: number) => [...before.slice(c * n, (c + 1) * n), ahead[c][0]].slice(-most);
        if (names.length) memory.covariates = names.flatMap((_, c) => (most ? last(c) : []));
        if (dates) memory.date = [datesFrom(dates, 1).start, dates.day];
      };
      const length = n + 1 - difference;
      if (length < 1) {
        keep();
        return null;
      }
      // the first is not read: at each step, the model reads the covariates of the next one
      const named = names.map((_, c) => Float64Array.of(0, ...before.slice(c * n, (c + 1) * n), ...ahead[c]));
      const covariates = [...named, ...(dates ? calendarOf(calendar, datesFrom(dates, -n), n + 1 + horizon) : [])];
      const item: ForecastItem = {
        length,
        z: scaleLists(settings, known, scales.scaling, start),
        begin: 0,
        known,
        start,
        covariates: scaleCovariates(settings, covariates, scales.covariates),
        dates: dates && datesFrom(dates, 1),
      };
      const forecast = model.forward((tape) => {
        const { x, future } = windowRows(tape, layers, [item]);
        if (n === most) return result(tape, layers.forward(tape, x, horizon, again ? undefined : state, future), item);
        if (!again) layers.rnn.forward(tape, slice(tape, x, length - 1, length), state);
        return null;
      });
      keep();
      return forecast;
    },
  };
}
