import * as check from '../check.js';
import { align } from '../core/runtime.js';
import type { Loss, Rows, Tape } from '../tape.js';

export interface CrossEntropyOptions {
  /** [V] weight of each class; the mean is then weighted. */
  weights?: ArrayLike<number> | undefined;
  /** ε: this share of the target is spread over all classes. Default 0. */
  labelSmoothing?: number | undefined;
}

/**
 * Cross-entropy between softmax(logits) and class numbers, averaged over the rows that count, as in PyTorch.
 *
 * @param logits [T,B,V]
 * @param targets [T,B] whole numbers in 0…V-1; a negative one does not count
 */
export function crossEntropy(
  tape: Tape,
  logits: Rows,
  targets: ArrayLike<number>,
  options: CrossEntropyOptions = {},
): Loss {
  check.options('crossEntropy', options, ['weights', 'labelSmoothing']);
  const { weights, labelSmoothing = 0 } = options;
  const { runtime } = tape;
  const { core } = runtime;
  const { T, B, F: V, ld } = logits;
  const R = T * B;
  if (targets.length !== R) {
    throw new RangeError(`targets: expected [T=${T}, B=${B}] = ${R} numbers, got ${targets.length}`);
  }
  let some = false;
  for (let i = 0; i < R; i++) {
    if (!(Number.isInteger(targets[i]) && targets[i] < V))
      check.fail(`targets[${i}]`, `a class below ${V}`, targets[i]);
    some ||= targets[i] >= 0;
  }
  if (!some) throw new RangeError('targets: none of them counts, all are negative');
  if (weights && weights.length !== V) throw new RangeError(`weights: expected ${V} numbers, got ${weights.length}`);
  check.number('labelSmoothing', labelSmoothing, 0, 1);
  const ids = runtime.take(4 * R);
  runtime.writeInts(ids, targets);
  const w = weights ? runtime.takeZeroed(align(4 * V)) : 0;
  if (weights) runtime.write(w, weights);
  const p = runtime.take(R * ld);
  const rows = runtime.take(4 * R);
  const count = core.crossEntropyForward(p, ld, rows, logits.at, ld, ids, w, R, V, labelSmoothing);
  let scale = 0;
  tape.record(() => core.crossEntropyBackward(logits.grad, ld, p, ld, ids, w, 0, R, V, labelSmoothing, scale / count));
  return {
    value: core.sum(rows, R) / count,
    seed: (s) => {
      scale += s;
    },
  };
}
