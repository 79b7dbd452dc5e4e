/** Forecasters under test: rolling forecasts with and without training again, and settings chosen on the end of the training data. */
import * as check from '../check.js';
import {
  listOf,
  type Options,
  oneOf,
  option,
  optional,
  rate,
  readOptions,
  required,
  type Settings,
  share,
  whole,
} from '../options.js';
import { Run } from '../train/run.js';
import { Forecaster, type ForecasterOptions } from './forecaster.js';
import { type BatchProgress, SIGNAL } from './shared/batches.js';
import { settingsOf } from './shared/forecast-layers.js';
import { type ComparedMetrics, pooled } from './shared/forecast-metrics.js';
import type { ForecasterFitOptions } from './shared/forecast-options.js';
import {
  type AnyReport,
  type ComparedSeries,
  changeBefore,
  comparedSeries,
  type ForecasterReport,
  metricsOf,
} from './shared/forecast-reports.js';
import { fillLists, isMany, readAll, readStep, type SeriesInput, stepsOf } from './shared/forecast-series.js';
import { nameOf } from './shared/forecast-windows.js';

/** Options that another call checks. */
const object = <T extends object>(name: string, value: unknown): T =>
  typeof value === 'object' && value !== null ? (value as T) : check.fail(name, 'an object of options', value);

const BACKTEST = {
  /**
   * The step that the first forecast begins with: a number, below 0 counted from the end as by `slice`, or a date; or one for each of
   * several series.
   */
  from: required(readStep),
  /** The last forecast begins before this step, given like `from`. Default: the last one begins `horizon` steps before the end. */
  until: optional(readStep),
  /** Steps between the beginnings of two forecasts, default 1. */
  stride: option(whole(1), 1),
  /** Steps after which a fresh model is trained on all that came before, a multiple of `stride`. Default: one model, trained once. */
  refit: optional(whole(1)),
  /** The period of the seasonal naive forecast, as in `evaluate`. */
  season: optional(whole(1)),
  /** Options of `Forecaster.create`. */
  create: required(object<ForecasterOptions>),
  /** Options of `fit`, without `to`. Default `{}`. */
  fit: option(object<ForecasterFitOptions>, {}),
  ...SIGNAL,
};

/** @typeParam V, T names of the variables that are read and predicted */
export interface BacktestOptions<V extends string = string, T extends V = V>
  extends Omit<Options<typeof BACKTEST>, 'create' | 'fit'> {
  /** Options of `Forecaster.create`. */
  create: ForecasterOptions<V, T>;
  /** Options of `fit`, without `to`. Default `{}`. */
  fit?: Omit<ForecasterFitOptions, 'to' | 'signal'> | undefined;
}

/**
 * Rolling forecasts of models that know only what came before: each is trained on the steps before its first forecast. Simple forecasts
 * are fitted to the same steps; `season` and `order` in the report are those of the last model.
 *
 * @param series from the beginning of the training data to the last step that is compared with; of a list, each model learns from all
 * @returns what `evaluate` reports, over the forecasts of all models
 * @throws TypeError, RangeError for invalid options
 *
 * @example
 * const months = Array.from({ length: 90 }, (_, t) => (t % 12) / 6 + ((t * t) % 7) / 20);
 * const create = { window: 12, horizon: 3, hiddenSize: 4 };
 * const once = await backtest(months, { from: 70, create, fit: { epochs: 2 } });
 * const often = await backtest(months, { from: 70, create, fit: { epochs: 2 }, refit: 6 });
 * console.log(once.forecasts, often.forecasts); // 18 18
 */
