/** One forecaster for many series: their windows, scales, reports, calibration, backtests, and what is chosen. */
import { backtest, chooseForecaster, Forecaster, type ForecasterReport } from 'gatewise/tasks';
import { test } from 'uvu';
import { equal, is, ok, throws } from 'uvu/assert';
import { leastSquares } from './reference/solve.js';
import { close, random } from './support/numbers.js';
import { rejects } from './support/rejects.js';

const same = (a: Uint8Array, b: Uint8Array) => Buffer.compare(a, b) === 0;

/** A wave with noise at a level and a scale of its own. */
function wave(n: number, seed: number, { scale = 1, level = 0, spread = 0.1 } = {}): number[] {
  const next = random(seed);
  const noise = () => next() + next() + next() - 1.5;
  return Array.from(
    { length: n },
    (_, t) => level + scale * (Math.sin((2 * Math.PI * t) / 12 + seed) + spread * noise()),
  );
}

const MANY = [
  wave(120, 1, { level: 5 }),
  wave(90, 2, { scale: 1000, level: 4000 }),
  wave(150, 3, { scale: 0.02, level: -1 }),
];
const SMALL = { window: 12, horizon: 4, hiddenSize: 6, seed: 1, normalization: 'standard' } as const;
const FIT = { batchSize: 32, learningRate: 5e-3 };

test('a list of one series trains the same model as the series', async () => {
  for (const options of [{}, { normalization: 'none', trend: 'linear', missing: 'mask' }] as const) {
    const train = async (series: number[] | number[][]) => {
      using model = await Forecaster.create({ ...SMALL, ...options });
      if (Array.isArray(series[0])) await model.fit(series as number[][], { ...FIT, epochs: 2 });
      else await model.fit(series as number[], { ...FIT, epochs: 2 });
      return model.save();
    };
    ok(same(await train(MANY[0]), await train([MANY[0]])));
  }
});

test('the linear path is that of the windows of all series, in one scale', async () => {
  const [window, horizon] = [3, 2];
  const series = [wave(50, 4), wave(31, 5, { level: 2 }), wave(40, 6)];
  using model = await Forecaster.create({ window, horizon, hiddenSize: 3 });
  await model.fit(series, { steps: 1, learningRate: 0 });
  const all = series.flat();
  const mean = all.reduce((a, b) => a + b) / all.length;
  const { level, scale } = model.scaling ?? { level: 0, scale: 0 };
  close([level], [mean], 1e-12, 'level');
  close([scale], [Math.sqrt(all.reduce((sum, v) => sum + (v - mean) ** 2, 0) / all.length)], 1e-12, 'scale');
  const rows = series.flatMap((own) => {
    const z = own.map((v) => (v - level) / scale);
    return Array.from({ length: z.length - window - horizon + 1 }, (_, i) => z.slice(i, i + window + horizon));
  });
  is(rows.length, 46 + 27 + 36);
  const x = Float64Array.from(rows.flatMap((row) => [...row.slice(0, window), 1]));
  const y = Float64Array.from(rows.flatMap((row) => row.slice(window)));
  const squares = rows.reduce((sum, row) => sum + row.slice(0, window).reduce((s, v) => s + v * v, 0), 0);
  const got = model.model.get('linear.weight');
  const far = [1e-8, 1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1].map((penalty) => {
    const w = leastSquares(x, y, [...new Array(window).fill((penalty * squares) / window), 0]);
    return Math.max(...Array.from(got, (v, i) => Math.abs(v - w[(i % window) * horizon + Math.floor(i / window)])));
  });
  ok(Math.min(...far) < 2e-4, `${far}`);
});

test('with normalization standard, the scale of a series has no effect on what is learned and said', async () => {
  const train = async (factor: number) => {
    using model = await Forecaster.create(SMALL);
    const series = [MANY[0], MANY[2].map((v) => factor * v), MANY[1]];
    await model.fit(series, { ...FIT, epochs: 3 });
    return await model.predict(series);
  };
  const [plain, moved] = [await train(1), await train(2 ** 12)];
  for (const [i, factor] of [1, 2 ** 12, 1].entries()) {
    close(
      moved[i].point,
      plain[i].point.map((v) => factor * v),
      2e-3,
      `series ${i}`,
    );
  }
});

