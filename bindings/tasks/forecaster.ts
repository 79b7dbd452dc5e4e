/**
 * Time series: a window of past values → the values of the next steps, of one variable or many. All steps at once from the final state
 * (direct), or one after the other, each forecast being read like a value that came (recursive). Points, or quantiles.
 */
import * as check from '../check.js';
import { drawReservoir } from '../nn/reservoir.js';
import { readOptions, type Settings } from '../options.js';
import type { Rows, Tape } from '../tape.js';
import { type FitHistory, Recorder } from '../train/history.js';
import { Run } from '../train/run.js';
import { type BatchProgress, type EpochProgress, encodeAll } from './shared/batches.js';
import type { Axis } from './shared/dates.js';
import { fitBaselines } from './shared/forecast-baselines.js';
import { checkDates, startOf, streamStart } from './shared/forecast-dates.js';
import { type Calibration, type ForecastItem, forecastsOf, unitOf, windowRows } from './shared/forecast-items.js';
import { type ForecasterConfig, type ForecastLayers, type ForecastSettings, KIND } from './shared/forecast-layers.js';
import { solveLinear } from './shared/forecast-linear.js';
import { type Forecast, type ForecastMetrics, ForecastTally, Residuals, warning } from './shared/forecast-metrics.js';
import {
  CALIBRATE,
  type CalibrateOptions,
  EVALUATE,
  type EvaluateForecastOptions,
  FIT,
  type ForecasterFitOptions,
  type ForecastOptions,
  type ForecastStreamOptions,
  PREDICT,
  STREAM,
} from './shared/forecast-options.js';
import {
  type ByVariable,
  type ComparedSeries,
  changeBefore,
  comparedSeries,
  type ForecasterReport,
  type SeriesReport,
  scaledError,
  seriesWarning,
} from './shared/forecast-reports.js';
import {
  fillLists,
  isMany,
  type ReadSeries,
  readAll,
  readSeries,
  type SeriesInput,
  stepsOf,
} from './shared/forecast-series.js';
import { forecastStream, type StepValues, type TimeStep } from './shared/forecast-stream.js';
import {
  fitScales,
  lastWindow,
  rollingWindows,
  type Scales,
  trainingParts,
  trainingWindows,
} from './shared/forecast-windows.js';
import type { Call } from './shared/passes.js';
import type { Scaling } from './shared/series.js';
import type { Stream } from './shared/stream.js';
import type { LoadOptions, Made, TaskOptions } from './shared/task.js';
import { create, createSync, load, loadSync, Task } from './shared/task.js';

/**
 * @typeParam V names of the variables; `never` for one without a name
 * @typeParam T those that are predicted
 */
export interface ForecasterOptions<V extends string = string, T extends V = V>
  extends TaskOptions,
    Omit<ForecasterConfig, 'variables' | 'targets'> {
  /** Names of the variables that are read. Default: one variable without a name. */
  variables?: readonly V[] | undefined;
  /** The variables that are predicted, default all. */
  targets?: readonly T[] | undefined;
}

const total = (numbers: readonly number[]) => numbers.reduce((sum, n) => sum + n, 0);

/** A training without steps. */
async function* untrained(): AsyncGenerator<never, FitHistory, void> {
  yield* [];
  return new Recorder().history;
}

/** What the forecasts of each series and target are added to. */
const tallying = ({ targets, variables, horizon, quantiles }: ForecastSettings, all: readonly ReadSeries[]) =>
  all.map(({ lists }) => targets.map((name) => new ForecastTally(lists[variables.indexOf(name)], horizon, quantiles)));

/**
 * Forecasts a time series.
 *
 * @example
 * const saw = Array.from({ length: 100 }, (_, t) => (t % 12) / 12);
 * const model = await Forecaster.create({ window: 12, horizon: 4, hiddenSize: 8, seed: 1 });
 * await model.fit(saw, { epochs: 2 });
 * const [{ point }] = await model.predict([saw]); // point [4]
 */
export class Forecaster<T extends string = never> extends Task<ForecastLayers, ForecasterConfig> {
  private constructor(made: Made<ForecastLayers, ForecasterConfig>) {
    super(made);
    // what least squares have solved is not trained
    if (this.model.layers.linear) this.model.freeze('linear');
    if (this.model.layers.settings.reservoir) this.model.freeze('rnn', 'head');
  }

