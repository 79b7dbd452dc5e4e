/** The strongest simple baseline for texts: logistic regression on their words, with a penalty chosen on training data alone. */

export interface Labelled {
  readonly words: readonly string[];
  readonly positive: boolean;
}

/** What is learned: a weight for each word, and a constant for the word 0, which every text has. */
class Logistic {
  readonly #ids = new Map<string, number>([['', 0]]);
  readonly #weights: Float64Array;

  /** Adagrad on all examples at once; the penalty is on the squared weights. */
  constructor(examples: readonly Labelled[], penalty: number) {
    for (const { words } of examples)
      for (const word of words) if (!this.#ids.has(word)) this.#ids.set(word, this.#ids.size);
    const sets = examples.map(({ words }) => this.#known(words));
    const n = this.#ids.size;
    this.#weights = new Float64Array(n);
    const squares = new Float64Array(n);
    for (let round = 0; round < 300; round++) {
      const slopes = new Float64Array(n);
      sets.forEach((ids, i) => {
        const error = this.#probability(ids) - Number(examples[i].positive);
        for (const id of ids) slopes[id] += error;
      });
      for (let id = 0; id < n; id++) {
        const slope = slopes[id] + (id ? penalty * this.#weights[id] : 0);
        squares[id] += slope ** 2;
        this.#weights[id] -= (0.5 * slope) / (Math.sqrt(squares[id]) + 1e-9);
      }
    }
  }

  #known(words: readonly string[]): number[] {
    return [0, ...new Set(words.flatMap((word) => this.#ids.get(word) ?? []))];
  }

  #probability(ids: readonly number[]): number {
    let sum = 0;
    for (const id of ids) sum += this.#weights[id];
    return 1 / (1 + Math.exp(-sum));
  }

  /** F1 of the positive class, which is chosen from this probability on. */
  f1(examples: readonly Labelled[], threshold: number): number {
    let [right, chosen, actual] = [0, 0, 0];
    for (const { words, positive } of examples) {
      const yes = this.#probability(this.#known(words)) >= threshold;
      chosen += Number(yes);
      actual += Number(positive);
      right += Number(yes && positive);
    }
    return right ? (2 * right) / (chosen + actual) : 0;
  }
}

/** F1 on the test data, with the penalty and the threshold that are best on every sixth training example. */
export function logisticF1(train: readonly Labelled[], test: readonly Labelled[]): { f1: number; penalty: number } {
  const kept = train.filter((_, i) => i % 6 === 5);
  const rest = train.filter((_, i) => i % 6 !== 5);
  let best = { f1: -1, penalty: 0, threshold: 0 };
  for (const penalty of [0.03, 0.1, 0.3, 1, 3]) {
    const model = new Logistic(rest, penalty);
    for (const threshold of [0.2, 0.3, 0.4, 0.5, 0.6]) {
      const f1 = model.f1(kept, threshold);
      if (f1 > best.f1) best = { f1, penalty, threshold };
    }
  }
  const { penalty, threshold } = best;
  return { f1: new Logistic(train, penalty).f1(test, threshold), penalty };
}
