/** Time series: gradients, what is learned against a naive forecast, scaling, quantiles, going on exactly, and bad input. */
import { FormatError, gradcheck, input } from 'gatewise';
import { Forecaster } from 'gatewise/tasks';
import { test } from 'uvu';
import { equal, is, ok, throws } from 'uvu/assert';
import { leastSquares, objective } from './reference/solve.js';
import { close, random } from './support/numbers.js';
import { rejects } from './support/rejects.js';

const same = (a: Uint8Array, b: Uint8Array) => Buffer.compare(a, b) === 0;
const PERIOD = 12;

/** Noise that is nearly normal. */
function noise(seed: number): () => number {
  const next = random(seed);
  return () => Array.from({ length: 12 }, next).reduce((a, b) => a + b) - 6;
}

/** A wave on a rising line, with noise. */
function wave(n: number, { trend = 0.05, spread = 0.1, seed = 1 } = {}): number[] {
  const next = noise(seed);
  return Array.from({ length: n }, (_, t) => 10 + trend * t + Math.sin((2 * Math.PI * t) / PERIOD) + spread * next());
}

const SERIES = wave(500);
const SMALL = { window: 24, horizon: 6, hiddenSize: 24, seed: 1 };
const FIT = { batchSize: 32, learningRate: 5e-3 };

for (const method of ['direct', 'recursive'] as const) {
  for (const loss of ['mse', 'huber', 'quantile'] as const) {
    test(`${method}, ${loss}: gradcheck of two variables`, async () => {
      using model = await Forecaster.create({
        window: 5,
        horizon: 3,
        variables: ['a', 'b'],
        method,
        loss,
        hiddenSize: 6,
        seed: 2,
      });
      const next = noise(4);
      model.model.unfreeze('linear');
      for (const name of ['head.weight', 'linear.weight', 'linear.bias']) {
        model.model.set(
          name,
          Float32Array.from({ length: model.model.parameter(name).size }, () => 0.1 * next()),
        );
      }
      const values = Float32Array.from({ length: 5 * 3 * 2 }, next);
      // far from the forecasts, where neither loss has a kink
      const targets = Array.from({ length: 3 }, (_, b) =>
        Float32Array.from({ length: 6 }, (_, i) => ((b + i) % 2 ? 4 : -4)),
      );
      const { layers } = model.model;
      const check = (wanted: readonly Float32Array[]) => {
        const result = gradcheck(model.model, (tape) =>
          layers.losses(tape, input(tape, values, { T: 5, B: 3, F: 2 }), wanted),
        );
        ok(result.ok, `worst ${result.worst}`);
        is(result.parameters.length, 2 * model.model.parameters.length);
      };
      check(targets);
      // some are missing, and all of the second step of a sequence
      const some = targets.map((own, b) =>
        own.map((v, i) => ((b + i) % 3 === 0 || (b === 1 && i < 4 && i > 1) ? Number.NaN : v)),
      );
      check(some);
      // the loss is the mean over those that are not
      const value = (wanted: readonly Float32Array[]) =>
        model.model.forward((tape) =>
          layers
            .losses(tape, input(tape, values, { T: 5, B: 3, F: 2 }), wanted)
            .map(({ loss, weight }) => [loss.value, weight]),
        );
      const one = (v: number, i: number) =>
        targets.map((own, b) => own.map((_, j) => (b === 1 && i === j ? v : Number.NaN)));
      const alone = some.flatMap((own, b) => (b === 1 ? [...own.keys()].filter((i) => !Number.isNaN(own[i])) : []));
      const expected = alone.map((i) => value(one(some[1][i], i)).reduce((sum, [l, w]) => sum + l * w, 0));
      const first = some.map((own, b) => own.map((v) => (b === 1 ? v : Number.NaN)));
      const pieces = value(first);
      const counts = pieces.map((_, k) => alone.filter((i) => pieces.length === 1 || Math.floor(i / 2) === k).length);
      const mean = pieces.reduce((sum, [l, w], k) => sum + l * w * counts[k], 0);
      close([mean], [expected.reduce((a, b) => a + b)], 1e-5, 'loss');
    });
  }

  for (const treatment of [{ trend: 'linear' }, { difference: PERIOD }, { difference: 1, trend: 'linear' }] as const) {
    test(`${method}, ${JSON.stringify(treatment)}: better than the naive forecast on a wave with a trend`, async () => {
      using model = await Forecaster.create({ ...SMALL, method, ...treatment });
      await model.fit(SERIES, { ...FIT, to: 400, epochs: 25 });
      const { mae, baselines, horizon, forecasts } = await model.evaluate(SERIES, { from: 400, season: PERIOD });
      is(forecasts, 95);
      // the trend alone puts the naive one 0.6 off
      const naive = baselines.seasonalNaive;
      ok(mae < 0.3 * naive.mae, `${mae}, naive ${naive.mae}`);
      const { rmse } = horizon;
      is(rmse.length, 6);
      ok(rmse.every((e, k) => e < naive.horizon.rmse[k]));
    });
  }
}

