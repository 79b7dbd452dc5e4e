/**
 * What all tasks share: creating, loading, saving, disposing, the loop over batches, streams. A task adds a kind (its options and
 * layers), and how its data become numbers, a loss and results.
 */
import * as check from '../../check.js';
import { Runtime as Running } from '../../core/runtime.js';
import { Runtime } from '../../core/train.js';
import { FormatError } from '../../errors.js';
import { checking } from '../../files/json.js';
import type { Builder } from '../../nn/builder.js';
import { Model } from '../../nn/model.js';
import type { Options, Schema, Settings } from '../../options.js';
import { givenOptions, oneOf, option, optional, pick, readOptions, recordOf, whole } from '../../options.js';
import type { Bytes, WasmModule } from '../../platform.js';
import type { Loss, Tape } from '../../tape.js';
import * as checkpoint from '../../train/checkpoint.js';
import { type Batch, checkpointed, type FIT, type Progress, type TASK_FIT, train } from '../../train/fit.js';
import { OPTIMIZER, Optimizer, type OptimizerOptions, settings as optimizerSettings } from '../../train/optimizer.js';
import { Run } from '../../train/run.js';
import { Schedule } from '../../train/schedule.js';
import {
  type BATCHES,
  type BatchProgress,
  type EpochOptions,
  type EpochProgress,
  Epochs,
  type ExamplePosition,
  type FIT_EXAMPLES,
  type Item,
  inBatches,
  readPosition,
} from './batches.js';
import { loadMemory, type Source, Stream } from './stream.js';
import { type Summary, summarize } from './summary.js';

const LOAD = {
  /** A runtime to share; by default the model starts one of its own. */
  runtime: optional((name: string, value: unknown) =>
    value instanceof Running ? (value as Runtime) : check.fail(name, 'a Runtime', value),
  ),
  /**
   * `'simd'`, the default, gives the same bits on every engine and processor. `'relaxed'` uses fused multiply-add where the processor
   * has it: faster, equal within rounding only.
   */
  build: optional(oneOf('simd', 'relaxed')),
  /** The core as a compiled module or as bytes (`gatewise/simd.wasm`), for engines that forbid compiling at run time. */
  module: optional<object>((name, value) =>
    typeof value === 'object' && value !== null ? value : check.fail(name, 'a WebAssembly.Module or its bytes', value),
  ),
};

const TASK = {
  /** A whole number, default 0: the same seed gives the same model and numbers. */
  seed: option(whole(0, Number.MAX_SAFE_INTEGER), 0),
  ...LOAD,
};

const LOAD_FILE = {
  ...LOAD,
  /** The options of `create`, for a file that gatewise did not write, such as a state dict of PyTorch. */
  config: optional((name: string, value: unknown) =>
    typeof value === 'object' && value !== null
      ? (value as Readonly<Record<string, unknown>>)
      : check.fail(name, 'an object of options', value),
  ),
  /** New beginnings of names of tensors, say `{ 'decoder.': 'head.' }`. `lstm.` and `gru.` are read as `rnn.`. */
  rename: optional(recordOf(check.text, 'new names by old ones')),
};

/** Options of loading a model. */
export interface LoadOptions extends Omit<Options<typeof LOAD_FILE>, 'module'> {
  // written out, so that the published types do not name what the platform may lack
  /** The core as a compiled module or as bytes (`gatewise/simd.wasm`), for engines that forbid compiling at run time. */
  module?: WasmModule | Bytes | undefined;
}
/** Options that every task takes. */
export interface TaskOptions extends Omit<Options<typeof TASK>, 'module'>, Pick<LoadOptions, 'module'> {}

const SAVE = {
  /** Leaves out what only training needs. Default false. */
  weightsOnly: option(check.flag, false),
};

export interface SaveOptions extends Options<typeof SAVE> {}

/** What distinguishes a task: its name in files, its options but for those of every task, and its layers. */
export interface Kind<L, S extends Schema> {
  readonly task: string;
  readonly schema: S;
  /** Checks what options say together. The layers are built later, on a runtime. */
  readonly layers: (settings: Settings<S>) => (b: Builder) => L;
  /** The options of a file without a description, as far as its tensors tell them. */
  readonly infer?: (file: checkpoint.Checkpoint) => Record<string, unknown>;
  /** Checks what a file holds of what the task learned apart from the weights. */
  readonly checkData?: (data: Readonly<Record<string, unknown>>, settings: Settings<S>) => void;
  /** How training resumes; default: in examples, with nothing carried from step to step. */
  readonly resumption?: checkpoint.Resumption<L>;
}

/** A model that has been created or loaded. */
export interface Made<L, C> extends checkpoint.Standing {
  readonly task: string;
  readonly config: C;
  readonly model: Model<L>;
  readonly owned: boolean;
  readonly data: Readonly<Record<string, unknown>>;
}

