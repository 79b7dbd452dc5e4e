/** Creating and loading: the kind of a task (its options and layers), and the model that is made of it. */
import * as check from '../../check.js';
import type { Runtime } from '../../core/train.js';
import { FormatError } from '../../errors.js';
import { checking } from '../../files/json.js';
import type { Builder } from '../../nn/builder.js';
import { Model } from '../../nn/model.js';
import type { Options, Schema, Settings } from '../../options.js';
import { givenOptions, oneOf, option, optional, readOptions, recordOf, whole } from '../../options.js';
import type { Bytes, WasmModule } from '../../platform.js';
import * as checkpoint from '../../train/checkpoint.js';
import { readPosition } from './batches.js';

const LOAD = {
  /** A runtime to share; by default the model starts one of its own. */
  runtime: optional((name: string, value: unknown) => {
    check.made(name, value, 'alloc', 'a Runtime', 'disposed');
    return value as Runtime;
  }),
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

/** What distinguishes a task: its name in files, its options but for those of every task, and its layers. */
export interface Kind<L, S extends Schema> {
  readonly task: string;
  /** What starts its core. */
  readonly runtimes: typeof Runtime;
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
  readonly runtimes: typeof Runtime;
  readonly config: C;
  readonly seed: number;
  readonly build: (b: Builder) => L;
  readonly from: Settings<typeof LOAD>;
  readonly file: checkpoint.Checkpoint | null;
  /** Runs what fails where the options are invalid: they may be those of the file. */
  readonly reading: <T>(work: () => T) => T;
  readonly resumption: checkpoint.Resumption<L>;
}

const IN_EXAMPLES = { position: readPosition };

function planNew<L, S extends Schema>(
  { task, runtimes, schema, layers }: Kind<L, S>,
  options: unknown,
): Plan<L, Options<S>> {
  const known = { ...schema, ...TASK };
  const settings = readOptions('create', schema, options, '', known);
  const { seed, ...from } = readOptions('create', TASK, options, '', known);
  const config = givenOptions(schema, settings, options as Options<S>);
  return {
    task,
    runtimes,
    config,
    seed,
    build: layers(settings),
    from,
    file: null,
    reading: (work) => work(),
    resumption: IN_EXAMPLES,
  };
}

function planFile<L, S extends Schema>(
  { task, runtimes, schema, layers, infer, checkData, resumption = IN_EXAMPLES }: Kind<L, S>,
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
  const what = file.description ? "the file's description" : 'the file has no description';
  const reading = <T>(work: () => T) => (config ? work() : checking(what, work));
  return reading(() => {
    const settings = readOptions('config', schema, given);
    const { data = {} } = file.description ?? {};
    if (checkData) checkData(data, settings);
    else if (Object.keys(data).length > 0) throw new FormatError('data: is not part of this task');
    return {
      task,
      runtimes,
      config: givenOptions(schema, settings, given as Options<S>),
      seed,
      build: layers(settings),
      from,
      file,
      reading,
      resumption,
    };
  });
}

function made<L, C>(
  { task, config, seed, build, file, reading, resumption }: Plan<L, C>,
  runtime: Runtime,
  owned: boolean,
): Made<L, C> {
  let model: Model<L> | undefined;
  try {
    if (file) reading(() => checkpoint.checkShapes(runtime, build, file));
    model = new Model(runtime, seed, build, !file);
    const standing = file ? checkpoint.restore(model, file, resumption) : { ...checkpoint.FRESH };
    return { task, config, model, owned, data: file?.description?.data ?? {}, ...standing };
  } catch (error) {
    if (owned) runtime.dispose();
    else model?.dispose();
    throw error;
  }
}

async function start<L, C>(plan: Plan<L, C>): Promise<Made<L, C>> {
  const { runtime, ...own } = checkRuntime(plan.from);
  return made(plan, runtime ?? (await plan.runtimes.create(own)), !runtime);
}

function startSync<L, C>(plan: Plan<L, C>): Made<L, C> {
  const { runtime, ...own } = checkRuntime(plan.from);
  return made(plan, runtime ?? plan.runtimes.createSync(own), !runtime);
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
