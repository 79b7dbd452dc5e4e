/** Curves against time, heat maps and histograms, in the colors of the page. */
import uPlot from 'uplot';
import type { WeightView } from './protocol.js';

export const color = (name: string): string => {
  const probe = document.createElement('span');
  probe.style.color = `var(--${name})`;
  document.body.append(probe);
  const { color: found } = getComputedStyle(probe);
  probe.remove();
  return found;
};

export interface Curve {
  readonly name: string;
  readonly lane: number;
  readonly points: readonly (readonly [x: number, y: number])[];
  readonly dash?: readonly number[];
  readonly dots?: boolean;
}

const HEIGHT = 230;

/** A chart that is drawn again with new curves, when its box changes, and when the colors of the page do. */
export class Chart {
  #plot: uPlot | undefined;
  #names = '';
  #curves: readonly Curve[] = [];

  constructor(
    readonly box: HTMLElement,
    readonly x: string,
    private y: string,
  ) {
    new ResizeObserver(() => {
      const width = this.#width();
      if (this.#plot && Math.abs(this.#plot.width - width) > 2) this.#plot.setSize({ width, height: HEIGHT });
    }).observe(box);
    matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => {
      this.#names = '';
      this.draw(this.#curves);
    });
  }

  #width(): number {
    return Math.max(220, Math.floor(this.box.parentElement?.clientWidth ?? 300));
  }

  /** What the vertical axis shows from the next drawing on. */
  name(y: string): void {
    if (y === this.y) return;
    this.y = y;
    this.#names = '';
  }

  draw(curves: readonly Curve[]): void {
    this.#curves = curves;
    const used = curves.filter(({ points }) => points.length > 0);
    const names = used.map(({ name, lane }) => `${name} ${lane}`).join();
    const data = joined(used);
    if (this.#plot && names === this.#names) return void this.#plot.setData(data);
    this.#names = names;
    this.#plot?.destroy();
    this.#plot = undefined;
    if (!used.length) return;
    const [text, line] = [color('text'), color('line')];
    const axis = { stroke: text, grid: { stroke: line, width: 1 }, ticks: { stroke: line, width: 1 } };
    this.#plot = new uPlot(
      {
        width: this.#width(),
        height: HEIGHT,
        scales: { x: { time: false } },
        cursor: { drag: { x: false, y: false } },
        axes: [
          { ...axis, label: this.x, labelSize: 24, size: 40 },
          { ...axis, label: this.y, labelSize: 22, size: 56 },
        ],
        series: [
          { label: this.x },
          ...used.map(({ name, lane, dash, dots }) => ({
            label: name,
            stroke: color(`lane-${lane % 4}`),
            width: 2,
            spanGaps: true,
            ...(dash ? { dash: [...dash] } : {}),
            points: { show: dots === true, size: 6 },
            value: (_: uPlot, value: number | null) =>
              value === null || value === undefined ? '–' : value.toPrecision(4),
          })),
        ],
      },
      data,
      this.box,
    );
    this.box.setAttribute('role', 'img');
  }

  /** What a person who does not see the chart is told. */
  describe(text: string): void {
    this.box.setAttribute('aria-label', text);
  }
}

function joined(curves: readonly Curve[]): uPlot.AlignedData {
  if (curves.length === 0) return [[]];
  const tables = curves.map(({ points }) => [points.map(([x]) => x), points.map(([, y]) => y)] as uPlot.AlignedData);
  return tables.length === 1 ? tables[0] : uPlot.join(tables);
}

/** At most n points of a curve: the mean of each group. */
export function thinned(points: readonly (readonly [number, number])[], n = 200): (readonly [number, number])[] {
  const size = Math.ceil(points.length / n) || 1;
  return Array.from({ length: Math.ceil(points.length / size) }, (_, i) => {
    const part = points.slice(i * size, (i + 1) * size);
    const y = part.reduce((sum, [, value]) => sum + value, 0) / part.length;
    return [part[part.length - 1][0], y] as const;
  });
}

/**
 * A heat map: a column for each step, a row for each unit.
 *
 * @param values [columns][rows]
 */
export function heat(
  canvas: HTMLCanvasElement,
  values: readonly ArrayLike<number>[],
  low: number,
  high: number,
  cell: readonly [width: number, height: number],
): void {
  const [columns, rows] = [values.length, values[0]?.length ?? 0];
  canvas.width = columns * cell[0];
  canvas.height = rows * cell[1];
  const context = canvas.getContext('2d') as CanvasRenderingContext2D;
  for (let t = 0; t < columns; t++) {
    for (let k = 0; k < rows; k++) {
      context.fillStyle = shade((values[t][k] - low) / (high - low));
      context.fillRect(t * cell[0], k * cell[1], cell[0], cell[1]);
    }
  }
}

/** From dark blue over grey to yellow, for 0 to 1: readable without telling red from green. */
export function shade(share: number): string {
  const s = Math.min(1, Math.max(0, share));
  const mix = (a: number, b: number, c: number) =>
    Math.round(s < 0.5 ? a + (b - a) * 2 * s : b + (c - b) * (2 * s - 1));
  return `rgb(${mix(10, 124, 255)} ${mix(40, 123, 226)} ${mix(105, 120, 70)})`;
}

export function histogram({ name, shape, low, high, counts }: WeightView): HTMLElement {
  const figure = document.createElement('figure');
  const most = Math.max(...counts);
  const bars = counts.map((count, i) => {
    const height = (60 * count) / most;
    return `<rect x="${i}" y="${(64 - height).toFixed(2)}" width="0.9" height="${height.toFixed(2)}"/>`;
  });
  figure.innerHTML = `<div class="most">${most.toLocaleString('en')}</div><svg viewBox="0 0 ${counts.length} 64" preserveAspectRatio="none" role="img">${bars.join('')}</svg><div class="ends"><span>${low.toPrecision(3)}</span><span>0</span><span>${high.toPrecision(3)}</span></div><figcaption></figcaption>`;
  figure.querySelector('svg')?.setAttribute('aria-label', `histogram of ${name}`);
  const caption = figure.querySelector('figcaption') as HTMLElement;
  caption.textContent = `${name} [${shape}]`;
  return figure;
}
