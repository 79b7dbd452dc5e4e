/**
 * What the benchmarks stand on: the plain JavaScript that is a peer, the ONNX models for another, rows, verdicts, the exact functions,
 * charts, the page.
 */
import { spawnSync } from 'node:child_process';
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { input, Recurrent } from 'gatewise';
import { test } from 'uvu';
import { equal, is, match, ok, throws } from 'uvu/assert';
import { build as bundle, preview } from 'vite';
import { benchCore, builds, runtimeOf } from '../bench/builds.js';
import { curvesChart, speedChart } from '../bench/charts.js';
import { type FloorsFile, floorsOf, readFloors, verdicts, withFloors } from '../bench/floors.js';
import { functions, measureFunction } from '../bench/functions.js';
import { LOOPS, type Loop } from '../bench/loops.js';
import { describe, engine, parseCpuinfo } from '../bench/machine.js';
import { rowOf } from '../bench/measure.js';
import { fastest } from '../bench/peak.js';
import { recurrentModel } from '../bench/peers/onnx.js';
import { type Cell, Layer, type Start } from '../bench/peers/plain/layer.js';
import { pack, unpack } from '../bench/peers/safetensors.js';
import { between, type PeerRow, quantizedTable, tables, type WorkersRow, workersTable } from '../bench/peers/tables.js';
import {
  C_FLAGS,
  disagreement,
  expected,
  type Numbers,
  numbers,
  type Results,
  type Workload,
  workloads,
} from '../bench/peers/workloads.js';
import { slope } from '../bench/shapes.js';
import { check, type Measured, SUITES } from '../bench/suites.js';
import { works } from '../bench/works.js';
import { svgOf } from '../examples/support/picture.js';
import { runtime } from './support/builds.js';
import { hasChromium, launch } from './support/chromium.js';
import { runLayers } from './support/layers.js';
import { close, random, uniform } from './support/numbers.js';
import { operatorTests } from './support/onnx.js';

const root = fileURLToPath(new URL('../..', import.meta.url));

const CELLS: Record<Cell, { cell: 'lstm' | 'gru' | 'rnn'; reset?: 'before'; gates: number }> = {
  lstm: { cell: 'lstm', gates: 4 },
  gru: { cell: 'gru', gates: 3 },
  'gru-before': { cell: 'gru', reset: 'before', gates: 3 },
  rnn: { cell: 'rnn', gates: 1 },
};

for (const [name, { gates, ...cell }] of Object.entries(CELLS)) {
  for (const reverse of [false, true]) {
    test(`plain ${name}${reverse ? ', reversed,' : ''} gives the outputs and gradients that gatewise gives`, () => {
      const [T, B, I, H] = [5, 6, 7, 9];
      const next = random(1);
      const start: Start = {
        weight_ih: uniform(next, gates * H * I),
        weight_hh: uniform(next, gates * H * H),
        bias_ih: uniform(next, gates * H),
        bias_hh: uniform(next, gates * H),
      };
      const x = uniform(next, T * B * I);
      const dy = uniform(next, T * B * H);

      const layer = new Layer(Float32Array, name as Cell, { T, B, I, H }, start, { training: true, reverse });
      layer.forward(x);
      layer.dy.set(dy);
      layer.backward(x);

      const suffix = reverse ? '_l0_reverse' : '_l0';
      const { outputs, gradients } = runLayers(
        runtime('simd'),
        (b) => new Recurrent(b, 'rnn', { ...cell, inputSize: I, hiddenSize: H, reverse }),
        Object.fromEntries(Object.entries(start).map(([tensor, values]) => [`rnn.${tensor}${suffix}`, values])),
        { y: dy },
        (tape, rnn) => {
          const rows = input(tape, x, { T, B, F: I }, { gradient: true });
          return { inputs: { x: rows }, outputs: { y: rnn.forward(tape, rows).output } };
        },
      );
      close(layer.h.subarray(layer.outputs, layer.outputs + T * B * H), outputs.y, 1e-6, 'outputs');
      close(layer.dx, gradients.x, 1e-6, 'gradient of x');
      const { ih, hh, bih, bhh } = layer.weights;
      for (const [tensor, { gradient }] of Object.entries({ weight_ih: ih, weight_hh: hh, bias_ih: bih, bias_hh: bhh }))
        close(gradient, gradients[`rnn.${tensor}${suffix}`], 1e-6, tensor);
    });
  }
}

