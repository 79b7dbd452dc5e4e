/** Covariates that are known in the future, and dates: what is read at which step, exact rows, calendar steps, streams and files. */
import { FormatError, gradcheck, input } from 'gatewise';
import { backtest, chooseForecaster, type Dates, Forecaster, type TimeSeries } from 'gatewise/tasks';
import { test } from 'uvu';
import { equal, is, ok, throws } from 'uvu/assert';
import { calendarOf, dateAt, readDates, stepOf } from '#dist/bindings/tasks/shared/dates.js';
import { close, random } from './support/numbers.js';
import { rejects } from './support/rejects.js';

const same = (a: Uint8Array, b: Uint8Array) => Buffer.compare(a, b) === 0;
const next = random(9);
const noise = (n: number) => Array.from({ length: n }, () => next() + next() + next() - 1.5);

/** What is sold depends on the price of the same day, and hangs together from day to day. */
const N = 260;
const price = noise(N).map((e) => 10 + 2 * e);
const sales: number[] = [];
for (const [t, e] of noise(N).entries())
  sales.push(40 - 3 * price[t] + 0.5 * ((sales[t - 1] ?? 10) - 40 + 3 * (price[t - 1] ?? 10)) + 0.1 * e);
const until = (n: number, more = 0): TimeSeries => ({
  series: sales.slice(0, n),
  futureCovariates: { price: price.slice(0, n + more) },
});
const ALL = until(N);
const SMALL = { window: 6, horizon: 3, futureCovariates: ['price'], hiddenSize: 5, seed: 1 } as const;
const FIT = { batchSize: 32, learningRate: 5e-3 };

for (const method of ['direct', 'recursive'] as const) {
  test(`${method}: gradcheck with covariates`, async () => {
    using model = await Forecaster.create({
      ...SMALL,
      method,
      window: 4,
      variables: ['a', 'b'],
      futureCovariates: ['c', 'd', 'e'],
    });
    model.model.unfreeze('linear');
    for (const name of ['head.weight', 'linear.weight', 'linear.bias']) {
      const { size } = model.model.parameter(name);
      model.model.set(
        name,
        Float32Array.from(noise(size), (v) => 0.2 * v),
      );
    }
    const values = Float32Array.from(noise(4 * 2 * 5));
    const ahead = [noise(6), noise(6)].map((list) => Float32Array.from(list));
    const wanted = [0, 1].map(() => Float32Array.from(noise(6)));
    const { layers } = model.model;
    const result = gradcheck(model.model, (tape) => {
      const future = ahead.map((list) => input(tape, list, { T: 1, B: 2, F: 3 }));
      return layers.losses(tape, input(tape, values, { T: 4, B: 2, F: 5 }), wanted, future);
    });
    ok(result.ok, `worst ${result.worst}`);
  });

  test(`${method}: each step of a forecast reads the covariates of its own step`, async () => {
    using model = await Forecaster.create({ ...SMALL, method });
    await model.fit(ALL, { steps: 1, learningRate: 0, to: 200 });
    const { mae, baselines } = await model.evaluate(ALL, { from: 200, warn: false });
    ok(mae < 0.15 * baselines.ar.mae, `${mae}, AR(p) ${baselines.ar.mae}`);
    // a higher price at step k moves step k by -3, and the steps before it not at all
    const [plain] = await model.predict([until(200, 3)]);
    for (let k = 0; k < 3; k++) {
      const moved = [...price.slice(0, 203)];
      moved[200 + k] += 1;
      const [other] = await model.predict([{ series: sales.slice(0, 200), futureCovariates: { price: moved } }]);
      for (let i = 0; i <= k; i++) {
        const change = other.point[i] - plain.point[i];
        ok(Math.abs(change - (i === k ? -3 : 0)) < 0.2, `step ${i} by ${change}, price of step ${k}`);
      }
    }
    // training keeps it
    await model.fit(ALL, { ...FIT, epochs: 3, to: 200 });
    ok((await model.evaluate(ALL, { from: 200, warn: false })).mae < 0.15 * baselines.ar.mae);
  });

  for (const options of [
    {},
    { difference: 2, linear: 3 },
    { normalization: 'standard', quantiles: [0.1, 0.5, 0.9] },
    { linear: 0, calendar: ['dayOfWeek', 'month'] },
    { calendar: ['hour'], futureCovariates: [], trend: 'linear' },
  ] as const) {
    test(`${method}: a stream with covariates says what predict says: ${JSON.stringify(options)}`, async () => {
      const dates = { start: '2024-01-30T06:00Z', step: { hours: 7 } } as const;
      using model = await Forecaster.create({ ...SMALL, method, ...options });
      const { names } = { names: model.config.futureCovariates ?? [] };
      const priced = names.length > 0;
      await model.fit(
        { series: sales, dates, ...(priced ? { futureCovariates: { price } } : {}) },
        { ...FIT, epochs: 1 },
      );
      const { window, difference = 0 } = { ...SMALL, ...options } as { window: number; difference?: number };
      const [at, n] = [50, window + difference];
      const begin = new Date(Date.UTC(2024, 0, 30, 6) + at * 7 * 3_600_000);
      const [want] = await model.predict([
        {
          series: sales.slice(at, at + n),
          dates: { start: begin, step: { hours: 7 } },
          ...(priced ? { futureCovariates: { price: price.slice(at, at + n + 3) } } : {}),
        },
      ]);
      is(want.dates?.length, 3);
      is(want.dates?.[1].getTime(), begin.getTime() + (n + 1) * 7 * 3_600_000);
      const step = (t: number) => ({
        series: sales[t],
        ...(priced ? { futureCovariates: { price: price.slice(t + 1, t + 4) } } : {}),
      });
      for (const cut of [0, 1, n - 2, n - 1]) {
        const first = model.stream(undefined, { date: begin });
        let last: unknown;
        for (let t = at; t < at + cut; t++) last = first.step(step(t));
        const second = model.stream(first.save());
        for (let t = at + cut; t < at + n; t++) last = second.step(step(t));
        equal(last, want);
      }
    });
  }
}

