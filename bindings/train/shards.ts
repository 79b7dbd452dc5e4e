/**
 * Gradients of a batch in parts. A part is every n-th sequence of the batch: which ones depends on the batch and on the number of shards
 * only. The gradient of each part is computed alone, and they are added in the order of their numbers, so the sum has the same bits
 * whoever computes them.
 */
import * as check from '../check.js';
import type { Model } from '../nn/model.js';
import { optional, type Reader, whole } from '../options.js';
import type { Stream } from '../random.js';
import { lossesOf, type Minimised, type Tape } from '../tape.js';

/** A part of a batch. */
export interface Part<L> {
  /** What the mean over the part counts for in the mean over the batch: 1 where there is one part. */
  readonly weight: number;
  readonly loss: (tape: Tape, layers: L) => Minimised;
  /** Plain data that the part leaves for the next step. */
  readonly after?: () => unknown;
}

/**
 * How a task splits a batch.
 *
 * @param where which batch: plain data
 * @returns null for a part that has no effect on the loss
 */
export type Split<L> = (where: unknown, shard: number, shards: number) => Part<L> | null;

/** The next block of each random stream. */
export type Blocks = Readonly<Record<Stream, number>>;

/** What has been computed for a part. */
export interface Outcome {
  readonly loss: number;
  readonly gradients: Float32Array;
  readonly blocks: Blocks;
  readonly after: unknown;
}

/** What a training gives to those that compute its gradients. */
export interface Job<L = unknown> {
  /** The name of the task's class. */
  readonly task: string;
  readonly model: Model<L>;
  /** The first argument of `fit`, undefined for an iterable, and its options. */
  readonly data: unknown;
  readonly options: object;
  readonly shards: number;
  /** The model as a file, weights only. */
  readonly save: () => Uint8Array<ArrayBuffer>;
  /** Computes the parts of a batch on this thread. */
  readonly here: (where: unknown) => Outcome[];
}

/** Who computes: how many workers, and whether numbers reach them in memory that they share or in messages; null without workers. */
export interface WorkersUsed {
  readonly workers: number;
  readonly memory: 'shared' | 'transferred' | null;
}

/** Those that compute the gradients of one run. */
export interface Team {
  /** What the run reports about it. */
  readonly about: WorkersUsed;
  /** The parts of a batch, in the order of their numbers. */
  step(where: unknown): Promise<Outcome[]> | Outcome[];
  /** The run is over. */
  end(): void;
}

/** The option `workers`: what `replicas` of `gatewise/worker` returns. */
export interface Workers {
  /** For `fit`: takes a `Job` and starts its `Team`. */
  begin(job: never): Promise<unknown>;
  /** For `predict` and `evaluate`: takes a `ReadingJob` and starts its `Readers`. */
  read(job: never): Promise<unknown>;
}

/** The same in a worker, where a method only tells what it does with a part of its data: for `fit` a `Split`. */
export interface Receiver {
  receive(work: Split<never> | ((where: unknown) => unknown), model: Model<unknown>): never;
}

/** Starts those that compute the gradients of a run. */
export const teamFor = (workers: Workers | undefined, job: Job) =>
  workers?.begin(job as never) as Promise<Team> | undefined;

export const readWorkers: Reader<Workers & Partial<Receiver>> = (name, value) =>
  typeof (value as Workers | null)?.begin === 'function'
    ? (value as Workers)
    : check.fail(name, 'replicas of gatewise/worker, such as replicas(2)', value);

export const SHARDS = {
  /**
   * Parts that each batch is split into. The weights depend on this number, and not on the number of workers. Default: what the training
   * that is resumed had; else 1, or with `workers` 4, or `batchSize` if that is less.
   */
  shards: optional(whole(1)),
  /** Workers that compute the parts: `replicas(2)` of `gatewise/worker`. Default: they are computed here, one after the other. */
  workers: optional(readWorkers),
};

/**
 * The number of shards of a run.
 *
 * @param standing that of the training which is resumed; 0 before the first step
 * @throws RangeError for more than the batch has, or another number than that of the training
 */
export function shardsOf(
  { shards, workers, batchSize }: { shards?: number | undefined; workers?: object | undefined; batchSize: number },
  standing: number,
): number {
  const wanted = shards ?? (workers ? Math.min(4, batchSize) : standing || 1);
  if (wanted > batchSize) check.fail('shards', `at most batchSize=${batchSize}`, wanted);
  if (standing && wanted !== standing) {
    throw new RangeError(
      `shards: this training was made with ${standing}, got ${wanted}. Pass shards: ${standing}, or begin a new one from the weights: load(model.save({ weightsOnly: true }))`,
    );
  }
  return wanted;
}

/** Computes one part on a model: its gradients begin at zero, its random numbers at blocks and in streams of its own. */
export function computePart<L>(model: Model<L>, part: Part<L>, shard: number, blocks: Blocks): Outcome {
  const { random, runtime } = model;
  const before = { ...random.next };
  const { weight, loss } = part;
  const weighted = (tape: Tape, layers: L) => {
    const losses = lossesOf(loss(tape, layers));
    return weight === 1 ? losses : losses.map((own) => ({ loss: own.loss, weight: own.weight * weight }));
  };
  try {
    Object.assign(random.next, blocks);
    random.shard = shard;
    const value = model.valueAndGrad(weighted);
    const gradients = runtime.read(model.gradients, model.slabBytes / 4);
    return { loss: value, gradients, blocks: { ...random.next }, after: part.after?.() };
  } finally {
    random.shard = 0;
    Object.assign(random.next, before);
  }
}

/** Computes all parts of a batch on a model, one after the other. */
export function computeParts<L>(model: Model<L>, split: Split<L>, where: unknown, shards: number): Outcome[] {
  const blocks = { ...model.random.next };
  return Array.from({ length: shards }, (_, shard) => {
    const part = split(where, shard, shards);
    return part ? [computePart(model, part, shard, blocks)] : [];
  }).flat();
}

/** Makes the sum of the parts the model's gradients, and moves its random streams past those of all parts; returns the loss. */
export function addParts(model: Model<unknown>, parts: readonly Outcome[]): number {
  model.prepare();
  const { runtime, random, gradients, slabBytes } = model;
  runtime.scope(() => {
    const at = runtime.take(slabBytes);
    parts.forEach((part, i) => {
      runtime.write(i === 0 ? gradients : at, part.gradients);
      if (i > 0) runtime.core.addForward(gradients, gradients, at, slabBytes, 1, slabBytes / 4);
    });
  });
  for (const { blocks } of parts) {
    for (const stream of ['dropout', 'sample'] as const) {
      random.next[stream] = Math.max(random.next[stream], blocks[stream]);
    }
  }
  return parts.reduce((sum, { loss }) => sum + loss, 0);
}
