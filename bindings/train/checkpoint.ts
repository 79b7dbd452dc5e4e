/**
 * What a file holds. Tensors: parameters by their PyTorch names; `optimizer.<moment>.<parameter>`; `state.<h or c>.<layer>`;
 * `best.<parameter>`, the weights that a validation found best, where training was interrupted. In the metadata, under `gatewise`, a JSON object: the model's description and, unless only the weights were saved, where training stands.
 */
import * as check from '../check.js';
import type { Runtime } from '../core/runtime.js';
import { FormatError } from '../errors.js';
import { checking, isRecord, type Json, parseObject, shown } from '../files/json.js';
import { inOrder, namesIn } from '../files/names.js';
import { completed, fromFormat1 } from '../files/renames.js';
import { match, readSafetensors, type Tensor, writeSafetensors } from '../files/safetensors.js';
import { ownTensors, renamed, weightsOf } from '../files/weights.js';
import { type Builder, Outline } from '../nn/builder.js';
import type { Model } from '../nn/model.js';
import { State } from '../nn/recurrent/state.js';
import { type Reader, readOptions, required, whole } from '../options.js';
import { momentsOf, Optimizer, type OptimizerOptions, OWN, SQUARES, settings } from './optimizer.js';
import { Schedule, type ScheduleOptions } from './schedule.js';
import { readValidation, type ValidationState } from './validation.js';

/** The format of the files; renames.ts reads the one before. */
export const FORMAT = 2;

/** The `gatewise` entry of the metadata, in the words of format 2. What training resumes from is checked when it is read. */
export interface Description {
  /** The format that the file is of. */
  readonly format: number;
  readonly task: string;
  readonly seed: number;
  /** What the task was created with. */
  readonly config: Json;
  /** What the task learned apart from the weights: the scale of a series, say. */
  readonly data: Json;
  /** What is there with `random`, the random streams, unless only the weights were saved. */
  readonly training: Training | null;
}

interface Training {
  readonly random: unknown;
  readonly optimizer: unknown;
  readonly schedule: unknown;
  /** Where the task's data stand. */
  readonly position: unknown;
  /** What validations have found so far. */
  readonly validation: unknown;
  /** Parts that batches are split into, where there are several. */
  readonly shards: unknown;
}

const KEYS = [
  'format',
  'task',
  'build',
  'seed',
  'config',
  'names',
  'data',
  'random',
  'optimizer',
  'schedule',
  'position',
  'validation',
  'shards',
];
/** A number of steps, blocks or windows, which can be counted up from without loss. */
export const COUNT = whole(0, 2 ** 52);
const RANDOM = {
  initialise: required(COUNT),
  shuffle: required(COUNT),
  dropout: required(COUNT),
  sample: required(COUNT),
};
/** An object whose fields are checked by whoever reads them. */
const record =
  <T>(): Reader<T> =>
  (name, value) =>
    isRecord(value) ? (value as T) : check.fail(name, 'an object', value);
const SCHEDULE = {
  options: required(record<ScheduleOptions>()),
  memory: required(record<Schedule['memory']>()),
};
const OPTIMIZER = {
  options: required((name, value) => {
    if (!isRecord(value)) return check.fail(name, 'an object of options', value);
    return { given: value as OptimizerOptions, settings: settings(value as OptimizerOptions) };
  }),
  step: required(COUNT),
};

/** What a task says of the place where its training stands. */
export interface Resumption<L> {
  /** Checks the place in the data; returns a copy. */
  readonly position: Reader<object>;
  /**
   * Features of the states of each layer that are carried from step to step, and of how many sequences they are at this position; null
   * where none are carried.
   */
  readonly carried?: (layers: L, position: object) => { h: number[]; c: number[]; batch: number } | null;
}

export interface Checkpoint {
  readonly description: Description | null;
  readonly metadata: Record<string, string>;
  readonly tensors: Map<string, Tensor>;
}

/** Where training stands. */
export interface Standing {
  optimizer: Optimizer | null;
  schedule: Schedule | null;
  /** Where the task's data stand, in its own words. */
  position: object | null;
  /** The state that is carried from step to step. */
  state: State | null;
  /** What the validations of a run that was interrupted have found. */
  validation: ValidationState | null;
  /** Parts that batches are split into; 0 before the first step. */
  shards: number;
}

/** Where it stands before the first step. */
export const FRESH: Standing = {
  optimizer: null,
  schedule: null,
  position: null,
  state: null,
  validation: null,
  shards: 0,
};

