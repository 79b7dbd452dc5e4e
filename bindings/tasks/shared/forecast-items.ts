/** From windows of series to rows, and from outputs to forecasts in the units of the series. */
import { input, read } from '../../nn/input.js';
import type { Rows, Tape } from '../../tape.js';
import { type Axis, datesOf } from './dates.js';
import type { ForecastLayers } from './forecast-layers.js';
import type { Forecast } from './forecast-metrics.js';
import { relativeTo, restored, type Scaling } from './series.js';

/** What a forecast starts from: the windows in the units of the model, and the end of the history, to convert the forecast to the units of the series. */
export interface ForecastItem {
  /** Steps of the window. */
  readonly length: number;
  /** [variables] in the units of the model; the window begins at `begin`. */
  readonly z: readonly Float64Array[];
  readonly begin: number;
  /** [variables] at least the last `difference` values before the forecast, and the number of their first step. */
  readonly known: readonly Float64Array[];
  readonly start: number;
  /** [C] the future covariates in the units of the model, from the first step of `z` on, those of the forecast included. */
  readonly covariates: readonly Float64Array[];
  /** The dates from the first step of the forecast on, if they are known. */
  readonly dates?: Axis | null | undefined;
}

/** What is added to each quantile, [targets][quantiles][horizon]; to later steps what the last one has. */
export interface Calibration {
  readonly offsets: readonly (readonly (readonly number[])[])[];
  /** Whether they are in the units of each window; else in those of the series. */
  readonly relative: boolean;
}

/**
 * Windows [T,B,V+C] in the units of the model, all of the same length; at each step the covariates of the next one.
 *
 * @param steps of the forecast
 * @returns also the covariates [1,B,C] of each step of the forecast but the first
 */
export function windowRows(
  tape: Tape,
  { settings: { normalization, extras, horizon, method } }: ForecastLayers,
  items: readonly Pick<ForecastItem, 'length' | 'z' | 'begin' | 'covariates'>[],
  steps = horizon,
): { x: Rows; future: Rows[] } {
  const [B, T, V] = [items.length, items[0].length, items[0].z.length];
  const F = V + extras;
  const values = new Float32Array(T * B * F);
  items.forEach(({ z, begin, covariates }, b) => {
    z.forEach((own, v) => {
      const { centre, spread } = relativeTo(normalization, own, begin, T);
      for (let t = 0; t < T; t++) values[(t * B + b) * F + v] = (own[begin + t] - centre) / spread;
    });
    covariates.forEach((own, c) => {
      for (let t = 0; t < T; t++) values[(t * B + b) * F + V + c] = own[begin + t + 1];
    });
  });
  const x = input(tape, values, { T, B, F });
  const future = Array.from({ length: extras ? (method === 'direct' ? horizon : steps) - 1 : 0 }, (_, k) => {
    const next = Float32Array.from({ length: B * extras }, (_, i) => {
      const { covariates, begin } = items[Math.floor(i / extras)];
      return covariates[i % extras][begin + T + 1 + k];
    });
    return input(tape, next, { T: 1, B, F: extras });
  });
  return { x, future };
}

/** How much a number of a window's own units is, in the units of the series. */
export function unitOf(
  { normalization }: ForecastLayers['settings'],
  scaling: readonly Scaling[],
  { z, begin, length }: Pick<ForecastItem, 'z' | 'begin' | 'length'>,
  v: number,
): number {
  return scaling[v].scale * relativeTo(normalization, z[v], begin, length).spread;
}

/** [B][targets] forecasts in the units of the series. */
export function forecastsOf(
  tape: Tape,
  { settings, points }: ForecastLayers,
  { scaling, calibration }: { scaling: readonly Scaling[]; calibration: Calibration | null },
  outputs: readonly Rows[],
  items: readonly ForecastItem[],
  steps: number,
): Forecast[][] {
  const { variables, targets, quantiles, difference, normalization } = settings;
  const Q = quantiles.length || 1;
  const width = targets.length * Q;
  const numbers = outputs.map((y) => read(tape, y));
  return items.map((item, b) => {
    const { length, z, begin, known, start } = item;
    const dates = item.dates && { dates: datesOf(item.dates, 0, steps) };
    // of step k, target and quantile together c: all steps in one piece, or a piece for each
    const of = (k: number, c: number) => {
      const all = numbers[k] ?? numbers[0];
      const F = all.length / items.length;
      return all[b * F + (F > width ? k * width : 0) + c];
    };
    const steady = (c: (k: number) => number) => Float64Array.from({ length: steps }, (_, k) => c(k));
    return targets.map((name, v) => {
      const i = variables.indexOf(name);
      const { centre, spread } = relativeTo(normalization, z[i], begin, length);
      const absolute = (c: (k: number) => number) => steady((k) => c(k) * spread + centre);
      const middle = absolute((k) => of(k, points[v]));
      const undo = (own: Float64Array) => restored(own, middle, known[i], difference, scaling[i], start);
      if (quantiles.length === 0) return { point: undo(middle), ...dates };
      // quantiles that cross are sorted: Chernozhukov, Fernández-Val & Galichon 2010, https://doi.org/10.3982/ECTA7880
      const ordered = Array.from({ length: steps }, (_, k) =>
        Float64Array.from(quantiles, (_, q) => of(k, v * Q + q)).sort(),
      );
      const bands = quantiles.map((_, q) => undo(absolute((k) => ordered[k][q])));
      const moved = calibration?.offsets[v];
      const unit = calibration?.relative ? unitOf(settings, scaling, item, i) : 1;
      for (let k = 0; moved && k < steps; k++) {
        const own = bands.map((band, q) => band[k] + unit * moved[q][Math.min(k, moved[q].length - 1)]);
        own.sort((a, b) => a - b);
        for (const [q, band] of bands.entries()) band[k] = own[q];
      }
      return { point: bands[points[v] - v * Q], quantiles: bands, ...dates };
    });
  });
}