test('with covariates and dates: two passes, save, load, two more, bit for bit', async () => {
  const series: TimeSeries = { ...ALL, dates: { start: '2020-01-01', step: { days: 1 } } };
  for (const method of ['direct', 'recursive'] as const) {
    const make = () => Forecaster.create({ ...SMALL, method, calendar: ['dayOfWeek'], outputDropout: 0.1 });
    using whole = await make();
    await whole.fit(series, { ...FIT, epochs: 4 });
    using half = await make();
    await half.fit(series, { ...FIT, epochs: 2 });
    using again = await Forecaster.load(half.save());
    await again.fit(series, { ...FIT, epochs: 2 });
    ok(same(whole.save(), again.save()));
    equal(again.config, half.config);
    // in parts, on one thread: what workers compute
    using parts = await make();
    await parts.fit(series, { ...FIT, epochs: 1, shards: 2 });
    using other = await make();
    await other.fit(series, { ...FIT, epochs: 1, shards: 2 });
    ok(same(parts.save(), other.save()));
  }
});

test('what comes after the training part has no effect, covariates included', async () => {
  const train = async (factor: number) => {
    using model = await Forecaster.create(SMALL);
    const far = (list: number[]) => list.map((v, t) => (t < 100 ? v : factor * v));
    await model.fit({ series: far(sales), futureCovariates: { price: far(price) } }, { ...FIT, epochs: 1, to: 100 });
    return model.save();
  };
  ok(same(await train(1), await train(1e4)));
});

test('calibrate, backtest and chooseForecaster take covariates, of one series and of many', async () => {
  using model = await Forecaster.create({ ...SMALL, quantiles: [0.2, 0.5, 0.8] });
  await model.fit(ALL, { ...FIT, epochs: 1, to: 120 });
  await model.calibrate(ALL, { from: 120 });
  const { coverage = [] } = await model.evaluate(ALL, { from: 120, warn: false });
  for (const [i, q] of [0.2, 0.5, 0.8].entries()) ok(Math.abs(coverage[i] - q) < 0.02, `${coverage}`);
  const report = await backtest(ALL, { from: 200, refit: 30, create: SMALL, fit: { ...FIT, epochs: 1 } });
  ok(report.mae < 0.2 * report.baselines.ar.mae);
  const many = [ALL, { series: sales.slice(90).map((v) => 7 * v), futureCovariates: { price: price.slice(90) } }];
  const all = await backtest(many, {
    from: -40,
    create: { ...SMALL, normalization: 'standard' },
    fit: { ...FIT, epochs: 1 },
  });
  ok(all.mase < 0.5 * all.baselines.ar.mase, `${all.mase}, AR(p) ${all.baselines.ar.mase}`);
  const choice = await chooseForecaster(many, {
    create: { horizon: 3, futureCovariates: ['price'], hiddenSize: 2 },
    windows: [3, 24],
    differences: [0],
    cells: ['rnn'],
    fit: { epochs: 1 },
  });
  // the effect of the price is in the units of each series
  const [best] = choice.candidates;
  ok(best.error < 0.6 && best.normalization === 'standard', JSON.stringify(choice.candidates));
});