/** Everything about a model but its runtime. */
interface Plan<L, C> {
  readonly task: string;
  readonly config: C;
  readonly seed: number;
  readonly build: (b: Builder) => L;
  readonly from: Settings<typeof LOAD>;
  readonly file: checkpoint.Checkpoint | null;
  readonly resumption: checkpoint.Resumption<L>;
}

const IN_EXAMPLES = { position: readPosition };

function planNew<L, S extends Schema>({ task, schema, layers }: Kind<L, S>, options: unknown): Plan<L, Options<S>> {
  const known = { ...schema, ...TASK };
  const settings = readOptions('create', schema, options, '', known);
  const { seed, ...from } = readOptions('create', TASK, options, '', known);
  const config = givenOptions(schema, settings, options as Options<S>);
  return { task, config, seed, build: layers(settings), from, file: null, resumption: IN_EXAMPLES };
}

function planFile<L, S extends Schema>(
  { task, schema, layers, infer, checkData, resumption = IN_EXAMPLES }: Kind<L, S>,
  bytes: Uint8Array | ArrayBuffer,
  options: LoadOptions,
): Plan<L, Options<S>> {
  const { config, rename = {}, ...from } = readOptions('load', LOAD_FILE, options);
  const file = checkpoint.open(bytes, task, rename);
  if (file.description && config) {
    throw new TypeError('config: is for files without a description; this file says what it was created with');
  }
  if (!file.description && !config && !infer) {
    throw new FormatError(
      `the file has no description: it was not saved by gatewise. Pass the options of create as \`config\``,
    );
  }
  const { config: given, seed } = file.description ?? { config: { ...infer?.(file), ...config }, seed: 0 };
  try {
    const settings = readOptions('config', schema, given);
    const { data = {} } = file.description ?? {};
    if (checkData) checkData(data, settings);
    else if (Object.keys(data).length > 0) throw new FormatError('data: is not part of this task');
    return {
      task,
      config: givenOptions(schema, settings, given as Options<S>),
      seed,
      build: layers(settings),
      from,
      file,
      resumption,
    };
  } catch (error) {
    if (!file.description) throw error;
    throw new FormatError(`the file's description: ${(error as Error).message}`);
  }
}

function made<L, C>(
  { task, config, seed, build, file, resumption }: Plan<L, C>,
  runtime: Runtime,
  owned: boolean,
): Made<L, C> {
  let model: Model<L> | undefined;
  try {
    if (file?.description) checking("the file's description", () => checkpoint.checkShapes(runtime, build, file));
    else if (file) checkpoint.checkShapes(runtime, build, file);
    model = new Model(runtime, seed, build, !file);
    const standing = file
      ? checkpoint.restore(model, file, resumption)
      : { optimizer: null, schedule: null, position: null, state: null };
    return { task, config, model, owned, data: file?.description?.data ?? {}, ...standing };
  } catch (error) {
    if (owned) runtime.dispose();
    else model?.dispose();
    throw error;
  }
}

async function start<L, C>(plan: Plan<L, C>): Promise<Made<L, C>> {
  const { runtime, ...own } = checkRuntime(plan.from);
  return made(plan, runtime ?? (await Runtime.create(own)), !runtime);
}

function startSync<L, C>(plan: Plan<L, C>): Made<L, C> {
  const { runtime, ...own } = checkRuntime(plan.from);
  return made(plan, runtime ?? Runtime.createSync(own), !runtime);
}

function checkRuntime(from: Settings<typeof LOAD>): Settings<typeof LOAD> {
  if (from.runtime && (from.build ?? from.module) !== undefined) {
    throw new TypeError('runtime: cannot be combined with build or module, which are for a runtime of its own');
  }
  return from;
}

/** @throws TypeError, RangeError for invalid options; UnsupportedError where there is no WebAssembly SIMD */
export const create = <L, S extends Schema>(kind: Kind<L, S>, options: unknown) => start(planNew(kind, options));
export const createSync = <L, S extends Schema>(kind: Kind<L, S>, options: unknown) =>
  startSync(planNew(kind, options));

/** @throws FormatError for a file that is damaged or holds something else */
export const load = async <L, S extends Schema>(
  kind: Kind<L, S>,
  bytes: Uint8Array | ArrayBuffer,
  options: LoadOptions = {},
) => start(planFile(kind, bytes, options));
export const loadSync = <L, S extends Schema>(
  kind: Kind<L, S>,
  bytes: Uint8Array | ArrayBuffer,
  options: LoadOptions = {},
) => startSync(planFile(kind, bytes, options));

/** The options among `given` that the optimizer takes. */
function optimizerOptions(given: OptimizerOptions): OptimizerOptions {
  const keys = (Object.keys(OPTIMIZER) as (keyof OptimizerOptions)[]).filter((key) => given[key] !== undefined);
  return pick(given, keys);
}