/** The steps after `origin` by AR(p), its order by AIC, in double precision: what `evaluate` compares with. */
function autoregression(
  y: readonly number[],
  from: number,
): { order: number; said: (o: number, H: number) => number[] } {
  const most = Math.min(Math.floor(10 * Math.log10(from)), Math.floor((from - 2) / 3));
  const solve = (p: number, first: number) => {
    const rows = Array.from({ length: from - first }, (_, i) => first + i);
    const x = Float64Array.from(rows.flatMap((t) => [1, ...Array.from({ length: p }, (_, i) => y[t - 1 - i])]));
    const Y = Float64Array.from(rows, (t) => y[t]);
    const w = leastSquares(x, Y, new Array(p + 1).fill(0));
    return { w, aic: rows.length * Math.log(objective(x, Y, w, new Array(p + 1).fill(0)) / rows.length) + 2 * p };
  };
  const all = Array.from({ length: most + 1 }, (_, p) => solve(p, most).aic);
  const order = all.indexOf(Math.min(...all));
  const { w } = solve(order, order);
  const said = (origin: number, H: number) => {
    const past = y.slice(0, origin);
    for (let k = 0; k < H; k++) past.push(w.reduce((sum, own, i) => sum + own * (i ? past[past.length - i] : 1), 0));
    return past.slice(origin);
  };
  return { order, said };
}

test('the simple forecasts and the errors are what they are said to be', async () => {
  using model = await Forecaster.create({ ...SMALL, window: 3, horizon: 5, loss: 'quantile' });
  await model.fit(SERIES, { epochs: 1, to: 100 });
  const report = await model.evaluate(SERIES, {
    from: 200,
    until: 490,
    stride: 7,
    season: 4,
    batchSize: 5,
    warn: false,
  });
  const { horizon, mae, baselines, forecasts } = report;
  const origins = Array.from({ length: 42 }, (_, i) => 200 + 7 * i);
  is(forecasts, 42);
  const mean = (of: (origin: number) => number) => origins.reduce((sum, o) => sum + of(o), 0) / origins.length;
  const all = await model.predict(origins.map((o) => SERIES.slice(0, o)));
  const said = new Map(origins.map((o, i) => [o, all[i]]));
  const near = (a: number, b: number, bound = 1e-6) =>
    ok(Math.abs(a - b) <= bound * Math.max(1, Math.abs(b)), `${a}, expected ${b}`);
  const ar = autoregression(SERIES, 200);
  ok(ar.order > 5, `${ar.order}`);
  const arSaid = new Map(origins.map((o) => [o, ar.said(o, 5)]));
  const rules = {
    naive: (o: number) => SERIES[o - 1],
    drift: (o: number, k: number) => SERIES[o - 1] + ((k + 1) * (SERIES[o - 1] - SERIES[0])) / (o - 1),
    seasonalNaive: (o: number, k: number) => SERIES[o + k - (k < 4 ? 4 : 8)],
    ar: (o: number, k: number) => arSaid.get(o)?.[k] ?? 0,
  };
  is(baselines.seasonalNaive.season, 4);
  is(baselines.ar.order, ar.order);
  for (let k = 0; k < 5; k++) {
    near(
      horizon.mae[k],
      mean((o) => Math.abs((said.get(o)?.point[k] ?? 0) - SERIES[o + k])),
    );
    for (const name of ['naive', 'drift', 'seasonalNaive', 'ar'] as const) {
      const own = baselines[name];
      const bound = name === 'ar' ? 1e-4 : 1e-12;
      const errors = (o: number) => rules[name](o, k) - SERIES[o + k];
      near(
        own.horizon.mae[k],
        mean((o) => Math.abs(errors(o))),
        bound,
      );
      near(own.horizon.rmse[k], Math.sqrt(mean((o) => errors(o) ** 2)), bound);
      near(own.skill[k], 1 - horizon.mae[k] / own.horizon.mae[k], 1e-12);
    }
    const pinball = (o: number) =>
      [0.1, 0.5, 0.9].reduce((sum, q, i) => {
        const d = SERIES[o + k] - (said.get(o)?.quantiles?.[i][k] ?? 0);
        return sum + Math.max(q * d, (q - 1) * d) / 3;
      }, 0);
    near(horizon.pinball?.[k] ?? 0, mean(pinball));
  }
  near(mae, horizon.mae.reduce((a, b) => a + b) / 5);
  for (const { mae: own, horizon: steps } of Object.values(baselines)) near(own, steps.mae.reduce((a, b) => a + b) / 5);
});

test('a model that loses is told so, and by whom; the season is found', async () => {
  const warned: string[] = [];
  const { warn } = console;
  console.warn = (text: string) => warned.push(text);
  try {
    const series = wave(300, { trend: 0, spread: 0.01 });
    using poor = await Forecaster.create({ ...SMALL, window: 1, horizon: 4, linear: 0, variables: ['level'] });
    await poor.fit({ level: series }, { epochs: 1, to: 200, learningRate: 0 });
    const report = await poor.evaluate({ level: series }, { from: 200 });
    const { mae, better, baselines } = report.variables.level;
    is(baselines.seasonalNaive.season, PERIOD);
    ok(better.length > 1, `${better}`);
    equal(
      [...better].sort((a, b) => baselines[a].mae - baselines[b].mae),
      better,
    );
    for (const [name, own] of Object.entries(baselines)) is(better.includes(name as 'ar'), own.mae < mae, name);
    is(warned.length, 1);
    ok(warned[0].startsWith('gatewise: level: '), warned[0]);
    ok(warned[0].includes(`${baselines[better[0]].mae} and ${mae}`), warned[0]);
    await poor.evaluate({ level: series }, { from: 200, warn: false });
    is(warned.length, 1);
    using good = await Forecaster.create({ ...SMALL, horizon: 4, window: 12 });
    await good.fit(wave(300, { spread: 0.3 }), { epochs: 1, to: 200, learningRate: 0 });
    const { baselines: others, better: none } = await good.evaluate(wave(300, { spread: 0.3 }), { from: 200 });
    is(none.length === 0, warned.length === 1);
    is(none.includes('naive'), false);
    ok(others.naive.skill.every((s) => s > 0));
  } finally {
    console.warn = warn;
  }
});

