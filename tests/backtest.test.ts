/** Backtests against models trained by hand, and what is chosen: from which steps, by which rule. */
import { backtest, chooseForecaster, Forecaster, type ForecasterReport } from 'gatewise/tasks';
import { test } from 'uvu';
import { equal, is, ok, throws } from 'uvu/assert';
import { close, random } from './support/numbers.js';

const next = random(5);
const noise = Array.from({ length: 300 }, () => next() + next() + next() - 1.5);
const SERIES = noise.map((e, t) => 0.02 * t + 2 * Math.sin((2 * Math.PI * t) / 12) + 0.3 * e);
const CREATE = { window: 6, horizon: 3, hiddenSize: 4, seed: 3 };
const FIT = { epochs: 2, batchSize: 64 };

async function byHand(from: number, options: object, create: object = CREATE) {
  using model = await Forecaster.create({ ...CREATE, ...create });
  await model.fit(SERIES, { ...FIT, to: from });
  return await model.evaluate(SERIES, { from, warn: false, ...options });
}

test('without refit: what a model trained on the steps before gives', async () => {
  const create = { ...CREATE, quantiles: [0.2, 0.8] };
  const report = await backtest(SERIES, { from: 200, stride: 4, season: 12, create, fit: FIT });
  const own = await byHand(200, { stride: 4, season: 12 }, create);
  is(report.forecasts, own.forecasts);
  const flat = ({ mae, horizon, baselines, coverage = new Float64Array() }: ForecasterReport<never>) => [
    mae,
    ...horizon.mae,
    ...horizon.rmse,
    ...(horizon.pinball ?? []),
    ...coverage,
    ...Object.values(baselines).flatMap((b) => [b.mae, ...b.horizon.rmse, ...b.skill]),
  ];
  is(flat(report).length, 1 + 3 * 3 + 2 + 4 * 7);
  close(flat(report), flat(own), 1e-12, 'report');
  is(report.baselines.ar.order, own.baselines.ar.order);
  is(report.baselines.seasonalNaive.season, 12);
  equal(report.better, own.better);
});

test('with refit: the forecasts of all models together, each trained on what came before', async () => {
  const report = await backtest(SERIES, { from: 240, until: 290, refit: 20, create: CREATE, fit: FIT });
  const parts = await Promise.all([
    byHand(240, { until: 260 }),
    byHand(260, { until: 280 }),
    byHand(280, { until: 290 }),
  ]);
  equal(
    parts.map(({ forecasts }) => forecasts),
    [20, 20, 10],
  );
  is(report.forecasts, 50);
  const mean = (of: (part: (typeof parts)[number]) => number) =>
    parts.reduce((sum, part) => sum + part.forecasts * of(part), 0) / 50;
  for (let k = 0; k < 3; k++) {
    const near = (a: number, b: number) => ok(Math.abs(a - b) < 1e-12 * Math.abs(b), `${a}, expected ${b}`);
    near(
      report.horizon.mae[k],
      mean((p) => p.horizon.mae[k]),
    );
    near(report.horizon.rmse[k], Math.sqrt(mean((p) => p.horizon.rmse[k] ** 2)));
    const ar = mean((p) => p.baselines.ar.horizon.mae[k]);
    near(report.baselines.ar.horizon.mae[k], ar);
    near(report.baselines.ar.skill[k], 1 - report.horizon.mae[k] / ar);
  }
  is(report.baselines.ar.order, parts[2].baselines.ar.order);
  // a model trained once knows less in the end
  const once = await backtest(SERIES, { from: 240, until: 290, create: CREATE, fit: FIT });
  is.not(once.mae, report.mae);
});

test('several variables have a report each; progress counts forecasts', async () => {
  const series = { a: SERIES, b: SERIES.map((v) => -v) };
  const run = backtest(series, {
    from: 280,
    refit: 10,
    create: { ...CREATE, variables: ['a', 'b'], targets: ['b'] },
    fit: FIT,
  });
  const seen: string[] = [];
  for await (const { done, total } of run) seen.push(`${done}/${total}`);
  equal(seen, ['10/18', '18/18']);
  const { variables, forecasts } = await run;
  is(forecasts, 18);
  equal(Object.keys(variables), ['b']);
  is(variables.b.horizon.mae.length, 3);
});

