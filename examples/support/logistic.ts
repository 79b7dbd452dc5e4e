/** A baseline: a logistic regression on counts of tokens, whatever their order. */
import type { Chance } from './chance.js';

export interface Observation {
  /** The tokens, repeated as often as they occur. */
  readonly evidence: readonly string[];
  readonly holds: boolean;
}

/** The probability that it is true. */
export type Belief = (evidence: readonly string[]) => number;

const PENALTIES = [1e-4, 1e-3, 1e-2, 0.03, 0.1, 0.3];

/** Chooses the penalty with the best accuracy on a fifth of the observations, then fits the model to all of them. */
export function logisticModel(training: readonly Observation[], chance: Chance, signal: AbortSignal): Belief {
  const rest = training.filter((_, i) => i % 5 !== 4);
  const validation = training.filter((_, i) => i % 5 === 4);
  const tried = PENALTIES.map((penalty) => {
    signal.throwIfAborted();
    const belief = fitted(rest, penalty, chance);
    return { penalty, right: validation.filter(({ evidence, holds }) => belief(evidence) > 0.5 === holds).length };
  });
  return fitted(training, tried.reduce((a, b) => (b.right > a.right ? b : a)).penalty, chance);
}

/** p = σ(Σ w · ln(1 + count)), a bias among the weights; SGD with AdaGrad, and an L2 penalty on the weights of tokens that occur. */
function fitted(training: readonly Observation[], penalty: number, chance: Chance): Belief {
  const weights = new Map<string, { w: number; squares: number }>();
  const features = (evidence: readonly string[]) => {
    const counts = new Map([['', 1]]);
    for (const token of evidence) counts.set(token, (counts.get(token) ?? 0) + 1);
    return [...counts].map(([token, count]) => {
      const own = weights.get(token) ?? { w: 0, squares: 1e-8 };
      weights.set(token, own);
      return { own, x: Math.log1p(count) };
    });
  };
  const p = (all: ReturnType<typeof features>) =>
    1 / (1 + Math.exp(-all.reduce((sum, { own, x }) => sum + own.w * x, 0)));
  const observations = training.map(({ evidence, holds }) => ({ all: features(evidence), truth: holds ? 1 : 0 }));
  for (let epoch = 0; epoch < 15; epoch++) {
    for (const { all, truth } of chance.shuffled(observations)) {
      const error = p(all) - truth;
      for (const { own, x } of all) {
        const gradient = error * x + penalty * own.w;
        own.squares += gradient * gradient;
        own.w -= (0.1 * gradient) / Math.sqrt(own.squares);
      }
    }
  }
  return (evidence) => p(features(evidence));
}
