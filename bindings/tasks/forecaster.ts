/**
 * Time series: a window of what was → what the next steps will be, of one variable or many. All steps at once from the final state
 * (direct), or one after the other, each forecast being read like a value that came (recursive). Points, or quantiles.
 */
import type { CellName } from '../cells/index.js';
import * as check from '../check.js';
import type { Runtime } from '../core/runtime.js';
import { dropout } from '../nn/dropout.js';
import { input, read } from '../nn/input.js';
import { Linear } from '../nn/linear.js';
import { huberLoss, mseLoss, quantileLoss } from '../nn/losses.js';
import type { Builder, Model } from '../nn/model.js';
import { checkRecurrent, RECURRENT_OPTIONS, type RecurrentOptions } from '../nn/recurrent/options.js';
import { Recurrent } from '../nn/recurrent/recurrent.js';
import type { State, StateRows } from '../nn/recurrent/state.js';
import { select } from '../nn/rows.js';
import type { Loss, Rows, Tape } from '../tape.js';
import type { Run } from '../train/run.js';
import {
  type BatchOptions,
  type BatchProgress,
  checkEpochs,
  type EpochOptions,
  type EpochProgress,
  fitExamples,
  inBatches,
} from './examples.js';
import { checkTask, Learner, openTask, storable, TASK_OPTIONS, type TaskOptions } from './learner.js';
import { checkClasses } from './sequence-classifier.js';
import { fitScaling, ONLY, restored, type Scaling, type Series, scaled, seriesOf } from './series.js';

/** Options of the recurrent layers that a model which reads from left to right can have. */
type OneWay = Omit<RecurrentOptions, 'cell' | 'inputSize' | 'hiddenSize' | 'bidirectional' | 'merge' | 'reverse'>;

export interface ForecasterOptions extends TaskOptions, OneWay {
  /** Steps that are read before a forecast. */
  window: number;
  /** Steps that are foretold, default 1. */
  horizon?: number | undefined;
  /** Names of what is read, default one variable, `'value'`. */
  variables?: readonly string[] | undefined;
  /** Those of them that are foretold, default all. */
  targets?: readonly string[] | undefined;
  /** All steps at once (the default), or one after the other. */
  method?: 'direct' | 'recursive' | undefined;
  /** Default `'mse'`, or `'quantile'` where `quantiles` are given. In units of the spread that training showed. */
  loss?: 'mse' | 'huber' | 'quantile' | undefined;
  /** Rising numbers between 0 and 1, default 0.1, 0.5 and 0.9. */
  quantiles?: readonly number[] | undefined;
  /** Learn y_t - y_{t-difference} instead of y_t: 1 from step to step, 12 from year to year of months. Default 0: not. */
  difference?: number | undefined;
  /** A straight line that is taken away first, after differencing. Default `'none'`. */
  trend?: 'none' | 'linear' | undefined;
  /** Default `'gru'`. */
  cell?: CellName | undefined;
  /** Units of each recurrent layer, or a list, default 64. */
  hiddenSize?: number | readonly number[] | undefined;
  /** Share of what goes into the output layer that is dropped in training, default 0. */
  outputDropout?: number | undefined;
}

/** What it was created with, but for its runtime and seed. */
export type ForecasterConfig = Omit<ForecasterOptions, keyof TaskOptions>;

const OWN = [
  'window',
  'horizon',
  'variables',
  'targets',
  'method',
  'loss',
  'quantiles',
  'difference',
  'trend',
  'outputDropout',
] as const;
const STACK = Object.keys(RECURRENT_OPTIONS).filter(
  (key) => !['inputSize', 'bidirectional', 'merge', 'reverse'].includes(key),
);
const KEPT = [...OWN, ...STACK];
const TASK = 'forecaster';

export interface ForecasterFitOptions extends EpochOptions {
  /** Steps of the series that are learned from, default all: what lies behind is not looked at. */
  to?: number | undefined;
}

