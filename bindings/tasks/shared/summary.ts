/** What a model is made of. */
import type { Model } from '../../nn/model.js';

export interface LayerSummary {
  /** What the names of its parameters begin with. */
  readonly name: string;
  /** Shapes by the rest of their names. */
  readonly shapes: Readonly<Record<string, readonly number[]>>;
  /** Numbers that are trained. */
  readonly parameters: number;
}

export interface Summary {
  readonly layers: readonly LayerSummary[];
  readonly parameters: number;
  /** Bytes of the parameters as float32. */
  readonly bytes: number;
  /** A table. */
  toString(): string;
}

export function summarize({ parameters }: Model<unknown>): Summary {
  const layers = new Map<string, { name: string; shapes: Record<string, readonly number[]>; parameters: number }>();
  for (const { name, shape, size } of parameters) {
    const dot = name.lastIndexOf('.');
    const own = name.slice(0, Math.max(dot, 0));
    const layer = layers.get(own) ?? { name: own, shapes: {}, parameters: 0 };
    layers.set(own, layer);
    layer.shapes[name.slice(dot + 1)] = shape;
    layer.parameters += size;
  }
  const list = [...layers.values()];
  const total = list.reduce((n, layer) => n + layer.parameters, 0);
  const rows = [
    ['layer', 'parameters', 'shapes'],
    ...list.map((layer) => [
      layer.name,
      layer.parameters.toLocaleString('en'),
      Object.entries(layer.shapes)
        .map(([name, shape]) => `${name} [${shape.join(',')}]`)
        .join(' '),
    ]),
    ['total', total.toLocaleString('en'), `${(4 * total).toLocaleString('en')} bytes`],
  ];
  const width = (column: number) => Math.max(...rows.map((row) => row[column].length));
  const [first, second] = [width(0), width(1)];
  const table = rows.map(([a, b, c]) => `${a.padEnd(first)}  ${b.padStart(second)}  ${c}`).join('\n');
  return { layers: list, parameters: total, bytes: 4 * total, toString: () => table };
}
