/** The layers of a forecaster: its options, what they say together, the forward pass and the losses. */

import * as check from '../../check.js';
import { Runtime } from '../../core/train.js';
import type { Builder } from '../../nn/builder.js';
import { dropout } from '../../nn/dropout.js';
import { Linear } from '../../nn/linear.js';
import { huberLoss, type LossOptions, mseLoss, quantileLoss } from '../../nn/losses.js';
import { Recurrent } from '../../nn/recurrent/recurrent.js';
import type { State, StateRows } from '../../nn/recurrent/state.js';
import { add, concat, select, slice } from '../../nn/rows.js';
import type { Options, Settings } from '../../options.js';
import {
  listOf,
  names,
  oneOf,
  option,
  optional,
  type Reader,
  rate,
  readOptions,
  required,
  whole,
} from '../../options.js';
import type { Loss, Rows, Tape } from '../../tape.js';
import { CALENDAR, checkAxis } from './dates.js';
import { ONLY } from './series.js';
import { type OneWayOptions, oneWaySchema, stackOf } from './stack.js';
import type { Kind } from './task.js';

const OWN = {
  /** Steps that are read before a forecast. */
  window: required(whole(1)),
  /** Steps that are predicted, default 1. */
  horizon: option(whole(1), 1),
  /** Names of the variables that are read. Default: one variable without a name. */
  variables: optional(names()),
  /** The variables that are predicted, default all. */
  targets: optional(names()),
  /**
   * Names of covariates that are known in the future, such as prices and holidays. Each series gives them for its own steps; `predict`
   * needs those of the forecast too. Default none.
   */
  futureCovariates: option(names(0), []),
  /**
   * Parts of the dates that are read as further future covariates, each as its sine and cosine: `'hour'`, `'dayOfWeek'`, `'dayOfYear'`,
   * `'month'`. The series then need `dates`. Default none.
   */
  calendar: option(listOf(oneOf(...CALENDAR), 'a list of parts of the calendar'), []),
  /** All steps at once, or one after the other. Default `'direct'`. */
  method: option(oneOf('direct', 'recursive'), 'direct'),
  /** Default `'mse'`, or `'quantile'` if `quantiles` are given. In units of the spread of the training data. */
  loss: optional(oneOf('mse', 'huber', 'quantile')),
  /** Increasing numbers between 0 and 1. With `loss: 'quantile'` the default is 0.1, 0.5 and 0.9. */
  quantiles: optional(listOf(between0and1, 'a list of numbers between 0 and 1')),
  /** Learns y_t - y_{t-difference} instead of y_t: 1 from step to step, 12 from year to year of months. 0 is off. Default 0. */
  difference: option(whole(0), 0),
  /** A straight line that is subtracted first, after differencing. Default `'none'`. */
  trend: option(oneOf('none', 'linear'), 'none'),
  /**
   * What each window, and what follows it, is relative to: `'last'` subtracts its last values, `'standard'` its means, and divides by its
   * standard deviations (Kim et al. 2022, https://openreview.net/forum?id=cGDAkQo1C0p, without weights). Default `'none'`.
   */
  normalization: option(oneOf('none', 'last', 'standard'), 'none'),
  /**
   * Steps at the end of the window that a linear path reads: its output is added to that of the recurrent layers (the autoregressive
   * component of LSTNet, arXiv:1703.07015v3). The first `fit` solves for its weights; training then leaves them as they are. 0 is off.
   * Default: the window, or the steps that have 512 numbers together.
   */
  linear: optional(whole(0)),
  /**
   * Whether the recurrent layer is a reservoir (docs/reservoirs.md): sparse random weights that are never trained. `fit` solves for all weights
   * of the output, those of the linear path among them, by ridge regression, and takes no steps. It needs one layer of `cell: 'rnn'`; with
   * `zoneoutHidden` z its leak is 1 - z. Default false.
   */
  reservoir: option(check.flag, false),
  /**
   * What NaN in a series is: `'error'`, or with `'mask'` a missing value. Where it is read, the value `difference` steps before takes its
   * place, or the last one; where it would be predicted, it has no part in losses and metrics. Default `'error'`.
   */
  missing: option(oneOf('error', 'mask'), 'error'),
  /** Share of what the output layer reads that is dropped in training, default 0. */
  outputDropout: option(rate, 0),
};
export const SCHEMA = { ...OWN, ...oneWaySchema('gru', 64) };