  /** Its name, also where a bundler has shortened that of the class. */
  static get taskName() {
    return 'Forecaster' as const;
  }

  /**
   * A model with fresh weights.
   *
   * @throws TypeError, RangeError for invalid options; UnsupportedError where there is no WebAssembly SIMD
   */
  static async create<const V extends string = never, const T extends V = V>(
    options: ForecasterOptions<V, T>,
  ): Promise<Forecaster<T>> {
    return new Forecaster<T>(await create(KIND, options));
  }

  /** The same, synchronously, for workers, worklets and scripts. */
  static createSync<const V extends string = never, const T extends V = V>(
    options: ForecasterOptions<V, T>,
  ): Forecaster<T> {
    return new Forecaster<T>(createSync(KIND, options));
  }

  /**
   * @typeParam T names of the targets that the model was created with
   * @throws FormatError for a file that is damaged or holds something else
   */
  static async load<T extends string = never>(
    bytes: Uint8Array | ArrayBuffer,
    options?: LoadOptions,
  ): Promise<Forecaster<T>> {
    return new Forecaster<T>(await load(KIND, bytes, options));
  }

  static loadSync<T extends string = never>(bytes: Uint8Array | ArrayBuffer, options?: LoadOptions): Forecaster<T> {
    return new Forecaster<T>(loadSync(KIND, bytes, options));
  }

  /** What was subtracted from each variable and divided by: fitted by the first `fit` and kept. Null before. */
  get scaling(): ByVariable<T, Scaling> | null {
    const { scaling } = this.data as { scaling?: readonly Scaling[] };
    const { named, variables } = this.#settings;
    if (!scaling) return null;
    const all: object = named ? Object.fromEntries(variables.map((name, v) => [name, scaling[v]])) : scaling[0];
    return all as ByVariable<T, Scaling>;
  }

