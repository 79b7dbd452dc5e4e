/**
 * What the benchmarks stand on: the plain JavaScript that is a peer, the ONNX models for another, rows, verdicts, the exact functions,
 * charts, the page.
 */
import { execFileSync } from 'node:child_process';
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { input, Recurrent } from 'gatewise';
import { test } from 'uvu';
import { equal, is, ok, throws } from 'uvu/assert';
import { build as bundle, preview } from 'vite';
import { curvesChart, speedChart } from '../bench/charts.js';
import { floorsOf, verdicts } from '../bench/floors.js';
import { functions, measureFunction } from '../bench/functions.js';
import { benchCore, builds, runtimeOf } from '../bench/measure.js';
import { recurrentModel } from '../bench/peers/onnx.js';
import { type Cell, Layer, type Start } from '../bench/peers/plain/layer.js';
import { numbers, workloads } from '../bench/peers/workloads.js';
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

function rowsOf(...options: string[]): Record<string, unknown>[] {
  const text = execFileSync(process.execPath, ['build/bench/run.js', '--json', '--samples', '3', ...options], {
    cwd: root,
    encoding: 'utf8',
  });
  return text
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line));
}

test('npm run bench -- --json prints one object a line', () => {
  const [row, ...more] = rowsOf('--build', 'simd', '--only', 'charlm-step-b16');
  equal(more, []);
  equal(Object.keys(row), ['id', 'build', 'engine', 'ms', 'gflops', 'peak', 'ofPeak', 'peakMb']);
  is(row.id, 'charlm-step-b16-h128');
  const { ms, gflops, peakMb } = row as Record<string, number>;
  // 3·(2·V·4·H·E + 2·T·B·4·H·H + 2·T·B·H·V) operations: each of the V characters is multiplied once
  const operations = 3 * 2 * (65 * 4 * 128 * 64 + 64 * 16 * (4 * 128 * 128 + 128 * 65));
  ok(Math.abs((gflops * ms * 1e6) / operations - 1) < 0.01, `${gflops} GFLOP/s in ${ms} ms`);
  ok(peakMb > 30 && peakMb <= 90, `${peakMb} MB`);
  const [step] = rowsOf('--build', 'simd', '--only', 'lstm-step-b1');
  equal(Object.keys(step), ['id', 'build', 'engine', 'ms', 'us', 'gflops', 'peak', 'ofPeak']);
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

test('the functions in double precision that rows are held to are right to 1e-13, by integers of 256 bits', () => {
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
    // log is held to the inverse: e to the power of log(y) is y
    const y = Math.exp(x);
    ok(Math.abs(ratio(exactExp(functions.log.exact(y)), one) / y - 1) <= 1e-13, `log(${y})`);
  }
});

test('--check: a row holds from 0.9 of its floor on; accuracy and memory hold or do not', () => {
  const floors = floorsOf('simd');
  const row = { build: 'simd', peak: 36 } as const;
  const holds = (got: object) => verdicts({ ...row, id: '', ...got }, floors).map((verdict) => verdict.holds);
  equal(holds({ id: 'gemm-m1024-n512-k256', ofPeak: 0.9 * 0.95 + 1e-6 }), [true]);
  equal(holds({ id: 'gemm-m1024-n512-k256', ofPeak: 0.9 * 0.95 - 1e-6 }), [false]);
  equal(holds({ id: 'lstm-step-b1-h128', ofPeak: 0, us: 12.2 }), [true]);
  equal(holds({ id: 'lstm-step-b1-h128', ofPeak: 0, us: 12.3 }), [false]);
  // at half the peak, twice the time
  equal(holds({ id: 'lstm-step-b1-h128', peak: 18, us: 24.4 }), [true]);
  equal(holds({ id: 'lstm-step-b1-h128', peak: 18, us: 24.6 }), [false]);
  equal(holds({ id: 'exp', ulp: 3 }), [true]);
  equal(holds({ id: 'exp', ulp: 3.01 }), [false]);
  equal(holds({ id: 'charlm-step-b16-h128', ofPeak: 0.8, peakMb: 90 }), [true, true]);
  equal(holds({ id: 'charlm-step-b16-h128', ofPeak: 0.7, peakMb: 91 }), [false, false]);
  equal(holds({ id: 'gru-step-b1-h128', ofPeak: 0.01 }), [], 'no floor, no verdict');
  throws(() => holds({ id: 'exp' }), /exp: has a floor of ulp/);
});

test('every floor belongs to a row', () => {
  const ids = [...works.map(({ id }) => id), ...Object.keys(functions)];
  for (const build of ['simd', 'relaxed'] as const) {
    const { ofPeak, us, ulp, peakMb } = floorsOf(build);
    for (const id of Object.keys({ ...ofPeak, ...us, ...ulp, ...peakMb })) ok(ids.includes(id), `${build}: ${id}`);
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
