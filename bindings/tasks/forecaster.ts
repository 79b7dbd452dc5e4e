/**
 * Time series: a window of past values → the values of the next steps, of one variable or many. All steps at once from the final state
 * (direct), or one after the other, each forecast being read like a value that came (recursive). Points, or quantiles.
 */
import * as check from '../check.js';
import { type Options, readOptions, type Settings } from '../options.js';
import type { Rows, Tape } from '../tape.js';
import type { FitHistory } from '../train/history.js';
import type { Run } from '../train/run.js';
import { type BatchProgress, type EpochProgress, encodeAll } from './shared/batches.js';
import { fitBaselines } from './shared/forecast-baselines.js';
import { type Calibration, type ForecastItem, forecastsOf, windowRows } from './shared/forecast-items.js';
import { type ForecasterConfig, type ForecastLayers, KIND } from './shared/forecast-layers.js';
import { solveLinear } from './shared/forecast-linear.js';
import {
  type ComparedMetrics,
  type Forecast,
  type ForecastMetrics,
  ForecastTally,
  Residuals,
  warning,
} from './shared/forecast-metrics.js';
import {
  CALIBRATE,
  type CalibrateOptions,
  EVALUATE,
  type EvaluateForecastOptions,
  FIT,
  type ForecasterFitOptions,
  type ForecastOptions,
  PREDICT,
  START,
} from './shared/forecast-options.js';
import { forecastStream, type StepValues } from './shared/forecast-stream.js';
import {
  checkOrigins,
  fillLists,
  readLists,
  rollingWindows,
  scaleLists,
  trainingWindows,
} from './shared/forecast-windows.js';
import type { Call } from './shared/passes.js';
import { fitScaling, type Scaling, type Series } from './shared/series.js';
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

/** A result for each variable by its name, or the result itself for one variable without a name. */
export type ByVariable<T extends string, R> = [T] extends [never] ? R : Readonly<Record<T, R>>;

/**
 * `forecasts` is their number; the metrics are those of the variable, or by the names of the variables.
 *
 * @typeParam M what there is for each variable: validation in `fit` leaves the baselines out
 */
