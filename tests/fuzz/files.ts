/**
 * Files that are damaged: every task's, with all that training needs and the weights alone, states of streams, and what the layers
 * load. A file is refused by a FormatError and changes nothing, or it is accepted and its model is exactly what it says.
 */
import {
  FormatError,
  type Linear,
  loadState,
  loadWeights,
  MemoryError,
  Model,
  Recurrent,
  Runtime,
  saveState,
  saveWeights,
  UnsupportedError,
} from 'gatewise';
import * as infer from 'gatewise/infer';
import * as online from 'gatewise/online';
import * as predict from 'gatewise/predict';
import * as quantized from 'gatewise/quantized';
import { completed, fromFormat1 } from '#dist/bindings/files/renames.js';
import { Chance } from './chance.js';
import { entryTargets } from './entry-files.js';
import { type AnyTask, loaderOf, subjects } from './subjects.js';
import { alien, Neighbour, same } from './verdict.js';

type Json = Record<string, unknown>;

/** A mutation is a function of the file, this seed, and nothing else. */
export interface Mutation {
  readonly kind: string;
  readonly seed: number;
}

export interface FileCase {
  readonly target: string;
  readonly mutations: readonly Mutation[];
  /** In cases that are kept: the file itself, in base64. */
  readonly bytes?: string;
}

/** Stands for a number that JSON.stringify does not write. */
const HUGE = '#1e999';
const VALUES: readonly unknown[] = [
  null,
  true,
  false,
  -1,
  0,
  0.5,
  1,
  3,
  1e6,
  1e15,
  2 ** 31 - 1,
  2 ** 31,
  1e308,
  HUGE,
  '',
  'x',
  '1',
  '__proto__',
  [],
  {},
  [null],
  [1, 1],
  [[]],
  { kind: 'x' },
  'x'.repeat(3000),
  Array(2000).fill(1),
  JSON.parse('{"__proto__":{"polluted":1}}'),
];

/** The parts of a safetensors file. */
interface Parts {
  header: Json;
  /** The metadata that is an object in JSON, say of `gatewise`, and its name; null if no metadata is one. */
  description: Json | null;
  key: string;
  data: Uint8Array;
}

function isRecord(value: unknown): value is Json {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

const DESCRIBED = new Set(['gatewise', 'gatewise.online', 'gatewise.quantized', 'gatewise.echo-state', 'network']);

function parse(bytes: Uint8Array): Parts {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const length = Number(view.getBigUint64(0, true));
  const header: Json = JSON.parse(Buffer.from(bytes.subarray(8, 8 + length)).toString());
  const data = bytes.slice(8 + length);
  for (const [key, text] of Object.entries((header.__metadata__ ?? {}) as Record<string, string>)) {
    try {
      const description: unknown = JSON.parse(text);
      if (DESCRIBED.has(key) && isRecord(description)) return { header, description, key, data };
    } catch {}
  }
  return { header, description: null, key: 'gatewise', data };
}

function build({ header, description, key, data }: Parts): Uint8Array {
  const json = (value: unknown) => JSON.stringify(value).replaceAll(`"${HUGE}"`, '1e999');
  const whole = description && isRecord(header.__metadata__) ? describe(header, key, json(description)) : header;
  const text = Buffer.from(json(whole));
  const bytes = new Uint8Array(8 + text.length + data.length);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(text.length), true);
  bytes.set(text, 8);
  bytes.set(data, 8 + text.length);
  return bytes;
}

function describe(header: Json, key: string, text: string): Json {
  return { ...header, __metadata__: { ...(header.__metadata__ as Json), [key]: text } };
}

/** The objects inside of a value, with their keys. */
function places(value: unknown, found: { owner: Json; key: string }[] = []): { owner: Json; key: string }[] {
  if (typeof value !== 'object' || value === null) return found;
  for (const key of Object.keys(value)) {
    found.push({ owner: value as Json, key });
    places((value as Json)[key], found);
  }
  return found;
}

function changeSomewhere(value: unknown, chance: Chance, change: (owner: Json, key: string) => void): void {
  const all = places(value);
  if (!all.length) return;
  const { owner, key } = chance.of(all);
  change(owner, key);
}

const tensorNames = ({ header }: Parts) => Object.keys(header).filter((name) => name !== '__metadata__');