export function backtest<const V extends string = never, const T extends V = V>(
  series: SeriesInput,
  options: BacktestOptions<V, T>,
): Run<BatchProgress, ForecasterReport<T>>;
export function backtest<const V extends string = never, const T extends V = V>(
  series: readonly SeriesInput[],
  options: BacktestOptions<V, T>,
): Run<BatchProgress, ComparedSeries<ForecasterReport<T>>>;
export function backtest<const V extends string = never, const T extends V = V>(
  series: SeriesInput | readonly SeriesInput[],
  options: BacktestOptions<V, T>,
): Run<BatchProgress, ForecasterReport<T>> | Run<BatchProgress, ComparedSeries<ForecasterReport<T>>> {
  const { from: first, until, stride, refit, season, create, fit, signal } = readOptions('backtest', BACKTEST, options);
  const settings = settingsOf({ ...create });
  const { horizon, variables, targets, named } = settings;
  const all = readAll(settings, series);
  const from = stepsOf('from', first, all);
  const untils = until === undefined ? null : stepsOf('until', until, all);
  const ends = all.map((own, i) => {
    const last = own.lists[0].length - horizon + 1;
    check.whole(nameOf('from', own), from[i], 1, last - 1);
    return untils ? check.whole(nameOf('until', own), untils[i], from[i] + 1, last) : last;
  });
  if (refit !== undefined && refit % stride) check.fail('refit', `a multiple of stride=${stride}`, refit);
  const total = ends.reduce((most, end, i) => Math.max(most, end - from[i]), 0);
  const each = refit ?? total;

  /** What the models have shown on each series. */
  async function* test(): AsyncGenerator<BatchProgress, Part[][], void> {
    const parts: Part[][] = all.map(() => []);
    for (let done = 0; done < total; done += each) {
      signal?.throwIfAborted();
      const model = await Forecaster.create(create);
      try {
        // of a series that has come to its end, all that was known then
        const to = from.map((own, i) => Math.min(own + done, ends[i]));
        const left = [...all.keys()].filter((i) => to[i] < ends[i]);
        const rest = {
          from: left.map((i) => to[i]),
          until: left.map((i) => Math.min(to[i] + each, ends[i])),
          ...{ stride, season, signal, warn: false },
        };
        const learn = { ...fit, to, signal };
        if (isMany(series)) {
          await model.fit(series, learn);
          const report = await model.evaluate(
            left.map((i) => series[i]),
            rest,
          );
          left.forEach((i, n) => {
            parts[i].push(partOf(report.series[n]));
          });
        } else {
          await model.fit(series, learn);
          parts[0].push(partOf(await model.evaluate(series, rest)));
        }
      } finally {
        model.dispose();
      }
      yield { done: Math.min(done + each, total), total };
    }
    return parts;
  }
  /** The report of one series. */
  const joined = (parts: readonly Part[]): ForecasterReport<T> => {
    const forecasts = parts.reduce((sum, part) => sum + part.forecasts, 0);
    const own = pooledParts(parts);
    const metrics: object = named
      ? { variables: Object.fromEntries(targets.map((name, v) => [name, own[v]])) }
      : own[0];
    return { forecasts, ...metrics } as ForecasterReport<T>;
  };
  async function* one(): AsyncGenerator<BatchProgress, ForecasterReport<T>, void> {
    const [parts] = yield* test();
    return joined(parts);
  }
  async function* many(): AsyncGenerator<BatchProgress, ComparedSeries<ForecasterReport<T>>, void> {
    const parts = yield* test();
    const changes = all.map((own, i) => {
      const full = fillLists(settings, own);
      return targets.map((name) => changeBefore(full[variables.indexOf(name)], from[i]));
    });
    const reports = parts.map(joined);
    const forecasts = reports.reduce((sum, own) => sum + own.forecasts, 0);
    return { forecasts, ...comparedSeries(parts.map(pooledParts), changes), series: reports };
  }
  return isMany(series) ? new Run(many(), signal) : new Run(one(), signal);
}

/** What one model has shown on one series: the metrics of its targets. */
interface Part {
  readonly forecasts: number;
  readonly metrics: readonly ComparedMetrics[];
}

/** The metrics of each target over stretches of one series. */
const pooledParts = (parts: readonly Part[]): ComparedMetrics[] =>
  parts[0].metrics.map((_, v) => pooled(parts.map(({ metrics }) => metrics[v])));

const partOf = (report: AnyReport & { readonly forecasts: number }): Part => ({
  forecasts: report.forecasts,
  metrics: metricsOf(report),
});

const CANDIDATES = {
  /** Steps that are read: by default half of the horizon, once and twice, and one, two and three seasons. */
  windows: optional(listOf(whole(1), 'a list of whole numbers')),
  /** Differences: by default 0, 1 and the season. */
  differences: optional(listOf(whole(0), 'a list of whole numbers')),
  /** Trends, without normalization. Default both. */
  trends: option(listOf(oneOf('none', 'linear'), 'a list'), ['none', 'linear']),
  /** Normalizations. Default all. */
  normalizations: option(listOf(oneOf('none', 'last', 'standard'), 'a list'), ['none', 'last', 'standard']),
  /** Cells. Default `['gru', 'lstm', 'rnn']`. */
  cells: option(listOf(oneOf('rnn', 'lstm', 'gru', 'residual'), 'a list of cells'), ['gru', 'lstm', 'rnn']),
};

