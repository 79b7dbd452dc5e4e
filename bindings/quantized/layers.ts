/** Quantized layers that have no state: linear layers and embeddings. */
import { WIDTH } from '../../assembly/quantized/layout.js';
import * as check from '../check.js';
import { type QuantizedCore, READABLE } from '../core/quantized.js';
import { amplitude, type Dtype, type EmbeddingDescription, type LinearDescription } from './describe.js';
import type { QuantizedTensor } from './file.js';
import { checkNumbers, integerRow, outputOf, Product } from './weights.js';

/** The tensors of a layer, by what follows its name and a dot; `weight.scale` and so on are the scales. */
export type Tensors = (name: string) => QuantizedTensor;

/** y = x Wᵀ + b with integer weights. `QuantizedModel.linear` returns it. */
export class QuantizedLinear {
  readonly #core: QuantizedCore;
  readonly #product: Product;
  readonly #amplitude: number;
  readonly #small: ReadonlyMap<string, QuantizedTensor>;

  constructor(
    core: QuantizedCore,
    readonly dtype: Dtype,
    readonly description: LinearDescription,
    tensors: Tensors,
  ) {
    const { inputSize: K, outputSize: rows, range, bias } = description;
    this.#core = core;
    this.#amplitude = amplitude(dtype, K);
    const scale = tensors('weight.scale');
    const biases = bias ? tensors('bias') : undefined;
    const weights = { weight: tensors('weight'), scale };
    const blocks = [{ row: 0, rows, column: 0 }];
    this.#product = new Product(core, dtype, K, blocks, weights, range / this.#amplitude, (r) => biases?.data[r] ?? 0);
    this.#small = new Map([['weight.scale', scale], ...(biases ? [['bias', biases] as const] : [])]);
  }

  /** Its tensors, as a file stores them. */
  tensors(): Map<string, QuantizedTensor> {
    return new Map([['weight', this.#product.integers()], ...this.#small]);
  }

  /**
   * @param x [R,I]: any number of rows, for example [T,B,I]; magnitudes beyond the range of `calibrate` saturate
   * @param output [R,O], overwritten; created if absent
   * @returns output
   * @throws RangeError if x is not a whole number of rows, or contains a NaN
   * @example
   * ```js
   * import { Linear, Model, Runtime } from 'gatewise';
   * import { quantize } from 'gatewise/quantized';
   *
   * const head = { inputSize: 2, outputSize: 1 };
   * const model = new Model(await Runtime.create(), 1, (b) => new Linear(b, 'head', head));
   * model.set('head.weight', [3, 4]);
   * model.set('head.bias', [0.5]);
   * const quantized = await quantize(model, { dtype: 'int16', layers: { head }, calibrate: { head: 2 } });
   * const y = quantized.linear('head').forward([1, 2, -1, 0]); // two rows
   * console.log(y[0].toFixed(2), y[1].toFixed(2)); // 11.50 -2.50
   * ```
   */
  forward(x: ArrayLike<number>, output?: Float32Array): Float32Array {
    const { inputSize: I, outputSize: O, range } = this.description;
    checkNumbers('x', x);
    const R = x.length / I;
    if (!(R >= 1 && Number.isInteger(R))) {
      throw new RangeError(`x: expected rows of I=${I} numbers, got ${x.length} numbers`);
    }
    const y = outputOf(output, `[R=${R}, O=${O}]`, R * O);
    const core = this.#core;
    const A = this.#amplitude;
    core.begin();
    const from = core.take(4 * R * I + READABLE);
    const ldq = integerRow(this.dtype, I);
    const q = core.take(R * ldq);
    const columns = WIDTH * this.#product.panels;
    const to = core.take(4 * R * columns);
    core.f32.set(x, from >>> 2);
    const bad = core.kernels.quantizeRows(q, ldq, from, 4 * I, R, I, A / range, A);
    if (bad >= 0) throw new RangeError(`x: row ${bad} of ${I} numbers contains a NaN`);
    this.#product.run(to, q, ldq, R);
    for (let r = 0; r < R; r++) {
      const at = (to >>> 2) + r * columns;
      y.set(core.f32.subarray(at, at + O), r * O);
    }
    return y;
  }
}

/** A table of V rows of E integers, with a scale for each row. `QuantizedModel.embedding` returns it. */
export class QuantizedEmbedding {
  readonly #core: QuantizedCore;
  readonly #table: number;
  readonly #scale: number;
  readonly #bytes: boolean;

  constructor(
    core: QuantizedCore,
    dtype: Dtype,
    readonly description: EmbeddingDescription,
    tensors: Tensors,
  ) {
    const { data } = tensors('weight');
    const { data: scales } = tensors('weight.scale');
    this.#core = core;
    this.#bytes = dtype === 'int8';
    this.#table = core.alloc(data.byteLength);
    this.#scale = core.alloc(scales.byteLength);
    core.write(this.#table, data);
    core.write(this.#scale, scales);
  }

  /** Its tensors, as a file stores them. */
  tensors(): Map<string, QuantizedTensor> {
    const { vocabularySize: V, embeddingSize: E } = this.description;
    return new Map([
      ['weight', { shape: [V, E], data: this.#core.integers(this.#table, V * E, this.#bytes) }],
      ['weight.scale', { shape: [V], data: this.#core.floats(this.#scale, V) }],
    ]);
  }

  /**
   * @param tokens [R] whole numbers in 0…V-1
   * @param output [R,E], overwritten; created if absent
   * @returns output
   * @throws RangeError for a token outside of the vocabulary
   */
  forward(tokens: ArrayLike<number>, output?: Float32Array): Float32Array {
    const { vocabularySize: V, embeddingSize: E } = this.description;
    checkNumbers('tokens', tokens);
    const R = tokens.length;
    if (!(R >= 1)) throw new RangeError('tokens: expected at least one');
    const y = outputOf(output, `[R=${R}, E=${E}]`, R * E);
    for (let r = 0; r < R; r++) check.whole(`tokens[${r}]`, tokens[r], 0, V - 1);
    const core = this.#core;
    core.begin();
    const ids = core.take(4 * R);
    const to = core.take(4 * R * E);
    core.i32.set(tokens, ids >>> 2);
    core.kernels.lookUp(to, this.#table, this.#scale, ids, R, E, this.#bytes);
    y.set(core.f32.subarray(to >>> 2, (to >>> 2) + R * E));
    return y;
  }
}