function between0and1(name: string, value: unknown): number {
  const q = check.number(name, value, 0, 1, true);
  return q < 1 ? q : check.fail(name, 'a number below 1', q);
}

/** What a forecaster was created with, apart from its runtime and seed. */
export interface ForecasterConfig extends OneWayOptions, Options<typeof OWN> {}

/** The options with every default filled in. */
export interface ForecastSettings
  extends Omit<Settings<typeof SCHEMA>, 'variables' | 'targets' | 'loss' | 'quantiles' | 'linear'> {
  /** Whether the variables have names. */
  readonly named: boolean;
  readonly variables: readonly string[];
  readonly targets: readonly string[];
  readonly loss: 'mse' | 'huber' | 'quantile';
  /** Empty for points. */
  readonly quantiles: readonly number[];
  /** Steps that the linear path reads, 0 without one. */
  readonly linear: number;
  /** Numbers of a step that are known in the future: the covariates, and two for each part of the calendar. */
  readonly extras: number;
}

/** Numbers that the linear path reads by default. */
const MOST = 512;
const ZERO = { kind: 'constant', value: 0 } as const;

export class ForecastLayers {
  /** Where the point forecast of each target is among the outputs of a step. */
  readonly points: readonly number[];

  constructor(
    readonly b: Builder,
    readonly settings: ForecastSettings,
    readonly rnn: Recurrent,
    readonly head: Linear,
    readonly linear?: Linear,
  ) {
    const { quantiles, targets } = settings;
    const distance = (q: number) => Math.abs((quantiles[q] ?? 0.5) - 0.5);
    const nearest = quantiles.reduce((best, _, q) => (distance(q) < distance(best) ? q : best), 0);
    this.points = targets.map((_, v) => v * (quantiles.length || 1) + nearest);
  }

  /**
   * Reads windows; or, of windows that end one step after a state, the last step, and moves the state there.
   *
   * @param x [T,B,V+C] the variables, and the covariates of the next step (as in DeepAR, arXiv:1704.04110v3)
   * @param future [1,B,C] the covariates of each step of the forecast but the first
   * @returns [1,B,horizon·targets·Q] in one piece, or `steps` pieces [1,B,targets·Q]
   */
  forward(tape: Tape, x: Rows, steps: number, state?: State, future: readonly Rows[] = []): Rows[] {
    const { method, outputDropout } = this.settings;
    const outputs: Rows[] = [];
    const ahead = method === 'direct' ? future : [];
    const joined = (rows: readonly Rows[]) => (rows.length > 1 ? concat(tape, rows) : rows[0]);
    let recent = this.steps(tape, x);
    let at: StateRows = this.rnn.forward(tape, state ? slice(tape, x, x.T - 1, x.T) : x, state);
    for (let k = 0; ; ) {
      const last = dropout(tape, this.b.random, at.h[at.h.length - 1], outputDropout);
      let y = this.head.forward(tape, joined([last, ...ahead]));
      if (this.linear) y = add(tape, y, this.linear.forward(tape, concat(tape, [...recent, ...ahead])));
      outputs.push(y);
      if (method === 'direct' || ++k === steps) return outputs;
      const next = joined([select(tape, y, this.points), ...future.slice(k - 1, k)]);
      recent = [...recent, next].slice(1);
      at = this.rnn.forward(tape, next, at);
    }
  }

  /** The steps that the linear path reads, [1,B,V+C] each. */
  steps(tape: Tape, x: Rows): Rows[] {
    const { linear } = this.settings;
    return Array.from({ length: linear }, (_, l) => slice(tape, x, x.T - linear + l, x.T - linear + l + 1));
  }

