/** Time series of several variables: the temperature of Seattle, fourteen days ahead, and twelve months. */
import { Forecaster } from 'gatewise/tasks';
import { table } from './support/csv.js';
import type { Example, Stage } from './support/stage.js';

const DAYS = 14;
const YEAR = 365.25;

/** Mean absolute error of a rule over all days ahead: what it predicts for day `t` from the days before `origin`. */
function error(y: readonly number[], from: number, rule: (t: number, origin: number) => number): number {
  let [sum, count] = [0, 0];
  for (let origin = from; origin + DAYS <= y.length; origin++) {
    for (let t = origin; t < origin + DAYS; t++, count++) sum += Math.abs(rule(t, origin) - y[t]);
  }
  return sum / count;
}

/** The mean over all years before, of the days within n days of the same date. */
function climatology(y: readonly number[], reach: number): (t: number, origin: number) => number {
  return (t, origin) => {
    let [sum, count] = [0, 0];
    for (let years = 1; t - Math.round(years * YEAR) + reach >= 0; years++) {
      const centre = t - Math.round(years * YEAR);
      for (let d = Math.max(0, centre - reach); d <= Math.min(centre + reach, origin - 1); d++, count++) sum += y[d];
    }
    return sum / count;
  };
}

/** The position of the earth on its orbit is known, and an input next to the measurements. */
function seasons(steps: number, year: number): { summer: number[]; spring: number[] } {
  const turn = (t: number) => (2 * Math.PI * t) / year;
  const of = (f: (angle: number) => number) => Array.from({ length: steps }, (_, t) => f(turn(t)));
  return { summer: of(Math.cos), spring: of(Math.sin) };
}

/** A whole year predicted at once, week by week, from the three years before it. The metric is that of the last fifth of the four years. */
async function year(stage: Stage, days: readonly number[], start: string): Promise<void> {
  const weeks = Array.from({ length: Math.floor(days.length / 7) }, (_, i) => {
    const week = days.slice(7 * i, 7 * i + 7);
    return week.reduce((sum, v) => sum + v, 0) / 7;
  });
  const horizon = 52;
  const from = weeks.length - horizon;
  const counts = Math.floor(0.8 * weeks.length);
  const series = { temperature: weeks, ...seasons(weeks.length, YEAR / 7) };
  using model = await Forecaster.create({
    variables: Object.keys(series),
    targets: ['temperature'],
    window: 4,
    horizon,
    quantiles: [0.1, 0.5, 0.9],
    hiddenSize: 16,
    outputDropout: 0.1,
    seed: stage.seed,
  });
  const dates = { start, step: { weeks: 1 } };
  const fit = { to: from, epochs: 100, batchSize: 16, learningRate: 3e-3, signal: stage.signal };
  await model.fit({ series, dates }, fit);
  const past = Object.fromEntries(Object.entries(series).map(([name, y]) => [name, y.slice(0, from)]));
  const [{ temperature: forecast }] = await model.predict([{ series: past, dates }]);
  const { point, quantiles = [], dates: weekOf = [] } = forecast;

  const rises = weeks.slice(52, from).map((v, i) => v - weeks[i]);
  const drift = rises.reduce((sum, v) => sum + v, 0) / rises.length;
  const wrong = (rule: (t: number) => number) =>
    weeks.slice(counts).reduce((sum, v, k) => sum + Math.abs(rule(counts + k) - v), 0) / (weeks.length - counts);
  const seasonal = wrong((t) => weeks[t - 52] + drift);
  const normal = wrong((t) => {
    const near = [1, 2, 3].flatMap((years) => [-2, -1, 0, 1, 2].map((d) => t - 52 * years + d));
    const known = near.filter((week) => week >= 0 && week < from);
    return known.reduce((sum, week) => sum + weeks[week], 0) / known.length;
  });
  stage.metric("12 months: last year's, plus the mean yearly rise", seasonal, '°C');
  stage.metric('12 months: mean of all years, ± two weeks', normal, '°C');
  stage.metric(
    '12 months: this model',
    wrong((t) => point[t - from]),
    '°C',
    { atMost: seasonal - 1e-3 },
  );

  const first = weekOf[0].getTime();
  const values = weeks.map((truth, w) => {
    const k = w - from;
    const week = new Date(first + k * 7 * 86_400_000).toISOString();
    return k < 0 ? { week, truth } : { week, truth, said: point[k], low: quantiles[0][k], high: quantiles[2][k] };
  });
  const week = { field: 'week', type: 'temporal', title: null } as const;
  await stage.picture('year', {
    title: 'A year predicted at once from the three before it',
    width: 900,
    height: 320,
    data: { values },
    encoding: { x: week },
    layer: [
      {
        mark: { type: 'area', color: '#9ecae1' },
        encoding: { y: { field: 'low', type: 'quantitative', title: 'mean of the week, °C' }, y2: { field: 'high' } },
      },
      { mark: { type: 'line', color: '#d62728' }, encoding: { y: { field: 'said', type: 'quantitative' } } },
      {
        mark: { type: 'point', color: 'black', size: 10, filled: true },
        encoding: { y: { field: 'truth', type: 'quantitative' } },
      },
    ],
  });
}

