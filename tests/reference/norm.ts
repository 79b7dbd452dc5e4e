import type { Graph, Matrix } from './autodiff.js';
import { normalized } from './lstm.js';

/** (x - mean) / √(variance + epsilon) ⊙ weight + bias of each row. */
export function layerNorm(g: Graph, x: Matrix, weight: Matrix, bias: Matrix, epsilon?: number): Matrix {
  return g.add(normalized(g, x, weight, epsilon), bias);
}