type Losses = Loss | readonly { loss: Loss; weight: number }[];

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
  #disposed = false;

  protected constructor({ task, config, model, owned, data, ...standing }: Made<L, C>) {
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
    const { weightsOnly } = readOptions('save', SAVE, options);
    const data = Object.keys(this.data).length ? this.data : undefined;
    const about = { task: this.#task, config: this.config, data };
    return checkpoint.save(this.model, about, weightsOnly ? null : this.#standing);
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
   * @param prepare called when the run starts: where training stands, to be read and moved; returns the number of steps and what makes
   *   each batch
   * @param map the progress of a step as the task reports it
   */
  protected train<P>(
    options: OptimizerOptions,
    {
      clipNorm,
      clipValue,
      schedule,
      signal,
      checkpoint: saving,
    }: Omit<Settings<typeof FIT>, 'steps'> & Settings<typeof TASK_FIT>,
    prepare: (standing: checkpoint.Standing) => { steps: number; next: () => Batch<L> },
    map: (progress: Progress) => P,
  ): Run<P, void> {
    const wanted = optimizerOptions(options);
    optimizerSettings(wanted);
    const begin = () => {
      if (this.#busy) throw new Error('fit: this model is being trained already');
      const standing = this.#standing;
      standing.optimizer = resumed(this.model, standing.optimizer, wanted);
      if (schedule && JSON.stringify(schedule) !== JSON.stringify(standing.schedule?.options)) {
        standing.schedule = new Schedule(schedule);
      }
      const { steps, next } = prepare(standing);
      this.#busy = true;
      // `model` throws where it has been disposed between two steps
      const step = () => {
        void this.model;
        return next();
      };
      const settings = { ...wanted, steps, clipNorm, clipValue, signal };
      const run = train(this.model, standing.optimizer, settings, step, standing.schedule);
      return saving ? checkpointed(run, saving, () => this.save()) : run;
    };
    const end = () => {
      this.#busy = false;
    };
    return Run.of(begin, map, end, signal);
  }

  /**
   * Trains on examples, epoch by epoch.
   *
   * @param loss of the examples of a batch, the longest first
   */
  protected fitExamples<I extends Item>(
    items: readonly I[],
    options: EpochOptions,
    settings: Settings<typeof FIT_EXAMPLES>,
    loss: (tape: Tape, layers: L, batch: I[]) => Losses,
  ): Run<EpochProgress, void> {
    let epochs: Epochs<I> | undefined;
    const prepare = (standing: checkpoint.Standing) => {
      const own = new Epochs(this.model, items, settings.batchSize, standing.position as ExamplePosition | null);
      standing.position = own.position;
      epochs = own;
      const next = () => {
        const batch = own.next();
        return { loss: (tape: Tape, layers: L) => loss(tape, layers, batch), done: () => own.done() };
      };
      return { steps: own.stepsFor(settings.epochs), next };
    };
    return this.train(options, settings, prepare, (progress) => ({ ...progress, epoch: epochs?.made ?? 0 }));
  }

  /** Runs the layers over all items, a batch at a time; gives one result for each, in their order. */
  protected forEach<I extends Item, P>(
    items: readonly I[],
    settings: Settings<typeof BATCHES>,
    work: (tape: Tape, layers: L, batch: I[]) => readonly P[],
  ): Run<BatchProgress, P[]> {
    const results: P[] = new Array(items.length);
    const put = (batch: I[], places: Int32Array) => {
      const own = this.model.forward((tape, layers) => work(tape, layers, batch));
      places.forEach((i, n) => {
        results[i] = own[n];
      });
    };
    return inBatches(items, settings, put, () => results);
  }

  /** Runs the layers over all items, a batch at a time; `report` says what `work` has counted. */
  protected measure<I extends Item, R>(
    items: readonly I[],
    settings: Settings<typeof BATCHES>,
    work: (tape: Tape, layers: L, batch: I[]) => void,
    report: () => R,
  ): Run<BatchProgress, R> {
    const run = (batch: I[]) => this.model.forward((tape, layers) => work(tape, layers, batch));
    return inBatches(items, settings, run, report);
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

/** The optimizer at work, if its settings but for the rate are the same; else a new one. */
function resumed(model: Model<unknown>, optimizer: Optimizer | null, options: OptimizerOptions): Optimizer {
  const { learningRate: _, ...wanted } = optimizerSettings(options);
  const { learningRate: __, ...have } = optimizer?.settings ?? optimizerSettings({});
  if (optimizer && JSON.stringify(wanted) === JSON.stringify(have)) return optimizer;
  const fresh = new Optimizer(model, options);
  fresh.steps = optimizer?.steps ?? 0;
  return fresh;
}
