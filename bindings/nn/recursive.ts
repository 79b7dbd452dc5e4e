import * as check from '../check.js';
import { kernelsOf } from '../core/functions.js';
import type { Runtime } from '../core/runtime.js';
import { NonFiniteError } from '../errors.js';
import { type Options, option, readOptions, real, type Settings } from '../options.js';
import { checkRows, type Rows, type Tape } from '../tape.js';
import { finish, live, sharedLengths } from './padding.js';

const SCHEMA = {
  /** λ, the penalty on what changes from the first weights, above 0. Default 1e-6. */
  ridge: option(real(0, Infinity, true), 1e-6),
  /** μ, the share of a row's weight that is left after the next one, above 0 up to 1. Default 1: nothing is forgotten. */
  forgetting: option(real(0, 1, true), 1),
};

/** Options of `RecursiveLeastSquares`. */
export interface RecursiveOptions extends Options<typeof SCHEMA> {}

/** Up to whole vectors of floats. */
const whole4 = (n: number) => (n + 3) & ~3;

/**
 * Least squares row by row (recursive least squares), in double precision: after each row W [N,M] minimises
 *
 *     Σ μ^(R-r) ‖Wᵀx_r - y_r‖² + μ^R λ ‖W - W₀‖²
 *
 * over all rows so far, without keeping them. With μ = 1 and W₀ = 0 that is the ridge regression of `LeastSquares`, all features
 * penalised. A row costs about 2N² multiplications. Plackett 1950, doi:10.1093/biomet/37.1-2.149.
 *
 * With μ below 1, features that stay zero or constant make P grow as μ^-R. `update` throws before a result is wrong.
 *
 * @example
 * ```js
 * import { input, Model, Runtime } from 'gatewise';
 * import { RecursiveLeastSquares } from 'gatewise/functions';
 *
 * const runtime = await Runtime.create();
 * const model = new Model(runtime, 1, () => null);
 * const squares = new RecursiveLeastSquares(runtime, 2, 1);
 * for (const [x, y] of [[0, 5], [1, 7], [2, 9]]) {
 *   model.forward((tape) => {
 *     const row = input(tape, [x, 1], { T: 1, B: 1, F: 2 }); // a number and a constant
 *     squares.update(tape, row, input(tape, [y], { T: 1, B: 1, F: 1 }));
 *   });
 * }
 * console.log([...squares.weights].map((w) => w.toFixed(3)).join(' ')); // 2.000 5.000
 * squares.dispose();
 * ```
 */
export class RecursiveLeastSquares {
  /** Rows so far, without those past the end of a sequence. */
  rows = 0;
  readonly #settings: Settings<typeof SCHEMA>;
  readonly #ld: number;
  readonly #width: number;
  #at: number;

  /**
   * @param inputs N: features of x
   * @param outputs M: features of y
   * @throws TypeError, RangeError for invalid options; MemoryError where the memory cannot hold N·(N + M) doubles
   */
  constructor(
    readonly runtime: Runtime,
    readonly inputs: number,
    readonly outputs: number,
    options: RecursiveOptions = {},
  ) {
    check.made('runtime', runtime, 'alloc', 'a Runtime', 'disposed');
    check.whole('inputs', inputs);
    check.whole('outputs', outputs);
    this.#settings = readOptions('RecursiveLeastSquares', SCHEMA, options);
    this.#ld = 8 * whole4(inputs);
    this.#width = 8 * whole4(outputs);
    const bytes = whole4(inputs) * (this.#ld + this.#width) + 2 * this.#ld + this.#width;
    this.#at = runtime.alloc(bytes, 'RecursiveLeastSquares');
    runtime.f32.fill(0, this.#at >>> 2, (this.#at + bytes) >>> 2);
    for (let i = 0; i < inputs; i++) runtime.writeDoubles(this.#at + i * (this.#ld + 8), [1 / this.#settings.ridge]);
  }

  /**
   * Takes rows one after the other, those of a step in the order of the sequences: each is predicted, then learned.
   *
   * @param x [T,B,N]; steps past the end of a sequence are left out
   * @param y [T,B,M]; if both have lengths, the same
   * @returns [T,B,M] the predictions, each with the weights before its row; they have no gradient
   * @throws RangeError if steps, sequences, lengths or features differ; Error after `dispose`
   * @throws NonFiniteError where a result would not be finite: the rows before that one have been learned, and no other
   */
  update(tape: Tape, x: Rows, y: Rows): Rows {
    const { inputs: N, outputs: M } = this;
    const at = this.#alive();
    checkRows(tape, 'x', x, N);
    checkRows(tape, 'y', y, M);
    const { T, B } = x;
    if (tape.runtime !== this.runtime) throw new RangeError('tape: is on another runtime than the weights');
    if (y.T !== T || y.B !== B) {
      throw new RangeError(`y: expected T=${T} steps of B=${B} sequences, got T=${y.T}, B=${y.B}`);
    }
    const lengths = sharedLengths([x, y], ['x', 'y']);
    const kernels = kernelsOf(tape.runtime);
    const out = tape.rows(T, B, M, false, lengths, y.ld);
    const w = at + whole4(N) * this.#ld;
    const scratch = w + whole4(N) * this.#width;
    const bad = kernels.leastSquaresUpdate(
      at,
      this.#ld,
      w,
      this.#width,
      x.at,
      x.ld,
      y.at,
      y.ld,
      out.at,
      lengths?.at ?? 0,
      T,
      B,
      whole4(N),
      whole4(M),
      this.#settings.forgetting,
      scratch,
    );
    const end = bad ? bad - 1 : T * B;
    for (let r = 0; r < end; r++) if (live({ lengths, B }, r)) this.rows++;
    if (bad) {
      throw new NonFiniteError(
        `a result of row ${this.rows + 1} is not finite; the weights are those before it. A larger ridge, or forgetting nearer to 1, may help`,
        this.rows + 1,
        'update',
      );
    }
    return finish(tape, out);
  }

  /** W [N,M], a copy. Set it before the first row, and it is W₀. */
  get weights(): Float64Array {
    const { inputs: N, outputs: M } = this;
    const all = this.runtime.readDoubles(this.#alive() + whole4(N) * this.#ld, (N * this.#width) / 8);
    return Float64Array.from({ length: N * M }, (_, i) => all[(Math.floor(i / M) * this.#width) / 8 + (i % M)]);
  }

  /** @throws TypeError, RangeError for other than N·M finite numbers */
  set weights(values: ArrayLike<number>) {
    const { inputs: N, outputs: M } = this;
    const at = this.#alive() + whole4(N) * this.#ld;
    check.numbers('weights', values, N * M, `[N=${N},M=${M}]`);
    for (let i = 0; i < N; i++) {
      this.runtime.writeDoubles(
        at + i * this.#width,
        Array.from({ length: M }, (_, m) => values[i * M + m]),
      );
    }
  }

  /** Gives the memory back. Every later call throws. */
  dispose(): void {
    if (this.#at) this.runtime.free(this.#at);
    this.#at = 0;
  }

  #alive(): number {
    if (!this.#at) throw new Error('these weights have been disposed');
    return this.#at;
  }
}
