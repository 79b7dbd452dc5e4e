/** gatewise/metrics: counts by hand, the calibration error and temperature where they are known, the search for a rate, and its plots. */
import {
  type Classified,
  confusionMatrix,
  confusionPlot,
  findLearningRate,
  fitTemperature,
  historyPlot,
  ratePlot,
  reliability,
} from 'gatewise/metrics';
import { SequenceClassifier } from 'gatewise/tasks';
import { test } from 'uvu';
import { equal, is, match, ok, throws } from 'uvu/assert';
import { exp2, log2 } from '#dist/bindings/dynamics/numbers.js';
import { close, random } from './support/numbers.js';
import { rejects } from './support/rejects.js';
import { same } from './support/tasks.js';

const said = (
  label: string | null,
  probability: Record<string, number> = { a: 0.5, 'b<': 0.3, c: 0.2 },
): Classified => ({
  label,
  probability,
});
const drawn = [said('a'), said('b<'), said('a'), said(null), said('c'), said('b<')];
const truth = ['a', 'a', 'b<', 'b<', 'c', 'b<'];

test('confusion matrix: counts, rejected ones, and metrics of classes by hand', () => {
  const matrix = confusionMatrix(drawn, truth);
  equal(matrix.counts, [
    [1, 1, 0],
    [1, 1, 0],
    [0, 0, 1],
  ]);
  equal(matrix.rejected, [0, 1, 0]);
  is(matrix.accuracy, 3 / 6);
  equal(matrix.byClass['b<'], { precision: 1 / 2, recall: 1 / 3, f1: 2 / 5, support: 3 });
  equal(matrix.byClass.c, { precision: 1, recall: 1, f1: 1, support: 1 });
});

test('confusion matrix: the metrics of evaluate', async () => {
  using model = await SequenceClassifier.create({ vocabulary: 'ab', classes: ['x', 'y', 'z'], hiddenSize: 8, seed: 2 });
  const examples = ['a', 'ab', 'abb', 'bb', 'ba', 'b', 'aa'].map((input, i) => ({ input, label: 'xyz'[i % 3] }));
  await model.fit(examples, { epochs: 3 });
  const report = await model.evaluate(examples);
  const predictions = await model.predict(examples.map(({ input }) => input));
  const { byClass, accuracy } = confusionMatrix(
    predictions,
    examples.map(({ label }) => label),
  );
  equal(byClass, report.classes);
  is(accuracy, report.accuracy);
});

test('reliability: bins and the error by hand; the ends of bins belong to the bin below', () => {
  const at = (p: number) => said('a', { a: p, b: 1 - p });
  const { error, bins } = reliability([at(0.9), at(0.9), at(0.6), at(0.55)], ['a', 'b', 'a', 'b'], { bins: 5 });
  const [low, high] = bins;
  is(bins.length, 2);
  close([low.from, low.to, low.count, low.confidence, low.accuracy], [0.4, 0.6, 2, 0.575, 0.5], 1e-12, 'low');
  close([high.from, high.to, high.count, high.confidence, high.accuracy], [0.8, 1, 2, 0.9, 0.5], 1e-12, 'high');
  close([error], [0.5 * 0.075 + 0.5 * 0.4], 1e-12, 'error');
});

test('temperature: found where it is known, in both directions; the order of classes stays', () => {
  const next = random(5);
  const names = ['p', 'q', 'r'];
  for (const wanted of [0.5, 1.7, 3]) {
    // logits z, truth drawn from softmax(z), probabilities said of softmax(wanted · z)
    const predictions: Classified[] = [];
    const actual: string[] = [];
    for (let i = 0; i < 4000; i++) {
      const z = names.map(() => 4 * next() - 2);
      const softmax = (scale: number) => {
        const e = z.map((x) => Math.exp(scale * x));
        const sum = e.reduce((a, b) => a + b, 0);
        return e.map((x) => x / sum);
      };
      const p = softmax(1);
      const u = next();
      actual.push(names[u < p[0] ? 0 : u < p[0] + p[1] ? 1 : 2]);
      const claimed = softmax(wanted);
      predictions.push(said('p', Object.fromEntries(names.map((name, c) => [name, claimed[c]]))));
    }
    const { temperature, before, after, apply } = fitTemperature(predictions, actual);
    ok(Math.abs(temperature / wanted - 1) < 0.1, `${temperature} for ${wanted}`);
    ok(after.loss < before.loss);
    ok(after.error < 0.03 && before.error > 2 * after.error, `${before.error} → ${after.error}`);
    is(
      after.error,
      reliability(
        predictions.map((own) => ({ ...own, probability: apply(own.probability) })),
        actual,
      ).error,
    );
    const { probability } = predictions[0];
    const order = (own: Record<string, number>) => names.toSorted((a, b) => own[a] - own[b]);
    equal(order(apply(probability)), order({ ...probability }));
  }
});

test('temperature: certain and wrong, or right, gives finite numbers', () => {
  const sure = [said('a', { a: 1, b: 0 }), said('a', { a: 1, b: 0 })];
  const wrong = fitTemperature(sure, ['b', 'a']);
  ok(Number.isFinite(wrong.after.loss) && wrong.after.loss <= wrong.before.loss);
  const right = fitTemperature(sure, ['a', 'a']);
  is(right.after.loss, 0);
});

