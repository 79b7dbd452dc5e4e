/**
 * What all tasks share: saving, disposing, training, the loop over batches, streams. A task adds a kind (its options and layers), and
 * how its data become numbers, a loss and results.
 */
import * as check from '../../check.js';
import type { Runtime } from '../../core/train.js';
import { halves } from '../../files/dtypes.js';
import { Model } from '../../nn/model.js';
import { type Options, oneOf, option, readOptions, type Settings } from '../../options.js';
import type { Tape } from '../../tape.js';
import * as checkpoint from '../../train/checkpoint.js';
import { type Batch, type FIT, trainSteps } from '../../train/fit.js';
import { type FitHistory, Recorder } from '../../train/history.js';
import { type Optimizer, type OptimizerOptions, settings as optimizerSettings } from '../../train/optimizer.js';
import { Run } from '../../train/run.js';
import { Schedule } from '../../train/schedule.js';
import {
  addParts,
  computeParts,
  type Outcome,
  type Part,
  type Split,
  shardsOf,
  type Team,
  teamFor,
} from '../../train/shards.js';
import { checkpointed, optimizerOptions, resumed, type TASK_FIT, type TaskProgress } from '../../train/task-fit.js';
import {
  restoreBest,
  VALIDATION,
  type ValidationOptions,
  type ValidationSource,
  Validator,
} from '../../train/validation.js';
import { Warnings } from '../../train/warnings.js';
import {
  type BatchProgress,
  type EpochOptions,
  type EpochProgress,
  Epochs,
  type ExamplePosition,
  encodeExamples,
  type FIT_EXAMPLES,
  fingerprint,
  type Item,
  type SIGNAL,
  split as splitOff,
} from './batches.js';
import { type Examples, Flow } from './flow.js';
import type { Made } from './kind.js';
import { type LossOf, passes, splitting, weighed, weighing } from './lesson.js';
import { type Asked, type BatchSettings, type Call, inBatches } from './passes.js';
import { loadMemory, type Source, Stream } from './stream.js';
import { type Summary, summarize } from './summary.js';

export * from './kind.js';

const SAVE = {
  /** Leaves out what only training needs. Default false. */
  weightsOnly: option(check.flag, false),
  /**
   * `'f16'`, with `weightsOnly`: half the bytes. Each weight is rounded to 11 significant bits: an error of at most 0.05 % of it, or
   * 3e-8 where it is below 6e-5. Default `'f32'`.
   */
  dtype: option(oneOf('f32', 'f16'), 'f32'),
};

export interface SaveOptions extends Options<typeof SAVE> {}

type Losses = ReturnType<LossOf<never, never>>;
type FitSettings = Omit<Settings<typeof FIT>, 'steps'> & Settings<typeof TASK_FIT>;

/** The next batch, as plain data, and what is done after the update: it is given what the parts of the batch have left. */
interface Given {
  readonly where: object;
  readonly done: (afters: readonly unknown[]) => void;
  /** Whether the run ends with this batch. */
  readonly last?: boolean;
}

/** The steps of a run. */
interface Course {
  readonly steps: number;
  /** The next batch. */
  readonly next: () => Given | Promise<Given>;
  /** Called at the end, however it comes. */
  readonly close?: () => Promise<void>;
  /** Epochs made so far, with a fraction; whole at the end of one. */
  readonly epoch: () => number;
}

/** What a task learns from. */
interface Material<L> {
  /** The first argument of `fit`. */
  readonly data: unknown;
  readonly batchSize: number;
  readonly split: Split<L>;
}

/** How a task learns from examples. */
export interface Lesson<L, E, I extends Item, R> {
  /** What an example is, for errors: `'{ input, label }'`. */
  readonly fields: string;
  readonly encode: (place: string, example: E) => I;
  /** What an example counts in the mean of the loss: its steps, say. Default 1. */
  readonly size?: (item: I) => number;
  /** The loss of a batch, the longest example first. @param items all that are learned from; of an iterable none */
  readonly loss: (items: readonly I[]) => LossOf<L, I>;
  /** What `evaluate` does. */
  readonly measure: (items: readonly I[], options: Options<typeof SIGNAL>) => Run<BatchProgress, R>;
}

export abstract class Task<L, C extends object> {
  /** The options it was created with, a frozen copy. */
  readonly config: C;
  readonly #task: string;
  readonly #model: Model<L>;
  readonly #owned: boolean;
  readonly #standing: checkpoint.Standing;
  /** What is learned apart from the weights: plain data that the file keeps. */
  protected data: Readonly<Record<string, unknown>>;
  #busy = false;
  /** While `firstBatch` asks: the first batch of the last `fit`. */
  #asked: { batch?: () => Part<L> } | null = null;
  #disposed = false;

