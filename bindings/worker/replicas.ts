/** Copies of a model in workers, which compute the gradients of the parts of a batch. */
import * as check from '../check.js';
import type { Job, Outcome, Team, Workers } from '../train/shards.js';
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

  async step(where: unknown): Promise<Outcome[]> {
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
      const answer = links[w].ask('part', { where, shard, shards, blocks, gradients, weights }, transfer);
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

  async #begin(job: Job): Promise<Team> {
    if (this.#disposed) throw new Error('workers: these replicas have been disposed');
    if (this.#busy)
      throw new Error('workers: are used by another run; each run that trains at the same time needs its own');
    this.#busy = true;
    const done = () => {
      this.#busy = false;
    };
    try {
      return this.count === 'auto' ? this.#auto(job, done) : await this.#crew(job, this.count, done);
    } catch (error) {
      done();
      throw error;
    }
  }

  async #crew(job: Job, count: number, done: () => void): Promise<Team> {
    const n = Math.min(count, job.shards);
    if (n === 0) return { about: HERE, step: job.here, end: done };
    const { task, model, data, options, shards } = job;
    const { runtime, frozen } = model;
    const { build, module } = runtime;
    const about = { name: task, bytes: job.save(), build, module, frozen };
    const message = { ...about, data, options: described(options, shards) };
    const links = await Promise.all(
      Array.from({ length: n }, async (_, w) => {
        const link = await this.#link(w, n);
        await named(link.ask('join', message), w, n);
        return link;
      }),
    );
    const crew = new Crew(job, links, this.options.shared ?? canShare());
    return {
      about: crew.about,
      step: (where) => crew.step(where),
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
  #auto(job: Job, done: () => void): Team {
    const count = Math.min(cores(), MOST, job.shards);
    let crew: Team | null = null;
    let steps = 0;
    let starting = false;
    let over = false;
    const start = async () => {
      starting = true;
      try {
        const made = await this.#crew(job, count, done);
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