test('covariates: bad input, each with its message', async () => {
  using model = await Forecaster.create(SMALL);
  const before = model.save();
  throws(() => model.fit(sales), /^series\.futureCovariates\.price: expected a list of numbers, got undefined/);
  throws(
    () => model.fit({ series: sales, futureCovariates: { price: price.slice(1) } }),
    /^series\.futureCovariates\.price: expected 260 steps, those of the series, got 259/,
  );
  throws(
    () => model.fit({ series: sales, futureCovariates: { price, rain: price } }),
    /^series\.futureCovariates: unknown option 'rain'/,
  );
  throws(
    () => model.fit({ series: sales, futureCovariates: { price: price.map((v, t) => (t === 7 ? Number.NaN : v)) } }),
    /^series\.futureCovariates\.price\[7\]: expected a finite number, got NaN/,
  );
  throws(() => model.fit({ series: sales, covariates: { price } } as never), /^series: unknown option 'covariates'/);
  ok(same(before, model.save()));
  await model.fit(ALL, { ...FIT, epochs: 1 });
  const rows = (k: number) =>
    new RegExp(
      `^histories\\[0\\]\\.futureCovariates\\.price: expected 53 steps, 50 of the series and 3 of the forecast, got ${50 + k}`,
    );
  for (const k of [0, 2, 4]) throws(() => model.predict([until(50, k)]), rows(k));
  // method 'direct' reads all of them, however few steps are asked for
  throws(() => model.predict([until(50, 2)], { steps: 2 }), rows(2));
  equal(
    (await model.predict([until(50, 3)], { steps: 2 }))[0].point,
    (await model.predict([until(50, 3)]))[0].point.slice(0, 2),
  );
  const stream = model.stream();
  throws(() => stream.step(3), /^futureCovariates\.price: expected horizon numbers, got undefined/);
  throws(
    () => stream.step({ series: 3, futureCovariates: { price: [1, 2] } }),
    /^futureCovariates\.price: expected horizon = 3 numbers, got 2/,
  );
  throws(() => stream.step({ series: 3, futureCovariates: { price: [1, 2, 3], rain: [1] } }), /unknown option 'rain'/);
  using recursive = await Forecaster.create({ ...SMALL, method: 'recursive' });
  await recursive.fit(ALL, { ...FIT, epochs: 1 });
  is((await recursive.predict([until(50, 5)], { steps: 5 }))[0].point.length, 5);
  throws(
    () => recursive.predict([until(50, 3)], { steps: 5 }),
    /expected 55 steps, 50 of the series and 5 of the forecast, got 53/,
  );
  await rejects(Forecaster.create({ ...SMALL, variables: ['price'] }), /price.*cannot be combined/);
  await rejects(Forecaster.create({ ...SMALL, calendar: ['month', 'month'] }), /^calendar: duplicate 'month'/);
  await rejects(Forecaster.create({ ...SMALL, calendar: ['easter'] as never }), /^calendar\[0\]: expected 'hour' or /);
  using none = await Forecaster.create({ ...SMALL, futureCovariates: [] });
  throws(() => none.fit(ALL), /^series\.futureCovariates: unknown option 'price'/);
  // a file without the scale of its covariates, and without those of dates that are dates
  const text = Buffer.from(model.save()).toString('latin1');
  const cut = text.replace(/,\\"covariates\\":\[\{[^\]]*\]/, (found) => ' '.repeat(found.length));
  is.not(cut, text);
  await rejects(Forecaster.load(Buffer.from(cut, 'latin1')), /covariates: expected their scaling, got undefined/);
});

test('a variable may be called series', async () => {
  using model = await Forecaster.create({ ...SMALL, futureCovariates: [], variables: ['series', 'price'] });
  await model.fit({ series: sales, price }, { ...FIT, epochs: 1 });
  const [bare] = await model.predict([{ series: sales, price }]);
  const [whole] = await model.predict([{ series: { series: sales, price } }]);
  equal(bare, whole);
  const stream = model.stream();
  for (let t = 0; t < 6; t++) stream.step(t % 2 ? { series: { series: t, price: 1 } } : { series: t, price: 1 });
});