test('a setting is chosen on the end of the training data: what comes later has no effect', async () => {
  const options = {
    to: 220,
    season: 12,
    create: { horizon: 4, hiddenSize: 3, seed: 2 },
    cells: ['gru', 'rnn'],
    differences: [0, 12],
    fit: { epochs: 3, patience: 1, batchSize: 64 },
  } as const;
  const choice = await chooseForecaster(SERIES, options);
  const other = await chooseForecaster(
    SERIES.map((v, t) => (t < 220 ? v : 1e3 * v)),
    options,
  );
  equal(other, choice);
  // the errors are those that anyone can measure
  const [best] = choice.candidates;
  for (const { error, ...own } of [best, choice.candidates[20]]) {
    using model = await Forecaster.create({ ...options.create, ...own });
    const known = SERIES.slice(0, 220);
    await model.fit(known, { to: 165, epochs: 1, learningRate: 0 });
    const { mae, baselines } = await model.evaluate(known, { from: 165, warn: false });
    ok(Math.abs(error - mae / baselines.naive.mae) < 1e-6, `${error}, measured ${mae / baselines.naive.mae}`);
  }
  const errors = choice.candidates.map(({ error }) => error);
  equal(
    [...errors].sort((a, b) => a - b),
    errors,
  );
  // windows of half of, once and twice the horizon, and three of seasons; of trend and normalization 4 together
  is(choice.candidates.length, new Set([2, 4, 8, 12, 24, 36]).size * 2 * 4);
  equal(
    choice.cells.map(({ cell }) => cell),
    ['gru', 'rnn'],
  );
  const { create } = choice;
  const transforms = ({ difference = 0, trend = 'none', normalization = 'none' }) =>
    Number(difference > 0) + Number(trend !== 'none') + Number(normalization !== 'none');
  const chosen = choice.candidates.find(
    (c) =>
      c.window === create.window &&
      c.difference === create.difference &&
      c.trend === create.trend &&
      c.normalization === create.normalization,
  );
  ok(chosen);
  for (const candidate of choice.candidates.filter(({ error }) => error * 0.9 <= best.error)) {
    const [a, b] = [transforms(candidate), transforms(chosen)];
    ok(a > b || (a === b && candidate.error >= chosen.error), JSON.stringify({ candidate, chosen }));
  }
  is(create.cell, [...choice.cells].sort((a, b) => a.mae - b.mae)[0].cell);
  // what was chosen is better than reading a single value
  const worst = choice.candidates[choice.candidates.length - 1];
  ok(chosen.error < 0.7 * worst.error);
  using model = await Forecaster.create(create);
  await model.fit(SERIES, { ...choice.fit, to: 220 });
});

test('the margin decides between plain and better; steps beyond what training needs are left out', async () => {
  const options = {
    season: 12,
    create: { horizon: 2, hiddenSize: 2 },
    windows: [1, 12, 400],
    cells: ['rnn'],
    fit: { epochs: 1 },
  } as const;
  const series = SERIES.map((v, t) => v + 0.2 * t);
  const close = await chooseForecaster(series, { ...options, margin: 0 });
  const [best] = close.candidates;
  const { window, difference, trend, normalization } = close.create;
  equal({ window, difference, trend, normalization, error: best.error }, best);
  const plain = await chooseForecaster(series, { ...options, margin: 0.999 });
  equal([plain.create.difference, plain.create.trend, plain.create.normalization], [0, 'none', 'none']);
  ok(close.candidates.every((c) => c.window < 400));
  // of nothing to learn, the linear path alone
  const stepless = await chooseForecaster(series, { ...options, fit: { epochs: 2, learningRate: 1 } });
  equal(stepless.fit, { learningRate: 0, epochs: 1 });
  is(stepless.cells[0].epochs, 0);
});

test('an aborted search ends with its reason', async () => {
  const stop = new AbortController();
  const run = chooseForecaster(SERIES, { create: { horizon: 2 }, signal: stop.signal });
  let seen = 0;
  try {
    for await (const _ of run) if (++seen === 3) stop.abort(new Error('enough'));
    ok(false);
  } catch (error) {
    is((error as Error).message, 'enough');
  }
  is(seen, 3);
});

test('bad input: each with its message', () => {
  const create = CREATE;
  throws(() => backtest(SERIES, { create } as never), /^from: /);
  throws(() => backtest(SERIES, { from: 298, create }), /^from: expected a whole number from 1 to 297, got 298/);
  throws(() => backtest(SERIES, { from: 200, until: 200, create }), /^until: expected a whole number from 201 to 298/);
  throws(
    () => backtest(SERIES, { from: 200, stride: 4, refit: 6, create }),
    /^refit: expected a multiple of stride=4, got 6/,
  );
  throws(() => backtest(SERIES, { from: 200 } as never), /^create: /);
  throws(() => backtest([1, Number.NaN], { from: 1, create }), /^series\[1\]: /);
  throws(
    () => chooseForecaster(SERIES, { create: {}, validation: 1 }),
    /^validation: expected a number between 0 and 1/,
  );
  throws(
    () => chooseForecaster(SERIES, { create: {}, to: 301 }),
    /^to: expected a whole number from 1 to 300, got 301/,
  );
  throws(() => chooseForecaster(SERIES, { create: {}, cells: ['tcn'] as never }), /^cells\[0\]: /);
  throws(() => chooseForecaster(SERIES, { create: {}, windows: [300] }), /^series: expected enough steps .* got 300/);
  throws(() => chooseForecaster(SERIES, { create: {}, trend: 'none' } as never), /unknown option 'trend'/);
});

test.run();