test('the ONNX models are read back as they were meant', () => {
  const folder = `${root}/build/onnx-written`;
  rmSync(folder, { recursive: true, force: true });
  const chosen = workloads.filter(({ task }) => task === 'sequence').slice(0, 3);
  for (const workload of chosen) {
    mkdirSync(`${folder}/${workload.id}/test_data_set_0`, { recursive: true });
    const model = recurrentModel(workload.cell, workload, numbers(workload).weights);
    writeFileSync(`${folder}/${workload.id}/model.onnx`, model);
  }
  const read = operatorTests(folder);
  equal(read.map(({ op }) => op).sort(), ['GRU', 'LSTM', 'RNN']);
  for (const { name, op, attributes, inputs } of read) {
    const { I, H } = chosen.find(({ id }) => id === name) ?? { I: 0, H: 0 };
    const G = { LSTM: 4, GRU: 3, RNN: 1 }[op] ?? 0;
    is(attributes.hidden_size, H);
    if (op === 'GRU') is(attributes.linear_before_reset, 1);
    equal(inputs.W.dims, [1, G * H, I]);
    equal(inputs.R.dims, [1, G * H, H]);
    equal(inputs.B.dims, [1, 2 * G * H]);
    // the operator's second gate is PyTorch's last, or in a GRU its first
    const weights = numbers(chosen.find(({ id }) => id === name) ?? chosen[0]).weights['rnn.weight_hh_l0'];
    const from = { LSTM: 3, GRU: 0, RNN: 0 }[op] ?? 0;
    const gate = G > 1 ? 1 : 0;
    equal(
      inputs.R.data.slice(gate * H * H, gate * H * H + 8),
      weights.slice(from * H * H, from * H * H + 8),
      `${op}: order of the gates`,
    );
  }
});

test('numbers for other languages are read back as they were', () => {
  const arrays = { a: Float32Array.of(1, -0.5, 3e-40), 'b.0': Int32Array.of(-7, 2 ** 30), é: new Float32Array(0) };
  const bytes = pack(arrays, { workload: '{}' });
  equal(unpack(bytes), arrays);
  equal(unpack(Buffer.from(bytes)), arrays, 'as files are read');
});

/** The workloads in small, with sizes that no vector or tile divides. */
const SMALL: readonly Workload[] = [
  ...(['lstm', 'gru', 'rnn'] as const).flatMap((cell): Workload[] => [
    { id: `step ${cell}`, task: 'step', cell, B: 1, T: 1, I: 7, H: 37, L: 1, V: 0 },
    { id: `sequence ${cell}`, task: 'sequence', cell, B: 5, T: 6, I: 7, H: 37, L: 1, V: 0 },
    { id: `characters ${cell}`, task: 'characters', cell, B: 5, T: 6, I: 7, H: 19, L: 2, V: 11 },
  ]),
  { id: 'classes', task: 'classes', cell: 'lstm', B: 5, T: 6, I: 7, H: 19, L: 1, V: 11 },
];

/** Throws unless an adapter of `npm run peers` gives what double precision gives. */
async function adapterAgrees(adapter: string, options: object): Promise<void> {
  const path = `${root}bench/peers/adapters/${adapter}.mjs`;
  const { prepare }: { prepare: Adapter } = await import(path);
  for (const workload of SMALL) {
    const given = numbers(workload);
    const { results, run } = await prepare(workload, given, options);
    const { error, name } = disagreement(await results(), expected(workload, given, workload.cell));
    ok(error < 1e-5, `${workload.id}: ${name} is off by ${error}`);
    await run(2);
  }
}

type Adapter = (
  workload: Workload,
  given: Numbers,
  options: object,
) => Promise<{ results: () => Promise<Results>; run: (n: number) => Promise<void> }>;

test('peers: the built package, through its public API, gives what double precision gives', async () => {
  await adapterAgrees('gatewise', { build: 'simd' });
});

test('peers: plain C compiled by clang gives what double precision gives', async () => {
  const module = `${root}build/network-test.wasm`;
  const command = [...C_FLAGS, '-Wall', '-Wextra', '-Werror', '-o', module, `${root}bench/peers/clang/network.c`];
  const { status, error, stderr } = spawnSync('clang', command, { encoding: 'utf8' });
  if (error || /wasm-ld|wasm32/.test(stderr)) {
    console.log('skipped: there is no clang here that links wasm32');
    return;
  }
  is(status, 0, stderr);
  await adapterAgrees('clang', { module });
});

