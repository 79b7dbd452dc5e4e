/** What the charts of the benchmarks show, in Vega-Lite. */
import type { TopLevelSpec } from 'vega-lite';
import type { Measured } from './suites.js';

/** Blue, orange and grey that tell apart in any kind of sight (Okabe & Ito 2008). */
const COLOURS = { scalar: '#999999', simd: '#0072b2', relaxed: '#e69f00' };

function rate(hz: number): string {
  if (hz >= 1e6) return `${(hz / 1e6).toFixed(2)}M/s`;
  return hz >= 1e4 ? `${(hz / 1e3).toFixed(1)}k/s` : `${Number(hz.toPrecision(3))}/s`;
}

const SCALAR = 'scalar: WebAssembly, one float at a time; training and generate: JavaScript with typed arrays';

/** How many times as fast as scalar code each build is; `where`: date, machine, engine. */
export function speedChart(measured: readonly Measured[], where: string): TopLevelSpec {
  const values = measured.map(({ suite, note, name, hz }) => {
    const times = hz / (measured.find((m) => m.suite === suite && m.name === 'scalar')?.hz ?? Number.NaN);
    return { suite: `${suite}|${note}`, name, times, label: `${times.toFixed(times < 10 ? 1 : 0)}×   ${rate(hz)}` };
  });
  const names = (Object.keys(COLOURS) as (keyof typeof COLOURS)[]).filter((name) =>
    values.some((v) => v.name === name),
  );
  return {
    title: { text: 'Speed compared with scalar code', subtitle: [where, SCALAR], anchor: 'start', offset: 12 },
    data: { values },
    width: 460,
    height: { step: 15 },
    encoding: {
      y: {
        field: 'suite',
        type: 'nominal',
        sort: null,
        title: null,
        scale: { paddingInner: 0.3 },
        axis: { labelExpr: "split(datum.label, '|')", labelLimit: 260, ticks: false, domain: false },
      },
      yOffset: { field: 'name', sort: names },
      x: { field: 'times', type: 'quantitative', title: 'runs per second, scalar code = 1' },
    },
    layer: [
      {
        mark: 'bar',
        encoding: {
          color: {
            field: 'name',
            scale: { domain: names, range: names.map((name) => COLOURS[name]) },
            legend: { title: null, orient: 'top' },
          },
        },
      },
      { mark: { type: 'text', align: 'left', dx: 5 }, encoding: { text: { field: 'label' } } },
    ],
    config: { view: { stroke: null } },
  };
}

/** Measured values, and values predicted by the number of operations or by the formula. */
export interface Curve {
  readonly title: string;
  /** A line below the title. */
  readonly note: string;
  readonly unit: string;
  readonly points: readonly { readonly x: number; readonly measured: number; readonly expected: number }[];
}

/** Curves with logarithmic axes, two a row: dots are measured, lines predicted. */
export function curvesChart(title: string, curves: readonly Curve[], where: string): TopLevelSpec {
  const axis = {
    type: 'quantitative',
    scale: { type: 'log', nice: false, padding: 12 },
    axis: { tickCount: 4 },
  } as const;
  return {
    title: { text: title, subtitle: where, anchor: 'start', offset: 12 },
    columns: 2,
    bounds: 'flush',
    spacing: { row: 80, column: 70 },
    concat: curves.map(({ title, note, unit, points }) => ({
      title: { text: title, subtitle: note, anchor: 'start' },
      width: 300,
      height: 180,
      data: { values: points },
      encoding: { x: { field: 'x', ...axis, title: null } },
      layer: [
        {
          mark: { type: 'line', color: COLOURS.scalar },
          encoding: { y: { field: 'expected', ...axis, title: unit } },
        },
        {
          mark: { type: 'point', filled: true, size: 50, color: COLOURS.simd, opacity: 1 },
          encoding: { y: { field: 'measured', ...axis } },
        },
      ],
    })),
  } as TopLevelSpec;
}
