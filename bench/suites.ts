/** The benchmarks that a user runs, in Node or in a page: the same work one float at a time, in SIMD, and in relaxed SIMD. */
import type Benchmark from 'benchmark';
import { input, Model, Recurrent, type Runtime, read } from 'gatewise';
import { LanguageModel } from 'gatewise/tasks';
import type { BenchCore } from './builds.js';
import { numbers } from './numbers.js';
import { Layer, type Start } from './peers/plain/layer.js';
import { Head } from './peers/plain/network.js';

export interface Case {
  readonly name: 'scalar' | 'simd' | 'relaxed';
  readonly run: () => void;
  /** What the last run gave. */
  readonly result: () => Float32Array;
}

export interface Suite {
  readonly name: string;
  /** Shape. */
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

/** A case of the scalar kernels; there is room for one at a time. The result is what lies in the y-th array. */
function scalarCase(core: BenchCore, arrays: readonly Float32Array[], y: number, work: (at: number[]) => void): Case {
  const at = place(core, arrays);
  return {
    name: 'scalar',
    run: () => work(at),
    result: () => new Float32Array(core.memory.buffer, at[y], arrays[y].length).slice(),
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
    name: 'gemm',
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
        return { name, run, result: () => runtime.read(to, c.length) };
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
        return { name: build, run, result: () => runtime.read(y, n) };
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
        let outputs: Float32Array = new Float32Array();
        const run = () => {
          outputs = own.forward((tape, rnn) => read(tape, rnn.forward(tape, input(tape, x, { T, B, F: I })).output));
        };
        return { name, run, result: () => outputs };
      }),
    ],
  };
}

/** There is no scalar kernel for the backward pass: plain JavaScript is used instead, as in `generate`. */
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
    note: `T=${T} B=${B} I=${I} H=${H}`,
    cases: [
      { name: 'scalar', run: plain, result: () => layer.weights.hh.gradient.slice() as Float32Array },
      ...builds(cores).map(({ name, runtime }): Case => {
        const own = model(runtime);
        const run = () => {
          own.valueAndGrad((tape, rnn) => {
            const { output } = rnn.forward(tape, input(tape, x, { T, B, F: I }, { gradient: true }));
            return {
              value: 0,
              addGradient: () => runtime.core.rowsIn(output.grad, output.ld, upstream, 4 * H * B, 4 * H, 0, T, B, H),
            };
          });
        };
        const upstream = runtime.alloc(4 * dy.length, 'gradient of the outputs');
        runtime.write(upstream, dy);
        return { name, run, result: () => own.gradient('rnn.weight_hh_l0') };
      }),
    ],
  };
}

/** Greedy decoding: it uses no random numbers, so all cases write the same text. */
function generation(cores: Cores): Suite {
  const [V, E, H, length] = [65, 64, 128, 64];
  const vocabulary = Array.from({ length: V }, (_, i) => String.fromCharCode(33 + i));
  const own = builds(cores).map(({ name, runtime }) => ({
    name,
    lm: LanguageModel.createSync({ vocabulary, runtime, seed: 1, embeddingSize: E, hiddenSize: H }),
  }));
  const of = (tensor: string) => own[0].lm.model.get(tensor);
  const table = of('embedding.weight');
  const parts = ['weight_ih', 'weight_hh', 'bias_ih', 'bias_hh'] as const;
  const weights = Object.fromEntries(parts.map((part) => [part, of(`rnn.${part}_l0`)])) as unknown as Start;
  const layer = new Layer(Float32Array, 'lstm', { T: 1, B: 1, I: E, H }, weights);
  const head = new Head(Float32Array, 1, H, V, { weight: of('head.weight'), bias: of('head.bias') });
  const written = new Float32Array(length);
  const plain = () => {
    layer.h.fill(0);
    layer.c.fill(0);
    for (let n = 0, token = 0; n < length; n++) {
      layer.forward(table, token * E);
      head.forward(layer.h, layer.outputs);
      token = head.y.indexOf(Math.max(...head.y));
      written[n] = token;
      layer.h.copyWithin(0, H);
      layer.c.copyWithin(0, H);
    }
  };
  return {
    name: 'generate',
    note: `${length} characters, V=${V} H=${H}`,
    cases: [
      { name: 'scalar', run: plain, result: () => written },
      ...own.map(({ name, lm }): Case => {
        let text = '';
        const run = () => {
          text = lm.generateSync({ prompt: vocabulary[0], length, temperature: 0 });
        };
        return { name, run, result: () => Float32Array.from(text, (char) => vocabulary.indexOf(char)) };
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
  generation,
];

/** Runs every case once; throws unless each gives what the first one gives. */
export function check({ name, cases }: Suite): void {
  for (const { run } of cases) run();
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
