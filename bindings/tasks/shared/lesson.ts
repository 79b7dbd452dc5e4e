/** The loss of a batch of examples: their weights, and parts of the batch. */
import * as check from '../../check.js';
import type { Settings } from '../../options.js';
import type { Loss, Tape } from '../../tape.js';
import type { Split } from '../../train/shards.js';
import { type FIT_EXAMPLES, gather, type Item } from './batches.js';

export type Losses = Loss | readonly { loss: Loss; weight: number }[];
/** The loss of a batch, the longest example first. @param step the number of updates so far */
export type LossOf<L, I> = (tape: Tape, layers: L, batch: I[], step: number) => Losses;

/** How often examples are read. */
export function passes({ epochs, steps }: Settings<typeof FIT_EXAMPLES>, examples: unknown): number {
  const once = typeof examples !== 'function' && !Array.isArray(examples);
  if (once && epochs !== undefined && epochs > 1) {
    throw new RangeError(
      `epochs: an iterable is read once, got ${epochs}; pass a function that returns one for each epoch`,
    );
  }
  return epochs ?? (once ? 1 : steps === undefined ? 10 : Infinity);
}

/** Encodes examples with their weights. */
export function weighing<E, I extends Item>(fields: string, encode: (place: string, example: E) => I) {
  return (place: string, example: E): I => {
    if (typeof example !== 'object' || example === null) check.fail(place, fields, example);
    const { weight } = example as { weight?: unknown };
    const item = encode(place, example);
    return weight === undefined ? item : { ...item, weight: check.number(`${place}.weight`, weight, 0) };
  };
}

/** A loss in which an example counts by its weight: those of a batch with the same weight are computed together. */
export function weighed<L, I extends Item>(loss: LossOf<L, I>, size: (item: I) => number = () => 1): LossOf<L, I> {
  const sum = (items: readonly I[]) => items.reduce((n, item) => n + size(item), 0);
  return (tape, layers, batch, step) => {
    const groups = new Map<number, I[]>();
    for (const item of batch) {
      const { weight = 1 } = item;
      const group = groups.get(weight);
      if (group) group.push(item);
      else groups.set(weight, [item]);
    }
    if (groups.size === 1 && groups.has(1)) return loss(tape, layers, batch, step);
    const whole = sum(batch);
    return [...groups].flatMap(([weight, items]) => {
      const scale = (weight * sum(items)) / whole;
      return [loss(tape, layers, items, step)].flat().map((own) => {
        const { loss: one, weight: given } = 'loss' in own ? own : { loss: own, weight: 1 };
        return { loss: one, weight: scale * given };
      });
    });
  };
}

/** Which batch: the places of its items, or the items themselves; and the number of updates so far. */
interface Where<I> {
  readonly places?: Int32Array;
  readonly batch?: readonly I[];
  readonly step: number;
}

/**
 * How batches of items are split.
 *
 * @param items those that places are of
 * @param size what an item counts in the mean of the loss
 */
export function splitting<L, I extends Item>(
  items: readonly I[],
  loss: LossOf<L, I>,
  size: (item: I) => number = () => 1,
): Split<L> {
  const sum = (all: readonly I[]) => all.reduce((n, item) => n + size(item), 0);
  return (where, shard, shards) => {
    const { places, batch, step } = where as Where<I>;
    const all = places ? gather(items, places) : (batch ?? []);
    const part = all.filter((_, i) => i % shards === shard);
    const whole = sum(all);
    const weight = shards === 1 ? 1 : whole ? sum(part) / whole : part.length / all.length;
    return weight ? { weight, loss: (tape, layers) => loss(tape, layers, part, step) } : null;
  };
}
