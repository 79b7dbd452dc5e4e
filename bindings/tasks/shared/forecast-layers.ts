/** The layers of a forecaster: its options, what they say together, the forward pass and the losses. */
import * as check from '../../check.js';
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
   * @param x [T,B,V]
   * @returns [1,B,horizon·targets·Q] in one piece, or `steps` pieces [1,B,targets·Q]
   */
  forward(tape: Tape, x: Rows, steps: number, state?: State): Rows[] {
    const { method, outputDropout } = this.settings;
    const outputs: Rows[] = [];
    let recent = this.steps(tape, x);
    let at: StateRows = this.rnn.forward(tape, state ? slice(tape, x, x.T - 1, x.T) : x, state);
    for (let k = 0; ; ) {
      const last = at.h[at.h.length - 1];
      let y = this.head.forward(tape, dropout(tape, this.b.random, last, outputDropout));
      if (this.linear) y = add(tape, y, this.linear.forward(tape, concat(tape, recent)));
      outputs.push(y);
      if (method === 'direct' || ++k === steps) return outputs;
      const next = select(tape, y, this.points);
      recent = [...recent, next].slice(1);
      at = this.rnn.forward(tape, next, at);
    }
  }

  /** The steps that the linear path reads, [1,B,V] each. */
  steps(tape: Tape, x: Rows): Rows[] {
    const { linear } = this.settings;
    return Array.from({ length: linear }, (_, l) => slice(tape, x, x.T - linear + l, x.T - linear + l + 1));
  }

  /** @param targets [B][horizon·targets] in the units of the model; NaN where there is no value */
  losses(tape: Tape, x: Rows, targets: readonly Float32Array[]): { loss: Loss; weight: number }[] {
    const { loss, quantiles, horizon } = this.settings;
    const outputs = this.forward(tape, x, horizon);
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
  schema: SCHEMA,
  layers: (given) => {
    const settings = checked(given);
    const { variables, targets, quantiles, method, horizon, linear } = settings;
    const stack = stackOf(given, variables.length);
    return (b) => {
      const rnn = new Recurrent(b, 'rnn', stack);
      const outputSize = targets.length * (quantiles.length || 1) * (method === 'recursive' ? 1 : horizon);
      if (!linear) {
        return new ForecastLayers(b, settings, rnn, new Linear(b, 'head', { inputSize: rnn.finalSize, outputSize }));
      }
      // training starts from the linear path alone
      const initializers = { weight: ZERO, bias: ZERO };
      const head = new Linear(b, 'head', { inputSize: rnn.finalSize, outputSize, initializers });
      const path = new Linear(b, 'linear', { inputSize: linear * variables.length, outputSize, initializers });
      return new ForecastLayers(b, settings, rnn, head, path);
    };
  },
  checkData: ({ scaling, calibration }, given) => {
    const { variables, targets, quantiles, horizon } = checked(given);
    checkScaling(scaling, variables.length);
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
  const { variables = [ONLY], method } = given;
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
  const { window } = given;
  const { linear = Math.min(window, Math.max(1, Math.floor(MOST / variables.length))) } = given;
  if (linear > window) throw new RangeError(`linear: expected at most window=${window} steps, got ${linear}`);
  return { ...given, named: given.variables !== undefined, variables, targets, loss, quantiles, linear };
}

/** @throws TypeError, RangeError for a file whose scaling is invalid */
function checkScaling(scaling: unknown, variables: number): void {
  if (scaling === undefined) return;
  if (!Array.isArray(scaling) || scaling.length !== variables)
    check.fail('scaling', `the scaling of ${variables} variables`, scaling);
  const scale: Reader<number> = (name, value) => check.number(name, value, 0, Infinity, true);
  const schema = {
    level: required<number>(check.number),
    slope: required<number>(check.number),
    scale: required(scale),
  };
  scaling.forEach((own: unknown, v) => readOptions(`scaling[${v}]`, schema, own));
}