export interface ForecastOptions {
  /** Default `horizon`; more with `method: 'recursive'` only. */
  steps?: number | undefined;
  /** Number of the history's first step, counted from where the series began that was learned, default 0. A trend needs it. */
  start?: number | undefined;
}

/** Of one variable. */
export interface Forecast {
  /** [steps]: the mean, or with quantiles the one nearest to the median. */
  readonly point: Float64Array;
  /** [quantiles][steps], rising; empty without. */
  readonly quantiles: readonly Float64Array[];
}

export interface EvaluateForecastOptions extends BatchOptions {
  /** Step of the series that the first forecast is of: the end of the training part, say. */
  from: number;
  /** Steps between the beginnings of two forecasts, default 1. */
  stride?: number | undefined;
  /** Period of the seasonal naive forecast that is put beside: what was at the same time of the last known season. */
  season?: number | undefined;
}

/** Errors in the units of the series, [horizon]: for each step ahead. */
export interface ForecastErrors {
  readonly mae: Float64Array;
  readonly rmse: Float64Array;
}

export interface ForecastFigures extends ForecastErrors {
  /** [horizon] mean over the quantiles of the pinball loss; empty without. */
  readonly pinball: Float64Array;
  /** [quantiles] share of the values that are not above; empty without. */
  readonly coverage: Float64Array;
  /** Errors of the seasonal naive forecast, where `season` was given. */
  readonly naive: ForecastErrors | null;
}

export interface ForecasterReport {
  /** Forecasts that were made. */
  readonly forecasts: number;
  /** Mean absolute error of each target over all steps ahead, and that of the naive forecast, NaN without `season`. */
  readonly mae: Readonly<Record<string, number>>;
  readonly naiveMae: Readonly<Record<string, number>>;
  readonly variables: Readonly<Record<string, ForecastFigures>>;
}

/** The options with every default filled in. */
interface Settings {
  readonly window: number;
  readonly horizon: number;
  readonly variables: readonly string[];
  readonly targets: readonly string[];
  readonly recursive: boolean;
  readonly loss: 'mse' | 'huber' | 'quantile';
  /** Empty for points. */
  readonly quantiles: readonly number[];
  readonly difference: number;
  readonly trend: boolean;
  readonly stack: RecurrentOptions;
  readonly outputDropout: number;
}

class Layers {
  readonly rnn: Recurrent;
  readonly head: Linear;
  /** Where the point forecast of each target is among the outputs of a step. */
  readonly points: readonly number[];

  constructor(
    readonly b: Builder,
    readonly settings: Settings,
  ) {
    const { stack, horizon, targets, quantiles, recursive } = settings;
    this.rnn = new Recurrent(b, 'rnn', stack);
    const Q = quantiles.length || 1;
    const outputSize = targets.length * Q * (recursive ? 1 : horizon);
    this.head = new Linear(b, 'head', { inputSize: this.rnn.finalSize, outputSize });
    const distance = (q: number) => Math.abs((quantiles[q] ?? 0.5) - 0.5);
    const nearest = quantiles.reduce((best, _, q) => (distance(q) < distance(best) ? q : best), 0);
    this.points = targets.map((_, v) => v * Q + nearest);
  }

  /**
   * Reads windows, or on from a state, which it moves to where they end.
   *
   * @param x [T,B,V]
   * @returns [1,B,horizon·targets·Q] in one piece, or `steps` pieces [1,B,targets·Q]
   */
  forward(tape: Tape, x: Rows, steps: number, state?: State): Rows[] {
    const { recursive, outputDropout } = this.settings;
    const outputs: Rows[] = [];
    let at: StateRows = this.rnn.forward(tape, x, state);
    for (let k = 0; ; ) {
      const last = at.h[at.h.length - 1];
      const y = this.head.forward(tape, dropout(tape, this.b.random, last, outputDropout));
      outputs.push(y);
      if (!recursive || ++k === steps) return outputs;
      at = this.rnn.forward(tape, select(tape, y, this.points), at);
    }
  }

