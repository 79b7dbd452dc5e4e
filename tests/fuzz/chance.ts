/** Random choices that a seed repeats. */
export class Chance {
  #state: number;

  constructor(...seeds: readonly (number | string)[]) {
    let h = 2166136261;
    for (const char of seeds.join(' ')) h = Math.imul(h ^ char.charCodeAt(0), 16777619);
    this.#state = h >>> 0;
  }

  /** A number in [0, 1): mulberry32. */
  next(): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(this.#state ^ (this.#state >>> 15), this.#state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  }

  /** A whole number in [0, n). */
  below(n: number): number {
    return Math.floor(this.next() * n);
  }

  of<T>(list: readonly T[]): T {
    return list[this.below(list.length)];
  }

  yes(share = 0.5): boolean {
    return this.next() < share;
  }
}
