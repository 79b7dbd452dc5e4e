/** Numbers for tests: seeded, and compared. */

/** A sequence of numbers in [0, 1) that the seed decides (mulberry32). */
export function random(seed: number): () => number {
  let a = seed >>> 0;
  return () => {
    a = (a + 0x6d2b79f5) >>> 0;
    let t = Math.imul(a ^ (a >>> 15), a | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

/** n single-precision numbers, uniform in ±scale. */
export function uniform(next: () => number, n: number, scale = 1): Float32Array {
  return Float32Array.from({ length: n }, () => (next() * 2 - 1) * scale);
}

/** max|got - want| / max|want|; NaN where either holds one, or the lengths differ. */
export function error(got: ArrayLike<number>, want: ArrayLike<number>): number {
  if (got.length !== want.length) return Number.NaN;
  let worst = 0;
  let largest = 0;
  for (let i = 0; i < want.length; i++) {
    const d = Math.abs(got[i] - want[i]);
    if (Number.isNaN(d)) return Number.NaN;
    worst = Math.max(worst, d);
    largest = Math.max(largest, Math.abs(want[i]));
  }
  return worst === 0 ? 0 : worst / largest;
}

/** Where they differ most, for the message. */
export function worstIndex(got: ArrayLike<number>, want: ArrayLike<number>): number {
  let at = 0;
  let worst = -1;
  for (let i = 0; i < want.length; i++) {
    const d = Math.abs(got[i] - want[i]);
    if (Number.isNaN(d)) return i;
    if (d > worst) [worst, at] = [d, i];
  }
  return at;
}

export function close(got: ArrayLike<number>, want: ArrayLike<number>, bound: number, what: string): void {
  const e = error(got, want);
  if (e <= bound) return;
  const i = worstIndex(got, want);
  throw new Error(
    `${what}: error ${e.toExponential(2)} above ${bound.toExponential(2)}; [${i}] is ${got[i]}, expected ${want[i]} (${got.length} and ${want.length} numbers)`,
  );
}