  /** @param targets [B][horizon·targets] in the units of the model */
  losses(tape: Tape, x: Rows, targets: readonly Float32Array[]): { loss: Loss; weight: number }[] {
    const { loss, quantiles, horizon } = this.settings;
    const outputs = this.forward(tape, x, horizon);
    const n = targets[0].length / outputs.length;
    return outputs.map((y, k) => {
      const own = new Float32Array(targets.length * n);
      targets.forEach((all, b) => own.set(all.subarray(k * n, (k + 1) * n), b * n));
      const value =
        loss === 'quantile'
          ? quantileLoss(tape, y, own, { quantile: quantiles })
          : loss === 'huber'
            ? huberLoss(tape, y, own)
            : mseLoss(tape, y, own);
      return { loss: value, weight: 1 / outputs.length };
    });
  }
}

function checkOptions(options: ForecasterOptions): { settings: Settings; config: ForecasterConfig; seed: number } {
  check.options('options', options, [...KEPT, ...TASK_OPTIONS]);
  const seed = checkTask(options);
  const { window, horizon = 1, variables = [ONLY], method = 'direct', cell = 'gru', hiddenSize = 64 } = options;
  const { difference = 0, trend = 'none', outputDropout = 0 } = options;
  check.whole('window', window);
  check.whole('horizon', horizon);
  checkClasses('variables', variables);
  const targets = checkClasses('targets', options.targets ?? variables);
  const strange = targets.find((target) => !variables.includes(target));
  if (strange !== undefined)
    throw new RangeError(`targets: ${check.show(strange)} is not among the variables ${check.list(variables)}`);
  check.oneOf('method', method, ['direct', 'recursive']);
  const recursive = method === 'recursive';
  if (recursive && targets.join('\n') !== variables.join('\n')) {
    throw new RangeError(
      "targets: method 'recursive' reads its own forecasts, so that all variables have to be targets, in their order",
    );
  }
  const loss = check.oneOf('loss', options.loss ?? (options.quantiles ? 'quantile' : 'mse'), [
    'mse',
    'huber',
    'quantile',
  ]);
  if (options.quantiles && loss !== 'quantile') throw new RangeError(`quantiles: mean nothing with loss: '${loss}'`);
  const quantiles = loss === 'quantile' ? (options.quantiles ?? [0.1, 0.5, 0.9]) : [];
  if (!Array.isArray(quantiles) || (loss === 'quantile' && quantiles.length === 0))
    check.fail('quantiles', 'a list of numbers between 0 and 1', quantiles);
  quantiles.forEach((q, i) => {
    if (check.number(`quantiles[${i}]`, q, 0, 1, true) === 1) check.fail(`quantiles[${i}]`, 'a number below 1', q);
    if (i > 0 && q <= quantiles[i - 1])
      throw new RangeError(`quantiles[${i}]: expected rising numbers, got ${q} after ${quantiles[i - 1]}`);
  });
  check.whole('difference', difference, 0);
  check.oneOf('trend', trend, ['none', 'linear']);
  if (check.number('outputDropout', outputDropout, 0) >= 1)
    check.fail('outputDropout', 'a number below 1', outputDropout);
  const stack = { ...storable(options, STACK), cell, hiddenSize, inputSize: variables.length } as RecurrentOptions;
  checkRecurrent('options', stack);
  return {
    seed,
    config: storable(options, KEPT) as unknown as ForecasterConfig,
    settings: {
      window,
      horizon,
      variables,
      targets,
      recursive,
      loss,
      quantiles,
      difference,
      trend: trend === 'linear',
      stack,
      outputDropout,
    },
  };
}

export class Forecaster {
  /** What it was created with. */
  readonly config: ForecasterConfig;
  readonly #learner: Learner<Layers>;
  /** Of each variable, once something was learned. */
  #scaling: readonly Scaling[] | null;

