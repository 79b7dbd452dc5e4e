/** A picture of where a decoder looked. */
import type { TopLevelSpec } from 'vega-lite';

export interface AttentionMap {
  readonly title: string;
  /** The tokens it could look at, from left to right. */
  readonly read: readonly string[];
  /** The tokens it wrote, from top to bottom. */
  readonly written: readonly string[];
  /** [written][read] */
  readonly weights: readonly ArrayLike<number>[];
}

/** Maps, one below the other; the darker, the more weight. */
export function attentionMaps(title: string, maps: readonly AttentionMap[]): TopLevelSpec {
  return {
    title: { text: title, anchor: 'start' },
    vconcat: maps.map(({ title, read, written, weights }) => ({
      title: { text: title, anchor: 'start', fontWeight: 'normal' },
      width: { step: 18 },
      height: { step: 18 },
      data: {
        values: written.flatMap((_, t) => read.map((_, s) => ({ read: s, written: t, weight: weights[t][s] }))),
      },
      mark: 'rect',
      encoding: {
        // positions, since a token can occur twice
        x: { field: 'read', type: 'ordinal', title: null, axis: axis(read, true) },
        y: { field: 'written', type: 'ordinal', title: null, axis: axis(written, false) },
        color: {
          field: 'weight',
          type: 'quantitative',
          title: 'weight',
          scale: { domain: [0, 1], range: ['#ffffff', '#08306b'], interpolate: 'rgb' },
        },
      },
    })),
  };
}

function axis(tokens: readonly string[], isX: boolean) {
  const shown = tokens.map((token) => (token === ' ' ? '␣' : token));
  return {
    labelExpr: `${JSON.stringify(shown)}[datum.value]`,
    labelAngle: isX && shown.some((token) => token.length > 2) ? -90 : 0,
    labelOverlap: false,
    labelFontSize: 12,
    labelLimit: 400,
  };
}
