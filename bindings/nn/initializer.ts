/** How parameters start. */
import * as check from '../check.js';
import { align, type Runtime } from '../core/runtime.js';
import { type Options, option, readOptions, real, required } from '../options.js';
import type { Random } from '../random.js';

/** Far within the range of single precision, with all that is drawn or added. */
const MOST = 1e37;

const KINDS = {
  /** Uniform from -bound to bound. */
  uniform: { bound: required(real(-MOST, MOST)) },
  /** Normal with mean 0 and standard deviation `std`. */
  normal: { std: required(real(0, MOST)) },
  constant: { value: required(real(-MOST, MOST)) },
  /** Uniform within ±√(6 / (inputs + outputs)): Glorot & Bengio 2010. */
  glorot: {},
  /** Normal with standard deviation √(2 / inputs): He et al. 2015, arXiv:1502.01852v1. */
  he: {},
  /** Orthonormal rows, or columns where there are more rows, times `gain`, default 1: Saxe et al. 2014, arXiv:1312.6120v3. */
  orthogonal: { gain: option(real(-MOST, MOST), 1) },
  /** `scale`, default 1, on the diagonal: Le, Jaitly & Hinton 2015, arXiv:1504.00941v2. */
  identity: { scale: option(real(-MOST, MOST), 1) },
};

type Kind = keyof typeof KINDS;

/** The usual start of what is multiplied by n numbers: uniform in ±1/√n, as in PyTorch. */
export function fanIn(n: number): Initializer {
  return { kind: 'uniform', bound: 1 / Math.sqrt(n) };
}

export function constant(value: number): Initializer {
  return { kind: 'constant', value };
}

/** How a parameter starts, for example `{ kind: 'orthogonal' }`. */
export type Initializer = { [K in Kind]: { readonly kind: K } & Readonly<Options<(typeof KINDS)[K]>> }[Kind];

export function checkInitializer(name: string, value: unknown): Initializer {
  if (typeof value !== 'object' || value === null) {
    check.fail(name, "an initializer such as { kind: 'orthogonal' }", value);
  }
  const { kind, ...rest } = value as Record<string, unknown>;
  const known = check.oneOf(`${name}.kind`, kind, Object.keys(KINDS) as Kind[]);
  return Object.freeze({ kind: known, ...readOptions(name, KINDS[known], rest, `${name}.`) }) as Initializer;
}

/** How a parameter starts: as one matrix, or block by block of as many rows, to which an offset may be added. */
export interface Start {
  readonly initializer: Initializer;
  /** Rows of a block, where it is made of several, as gates are. */
  readonly blockRows?: number;
  readonly offset?: { readonly from: number; readonly to: number; readonly value: number };
  /** Pairs ν, θ instead, such that e^(-e^ν + i e^θ) is uniform in the unit circle. */
  readonly circle?: boolean;
}

export const unitCircle: Start = { initializer: constant(0), circle: true };

export function startOf(how: Initializer | Start): Start {
  const known = typeof how === 'object' && how !== null && 'initializer' in how;
  return known ? how : { initializer: checkInitializer('initializer', how) };
}

/** The start of gates of H rows each: uniform in ±1/√H, as in PyTorch, where nothing is given. */
export function gateStart(initializer: Initializer | undefined, H: number, offset?: Start['offset']): Start {
  return { initializer: initializer ?? fanIn(H), blockRows: H, ...(offset && { offset }) };
}

/** Fills a parameter, block by block. */
export function initialize(
  runtime: Runtime,
  random: Random,
  { at, size, shape, start }: { at: number; size: number; shape: readonly number[]; start: Start },
): void {
  if (start.circle) return fillCircle(runtime, random, at, size);
  const columns = shape.length > 1 ? shape[shape.length - 1] : 1;
  const rows = size / columns;
  const block = start.blockRows ?? rows;
  for (let row = 0; row < rows; row += block) {
    fill(runtime, random, at + 4 * row * columns, block, columns, start.initializer);
  }
  const { f32 } = runtime;
  const { from = 0, to = 0, value = 0 } = start.offset ?? {};
  for (let i = (at >>> 2) + from; i < (at >>> 2) + to; i++) f32[i] += value;
}

/** Fills a matrix [rows, columns] of packed floats. */
function fill(runtime: Runtime, random: Random, at: number, rows: number, columns: number, how: Initializer): void {
  const { core } = runtime;
  const n = rows * columns;
  const uniform = (bound: number) => random.use('initialise', (...r) => core.fillUniform(at, n, -bound, bound, ...r));
  const normal = (to: number, count: number, std: number) =>
    random.use('initialise', (...r) => core.fillNormal(to, count, 0, std, ...r));
  switch (how.kind) {
    case 'uniform':
      return uniform(how.bound);
    case 'normal':
      return normal(at, n, how.std);
    case 'constant':
      runtime.f32.fill(how.value, at >>> 2, (at >>> 2) + n);
      return;
    case 'glorot':
      return uniform(Math.sqrt(6 / (rows + columns)));
    case 'he':
      return normal(at, n, Math.sqrt(2 / columns));
    case 'identity':
      runtime.f32.fill(0, at >>> 2, (at >>> 2) + n);
      for (let i = 0; i < Math.min(rows, columns); i++) runtime.f32[(at >>> 2) + i * columns + i] = how.scale ?? 1;
      return;
    case 'orthogonal':
      return runtime.scope(() => {
        const [K, N] = [Math.min(rows, columns), Math.max(rows, columns)];
        const ld = align(4 * N);
        const q = runtime.take(K * ld);
        const a = runtime.takeZeroed(K * ld);
        for (let k = 0; k < K; k++) normal(a + k * ld, N, 1);
        core.orthonormalRows(q, a, ld, K, N);
        core.scale(q, (K * ld) / 4, how.gain ?? 1);
        const { f32 } = runtime;
        for (let k = 0; k < K; k++) {
          for (let i = 0; i < N; i++) {
            const to = rows <= columns ? k * columns + i : i * columns + k;
            f32[(at >>> 2) + to] = f32[((q + k * ld) >>> 2) + i];
          }
        }
      });
  }
}

/** ν = ln(-½ ln u) and θ = ln(2πu) in turn, n packed floats, u uniform in (0, 1): 0 and 1 have no such logarithms. */
function fillCircle(runtime: Runtime, random: Random, to: number, n: number): void {
  const { core } = runtime;
  runtime.scope(() => {
    const four = 4 * Math.ceil(n / 4);
    const theta = runtime.take(4 * four);
    const nu = runtime.takeZeroed(4 * four);
    random.use('initialise', (...r) => core.fillUniform(theta, four, 1e-7, 0.999999, ...r));
    core.logArray(theta, theta, four);
    core.addScaled(nu, theta, four, -0.5);
    core.logArray(nu, nu, four);
    const { f32 } = runtime;
    for (let i = 0; i < n; i++) f32[to / 4 + i] = i % 2 ? f32[theta / 4 + i] + LN_2_PI : f32[nu / 4 + i];
  });
}
const LN_2_PI = 1.8378770664093453;