test('tables of peers: browser and native apart, times and ratios, notes', () => {
  const row = { native: false, ms: 2, ratio: 1, maxRss: 1, engine: '', note: '' };
  const rows: PeerRow[] = [
    { ...row, id: 'a', peer: 'gatewise simd' },
    { ...row, id: 'a', peer: 'gatewise simd, reset before' },
    { ...row, id: 'a', peer: 'web', ms: 0.5, ratio: 0.25, note: 'one jit' },
    { ...row, id: 'a', peer: 'node', ms: 250, ratio: 125, native: true },
    { ...row, id: 'b', peer: 'gatewise simd', ms: 30 },
    { ...row, id: 'b', peer: 'web', ms: null, ratio: null, note: 'inference only' },
    { ...row, id: 'b', peer: 'node', native: true },
  ];
  equal(tables(rows, { machine: 'today, here', versions: ['web 1', 'node 2'], rounds: 7 }).split('\n'), [
    'Measured on: today, here. Medians of 7 rounds. web 1, node 2.',
    '',
    '### Peers that run in a browser',
    '',
    '| workload | gatewise simd | web |',
    '|---|---|---|',
    '| `a` | 2.00 | 0.5000 (0.25) |',
    '| `b` | 30.00 | – |',
    '',
    '- web: one jit (a)',
    '- web: inference only (b)',
    '',
    '### Native peers',
    '',
    '| workload | gatewise simd | node |',
    '|---|---|---|',
    '| `a` | 2.00 | 250 (125) |',
    '| `b` | 30.00 | 2.00 (1) |',
  ]);
  const workers: WorkersRow[] = [
    { id: 'a', who: 'alone', ms: 10, ratio: 1 },
    { id: 'a', who: '0', ms: 12.5, ratio: 0.8 },
    { id: 'a', who: '2', ms: 6, ratio: 1.67 },
    { id: 'a', who: 'PyTorch, 1 thread', ms: 12, ratio: 0.83 },
    { id: 'a', who: 'PyTorch, 2 threads', ms: 9, ratio: 1.11 },
    { id: 'b', who: 'alone', ms: 0.5, ratio: 1 },
    { id: 'b', who: '2', ms: 1, ratio: 0.5 },
  ];
  const about = { machine: 'today, here', versions: ['PyTorch 2'], rounds: 9 };
  equal(
    workersTable(workers, { ...about, cores: 2 })
      .split('\n')
      .slice(4),
    [
      '| workload | alone | 0 workers | 2 workers | PyTorch, 1 thread | PyTorch, 2 threads | PyTorch, 2 threads / 2 workers |',
      '|---|---|---|---|---|---|---|',
      '| `a` | 10.00 | 12.50 (0.80) | 6.00 (1.67) | 12.00 (0.83) | 9.00 (1.11) | 1.50 |',
      '| `b` | 0.5000 | – | 1.00 (0.50) | – | – | – |',
    ],
  );
  match(
    workersTable(workers, { ...about, cores: 2 }),
    /^Measured on: today, here, 2 cores\. .* medians of 9 rounds .* PyTorch 2\./,
  );
  const bits: PeerRow[] = [
    { ...row, id: 'a', peer: 'gatewise simd', ms: 4 },
    { ...row, id: 'a', peer: 'gatewise relaxed', ms: 3 },
    { ...row, id: 'a', peer: 'gatewise int16', ms: 2 },
    { ...row, id: 'a', peer: 'onnxruntime-node', ms: 1.5, native: true },
    { ...row, id: 'b', peer: 'gatewise simd', ms: 4 },
    { ...row, id: 'b', peer: 'gatewise relaxed', ms: null, note: 'this engine has no relaxed SIMD' },
    { ...row, id: 'b', peer: 'gatewise int16', ms: 2 },
    { ...row, id: 'b', peer: 'onnxruntime-node', ms: 6, native: true },
  ];
  equal(quantizedTable(bits, about).split('\n').slice(4), [
    '| workload | gatewise simd | gatewise relaxed | gatewise int16 | onnxruntime-node | onnxruntime-node / int16 | relaxed / int16 |',
    '|---|---|---|---|---|---|---|',
    '| `a` | 4.00 | 3.00 (1.33) | 2.00 (2.00) | 1.50 (2.67) | 0.75 | 1.50 |',
    '| `b` | 4.00 | – | 2.00 (2.00) | 6.00 (0.67) | 3.00 | – |',
    '',
    '- gatewise relaxed: this engine has no relaxed SIMD (b)',
  ]);
  is(between('x\n<!-- t -->\nold\n<!-- /t -->\ny', 't', 'new'), 'x\n<!-- t -->\nnew\n<!-- /t -->\ny');
  throws(() => between('x', 't', ''), /expected <!-- t --> and <!-- \/t -->/);
});