test('a global model forecasts series that it has not seen, of any scale', async () => {
  using model = await Forecaster.create(SMALL);
  const series = Array.from({ length: 8 }, (_, i) => wave(80 + 5 * i, 10 + i, { scale: 10 ** (i % 4), level: i }));
  await model.fit(series, { ...FIT, epochs: 10 });
  const fresh = wave(60, 40, { scale: 3e5, level: -7e5 });
  const { mae, baselines } = await model.evaluate(fresh, { from: 24, warn: false });
  ok(mae < 0.4 * baselines.naive.mae, `${mae}, naive ${baselines.naive.mae}`);
});

test('the report of many series: that of each, and the mean scaled error', async () => {
  const make = async () => {
    const model = await Forecaster.create({ ...SMALL, variables: ['a', 'b'], targets: ['b'] });
    const both = MANY.map((b) => ({ a: b.map((v) => -v), b }));
    await model.fit(both, { ...FIT, epochs: 1, to: -20 });
    return { model, both };
  };
  const { model, both } = await make();
  const together = await model.evaluate(both, { from: -20, stride: 2, season: 12, warn: false });
  is(together.series.length, 3);
  const errors = { model: [] as number[], naive: [] as number[], ar: [] as number[] };
  for (const [i, series] of both.entries()) {
    const n = series.b.length;
    const alone = await model.evaluate(series, { from: n - 20, stride: 2, season: 12, warn: false });
    const { mae, baselines } = alone.variables.b;
    const own = together.series[i];
    is(own.forecasts, alone.forecasts);
    close([own.variables.b.mae, own.variables.b.baselines.ar.mae], [mae, baselines.ar.mae], 1e-6, 'alone');
    const changes = series.b.slice(1, n - 20).map((v, t) => Math.abs(v - series.b[t]));
    const change = changes.reduce((a, b) => a + b) / changes.length;
    errors.model.push(mae / change);
    errors.naive.push(baselines.naive.mae / change);
    errors.ar.push(baselines.ar.mae / change);
  }
  const mean = (list: number[]) => list.reduce((a, b) => a + b) / list.length;
  close(
    [together.mase, together.baselines.naive.mase, together.baselines.ar.mase],
    [mean(errors.model), mean(errors.naive), mean(errors.ar)],
    1e-6,
    'mase',
  );
  is(together.forecasts, 3 * 9);
  is(together.better.includes('ar'), together.baselines.ar.mase < together.mase);
  is(together.better.includes('naive'), false);
  model.dispose();
});

test('a global model that loses is told so once', async () => {
  const warned: string[] = [];
  const { warn } = console;
  console.warn = (text: string) => warned.push(text);
  try {
    using poor = await Forecaster.create({ ...SMALL, linear: 0 });
    await poor.fit(MANY, { steps: 1, learningRate: 0, to: -20 });
    const { better, mase, baselines } = await poor.evaluate(MANY, { from: -20 });
    ok(better.length > 0);
    is(warned.length, 1);
    ok(warned[0].includes(`${baselines[better[0]].mase} and ${mase}`), warned[0]);
    ok(/better on 3 of 3 series$/.test(warned[0]), warned[0]);
    await poor.evaluate(MANY, { from: -20, warn: false });
    is(warned.length, 1);
  } finally {
    console.warn = warn;
  }
});

test('validation: the end of each series, by the scaled error; it never ends above the linear path', async () => {
  using model = await Forecaster.create(SMALL);
  const { best, validations } = await model.fit(MANY, { ...FIT, epochs: 3, validation: 0.2 });
  is(best?.metric, 'mase');
  const from = MANY.map(({ length }) => length - Math.round(0.2 * length));
  const { mase } = await model.evaluate(MANY, { from, warn: false });
  close([mase], [best?.value ?? 0], 1e-12, 'mase');
  ok(validations.mase.every((v: number) => v >= mase));
});

test('interrupted, saved, loaded and resumed bit for bit; with validation too', async () => {
  for (const validation of [undefined, 0.1]) {
    const options = { ...FIT, ...(validation ? { validation } : {}) };
    using whole = await Forecaster.create({ ...SMALL, outputDropout: 0.1 });
    await whole.fit(MANY, { ...options, epochs: 4 });
    using half = await Forecaster.create({ ...SMALL, outputDropout: 0.1 });
    for await (const { step } of half.fit(MANY, { ...options, epochs: 4 })) if (step === 5) break;
    using again = await Forecaster.load(half.save());
    await again.fit(MANY, { ...options, epochs: 4 });
    ok(same(whole.save(), again.save()));
    equal(await again.predict(MANY), await whole.predict(MANY));
  }
});