const axisOf = (dates: Dates, n = Array.isArray(dates) ? dates.length : 4) => readDates('dates', dates, n);
const days = (dates: Dates, k: number, n?: number) => new Date(dateAt(axisOf(dates, n), k)).toISOString().slice(0, 10);

test('calendar steps: months and years have their own lengths', () => {
  const ends = ['2023-11-30', '2023-12-31', '2024-01-31', '2024-02-29'];
  equal(
    [4, 5, 14, 15].map((k) => days(ends, k)),
    ['2024-03-31', '2024-04-30', '2025-01-31', '2025-02-28'],
  );
  // without the end of a month, its day
  is(days(['2023-02-28', '2023-03-28'], 2), '2023-04-28');
  is(days(['2023-02-28', '2023-03-31'], 2), '2023-04-30');
  const months = ['2023-01', '2023-02', '2023-03'];
  equal(axisOf(months), axisOf({ start: '2023-01-01', step: { months: 1 } }));
  is(days({ start: '2024-01-31', step: { months: 1 } }, 1), '2024-02-29');
  is(days({ start: '2020-02-29', step: { years: 1 } }, 1), '2021-02-28');
  is(days({ start: '2020-02-29', step: { years: 1 } }, 4), '2024-02-29');
  is(days(['2019', '2020', '2021'], 3), '2022-01-01');
  is(days(['2023-01', '2023-04', '2023-07'], 4), '2024-01-01');
  is(days({ start: '2024-02-27', step: { days: 1 } }, 3), '2024-03-01');
  is(days({ start: '2024-12-30', step: { weeks: 1 } }, 1), '2025-01-06');
  // the night that has no hour of its own in some places has all of them in UTC
  const hours = Array.from({ length: 5 }, (_, k) => new Date(Date.UTC(2024, 2, 31, k)));
  is(dateAt(axisOf(hours), 30), Date.UTC(2024, 3, 1, 6));
  is(dateAt(axisOf(['2024-03-31T00:00+01:00', '2024-03-31T03:00+02:00']), 2), Date.UTC(2024, 2, 31, 3));
  is(dateAt(axisOf(['2024-03-31T00:00', '2024-03-31T00:15']), 1), Date.UTC(2024, 2, 31, 0, 15));
});

test('the step of a date is the first that is not before it', () => {
  const axis = axisOf({ start: '2024-01-31', step: { months: 1 } });
  for (const [date, k] of [
    ['2024-01-31', 0],
    ['2024-02-01', 1],
    ['2024-02-29', 1],
    ['2024-03-01', 2],
    ['2025-12-31', 23],
    ['2023-12-01', -1],
    ['1924-01-31', -1200],
  ] as const) {
    is(stepOf(axis, Date.parse(date)), k, date);
  }
  const week = axisOf({ start: '2024-01-01', step: { weeks: 1 } });
  is(stepOf(week, Date.parse('2024-01-08')), 1);
  is(stepOf(week, Date.parse('2024-01-08T00:00:01Z')), 2);
});

test('dates that are not at equal distances, and what are not dates, are refused', () => {
  const no = (dates: unknown, message: RegExp, n = 4) => throws(() => readDates('dates', dates, n), message);
  no(
    ['2024-01-01', '2024-01-02', '2024-01-04', '2024-01-05'],
    /^dates\[2\]: 2024-01-04 after 2024-01-02; equal distances in UTC are needed/,
  );
  no(['2024-01', '2024-02', '2024-04', '2024-05'], /^dates\[2\]: 2024-04-01 after 2024-02-01/);
  no(['2024-01-31', '2024-02-28', '2024-03-31', '2024-04-30'], /^dates\[2\]: 2024-03-31 after 2024-02-28/);
  no(['2024-01-02', '2024-01-01', '2023-12-31', '2023-12-30'], /^dates\[1\]: 2024-01-01 after 2024-01-02/);
  no(['2024-01-01', '2024-01-01', '2024-01-01', '2024-01-01'], /^dates\[1\]: /);
  no(['2024-01-01', '2024-01-02'], /^dates: expected a date for each of 4 steps, got 2/);
  no(['2024-01-01'], /^dates: expected at least two dates, or \{ start, step \}/, 1);
  no(['2023-02-29', '2023-03-01'], /^dates\[0\]: expected a Date, or a date such as .* got '2023-02-29'/, 2);
  no(['1.2.2024', '2.2.2024'], /^dates\[0\]: expected a Date, /, 2);
  no([new Date(Number.NaN), new Date()], /^dates\[0\]: .* got 'Invalid Date'/, 2);
  no([0, 1], /^dates\[0\]: expected a Date, .* got 0/, 2);
  no({ start: '2024', step: { month: 1 } }, /^dates\.step: unknown option 'month'; did you mean 'months'\?/);
  no({ start: '2024', step: { months: 1, days: 1 } }, /^dates\.step: expected one unit/);
  no({ start: '2024', step: { days: 0.5 } }, /^dates\.step\.days: expected a positive whole number, got 0\.5/);
  no({ start: '2024', step: { years: 2e6 } }, /^dates\.step: expected a step with dates for 4 steps/);
  no({ start: '2024' }, /^dates\.step: expected an object of options, got undefined/);
  no('2024', /^dates: expected an object of options, got '2024'/);
});