test('simple forecasts of a constant series, and of few values, are exact', async () => {
  for (const n of [8, 60]) {
    using model = await Forecaster.create({ window: 2, horizon: 2, hiddenSize: 2 });
    const series = new Array(n).fill(7);
    await model.fit(series, { epochs: 1 });
    const { baselines, mae } = await model.evaluate(series, { from: 4, warn: false });
    for (const [name, own] of Object.entries(baselines)) ok(own.mae < 1e-6, `${name}: ${own.mae}`);
    ok(mae < 1e-6);
    ok(Object.values(baselines).every(({ skill }) => skill.every((s) => !Number.isNaN(s))));
  }
});

test('quantiles are in order, and hold about the share of values that they say', async () => {
  const series = wave(1500, { spread: 0.5 });
  for (const method of ['direct', 'recursive'] as const) {
    using model = await Forecaster.create({ ...SMALL, method, quantiles: [0.1, 0.5, 0.9], trend: 'linear' });
    await model.fit(series, { ...FIT, to: 1200, epochs: 6 });
    const { coverage } = await model.evaluate(series, { from: 1200 });
    is(coverage?.length, 3);
    coverage?.forEach((share, i) => {
      ok(Math.abs(share - [0.1, 0.5, 0.9][i]) < 0.1, `${method}: ${share}`);
    });
    const [{ point, quantiles = [] }] = await model.predict([series], { start: 0 });
    equal(point, quantiles[1]);
    for (let k = 0; k < 6; k++) ok(quantiles[0][k] <= quantiles[1][k] && quantiles[1][k] <= quantiles[2][k]);
  }
});

test('what lies behind the training part changes nothing: not the scaling, not the weights', async () => {
  const train = async (series: number[]) => {
    using model = await Forecaster.create({ ...SMALL, trend: 'linear' });
    await model.fit(series, { ...FIT, to: 300, epochs: 1 });
    return { file: model.save(), scaling: model.scaling };
  };
  const a = await train(SERIES);
  const b = await train(SERIES.map((v, t) => (t < 300 ? v : 1e6 * v)));
  equal(a.scaling, b.scaling);
  ok(same(a.file, b.file));
  // least squares of the line that was put in; the wave and the noise move it little
  const { slope, level } = a.scaling ?? { slope: 0, level: 0 };
  ok(Math.abs(slope - 0.05) < 1e-3 && Math.abs(level - 10) < 0.2, `${level} + ${slope} t`);
});

test('a straight line is continued as one: scaling and its inverse are exact', async () => {
  const line = Array.from({ length: 80 }, (_, t) => 3 - 0.25 * t);
  for (const treatment of [{ trend: 'linear' }, { difference: 1 }, { difference: 4, trend: 'linear' }] as const) {
    using model = await Forecaster.create({ window: 6, horizon: 9, hiddenSize: 4, ...treatment });
    await model.fit(line, { epochs: 1 });
    // nothing is left to learn, and weights of zero say so
    for (const { name, size } of model.model.parameters) model.model.set(name, new Float32Array(size));
    const want = Float64Array.from({ length: 9 }, (_, k) => 3 - 0.25 * (80 + k));
    const [{ point }] = await model.predict([line], { start: 0 });
    ok(
      point.every((v, k) => Math.abs(v - want[k]) < 1e-9),
      `${point}`,
    );
    // the same from the end alone, told where it is
    const [end] = await model.predict([line.slice(50)], { start: 50 });
    equal(
      end.point.map((v) => Math.round(v * 1e6)),
      want.map((v) => Math.round(v * 1e6)),
    );
  }
});

test('several variables, of which some are predicted: one that leads another is used', async () => {
  const next = noise(7);
  const lead = Array.from({ length: 600 }, next);
  const follow = lead.map((_, t) => (t > 1 ? lead[t - 2] : 0));
  using model = await Forecaster.create({
    window: 4,
    horizon: 2,
    variables: ['lead', 'follow'],
    targets: ['follow'],
    hiddenSize: 24,
    seed: 1,
  });
  await model.fit({ lead, follow }, { ...FIT, to: 500, epochs: 25, learningRate: 1e-2 });
  const { variables } = await model.evaluate({ lead, follow }, { from: 500, season: 1 });
  equal(Object.keys(variables), ['follow']);
  const { mae, baselines } = variables.follow;
  ok(mae < 0.1 * baselines.naive.mae, `${mae}, naive ${baselines.naive.mae}`);
  const [forecast] = await model.predict([{ lead, follow }]);
  equal(Object.keys(forecast), ['follow']);
  equal(Object.keys(forecast.follow), ['point']);
});

