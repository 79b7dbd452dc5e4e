/** From windows of series to rows, and from outputs to forecasts in the units of the series. */
import { input, read } from '../../nn/input.js';
import type { Rows, Tape } from '../../tape.js';
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
}

/** What is added to each quantile, [targets][quantiles][horizon], in the units of the series; to later steps what the last one has. */
export type Calibration = readonly (readonly (readonly number[])[])[];

/** Windows [T,B,V] in the units of the model; all of the same length. */
export function windowRows(
  tape: Tape,
  { settings: { normalization } }: ForecastLayers,
  items: readonly Pick<ForecastItem, 'length' | 'z' | 'begin'>[],
): Rows {
  const [B, T, F] = [items.length, items[0].length, items[0].z.length];
  const values = new Float32Array(T * B * F);
  items.forEach(({ z, begin }, b) => {
    z.forEach((own, v) => {
      const { centre, spread } = relativeTo(normalization, own, begin, T);
      for (let t = 0; t < T; t++) values[(t * B + b) * F + v] = (own[begin + t] - centre) / spread;
    });
  });
  return input(tape, values, { T, B, F });
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
  return items.map(({ length, z, begin, known, start }, b) => {
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
      if (quantiles.length === 0) return { point: undo(middle) };
      // quantiles that cross are sorted: Chernozhukov, Fernández-Val & Galichon 2010, https://doi.org/10.3982/ECTA7880
      const ordered = Array.from({ length: steps }, (_, k) =>
        Float64Array.from(quantiles, (_, q) => of(k, v * Q + q)).sort(),
      );
      const bands = quantiles.map((_, q) => undo(absolute((k) => ordered[k][q])));
      const moved = calibration?.[v];
      for (let k = 0; moved && k < steps; k++) {
        const own = bands.map((band, q) => band[k] + moved[q][Math.min(k, moved[q].length - 1)]);
        own.sort((a, b) => a - b);
        for (const [q, band] of bands.entries()) band[k] = own[q];
      }
      return { point: bands[points[v] - v * Q], quantiles: bands };
    });
  });
}
