/** The highest temperature of the next seven days from four variables of the weather. Arguments: a CSV file and the seed. */
import { readFileSync } from 'node:fs';
import { Forecaster } from 'gatewise/tasks';

const [head, ...rows] = readFileSync(process.argv[2], 'utf8')
  .trim()
  .split('\n')
  .map((line) => line.split(','));
const variables = ['precipitation', 'temp_max', 'temp_min', 'wind'] as const;
const columns = (list: string[][]) =>
  Object.fromEntries(variables.map((name) => [name, list.map((row) => Number(row[head.indexOf(name)]))]));
const from = Math.floor(0.8 * rows.length);
const model = await Forecaster.create({
  variables,
  targets: ['temp_max'],
  window: 28,
  horizon: 7,
  cell: 'gru',
  hiddenSize: 24,
  quantiles: [0.1, 0.5, 0.9],
  seed: Number(process.argv[3]),
});
await model.fit(columns(rows.slice(0, from)), { epochs: 20, validation: 0.15, patience: 2 });
const report = await model.evaluate(columns(rows), { from });
console.log(JSON.stringify(report.variables.temp_max));
