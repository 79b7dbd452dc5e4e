/** A stack of recurrent layers with all of their options, in double precision: what bindings/nn/recurrent/ is compared with. */
import { cells as descriptions, type RecurrentOptions } from 'gatewise';
import { ofDirection } from './activation.js';
import type { Graph, Matrix } from './autodiff.js';
import { cells, type Weights } from './index.js';

/** Draws the next mask of 0 and `value`, 0 with probability p, as the layers do. */
export type DrawMask = (rows: number, F: number, p: number, value: number) => Float32Array;

export interface Stack {
  readonly options: RecurrentOptions;
  readonly T: number;
  readonly B: number;
  readonly lengths?: ArrayLike<number> | undefined;
}

/**
 * Outputs and final states.
 *
 * @param x T matrices [B,I]
 * @param weights by their full names without the prefix: `weight_ih_l0_reverse`
 * @param initial states of each layer and direction, if given
 */
export function stack(
  g: Graph,
  { options, T, B, lengths }: Stack,
  x: readonly Matrix[],
  weights: Weights,
  initial: { h: readonly Matrix[]; c: readonly Matrix[] } | null,
  draw: DrawMask,
): { y: Matrix[]; h: Matrix[]; c: Matrix[] } {
  const list = typeof options.hiddenSize === 'number' ? undefined : options.hiddenSize;
  const L = options.numLayers ?? list?.length ?? 1;
  const { hasC } = descriptions[options.cell];
  const h: Matrix[] = [];
  const c: Matrix[] = [];
  const live = (t: number) => (b: number) => !lengths || t < lengths[b];
  const masked = (m: Matrix, mask: Float32Array, row: number) =>
    g.mul(m, g.matrix(B, m.columns, mask.subarray(row * B * m.columns, (row + 1) * B * m.columns)));
  // what is past an end never counts
  let steps = x.map((m, t) => g.choose(live(t), m, g.zeros(B, m.columns)));
  for (let l = 0; l < L; l++) {
    const features = steps[0].columns;
    const p = options.dropout ?? 0;
    if (l > 0 && p) {
      const mask = draw(T * B, features, p, 1 / (1 - p));
      steps = steps.map((m, t) => masked(m, mask, t));
    }
    const v = options.variationalDropout ?? 0;
    if (v) {
      const mask = draw(B, features, v, 1 / (1 - v));
      steps = steps.map((m) => masked(m, mask, 0));
    }
    const suffixes = options.bidirectional ? ['', '_reverse'] : options.reverse ? ['_reverse'] : [''];
    const outputs = suffixes.map((suffix, d) => {
      const own: Weights = Object.fromEntries(
        Object.keys(weights)
          .filter((name) => name.endsWith(`_l${l}${suffix}`))
          .map((name) => [name.slice(0, name.length - `_l${l}${suffix}`.length), weights[name]]),
      );
      const H = list?.[l] ?? (options.hiddenSize as number);
      const P = options.projectionSize || H;
      const i = h.length;
      const learned = (m: Matrix | undefined, n: number) => (m ? g.pick(m, B, n, (_, j) => j) : g.zeros(B, n));
      let state = initial ? initial.h[i] : learned(own.h0, P);
      let cell = initial?.c[i] ?? (initial ? state : learned(own.c0, H));
      const hMask = v && own.weight_hh ? draw(B, P, v, 1 / (1 - v)) : null;
      const zh = options.zoneoutHidden ?? 0;
      const zc = options.zoneoutCell ?? 0;
      const zhMask = zh ? draw(T * B, P, 1 - zh, 1) : null;
      const zcMask = zc ? draw(T * B, H, 1 - zc, 1) : null;
      const wd = options.weightDrop ?? 0;
      if (wd && own.weight_hh) {
        const w = own.weight_hh;
        own.weight_hh = g.mul(w, g.matrix(w.rows, w.columns, draw(1, w.rows * w.columns, wd, 1 / (1 - wd))));
      }
      const ys: Matrix[] = new Array(T);
      const zone = (after: Matrix, before: Matrix, mask: Float32Array | null, t: number) =>
        mask ? g.add(after, masked(g.sub(before, after), mask, t)) : after;
      for (let n = 0; n < T; n++) {
        const t = suffix ? T - 1 - n : n;
        const u = hMask ? masked(state, hMask, 0) : state;
        const next = cells[options.cell].step(g, steps[t], u, state, cell, own, ofDirection(options, d));
        const nextH = zone(next.h, state, zhMask, t);
        const nextC = hasC ? zone(next.c, cell, zcMask, t) : next.c;
        state = g.choose(live(t), nextH, state);
        if (hasC) cell = g.choose(live(t), nextC, cell);
        ys[t] = g.choose(live(t), state, g.zeros(B, P));
      }
      h.push(state);
      c.push(cell);
      return ys;
    });
    const [a, b] = outputs;
    const merge = options.merge ?? 'concat';
    steps = a.map((m, t) => {
      if (!b) return m;
      if (merge === 'concat') return g.beside(m, b[t]);
      if (merge === 'mul') return g.mul(m, b[t]);
      const sum = g.add(m, b[t]);
      return merge === 'mean' ? g.scale(sum, 0.5) : sum;
    });
  }
  return { y: steps, h, c };
}
