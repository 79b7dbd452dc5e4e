/** The windows of series: those that `fit` learns from, and those that rolling forecasts start from. */
import * as check from '../../check.js';
import { from as datesFrom } from './dates.js';
import type { ForecastItem } from './forecast-items.js';
import type { ForecastSettings } from './forecast-layers.js';
import {
  fillLists,
  firstSteps,
  type ReadSeries,
  type Step,
  scaleCovariates,
  scaleLists,
  stepsOf,
} from './forecast-series.js';
import { FLAT, fitScaling, relativeTo, type Scaling, spreadOf } from './series.js';

/** What the inputs of a model are scaled by. */
export interface Scales {
  /** [variables] */
  readonly scaling: readonly Scaling[];
  /** Of the covariates that have names. */
  readonly covariates: readonly Scaling[];
}

/** The scales of some series together. */
export function fitScales(settings: ForecastSettings, known: readonly ReadSeries[]): Scales {
  const { difference, trend, normalization, variables, futureCovariates } = settings;
  const full = known.map((own) => fillLists(settings, own));
  const covariates = futureCovariates.map((_, c) =>
    fitScaling(joined(known.map((own) => own.covariates[c])), 0, false),
  );
  const scaling = variables.map((_, v): Scaling => {
    const lists = full.map((own) => own[v]);
    if (lists.length === 1) return fitScaling(lists[0], difference, trend === 'linear');
    const changes = lists.map((y) => y.subarray(difference).map((value, t) => value - (difference ? y[t] : 0)));
    const all = fitScaling(joined(changes), 0, false);
    if (normalization === 'none') return all;
    // windows are relative to themselves, so the levels of the series have no part in it
    const spreads = changes.map((d) => spreadOf(d));
    if (normalization === 'standard') {
      const least = spreads.reduce((low, own) => (own > 0 && own < low ? own : low), Infinity);
      return { ...all, scale: least < Infinity ? least : 1 };
    }
    const n = changes.reduce((sum, { length }) => sum + length, 0);
    const squares = changes.reduce((sum, { length }, i) => sum + length * spreads[i] * spreads[i], 0);
    return { ...all, scale: Math.sqrt(squares / n) || 1 };
  });
  return { scaling, covariates };
}

function joined(lists: readonly Float64Array[]): Float64Array {
  const all = new Float64Array(lists.reduce((n, { length }) => n + length, 0));
  let at = 0;
  for (const list of lists) {
    all.set(list, at);
    at += list.length;
  }
  return all;
}

/**
 * What `fit` learns from and what it validates on.
 *
 * @param given whole series
 * @returns the steps before `to`, `whole`; the first step that is validated on, and the steps before it, `known`; words that tell the
 *   data of a validation from others
 */
export function trainingParts(
  settings: ForecastSettings,
  given: readonly ReadSeries[],
  { to, validation: share }: { to?: Step | readonly Step[] | undefined; validation?: unknown },
) {
  const { window, horizon, difference, trend } = settings;
  if (given.length > 1 && trend === 'linear') {
    const instead = 'difference or normalization for many';
    throw new RangeError(
      `series: a model with trend 'linear' learns from one series; use ${instead}, got ${given.length}`,
    );
  }
  const ends = to === undefined ? given.map(({ lists }) => lists[0].length) : stepsOf('to', to, given);
  const whole = given.map((own, i) => {
    check.whole(nameOf('to', own), ends[i], 1, own.lists[0].length);
    return firstSteps(own, ends[i]);
  });
  const from = ends.map((n, i) => {
    const place = nameOf('validation', given[i]);
    if (share === undefined) return n;
    if (typeof share !== 'number') return check.fail('validation', 'a share of the series between 0 and 1', share);
    const kept = Math.round(n * share);
    return kept >= horizon
      ? n - kept
      : check.fail(place, `a share with at least horizon=${horizon} of ${n} steps`, share);
  });
  const known = whole.map((own, i) => firstSteps(own, from[i]));
  const least = difference + window + horizon;
  known.forEach(({ name }, i) => {
    if (from[i] >= least) return;
    check.fail(
      name,
      `at least ${least} steps for window ${window}, horizon ${horizon} and difference ${difference}`,
      from[i],
    );
  });
  return { whole, from, known, data: ends.map((end, i) => `${end}-${end - from[i]}`).join(' ') };
}

const NONE: readonly Float64Array[] = [];

interface TrainingItem extends ForecastItem {
  /** [variables] the values that followed, NaN where one is missing; of the same steps as `z`. */
  readonly values: readonly Float64Array[];
}

