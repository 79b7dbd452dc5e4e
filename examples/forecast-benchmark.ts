/**
 * Forecasts next to classical methods: four series, twelve steps ahead from every step of the last fifth. All settings are chosen on
 * what is before.
 */
import { chooseForecaster, Forecaster, type ForecasterReport } from 'gatewise/tasks';
import { table } from './support/csv.js';
import { etsError } from './support/ets.js';
import type { Example, Stage } from './support/stage.js';

const HORIZON = 12;
const SEEDS = 5;

const column = async (file: string, name: string) => (await table(file)).map((row) => Number(row[name]));

/** The period is that of the calendar. */
const SERIES: readonly { name: string; unit: string; season: number; load: () => Promise<number[]> }[] = [
  { name: 'CO₂, months', unit: 'ppm', season: 12, load: () => column('co2-concentration.csv', 'CO2') },
  {
    name: 'temperature of Seattle, weeks',
    unit: '°C',
    season: 52,
    load: async () => {
      const days = await column('seattle-weather.csv', 'temp_max');
      const week = (i: number) => days.slice(7 * i, 7 * i + 7).reduce((sum, v) => sum + v, 0) / 7;
      return Array.from({ length: Math.floor(days.length / 7) }, (_, i) => week(i));
    },
  },
  { name: 'US employment, months', unit: 'thousands', season: 12, load: () => column('us-employment.csv', 'nonfarm') },
  { name: 'global temperature, years', unit: '°C', season: 1, load: () => column('global-temp.csv', 'temp') },
];

/** The mean absolute errors of all methods on one series, and what was chosen. */
async function compare(stage: Stage, { name, season, load }: (typeof SERIES)[number]) {
  const y = await load();
  const from = Math.floor(0.8 * y.length);
  const { signal, seed } = stage;
  const choosing = chooseForecaster(y, {
    to: from,
    season,
    create: { horizon: HORIZON, hiddenSize: 16, seed },
    fit: { epochs: 30, patience: 8, learningRate: 2e-3 },
    signal,
  });
  for await (const { done, total } of choosing) stage.progress(done, total, `${name}: settings`);
  const choice = await choosing;
  const own: number[] = [];
  let simple: ForecasterReport<never>['baselines'] | undefined;
  for (let i = 0; i < SEEDS; i++) {
    using model = await Forecaster.create({ ...choice.create, seed: seed + i });
    await model.fit(y, { ...choice.fit, to: from, signal });
    const { mae, baselines } = await model.evaluate(y, { from, warn: false, ...(season > 1 ? { season } : {}) });
    own.push(mae);
    simple = baselines;
    stage.progress(i + 1, SEEDS, `${name}: seeds`);
  }
  if (!simple) throw new Error('no model was trained');
  return { own, simple, ets: etsError(y, from, HORIZON, season), choice };
}

export const example: Example = {
  title: 'four series, twelve steps ahead, next to AR(p), exponential smoothing and naive forecasts; five seeds',
  async run(stage) {
    const rows: string[][] = [];
    let won = 0;
    for (const series of SERIES) {
      const { own, simple, ets, choice } = await compare(stage, series);
      const mean = own.reduce((sum, v) => sum + v, 0) / own.length;
      const ar = simple.ar.mae;
      if (mean <= ar) won++;
      const { window, difference = 0, trend = 'none', normalization = 'none', cell } = choice.create;
      const rest = choice.fit.learningRate === 0 ? 'linear path alone' : `${cell}, ${choice.fit.epochs} epochs`;
      stage.log(
        `  ${series.name}: window ${window}, difference ${difference}, trend ${trend}, normalization ${normalization}; ${rest}`,
      );
      const digits = mean < 10 ? 3 : 0;
      const numbers = [simple.naive.mae, simple.drift.mae, simple.seasonalNaive.mae, ets, ar, mean];
      const range = `${Math.min(...own).toFixed(digits)} to ${Math.max(...own).toFixed(digits)}`;
      rows.push([series.name, ...numbers.map((v) => v.toFixed(digits)), range]);
      stage.metric(`${series.name}: mean of ${SEEDS} seeds`, mean, series.unit, { atMost: 1.03 * ar });
    }
    stage.metric('series with an error of at most that of AR(p)', won, 'of 4', { atLeast: 3 });
    const head = ['mean absolute error', 'last value', 'drift', 'last season', 'ETS', 'AR(p)', 'this model', 'seeds'];
    const widths = head.map((text, i) => Math.max(text.length, ...rows.map((row) => row[i].length)));
    stage.log('');
    for (const row of [head, ...rows]) stage.log(`  ${row.map((text, i) => text.padEnd(widths[i])).join('  ')}`);
  },
};
