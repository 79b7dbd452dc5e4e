/** The fixed weights of a reservoir: sparse random matrices, and their spectral radius. */
import { LINE, PANEL } from '../../assembly/layout.js';
import { align, type Runtime } from '../core/runtime.js';
import type { Random } from '../random.js';
import type { Model } from './model.js';

/** Normal numbers, or ±1, [rows,columns], each kept with probability `density`. */
export function sparse(
  runtime: Runtime,
  random: Random,
  rows: number,
  columns: number,
  { density, signs = false }: { density: number; signs?: boolean },
): Float32Array {
  return runtime.scope(() => {
    const { core } = runtime;
    const ld = align(4 * columns);
    const n = (rows * ld) / 4;
    const at = runtime.take(rows * ld);
    if (signs) random.use('initialise', (...r) => core.fillUniform(at, n, -1, 1, ...r));
    else random.use('initialise', (...r) => core.fillNormal(at, n, 0, 1, ...r));
    const mask = runtime.take(rows * ld);
    random.use('initialise', (...r) => core.fillMask(mask, ld, rows, columns, 1 - density, 1, ...r));
    const values = new Float32Array(rows * columns);
    for (let r = 0; r < rows; r++) {
      const [row, kept] = [runtime.read(at + r * ld, columns), runtime.read(mask + r * ld, columns)];
      for (let c = 0; c < columns; c++) if (kept[c]) values[r * columns + c] = signs ? (row[c] < 0 ? -1 : 1) : row[c];
    }
    return values;
  });
}

/** Squarings: ‖A^k‖^(1/k) is taken at k = 2^16, where what it has too much is below 1e-3 for any matrix that fits in memory. */
const SQUARINGS = 16;

/**
 * The largest absolute value of an eigenvalue of a square matrix: lim ‖A^k‖^(1/k) (Gelfand), by squaring the matrix again and again.
 *
 * @param values [n,n]
 * @returns 0 if a power of the matrix is zero
 */
export function spectralRadius(runtime: Runtime, values: Float32Array, n: number): number {
  return runtime.scope(() => {
    const { core } = runtime;
    const panels = Math.ceil(n / PANEL);
    const ld = panels * LINE;
    const floats = (n * ld) / 4;
    let a = runtime.takeZeroed(n * ld);
    let squared = runtime.take(n * ld);
    const packed = runtime.take(panels * panels * PANEL * LINE);
    for (let r = 0; r < n; r++) runtime.f32.set(values.subarray(r * n, (r + 1) * n), (a + r * ld) / 4);
    const norms: number[] = [];
    for (let i = 0; i <= SQUARINGS; i++) {
      const norm = Math.sqrt(core.sumSquares(a, floats));
      if (norm === 0) return 0;
      norms.push(norm);
      core.scale(a, floats, 1 / norm);
      core.packTransposed(packed, panels * PANEL * LINE, a, ld, n, n, 1);
      runtime.f32.fill(0, squared / 4, squared / 4 + floats);
      core.gemm(squared, ld, squared, ld, a, ld, packed, panels * PANEL * LINE, n, panels, panels * PANEL);
      [a, squared] = [squared, a];
    }
    // ρ(A) = ‖A‖ √ρ((A / ‖A‖)²)
    return norms.reduceRight((radius, norm) => norm * Math.sqrt(radius), 1);
  });
}

/** How a reservoir is drawn. */
export interface ReservoirOptions {
  readonly inputSize: number;
  readonly units: number;
  readonly spectralRadius: number;
  readonly connectivity: number;
  readonly inputConnectivity: number;
  readonly inputScale: number;
  readonly biasScale: number;
}

/**
 * Overwrites the weights of the layer `rnn` of a model, one of the cell `rnn`, with those of a reservoir.
 *
 * @throws RangeError where U has no eigenvalue but zero, so that it cannot be scaled
 */
export function drawReservoir(model: Model<unknown>, options: ReservoirOptions): void {
  const { inputSize, units, spectralRadius: wanted, connectivity, inputConnectivity, ...scales } = options;
  const { runtime, random } = model;
  const set = (name: string, values: Float32Array, factor: number) =>
    model.set(
      name,
      values.map((v) => v * factor),
    );
  set(
    'rnn.weight_ih_l0',
    sparse(runtime, random, units, inputSize, { density: inputConnectivity, signs: true }),
    scales.inputScale,
  );
  set('rnn.bias_ih_l0', sparse(runtime, random, 1, units, { density: 1, signs: true }), scales.biasScale);
  set('rnn.bias_hh_l0', new Float32Array(units), 1);
  const weights = sparse(runtime, random, units, units, { density: connectivity });
  const radius = spectralRadius(runtime, weights, units);
  if (wanted > 0 && radius < 1e-6) {
    throw new RangeError(
      `spectralRadius: the ${units} units are connected in no circle, so none but 0 is possible; expected more units or connectivity`,
    );
  }
  set('rnn.weight_hh_l0', weights, wanted > 0 ? wanted / radius : 0);
}