test('recursive continues past its horizon; a longer forecast begins like a shorter one', async () => {
  using model = await Forecaster.create({ ...SMALL, method: 'recursive', trend: 'linear' });
  await model.fit(SERIES, { ...FIT, epochs: 15 });
  const [{ point: short }] = await model.predict([SERIES], { start: 0 });
  const [{ point: long }] = await model.predict([SERIES], { steps: 36, start: 0 });
  is(long.length, 36);
  equal(long.slice(0, 6), short);
  ok(long.every((v, k) => Math.abs(v - (10 + 0.05 * (500 + k) + Math.sin((2 * Math.PI * (500 + k)) / PERIOD))) < 0.6));
});

for (const method of ['direct', 'recursive'] as const) {
  test(`${method}: four passes equal two, save, load, two more, bit for bit`, async () => {
    const make = () => Forecaster.create({ ...SMALL, method, difference: 12, trend: 'linear', outputDropout: 0.1 });
    using whole = await make();
    await whole.fit(SERIES, { ...FIT, to: 150, epochs: 4 });
    using half = await make();
    await half.fit(SERIES, { ...FIT, to: 150, epochs: 2 });
    using again = await Forecaster.load(half.save());
    equal(again.config, half.config);
    equal(again.scaling, half.scaling);
    await again.fit(SERIES, { ...FIT, to: 150, epochs: 2 });
    ok(same(whole.save(), again.save()));
    equal(await again.predict([SERIES], { start: 0 }), await whole.predict([SERIES], { start: 0 }));
  });

  test(`${method}: forecasts of a batch are those made one by one`, async () => {
    using model = await Forecaster.create({ ...SMALL, method });
    await model.fit(SERIES, { ...FIT, to: 100, epochs: 1 });
    const figures = async (batchSize: number) => (await model.evaluate(SERIES, { from: 400, batchSize })).horizon;
    const [together, alone] = [await figures(64), await figures(1)];
    ok(together.mae.every((e, k) => Math.abs(e - alone.mae[k]) <= 1e-6 * e));
  });
}

for (const options of [
  {},
  { method: 'recursive', difference: PERIOD },
  { quantiles: [0.2, 0.5, 0.9], trend: 'linear' },
  { linear: 0, difference: 3 },
  { linear: 5, difference: 2 },
  { normalization: 'last', method: 'recursive' },
  { normalization: 'standard', linear: 3, difference: 1 },
] as const) {
  test(`a stream that has read a window predicts what predict does: ${JSON.stringify(options)}`, async () => {
    using model = await Forecaster.create({ ...SMALL, ...options });
    await model.fit(SERIES, { ...FIT, epochs: 1 });
    const { window, difference = 0 } = { ...SMALL, ...options } as { window: number; difference?: number };
    const start = 100;
    const history = SERIES.slice(start, start + difference);
    const values = SERIES.slice(start + difference, start + difference + window);
    const [want] = await model.predict([[...history, ...values]], { start });
    const open = () => {
      const stream = model.stream(undefined, { start });
      for (const value of history) is(stream.step(value), null);
      return stream;
    };
    const [one, other] = [open(), open()];
    let last: unknown;
    for (const [i, value] of values.entries()) {
      last = one.step(value);
      other.step(values[values.length - 1 - i]);
    }
    equal(last, want);
    // saved anywhere and loaded, also before the first forecast
    const all = [...history, ...values];
    for (const cut of [0, 1, difference, all.length - 3]) {
      const first = model.stream(undefined, { start });
      for (const value of all.slice(0, cut)) first.step(value);
      const second = model.stream(first.save());
      for (const value of all.slice(cut)) last = second.step(value);
      equal(last, want);
    }
    one.reset();
    for (const value of all) last = one.step(value);
    equal(last, want);
    if (options.trend) {
      const wanted = /^start: with trend 'linear', expected the number of the first step, .*got undefined$/;
      throws(() => model.predict([all]), wanted);
      throws(() => model.stream(), wanted);
      const continued = model.stream(one.save());
      continued.reset();
      throws(() => continued.step(1), wanted);
    }
    throws(() => one.step(Number.NaN), /values\[0\]: expected a finite number, got NaN/);
    throws(() => one.step({ other: 1 } as never), /other/);
  });
}

test('a stream gives a forecast once it has read what the linear path reads', async () => {
  for (const [options, nulls] of [
    [{}, 23],
    [{ linear: 0 }, 0],
    [{ linear: 4, difference: 3 }, 6],
    [{ linear: 4, normalization: 'last' }, 23],
  ] as const) {
    using model = await Forecaster.create({ ...SMALL, ...options });
    await model.fit(SERIES, { ...FIT, to: 100, epochs: 1 });
    const stream = model.stream();
    const results = SERIES.slice(0, 30).map((value) => stream.step(value) === null);
    is(results.indexOf(false), nulls);
    is(results.lastIndexOf(true), nulls - 1);
  }
});

test('a stream says what it lacks', async () => {
  using model = await Forecaster.create({ ...SMALL, difference: PERIOD });
  throws(() => model.stream(), /this model has not been trained/);
  await model.fit(SERIES, { ...FIT, epochs: 1 });
  throws(() => model.stream(undefined, { start: -1 }), /start: .*got -1/);
  throws(() => model.stream(undefined, { from: 3 } as never), /unknown option 'from'/);
});