  /** The state after a window, [1,B,H]. */
  state(tape: Tape, x: Rows): Rows {
    const { h } = this.rnn.forward(tape, x);
    return h[h.length - 1];
  }

  /** All that the linear path reads for its first output. */
  linearInputs(tape: Tape, x: Rows, future: readonly Rows[]): Rows[] {
    return [...this.steps(tape, x), ...(this.settings.method === 'direct' ? future : [])];
  }

  /** @param targets [B][horizon·targets] in the units of the model; NaN where there is no value */
  losses(
    tape: Tape,
    x: Rows,
    targets: readonly Float32Array[],
    future: readonly Rows[] = [],
  ): { loss: Loss; weight: number }[] {
    const { loss, quantiles, horizon } = this.settings;
    const outputs = this.forward(tape, x, horizon, undefined, future);
    const n = targets[0].length / outputs.length;
    return outputs.map((y, k) => {
      const own = new Float32Array(targets.length * n);
      targets.forEach((all, b) => own.set(all.subarray(k * n, (k + 1) * n), b * n));
      const options = own.some(Number.isNaN) ? masked(own, y.F / n) : {};
      const value =
        loss === 'quantile'
          ? quantileLoss(tape, y, own, { ...options, quantile: quantiles })
          : loss === 'huber'
            ? huberLoss(tape, y, own, options)
            : mseLoss(tape, y, own, options);
      return { loss: value, weight: 1 / outputs.length };
    });
  }
}

/** Options of a loss that is the mean over the targets that are not NaN, `spread` outputs each; those become zeros. */
function masked(targets: Float32Array, spread: number): LossOptions {
  const count = targets.reduce((n, v) => n + (Number.isNaN(v) ? 0 : spread), 0) || 1;
  const upstream = Float32Array.from({ length: targets.length * spread }, (_, i) =>
    Number.isNaN(targets[Math.floor(i / spread)]) ? 0 : 1 / count,
  );
  targets.forEach((v, i) => {
    if (Number.isNaN(v)) targets[i] = 0;
  });
  return { reduction: 'none', upstream };
}

export const KIND: Kind<ForecastLayers, typeof SCHEMA> = {
  task: 'forecaster',
  runtimes: Runtime,
  schema: SCHEMA,
  layers: (given) => {
    const settings = checked(given);
    const { variables, targets, quantiles, method, horizon, linear, extras } = settings;
    const width = variables.length + extras;
    /** The covariates of the later steps of a forecast, which are read with the state. */
    const ahead = method === 'direct' ? (horizon - 1) * extras : 0;
    const stack = stackOf(given, width);
    return (b) => {
      const rnn = new Recurrent(b, 'rnn', stack);
      const outputSize = targets.length * (quantiles.length || 1) * (method === 'recursive' ? 1 : horizon);
      if (!linear) {
        const plain = new Linear(b, 'head', { inputSize: rnn.finalSize + ahead, outputSize });
        return new ForecastLayers(b, settings, rnn, plain);
      }
      // training starts from the linear path alone
      const initializers = { weight: ZERO, bias: ZERO };
      const head = new Linear(b, 'head', { inputSize: rnn.finalSize + ahead, outputSize, initializers });
      const path = new Linear(b, 'linear', { inputSize: linear * width + ahead, outputSize, initializers });
      return new ForecastLayers(b, settings, rnn, head, path);
    };
  },
  checkData: ({ scaling, covariates, dates, calibration, relative }, given) => {
    const { variables, targets, quantiles, horizon, futureCovariates: names } = checked(given);
    checkScaling('scaling', scaling, variables.length);
    checkScaling('covariates', covariates, names.length);
    if (scaling !== undefined && names.length && !covariates) check.fail('covariates', 'their scaling', covariates);
    if (dates !== undefined) checkAxis('dates', dates);
    if (relative !== undefined) check.flag('relative', relative);
    if (calibration === undefined) return;
    const lists = (name: string, value: unknown, [n, ...rest]: readonly number[]): void => {
      if (!Array.isArray(value) || value.length !== n) check.fail(name, `a list of ${n}`, value);
      value.forEach((own: unknown, i) => {
        if (rest.length) lists(`${name}[${i}]`, own, rest);
        else check.number(`${name}[${i}]`, own);
      });
    };
    lists('calibration', calibration, [targets.length, quantiles.length, horizon]);
  },
};