function rowsOf(...options: string[]): Record<string, unknown>[] {
  const command = ['build/bench/run.js', '--json', '--samples', '3', ...options];
  const { stdout, stderr, status } = spawnSync(process.execPath, command, { cwd: root, encoding: 'utf8' });
  const rows = stdout
    .trim()
    .split('\n')
    .map((line): Record<string, unknown> => JSON.parse(line));
  // on a busy machine a row may be above the peak, which no test depends on
  is(status, rows.some((row) => 'error' in row) ? 1 : 0, stderr);
  return rows.map(({ error: _, ...row }) => row);
}

test('npm run bench -- --json prints one object a line', () => {
  const [row, ...more] = rowsOf('--build', 'simd', '--only', 'charlm-step-b16');
  equal(more, []);
  equal(Object.keys(row), ['id', 'build', 'engine', 'ms', 'gflops', 'peak', 'loop', 'ofPeak', 'peakMb']);
  is(row.id, 'charlm-step-b16-h128');
  const { ms, gflops, peakMb } = row as Record<string, number>;
  // 3·(2·V·4·H·E + 2·T·B·4·H·H + 2·T·B·H·V) operations: each of the V characters is multiplied once
  const operations = 3 * 2 * (65 * 4 * 128 * 64 + 64 * 16 * (4 * 128 * 128 + 128 * 65));
  ok(Math.abs((gflops * ms * 1e6) / operations - 1) < 0.01, `${gflops} GFLOP/s in ${ms} ms`);
  ok(peakMb > 30 && peakMb <= 90, `${peakMb} MB`);
  const [step] = rowsOf('--build', 'simd', '--only', 'lstm-step-b1');
  equal(Object.keys(step), ['id', 'build', 'engine', 'ms', 'us', 'gflops', 'peak', 'loop', 'ofPeak']);
});

test('a row of a function tells its error over a dense sweep', () => {
  for (const id of ['exp', 'sigmoid', 'tanh', 'log'] as const) {
    const row = measureFunction(id, 'simd', { samples: 3, stride: 9973 });
    equal(Object.keys(row), ['id', 'build', 'engine', 'nsPerElement', 'ulp', 'absolute']);
    ok(row.ulp > 0.5 && row.ulp <= 3, `${id}: ${row.ulp} ulp`);
    ok(row.absolute <= 1.2e-38, `${id}: ${row.absolute}`);
    ok(row.nsPerElement > 0);
  }
});

/** eˣ·2²⁵⁶ in integers, by its series at x / 2³² and 32 squarings. */
function exactExp(x: number): bigint {
  const one = 1n << 256n;
  const bits = new BigUint64Array(Float64Array.of(Math.abs(x)).buffer)[0];
  const fraction = (bits & ((1n << 52n) - 1n)) | (1n << 52n);
  const exponent = Number(bits >> 52n) - 1075;
  const r = (exponent < 0 ? (fraction << 256n) >> BigInt(-exponent) : fraction << BigInt(256 + exponent)) >> 32n;
  let [sum, term] = [one, one];
  for (let k = 1n; term > 0n; k++) {
    term = (term * r) / (one * k);
    sum += term;
  }
  for (let i = 0; i < 32; i++) sum = (sum * sum) / one;
  return x < 0 ? (one * one) / sum : sum;
}

test('the functions in double precision that rows are compared with are right to 1e-13, by integers of 256 bits', () => {
  const one = 1n << 256n;
  /** a / b to 60 digits behind the point, as a double. */
  const ratio = (a: bigint, b: bigint) => Number((a * 10n ** 60n) / b) / 1e60;
  for (const x of [-80, -30.3, -7.7, -1, -0.3, -1e-3, 1e-6, 0.25, 0.9, 3.3, 8.5, 40, 80]) {
    const e = exactExp(x);
    const e2 = e * e;
    const near = (name: string, got: number, want: number) =>
      ok(Math.abs(got - want) <= 1e-13 * Math.abs(want), `${name}(${x}) is ${got}, ${want} in integers`);
    near('exp', functions.exp.exact(x), ratio(e, one));
    near('sigmoid', functions.sigmoid.exact(x), ratio(e, e + one));
    near('tanh', functions.tanh.exact(x), ratio(e2 - one * one, e2 + one * one));
    // log is compared with the inverse: e to the power of log(y) is y
    const y = Math.exp(x);
    ok(Math.abs(ratio(exactExp(functions.log.exact(y)), one) / y - 1) <= 1e-13, `log(${y})`);
  }
});

