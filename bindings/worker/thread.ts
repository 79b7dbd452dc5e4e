/** The program of the worker: one task, whose methods it runs as the page asks. */
import { decode } from '../core/start.js';
import type { Model } from '../nn/model.js';
import * as tasks from '../tasks/index.js';
import type { Run } from '../train/run.js';
import { computePart, type Split } from '../train/shards.js';
import { type Answer, builtin, type PackedError, PROTOCOL, packError, type Request, unpackError } from './messages.js';

/** An export makes the file a module for every tool. */
export { PROTOCOL } from './messages.js';

interface Port {
  postMessage(message: Answer, transfer?: readonly unknown[]): void;
}
interface NodePort extends Port {
  on(event: 'message', listener: (request: Request) => void): void;
}

const scope = globalThis as unknown as Partial<Port> & { onmessage?: (event: { data: Request }) => void };
const thread = scope.postMessage ? null : builtin<{ parentPort: NodePort }>('node:worker_threads')?.parentPort;
const port = thread ?? (scope as Port);

type Made = Record<string, (...args: unknown[]) => unknown>;
/** The fields of a request: the page's own files make them. */
// biome-ignore lint/suspicious/noExplicitAny: each handler names what it takes
type Fields = Record<string, any>;
interface Kept {
  readonly steps: AsyncGenerator<unknown, void, void>;
  readonly run: PromiseLike<unknown>;
  readonly stop: AbortController;
}

let task: Made | null = null;
const runs = new Map<number, Kept>();
/** Runs whose method threw at once, until they are asked for. */
const failures = new Map<number, unknown>();
const streams = new Map<number, Made>();
/** Functions of the page that have been called and have not answered. */
const calls = new Map<number, { resolve: (value: unknown) => void; reject: (error: unknown) => void }>();
/** What functions of the page threw. */
const thrown = new WeakSet<object>();
let last = 0;

/** The getters that a model has, but for the layers and the runtime, and their values. */
function properties(): Record<string, unknown> {
  const values: Record<string, unknown> = {};
  const own = Object.getPrototypeOf(task);
  for (const name of ['training', ...Object.getOwnPropertyNames(own)]) {
    const { get } = Object.getOwnPropertyDescriptor(own, name) ?? { get: name === 'training' };
    if (get) values[name] = task?.[name];
  }
  return values;
}

/** Vocabularies do not change: only the first answer has them. */
const changing = () => Object.entries(properties()).filter(([, value]) => !(value instanceof tasks.Vocabulary));

function describe(): object {
  const vocabularies = Object.entries(properties()).filter(([, value]) => value instanceof tasks.Vocabulary);
  const own = Object.getPrototypeOf(task);
  const methods = Object.getOwnPropertyNames(own).filter((name) => {
    return name !== 'constructor' && Object.getOwnPropertyDescriptor(own, name)?.value && !name.endsWith('Sync');
  });
  return {
    config: task?.config,
    methods: [...methods, 'save', 'summary', 'restoreBest'],
    vocabularies: vocabularies.map(([name, value]) => [name, (value as tasks.Vocabulary).tokens]),
  };
}

/** Gives options of a run a signal, and functions that call those of the page. */
function equip(run: number, args: unknown[], at: number, functions: readonly string[], stop: AbortController): void {
  if (at < 0) return;
  const options = args[at] as Record<string, unknown>;
  options.signal = stop.signal;
  for (const path of functions) {
    const keys = path.split('.');
    const name = keys.pop() as string;
    const place = keys.reduce((inner, key) => inner[key] as Record<string, unknown>, options);
    place[name] = (...values: unknown[]) =>
      new Promise((resolve, reject) => {
        const id = ++last;
        calls.set(id, { resolve, reject });
        const bytes = values.filter((value) => value instanceof Uint8Array).map(({ buffer }) => buffer);
        port.postMessage({ id, run, callback: path, args: values }, bytes);
      });
  }
}

function begin({ run: id, name, args, at, functions }: Fields): void {
  const stop = new AbortController();
  try {
    equip(id, args, at, functions, stop);
    const run = (task as Made)[name](...args) as Run<unknown, unknown>;
    // from here on it moves only when the page asks
    runs.set(id, { steps: run[Symbol.asyncIterator](), run, stop });
  } catch (error) {
    failures.set(id, error);
  }
}

function running(id: number): Kept {
  const failure = failures.get(id);
  if (failures.delete(id)) throw failure;
  return runs.get(id) as Kept;
}

function keep(stream: unknown): number {
  streams.set(++last, stream as Made);
  return last;
}

/** The model of a run whose parts are computed here, and how its batches are split. */
let replica: { readonly model: Model<unknown>; readonly split: Split<unknown> } | null = null;
const received = new Error('what fit is told in a worker to say how it splits a batch');

/** The parameters, for the page to compare. */
const parametersOf = ({ parameters }: Model<unknown>) =>
  parameters.map(({ name, shape }) => `${name} [${shape}]`).join();

