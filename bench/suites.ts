/** The benchmarks that a user runs, in Node or in a page: the same work one float at a time, in SIMD, and in relaxed SIMD. */
import type Benchmark from 'benchmark';
import { input, Model, Recurrent, type Runtime, read } from 'gatewise';
import type { BarChart } from './chart.js';
import type { BenchCore } from './measure.js';
import { Layer, type Start } from './peers/plain/layer.js';

export interface Case {
  readonly name: 'scalar' | 'simd' | 'relaxed';
  readonly run: () => void;
  /** What came out of a run. */
  readonly result: () => Float32Array;
}

export interface Suite {
  readonly name: string;
  /** Shape, and what stands for scalar. */
  readonly note: string;
  readonly cases: readonly Case[];
}

export interface Measured {
  readonly suite: string;
  readonly note: string;
  readonly name: Case['name'];
  /** Runs a second, and the margin of error in percent. */
  readonly hz: number;
  readonly rme: number;
}

export interface Cores {
  readonly scalar: BenchCore;
  readonly simd: Runtime;
  readonly relaxed?: Runtime | undefined;
}

/** Cases may differ by this much of the largest number. */
const TOLERANCE = 1e-5;

/** Numbers in ±scale that repeat. */
function numbers(n: number, scale = 1, seed = 1): Float32Array {
  let a = seed;
  return Float32Array.from({ length: n }, () => {
    a = (Math.imul(a, 1664525) + 1013904223) >>> 0;
    return (a / 2 ** 31 - 1) * scale;
  });
}

/** Puts arrays into the memory of the scalar kernels: their addresses, and a way to read. */
function place(core: BenchCore, arrays: readonly Float32Array[]): number[] {
  let at = 1 << 16;
  const addresses = arrays.map((array) => {
    const own = at;
    at += Math.ceil(array.byteLength / 64) * 64;
    return own;
  });
  const missing = at - core.memory.buffer.byteLength;
  if (missing > 0) core.memory.grow(Math.ceil(missing / 65536));
  const f32 = new Float32Array(core.memory.buffer);
  arrays.forEach((array, i) => {
    f32.set(array, addresses[i] >>> 2);
  });
  return addresses;
}

/** The scalar case works in memory that the next one overwrites: it is to be placed anew whenever it begins. */
function scalarCase(core: BenchCore, arrays: readonly Float32Array[], y: number, work: (at: number[]) => void): Case {
  const at = place(core, arrays);
  return {
    name: 'scalar',
    run: () => work(at),
    result: () => {
      place(core, arrays);
      work(at);
      return new Float32Array(core.memory.buffer).slice(at[y] >>> 2, (at[y] >>> 2) + arrays[y].length);
    },
  };
}

function builds({ simd, relaxed }: Cores): { name: 'simd' | 'relaxed'; runtime: Runtime }[] {
  return [{ name: 'simd', runtime: simd }, ...(relaxed ? [{ name: 'relaxed', runtime: relaxed } as const] : [])];
}

function product(cores: Cores): Suite {
  const [M, N, K] = [64, 512, 128];
  const [a, b, c] = [numbers(M * K), numbers(N * K), new Float32Array(M * N)];
  const { scalar } = cores;
  return {
    name: 'product',
    note: `${M}×${K} · ${K}×${N}`,
    cases: [
      scalarCase(scalar, [c, a, b], 0, ([c, a, b]) => scalar.scalarGemm(c, a, b, M, N, K)),
      ...builds(cores).map(({ name, runtime }): Case => {
        const { core } = runtime;
        const [at, weights, packed, to, bias] = [a.length, b.length, b.length, c.length, N].map((n) =>
          runtime.alloc(4 * n, 'product'),
        );
        runtime.write(at, a);
        runtime.write(weights, b);
        core.packWeights(packed, weights, 4 * K, K, N, 1);
        const run = () => core.gemm(to, 4 * N, bias, 0, at, 4 * K, packed, 64 * K, M, N / 16, K);
        return { name, run, result: () => (run(), runtime.read(to, c.length)) };
      }),
    ],
  };
}

function elementwise(cores: Cores, name: 'sigmoid' | 'tanh'): Suite {
  const n = 4096;
  const x = numbers(n, 8);
  const { scalar } = cores;
  const kernel = name === 'sigmoid' ? 'scalarSigmoid' : 'scalarTanh';
  return {
    name,
    note: `of ${n} numbers`,
    cases: [
      scalarCase(scalar, [new Float32Array(n), x], 0, ([y, x]) => scalar[kernel](y, x, n)),
      ...builds(cores).map(({ name: build, runtime }): Case => {
        const { core } = runtime;
        const [y, at] = [runtime.alloc(4 * n, name), runtime.alloc(4 * n, name)];
        runtime.write(at, x);
        const run = () => (name === 'sigmoid' ? core.sigmoidArray(y, at, n) : core.tanhArray(y, at, n));
        return { name: build, run, result: () => (run(), runtime.read(y, n)) };
      }),
    ],
  };
}

const SHAPE = { T: 50, B: 16, I: 64, H: 128 };

function start(): Start {
  const { I, H } = SHAPE;
  const bound = 1 / Math.sqrt(H);
  return {
    weight_ih: numbers(4 * H * I, bound, 1),
    weight_hh: numbers(4 * H * H, bound, 2),
    bias_ih: numbers(4 * H, bound, 3),
    bias_hh: numbers(4 * H, bound, 4),
  };
}

function model(runtime: Runtime): Model<Recurrent> {
  const { I, H } = SHAPE;
  const made = new Model(runtime, 1, (b) => new Recurrent(b, 'rnn', { cell: 'lstm', inputSize: I, hiddenSize: H }));
  for (const [name, values] of Object.entries(start())) made.set(`rnn.${name}_l0`, values);
  return made;
}

