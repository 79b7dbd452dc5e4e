import type { Loss, Rows, Tape } from '../tape.js';

/**
 * Cross-entropy between softmax(logits) and class numbers, averaged over the rows that count.
 *
 * @param logits [T,B,V]
 * @param targets [T,B] whole numbers in 0…V-1; a negative one does not count
 */
export function crossEntropy(tape: Tape, logits: Rows, targets: ArrayLike<number>): Loss {
  const { runtime } = tape;
  const { core } = runtime;
  const { T, B, F: V, ld } = logits;
  const R = T * B;
  if (targets.length !== R)
    throw new RangeError(`targets: expected [T=${T}, B=${B}] = ${R} numbers, got ${targets.length}`);
  for (let i = 0; i < R; i++) {
    const target = targets[i];
    if (!(Number.isInteger(target) && target < V))
      throw new RangeError(`targets[${i}]: expected a class below ${V}, got ${target}`);
  }
  const ids = runtime.take(4 * R);
  runtime.writeInts(ids, targets);
  const p = runtime.take(R * ld);
  const rows = runtime.take(4 * R);
  const count = core.crossEntropyForward(p, ld, rows, logits.at, ld, ids, 0, R, V, 0);
  let scale = 0;
  tape.record(() => core.crossEntropyBackward(logits.grad, ld, p, ld, ids, 0, 0, R, V, 0, scale / count));
  return {
    value: core.sum(rows, R) / count,
    seed: (s) => {
      scale += s;
    },
  };
}
