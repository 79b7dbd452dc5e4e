/** Charts as SVG: bars by group, and small multiples with logarithmic axes. Readable on light and on dark pages. */

export interface Bar {
  /** Which series, and so which colour. */
  readonly series: string;
  readonly value: number;
  /** What stands at its end. */
  readonly label: string;
}

export interface BarChart {
  readonly title: string;
  readonly axis: string;
  /** In the order of the legend. */
  readonly series: readonly string[];
  readonly groups: readonly { readonly name: string; readonly note: string; readonly bars: readonly Bar[] }[];
  readonly caption: string;
}

export interface Panel {
  readonly title: string;
  readonly x: string;
  readonly lines: readonly {
    readonly series: string;
    readonly points: readonly (readonly [number, number])[];
    /** What is expected is dashed and has no dots. */
    readonly dashed?: boolean;
  }[];
  /** Below the title. */
  readonly note: string;
}

export interface PanelChart {
  readonly title: string;
  readonly y: string;
  readonly series: readonly string[];
  readonly panels: readonly Panel[];
  readonly columns: number;
  readonly caption: string;
}

/** Paper, text, fainter text, lines, then the series. */
const LIGHT = ['#ffffff', '#1f2328', '#59636e', '#d1d9e0', '#8c959f', '#0969da', '#bc4c00'];
const DARK = ['#0d1117', '#e6edf3', '#9198a1', '#30363d', '#7d8590', '#4493f8', '#f0883e'];
const NAMES = ['paper', 'text', 'faint', 'line', 's0', 's1', 's2'];

function rules(colours: readonly string[]): string {
  return `:root { ${NAMES.map((name, i) => `--${name}: ${colours[i]}`).join('; ')} }`;
}

const STYLE = `${rules(LIGHT)}
@media (prefers-color-scheme: dark) { ${rules(DARK)} }
.paper { fill: var(--paper) } .line { stroke: var(--line); fill: none }
text { font: 12px system-ui, -apple-system, 'Segoe UI', 'DejaVu Sans', sans-serif; fill: var(--text) }
.title { font-size: 16px; font-weight: 600 } .bold { font-weight: 600 } .faint { fill: var(--faint); font-size: 11px }
${[0, 1, 2].map((i) => `.f${i} { fill: var(--s${i}) } .l${i} { stroke: var(--s${i}); fill: none; stroke-width: 2 }`).join('\n')}
.dashed { stroke-dasharray: 4 3; stroke-width: 1.5 }`;

function escaped(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;');
}

function at(x: number): string {
  return String(Math.round(x * 10) / 10);
}

function text(x: number, y: number, content: string, style = '', anchor = 'start'): string {
  const styled = style ? ` class="${style}"` : '';
  const anchored = anchor === 'start' ? '' : ` text-anchor="${anchor}"`;
  return `<text x="${at(x)}" y="${at(y)}"${styled}${anchored}>${escaped(content)}</text>`;
}

function line(x1: number, y1: number, x2: number, y2: number, style = 'line'): string {
  return `<line x1="${at(x1)}" y1="${at(y1)}" x2="${at(x2)}" y2="${at(y2)}" class="${style}"/>`;
}

function page(width: number, height: number, title: string, parts: readonly string[]): string {
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${at(height)}" viewBox="0 0 ${width} ${at(height)}" role="img">`,
    `<title>${escaped(title)}</title>`,
    `<style>${STYLE}</style>`,
    `<rect width="100%" height="100%" rx="6" class="paper"/>`,
    ...parts,
    '</svg>\n',
  ].join('\n');
}

function legend(series: readonly string[], x: number, y: number): string[] {
  let left = x;
  return series.flatMap((name, i) => {
    const parts = [
      `<rect x="${at(left)}" y="${at(y - 9)}" width="10" height="10" rx="2" class="f${i}"/>`,
      text(left + 15, y, name),
    ];
    left += 35 + 6.5 * name.length;
    return parts;
  });
}

/** Steps of 1, 2 or 5 times a power of ten, about `wanted` of them up to `end`. */
export function ticks(end: number, wanted = 6): number[] {
  const rough = end / wanted;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = power * ([1, 2, 5, 10].find((m) => m * power >= rough) ?? 10);
  return Array.from({ length: Math.floor(end / step + 1e-9) + 1 }, (_, i) => Number((i * step).toPrecision(6)));
}

const WIDTH = 760;
const MARGIN = 20;