const XEON = { name: 'Intel(R) Xeon(R)', vendor: 'GenuineIntel', family: 6, model: 167 };

test('a row from given samples: medians, and an error above 1.02 of the peak', () => {
  const work = { id: 'w', flops: 6e6 };
  // 6·10⁶ operations in 0.5, 0.25 and 1 ms are 12, 24 and 6 GFLOP/s
  const times = [0.5, 0.25, 1];
  equal(rowOf(work, 'simd', 'offChain6', { times, peaks: [24e6, 30e6, 24e6] }), {
    id: 'w',
    build: 'simd',
    engine,
    ms: 0.5,
    gflops: 12,
    peak: 24,
    loop: 'offChain6',
    // of 0.5, 0.8 and 0.25
    ofPeak: 0.5,
  });
  // 4 units a run: a fourth of the time each
  const { ms, us, gflops, ofPeak } = rowOf({ ...work, flops: 1.5e6, per: 4, micros: true }, 'simd', 'offChain6', {
    times: [0.5],
    peaks: [24e6],
  });
  equal([ms, us, gflops, ofPeak], [0.125, 125, 12, 0.5]);
  const above = (peak: number) => rowOf(work, 'simd', 'offChain6', { times: [0.5], peaks: [peak] }).error;
  is(above(12e6 / 1.0199), undefined);
  is(above(12e6 / 1.0201), '1.02 of the peak is above 1.02: no loop reaches the peak here');
  is(above(12e6 / 1.5), '1.5 of the peak is above 1.02: no loop reaches the peak here');
});

test('the peak is the loop with the highest ninth decile', () => {
  const ten = (low: number, high: number, best: number) => [...Array<number>(8).fill(low), high, best];
  const samples = {
    offChain4: ten(9, 9, 9),
    // one sample alone does not count
    offChain6: ten(1, 8, 99),
    // slow while the core is busy
    offChain8: ten(5, 9.5, 9.5),
    onChain10: ten(9.4, 9.4, 9.4),
    onChain12: ten(2, 2, 2),
    onChain16: ten(1, 1, 1),
  };
  is(fastest(samples), 'offChain8');
  is(fastest({ ...samples, offChain6: ten(1, 9.6, 9.6).reverse() }), 'offChain6');
});

for (const build of builds) {
  test(`${build}: the loops of the peak multiply and add what their formulas say`, () => {
    const core = benchCore(build);
    const at = 1 << 16;
    const rounds = 70;
    for (const loop of Object.keys(LOOPS) as Loop[]) {
      const { chains, before, after } = LOOPS[loop];
      const f32 = new Float32Array(core.memory.buffer, at, 4 * (before + chains + after));
      // small whole numbers, so that no sum is rounded; powers of x = 1 stay small
      f32.forEach((_, i) => {
        f32[i] = after === 0 && i < 4 ? 1 : i % 13;
      });
      const given = Array.from(f32);
      core[loop](at, rounds);
      for (let i = 4 * before; i < 4 * (before + chains); i++) {
        const chain = (i >> 2) - before;
        const lane = i % 4;
        let c = given[i];
        for (let round = rounds; round > 0; round--) {
          const pair = 4 * (before + chains) + 8 * (round % 64) + 4 * (chain % 2);
          c = after === 0 ? c * given[lane] + given[4 + lane] : c + given[pair + lane] * given[4 * (chain >> 1) + lane];
        }
        is(f32[i], c, `${loop}, chain ${chain}, lane ${lane}`);
      }
    }
  });
}