/** Rows [x of the linear path, 1] and targets of windows, in double precision. */
function equations(z: readonly number[], places: readonly number[], window: number, horizon: number) {
  return {
    x: Float64Array.from(places.flatMap((i) => [...z.slice(i, i + window), 1])),
    y: Float64Array.from(places.flatMap((i) => z.slice(i + window, i + window + horizon))),
  };
}

test('the linear path is the ridge regression whose penalty predicts the last fifth best', async () => {
  const [window, horizon] = [4, 3];
  for (const [seed, spread] of [
    [3, 2],
    [4, 0.01],
  ]) {
    const series = wave(90, { seed, spread, trend: 0 });
    using model = await Forecaster.create({ window, horizon, hiddenSize: 4 });
    await model.fit(series, { epochs: 1, learningRate: 0 });
    const { level, scale } = model.scaling ?? { level: 0, scale: 1 };
    const z = series.map((y) => (y - level) / scale);
    const all = Array.from({ length: 90 - window - horizon + 1 }, (_, i) => i);
    const end = Math.floor(0.8 * all.length);
    const solved = (places: readonly number[], penalty: number) => {
      const { x, y } = equations(z, places, window, horizon);
      const squares = x.reduce((sum, v, i) => sum + (i % (window + 1) < window ? v * v : 0), 0);
      const lambda = (penalty * squares) / window;
      return leastSquares(x, y, [...new Array(window).fill(lambda), 0]);
    };
    const wrong = (penalty: number) => {
      const early = all.filter((i) => i + horizon <= end);
      const { x, y } = equations(z, all.slice(end), window, horizon);
      return objective(x, y, solved(early, penalty), new Array(window + 1).fill(0));
    };
    const penalties = [1e-8, 1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1];
    const best = penalties.reduce((a, b) => (wrong(b) < wrong(a) ? b : a));
    const w = solved(all, best);
    const want = Float64Array.from(
      { length: horizon * window },
      (_, i) => w[(i % window) * horizon + Math.floor(i / window)],
    );
    close(model.model.get('linear.weight'), want, 2e-4, `weights, λ ${best}`);
    const [{ point }] = await model.predict([series]);
    const last = [...z.slice(-window), 1];
    const said = Float64Array.from({ length: horizon }, (_, k) =>
      last.reduce((sum, v, n) => sum + v * w[n * horizon + k], 0),
    );
    close(
      point,
      said.map((v) => v * scale + level),
      1e-5,
      'forecast',
    );
  }
});

test('training starts from the linear path, and leaves it as it is unless it is unfrozen', async () => {
  const start = async (seed: number, options: object = {}) => {
    const model = await Forecaster.create({ ...SMALL, seed, ...options });
    await model.fit(SERIES, { epochs: 1, learningRate: 0 });
    return model;
  };
  for (const options of [{}, { method: 'recursive' }, { quantiles: [0.1, 0.5, 0.9] }]) {
    using one = await start(1, options);
    using other = await start(2, options);
    equal(await one.predict([SERIES]), await other.predict([SERIES]));
    const before = one.model.get('linear.weight');
    await one.fit(SERIES, { ...FIT, epochs: 1, optimizer: 'adamw', weightDecay: 0.1 });
    equal(one.model.get('linear.weight'), before);
    using loaded = await Forecaster.load(one.save());
    await loaded.fit(SERIES, { ...FIT, epochs: 1 });
    equal(loaded.model.get('linear.weight'), before);
    loaded.model.unfreeze('linear');
    await loaded.fit(SERIES, { ...FIT, epochs: 1 });
    ok(loaded.model.get('linear.weight').some((w, i) => w !== before[i]));
  }
});

test('with validation, the error never ends above that of the linear path', async () => {
  using linear = await Forecaster.create({ ...SMALL });
  await linear.fit(SERIES.slice(0, 320), { epochs: 1, learningRate: 0 });
  const { mae } = await linear.evaluate(SERIES.slice(0, 400), { from: 320 });
  for (const learningRate of [0.5, 3e-3]) {
    using model = await Forecaster.create({ ...SMALL });
    const { best } = await model.fit(SERIES, { ...FIT, to: 400, epochs: 4, learningRate, validation: 0.2 });
    const after = await model.evaluate(SERIES.slice(0, 400), { from: 320 });
    is(best?.value, after.mae);
    if (learningRate > 0.1) {
      is(best?.step, 0);
      is(after.mae, mae);
    } else ok(after.mae < mae, `${after.mae}, linear ${mae}`);
  }
});

test('quantiles start as those of what the mean leaves of the training data', async () => {
  const series = wave(400, { spread: 0.5, trend: 0 });
  for (const method of ['direct', 'recursive'] as const) {
    using model = await Forecaster.create({ ...SMALL, method, horizon: 2, quantiles: [0.1, 0.3, 0.5, 0.95] });
    await model.fit(series, { epochs: 1, learningRate: 0 });
    const { variables, coverage } = { variables: null, ...(await model.evaluate(series, { from: 24 })) };
    is(variables, null);
    coverage?.forEach((share, i) => {
      // of two steps of a recursive forecast, the second has larger errors than those of one step
      ok(Math.abs(share - [0.1, 0.3, 0.5, 0.95][i]) < (method === 'direct' ? 0.01 : 0.05), `${method}: ${share}`);
    });
  }
});

