/** A task whose model is in a worker: the same methods, as promises and runs. */
import * as check from '../check.js';
import { Vocabulary } from '../text/vocabulary.js';
import { Run, type Work } from '../train/run.js';
import { Link, type WorkerOptions } from './link.js';
import { type Answer, type PackedError, packError } from './messages.js';
import { Replicas } from './replicas.js';
import type { InWorker, RemoteStream, Tasks } from './types.js';

const TASKS = [
  'LanguageModel',
  'SequenceClassifier',
  'SequenceRegressor',
  'SequenceTagger',
  'Seq2Seq',
  'Transcriber',
  'SequenceGenerator',
  'Forecaster',
] as const satisfies (keyof Tasks)[];
/** The methods that return a run; the others return a promise. */
const RUNS = ['fit', 'evaluate', 'predict', 'generate'];
/** Functions among the options that are called on the page. */
const ON_PAGE = ['checkpoint.save'];

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' &&
  value !== null &&
  [Object.prototype, null].includes(Object.getPrototypeOf(value) as never);

type Func = (...args: unknown[]) => unknown;

/**
 * Options without their functions, which stay on the page.
 *
 * @throws TypeError for a function that the worker would have to call itself
 */
function split(name: string, options: Record<string, unknown>, functions: Map<string, Func>, path = '', depth = 0) {
  const rest: Record<string, unknown> = {};
  for (const [key, value] of Object.entries(options)) {
    const place = path + key;
    if (typeof value === 'function') {
      if (!ON_PAGE.includes(place)) {
        throw new TypeError(`${name}: ${place} is a function, which cannot be sent to a worker`);
      }
      functions.set(place, value as Func);
    } else if (value instanceof Replicas) {
      throw new TypeError(
        `${name}: ${place} are replicas, which cannot be sent to a worker; they train models of this thread`,
      );
    } else rest[key] = isObject(value) && depth < 3 ? split(name, value, functions, `${place}.`, depth + 1) : value;
  }
  return rest;
}

/** What was caught from a request, as the page knows it. */
function known(error: unknown, signal: AbortSignal | undefined, failure: { error?: unknown }): unknown {
  const { cause } = error as PackedError;
  if (cause === 'signal') return signal?.reason;
  return cause === 'callback' ? failure.error : error;
}

/** The model in the worker, and the worker. */
class Remote {
  readonly values: Record<string, unknown> = {};
  /** Runs whose functions the worker may call. */
  readonly #functions = new Map<number, (path: string, args: readonly unknown[]) => unknown>();
  readonly #streams = new FinalizationRegistry<number>((stream) => this.link.tell('forget', { stream }));
  #runs = 0;

  constructor(readonly link: Link) {
    link.call = (answer) => void this.#called(answer);
  }

  async #called({ id, run = 0, callback = '', args = [] }: Answer): Promise<void> {
    const reply = { call: id };
    try {
      await this.#functions.get(run)?.(callback, args);
      this.link.tell('returned', reply);
    } catch (error) {
      this.link.tell('returned', { ...reply, error: packError(error) });
    }
  }

  async ask(what: string, fields: object): Promise<unknown> {
    const { value, state } = await this.link.ask(what, fields);
    Object.assign(this.values, state);
    return value;
  }

  run(name: string, args: unknown[]): Run<unknown, unknown> {
    const functions = new Map<string, Func>();
    // the data come first, but for what is written from nothing
    let at = args.length - 1;
    let signal: AbortSignal | undefined;
    if ((at > 0 || name === 'generate' || name === 'predict') && isObject(args[at])) {
      const { signal: own, ...options } = args[at] as Record<string, unknown>;
      if (own !== undefined) signal = check.signal(`${name}: signal`, own);
      args[at] = split(name, options, functions);
    } else at = -1;
    const run = ++this.#runs;
    const { link } = this;
    link.send('begin', { run, name, args, at, functions: [...functions.keys()] });
    const failure: { error?: unknown } = {};
    this.#functions.set(run, async (path, values) => {
      try {
        return await functions.get(path)?.(...values);
      } catch (error) {
        failure.error = error;
        throw error;
      }
    });
    const abort = () => link.tell('abort', { run, reason: packError(signal?.reason) });
    if (signal?.aborted) abort();
    else signal?.addEventListener('abort', abort);
    const over = () => {
      if (!this.#functions.delete(run)) return;
      signal?.removeEventListener('abort', abort);
      link.tell('over', { run });
    };
    const ask = async (what: string) => {
      try {
        return await this.ask(what, { run });
      } catch (error) {
        over();
        throw known(error, signal, failure);
      }
    };
    const work: Work<unknown, unknown> = {
      next: async () => {
        const step = (await ask('next')) as IteratorResult<unknown>;
        if (step.done) over();
        return step;
      },
      all: async () => {
        const value = await ask('all');
        over();
        return value;
      },
      return: async () => {
        if (this.#functions.has(run)) await ask('stop');
        over();
      },
    };
    return new Run(work, signal);
  }

  async call(name: string, args: unknown[]): Promise<unknown> {
    const value = await this.ask('call', { name, args });
    if (name !== 'summary') return value;
    const [summary, text] = value as [object, string];
    return { ...summary, toString: () => text };
  }

  async stream(args: unknown[]): Promise<RemoteStream<unknown, unknown>> {
    return this.#stream((await this.ask('stream', { args })) as number);
  }

  #stream(stream: number): RemoteStream<unknown, unknown> {
    const read = (name: string, ...args: unknown[]) => this.ask('read', { stream, name, args });
    const made: RemoteStream<unknown, unknown> = {
      step: (input) => read('step', input),
      clone: async () => this.#stream((await read('clone')) as number),
      reset: async () => void (await read('reset')),
      save: () => read('save') as Promise<Uint8Array<ArrayBuffer>>,
    };
    this.#streams.register(made, stream);
    return made;
  }
}