/** Changes of the parts of a file. */
const STRUCTURED: Record<string, (parts: Parts, chance: Chance) => void> = {
  headerValue: ({ header }, chance) =>
    changeSomewhere(header, chance, (owner, key) => {
      owner[key] = chance.of(VALUES);
    }),
  headerKey: ({ header }, chance) =>
    changeSomewhere(header, chance, (owner, key) => {
      if (chance.yes()) owner[chance.of(['x', `${key}0`, 'state.h.0', 'optimizer.m.w'])] = owner[key];
      delete owner[key];
    }),
  descriptionValue: ({ description }, chance) =>
    changeSomewhere(description, chance, (owner, key) => {
      const old = owner[key];
      owner[key] = typeof old === 'number' && chance.yes() ? old + chance.of([1, -1, 0.5, 100]) : chance.of(VALUES);
    }),
  descriptionKey: ({ description }, chance) =>
    changeSomewhere(description, chance, (owner, key) => {
      if (chance.yes()) owner[chance.of(['x', `${key}s`, key.toUpperCase()])] = owner[key];
      delete owner[key];
    }),
  descriptionAdd: ({ description }, chance) =>
    changeSomewhere(description, chance, (owner) => {
      const key = chance.of([
        'x',
        'random',
        'position',
        'schedule',
        'optimizer',
        'data',
        'numLayers',
        'reset',
        'merge',
      ]);
      owner[key] = chance.of(VALUES);
    }),
  tensorGone: (parts, chance) => {
    const name = chance.of(tensorNames(parts));
    delete parts.header[name];
    if (chance.yes()) compact(parts);
  },
  tensorName: (parts, chance) => {
    const names = tensorNames(parts);
    const name = chance.of(names);
    const { [name]: entry, ...rest } = parts.header;
    const named = chance.of([
      'x',
      `${name}x`,
      `state.${name}`,
      'state.h.7',
      'state.C.0',
      '__proto__',
      chance.of(names),
    ]);
    parts.header = { ...rest, ...JSON.parse(`{${JSON.stringify(named)}:0}`), [named]: entry };
  },
  tensorShape: (parts, chance) => {
    const entry = parts.header[chance.of(tensorNames(parts))];
    if (!isRecord(entry) || !Array.isArray(entry.shape)) return;
    const { shape } = entry;
    entry.shape = chance.of([[...shape].reverse(), [...shape, 1], [1, ...shape], [shape.reduce((a, b) => a * b, 1)]]);
  },
  tensorOffsets: (parts, chance) => {
    const entry = parts.header[chance.of(tensorNames(parts))];
    if (!isRecord(entry) || !Array.isArray(entry.data_offsets)) return;
    const by = chance.of([4, -4, 1, 8, 2 ** 31]);
    entry.data_offsets = chance.yes()
      ? entry.data_offsets.map((at) => at + by)
      : structuredClone((parts.header[chance.of(tensorNames(parts))] as Json).data_offsets);
  },
  tensorOrder: (parts, chance) => {
    const entries = Object.entries(parts.header);
    for (let i = entries.length - 1; i > 0; i--) {
      const j = chance.below(i + 1);
      [entries[i], entries[j]] = [entries[j], entries[i]];
    }
    parts.header = Object.fromEntries(entries);
  },
  tensorNumber: ({ data }, chance) => {
    if (data.length < 4) return;
    const at = 4 * chance.below(data.length >> 2);
    const value = chance.of([Number.NaN, Infinity, -Infinity, 3e38, 1e-42, -0, 1, 1e20]);
    new DataView(data.buffer, data.byteOffset).setFloat32(at, value, true);
  },
};

/** Changes of the bytes. */
const RAW: Record<string, (bytes: Uint8Array, chance: Chance) => Uint8Array> = {
  bit: (bytes, chance) => {
    const changed = bytes.slice();
    changed[chance.below(changed.length)] ^= 1 << chance.below(8);
    return changed;
  },
  cut: (bytes, chance) => bytes.slice(0, chance.below(bytes.length)),
  append: (bytes, chance) => Uint8Array.from([...bytes, ...Array(1 + chance.below(9)).fill(chance.below(256))]),
  length: (bytes, chance) => {
    const changed = bytes.slice();
    const value = chance.of([0n, 1n, 2n ** 63n, BigInt(bytes.length), BigInt(chance.below(bytes.length))]);
    if (changed.length >= 8) new DataView(changed.buffer).setBigUint64(0, value, true);
    return changed;
  },
};

export const KINDS = [...Object.keys(STRUCTURED), ...Object.keys(RAW)];

/** Takes out of the data what no tensor has any more. */
function compact(parts: Parts): void {
  const pieces: Uint8Array[] = [];
  let at = 0;
  for (const name of tensorNames(parts)) {
    const entry = parts.header[name];
    if (!isRecord(entry) || !Array.isArray(entry.data_offsets)) return;
    const [from, to] = entry.data_offsets as number[];
    pieces.push(parts.data.slice(from, to));
    entry.data_offsets = [at, at + to - from];
    at += to - from;
  }
  parts.data = new Uint8Array(Buffer.concat(pieces));
}

