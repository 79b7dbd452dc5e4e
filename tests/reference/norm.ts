import type { Graph, Matrix } from './autodiff.js';
import { normalized } from './lstm.js';

/** (x - mean) / √(variance + 1e-5) ⊙ weight + bias of each row. */
export function layerNorm(g: Graph, x: Matrix, weight: Matrix, bias: Matrix): Matrix {
  return g.add(normalized(g, x, weight), bias);
}
