import type { Floats, FloatsConstructor } from './product.js';

/** A matrix of weights, its gradient and its moments. */
export class Weights {
  readonly values: Floats;
  readonly gradient: Floats;
  readonly #first: Floats;
  readonly #second: Floats;

  constructor(
    Numbers: FloatsConstructor,
    readonly name: string,
    from: ArrayLike<number>,
    training: boolean,
  ) {
    this.values = Numbers.from(from);
    const n = training ? from.length : 0;
    this.gradient = new Numbers(n);
    this.#first = new Numbers(n);
    this.#second = new Numbers(n);
  }

  /** Adam, Kingma & Ba 2015, as in PyTorch. */
  adam(step: number, rate: number, beta1 = 0.9, beta2 = 0.999, epsilon = 1e-8): void {
    const w = this.values;
    const g = this.gradient;
    const m = this.#first;
    const v = this.#second;
    const size = rate / (1 - beta1 ** step);
    const root = 1 / Math.sqrt(1 - beta2 ** step);
    for (let i = 0; i < w.length; i++) {
      const d = g[i];
      m[i] += (1 - beta1) * (d - m[i]);
      v[i] += (1 - beta2) * (d * d - v[i]);
      w[i] -= (size * m[i]) / (Math.sqrt(v[i]) * root + epsilon);
    }
  }
}
