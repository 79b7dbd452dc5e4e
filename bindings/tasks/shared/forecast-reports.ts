/** Reports of forecasts: of one series by the names of its variables, and of many series. */
import type { BaselineName } from './forecast-baselines.js';
import type { ComparedMetrics, ForecastMetrics } from './forecast-metrics.js';

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

/** What is reported of many series. @typeParam R the report of one */
export interface SeriesReport<R> {
  /** Of all series. */
  readonly forecasts: number;
  /**
   * The mean over series and targets of the mean absolute scaled error: the mean absolute error / the mean absolute change from step to
   * step before `from` (Hyndman & Koehler 2006, https://doi.org/10.1016/j.ijforecast.2006.03.001).
   */
  readonly mase: number;
  /** In the order of the series. */
  readonly series: readonly R[];
}

/** The same with simple forecasts, which are fitted to each series alone. */
export interface ComparedSeries<R> extends SeriesReport<R> {
  readonly baselines: Readonly<Record<BaselineName, { readonly mase: number }>>;
  /** The baselines that have a smaller `mase` than the model, the best first. */
  readonly better: readonly BaselineName[];
}

const mean = (values: readonly number[]) => values.reduce((sum, v) => sum + v, 0) / values.length;

/** What the errors of a series are divided by. @param y without gaps */
export function changeBefore(y: Float64Array, from: number): number {
  let sum = 0;
  for (let t = 1; t < from; t++) sum += Math.abs(y[t] - y[t - 1]);
  return sum / (from - 1) || 1;
}

/** @param metrics [series][targets]; changes the same */
export function scaledError(
  metrics: readonly (readonly { readonly mae: number }[])[],
  changes: readonly (readonly number[])[],
): number {
  return mean(metrics.flatMap((own, s) => own.map(({ mae }, v) => mae / changes[s][v])));
}

/** Metrics of many series [series][targets] with their simple forecasts. */
export function comparedSeries(
  metrics: readonly (readonly ComparedMetrics[])[],
  changes: readonly (readonly number[])[],
): Pick<ComparedSeries<never>, 'mase' | 'baselines' | 'better'> {
  const mase = scaledError(metrics, changes);
  const of = (name: BaselineName) => ({
    mase: scaledError(
      metrics.map((own) => own.map(({ baselines }) => baselines[name])),
      changes,
    ),
  });
  const baselines = { naive: of('naive'), drift: of('drift'), seasonalNaive: of('seasonalNaive'), ar: of('ar') };
  const names = Object.keys(baselines) as BaselineName[];
  const better = names.filter((name) => baselines[name].mase < mase);
  return { mase, baselines, better: better.sort((a, b) => baselines[a].mase - baselines[b].mase) };
}

/** The report of one series, whatever the names of its variables. */
export interface AnyReport {
  readonly variables?: Readonly<Record<string, ComparedMetrics>>;
  readonly baselines?: unknown;
}

const isOne = (report: AnyReport): report is AnyReport & ComparedMetrics => 'better' in report;

/** The metrics of a report of one series, for each target. */
export function metricsOf(report: AnyReport): readonly ComparedMetrics[] {
  if (report.variables) return Object.values(report.variables);
  return isOne(report) ? [report] : [];
}

/** What a user is told where simple forecasts of each series are better. @param metrics [series][targets] */
export function seriesWarning(
  metrics: readonly (readonly ComparedMetrics[])[],
  { mase, baselines, better: [best] }: Pick<ComparedSeries<never>, 'mase' | 'baselines' | 'better'>,
): string {
  const lost = metrics.filter((own) => own.some(({ better }) => better.includes(best))).length;
  const words = {
    naive: 'the last value',
    drift: 'the last value and the mean rise',
    seasonalNaive: 'the last season',
    ar: 'a linear autoregression',
  };
  return `gatewise: ${words[best]} of each series has a smaller mean absolute scaled error than the model, ${baselines[best].mase} and ${mase}, and is better on ${lost} of ${metrics.length} series`;
}