const CHOOSE = {
  ...CANDIDATES,
  /** Steps of the series to choose with, as in `fit`, default all. Later steps have no effect. */
  to: optional(readStep),
  /** The share of these steps, at their end, that candidates are compared on. Default 0.25. */
  validation: option(share, 0.25),
  /** The period of the series, 12 for months. Default 1: no season. */
  season: option(whole(1), 1),
  /** How much worse a candidate with fewer transforms may be to be preferred, as a share of its error. Default 0.1. */
  margin: option(rate, 0.1),
  /** Options of `Forecaster.create` that all candidates have: `horizon`, `variables` … */
  create: required(object<Partial<ForecasterOptions>>),
  /** Options of `fit`, which replace `epochs: 30` and `patience: 8`. Default `{}`. */
  fit: option(object<ForecasterFitOptions>, {}),
  ...SIGNAL,
};

export interface ChooseOptions<V extends string = string, T extends V = V>
  extends Omit<Options<typeof CHOOSE>, 'create' | 'fit'> {
  /** Options of `Forecaster.create` that all candidates have: `horizon`, `variables` … */
  create: Omit<ForecasterOptions<V, T>, 'window'>;
  /** Options of `fit`, which replace `epochs: 30` and `patience: 8`. Default `{}`. */
  fit?: Omit<ForecasterFitOptions, 'to' | 'signal' | 'validation'> | undefined;
}

/** One setting that was tried, with the linear path alone, and its error: the mean over the targets, and over the series, of MAE / MAE of the last value. */
export interface Candidate {
  readonly window: number;
  readonly difference: number;
  readonly trend: 'none' | 'linear';
  readonly normalization: 'none' | 'last' | 'standard';
  readonly error: number;
}

/** What `chooseForecaster` returns. */
export interface Choice<V extends string = string, T extends V = V> {
  /** For `Forecaster.create`. */
  readonly create: ForecasterOptions<V, T>;
  /** For `fit` on all of the training data: as many epochs as were best; a `learningRate` of 0 where the linear path alone was. */
  readonly fit: ForecasterFitOptions;
  /** What was tried, the best first. */
  readonly candidates: readonly Candidate[];
  /**
   * The smallest mean absolute error of each cell (of the first target; of many series the mean scaled error) on the validation part, and
   * the epochs that it took.
   */
  readonly cells: readonly { readonly cell: string; readonly mae: number; readonly epochs: number }[];
}

/**
 * Chooses window, difference, trend, normalization and cell on the last part of the training data. Each combination of the first four is
 * tried with its linear path alone, on rolling forecasts of the validation part. Of those within `margin` of the best, the one with
 * the fewest transforms is taken (as with the one-standard-error rule of Breiman et al. 1984), then the best. Then it is trained with each
 * cell.
 *
 * @throws TypeError, RangeError for invalid options, and for a series that is too short for every candidate
 *
 * @example
 * const months = Array.from({ length: 120 }, (_, t) => t / 20 + (t % 12) / 6 + ((t * t) % 7) / 20);
 * const choice = await chooseForecaster(months, { create: { horizon: 6, hiddenSize: 4 }, season: 12, fit: { epochs: 2 } });
 * const model = await Forecaster.create(choice.create);
 * await model.fit(months, choice.fit);
 * console.log(choice.candidates.length > 10, choice.cells.length); // true 3
 */
