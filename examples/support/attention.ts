/** A picture of the attention of a decoder. */
import type { TopLevelSpec } from 'vega-lite';

export interface AttentionMap {
  readonly title: string;
  /** The tokens of the source. */
  readonly read: readonly string[];
  /** The tokens of the output. */
  readonly written: readonly string[];
  /** [written][read] */
  readonly weights: readonly ArrayLike<number>[];
}

/** Maps, one below the other: darker cells have more weight. Tokens that are sentences become rows. */
export function attentionMaps(title: string, maps: readonly AttentionMap[]): TopLevelSpec {
  return {
    title: { text: title, anchor: 'start' },
    vconcat: maps.map(({ title, read, written, weights }) => {
      const [x, y] = read.some((token) => token.includes(' ') && token !== ' ')
        ? (['written', 'read'] as const)
        : (['read', 'written'] as const);
      const axes = { read: axis(read), written: axis(written) };
      return {
        title: { text: title, anchor: 'start', fontWeight: 'normal' },
        width: { step: x === 'read' ? 18 : 48 },
        height: { step: 18 },
        data: {
          values: weights.flatMap((row, t) => read.map((_, s) => ({ read: s, written: t, weight: row[s] }))),
        },
        mark: 'rect',
        encoding: {
          // positions, since a token can occur twice
          x: { field: x, type: 'ordinal', title: null, axis: axes[x] },
          y: { field: y, type: 'ordinal', title: null, axis: axes[y] },
          color: {
            field: 'weight',
            type: 'quantitative',
            title: 'weight',
            scale: { domain: [0, 1], range: ['#ffffff', '#08306b'], interpolate: 'rgb' },
          },
        },
      };
    }),
  };
}

function axis(tokens: readonly string[]) {
  const shown = tokens.map((token) => (token === ' ' ? '␣' : token));
  return {
    labelExpr: `${JSON.stringify(shown)}[datum.value]`,
    labelAngle: 0,
    labelOverlap: false,
    labelFontSize: 12,
    labelLimit: 400,
  };
}
