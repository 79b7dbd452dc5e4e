/** Matrices of integers in the memory of a quantized model. */

import { WIDTH } from '../../assembly/quantized/layout.js';
import * as check from '../check.js';
import type { QuantizedCore } from '../core/quantized.js';
import type { Dtype } from './describe.js';
import type { QuantizedTensor } from './file.js';

/** A block of consecutive rows of a matrix, and the first of its columns in the panels. */
export interface Block {
  readonly row: number;
  readonly rows: number;
  readonly column: number;
}

/** The weights [N,K] of a product in panels of 32 columns, its scales and a bias. */
export class Product {
  readonly panels: number;
  readonly weights: number;
  readonly scale: number;
  readonly bias: number;
  readonly #bytes: boolean;

  /** @param unit the value of an input whose integer is 1 */
  constructor(
    readonly core: QuantizedCore,
    dtype: Dtype,
    readonly K: number,
    readonly blocks: readonly Block[],
    { weight, scale }: { weight: QuantizedTensor; scale: QuantizedTensor },
    unit: number,
    bias: (row: number) => number,
  ) {
    this.#bytes = dtype === 'int8';
    const columns = Math.max(...blocks.map(({ column, rows }) => column + rows));
    this.panels = Math.ceil(columns / WIDTH);
    const N = this.panels * WIDTH;
    const size = this.#bytes ? 1 : 2;
    this.weights = core.alloc(N * (this.#bytes ? 8 * Math.ceil(K / 8) : 4 * Math.ceil(K / 2)));
    this.scale = core.alloc(8 * N);
    this.bias = core.alloc(4 * N);
    const scales = new Float32Array(N);
    const biases = new Float32Array(N);
    for (const { row, rows, column } of blocks) {
      core.begin();
      const staged = core.take(rows * K * size);
      core.write(staged, weight.data.subarray(row * K, (row + rows) * K));
      this.#pack(staged, rows, column, false);
      for (let r = 0; r < rows; r++) {
        scales[column + r] = scale.data[row + r] * unit;
        biases[column + r] = bias(row + r);
      }
    }
    core.write(this.scale, scales);
    core.write(this.bias, biases);
  }

  #pack(at: number, rows: number, column: number, back: boolean): void {
    const offsets = this.scale + 4 * WIDTH * this.panels;
    this.core.kernels.packIntegers(this.weights, offsets, column, at, rows, this.K, this.#bytes, back);
  }

  /** The integers, row by row. */
  integers(): QuantizedTensor {
    const { core, K, blocks } = this;
    const N = blocks.reduce((n, { rows }) => n + rows, 0);
    const data = this.#bytes ? new Int8Array(N * K) : new Int16Array(N * K);
    for (const { row, rows, column } of blocks) {
      core.begin();
      const staged = core.take(rows * K * data.BYTES_PER_ELEMENT);
      this.#pack(staged, rows, column, true);
      data.set(core.integers(staged, rows * K, this.#bytes), row * K);
    }
    return { shape: [N, K], data };
  }

  /** Rows y [R,panels] = bias + (q Wᵀ) of rows of integers. */
  run(y: number, q: number, ldq: number, R: number): void {
    const { kernels } = this.core;
    const ldy = 4 * WIDTH * this.panels;
    const product = this.#bytes ? kernels.product8 : kernels.product16;
    product(y, ldy, this.bias, 0, q, ldq, this.weights, this.scale, R, this.panels, this.K);
  }
}

/** Bytes of a row of n integers of the input, in whole vectors; twice as many with int8, which needs room for digits. */
export function integerRow(dtype: Dtype, n: number): number {
  return (dtype === 'int8' ? 32 : 16) * Math.ceil(n / 8);
}

/** Checks that x is a list of numbers, an array or a typed array. */
export function checkNumbers(name: string, x: ArrayLike<number>): void {
  const known = typeof x === 'object' && x !== null && typeof x.length === 'number' && typeof x[0] !== 'bigint';
  if (!known) check.fail(name, 'a list of numbers', x);
}

/** The given array for n numbers of output, or a new one. */
export function outputOf(given: Float32Array | undefined, shape: string, n: number): Float32Array {
  if (given === undefined) return new Float32Array(n);
  if (!check.isFloats(given) || given.BYTES_PER_ELEMENT !== 4) check.fail('output', 'a Float32Array', given);
  if (given.length !== n) throw new RangeError(`output: expected ${shape} = ${n} numbers, got ${given.length}`);
  return given;
}