function lstmForward(cores: Cores): Suite {
  const { T, B, I, H } = SHAPE;
  const x = numbers(T * B * I);
  const { weight_ih, weight_hh, bias_ih, bias_hh } = start();
  const bias = Float32Array.from(bias_ih, (b, i) => b + bias_hh[i]);
  const { scalar } = cores;
  const arrays = [
    new Float32Array((T + 1) * B * H),
    new Float32Array(B * H),
    x,
    weight_ih as Float32Array,
    weight_hh as Float32Array,
    bias,
    new Float32Array(4 * H),
  ];
  const first = scalarCase(scalar, arrays, 0, ([h, c, x, wx, wh, b, a]) =>
    scalar.scalarLstm(h, c, x, wx, wh, b, a, T, B, I, H),
  );
  return {
    name: 'LSTM forward',
    note: `T=${T} B=${B} I=${I} H=${H}`,
    cases: [
      // without the slot of the initial state
      { ...first, result: () => first.result().slice(B * H) },
      ...builds(cores).map(({ name, runtime }): Case => {
        const own = model(runtime);
        const result = () =>
          own.forward((tape, rnn) => read(tape, rnn.forward(tape, input(tape, x, { T, B, F: I })).output));
        const run = () => {
          own.forward((tape, rnn) => {
            rnn.forward(tape, input(tape, x, { T, B, F: I }));
          });
        };
        return { name, run, result };
      }),
    ],
  };
}

/** There is no scalar kernel for the way back: plain JavaScript stands for it. */
function lstmTraining(cores: Cores): Suite {
  const { T, B, I, H } = SHAPE;
  const x = numbers(T * B * I);
  const dy = numbers(T * B * H, 1, 9);
  const layer = new Layer(Float32Array, 'lstm', SHAPE, start(), { training: true });
  const plain = () => {
    layer.dy.set(dy);
    layer.forward(x);
    layer.backward(x);
  };
  return {
    name: 'LSTM training step',
    note: 'the same; scalar: JavaScript',
    cases: [
      { name: 'scalar', run: plain, result: () => (plain(), layer.weights.hh.gradient.slice() as Float32Array) },
      ...builds(cores).map(({ name, runtime }): Case => {
        const own = model(runtime);
        const run = () => {
          own.backward((tape, rnn) => {
            const { output } = rnn.forward(tape, input(tape, x, { T, B, F: I }, { gradient: true }));
            return {
              value: 0,
              seed: () => runtime.core.rowsIn(output.grad, output.ld, upstream, 4 * H * B, 4 * H, 0, T, B, H),
            };
          });
        };
        const upstream = runtime.alloc(4 * dy.length, 'gradient of the outputs');
        runtime.write(upstream, dy);
        return { name, run, result: () => (run(), own.gradient('rnn.weight_hh_l0')) };
      }),
    ],
  };
}

export const SUITES: readonly ((cores: Cores) => Suite)[] = [
  product,
  (cores) => elementwise(cores, 'sigmoid'),
  (cores) => elementwise(cores, 'tanh'),
  lstmForward,
  lstmTraining,
];

/** Every case gives what the first one gives, or this throws. */
export function check({ name, cases }: Suite): void {
  const want = cases[0].result();
  const largest = want.reduce((most, v) => Math.max(most, Math.abs(v)), 0);
  for (const other of cases.slice(1)) {
    const got = other.result();
    const off = got.reduce(
      (most, v, i) => Math.max(most, Math.abs(v - want[i])),
      got.length === want.length ? 0 : Infinity,
    );
    if (!(off <= TOLERANCE * largest)) throw new Error(`${name}: ${other.name} is off by ${off} of ${largest}`);
  }
}

/** Checks and runs a suite, so that a page stays alive; `report` hears of each case in benchmark's own words. */
export function runSuite(
  Bench: typeof Benchmark,
  suite: Suite,
  report: (line: string) => void,
  maxTime = 2,
): Promise<Measured[]> {
  check(suite);
  const measured: Measured[] = [];
  return new Promise((resolve, reject) => {
    const running = new Bench.Suite();
    for (const { name, run } of suite.cases) running.add(name, run, { maxTime });
    running
      .on('cycle', ({ target }: Benchmark.Event) => {
        report(String(target));
        const { name, hz = 0, stats } = target;
        measured.push({
          suite: suite.name,
          note: suite.note,
          name: name as Case['name'],
          hz,
          rme: stats?.rme ?? Number.NaN,
        });
      })
      .on('error', ({ target }: { target: { error: Error } }) => reject(target.error))
      .on('complete', () => resolve(measured))
      .run({ async: true });
  });
}

function rate(hz: number): string {
  return hz >= 1e6
    ? `${(hz / 1e6).toFixed(2)}M/s`
    : hz >= 1e4
      ? `${(hz / 1e3).toFixed(1)}k/s`
      : `${Number(hz.toPrecision(3))}/s`;
}

export function chartOf(all: readonly Measured[], where: string): BarChart {
  const names = [...new Set(all.map(({ suite }) => suite))];
  return {
    title: 'Times as fast as scalar code',
    axis: 'times the runs a second of the scalar case',
    series: ['scalar', 'simd', 'relaxed'].filter((name) => all.some((m) => m.name === name)),
    groups: names.map((name) => {
      const own = all.filter(({ suite }) => suite === name);
      const base = own.find((m) => m.name === 'scalar')?.hz ?? Number.NaN;
      return {
        name,
        note: own[0].note,
        bars: own.map(({ name: series, hz }) => ({
          series,
          value: hz / base,
          label: `${(hz / base).toFixed(hz / base < 10 ? 1 : 0)}×  ${rate(hz)}`,
        })),
      };
    }),
    caption: where,
  };
}
