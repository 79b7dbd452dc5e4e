/** Copies of a model in workers, which compute the gradients of the parts of a batch. */
import * as check from '../check.js';
import type { Model } from '../nn/model.js';
import type { Minimised, Tape } from '../tape.js';
import type { Call, Readers, ReadingJob } from '../tasks/shared/passes.js';
import {
  addParts,
  computeParts,
  type Job,
  type Split,
  type Team,
  type Workers,
  type WorkersUsed,
} from '../train/shards.js';
import { Auto, Crew, type LayersMessage, named, ReadingCrew, readersOf, teamOf } from './crew.js';
import { Link, type WorkerOptions } from './link.js';
import { builtin } from './messages.js';

export interface ReplicaOptions extends WorkerOptions {
  /**
   * Whether numbers travel in memory that the workers share with this thread. Default: where the engine allows it, that is in Node and
   * in pages that are isolated from other origins. Otherwise buffers are passed on, which is a little slower and gives the same bits.
   */
  shared?: boolean | undefined;
}

/** Options of `fit` that say nothing about what a batch is. */
const RUN = ['signal', 'checkpoint', 'workers', 'schedule', 'epochs', 'steps'];
const VALIDATION = ['validateEvery', 'metric', 'patience', 'minDelta'];
/** With `'auto'`: the most workers. */
const MOST = 4;

/** The options that a replica needs to see the data as `fit` does. */
function described(options: object, shards: number): object {
  const entries = Object.entries(options).filter(([key, value]) => {
    return ![...RUN, ...VALIDATION].includes(key) && (key !== 'validation' || typeof value === 'number');
  });
  return { ...Object.fromEntries(entries), shards };
}

const canShare = () =>
  typeof SharedArrayBuffer === 'function' &&
  (globalThis as { crossOriginIsolated?: boolean }).crossOriginIsolated !== false;

function cores(): number {
  const os = builtin<{ availableParallelism(): number }>('node:os');
  return os?.availableParallelism() ?? (globalThis as { navigator?: Navigator }).navigator?.hardwareConcurrency ?? 1;
}

/** A copy in memory that workers share. */
function inShared(bytes: Uint8Array): Uint8Array {
  const own = new Uint8Array(new SharedArrayBuffer(bytes.length));
  own.set(bytes);
  return own;
}

/** A part of a batch of `join`: its data, and what its mean counts for in the mean over the batch. */
export interface Piece {
  readonly weight: number;
  /** Plain data, which are copied to a worker. */
  readonly data: unknown;
}

/** A `Model` of `gatewise`. */
export interface LayersModel {
  readonly slab: number;
  readonly frozen: readonly string[];
  valueAndGrad(work: never): number;
}

/** What `join` takes. */
export interface JoinOptions {
  /** The address of the module that exports `model` and `loss`. */
  readonly module: string | URL;
  /** What `model` is called with in each worker: plain data. */
  readonly args?: unknown;
  /** The most parts of a batch, default 4. */
  readonly shards?: number | undefined;
}

/** Those that compute the gradients of a training loop. */
export interface LayersTeam {
  readonly about: WorkersUsed;
  /** Computes the gradients of a batch and leaves their sum in the model; returns the loss, Σ weight·loss. */
  gradients(parts: readonly Piece[]): Promise<number>;
  /** Lets go of the workers, for the next run. */
  end(): void;
}

interface LayersModule {
  readonly model: (args: unknown) => unknown;
  readonly loss: (tape: Tape, layers: never, data: unknown) => Minimised;
}

/** Ends the workers of replicas that nobody can reach any more. */
const lost = new FinalizationRegistry<(Link | undefined)[]>((links) => {
  for (const link of links) link?.close();
});

/** Workers for the option `workers` of `fit`, `predict` and `evaluate`. Make them with `replicas`. */
export class Replicas implements Workers {
  readonly #links: (Link | undefined)[] = [];
  #busy = false;
  /** Workers that a run with `'auto'`, which has ended, still starts. */
  #starting: Promise<void> | null = null;
  #disposed = false;

