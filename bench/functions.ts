/** Rows of single functions: their speed, and how far they are from the exact result over a dense sweep of all floats. */
import { type Build, runtimeOf } from './builds.js';
import { clock, median, round } from './clock.js';
import { engine } from './machine.js';
import { numbers } from './numbers.js';

/**
 * The exact result is taken from the engine's own function in double precision, which is wrong by 10⁻⁹ of a float's last place at
 * most; tests/bench.test.ts holds it to integer arithmetic of 256 bits.
 */
export const functions = {
  exp: { exact: Math.exp, kernel: 'expArray' },
  sigmoid: { exact: (x: number) => 1 / (1 + Math.exp(-x)), kernel: 'sigmoidArray' },
  tanh: { exact: Math.tanh, kernel: 'tanhArray' },
  log: { exact: Math.log, kernel: 'logArray' },
  log1p: { exact: Math.log1p, kernel: 'log1pArray' },
} as const;

export type FunctionName = keyof typeof functions;

const MIN_NORMAL = 2 ** -126;
/** The double from which on the nearest float is infinite. */
const OVERFLOW = 2 ** 128 - 2 ** 103;
const CHUNK = 1 << 16;

export interface Accuracy {
  /** Worst distance in units of the last place of the exact result, where that is a normal float; at which input. */
  ulp: number;
  at: number;
  /** Worst distance where the exact result is denormal or zero. */
  absolute: number;
  /** Inputs, ten at most, for which NaN or ±∞ should have come and something else came. */
  wrong: number[];
  /** Inputs whose exact result is a normal float. */
  points: number;
}

/** Compares `evaluate` with `exact` at every `stride`-th of the 2³² floats. */
export function sweep(
  evaluate: (x: Float32Array) => Float32Array,
  exact: (x: number) => number,
  stride: number,
): Accuracy {
  const result: Accuracy = { ulp: 0, at: 0, absolute: 0, wrong: [], points: 0 };
  const bits = new Int32Array(CHUNK);
  const x = new Float32Array(bits.buffer);
  const double = new Float64Array(1);
  const words = new Uint32Array(double.buffer);
  for (let next = 0; next < 2 ** 32; next += CHUNK * stride) {
    for (let i = 0; i < CHUNK; i++) bits[i] = next + i * stride;
    const y = evaluate(x);
    for (let i = 0; i < CHUNK; i++) {
      const want = exact(x[i]);
      const size = Math.abs(want);
      if (!(size < OVERFLOW)) {
        if (!Object.is(y[i], Math.fround(want)) && result.wrong.length < 10) result.wrong.push(x[i]);
      } else if (size >= MIN_NORMAL) {
        // two to the exponent of the exact result, less the 23 bits of a float's fraction
        double[0] = size;
        words[1] = (words[1] & 0x7ff00000) - (23 << 20);
        words[0] = 0;
        const ulp = Math.abs(y[i] - want) / double[0];
        if (!(ulp <= result.ulp)) [result.ulp, result.at] = [ulp, x[i]];
        result.points++;
      } else result.absolute = Math.max(result.absolute, Math.abs(y[i] - want));
    }
  }
  return result;
}

export interface FunctionRow {
  readonly id: FunctionName;
  readonly build: Build;
  readonly engine: string;
  readonly nsPerElement: number;
  readonly ulp: number;
  readonly absolute: number;
}

const FLOATS = 4096;

/** Speed over inputs of ±8 (log: 0 to 8) that lie in the cache, accuracy over every `stride`-th float. */
export function measureFunction(id: FunctionName, build: Build, { samples = 25, stride = 251 } = {}): FunctionRow {
  const { kernel, exact } = functions[id];
  const runtime = runtimeOf(build);
  const { core } = runtime;
  const [x, y] = [runtime.alloc(4 * CHUNK, 'x'), runtime.alloc(4 * CHUNK, 'y')];
  runtime.write(x, id.startsWith('log') ? numbers(FLOATS, 8).map(Math.abs) : numbers(FLOATS, 8));
  const time = (runs: number) => {
    const began = clock();
    for (let i = 0; i < runs; i++) core[kernel](y, x, FLOATS);
    return ((clock() - began) * 1e6) / (runs * FLOATS);
  };
  for (let i = 0; i < 50; i++) time(50);
  const nsPerElement = median(Array.from({ length: samples }, () => time(250)));
  const { ulp, absolute, wrong } = sweep(
    (inputs) => {
      runtime.write(x, inputs);
      core[kernel](y, x, CHUNK);
      return runtime.read(y, CHUNK);
    },
    exact,
    stride,
  );
  runtime.dispose();
  if (wrong.length > 0) throw new Error(`${build} ${id}(${wrong[0]}): neither NaN nor the infinity that it should be`);
  return { id, build, engine, nsPerElement: round(nsPerElement, 3), ulp: round(ulp, 2), absolute };
}