export type ForecasterReport<T extends string = string, M extends ForecastMetrics = ComparedMetrics> = {
  readonly forecasts: number;
} & ([T] extends [never] ? M : { readonly variables: Readonly<Record<T, M>> });

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
   * begins at the same step.
   *
   * @throws before anything changes: RangeError, TypeError for an invalid series; NonFiniteError
   */
  fit(
    series: Series,
    options: ForecasterFitOptions = {},
  ): Run<EpochProgress<ForecasterReport<T, ForecastMetrics>>, FitHistory> {
    const settings = readOptions('fit', FIT, options);
    const { to } = options;
    const { window, horizon, difference, trend, targets, named, quantiles } = this.#settings;
    const given = readLists(this.#settings, 'series', series);
    if (to !== undefined) check.whole('to', to, 1, given[0].length);
    const whole = given.map((y) => y.subarray(0, to));
    const end = whole[0].length;
    const kept = this.#kept(settings.validation, end);
    const known = whole.map((y) => y.subarray(0, end - kept));
    const lists = fillLists(this.#settings, 'series', known);
    const count = lists[0].length - difference - window - horizon + 1;
    if (count < 1) {
      check.fail(
        'series',
        `at least ${difference + window + horizon} steps for window ${window}, horizon ${horizon} and difference ${difference}`,
        lists[0].length,
      );
    }
    const { data } = this;
    const scaling = (data.scaling ?? lists.map((y) => fitScaling(y, difference, trend === 'linear'))) as Scaling[];
    const { items, truth } = trainingWindows(this.#settings, known, lists, scaling);
    const loss = (tape: Tape, layers: ForecastLayers, batch: ForecastItem[]) =>
      layers.losses(tape, windowRows(tape, layers, batch), batch.map(truth));
    const evaluate = () => {
      const { signal } = settings;
      const rolling = readOptions('evaluate', EVALUATE, { from: end - kept, signal });
      const start = (truth: Float64Array) => new ForecastTally(truth, horizon, quantiles);
      return this.#rolling(whole, rolling, start, (all, n) =>
        this.#report(
          n,
          all.map((own) => own.metrics),
        ),
      ).run;
    };
    const metric = named ? `variables.${targets[0]}.mae` : 'mae';
    const source = kept ? { data: `${end}-${kept}`, evaluate, metric } : undefined;
    const run = this.fitExamples(series, items, options, settings, loss, source);
    this.data = { scaling };
    if (!data.scaling) {
      const enter = (tape: Tape, places: readonly number[]) =>
        windowRows(
          tape,
          this.model.layers,
          places.map((i) => items[i]),
        );
      solveLinear(this.model, { count, enter, truth: (i) => truth(items[i]) });
    }
    return run;
  }

  /** Steps at the end of a series of n that are kept for validation. */
  #kept(share: unknown, n: number): number {
    if (share === undefined) return 0;
    if (typeof share !== 'number') check.fail('validation', 'a share of the series between 0 and 1', share);
    const { horizon } = this.#settings;
    const kept = Math.round(n * share);
    return kept >= horizon
      ? kept
      : check.fail('validation', `a share with at least horizon=${horizon} of ${n} steps`, share);
  }

  /**
   * What comes after each history, from its last `window` steps (and `difference` more).
   *
   * @returns a forecast for each history, [steps]; by the names of the targets, if the variables have names
   */
  predict(histories: readonly Series[], options: ForecastOptions = {}): Run<BatchProgress, ByVariable<T, Forecast>[]> {
    const settings = readOptions('predict', PREDICT, options);
    const { window, horizon, difference, method } = this.#settings;
    const { steps = horizon } = settings;
    const start = this.#start(settings.start);
    if (steps > horizon && method === 'direct') {
      throw new RangeError(
        `steps: method 'direct' predicts at most horizon=${horizon} steps, got ${steps}; method 'recursive' can predict more`,
      );
    }
    const scaling = this.#fitted();
    const items = encodeAll('histories', histories, 'series', (place, history): ForecastItem => {
      const given = fillLists(this.#settings, place, readLists(this.#settings, place, history));
      const n = given[0].length;
      const from = n - window - difference;
      if (from < 0) {
        check.fail(place, `at least ${window + difference} steps for window ${window} and difference ${difference}`, n);
      }
      const known = given.map((y) => y.subarray(from));
      const z = scaleLists(this.#settings, known, scaling, start + from);
      return { length: window, z, begin: 0, known, start: start + from };
    });
    const work = (tape: Tape, layers: ForecastLayers, batch: ForecastItem[]) =>
      this.#forecasts(tape, layers.forward(tape, windowRows(tape, layers, batch), steps), batch, steps);
    return this.forEach(items, settings, work, { method: 'predict', data: histories, options });
  }

  /**
   * A stream: after each step, the forecast of the next ones; null for the first steps, while there are fewer than `difference` and what
   * the linear path reads, or than a window with `normalization`. Where `predict` reads a window, the recurrent layers of a stream
   * remember all that they have read; with `normalization` they read each window again.
   *
   * @param saved what `save` of a stream returned
   * @param options `start`: the number of the first step, counted from the start of the training series. Required for a new stream with
   *   `trend: 'linear'`
   */
  stream(
    saved?: Uint8Array | ArrayBuffer,
    options: Options<typeof START> = {},
  ): Stream<StepValues, ByVariable<T, Forecast> | null> {
    const { start } = readOptions('stream', START, options);
    // nothing in a continued stream without it, which may only need it after reset
    const first = saved && start === undefined ? [] : [this.#start(start)];
    const { horizon } = this.#settings;
    const result = (tape: Tape, outputs: readonly Rows[], item: ForecastItem) =>
      this.#forecasts(tape, outputs, [item], horizon)[0];
    return this.openStream(
      saved,
      forecastStream(this.model, this.#fitted(), first, () => this.#start(start), result),
    );
  }

  /**
   * Rolling forecasts: one from each of many steps, from all that was before, compared with what came. The report has the errors of
   * simple forecasts of the same steps, which are fitted to what is before `from`.
   *
   * @param series begins where the training series began; the first forecast is of step `from`
   */
  evaluate(series: Series, options: EvaluateForecastOptions): Run<BatchProgress, ForecasterReport<T>> {
    const settings = readOptions('evaluate', EVALUATE, options);
    const { variables, targets } = this.#settings;
    const lists = readLists(this.#settings, 'series', series);
    const full = fillLists(this.#settings, 'series', lists);
    const { named, quantiles, horizon } = this.#settings;
    const start = (truth: Float64Array) => new ForecastTally(truth, horizon, quantiles);
    if (settings.season !== undefined) check.whole('season', settings.season, 1, settings.from);
    const call = { method: 'evaluate', data: series, options };
    const finish = (all: readonly ForecastTally[], forecasts: number) => {
      const metrics = all.map(({ compared }, v) => {
        if (settings.warn && compared.better.length) console.warn(warning(named ? targets[v] : '', compared));
        return compared;
      });
      return this.#report(forecasts, metrics);
    };
    const { run, tallies } = this.#rolling(lists, settings, start, finish, call);
    targets.forEach((name, v) => {
      const y = full[variables.indexOf(name)];
      tallies[v].baselines = fitBaselines(this.model, y, settings.from, settings.season);
    });
    return run;
  }

  /**
   * Moves each quantile so that it has the coverage of its number on rolling forecasts from step `from` on, of values that `fit` has not
   * learned from: conformalized quantile regression (Romano, Patterson & Candès 2019, arXiv:1905.03222v1), each quantile and step ahead
   * on its own. It holds for values that come from the same process; the forecasts overlap, so it is no guarantee for series. It
   * replaces an earlier calibration, and `fit` drops it.
   *
   * @param series begins where the training series began
   * @throws RangeError for a model without quantiles, and for fewer forecasts than a quantile needs: 9 for 0.1 or 0.9, 19 for 0.05
   */
  calibrate(series: Series, options: CalibrateOptions): Run<BatchProgress, void> {
    const settings = readOptions('calibrate', CALIBRATE, options);
    const { quantiles, horizon } = this.#settings;
    if (quantiles.length === 0)
      throw new RangeError('calibrate: expected a model with quantiles; this one predicts points');
    const start = (truth: Float64Array) => new Residuals(truth, horizon, quantiles);
    const finish = (all: readonly Residuals[]) => {
      this.data = { ...this.data, calibration: all.map(({ offsets }) => offsets) };
    };
    const call = { method: 'calibrate', data: series, options };
    return this.#rolling(readLists(this.#settings, 'series', series), settings, start, finish, call, null).run;
  }

  #report<M extends ForecastMetrics>(forecasts: number, all: readonly M[]): ForecasterReport<T, M> {
    const { named, targets } = this.#settings;
    const metrics: object = named
      ? { variables: Object.fromEntries(targets.map((name, v) => [name, all[v]])) }
      : all[0];
    return { forecasts, ...metrics } as ForecasterReport<T, M>;
  }

  /** @param start what the forecasts of each target are added to; @param finish given these, and the number of forecasts */
  #rolling<A extends { add(origin: number, forecast: Forecast): void }, R>(
    lists: readonly Float64Array[],
    settings: Settings<typeof CALIBRATE>,
    start: (truth: Float64Array) => A,
    finish: (all: readonly A[], forecasts: number) => R,
    call?: Call,
    calibration: Calibration | null = this.#calibration,
  ): { run: Run<BatchProgress, R>; tallies: A[] } {
    const { horizon, variables, targets } = this.#settings;
    checkOrigins(this.#settings, lists[0].length, settings);
    const full = fillLists(this.#settings, 'series', lists);
    const scaling = this.#fitted();
    const items = rollingWindows(this.#settings, full, scaleLists(this.#settings, full, scaling, 0), settings);
    const tallies = targets.map((name) => start(lists[variables.indexOf(name)]));
    const work = (tape: Tape, layers: ForecastLayers, batch: readonly ForecastItem[]) => {
      const outputs = layers.forward(tape, windowRows(tape, layers, batch), horizon);
      return forecastsOf(tape, layers, { scaling, calibration }, outputs, batch, horizon);
    };
    const count = (all: ReturnType<typeof work>, batch: (typeof items)[number][]) => {
      for (const [b, forecasts] of all.entries())
        forecasts.forEach((forecast, v) => tallies[v].add(batch[b].origin, forecast));
    };
    const run = this.measure(items, settings, work, count, () => finish(tallies, items.length), call);
    return { run, tallies };
  }

  /** Without a trend, the number of the first step has no effect. */
  #start(start: number | undefined): number {
    if (start !== undefined || this.#settings.trend === 'none') return start ?? 0;
    const what =
      'the number of the first step, counted from the start of the training series (0: begins where it began)';
    throw new RangeError(`start: with trend 'linear', expected ${what}, got undefined`);
  }

  get #settings() {
    return this.model.layers.settings;
  }

  get #calibration(): Calibration | null {
    return (this.data as { calibration?: Calibration }).calibration ?? null;
  }

  #fitted(): readonly Scaling[] {
    const { scaling } = this.data as { scaling?: readonly Scaling[] };
    if (scaling) return scaling;
    throw new Error('this model has not been trained: it does not know the scale of its variables. Call fit first');
  }

  #forecasts(
    tape: Tape,
    outputs: readonly Rows[],
    items: readonly ForecastItem[],
    steps: number,
  ): ByVariable<T, Forecast>[] {
    const { named, targets } = this.#settings;
    return forecastsOf(
      tape,
      this.model.layers,
      { scaling: this.#fitted(), calibration: this.#calibration },
      outputs,
      items,
      steps,
    ).map((own) => {
      const all: object = named ? Object.fromEntries(targets.map((name, v) => [name, own[v]])) : own[0];
      return all as ByVariable<T, Forecast>;
    });
  }
}