/** @param about the task, what it was created with, and `data`, what it learned apart from the weights */
export function save(
  model: Model<unknown>,
  about: { task: string; config: object; data?: Readonly<Record<string, unknown>> | undefined },
  training: Standing | null,
  halved?: (name: string, data: Float32Array) => Uint8Array,
): Uint8Array<ArrayBuffer> {
  const { runtime, parameters, random } = model;
  const tensors = weightsOf(model);
  const optimizer = training?.optimizer;
  for (const [moment, slab] of Object.entries(optimizer?.moments ?? {})) {
    for (const { name, shape, at, size } of parameters) {
      tensors.set(`optimizer.${moment}.${name}`, { shape, data: runtime.read(at - model.slab + slab, size) });
    }
  }
  const state = training?.state;
  for (const kind of ['h', 'c'] as const) {
    state?.[kind].forEach((data, l) => {
      tensors.set(`state.${kind}.${l}`, { shape: [state.batch, data.length / state.batch], data });
    });
  }
  const { weights = null, ...validation } = training?.validation ?? {};
  if (weights) {
    for (const { name, shape, at, size } of parameters) {
      const from = (at - model.slab) / 4;
      tensors.set(`best.${name}`, { shape, data: weights.subarray(from, from + size) });
    }
  }
  const description = {
    format: FORMAT,
    build: runtime.build,
    seed: random.seed,
    ...about,
    names: namesIn(about.config),
    ...(training ? { random: { ...random.next } } : {}),
    ...(training?.position ? { position: training.position } : {}),
    ...(training?.schedule
      ? { schedule: { options: training.schedule.options, memory: training.schedule.memory } }
      : {}),
    ...(optimizer ? { optimizer: { options: optimizer.options, step: optimizer.steps } } : {}),
    ...(training?.validation ? { validation } : {}),
    ...(training && training.shards > 1 ? { shards: training.shards } : {}),
  };
  return writeSafetensors(tensors, { gatewise: JSON.stringify(description) }, halved);
}

/** How others call the recurrent layers. */
const OTHERS = { 'lstm.': 'rnn.', 'gru.': 'rnn.' };

/** Reads a file; its description is null where gatewise did not write it. */
export function open(
  bytes: Uint8Array | ArrayBuffer,
  task: string,
  rename: Readonly<Record<string, string>> = {},
): Checkpoint {
  const file = readSafetensors(bytes);
  const { metadata } = file;
  const own = metadata.gatewise !== undefined;
  const tensors = renamed(file.tensors, own ? rename : { ...OTHERS, ...rename });
  if (!own) return { description: null, metadata, tensors };
  const what = "the file's description (metadata, `gatewise`)";
  let read = parseObject(what, metadata.gatewise);
  const { format } = read;
  if (read.format === 1) read = fromFormat1(read);
  if (read.format !== FORMAT) {
    throw new FormatError(`the file is of format ${shown(read.format)}; this version reads formats 1 and ${FORMAT}`);
  }
  if (read.task !== task) throw new FormatError(`the file holds ${shown(read.task)}, not '${task}'`);
  const strange = Object.keys(read).find((key) => !KEYS.includes(key));
  if (strange !== undefined) throw new FormatError(`${what}: unknown key ${check.show(strange)}`);
  const { config, data = {}, random, optimizer, schedule, position, validation, shards } = read;
  if (!isRecord(config)) throw new FormatError(`${what} has no \`config\``);
  if (!isRecord(data)) throw new FormatError(`${what}: data is not an object`);
  checkLayers(config, tensors.size);
  const seed = checking(what, () => check.whole('seed', read.seed, 0, Number.MAX_SAFE_INTEGER));
  if (random === undefined && [optimizer, schedule, position, validation, shards].some((part) => part !== undefined)) {
    throw new FormatError(`${what}: training stands somewhere, but \`random\` is missing`);
  }
  const training = random === undefined ? null : { random, optimizer, schedule, position, validation, shards };
  const options = inOrder(completed(task, config, new Set(tensors.keys())), read.names);
  return { description: { format: format as number, task, seed, config: options, data, training }, metadata, tensors };
}

/** Each layer has a tensor at least; a number alone must not make millions of them. */
function checkLayers(config: Json, most: number): void {
  const open: Json[] = [config];
  for (let next = open.pop(); next; next = open.pop()) {
    for (const [key, value] of Object.entries(next)) {
      if (isRecord(value)) open.push(value);
      else if (key === 'numLayers' && typeof value === 'number' && value > most) {
        throw new FormatError(`the file's description: numLayers is ${value}, the file has ${most} tensors`);
      }
    }
  }
}

/**
 * Compares a file with the layers that it describes, before there is memory for them.
 *
 * @throws FormatError where a parameter is missing or has another shape
 */
