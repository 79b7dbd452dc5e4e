/**
 * Validation between steps: the weights of the best model so far are kept, and training ends when it does not get better (early
 * stopping). All that it remembers is part of a checkpoint.
 */
import * as check from '../check.js';
import type { Model } from '../nn/model.js';
import { type Options, optional, type Reader, readOptions, real, required, whole } from '../options.js';
import type { Progress } from './fit.js';
import type { Recorder } from './history.js';

/** The options of `fit` that belong to `validation`. */
export const VALIDATION = {
  /** Steps from one validation to the next. Default: an epoch. There is always one after the last step. */
  validateEvery: optional(whole(1)),
  /** The number of the report of `evaluate` that models are compared by, say `'macroF1'` or `'classes.spam.f1'`. Default `'loss'`. */
  metric: optional(check.text),
  /** Ends the training after this number of validations without a better one. Default: never. */
  patience: optional(whole(1)),
  /** How much the metric has to improve for `patience` to start again, default 0. */
  minDelta: optional(real(0)),
};

export interface ValidationOptions extends Options<typeof VALIDATION> {}

/** A validation, as the progress reports it. */
export interface Validation<R = unknown> {
  /** What `evaluate` returned. */
  readonly report: R;
  /** The metric of this model, and of the best one so far with its step. */
  readonly value: number;
  readonly bestValue: number;
  readonly bestStep: number;
  /** Whether this model is the best one so far. */
  readonly best: boolean;
  /** Validations since the last one that counted as better. */
  readonly since: number;
}

/** What is remembered between two validations. */
export interface ValidationState {
  /** What the data are recognised by. */
  readonly data: string;
  readonly metric: string;
  /** The best metric so far, its step, and the parameters at that step; null before the first. */
  value: number | null;
  step: number;
  weights: Float32Array | null;
  /** The metric that `patience` compares with, and the validations since then. */
  reference: number | null;
  since: number;
  /** The step of the last validation. */
  checked: number;
}

const COUNT = whole(0, 2 ** 52);
const known: Reader<number | null> = (name, value) => (value === null ? null : check.number(name, value));
const STATE = {
  data: required(check.text),
  metric: required(check.text),
  value: required(known),
  step: required(COUNT),
  reference: required(known),
  since: required(COUNT),
  checked: required(COUNT),
};

/** Checks what a file says about the validation; the weights are tensors. */
export function readValidation(name: string, value: unknown): ValidationState {
  const state = readOptions(name, STATE, value, `${name}.`);
  const { metric, reference } = state;
  if (!direction(metric)) throw new RangeError(`${name}.metric: ${check.show(metric)} is not a metric`);
  if ((state.value === null) !== (reference === null))
    check.fail(`${name}.reference`, 'null where value is', reference);
  check.whole(`${name}.step`, state.step, 0, state.checked);
  return { ...state, weights: null };
}

/** 1 where larger is better, -1 where smaller is, 0 for a number that does not say how good a model is. */
function direction(path: string): number {
  const name = path.slice(path.lastIndexOf('.') + 1);
  if (/^naive/i.test(name)) return 0;
  if (/(loss|bits|rate|mae|mase|mse|error)$/i.test(name)) return -1;
  return /(accuracy|f1|precision|recall|exact|skill)$/i.test(name) ? 1 : 0;
}

/** The numbers of a report by their paths. */
export function metricsOf(report: object, prefix = ''): Record<string, number> {
  const entries = Object.entries(report).flatMap(([name, value]): [string, number][] => {
    if (typeof value === 'number') return [[prefix + name, value]];
    const nested = typeof value === 'object' && value !== null && !Array.isArray(value) && !ArrayBuffer.isView(value);
    return nested ? Object.entries(metricsOf(value, `${prefix}${name}.`)) : [];
  });
  return Object.fromEntries(entries);
}

/** Restores the best weights so far, and forgets about the validation; returns their step, or null without weights. */
export function restoreBest(model: Model<unknown>, standing: { validation: ValidationState | null }): number | null {
  const { weights = null, step = 0 } = standing.validation ?? {};
  standing.validation = null;
  if (!weights) return null;
  model.runtime.write(model.slab, weights);
  model.changed();
  return step;
}