test('with normalization, forecasts move with the series: last by any constant, standard by any factor too', async () => {
  for (const [normalization, factor] of [
    ['last', 1],
    ['standard', 2.5],
  ] as const) {
    for (const method of ['direct', 'recursive'] as const) {
      using model = await Forecaster.create({ ...SMALL, normalization, method, quantiles: [0.2, 0.5, 0.8] });
      await model.fit(SERIES, { ...FIT, to: 200, epochs: 2 });
      const [plain] = await model.predict([SERIES]);
      const [moved] = await model.predict([SERIES.map((v) => factor * v + 40)]);
      close(
        moved.point,
        plain.point.map((v) => factor * v + 40),
        2e-5,
        `${normalization} ${method}`,
      );
      close(moved.quantiles?.[2] ?? [], plain.quantiles?.[2].map((v) => factor * v + 40) ?? [1], 2e-5, normalization);
    }
  }
});

test('a file from before there was a linear path has none', async () => {
  using model = await Forecaster.create({ ...SMALL, linear: 0 });
  await model.fit(SERIES, { ...FIT, to: 100, epochs: 1 });
  const text = Buffer.from(model.save()).toString('latin1');
  const own = ',\\"linear\\":0';
  ok(text.includes(own));
  using old = await Forecaster.load(Buffer.from(text.replace(own, ' '.repeat(own.length)), 'latin1'));
  is(old.config.linear, 0);
  equal(await old.predict([SERIES]), await model.predict([SERIES]));
  // and of one that has it, the tensors are required
  using whole = await Forecaster.create({ ...SMALL, linear: 7 });
  const cut = Buffer.from(
    Buffer.from(whole.save()).toString('latin1').replace('"linear.bias"', '"linear.bia2"'),
    'latin1',
  );
  await rejects(Forecaster.load(cut), /linear\.bias/);
});

test('calibrated quantiles have their coverage on what they were calibrated on, and nearly so on what follows', async () => {
  const series = wave(900, { spread: 0.5, trend: 0 });
  for (const method of ['direct', 'recursive'] as const) {
    const quantiles = [0.1, 0.5, 0.8];
    using model = await Forecaster.create({ ...SMALL, window: 12, horizon: 3, method, quantiles, linear: 0 });
    await model.fit(series, { ...FIT, to: 300, epochs: 1 });
    const before = await model.evaluate(series, { from: 300, until: 600, warn: false });
    const [raw] = await model.predict([series]);
    const off = (coverage: Float64Array = new Float64Array()) =>
      Math.max(...coverage.map((c, i) => Math.abs(c - quantiles[i])));
    ok(off(before.coverage) > 0.05, `${before.coverage}`);
    await model.calibrate(series, { from: 300, until: 600 });
    const same = await model.evaluate(series, { from: 300, until: 600, warn: false });
    ok(off(same.coverage) < 0.01, `${method}: ${same.coverage}`);
    const after = await model.evaluate(series, { from: 600, warn: false });
    ok(off(after.coverage) < 0.06, `${method}: ${after.coverage}`);
    // the offset of the last step ahead, by hand
    const [own] = await model.predict([series]);
    const origins = Array.from({ length: 300 }, (_, i) => 300 + i);
    using fresh = await Forecaster.load(model.save());
    await fresh.fit(series, { epochs: 1, learningRate: 0 }); // drops the calibration
    const said = await fresh.predict(origins.map((o) => series.slice(0, o)));
    equal((await fresh.predict([series]))[0], raw);
    quantiles.forEach((q, i) => {
      const rest = origins.map((o, n) => series[o + 2] - (said[n].quantiles?.[i][2] ?? 0)).sort((a, b) => a - b);
      const rank = q < 0.5 ? Math.floor(301 * q) : Math.ceil(301 * q);
      close([(own.quantiles?.[i][2] ?? 0) - (raw.quantiles?.[i][2] ?? 0)], [rest[rank - 1]], 1e-5, `quantile ${q}`);
    });
    equal(own.point, own.quantiles?.[1]);
    // it is kept, and used by streams and for later steps
    using loaded = await Forecaster.load(model.save());
    equal(await loaded.predict([series]), [own]);
    const stream = loaded.stream();
    let last: unknown;
    for (const v of series.slice(-12)) last = stream.step(v);
    equal(last, (await loaded.predict([series.slice(-12)]))[0]);
    // a second one starts from the model alone
    await model.calibrate(series, { from: 300, until: 600 });
    equal(await model.predict([series]), [own]);
    if (method === 'recursive') {
      const [far] = await model.predict([series], { steps: 5 });
      const [bare] = await fresh.predict([series], { steps: 5 });
      const moved = (k: number) => (far.quantiles?.[2][k] ?? 0) - (bare.quantiles?.[2][k] ?? 0);
      close([moved(4)], [moved(2)], 1e-9, 'later steps');
    }
  }
});

