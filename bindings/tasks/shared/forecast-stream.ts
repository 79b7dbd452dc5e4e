/** A forecaster step by step: what a stream of it keeps, and how it moves. */
import * as check from '../../check.js';
import type { Model } from '../../nn/model.js';
import { slice } from '../../nn/rows.js';
import type { Rows, Tape } from '../../tape.js';
import { type ForecastItem, windowRows } from './forecast-items.js';
import type { ForecastLayers } from './forecast-layers.js';
import { LAST_STEP } from './forecast-options.js';
import { fillLists, readLists, scaleLists } from './forecast-windows.js';
import type { Scaling, Series } from './series.js';
import type { Source } from './stream.js';

/** One step of a series: a number, or numbers by the names of the variables. */
export type StepValues = number | Readonly<Record<string, number>>;

/**
 * @param first the number of the first step; in a continued stream without it, none
 * @param begin the number of the first step after `reset`; throws where it is not known
 * @param result the forecast of one item
 */
export function forecastStream<R>(
  model: Model<ForecastLayers>,
  scaling: readonly Scaling[],
  first: readonly number[],
  begin: () => number,
  result: (tape: Tape, outputs: readonly Rows[], item: ForecastItem) => R,
): Omit<Source<StepValues, R | null>, 'task' | 'alive'> {
  const { layers } = model;
  const { settings } = layers;
  const { cell, difference, variables, horizon, window, linear, normalization } = settings;
  const again = normalization !== 'none';
  /** Values that are kept, next to the one that is read. */
  const most = difference + Math.max(again ? window : linear, 1) - 1;
  return {
    cell,
    start: () => ({ state: layers.rnn.state(1), values: { next: first, past: [] } }),
    check: ({ next, past }) => {
      const n = past.length / variables.length;
      check.whole('length of past', n, 0, most);
      for (const [i, v] of past.entries()) check.float(`past[${i}]`, v);
      if (next.length !== 1 && (next.length > 0 || n > 0)) check.fail('next', 'one number', next);
      if (next.length > 0) check.whole('next', next[0], n, LAST_STEP);
    },
    step: (values, { state, values: memory }) => {
      if (memory.next.length === 0) memory.next = [begin()];
      const given =
        typeof values === 'object' && values !== null
          ? Object.fromEntries(Object.entries(values).map(([name, v]) => [name, [v]]))
          : [values];
      const own = readLists(settings, 'values', given as Series);
      const n = memory.past.length / variables.length;
      const past = own.map((y, v) => Float64Array.of(...memory.past.slice(v * n, (v + 1) * n), y[0]));
      const known = fillLists(settings, 'values', past);
      const start = memory.next[0] - n;
      const keep = () => {
        memory.past = known.flatMap((y) => (most ? [...y.slice(-most)] : []));
        memory.next = [memory.next[0] + 1];
      };
      const length = n + 1 - difference;
      if (length < 1) {
        keep();
        return null;
      }
      const item: ForecastItem = { length, z: scaleLists(settings, known, scaling, start), begin: 0, known, start };
      const forecast = model.forward((tape) => {
        const x = windowRows(tape, layers, [item]);
        if (n === most) return result(tape, layers.forward(tape, x, horizon, again ? undefined : state), item);
        if (!again) layers.rnn.forward(tape, slice(tape, x, length - 1, length), state);
        return null;
      });
      keep();
      return forecast;
    },
  };
}