function mutate(bytes: Uint8Array, { kind, seed }: Mutation): Uint8Array {
  const chance = new Chance(seed);
  if (RAW[kind]) return RAW[kind](bytes, chance);
  try {
    const parts = parse(bytes);
    if (!tensorNames(parts).length) return bytes;
    STRUCTURED[kind](parts, chance);
    return build(parts);
  } catch {
    return bytes; // an earlier mutation left nothing to change
  }
}

/** What a file says: its tensors, and its description but for the build that wrote it. */
function contentOf(
  bytes: Uint8Array,
  own: (name: string) => boolean = () => true,
): { tensors: string; about: unknown } {
  const { header, description, key, data } = parse(bytes);
  const tensors = Object.entries(header)
    .filter(([name]) => name !== '__metadata__' && own(name))
    .map(([name, entry]) => {
      const { shape, data_offsets: offsets } = entry as { shape: number[]; data_offsets: [number, number] };
      return `${name} [${shape}] ${Buffer.from(data.subarray(...offsets)).toString('hex')}`;
    })
    .sort()
    .join('\n');
  if (key !== 'gatewise') return { tensors, about: description };
  // what format 1 called otherwise is written as format 2 calls it
  const { build: _, ...about }: Json = description?.format === 1 ? fromFormat1(description) : (description ?? {});
  if (isRecord(about.config)) about.config = completed(about.task, about.config, new Set(Object.keys(header)));
  // nothing learned is left out
  if (isRecord(about.data) && Object.keys(about.data).length === 0) delete about.data;
  return { tensors, about: description && about };
}

/** JSON with the keys in order. */
function canonical(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(canonical)}]`;
  if (!isRecord(value)) return JSON.stringify(value) ?? 'undefined';
  return `{${Object.keys(value)
    .sort()
    .map((key) => `${JSON.stringify(key)}:${canonical(value[key])}`)}}`;
}

function difference(bytes: Uint8Array, saved: Uint8Array, own?: (name: string) => boolean): string | null {
  const [file, back] = [contentOf(bytes, own), contentOf(saved)];
  if (file.tensors !== back.tensors) return 'accepted with other tensors than those of the file';
  if (file.about === null) return null;
  // without lists of names their order is that of the file
  if (!('names' in (file.about as Json))) delete (back.about as Partial<Json> | null)?.names;
  const [said, is] = [canonical(file.about), canonical(back.about)];
  if (said === is) return null;
  const keys = [...new Set([...Object.keys(file.about as Json), ...Object.keys((back.about as Json) ?? {})])];
  const where = keys.filter((key) => canonical((file.about as Json)[key]) !== canonical((back.about as Json)?.[key]));
  return `accepted with another description than the file's: ${where}`;
}

interface Target {
  readonly bytes: Uint8Array;
  /** Loads it; returns a finding about what was accepted, or null. */
  take(bytes: Uint8Array): Promise<string | null>;
  /** A file of another program: only its bytes are damaged, and other named errors may refuse it. */
  readonly other?: boolean | undefined;
}

const isOwn = (name: string) => !/^(optimizer|state|best)\./.test(name);

const FORMAT = [FormatError, MemoryError, infer.FormatError, online.FormatError, quantized.FormatError].concat(
  predict.FormatError,
  predict.MemoryError,
);