/** Checks what the options say together. */
function checked(given: Settings<typeof SCHEMA>): ForecastSettings {
  const { variables = [ONLY], method, futureCovariates, calendar } = given;
  const { targets = variables, loss = given.quantiles ? 'quantile' : 'mse' } = given;
  const known = new Set(variables);
  const unknown = targets.find((target) => !known.has(target));
  if (unknown !== undefined)
    throw new RangeError(`targets: ${check.show(unknown)} is not among the variables ${check.list(variables)}`);
  if (method === 'recursive' && targets.join('\n') !== variables.join('\n')) {
    throw new RangeError(
      "targets: method 'recursive' reads its own forecasts, so all variables have to be targets, in their order",
    );
  }
  if (given.quantiles && loss !== 'quantile')
    throw new RangeError(`quantiles: cannot be combined with loss: '${loss}', which predicts points`);
  const { quantiles = loss === 'quantile' ? [0.1, 0.5, 0.9] : [] } = given;
  if (loss === 'quantile' && quantiles.length === 0) throw new RangeError('quantiles: expected at least one');
  quantiles.forEach((q, i) => {
    if (i > 0 && q <= quantiles[i - 1])
      throw new RangeError(`quantiles[${i}]: expected increasing numbers, got ${q} after ${quantiles[i - 1]}`);
  });
  const twice = futureCovariates.find((name) => known.has(name));
  if (twice !== undefined)
    check.clash(`variables: ${check.show(twice)}`, 'futureCovariates with it', 'one or the other');
  calendar.forEach((part, i) => {
    if (calendar.indexOf(part) < i) throw new RangeError(`calendar: duplicate ${check.show(part)}`);
  });
  const extras = futureCovariates.length + 2 * calendar.length;
  const { window } = given;
  const { linear = Math.min(window, Math.max(1, Math.floor(MOST / (variables.length + extras)))) } = given;
  if (given.reservoir) {
    const { cell, hiddenSize, numLayers = 1 } = given;
    const one = numLayers === 1 && (typeof hiddenSize === 'number' || hiddenSize.length === 1);
    if (cell !== 'rnn' || !one)
      check.clash('reservoir: true', `cell: '${cell}' of ${one ? 1 : 'several'} layers`, "one layer of cell: 'rnn'");
    if (given.bias === false) check.clash('reservoir: true', 'bias: false', 'bias: true');
    if (linear === 0) throw new RangeError('linear: expected at least 1 step with reservoir: true, got 0');
  }
  if (linear > window) throw new RangeError(`linear: expected at most window=${window} steps, got ${linear}`);
  return { ...given, named: given.variables !== undefined, variables, targets, loss, quantiles, linear, extras };
}

/** What the options of `create` are with every default filled in. */
export function settingsOf(options: Readonly<Record<string, unknown>>): ForecastSettings {
  const own = Object.entries(options).filter(([name]) => check.hasOwn(SCHEMA, name));
  return checked(readOptions('create', SCHEMA, Object.fromEntries(own)));
}

/** @throws TypeError, RangeError for a file whose scaling is invalid */
function checkScaling(name: string, scaling: unknown, n: number): void {
  if (scaling === undefined) return;
  if (!Array.isArray(scaling) || scaling.length !== n) check.fail(name, `the scaling of ${n} variables`, scaling);
  const scale: Reader<number> = (name, value) => check.number(name, value, 0, Infinity, true);
  const schema = {
    level: required<number>(check.number),
    slope: required<number>(check.number),
    scale: required(scale),
  };
  scaling.forEach((own: unknown, v) => readOptions(`${name}[${v}]`, schema, own));
}
