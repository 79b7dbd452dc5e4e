/** The workers of one run or call: what they are asked, and who is asked. */
import type { Pass, Readers } from '../tasks/shared/passes.js';
import type { Job, Outcome, Team, WorkersUsed } from '../train/shards.js';
import { type Link, WorkerError } from './link.js';

/** What a run reports whose steps are made on this thread. */
export const HERE: WorkersUsed = { workers: 0, memory: null };

/** What a worker is told of a model of layers. */
export interface LayersMessage {
  readonly url: string;
  readonly args: unknown;
  readonly frozen: readonly string[];
}

/** The answer to a part of a batch: numbers come back in the buffers that were sent. */
interface PartAnswer {
  /** null where the part has no effect on the loss. */
  readonly outcome: Omit<Outcome, 'gradients'> | null;
  readonly gradients: Float32Array;
  readonly weights?: Float32Array;
}

/** An answer of a worker; an error that was thrown there says in which one. */
export async function named<T>(answer: Promise<T>, w: number, n: number): Promise<T> {
  try {
    return await answer;
  } catch (error) {
    if (error instanceof Error && !(error instanceof WorkerError)) error.message += ` (in worker ${w + 1} of ${n})`;
    throw error;
  }
}

/** The workers of a training. */
export class Crew implements Team {
  readonly about: WorkersUsed;
  readonly #weights: (Float32Array | undefined)[];
  readonly #gradients: Float32Array[];

  constructor(
    readonly job: Pick<Job, 'shards'> & {
      readonly model: Pick<Job['model'], 'runtime' | 'slab' | 'slabBytes' | 'random'>;
    },
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

/** The workers of a call of `predict` or `evaluate`. A part goes to the worker that has the fewest. */
export class ReadingCrew implements Readers {
  readonly ahead: number;
  readonly #asked: number[];

  constructor(
    readonly links: readonly Link[],
    readonly about: WorkersUsed,
  ) {
    // each has one that it computes, and one that is next
    this.ahead = 2 * links.length;
    this.#asked = links.map(() => 0);
  }

  async pass(where: unknown): Promise<unknown> {
    const { links } = this;
    const w = this.#asked.indexOf(Math.min(...this.#asked));
    this.#asked[w]++;
    try {
      return (await named(links[w].ask('pass', { where }), w, links.length)).value;
    } finally {
      this.#asked[w]--;
    }
  }

  end(): void {
    for (const link of this.links) link.tell('leave', {});
  }
}

/** The time in ms from which on a step is worth its messages, and steps of workers that are compared with those of this thread. */
const WORTH = 4;
const TRIAL = 8;

/**
 * Decides whether workers are worth it. Steps are made here until one takes long enough; then workers start, and take over once they
 * are ready. Where they cannot be started, or their steps are no faster, all steps are made here.
 */
export class Auto<C extends { readonly about: WorkersUsed; end(): void }> {
  /** Those that take over. */
  crew: C | null = null;
  #starting: Promise<void> | null = null;
  #over = false;
  #steps = 0;
  /** The shortest step in ms. */
  readonly #best = { here: Infinity, there: Infinity };

  /**
   * @param make starts workers; null where there can be none
   * @param done called when the run is over, with what still starts workers
   * @param now the clock in ms
   */
  constructor(
    readonly make: (() => Promise<C>) | null,
    readonly done: (starting: Promise<void> | null) => void,
    readonly now = () => performance.now(),
  ) {}

  get about(): WorkersUsed {
    return this.crew?.about ?? HERE;
  }

  /** A step that is made here. */
  here<R>(step: () => R): R {
    const began = this.now();
    const result = step();
    const ms = this.now() - began;
    this.#best.here = Math.min(this.#best.here, ms);
    // the first step is slow: the engine has not compiled all of it
    if (++this.#steps === 2 && this.make && !this.#starting && ms >= WORTH) this.#starting = this.#start(this.make);
    return result;
  }

  /** A step that workers make: the first ones are compared with those that were made here. */
  async there<R>(crew: C, step: (crew: C) => Promise<R>): Promise<R> {
    const began = this.now();
    const result = await step(crew);
    const best = this.#best;
    best.there = Math.min(best.there, this.now() - began);
    if (++this.#steps === TRIAL && best.there >= best.here) {
      crew.end();
      this.crew = null;
    }
    return result;
  }

  async #start(make: () => Promise<C>): Promise<void> {
    try {
      const crew = await make();
      this.#steps = 0;
      if (this.#over) crew.end();
      else this.crew = crew;
    } catch {
      // all steps are made here
    }
  }

  end(): void {
    this.#over = true;
    this.crew?.end();
    this.done(this.#starting);
  }
}

/** A team of whoever is worth it. */
export function teamOf(auto: Auto<Team>, here: Team['step']): Team {
  return {
    get about() {
      return auto.about;
    },
    step: (where) =>
      auto.crew ? auto.there(auto.crew, async (crew) => crew.step(where)) : auto.here(() => here(where)),
    end: () => auto.end(),
  };
}

/** The same for a call. */
export function readersOf(auto: Auto<Readers>, here: Pass): Readers {
  return {
    get about() {
      return auto.about;
    },
    get ahead() {
      return auto.crew?.ahead ?? 1;
    },
    pass: async (where) => (auto.crew ? auto.crew.pass(where) : auto.here(() => here(where))),
    end: () => auto.end(),
  };
}
