/**
 * What all tasks have in common: a model on a runtime of its own or on a shared one, the optimizer and schedule at work on it, and
 * its file. A task holds a learner; it adds data, layers and words.
 */
import * as check from '../check.js';
import { Runtime as Running } from '../core/runtime.js';
import { RUNTIME_OPTIONS, type RuntimeOptions } from '../core/start.js';
import { Runtime } from '../core/train.js';
import { FormatError } from '../errors.js';
import { type Builder, Model } from '../nn/model.js';
import type { State } from '../nn/recurrent/state.js';
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
  if (runtime !== undefined && !(runtime instanceof Running)) check.fail('runtime', 'a Runtime', runtime);
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

/** A task's own file, and what it says that the task was created with. */
export function openTask(
  bytes: Uint8Array | ArrayBuffer,
  task: string,
  options: Omit<TaskOptions, 'seed'>,
): { file: checkpoint.Checkpoint; given: Record<string, unknown> } {
  check.options(
    'load',
    options,
    TASK_OPTIONS.filter((key) => key !== 'seed'),
  );
  const file = checkpoint.open(bytes, task);
  if (!file.description)
    throw new FormatError(`the file has no description: it was not saved by a ${task} of gatewise`);
  return { file, given: file.description.config };
}

/** What a file keeps of a task's options: those of `keys` that were given, in this order. */
export function storable<T extends object>(options: T, keys: readonly string[]): Record<string, unknown> {
  const given = options as Record<string, unknown>;
  return Object.fromEntries(keys.filter((key) => given[key] !== undefined).map((key) => [key, given[key]]));
}

export class Learner<L> {
  readonly model: Model<L>;
  optimizer: Optimizer | null = null;
  schedule: Schedule | null = null;
  /** Where training stands in its data, and the state it carries: in the words of the task, kept in its file. */
  position: object | null = null;
  state: State | null = null;
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
      const step = this.optimizer?.steps ?? 0;
      this.optimizer = new Optimizer(this.model, options);
      this.optimizer.steps = step;
    }
    return this.optimizer;
  }

  /**
   * The model as a safetensors file: with everything that training needs to go on to the same bits, or with the weights alone.
   *
   * @param config what the task was created with
   */
  save(task: string, config: object, options: { weightsOnly?: boolean }): Uint8Array<ArrayBuffer> {
    check.options('save', options, ['weightsOnly']);
    const weightsOnly = check.flag('weightsOnly', options.weightsOnly ?? false);
    return checkpoint.save(this.model, { task, config }, weightsOnly ? null : this);
  }

  /**
   * A model from a file.
   *
   * @param build layers from what the file says that the task was created with; throws if that is nonsense
   * @throws FormatError for a file that is damaged or does not fit
   */
  static async load<L, C>(
    file: checkpoint.Checkpoint,
    config: Record<string, unknown>,
    options: Omit<TaskOptions, 'seed'>,
    checked: (options: Record<string, unknown>) => { config: C; build: (b: Builder) => L },
    aliases: Readonly<Record<string, readonly string[]>> = {},
  ): Promise<{ learner: Learner<L>; config: C }> {
    let result: { config: C; build: (b: Builder) => L };
    try {
      result = checked(config);
    } catch (error) {
      throw new FormatError(`the file's description: ${(error as Error).message}`);
    }
    const seed = file.description?.seed ?? 0;
    const learner = await Learner.create({ ...options, seed }, result.build, false);
    try {
      Object.assign(learner, checkpoint.restore(learner.model, file, aliases));
      return { learner, config: result.config };
    } catch (error) {
      learner.dispose();
      throw error;
    }
  }

  /** Gives all memory back. */
  dispose(): void {
    if (this.owned) this.runtime.dispose();
    else this.model.dispose();
  }
}