test('--check: a row holds from 0.9 of its floor on; accuracy and memory hold or do not', () => {
  const file: FloorsFile = {
    everywhere: { ulp: { exp: 3 }, peakMb: { charlm: 90 } },
    families: [
      {
        name: 'one',
        vendor: 'GenuineIntel',
        family: 6,
        models: [1, 167],
        simd: { peak: 36, ofPeak: { gemm: 0.95, charlm: 0.8 }, us: { step: 11 } },
        relaxed: { peak: 48, ofPeak: { gemm: 0.86 }, us: {} },
      },
    ],
  };
  const floors = floorsOf(file, 'simd', XEON);
  is(floors.name, 'one');
  const row = { build: 'simd', peak: 36 } as const;
  const holds = (got: object) => verdicts({ ...row, id: '', ...got }, floors).map((verdict) => verdict.holds);
  equal(holds({ id: 'gemm', ofPeak: 0.9 * 0.95 + 1e-6 }), [true]);
  equal(holds({ id: 'gemm', ofPeak: 0.9 * 0.95 - 1e-6 }), [false]);
  equal(holds({ id: 'step', ofPeak: 0, us: 12.2 }), [true]);
  equal(holds({ id: 'step', ofPeak: 0, us: 12.3 }), [false]);
  // at half the peak, twice the time
  equal(holds({ id: 'step', peak: 18, us: 24.4 }), [true]);
  equal(holds({ id: 'step', peak: 18, us: 24.6 }), [false]);
  equal(holds({ id: 'exp', ulp: 3 }), [true]);
  equal(holds({ id: 'exp', ulp: 3.01 }), [false]);
  equal(holds({ id: 'charlm', ofPeak: 0.8, peakMb: 90 }), [true, true]);
  equal(holds({ id: 'charlm', ofPeak: 0.7, peakMb: 91 }), [false, false]);
  equal(holds({ id: 'other', ofPeak: 0.01 }), [], 'no floor, no verdict');
  throws(() => holds({ id: 'exp' }), /exp: has a floor of ulp/);
  equal(floorsOf(file, 'relaxed', XEON).timings?.ofPeak, { gemm: 0.86 });
  // another processor has no floors of timings, but accuracy and memory are the same everywhere
  for (const other of [{ ...XEON, model: 2 }, { ...XEON, vendor: 'AuthenticAMD' }, { name: 'Apple M4' }]) {
    const none = floorsOf(file, 'simd', other);
    is(none.name, undefined);
    equal(verdicts({ ...row, id: 'gemm', ofPeak: 0.01 }, none), []);
    equal(
      verdicts({ ...row, id: 'exp', ulp: 4 }, none).map(({ holds }) => holds),
      [false],
    );
  }
});

test('floors are set at 0.95 of what was measured, for the family and build alone', () => {
  const one = { name: 'one', vendor: 'GenuineIntel', family: 6, models: [167] };
  const old = { peak: 1, ofPeak: { gone: 0.5 }, us: {} };
  const file: FloorsFile = {
    everywhere: { ulp: { exp: 3 }, peakMb: {} },
    families: [
      { ...one, simd: old, relaxed: old },
      { ...one, name: 'two', models: [2], simd: old },
    ],
  };
  const rows = [
    { id: 'gemm', build: 'simd', peak: 35, ofPeak: 0.94 },
    { id: 'fast', build: 'simd', peak: 36.04, ofPeak: 1.01 },
    { id: 'step', build: 'simd', peak: 37, ofPeak: 0.5, us: 9.52 },
    { id: 'exp', build: 'simd', ulp: 2 },
  ] as const;
  const simd = { peak: 36, ofPeak: { gemm: 0.89, fast: 0.95 }, us: { step: 10.1 } };
  equal(withFloors(file, 'simd', XEON, rows), {
    ...file,
    families: [{ ...one, simd, relaxed: old }, file.families[1]],
  });
  const other = { ...XEON, model: 3 };
  equal(withFloors(file, 'simd', other, rows).families[2], { ...one, name: describe(other), models: [3], simd });
  throws(
    () => withFloors(file, 'simd', { name: 'Apple M4' }, rows),
    /Apple M4: floors need its vendor, family and model/,
  );
});

test('the family of a processor is read from /proc/cpuinfo', () => {
  const text =
    'processor\t: 0\nvendor_id\t: AuthenticAMD\ncpu family\t: 25\nmodel\t\t: 17\nmodel name\t: AMD EPYC\n\nprocessor\t: 1\nmodel\t\t: 18\n';
  equal(parseCpuinfo(text, ''), { name: 'AMD EPYC', vendor: 'AuthenticAMD', family: 25, model: 17 });
  const arm = parseCpuinfo('processor\t: 0\nCPU implementer\t: 0x41\n', 'Neoverse');
  equal(arm, { name: 'Neoverse', vendor: undefined, family: undefined, model: undefined });
  is(describe(arm), 'Neoverse');
  is(describe(XEON), 'Intel(R) Xeon(R) (GenuineIntel, family 6, model 167)');
});

