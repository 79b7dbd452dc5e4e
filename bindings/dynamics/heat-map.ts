/** Heat maps as SVG: rows of numbers in colours, with axes, names, units and the scale of the colours. */
import * as check from '../check.js';
import { type Options, object, oneOf, option, optional, readOptions, real, required } from '../options.js';
import type { Flow, LayerFlow } from './flow.js';
import { log2, log10 } from './numbers.js';

/** One row of a heat map. */
export interface HeatRow {
  readonly name: string;
  /** From left to right; NaN is left blank. */
  readonly values: ArrayLike<number>;
}

const AXIS = {
  /** What is along the axis, with its unit. */
  name: required(check.text),
  /** Number of the first column, default 0. */
  first: option(real(), 0),
  /** Difference of the numbers of neighboring columns, default 1. */
  step: option(real(), 1),
};

const HEAT_MAP = {
  title: option(check.text, ''),
  /** The columns. */
  x: required(object(AXIS)),
  /** What the rows are, default `''`. */
  y: option(check.text, ''),
  /** What the colours mean, with its unit. */
  unit: required(check.text),
  /** `'log'`: colours by the logarithm, and 0 in white; default `'linear'`. */
  scale: option(oneOf('linear', 'log'), 'linear'),
  /** Ends of the scale; default: the smallest and the largest number, with `'log'` at most sixteen powers of ten. */
  from: optional(real()),
  to: optional(real()),
};

export interface HeatMapOptions extends Options<typeof HEAT_MAP> {}

/** Dark to bright in equal steps of lightness: readable in grey too. */
const COLOURS = ['#440154', '#46327e', '#365c8d', '#277f8e', '#1fa187', '#4ac16d', '#a0da39', '#fde725'];
const LEVELS = 64;
const [WIDTH, LEFT, TOP, ROW, LETTER] = [560, 24, 44, 22, 6.6];

function colour(share: number): string {
  const at = Math.min(Math.max(share, 0), 1) * (COLOURS.length - 1);
  const i = Math.min(Math.floor(at), COLOURS.length - 2);
  const part = (text: string, n: number) => Number.parseInt(text.slice(1 + 2 * n, 3 + 2 * n), 16);
  const mixed = [0, 1, 2].map((n) =>
    Math.round(part(COLOURS[i], n) * (i + 1 - at) + part(COLOURS[i + 1], n) * (at - i)),
  );
  return `#${mixed.map((x) => x.toString(16).padStart(2, '0')).join('')}`;
}