  /**
   * Trains on all windows of a series, shuffled in each epoch. Called again it resumes, also after `save` and `load`, with a series that
   * begins at the same step. Of a list of series, one model is trained on the windows of all (a global model).
   *
   * With `reservoir` there is nothing to train: it takes `to` and `signal` alone, and no steps. Each `fit` solves for the output again.
   *
   * @throws before anything changes: RangeError, TypeError for an invalid series; NonFiniteError
   */
  fit(
    series: readonly SeriesInput[],
    options?: ForecasterFitOptions,
  ): Run<EpochProgress<SeriesReport<ForecasterReport<T, ForecastMetrics>>>, FitHistory>;
  fit(
    series: SeriesInput,
    options?: ForecasterFitOptions,
  ): Run<EpochProgress<ForecasterReport<T, ForecastMetrics>>, FitHistory>;
  fit(
    series: SeriesInput | readonly SeriesInput[],
    options: ForecasterFitOptions = {},
  ): Run<EpochProgress<object>, FitHistory> {
    const { targets, named, reservoir } = this.#settings;
    if (reservoir) check.options('fit with reservoir', options, ['to', 'signal']);
    const settings = readOptions('fit', FIT, options);
    const given = readAll(this.#settings, series);
    const axis = checkDates(this.#axis, given);
    const { whole, from, known, data } = trainingParts(this.#settings, given, settings);
    const fresh = !this.data.scaling;
    const starts = given.map((own) => (fresh ? 0 : startOf(this.#settings, this.#axis, own, 0)));
    const scales = fresh ? fitScales(this.#settings, known) : this.#scales;
    const { items, counts, truth } = trainingWindows(this.#settings, known, scales, starts);
    const loss = (tape: Tape, layers: ForecastLayers, batch: typeof items) => {
      const { x, future } = windowRows(tape, layers, batch);
      return layers.losses(tape, x, batch.map(truth), future);
    };
    const evaluate = (): Run<BatchProgress, object> => {
      const rolling = readOptions('evaluate', EVALUATE, { from, signal: settings.signal });
      const tallies = tallying(this.#settings, whole);
      const finish = (numbers: readonly number[]): object => {
        const metrics = tallies.map((own) => own.map((tally) => tally.metrics));
        const reports = metrics.map((own, i) => this.#report(numbers[i], own));
        if (!isMany(series)) return reports[0];
        return { forecasts: total(numbers), mase: scaledError(metrics, this.#changes(whole, from)), series: reports };
      };
      return this.#rolling(whole, rolling, (place, v) => tallies[place][v], finish);
    };
    const metric = isMany(series) ? 'mase' : named ? `variables.${targets[0]}.mae` : 'mae';
    const source = settings.validation === undefined ? undefined : { data, evaluate, metric };
    const run = reservoir
      ? new Run<EpochProgress<object>, FitHistory>(untrained(), settings.signal)
      : this.fitExamples<(typeof items)[number], object>(series, items, options, settings, loss, source);
    this.data = {
      scaling: scales.scaling,
      ...(scales.covariates.length ? { covariates: scales.covariates } : {}),
      ...(axis ? { dates: axis } : {}),
    };
    if (fresh && reservoir) this.#draw();
    if (fresh || reservoir) {
      const enter = (tape: Tape, places: readonly number[]) =>
        windowRows(
          tape,
          this.model.layers,
          places.map((i) => items[i]),
        );
      solveLinear(this.model, { counts, enter, truth: (i) => truth(items[i]) });
    }
    return run;
  }

  /**
   * What comes after each history, from its last `window` steps (and `difference` more). With future covariates, each history has those
   * of the predicted steps too: `horizon` more, or `steps` with `method: 'recursive'`.
   *
   * @returns a forecast for each history, [steps]; by the names of the targets, if the variables have names
   */
  predict(
    histories: readonly SeriesInput[],
    options: ForecastOptions = {},
  ): Run<BatchProgress, ByVariable<T, Forecast>[]> {
    const settings = readOptions('predict', PREDICT, options);
    const { horizon, method } = this.#settings;
    const { steps = horizon, start } = settings;
    if (steps > horizon && method === 'direct') {
      throw new RangeError(
        `steps: method 'direct' predicts at most horizon=${horizon} steps, got ${steps}; method 'recursive' can predict more`,
      );
    }
    const scales = this.#scales;
    const ahead = method === 'direct' ? horizon : steps;
    if (!Array.isArray(histories) || !histories.length) startOf(this.#settings, this.#axis, null, start);
    const items = encodeAll('histories', histories, 'series', (place, history): ForecastItem => {
      const own = readSeries(this.#settings, place, history, ahead);
      checkDates(this.#axis, [own]);
      return lastWindow(this.#settings, own, scales, startOf(this.#settings, this.#axis, own, start));
    });
    const work = (tape: Tape, layers: ForecastLayers, batch: ForecastItem[]) => {
      const { x, future } = windowRows(tape, layers, batch, steps);
      return this.#forecasts(tape, layers.forward(tape, x, steps, undefined, future), batch, steps);
    };
    return this.forEach(items, settings, work, { method: 'predict', data: histories, options });
  }

  /**
   * A stream: after each step, the forecast of the next ones; null for the first steps, while there are fewer than `difference` and what
   * the linear path reads, or than a window with `normalization`. Where `predict` reads a window, the recurrent layers of a stream
   * remember all that they have read; with `normalization` they read each window again. With future covariates, each step is
   * `{ series, futureCovariates }`, with those of the next `horizon` steps.
   *
   * @param saved what `save` of a stream returned
   * @param options `start`: the number of the first step, counted from the start of the training series. Required for a new stream with
   *   `trend: 'linear'`; `date`: the date of the first step instead, or as well
   */
  stream(
    saved?: Uint8Array | ArrayBuffer,
    options: ForecastStreamOptions = {},
  ): Stream<StepValues | TimeStep, ByVariable<T, Forecast> | null> {
    const settings = readOptions('stream', STREAM, options);
    const { horizon } = this.#settings;
    const scales = this.#scales;
    const start = streamStart(this.#settings, this.#axis, saved !== undefined, settings);
    const result = (tape: Tape, outputs: readonly Rows[], item: ForecastItem) =>
      this.#forecasts(tape, outputs, [item], horizon)[0];
    return this.openStream(saved, forecastStream(this.model, scales, start, result));
  }

  /**
   * Rolling forecasts: one from each of many steps, from all that was before, compared with what came. The report has the errors of
   * simple forecasts of the same steps, which are fitted to what is before `from`. Of a list of series it has a report of each, and the
   * mean of their errors relative to the scale of each.
   *
   * @param series begins where the training series began, or has dates; the first forecast is of step `from`
   */
  evaluate(series: SeriesInput, options: EvaluateForecastOptions): Run<BatchProgress, ForecasterReport<T>>;
  evaluate(
    series: readonly SeriesInput[],
    options: EvaluateForecastOptions,
  ): Run<BatchProgress, ComparedSeries<ForecasterReport<T>>>;
  evaluate(
    series: SeriesInput | readonly SeriesInput[],
    options: EvaluateForecastOptions,
  ): Run<BatchProgress, ForecasterReport<T>> | Run<BatchProgress, ComparedSeries<ForecasterReport<T>>> {
    const settings = readOptions('evaluate', EVALUATE, options);
    const { named, variables, targets } = this.#settings;
    const all = readAll(this.#settings, series);
    const from = stepsOf('from', settings.from, all);
    if (settings.season !== undefined) {
      const first = from.reduce((low, own) => Math.min(low, own), Infinity);
      check.whole('season', settings.season, 1, Math.max(1, first));
    }
    const tallies = tallying(this.#settings, all);
    const metrics = () => tallies.map((own) => own.map(({ compared }) => compared));
    const tally = (place: number, v: number) => tallies[place][v];
    const one = ([forecasts]: readonly number[]): ForecasterReport<T> => {
      const [own] = metrics();
      own.forEach((compared, v) => {
        if (settings.warn && compared.better.length) console.warn(warning(named ? targets[v] : '', compared));
      });
      return this.#report(forecasts, own);
    };
    const many = (numbers: readonly number[]): ComparedSeries<ForecasterReport<T>> => {
      const own = metrics();
      const together = comparedSeries(own, this.#changes(all, from));
      if (settings.warn && together.better.length) console.warn(seriesWarning(own, together));
      const reports = own.map((compared, i) => this.#report(numbers[i], compared));
      return { forecasts: total(numbers), ...together, series: reports };
    };
    const call = { method: 'evaluate', data: series, options };
    const run = isMany(series)
      ? this.#rolling(all, settings, tally, many, call)
      : this.#rolling(all, settings, tally, one, call);
    all.forEach((own, i) => {
      const full = fillLists(this.#settings, own);
      targets.forEach((name, v) => {
        tallies[i][v].baselines = fitBaselines(this.model, full[variables.indexOf(name)], from[i], settings.season);
      });
    });
    return run;
  }

  /**
   * Moves each quantile so that it has the coverage of its number on rolling forecasts from step `from` on, of values that `fit` has not
   * learned from: conformalized quantile regression (Romano, Patterson & Candès 2019, arXiv:1905.03222v1), each quantile and step ahead
   * on its own. It holds for values that come from the same process; the forecasts overlap, so it is no guarantee for series. It
   * replaces an earlier calibration, and `fit` drops it. Of a list of series, the moves are in the units of each window, and the
   * coverage is that of all series together.
   *
   * @param series begins where the training series began, or has dates
   * @throws RangeError for a model without quantiles, and for fewer forecasts than a quantile needs: 9 for 0.1 or 0.9, 19 for 0.05
   */
  calibrate(series: SeriesInput | readonly SeriesInput[], options: CalibrateOptions): Run<BatchProgress, void> {
    const settings = readOptions('calibrate', CALIBRATE, options);
    const { quantiles, horizon, targets } = this.#settings;
    if (quantiles.length === 0)
      throw new RangeError('calibrate: expected a model with quantiles; this one predicts points');
    const relative = isMany(series);
    const rest = targets.map(() => new Residuals(horizon, quantiles));
    const finish = () => {
      const calibration = rest.map(({ offsets }) => offsets);
      const { relative: _, ...data } = this.data;
      this.data = { ...data, calibration, ...(relative ? { relative } : {}) };
    };
    const all = readAll(this.#settings, series);
    const call = { method: 'calibrate', data: series, options };
    return this.#rolling(all, settings, (_, v) => rest[v], finish, call, { relative, calibration: null });
  }

  /** A tenth of the weights, or ten for each unit; inputs have about deviation 1. */
  #draw(): void {
    const { inputSize, hiddenSize } = this.model.layers.rnn.options;
    const units = [hiddenSize].flat()[0];
    const connectivity = Math.min(1, Math.max(0.1, 10 / units));
    const scales = { spectralRadius: 0.9, inputConnectivity: 1, inputScale: 0.5, biasScale: 0 };
    drawReservoir(this.model, { inputSize, units, connectivity, ...scales });
  }

  #report<M extends ForecastMetrics>(forecasts: number, all: readonly M[]): ForecasterReport<T, M> {
    const { named, targets } = this.#settings;
    const metrics: object = named
      ? { variables: Object.fromEntries(targets.map((name, v) => [name, all[v]])) }
      : all[0];
    return { forecasts, ...metrics } as ForecasterReport<T, M>;
  }

  /** What the errors of each series and target are divided by, [series][targets]. */
  #changes(all: readonly ReadSeries[], from: readonly number[]): number[][] {
    const { variables, targets } = this.#settings;
    return all.map((own, i) => {
      const full = fillLists(this.#settings, own);
      return targets.map((name) => changeBefore(full[variables.indexOf(name)], from[i]));
    });
  }

  /**
   * @param tally what the forecasts of a series and target are added to
   * @param finish given the number of forecasts of each series
   */
  #rolling<R>(
    all: readonly ReadSeries[],
    settings: Settings<typeof CALIBRATE>,
    tally: (
      place: number,
      v: number,
    ) => { add(origin: number, forecast: Forecast, truth: Float64Array, unit: number): void },
    finish: (numbers: readonly number[]) => R,
    call?: Call,
    { relative, calibration }: { relative: boolean; calibration: Calibration | null } = {
      relative: false,
      calibration: this.#calibration,
    },
  ): Run<BatchProgress, R> {
    const { horizon, variables, targets } = this.#settings;
    const { stride } = settings;
    const from = stepsOf('from', settings.from, all);
    const until = settings.until === undefined ? [] : stepsOf('until', settings.until, all);
    const scales = this.#scales;
    checkDates(this.#axis, all);
    const groups = all.map((own, i) => {
      const origins = { from: from[i], until: until[i], stride };
      return rollingWindows(this.#settings, own, scales, startOf(this.#settings, this.#axis, own, 0), i, origins);
    });
    const items = groups.flat();
    const { scaling } = scales;
    const wanted = targets.map((name) => variables.indexOf(name));
    const work = (tape: Tape, layers: ForecastLayers, batch: readonly ForecastItem[]) => {
      const { x, future } = windowRows(tape, layers, batch);
      const outputs = layers.forward(tape, x, horizon, undefined, future);
      return forecastsOf(tape, layers, { scaling, calibration }, outputs, batch, horizon);
    };
    const count = (forecasts: ReturnType<typeof work>, batch: typeof items) => {
      for (const [b, own] of forecasts.entries()) {
        const { place, origin } = batch[b];
        own.forEach((forecast, v) => {
          const unit = relative ? unitOf(this.#settings, scaling, batch[b], wanted[v]) : 1;
          tally(place, v).add(origin, forecast, all[place].lists[wanted[v]], unit);
        });
      }
    };
    return this.measure(items, settings, work, count, () => finish(groups.map(({ length }) => length)), call);
  }

  get #settings() {
    return this.model.layers.settings;
  }

  get #axis(): Axis | null {
    return (this.data as { dates?: Axis }).dates ?? null;
  }

  get #calibration(): Calibration | null {
    const { calibration: offsets, relative = false } = this.data as {
      calibration?: Calibration['offsets'];
      relative?: boolean;
    };
    return offsets ? { offsets, relative } : null;
  }

  get #scales(): Scales {
    const { scaling, covariates = [] } = this.data as Partial<Scales>;
    if (scaling) return { scaling, covariates };
    throw new Error('this model has not been trained: it does not know the scale of its variables. Call fit first');
  }

  #forecasts(
    tape: Tape,
    outputs: readonly Rows[],
    items: readonly ForecastItem[],
    steps: number,
  ): ByVariable<T, Forecast>[] {
    const { named, targets } = this.#settings;
    const learned = { scaling: this.#scales.scaling, calibration: this.#calibration };
    return forecastsOf(tape, this.model.layers, learned, outputs, items, steps).map((own) => {
      const all: object = named ? Object.fromEntries(targets.map((name, v) => [name, own[v]])) : own[0];
      return all as ByVariable<T, Forecast>;
    });
  }
}
