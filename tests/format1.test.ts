/**
 * Files of format 1, kept from before format 2: each loads, predicts what it predicted, and resumes bit for bits it resumed to. The
 * expected values are those of the code that wrote the files; only the names of options in `data` and `fit` are those of today, and the
 * bits that `bits` and `vectors` resume to, since the loss of frames is another one.
 */
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import {
  Forecaster,
  LanguageModel,
  Seq2Seq,
  SequenceClassifier,
  SequenceGenerator,
  SequenceRegressor,
  SequenceTagger,
  Transcriber,
} from 'gatewise/tasks';
import { test } from 'uvu';
import { equal, is } from 'uvu/assert';
import { same } from './support/tasks.js';

const folder = new URL('../../tests/files/format1/', import.meta.url);
const read = (name: string) => new Uint8Array(readFileSync(new URL(name, folder)));

interface Kept {
  data: never;
  fit: object;
  predictions: never;
  continued: string;
}
const expected: Record<string, Kept> = JSON.parse(readFileSync(new URL('expected.json', folder), 'utf8'));

interface Any {
  readonly model: { readonly parameters: readonly { name: string }[]; get(name: string): Float32Array };
  fit(data: never, options: object): PromiseLike<unknown>;
  save(): Uint8Array;
  dispose(): void;
}

/** Typed arrays as lists, what JSON does not have as null. */
function plain(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(plain);
  if (ArrayBuffer.isView(value)) return Array.from(value as Float32Array, plain);
  if (typeof value === 'object' && value !== null)
    return Object.fromEntries(Object.entries(value).map(([key, own]) => [key, plain(own)]));
  return typeof value === 'number' && !Number.isFinite(value) ? null : value;
}

function digest({ model }: Any): string {
  const hash = createHash('sha256');
  for (const { name } of model.parameters) hash.update(name).update(model.get(name));
  return hash.digest('hex');
}

function kept<T extends Any>(
  name: string,
  load: (bytes: Uint8Array) => Promise<T>,
  ask: (model: T, data: never) => unknown,
  was: (predictions: never) => unknown = (predictions) => predictions,
): void {
  test(`${name}: loads, predicts and resumes as before`, async () => {
    const { data, fit, predictions, continued } = expected[name];
    const whole = await load(read(`${name}.safetensors`));
    const weights = await load(read(`${name}-weights.safetensors`));
    for (const model of [whole, weights]) equal(plain(await ask(model, data)), was(predictions));
    const again = await load(whole.save());
    for (const model of [whole, again]) {
      await model.fit(data, fit);
      is(digest(model), continued);
    }
    equal(same(whole.save(), again.save()), true, 'a file of format 2 resumes as one of format 1');
    for (const model of [whole, weights, again]) model.dispose();
  });
}

/** Format 1 had forecasts by name also where the variable has none, and empty quantiles for a model without. */
function oneForecast(all: Record<string, { point: number[]; quantiles: number[][] }>): unknown {
  const own = Object.entries(all).map(([name, { point, quantiles }]) => [
    name,
    quantiles.length ? { point, quantiles } : { point },
  ]);
  return own.length === 1 && own[0][0] === 'value' ? [own[0][1]] : [Object.fromEntries(own)];
}

const inputs = (data: { input: never }[]) => data.map(({ input }) => input);
type Text = { text: string; tokens: string[]; complete: boolean };
type Class = { label: string; labels: string[]; probabilities: number[]; values: number[] };
/** Format 1 had no probabilities by name. */
const unnamed = async (all: PromiseLike<readonly object[]>) =>
  (await all).map((one) => Object.fromEntries(Object.entries(one).filter(([name]) => name !== 'probability')));
type Tags = { labels: string[]; sets: Record<string, string[]>; probabilities: Record<string, number[]> };

kept(
  'classes',
  (bytes) => SequenceClassifier.load(bytes),
  (model, data) => unnamed(model.predict(inputs(data))),
  (all: Class[]) => all.map(({ label, probabilities }) => ({ label, probabilities })),
);
kept(
  'labels',
  (bytes) => SequenceClassifier.load(bytes),
  (model, data) => unnamed(model.predict(inputs(data))),
  (all: Class[]) => all.map(({ labels, probabilities }) => ({ labels, probabilities })),
);
kept(
  'numbers',
  (bytes) => SequenceRegressor.load(bytes),
  (model, data) => model.predict(inputs(data)),
  (all: Class[]) => all.map(({ values }) => ({ values })),
);
kept(
  'tags',
  (bytes) => SequenceTagger.load(bytes),
  (model, data) => model.predict(inputs(data)),
  (all: Tags[]) => all.map(({ labels }) => ({ labels })),
);
kept(
  'sets',
  (bytes) => SequenceTagger.load(bytes),
  (model, data) => model.predict(inputs(data)),
  (all: Tags[]) => all.map(({ sets, probabilities }) => ({ labels: sets, probabilities })),
);
kept(
  'language',
  (bytes) => LanguageModel.load(bytes),
  (model) => model.generate({ prompt: 'ab', length: 12, seed: 3 }),
);
kept(
  'translation',
  (bytes) => Seq2Seq.load(bytes),
  (model, data: { source: never }[]) =>
    model.predict(
      data.map(({ source }) => source),
      { maxLength: 8 },
    ),
  (all: (Text & { attention: object })[]) =>
    all.map(({ text, tokens, complete, attention }) => ({ text, tokens, complete, attention })),
);
kept(
  'transcript',
  (bytes) => Transcriber.load(bytes),
  (model, data) => model.predict(inputs(data), { beamWidth: 3 }),
);
kept(
  'tokens',
  (bytes) => SequenceGenerator.load(bytes),
  async (model) => {
    const best = await model.predict(['march', 'waltz'], { maxLength: 6, beamWidth: 2 });
    return best.map((own) => 'tokens' in own && [own.text, own.tokens, own.logProbability, own.complete]);
  },
  (all: (Text & { logProbability: number })[]) =>
    all.map(({ text, tokens, logProbability, complete }) => [text, tokens, logProbability, complete]),
);
for (const [name, field] of [
  ['bits', 'frames'],
  ['vectors', 'vectors'],
]) {
  kept(
    name,
    (bytes) => SequenceGenerator.load(bytes),
    (model) =>
      model.predict(
        [
          [1, 0],
          [0.5, 1],
        ],
        { maxLength: 5 },
      ),
    (all: { vectors: number[][]; complete: boolean }[]) =>
      all.map(({ vectors, complete }) => ({ [field]: vectors, complete })),
  );
}
kept(
  'forecast',
  (bytes) => Forecaster.load(bytes),
  (model, data) => model.predict([data], { start: 0 }),
  oneForecast,
);
kept(
  'points',
  (bytes) => Forecaster.load(bytes),
  (model, data) => model.predict([data], { steps: 4, start: 0 }),
  oneForecast,
);

test.run();