test('a stream of a global model says what predict says', async () => {
  using model = await Forecaster.create({ ...SMALL, quantiles: [0.1, 0.5, 0.9], difference: 2 });
  await model.fit(MANY, { ...FIT, epochs: 1 });
  await model.calibrate(MANY, { from: -40 });
  for (const series of MANY) {
    const stream = model.stream();
    let last: unknown;
    for (const v of series.slice(-14)) last = stream.step(v);
    equal(last, (await model.predict([series]))[0]);
  }
});

test('calibration over many series moves quantiles in the units of each window', async () => {
  const quantiles = [0.1, 0.5, 0.9];
  using model = await Forecaster.create({ ...SMALL, horizon: 2, quantiles, linear: 0 });
  const series = [wave(400, 20, { spread: 0.6 }), wave(300, 21, { spread: 0.6, scale: 500 })];
  await model.fit(series, { ...FIT, epochs: 2, to: 150 });
  const raw = await model.predict(series);
  const before = await model.evaluate(series, { from: 150, warn: false });
  await model.calibrate(series, { from: 150 });
  const after = await model.evaluate(series, { from: 150, warn: false });
  const pooled = ({ series: all }: typeof after, q: number) =>
    all.reduce((sum, own) => sum + own.forecasts * (own.coverage?.[q] ?? 0), 0) / after.forecasts;
  quantiles.forEach((q, i) => {
    ok(Math.abs(pooled(after, i) - q) < 0.01, `${pooled(before, i)} → ${pooled(after, i)}`);
  });
  // the same move, in the units of windows whose spreads differ
  const spread = (y: number[]) => {
    const z = y.slice(-12);
    const mean = z.reduce((a, b) => a + b) / 12;
    return Math.sqrt(z.reduce((sum, v) => sum + (v - mean) ** 2, 0) / 12);
  };
  const own = await model.predict(series);
  const moves = series.map((y, s) => ((own[s].quantiles?.[2][1] ?? 0) - (raw[s].quantiles?.[2][1] ?? 0)) / spread(y));
  ok(Math.abs(moves[0]) > 1e-3);
  close([moves[1]], [moves[0]], 1e-3, 'moves');
  using loaded = await Forecaster.load(model.save());
  equal(await loaded.predict(series), own);
  // of one series, they are in the units of the series
  await model.calibrate(series[0], { from: 150 });
  const one = await model.predict(series);
  const plain = one.map(({ quantiles: bands = [] }, s) => bands[2][1] - (raw[s].quantiles?.[2][1] ?? 0));
  close([plain[1]], [plain[0]], 1e-3, 'plain moves');
});

test('constant stretches teach nothing, and forecasts from them stay finite', async () => {
  const sparse = Array.from({ length: 100 }, (_, t) => (t % 40 === 39 ? 1000 : 0));
  using model = await Forecaster.create({ ...SMALL, window: 8 });
  const { steps } = await model.fit([sparse, MANY[0]], { ...FIT, epochs: 2 });
  ok(
    steps.loss.every((v: number) => v < 100),
    `${steps.loss}`,
  );
  const [{ point }] = await model.predict([sparse.slice(0, 30)]);
  ok(
    point.every((v) => Math.abs(v) < 50),
    `${point}`,
  );
  const flat = Array.from({ length: 40 }, (_, t) => (t === 39 ? 1 : 0));
  using other = await Forecaster.create({ ...SMALL, window: 8 });
  throws(() => other.fit([flat, flat]), /^series: expected a window whose values differ, for normalization 'standard'/);
  await other.fit([new Array(40).fill(3), new Array(30).fill(5)], { epochs: 1 });
  const [constant] = await other.predict([new Array(20).fill(9)]);
  ok(constant.point.every((v) => Math.abs(v - 9) < 1e-6));
});

