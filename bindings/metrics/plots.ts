/** Confusion matrices, searches for a rate and histories as SVG. */
import * as check from '../check.js';
import { exp2, log10 } from '../dynamics/numbers.js';
import { isRecord } from '../options.js';
import type { ConfusionMatrix } from './classification.js';
import type { RateSearch } from './rates.js';

const NAMES: Readonly<Record<string, string>> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' };
const escaped = (text: string) => text.replace(/[&<>"]/g, (c) => NAMES[c]);
const fixed = (x: number) => String(Math.round(10 * x) / 10);
const short = (x: number) => String(Number(x.toPrecision(3)));
const INK = '#333';

function svg(width: number, height: number, parts: readonly string[]): string {
  const open = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${fixed(width)} ${fixed(height)}" font-family="sans-serif" font-size="12">`;
  return `${open}<rect width="100%" height="100%" fill="#fff"/>${parts.join('')}</svg>`;
}

const label = (x: number, y: number, text: string, anchor = 'middle', more = '') =>
  `<text x="${fixed(x)}" y="${fixed(y)}" text-anchor="${anchor}" fill="${INK}"${more}>${escaped(text)}</text>`;

/**
 * A confusion matrix as SVG: rows are the right classes, columns the predicted ones; the darker a field, the larger its share of the row.
 *
 * @throws TypeError for what is not a confusion matrix
 */
export function confusionPlot(matrix: ConfusionMatrix): string {
  for (const name of ['classes', 'counts'] as const) {
    if (!Array.isArray(matrix?.[name])) check.fail('matrix', 'a confusion matrix', matrix);
  }
  const { classes, counts, rejected } = matrix;
  const K = classes.length;
  for (let i = 0; i < K; i++) check.text(`classes[${i}]`, classes[i]);
  for (const [name, row] of [
    ['rejected', rejected] as const,
    ...Array.from(counts, (row) => ['counts[i]', row] as const),
  ]) {
    if (!Array.isArray(row)) check.fail(name, 'a list of numbers', row);
    check.numbers(name, row, K, `[K=${K}]`);
  }
  if (counts.length !== K) check.fail('counts', `${K} rows`, counts.length);
  const some = rejected.some((n) => n > 0);
  const columns = some ? [...classes, 'rejected'] : classes;
  const long = Math.max(...columns.map((name) => name.length));
  const [size, left, top] = [Math.max(44, 7 * long + 8), 7 * long + 40, 50];
  const fields = counts.flatMap((own, i) => {
    const row = some ? [...own, rejected[i]] : own;
    const total = row.reduce((a, b) => a + b, 0);
    const y = top + 32 * i;
    const cells = row.map((n, j) => {
      const share = total ? n / total : 0;
      const x = left + size * j;
      const ink = share > 0.5 ? '#fff' : INK;
      const place = `x="${fixed(x)}" y="${fixed(y)}" width="${fixed(size)}" height="32"`;
      return (
        `<rect ${place} fill="#1f4e79" fill-opacity="${share.toFixed(3)}" stroke="#ddd"/>` +
        `<text x="${fixed(x + size / 2)}" y="${fixed(y + 20)}" text-anchor="middle" fill="${ink}">${n}</text>`
      );
    });
    return [label(left - 8, y + 20, classes[i], 'end'), ...cells];
  });
  const heads = columns.map((name, j) => label(left + size * (j + 0.5), top - 8, name));
  const width = left + size * columns.length + 16;
  const height = top + 32 * classes.length + 16;
  const titles = [
    label(left + (size * columns.length) / 2, 18, 'predicted'),
    label(
      14,
      top + 16 * classes.length,
      'actual',
      'middle',
      ` transform="rotate(-90 14 ${fixed(top + 16 * classes.length)})"`,
    ),
  ];
  return svg(width, height, [...titles, ...heads, ...fields]);
}

/** A column of numbers, some of which may be infinite or NaN: such points are not drawn. */
function column(name: string, list: readonly number[], length?: number): readonly number[] {
  if (!Array.isArray(list)) check.fail(name, 'a list of numbers', list);
  const wrong = Array.from(list).findIndex((value) => typeof value !== 'number');
  if (wrong >= 0) check.fail(`${name}[${wrong}]`, 'a number', list[wrong]);
  if (length !== undefined && list.length !== length) check.fail(`${name}.length`, String(length), list.length);
  return list;
}

/** A line of a plot. */
interface Line {
  readonly name: string;
  readonly x: readonly number[];
  readonly y: readonly number[];
}

const COLOURS = ['#1f77b4', '#d1590b', '#2a8c3f', '#8b4fb0'];

/** Lines with axes. `log` makes the x axis logarithmic. */
function plot(lines: readonly Line[], names: { x: string; y: string }, log: boolean, mark: number | null): string {
  const [width, height, left, right, top, bottom] = [560, 300, 64, 16, 34, 44];
  const along = (x: number) => (log ? log10(x) : x);
  const xs = lines.flatMap(({ x }) => x.map(along)).filter(Number.isFinite);
  const ys = lines.flatMap(({ y }) => [...y]).filter(Number.isFinite);
  if (!xs.length || !ys.length) throw new RangeError('plot: expected at least one finite number');
  const range = (list: readonly number[]) => {
    const [low, high] = list.reduce(([a, b], v) => [Math.min(a, v), Math.max(b, v)], [Infinity, -Infinity]);
    return [low, high > low ? high : low + 1];
  };
  const [[x0, x1], [y0, y1]] = [range(xs), range(ys)];
  const px = (x: number) => left + ((along(x) - x0) / (x1 - x0)) * (width - left - right);
  const py = (y: number) => top + ((y1 - y) / (y1 - y0)) * (height - top - bottom);
  const ticks = [0, 0.25, 0.5, 0.75, 1].flatMap((t) => {
    const x = x0 + t * (x1 - x0);
    const y = y0 + t * (y1 - y0);
    return [
      `<line x1="${left}" x2="${width - right}" y1="${fixed(py(y))}" y2="${fixed(py(y))}" stroke="#e4e4e4"/>`,
      label(left - 6, py(y) + 4, short(y), 'end'),
      label(left + t * (width - left - right), height - bottom + 16, short(log ? exp2(x / log10(2)) : x)),
    ];
  });
  const drawn = lines.map(({ x, y }, i) => {
    const points = x.flatMap((v, k) =>
      Number.isFinite(y[k]) && Number.isFinite(along(v)) ? [`${fixed(px(v))},${fixed(py(y[k]))}`] : [],
    );
    return `<polyline points="${points.join(' ')}" fill="none" stroke="${COLOURS[i % COLOURS.length]}" stroke-width="1.5"/>`;
  });
  const legend = lines.map(
    ({ name }, i) => `<text x="${left + 130 * i}" y="20" fill="${COLOURS[i % COLOURS.length]}">${escaped(name)}</text>`,
  );
  const marked =
    mark === null
      ? []
      : [
          `<line x1="${fixed(px(mark))}" x2="${fixed(px(mark))}" y1="${top}" y2="${height - bottom}" stroke="${INK}" stroke-dasharray="4 3"/>`,
        ];
  const middle = (top + height - bottom) / 2;
  const axes = [
    label((left + width - right) / 2, height - 8, names.x),
    label(14, middle, names.y, 'middle', ` transform="rotate(-90 14 ${fixed(middle)})"`),
  ];
  return svg(width, height, [...ticks, ...marked, ...drawn, ...legend, ...axes]);
}

/**
 * The loss against the learning rate as SVG, with the suggestion as a dashed line.
 *
 * @throws TypeError, RangeError for what is not a result of `findLearningRate`
 */
export function ratePlot(search: RateSearch): string {
  if (!isRecord(search)) check.fail('search', 'a result of findLearningRate', search);
  const { rates, losses, smoothed, suggestion } = search;
  const { length } = column('rates', rates);
  column('losses', losses, length);
  column('smoothed', smoothed, length);
  if (suggestion !== null) check.number('suggestion', suggestion, 0, Infinity, true);
  // what exploded would hide the rest
  const most = 2 * Math.max(...smoothed.slice(0, smoothed.indexOf(Math.min(...smoothed)) + 1));
  const cut = (list: readonly number[]) => list.map((loss) => (loss <= most ? loss : Number.NaN));
  const lines = [
    { name: 'loss', x: rates, y: cut(losses) },
    { name: 'smoothed', x: rates, y: cut(smoothed) },
  ];
  return plot(lines, { x: 'learning rate', y: 'loss' }, true, suggestion);
}

/** The columns of the result of `fit` that `historyPlot` reads. */
export interface Columns {
  readonly epochs: Readonly<Record<'step' | 'loss', readonly number[]>>;
  readonly steps: Readonly<Record<'step' | 'loss', readonly number[]>>;
  readonly validations: Readonly<Record<string, readonly number[]>>;
  readonly best: { readonly step: number; readonly metric: string } | null;
}

/**
 * The history of a training as SVG: the mean loss of the epochs, or of the steps if no epoch ended, and a metric of the validations. The best
 * step is a dashed line.
 *
 * @param metric a column of `history.validations`, default `'loss'`
 * @throws RangeError where no validation has this metric; TypeError, RangeError for what is not a history
 */
export function historyPlot(history: Columns, metric = 'loss'): string {
  check.text('metric', metric);
  const { epochs, steps, validations, best } = isRecord(history)
    ? history
    : check.fail('history', 'the result of fit', history);
  for (const [name, part] of Object.entries({ epochs, steps })) {
    if (!isRecord(part)) check.fail(name, 'the columns of a history', part);
    column(`${name}.loss`, part.loss, column(`${name}.step`, part.step).length);
  }
  if (!isRecord(validations)) check.fail('validations', 'the columns of a history', validations);
  for (const name of ['step', metric]) {
    if (Object.hasOwn(validations, name)) column(`validations.${check.cut(name)}`, validations[name]);
  }
  if (best !== null && best !== undefined) check.number('best.step', best.step);
  const own = epochs.step.length ? epochs : steps;
  const lines = [{ name: 'training loss', x: own.step, y: own.loss }];
  const { [metric]: values, step = [] } = validations;
  if (values) lines.push({ name: `validation ${metric}`, x: step, y: values });
  else if (step.length) throw new RangeError(`metric: ${check.show(metric)} is not a column of validations`);
  return plot(lines, { x: 'step', y: metric === 'loss' ? 'loss' : `loss, ${metric}` }, false, best?.step ?? null);
}
