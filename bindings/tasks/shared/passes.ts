/** Going through data without training, part by part: on this thread, or in workers, with the same bits in the same order. */
import type { Model } from '../../nn/model.js';
import { Breather, Run } from '../../train/run.js';
import type { Receiver, Workers, WorkersUsed } from '../../train/shards.js';
import { type BatchProgress, gather, type Item } from './batches.js';

/** A call of `predict` or `evaluate`, which a worker repeats to see the same data. */
export interface Call {
  readonly method: string;
  readonly data: unknown;
  readonly options: object;
}

/** Runs the layers over a part of the data. Where it is, and the result, are plain data. */
export type Pass = (where: unknown) => unknown;

/** What a call gives to those that compute it. */
export interface ReadingJob {
  /** The name of the task's class. */
  readonly task: string;
  readonly model: Model<unknown>;
  readonly call: Call;
  /** Parts that can be computed at the same time. */
  readonly count: number;
  /** The model as a file, weights only. */
  readonly save: () => Uint8Array<ArrayBuffer>;
  readonly here: Pass;
}

/** Those that compute one call. */
export interface Readers {
  readonly about: WorkersUsed;
  /** Parts that may be asked for before the first of them is there. */
  readonly ahead: number;
  pass(where: unknown): Promise<unknown>;
  /** The call is over. */
  end(): void;
}

/** The parts of a call. */
export interface Parts<Where, Own, Result> {
  readonly count: number;
  readonly where: (i: number) => Where;
  readonly here: (where: Where) => Own;
  /** Takes the results of the parts, in their order. */
  readonly put: (own: Own, where: Where) => void;
  /** Whether each part depends on the one before: then one worker computes all of them. */
  readonly serial?: boolean;
  readonly done: (i: number) => BatchProgress;
  readonly finish: () => Result;
}

/** The settings of a call: those of `BATCHES`, with or without `workers`. */
export interface PassSettings {
  readonly signal?: AbortSignal | undefined;
  readonly workers?: (Workers & Partial<Receiver>) | undefined;
}
export interface BatchSettings extends PassSettings {
  readonly batchSize: number;
}

/** Who can be asked: a call of a task, and what it runs on. */
export interface Asked extends Omit<ReadingJob, 'here' | 'count'> {
  /** Throws where the model has been disposed. */
  readonly alive: () => void;
}

/**
 * A run over the parts. The signal is looked at before each of them.
 *
 * @param asked makes what workers need; undefined for what is always computed here
 */
export function inParts<Where, Own, Result>(
  { count, where, here, put, serial, done, finish }: Parts<Where, Own, Result>,
  { signal, workers }: PassSettings,
  asked?: Asked,
): Run<BatchProgress, Result> {
  const pass: Pass = (place) => here(place as Where);
  if (asked) workers?.receive?.(pass, asked.model);
  async function* parts(): AsyncGenerator<BatchProgress, Result, void> {
    const breather = new Breather();
    const job = asked && { ...asked, here: pass, count: serial ? Math.min(count, 1) : count };
    let readers: Readers | undefined;
    try {
      if (workers && job) {
        signal?.throwIfAborted();
        readers = (await workers.read(job as never)) as Readers;
      }
      const pending: { at: Where; own: Promise<unknown> }[] = [];
      for (let i = 0, sent = 0; i < count; i++) {
        signal?.throwIfAborted();
        if (readers) {
          asked?.alive();
          for (const most = serial ? 1 : readers.ahead; sent < count && pending.length < most; sent++) {
            const at = where(sent);
            const own = readers.pass(at);
            // it is awaited when its turn has come, or never, where an earlier one ends the run
            own.catch(() => {});
            pending.push({ at, own });
          }
          const [{ at, own }] = pending.splice(0, 1);
          put((await own) as Own, at);
          yield { ...done(i), workers: readers.about };
        } else {
          const at = where(i);
          put(here(at), at);
          yield done(i);
        }
        await breather.breathe();
      }
    } finally {
      readers?.end();
    }
    return finish();
  }
  return new Run(parts(), signal);
}

/**
 * The same for items, a batch at a time, longest first, so that all memory is taken at the beginning.
 *
 * @param read what is computed of a batch: plain data
 * @param put is given this, the items of the batch and their places in the list
 */
export function inBatches<I extends Item, Own, Result>(
  items: readonly I[],
  { batchSize, ...settings }: BatchSettings,
  read: (batch: I[]) => Own,
  put: (own: Own, batch: I[], places: Int32Array) => void,
  finish: () => Result,
  asked?: Asked,
): Run<BatchProgress, Result> {
  const total = items.length;
  const order = Int32Array.from(items, (_, i) => i).sort((a, b) => items[b].length - items[a].length);
  const parts = {
    count: Math.ceil(total / batchSize),
    where: (i: number) => order.slice(i * batchSize, (i + 1) * batchSize),
    here: (places: Int32Array) => read(gather(items, places)),
    put: (own: Own, places: Int32Array) => put(own, gather(items, places), places),
    done: (i: number) => ({ done: Math.min((i + 1) * batchSize, total), total }),
    finish,
  };
  return inParts(parts, settings, asked);
}
