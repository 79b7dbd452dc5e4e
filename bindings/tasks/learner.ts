/**
 * What all tasks have in common: a model on a runtime of its own or on a shared one, the optimizer and schedule at work on it, and
 * its file. A task holds a learner; it adds data, layers and words.
 */
import * as check from '../check.js';
import { RUNTIME_OPTIONS, Runtime, type RuntimeOptions } from '../core/runtime.js';
import { type Builder, Model } from '../nn/model.js';
import type { State } from '../nn/recurrent.js';
import * as checkpoint from '../train/checkpoint.js';
import { type Batch, FIT_OPTIONS, type FitOptions, type Progress, train } from '../train/fit.js';
import { OPTIMIZER_OPTIONS, Optimizer, type OptimizerOptions, settings } from '../train/optimizer.js';
import { Schedule } from '../train/schedule.js';

/** Options that every task takes. */
export interface TaskOptions extends RuntimeOptions {
  /** Whole number, default 0: the same seed gives the same model and numbers. */
  seed?: number | undefined;
  /** A runtime to share; else the model starts one of its own. */
  runtime?: Runtime | undefined;
}

export const TASK_OPTIONS: readonly string[] = ['seed', 'runtime', ...RUNTIME_OPTIONS];

/** Checks what every task takes; returns the seed. */
export function checkTask({ seed = 0, runtime, build, module }: TaskOptions): number {
  if (runtime !== undefined && !(runtime instanceof Runtime)) check.fail('runtime', 'a Runtime', runtime);
  if (runtime && (build ?? module) !== undefined) {
    throw new TypeError('runtime: goes with neither build nor module, which are for a runtime of its own');
  }
  return check.whole('seed', seed, 0, Number.MAX_SAFE_INTEGER);
}

/** The options among `given` that the optimizer takes. */
function optimizerOptions(given: FitOptions): OptimizerOptions {
  return Object.fromEntries(
    OPTIMIZER_OPTIONS.filter((key) => given[key] !== undefined).map((key) => [key, given[key]]),
  );
}

/** Checks the options of a fit before anything begins; `own` names those that the task adds. */
export function checkFitOptions(given: FitOptions, own: readonly string[]): void {
  check.options('fit', given, [...FIT_OPTIONS, ...own]);
  settings(optimizerOptions(given));
}

export class Learner<L> {
  readonly model: Model<L>;
  optimizer: Optimizer | null = null;
  schedule: Schedule | null = null;
  #busy = false;

  private constructor(
    readonly runtime: Runtime,
    readonly owned: boolean,
    seed: number,
    build: (b: Builder) => L,
    initialise: boolean,
  ) {
    try {
      this.model = new Model(runtime, seed, build, initialise);
    } catch (error) {
      if (owned) runtime.dispose();
      throw error;
    }
  }

  static async create<L>(options: TaskOptions, build: (b: Builder) => L, initialise = true): Promise<Learner<L>> {
    const { runtime, seed = 0 } = options;
    const own = runtime ?? (await Runtime.create({ build: options.build, module: options.module }));
    return new Learner(own, !runtime, seed, build, initialise);
  }

  static createSync<L>(options: TaskOptions, build: (b: Builder) => L): Learner<L> {
    const { runtime, seed = 0 } = options;
    const own = runtime ?? Runtime.createSync({ build: options.build, module: options.module });
    return new Learner(own, !runtime, seed, build, true);
  }

  /** The steps of a fit: goes on with the optimizer and the schedule there are, unless their settings have changed. */
  async *fit(options: FitOptions, prepare: () => () => Batch<L>): AsyncGenerator<Progress, void, void> {
    if (this.#busy) throw new Error('this model is being trained already');
    this.#busy = true;
    try {
      const optimizer = this.#resume(optimizerOptions(options));
      if (options.schedule && JSON.stringify(options.schedule) !== JSON.stringify(this.schedule?.options)) {
        this.schedule = new Schedule(options.schedule);
      }
      yield* train(this.model, optimizer, options, prepare(), this.schedule);
    } finally {
      this.#busy = false;
    }
  }

  /** The optimizer at work, if its settings but for the rate are the same; else a new one. */
  #resume(options: OptimizerOptions): Optimizer {
    const { learningRate: _, ...wanted } = settings(options);
    const { learningRate: __, ...have } = this.optimizer?.settings ?? settings({});
    if (!this.optimizer || JSON.stringify(wanted) !== JSON.stringify(have)) {
      const step = this.optimizer?.step ?? 0;
      this.optimizer = new Optimizer(this.model, options);
      this.optimizer.step = step;
    }
    return this.optimizer;
  }

  /** The file. `position` and `state`: where the task's data stand; null: the weights alone. */
  save(
    about: { task: string; config: object },
    training: { position: object; state: State | null } | null,
  ): Uint8Array<ArrayBuffer> {
    const { optimizer, schedule } = this;
    return checkpoint.save(this.model, about, training && { optimizer, schedule, ...training });
  }

  /** Brings a fresh model to where a file stands; gives it up if the file does not fit. */
  restore(file: checkpoint.Checkpoint, aliases: Readonly<Record<string, readonly string[]>> = {}): State | null {
    try {
      const { optimizer, schedule, state } = checkpoint.restore(this.model, file, aliases);
      this.optimizer = optimizer;
      this.schedule = schedule;
      return state;
    } catch (error) {
      this.dispose();
      throw error;
    }
  }

  /** Gives all memory back. */
  dispose(): void {
    if (this.owned) this.runtime.dispose();
    else this.model.dispose();
  }
}