  /** For `create` and `load` of the tasks. */
  protected constructor(made: Made<L, C>) {
    if (!(made?.model instanceof Model)) {
      throw new TypeError(
        `new ${new.target.name}: cannot be called; await ${new.target.name}.create(options) makes a model`,
      );
    }
    const { task, config, model, owned, data, ...standing } = made;
    this.#task = task;
    this.config = config;
    this.#model = model;
    this.#owned = owned;
    this.data = data;
    this.#standing = standing;
  }

  /** The layers and their parameters. @throws Error after `dispose` */
  get model(): Model<L> {
    if (this.#disposed || this.#model.runtime.disposed) throw new Error('this model has been disposed');
    return this.#model;
  }

  /** The core that it runs on. */
  get runtime(): Runtime {
    return this.#model.runtime;
  }

  /** Steps that training has made, and the options of its optimizer; null before the first. */
  get training(): { readonly steps: number; readonly options: OptimizerOptions } | null {
    const { optimizer } = this.#standing;
    return optimizer && { steps: optimizer.steps, options: optimizer.options };
  }

  /** The optimizer at work, with its moments; null before the first step. */
  get optimizer(): Optimizer | null {
    return this.#standing.optimizer;
  }

  /**
   * What the first step of a new training would minimise, as `model.valueAndGrad` takes it: for `gradcheck`, and for `gatewise/dynamics`.
   * Nothing is trained, and nothing changes.
   *
   * @param fit calls `fit` of this task, synchronously
   * @throws what `fit` throws; TypeError if it was not called
   */
  firstBatch(fit: () => unknown): (tape: Tape, layers: L) => Losses {
    const { next } = this.model.random;
    const counters = { ...next };
    const asked: { batch?: () => Part<L> } = {};
    this.#asked = asked;
    try {
      fit();
    } catch (error) {
      if (error !== asked) throw error;
    } finally {
      this.#asked = null;
      Object.assign(next, counters);
    }
    const { batch } = asked;
    if (!batch) return check.fail('fit', 'a call of fit', fit);
    return (tape, layers) => {
      const first = batch();
      return first.loss(tape, layers) as Losses;
    };
  }

  /** Where training stands in its data, in the task's own words. */
  protected get position(): object | null {
    return this.#standing.position;
  }

  /** Layers, shapes, parameters and bytes; as a string a table. */
  summary(): Summary {
    return summarize(this.model);
  }

  /** The model as a safetensors file: with everything that training needs to resume to the same bits, or the weights alone. */
  save(options: SaveOptions = {}): Uint8Array<ArrayBuffer> {
    const { weightsOnly, dtype } = readOptions('save', SAVE, options);
    if (dtype === 'f16' && !weightsOnly) {
      check.clash("dtype: 'f16'", 'weightsOnly: false', 'a training resumes from its own bits');
    }
    const data = Object.keys(this.data).length ? this.data : undefined;
    const about = { task: this.#task, config: this.config, data };
    return checkpoint.save(
      this.model,
      about,
      weightsOnly ? null : this.#standing,
      dtype === 'f16' ? halves : undefined,
    );
  }

  /**
   * Ends a run with `validation` that was interrupted: restores the best weights so far. The next `fit` begins a new validation.
   *
   * @returns the step of these weights; null where no validation was interrupted
   * @throws Error while the model is being trained
   */
  restoreBest(): number | null {
    if (this.#busy) throw new Error('restoreBest: this model is being trained');
    return restoreBest(this.model, this.#standing);
  }

  /** Gives all memory back. Every later call on the model, its streams and runs throws. */
  dispose(): void {
    if (this.#disposed) return;
    this.#disposed = true;
    if (this.#owned) this.#model.runtime.dispose();
    else if (!this.#model.runtime.disposed) this.#model.dispose();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }

  /**
   * Trains, step by step. It resumes with the optimizer and the schedule that there are, unless their settings have changed.
   *
   * @param options as they were given; `settings` are the same, checked
   * @param material the data, and how a batch of them is split
   * @param prepare called when the run starts: where training stands, to be read and moved
   * @param source what to validate on
   * @param map the progress of a step as the task reports it
   */
  protected train<P, R extends object>(
    options: OptimizerOptions,
    settings: FitSettings,
    material: Material<L>,
    prepare: (standing: checkpoint.Standing) => Course,
    source: ValidationSource<R> | undefined,
    map: (progress: TaskProgress<R>) => P,
  ): Run<P, FitHistory> {
    const wanted = optimizerOptions(options);
    optimizerSettings(wanted);
    if (!source) {
      const alone = (Object.keys(VALIDATION) as (keyof ValidationOptions)[]).find((key) => settings[key] !== undefined);
      if (alone) throw new TypeError(`${alone}: needs validation`);
    }
    if (this.#asked) {
      const { next } = prepare({ ...checkpoint.FRESH });
      this.#asked.batch = () => {
        const first = next();
        if (first instanceof Promise) throw new TypeError('fit: expected a list of examples, got an iterable');
        return material.split(first.where, 0, 1) as Part<L>;
      };
      throw this.#asked; // before anything changes
    }
    settings.workers?.receive?.(material.split, this.model);
    shardsOf({ ...settings, ...material }, this.#standing.shards);
    const begin = () => {
      if (this.#busy) throw new Error('fit: this model is being trained already');
      void this.model;
      this.#busy = true;
      return this.#steps(options, settings, material, prepare, source);
    };
    const end = () => {
      this.#busy = false;
    };
    return Run.of(begin, map, end, settings.signal);
  }

  async *#steps<R extends object>(
    options: OptimizerOptions,
    { clipNorm, clipValue, schedule, signal, checkpoint: saving, ...settings }: FitSettings,
    { data, batchSize, split }: Material<L>,
    prepare: (standing: checkpoint.Standing) => Course,
    source: ValidationSource<R> | undefined,
  ): AsyncGenerator<TaskProgress<R>, FitHistory, void> {
    const wanted = optimizerOptions(options);
    const standing = this.#standing;
    const recorder = new Recorder();
    const validator = source && new Validator(this.model, standing, settings, source, recorder);
    if (validator) await validator.begin(standing.optimizer?.steps ?? 0);
    else standing.validation = null;
    const optimizer = resumed(this.model, standing.optimizer, wanted);
    standing.optimizer = optimizer;
    if (schedule && JSON.stringify(schedule) !== JSON.stringify(standing.schedule?.options)) {
      standing.schedule = new Schedule(schedule);
    }
    const { steps, next, epoch, close } = prepare(standing);
    const warnings = new Warnings(this.model, clipNorm);
    let last: TaskProgress<R> | undefined;
    const shards = shardsOf({ ...settings, batchSize }, standing.shards);
    standing.shards = shards;
    const here = (where: unknown) => computeParts(this.model, split, where, shards);
    const job = { ...this.replicated, data, options, shards, here };
    let team: Team | undefined;
    // `model` throws where it has been disposed between two steps
    const made = ({ where, done, ...rest }: Given): Batch<L> => {
      if (shards === 1 && !team) {
        const { loss, after } = split(where, 0, 1) as Part<L>;
        return { loss, done: () => done([after?.()]), ...rest };
      }
      let parts: Outcome[] = [];
      const gradients = async () => {
        parts = await (team ? team.step(where) : here(where));
        recorder.workers = team?.about ?? null;
        return addParts(this.model, parts);
      };
      return { gradients, done: () => done(parts.map(({ after }) => after)), ...rest };
    };
    const step = () => {
      void this.model;
      const given = next();
      const watched = (own: Given) => warnings.watch(made(own));
      return given instanceof Promise ? given.then(watched) : watched(given);
    };
    const all = { ...wanted, steps, clipNorm, clipValue, signal };
    const trained = trainSteps(this.model, optimizer, all, step, standing.schedule);
    const run = validator ? validator.watch(trained, optimizer.steps, epoch) : trained;
    try {
      team = await teamFor(settings.workers, job);
      for await (const progress of saving ? checkpointed(run, saving, () => this.save()) : run) {
        recorder.step(progress, epoch());
        last = { ...progress, epoch: epoch() };
        yield { ...last, ...warnings.after(progress) };
      }
    } catch (error) {
      const warning = warnings.overflow(error);
      if (warning && last) yield { ...last, warning };
      throw error;
    } finally {
      team?.end();
      await close?.();
    }
    return recorder.history;
  }

  /** Trains on examples, epoch by epoch, and validates on others, or on a share of them. */
  protected learn<E, I extends Item, R extends object>(
    examples: Examples<E>,
    options: EpochOptions<E>,
    settings: Settings<typeof FIT_EXAMPLES>,
    { fields, encode: encodeOne, size, loss, measure }: Lesson<L, E, I, R>,
  ): Run<EpochProgress<R>, FitHistory> {
    const { validation, signal } = settings;
    const encode = weighing(fields, encodeOne);
    const list = Array.isArray(examples) ? (examples as readonly E[]) : null;
    let learned = list ? encodeExamples('examples', list, fields, encode) : [];
    let kept: I[] = [];
    if (typeof validation === 'number') {
      if (!list) throw new TypeError('validation: a share needs a list of examples; expected examples to validate on');
      ({ learned, kept } = splitOff(this.model, learned, validation));
    } else if (validation) kept = encodeExamples('validation', validation as readonly E[], fields, encode);
    const evaluate = () => measure(kept, { signal });
    const source = kept.length ? { data: fingerprint(kept), evaluate } : undefined;
    const own = weighed(loss(learned), size);
    if (list) return this.fitExamples(list, learned, options, settings, own, source, size);
    const epochs = passes(settings, examples);
    const flow = new Flow(this.model, examples, fields, encode, { ...settings, epochs });
    const next = async () => {
      const { batch, ...rest } = await flow.next();
      return { where: { batch, step: this.training?.steps ?? 0 }, ...rest };
    };
    const course = {
      steps: settings.steps ?? Infinity,
      next,
      epoch: () => flow.made,
      close: () => flow.close(),
    };
    const material = { data: undefined, batchSize: settings.batchSize, split: splitting([], own, size) };
    return this.train(
      options,
      settings,
      material,
      () => course,
      source,
      (progress) => progress,
    );
  }

  /**
   * Trains on examples, epoch by epoch.
   *
   * @param data the first argument of `fit`
   * @param size what an item counts for in the mean over a batch
   */
  protected fitExamples<I extends Item, R extends object>(
    data: unknown,
    items: readonly I[],
    options: OptimizerOptions,
    settings: Settings<typeof FIT_EXAMPLES>,
    loss: LossOf<L, I>,
    source: ValidationSource<R> | undefined,
    size?: (item: I) => number,
  ): Run<EpochProgress<R>, FitHistory> {
    const { batchSize, shuffle, steps = Infinity } = settings;
    const prepare = (standing: checkpoint.Standing) => {
      const own = new Epochs(this.model, items, batchSize, shuffle, standing.position as ExamplePosition | null);
      standing.position = own.position;
      const next = () => ({ where: { places: own.next(), step: this.training?.steps ?? 0 }, done: () => own.done() });
      return { steps: Math.min(steps, own.stepsFor(passes(settings, items))), next, epoch: () => own.made };
    };
    const material = { data, batchSize, split: splitting(items, loss, size) };
    return this.train(options, settings, material, prepare, source, (progress) => progress);
  }

  /** What workers need of the model. */
  protected get replicated(): Omit<Asked, 'call'> {
    const { taskName: task } = this.constructor as typeof this.constructor & { readonly taskName: string };
    return { task, model: this.model, save: () => this.save({ weightsOnly: true }), alive: () => void this.model };
  }

  /** Runs the layers over all items, a batch at a time; gives one result for each, in their order. */
  protected forEach<I extends Item, P>(
    items: readonly I[],
    settings: BatchSettings,
    work: (tape: Tape, layers: L, batch: I[]) => readonly P[],
    call?: Call,
  ): Run<BatchProgress, P[]> {
    const results: P[] = new Array(items.length);
    const put = (own: readonly P[], _: I[], places: Int32Array) => {
      places.forEach((i, n) => {
        results[i] = own[n];
      });
    };
    return this.measure(items, settings, work, put, () => results, call);
  }

  /** Runs the layers over all items, a batch at a time; `report` says what `count` has made of what `work` has computed. */
  protected measure<I extends Item, Own, R>(
    items: readonly I[],
    settings: BatchSettings,
    work: (tape: Tape, layers: L, batch: I[]) => Own,
    count: (own: Own, batch: I[], places: Int32Array) => void,
    report: () => R,
    call?: Call,
  ): Run<BatchProgress, R> {
    const read = (batch: I[]) => this.model.forward((tape, layers) => work(tape, layers, batch));
    return inBatches(items, settings, read, count, report, call && { ...this.replicated, call });
  }

  /** A stream, from its start or from what one has saved. */
  protected openStream<Input, Output>(
    saved: Uint8Array | ArrayBuffer | undefined,
    own: Omit<Source<Input, Output>, 'task' | 'alive'>,
  ): Stream<Input, Output> {
    const source = { ...own, task: this.#task, alive: () => void this.model };
    source.alive();
    return new Stream(source, saved === undefined ? source.start() : loadMemory(source, saved));
  }
}
