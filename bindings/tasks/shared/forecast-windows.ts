/** The windows of a series: those that `fit` learns from, and those that rolling forecasts start from. */
import * as check from '../../check.js';
import type { ForecastItem } from './forecast-items.js';
import type { ForecastSettings } from './forecast-layers.js';
import { filled, relativeTo, type Scaling, type Series, scaled, seriesOf } from './series.js';

/** The lists of a series, checked; NaN where values are missing and may be. */
export function readLists({ variables, missing }: ForecastSettings, name: string, series: Series): Float64Array[] {
  return seriesOf(name, series, variables, missing === 'mask');
}

/** The same with their gaps filled. */
export function fillLists({ difference }: ForecastSettings, name: string, lists: readonly Float64Array[]) {
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

/**
 * All windows of a series that a whole horizon follows.
 *
 * @param known [variables] the series, NaN where a value is missing; `full` with the gaps filled
 * @returns the windows in the order of time, and what came after each, [horizon·targets], NaN where there is no value
 */
export function trainingWindows(
  settings: ForecastSettings,
  known: readonly Float64Array[],
  full: readonly Float64Array[],
  scaling: readonly Scaling[],
) {
  const { window, horizon, difference, normalization, variables, targets } = settings;
  const count = full[0].length - difference - window - horizon + 1;
  const z = full.map((y, v) => scaled(y, difference, scaling[v], 0));
  const wanted = targets.map((name) => variables.indexOf(name));
  const items = Array.from({ length: count }, (_, begin) => ({ length: window, z, begin, known: [], start: 0 }));
  const truth = ({ begin }: ForecastItem) => {
    const own = new Float32Array(horizon * targets.length);
    wanted.forEach((i, v) => {
      const { centre, spread } = relativeTo(normalization, z[i], begin, window);
      for (let k = 0; k < horizon; k++) {
        const t = begin + window + k;
        const absent = Number.isNaN(known[i][t + difference]);
        own[k * targets.length + v] = absent ? Number.NaN : (z[i][t] - centre) / spread;
      }
    });
    return own;
  };
  return { items, truth };
}

/** Where rolling forecasts begin. */
export interface Origins {
  readonly from: number;
  readonly until?: number | undefined;
  readonly stride: number;
}

/** @throws RangeError where a series of N steps has no forecasts from there */
export function checkOrigins(settings: ForecastSettings, N: number, { from, until }: Origins): void {
  const { window, horizon, difference } = settings;
  const first = window + difference;
  if (N < first + horizon) check.fail('series', `at least ${first + horizon} steps for one forecast`, N);
  check.whole('from', from, first, N - horizon);
  if (until !== undefined) check.whole('until', until, from + 1, N - horizon + 1);
}

/** The windows before the origins of rolling forecasts. @param full [variables] a series without gaps; z the same in the units of the model */
export function rollingWindows(
  { window, horizon, difference }: ForecastSettings,
  full: readonly Float64Array[],
  z: readonly Float64Array[],
  { from, until = full[0].length - horizon + 1, stride }: Origins,
) {
  return Array.from({ length: Math.ceil((until - from) / stride) }, (_, i) => {
    const origin = from + i * stride;
    const known = full.map((y) => y.subarray(origin - difference, origin));
    return { length: window, z, begin: origin - window - difference, known, start: origin - difference, origin };
  });
}