test('parts of the calendar are points on a circle', () => {
  const at = (parts: Parameters<typeof calendarOf>[0], start: string) =>
    calendarOf(parts, axisOf({ start, step: { days: 1 } }), 1).map(([v]) => v);
  const circle = (f: number) => [Math.sin(2 * Math.PI * f), Math.cos(2 * Math.PI * f)];
  close(at(['month'], '2024-11-05'), circle(10 / 12), 1e-12, 'month');
  close(at(['dayOfWeek'], '2024-05-12'), circle(6 / 7), 1e-12, 'Sunday');
  close(at(['dayOfYear'], '2024-12-31'), circle(365 / 366), 1e-12, 'leap year');
  close(at(['dayOfYear'], '2023-03-01'), circle(59 / 365), 1e-12, 'day of year');
  close(at(['hour'], '1969-05-12T18:30Z'), circle(18.5 / 24), 1e-12, 'hour');
  close(at(['month', 'dayOfWeek'], '2024-05-13'), [...circle(4 / 12), ...circle(0)], 1e-12, 'both');
});

test('a forecast has the dates that it belongs to', async () => {
  const series = { series: { sales, price }, dates: { start: '2000-01-31', step: { months: 1 } } } as const;
  using model = await Forecaster.create({ window: 4, horizon: 3, variables: ['sales', 'price'], hiddenSize: 3 });
  await model.fit(series, { ...FIT, epochs: 1 });
  using loaded = await Forecaster.load<'sales' | 'price'>(model.save());
  const [{ sales: said }] = await loaded.predict([series]);
  equal(
    said.dates?.map((date) => date.toISOString().slice(0, 10)),
    ['2021-09-30', '2021-10-31', '2021-11-30'],
  );
  // without dates, none
  const [{ sales: bare }] = await loaded.predict([{ sales, price }]);
  is('dates' in bare, false);
  equal(bare.point, said.point);
  throws(
    () => loaded.predict([{ ...series, dates: { start: '2000-01-31', step: { days: 1 } } }]),
    /^histories\[0\]\.dates: expected steps of 1 month, as in training, got 1 day/,
  );
  const stream = loaded.stream(undefined, { date: '2024-01-31' });
  let last: ReturnType<typeof stream.step> = null;
  for (let t = 0; t < 4; t++) last = stream.step({ sales: sales[t], price: price[t] });
  is(last?.sales.dates?.[1].toISOString(), '2024-06-30T00:00:00.000Z');
  using without = await Forecaster.create({ window: 4, hiddenSize: 3 });
  await without.fit(sales, { ...FIT, epochs: 1 });
  throws(() => without.stream(undefined, { date: '2024-01-31' }), /^date: this model was trained without dates/);
  const text = Buffer.from(model.save()).toString('latin1');
  const damaged = text.replace('\\"months\\":1', '\\"months\\":x');
  await rejects(Forecaster.load(Buffer.from(damaged, 'latin1')), /JSON/);
  const wrong = Buffer.from(text.replace('\\"months\\":1', '\\"monthz\\":1'), 'latin1');
  try {
    await Forecaster.load(wrong);
    ok(false);
  } catch (error) {
    ok(error instanceof FormatError, `${error}`);
  }
});

