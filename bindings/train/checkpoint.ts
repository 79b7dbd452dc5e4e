/**
 * What a file holds. Tensors: parameters by their PyTorch names; `optimizer.<moment>.<parameter>`; `state.<h or c>.<layer>`. In the
 * metadata, under `gatewise`, a JSON object: the model's description and, unless only the weights were saved, where training stands.
 */
import { show } from '../check.js';
import { FormatError } from '../errors.js';
import { fromFormat1 } from '../files/renames.js';
import { decode, encode, match, type Tensor } from '../files/safetensors.js';
import { ownTensors, renamed, weightsOf } from '../files/weights.js';
import type { Model } from '../nn/model.js';
import { State } from '../nn/recurrent/state.js';
import type { Stream } from '../random.js';
import { Optimizer, type OptimizerOptions } from './optimizer.js';
import { Schedule, type ScheduleOptions } from './schedule.js';

/** The format of the files; renames.ts reads the one before. */
export const FORMAT = 2;

/** The `gatewise` entry of the metadata. */
export interface Description {
  readonly format: number;
  readonly task: string;
  readonly build: string;
  readonly seed: number;
  /** What the task was created with. */
  readonly config: Record<string, unknown>;
  /** What the task learned apart from the weights: the scale of a series, say. */
  readonly data?: Record<string, unknown>;
  readonly random?: Record<Stream, number>;
  readonly optimizer?: { readonly options: OptimizerOptions; readonly step: number };
  readonly schedule?: { readonly options: ScheduleOptions; readonly memory: Schedule['memory'] };
  /** Where the task's data stand. */
  readonly position?: Record<string, unknown>;
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
}

/** @param about the task, what it was created with, and `data`, what it learned apart from the weights */
export function save(
  model: Model<unknown>,
  about: { task: string; config: object; data?: Readonly<Record<string, unknown>> | undefined },
  training: Standing | null,
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
  const description = {
    format: FORMAT,
    build: runtime.build,
    seed: random.seed,
    ...about,
    ...(training ? { random: { ...random.next } } : {}),
    ...(training?.position ? { position: training.position } : {}),
    ...(training?.schedule
      ? { schedule: { options: training.schedule.options, memory: training.schedule.memory } }
      : {}),
    ...(optimizer ? { optimizer: { options: optimizer.options, step: optimizer.steps } } : {}),
  };
  return encode(tensors, { gatewise: JSON.stringify(description) });
}

/** How others call the recurrent layers. */
const OTHERS = { 'lstm.': 'rnn.', 'gru.': 'rnn.' };

/** Reads a file; its description is null where gatewise did not write it. */
export function open(
  bytes: Uint8Array | ArrayBuffer,
  task: string,
  rename: Readonly<Record<string, string>> = {},
): Checkpoint {
  const file = decode(bytes);
  const { metadata } = file;
  const own = metadata.gatewise !== undefined;
  const tensors = renamed(file.tensors, own ? rename : { ...OTHERS, ...rename });
  if (!own) return { description: null, metadata, tensors };
  let description: Description;
  try {
    description = JSON.parse(metadata.gatewise);
  } catch {
    throw new FormatError("the file's description (metadata, `gatewise`) is not valid JSON");
  }
  if (typeof description !== 'object' || description === null) {
    throw new FormatError("the file's description (metadata, `gatewise`) is not an object");
  }
  if (description.format === 1) description = fromFormat1({ ...description }) as Description & Record<string, unknown>;
  if (description.format !== FORMAT) {
    throw new FormatError(
      `the file is of format ${show(description.format)}; this version reads formats 1 and ${FORMAT}`,
    );
  }
  if (description.task !== task) throw new FormatError(`the file holds ${show(description.task)}, not '${task}'`);
  if (typeof description.config !== 'object' || description.config === null) {
    throw new FormatError("the file's description has no `config`");
  }
  return { description, metadata, tensors };
}

/** Brings a fresh model to where the file stands; returns what else was saved. */
export function restore(model: Model<unknown>, { description, tensors }: Checkpoint): Standing {
  const values = match(ownTensors(tensors), model.parameters);
  const optimizer = description?.optimizer ? new Optimizer(model, description.optimizer.options) : null;
  if (optimizer) optimizer.steps = description?.optimizer?.step ?? 0;

  const moments = new Map([...tensors].filter(([name]) => name.startsWith('optimizer.')));
  const expected = Object.keys(optimizer?.moments ?? {}).flatMap((moment) =>
    model.parameters.map(({ name, shape }) => ({ name: `optimizer.${moment}.${name}`, shape })),
  );
  const momentValues = match(moments, expected);
  for (const [name, data] of values) model.set(name, data);
  for (const [moment, slab] of Object.entries(optimizer?.moments ?? {})) {
    for (const { name, at } of model.parameters) {
      model.runtime.write(at - model.slab + slab, momentValues.get(`optimizer.${moment}.${name}`) as Float32Array);
    }
  }
  if (description?.random) Object.assign(model.random.next, description.random);
  const of = (kind: string) => {
    const list: Tensor[] = [];
    for (let t = tensors.get(`state.${kind}.0`); t; t = tensors.get(`state.${kind}.${list.length}`)) list.push(t);
    return list.map(({ data }) => data);
  };
  const batch = tensors.get('state.h.0')?.shape[0];
  const schedule = description?.schedule
    ? new Schedule(description.schedule.options, description.schedule.memory)
    : null;
  const position = description?.position ?? null;
  return { optimizer, schedule, position, state: batch === undefined ? null : new State(batch, of('h'), of('c')) };
}