test('backtest: each model learns from all series before its first forecasts', async () => {
  const create = { ...SMALL, hiddenSize: 4 };
  const fit = { ...FIT, epochs: 1 };
  const series = MANY.slice(0, 2);
  const from = [100, 60];
  const report = await backtest(series, { from, refit: 10, season: 12, create, fit });
  // 17 and 27 forecasts: the second series has a third stretch
  equal(
    report.series.map(({ forecasts }) => forecasts),
    [17, 27],
  );
  const byHand = async (to: number[], until: number[]) => {
    using model = await Forecaster.create(create);
    await model.fit(series, { ...fit, to });
    const all = to.map((own, i) =>
      own < until[i] ? model.evaluate(series[i], { from: own, until: until[i], season: 12, warn: false }) : null,
    );
    return await Promise.all(all);
  };
  const parts = [
    await byHand([100, 60], [110, 70]),
    await byHand([110, 70], [117, 80]),
    await byHand([117, 80], [117, 87]),
  ];
  for (const i of [0, 1]) {
    const own = parts.map((all) => all[i]).filter((part) => part !== null) as ForecasterReport<never>[];
    const n = own.reduce((sum, { forecasts }) => sum + forecasts, 0);
    const mae = own.reduce((sum, part) => sum + part.forecasts * part.mae, 0) / n;
    close([report.series[i].mae], [mae], 1e-9, `series ${i}`);
  }
  const once = await backtest(series, { from: -20, create, fit });
  equal(
    once.series.map(({ forecasts }) => forecasts),
    [17, 17],
  );
});

test('a setting is chosen for many series together, on the end of each', async () => {
  const options = {
    to: -20,
    create: { horizon: 4, hiddenSize: 3, seed: 2 },
    windows: [4, 12],
    differences: [0, 1],
    cells: ['rnn'],
    fit: { epochs: 2, batchSize: 64 },
  } as const;
  const choice = await chooseForecaster(MANY, options);
  const later = MANY.map((y) => y.map((v, t) => (t < y.length - 20 ? v : 50 * v)));
  equal(await chooseForecaster(later, options), choice);
  ok(choice.candidates.every(({ trend }) => trend === 'none'));
  is(choice.candidates.length, 2 * 2 * 3);
  const [{ error, ...best }] = choice.candidates;
  using model = await Forecaster.create({ ...options.create, ...best });
  const ends = MANY.map(({ length }) => length - 20 - Math.round(0.25 * (length - 20)));
  await model.fit(MANY, { to: ends, steps: 1, learningRate: 0 });
  const until = MANY.map(({ length }) => length - 20 - 3);
  const { series } = await model.evaluate(MANY, { from: ends, until, warn: false });
  const mean = series.reduce((sum, { mae, baselines }) => sum + mae / baselines.naive.mae, 0) / 3;
  close([error], [mean], 1e-6, 'error');
});

test('bad input: each with its message, before anything is changed', async () => {
  using model = await Forecaster.create({ ...SMALL });
  const before = model.save();
  throws(
    () => model.fit([MANY[0], [1, 2, 3]]),
    /^series\[1\]: expected at least 16 steps for window 12, horizon 4 and difference 0, got 3/,
  );
  throws(
    () => model.fit([MANY[0], 'abc'] as never),
    /^series\[1\]: expected numbers, or numbers by their names, got 'abc'/,
  );
  throws(() => model.fit([MANY[0], [1, Number.NaN]]), /^series\[1\]\[1\]: expected a finite number, got NaN/);
  throws(() => model.fit(MANY, { to: [50, 50] }), /^to: expected one for each of 3 series, got 2/);
  throws(() => model.fit(MANY, { to: -120 }), /^to of series\[0\]: expected a whole number from 1 to 120, got 0/);
  throws(() => model.fit(MANY, { to: 1.5 }), /^to: expected a whole number/);
  throws(
    () => model.fit(MANY, { validation: 0.03 }),
    /^validation of series\[1\]: expected a share with at least horizon=4 of 90/,
  );
  throws(
    () => model.fit(MANY, { to: '2020-01-01' }),
    /^series\[0\]: expected \{ series, dates \}, because to is a date/,
  );
  using line = await Forecaster.create({ ...SMALL, normalization: 'none', trend: 'linear' });
  throws(() => line.fit(MANY), /^series: a model with trend 'linear' learns from one series/);
  ok(same(before, model.save()));
  await model.fit(MANY, { epochs: 1 });
  throws(
    () => model.evaluate(MANY, { from: 100 }),
    /^from of series\[1\]: expected a whole number from 12 to 86, got 100/,
  );
  throws(
    () => model.evaluate(MANY, { from: [20, 20, 3] }),
    /^from of series\[2\]: expected a whole number from 12 to 146, got 3/,
  );
  await rejects(
    Promise.resolve().then(() => backtest(MANY, { from: 100, create: SMALL })),
    /^from of series\[1\]: /,
  );
  throws(
    () => chooseForecaster([MANY[0], MANY[1].slice(0, 9)], { create: { horizon: 4 } }),
    /^series\[1\]: expected enough steps/,
  );
});

test.run();
