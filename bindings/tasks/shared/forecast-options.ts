/** The options of a forecaster's methods. */
import * as check from '../../check.js';
import { type Options, option, optional, required, whole } from '../../options.js';
import { BATCHES, type BatchOptions, type EpochOptions, FIT_EXAMPLES } from './batches.js';
import { type DateLike, readDate, showDate } from './dates.js';
import { readStep } from './forecast-series.js';

/** The largest number of a step. */
export const LAST_STEP = 2 ** 52;

const UPTO = {
  /**
   * Steps of the series to learn from, default all: a number, below 0 counted from the end as by `slice`, or a date; or one for each of
   * several series. Later steps have no effect.
   */
  to: optional(readStep),
};
export const FIT = { ...FIT_EXAMPLES, ...UPTO };
export interface ForecasterFitOptions extends Omit<EpochOptions, 'validation'>, Options<typeof UPTO> {
  /**
   * The share of the series, at its end, that is not learned from but validated on, with forecasts from every step: a number between 0
   * and 1. Default: none.
   */
  validation?: number | undefined;
}

export const START = {
  /**
   * The number of the first step of each history, counted from the start of the training series. Required with `trend: 'linear'` where
   * dates do not tell it.
   */
  start: optional(whole(0, LAST_STEP)),
};
export const STREAM = {
  ...START,
  /** The date of the first step, for a model whose training series had dates. Forecasts then have dates; required with `calendar`. */
  date: optional((name: string, value: unknown): DateLike => showDate(readDate(name, value))),
};
export interface ForecastStreamOptions extends Options<typeof STREAM> {}
export const PREDICT = {
  ...BATCHES,
  ...START,
  /** Steps to predict, default `horizon`. More than that needs `method: 'recursive'`. */
  steps: optional(whole(1)),
};
export interface ForecastOptions extends Options<typeof PREDICT> {}

const ORIGINS = {
  /**
   * The step of the series that the first forecast begins with, the end of the training part, say: a number, below 0 counted from the
   * end as by `slice`, or a date; or one for each of several series.
   */
  from: required(readStep),
  /** The last forecast begins before this step, given like `from`. Default: the last one begins `horizon` steps before the end. */
  until: optional(readStep),
  /** Steps between the beginnings of two forecasts, default 1. */
  stride: option(whole(1), 1),
};
export const CALIBRATE = { ...BATCHES, ...ORIGINS };
export interface CalibrateOptions extends BatchOptions, Options<typeof ORIGINS> {}

const COMPARE = {
  /**
   * Period of the seasonal naive forecast to compare with: it repeats the last known season. Default: the period with which its error is
   * smallest before `from`.
   */
  season: optional(whole(1)),
  /** Whether `console.warn` tells of simple forecasts that are better than the model. Default true. */
  warn: option(check.flag, true),
};
export const EVALUATE = { ...CALIBRATE, ...COMPARE };
export interface EvaluateForecastOptions extends CalibrateOptions, Options<typeof COMPARE> {}
