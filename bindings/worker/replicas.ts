/** Copies of a model in workers, which compute the gradients of the parts of a batch. */
import * as check from '../check.js';
import type { Model } from '../nn/model.js';
import type { Minimised, Tape } from '../tape.js';
import {
  addParts,
  computeParts,
  type Job,
  type Outcome,
  type Split,
  type Team,
  type Workers,
} from '../train/shards.js';
import { Link, WorkerError, type WorkerOptions } from './link.js';
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
/** With `'auto'`: the time in ms from which on a step is worth its messages, and the most workers. */
const WORTH = 4;
const MOST = 4;

/** What a run reports whose steps are made on this thread. */
const HERE = { workers: 0, memory: null };

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
  readonly about: { readonly workers: number; readonly memory: 'shared' | 'transferred' | null };
  /** Computes the gradients of a batch and leaves their sum in the model; returns the loss, Σ weight·loss. */
  gradients(parts: readonly Piece[]): Promise<number>;
  /** Lets go of the workers, for the next run. */
  end(): void;
}

interface LayersModule {
  readonly model: (args: unknown) => unknown;
  readonly loss: (tape: Tape, layers: never, data: unknown) => Minimised;
}

interface LayersMessage {
  readonly url: string;
  readonly args: unknown;
  readonly frozen: readonly string[];
}

/** The answer to a part: numbers come back in the buffers that were sent. */
interface PartAnswer {
  /** null where the part has no effect on the loss. */
  readonly outcome: Omit<Outcome, 'gradients'> | null;
  readonly gradients: Float32Array;
  readonly weights?: Float32Array;
}

/** An answer of a worker; an error that was thrown there says in which one. */
async function named<T>(answer: Promise<T>, w: number, n: number): Promise<T> {
  try {
    return await answer;
  } catch (error) {
    if (error instanceof Error && !(error instanceof WorkerError)) error.message += ` (in worker ${w + 1} of ${n})`;
    throw error;
  }
}

/** The workers of one run. */
class Crew implements Team {
  readonly about: Team['about'];
  readonly #weights: (Float32Array | undefined)[];
  readonly #gradients: Float32Array[];

  constructor(
    readonly job: Job,
    readonly links: readonly Link[],
    readonly shared: boolean,
  ) {
    const { shards, model } = job;
    const { slabBytes } = model;
    const floats = () => new Float32Array(shared ? new SharedArrayBuffer(slabBytes) : new ArrayBuffer(slabBytes));
    const one = floats();
    this.#weights = links.map(() => (shared ? one : floats()));
    this.#gradients = Array.from({ length: shards }, floats);
    this.about = { workers: links.length, memory: shared ? 'shared' : 'transferred' };
  }

  /** @param of what a part needs to know: by default all of the batch */
  async step(where: unknown, of: (shard: number) => unknown = () => where): Promise<Outcome[]> {
    const { links, shared, job } = this;
    const { shards, model } = job;
    const { runtime, slab, slabBytes, random } = model;
    const values = runtime.f32.subarray(slab >>> 2, (slab + slabBytes) >>> 2);
    const blocks = { ...random.next };
    if (shared) this.#weights[0]?.set(values);
    const asked = this.#gradients.map((gradients, shard) => {
      const w = shard % links.length;
      // the first part of each worker brings the weights
      const weights = shard < links.length ? this.#weights[w] : undefined;
      if (!shared) weights?.set(values);
      const sent = [gradients, weights].filter((floats) => floats !== undefined);
      const transfer = shared ? [] : sent.map(({ buffer }) => buffer as ArrayBuffer);
      const answer = links[w].ask('part', { where: of(shard), shard, shards, blocks, gradients, weights }, transfer);
      return named(answer, w, links.length);
    });
    const answers = await Promise.all(asked);
    return answers.flatMap(({ value }, shard) => {
      const { outcome, gradients, weights } = value as PartAnswer;
      this.#gradients[shard] = gradients;
      if (weights) this.#weights[shard] = weights;
      return outcome ? [{ ...outcome, gradients }] : [];
    });
  }

  end(): void {
    for (const link of this.links) link.tell('leave', {});
  }
}