/** Where the data of a validation come from. */
export interface ValidationSource<R> {
  /** What the data are recognised by when a training is resumed. */
  readonly data: string;
  readonly evaluate: () => PromiseLike<R>;
  /** Used where no metric is given, default `'loss'`. */
  readonly metric?: string;
}

/** Runs the validations of one run of `fit`. */
export class Validator<R extends object> {
  readonly #state: ValidationState;
  readonly #direction: number;
  /** The numbers of the last report. */
  #metrics: Record<string, number> | null = null;

  constructor(
    readonly model: Model<unknown>,
    readonly standing: { validation: ValidationState | null },
    readonly options: ValidationOptions,
    readonly source: ValidationSource<R>,
    readonly recorder: Recorder,
  ) {
    const { data, metric: standard = 'loss' } = source;
    const { metric = standard } = options;
    const { validation: old } = standing;
    const fresh = { data, metric, value: null, step: 0, weights: null, reference: null, since: 0, checked: 0 };
    this.#state = old?.data === data && old.metric === metric ? old : fresh;
    this.#direction = direction(metric);
  }

  /** Validates the model before the first step, unless the run continues one that was interrupted. */
  async begin(step: number): Promise<void> {
    if (this.standing.validation === this.#state) return;
    await this.#validate(step);
    this.standing.validation = this.#state;
  }

  /**
   * Validates between steps, and restores the best weights before it yields the progress of the last one.
   *
   * @param first the steps made before
   * @param epoch the epochs made so far; whole at the end of one
   */
  async *watch(
    steps: AsyncGenerator<Progress, void, void>,
    first: number,
    epoch: () => number,
  ): AsyncGenerator<Progress & { validation?: Validation<R> }, void, void> {
    const { validateEvery: every, patience = Infinity } = this.options;
    const due = (step: number) => (every ? step % every === 0 : Number.isInteger(epoch()));
    const state = this.#state;
    // what was aborted comes first
    if (first > state.checked && due(first)) await this.#validate(first);
    if (this.#metrics) this.recorder.validation(first, epoch(), this.#metrics);
    if (state.since >= patience) return this.#end(true);
    for await (const progress of steps) {
      const { step } = progress;
      const last = step === progress.steps;
      if (!last && !due(step)) {
        yield progress;
        continue;
      }
      const validation = await this.#validate(step);
      this.recorder.validation(step, epoch(), this.#metrics ?? {});
      const stopped = state.since >= patience;
      if (last || stopped) this.#end(stopped);
      yield { ...progress, ...(stopped ? { steps: step, secondsLeft: 0 } : {}), validation };
      if (stopped) return;
    }
  }

  async #validate(step: number): Promise<Validation<R>> {
    const report = await this.source.evaluate();
    const metrics = metricsOf(report);
    const state = this.#state;
    const { metric } = state;
    if (!this.#direction || !check.hasOwn(metrics, metric)) {
      const names = Object.keys(metrics).filter(direction);
      throw new RangeError(`metric: ${check.show(metric)} cannot be compared${check.suggest(metric, names)}`);
    }
    const value = metrics[metric];
    /** How much better than another value. */
    const gain = (than: number | null) =>
      !Number.isFinite(value) ? -Infinity : than === null ? Infinity : this.#direction * (value - than);
    const best = gain(state.value) > 0;
    if (gain(state.reference) > (this.options.minDelta ?? 0)) {
      state.reference = value;
      state.since = 0;
    } else state.since++;
    if (best) {
      const { runtime, slab, slabBytes } = this.model;
      Object.assign(state, { value, step, weights: runtime.read(slab, slabBytes / 4) });
    }
    state.checked = step;
    this.#metrics = metrics;
    const { value: bestValue, step: bestStep, since } = state;
    return { report, value, bestValue: bestValue ?? Number.NaN, bestStep, best, since };
  }

  /** Restores the best weights; the next run begins with a validation of its own. */
  #end(stopped: boolean): void {
    const { value, step, metric } = this.#state;
    const { model, recorder, standing } = this;
    recorder.stopped = stopped;
    recorder.best = value === null ? null : { step, metric, value };
    restoreBest(model, standing);
  }
}
