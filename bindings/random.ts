/**
 * The numbers of the random streams' next blocks. With the seed they are all there is to a model's randomness, so they travel in
 * its checkpoint.
 */

import type { Runtime } from './core/runtime.js';

/** Streams are apart from each other: drawing from one does not move another. */
export const STREAMS = { initialise: 0, shuffle: 1, dropout: 2, sample: 3 } as const;
/** The stream that splits data: always from its first block, so it needs no counter. */
export const SPLIT = 4;
export type Stream = keyof typeof STREAMS;

export class Random {
  readonly next: Record<Stream, number> = { initialise: 0, shuffle: 0, dropout: 0, sample: 0 };
  /** The part of a batch that is computed: each draws from streams of its own. */
  shard = 0;
  constructor(readonly seed: number) {}

  /** Blocks that `draw` used: it is given the first one and returns the one after its last. */
  use(stream: Stream, draw: (seed: number, id: number, block: number) => number): void {
    this.next[stream] = draw(this.seed, STREAMS[stream] + 8 * this.shard, this.next[stream]);
  }
}

/** The numbers from 0 to n - 1 in an order drawn from a seed's shuffling, and the block that follows those it used. */
export function permutation(
  runtime: Runtime,
  seed: number,
  n: number,
  block: number,
  stream: number = STREAMS.shuffle,
): { order: Int32Array; next: number } {
  return runtime.scope(() => {
    const at = runtime.take(4 * n);
    const next = runtime.core.fillPermutation(at, n, seed, stream, block);
    return { order: runtime.i32.slice(at >>> 2, (at >>> 2) + n), next };
  });
}