  private constructor(learner: Learner<Layers>, config: ForecasterConfig, scaling: readonly Scaling[] | null) {
    this.#learner = learner;
    this.config = config;
    this.#scaling = scaling;
  }

  /**
   * A model with fresh weights.
   *
   * @throws TypeError, RangeError for options that are none; UnsupportedError where WebAssembly SIMD cannot be had
   */
  static async create(options: ForecasterOptions): Promise<Forecaster> {
    const { config, settings, seed } = checkOptions(options);
    return new Forecaster(await Learner.create({ ...options, seed }, (b) => new Layers(b, settings)), config, null);
  }

  get #settings(): Settings {
    return this.model.layers.settings;
  }

  get model(): Model<Layers> {
    return this.#learner.model;
  }

  get runtime(): Runtime {
    return this.#learner.runtime;
  }

  /** What was taken from each variable before learning: fitted by the first `fit` and kept from then on. Null before. */
  get scaling(): Readonly<Record<string, Scaling>> | null {
    const scaling = this.#scaling;
    return scaling && Object.fromEntries(this.#settings.variables.map((name, v) => [name, scaling[v]]));
  }

  /**
   * Learns all windows of a series, shuffled anew for each pass. Called again it goes on, also after `save` and `load`.
   *
   * @throws before anything is changed: RangeError, TypeError for a series that is none; NonFiniteError
   */
  fit(series: Series, options: ForecasterFitOptions = {}): Run<EpochProgress, void> {
    checkEpochs(options, ['to']);
    const { to, ...rest } = options;
    const { window, horizon, difference, trend, variables, targets } = this.#settings;
    const given = seriesOf('series', series, variables);
    if (to !== undefined) check.whole('to', to, 1, given[0].length);
    const lists = given.map((y) => y.subarray(0, to));
    const count = lists[0].length - difference - window - horizon + 1;
    if (count < 1) {
      const needed = difference + window + horizon;
      throw new RangeError(
        `series: its ${lists[0].length} steps are too few for window ${window}, horizon ${horizon} and difference ${difference}; ${needed} are needed`,
      );
    }
    this.#scaling ??= lists.map((y) => fitScaling(y, difference, trend));
    const z = this.#scaled(lists, 0);
    const wanted = targets.map((name) => z[variables.indexOf(name)]);
    return fitExamples(this.#learner, new Int32Array(count).fill(window), rest, (tape, layers, indices) => {
      const truths = Array.from(indices, (i) => {
        const own = new Float32Array(horizon * targets.length);
        for (let k = 0; k < horizon; k++)
          wanted.forEach((list, v) => {
            own[k * targets.length + v] = list[i + window + k];
          });
        return own;
      });
      return layers.losses(tape, this.#windows(tape, z, indices), truths);
    });
  }

  /**
   * What comes after a history, from its last `window` steps (and `difference` more).
   *
   * @returns forecasts of each target, [steps]
   */
  predict(history: Series, options: ForecastOptions = {}): Record<string, Forecast> {
    check.options('predict', options, ['steps', 'start']);
    const { window, horizon, difference, variables, recursive } = this.#settings;
    const { steps = horizon, start = 0 } = options;
    check.whole('steps', steps);
    check.whole('start', start, 0);
    if (steps > horizon && !recursive) {
      throw new RangeError(
        `steps: a model with method 'direct' foretells its horizon of ${horizon}, got ${steps}; 'recursive' goes on`,
      );
    }
    const given = seriesOf('history', history, variables);
    const n = given[0].length;
    if (n < window + difference) {
      throw new RangeError(
        `history: its ${n} steps are too few for window ${window} and difference ${difference}; ${window + difference} are needed`,
      );
    }
    const from = n - window - difference;
    const lists = given.map((y) => y.subarray(from));
    const z = this.#scaled(lists, start + from);
    const x = (tape: Tape) => this.#windows(tape, z, Int32Array.of(0));
    return this.#foretell(x, 1, steps, () => ({ lists, start: start + from }))[0];
  }

  /**
   * A stream: after each step, what comes next. Where `predict` reads a window, it remembers all that it has read. Each stream has a
   * state of its own, to be cloned, reset, saved.
   *
   * @param options `state`: where to go on; `history`: the steps before, at least `difference` of them; `start`: number of the first of
   *   these, or of the first to come, counted from where the series began that was learned, default 0
   */
  stream(options: { state?: State | undefined; history?: Series | undefined; start?: number | undefined } = {}): {
    readonly state: State;
    step(values: number | Readonly<Record<string, number>>): Record<string, Forecast>;
  } {
    check.options('stream', options, ['state', 'history', 'start']);
    const { horizon, difference, variables } = this.#settings;
    const { state = this.model.layers.rnn.state(1), history, start = 0 } = options;
    check.whole('start', start, 0);
    this.#fitted();
    const given =
      history === undefined ? variables.map(() => new Float64Array()) : seriesOf('history', history, variables);
    const n = given[0].length;
    if (n < difference) {
      throw new RangeError(
        `history: ${difference} steps are needed before the first, as many as the difference; got ${n}`,
      );
    }
    let past = given.map((y) => y.slice(n - difference));
    let next = start + n;
    return {
      state,
      step: (values) => {
        const series =
          typeof values === 'object' && values !== null
            ? Object.fromEntries(Object.entries(values).map(([name, v]) => [name, [v]]))
            : [values];
        const own = seriesOf('values', series, variables);
        const lists = past.map((y, v) => Float64Array.of(...y, own[v][0]));
        const begin = next - difference;
        const z = this.#scaled(lists, begin);
        const x = (tape: Tape) =>
          input(
            tape,
            Float32Array.from(z, ([v]) => v),
            { T: 1, B: 1, F: z.length },
          );
        const [forecasts] = this.#foretell(x, 1, horizon, () => ({ lists, start: begin }), state);
        past = lists.map((y) => y.slice(1));
        next++;
        return forecasts;
      },
    };
  }

  /**
   * How well it foretells a series as it goes along: a forecast from each of many steps, from all that was before, held against what
   * came.
   *
   * @param series begins where that began which was learned; the first forecast is of step `from`
   */
  evaluate(series: Series, options: EvaluateForecastOptions): Run<BatchProgress, ForecasterReport> {
    check.options('evaluate', options, ['from', 'stride', 'season', 'batchSize', 'signal']);
    const { from, stride = 1, season, batchSize, signal } = options;
    const { window, horizon, difference, variables, targets, quantiles } = this.#settings;
    const lists = seriesOf('series', series, variables);
    const N = lists[0].length;
    if (season !== undefined) check.whole('season', season);
    const first = Math.max(window + difference, season ?? 0);
    if (N < first + horizon)
      throw new RangeError(`series: its ${N} steps are too few; ${first + horizon} are needed for one forecast`);
    check.whole('from', from, first, N - horizon);
    check.whole('stride', stride);
    const z = this.#scaled(lists, 0);
    const origins = Int32Array.from(
      { length: Math.floor((N - horizon - from) / stride) + 1 },
      (_, i) => from + i * stride,
    );
    const tallies = targets.map((name) => new Errors(lists[variables.indexOf(name)], horizon, quantiles, season));
    const work = (indices: Int32Array) => {
      const own = indices.map((i) => origins[i]);
      const rows = own.map((origin) => origin - window - difference);
      const known = (b: number) => ({
        lists: lists.map((y) => y.subarray(own[b] - difference, own[b])),
        start: own[b] - difference,
      });
      const x = (tape: Tape) => this.#windows(tape, z, rows);
      this.#foretell(x, rows.length, horizon, known).forEach((forecasts, b) => {
        targets.forEach((name, v) => {
          tallies[v].add(own[b], forecasts[name]);
        });
      });
    };
    return inBatches(new Int32Array(origins.length), { batchSize, signal }, work, () => {
      const figures = tallies.map((tally) => tally.figures(origins.length));
      const mean = (values: Float64Array) => values.reduce((sum, v) => sum + v, 0) / values.length;
      const named = <T>(of: (figures: ForecastFigures) => T) =>
        Object.fromEntries(targets.map((name, v) => [name, of(figures[v])]));
      return {
        forecasts: origins.length,
        mae: named(({ mae }) => mean(mae)),
        naiveMae: named(({ naive }) => (naive ? mean(naive.mae) : Number.NaN)),
        variables: named((own) => own),
      };
    });
  }

  /** Each variable in the units of the model, its first `difference` steps used up. */
  #scaled(lists: readonly Float64Array[], start: number): Float64Array[] {
    const { difference } = this.#settings;
    const scaling = this.#fitted();
    return lists.map((y, v) => scaled(y, difference, scaling[v], start));
  }

  #fitted(): readonly Scaling[] {
    if (this.#scaling) return this.#scaling;
    throw new Error('this model has learned nothing yet, not even the scale of its variables; call fit');
  }

  /** The windows [T,B,V] of z that begin at these steps. */
  #windows(tape: Tape, z: readonly Float64Array[], begins: Int32Array): Rows {
    const { window: T } = this.#settings;
    const [B, F] = [begins.length, z.length];
    const values = new Float32Array(T * B * F);
    for (let t = 0; t < T; t++)
      begins.forEach((begin, b) => {
        for (let v = 0; v < F; v++) values[(t * B + b) * F + v] = z[v][begin + t];
      });
    return input(tape, values, { T, B, F });
  }

  /**
   * Forecasts after what is read.
   *
   * @param x [T,B,V]
   * @param known the variables up to where row b ends, and the number of their first step
   */
  #foretell(
    x: (tape: Tape) => Rows,
    B: number,
    steps: number,
    known: (b: number) => { lists: readonly Float64Array[]; start: number },
    state?: State,
  ): Record<string, Forecast>[] {
    const { variables, targets, quantiles, difference } = this.#settings;
    const { points } = this.model.layers;
    const Q = quantiles.length || 1;
    const width = targets.length * Q;
    const outputs = this.model.forward((tape, layers) =>
      layers.forward(tape, x(tape), steps, state).map((y) => read(tape, y)),
    );
    return Array.from({ length: B }, (_, b) => {
      const { lists, start } = known(b);
      // of step k, target and quantile together c: all steps in one piece, or a piece for each
      const of = (k: number, c: number) => {
        const all = outputs[k] ?? outputs[0];
        const F = all.length / B;
        return all[b * F + (F > width ? k * width : 0) + c];
      };
      return Object.fromEntries(
        targets.map((name, v) => {
          const i = variables.indexOf(name);
          const undo = (c: (k: number) => number) =>
            restored(
              Float64Array.from({ length: steps }, (_, k) => c(k)),
              Float64Array.from({ length: steps }, (_, k) => of(k, points[v])),
              lists[i],
              difference,
              this.#fitted()[i],
              start,
            );
          // what crosses is put in order: Chernozhukov, Fernández-Val & Galichon 2010, https://doi.org/10.3982/ECTA7880
          const ordered = Array.from({ length: steps }, (_, k) =>
            Float64Array.from(quantiles, (_, q) => of(k, v * Q + q)).sort(),
          );
          const bands = quantiles.map((_, q) => undo((k) => ordered[k][q]));
          const middle = points[v] - v * Q;
          return [name, { point: bands[middle] ?? undo((k) => of(k, points[v])), quantiles: bands }];
        }),
      );
    });
  }

  /** The model as a safetensors file: with everything that training needs to go on to the same bits, or the weights alone. */
  save(options: { weightsOnly?: boolean } = {}): Uint8Array<ArrayBuffer> {
    const scaling = this.#scaling ? { scaling: this.#scaling } : {};
    return this.#learner.save(TASK, { ...this.config, ...scaling }, options);
  }

  /** @throws FormatError for a file that is damaged or holds something else */
  static async load(bytes: Uint8Array | ArrayBuffer, options: Omit<TaskOptions, 'seed'> = {}): Promise<Forecaster> {
    const { file, given } = openTask(bytes, TASK, options);
    const { scaling, ...own } = given;
    const { learner, config } = await Learner.load(file, own, options, (kept) => {
      const { config, settings } = checkOptions(kept as unknown as ForecasterOptions);
      checkScaling(scaling, settings.variables.length);
      return { config, build: (b) => new Layers(b, settings) };
    });
    return new Forecaster(learner, config, (scaling as readonly Scaling[] | undefined) ?? null);
  }

  /** Gives all memory back. The model cannot be used afterwards. */
  dispose(): void {
    this.#learner.dispose();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }
}

