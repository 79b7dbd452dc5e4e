/** What the charts of the benchmarks show, in Vega-Lite. */
import type { TopLevelSpec } from 'vega-lite';
import type { Measured } from './suites.js';

/** Blue, orange and grey that tell apart in any kind of sight (Okabe & Ito 2008). */
const COLOURS = { scalar: '#999999', simd: '#0072b2', relaxed: '#e69f00' };

function rate(hz: number): string {
  if (hz >= 1e6) return `${(hz / 1e6).toFixed(2)}M/s`;
  return hz >= 1e4 ? `${(hz / 1e3).toFixed(1)}k/s` : `${Number(hz.toPrecision(3))}/s`;
}

const SCALAR = 'scalar: WebAssembly, one float at a time; for training and generate JavaScript over typed arrays';

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
    title: { text: 'Times as fast as scalar code', subtitle: [where, SCALAR], anchor: 'start', offset: 12 },
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
      x: { field: 'times', type: 'quantitative', title: 'runs a second, as a multiple of the scalar ones' },
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

/** One point of a curve: what was measured, and what the operations or the formula foretell. */
export interface Point {
  /** Which curve, and what its axis is called. */
  readonly curve: string;
  readonly x: number;
  readonly measured: number;
  readonly expected: number;
}

/** Curves with logarithmic axes: dots are measured, lines foretold. `notes`: a line below the title of each curve. */
export function curvesChart(
  title: string,
  unit: string,
  points: readonly Point[],
  notes: Record<string, string>,
  where: string,
): TopLevelSpec {
  const axis = { type: 'quantitative', scale: { type: 'log' } } as const;
  return {
    title: { text: title, subtitle: where, anchor: 'start', offset: 12 },
    columns: 2,
    resolve: { scale: { x: 'independent', y: 'independent' } },
    concat: Object.entries(notes).map(([curve, note]) => ({
      title: { text: curve, subtitle: note, anchor: 'start' },
      width: 300,
      height: 200,
      data: { values: points.filter((point) => point.curve === curve) },
      encoding: { x: { field: 'x', ...axis, title: null } },
      layer: [
        {
          mark: { type: 'line', color: COLOURS.scalar },
          encoding: { y: { field: 'expected', ...axis, title: unit } },
        },
        {
          mark: { type: 'point', filled: true, size: 50, color: COLOURS.simd },
          encoding: { y: { field: 'measured', ...axis } },
        },
      ],
    })),
  };
}
