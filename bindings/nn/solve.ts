import * as check from '../check.js';
import type { Runtime } from '../core/runtime.js';
import { checkRows, type Rows, type Tape } from '../tape.js';
import { clearPadding, countLive, sharedLengths } from './padding.js';

/** Up to whole vectors of floats. */
const whole4 = (n: number) => (n + 3) & ~3;

/**
 * Linear least squares with a penalty (ridge regression): W [N,M] that minimises ‖XW - Y‖² + λ‖W‖², in double precision. What is kept are
 * the sums XᵀX and XᵀY, so the rows may come in many parts, and several λ can be tried.
 *
 * @example
 * ```js
 * import { input, Model, Runtime } from 'gatewise';
 * import { LeastSquares } from 'gatewise/functions';
 *
 * const runtime = await Runtime.create();
 * const model = new Model(runtime, 1, () => null);
 * const squares = new LeastSquares(runtime, 2, 1);
 * model.forward((tape) => {
 *   const x = input(tape, [0, 1, 1, 1, 2, 1], { T: 3, B: 1, F: 2 }); // 0, 1, 2 and a constant
 *   squares.add(tape, x, input(tape, [5, 7, 9], { T: 3, B: 1, F: 1 }));
 * });
 * console.log([...squares.solve()].map((w) => w.toFixed(3)).join(' ')); // 2.000 5.000
 * squares.dispose();
 * ```
 */
export class LeastSquares {
  /** Rows so far, without those past the end of a sequence. */
  rows = 0;
  readonly #ld: number;
  readonly #width: number;
  readonly #bytes: number;
  #at: number;

  /**
   * @param inputs N: features of X
   * @param outputs M: features of Y
   * @throws RangeError, MemoryError where the memory cannot hold N·(N + M) doubles
   */
  constructor(
    readonly runtime: Runtime,
    readonly inputs: number,
    readonly outputs: number,
  ) {
    check.made('runtime', runtime, 'alloc', 'a Runtime', 'disposed');
    check.whole('inputs', inputs);
    check.whole('outputs', outputs);
    this.#ld = 8 * whole4(inputs);
    this.#width = 8 * whole4(outputs);
    this.#bytes = whole4(inputs) * (this.#ld + this.#width);
    this.#at = runtime.alloc(this.#bytes, 'LeastSquares');
  }

  /**
   * Adds rows to the sums.
   *
   * @param x [T,B,N]; steps past the end of a sequence are left out
   * @param y [T,B,M]; if both have lengths, the same
   * @throws RangeError if steps, sequences, lengths or features differ; Error after `dispose`
   */
  add(tape: Tape, x: Rows, y: Rows): void {
    const { inputs: N, outputs: M } = this;
    const at = this.#alive();
    checkRows(tape, 'x', x, N);
    checkRows(tape, 'y', y, M);
    if (tape.runtime !== this.runtime) throw new RangeError('tape: is on another runtime than the sums');
    const R = x.T * x.B;
    if (y.T !== x.T || y.B !== x.B) {
      throw new RangeError(`y: expected T=${x.T} steps of B=${x.B} sequences, got T=${y.T}, B=${y.B}`);
    }
    sharedLengths([x, y], ['x', 'y']);
    for (const rows of [x, y]) clearPadding(tape, rows, rows.at);
    const { core } = tape;
    const right = at + whole4(N) * this.#ld;
    core.addProducts(at, this.#ld, x.at, x.ld, x.at, x.ld, R, whole4(N), whole4(N));
    core.addProducts(right, this.#width, x.at, x.ld, y.at, y.ld, R, whole4(N), whole4(M));
    this.rows += countLive(x);
  }

  /**
   * The weights. The sums are kept.
   *
   * @param lambda λ, default 0
   * @param penalised features of X that λ applies to: the first ones. Default N; a constant that comes last is left out with N - 1
   * @param features the first features of X that are used, default N: the others get no weight
   * @returns [features,M]
   * @throws RangeError if a feature depends linearly on those before it, which a λ above 0 solves; Error after `dispose`
   */
  solve(lambda = 0, penalised: number = this.inputs, features: number = this.inputs): Float64Array {
    const { runtime, outputs: M } = this;
    const at = this.#alive();
    check.number('lambda', lambda, 0);
    check.whole('penalised', penalised, 0, this.inputs);
    const N = check.whole('features', features, 1, this.inputs);
    return runtime.scope(() => {
      const copy = runtime.take(this.#bytes);
      const { core, f32 } = runtime;
      f32.copyWithin(copy >>> 2, at >>> 2, (at + this.#bytes) >>> 2);
      const right = copy + whole4(this.inputs) * this.#ld;
      const bad = core.solve(copy, this.#ld, right, this.#width, N, whole4(M), lambda, penalised);
      if (bad) {
        throw new RangeError(
          `lambda: feature ${bad - 1} depends linearly on those before it, or is not finite; expected more than ${lambda}`,
        );
      }
      const all = runtime.readDoubles(right, (N * this.#width) / 8);
      return Float64Array.from({ length: N * M }, (_, i) => all[(Math.floor(i / M) * this.#width) / 8 + (i % M)]);
    });
  }

  /** Gives the memory back. Every later call throws. */
  dispose(): void {
    if (this.#at) this.runtime.free(this.#at);
    this.#at = 0;
  }

  #alive(): number {
    if (!this.#at) throw new Error('these sums have been disposed');
    return this.#at;
  }
}