test('every floor belongs to a row', () => {
  const ids = [...works.map(({ id }) => id), ...Object.keys(functions)];
  equal(ids.length, new Set(ids).size, 'an id of its own for each row');
  const { everywhere, families } = readFloors();
  for (const id of Object.keys({ ...everywhere.ulp, ...everywhere.peakMb })) ok(ids.includes(id), id);
  for (const family of families) {
    for (const build of ['simd', 'relaxed'] as const) {
      const { ofPeak = {}, us = {} } = family[build] ?? {};
      for (const id of Object.keys({ ...ofPeak, ...us })) ok(ids.includes(id), `${family.name}, ${build}: ${id}`);
      for (const share of Object.values(ofPeak)) ok(share > 0 && share <= 1, `${family.name}, ${build}: ${share}`);
    }
  }
});

test('all cases of each suite give the same', () => {
  const cores = {
    scalar: benchCore('simd'),
    simd: runtimeOf('simd'),
    relaxed: builds.includes('relaxed') ? runtimeOf('relaxed') : undefined,
  };
  for (const make of SUITES) check(make(cores));
  const suite = SUITES[0](cores);
  throws(() => check({ ...suite, cases: [...suite.cases, { ...suite.cases[0], result: () => new Float32Array(1) }] }));
});

test('the slope of a power law is its power', () => {
  ok(Math.abs(slope([1, 3, 10, 40].map((x) => [x, 7 * x ** 1.7])) - 1.7) < 1e-12);
});

/** Throws unless every tag is closed in turn. */
function wellFormed(svg: string): void {
  const open: string[] = [];
  for (const [, end, name, empty] of svg.matchAll(/<(\/?)(\w+)(?:\s+[\w:-]+="[^"<]*")*\s*(\/?)>/g)) {
    if (end) is(open.pop(), name);
    else if (!empty) open.push(name);
  }
  equal(open, []);
  is(svg.replaceAll(/<[^<>]*>/g, '').includes('<'), false);
}

test('charts are SVG on white, with what was measured in words', async () => {
  const measured: Measured[] = (['scalar', 'simd'] as const).map((name, i) => {
    return { suite: 'a & <b>', note: 'of 3', name, hz: [2e3, 9e3][i], rme: 1 };
  });
  const bars = await svgOf(speedChart(measured, 'today'));
  const curve = {
    title: 'Time',
    note: 'slope 1',
    unit: 'ms',
    points: [1, 10].map((x) => ({ x, measured: x, expected: x })),
  };
  const curves = await svgOf(curvesChart('All', [curve, curve], 'here'));
  for (const svg of [bars, curves]) {
    ok(svg.startsWith('<svg') && svg.includes('fill="white"'));
    wellFormed(svg);
  }
  for (const text of ['a &amp; &lt;b&gt;', 'of 3', '4.5×', '9000/s', 'today']) ok(bars.includes(text), text);
  for (const text of ['All', 'slope 1', 'ms', 'here']) ok(curves.includes(text), text);
});

test('the page of npm run bench:page runs a suite and draws its bars', async () => {
  if (!hasChromium()) return;
  const site = `${root}bench/page`;
  await bundle({ root: site, logLevel: 'silent' });
  const server = await preview({ root: site, logLevel: 'silent', preview: { host: '127.0.0.1', port: 0 } });
  const chrome = await launch();
  try {
    const page = await chrome.newPage();
    const problems: string[] = [];
    page.on('pageerror', (error) => problems.push(String(error)));
    await page.goto(`${server.resolvedUrls?.local[0]}?seconds=0.05&only=gemm`);
    await page.waitForFunction('globalThis.measured || globalThis.failed', undefined, { timeout: 60_000 });
    is(await page.evaluate('globalThis.failed'), undefined);
    equal(problems, []);
    const names = await page.evaluate<string[]>('measured.map(({ name }) => name)');
    equal(names, ['scalar', 'simd', 'relaxed'].slice(0, names.length));
    ok(names.length >= 2);
    ok(await page.evaluate('document.querySelector("#chart svg") !== null'));
  } finally {
    await chrome.close();
    await server.close();
  }
});

test.run();