  constructor(
    readonly count: number | 'auto',
    readonly options: ReplicaOptions,
  ) {
    lost.register(this, this.#links);
  }

  /** For `fit`. */
  begin(job: never): Promise<unknown> {
    return this.#begin(job as Job);
  }

  /** For `predict` and `evaluate`. */
  read(job: never): Promise<unknown> {
    return this.#read(job as ReadingJob);
  }

  /**
   * The same for a training loop of layers. A module exports `model(args)`, which makes the model, and `loss(tape, layers, data)`, the
   * loss of a part of a batch. Each worker imports it, so it is a file that the page serves, or one of Node.
   *
   * @param trained the model that is trained: what `model(args)` of the module has made on this thread
   * @throws TypeError, RangeError for a module without these functions, or a model with other parameters; WorkerError
   *
   * @example
   * ```js
   * import { writeFileSync } from 'node:fs';
   * import { Optimizer, train } from 'gatewise';
   * import { replicas } from 'gatewise/worker';
   *
   * writeFileSync('line.mjs', `import { input, Linear, Model, mseLoss, Runtime } from 'gatewise';
   * export const model = async () =>
   *   new Model(await Runtime.create(), 1, (b) => new Linear(b, 'line', { inputSize: 1, outputSize: 1 }));
   * export const loss = (tape, line, { x, y }) =>
   *   mseLoss(tape, line.forward(tape, input(tape, x, { T: 1, B: x.length, F: 1 })), y);
   * `);
   * const module = new URL('./line.mjs', import.meta.url);
   * const model = await (await import(module)).model();
   * const optimizer = new Optimizer(model, { optimizer: 'sgd', learningRate: 0.1 });
   * const workers = replicas(2);
   * const team = await workers.join(model, { module, shards: 2 });
   * // half of the batch each: weights of the means
   * const parts = [{ weight: 0.5, data: { x: [1, 2], y: [3, 5] } }, { weight: 0.5, data: { x: [3, 4], y: [7, 9] } }];
   * const last = { loss: 1 };
   * const next = () => ({ gradients: () => team.gradients(parts) });
   * for await (const { loss } of train(model, optimizer, { steps: 300 }, next)) last.loss = loss;
   * console.log(last.loss < 1e-3); // true
   * workers.dispose();
   * ```
   */
  async join(trained: LayersModel, options: JoinOptions): Promise<LayersTeam> {
    check.model(trained);
    const model = trained as Model<never>;
    check.options('join', options, ['module', 'args', 'shards']);
    const { module, args, shards = 4 } = options;
    check.whole('shards', shards);
    const url = String(module);
    const own: LayersModule = await import(/* webpackIgnore: true */ /* @vite-ignore */ url);
    for (const name of ['model', 'loss'] as const) check.callback(`module: ${name}`, own[name]);
    const split: Split<never> = (where, shard) => {
      const piece = (where as Piece[])[shard];
      return piece ? { weight: piece.weight, loss: (tape, layers) => own.loss(tape, layers, piece.data) } : null;
    };
    const job: Job<never> = {
      task: '',
      model,
      data: undefined,
      options: {},
      shards,
      save: () => new Uint8Array(),
      here: (where) => computeParts(model, split, where, shards),
    };
    const team = await this.#begin(job, { url, args, frozen: model.frozen });
    return {
      get about() {
        return team.about;
      },
      async gradients(parts) {
        if (!Array.isArray(parts) || parts.length === 0 || parts.length > shards) {
          check.fail('parts', `a list of 1 to ${shards} parts { weight, data }`, parts);
        }
        const pieces = parts.map(({ weight, data }, i) => ({
          weight: check.number(`parts[${i}].weight`, weight, 0),
          data,
        }));
        return addParts(model, await team.step(pieces));
      },
      end: () => team.end(),
    };
  }

  async #begin<L>(job: Job<L>, layers?: LayersMessage): Promise<Team> {
    const { data, options, shards } = job;
    const call = { method: 'fit', data, options: described(options, shards) };
    const make = async (n: number): Promise<Team> => {
      const crew = new Crew(job, await this.#join(n, job, layers ?? call), this.#shared);
      if (!layers) return crew;
      const step = (where: unknown) => crew.step(where, (shard) => (where as Piece[])[shard]);
      return { about: crew.about, step, end: () => crew.end() };
    };
    const done = await this.#use();
    const team = await this.#start(shards, make, done);
    if (team instanceof Auto) return teamOf(team, job.here);
    return {
      about: team.about,
      step: (where) => team.step(where),
      end() {
        team.end();
        done();
      },
    };
  }

  async #read(job: ReadingJob): Promise<Readers> {
    const { method, data, options } = job.call;
    const { signal: _, workers: __, ...rest }: { signal?: unknown; workers?: unknown } = options;
    const call = { method, data, options: rest };
    const make = async (n: number): Promise<Readers> => {
      const links = await this.#join(n, job, call);
      return new ReadingCrew(links, { workers: n, memory: this.#shared ? 'shared' : 'transferred' });
    };
    const done = await this.#use();
    const readers = await this.#start(job.count, make, done);
    if (readers instanceof Auto) return readersOf(readers, job.here);
    return {
      about: readers.about,
      ahead: readers.ahead,
      pass: (where) => readers.pass(where),
      end() {
        readers.end();
        done();
      },
    };
  }

  /** Takes the workers for a run; what is returned lets go of them. */
  async #use(): Promise<(starting?: Promise<void> | null) => void> {
    if (this.#disposed) throw new Error('workers: these replicas have been disposed');
    if (this.#busy)
      throw new Error('workers: are used by another run; each run that uses workers at the same time needs its own');
    this.#busy = true;
    await this.#starting;
    return (starting = null) => {
      this.#starting = starting;
      this.#busy = false;
    };
  }

  /** @param most the parts that can be computed at the same time */
  async #start<C extends Team | Readers>(
    most: number,
    make: (n: number) => Promise<C>,
    done: (starting?: Promise<void> | null) => void,
  ): Promise<C | Auto<C>> {
    const { count } = this;
    const n = Math.min(count === 'auto' ? Math.min(cores(), MOST) : count, most);
    if (count === 'auto') return new Auto(n > 1 ? () => make(n) : null, done);
    if (n === 0) return new Auto<C>(null, done);
    try {
      return await make(n);
    } catch (error) {
      done();
      throw error;
    }
  }

  /** Starts workers, or takes those that there are, and gives each a copy of the model. */
  #join<L>(n: number, job: Pick<Job<L>, 'task' | 'model' | 'save'>, call: Call | LayersMessage): Promise<Link[]> {
    const { task, model, save } = job;
    const { runtime, frozen } = model;
    const { build, module } = runtime;
    const bytes = this.#shared ? inShared(save()) : save();
    const layers = 'url' in call;
    const message = layers ? call : { name: task, bytes, build, module, frozen, call };
    const names = model.parameters.map(({ name, shape }) => `${name} [${shape}]`).join();
    return Promise.all(
      Array.from({ length: n }, async (_, w) => {
        const link = await this.#link(w, n);
        const { value } = await named(link.ask(layers ? 'joinLayers' : 'join', message), w, n);
        if (value !== names)
          throw new RangeError(`module: its model has other parameters than the one that is trained`);
        return link;
      }),
    );
  }

  async #link(w: number, n: number): Promise<Link> {
    const old = this.#links[w];
    if (old?.running) return old;
    const link = await Link.open(`worker ${w + 1} of ${n}`, this.options);
    this.#links[w] = link;
    if (this.#disposed) link.close();
    return link;
  }

  get #shared(): boolean {
    return this.options.shared ?? canShare();
  }