test('a calibration that is impossible, and a damaged one, are refused', async () => {
  using model = await Forecaster.create({ ...SMALL, window: 4, horizon: 2, quantiles: [0.05, 0.95] });
  throws(() => model.calibrate(SERIES, { from: 100 }), /this model has not been trained/);
  await model.fit(SERIES, { ...FIT, to: 100, epochs: 1 });
  const before = model.save();
  await rejects(
    Promise.resolve(model.calibrate(SERIES, { from: 100, until: 118 })),
    /^series: expected at least 19 forecasts to calibrate the quantile 0\.05, got 18/,
  );
  ok(same(before, model.save()));
  await model.calibrate(SERIES, { from: 100, until: 119 });
  throws(() => model.calibrate(SERIES, { from: 499 }), /^from: expected a whole number from 4 to 498, got 499/);
  throws(() => model.calibrate(SERIES, { from: 100, season: 3 } as never), /unknown option 'season'/);
  using points = await Forecaster.create(SMALL);
  throws(() => points.calibrate(SERIES, { from: 100 }), /^calibrate: expected a model with quantiles/);
  const text = Buffer.from(model.save()).toString('latin1');
  const damaged = text.replace(
    /(calibration[\\]":\[\[\[)([-\d.e]+)/,
    (_, head, number) => `${head}${'{}'.padEnd(number.length)}`,
  );
  is.not(damaged, text);
  await rejects(
    Forecaster.load(Buffer.from(damaged, 'latin1')),
    /calibration\[0\]\[0\]\[0\]: expected a finite number/,
  );
});

test('missing values are read as those before, and have no part in what is compared', async () => {
  const holes = SERIES.map((v, t) => ((t * 7919) % 11 < 2 && t > 3 ? Number.NaN : v));
  for (const options of [
    { difference: 0 },
    { difference: 3, quantiles: [0.1, 0.5, 0.9] },
    { method: 'recursive', normalization: 'last' },
  ] as const) {
    const { difference = 0 } = { ...options } as { difference?: number };
    const full = [...holes];
    for (const [t, v] of full.entries()) if (Number.isNaN(v)) full[t] = full[t - (difference || 1)];
    const make = () => Forecaster.create({ ...SMALL, window: 8, horizon: 3, missing: 'mask', ...options });
    using model = await make();
    await model.fit(holes, { ...FIT, to: 300, epochs: 2, validation: 0.1 });
    equal(await model.predict([holes]), await model.predict([full]));
    const [gaps, whole] = [holes, full].map((y) => {
      const stream = model.stream();
      return y.slice(0, 60).map((v) => stream.step(v));
    });
    equal(gaps, whole);
    // what is compared, by hand
    const { horizon, coverage = [], baselines, mae } = await model.evaluate(holes, { from: 350, warn: false });
    const origins = Array.from({ length: 500 - 3 - 350 + 1 }, (_, i) => 350 + i);
    const said = await model.predict(origins.map((o) => full.slice(0, o)));
    const below = new Float64Array(coverage.length);
    for (let k = 0; k < 3; k++) {
      const there = origins.map((o, i) => ({ o, i })).filter(({ o }) => !Number.isNaN(holes[o + k]));
      ok(there.length < 0.9 * origins.length);
      is(horizon.count[k], there.length);
      const mean = (of: (o: number, i: number) => number) =>
        there.reduce((sum, { o, i }) => sum + of(o, i), 0) / there.length;
      close([horizon.mae[k]], [mean((o, i) => Math.abs(said[i].point[k] - holes[o + k]))], 1e-5, 'error');
      close([baselines.naive.horizon.mae[k]], [mean((o) => Math.abs(full[o - 1] - holes[o + k]))], 1e-9, 'naive');
      for (const { o, i } of there) said[i].quantiles?.forEach((q, n) => (below[n] += Number(holes[o + k] <= q[k])));
    }
    const all = horizon.count.reduce((a, b) => a + b);
    close(
      [...coverage],
      [...below].map((n) => n / all),
      1e-12,
      'coverage',
    );
    ok(Number.isFinite(mae));
    // not the same as learning from what was filled in
    using other = await make();
    await other.fit(full, { ...FIT, to: 300, epochs: 2, validation: 0.1 });
    ok(other.model.get('linear.bias').some((b, i) => b !== model.model.get('linear.bias')[i]));
  }
});

test('each step of the linear path is solved for on the windows whose value is known', async () => {
  const [window, horizon] = [3, 2];
  for (const absent of [[30, 55], Array.from({ length: 39 }, (_, i) => 3 + 2 * i)]) {
    const holes = wave(80, { spread: 1, trend: 0 }).map((v, t) => (absent.includes(t) ? Number.NaN : v));
    using model = await Forecaster.create({ window, horizon, hiddenSize: 3, missing: 'mask' });
    await model.fit(holes, { epochs: 1, learningRate: 0 });
    const { level, scale } = model.scaling ?? { level: 0, scale: 1 };
    const z = holes.map((v, t) => ((Number.isNaN(v) ? holes[t - 1] : v) - level) / scale);
    const all = Array.from({ length: 80 - window - horizon + 1 }, (_, i) => i);
    const got = model.model.get('linear.weight');
    const far = [1e-8, 1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1].map((penalty) => {
      const errors = [0, 1].flatMap((k) => {
        const places = all.filter((i) => !absent.includes(i + window + k));
        is(places.length, 76 - absent.filter((t) => t >= window + k && t < 79 + k).length);
        const { x, y } = equations(z, places, window, horizon);
        const squares = x.reduce((sum, v, i) => sum + (i % (window + 1) < window ? v * v : 0), 0);
        const w = leastSquares(x, y, [...new Array(window).fill((penalty * squares) / window), 0]);
        return Array.from({ length: window }, (_, n) => Math.abs(got[k * window + n] - w[n * horizon + k]));
      });
      return Math.max(...errors);
    });
    ok(Math.min(...far) < 2e-4, `${far}`);
  }
});

test('a series with a sixth of its values missing is learned', async () => {
  const holes = SERIES.map((v, t) => ((t * 7919) % 6 === 0 ? Number.NaN : v));
  using model = await Forecaster.create({ ...SMALL, trend: 'linear', missing: 'mask' });
  await model.fit(holes, { ...FIT, to: 400, epochs: 10 });
  const { mae, baselines } = await model.evaluate(holes, { from: 400, warn: false });
  ok(mae < 0.5 * baselines.naive.mae, `${mae}, naive ${baselines.naive.mae}`);
  const none = new Array(60).fill(Number.NaN);
  throws(() => model.fit(none), /^series: expected at least one value that is not NaN, got .*60 × NaN/);
  throws(() => model.predict([none], { start: 0 }), /^histories\[0\]: expected at least one value/);
  throws(() => model.stream(undefined, { start: 0 }).step(Number.NaN), /^values: expected at least one value/);
  throws(() => model.fit([...SERIES, Infinity]), /^series\[500\]: expected a finite number, got Infinity/);
});

test('bad input: each with its message, before anything is changed', async () => {
  const make = (options: object) => Forecaster.create({ window: 4, horizon: 2, hiddenSize: 4, ...options });
  for (const [options, message] of [
    [{ window: 0 }, /^window: expected a positive whole number, got 0/],
    [{ horizon: 1.5 }, /^horizon: expected a positive whole number, got 1\.5/],
    [{ variables: [] }, /^variables: expected a list of at least one name/],
    [{ targets: ['x'] }, /^targets: 'x' is not among the variables value/],
    [
      { variables: ['a', 'b'], targets: ['a'], method: 'recursive' },
      /^targets: method 'recursive' reads its own forecasts/,
    ],
    [{ method: 'magic' }, /^method: expected 'direct' or 'recursive', got 'magic'/],
    [{ loss: 'mae' }, /^loss: expected 'mse' or 'huber' or 'quantile', got 'mae'/],
    [{ loss: 'mse', quantiles: [0.5] }, /^quantiles: cannot be combined with loss: 'mse'/],
    [{ quantiles: [0.5, 1] }, /^quantiles\[1\]: expected a number below 1, got 1/],
    [{ quantiles: [0.5, 0.2] }, /^quantiles\[1\]: expected increasing numbers, got 0\.2 after 0\.5/],
    [{ quantiles: [] }, /^quantiles: expected at least one/],
    [{ difference: -1 }, /^difference: expected a whole number/],
    [{ linear: 5 }, /^linear: expected at most window=4 steps, got 5/],
    [{ linear: -1 }, /^linear: expected a whole number/],
    [{ missing: 'fill' }, /^missing: expected 'error' or 'mask', got 'fill'/],
    [{ normalization: 'mean' }, /^normalization: expected 'none' or 'last' or 'standard', got 'mean'/],
    [{ trend: 'square' }, /^trend: expected 'none' or 'linear', got 'square'/],
    [{ bidirectional: true }, /unknown option 'bidirectional'/],
  ] as const) {
    await rejects(make(options), message);
  }
  using model = await make({});
  using two = await make({ variables: ['a', 'b'] });
  const before = model.save();
  const series = SERIES.slice(0, 20);
  throws(() => model.predict([series]), /has not been trained: it does not know the scale/);
  throws(
    () => model.fit(SERIES.slice(0, 5)),
    /^series: expected at least 6 steps for window 4, horizon 2 and difference 0, got 5/,
  );
  throws(() => model.fit([1, 2, Number.NaN, 4, 5, 6]), /^series\[2\]: expected a finite number, got NaN/);
  throws(() => model.fit('abc' as never), /^series: expected numbers, or numbers by their names, got 'abc'/);
  throws(() => model.fit(series, { to: 21 }), /^to: expected a whole number from 1 to 20, got 21/);
  throws(() => two.fit(series), /^series: expected numbers for each of a and b, got one list/);
  throws(() => two.fit({ a: series }), /^series\.b: expected a list of numbers, got undefined/);
  throws(() => two.fit({ a: series, b: [1] }), /^series: b has 1 steps, a has 20/);
  throws(() => two.fit({ a: series, b: series, c: series }), /^series: unknown option 'c'/);
  ok(same(before, model.save()));
  is(model.scaling, null);
  await model.fit(series, { epochs: 1 });
  throws(
    () => model.predict([series.slice(0, 3)]),
    /^histories\[0\]: expected at least 4 steps for window 4 and difference 0, got 3/,
  );
  throws(
    () => model.predict([series], { steps: 3 }),
    /^steps: method 'direct' predicts at most horizon=2 steps, got 3/,
  );
  throws(() => model.evaluate(series, { from: 3 }), /^from: expected a whole number from 4 to 18, got 3/);
  throws(() => model.evaluate(series, { from: 19 }), /^from: expected a whole number from 4 to 18, got 19/);
  throws(() => model.evaluate(series, { from: 10, stride: 0 }), /^stride: expected a positive whole number, got 0/);
  let caught: unknown;
  try {
    await Forecaster.load(before.slice(0, 50));
  } catch (error) {
    caught = error;
  }
  ok(caught instanceof FormatError);
});

test.run();