async function join({ name, bytes, build, module, frozen, data, options }: Fields): Promise<string> {
  replica = null;
  (task as Made | null)?.dispose();
  task = await classOf(name).load(bytes, module ? { module } : { build });
  const workers = {
    begin() {},
    receive(split: Split<unknown>, model: Model<unknown>) {
      replica = { model, split };
      throw received;
    },
  };
  try {
    // examples of an iterable come with the parts
    task.fit(data ?? [].values(), { ...options, workers });
  } catch (error) {
    if (error !== received) throw error;
  }
  const { model } = replica as unknown as { model: Model<unknown> };
  if (frozen.length > 0) model.freeze(...frozen);
  return parametersOf(model);
}

/** A model of layers, of a module of the user. */
async function joinLayers({ url, args, frozen }: Fields): Promise<string> {
  const { model: make, loss } = await import(/* webpackIgnore: true */ /* @vite-ignore */ url);
  const model: Model<unknown> = await make(args);
  const split: Split<unknown> = (where) => {
    const { weight, data } = (where ?? {}) as { weight?: number; data?: unknown };
    return weight === undefined ? null : { weight, loss: (tape, layers) => loss(tape, layers, data) };
  };
  replica = { model, split };
  if (frozen.length > 0) model.freeze(...frozen);
  return parametersOf(model);
}

function part({ where, shard, shards, blocks, gradients, weights }: Fields) {
  const { model, split } = replica as NonNullable<typeof replica>;
  if (weights) {
    model.runtime.write(model.slab, weights);
    model.changed();
  }
  const own = split(where, shard, shards);
  if (!own) return { outcome: null, gradients, weights };
  const { gradients: computed, ...outcome } = computePart(model, own, shard, blocks);
  gradients.set(computed);
  return { outcome, gradients, weights };
}

const classOf = (name: string) =>
  (tasks as unknown as Record<string, Record<string, (...args: unknown[]) => Promise<Made>>>)[name];

/** What a request asks for. */
const handlers: Record<string, (fields: Fields) => unknown> = {
  async make({ name, verb, args, relaxed }) {
    if (relaxed) args.at(-1).module = decode(relaxed);
    task = await classOf(name)[verb](...args);
    return describe();
  },
  call({ name, args }) {
    const value = (task as Made)[name](...args);
    if (name !== 'summary') return value;
    const { toString: _, ...rest } = value as tasks.Summary;
    return [rest, String(value)];
  },
  begin,
  async next({ run: id }) {
    const { steps, run } = running(id);
    const step = await steps.next();
    return step.done ? { done: true, value: await run } : step;
  },
  async all({ run: id }) {
    const { steps, run } = running(id);
    while (!(await steps.next()).done);
    return run;
  },
  async stop({ run: id }) {
    await runs.get(id)?.steps.return();
  },
  over({ run: id }) {
    runs.delete(id);
  },
  abort({ run: id, reason }) {
    runs.get(id)?.stop.abort(unpackError(reason));
  },
  returned({ call, error }) {
    const own = calls.get(call);
    calls.delete(call);
    if (error === undefined) return own?.resolve(undefined);
    const failure = unpackError(error);
    thrown.add(failure);
    own?.reject(failure);
  },
  stream({ args }) {
    return keep((task as Made).stream(...args));
  },
  read({ stream, name, args }) {
    const value = (streams.get(stream) as Made)[name](...args);
    return name === 'clone' ? keep(value) : value;
  },
  forget({ stream }) {
    streams.delete(stream);
  },
  join,
  joinLayers,
  part,
  leave() {
    if (!task) replica?.model.dispose();
    replica = null;
    task?.dispose();
    task = null;
  },
};

/** Where an error comes from that the page knows better. */
function causeOf(error: unknown, run: number): PackedError['cause'] {
  const signal = runs.get(run)?.stop.signal;
  if (signal?.aborted && signal.reason === error) return 'signal';
  return thrown.has(error as object) ? 'callback' : undefined;
}

async function answer({ id, what, ...fields }: Request): Promise<void> {
  let reply: Answer;
  const transfer: unknown[] = [];
  try {
    const value = await handlers[what](fields as Fields);
    reply = { id, value, state: task && !replica ? Object.fromEntries(changing()) : {} };
    const { gradients, weights } = (value ?? {}) as Partial<Record<string, Float32Array>>;
    for (const bytes of [value, gradients, weights]) {
      if (ArrayBuffer.isView(bytes) && bytes.buffer instanceof ArrayBuffer) transfer.push(bytes.buffer);
    }
  } catch (error) {
    reply = { id, error: packError(error, causeOf(error, fields.run as number)) };
  }
  if (!id) return;
  try {
    port.postMessage(reply, transfer);
  } catch (error) {
    port.postMessage({ id, error: packError(error) });
  }
}

if (thread) thread.on('message', answer);
else scope.onmessage = ({ data }) => void answer(data);
port.postMessage({ ready: PROTOCOL });
