/**
 * What a file holds. Tensors: parameters by their PyTorch names; `optimizer.<moment>.<parameter>`; `state.<h or c>.<layer>`. In the
 * metadata, under `gatewise`, a JSON object: the model's description and, unless only the weights were saved, where training stands.
 */
import { FormatError } from '../errors.js';
import { decode, encode, match, type Tensor } from '../files/safetensors.js';
import { ownTensors, weightsOf } from '../files/weights.js';
import type { Model } from '../nn/model.js';
import { State } from '../nn/recurrent/state.js';
import type { Stream } from '../random.js';
import { Optimizer, type OptimizerOptions } from './optimizer.js';
import { Schedule, type ScheduleOptions } from './schedule.js';

const FORMAT = 1;

/** The `gatewise` entry of the metadata. */
export interface Description {
  readonly format: number;
  readonly task: string;
  readonly build: string;
  readonly seed: number;
  /** What the task was created with. */
  readonly config: Record<string, unknown>;
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

export function save(
  model: Model<unknown>,
  about: { task: string; config: object },
  training: {
    optimizer: Optimizer | null;
    schedule: Schedule | null;
    state: State | null;
    position: object | null;
  } | null,
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

/** Reads a file; its description is null where gatewise did not write it. */
export function open(bytes: Uint8Array | ArrayBuffer, task: string): Checkpoint {
  const { tensors, metadata } = decode(bytes);
  if (metadata.gatewise === undefined) return { description: null, metadata, tensors };
  let description: Description;
  try {
    description = JSON.parse(metadata.gatewise);
  } catch {
    throw new FormatError("the file's description (metadata, `gatewise`) is no JSON");
  }
  if (description?.format !== FORMAT) {
    throw new FormatError(`the file is of format ${description?.format}; this version reads format ${FORMAT}`);
  }
  if (description.task !== task) throw new FormatError(`the file holds a ${description.task}, not a ${task}`);
  if (typeof description.config !== 'object' || description.config === null) {
    throw new FormatError("the file's description has no `config`");
  }
  return { description, metadata, tensors };
}

/** Brings a fresh model to where the file stands; returns what else was saved. */
export function restore(
  model: Model<unknown>,
  { description, tensors }: Checkpoint,
  aliases: Readonly<Record<string, readonly string[]>>,
): {
  optimizer: Optimizer | null;
  schedule: Schedule | null;
  state: State | null;
  position: Record<string, unknown> | null;
} {
  const values = match(ownTensors(tensors), model.parameters, aliases);
  const optimizer = description?.optimizer ? new Optimizer(model, description.optimizer.options) : null;
  if (optimizer) optimizer.steps = description?.optimizer?.step ?? 0;

  const moments = new Map([...tensors].filter(([name]) => name.startsWith('optimizer.')));
  const expected = Object.keys(optimizer?.moments ?? {}).flatMap((moment) =>
    model.parameters.map(({ name, shape }) => ({ name: `optimizer.${moment}.${name}`, shape })),
  );
  const momentValues = match(moments, expected);
  const states = [...tensors].filter(([name]) => name.startsWith('state.'));
  for (const [name, data] of values) model.set(name, data);
  for (const [moment, slab] of Object.entries(optimizer?.moments ?? {})) {
    for (const { name, at } of model.parameters) {
      model.runtime.write(at - model.slab + slab, momentValues.get(`optimizer.${moment}.${name}`) as Float32Array);
    }
  }
  if (description?.random) Object.assign(model.random.next, description.random);
  const of = (kind: string) => states.filter(([name]) => name.startsWith(`state.${kind}.`)).map(([, { data }]) => data);
  const batch = states[0]?.[1].shape[0] ?? 0;
  const schedule = description?.schedule
    ? new Schedule(description.schedule.options, description.schedule.memory)
    : null;
  const position = description?.position ?? null;
  return { optimizer, schedule, position, state: states.length > 0 ? new State(batch, of('h'), of('c')) : null };
}
