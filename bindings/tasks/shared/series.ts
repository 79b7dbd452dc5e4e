/**
 * Transforms of a time series before training, and their inverses: differences, the linear trend, the scale. All
 * in double precision, by the four operations and the root, which every engine rounds alike; fitted once, kept in the model.
 */
import * as check from '../../check.js';

/** One variable: numbers; several: numbers by their names, all equally many. With `missing: 'mask'`, NaN is a missing value. */
export type Series = ArrayLike<number> | Readonly<Record<string, ArrayLike<number>>>;

/** The name of the variable where there is one and it has none. */
export const ONLY = 'value';

/**
 * A series as a list for each variable, in the order of `variables`.
 *
 * @param gaps whether values may be NaN
 */
export function seriesOf(name: string, series: Series, variables: readonly string[], gaps = false): Float64Array[] {
  if (typeof series !== 'object' || series === null) check.fail(name, 'numbers, or numbers by their names', series);
  const bare = Array.isArray(series) || ArrayBuffer.isView(series);
  if (bare && variables.length > 1)
    throw new TypeError(`${name}: expected numbers for each of ${check.list(variables)}, got one list`);
  if (!bare) check.options(name, series, variables);
  const lists = variables.map((variable) => {
    const place = bare ? name : `${name}.${variable}`;
    const list = bare ? (series as ArrayLike<number>) : (series as Record<string, ArrayLike<number>>)[variable];
    if (!Array.isArray(list) && !ArrayBuffer.isView(list)) check.fail(place, 'a list of numbers', list);
    const values = list as ArrayLike<number>;
    return Float64Array.from({ length: values.length }, (_, t) =>
      gaps && Number.isNaN(values[t]) ? Number.NaN : check.float(`${place}[${t}]`, values[t]),
    );
  });
  const odd = lists.findIndex(({ length }) => length !== lists[0].length);
  if (odd > 0) {
    throw new RangeError(
      `${name}: ${variables[odd]} has ${lists[odd].length} steps, ${variables[0]} has ${lists[0].length}`,
    );
  }
  return lists;
}

/**
 * The series with its gaps filled, from what was before: the value `difference` steps ago, or else the last one; before the first value,
 * that value.
 *
 * @throws RangeError where there is no value
 */
export function filled(name: string, y: Float64Array, difference: number): Float64Array {
  if (!y.some(Number.isNaN)) return y;
  const first = y.findIndex((v) => !Number.isNaN(v));
  if (first < 0) check.fail(name, 'at least one value that is not NaN', `${y.length} × NaN`);
  const full = y.slice().fill(y[first], 0, first);
  for (let t = first; t < y.length; t++) {
    if (Number.isNaN(full[t])) full[t] = full[difference && t >= difference ? t - difference : t - 1];
  }
  return full;
}

/** What was fitted for one variable: z_t = (d_t - level - slope·t)/scale, where d_t is y_t, or y_t - y_{t-difference}. */
export interface Scaling {
  readonly level: number;
  readonly slope: number;
  readonly scale: number;
}

/** d_t from `from` on; t counts from the series' start. */
function differenced(y: Float64Array, difference: number, from: number): Float64Array {
  const d = y.slice(from);
  if (difference) for (let t = from; t < y.length; t++) d[t - from] -= y[t - difference];
  return d;
}

/** Fits one variable: least squares for level and slope, the root mean square of what is left for the scale. */
export function fitScaling(y: Float64Array, difference: number, trend: boolean): Scaling {
  const d = differenced(y, difference, difference);
  const n = d.length;
  const middle = (n - 1) / 2;
  const mean = d.reduce((sum, v) => sum + v, 0) / n;
  let products = 0;
  let squares = 0;
  if (trend) {
    d.forEach((v, i) => {
      products += (i - middle) * (v - mean);
      squares += (i - middle) * (i - middle);
    });
  }
  const slope = squares ? products / squares : 0;
  const level = mean - slope * (middle + difference);
  const rest = d.reduce((sum, v, i) => {
    const e = v - level - slope * (i + difference);
    return sum + e * e;
  }, 0);
  return { level, slope, scale: Math.sqrt(rest / n) || 1 };
}

/**
 * A stretch of a series in the units of the model.
 *
 * @param y steps from `start` on; the first `difference` of them are used up
 * @param start number of its first step, counted from where the series began that the scaling was fitted to
 */
export function scaled(y: Float64Array, difference: number, { level, slope, scale }: Scaling, start: number) {
  return differenced(y, difference, difference).map((d, i) => (d - level - slope * (start + difference + i)) / scale);
}

/**
 * The inverse.
 *
 * @param z what the model says of the steps after `history`
 * @param centre the same for its point forecast: differences are taken from that where history has come to an end
 * @returns forecasts of z, [steps]
 */
export function restored(
  z: Float64Array,
  centre: Float64Array,
  history: Float64Array,
  difference: number,
  { level, slope, scale }: Scaling,
  start: number,
): Float64Array {
  const n = history.length;
  const past = [...history];
  return z.map((_, k) => {
    const rest = level + slope * (start + n + k) + (difference ? past[n + k - difference] : 0);
    past.push(centre[k] * scale + rest);
    return z[k] * scale + rest;
  });
}

/** What a window is relative to: (z - centre)/spread. */
export interface Relative {
  readonly centre: number;
  readonly spread: number;
}

/** The standard deviation of what is at least one number. */
export function spreadOf(y: Float64Array): number {
  const mean = y.reduce((sum, v) => sum + v, 0) / y.length;
  return Math.sqrt(y.reduce((sum, v) => sum + (v - mean) * (v - mean), 0) / y.length);
}

const ABSOLUTE: Relative = { centre: 0, spread: 1 };
/** Added to the variance of a window: that of a constant one is 0. */
const EPSILON = 1e-5;
/** A window with a smaller part of the spread of its series counts as constant; 1/316 = √1e-5. */
export const FLAT = 1 / 316;

/** What the window of one variable is relative to: n steps of z from `begin` on. */
export function relativeTo(kind: 'none' | 'last' | 'standard', z: Float64Array, begin: number, n: number): Relative {
  if (kind === 'none') return ABSOLUTE;
  const end = begin + n;
  if (kind === 'last') return { centre: z[end - 1], spread: 1 };
  let sum = 0;
  for (let t = begin; t < end; t++) sum += z[t];
  const centre = sum / n;
  let squares = 0;
  for (let t = begin; t < end; t++) squares += (z[t] - centre) * (z[t] - centre);
  return { centre, spread: Math.sqrt(squares / n + EPSILON) };
}
