/** A linear-chain CRF by its definition: the forward recursion; and for small cases all labellings, one by one. */
import type { Graph, Matrix } from './autodiff.js';

export interface CrfCase {
  readonly T: number;
  readonly B: number;
  readonly K: number;
  /** [T,B] */
  readonly tags: ArrayLike<number>;
  readonly lengths?: readonly number[] | undefined;
  readonly reduction?: 'mean' | 'sum' | 'tokenMean' | 'none' | undefined;
  /** With 'none': what each loss counts. */
  readonly upstream?: readonly number[] | undefined;
}

/** The loss [1,1] of emissions [T·B,K], with transitions [K,K], start and end [1,K]. */
export function crf(
  g: Graph,
  x: Matrix,
  transitions: Matrix,
  start: Matrix,
  end: Matrix,
  { T, B, K, tags, lengths, reduction = 'mean', upstream }: CrfCase,
): Matrix {
  const into = g.transpose(transitions);
  const losses: Matrix[] = [];
  let tokens = 0;
  for (let b = 0; b < B; b++) {
    const steps = lengths?.[b] ?? T;
    tokens += steps;
    const tag = (t: number) => tags[t * B + b];
    const emission = (t: number) => g.rows(x, t * B + b, t * B + b + 1);
    const one = (a: Matrix, at: number) => g.pick(a, 1, 1, () => at);
    let alpha = g.add(start, emission(0));
    let score = g.add(one(start, tag(0)), one(x, b * K + tag(0)));
    for (let t = 1; t < steps; t++) {
      alpha = g.add(g.transpose(g.logSumExp(g.add(into, alpha))), emission(t));
      score = g.add(score, one(transitions, tag(t - 1) * K + tag(t)));
      score = g.add(score, one(x, (t * B + b) * K + tag(t)));
    }
    score = g.add(score, one(end, tag(steps - 1)));
    losses.push(g.scale(g.sub(g.logSumExp(g.add(alpha, end)), score), upstream?.[b] ?? 1));
  }
  const count = { sum: 1, mean: B, tokenMean: tokens, none: 1 }[reduction];
  return g.scale(g.sum(g.stack(losses)), 1 / count);
}

/** Every labelling of one sequence [T,K], and its score. */
export function labellings(
  inputs: Record<string, ArrayLike<number>>,
  T: number,
  K: number,
): { tags: number[]; score: number }[] {
  const { x, 'crf.transitions': moves, 'crf.start_transitions': start, 'crf.end_transitions': end } = inputs;
  return Array.from({ length: K ** T }, (_, n) => {
    const tags = Array.from({ length: T }, (_, t) => Math.floor(n / K ** t) % K);
    let score = start[tags[0]] + end[tags[T - 1]];
    for (let t = 0; t < T; t++) {
      score += x[t * K + tags[t]];
      if (t > 0) score += moves[tags[t - 1] * K + tags[t]];
    }
    return { tags, score };
  });
}
