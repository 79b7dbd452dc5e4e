/** What a classifier confuses, and how far its probabilities can be trusted. */
import * as check from '../check.js';
import { exp2, log2 } from '../dynamics/numbers.js';
import { isRecord, type Options, option, readOptions, whole } from '../options.js';

/** A result of `predict` of a `SequenceClassifier`. */
export interface Classified {
  /** The class, or null below the threshold. */
  readonly label: string | null;
  readonly probability: Readonly<Record<string, number>>;
}

function pairs(predictions: readonly unknown[], actual: readonly unknown[]): void {
  if (!Array.isArray(predictions)) check.fail('predictions', 'a list of results of predict', predictions);
  if (!Array.isArray(actual)) check.fail('actual', 'a list of classes', actual);
  if (actual.length !== predictions.length) {
    throw new RangeError(`actual: expected ${predictions.length} classes, one per prediction, got ${actual.length}`);
  }
  if (!actual.length) throw new RangeError('predictions: expected at least one');
}

/** The classes of results, and the place of each. */
function classesOf(predictions: readonly Classified[]): {
  classes: string[];
  place: (name: string, c: unknown) => number;
} {
  for (let i = 0; i < predictions.length; i++) {
    if (!isRecord(predictions[i]?.probability))
      check.fail(`predictions[${i}]`, 'a result { label, probability }', predictions[i]);
  }
  const classes = Object.keys(predictions[0].probability);
  const places = new Map<unknown, number>(classes.map((name, c) => [name, c]));
  const place = (name: string, c: unknown) => {
    const found = places.get(c);
    if (found !== undefined) return found;
    throw new RangeError(`${name}: ${check.show(c)} is not among the classes ${check.list(classes)}`);
  };
  return { classes, place };
}

export interface ConfusionMatrix {
  readonly classes: readonly string[];
  /** [classes][classes] how often row i was predicted as column j. */
  readonly counts: readonly (readonly number[])[];
  /** [classes] how often row i was rejected: no class had the probability of the threshold. */
  readonly rejected: readonly number[];
  /** Share of all that were predicted right; rejected ones are not right. */
  readonly accuracy: number;
  /** By class; 0 where nothing was counted. */
  readonly byClass: Readonly<
    Record<
      string,
      { readonly precision: number; readonly recall: number; readonly f1: number; readonly support: number }
    >
  >;
}

/**
 * What was predicted for each class.
 *
 * @param predictions results of `predict`
 * @param actual [predictions] the right classes
 * @throws TypeError, RangeError for lists of other lengths, or unknown classes
 *
 * @example
 * ```js
 * import { confusionMatrix } from 'gatewise/metrics';
 *
 * const said = ['a', 'b', 'b'].map((label) => ({ label, probability: { a: 0.5, b: 0.5 } }));
 * const { counts, byClass } = confusionMatrix(said, ['a', 'a', 'b']);
 * console.log(counts[0].join(' '), byClass.b.precision); // 1 1 0.5
 * ```
 */
export function confusionMatrix(predictions: readonly Classified[], actual: readonly string[]): ConfusionMatrix {
  pairs(predictions, actual);
  const { classes, place } = classesOf(predictions);
  const counts = classes.map(() => classes.map(() => 0));
  const rejected = classes.map(() => 0);
  predictions.forEach(({ label }, i) => {
    const row = place(`actual[${i}]`, actual[i]);
    if (label === null) rejected[row]++;
    else counts[row][place(`predictions[${i}].label`, label)]++;
  });
  const sum = (list: readonly number[]) => list.reduce((a, b) => a + b, 0);
  const share = (a: number, b: number) => (b ? a / b : 0);
  const byClass = classes.map((name, c) => {
    const predicted = sum(counts.map((row) => row[c]));
    const support = sum(counts[c]) + rejected[c];
    const right = counts[c][c];
    const f1 = share(2 * right, predicted + support);
    return [name, { precision: share(right, predicted), recall: share(right, support), f1, support }] as const;
  });
  const accuracy = sum(classes.map((_, c) => counts[c][c])) / actual.length;
  return { classes, counts, rejected, accuracy, byClass: Object.fromEntries(byClass) };
}

const BINS = {
  /** Intervals of the highest probability, of equal width, default 15. */
  bins: option(whole(1, 10_000), 15),
};

export interface ReliabilityOptions extends Options<typeof BINS> {}

export interface Reliability {
  /** The expected calibration error: the mean distance of `confidence` and `accuracy`, weighted by `count`. */
  readonly error: number;
  /** The intervals that have predictions: their ends, how many, their mean highest probability, and the share that was right. */
  readonly bins: readonly {
    readonly from: number;
    readonly to: number;
    readonly count: number;
    readonly confidence: number;
    readonly accuracy: number;
  }[];
}

/** [N][K] probabilities and [N] right classes, as numbers. */
function numbersOf(predictions: readonly Classified[], actual: readonly string[]) {
  pairs(predictions, actual);
  const { classes, place } = classesOf(predictions);
  const rows = predictions.map(({ probability }, i) =>
    classes.map((name) => check.number(`predictions[${i}].probability.${check.cut(name)}`, probability[name], 0, 1)),
  );
  return { classes, rows, truth: actual.map((label, i) => place(`actual[${i}]`, label)) };
}

