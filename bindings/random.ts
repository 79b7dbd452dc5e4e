/**
 * The numbers of the random streams' next blocks. With the seed they are all there is to a model's randomness, so they travel in
 * its checkpoint.
 */

/** Streams are apart from each other: drawing from one does not move another. */
export const STREAMS = { initialise: 0, shuffle: 1, dropout: 2, sample: 3 } as const;
export type Stream = keyof typeof STREAMS;

export class Random {
  readonly next: Record<Stream, number> = { initialise: 0, shuffle: 0, dropout: 0, sample: 0 };
  constructor(readonly seed: number) {}

  /** Blocks that `draw` used: it is given the first one and returns the one after its last. */
  use(stream: Stream, draw: (seed: number, id: number, block: number) => number): void {
    this.next[stream] = draw(this.seed, STREAMS[stream], this.next[stream]);
  }
}
