/** Time series: carbon dioxide over Mauna Loa, twelve months ahead. */
import { Forecaster } from 'gatewise/tasks';
import { table } from './support/csv.js';
import type { Example } from './support/stage.js';

const YEAR = 12;

/** Months from the first to the last, those without a measurement interpolated from their neighbors. */
async function months(): Promise<{ first: Date; values: number[]; filled: number }> {
  const known = new Map<number, number>();
  for (const { Date: date, CO2 } of await table('co2-concentration.csv')) {
    const [year, month] = date.split('-').map(Number);
    known.set(YEAR * year + month - 1, Number(CO2));
  }
  const [from, to] = [Math.min(...known.keys()), Math.max(...known.keys())];
  const values = Array.from({ length: to - from + 1 }, (_, i) => {
    let [before, after] = [from + i, from + i];
    while (!known.has(before)) before--;
    while (!known.has(after)) after++;
    const [a, b] = [known.get(before) as number, known.get(after) as number];
    return before === after ? a : a + ((b - a) * (from + i - before)) / (after - before);
  });
  return {
    first: new Date(Date.UTC(Math.floor(from / YEAR), from % YEAR)),
    values,
    filled: values.length - known.size,
  };
}

/** Mean absolute error, twelve months ahead, of this rule: the same month of last year plus the mean rise of n years before. */
function seasonalDrift(y: readonly number[], from: number, years: number): number {
  let [sum, count] = [0, 0];
  for (let origin = from; origin + YEAR <= y.length; origin++) {
    const back = Math.min(YEAR * years, origin - 1);
    const drift = ((y[origin - 1] - y[origin - 1 - back]) / back) * YEAR;
    for (let k = 0; k < YEAR; k++, count++) sum += Math.abs(y[origin + k - YEAR] + drift - y[origin + k]);
  }
  return sum / count;
}

export const example: Example = {
  title: 'carbon dioxide of the next twelve months, with quantiles (Mauna Loa, 1958 to 2020)',
  async run(stage) {
    const { first, values, filled } = await months();
    const from = Math.floor(0.8 * values.length);
    stage.log(`  ${values.length} months, ${filled} of them filled in; the last ${values.length - from} are held out`);
    using model = await Forecaster.create({
      window: 36,
      horizon: YEAR,
      difference: YEAR,
      trend: 'linear',
      quantiles: [0.1, 0.5, 0.9],
      hiddenSize: 24,
      outputDropout: 0.2,
      seed: stage.seed,
    });
    const dates = { start: first, step: { months: 1 } };
    const fit = { to: from, epochs: 30, batchSize: 32, learningRate: 2e-3, weightDecay: 1e-2, signal: stage.signal };
    for await (const p of model.fit({ series: values, dates }, fit)) {
      stage.progress(p.step, p.steps, `loss ${p.loss.toFixed(3)}, ${p.secondsLeft.toFixed(0)} s left`);
    }
    const { mae, baselines, coverage = [] } = await model.evaluate(values, { from, season: YEAR });
    stage.metric('the same month of last year, mean absolute error', baselines.seasonalNaive.mae, 'ppm');
    const all = seasonalDrift(values, from, Infinity);
    const ten = seasonalDrift(values, from, 10);
    stage.metric('the same with the mean rise of all years before', all, 'ppm');
    stage.metric('the same with the mean rise of ten years', ten, 'ppm');
    // strictly below the better of the two
    stage.metric('this model', mae, 'ppm', { atMost: Math.min(all, ten) - 1e-3 });
    const [low, , high] = coverage;
    stage.metric('months between the quantiles 0.1 and 0.9', high - low, '%');

    const rows: object[] = [];
    for (let origin = from; origin + YEAR <= values.length; origin += YEAR) {
      const history = { series: values.slice(0, origin), dates };
      const [{ point, quantiles = [], dates: months = [] }] = await model.predict([history]);
      point.forEach((said, k) => {
        rows.push({
          date: months[k].toISOString(),
          truth: values[origin + k],
          said,
          low: quantiles[0][k],
          high: quantiles[2][k],
        });
      });
    }
    await stage.picture('forecasts', {
      title: 'Each year predicted from all months before it',
      width: 900,
      height: 320,
      data: { values: rows },
      encoding: { x: { field: 'date', type: 'temporal', title: null } },
      layer: [
        {
          mark: { type: 'area', color: '#9ecae1' },
          encoding: {
            y: { field: 'low', type: 'quantitative', title: 'CO₂, ppm', scale: { zero: false } },
            y2: { field: 'high' },
          },
        },
        {
          mark: { type: 'line', color: '#d62728', strokeWidth: 1 },
          encoding: { y: { field: 'said', type: 'quantitative' } },
        },
        {
          mark: { type: 'point', color: 'black', size: 8, filled: true },
          encoding: { y: { field: 'truth', type: 'quantitative' } },
        },
      ],
    });
    stage.log('  black: measured; red: predicted; blue: between the quantiles 0.1 and 0.9');
  },
};