function reliable(rows: readonly (readonly number[])[], truth: readonly number[], bins: number): Reliability {
  const sums = Array.from({ length: bins }, () => ({ count: 0, confidence: 0, right: 0 }));
  rows.forEach((row, i) => {
    const confidence = Math.max(...row);
    const own = sums[Math.min(bins - 1, Math.max(0, Math.ceil(confidence * bins) - 1))];
    own.count++;
    own.confidence += confidence;
    if (row.indexOf(confidence) === truth[i]) own.right++;
  });
  const list = sums.flatMap(({ count, confidence, right }, b) =>
    count
      ? [{ from: b / bins, to: (b + 1) / bins, count, confidence: confidence / count, accuracy: right / count }]
      : [],
  );
  const error = list.reduce((sum, b) => sum + (b.count / rows.length) * Math.abs(b.confidence - b.accuracy), 0);
  return { error, bins: list };
}

/**
 * How far probabilities can be trusted: of predictions with a probability of 0.8, four in five should be right. The expected calibration
 * error is that of Guo et al. 2017 (arXiv:1706.04599v2, formula 5).
 *
 * @param predictions results of `predict` for examples that were not learned
 * @param actual [predictions] the right classes
 * @throws TypeError, RangeError for lists of other lengths, or unknown classes
 *
 * @example
 * ```js
 * import { reliability } from 'gatewise/metrics';
 *
 * // 0.9 was said, 0.6 are right
 * const said = Array.from({ length: 10 }, () => ({ label: 'a', probability: { a: 0.9, b: 0.1 } }));
 * console.log(reliability(said, [...'aaaaaabbbb']).error.toFixed(2)); // 0.30
 * ```
 */
export function reliability(
  predictions: readonly Classified[],
  actual: readonly string[],
  options: ReliabilityOptions = {},
): Reliability {
  const { bins } = readOptions('reliability', BINS, options);
  const { rows, truth } = numbersOf(predictions, actual);
  return reliable(rows, truth, bins);
}

export interface Temperature {
  /** T: above 1 the model was too sure. */
  readonly temperature: number;
  /** Mean of -ln p(right class), and the expected calibration error, before and after. */
  readonly before: { readonly loss: number; readonly error: number };
  readonly after: { readonly loss: number; readonly error: number };
  /** The probabilities of a result at this temperature. The order of the classes by probability stays. */
  apply(probability: Readonly<Record<string, number>>): Record<string, number>;
}

const ln = (x: number) => log2(x) * Math.LN2;
const exp = (x: number) => (x < -745 ? 0 : exp2(x / Math.LN2));

/** What a probability of 0 in single precision may have been. */
const LEAST = 1e-45;

/** softmax(ln p / T), which is softmax(logits / T). */
function cooled(row: readonly number[], temperature: number): number[] {
  const logs = row.map((p) => ln(Math.max(p, LEAST)) / temperature);
  const most = Math.max(...logs);
  const powers = logs.map((x) => exp(x - most));
  const sum = powers.reduce((a, b) => a + b, 0);
  return powers.map((x) => x / sum);
}

/**
 * Calibrates probabilities by one number: they become softmax(logits / T), with the T of the smallest loss (temperature scaling, Guo et
 * al. 2017, arXiv:1706.04599v2). Give it examples that were neither learned nor used to choose the weights.
 *
 * @param predictions results of `predict`, of a model without `multiLabel`
 * @param actual [predictions] the right classes
 * @throws TypeError, RangeError for lists of other lengths, or unknown classes
 *
 * @example
 * ```js
 * import { fitTemperature } from 'gatewise/metrics';
 *
 * const said = Array.from({ length: 10 }, () => ({ label: 'a', probability: { a: 0.9, b: 0.1 } }));
 * const { temperature, apply } = fitTemperature(said, [...'aaaaaabbbb']);
 * console.log(temperature.toFixed(2), apply({ a: 0.9, b: 0.1 }).a.toFixed(2)); // 5.42 0.60
 * ```
 */
export function fitTemperature(
  predictions: readonly Classified[],
  actual: readonly string[],
  options: ReliabilityOptions = {},
): Temperature {
  const { bins } = readOptions('fitTemperature', BINS, options);
  const { rows, truth } = numbersOf(predictions, actual);
  const lossAt = (temperature: number) =>
    rows.reduce((sum, row, i) => sum - ln(Math.max(cooled(row, temperature)[truth[i]], LEAST)), 0) / rows.length;
  const at = (temperature: number) => {
    const own = rows.map((row) => cooled(row, temperature));
    return { loss: lossAt(temperature), error: reliable(own, truth, bins).error };
  };
  // the loss is convex in 1/T, so it has one valley in ln T: golden-section search from 1/100 to 100
  const golden = 0.6180339887498949; // (√5 - 1) / 2
  let [low, high] = [ln(0.01), ln(100)];
  for (let i = 0; i < 40; i++) {
    const [a, b] = [high - golden * (high - low), low + golden * (high - low)];
    if (lossAt(exp(a)) < lossAt(exp(b))) high = b;
    else low = a;
  }
  const found = exp((low + high) / 2);
  const temperature = lossAt(found) < lossAt(1) ? found : 1;
  const apply = (probability: Readonly<Record<string, number>>) => {
    if (!isRecord(probability)) check.fail('probability', 'numbers by class', probability);
    const names = Object.keys(probability);
    const given = names.map((name) => check.number(`probability.${check.cut(name)}`, probability[name], 0, 1));
    const list = cooled(given, temperature);
    return Object.fromEntries(names.map((name, c) => [name, list[c]]));
  };
  return { temperature, before: at(1), after: at(temperature), apply };
}