export function checkShapes(
  runtime: Runtime,
  build: (b: Builder) => unknown,
  { description, tensors }: Checkpoint,
): void {
  const expected = new Map<string, readonly number[]>();
  const found = (name: string, shape: readonly number[]) => {
    expected.set(name, shape);
    if (expected.size > tensors.size + 1000) {
      throw new FormatError(
        `the tensors do not fit the model: it has at least ${expected.size}, the file has ${tensors.size}`,
      );
    }
  };
  build(new Outline(runtime, found));
  match(
    description ? ownTensors(tensors, new Set(expected.keys())) : tensors,
    Array.from(expected, ([name, shape]) => ({ name, shape })),
  );
}

/**
 * Brings a fresh model to where the file stands; returns what else was saved.
 *
 * @throws FormatError, before the model changes
 */
export function restore<L>(
  model: Model<L>,
  { description, tensors }: Checkpoint,
  { position: readPosition, carried }: Resumption<L>,
): Standing {
  const { parameters } = model;
  const ours = description ? ownTensors(tensors, new Set(parameters.map(({ name }) => name))) : new Map(tensors);
  const values = match(ours, parameters);
  const training = description?.training ?? null;
  // format 1 left out the options that were not given
  const complete = (name: string, given: object, keys: readonly string[]) => {
    const missing = keys.find((key) => !check.hasOwn(given, key));
    if (missing !== undefined && description?.format === FORMAT) throw new RangeError(`${name}.${missing}: is missing`);
  };
  const { random, optimizer, schedule, position, validation, shards } = checking("the file's description", () => {
    const given = <T>(value: unknown, read: (value: unknown) => T) => (value === undefined ? null : read(value));
    return {
      random: given(training?.random, (value) => readOptions('random', RANDOM, value, 'random.')),
      optimizer: given(training?.optimizer, (value) => {
        const own = readOptions('optimizer', OPTIMIZER, value, 'optimizer.');
        complete('optimizer.options', own.options.given, OWN[own.options.settings.optimizer]);
        return own;
      }),
      schedule: given(training?.schedule, (value) => {
        const { options, memory } = readOptions('schedule', SCHEDULE, value, 'schedule.');
        const resumed = new Schedule(options, memory);
        complete('schedule.options', options, Object.keys(resumed.options));
        return resumed;
      }),
      position: given(training?.position, (value) => readPosition('position', value)),
      validation: given(training?.validation, (value) => readValidation('validation', value)),
      shards: given(training?.shards, (value) => check.whole('shards', value, 2)) ?? (training?.optimizer ? 1 : 0),
    };
  });
  const state = position && carried ? carried(model.layers, position) : null;
  const kinds = (['h', 'c'] as const).map((kind) =>
    (state?.[kind] ?? []).map((F, l) => ({ name: `state.${kind}.${l}`, shape: [state?.batch ?? 0, F] })),
  );
  const moments = optimizer ? momentsOf(optimizer.options.settings) : [];
  const expected = moments.flatMap((moment) =>
    parameters.map(({ name, shape }) => ({ name: `optimizer.${moment}.${name}`, shape })),
  );
  const best = validation?.value === null || !validation ? [] : parameters;
  const bestTensors = best.map(({ name, shape }) => ({ name: `best.${name}`, shape }));
  const others = new Map([...tensors].filter(([name]) => !ours.has(name)));
  const rest = match(others, [...expected, ...kinds.flat(), ...bestTensors]);
  for (const [name, data] of rest) {
    if (SQUARES.test(name) && data.some((x) => x < 0))
      throw new FormatError(`${name}: expected squares, got negative numbers`);
  }
  const valuesOf = (name: string) => rest.get(name) ?? new Float32Array();

  for (const [name, data] of values) model.set(name, data);
  if (random) Object.assign(model.random.next, random);
  const [h, c] = kinds.map((all) => all.map(({ name }) => valuesOf(name)));
  if (validation && best.length) {
    validation.weights = new Float32Array(model.slabBytes / 4);
    for (const { name, at } of best) validation.weights.set(valuesOf(`best.${name}`), (at - model.slab) / 4);
  }
  const standing = { schedule, position, state: state && new State(state.batch, h, c), validation, shards };
  if (!optimizer) return { optimizer: null, ...standing };
  const resumed = new Optimizer(model, optimizer.options.given);
  resumed.steps = optimizer.step;
  for (const [moment, slab] of Object.entries(resumed.moments)) {
    for (const { name, at } of parameters) {
      model.runtime.write(at - model.slab + slab, valuesOf(`optimizer.${moment}.${name}`));
    }
  }
  return { optimizer: resumed, ...standing };
}