/** What the worker says of a model that it has made. */
interface Description {
  readonly config: object;
  readonly methods: readonly string[];
  readonly vocabularies: readonly (readonly [string, readonly string[]])[];
}

async function make(name: string, verb: 'create' | 'load', args: unknown[], own: WorkerOptions): Promise<object> {
  const at = verb === 'create' ? 0 : 1;
  let relaxed: string | undefined;
  if (isObject(args[at])) {
    const { runtime, ...options } = args[at];
    if (runtime !== undefined) {
      throw new TypeError('runtime: cannot be sent to a worker, which starts a runtime of its own');
    }
    args[at] = split(verb, options, new Map());
    if (options.build === 'relaxed' && !options.module) {
      relaxed = (await import('../core/wasm/relaxed.js')).default;
    }
  }
  const link = await Link.open(`the worker of ${name}`, own);
  const remote = new Remote(link);
  try {
    const { config, methods, vocabularies } = (await remote.ask('make', { name, verb, args, relaxed })) as Description;
    const model: Record<PropertyKey, unknown> = { config: freeze(config) };
    for (const [key, tokens] of vocabularies) model[key] = new Vocabulary(tokens);
    for (const key of Object.keys(remote.values)) {
      Object.defineProperty(model, key, { get: () => remote.values[key], enumerable: true });
    }
    for (const key of methods) {
      if (RUNS.includes(key)) model[key] = (...given: unknown[]) => remote.run(key, given);
      else if (key === 'stream') model[key] = (...given: unknown[]) => remote.stream(given);
      else model[key] = (...given: unknown[]) => remote.call(key, given);
    }
    model.dispose = () => link.close();
    if (Symbol.dispose) model[Symbol.dispose] = model.dispose;
    return model;
  } catch (error) {
    link.close();
    throw error;
  }
}

function freeze<T>(value: T): T {
  if (typeof value === 'object' && value !== null && !ArrayBuffer.isView(value)) {
    for (const inner of Object.values(value)) freeze(inner);
    Object.freeze(value);
  }
  return value;
}

/**
 * A task whose models live in workers: a page that trains there stays responsive. The models have the methods of the task. `fit`,
 * `evaluate`, `predict` and `generate` return the same runs, with the same results, errors, checkpoints and signals; what else the task
 * computes is a promise. Invalid data reject the run instead of throwing at once. `config`, `training` and vocabularies are properties.
 * The layers (`model`) stay in the worker.
 *
 * Data are copied to the worker. Functions cannot be sent: `checkpoint.save` is called on the page, any other is refused.
 *
 * @param task the class, or its name. With the name, a page that uses the class nowhere else does not download it
 * @param options where the worker file is, for pages that serve it themselves
 * @throws WorkerError from `create` and `load`, where the worker cannot be started; it says what to serve or to allow
 *
 * @example
 * ```js
 * import { inWorker } from 'gatewise/worker';
 *
 * const lm = await inWorker('LanguageModel').create({ vocabulary: 'ab', hiddenSize: 8, seed: 1 });
 * for await (const { step, loss } of lm.fit('ab'.repeat(40), { batchSize: 1, window: 8, steps: 20 })) {
 *   if (step === 20) console.log(loss < 0.7); // true
 * }
 * console.log((await lm.generate({ prompt: 'a', length: 4, seed: 1 })).length); // 4
 * const bytes = await lm.save();
 * lm.dispose(); // ends the worker
 * ```
 */
export function inWorker<T extends keyof Tasks>(
  task: T | (Tasks[T] & { readonly taskName: T }),
  options?: WorkerOptions,
): InWorker[T];
export function inWorker(task: string | { readonly taskName: string } | null, options: WorkerOptions = {}): object {
  check.options('inWorker', options, ['url']);
  const name = typeof task === 'string' ? task : task?.taskName;
  if (!name || !(TASKS as readonly string[]).includes(name))
    check.fail('task', `a task, or one of ${check.list(TASKS, 20)}`, task);
  return {
    create: (...args: unknown[]) => make(name, 'create', args, options),
    load: (...args: unknown[]) => make(name, 'load', args, options),
  };
}