/**
 * All windows of some series that a whole horizon follows.
 *
 * @param starts the number of the first step of each
 * @returns the windows, in the order of time for each series; the number of each; and what came after one, [horizon·targets], NaN where
 *   there is no value
 */
export function trainingWindows(
  settings: ForecastSettings,
  known: readonly ReadSeries[],
  { scaling, covariates }: Scales,
  starts: readonly number[],
) {
  const { window, horizon, difference, normalization, variables, targets } = settings;
  const wanted = targets.map((name) => variables.indexOf(name));
  const groups = known.map((own, i) => {
    const all = fillLists(settings, own);
    const z = scaleLists(settings, all, scaling, starts[i]);
    const others = scaleCovariates(settings, own.covariates, covariates);
    const values = own.lists.map((y) => y.subarray(difference));
    const items = Array.from(
      { length: z[0].length - window - horizon + 1 },
      (_, begin): TrainingItem => ({
        length: window,
        z,
        begin,
        known: NONE,
        start: 0,
        covariates: others,
        values,
      }),
    );
    if (known.length === 1 || normalization !== 'standard') return items;
    // a constant window has no spread of its own to measure what follows in
    const spreads = z.map((y) => FLAT * spreadOf(y));
    return items.filter(({ begin }) =>
      wanted.every((v) => spreadOf(z[v].subarray(begin, begin + window)) >= spreads[v]),
    );
  });
  const truth = ({ begin, z, values }: TrainingItem) => {
    const own = new Float32Array(horizon * targets.length);
    wanted.forEach((i, v) => {
      const { centre, spread } = relativeTo(normalization, z[i], begin, window);
      for (let k = 0; k < horizon; k++) {
        const t = begin + window + k;
        own[k * targets.length + v] = Number.isNaN(values[i][t]) ? Number.NaN : (z[i][t] - centre) / spread;
      }
    });
    return own;
  };
  const items = groups.flat();
  if (items.length === 0) {
    throw new RangeError("series: expected a window whose values differ, for normalization 'standard', got none");
  }
  return { items, counts: groups.map(({ length }) => length), truth };
}

/** Where rolling forecasts of a series begin. */
export interface Origins {
  readonly from: number;
  readonly until?: number | undefined;
  readonly stride: number;
}

/** An option of one series, or of one among several, for errors. */
export const nameOf = (option: string, { name }: ReadSeries) => (name === 'series' ? option : `${option} of ${name}`);

interface RollingItem extends ForecastItem {
  /** The step that the forecast begins with, and the place of the series. */
  readonly origin: number;
  readonly place: number;
}

/**
 * The windows before the origins of rolling forecasts.
 *
 * @throws RangeError where the series has no forecasts from there
 */
export function rollingWindows(
  settings: ForecastSettings,
  own: ReadSeries,
  { scaling, covariates }: Scales,
  start: number,
  place: number,
  { from, until, stride }: Origins,
): RollingItem[] {
  const { window, horizon, difference } = settings;
  const [{ length: N }] = own.lists;
  const first = window + difference;
  if (N < first + horizon) check.fail(own.name, `at least ${first + horizon} steps for one forecast`, N);
  check.whole(nameOf('from', own), from, first, N - horizon);
  if (until !== undefined) check.whole(nameOf('until', own), until, from + 1, N - horizon + 1);
  const full = fillLists(settings, own);
  const z = scaleLists(settings, full, scaling, start);
  const others = scaleCovariates(settings, own.covariates, covariates);
  return Array.from({ length: Math.ceil(((until ?? N - horizon + 1) - from) / stride) }, (_, i) => {
    const origin = from + i * stride;
    return {
      length: window,
      z,
      begin: origin - window - difference,
      known: full.map((y) => y.subarray(origin - difference, origin)),
      start: start + origin - difference,
      covariates: others,
      origin,
      place,
    };
  });
}

/** The end of a history that was read with the covariates of its forecast. */
export function lastWindow(
  settings: ForecastSettings,
  own: ReadSeries,
  { scaling, covariates }: Scales,
  start: number,
): ForecastItem {
  const { window, difference } = settings;
  const full = fillLists(settings, own);
  const n = full[0].length;
  const at = n - window - difference;
  if (at < 0) {
    check.fail(own.name, `at least ${window + difference} steps for window ${window} and difference ${difference}`, n);
  }
  const known = full.map((y) => y.subarray(at));
  return {
    length: window,
    z: scaleLists(settings, known, scaling, start + at),
    begin: 0,
    known,
    start: start + at,
    covariates: scaleCovariates(
      settings,
      own.covariates.map((c) => c.subarray(at)),
      covariates,
    ),
    dates: own.axis && datesFrom(own.axis, n),
  };
}
