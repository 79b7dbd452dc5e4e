/** Metrics of predictions: counts, and shares of them. */
import * as check from '../../check.js';

export interface ClassMetrics {
  readonly precision: number;
  readonly recall: number;
  readonly f1: number;
  /** How often the class is the right one. */
  readonly support: number;
}

/** Right and wrong decisions, class by class. */
export class Tally {
  readonly #right: Float64Array;
  readonly #predicted: Float64Array;
  readonly #true: Float64Array;

  constructor(readonly classes: readonly string[]) {
    this.#right = new Float64Array(classes.length);
    this.#predicted = new Float64Array(classes.length);
    this.#true = new Float64Array(classes.length);
  }

  /** One decision about class c. */
  add(c: number, predicted: boolean, actual: boolean): void {
    if (predicted) this.#predicted[c]++;
    if (actual) this.#true[c]++;
    if (predicted && actual) this.#right[c]++;
  }

  get metrics(): Readonly<Record<string, ClassMetrics>> {
    return Object.fromEntries(
      this.classes.map((name, c) => [
        name,
        { ...shares(this.#right[c], this.#predicted[c], this.#true[c]), support: this.#true[c] },
      ]),
    );
  }

  /** Mean of the classes' F1. */
  get macroF1(): number {
    const all = Object.values(this.metrics);
    return all.reduce((sum, { f1 }) => sum + f1, 0) / all.length;
  }

  /** F1 of all decisions together. */
  get microF1(): number {
    const sum = (a: Float64Array) => a.reduce((x, y) => x + y, 0);
    return shares(sum(this.#right), sum(this.#predicted), sum(this.#true)).f1;
  }
}

/** Precision, recall and their harmonic mean, 0 where nothing was counted. */
function shares(right: number, predicted: number, actual: number): { precision: number; recall: number; f1: number } {
  const precision = predicted ? right / predicted : 0;
  const recall = actual ? right / actual : 0;
  return { precision, recall, f1: right ? (2 * right) / (predicted + actual) : 0 };
}

/** The tokens from `from` to `to` - 1 as one thing. */
export interface Span {
  readonly from: number;
  readonly to: number;
  readonly label: string;
}

/** The spans that tags in BIO mark: `B-x` begins one, `I-x` continues it; an `I-x` with nothing to continue begins one. */
export function spansOf(tags: readonly string[]): Span[] {
  if (!Array.isArray(tags)) check.fail('tags', 'a list of tags', tags);
  const spans: { from: number; to: number; label: string }[] = [];
  tags.forEach((tag, t) => {
    if (!/^[BI]-/.test(check.text(`tags[${t}]`, tag))) return;
    const label = tag.slice(2);
    const last = spans[spans.length - 1];
    if (tag[0] === 'I' && last?.to === t && last.label === label) last.to++;
    else spans.push({ from: t, to: t + 1, label });
  });
  return spans;
}

/** Precision, recall and F1 over whole spans, as CoNLL counts them. */
export function spanMetrics(
  predicted: readonly (readonly string[])[],
  actual: readonly (readonly string[])[],
): ClassMetrics {
  for (const [name, list] of Object.entries({ predicted, actual }))
    if (!Array.isArray(list)) check.fail(name, 'a list of lists of tags', list);
  if (predicted.length !== actual.length) check.fail('predicted', `${actual.length} lists of tags`, predicted.length);
  let right = 0;
  let claimed = 0;
  let support = 0;
  actual.forEach((tags, i) => {
    const key = ({ from, to, label }: Span) => `${from}-${to}-${label}`;
    const truth = new Set(spansOf(tags).map(key));
    const found = spansOf(predicted[i]).map(key);
    support += truth.size;
    claimed += found.length;
    right += found.filter((span) => truth.has(span)).length;
  });
  return { ...shares(right, claimed, support), support };
}

/** The smallest number of substitutions, deletions and insertions that turn one sequence into the other (Levenshtein 1966). */
export function editDistance(a: ArrayLike<unknown>, b: ArrayLike<unknown>): number {
  for (const [name, value] of Object.entries({ a, b })) {
    check.whole(`${name}.length`, value?.length, 0);
  }
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