export function chooseForecaster<const V extends string = never, const T extends V = V>(
  series: SeriesInput | readonly SeriesInput[],
  options: ChooseOptions<V, T>,
): Run<BatchProgress, Choice<V, T>> {
  const settings = readOptions('chooseForecaster', CHOOSE, options);
  for (const name of ['windows', 'differences', 'trends', 'normalizations', 'cells'] as const) {
    if (settings[name]?.length === 0) throw new RangeError(`${name}: expected at least one`);
  }
  const { create, signal, margin } = settings;
  const base = settingsOf({ ...create, window: 1, linear: 1 });
  const { horizon } = base;
  const all = readAll(base, series);
  const lengths = all.map(({ lists }) => lists[0].length);
  const to = settings.to === undefined ? lengths : stepsOf('to', settings.to, all);
  const ends = to.map((n, i) => {
    check.whole(nameOf('to', all[i]), n, 1, lengths[i]);
    return n - Math.round(n * settings.validation);
  });
  const tried = combinations(settings, horizon).filter(
    ({ window, difference, trend }) =>
      ends.every((end, i) => window + difference + 2 * horizon <= end && end + horizon <= to[i]) &&
      (trend === 'none' || all.length === 1),
  );
  if (tried.length === 0) {
    const i = ends.reduce((least, end, own) => (end < ends[least] ? own : least), 0);
    const what = `enough steps for window, difference and twice the horizon in the first ${ends[i]} of ${to[i]}`;
    check.fail(all[i].name, what, lengths[i]);
  }
  const until = to.map((n) => n - horizon + 1);
  /** One training, and how long it took to its best. */
  const fitted = (model: Forecaster<string>, own: ForecasterFitOptions) =>
    isMany(series) ? model.fit(series, own) : model.fit(series, own);

  async function* work(): AsyncGenerator<BatchProgress, Choice<V, T>, void> {
    const total = tried.length + settings.cells.length;
    const candidates: Candidate[] = [];
    for (const own of tried) {
      signal?.throwIfAborted();
      const model = await Forecaster.create({ ...create, ...own, hiddenSize: 1, numLayers: 1, cell: 'rnn' });
      try {
        // the linear path alone
        await fitted(model, { to: ends, steps: 1, learningRate: 0, signal });
        const rolling = { from: ends, until, warn: false, signal };
        const reports = isMany(series)
          ? (await model.evaluate(series, rolling)).series
          : [await model.evaluate(series, rolling)];
        candidates.push({ ...own, error: relativeError(reports.flatMap(metricsOf)) });
      } finally {
        model.dispose();
      }
      yield { done: candidates.length, total };
    }
    candidates.sort((a, b) => a.error - b.error);
    const near = candidates.filter(({ error }) => error * (1 - margin) <= candidates[0].error);
    const [{ error: _, ...best }] = near.sort((a, b) => transforms(a) - transforms(b) || a.error - b.error);

    const cells: { cell: string; mae: number; epochs: number }[] = [];
    const fit = { epochs: 30, patience: 8, ...settings.fit };
    for (const cell of settings.cells) {
      const model = await Forecaster.create({ ...create, ...best, cell });
      try {
        const { best: found, validations } = await fitted(model, {
          ...fit,
          to,
          validation: settings.validation,
          signal,
        });
        const at = validations.step.indexOf(found?.step ?? 0);
        cells.push({ cell, mae: found?.value ?? Number.NaN, epochs: Math.round(validations.epoch[at]) });
      } finally {
        model.dispose();
      }
      yield { done: tried.length + cells.length, total };
    }
    const [{ cell, epochs }] = [...cells].sort((a, b) => a.mae - b.mae);
    const { patience: __, minDelta: ___, metric: ____, validateEvery: _____, ...rest } = settings.fit;
    return {
      create: { ...create, ...best, cell } as ForecasterOptions<V, T>,
      fit: epochs ? { ...rest, epochs } : { ...rest, epochs: 1, learningRate: 0 },
      candidates,
      cells,
    };
  }
  return new Run(work(), signal);
}

const transforms = ({ difference, trend, normalization }: Omit<Candidate, 'error'>) =>
  Number(difference > 0) + Number(trend !== 'none') + Number(normalization !== 'none');

function combinations(settings: Settings<typeof CANDIDATES> & { season: number }, horizon: number) {
  const { season, trends, normalizations } = settings;
  const seasons = season > 1 ? [season, 2 * season, 3 * season] : [];
  const { windows = [Math.ceil(horizon / 2), horizon, 2 * horizon, ...seasons], differences = [0, 1, season] } =
    settings;
  const all: Omit<Candidate, 'error'>[] = [];
  for (const window of new Set(windows))
    for (const difference of new Set(differences))
      for (const normalization of new Set(normalizations))
        for (const trend of new Set(trends))
          if (trend === 'none' || normalization === 'none') all.push({ window, difference, trend, normalization });
  return all;
}

/** The mean over the targets and series of MAE / MAE of the last value. */
function relativeError(all: readonly ComparedMetrics[]): number {
  return all.reduce((sum, { mae, baselines }) => sum + mae / (baselines.naive.mae || 1), 0) / all.length;
}