/** That a file's scaling is one. */
function checkScaling(scaling: unknown, variables: number): void {
  if (scaling === undefined) return;
  if (!Array.isArray(scaling) || scaling.length !== variables)
    check.fail('scaling', `that of ${variables} variables`, scaling);
  scaling.forEach((own, v) => {
    check.options(`scaling[${v}]`, own, ['level', 'slope', 'scale']);
    for (const key of ['level', 'slope']) check.number(`scaling[${v}].${key}`, own[key]);
    check.number(`scaling[${v}].scale`, own.scale, 0, Infinity, true);
  });
}

/** Errors of the forecasts of one variable, step by step ahead. */
class Errors {
  readonly #absolute: Float64Array;
  readonly #square: Float64Array;
  readonly #pinball: Float64Array;
  readonly #below: Float64Array;
  readonly #naive: { absolute: Float64Array; square: Float64Array };

  constructor(
    readonly truth: Float64Array,
    readonly horizon: number,
    readonly quantiles: readonly number[],
    readonly season: number | undefined,
  ) {
    this.#absolute = new Float64Array(horizon);
    this.#square = new Float64Array(horizon);
    this.#pinball = new Float64Array(quantiles.length ? horizon : 0);
    this.#below = new Float64Array(quantiles.length);
    this.#naive = { absolute: new Float64Array(horizon), square: new Float64Array(horizon) };
  }