  /** Ends the workers. A run that uses them is rejected. */
  dispose(): void {
    this.#disposed = true;
    for (const link of this.#links) link?.close();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }
}

/**
 * Workers that train a model together: each has a copy of it, and computes parts of every batch. The result has the same bits for any
 * number of workers, 0 included: it depends on `shards` only. `predict` and `evaluate` take the same workers, which compute whole batches;
 * the results are those without workers, in the same order.
 *
 * The workers start with the first run and are kept for later ones. In Node they keep no process alive; `dispose` ends them.
 *
 * @param count workers, or `'auto'`: as many as there are cores, up to 4, once a step takes 4 ms, and as long as steps of workers are
 *   faster than those of this thread
 * @throws TypeError, RangeError for invalid options; `fit` then throws a WorkerError where workers cannot be started or end
 *
 * @example
 * ```js
 * import { LanguageModel } from 'gatewise/tasks';
 * import { replicas } from 'gatewise/worker';
 *
 * const workers = replicas(2);
 * const lm = await LanguageModel.create({ vocabulary: 'ab', hiddenSize: 8, seed: 1 });
 * const history = await lm.fit('ab'.repeat(40), { batchSize: 4, window: 8, steps: 5, workers });
 * console.log(history.workers.workers, history.workers.memory); // 2 shared
 * const { bits } = await lm.evaluate('ab'.repeat(40), { workers });
 * const [{ token }] = await lm.predict(['aba'], { workers });
 * console.log(bits < 1.1, token); // true b
 * workers.dispose();
 * ```
 */
export function replicas(count: number | 'auto', options: ReplicaOptions = {}): Replicas {
  check.options('replicas', options, ['url', 'shared']);
  if (count !== 'auto') check.whole('count', count, 0, 64);
  if (options.shared !== undefined) check.flag('shared', options.shared);
  return new Replicas(count, options);
}
