/** Many series: one model for all, compared with a model for each and with classical methods, on the parts of US employment. */
import { backtest, type ComparedSeries, chooseForecaster, Forecaster, type ForecasterReport } from 'gatewise/tasks';
import { table } from './support/csv.js';
import type { Example, Stage } from './support/stage.js';

const YEAR = 12;
/** The last fifth of ten years. */
const TEST = -24;
const SEEDS = 3;

interface Named {
  readonly name: string;
  readonly series: readonly number[];
  readonly dates: { readonly start: string; readonly step: { readonly months: number } };
}

/** The numbers of employees, in thousands. Their changes are in the file too, as a column of their own. */
async function columns(): Promise<Named[]> {
  const rows = await table('us-employment.csv');
  const names = Object.keys(rows[0]).filter((name) => name !== 'month' && name !== 'nonfarm_change');
  const dates = { start: rows[0].month, step: { months: 1 } };
  return names.map((name) => ({ name, series: rows.map((row) => Number(row[name])), dates }));
}

/** What both ways are chosen from. */
const settings = (seed: number) => ({
  to: TEST,
  season: YEAR,
  create: { horizon: YEAR, hiddenSize: 16, seed },
  windows: [6, 12, 24],
  cells: ['gru'] as const,
  fit: { epochs: 20, patience: 6, learningRate: 2e-3 },
});

/** One model for all series, of several seeds. */
async function global(stage: Stage, all: readonly Named[]) {
  const { signal } = stage;
  const series = all.map(({ series, dates }) => ({ series, dates }));
  const choosing = chooseForecaster(series, { ...settings(stage.seed), signal });
  for await (const { done, total } of choosing) stage.progress(done, total, 'one model for all: settings');
  const { create, fit } = await choosing;
  const reports: ComparedSeries<ForecasterReport<never>>[] = [];
  for (let i = 0; i < SEEDS; i++) {
    const own = { ...create, seed: stage.seed + i };
    reports.push(await backtest(series, { from: TEST, season: YEAR, create: own, fit, signal }));
    stage.progress(i + 1, SEEDS, 'one model for all: seeds');
  }
  return { reports, create, fit, series };
}

/** A model for each series, all settings chosen for it alone. */
async function single(stage: Stage, all: readonly Named[]): Promise<number[]> {
  const { signal } = stage;
  const errors: number[] = [];
  for (const [i, { series }] of all.entries()) {
    stage.progress(i, all.length, 'a model for each series');
    const { create, fit } = await chooseForecaster(series, { ...settings(stage.seed), signal });
    errors.push((await backtest(series, { from: TEST, season: YEAR, create, fit, signal })).mae);
  }
  return errors;
}

const mean = (values: readonly number[]) => values.reduce((sum, v) => sum + v, 0) / values.length;

export const example: Example = {
  title: 'employment in 22 parts of the US economy, twelve months ahead: one model for all, or one for each',
  async run(stage) {
    const all = await columns();
    const one = await global(stage, all);
    const alone = await single(stage, all);
    const [report] = one.reports;
    // what the scaled errors are relative to: the mean change from month to month
    const changes = all.map(({ series }) => {
      const known = series.slice(0, TEST);
      return mean(known.slice(1).map((v, t) => Math.abs(v - known[t])));
    });
    const ar = report.series.map(({ baselines }) => baselines.ar.mae);
    const ours = all.map((_, s) => mean(one.reports.map(({ series }) => series[s].mae)));
    const scaled = (errors: readonly number[]) => mean(errors.map((e, s) => e / changes[s]));
    const wins = (errors: readonly number[]) => errors.filter((e, s) => e < ar[s]).length;
    const { window, difference = 0, normalization = 'none', cell } = one.create;
    const rest = one.fit.learningRate === 0 ? 'linear path alone' : `${cell}, ${one.fit.epochs} epochs`;
    stage.log(
      `  one model for all: window ${window}, difference ${difference}, normalization ${normalization}; ${rest}`,
    );
    const { baselines } = report;
    const simple = (name: keyof typeof baselines) => report.series.map((own) => own.baselines[name].mae);
    const rows = [
      ['last value', simple('naive')],
      ['last value and mean rise', simple('drift')],
      ['same month of last year', simple('seasonalNaive')],
      ['AR(p) of each series', ar],
      ['a Forecaster for each series', alone],
      [`one Forecaster for all, mean of ${SEEDS} seeds`, ours],
    ] as const;
    stage.log('');
    stage.log(`  ${'mean absolute scaled error, 22 series'.padEnd(40)}        better than AR(p)`);
    for (const [name, errors] of rows) {
      const count = errors === ar ? '' : `${wins(errors)} of ${all.length}`;
      stage.log(`  ${name.padEnd(40)} ${scaled(errors).toFixed(3).padStart(6)} ${count}`);
    }
    const range = one.reports.map(({ mase }) => mase.toFixed(3)).join(', ');
    stage.log(`  seeds: ${range}`);
    stage.log('');
    stage.metric('one model for all, mean absolute scaled error', scaled(ours), '', { atMost: scaled(ar) });
    stage.metric('a model for each', scaled(alone));

    // the forecasts of the last year, on their dates
    using model = await Forecaster.create({ ...one.create, quantiles: [0.1, 0.5, 0.9] });
    await model.fit(one.series, { ...one.fit, to: -YEAR, signal: stage.signal });
    const shown = ['construction', 'manufacturing', 'information', 'leisure_and_hospitality'];
    const picked = all.filter(({ name }) => shown.includes(name));
    const histories = picked.map(({ series, dates }) => ({ series: series.slice(0, -YEAR), dates }));
    const forecasts = await model.predict(histories);
    const month = (k: number) => new Date(Date.UTC(2006, k)).toISOString();
    const values = picked.flatMap(({ name, series }, s) => {
      const { point, quantiles = [], dates = [] } = forecasts[s];
      const first = series.length - YEAR;
      const before = series.slice(0, first).map((truth, t) => ({ name, date: month(t), truth }));
      const after = dates.map((date, k) => ({
        ...{ name, date: date.toISOString(), truth: series[first + k] },
        ...{ said: point[k], low: quantiles[0][k], high: quantiles[2][k] },
      }));
      return [...before.slice(-3 * YEAR), ...after];
    });
    const y = (field: string) => ({ field, type: 'quantitative', title: 'thousands', scale: { zero: false } }) as const;
    await stage.picture('forecasts', {
      title: 'The last year, predicted by one model for all series',
      data: { values },
      facet: { field: 'name', type: 'nominal', title: null },
      columns: 2,
      resolve: { scale: { y: 'independent' } },
      spec: {
        width: 420,
        height: 180,
        encoding: { x: { field: 'date', type: 'temporal', title: null } },
        layer: [
          { mark: { type: 'area', color: '#9ecae1' }, encoding: { y: y('low'), y2: { field: 'high' } } },
          { mark: { type: 'line', color: '#d62728' }, encoding: { y: y('said') } },
          { mark: { type: 'point', color: 'black', size: 8, filled: true }, encoding: { y: y('truth') } },
        ],
      },
    });
    stage.log('  black: measured; red: predicted; blue: between the quantiles 0.1 and 0.9');
  },
};