  /** @param origin the step that the forecast begins with */
  add(origin: number, { point, quantiles }: Forecast): void {
    const { truth, season } = this;
    for (let k = 0; k < this.horizon; k++) {
      const y = truth[origin + k];
      const e = point[k] - y;
      this.#absolute[k] += Math.abs(e);
      this.#square[k] += e * e;
      this.quantiles.forEach((q, i) => {
        const d = y - quantiles[i][k];
        this.#pinball[k] += (d > 0 ? q * d : (q - 1) * d) / this.quantiles.length;
        if (d <= 0) this.#below[i]++;
      });
      if (season === undefined) continue;
      const naive = truth[origin + k - season * (Math.floor(k / season) + 1)] - y;
      this.#naive.absolute[k] += Math.abs(naive);
      this.#naive.square[k] += naive * naive;
    }
  }

  figures(n: number): ForecastFigures {
    const mean = (sums: Float64Array) => sums.map((sum) => sum / n);
    const root = (sums: Float64Array) => sums.map((sum) => Math.sqrt(sum / n));
    return {
      mae: mean(this.#absolute),
      rmse: root(this.#square),
      pinball: mean(this.#pinball),
      coverage: this.#below.map((sum) => sum / n / this.horizon),
      naive: this.season === undefined ? null : { mae: mean(this.#naive.absolute), rmse: root(this.#naive.square) },
    };
  }
}