export const example: Example = {
  title: 'temperature of the next fourteen days, and of the next twelve months (Seattle, 2012 to 2015)',
  async run(stage) {
    const days = await table('seattle-weather.csv');
    const temperature = days.map(({ temp_max }) => Number(temp_max));
    const from = Math.floor(0.8 * days.length);
    stage.log(`  ${days.length} days; the last ${days.length - from} are held out`);
    // these settings had the smallest error on the last quarter of the training data
    const series = { temperature, ...seasons(temperature.length, YEAR) };
    using model = await Forecaster.create({
      variables: Object.keys(series),
      targets: ['temperature'],
      window: 5,
      horizon: DAYS,
      quantiles: [0.1, 0.5, 0.9],
      hiddenSize: 16,
      outputDropout: 0.1,
      seed: stage.seed,
    });
    const fit = { to: from, epochs: 10, batchSize: 32, learningRate: 3e-3, signal: stage.signal };
    const dates = days.map(({ date }) => date);
    for await (const p of model.fit({ series, dates }, fit)) {
      stage.progress(p.step, p.steps, `loss ${p.loss.toFixed(3)}, ${p.secondsLeft.toFixed(0)} s left`);
    }
    const { mae, coverage = [] } = (await model.evaluate(series, { from })).variables.temperature;
    const lastYear = error(temperature, from, (t) => temperature[t - Math.round(YEAR)]);
    const today = error(temperature, from, (_, origin) => temperature[origin - 1]);
    const normal = error(temperature, from, climatology(temperature, 10));
    stage.metric('the same day of last year, mean absolute error', lastYear, '°C');
    stage.metric('as today', today, '°C');
    stage.metric('mean of all years, ± ten days', normal, '°C');
    // strictly below the best of them
    stage.metric('fourteen days: this model', mae, '°C', {
      atMost: Math.min(lastYear, today, normal) - 1e-3,
    });
    const [low, , high] = coverage;
    stage.metric('days between the quantiles 0.1 and 0.9', high - low, '%');

    const rows: object[] = [];
    const until = (n: number) => Object.fromEntries(Object.entries(series).map(([name, y]) => [name, y.slice(0, n)]));
    for (let origin = from; origin + DAYS <= days.length; origin += DAYS) {
      const history = { series: until(origin), dates: dates.slice(0, origin) };
      const [{ temperature: forecast }] = await model.predict([history]);
      const { point, quantiles = [], dates: later = [] } = forecast;
      point.forEach((said, k) => {
        rows.push({
          date: later[k].toISOString(),
          truth: temperature[origin + k],
          said,
          low: quantiles[0][k],
          high: quantiles[2][k],
        });
      });
    }
    await stage.picture('forecasts', {
      title: 'Each fortnight predicted from all days before it',
      width: 900,
      height: 320,
      data: { values: rows },
      encoding: { x: { field: 'date', type: 'temporal', title: null } },
      layer: [
        {
          mark: { type: 'area', color: '#9ecae1' },
          encoding: {
            y: { field: 'low', type: 'quantitative', title: 'maximum of the day, °C' },
            y2: { field: 'high' },
          },
        },
        { mark: { type: 'line', color: '#d62728' }, encoding: { y: { field: 'said', type: 'quantitative' } } },
        {
          mark: { type: 'point', color: 'black', size: 10, filled: true },
          encoding: { y: { field: 'truth', type: 'quantitative' } },
        },
      ],
    });
    await year(stage, temperature, days[0].date);
    stage.log('  black: measured; red: predicted; blue: between the quantiles 0.1 and 0.9');
  },
};
