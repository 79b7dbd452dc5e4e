/** What a model is made of. */
import type { Model } from '../../nn/model.js';

export interface LayerSummary {
  /** What the names of its parameters begin with. */
  readonly name: string;
  /** Shapes by the rest of their names. */
  readonly shapes: Readonly<Record<string, readonly number[]>>;
  /** Numbers that are trained. */
  readonly parameters: number;
  /** Multiplications with its matrices, for one row: a step of a sequence. */
  readonly multiplications: number;
}

export interface Summary {
  readonly layers: readonly LayerSummary[];
  readonly parameters: number;
  /** Bytes of the parameters as float32. */
  readonly bytes: number;
  /**
   * Multiplications with all matrices, each for one row. What reads a whole sequence once, such as the output layer of a classifier,
   * counts like what runs at each step.
   */
  readonly multiplications: number;
  /** A table. */
  toString(): string;
}

type Writable<T> = { -readonly [K in keyof T]: T[K] };

export function summarize({ parameters }: Model<unknown>): Summary {
  const layers = new Map<string, Writable<LayerSummary> & { shapes: Record<string, readonly number[]> }>();
  for (const { name, shape, size, multiplications } of parameters) {
    const dot = name.lastIndexOf('.');
    const own = name.slice(0, Math.max(dot, 0));
    const layer = layers.get(own) ?? { name: own, shapes: {}, parameters: 0, multiplications: 0 };
    layers.set(own, layer);
    layer.shapes[name.slice(dot + 1)] = shape;
    layer.parameters += size;
    layer.multiplications += multiplications;
  }
  const list = [...layers.values()];
  const total = list.reduce((n, layer) => n + layer.parameters, 0);
  const products = list.reduce((n, layer) => n + layer.multiplications, 0);
  const rows = [
    ['layer', 'parameters', 'multiplications', 'shapes'],
    ...list.map((layer) => [
      layer.name,
      layer.parameters.toLocaleString('en'),
      layer.multiplications.toLocaleString('en'),
      Object.entries(layer.shapes)
        .map(([name, shape]) => `${name} [${shape.join(',')}]`)
        .join(' '),
    ]),
    ['total', total.toLocaleString('en'), products.toLocaleString('en'), `${(4 * total).toLocaleString('en')} bytes`],
  ];
  const width = (column: number) => Math.max(...rows.map((row) => row[column].length));
  const [first, second, third] = [width(0), width(1), width(2)];
  const table = rows
    .map(([a, b, c, d]) => `${a.padEnd(first)}  ${b.padStart(second)}  ${c.padStart(third)}  ${d}`)
    .join('\n');
  return { layers: list, parameters: total, bytes: 4 * total, multiplications: products, toString: () => table };
}
