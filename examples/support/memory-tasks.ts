/** Problems that need a memory of many steps: adding (Hochreiter & Schmidhuber 1997) and copying (Arjovsky et al. 2016, arXiv:1511.06464v4). */
import type { Chance } from './chance.js';

/** B sequences, time-major. */
export interface Batch {
  readonly T: number;
  readonly B: number;
  readonly F: number;
  /** [T,B,F] */
  readonly x: Float32Array;
}

/**
 * The sum of two numbers among T: feature 0 is uniform in [0, 1), feature 1 marks one number of each half. Always to say 1 has a mean
 * squared error of 1/6.
 *
 * @returns targets [B]
 */
export function adding(chance: Chance, T: number, B: number): Batch & { readonly targets: Float32Array } {
  const x = new Float32Array(T * B * 2);
  const targets = new Float32Array(B);
  for (let b = 0; b < B; b++) {
    for (let t = 0; t < T; t++) x[2 * (t * B + b)] = chance.next();
    const half = Math.floor(T / 2);
    for (const t of [chance.below(half), half + chance.below(T - half)]) {
      x[2 * (t * B + b) + 1] = 1;
      targets[b] += x[2 * (t * B + b)];
    }
  }
  return { T, B, F: 2, x, targets };
}

/** Symbols to be copied, and all of them with the blank and the mark. */
export const SYMBOLS = 8;
export const ALL_SYMBOLS = SYMBOLS + 2;

/**
 * `length` symbols, `lag` blanks, the mark in the last of them, and then the symbols again, to be written without seeing them. One-hot.
 *
 * @returns classes [T,B], -1 where nothing is asked
 */
export function copying(chance: Chance, lag: number, B: number, length = 10): Batch & { readonly targets: Int32Array } {
  const T = length + lag + length;
  const F = ALL_SYMBOLS;
  const x = new Float32Array(T * B * F);
  const targets = new Int32Array(T * B).fill(-1);
  for (let b = 0; b < B; b++) {
    for (let t = 0; t < T; t++) {
      let symbol = t === length + lag - 1 ? SYMBOLS + 1 : SYMBOLS;
      if (t < length) {
        symbol = chance.below(SYMBOLS);
        targets[(length + lag + t) * B + b] = symbol;
      }
      x[(t * B + b) * F + symbol] = 1;
    }
  }
  return { T, B, F, x, targets };
}
