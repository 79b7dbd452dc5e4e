/** Figures about predictions: counts, and shares of them. */

export interface ClassFigures {
  readonly precision: number;
  readonly recall: number;
  readonly f1: number;
  /** How often the class is the right one. */
  readonly support: number;
}

/** Right and wrong decisions, class by class. */
export class Tally {
  readonly #right: Float64Array;
  readonly #said: Float64Array;
  readonly #true: Float64Array;

  constructor(readonly classes: readonly string[]) {
    this.#right = new Float64Array(classes.length);
    this.#said = new Float64Array(classes.length);
    this.#true = new Float64Array(classes.length);
  }

  /** One decision: whether class c was said, and whether it is so. */
  add(c: number, said: boolean, so: boolean): void {
    if (said) this.#said[c]++;
    if (so) this.#true[c]++;
    if (said && so) this.#right[c]++;
  }

  get figures(): Record<string, ClassFigures> {
    return Object.fromEntries(
      this.classes.map((name, c) => [
        name,
        { ...shares(this.#right[c], this.#said[c], this.#true[c]), support: this.#true[c] },
      ]),
    );
  }

  /** Mean of the classes' F1. */
  get macroF1(): number {
    const all = Object.values(this.figures);
    return all.reduce((sum, { f1 }) => sum + f1, 0) / all.length;
  }

  /** F1 of all decisions together. */
  get microF1(): number {
    const sum = (a: Float64Array) => a.reduce((x, y) => x + y, 0);
    return shares(sum(this.#right), sum(this.#said), sum(this.#true)).f1;
  }
}

/** Precision, recall and their harmonic mean, 0 where there is nothing to share. */
export function shares(right: number, said: number, so: number): { precision: number; recall: number; f1: number } {
  const precision = said ? right / said : 0;
  const recall = so ? right / so : 0;
  return { precision, recall, f1: right ? (2 * right) / (said + so) : 0 };
}

/** A stretch of tokens from `from` up to `to` that is one thing. */
export interface Span {
  readonly from: number;
  readonly to: number;
  readonly label: string;
}

/** The stretches that tags in BIO mark: `B-x` begins one, `I-x` goes on; one that goes on with nothing begins anew. */
export function spansOf(tags: readonly string[]): Span[] {
  const spans: { from: number; to: number; label: string }[] = [];
  tags.forEach((tag, t) => {
    if (!/^[BI]-/.test(tag)) return;
    const label = tag.slice(2);
    const last = spans[spans.length - 1];
    if (tag[0] === 'I' && last?.to === t && last.label === label) last.to++;
    else spans.push({ from: t, to: t + 1, label });
  });
  return spans;
}

/** Precision, recall and F1 over whole stretches, as CoNLL counts them. */
export function spanFigures(said: readonly (readonly string[])[], so: readonly (readonly string[])[]): ClassFigures {
  let right = 0;
  let claimed = 0;
  let support = 0;
  so.forEach((tags, i) => {
    const key = ({ from, to, label }: Span) => `${from}-${to}-${label}`;
    const truth = new Set(spansOf(tags).map(key));
    const found = spansOf(said[i]).map(key);
    support += truth.size;
    claimed += found.length;
    right += found.filter((span) => truth.has(span)).length;
  });
  return { ...shares(right, claimed, support), support };
}

/** Fewest tokens to be changed, taken out and put in that make one sequence of another (Levenshtein 1966). */
export function editDistance(a: ArrayLike<unknown>, b: ArrayLike<unknown>): number {
  let row = Int32Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const next = new Int32Array(b.length + 1);
    next[0] = i;
    for (let j = 1; j <= b.length; j++) {
      next[j] = Math.min(row[j] + 1, next[j - 1] + 1, row[j - 1] + (a[i - 1] === b[j - 1] ? 0 : 1));
    }
    row = next;
  }
  return row[b.length];
}
