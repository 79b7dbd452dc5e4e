/**
 * chrF: F over the n-grams of characters that a translation and a reference share (Popović 2015, "chrF: character n-gram F-score for
 * automatic MT evaluation").
 *
 *     chrF = (1 + β²)·P·R / (β²·P + R)    P, R: means over n = 1…6 of the precision and recall of n-grams; β = 2
 *
 * White space does not count. The n-grams of all texts are counted together; of several references to a text, the one counts with
 * which it has the largest F. Lengths n of which texts or references have none are left out of the means.
 */

const LONGEST = 6;
const BETA = 2;

/** For each n: n-grams of the text, of the reference, and of both. */
type Counts = readonly { readonly text: number; readonly reference: number; readonly both: number }[];

/**
 * @param texts the translations
 * @param references those of each text, at least one
 * @returns from 0 to 100
 */
export function chrF(texts: readonly string[], references: readonly (readonly string[])[]): number {
  if (references.length !== texts.length) {
    throw new RangeError(`references: expected as many as texts, ${texts.length}, got ${references.length}`);
  }
  const all = texts.map((text, i) => {
    if (references[i].length === 0) throw new RangeError(`references[${i}]: expected at least one`);
    const own = references[i].map((reference) => counts(text, reference));
    return own.reduce((best, other) => (score(other) > score(best) ? other : best));
  });
  const lengths = Array.from({ length: LONGEST }, (_, n) => n);
  const total = (n: number, what: keyof Counts[number]) => all.reduce((sum, own) => sum + own[n][what], 0);
  return (
    100 *
    score(lengths.map((n) => ({ text: total(n, 'text'), reference: total(n, 'reference'), both: total(n, 'both') })))
  );
}

function counts(text: string, reference: string): Counts {
  return Array.from({ length: LONGEST }, (_, i) => {
    const [said, so] = [ngrams(text, i + 1), ngrams(reference, i + 1)];
    let both = 0;
    for (const [gram, count] of said) both += Math.min(count, so.get(gram) ?? 0);
    const sum = (grams: ReadonlyMap<string, number>) => [...grams.values()].reduce((a, b) => a + b, 0);
    return { text: sum(said), reference: sum(so), both };
  });
}

/** How often each stretch of n characters occurs. */
function ngrams(text: string, n: number): Map<string, number> {
  const characters = [...text.replace(/\s+/g, '')];
  const grams = new Map<string, number>();
  for (let i = 0; i + n <= characters.length; i++) {
    const gram = characters.slice(i, i + n).join('');
    grams.set(gram, (grams.get(gram) ?? 0) + 1);
  }
  return grams;
}

/** F, from 0 to 1. */
function score(counted: Counts): number {
  const there = counted.filter(({ text, reference }) => text > 0 && reference > 0);
  if (there.length === 0) return 0;
  const precision = there.reduce((sum, { text, both }) => sum + both / text, 0) / there.length;
  const recall = there.reduce((sum, { reference, both }) => sum + both / reference, 0) / there.length;
  if (precision + recall === 0) return 0;
  return ((1 + BETA ** 2) * precision * recall) / (BETA ** 2 * precision + recall);
}