const letters = Array.from({ length: 60 }, (_, i) => 'ab'.repeat(i % 5) + 'b'.repeat(1 + (i % 2)));
const examples = letters.map((input) => ({ input, label: input[0] === 'b' ? 'odd' : 'even' }));
const create = () => SequenceClassifier.create({ vocabulary: 'ab', classes: ['even', 'odd'], hiddenSize: 12, seed: 1 });
const load = (bytes: Uint8Array) => SequenceClassifier.load(bytes);

test('the search for a rate grows it by one factor, leaves the model alone, and stops where the loss explodes', async () => {
  using model = await create();
  const before = model.save();
  const search = () =>
    findLearningRate(model, load, (copy, options) => copy.fit(examples, { batchSize: 8, ...options }), { to: 100 });
  const found = await search();
  ok(same(model.save(), before));
  const factor = 1e8 ** (1 / 99);
  close(
    found.rates,
    found.rates.map((_, i) => 1e-6 * factor ** i),
    1e-9 * Math.max(...found.rates),
    'rates',
  );
  ok(found.rates.length < 100, `${found.rates.length} steps`);
  ok(found.suggestion !== null && found.suggestion > 1e-4 && found.suggestion < 1, `${found.suggestion}`);
  is(found.suggestion, found.rates[found.smoothed.indexOf(Math.min(...found.smoothed))] / 10);
  equal(await search(), found, 'the same seed finds the same');
  const exploded = await findLearningRate(
    model,
    load,
    (copy, options) => copy.fit(examples, { optimizer: 'sgd', clipNorm: 0, ...options }),
    { from: 1, to: 1e30, steps: 20 },
  );
  ok(exploded.rates.length < 20);
  match(ratePlot(found), /^<svg [^>]*>.*stroke-dasharray.*polyline.*learning rate.*<\/svg>$/);
  await rejects(
    findLearningRate(model, load, () => 0 as never, { from: 1, to: 1 }),
    /^to: expected a rate above from=1, got 1$/,
  );
});

test('plots: one field for each count, one line for each column, names escaped', async () => {
  const picture = confusionPlot(confusionMatrix(drawn, truth));
  is(picture.match(/<rect x=/g)?.length, 3 * 4);
  match(picture, />b&lt;</);
  match(picture, />rejected</);
  is(confusionPlot(confusionMatrix([said('a')], ['a'])).match(/<rect x=/g)?.length, 3 * 3);
  using model = await create();
  const history = await model.fit(examples, { epochs: 3, validation: 0.3 });
  is(historyPlot(history).match(/<polyline/g)?.length, 2);
  match(historyPlot(history, 'macroF1'), /validation macroF1/);
  throws(() => historyPlot(history, 'f1'), /^metric: 'f1' is not a column of validations$/);
  is(historyPlot(await model.fit(examples, { steps: 1 })).match(/<polyline/g)?.length, 1);
});

test('what is wrong is refused', () => {
  throws(() => confusionMatrix([], []), /^predictions: expected at least one$/);
  throws(() => confusionMatrix(drawn, ['a']), /^actual: expected 6 classes, one per prediction, got 1$/);
  throws(() => confusionMatrix([said('a')], ['d']), /^actual\[0\]: 'd' is not among the classes a, b< and c$/);
  throws(() => confusionMatrix([said('d')], ['a']), /^predictions\[0\]\.label: 'd' is not among the classes/);
  throws(() => confusionMatrix(['a'] as never, ['a']), /^predictions\[0\]: expected a result/);
  throws(() => reliability([said('a')], ['a'], { bins: 0 }), /^bins: expected a whole number from 1 to 10000, got 0$/);
  throws(() => reliability([said('a', { a: 2 })], ['a']), /^predictions\[0\]\.probability\.a: expected/);
  throws(() => confusionPlot({} as never), /^matrix: expected a confusion matrix/);
  const search = { rates: [1e-3, 0.01], losses: [2, 1], smoothed: [2, 1], suggestion: 0.01 };
  throws(() => ratePlot({ ...search, losses: [1] }), /^losses\.length: expected 2, got 1$/);
  throws(() => ratePlot({ ...search, suggestion: 0 }), /^suggestion: expected a finite number above 0, got 0$/);
  throws(() => historyPlot({ epochs: {} } as never), /^epochs\.step: expected a list of numbers, got undefined$/);
});

test('a rate of 0 has no place on an axis of logarithms; powers and logarithms end for all numbers', () => {
  const svg = ratePlot({ rates: [0, 1e-3, 0.01], losses: [3, 2, 1], smoothed: [3, 2, 1], suggestion: null });
  is(svg.match(/<polyline points="([^"]*)"/)?.[1].split(' ').length, 2);
  const largest = Number.MAX_VALUE;
  equal([0, -0, -1, Number.NaN, Infinity, -Infinity].map(log2), [
    -Infinity,
    -Infinity,
    Number.NaN,
    Number.NaN,
    Infinity,
    Number.NaN,
  ]);
  equal([largest, 1e15, Infinity, -largest, -Infinity].map(exp2), [Infinity, Infinity, Infinity, 0, 0]);
  close([log2(5e-324), log2(largest)], [-1074, 1024], 1e-12, 'log2');
});

test.run();