export async function fileFuzzer() {
  const runtime = await Runtime.create();
  const neighbour = new Neighbour(runtime);
  const targets: Record<string, Target> = {};
  for (const [name, { Task, options, data, inputs, fit, start, opening = start, step }] of Object.entries(subjects)) {
    const task = Task.createSync({ ...options(), runtime });
    await task.fit(data(), fit);
    const check = async (bytes: Uint8Array) => {
      let loaded: AnyTask | undefined;
      try {
        loaded = Task.loadSync(bytes, { runtime });
        const weightsOnly = contentOf(bytes).about === null || !('random' in (contentOf(bytes).about as Json));
        const finding = difference(bytes, loaded.save({ weightsOnly }));
        if (finding) return finding;
        try {
          await loaded.predict(inputs(), start);
          await loaded.fit(data(), fit);
        } catch (error) {
          const bad = alien(error);
          if (bad) return `accepted, then ${bad}`;
        }
        return null;
      } finally {
        loaded?.dispose();
      }
    };
    targets[name] = { bytes: task.save(), take: check };
    targets[`${name}, predict`] = {
      bytes: task.save({ weightsOnly: true }),
      take: async (bytes) => {
        const loaded = loaderOf(Task).loadSync(bytes);
        try {
          await loaded.predict(inputs(), start);
          return null;
        } catch (error) {
          const bad = alien(error);
          return bad && `accepted, then ${bad}`;
        } finally {
          loaded.dispose();
        }
      },
    };
    targets[`${name}, weights`] = { bytes: task.save({ weightsOnly: true }), take: check };
    if (step !== undefined && task.stream) {
      const stream = task.stream(undefined, opening);
      stream.step(step);
      targets[`${name}, stream`] = {
        bytes: stream.save(),
        take: async (bytes) => {
          const again = task.stream?.(bytes);
          if (!again) return null;
          const finding = difference(bytes, again.save());
          again.step(step);
          return finding;
        },
      };
    } else task.dispose();
  }
  const recurrent = { cell: 'lstm', inputSize: 2, hiddenSize: 3, numLayers: 2 } as const;
  const own = new Model(runtime, 1, (b) => new Recurrent(b, 'rnn', recurrent));
  const other = new infer.Model(await infer.Runtime.create(), 1, (b) => new infer.Recurrent(b, 'rnn', recurrent));
  const first = saveWeights(own);
  for (const [name, model, load] of [
    ['layers', own, loadWeights],
    ['infer', other as never as Model<Linear>, infer.loadWeights as typeof loadWeights],
  ] as const) {
    targets[name] = {
      bytes: first,
      take: async (bytes) => {
        const before = saveWeights(model);
        try {
          load(model, bytes);
        } catch (error) {
          if (!same(before, saveWeights(model))) return 'refused, but the weights have changed';
          throw error;
        }
        const finding = difference(bytes, saveWeights(model), isOwn);
        load(model, first);
        return finding;
      },
    };
  }
  const state = own.layers.state();
  own.layers.step([1, 2], state);
  targets.state = {
    bytes: saveState(state),
    take: async (bytes) => difference(bytes, saveState(loadState(bytes))),
  };
  for (const [name, { bytes, load, other }] of Object.entries(await entryTargets(runtime))) {
    targets[name] = {
      bytes,
      other,
      take: async (changed) => {
        const saved = await load(changed);
        return saved && difference(changed, saved);
      },
    };
  }
  const names = Object.keys(targets);

  const bytesOf = ({ target, mutations, bytes }: FileCase) =>
    bytes === undefined
      ? mutations.reduce(mutate, targets[target].bytes)
      : new Uint8Array(Buffer.from(bytes, 'base64'));

  return {
    async generate(chance: Chance): Promise<FileCase> {
      const target = chance.of(names);
      const mutations = Array.from({ length: chance.yes(0.8) ? 1 : 2 }, () => ({
        kind: chance.of(targets[target].other ? Object.keys(RAW) : KINDS),
        seed: chance.below(2 ** 31),
      }));
      return { target, mutations };
    },

    async run(c: FileCase): Promise<string | null> {
      const bytes = bytesOf(c);
      const kept = bytes.slice();
      const used = runtime.memory();
      let finding: string | null = null;
      try {
        finding = await targets[c.target].take(bytes);
      } catch (error) {
        finding = alien(error);
        const named = (kinds: readonly (new (...args: never[]) => Error)[]) =>
          kinds.some((kind) => error instanceof kind);
        const { other } = targets[c.target];
        if (!finding && !named(FORMAT) && !(other && named([UnsupportedError, RangeError]))) {
          const { name, message } = error as Error;
          finding = `not a FormatError: ${name}: ${message.slice(0, 300)}`;
        }
      }
      const now = runtime.memory();
      if (now.bytesInUse !== used.bytesInUse) finding ??= `leaves ${now.bytesInUse - used.bytesInUse} bytes in use`;
      if (now.bytesReserved > used.bytesReserved + 2 ** 24) finding ??= `took ${now.bytesReserved} bytes`;
      if (!same(bytes, kept)) finding ??= 'the bytes of the file have changed';
      if (Object.hasOwn(Object.prototype, 'polluted')) finding ??= 'Object.prototype was changed';
      return finding ?? neighbour.changed();
    },

    *smaller(c: FileCase): Generator<FileCase> {
      for (let i = 0; c.mutations.length > 1 && i < c.mutations.length; i++)
        yield { ...c, mutations: c.mutations.filter((_, j) => j !== i) };
    },

    keep: (c: FileCase): FileCase => ({ ...c, bytes: Buffer.from(bytesOf(c)).toString('base64') }),
  };
}
