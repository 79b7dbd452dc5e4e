/** The program of the worker: one task, whose methods it runs as the page asks. */
import { decode } from '../core/start.js';
import type { Model } from '../nn/model.js';
import * as tasks from '../tasks/index.js';
import type { Pass } from '../tasks/shared/passes.js';
import type { Run } from '../train/run.js';
import { computePart, type Split } from '../train/shards.js';
import { type Answer, builtin, type PackedError, PROTOCOL, packError, type Request, unpackError } from './messages.js';

/** An export makes the file a module for every tool. */
export { PROTOCOL } from './messages.js';

interface Port {
  postMessage(message: Answer, transfer: ArrayBuffer[]): void;
}
interface NodePort extends Port {
  on(event: 'message', listener: (request: Request) => void): void;
}

const web = typeof globalThis.postMessage === 'function';
const thread = web ? null : builtin<{ parentPort: NodePort }>('node:worker_threads')?.parentPort;
const post = (message: Answer, transfer: ArrayBuffer[] = []): void => {
  if (thread) thread.postMessage(message, transfer);
  else globalThis.postMessage(message, { transfer });
};

/** Calls a method of a task, a stream, or a class, by its name. */
function call(of: object | null, name: string, args: readonly unknown[]): unknown {
  const method: unknown = of && Reflect.get(of, name);
  if (typeof method !== 'function') throw new TypeError(`${name}: expected a method`);
  return Reflect.apply(method, of, args);
}

/** The fields of a request: the page's own files make them. */
// biome-ignore lint/suspicious/noExplicitAny: each handler names what it takes
type Fields = Record<string, any>;
interface Kept {
  readonly steps: AsyncGenerator<unknown, void, void>;
  readonly run: PromiseLike<unknown>;
  readonly stop: AbortController;
}

let task: tasks.Task<unknown, object> | null = null;
const runs = new Map<number, Kept>();
/** Runs whose method threw at once, until they are asked for. */
const failures = new Map<number, unknown>();
const streams = new Map<number, object>();
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
    if (get && task) values[name] = Reflect.get(task, name);
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

/** The buffers of lists of numbers, which are passed on and not copied. */
function buffersOf(values: readonly unknown[]): ArrayBuffer[] {
  return values.flatMap((value) =>
    ArrayBuffer.isView(value) && value.buffer instanceof ArrayBuffer ? value.buffer : [],
  );
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
        post({ id, run, callback: path, args: values }, buffersOf(values));
      });
  }
}

function begin({ run: id, name, args, at, functions }: Fields): void {
  const stop = new AbortController();
  try {
    equip(id, args, at, functions, stop);
    const run = call(task, name, args) as Run<unknown, unknown>;
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
  streams.set(++last, stream as object);
  return last;
}

/** The model of a run whose parts are computed here, and what is done with a part of its data: for `fit`, how batches are split. */
interface Replica {
  readonly model: Model<unknown>;
  readonly work: Split<unknown> | Pass;
}
let replica: Replica | null = null;
const current = (): Replica => {
  if (!replica) throw new TypeError('join: expected a method that takes workers');
  return replica;
};
const received = new Error('what a method is told in a worker to say what it does');

/** The parameters, for the page to compare. */
const parametersOf = ({ parameters }: Model<unknown>) =>
  parameters.map(({ name, shape }) => `${name} [${shape}]`).join();

async function join({ name, bytes, build, module, frozen, call: asked }: Fields): Promise<string> {
  replica = null;
  task?.dispose();
  task = null;
  // a copy: the bytes may be in memory that all workers share
  await make(name, 'load', [new Uint8Array(bytes), module ? { module } : { build }]);
  const workers = {
    begin() {},
    receive(work: Split<unknown> | Pass, model: Model<unknown>) {
      replica = { model, work };
      throw received;
    },
  };
  const { method, data, options } = asked;
  try {
    // examples of an iterable come with the parts
    call(task, method, [data ?? [].values(), { ...options, workers }]);
  } catch (error) {
    if (error !== received) throw error;
  }
  const { model } = current();
  if (frozen.length > 0) model.freeze(...frozen);
  return parametersOf(model);
}

/** A model of layers, of a module of the user. */
async function joinLayers({ url, args, frozen }: Fields): Promise<string> {
  const own = await import(/* webpackIgnore: true */ /* @vite-ignore */ url);
  const model: Model<unknown> = await own.model(args);
  const work: Split<unknown> = (where) => {
    const { weight, data } = (where ?? {}) as { weight?: number; data?: unknown };
    return weight === undefined ? null : { weight, loss: (tape, layers) => own.loss(tape, layers, data) };
  };
  replica = { model, work };
  if (frozen.length > 0) model.freeze(...frozen);
  return parametersOf(model);
}

function part({ where, shard, shards, blocks, gradients, weights }: Fields) {
  const { model, work } = current();
  if (weights) {
    model.runtime.write(model.slab, weights);
    model.changed();
  }
  const own = (work as Split<unknown>)(where, shard, shards);
  if (!own) return { outcome: null, gradients, weights };
  const { gradients: computed, ...outcome } = computePart(model, own, shard, blocks);
  gradients.set(computed);
  return { outcome, gradients, weights };
}

/** Makes the task by `create` or `load` of its class. */
async function make(name: string, verb: string, args: readonly unknown[]): Promise<void> {
  task = (await call(Reflect.get(tasks, name), verb, args)) as NonNullable<typeof task>;
}

/** What a request asks for. */
const handlers: Record<string, (fields: Fields) => unknown> = {
  async make({ name, verb, args, relaxed }) {
    if (relaxed) args.at(-1).module = decode(relaxed);
    await make(name, verb, args);
    return describe();
  },
  call({ name, args }) {
    const value = call(task, name, args);
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
  returned({ call: id, error }) {
    const own = calls.get(id);
    calls.delete(id);
    if (error === undefined) return own?.resolve(undefined);
    const failure = unpackError(error);
    thrown.add(failure);
    own?.reject(failure);
  },
  stream({ args }) {
    return keep(call(task, 'stream', args));
  },
  read({ stream, name, args }) {
    const value = call(streams.get(stream) ?? null, name, args);
    return name === 'clone' ? keep(value) : value;
  },
  forget({ stream }) {
    streams.delete(stream);
  },
  join,
  joinLayers,
  part,
  pass({ where }) {
    return (current().work as Pass)(where);
  },
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
  let transfer: ArrayBuffer[] = [];
  try {
    const value = await handlers[what](fields as Fields);
    reply = { id, value, state: task && !replica ? Object.fromEntries(changing()) : {} };
    const { gradients, weights } = (value ?? {}) as Partial<Record<string, Float32Array>>;
    transfer = buffersOf([value, gradients, weights]);
  } catch (error) {
    reply = { id, error: packError(error, causeOf(error, fields.run as number)) };
  }
  if (!id) return;
  try {
    post(reply, transfer);
  } catch (error) {
    post({ id, error: packError(error) });
  }
}

if (thread) thread.on('message', answer);
else globalThis.onmessage = ({ data }) => void answer(data);
post({ ready: PROTOCOL });