const NAMES: Readonly<Record<string, string>> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' };
const escaped = (text: string) => text.replace(/[&<>"]/g, (c) => NAMES[c]);
const fixed = (x: number) => String(Math.round(10 * x) / 10);

/** A number in few characters: 0.25, 1e-7. */
function short(x: number): string {
  const size = Math.abs(x);
  if (size !== 0 && (size < 1e-3 || size >= 1e5)) return x.toExponential(0).replace('+', '');
  return String(Number(x.toPrecision(3)));
}

/** Numbers 1, 2 or 5 times a power of ten apart, at most n of them, that cover a range. */
function ticks(from: number, to: number, n: number): number[] {
  let step = exp10(Math.floor(log10(Math.max((to - from) / n, 1e-30))));
  const least = step;
  for (const factor of [1, 2, 5, 10]) {
    step = least * factor;
    if ((to - from) / step <= n) break;
  }
  // counted: a step that is too small for `from` would not change it
  const first = Math.ceil(from / step - 1e-9);
  const count = Math.floor(to / step + 1e-9) - first + 1;
  return Array.from({ length: Math.min(Math.max(count, 0), n + 1) }, (_, i) =>
    Number(((first + i) * step).toPrecision(12)),
  );
}

const exp10 = (x: number) => Number(`1e${x}`);

/**
 * Draws rows of numbers.
 *
 * @param rows from top to bottom, of the same or of different lengths
 * @returns an SVG document on white
 * @throws TypeError, RangeError for invalid options, or without any number
 *
 * @example
 * ```js
 * import { heatMap } from 'gatewise/dynamics';
 *
 * const rows = [{ name: 'first', values: [0, 1, 2] }, { name: 'second', values: [2, 1, 0] }];
 * const svg = heatMap(rows, { title: 'Two rows', x: { name: 'step t' }, unit: 'size' });
 * console.log(svg.slice(0, 4), svg.includes('step t')); // <svg true
 * ```
 */
export function heatMap(rows: readonly HeatRow[], options: HeatMapOptions): string {
  const { title, x, y, unit, scale, from, to } = readOptions('heatMap', HEAT_MAP, options);
  if (!Array.isArray(rows)) check.fail('rows', 'a list of { name, values }', rows);
  const lists = rows.map((row, i) => {
    check.text(`rows[${i}].name`, row?.name);
    return listOf(`rows[${i}].values`, row.values);
  });
  const log = scale === 'log';
  const counted = lists.flat().filter((value) => Number.isFinite(value) && (!log || value > 0));
  if (counted.length === 0) throw new RangeError(`rows: expected at least one number${log ? ' above 0' : ''}`);
  const high = to ?? counted.reduce((a, b) => Math.max(a, b));
  const smallest = counted.reduce((a, b) => Math.min(a, b));
  const low = from ?? (log ? Math.max(smallest, high * 1e-16) : smallest);
  if (log && !(low > 0)) check.fail('from', 'a number above 0 on a scale of logarithms', low);
  if (!(low <= high)) throw new RangeError(`from: expected at most ${short(high)}, got ${short(low)}`);
  const on = (value: number) => (log ? log2(value) : value);
  const range = on(high) - on(low) || 1;
  const share = (value: number) => (on(value) - on(low)) / range;
  const level = (value: number): number | null => {
    if (Number.isNaN(value)) return null;
    if (log && value <= 0) return -1;
    if (!Number.isFinite(value)) return LEVELS - 1;
    return Math.min(LEVELS - 1, Math.max(0, Math.floor(share(value) * LEVELS)));
  };

  const names = Math.min(220, Math.max(...rows.map(({ name }) => name.length), 2) * LETTER);
  const left = LEFT + names + 8;
  const columns = Math.max(...lists.map(({ length }) => length));
  const cell = WIDTH / columns;
  const bottom = TOP + rows.length * ROW;
  const parts: string[] = [];
  const text = (x: number, y: number, words: string, more = '') =>
    parts.push(`<text x="${fixed(x)}" y="${fixed(y)}"${more}>${escaped(words)}</text>`);
  const rect = (x: number, y: number, w: number, h: number, fill: string) =>
    parts.push(`<rect x="${fixed(x)}" y="${fixed(y)}" width="${fixed(w)}" height="${fixed(h)}" fill="${fill}"/>`);
  const line = (x1: number, y1: number, x2: number, y2: number) =>
    parts.push(`<path d="M${fixed(x1)} ${fixed(y1)}L${fixed(x2)} ${fixed(y2)}" stroke="#444"/>`);
  const END = ' text-anchor="end"';
  const MIDDLE = ' text-anchor="middle"';

  text(left, 22, title, ' font-size="14" font-weight="bold"');
  if (y) text(left - 8, TOP - 8, y, `${END} fill="#555"`);
  lists.forEach((values, r) => {
    const above = TOP + r * ROW;
    text(left - 8, above + ROW / 2 + 4, check.cut(rows[r].name, 32), END);
    // neighbours of one colour are one rectangle
    for (let i = 0, j = 0; i < values.length; i = j) {
      const own = level(values[i]);
      for (j = i + 1; j < values.length && level(values[j]) === own; ) j++;
      if (own === null) continue;
      rect(left + i * cell, above + 1, (j - i) * cell + 0.2, ROW - 2, own < 0 ? '#ffffff' : colour(own / (LEVELS - 1)));
    }
  });
  parts.push(`<path d="M${fixed(left)} ${TOP}V${bottom}H${fixed(left + WIDTH)}V${TOP}Z" fill="none" stroke="#999"/>`);

  const [first, step] = [x.first ?? 0, x.step ?? 1];
  if (step === 0) check.fail('x.step', 'a number that is not 0', step);
  const last = first + (columns - 1) * step;
  for (const tick of ticks(Math.min(first, last), Math.max(first, last), 10)) {
    const at = left + ((tick - first) / step + 0.5) * cell;
    if (columns <= 10 && !Number.isInteger((tick - first) / step)) continue;
    line(at, bottom, at, bottom + 5);
    text(at, bottom + 18, short(tick), MIDDLE);
  }
  text(left + WIDTH / 2, bottom + 36, x.name, MIDDLE);

  const at = left + WIDTH + 28;
  const height = Math.max(rows.length * ROW, 110);
  for (let n = 0; n < LEVELS; n++) {
    rect(at, TOP + height - ((n + 1) * height) / LEVELS, 14, height / LEVELS + 0.2, colour(n / (LEVELS - 1)));
  }
  const marks = log ? decades(low, high) : ticks(low, high, 6);
  const mark = (value: number, words: string) => {
    const where = TOP + height * (1 - share(value));
    line(at + 14, where, at + 18, where);
    text(at + 22, where + 4, words);
  };
  // a number past an end of the scale has the colour of that end
  const ends = [
    ...(counted.some((value) => value < low) ? [[low, `≤ ${short(low)}`] as const] : []),
    ...(counted.some((value) => value > high) ? [[high, `≥ ${short(high)}`] as const] : []),
  ];
  for (const [value, words] of ends) mark(value, words);
  for (const value of marks.length ? marks : [low, high]) {
    if (ends.every(([end]) => Math.abs(share(end) - share(value)) * height > 12)) mark(value, short(value));
  }
  text(at, TOP - 8, unit);
  if (log && lists.some((values) => values.includes(0))) {
    parts.push(`<rect x="${fixed(at)}" y="${TOP + height + 8}" width="14" height="12" fill="#fff" stroke="#999"/>`);
    text(at + 22, TOP + height + 18, '0');
  }
  const width = Math.ceil(at + 22 + Math.max(60, unit.length * LETTER - 10));
  const total = Math.max(bottom + 48, TOP + height + 28);
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${total}" viewBox="0 0 ${width} ${total}" font-family="sans-serif" font-size="12" shape-rendering="crispEdges"><rect width="100%" height="100%" fill="#fff"/>${parts.join('')}</svg>`;
}

/** Powers of ten within a range, at most eight of them. */
function decades(low: number, high: number): number[] {
  const [a, b] = [Math.ceil(log10(low) - 1e-9), Math.floor(log10(high) + 1e-9)];
  const step = Math.max(1, Math.ceil((b - a + 1) / 8));
  return Array.from({ length: Math.max(0, Math.floor((b - a) / step) + 1) }, (_, i) => exp10(b - i * step));
}

/** A list of numbers, of which NaN and infinite ones have places of their own in a picture. */
function listOf(name: string, values: ArrayLike<number>): number[] {
  if (!Array.isArray(values) && !ArrayBuffer.isView(values)) check.fail(name, 'a list of numbers', values);
  const list = values as ArrayLike<number>;
  return Array.from({ length: list.length ?? 0 }, (_, i) =>
    typeof list[i] === 'number' ? list[i] : check.fail(`${name}[${i}]`, 'a number', list[i]),
  );
}

/** The layers of a flow. */
function layersOf(name: string, flow: Flow): readonly LayerFlow[] {
  if (!Array.isArray(flow?.layers)) check.fail(name, 'what gradientFlow returns', flow);
  for (const layer of flow.layers) {
    check.text(`${name}: the name of a layer`, layer?.name);
    check.whole(`${name}: the number of a layer`, layer.layer, 0);
    for (const { h, c } of [layer.gradient, layer.lags].map((norms) => norms ?? ({} as Partial<LayerFlow['lags']>))) {
      const steps = listOf(`${name}: h of a layer`, h as Float64Array).length;
      if (c !== null && listOf(`${name}: c of a layer`, c as Float64Array).length !== steps)
        throw new RangeError(`${name}: expected c of as many steps as h`);
    }
  }
  return flow.layers;
}

/** The name of a layer, as rows of a picture show it. */
function nameOf({ name, layer, reverse }: LayerFlow): string {
  return `${name} l${layer}${reverse ? ' reverse' : ''}`;
}

/**
 * The heat map of one flow: ‖∂L/∂h_t‖ by layer and step; of layers with c, that of c in a row of its own.
 *
 * @throws RangeError if all gradients are 0; TypeError for what is not a flow
 */
export function flowMap(flow: Flow, title = 'Gradient of the loss with respect to the states'): string {
  const rows = layersOf('flow', flow).flatMap((layer) => {
    const { h, c } = layer.gradient;
    return [{ name: `${nameOf(layer)} h`, values: h }, ...(c ? [{ name: `${nameOf(layer)} c`, values: c }] : [])];
  });
  return heatMap(rows, { title, x: { name: 'step t' }, y: 'state', unit: '‖∂L/∂h_t‖', scale: 'log' });
}

/**
 * Flows side by side, for example of several models or of several steps of a training: ‖δ_{t,k}‖ by lag, divided by that of lag 0; of cells
 * with c, both states together.
 *
 * @param flows by the name of their row; a flow of several layers has several rows
 * @throws RangeError if all gradients are 0; TypeError for what is not a flow
 */
export function lagMap(
  flows: Readonly<Record<string, Flow>>,
  title = 'Gradient that arrives at earlier states',
): string {
  if (typeof flows !== 'object' || flows === null) check.fail('flows', 'flows by name', flows);
  const rows = Object.entries(flows).flatMap(([name, flow]) =>
    layersOf(`flows.${check.cut(name)}`, flow).map((layer, _, layers) => {
      const { h, c } = layer.lags;
      const both = Float64Array.from(h, (x, i) => Math.sqrt(x * x + (c ? c[i] * c[i] : 0)));
      return {
        name: layers.length > 1 ? `${name}: ${nameOf(layer)}` : name,
        values: both.map((x) => x / (both[0] || 1)),
      };
    }),
  );
  // what is lost and what explodes have the same room
  const [least, most] = rows
    .flatMap(({ values }) => [...values].filter((value) => value > 0 && value < Infinity))
    .reduce(([a, b], value) => [Math.min(a, value), Math.max(b, value)], [1, 1]);
  const range = { from: Math.max(least, 1e-12), to: Math.min(most, 1e12) };
  const x = { name: 'lag t - k, steps' };
  return heatMap(rows, { title, x, ...range, unit: '‖δ_{t,k}‖ / ‖δ_{t,t}‖', scale: 'log' });
}
