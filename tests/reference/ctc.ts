/**
 * CTC by its definition: the recursion over labels with blanks around them, logarithms of probabilities throughout (Graves et al. 2006,
 * equations 6 to 8); and for small cases the sum over all paths, one by one.
 */
import type { Graph, Matrix } from './autodiff.js';

export interface CtcCase {
  readonly T: number;
  readonly B: number;
  readonly C: number;
  readonly targets: readonly (readonly number[])[];
  readonly lengths?: readonly number[] | undefined;
  readonly blank?: number | undefined;
  readonly reduction?: 'mean' | 'sum' | 'none' | undefined;
  /** With 'none': what each loss counts. */
  readonly upstream?: readonly number[] | undefined;
}

const NEVER = -1e30;

/** The loss [1,1] of logits [T·B,C]. */
export function ctc(
  g: Graph,
  x: Matrix,
  { T, B, C, targets, lengths, blank = 0, reduction = 'mean', upstream }: CtcCase,
): Matrix {
  const never = g.matrix(1, 1, [NEVER]);
  const losses = targets.map((target, b) => {
    const steps = lengths?.[b] ?? T;
    const rows = g.gather(
      x,
      Array.from({ length: steps }, (_, t) => t * B + b),
    );
    const logs = g.sub(
      rows,
      g.pick(g.logSumExp(rows), steps, C, (t) => t),
    );
    const states = [blank, ...target.flatMap((label) => [label, blank])];
    const S = states.length;
    const own = (t: number) => g.pick(logs, S, 1, (s) => t * C + states[s]);
    let alpha = g.pick(g.stack([own(0), never]), S, 1, (s) => (s < 2 ? s : S));
    for (let t = 1; t < steps; t++) {
      const from = g.pick(g.stack([alpha, never]), S, 3, (s, back) => {
        const leap = back === 2 && (states[s] === blank || states[s] === states[s - 2]);
        return s < back || leap ? S : s - back;
      });
      alpha = g.add(g.logSumExp(from), own(t));
    }
    const ends = Math.min(S, 2);
    const log = g.logSumExp(g.pick(alpha, 1, ends, (_, j) => S - 1 - j));
    return g.scale(log, reduction === 'mean' ? -1 / Math.max(target.length, 1) / B : -(upstream?.[b] ?? 1));
  });
  return g.sum(g.stack(losses));
}

/** The labels that a path stands for. */
export function collapse(path: readonly number[], blank: number): number[] {
  return path.filter((c, t) => c !== blank && c !== path[t - 1]);
}

/** Probability of every labelling there is, by its labels joined with commas: the sum over all Cᵀ paths. */
export function labellings(logits: ArrayLike<number>, T: number, C: number, blank: number): Map<string, number> {
  const p = Array.from({ length: T }, (_, t) => {
    const e = Array.from({ length: C }, (_, c) => Math.exp(logits[t * C + c]));
    const sum = e.reduce((a, b) => a + b);
    return e.map((v) => v / sum);
  });
  const found = new Map<string, number>();
  for (let n = 0; n < C ** T; n++) {
    const path = Array.from({ length: T }, (_, t) => Math.floor(n / C ** t) % C);
    const key = collapse(path, blank).join();
    found.set(key, (found.get(key) ?? 0) + path.reduce((product, c, t) => product * p[t][c], 1));
  }
  return found;
}

/** The `width` best prefixes of a beam, by the same joined labels, best first: Hannun et al. 2014 without a language model. */
export function beam(
  logits: ArrayLike<number>,
  T: number,
  C: number,
  blank: number,
  width: number,
): { labels: number[]; p: number }[] {
  let prefixes = [{ labels: [] as number[], blank: 1, label: 0 }];
  for (let t = 0; t < T; t++) {
    const e = Array.from({ length: C }, (_, c) => Math.exp(logits[t * C + c]));
    const sum = e.reduce((a, b) => a + b);
    const next = new Map<string, (typeof prefixes)[number]>();
    const at = (labels: number[]) => {
      const key = labels.join();
      const entry = next.get(key) ?? { labels, blank: 0, label: 0 };
      next.set(key, entry);
      return entry;
    };
    for (const { labels, blank: b, label: l } of prefixes) {
      const last = labels.at(-1);
      at(labels).blank += (b + l) * (e[blank] / sum);
      if (last !== undefined) at(labels).label += l * (e[last] / sum);
      for (let c = 0; c < C; c++) {
        if (c !== blank) at([...labels, c]).label += (c === last ? b : b + l) * (e[c] / sum);
      }
    }
    prefixes = [...next.values()]
      .filter(({ blank: b, label: l }) => b + l > 0)
      .sort((x, y) => y.blank + y.label - x.blank - x.label)
      .slice(0, width);
  }
  return prefixes.map(({ labels, blank: b, label: l }) => ({ labels, p: b + l }));
}