test('steps by date, and below 0 from the end, are those by number', async () => {
  const dates = { start: '2001-01-01', step: { days: 1 } } as const;
  const series = { series: sales, dates };
  const date = (t: number) => new Date(Date.UTC(2001, 0, 1 + t));
  const make = () => Forecaster.create({ window: 5, horizon: 2, hiddenSize: 3, seed: 1 });
  using model = await make();
  await model.fit(series, { ...FIT, epochs: 1, to: 180 });
  for (const to of [date(180), date(180).toISOString(), '2001-06-30', -80]) {
    using other = await make();
    await other.fit(series, { ...FIT, epochs: 1, to });
    ok(same(model.save(), other.save()), `${to}`);
  }
  const plain = await model.evaluate(series, { from: 180, until: 220, warn: false });
  equal(await model.evaluate(series, { from: date(180), until: '2001-08-09', warn: false }), plain);
  equal(await model.evaluate(series, { from: -80, until: -40, warn: false }), plain);
  throws(
    () => model.evaluate(series, { from: '2011-01-01' }),
    /^from: expected a whole number from 5 to 258, got 3652/,
  );
  throws(
    () => model.evaluate(sales, { from: '2001-05-01' }),
    /^series: expected \{ series, dates \}, because from is a date/,
  );
  throws(() => model.evaluate(series, { from: 'soon' }), /^from: expected a Date, .* got 'soon'/);
  const of = (from: number | string) =>
    backtest(series, { from, create: { window: 5, horizon: 2, hiddenSize: 3 }, fit: { epochs: 1 } });
  equal(await of('2001-08-09'), await of(220));
});

test('with a trend, dates say where a history begins', async () => {
  const line = Array.from({ length: 60 }, (_, t) => 3 + 0.5 * t);
  const dates = (k: number): Dates => ({ start: new Date(Date.UTC(2020, k, 1)), step: { months: 1 } });
  using model = await Forecaster.create({ window: 4, horizon: 2, trend: 'linear', hiddenSize: 3 });
  await model.fit({ series: line, dates: dates(0) }, { epochs: 1 });
  for (const { name, size } of model.model.parameters) model.model.set(name, new Float32Array(size));
  const [{ point }] = await model.predict([{ series: line.slice(40, 50), dates: dates(40) }]);
  close(point, [28, 28.5], 1e-9, 'forecast');
  const stream = model.stream(undefined, { date: '2023-05-01' });
  let last: ReturnType<typeof stream.step> = null;
  for (const v of line.slice(40, 50)) last = stream.step(v);
  close(last?.point ?? [], [28, 28.5], 1e-9, 'stream');
  const { mae } = await model.evaluate({ series: line.slice(20), dates: dates(20) }, { from: 10, warn: false });
  ok(mae < 1e-9);
  throws(() => model.predict([{ series: line, dates: dates(3) }], { start: 5 }), /they begin with step 3/);
  throws(
    () => model.predict([{ series: line, dates: { start: '2020-05-17', step: { months: 1 } } }]),
    /^histories\[0\]\.dates: expected dates of the training series, which began on 2020-01-01, got '2020-05-17'/,
  );
  throws(() => model.predict([line]), /^start: with trend 'linear'/);
});

test('the calendar says what the window cannot', async () => {
  const [, e] = [0, noise(400)];
  const days = Array.from({ length: 400 }, (_, t) => (t % 7 > 4 ? 5 : 1) + 0.1 * e[t]);
  const series = { series: days, dates: { start: '2024-01-01', step: { days: 1 } } } as const;
  const error = async (calendar: 'dayOfWeek'[]) => {
    using model = await Forecaster.create({ window: 1, horizon: 2, hiddenSize: 8, calendar, seed: 1 });
    await model.fit(series, { epochs: 20, batchSize: 32, learningRate: 1e-2, to: 300 });
    return (await model.evaluate(series, { from: 300, warn: false })).mae;
  };
  const [without, withIt] = [await error([]), await error(['dayOfWeek'])];
  ok(withIt < 0.4 * without, `${withIt}, without ${without}`);
  using model = await Forecaster.create({ window: 1, calendar: ['dayOfWeek'], hiddenSize: 3 });
  throws(
    () => model.fit(days),
    /^series: expected \{ series, dates \} for a model with calendar, got Array of length 400/,
  );
  await model.fit(series, { epochs: 1 });
  throws(() => model.predict([days]), /^histories\[0\]: expected \{ series, dates \} for a model with calendar/);
  throws(() => model.stream(), /^date: expected the date of the first step, for a model with calendar/);
});

test.run();