/** Ends the workers of replicas that nobody can reach any more. */
const lost = new FinalizationRegistry<(Link | undefined)[]>((links) => {
  for (const link of links) link?.close();
});

/** Workers for the option `workers` of `fit`. Make them with `replicas`. */
export class Replicas implements Workers {
  readonly #links: (Link | undefined)[] = [];
  #busy = false;
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
    const team = await this.#begin(job as unknown as Job, { url, args, frozen: model.frozen });
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

  async #begin(job: Job, layers?: LayersMessage): Promise<Team> {
    if (this.#disposed) throw new Error('workers: these replicas have been disposed');
    if (this.#busy)
      throw new Error('workers: are used by another run; each run that trains at the same time needs its own');
    this.#busy = true;
    const done = () => {
      this.#busy = false;
    };
    try {
      return this.count === 'auto' ? this.#auto(job, done, layers) : await this.#crew(job, this.count, done, layers);
    } catch (error) {
      done();
      throw error;
    }
  }

  async #crew(job: Job, count: number, done: () => void, layers?: LayersMessage): Promise<Team> {
    const n = Math.min(count, job.shards);
    if (n === 0) return { about: HERE, step: job.here, end: done };
    const { task, model, data, options, shards } = job;
    const { runtime, frozen } = model;
    const { build, module } = runtime;
    const about = { name: task, bytes: job.save(), build, module, frozen };
    const message = layers ?? { ...about, data, options: described(options, shards) };
    const names = model.parameters.map(({ name, shape }) => `${name} [${shape}]`).join();
    const links = await Promise.all(
      Array.from({ length: n }, async (_, w) => {
        const link = await this.#link(w, n);
        const { value } = await named(link.ask(layers ? 'joinLayers' : 'join', message), w, n);
        if (value !== names)
          throw new RangeError(`module: its model has other parameters than the one that is trained`);
        return link;
      }),
    );
    const crew = new Crew(job, links, this.options.shared ?? canShare());
    return {
      about: crew.about,
      step: (where) => (layers ? crew.step(where, (shard) => (where as Piece[])[shard]) : crew.step(where)),
      end: () => {
        crew.end();
        done();
      },
    };
  }

  async #link(w: number, n: number): Promise<Link> {
    const old = this.#links[w];
    if (old?.running) return old;
    const link = await Link.open(`worker ${w + 1} of ${n}`, this.options);
    this.#links[w] = link;
    if (this.#disposed) link.close();
    return link;
  }

  /**
   * Steps are made here until one takes long enough; then workers start, and take over once they are ready. Where they cannot be
   * started, all steps are made here.
   */
  #auto(job: Job, done: () => void, layers?: LayersMessage): Team {
    const count = Math.min(cores(), MOST, job.shards);
    let crew: Team | null = null;
    let steps = 0;
    let starting = false;
    let over = false;
    const start = async () => {
      starting = true;
      try {
        const made = await this.#crew(job, count, done, layers);
        if (over) made.end();
        else crew = made;
      } catch {
        if (over) done();
        else starting = false;
      }
    };
    return {
      get about() {
        return crew?.about ?? HERE;
      },
      step(where) {
        if (crew) return crew.step(where);
        const began = performance.now();
        const parts = job.here(where);
        // the first step is slow: the engine has not compiled all of it
        if (++steps === 2 && count > 1 && performance.now() - began >= WORTH) void start();
        return parts;
      },
      end() {
        over = true;
        if (crew) crew.end();
        else if (!starting) done();
      },
    };
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
 * number of workers, 0 included: it depends on `shards` only.
 *
 * The workers start with the first run and are kept for later ones. In Node they keep no process alive; `dispose` ends them.
 *
 * @param count workers, or `'auto'`: as many as there are cores, up to 4, for models whose steps take long enough
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
 * workers.dispose();
 * ```
 */
export function replicas(count: number | 'auto', options: ReplicaOptions = {}): Replicas {
  check.options('replicas', options, ['url', 'shared']);
  if (count !== 'auto') check.whole('count', count, 0, 64);
  if (options.shared !== undefined) check.flag('shared', options.shared);
  return new Replicas(count, options);
}