export function barChart({ title, axis, series, groups, caption }: BarChart): string {
  const [left, right, top, thick, gap] = [210, 150, 78, 16, 18];
  const end = Math.max(...groups.flatMap(({ bars }) => bars.map(({ value }) => value)));
  const scale = (WIDTH - left - right) / end;
  const rows: string[] = [];
  let y = top;
  for (const { name, note, bars } of groups) {
    const height = bars.length * thick;
    rows.push(text(left - 12, y + height / 2 - 2, name, 'bold', 'end'));
    rows.push(text(left - 12, y + height / 2 + 12, note, 'faint', 'end'));
    for (const bar of bars) {
      const width = Math.max(bar.value * scale, 1);
      const style = `f${series.indexOf(bar.series)}`;
      rows.push(
        `<rect x="${left}" y="${at(y + 1)}" width="${at(width)}" height="${thick - 2}" rx="2" class="${style}"/>`,
        text(left + width + 6, y + thick - 4, bar.label),
      );
      y += thick;
    }
    y += gap;
  }
  const bottom = y - gap + 8;
  const grid = ticks(end).flatMap((value) => [
    line(left + value * scale, top - 6, left + value * scale, bottom),
    text(left + value * scale, bottom + 16, String(value), 'faint', 'middle'),
  ]);
  return page(WIDTH, bottom + 66, title, [
    text(MARGIN, 30, title, 'title'),
    ...legend(series, MARGIN, 54),
    ...grid,
    ...rows,
    text(left, bottom + 34, axis, 'faint'),
    text(MARGIN, bottom + 54, caption, 'faint'),
  ]);
}

/** Powers of ten between two numbers. */
function decades(from: number, to: number): number[] {
  const first = Math.ceil(Math.log10(from) - 1e-9);
  const last = Math.floor(Math.log10(to) + 1e-9);
  return Array.from({ length: Math.max(last - first + 1, 0) }, (_, i) => 10 ** (first + i));
}

function short(value: number): string {
  return value >= 1e6 ? `${value / 1e6}M` : value >= 1e3 ? `${value / 1e3}k` : String(value);
}

export function panelChart({ title, y: unit, series, panels, columns, caption }: PanelChart): string {
  const [top, height, gap, left] = [70, 190, 62, 46];
  const width = (WIDTH - 2 * MARGIN) / columns;
  const parts: string[] = [];
  panels.forEach((panel, i) => {
    const x0 = MARGIN + (i % columns) * width + left;
    const x1 = MARGIN + ((i % columns) + 1) * width - 14;
    const y0 = top + Math.floor(i / columns) * (height + gap) + 34;
    const y1 = y0 + height - 34;
    const points = panel.lines.flatMap((l) => l.points);
    const range = (axis: 0 | 1) => {
      const values = points.map((p) => p[axis]);
      return [Math.min(...values) / 1.15, Math.max(...values) * 1.15];
    };
    const [xs, ys] = [range(0), range(1)];
    const place = (value: number, [from, to]: number[], a: number, b: number) =>
      a + ((b - a) * Math.log(value / from)) / Math.log(to / from);
    const px = (value: number) => place(value, xs, x0, x1);
    const py = (value: number) => place(value, ys, y1, y0);
    parts.push(text(x0, y0 - 22, panel.title, 'bold'), text(x0, y0 - 8, panel.note, 'faint'));
    for (const value of decades(ys[0], ys[1])) {
      parts.push(line(x0, py(value), x1, py(value)), text(x0 - 6, py(value) + 4, short(value), 'faint', 'end'));
    }
    for (const value of [...new Set(panel.lines[0]?.points.map(([x]) => x))]) {
      parts.push(line(px(value), y1, px(value), y1 + 4));
    }
    const labelled = panel.lines[0]?.points.map(([x]) => x) ?? [];
    labelled.forEach((value, k) => {
      if (k % 2 === 0 || labelled.length < 6) parts.push(text(px(value), y1 + 17, short(value), 'faint', 'middle'));
    });
    parts.push(line(x0, y0, x0, y1), line(x0, y1, x1, y1), text((x0 + x1) / 2, y1 + 33, panel.x, 'faint', 'middle'));
    for (const { series: name, points: own, dashed } of panel.lines) {
      const s = series.indexOf(name);
      const path = own.map(([x, y], k) => `${k ? 'L' : 'M'}${at(px(x))} ${at(py(y))}`).join('');
      parts.push(`<path d="${path}" class="l${s}${dashed ? ' dashed' : ''}"/>`);
      if (!dashed)
        for (const [x, y] of own) parts.push(`<circle cx="${at(px(x))}" cy="${at(py(y))}" r="3" class="f${s}"/>`);
    }
  });
  const bottom = top + Math.ceil(panels.length / columns) * (height + gap);
  return page(WIDTH, bottom + 24, title, [
    text(MARGIN, 30, title, 'title'),
    ...legend(series, MARGIN, 54),
    text(WIDTH - MARGIN, 54, unit, 'faint', 'end'),
    ...parts,
    text(MARGIN, bottom + 10, caption, 'faint'),
  ]);
}
